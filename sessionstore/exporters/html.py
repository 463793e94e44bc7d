"""One page of HTML for reading in any browser, without a network: no script, nothing loaded from elsewhere, images
inside the page. Light or dark as the reader's system is; tool calls, results and reasoning open on a click; every
message can be linked to by `#` and its id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.html_style import STYLE
from sessionstore.exporters.reading import ROLES, facts, told_of
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import arguments_text, blob_text

_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; base-uri 'none'"
_MIME = re.compile(r"(image|audio|video)/[\w.+-]+", re.ASCII)
_ELEMENTS = {"audio": "audio", "video": "video"}


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """The page in pieces."""
    title = escape(" ".join(str(revision.get("title") or revision["key"]).split()))
    yield (
        '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n<dl>\n"
    )
    for label, value in facts(revision):
        yield f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>\n"
    yield "</dl>\n</header>\n<main>\n"
    for number, message in enumerate(messages, 1):
        yield _message(number, message, report)
    yield "</main>\n</body>\n</html>\n"


def anchor(ident: str) -> str:
    """The name by which a message can be linked to: its id, without the white space that a name cannot have."""
    return re.sub(r"\s", "_", ident)


def _message(number: int, message: dict[str, Any], report: Report) -> str:
    body = "".join(_part(part, report) for part in message["parts"])
    role = message["role"]
    name = escape(anchor(message["id"]))
    heading = (
        f'<h2><a href="#{name}">{number}</a> {escape(ROLES.get(role, role))}'
        f"<small>{escape('  '.join(told_of(message)))}</small></h2>"
    )
    if message.get("kind") in ("context", "meta"):
        body = _folded("Added by the program" if message["kind"] == "context" else "Record", "", body)
    return f'<article id="{name}" class="{escape(role)}">\n{heading}\n{body}</article>\n'


def _part(part: dict[str, Any], report: Report) -> str:
    kind = part.get("type")
    if kind == "text":
        return _prose(content.plain_text(part))
    if kind == "reasoning":
        text = content.plain_text(part)
        return _folded("Thinking", "", _prose(text)) if text.strip() else ""
    if kind == "tool_call":
        return _folded("Tool call", str(part.get("name") or ""), _code(arguments_text(part.get("arguments"))))
    if kind == "tool_call_response":
        inside = "".join(_result(item, report) for item in content.contents(part.get("response")))
        return _folded("Tool result", "failed" if part.get("is_error") else "", inside)
    if kind in ("blob", "uri"):
        return _media(part, report)
    return _folded("Record", str(kind), _code(arguments_text(part)))


def _result(item: dict[str, Any], report: Report) -> str:
    return _code(content.plain_text(item)) if item["type"] == "text" else _media(item, report)


def _media(part: dict[str, Any], report: Report) -> str:
    """An image, sound or film inside the page; a link to what lies elsewhere; a word for what cannot be shown."""
    uri = part.get("uri")
    if part["type"] == "uri" and content.is_link(uri):
        return f'<p><a href="{escape(str(uri))}" rel="noreferrer">{escape(str(uri))}</a></p>\n'
    found = content.blob(part) if part["type"] == "blob" else None
    if found is None or not _MIME.fullmatch(found[0]):
        report.count("files that a page cannot show told by name only")
        return f'<p class="stand-in">{escape(blob_text(part))}</p>\n'
    source = escape(content.data_uri(*found))
    element = _ELEMENTS.get(found[0].partition("/")[0])
    if element:
        return f'<{element} controls src="{source}"></{element}>\n'
    return f'<img alt="{escape(blob_text({**part, "data": ""}))}" src="{source}">\n'


def _folded(what: str, name: str, body: str) -> str:
    told = f" <code>{escape(name)}</code>" if name else ""
    return f"<details><summary>{escape(what)}{told}</summary>\n{body}</details>\n"


def _code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>\n" if text else ""


def _prose(text: str) -> str:
    """Text with its fenced code set apart; nothing else of its markup is interpreted."""
    made: list[str] = []
    lines: list[str] = []
    fence = ""

    def close(code: bool) -> None:
        block = "\n".join(lines).strip("\n")
        if block:
            made.append(_code(block) if code else f'<div class="text" dir="auto">{escape(block)}</div>\n')
        lines.clear()

    for line in text.split("\n"):
        mark = re.match(r"\s{0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            close(False)
            fence = mark[1]
        elif mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            close(True)
            fence = ""
        else:
            lines.append(line)
    close(bool(fence))
    return "".join(made)

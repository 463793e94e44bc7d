"""Plain text for reading: who said what, tool calls and outputs set in by four spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import indent
from typing import Any

from sessionstore.exporters.reading import ROLES, attached, facts, told_of
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import arguments_text, blob_text, response_text

_RULE = "-" * 72


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """The text in pieces."""
    yield f"{_inline(revision.get('title') or revision['key'])}\n\n"
    for label, value in facts(revision):
        yield f"{label}: {_inline(value)}\n"
    for message in messages:
        body = "".join(_part(part, report) for part in message["parts"])
        if body.strip():
            head = [ROLES.get(message["role"], message["role"]), *told_of(message)]
            yield f"\n{_RULE}\n{_inline(', '.join(head))}\n\n{body}"


def _part(part: dict[str, Any], report: Report) -> str:
    kind = part.get("type")
    if kind == "text":
        return f"{part.get('content', '')}\n"
    if kind == "reasoning":
        text = str(part.get("content") or "")
        return f"Thinking:\n{indent(text, '    ')}\n" if text else ""
    if kind == "tool_call":
        return f"Tool call {_inline(part.get('name'))}:\n{indent(arguments_text(part.get('arguments')), '    ')}\n"
    if kind == "tool_call_response":
        report.count("images in tool results left out", attached(part.get("response")))
        failed = " (error)" if part.get("is_error") else ""
        return f"Tool result{failed}:\n{indent(response_text(part.get('response')), '    ')}\n"
    if kind in ("blob", "uri", "file"):
        report.count("images and files told by name only", int(kind == "blob"))
        return f"{blob_text(part)}\n"
    return f"{indent(arguments_text(part), '    ')}\n"


def _inline(text: Any) -> str:
    return " ".join(str(text).split())

"""Markdown for reading: a heading per message, tool calls and outputs in fences that their content cannot break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters.reading import ROLES, attached, facts, told_of
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import arguments_text, blob_text, response_text


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """The document in pieces."""
    yield f"# {_inline(revision.get('title') or revision['key'])}\n\n"
    for label, value in facts(revision):
        yield f"- {label}: {f'`{value}`' if label == 'Session' else _inline(value)}\n"
    for message in messages:
        body = "".join(_part(part, report) for part in message["parts"])
        if body.strip():
            yield f"\n## {_inline(_heading(message))}\n\n{body}"


def _heading(message: dict[str, Any]) -> str:
    told = ", ".join(told_of(message))
    return f"{ROLES.get(message['role'], message['role'])}{f' ({told})' if told else ''}"


def _part(part: dict[str, Any], report: Report) -> str:
    kind = part.get("type")
    if kind == "text":
        return f"{part.get('content', '')}\n\n"
    if kind == "reasoning":
        text = str(part.get("content") or "")
        return "".join(f"> {line}\n" for line in text.splitlines()) + "\n" if text else ""
    if kind == "tool_call":
        return f"**Tool call** `{part.get('name')}`\n\n{_fence(arguments_text(part.get('arguments')), 'json')}"
    if kind == "tool_call_response":
        failed = " (error)" if part.get("is_error") else ""
        report.count("images in tool results left out", attached(part.get("response")))
        return f"**Tool result**{failed}\n\n{_fence(response_text(part.get('response')))}"
    if kind in ("blob", "uri", "file"):
        report.count("images and files told by name only", int(kind == "blob"))
        return f"{blob_text(part)}\n\n"
    return _fence(arguments_text(part), "json")


def _fence(text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n\n"


def _inline(text: str) -> str:
    return " ".join(str(text).split())

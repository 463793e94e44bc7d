"""Markdown for reading: a heading per message, tool calls and outputs in fences that their content cannot break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters.text import arguments_text, blob_text, response_text

_ROLES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The document in pieces. Bookkeeping records (kind "meta") are left out: this is for people."""
    yield f"# {_inline(revision.get('title') or revision['key'])}\n\n"
    for label, value in _facts(revision):
        yield f"- {label}: {_inline(value)}\n"
    for message in messages:
        if message.get("kind") == "meta":
            continue
        body = "".join(_part(part) for part in message["parts"])
        if body.strip():
            yield f"\n{_heading(message)}\n\n{body}"


def _facts(revision: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Session", f"`{revision['key']}`"
    for name, label in (("created_at", "Started"), ("updated_at", "Last message"), ("cwd", "Directory")):
        if revision.get(name):
            yield label, str(revision[name])
    if revision.get("models"):
        yield "Models", ", ".join(revision["models"])
    yield "Messages", str(revision["counts"]["messages"])


def _heading(message: dict[str, Any]) -> str:
    facts = [message.get("time"), message.get("model"), message.get("kind")]
    told = ", ".join(str(fact) for fact in facts if fact)
    return f"## {_ROLES.get(message['role'], message['role'])}{f' ({told})' if told else ''}"


def _part(part: dict[str, Any]) -> str:
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
        return f"**Tool result**{failed}\n\n{_fence(response_text(part.get('response')))}"
    if kind in ("blob", "uri", "file"):
        return f"{blob_text(part)}\n\n"
    return _fence(arguments_text(part), "json")


def _fence(text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n\n"


def _inline(text: str) -> str:
    return " ".join(str(text).split())

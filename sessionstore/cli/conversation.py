"""A conversation on a terminal: who said what, when, with which tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from sessionstore.cli.output import number, one_line, safe, when, width
from sessionstore.exporters.text import arguments_text, blob_text, response_text

_COLOURS = {"user": "green", "assistant": "blue", "tool": "magenta", "system": "cyan"}


def render(
    revision: dict[str, Any], messages: Iterable[dict[str, Any]], *, everything: bool, spot: str = ""
) -> Iterator[str]:
    """The conversation in printable pieces; bookkeeping records only with `everything`; `spot` is marked."""
    yield click.style(one_line(revision.get("title") or revision["key"], width()), bold=True)
    facts = [
        revision["key"],
        when(revision.get("created_at")),
        revision.get("project"),
        ", ".join(revision.get("models", [])),
        f"{number(revision['counts']['messages'])} messages",
    ]
    yield click.style("  ".join(safe(str(fact)) for fact in facts if fact), dim=True)
    for issue in revision.get("issues", ()):
        yield click.style(f"source: {issue.get('note') or issue['code']} ({issue['n']}×)", fg="yellow")
    hidden = 0
    for message in messages:
        if message.get("kind") == "meta" and not everything:
            hidden += 1
            continue
        yield ""
        yield _heading(message, message["id"] == spot)
        for part in message["parts"]:
            if text := _part(part):
                yield text
    if hidden:
        yield click.style(f"\n({number(hidden)} bookkeeping records not shown; --all shows them)", dim=True)


def _heading(message: dict[str, Any], marked: bool) -> str:
    role = click.style(message["role"], fg=_COLOURS.get(message["role"]), bold=True)
    facts = [message.get("kind"), message.get("model"), message.get("time")]
    told = "  ".join(safe(str(fact)) for fact in facts if fact)
    return f"{'▶ ' if marked else ''}{role}  {click.style(told, dim=True)}"


def _part(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if kind == "text":
        return safe(str(part.get("content", "")))
    if kind == "reasoning":
        text = str(part.get("content") or "")
        return click.style(safe(text), italic=True, dim=True) if text else ""
    if kind == "tool_call":
        return click.style(f"→ {safe(str(part.get('name')))} ", bold=True) + safe(arguments_text(part.get("arguments")))
    if kind == "tool_call_response":
        mark = click.style("✗ ", fg="red") if part.get("is_error") else "← "
        return mark + safe(response_text(part.get("response")))
    if kind in ("blob", "uri", "file"):
        return safe(blob_text(part))
    return safe(arguments_text(part))

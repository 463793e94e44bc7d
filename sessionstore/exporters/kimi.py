"""Kimi sessions of llm-mcp-server: one document with the seven fields that the program writes, ASCII, no line feed at
the end. Lies in `.kimi_sessions/<id>.json`. The program keeps the latest 50 messages when it saves the file again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore import canonical
from sessionstore.exporters.chat import records
from sessionstore.exporters.native import began, file_time, raw_time, safe_name
from sessionstore.exporters.report import Report

WINDOW = 50
_SOURCE = "kimi"


def place(revision: dict[str, Any]) -> str:
    """`<id>.json`."""
    return f"{_id(revision)}.json"


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """The document as text."""
    yield text(document(revision, messages, report))


def text(document: dict[str, Any]) -> str:
    """A document as the program writes it."""
    return json.dumps(document, indent=2)


def document(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> dict[str, Any]:
    """The document."""
    own = revision.get("source") == _SOURCE
    listed = [record for message in messages for record in records(message, own, report)]
    kept = sum(record["role"] != "system" for record in listed)
    report.count("messages that the program will drop when it saves the file again", max(0, kept - WINDOW))
    rest = dict(revision.get("x") or {}) if own else {}
    for name in ("created_at", "updated_at"):
        rest.pop(name, None)
    ident = _id(revision)
    topics = ident.split("_")[0].split("-")
    created, accessed = _local(revision, "created_at", report), _local(revision, "updated_at", report)
    made = {
        "session_id": ident,
        "messages": listed,
        "metadata": {"created": created, "topics": topics},
        "created": created,
        "last_accessed": accessed,
        "message_count": len(listed),
        "topics": topics,
    }
    made |= {name: value for name, value in rest.items() if name not in ("messages", "message_count")}
    cleaned: dict[str, Any] = canonical.clean(made)
    return cleaned


def _id(revision: dict[str, Any]) -> str:
    return safe_name(str(revision.get("native_id") or revision["key"]))


def _local(revision: dict[str, Any], name: str, report: Report) -> str:
    """A time of the session as the program writes it, without a zone; UTC when the zone is known."""
    raw = raw_time(revision, name)
    if raw:
        return raw
    stated = revision.get(name) or began(revision)
    date, _, clock = file_time(str(stated)).partition("T")
    fraction = re.search(r"\.\d{1,6}", str(stated))
    report.tell("the zone of times is not held by this format, so they are in UTC")
    return f"{date}T{clock.replace('-', ':')}{fraction[0] if fraction else ''}"

"""Unified JSONL: the session's fields on the first line (`"t": "session"`), then one message a line, nothing left
out. Every line is canonical JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore import canonical
from sessionstore.exporters.report import Report

_LEFT_OUT = ("_name", "pages", "messages", "format", "v")


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[bytes]:
    """The lines, each with its line feed."""
    header = {name: value for name, value in revision.items() if name not in _LEFT_OUT}
    yield canonical.line({"t": "session", "format": "sessionstore/jsonl", "v": 1, **header})
    for message in messages:
        yield canonical.line(message)

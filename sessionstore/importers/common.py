"""What all importers read alike: times, titles, and the names of the unified model's own parts."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

OWN_PARTS = frozenset({"text", "reasoning", "tool_call", "tool_call_response", "blob", "uri", "file", "record"})
"""Part types of the unified model; a foreign part that has one of these names is kept as a record instead."""
TITLE_LENGTH = 120
"""Longest title taken from a prompt, in characters."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:[0-5]\d)", re.ASCII)
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(?P<seconds>:\d\d(\.(?P<fraction>\d{1,9}))?)?)?", re.ASCII)


def is_instant(value: Any) -> bool:
    """Whether `value` is a point in time as RFC 3339 writes it, with its offset: what a message's `time` must be."""
    if type(value) is not str:
        return False
    usual = len(value) == 24 and value[-1] == "Z" and value[7] == "-" and value[10] == "T" and value[16] == ":"
    if not (usual and value[19] == ".") and _INSTANT.fullmatch(value) is None:
        return False
    return _exists(value)


def naive_time(value: Any) -> dict[str, str] | None:
    """A local time without an offset, as `{"raw", "precision", "zone"}`; None when it is not one. It goes to `x`,
    because nobody can tell which point in time it is."""
    shape = _NAIVE.fullmatch(value) if type(value) is str else None
    if shape is None or not _exists(value):
        return None
    return {"raw": value, "precision": _precision(value, shape), "zone": "unknown"}


def _exists(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _precision(value: str, shape: re.Match[str]) -> str:
    if len(value) == 10:
        return "day"
    if not shape["seconds"]:
        return "min"
    if not shape["fraction"]:
        return "s"
    return "ms" if len(shape["fraction"]) <= 3 else "us"


def stem(name: str) -> str:
    """A file's name without its directory and ending."""
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def title_line(text: str) -> str:
    """The first line of a text that is not blank, at most `TITLE_LENGTH` characters of it; "" when there is none."""
    return text[: 40 * TITLE_LENGTH].lstrip().split("\n", 1)[0][:TITLE_LENGTH].strip()

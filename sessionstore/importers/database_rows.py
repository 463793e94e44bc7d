"""What the importers of SQLite databases share: column values as JSON, JSON kept in columns, ids made unique, times of
columns that are UTC by definition."""

from __future__ import annotations

import base64
import math
import re
from typing import Any

from sessionstore.importers.base import Source
from sessionstore.importers.common import is_instant
from sessionstore.importers.parsing import Unparsable

MAX_COUNT = 2**53 - 1
"""Counts above this are not believed; they stay in `x`."""

_SPACED = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:\d\d)?", re.ASCII)


class Ids:
    """Gives every message of one session an id of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._repeats: dict[str, int] = {}
        self._count = 0

    def take(self, wanted: Any = None) -> str:
        """The wanted id, made unique when it is taken (`id~2`); the message's number (`m7`) when none is wanted."""
        self._count += 1
        name = wanted if isinstance(wanted, str) and wanted else f"m{self._count}"
        found = name
        while found in self._taken:
            self._repeats[name] = self._repeats.get(name, 1) + 1
            found = f"{name}~{self._repeats[name]}"
        self._taken.add(found)
        return found


def plain(value: Any) -> Any:
    """A column's value as JSON can hold it: bytes in base64, numbers that JSON has not as text."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON can hold it."""
    return {name: plain(value) for name, value in row.items()}


def stated(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON can hold it, without the columns that are null."""
    return {name: plain(value) for name, value in row.items() if value is not None}


def from_json(source: Source, value: Any) -> Any:
    """What the JSON text of a column says; None when it is null or no JSON. What could not be taken over exactly
    becomes an issue of the file."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    if not isinstance(value, bytes):
        return None
    try:
        return source.parsed(value)
    except Unparsable:
        return None


def decoded(source: Source, value: Any) -> Any:
    """What the JSON text of a column says, or the column's value itself when it is no JSON."""
    parsed = from_json(source, value)
    return plain(value) if parsed is None else parsed


def utc(value: Any) -> str | None:
    """The time of a column that is known to be UTC, with its offset; None when it is no time. An offset that the text
    states itself stays."""
    shape = _SPACED.fullmatch(value) if isinstance(value, str) else None
    if shape is None:
        return None
    time = f"{shape[1]}T{shape[2]}{shape[3] or 'Z'}"
    return time if is_instant(time) else None


def count(value: Any) -> int:
    """A count that is believed; else 0."""
    return value if type(value) is int and 0 < value <= MAX_COUNT else 0

"""The one written form of every JSON document the store authors, and its digest.

Canonical form SS-1: UTF-8, object keys sorted by code point, no white space between tokens, strings escaped
only where JSON demands it, no NaN or infinity, integers between -2**63 and 2**64-1, no lone surrogates, nested
at most `MAX_DEPTH` deep. Floats are the shortest decimal that reads back to the same double. A document's name
is the SHA-256 of its bytes; nothing is ever re-serialised to check a name.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

MAX_DEPTH = 200
"""Deepest nesting a canonical document may have (the serialiser's own limit is 254)."""

_SORTED = orjson.OPT_SORT_KEYS
_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1


def digest(data: bytes) -> str:
    """SHA-256 of `data` as 64 lower-case hex digits."""
    from hashlib import sha256  # takes its time to load, and what only reads the index does without it

    return sha256(data).hexdigest()


def dumps(value: Any) -> bytes:
    """Canonical bytes of a JSON value. Values JSON cannot hold are first made representable by `clean`."""
    return _dumps(value, _SORTED)


def line(value: Any) -> bytes:
    """Canonical bytes of a JSON value followed by one newline, the form of a message in a page."""
    return _dumps(value, _LINE)


def trusted_line(value: Any) -> bytes:
    """`line` for a message that is known to hold no NaN or infinity, as everything that was parsed or cleaned is: it
    is spared the search for them. Raises `TypeError` for what `clean` has to mend first, among it messages nested so
    deeply that they could not be written inside a revision."""
    return orjson.dumps([[value]], option=_SORTED)[2:-2] + b"\n"


def _dumps(value: Any, option: int) -> bytes:
    try:
        data = orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(clean(value), option=option)
    if b"null" in data and _has_non_finite(value):
        return orjson.dumps(clean(value), option=option)
    return data


def loads(data: bytes) -> Any:
    """Read a document that the store wrote. Raises `ValueError` when the bytes are not JSON."""
    return orjson.loads(data)


def clean_text(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD, so that it can be written as UTF-8."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if _has_surrogate(text) else text


def clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A copy of `value` that `dumps` can write: lone surrogates become U+FFFD, NaN, infinities and integers
    beyond 64 bits become strings, anything nested deeper than `MAX_DEPTH` becomes the string ``"…"``."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if _MIN_INT <= value <= _MAX_INT else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _non_finite(value)
    if depth <= 0:
        return "…"
    if isinstance(value, dict):
        return {clean_text(str(k)): clean(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v, depth - 1) for v in value]
    return clean_text(str(value))


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _digits(value: int) -> str:
    """An integer as text. Python refuses to write very long ones in decimal; those are written in hexadecimal."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _has_non_finite(value: Any) -> bool:
    """Whether there is a NaN or an infinity in `value`, which the serialiser would write as null."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(_has_non_finite(item) for item in value.values() if not isinstance(item, str))
    return isinstance(value, list | tuple) and any(_has_non_finite(item) for item in value)


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

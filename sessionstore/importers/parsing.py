"""Reading JSON that others wrote, without ever losing silently what a JSON parser drops.

A fast parser keeps the last of duplicate keys and turns 2**64 into a float; some writers emit NaN, lone
surrogates, NULs or bytes that are not UTF-8. `parse` reads all of that, gives a value that can be written again,
and names what it had to change, so that the importer can report it. The original bytes are kept elsewhere.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from sessionstore import canonical

Flags = tuple[str, ...]
"""Names of what was lost or changed in parsing: see `FLAGS`."""

FLAGS = {
    "duplicate-keys": "an object names a key twice; the last value counts",
    "big-integer": "an integer beyond 64 bits; kept as a string",
    "non-finite-number": "NaN or Infinity, which JSON does not have; kept as a string",
    "lone-surrogate": "half a surrogate pair; shown as U+FFFD",
    "invalid-utf8": "bytes that are not UTF-8; shown as U+FFFD",
    "control-character": "a raw control character inside a string; kept",
}

_CLEAN: Flags = ()


class Unparsable(ValueError):
    """The bytes are not JSON at all; `str(error)` is the reason in a few words."""


def parse(raw: bytes) -> tuple[Any, Flags]:
    """Parse one JSON text. Returns the value and the names of what could not be taken over exactly.

    When writing the value again gives the same bytes (which it does for compact writers), nothing can have been
    lost and the slow, careful parse is skipped. Raises `Unparsable`.
    """
    try:
        value = orjson.loads(raw)
        if orjson.dumps(value) == raw:
            return value, _CLEAN
    except (orjson.JSONDecodeError, TypeError):
        pass
    return _parse_carefully(raw)


def _parse_carefully(raw: bytes) -> tuple[Any, Flags]:
    flags: set[str] = set()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace")
        flags.add("invalid-utf8")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            flags.add("duplicate-keys")
        return found

    def constant(name: str) -> str:
        flags.add("non-finite-number")
        return name

    def integer(digits: str) -> int | str:
        if len(digits) < 19:
            return int(digits)
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
            flags.add("big-integer")
            return digits
        return int(digits)

    def number(digits: str) -> float | str:
        value = float(digits)
        if value - value != 0:
            flags.add("non-finite-number")
            return digits
        return value

    hooks: dict[str, Any] = {
        "object_pairs_hook": pairs,
        "parse_constant": constant,
        "parse_int": integer,
        "parse_float": number,
    }
    value = _decode(text, hooks, flags)
    try:
        orjson.dumps(value)
    except TypeError:
        cleaned = canonical.clean(value)
        if _too_deep(value):
            raise Unparsable("nested too deeply") from None
        flags.add("lone-surrogate")
        value = cleaned
    return value, tuple(sorted(flags))


def _decode(text: str, hooks: dict[str, Any], flags: set[str]) -> Any:
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise Unparsable("nested too deeply") from None
    except json.JSONDecodeError as error:
        if "control character" not in error.msg:
            raise Unparsable(_why(text, error)) from None
    try:
        value = json.loads(text, strict=False, **hooks)
    except RecursionError:
        raise Unparsable("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Unparsable(_why(text, error)) from None
    flags.add("control-character")
    return value


def _too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > canonical.MAX_DEPTH:
            return True
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return False


def _why(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip("\0 \t\r\n"):
        return "only NUL bytes" if "\0" in text else "empty"
    if (error.pos >= len(text.rstrip()) - 1 and error.msg != "Extra data") or error.msg.startswith("Unterminated"):
        return "cut off in the middle"
    return f"not JSON ({error.msg.lower()} at character {error.pos})"

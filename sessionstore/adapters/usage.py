"""What an answer has cost, from each provider's own way of counting to the one of the model.

`input_tokens` holds everything the model has read, also what came from or went to the cache; `output_tokens` holds
everything it has said, also what it has thought."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
FIGURES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def figure(raw: Any, *path: str) -> int:
    """The count at a path of names; 0 when it is not there."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0 else 0


def counted(**figures: int) -> Json:
    """A message's usage: only what is not zero."""
    return {name: figures[name] for name in FIGURES if figures.get(name)}


def rest(raw: Any, known: Iterable[str]) -> Json:
    """What the provider has counted besides: `known` are the names, dotted, that have a place of their own."""
    kept = _pruned(raw, frozenset(known), "")
    return kept if isinstance(kept, dict) else {}


def _pruned(value: Any, known: frozenset[str], path: str) -> Any:
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        place = f"{path}{name}"
        kept = None if place in known else _pruned(item, known, f"{place}.")
        if kept not in (None, 0, {}, []):
            found[name] = kept
    return found


def put(message: Json, usage: Json, x: Json) -> Json:
    """The message with its usage and `x`, each only when there is something in it."""
    return message | ({"usage": usage} if usage else {}) | ({"x": x} if x else {})


def without_nothing(fields: Json, known: Iterable[str] = ()) -> Json:
    """The fields that say something and are not `known`."""
    return {name: value for name, value in fields.items() if name not in known and value not in (None, [], {}, "")}

"""What a call has cost. The prices are those of the package `genai-prices` (the extra `[prices]`): maintained, with its
data inside, so nothing is fetched. Without it, or for a model it does not know, a cost is unknown, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

Usage = Mapping[str, Any]
Price = Callable[[str, Usage, str | None], int | None]
"""Called with a model, the usage of one call and its provider; the cost in millionths of a US dollar, or None."""


@lru_cache(maxsize=1)
def _library() -> Any:
    """The price library, or None when it is not installed."""
    try:
        return import_module("genai_prices")
    except ImportError:
        return None


def price(model: str, usage: Usage, provider: str | None = None) -> int | None:
    """The cost of one call in millionths of a US dollar, by list price; None when it is not known."""
    library = _library()
    if library is None:
        return None
    counted = {
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        "cache_read_tokens": usage.get("cache_read_tokens"),
        "cache_write_tokens": usage.get("cache_write_tokens"),
    }
    given = library.Usage(**{name: amount for name, amount in counted.items() if amount is not None})
    for named in dict.fromkeys((provider, None)):
        try:
            return round(float(library.calc_price(given, model_ref=model, provider_id=named).total_price) * 1_000_000)
        except (LookupError, ValueError):
            continue
    return None


@lru_cache(maxsize=1024)
def context_window(model: str) -> int | None:
    """How many tokens a model's context has, by the same data; None when it does not say."""
    library = _library()
    if library is None or not model:
        return None
    try:
        found = library.calc_price(library.Usage(input_tokens=1), model_ref=model).model.context_window
    except (LookupError, ValueError):
        return None
    return int(found) if found else None

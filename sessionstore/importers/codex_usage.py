"""Counting the tokens of a Codex rollout, whose records state running totals and state them twice."""

from __future__ import annotations

from typing import Any

from sessionstore.importers.codex_parts import Json

_FIGURES = ("total_token_usage", "last_token_usage")
_COUNTERS = (
    ("input_tokens", "input_tokens"),
    ("cached_input_tokens", "cache_read_tokens"),
    ("cache_write_input_tokens", "cache_write_tokens"),
    ("output_tokens", "output_tokens"),
    ("reasoning_output_tokens", "reasoning_tokens"),
)
_COUNTED = frozenset(theirs for theirs, _ in _COUNTERS) | {"total_tokens"}
_NONE = [0] * len(_COUNTERS)


def counters(value: Any) -> list[int] | None:
    """The token counters of a usage object in the order of `_COUNTERS`, None when it is not one."""
    if not isinstance(value, dict) or value.keys().isdisjoint(_COUNTED):
        return None
    figures = [value.get(theirs) or 0 for theirs, _ in _COUNTERS]
    return figures if all(type(figure) is int and figure >= 0 for figure in figures) else None


def increment(total: list[int], before: list[int] | None) -> list[int]:
    """What a running total has grown by. A total of which any figure went down has begun anew: all of it is new."""
    if before is None or any(now < then for now, then in zip(total, before, strict=True)):
        return total
    return [now - then for now, then in zip(total, before, strict=True)]


def _is_plain(value: Any, figures: list[int]) -> bool:
    """Whether a usage object says nothing more than its counters and their sum."""
    together = figures[0] + figures[3]
    return isinstance(value, dict) and value.keys() <= _COUNTED and value.get("total_tokens", together) == together


class Meter:
    """Turns running totals into increments, so that the increments add up to the bill.

    Input tokens include cached ones and output tokens include reasoning, as in the unified model.
    """

    def __init__(self, state: Json) -> None:
        self.kind: str | None = state.get("kind")
        """The type of event that counts; another type that counts as well would count the same again."""
        self.total: Any = state.get("total")
        """The latest total, as the source wrote it."""
        self.latest: Any = state.get("latest")
        """The latest `last_token_usage`, likewise."""
        self.told: Json = state.get("told", {})
        """What has last been said besides tokens: rate limits, the size of the context window."""

    def state(self) -> Json:
        """What to go on from, as plain JSON data."""
        state = {"kind": self.kind, "total": self.total, "latest": self.latest, "told": self.told}
        return {name: value for name, value in state.items() if value}

    def count(self, kind: str, payload: Json) -> tuple[dict[str, int], Json] | None:
        """The usage that an event of type `kind` brings and what it says anew besides; both are empty when it only
        repeats. None when it is not understood, or is not this session's counter."""
        news = {name: value for name, value in payload.items() if name not in ("type", "info", "usage")}
        info = payload.get("info")
        if kind == "turn.completed":
            info = {"total_token_usage": payload.get("usage")}
        elif info is None:
            return {}, self._news(news)
        if not isinstance(info, dict) or self.kind not in (None, kind):
            return None
        total, last = counters(info.get("total_token_usage")), counters(info.get("last_token_usage"))
        if total is None and last is None:
            return None
        self.kind = kind
        news.update({name: value for name, value in info.items() if name not in _FIGURES})
        news = self._news(news)
        figures = self._grow(info, total, last, news)
        return {ours: n for (_, ours), n in zip(_COUNTERS, figures, strict=True) if n}, news

    def _news(self, facts: Json) -> Json:
        told = self.told
        news = {name: value for name, value in facts.items() if told.get(name) != value}
        told.update(news)
        return news

    def _grow(self, info: Json, total: list[int] | None, last: list[int] | None, news: Json) -> list[int]:
        """The increment; anything about it that cannot be computed again goes to `news`."""
        raw, latest = info.get("total_token_usage"), info.get("last_token_usage")
        same_latest = latest == self.latest
        self.latest = latest
        if total is None:
            figures = _NONE if same_latest else last or _NONE
            plain = last is not None and _is_plain(latest, last)
        elif raw == self.total:
            if not same_latest:
                news["last_token_usage"] = latest
            return _NONE
        else:
            figures = increment(total, counters(self.total))
            self.total = raw
            plain = _is_plain(raw, total) and (latest is None or (last == figures and _is_plain(latest, figures)))
        if not plain:
            news["info"] = info
        return figures

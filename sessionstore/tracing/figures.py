"""The figures of a trace: how often, how long, how much; what takes the time; which models were used for what."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from sessionstore import tracing

KEPT = 10_000
"""So many of the latest times of each operation are kept for the percentiles."""
SESSIONS = 100_000
"""So many different sessions are told apart."""


@dataclass
class _Operation:
    category: str
    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_written: int = 0
    fsyncs: int = 0
    fsync_seconds: float = 0.0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


class Figures:
    """Adds up what a trace hears of, whatever its level and categories are. May be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._operations: dict[str, _Operation] = {}
        self._inner: Counter[int] = Counter()
        """Of an operation that goes on: microseconds spent in others that have ended in it."""
        self._models: dict[str, Counter[str]] = {}
        self._sessions: set[str] = set()
        self._levels: Counter[int] = Counter()
        self._events: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def take(self, what: tracing.Event) -> None:
        """Add an event."""
        with self._lock:
            self._levels[what.level] += 1
            if what.session and len(self._sessions) < SESSIONS:
                self._sessions.add(what.session)
            operation = what.operation
            if what.ended and operation is not None:
                self._ended(operation)
            elif not what.begun:
                self._events[what.name] += 1
                if what.name == "retry":
                    self._model(what.facts)["retries"] += 1

    def _ended(self, operation: tracing.Operation) -> None:
        found = self._operations.setdefault(operation.name, _Operation(operation.category))
        found.count += 1
        found.seconds += operation.seconds
        found.own_seconds += max(0.0, operation.seconds - self._inner.pop(operation.number, 0) / 1e6)
        found.cpu_seconds += operation.cpu_seconds or 0.0
        found.bytes_written += operation.bytes_written
        found.fsyncs += operation.fsyncs
        found.fsync_seconds += operation.fsync_seconds
        found.times.append(operation.seconds)
        if operation.outer is not None:
            self._inner[operation.outer.number] += round(1e6 * operation.seconds)
        if operation.failed:
            found.errors += 1
            self._errors[type(operation.error).__name__] += 1
        if operation.category == "provider" and operation.name == "chat":
            self._asked(operation)

    def _asked(self, operation: tracing.Operation) -> None:
        model = self._model(operation.facts)
        model["requests"] += 1
        model["failures"] += operation.failed
        model["milliseconds"] += round(1e3 * operation.seconds)
        for name, value in (operation.facts.get("usage") or {}).items():
            if isinstance(value, int) and not isinstance(value, bool):
                model[name] += value

    def _model(self, facts: Any) -> Counter[str]:
        return self._models.setdefault(str(facts.get("model") or "unknown"), Counter())

    def summary(self) -> dict[str, Any]:
        """{"seconds", "cpu_seconds" (of the process), "max_rss_kib", "sessions", "events" (by level), "happened" (by
        name), "operations": {name: {category, count, errors, total_ms, own_ms, p50_ms, p95_ms, max_ms, cpu_ms,
        bytes_written, fsyncs, fsync_ms}}, "bottlenecks": [{operation, own_ms, share}] (most of the time first; own is
        without what ran inside), "models": {model: {requests, failures, retries, milliseconds, input_tokens, …}},
        "errors": {kind: count}}."""
        with self._lock:
            operations = {name: _told(one) for name, one in sorted(self._operations.items())}
            levels = {word: self._levels[number] for word, number in tracing.LEVELS.items() if self._levels[number]}
            models = {name: dict(counts) for name, counts in sorted(self._models.items())}
            happened, failures, sessions = dict(self._events), dict(self._errors), len(self._sessions)
        return {
            "seconds": round(time.monotonic() - self._began, 3),
            "cpu_seconds": round(time.process_time(), 3),
            "max_rss_kib": tracing.peak_memory(),
            "sessions": sessions,
            "events": levels,
            "happened": happened,
            "operations": operations,
            "bottlenecks": _bottlenecks(operations),
            "models": models,
            "errors": failures,
        }


def _told(one: _Operation) -> dict[str, Any]:
    times = sorted(one.times)
    return {
        "category": one.category,
        "count": one.count,
        "errors": one.errors,
        "total_ms": _ms(one.seconds),
        "own_ms": _ms(one.own_seconds),
        "p50_ms": _ms(percentile(times, 50)),
        "p95_ms": _ms(percentile(times, 95)),
        "max_ms": _ms(times[-1]),
        "cpu_ms": _ms(one.cpu_seconds),
        "bytes_written": one.bytes_written,
        "fsyncs": one.fsyncs,
        "fsync_ms": _ms(one.fsync_seconds),
    }


def percentile(ordered: list[float], percent: float) -> float:
    """The nearest-rank percentile of ordered values."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _bottlenecks(operations: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    total = sum(one["own_ms"] for one in operations.values()) or 1.0
    found = [
        {"operation": name, "own_ms": one["own_ms"], "share": round(one["own_ms"] / total, 3)}
        for name, one in operations.items()
    ]
    return sorted(found, key=lambda one: (-float(one["own_ms"]), str(one["operation"])))[:10]


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)

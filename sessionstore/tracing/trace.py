"""A trace: what it wants to hear, where it tells it, and the figures it gathers."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Any

from sessionstore import errors, tracing
from sessionstore.tracing import sinks
from sessionstore.tracing.figures import Figures

LOGGER = "sessionstore.trace"
"""The loggers of the standard library are below this name, one for each category."""


class Trace:
    """What happens, for one listener.

    `level` is the least that is told, `categories` (names, or one text with commas) what it must belong to; errors
    belong to `error` and to the category of what has failed. Sinks, any number of them:

      console   True (stderr) or a text stream: one line each, with the session
      file      a path: appended to, 0600, rotated at `rotate_bytes` with `keep` older files; lines of JSON when its
                name ends in .json or .jsonl or `json` is true, else lines as on the console
      logging   True: the loggers `sessionstore.trace.<category>`, for the program's own configuration
      handlers  handlers of the standard library's `logging`; the record's `event` is the `tracing.Event`
      otel      True: every operation becomes a span of OpenTelemetry

    `content` tells what was said, too (only in lines of level TRACE, and in spans). Raises `UsageError` for a level or
    category that there is not, `LibraryMissing`, `WriteFailed`."""

    def __init__(
        self,
        level: str | int = "INFO",
        categories: str | Iterable[str] | None = None,
        *,
        console: bool | IO[str] = False,
        file: str | os.PathLike[str] | None = None,
        json: bool | None = None,
        rotate_bytes: int = 10_000_000,
        keep: int = 3,
        logging: bool = False,
        handlers: Iterable[logging.Handler] = (),
        otel: bool = False,
        content: bool = False,
    ) -> None:
        self.level, self.categories = level_of(level), categories_of(categories)
        self.content = content
        self.figures = Figures()
        self._lock = threading.Lock()
        self._foreign = list(handlers)
        self._own: list[Any] = []
        self._logging = logging
        self.otel: Any = None
        if console:
            self._own.append(sinks.console(sys.stderr if console is True else console, json=bool(json)))
        if file is not None:
            as_json = json if json is not None else os.fspath(file).endswith((".json", ".jsonl"))
            self._own.append(sinks.file(os.fspath(file), json=as_json, rotate_bytes=rotate_bytes, keep=keep))
        if otel:
            from sessionstore.tracing.otel import Spans

            self.otel = Spans(content=content)

    def begin(self) -> Trace:
        """Listen."""
        tracing.listen(self)
        return self

    def close(self) -> None:
        """Listen no more, and close the files. The figures stay."""
        tracing.leave(self)
        for handler in self._own:
            handler.close()
        self._own = []

    def __enter__(self) -> Trace:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wants(self, what: tracing.Event) -> bool:
        """Whether an event is told."""
        if what.level < self.level:
            return False
        return self.categories is None or what.category in self.categories or what.within in self.categories

    def take(self, what: tracing.Event) -> None:
        """Hear of an event. Whatever goes wrong in telling it never stops what is traced."""
        with contextlib.suppress(Exception):
            self.figures.take(what)
            if self.wants(what):
                self._tell(what)

    def _tell(self, what: tracing.Event) -> None:
        record = sinks.record(what, f"{LOGGER}.{what.category}", details=self.level <= tracing.DEBUG)
        record.__dict__["content"] = sinks.content(what) if self.content and what.level <= tracing.TRACE else {}
        for handler in (*self._own, *self._foreign):
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._logging:
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)

    def summary(self) -> dict[str, Any]:
        """What it has seen so far: see `figures.Figures.summary`."""
        return self.figures.summary()


def level_of(level: str | int) -> int:
    """A level by its name in any case, or its number. Raises `UsageError`."""
    if isinstance(level, int):
        return level
    name = {"WARN": "WARNING", "CRITICAL": "ERROR"}.get(level.strip().upper(), level.strip().upper())
    if name not in tracing.LEVELS:
        raise errors.UsageError(
            reason=f"there is no level {level!r} of tracing; take one of {', '.join(tracing.LEVELS)}"
        )
    return tracing.LEVELS[name]


def categories_of(given: str | Iterable[str] | None) -> frozenset[str] | None:
    """Categories as a set; None for all. Raises `UsageError`."""
    if given is None:
        return None
    names = [name.strip().lower() for name in (given.split(",") if isinstance(given, str) else given)]
    for name in names:
        if name not in tracing.CATEGORIES:
            known = ", ".join(tracing.CATEGORIES)
            raise errors.UsageError(reason=f"there is no category {name!r} of tracing; take some of {known}")
    return frozenset(names) or None


def parsed(text: str) -> dict[str, Any]:
    """`level[,category…][:file]` as the arguments of `tracing.configure`; without a file it is told on stderr.
    Raises `UsageError`."""
    head, _, file = text.partition(":")
    level, _, categories = head.partition(",")
    found: dict[str, Any] = {"level": level_of(level or "INFO"), "categories": categories or None}
    categories_of(found["categories"])
    return {**found, **({"file": os.path.expanduser(file)} if file else {"console": True})}


def made(wanted: Trace | str | int | dict[str, Any]) -> Trace:
    """A trace from what `SessionManager(trace=…)` may be given: one, a level (told on stderr), `level[,category…]
    [:file]`, or the arguments of `configure`. It is not begun yet."""
    if isinstance(wanted, Trace):
        return wanted
    if isinstance(wanted, int):
        return Trace(wanted, console=True)
    return Trace(**(parsed(wanted) if isinstance(wanted, str) else wanted))

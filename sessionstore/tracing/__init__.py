"""What happens inside, step by step, for whoever asks: `configure("DEBUG", file="trace.jsonl")`.

The layers tell of *operations* (they begin, end, take time) and *events* (they happen). Nobody listens by default; then
an operation costs less than a microsecond. Tracing is of the whole process, as logging is.

What is told never holds what people and models have said, nor a key: facts are names, ids, counts and sizes. Content
is told only to a trace that was made with `content=True`.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sessionstore import errors

if TYPE_CHECKING:
    from sessionstore.tracing.trace import Trace

TRACE, DEBUG, INFO, WARNING, ERROR = 5, 10, 20, 30, 40
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
LEVELS: dict[str, int] = {"TRACE": TRACE, "DEBUG": DEBUG, "INFO": INFO, "WARNING": WARNING, "ERROR": ERROR}
"""The levels by name; the numbers are those of the standard library's `logging`."""
CATEGORIES = ("lifecycle", "provider", "persistence", "error")
"""Sessions' lives, talk with providers, what is read and written, what goes wrong (whatever it belongs to)."""

_traces: tuple[Trace, ...] = ()
_spans: Any = None
"""The module that makes spans of OpenTelemetry, while that is wanted by the program and not by a trace."""
_change = threading.Lock()
_numbers = itertools.count(1)
_current: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("sessionstore_operation", default=None)


def __getattr__(name: str) -> Any:
    if name == "Trace":
        return import_module("sessionstore.tracing.trace").Trace
    raise AttributeError(f"module 'sessionstore.tracing' has no attribute {name!r}")


def configure(
    level: str | int = "INFO", categories: str | tuple[str, ...] | list[str] | None = None, **sinks: Any
) -> Trace:
    """Begin a trace; it ends when it is closed (it is a context manager). Sinks are those of `trace.Trace`."""
    from sessionstore.tracing.trace import Trace

    return Trace(level, categories, **sinks).begin()


def wanted(trace: Trace | str | int | dict[str, Any] | None) -> Trace | None:
    """A trace that has begun, from what `trace.made` takes; None for None. Raises `UsageError`."""
    if trace is None:
        return None
    from sessionstore.tracing.trace import made

    return made(trace).begin()


def listen(trace: Trace) -> None:
    """Tell a trace what happens from now on."""
    global _traces
    with _change:
        _traces = (*(one for one in _traces if one is not trace), trace)


def leave(trace: Trace) -> None:
    """Tell a trace nothing more."""
    global _traces
    with _change:
        _traces = tuple(one for one in _traces if one is not trace)


def spans(wanted: bool | None = None) -> None:
    """Whether talk with providers becomes spans of OpenTelemetry, also without a trace. None: as soon as the program
    itself has loaded OpenTelemetry. Raises `LibraryMissing` when it is wanted and not installed."""
    global _spans
    if wanted is False or (wanted is None and (_spans is False or "opentelemetry.trace" not in sys.modules)):
        _spans = False if wanted is False else _spans
        return
    from sessionstore.tracing import otel

    otel.load()
    _spans = otel


def active() -> bool:
    """Whether anybody listens."""
    return bool(_traces)


def listening(category: str) -> bool:
    """Whether anybody listens to operations of a category."""
    return bool(_traces) or bool(_spans and category == "provider")


def event(level: int, category: str, name: str, session: str | None = None, /, **facts: Any) -> None:
    """Something has happened. A fact that is a function is called only when somebody wants its content."""
    if _traces:
        within = _current.get()
        _tell(Event(level, category, name, session or (within.session if within else None), facts, within))


class Event:
    """What happened. `facts` are plain values; `operation` is what it happened in, and when `ended`, what has ended."""

    __slots__ = ("begun", "category", "ended", "facts", "level", "name", "operation", "session", "time", "within")

    def __init__(
        self,
        level: int,
        category: str,
        name: str,
        session: str | None,
        facts: Mapping[str, Any],
        operation: Operation | None = None,
        *,
        begun: bool = False,
        ended: bool = False,
        within: str | None = None,
    ) -> None:
        self.time = time.time()
        self.level, self.category, self.name, self.session, self.facts = level, category, name, session, facts
        self.operation, self.begun, self.ended = operation, begun, ended
        self.within = within
        """Of an error: the category of what has failed."""


class Operation:
    """Something that takes time: a context manager. It may fail, has facts, and counts what is written in it."""

    __slots__ = (
        "_began",
        "_cpu",
        "_token",
        "bytes_written",
        "category",
        "cpu",
        "cpu_seconds",
        "detached",
        "error",
        "facts",
        "fsync_seconds",
        "fsyncs",
        "level",
        "name",
        "number",
        "outer",
        "seconds",
        "session",
        "span",
    )  # fmt: skip

    def __init__(
        self,
        category: str,
        name: str,
        session: str | None,
        level: int,
        facts: dict[str, Any],
        detached: bool,
        cpu: bool,
    ) -> None:
        self.category, self.name, self.session, self.level, self.facts = category, name, session, level, facts
        self.detached, self.cpu = detached, cpu and not detached
        self.number, self.outer = next(_numbers), _current.get()
        self.seconds = self.fsync_seconds = 0.0
        self.cpu_seconds: float | None = None
        self.fsyncs = self.bytes_written = 0
        self.error: BaseException | None = None
        self.span: Any = None
        self._began = self._cpu = 0.0
        self._token: contextvars.Token[Operation | None] | None = None

    def __enter__(self) -> Operation:
        for maker in _makers(self):
            self.span = maker.begin(self)
        if not self.detached:
            self._token = _current.set(self)
        if _traces:
            _tell(Event(TRACE, self.category, self.name, self.session, self.facts, self, begun=True))
        self._began, self._cpu = time.perf_counter(), time.thread_time()
        return self

    def told(self, **facts: Any) -> None:
        """Learn more about it while it goes on."""
        self.facts.update(facts)

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error; that something is not there is an answer, too."""
        return self.error is not None and not isinstance(self.error, errors.NotFound)

    @property
    def milliseconds(self) -> float:
        """How long it has taken so far."""
        return 1e3 * (time.perf_counter() - self._began)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = time.thread_time() - self._cpu if self.cpu else None
        if self._token is not None:
            _current.reset(self._token)
        self.error = error
        if self.outer is not None:
            self.outer.bytes_written += self.bytes_written
            self.outer.fsyncs += self.fsyncs
            self.outer.fsync_seconds += self.fsync_seconds
        if self.span is not None:
            self.span.end(self)
        if _traces:
            level, category, within = self.level, self.category, None
            if error is not None and self.failed:
                level, category, within = _severity(error), "error", self.category
            _tell(Event(level, category, self.name, self.session, self.facts, self, ended=True, within=within))


class Nothing:
    """An operation that nobody listens to."""

    __slots__ = ()
    milliseconds = 0.0

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def told(self, **_facts: Any) -> None:
        """Nobody wants to know."""


_NOTHING = Nothing()


def operation(
    category: str,
    name: str,
    session: str | None = None,
    /,
    *,
    level: int = DEBUG,
    detached: bool = False,
    cpu: bool = True,
    **facts: Any,
) -> Operation | Nothing:
    """What begins with the `with` statement and ends with it. What happens meanwhile belongs to it, unless it is
    `detached`: then it may begin in one place and end in another (an answer that is read piece by piece). `cpu` is
    whether the thread's processor time says anything about it."""
    if not listening(category):
        return _NOTHING
    return Operation(category, name, session, level, facts, detached, cpu)


def traced(
    category: str, name: str, level: int = DEBUG
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Makes an operation of a method whose first argument is a session or its name. When it fails, what the object's
    `trace_context(name)` says goes with the error."""

    def declare(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(method)
        def told_of(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not _traces:
                return method(self, *args, **kwargs)
            first: Any = args[0] if args else kwargs.get("session", kwargs.get("session_id"))
            session = getattr(first, "key", first)
            with operation(category, name, session if isinstance(session, str) else None, level=level) as made:
                try:
                    return method(self, *args, **kwargs)
                except Exception as error:
                    if not isinstance(error, errors.NotFound):
                        made.told(**getattr(self, "trace_context", lambda _: {})(session))
                    raise

        return told_of

    return declare


def told(session: str | None = None, /, **facts: Any) -> None:
    """Add facts to the operation that goes on here, and name the session it is about."""
    if _traces and (within := _current.get()) is not None:
        within.facts.update(facts)
        within.session = session or within.session


@contextmanager
def within(outer: Operation | Nothing) -> Iterator[None]:
    """What happens here belongs to a detached operation."""
    if not isinstance(outer, Operation):
        yield
        return
    token = _current.set(outer)
    try:
        yield
    finally:
        _current.reset(token)


def timed_flush(flush: Callable[[Any], object], what: Any) -> None:
    """Flush to disk and count it, when somebody listens."""
    if not _traces:
        flush(what)
        return
    began = time.perf_counter()
    flush(what)
    seconds = time.perf_counter() - began
    within = _current.get()
    if within is not None:
        within.fsyncs += 1
        within.fsync_seconds += seconds
    event(TRACE, "persistence", "fsync", ms=round(1e3 * seconds, 3))


def wrote(count: int) -> None:
    """So many bytes were written."""
    if _traces:
        within = _current.get()
        if within is not None:
            within.bytes_written += count


def peak_memory() -> int | None:
    """The most memory this process has had so far, in KiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def _severity(error: BaseException) -> int:
    """A caller that leaves, is cancelled, has to wait or asks for what cannot be is no error of ours."""
    mild = isinstance(error, errors.UsageError | errors.LockedError) or not isinstance(error, Exception)
    return WARNING if mild else ERROR


def _makers(operation: Operation) -> list[Any]:
    found = [trace.otel for trace in _traces if trace.otel is not None][:1]
    return found or ([_spans] if _spans and operation.category == "provider" else [])


def _tell(what: Event) -> None:
    for trace in _traces:
        trace.take(what)


def _after_fork() -> None:
    """A child takes part in no operation of its parent."""
    _current.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

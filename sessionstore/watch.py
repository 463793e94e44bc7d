"""Following the store and the legacy sources, so that what changes is searchable within a second.

Events of the file system are hints, never facts: they say where to look. Whatever is in doubt (the start, an overflow
of the system's queue, directories that the system cannot watch, a root that has appeared or vanished, or a few minutes
gone by) is settled by looking at everything and comparing it with what is known. Where the system cannot watch, the
watcher looks every few seconds instead, and says so.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sessionstore import errors, locks
from sessionstore.importers.base import Machine
from sessionstore.index.sync import sync
from sessionstore.index.writer import IndexWriter
from sessionstore.migrate.live import Live, Pass
from sessionstore.migrate.run import Sink
from sessionstore.store import Store

QUIET, LONGEST = 0.04, 0.25
"""Seconds without another hint before a pass begins, and the most it is put off."""
RECONCILE = 300.0
"""Seconds between two looks at everything when nothing else asks for one."""
LOOK = 5.0
"""Seconds between two looks at whether the roots and the index are still the same."""
POLL = 2.0
"""Seconds between two looks at everything where the system cannot watch."""
MOST_HINTS = 5000
"""With more changed paths than this, everything is looked at instead."""
INDEX = "index.sqlite"

Tell = Callable[[str, dict[str, Any]], None]
"""Told of what happens: ("started" | "imported" | "indexed" | "failed" | "doubt" | "trouble" | "stopped", facts)."""


@dataclass
class Hints:
    """What the system has told since the last pass. Filled by the observer's thread."""

    store: str
    paths: set[str] = field(default_factory=set)
    in_store: bool = False
    doubt: str | None = None
    """why everything has to be looked at"""
    first: float = 0.0
    last: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.woken = threading.Event()
        self._truth = (f"{self.store}/sessions/", f"{self.store}/notes/")

    def add(self, path: str) -> None:
        """Something happened at a path."""
        with self._lock:
            if path.startswith(self._truth):
                self.in_store = True
            elif path.startswith(self.store + "/"):
                return
            elif len(self.paths) < MOST_HINTS:
                self.paths.add(path)
            else:
                self.doubt = self.doubt or "very many changes at once"
            self._stamp()

    def suspect(self, why: str) -> None:
        """Events may have been lost."""
        with self._lock:
            self.doubt = self.doubt or why
            self._stamp()

    def _stamp(self) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.woken.set()

    def take(self) -> tuple[set[str], bool, str | None]:
        """What there is, which is forgotten: (paths, whether the store has changed, doubt)."""
        with self._lock:
            taken = self.paths, self.in_store, self.doubt
            self.paths, self.in_store, self.doubt, self.first = set(), False, None, 0.0
            self.woken.clear()
            return taken


class _Overflow(logging.Handler):
    """Hears the watching library say that it has lost events; it says so in its log only."""

    def __init__(self, hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        self._hints.suspect(record.getMessage())


class Watcher:
    """Follows one store and the sources that feed it. One at a time for each store."""

    def __init__(
        self,
        store: Store,
        machine: Machine,
        sink: Callable[[], Sink],
        tell: Tell,
        *,
        paths: Iterable[str] = (),
        only: str | None = None,
    ) -> None:
        """`sink` gives what takes committed sessions into the index, for one pass; it is closed after it. Raises
        `UsageError` for an unknown format."""
        self.store, self.tell, self._sink = store, tell, sink
        self.live = Live(store, machine, paths=paths, only=only)
        self.hints = Hints(store.root)
        self.stopping = threading.Event()
        self._observer: Any = None
        self._watched: dict[str, Any] = {}
        self.blind = False
        self._index: tuple[int, int] | None = None
        self._places: tuple[str, ...] = ()
        """where sessions may appear"""
        self._grown = False
        """whether directories have appeared since it was last checked that all are watched"""

    # -- running ---------------------------------------------------------------------------------------------------

    def once(self) -> None:
        """Look at everything once. Raises `Busy` when a watcher is at work on this store."""
        with self._alone():
            self._reconcile("asked for")

    def run(self) -> None:
        """Follow until `stop` is called. Raises `Busy` when another watcher is at work on this store."""
        with self._alone():
            handler = _Overflow(self.hints)
            logging.getLogger("watchdog").addHandler(handler)
            try:
                self._start()
                self._reconcile("the start")
                self.tell("started", {"roots": sorted(self._watched), "polling": self.blind})
                self._follow()
            finally:
                logging.getLogger("watchdog").removeHandler(handler)
                self._close()
                self.tell("stopped", {})

    def stop(self) -> None:
        """Let `run` return, after the pass it is in. May be called from a signal handler or another thread."""
        self.stopping.set()
        self.hints.woken.set()

    def _alone(self) -> locks.Lock:
        return locks.Lock(f"{self.store.root}/locks/watch.lock", timeout=0, what="the watcher's lock")

    def _follow(self) -> None:
        reconciled = looked = time.monotonic()
        while not self.stopping.is_set():
            every = POLL if self.blind else LOOK
            self.hints.woken.wait(max(0.0, every - (time.monotonic() - looked)))
            if self.stopping.is_set():
                return
            moment = time.monotonic()
            if moment - looked >= every:
                looked = moment
                self._look_around()
                if self.blind or moment - reconciled >= RECONCILE:
                    self.hints.suspect("nobody tells of changes here" if self.blind else "")
            if self.hints.woken.is_set() and self._settled():
                paths, in_store, doubt = self.hints.take()
                if doubt is not None:
                    reconciled = time.monotonic()
                self._pass(paths, in_store, doubt)

    def _settled(self) -> bool:
        """Wait until hints stop coming for a moment; whether to go on now."""
        while not self.stopping.is_set():
            moment = time.monotonic()
            left = min(self.hints.last + QUIET, self.hints.first + LONGEST) - moment
            if left <= 0:
                return True
            self.stopping.wait(left)
        return False

    # -- passes ----------------------------------------------------------------------------------------------------

    def _pass(self, paths: set[str], in_store: bool, doubt: str | None) -> None:
        if doubt is not None:
            self._reconcile(doubt)
            return
        inside = {path for path in paths if _within(path, self._places)}
        if inside != paths:
            self._look_around()
        with self._trouble():
            if inside:
                self._imported(lambda: self.live.changed(inside))
            if in_store:
                self._sync()

    def _reconcile(self, why: str) -> None:
        """Look at everything: all sources, then the store against the index."""
        if why:
            self.tell("doubt", {"why": why})
        self._check_sight()
        with self._trouble():
            self._imported(self.live.everything)
            self._sync()

    def _imported(self, work: Callable[[], Pass]) -> None:
        begun = time.monotonic()
        sink = self._sink()
        self.live.sink = sink
        try:
            done = work()
        finally:
            close = getattr(sink, "close", None)
            if close is not None:
                close()
        for change in done.changes:
            facts = {"key": change.revision["key"], "messages": change.revision["counts"]["messages"]}
            facts |= {"new": facts["messages"] - change.start, "title": change.revision.get("title")}
            self.tell("imported", facts)
        for outcome in done.failed:
            self.tell("failed", {"path": outcome.path, "reason": outcome.reason})
        if done.sources:
            self.tell("indexed", {"sources": done.sources, "seconds": round(time.monotonic() - begun, 3)})

    def _sync(self) -> None:
        from sessionstore.index.health import is_current

        path = f"{self.store.root}/{INDEX}"
        if is_current(self.store, path):
            self._index = _identity(path)
            return
        with IndexWriter(path, self.store.id, timeout=30) as writer:
            counts = sync(self.store, writer)
        self._index = _identity(path)
        facts = {name: value for name, value in counts.as_dict().items() if value}
        if facts:
            self.tell("indexed", facts)

    def _trouble(self) -> _Told:
        return _Told(self)

    # -- what is watched -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        from watchdog.observers import Observer

        self._observer = Observer()
        self._observer.start()
        self._look_around()

    def _close(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
            self._observer = None
        self._watched.clear()

    def _look_around(self) -> None:
        """Watch the roots that have appeared, forget those that are gone, notice an index that was taken away."""
        wanted = {f"{self.store.root}/sessions": True, f"{self.store.root}/notes": True}
        self._places = tuple(map(os.path.realpath, self.live.places()))
        for place in self._places:
            path, whole = _nearest(place)
            wanted[path] = wanted.get(path, False) or whole
        wanted = {path: whole for path, whole in wanted.items() if not _covered(path, wanted)}
        for path in [path for path in self._watched if path not in wanted or not os.path.exists(path)]:
            with suppress(KeyError, OSError):
                self._observer.unschedule(self._watched.pop(path)[1])
        for path, whole in wanted.items():
            known = self._watched.get(path)
            if known is not None and known[0] == (whole, _identity(path)):
                continue
            if known is not None:
                with suppress(KeyError, OSError):
                    self._observer.unschedule(known[1])
            self._watch(path, whole)
            self.hints.suspect("")
        if self._index is not None and _identity(f"{self.store.root}/{INDEX}") != self._index:
            self.hints.suspect("the index was replaced or removed")
        if self._grown:
            self._check_sight()

    def _watch(self, path: str, whole: bool) -> None:
        from watchdog import events

        kinds = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileMovedEvent,
            events.FileDeletedEvent,
            events.DirCreatedEvent,
            events.DirMovedEvent,
            events.DirDeletedEvent,
        ]
        handler = events.FileSystemEventHandler()
        handler.on_any_event = self._heard  # type: ignore[method-assign]
        try:
            watch = self._observer.schedule(handler, path, recursive=whole, event_filter=kinds)
        except OSError as error:
            self.blind = True
            self.tell("trouble", {"reason": f"{path} cannot be watched ({(error.strerror or str(error)).lower()})"})
            return
        self._watched[path] = ((whole, _identity(path)), watch)
        self._grown = True

    def _heard(self, event: Any) -> None:
        self._grown |= event.is_directory and event.event_type != "deleted"
        for given in (event.src_path, event.dest_path):
            path = os.fsdecode(given)
            inside = path and (_within(path, self._places) or _within(path, (self.store.root,)))
            if inside or (path and any(_within(place, (path,)) for place in self._places)):
                self.hints.add(path)

    def _check_sight(self) -> None:
        """Find out whether the system watches as many directories as there are: past its limit the watching library
        goes on without a word."""
        self._grown = False
        watching = _inotify_watches()
        if watching is None or not self._watched:
            return
        there = sum(_directories(path) if known[0][0] else 1 for path, known in self._watched.items())
        blind = watching < there * 0.98 - 2
        if blind and not self.blind:
            reason = f"the system watches {watching} of {there} directories (see fs.inotify.max_user_watches)"
            self.tell("trouble", {"reason": f"{reason}; looking every {POLL:g} s instead"})
            self.hints.suspect("directories that nobody watches")
        self.blind = blind


class _Told:
    """Trouble with one pass is told and does not end the watching; the next look at everything tries again."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, errors.UsageError) or not isinstance(error, errors.SessionstoreError | OSError):
            return False
        self._watcher.tell("trouble", {"reason": str(error)})
        timer = threading.Timer(POLL, self._watcher.hints.suspect, ("the last pass failed",))
        timer.daemon = True
        timer.start()
        return True


def _within(path: str, directories: Iterable[str]) -> bool:
    """Whether a path is one of some directories or lies in one."""
    return any(path == directory or path.startswith(directory.rstrip(os.sep) + os.sep) for directory in directories)


def _nearest(path: str) -> tuple[str, bool]:
    """What to watch for a place: it and all below it, or, while it is not there, the nearest directory above it."""
    if os.path.isdir(path):
        return os.path.realpath(path), True
    if os.path.exists(path):
        return os.path.realpath(os.path.dirname(path)), False
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return os.path.realpath(path), False


def _covered(path: str, wanted: dict[str, bool]) -> bool:
    """Whether a directory above is watched with all that is below it."""
    while (parent := os.path.dirname(path)) != path:
        if wanted.get(parent):
            return True
        path = parent
    return False


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _inotify_watches() -> int | None:
    """How many directories this process watches by inotify; None on systems that work otherwise."""
    if not sys.platform.startswith("linux"):
        return None
    count = 0
    try:
        for name in os.listdir("/proc/self/fdinfo"):
            with suppress(OSError), open(f"/proc/self/fdinfo/{name}", encoding="ascii", errors="replace") as file:
                count += sum(line.startswith("inotify ") for line in file)
    except OSError:
        return None
    return count


def _directories(root: str) -> int:
    """How many directories there are at and below a place; symlinks are not followed."""
    return sum(1 for _ in os.walk(root))

"""Keeping the search index current with what a program writes, without ever standing in its way.

An append only leaves a name behind; a thread takes the changed sessions into the index a moment later, many at once.
Whatever goes wrong there (another process writes the index, the disk is full) is no error of the append: the session is
stored, and the next question, of whatever program, catches up by itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator

from sessionstore import errors, tracing
from sessionstore.store import Store

INDEX = "index.sqlite"
PAUSE = 0.1
"""Seconds that changes are gathered."""
CATCH_UP = 500
"""So many changed sessions are taken in before a question is answered."""


class Keeper:
    """Takes changed sessions into the index of a store, in a thread of its own. `failed` says why it last could not."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = f"{store.root}/{INDEX}"
        self.failed: errors.SessionstoreError | None = None
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    def touch(self, key: str) -> None:
        """A session was changed."""
        with self._lock:
            self._changed.add(key)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="sessionstore-index", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._end.is_set():
            self._wake.wait()
            self._wake.clear()
            self._end.wait(PAUSE)
            failures = 0 if self.flush(timeout=1.0) else failures + 1
            if failures:
                self._end.wait(min(30.0, 2.0 ** min(failures, 5)))
                self._wake.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Take in what was changed; False when that was not possible just now."""
        with self._turn:
            with self._lock:
                keys, self._changed = self._changed, set()
            if not keys:
                return True
            try:
                self._take(keys, timeout)
            except errors.SessionstoreError as error:
                self.failed = error
                with self._lock:
                    self._changed |= keys
                return False
            self.failed = None
            return True

    def _take(self, keys: set[str], timeout: float) -> None:
        from sessionstore.index.sync import sync_sessions
        from sessionstore.index.writer import IndexWriter

        indexing = tracing.operation("persistence", "index", sessions=len(keys))
        with indexing, IndexWriter(self.path, self.store.id, timeout=timeout) as writer:
            sync_sessions(self.store, writer, sorted(keys))

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection to the index, after catching up with the store where that is quickly done.
        Raises `Busy`, `StorageError`."""
        from sessionstore.index.fresh import behind
        from sessionstore.index.health import open_for_reading

        self.flush(timeout=1.0)
        connection = open_for_reading(self.store, self.path)
        try:
            changes = behind(self.store, connection, self.path)
            if not changes.empty and sum(map(len, changes)) <= CATCH_UP:
                connection.close()
                self._catch_up()
                connection = open_for_reading(self.store, self.path)
            yield connection
        finally:
            connection.close()

    def _catch_up(self) -> None:
        from sessionstore.index.sync import sync
        from sessionstore.index.writer import IndexWriter

        try:
            with IndexWriter(self.path, self.store.id, timeout=1.0) as writer:
                sync(self.store, writer)
        except (errors.LockedError, errors.StorageError) as error:
            self.failed = error

    def close(self) -> None:
        """Take in what is left and end the thread."""
        self._end.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self.flush(timeout=2.0)

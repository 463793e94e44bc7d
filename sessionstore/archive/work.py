"""One question to the archive: it can be stopped from another thread, and it ends when its time is over."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sessionstore import errors

T = TypeVar("T")
SECONDS = 30.0
_STEPS = 20_000
"""SQLite looks whether it should stop after so many of its own steps, some milliseconds."""


class Work:
    """The state of one question. `seconds` is how long it may take."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Nobody waits for the answer any more. May be called from any thread."""
        self._stopped.set()

    @property
    def is_over(self) -> bool:
        """Whether the question was stopped or has taken too long."""
        return self._stopped.is_set() or time.monotonic() > self._until

    def check(self) -> None:
        """Raises `SessionstoreError` when the question is over."""
        if self._stopped.is_set():
            raise errors.SessionstoreError(reason="the question was cancelled")
        if self.is_over:
            raise errors.SessionstoreError(
                reason=f"this takes longer than {self.seconds:g} seconds; ask for less, or narrow it with filters"
            )

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, as long as the question is not over."""
        for item in items:
            self.check()
            yield item

    @contextmanager
    def watching(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Let SQLite stop in the middle of a statement when the question is over."""
        connection.set_progress_handler(lambda: int(self.is_over), _STEPS)
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                self.check()
            raise
        finally:
            connection.set_progress_handler(None, 0)

"""Where the command line joins the layers: committed sessions go straight into the index."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from sessionstore import errors, fsio
from sessionstore.cli.app import INDEX, note
from sessionstore.index.health import open_for_reading
from sessionstore.index.rows import encode
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store

if TYPE_CHECKING:
    from sessionstore.migrate.commit import Change


YIELD = 0.02
"""Seconds that somebody who waits for the index is given to take it."""


class IndexSink:
    """Takes committed sessions into the index. It is opened with the first one, so that a run that changes nothing
    does not touch it."""

    encode: Callable[[list[dict[str, Any]], int], list[tuple[Any, ...]]] = staticmethod(encode)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer: IndexWriter | None = None
        self.failed = False

    def apply(self, changes: Sequence[Change], spool: str) -> None:
        """Show the changed sessions. Trouble with the index never stops a migration: it is said, and left to sync."""
        if self.failed:
            return
        try:
            if self._writer is None:
                self._writer = IndexWriter(f"{self._store.root}/{INDEX}", self._store.id, timeout=60).__enter__()
            with open(spool, "rb") as file:
                for change in changes:
                    rows = _batches(file, change.offsets)
                    self._writer.apply(change.name, change.revision, rows, extends=change.base)
                    for name in change.replaces:
                        if name != change.base:
                            self._writer.forget(name)
            if self._writer.waited_for:
                self.close()
                time.sleep(YIELD)
        except errors.SessionstoreError as error:
            self.failed = True
            self.close(error)
            note(f"the index is behind ({error}); the sessions are stored, `sessionstore index sync` catches up")

    def close(self, error: BaseException | None = None) -> None:
        """Commit, or give up what is not committed when there was an error."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.__exit__(type(error) if error else None, error, None)


def _batches(file: BinaryIO, offsets: Sequence[int]) -> Iterator[Any]:
    from sessionstore.migrate.intake import Spool

    for offset in offsets:
        yield Spool.read(file, offset)


@contextmanager
def index_sink(store: Store, *, enabled: bool) -> Iterator[IndexSink | None]:
    """A sink for the length of a migration; what it could not take is caught up with at the end."""
    if not enabled:
        yield None
        return
    sink = IndexSink(store)
    try:
        yield sink
    except BaseException as error:
        sink.close(error)
        raise
    sink.close()
    sync_quietly(store)


def sync_quietly(store: Store) -> None:
    """Bring the index to the store's state; trouble is said, not raised, for the store itself is complete."""
    from sessionstore.index.fresh import behind

    path = f"{store.root}/{INDEX}"
    try:
        if os.path.exists(path):
            with contextlib.closing(open_for_reading(store, path)) as connection:
                if behind(store, connection, path).empty:
                    return
        from sessionstore.index.sync import sync

        with IndexWriter(path, store.id, timeout=5) as writer:
            sync(store, writer)
    except errors.SessionstoreError as error:
        fsio.warn(f"the index could not be brought up to date ({error}); `sessionstore index sync` tries again")

"""Opening the index for a question, and making sure that its answer is not out of date without saying so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sessionstore import errors
from sessionstore.cli.app import INDEX, note
from sessionstore.index.fresh import behind
from sessionstore.index.health import open_for_reading
from sessionstore.index.sync import sync
from sessionstore.store import Store

CATCH_UP = 500
"""So many changed sessions are taken in before answering; more are said to be missing."""


@contextmanager
def reader(store: Store) -> Iterator[sqlite3.Connection]:
    """A read-only connection to an index that says what the store says. A missing or unusable index is rebuilt;
    small differences are caught up with first, large ones are said on stderr."""
    path = f"{store.root}/{INDEX}"
    connection = open_for_reading(store, path)
    changes = behind(store, connection, path)
    if not changes.empty:
        connection.close()
        _catch_up(store, path, sum(map(len, changes)))
        connection = open_for_reading(store, path)
    try:
        yield connection
    finally:
        connection.close()


def _catch_up(store: Store, path: str, changes: int) -> None:
    from sessionstore.index.writer import IndexWriter

    if changes > CATCH_UP:
        note(f"the index is {changes} changes behind the store; `sessionstore index sync` brings it up to date")
        return
    try:
        with IndexWriter(path, store.id, timeout=0.5) as writer:
            sync(store, writer)
    except errors.LockedError:
        note(f"the index is {changes} changes behind the store and being written by another process")
    except errors.StorageError as error:
        note(f"the index is {changes} changes behind the store and cannot be written ({error})")

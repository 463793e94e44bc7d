"""Opening the index for a question, and making sure that its answer is not out of date without saying so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sessionstore import errors
from sessionstore.index.fresh import behind
from sessionstore.index.health import open_for_reading
from sessionstore.store import Store

INDEX = "index.sqlite"
"""Where the index lies in a store."""
CATCH_UP = 500
"""So many changed sessions are taken in before answering; more are said to be missing."""
Tell = Callable[[str], None]


def open_current(store: Store, tell: Tell) -> sqlite3.Connection:
    """A read-only connection to an index that says what the store says. A missing or unusable index is rebuilt; small
    differences are caught up with first, large ones are told. Raises `Busy`, `StorageError`."""
    path = f"{store.root}/{INDEX}"
    connection = open_for_reading(store, path)
    try:
        changes = behind(store, connection, path)
    except BaseException:
        connection.close()
        raise
    if changes.empty:
        return connection
    connection.close()
    _catch_up(store, path, sum(map(len, changes)), tell)
    return open_for_reading(store, path)


def _catch_up(store: Store, path: str, changes: int, tell: Tell) -> None:
    from sessionstore.index.sync import sync
    from sessionstore.index.writer import IndexWriter

    if changes > CATCH_UP:
        tell(f"the index is {changes} changes behind the store; `sessionstore index sync` brings it up to date")
        return
    try:
        with IndexWriter(path, store.id, timeout=0.5) as writer:
            sync(store, writer)
    except errors.LockedError:
        tell(f"the index is {changes} changes behind the store and being written by another process")
    except errors.StorageError as error:
        tell(f"the index is {changes} changes behind the store and cannot be written ({error})")

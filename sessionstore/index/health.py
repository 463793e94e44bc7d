"""Whether the index can be trusted, and what is done when it cannot: it is made anew from the store.

Opening for reading decides cheaply (header, identity, schema). `check` looks at everything and takes as long as
reading the whole index; SQLite's own check alone says "ok" to a full-text index cut short.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sessionstore import errors
from sessionstore.index import schema

if TYPE_CHECKING:
    from sessionstore.index.truth import StoreLike

Answer = TypeVar("Answer")


def open_for_reading(store: StoreLike, path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A read-only connection to the store's index, which is rebuilt first when it is missing, not readable, another
    store's or of another schema. Raises `Busy`, `StorageError`."""
    name = os.path.realpath(path)
    try:
        return _open(store, name)
    except sqlite3.Error as error:
        if _is_busy(error):
            raise errors.Busy(what="the index", holder="") from error
    except schema.Unusable:
        pass
    from sessionstore.index.sync import rebuild

    rebuild(store, name)
    return _open(store, name)


def ask(store: StoreLike, path: str | os.PathLike[str], question: Callable[[sqlite3.Connection], Answer]) -> Answer:
    """Open the index, ask `question` of it and close it. Damage that shows only then is met by rebuilding the index
    and asking once more."""
    connection = open_for_reading(store, path)
    try:
        return question(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if _is_busy(error):
            raise errors.Busy(what="the index", holder="") from error
    finally:
        connection.close()
    from sessionstore.index.sync import rebuild

    rebuild(store, path)
    connection = open_for_reading(store, path)
    try:
        return question(connection)
    finally:
        connection.close()


def is_current(store: StoreLike, path: str | os.PathLike[str]) -> bool:
    """Whether the index is there, readable and says what the store says. Opens no file of the store and repairs
    nothing."""
    from sessionstore.index.difference import difference

    try:
        connection = _open(store, os.path.realpath(path))
    except (sqlite3.Error, schema.Unusable):
        return False
    try:
        return difference(store, connection).empty
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def check(path: str | os.PathLike[str], store_id: str | None = None, *, timeout: float = 60) -> list[str]:
    """What is wrong with an index, in plain sentences; nothing when it is sound. Reads all of it, under the writer's
    lock (FTS5's check counts as writing). Raises `Busy`."""
    from sessionstore.index.files import lock_path, locked

    name = os.path.realpath(path)
    if not os.path.exists(name):
        return ["there is no index"]
    with locked(lock_path(name), timeout):
        connection = sqlite3.connect(name, timeout=30, isolation_level=None)
        try:
            return _problems(connection, store_id)
        except sqlite3.Error as error:
            return [f"it is not a readable database ({error})"]
        except schema.Unusable as error:
            return [f"it is not an index of this store: {error}"]
        finally:
            connection.close()


def _problems(connection: sqlite3.Connection, store_id: str | None) -> list[str]:
    from sessionstore.index.digest import digest

    schema.check_identity(connection, store_id or schema.get(connection, "store_id"))
    problems = [f"SQLite says: {row[0]}" for row in connection.execute("PRAGMA quick_check") if row[0] != "ok"]
    for table in ("messages_fts", "sessions_fts"):
        try:
            connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            problems.append(f"the full-text table {table} does not fit its content ({error})")
    if not problems and digest(connection) != schema.get(connection, "digest"):
        problems.append("the rows are not the ones that were written")
    return problems


def _open(store: StoreLike, path: str) -> sqlite3.Connection:
    connection = schema.connect_reader(path)
    try:
        schema.check_identity(connection, store.id)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

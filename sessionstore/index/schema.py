"""Opening the index: its identity, its connections, its schema steps.

Exactly one connection writes and checkpoints (the writer's, under a lock); every other one is read-only, because
SQLite before 3.51.3 can corrupt a WAL database when two connections checkpoint at the same moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sessionstore import errors

APPLICATION_ID = 0x53455353
"""In the file's header: this is a sessionstore index."""
VERSION = 3
"""The number of the newest schema step; `PRAGMA user_version` of an index that is current."""
MADE_ANEW = 2
"""An index older than this step is made anew, because rows hold something else since."""
SHIFT = 24
"""A message's row number is ``session number << SHIFT | seq``."""
SEQ = (1 << SHIFT) - 1
PAGE_SIZE = 32768
CACHE_KIB = 8192
READER_CACHE_KIB = 32768
"""Of the pages that a search of a large index reads again and again, as many as it takes; a small one needs few."""
HASH_BYTES = 32 << 20
"""How much of a transaction's words FTS5 gathers in memory before it writes them out as a segment; a word is looked up
in every segment."""

Connection = sqlite3.Connection


class Unusable(Exception):
    """The file is not an index of this store that this program can go on with; the mirror is made anew."""


def connect_writer(path: str, store_id: str) -> Connection:
    """The writing connection, in autocommit mode, with the schema brought up to date. The caller holds the lock.
    Raises `Unusable` or `sqlite3.Error`."""
    new = not os.path.exists(path) or os.path.getsize(path) == 0
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        if new:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        _upgrade(connection, store_id, new)
    except BaseException:
        connection.close()
        raise
    if new:
        os.chmod(path, 0o600)
    return connection


def connect_reader(path: str) -> Connection:
    """A read-only connection. Raises `sqlite3.Error` when there is nothing to open."""
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23").replace("\\", "/")
    uri = f"file:{name if name.startswith('/') else '/' + name}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if os.path.exists(f"{path}-wal") or not os.path.exists(path):
            raise
        # A read-only directory has no room for the shared-memory file; without a WAL none is needed.
        connection = sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    return connection


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Let all statements inside see the index as it is at the first of them, whatever is committed meanwhile."""
    outer = bool(connection.in_transaction)
    if outer:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check_identity(connection: Connection, store_id: str) -> None:
    """Raises `Unusable` unless the connection is to a finished, current index of that store."""
    found = pragma(connection, "application_id"), pragma(connection, "user_version")
    if found != (APPLICATION_ID, VERSION):
        raise Unusable(f"application id and schema version are {found}")
    if get(connection, "store_id") != store_id:
        raise Unusable("it mirrors another store")


def pragma(connection: Connection, name: str) -> Any:
    """The value of a pragma."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def get(connection: Connection, name: str) -> Any:
    """A value of the table `meta`, or None."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def put(connection: Connection, name: str, value: str | int) -> None:
    """Set a value of the table `meta`."""
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _upgrade(connection: Connection, store_id: str, new: bool) -> None:
    if not new:
        found = pragma(connection, "application_id")
        if found != APPLICATION_ID:
            raise Unusable(f"application id is {found}")
        if pragma(connection, "user_version") > VERSION:
            raise Unusable("it was made by a newer program")
        if 0 < pragma(connection, "user_version") < MADE_ANEW:
            raise Unusable("it was made by an older program")
        if pragma(connection, "user_version") > 0 and get(connection, "store_id") != store_id:
            raise Unusable("it mirrors another store")
    if pragma(connection, "user_version") < VERSION:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _apply_steps(connection)
        if get(connection, "store_id") is None:
            _first_values(connection, store_id)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _first_values(connection: Connection, store_id: str) -> None:
    put(connection, "store_id", store_id)
    put(connection, "change_seq", 0)
    put(connection, "digest", f"{0:016x}")
    put(connection, "segments", 0)
    # Merging is the writer's own decision: FTS5's automatic merges cost a bulk load a quarter of its time.
    for name, value in (("automerge", 0), ("crisismerge", 1500), ("hashsize", HASH_BYTES)):
        connection.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES (?, ?)", (name, value))


def _apply_steps(connection: Connection) -> None:
    """Apply the missing schema steps. Imported only here: sqlite_utils takes longer to load than a search takes."""
    try:
        from sqlite_utils import Database
    except ImportError as error:
        raise errors.SessionstoreError(reason=f"the index needs sqlite-utils: {error}") from error
    if not connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone():
        raise errors.NoFTS5(version=sqlite3.sqlite_version)
    database = Database(connection)
    for path in step_files():
        _load(path).apply(database)


def step_files() -> list[str]:
    """The schema steps, ``…/migrations/NNNN_name.py``, in their order: beside the modules of an installed package,
    beside the package in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (f"{package}/migrations", f"{os.path.dirname(package)}/migrations"):
        if os.path.isdir(folder):
            names = sorted(name for name in os.listdir(folder) if name[:4].isdigit() and name.endswith(".py"))
            if names:
                return [f"{folder}/{name}" for name in names]
    raise errors.SessionstoreError(reason="the installation lacks its migrations; install sessionstore again")


def _load(path: str) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"sessionstore_migration_{os.path.basename(path)[:4]}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.migrations

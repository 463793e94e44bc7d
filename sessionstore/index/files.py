"""The index as files: its lock, its removal, and what SQLite's errors about it mean to a person."""

from __future__ import annotations

import os
import sqlite3

from sessionstore import errors, fsio, locks


def lock_path(path: str) -> str:
    """The lock file of an index: ``locks/index.lock`` beside it."""
    return f"{os.path.dirname(path)}/locks/index.lock"


def locked(path: str, timeout: float) -> locks.Lock:
    """The lock that the one writer of an index holds."""
    return locks.Lock(path, timeout=timeout, what="the index", required=True)


class Turn:
    """The writer's lock, for one that takes turns: while it waits, it holds the lock ``index-next.lock`` beside the
    other, and a writer that is busy for long can see that (see `waited_for`) and let go in between. A context manager.
    Raises `Busy`, `LocksUnavailable`."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self._lock: locks.Lock | None = None

    def __enter__(self) -> Turn:
        lock = locked(self._path, 0)
        try:
            lock.__enter__()
        except errors.Busy:
            with locks.Lock(_next(self._path), timeout=self._timeout, what="the index", required=True):
                lock = locked(self._path, self._timeout)
                lock.__enter__()
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            lock, self._lock = self._lock, None
            lock.__exit__(None, None, None)


def waited_for(path: str) -> bool:
    """Whether somebody waits for the lock at `path`, which the caller holds."""
    try:
        with locks.Lock(_next(path), timeout=0, what="the index", required=True):
            return False
    except errors.SessionstoreError as error:
        return isinstance(error, errors.Busy)


def _next(path: str) -> str:
    return path.removesuffix(".lock") + "-next.lock"


def remove_files(path: str) -> None:
    """Remove an index: the database and its two companions go together, or SQLite would mix old and new."""
    for ending in ("-wal", "-shm", "-journal", ""):
        fsio.remove(path + ending)


def explain(error: sqlite3.Error, path: str) -> errors.SessionstoreError:
    """The one-line error for an SQLite error on the index at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return errors.NoSpace(path=path, what="the index; the store itself is complete")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return errors.ReadOnly(path=path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return errors.Busy(what="the index", holder="")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return errors.WriteFailed(path=path, reason=str(error))
    return errors.DamageError(reason=f"the index {path} is damaged ({error}); run `sessionstore index rebuild`")

"""A cheap sign that the store has not changed since the index was last found to say what it says.

The names in `sessions/` and `notes/` decide whether the index is behind. Listing them all takes a while in a large
store; whether any name was added or removed shows in the modification times of their few hundred directories. The sign
is made of these times. Times are compared for equality only, and never trusted while they are young: a second
change within one tick of the file system's clock would not show.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.index import schema
from sessionstore.index.difference import Difference, difference

if TYPE_CHECKING:
    from sessionstore.index.truth import StoreLike

YOUNG = 2.5
"""Seconds after its last change until a directory's time is trusted; the coarsest clocks of file systems tick in 2."""
NAME = "sign"
"""Under which the index keeps the sign."""
NOTHING = Difference(set(), set(), set(), set())


def sign(root: str, now: float | None = None) -> str | None:
    """The sign of a store as it is now; None while something has changed too lately for it to be trusted, or when the
    directories cannot be looked at."""
    whole = []
    latest = ((time.time() if now is None else now) - YOUNG) * 1e9
    try:
        for folder in ("sessions", "notes"):
            seen = [("", os.stat(f"{root}/{folder}").st_mtime_ns)]
            with os.scandir(f"{root}/{folder}") as entries:
                seen += [(entry.name, entry.stat(follow_symlinks=False).st_mtime_ns) for entry in entries]
            if any(changed > latest for _, changed in seen):
                return None
            whole += sorted(seen)
    except OSError:
        return None
    return " ".join(f"{os.fsencode(name).hex()}@{changed}" for name, changed in whole)


def behind(store: StoreLike, connection: sqlite3.Connection, path: str) -> Difference:
    """How the store differs from what the index has applied, like `difference`, at next to no cost while nothing
    changes. That nothing differs is remembered in the index at `path`, when that can be written just now."""
    now = sign(store.root)
    if now is not None and now == schema.get(connection, NAME):
        return NOTHING
    found = difference(store, connection)
    if found.empty and now is not None:
        _remember(store, path, now)
    return found


def _remember(store: StoreLike, path: str, value: str) -> None:
    from sessionstore.index.writer import IndexWriter

    try:
        with IndexWriter(path, store.id, timeout=0) as writer:
            writer.note_sign(value)
    except errors.SessionstoreError:
        return

"""How far the index is behind the store: a comparison of file names."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sessionstore.index.truth import StoreLike


class Difference(NamedTuple):
    """What a sync would have to look at; falsy members mean nothing to do."""

    new: set[str]
    gone: set[str]
    new_notes: set[str]
    gone_notes: set[str]

    @property
    def empty(self) -> bool:
        """Whether the index already says what the store says."""
        return not any(self)


def difference(store: StoreLike, connection: sqlite3.Connection) -> Difference:
    """How the store's file names differ from what the index has applied. Cheap: no file is opened."""
    revisions, notes = store.revision_names(), store.note_names()
    known = {name for (name,) in connection.execute("SELECT name FROM revisions")}
    known_notes = {name for (name,) in connection.execute("SELECT name FROM notes")}
    return Difference(revisions - known, known - revisions, notes - known_notes, known_notes - notes)

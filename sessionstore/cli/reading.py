"""Opening the index for a question; what its answer may lack is said on stderr."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from sessionstore.archive.current import open_current
from sessionstore.cli.app import note
from sessionstore.store import Store


@contextmanager
def reader(store: Store) -> Iterator[sqlite3.Connection]:
    """A read-only connection to an index that says what the store says. A missing or unusable index is rebuilt;
    small differences are caught up with first, large ones are said on stderr."""
    with closing(open_current(store, note)) as connection:
        yield connection

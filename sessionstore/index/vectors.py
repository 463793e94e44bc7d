"""The vectors of what was said, in a file of their own beside the index.

It mirrors the index as the index mirrors the store: made when it is first asked for, caught up with before every
question, deleted at any time without loss. Only what users and models said has vectors; of messages that say the same
one is kept. Rows are keyed by `messages.same`, so neither forks nor growing sessions are embedded twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore.index.embedding import DIMENSIONS, NAME, Embedder, windows
from sessionstore.index.files import explain, remove_files

if TYPE_CHECKING:
    import numpy

SAID = "m.role IN ('user', 'assistant') AND m.kind IS NULL"
"""Which messages have vectors."""
_TOGETHER = 512
_SCHEMA = """
CREATE TABLE IF NOT EXISTS model (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (same INTEGER PRIMARY KEY, vectors BLOB NOT NULL);
"""


class Vectors(NamedTuple):
    """All vectors: row `i` of `array` (float16, each of length one) belongs to messages whose `same` is `owners[i]`;
    `owners` grow."""

    owners: numpy.ndarray[Any, Any]
    array: numpy.ndarray[Any, Any]


def beside(index: str) -> str:
    """Where the vectors of an index are."""
    return f"{index}.vectors"


def current(connection: sqlite3.Connection, index: str, embedder: Embedder, begin: Callable[[int], None]) -> None:
    """Bring the vectors of the index at `index`, to which `connection` leads, up to date; `begin` is told how many
    messages are to be read for that. Raises `StorageError` when they cannot be written."""
    path = beside(index)
    with _explained(path), _opened(path) as file:
        wanted = {same for (same,) in connection.execute(f"SELECT DISTINCT m.same FROM messages m WHERE {SAID}")}
        known = {same for (same,) in file.execute("SELECT same FROM vectors")}
        file.executemany("DELETE FROM vectors WHERE same = ?", [(same,) for same in known - wanted])
        missing = wanted - known
        begin(len(missing))
        for chunk in _texts(connection, missing):
            pieces = [windows(text) for _, text in chunk]
            array = embedder.embed([piece for found in pieces for piece in found]).astype("<f2")
            ends = list(accumulate(map(len, pieces), initial=0))
            blobs = [array[start:end].tobytes() for start, end in pairwise(ends)]
            rows = [(same, blob) for (same, _), blob in zip(chunk, blobs, strict=True)]
            file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            file.commit()
        file.commit()


def load(index: str) -> Vectors:
    """All vectors. Raises `StorageError`, `DamageError`."""
    import numpy

    path = beside(index)
    with _explained(path), _opened(path) as file:
        rows = file.execute("SELECT same, vectors FROM vectors WHERE vectors <> x'' ORDER BY same").fetchall()
    array = numpy.frombuffer(b"".join(blob for _, blob in rows), dtype="<f2").reshape(-1, DIMENSIONS)
    counts = [len(blob) // (2 * DIMENSIONS) for _, blob in rows]
    return Vectors(numpy.repeat(numpy.array([same for same, _ in rows], dtype=numpy.int64), counts), array)


def forget(index: str) -> None:
    """Remove the vectors of an index, for instance because something was erased from it."""
    remove_files(beside(index))


def _texts(connection: sqlite3.Connection, missing: set[int]) -> Iterator[list[tuple[int, str]]]:
    """(same, text) of every missing one, in chunks."""

    def each() -> Iterator[tuple[int, str]]:
        left = set(missing)
        numbers = f"SELECT m.id, m.same FROM messages m WHERE {SAID} ORDER BY m.id"
        for number, same in connection.execute(numbers).fetchall() if left else ():
            if same in left:
                left.discard(same)
                row = connection.execute("SELECT text FROM messages WHERE id = ?", (number,)).fetchone()
                yield same, (row[0] or "") if row else ""

    texts = each()
    while chunk := list(islice(texts, _TOGETHER)):
        yield chunk


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """The file; one of another model, or none at all, is begun anew."""
    try:
        file = _begun(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        remove_files(path)
        file = _begun(path)
    try:
        yield file
    finally:
        file.close()


def _begun(path: str) -> sqlite3.Connection:
    new = not os.path.exists(path)
    file = sqlite3.connect(path, timeout=60)
    try:
        if new:
            os.chmod(path, 0o600)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.executescript(_SCHEMA)
        if file.execute("SELECT name FROM model").fetchall() != [(NAME,)]:
            file.execute("DELETE FROM vectors")
            file.execute("DELETE FROM model")
            file.execute("INSERT INTO model VALUES (?)", (NAME,))
            file.commit()
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error

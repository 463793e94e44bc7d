"""What may have been meant by a search that finds nothing: words of the index that are one or two letters away.

Asked only when there is no hit, for words that do not occur at all; the most frequent of the nearest words wins. It
takes a bounded time, and what it proposes finds something.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.index.language import FIELDS
from sessionstore.index.search import count
from sessionstore.index.terms import fold

if TYPE_CHECKING:
    from datetime import datetime

SECONDS = 0.3
_LEAST, _LONG, _LONGEST = 4, 6, 40
"""Words shorter than `_LEAST` are left alone; from `_LONG` on two letters may be wrong."""
_SAME = 2
_LETTERS = "etaoinsrhldcumfpgwybvkxjqz"
_WORD = re.compile(r"[^\W\d_]+")
_FIELD = re.compile(rf"(?<!\S)-?(?:{'|'.join(sorted(FIELDS))}):(?:\"[^\"]*\"|\S*)")


def suggestion(connection: sqlite3.Connection, query: str, now: datetime | None = None) -> str | None:
    """The query with misspelled words put right, or None when there is no such one that finds something."""
    end = time.monotonic() + SECONDS
    fields = [found.span() for found in _FIELD.finditer(query)]
    changed, at, pieces = False, 0, []
    for found in _WORD.finditer(query):
        word = fold(found[0])
        if not _LEAST <= len(word) <= _LONGEST or any(a <= found.start() < b for a, b in fields) or found[0].isupper():
            continue
        if _times(connection, word) or not (better := _nearest(connection, word, end)):
            continue
        pieces += [query[at : found.start()], better]
        at, changed = found.end(), True
    if not changed:
        return None
    proposed = "".join([*pieces, query[at:]])
    try:
        return proposed if count(connection, proposed, now=now)["sessions"] else None
    except errors.UsageError:
        return None


def _times(connection: sqlite3.Connection, word: str) -> int:
    row = connection.execute("SELECT doc FROM words WHERE term = ?", (word,)).fetchone()
    return row[0] if row else 0


def _nearest(connection: sqlite3.Connection, word: str, end: float) -> str | None:
    """The most frequent word one letter away, else the most frequent one two letters away that begins the same.
    Words that begin the same are read through; others are asked for one by one."""
    most = {1: (0, ""), 2: (0, "")}
    for near in dict.fromkeys(_begun_otherwise(word)):
        if time.monotonic() > end:
            break
        if not near.startswith(word[:_SAME]):
            most[1] = max(most[1], (_times(connection, near), near))
    allowed = 2 if len(word) >= _LONG else 1
    sql = "SELECT term, doc FROM words WHERE term >= ? AND term < ?"
    for near, times in connection.execute(sql, (word[:_SAME], word[:_SAME] + "\U0010ffff")):
        if time.monotonic() > end:
            break
        if abs(len(near) - len(word)) <= allowed and near.isalpha() and (off := distance(word, near)) <= allowed:
            most[off] = max(most[off], (times, near))
    return next((near for times, near in most.values() if times), None)


def _begun_otherwise(word: str) -> Iterator[str]:
    """Words one letter away that may begin otherwise: two letters exchanged, one left out, another, or one more."""
    letters = _LETTERS if word.isascii() else "".join(dict.fromkeys(word)) + _LETTERS
    for i in range(_SAME):
        yield word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        yield word[:i] + word[i + 1 :]
        yield from (word[:i] + letter + word[i + 1 :] for letter in letters)
        yield from (word[:i] + letter + word[i:] for letter in letters)


def distance(one: str, other: str) -> int:
    """How many letters have to be changed, added, left out or exchanged with the next to make one word the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                least = min(least, last[j - 2] + 1)
            row.append(least)
    return row[-1]

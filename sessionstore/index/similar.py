"""Sessions that are about the same: those that share the words which tell a session from the others.

A word tells much when it is frequent in the session and rare elsewhere. The words that tell most are looked up in the
full-text index, and a session's score is the share of their weight that it has too. No model, no second index, and
the shared words say why a session was found.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from sessionstore.index import unspaced
from sessionstore.index.query import Session, resolve
from sessionstore.index.schema import SEQ, SHIFT, snapshot
from sessionstore.index.terms import fold

_WORD = re.compile(r"[^\W\d_][^\W_]{2,30}")
_READ, _CHARACTERS = 1000, 400_000
"""So many messages and characters of a session are read for its words."""
_CANDIDATES, _MORE, _TELLING = 200, 800, 40
"""So many of the most frequent words are looked up, more of them when most are common, and so many of those that tell
most are compared."""
_COMMON = 5000
"""A word in so many messages tells nothing."""
_FILLING = frozenset(
    re.findall(
        r"\w+",
        "about all also and any are but can could did does for from get had has have her here his how into its just"
        " like make more not now only other our out please should some than that the their them then there these they"
        " this use was want way were what when where which who why will with would you your",
    )
)
"""English words that tell nothing even where few messages have them."""
_LONG = 0.15
"""How much less a long session counts for having a word: it has so many."""


class Found(NamedTuple):
    """A similar session. `score` is between 0 and 1; `shared` are the words in common that tell most."""

    session: Session
    score: float
    shared: list[str]


class Similar(NamedTuple):
    """`terms` are the words that were compared, the most telling first; `sessions` what was found, best first."""

    terms: list[str]
    sessions: list[Found]


@dataclass(slots=True)
class Candidate:
    """What is known of a session: how much it weighs, from 0 to 1, and the words it shares with their weights."""

    weight: float = 0.0
    shared: list[tuple[float, str]] = field(default_factory=list)


def similar(
    connection: sqlite3.Connection,
    key: str | None,
    text: str,
    limit: int,
    check: Callable[[], None],
    within: Collection[int] | None = None,
) -> Similar:
    """Sessions similar to the session `key`, or without one to `text`; with `within` only of the sessions with those
    numbers. `check` is called now and then; it may raise."""
    with snapshot(connection):
        own = numbers_of(connection, key) if key else set[int]()
        texts = [text] if key is None else _texts(connection, max(own, default=0))
        terms, candidates = _compare(connection, Counter(_words(texts)), own, check)
        return Similar(terms, best(connection, candidates, limit, within, _LONG))


def numbers_of(connection: sqlite3.Connection, key: str) -> set[int]:
    """The numbers of a session's heads."""
    return {number for (number,) in connection.execute("SELECT id FROM sessions WHERE key = ?", (key,))}


def _texts(connection: sqlite3.Connection, session: int) -> Iterator[str]:
    """What user and model have said in a session, and its title, which counts thrice."""
    for (title,) in connection.execute("SELECT title FROM sessions WHERE id = ?", (session,)):
        yield " ".join([title or ""] * 3)
    sql = (
        "SELECT text FROM messages WHERE id BETWEEN ? AND ? AND role IN ('user', 'assistant') AND kind IS NULL"
        " AND text IS NOT NULL ORDER BY id LIMIT ?"
    )
    left = _CHARACTERS
    for (text,) in connection.execute(sql, (session << SHIFT, session << SHIFT | SEQ, _READ)):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _words(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(word, FTS5 expression) of every word; of scripts without spaces every pair of characters."""
    for text in texts:
        runs, pieces = unspaced.runs(text)
        for piece in pieces:
            for word in _WORD.findall(fold(piece)):
                if word not in _FILLING:
                    yield word, f'{{text}} : "{word}"'
        for run in runs:
            tokens = unspaced.tokens(run)
            for a, b in pairwise(tokens):
                yield f"{a}{b}", f'{{cjk}} : "{a} {b}"'


def _compare(
    connection: sqlite3.Connection,
    words: Counter[tuple[str, str]],
    own: set[int],
    check: Callable[[], None],
) -> tuple[list[str], dict[int, Candidate]]:
    (total,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
    known: list[tuple[float, str, set[int]]] = []
    for looked_up, ((word, expression), times) in enumerate(words.most_common(_MORE)):
        check()
        if looked_up >= _CANDIDATES and len(known) >= _TELLING:
            break
        sessions = _sessions_with(connection, expression)
        if sessions is not None and len(sessions) <= max(total / 2, 3):
            weight = (1 + math.log(times)) * math.log((total + 1) / max(len(sessions), 1))
            known.append((weight, word, sessions - own))
    known.sort(key=lambda entry: (-entry[0], entry[1]))
    whole = sum(weight for weight, _, _ in known[:_TELLING]) or 1.0
    telling = [entry for entry in known if entry[2]][:_TELLING]
    candidates: dict[int, Candidate] = {}
    for weight, word, others in telling:
        for number in others:
            candidate = candidates.setdefault(number, Candidate())
            candidate.weight += weight / whole
            candidate.shared.append((weight, word))
    return [word for _, word, _ in telling[:15]], candidates


def _sessions_with(connection: sqlite3.Connection, expression: str) -> set[int] | None:
    """The sessions in which a word stands; None for a word that stands nearly everywhere."""
    sql = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ? LIMIT ?"
    numbers = [number for (number,) in connection.execute(sql, (expression, _COMMON))]
    return None if len(numbers) == _COMMON else {number >> SHIFT for number in numbers}


def best(
    connection: sqlite3.Connection,
    candidates: Mapping[int, Candidate],
    limit: int,
    within: Collection[int] | None = None,
    long: float = 0.0,
) -> list[Found]:
    """The best candidates by session number (of those `within`), every session once; `long` is how much less a long
    session counts."""
    facts = connection.execute("SELECT id, key, messages FROM sessions").fetchall()
    ranked = sorted(
        (
            (-candidates[number].weight / (1 + long * math.log1p(messages / 100)), key, number)
            for number, key, messages in facts
            if number in candidates and (within is None or number in within)
        ),
    )
    found: dict[str, Found] = {}
    for score, key, number in ranked:
        if len(found) == limit:
            break
        if key not in found:
            shared = sorted(candidates[number].shared, key=lambda pair: (-pair[0], pair[1]))
            session = resolve(connection, key)[0]
            found[key] = Found(session, round(-score, 4), [word for _, word in shared[:8]])
    return list(found.values())

"""Which messages fulfil a query: ranked, or session by session in the order of time.

Candidates come from the full-text index and the narrow index `messages_facts` alone; text is read only of those that
have to be compared letter by letter, in portions, and only until enough have passed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from sessionstore.index.pattern import Matcher
from sessionstore.index.plan import NUMBERS, SESSIONS, Condition, Plan
from sessionstore.index.schema import SEQ, SHIFT

WEIGHTS = "10.0, 4.0, 3.0, 1.0, 0.2, 6.0"
"""For text, reasoning, tool input, tool output, context, and the column of unspaced scripts (which has all of them)."""
_BM25 = f"-bm25(messages_fts, {WEIGHTS})"
_ENDLESS = ", ".join(["1e15"] * 6)
"""So much weight that one occurrence of a word counts as much as any number of them can."""
_TITLE_WEIGHT = 1.5
_FIRST, _TITLES, _MOST_NEAR = 500, 500, 2000
_NEAR, _ADJACENT = 2.0, 3.0
"""Words near each other count twice, those that follow each other three times."""
_FEW = 4
_CHECKED_TOGETHER, _MOST_CHECKED_TOGETHER = 100, 5000

_IS_IN = "f.rowid IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?)"

Candidate = tuple[int, float]
"""(message's row number, score; higher is better)"""


class Question(NamedTuple):
    """What is asked, and of what."""

    connection: sqlite3.Connection
    plan: Plan
    matcher: Matcher


def where(conditions: Sequence[Condition], low: int | None = None, high: int = 0) -> tuple[str, list[object]]:
    """SQL to go on a WHERE with, and its values: for messages numbered from `low` to `high`, or for all."""
    sql = "".join(f" AND {condition.sql}" for condition in conditions)
    values = [value for condition in conditions for value in condition.values]
    numbers = sessions = ""
    if low is not None:
        numbers = f" AND rowid BETWEEN {low} AND {high}"
        sessions = f" AND session_id BETWEEN {low >> SHIFT} AND {high >> SHIFT}"
    return sql.replace(NUMBERS, numbers).replace(SESSIONS, sessions), values


def joins(conditions: Sequence[Condition]) -> str:
    """The tables that `conditions` need beside the full-text index. Facts of a message come from the index that
    holds them, so that its text need not be read past."""
    sql = f" CROSS JOIN sessions s ON s.id = f.rowid >> {SHIFT}" if conditions else ""
    if any(condition.reads for condition in conditions):
        sql += (
            " CROSS JOIN messages m INDEXED BY messages_facts"
            f" ON m.session_id = f.rowid >> {SHIFT} AND m.seq = f.rowid & {SEQ}"
        )
    return sql


def best_of_sessions(question: Question) -> list[Candidate]:
    """The best message of every session in which something fulfils `match` and `facts`."""
    plan = question.plan
    more, values = where(plan.facts)
    score, near = _score(plan)
    # The limit that is none keeps SQLite from working the score out where it cannot: inside an aggregate.
    sql = (
        "SELECT number, max(score) FROM ("
        f"SELECT f.rowid AS number, {score} AS score FROM messages_fts f{joins(plan.facts)}"
        f" WHERE messages_fts MATCH ?{more} LIMIT -1) GROUP BY number >> {SHIFT}"
    )
    return question.connection.execute(sql, (*near, plan.match, *values)).fetchall()


def inside(
    question: Question, sessions: Sequence[int], known: Mapping[int, float] | None = None
) -> dict[int, list[Candidate]]:
    """All messages of some sessions that fulfil `match` and `facts`, by session, the best first. `known` has the scores
    of all that have the words near each other, if somebody has worked them out."""
    plan = question.plan
    more, values = where(plan.facts)
    score, near = _score(plan) if known is None else (_BM25, ())
    sql = (
        f"SELECT f.rowid, {score} FROM messages_fts f{joins(plan.facts)} WHERE messages_fts MATCH ?"
        f" AND f.rowid BETWEEN ? AND ? AND f.rowid >> {SHIFT} IN (SELECT value FROM json_each(?)){more}"
    )
    span = (min(sessions) << SHIFT, max(sessions) << SHIFT | SEQ)
    listed = orjson.dumps(sessions).decode()
    found: dict[int, list[Candidate]] = {session: [] for session in sessions}
    for number, points in question.connection.execute(sql, (*near, plan.match, *span, listed, *values)):
        found[number >> SHIFT].append((number, known.get(number, points) if known else points))
    for messages in found.values():
        messages.sort(key=lambda candidate: (-candidate[1], candidate[0]))
    return found


def ranked(question: Question) -> Iterator[list[Candidate]]:
    """Candidates that fulfil everything, the best first, in portions: the same ones whatever is wanted of them."""
    size, start = _FIRST, 0
    while True:
        found = _by_score(question, size, start)
        yield from checked(question, found)
        if len(found) < size:
            return
        start += size
        size *= 8


def _by_score(question: Question, limit: int, offset: int) -> list[Candidate]:
    plan = question.plan
    more, values = where(plan.facts)
    score, near = _score(plan)
    sql = (
        f"SELECT f.rowid, {score} AS score FROM messages_fts f{joins(plan.facts)}"
        f" WHERE messages_fts MATCH ?{more} ORDER BY score DESC, f.rowid LIMIT ? OFFSET ?"
    )
    return question.connection.execute(sql, (*near, plan.match, *values, limit, offset)).fetchall()


def _score(plan: Plan) -> tuple[str, tuple[str, ...]]:
    """SQL for the score of a message `f`, and its values."""
    if not plan.close:
        return _BM25, ()
    return f"{_BM25} * iif({_IS_IN}, iif({_IS_IN}, {_ADJACENT}, {_NEAR}), 1)", plan.close


class Nearest(NamedTuple):
    """The messages that have the words near each other."""

    best: list[Candidate]
    """those that no other message surpasses, the best first"""
    bound: float
    """a score that no other message exceeds"""
    scores: dict[int, float] | None
    """the scores of all of them; None when they are too many"""


def nearest(question: Question) -> Nearest | None:
    """The messages with the words near each other. Mostly there are enough of them, and then all others need not be
    scored. None when nothing can be said of those.

    The bound is BM25 itself with weights without end, which is the same for every message that has all the words: the
    sum of their inverse document frequencies times k1 + 1. With OR a message may have more words than another, and
    there is no such bound."""
    plan = question.plan
    if plan.close is None or plan.match is None or " OR " in plan.match or plan.checks:
        return None
    near, adjacent = plan.close
    more, values = where(plan.facts)
    # The plus keeps SQLite from looking each of them up by its number, with the whole expression every time.
    sql = (
        f"SELECT f.rowid, {_BM25} * iif({_IS_IN}, {_ADJACENT}, {_NEAR}) AS score,"
        f" -bm25(messages_fts, {_ENDLESS}) FROM messages_fts f{joins(plan.facts)}"
        f" WHERE messages_fts MATCH ? AND +{_IS_IN}{more} ORDER BY score DESC, f.rowid LIMIT ?"
    )
    rows = question.connection.execute(sql, (adjacent, plan.match, near, *values, _MOST_NEAR)).fetchall()
    if not rows:
        return None
    bound = max(most for _, _, most in rows)
    if len(rows) == _MOST_NEAR:
        bound = max(bound, rows[-1][1])
    scores = {number: score for number, score, _ in rows}
    best = [(number, score) for number, score in scores.items() if score >= bound]
    return Nearest(best, bound, scores if len(rows) < _MOST_NEAR else None)


def checked(question: Question, candidates: list[Candidate]) -> Iterator[list[Candidate]]:
    """`candidates` in portions, without those that fail the checks for which messages have to be read."""
    if not question.plan.checks:
        yield candidates
        return
    for portion in _portions(candidates):
        yield _passing(question, portion)


def _portions(candidates: list[Candidate]) -> Iterator[list[Candidate]]:
    start, size = 0, _CHECKED_TOGETHER
    while portion := candidates[start : start + size]:
        yield portion
        start, size = start + size, min(2 * size, _MOST_CHECKED_TOGETHER)


def _passing(question: Question, candidates: list[Candidate]) -> list[Candidate]:
    question.matcher.look(number for number, _ in candidates)
    more, values = where(question.plan.checks, min(candidates)[0], max(candidates)[0])
    places = ", ".join("?" * len(candidates))
    sql = f"SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.id IN ({places}){more}"
    numbers = (number for number, _ in candidates)
    good = {number for (number,) in question.connection.execute(sql, (*numbers, *values))}
    return [candidate for candidate in candidates if candidate[0] in good]


def by_time(question: Question, *, oldest: bool) -> Iterator[tuple[int, Iterator[int]]]:
    """Sessions, the latest first (or the `oldest`), each with its messages that fulfil everything, in the same
    order. Only what is taken of them is worked out."""
    order = "s.sorted_at, s.id" if oldest else "s.sorted_at DESC, s.id DESC"
    plan = question.plan
    if plan.match is None:
        more, values = where([condition for condition in plan.facts if condition.reads == 0])
        sql = f"SELECT s.id FROM sessions s WHERE 1{more} ORDER BY {order}"
        for (session,) in question.connection.execute(sql, values).fetchall():
            yield session, _of_session(question, session, oldest)
        return
    more, values = where(plan.facts)
    sql = f"SELECT f.rowid FROM messages_fts f{joins(plan.facts)} WHERE messages_fts MATCH ?{more}"
    sessions: dict[int, list[int]] = {}
    for (number,) in question.connection.execute(sql, (plan.match, *values)):
        sessions.setdefault(number >> SHIFT, []).append(number)
    for (session,) in question.connection.execute(f"SELECT s.id FROM sessions s ORDER BY {order}").fetchall():
        if session in sessions:
            numbers = sorted(sessions[session], reverse=not oldest)
            portions = checked(question, [(number, 0.0) for number in numbers])
            yield session, (number for portion in portions for number, _ in portion)


def _of_session(question: Question, session: int, oldest: bool) -> Iterator[int]:
    """The messages of a session that fulfil all conditions, ordinary turns first."""
    connection, plan = question.connection, question.plan
    low, high = session << SHIFT, session << SHIFT | SEQ
    if plan.patterns:
        question.matcher.look(number for (number,) in _numbers(question, plan.facts, session))
    more, values = where([c for c in (*plan.facts, *plan.checks) if c.reads], low, high)
    order = "m.seq" if oldest else "m.seq DESC"
    sql = (
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.session_id = ?"
        f"{more} ORDER BY m.kind IS NOT NULL, {order}"
    )
    for (number,) in connection.execute(sql, (session, *values)):
        yield number


def _numbers(question: Question, conditions: Sequence[Condition], session: int) -> sqlite3.Cursor:
    more, values = where([condition for condition in conditions if condition.reads])
    sql = f"SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.session_id = ?{more}"
    return question.connection.execute(sql, (session, *values))


def titles(question: Question) -> dict[int, float]:
    """Sessions whose title matches, each with its score."""
    plan = question.plan
    if not plan.titles:
        return {}
    if plan.patterns:
        question.matcher.look_at_titles()
    more, values = where(plan.title_checks)
    if plan.title is None:
        sql = f"SELECT s.id, 1.0 FROM sessions s WHERE s.title IS NOT NULL{more} ORDER BY s.sorted_at DESC"
        sql += f" LIMIT {_TITLES}"
    else:
        sql = (
            "SELECT f.rowid, -bm25(sessions_fts) AS score FROM sessions_fts f CROSS JOIN sessions s ON s.id = f.rowid"
            f" WHERE sessions_fts MATCH ?{more} ORDER BY score DESC LIMIT {_TITLES}"
        )
        values = [plan.title, *values]
    return {number: score * _TITLE_WEIGHT for number, score in question.connection.execute(sql, values)}


def named(question: Question) -> list[int]:
    """Sessions that the query means by id: a key, a native id, the beginning of one, or another id they had."""
    name = question.plan.name
    if name is None:
        return []
    end = name + "\U0010ffff"
    sql = (
        "SELECT id FROM sessions WHERE key BETWEEN ?1 AND ?2"
        " UNION SELECT id FROM sessions WHERE native_id BETWEEN ?1 AND ?2"
        " UNION SELECT session_id FROM aliases WHERE alias = ?1 LIMIT 20"
    )
    return [number for (number,) in question.connection.execute(sql, (name, end))]


def counts(question: Question) -> dict[int, int]:
    """How many messages fulfil everything, by session."""
    plan, found = question.plan, dict[int, int]()
    if plan.match is not None and not plan.checks:
        more, values = where(plan.facts)
        sql = (
            f"SELECT f.rowid >> {SHIFT}, count(*) FROM messages_fts f{joins(plan.facts)}"
            f" WHERE messages_fts MATCH ?{more} GROUP BY 1"
        )
        return dict(question.connection.execute(sql, (plan.match, *values)).fetchall())
    for session, numbers in by_time(question, oldest=False):
        if number := sum(1 for _ in numbers):
            found[session] = number
    return found


def counts_in(question: Question, sessions: Sequence[int]) -> dict[int, int | None]:
    """How many messages of some sessions match; None where they would have to be read for that."""
    plan = question.plan
    if plan.match is None or plan.checks:
        return dict.fromkeys(sessions)
    if plan.facts or len(sessions) <= _FEW:
        return {session: _count_in(question, plan.match, session) for session in sessions}
    found = counts(question)
    return {session: found.get(session, 0) for session in sessions}


def _count_in(question: Question, match: str, session: int) -> int:
    more, values = where(question.plan.facts)
    sql = (
        f"SELECT count(*) FROM messages_fts f{joins(question.plan.facts)}"
        f" WHERE messages_fts MATCH ? AND f.rowid BETWEEN ? AND ?{more}"
    )
    span = (session << SHIFT, session << SHIFT | SEQ)
    return int(question.connection.execute(sql, (match, *span, *values)).fetchone()[0])

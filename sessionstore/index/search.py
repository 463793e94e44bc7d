"""Answering a search: the best sessions first, and in each the messages that match best.

Candidates are ranked inside SQLite, from the full-text index alone: BM25 with text above reasoning above tool input
above tool output. Text is read only of what is shown, and of candidates that have to be compared letter by letter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessionstore.index import hit
from sessionstore.index.hit import Hit
from sessionstore.index.language import FIELDS, And, Field, parse, wrong
from sessionstore.index.plan import HIGH, LOW, Condition, Plan, make
from sessionstore.index.schema import SEQ, SHIFT, snapshot
from sessionstore.index.snippet import Highlighter

if TYPE_CHECKING:
    from datetime import datetime

_WEIGHTS = "10.0, 4.0, 3.0, 1.0, 0.2, 6.0"
"""For text, reasoning, tool input, tool output, and the column of unspaced scripts (which has all of them)."""
_TITLE_WEIGHT = 1.5
_RECENT, _HALF_LIFE = 0.2, 90.0
"""The newest session counts a fifth more, one `_HALF_LIFE` days older a tenth."""
_FIRST_CANDIDATES = 1000
_CHECKED_TOGETHER, _MOST_CHECKED_TOGETHER = 100, 5000

Candidate = tuple[int, float]
"""(message's row number, score; higher is better)"""


def search(
    connection: sqlite3.Connection,
    query: str,
    limit: int = 20,
    offset: int = 0,
    *,
    per_session: int = 3,
    fields: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> list[Hit]:
    """The `limit` best hits of a query after the first `offset`, session by session, at most `per_session` of each.
    `fields` are further filters by field name; with them the query may be empty. `now` is what dates are reckoned
    from.

    Each hit has: key, revision, title, title_marks, source, project, branch, session_time, and of the message:
    message (its id), seq (from 0), role, kind, model, time, part (text, reasoning, tool_input, tool_output or title),
    snippet, marks ([[start, end), …] in the snippet), link, score, matches (how many messages of the session match;
    None when that was not counted). A hit in nothing but the title has message and seq None.
    Raises `SearchSyntax`; never an `sqlite3.OperationalError` for anything typed.
    """
    plan = make(_tree(query, fields or {}), now)
    with snapshot(connection):
        return _answer(connection, plan, limit, offset, per_session)


def _answer(connection: sqlite3.Connection, plan: Plan, limit: int, offset: int, per_session: int) -> list[Hit]:
    wanted = offset + limit
    if plan.match is None:
        found = _newest(connection, plan, wanted, per_session)
        titles: dict[int, float] = {}
    else:
        titles = _titles(connection, plan)
        found = [] if plan.titles_only else _ranked(connection, plan, wanted + 1)
    groups = _grouped(connection, found, titles, keep_order=plan.match is None)
    order: list[tuple[_Group, Candidate | None]] = []
    for group in groups:
        order += [(group, candidate) for candidate in group.messages[:per_session]] or [(group, None)]
    return _hits(connection, plan, order[offset:wanted])


def _tree(query: str, fields: Mapping[str, str]) -> Any:
    filters = []
    for name, value in fields.items():
        if name not in FIELDS:
            raise wrong(f"there is no field {name}:", 0)
        filters.append(Field(name, value, 0))
    if filters and not query.strip():
        return And(tuple(filters))
    tree = parse(query)
    nodes = tree.nodes if isinstance(tree, And) else (tree,)
    return And((*nodes, *filters)) if filters else tree


def _where(conditions: Sequence[Condition], low: int = 0, high: int = 0) -> tuple[str, list[Any]]:
    """SQL to go on a WHERE with, and its values, for messages numbered from `low` to `high`."""
    sql = "".join(f" AND {condition.sql}" for condition in conditions)
    values = [value for condition in conditions for value in condition.values]
    return sql.replace(LOW, str(low)).replace(HIGH, str(high)), values


def _joins(conditions: Sequence[Condition]) -> str:
    """The tables that `conditions` need beside the full-text index. Facts of a message come from the index that
    holds them, so that its text need not be read past."""
    sql = f" CROSS JOIN sessions s ON s.id = f.rowid >> {SHIFT}" if conditions else ""
    if any(condition.reads for condition in conditions):
        sql += (
            " CROSS JOIN messages m INDEXED BY messages_facts"
            f" ON m.session_id = f.rowid >> {SHIFT} AND m.seq = f.rowid & {SEQ}"
        )
    return sql


def _ranked(connection: sqlite3.Connection, plan: Plan, wanted: int) -> list[Candidate]:
    """The best candidates that fulfil everything, enough of them for `wanted` sessions if there are so many."""
    where, values = _where(plan.facts)
    sql = (
        f"SELECT f.rowid, -bm25(messages_fts, {_WEIGHTS}) AS score FROM messages_fts f{_joins(plan.facts)}"
        f" WHERE messages_fts MATCH ?{where} ORDER BY score DESC, f.rowid LIMIT ? OFFSET ?"
    )
    passed: list[Candidate] = []
    sessions: set[int] = set()
    size, start = max(_FIRST_CANDIDATES, 20 * wanted), 0
    while True:
        candidates = connection.execute(sql, (plan.match, *values, size, start)).fetchall()
        for chunk in _checked(connection, plan, candidates):
            passed += chunk
            sessions.update(number >> SHIFT for number, _ in chunk)
            if plan.checks and len(sessions) >= wanted:
                return passed
        if len(candidates) < size or len(sessions) >= wanted:
            return passed
        start += size
        size *= 8


def _checked(connection: sqlite3.Connection, plan: Plan, candidates: list[Candidate]) -> Iterator[list[Candidate]]:
    """`candidates` in portions, without those that fail the checks for which messages have to be read."""
    if not plan.checks:
        yield candidates
        return
    start, size = 0, _CHECKED_TOGETHER
    while chunk := candidates[start : start + size]:
        start, size = start + size, min(2 * size, _MOST_CHECKED_TOGETHER)
        where, values = _where(plan.checks, min(chunk)[0], max(chunk)[0])
        places = ", ".join("?" * len(chunk))
        sql = f"SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.id IN ({places}){where}"
        good = {number for (number,) in connection.execute(sql, (*(number for number, _ in chunk), *values))}
        yield [candidate for candidate in chunk if candidate[0] in good]


def _newest(connection: sqlite3.Connection, plan: Plan, wanted: int, per_session: int) -> list[Candidate]:
    """For a query of filters only: the latest messages that fulfil them, session by session, newest session first."""
    of_session = [condition for condition in plan.facts if condition.reads == 0]
    of_message = [condition for condition in (*plan.facts, *plan.checks) if condition.reads]
    where, values = _where(of_session)
    listing = f"SELECT s.id FROM sessions s WHERE 1{where} ORDER BY s.sorted_at DESC, s.id DESC"
    sessions = connection.execute(listing, values)
    found: list[Candidate] = []
    count = 0
    for (session,) in sessions:
        if count >= wanted:
            break
        where, values = _where(of_message, session << SHIFT, session << SHIFT | SEQ)
        sql = (
            "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.session_id = ?"
            f"{where} ORDER BY m.kind IS NOT NULL, m.seq DESC LIMIT ?"
        )
        numbers = connection.execute(sql, (session, *values, per_session)).fetchall()
        found += [(number, 0.0) for (number,) in numbers]
        count += bool(numbers)
    return found


def _titles(connection: sqlite3.Connection, plan: Plan) -> dict[int, float]:
    """Sessions whose title matches, each with its score."""
    if plan.title is None:
        return {}
    where, values = _where(plan.title_checks)
    sql = (
        "SELECT f.rowid, -bm25(sessions_fts) AS score FROM sessions_fts f CROSS JOIN sessions s ON s.id = f.rowid"
        f" WHERE sessions_fts MATCH ?{where} ORDER BY score DESC LIMIT {_FIRST_CANDIDATES}"
    )
    return {number: score * _TITLE_WEIGHT for number, score in connection.execute(sql, (plan.title, *values))}


class _Group:
    """A session with its hits."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.messages: list[Candidate] = []
        self.score = 0.0


def _grouped(
    connection: sqlite3.Connection, found: list[Candidate], titles: dict[int, float], *, keep_order: bool
) -> list[_Group]:
    """Candidates by session, the best session first: by its best message or its title, recent ones slightly up."""
    groups: dict[int, _Group] = {}
    for number, score in found:
        group = groups.setdefault(number >> SHIFT, _Group(number >> SHIFT))
        group.messages.append((number, score))
        group.score = max(group.score, score)
    for session, score in titles.items():
        group = groups.setdefault(session, _Group(session))
        group.score = max(group.score, score)
    keys, days = _facts(connection, list(groups))
    if keep_order:
        return _once(connection, list(groups.values()), keys)
    newest = _day(connection.execute("SELECT max(sorted_at) FROM sessions").fetchone()[0])
    for group in groups.values():
        age = max(0, newest - days[group.session])
        group.score *= 1 + _RECENT * 0.5 ** (age / _HALF_LIFE)
    best = sorted(groups.values(), key=lambda group: (-group.score, -days[group.session], -group.session))
    return _once(connection, best, keys)


def _once(connection: sqlite3.Connection, groups: list[_Group], keys: dict[int, str]) -> list[_Group]:
    """Two heads of one session have messages in common: those are shown with the better head only."""
    if len(set(keys.values())) == len(keys):
        return groups
    seen: dict[str, set[int]] = {}
    kept = []
    for group in groups:
        first = keys[group.session] not in seen
        shown = seen.setdefault(keys[group.session], set())
        messages = []
        for number, score in group.messages:
            (digest,) = connection.execute("SELECT digest FROM messages WHERE id = ?", (number,)).fetchone()
            if digest not in shown:
                messages.append((number, score))
                shown.add(digest)
        if messages or first:
            group.messages = messages
            kept.append(group)
    return kept


def _facts(connection: sqlite3.Connection, sessions: list[int]) -> tuple[dict[int, str], dict[int, int]]:
    """The keys and the days of sessions."""
    keys: dict[int, str] = {}
    days: dict[int, int] = {}
    for start in range(0, len(sessions), 500):
        chunk = sessions[start : start + 500]
        sql = f"SELECT id, key, sorted_at FROM sessions WHERE id IN ({', '.join('?' * len(chunk))})"
        for number, key, time in connection.execute(sql, chunk):
            keys[number], days[number] = key, _day(time)
    return keys, days


def _day(time: str | None) -> int:
    """About which day a time is in: good enough for how recent something is."""
    year, month, day = (time or "")[:4], (time or "")[5:7], (time or "")[8:10]
    return int(year) * 365 + int(month) * 30 + int(day) if (year + month + day).isdecimal() else 0


def _hits(connection: sqlite3.Connection, plan: Plan, order: list[tuple[_Group, Candidate | None]]) -> list[Hit]:
    """The data of hits; those of one session stand together."""
    highlighter = Highlighter(plan.marks)
    hits: list[Hit] = []
    current: _Group | None = None
    session: Hit = {}
    matches: int | None = None
    for group, candidate in order:
        if group is not current:
            current, session = group, hit.session(connection, group.session, highlighter)
            matches = _count(connection, plan, group.session) if candidate else 0
        if candidate is None:
            hits.append(hit.of_title(session, group.score))
        else:
            hits.append(hit.of_message(connection, session, *candidate, highlighter, matches))
    return hits


def _count(connection: sqlite3.Connection, plan: Plan, session: int) -> int | None:
    """How many messages of a session match; None when they would have to be read for that."""
    if plan.match is None or plan.checks:
        return None
    where, values = _where(plan.facts)
    sql = (
        f"SELECT count(*) FROM messages_fts f{_joins(plan.facts)}"
        f" WHERE messages_fts MATCH ? AND f.rowid BETWEEN ? AND ?{where}"
    )
    span = (session << SHIFT, session << SHIFT | SEQ)
    return int(connection.execute(sql, (plan.match, *span, *values)).fetchone()[0])

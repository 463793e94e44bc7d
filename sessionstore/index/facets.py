"""How the sessions that a search finds are divided: by source, project, model, role, tool and month.

Counting looks at the latest `MOST` messages that fulfil the query, so that it takes about the same short time for
every query; `complete` says whether these were all.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from sessionstore.index import candidates
from sessionstore.index import search as answers
from sessionstore.index.schema import SHIFT, snapshot

if TYPE_CHECKING:
    from datetime import datetime

MOST, MOST_CHECKED = 4000, 600
NAMES = ("source", "project", "model", "role", "tool", "month")
_SHOWN = 12

_OF_MESSAGES = (
    "SELECT s.id, s.source, s.project, m.role, coalesce(m.model, s.models), substr(coalesce(m.time, s.sorted_at), 1, 7)"
    " FROM json_each(?) j CROSS JOIN sessions s ON s.id = j.value >> {shift}"
    " CROSS JOIN messages m INDEXED BY messages_facts ON m.session_id = s.id AND m.seq = j.value & {seq}"
)
_OF_SESSIONS = (
    "SELECT s.id, s.source, s.project, NULL, s.models, substr(s.sorted_at, 1, 7)"
    " FROM json_each(?) j CROSS JOIN sessions s ON s.id = j.value"
)


class Facets(NamedTuple):
    """For each of `NAMES` the most frequent values, each with the number of sessions; and whether all matches were
    counted."""

    by_name: dict[str, list[tuple[str, int]]]
    complete: bool


def facets(
    connection: sqlite3.Connection,
    query: str,
    fields: Mapping[str, str] | None = None,
    *,
    now: datetime | None = None,
) -> Facets:
    """The facets of what `search` finds for the same query and fields; of all sessions when both are empty.
    Raises `SearchSyntax`."""
    given = dict(fields or {})
    with snapshot(connection):
        if not query.strip() and not given:
            return _of_sessions(connection, *_newest_sessions(connection, "1", ()))
        with answers.asked(connection, answers.tree_of(query, given), now) as question:
            plan = question.plan
            if plan.match is None and not plan.checks and not any(condition.reads for condition in plan.facts):
                where, values = candidates.where(plan.facts)
                return _of_sessions(connection, *_newest_sessions(connection, f"1{where}", values))
            numbers, complete = _matches(question)
            titles = [] if plan.match is None else list(candidates.titles(question))
            return _of_messages(connection, numbers, titles, complete)


def _newest_sessions(connection: sqlite3.Connection, where: str, values: Any) -> tuple[list[int], bool]:
    sql = f"SELECT s.id FROM sessions s WHERE {where} ORDER BY s.sorted_at DESC LIMIT {MOST + 1}"
    found = [number for (number,) in connection.execute(sql, tuple(values))]
    return found[:MOST], len(found) <= MOST


def _matches(question: candidates.Question) -> tuple[list[int], bool]:
    """The numbers of the latest messages that fulfil the plan, and whether these are all."""
    connection, plan = question.connection, question.plan
    most = MOST_CHECKED if plan.checks else MOST
    if plan.match is not None:
        if plan.titles_only:
            return [], True
        where, values = candidates.where(plan.facts)
        sql = (
            f"SELECT f.rowid FROM messages_fts f{candidates.joins(plan.facts)} WHERE messages_fts MATCH ?{where}"
            f" ORDER BY f.rowid DESC LIMIT {most + 1}"
        )
        rows = connection.execute(sql, (plan.match, *values)).fetchall()
    else:
        where, values = candidates.where(plan.facts)
        sql = (
            "SELECT m.id FROM sessions s CROSS JOIN messages m INDEXED BY messages_facts ON m.session_id = s.id"
            f" WHERE 1{where} ORDER BY s.sorted_at DESC LIMIT {most + 1}"
        )
        rows = connection.execute(sql, values).fetchall()
    found = [(number, 0.0) for (number,) in rows[:most]]
    passed = [number for chunk in candidates.checked(question, found) for number, _ in chunk]
    return passed, len(rows) <= most


def _of_sessions(connection: sqlite3.Connection, sessions: list[int], complete: bool) -> Facets:
    rows = connection.execute(_OF_SESSIONS, (orjson.dumps(sessions).decode(),))
    tools = connection.execute(
        "SELECT DISTINCT session_id, name FROM tool_calls WHERE session_id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(sessions[:500]).decode(),),
    )
    return _counted(rows.fetchall(), tools.fetchall(), complete)


def _of_messages(connection: sqlite3.Connection, numbers: list[int], titles: list[int], complete: bool) -> Facets:
    sql = _OF_MESSAGES.format(shift=SHIFT, seq=(1 << SHIFT) - 1)
    rows = connection.execute(sql, (orjson.dumps(numbers).decode(),)).fetchall()
    rows += connection.execute(_OF_SESSIONS, (orjson.dumps(titles).decode(),)).fetchall()
    sessions = list(dict.fromkeys(number >> SHIFT for number in numbers))[:500]
    found = set(numbers)
    calls = connection.execute(
        "SELECT session_id, name, message_id, result_id FROM tool_calls"
        " WHERE session_id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(sessions).decode(),),
    )
    tools = {(session, name) for session, name, asked, answered in calls if asked in found or answered in found}
    return _counted(rows, list(tools), complete)


def _counted(rows: list[tuple[Any, ...]], tools: list[tuple[int, str]], complete: bool) -> Facets:
    seen: dict[str, set[tuple[int, str]]] = {name: set() for name in NAMES}
    for session, source, project, role, models, month in rows:
        for name, value in (("source", source), ("project", project), ("role", role), ("month", month)):
            if value:
                seen[name].add((session, value))
        seen["model"].update((session, model) for model in _models(models))
    seen["tool"].update(tools)
    counts = {name: Counter(value for _, value in pairs) for name, pairs in seen.items()}
    return Facets({name: _order(name, counts[name]) for name in NAMES}, complete)


def _order(name: str, counts: Counter[str]) -> list[tuple[str, int]]:
    """Months newest first, everything else by frequency."""
    if name == "month":
        return sorted(counts.items(), reverse=True)[:_SHOWN]
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]


def _models(value: str | None) -> list[str]:
    """A message's model, or the models of its session when it has none of its own."""
    if not value:
        return []
    if not value.startswith("["):
        return [value]
    try:
        found = orjson.loads(value)
    except ValueError:  # a model that is called so
        return [value]
    return [model for model in found if isinstance(model, str)] if isinstance(found, list) else [value]

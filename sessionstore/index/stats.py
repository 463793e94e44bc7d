"""Counting what is in the store: sessions, messages, tokens, cost; by source, model, month, tool and project.

Every message is counted once. Of a session with several heads the latest is counted, and a session that began as a
fork or resumption of another is counted without the messages it took over from it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from sessionstore.index.plan import Condition
from sessionstore.index.query import USAGE, conditions
from sessionstore.index.schema import SEQ, SHIFT, snapshot

if TYPE_CHECKING:
    from datetime import datetime

_SUMS = ", ".join(f"coalesce(sum(m.{name}), 0)" for name in USAGE)
_SCAN = (
    f"SELECT m.session_id, m.role, m.model, substr(m.time, 1, 7), min(m.time), max(m.time), count(*), {_SUMS}"
    " FROM messages m INDEXED BY messages_facts WHERE m.session_id IN (SELECT value FROM json_each(?))"
    " AND m.id NOT IN (SELECT value FROM json_each(?)) GROUP BY 1, 2, 3, 4"
)
"""One pass over the narrow index; everything else is added up from its groups."""


def stats(
    connection: sqlite3.Connection,
    filters: Mapping[str, str] | None = None,
    *,
    starred: bool | None = None,
    archived: bool | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Totals over the sessions that pass the filters (as in `query.list_sessions`, archived ones included).

    Members: sessions, messages, by_role, the six usage totals, estimated (whether some of the cost is), first and
    last (times), and lists by_source, by_model, by_month, by_project (each entry with sessions, messages and the
    usage totals) and by_tool (tool, calls, errors). Cost is in millionths of a US dollar. Raises `UsageError`.
    """
    chosen = conditions(filters or {}, starred=starred, archived=archived, now=now)
    with snapshot(connection):
        return _stats(connection, chosen)


def _stats(connection: sqlite3.Connection, chosen: Condition) -> dict[str, Any]:
    sessions = _sessions(connection, chosen)
    scope = orjson.dumps(list(sessions)).decode()
    repeated = orjson.dumps(_repeated(connection, set(sessions))).decode()
    total, by_role = _Sums(), _Groups("role")
    by_source, by_model, by_month, by_project = map(_Groups, ("source", "model", "month", "project"))
    times: list[str] = []
    for number, role, model, month, first, last, *numbers in connection.execute(_SCAN, (scope, repeated)):
        session = sessions[number]
        total.add(number, numbers)
        by_role.add(role, number, numbers)
        by_source.add(session["source"], number, numbers)
        by_month.add(month or session["month"], number, numbers)
        by_project.add(session["project"], number, numbers)
        if model is not None:
            by_model.add(model, number, numbers)
        times += [time for time in (first, last) if time]
    found = {name: value for name, value in total.as_dict().items() if name != "sessions"}
    return {
        "sessions": len(sessions),
        **found,
        "by_role": {row["role"]: row["messages"] for row in by_role.rows()},
        "estimated": any(session["estimated"] for session in sessions.values()),
        "first": min(times, default=None),
        "last": max(times, default=None),
        "by_source": by_source.rows(),
        "by_model": by_model.rows(),
        "by_month": sorted(by_month.rows(), key=lambda row: row["month"] or ""),
        "by_project": by_project.rows(),
        "by_tool": _tools(connection, scope, repeated),
    }


class _Sums:
    """Numbers of messages and their usage, and the sessions they are in."""

    def __init__(self) -> None:
        self.sessions: set[int] = set()
        self.numbers = [0] * (1 + len(USAGE))

    def add(self, session: int, numbers: list[int]) -> None:
        """Add a session's number of messages and usage."""
        self.sessions.add(session)
        self.numbers = [a + b for a, b in zip(self.numbers, numbers, strict=True)]

    def as_dict(self) -> dict[str, int]:
        """The sums by name."""
        return {"sessions": len(self.sessions), **dict(zip(("messages", *USAGE), self.numbers, strict=True))}


class _Groups:
    """Sums by the values of something, for instance the model."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.groups: dict[str | None, _Sums] = {}

    def add(self, value: str | None, session: int, numbers: list[int]) -> None:
        """Add to the sums of one value."""
        self.groups.setdefault(value, _Sums()).add(session, numbers)

    def rows(self) -> list[dict[str, Any]]:
        """The groups as plain data, those with most messages first."""
        found = [{self.label: value, **sums.as_dict()} for value, sums in self.groups.items()]
        return sorted(found, key=lambda row: (-row["messages"], row[self.label] or ""))


def _sessions(connection: sqlite3.Connection, chosen: Condition) -> dict[int, dict[str, Any]]:
    """The latest head of every session that passes."""
    sql = (
        "SELECT s.id, s.source, s.project, substr(nullif(s.sorted_at, ''), 1, 7), s.estimated, max(s.sorted_at)"
        f" FROM sessions s WHERE {chosen.sql} GROUP BY s.key"
    )
    rows = connection.execute(sql, chosen.values)
    names = ("source", "project", "month", "estimated")
    return {number: dict(zip(names, facts, strict=False)) for number, *facts in rows}


def _tools(connection: sqlite3.Connection, scope: str, repeated: str) -> list[dict[str, Any]]:
    sql = (
        "SELECT name, count(*), coalesce(sum(is_error), 0) FROM tool_calls"
        " WHERE session_id IN (SELECT value FROM json_each(?))"
        " AND message_id NOT IN (SELECT value FROM json_each(?)) GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    rows = connection.execute(sql, (scope, repeated))
    return [{"tool": name, "calls": calls, "errors": failed} for name, calls, failed in rows]


def _repeated(connection: sqlite3.Connection, counted: set[int]) -> list[int]:
    """The messages that a fork or resumption has in common with the session it came from, when both are counted."""
    sql = (
        "SELECT child.id, parent.id FROM sessions child JOIN sessions parent ON parent.key = child.forked_from"
        " WHERE coalesce(child.relation, '') <> 'subagent'"
    )
    found: set[int] = set()
    for child, parent in connection.execute(sql).fetchall():
        if child in counted and parent in counted and child != parent:
            known = {sign for _, signs in _signs(connection, parent) for sign in signs}
            found.update(number for number, signs in _signs(connection, child) if not known.isdisjoint(signs))
    return sorted(found)


def _signs(connection: sqlite3.Connection, session: int) -> list[tuple[int, list[Any]]]:
    """What each message of a session is recognised by in another: its content, or its id, time and role."""
    sql = "SELECT id, digest, message_id, time, role FROM messages WHERE id BETWEEN ? AND ?"
    rows = connection.execute(sql, (session << SHIFT, session << SHIFT | SEQ))
    return [
        (number, [digest, (message, time, role)] if time else [digest]) for number, digest, message, time, role in rows
    ]

"""The first page: what there is, when it was said, what was said last."""

from __future__ import annotations

import sqlite3
from typing import Any

from sessionstore.index.query import list_sessions
from sessionstore.index.schema import get
from sessionstore.web import plot

_RECENT = 25
_SOURCES = 12
"""Sources that are shown without unfolding."""
_remembered: dict[str, tuple[Any, dict[str, Any]]] = {}


def context(connection: sqlite3.Connection, path: str) -> dict[str, Any]:
    """What the page shows of the index at `path`. Sums are made anew only when something has changed."""
    state = (get(connection, "change_seq"), get(connection, "digest"))
    known = _remembered.get(path)
    if known is None or known[0] != state:
        known = _remembered[path] = (state, _sums(connection))
    latest: dict[str, dict[str, Any]] = {}
    for session in list_sessions(connection, limit=4 * _RECENT):
        latest.setdefault(session["key"], session)  # of a session with branches, the branch that changed last
    return {**known[1], "recent": list(latest.values())[:_RECENT]}


def _sums(connection: sqlite3.Connection) -> dict[str, Any]:
    columns = ("source", "sessions", "messages", "input_tokens", "output_tokens", "cost_microusd", "first", "last")
    sql = (
        "SELECT source, count(*), sum(messages), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
        " coalesce(sum(cost_microusd), 0), min(nullif(sorted_at, '')), max(nullif(sorted_at, ''))"
        " FROM sessions GROUP BY source ORDER BY 3 DESC"
    )
    sources = [dict(zip(columns, row, strict=True)) for row in connection.execute(sql)]
    days = connection.execute(
        "SELECT substr(sorted_at, 1, 10), count(*), sum(messages) FROM sessions WHERE sorted_at <> '' GROUP BY 1"
    )
    projects = connection.execute(
        "SELECT project, count(*), sum(messages) FROM sessions WHERE project IS NOT NULL"
        " GROUP BY 1 ORDER BY max(sorted_at) DESC LIMIT 12"
    )
    tags = connection.execute("SELECT tag, count(*) FROM tags GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30")
    return {
        "sources": sources[:_SOURCES],
        "more_sources": sources[_SOURCES:],
        "totals": {name: sum(source[name] for source in sources) for name in columns[1:6]},
        "bars": plot.bars({day: (sessions, messages) for day, sessions, messages in days}),
        "projects": projects.fetchall(),
        "tags": tags.fetchall(),
    }

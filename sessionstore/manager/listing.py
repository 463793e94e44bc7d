"""Listing sessions with their state: everything is filtered first, and then cut to the page that was asked for."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from sessionstore import errors
from sessionstore.index.query import list_sessions
from sessionstore.manager.lifecycle import state_of
from sessionstore.notes import STATES, in_force

_ALL = 10_000_000


def listed(
    connection: sqlite3.Connection,
    state: str | None,
    archived: bool | None,
    starred: bool | None,
    limit: int,
    offset: int,
    sort: str,
    filters: dict[str, str],
) -> list[dict[str, Any]]:
    """Sessions as `list_sessions` gives them, each with its "state". Raises `UsageError`."""
    if state is not None and state not in STATES:
        raise errors.UsageError(reason=f"there is no state {state!r}; there are {', '.join(STATES)}")
    notes = _notes(connection)
    if state is None:
        found = list_sessions(connection, filters, limit, offset, sort, starred=starred, archived=archived)
        return [_with_state(session, notes) for session in found]
    found = list_sessions(connection, filters, _ALL, 0, sort, starred=starred, archived=None)
    passed = [one for one in (_with_state(session, notes) for session in found) if one["state"] == state]
    return passed[offset : offset + limit]


def _with_state(session: dict[str, Any], notes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    shape = {"counts": {"by_role": session["by_role"]}}
    said = {**notes.get(session["key"], {}), "archived": session["archived"]}
    return {**session, "state": state_of(shape, said)}


def _notes(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The state notes in force, by session."""
    rows = connection.execute("SELECT name, key, field, value, time FROM notes WHERE field = 'state'")
    by_key: dict[str, list[dict[str, Any]]] = {}
    for name, key, field, value, time in rows:
        said = orjson.loads(value) if value is not None else None
        by_key.setdefault(key, []).append({"_name": name, "field": field, "value": said, "time": time})
    return {key: in_force(found) for key, found in by_key.items()}

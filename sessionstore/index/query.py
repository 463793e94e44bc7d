"""Listing sessions and finding the one that a person means. Everything returned is plain data, ready for JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from sessionstore import errors
from sessionstore.index.plan import Condition, named

if TYPE_CHECKING:
    from datetime import datetime

Session = dict[str, Any]

SORTS = {
    "recent": "s.sorted_at DESC, s.id DESC",
    "oldest": "s.sorted_at, s.id",
    "created": "s.created_at DESC, s.id DESC",
    "title": "s.title COLLATE NOCASE, s.id",
    "messages": "s.messages DESC, s.id DESC",
    "size": "s.bytes DESC, s.id DESC",
    "tokens": "coalesce(s.input_tokens, 0) + coalesce(s.output_tokens, 0) DESC, s.id DESC",
    "cost": "s.cost_microusd DESC, s.id DESC",
}
FILTERS = ("source", "model", "project", "branch", "session", "tag", "title", "tool", "before", "after", "on")
PREFIX = 6
"""A key or native id may be cut short to so many characters."""

_PLAIN = (
    "key",
    "revision",
    "source",
    "native_id",
    "title",
    "project",
    "cwd",
    "branch",
    "created_at",
    "updated_at",
    "messages",
    "bytes",
    "forked_from",
    "relation",
)
_ROLES = ("user", "assistant", "tool", "system")
USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_microusd",
)
_SELECT = (
    f"SELECT {', '.join(f's.{name}' for name in _PLAIN)}, s.sorted_at, s.models, s.issues, s.starred, s.archived,"
    " s.estimated,"
    f" {', '.join(f's.{role}_messages' for role in _ROLES)}, {', '.join(f's.{name}' for name in USAGE)},"
    " (SELECT json_group_array(tag) FROM tags WHERE tags.session_id = s.id),"
    " (SELECT json_group_array(alias) FROM aliases WHERE aliases.session_id = s.id),"
    " (SELECT count(*) FROM sessions other WHERE other.key = s.key) FROM sessions s"
)


def conditions(
    filters: Mapping[str, str],
    *,
    starred: bool | None = None,
    archived: bool | None = None,
    now: datetime | None = None,
) -> Condition:
    """The SQL condition on `s` (sessions) for filters by name (`FILTERS`, as in the search language; dates are about
    a session's last change). Raises `UsageError`."""
    found = [_filter(name, value, now) for name, value in filters.items()]
    for column, wanted in (("starred", starred), ("archived", archived)):
        if wanted is not None:
            found.append(Condition(f"s.{column} = ?", (int(wanted),), 0))
    sql = " AND ".join(condition.sql for condition in found)
    return Condition(sql or "1", tuple(value for condition in found for value in condition.values), 0)


def _filter(name: str, value: str, now: datetime | None) -> Condition:
    if name not in FILTERS:
        raise errors.UsageError(reason=f"sessions cannot be filtered by {name!r}, only by {', '.join(FILTERS)}")
    if name in ("before", "after", "on"):
        return _dated(name, value, now)
    if name == "model":
        return Condition("s.models LIKE '%' || ? || '%'", (value,), 0)
    if name == "tool":
        sql = "EXISTS (SELECT 1 FROM tool_calls t WHERE t.session_id = s.id AND t.name = ? COLLATE NOCASE)"
        return Condition(sql, (value,), 0)
    return named(name, value)


def _dated(name: str, value: str, now: datetime | None) -> Condition:
    from sessionstore.index.dates import span

    try:
        first, last = span(value, now)
    except ValueError as error:
        raise errors.UsageError(reason=str(error)) from None
    if name == "before":
        return Condition("(s.sorted_at <> '' AND s.sorted_at < ?)", (first,), 0)
    if name == "after":
        return Condition("s.sorted_at >= ?", (first,), 0)
    return Condition("s.sorted_at >= ? AND s.sorted_at < ?", (first, last), 0)


def list_sessions(
    connection: sqlite3.Connection,
    filters: Mapping[str, str] | None = None,
    limit: int = 20,
    offset: int = 0,
    sort: str = "recent",
    *,
    starred: bool | None = None,
    archived: bool | None = False,
    now: datetime | None = None,
) -> list[Session]:
    """Sessions that pass the filters, in an order of `SORTS`. Archived ones are left out unless `archived` is True
    (only those) or None (all). A session with two heads is listed twice, with `heads` 2. Raises `UsageError`."""
    if sort not in SORTS:
        raise errors.UsageError(reason=f"sessions are sorted by one of {', '.join(SORTS)}, not by {sort!r}")
    where = conditions(filters or {}, starred=starred, archived=archived, now=now)
    sql = f"{_SELECT} WHERE {where.sql} ORDER BY {SORTS[sort]} LIMIT ? OFFSET ?"
    return [_session(row) for row in connection.execute(sql, (*where.values, limit, offset))]


def resolve(connection: sqlite3.Connection, name: str) -> list[Session]:
    """The sessions that `name` may mean: a key, a native id, an alias, the beginning of a key or native id, or
    ``@last`` (the one changed last). The first of these that fits decides; the heads of one session come together,
    the latest first. None when nothing fits."""
    if name == "@last":
        rows = connection.execute(f"{_SELECT} ORDER BY s.sorted_at DESC, s.id DESC LIMIT 1").fetchall()
        return [_session(row) for row in rows]
    text = name.encode("utf-8", "replace").decode()
    attempts: list[tuple[str, tuple[str, ...]]] = [
        ("s.key = ?", (text,)),
        ("s.native_id = ?", (text,)),
        ("s.id IN (SELECT session_id FROM aliases WHERE alias = ?)", (text,)),
    ]
    if len(text) >= PREFIX:
        end = text + "\U0010ffff"
        attempts.append(("(s.key BETWEEN ? AND ? OR s.native_id BETWEEN ? AND ?)", (text, end, text, end)))
    for condition, values in attempts:
        sql = f"{_SELECT} WHERE {condition} ORDER BY s.sorted_at DESC, s.id DESC"
        if rows := connection.execute(sql, values).fetchall():
            return [_session(row) for row in rows]
    return []


def find(connection: sqlite3.Connection, name: str) -> list[Session]:
    """The heads of the one session that `name` means, latest first. Raises `NotFound` or `Ambiguous`."""
    found = resolve(connection, name)
    if not found:
        raise errors.NotFound(name=name)
    keys = list(dict.fromkeys(session["key"] for session in found))
    shortest = min(keys, key=len)
    if all(key.startswith(f"{shortest}/") for key in keys if key != shortest):
        # The others are its own sub-agents, whose ids begin with its id: who abbreviates means the session.
        return [session for session in found if session["key"] == shortest]
    if len(keys) > 1:
        more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        raise errors.Ambiguous(name=name, candidates=", ".join(keys[:5]) + more)
    return found


def _session(row: tuple[Any, ...]) -> Session:
    found: Session = dict(zip(_PLAIN, row, strict=False))
    time, models, issues, starred, archived, estimated, *rest = row[len(_PLAIN) :]
    roles, usage, (tags, aliases, heads) = rest[:4], rest[4:10], rest[10:]
    found["time"] = time or None
    found["models"] = orjson.loads(models) if models else []
    found["issues"] = orjson.loads(issues) if issues else []
    found["by_role"] = {role: n for role, n in zip(_ROLES, roles, strict=True) if n}
    found["usage"] = {name: n for name, n in zip(USAGE, usage, strict=True) if n}
    if estimated:
        found["usage"]["estimated"] = True
    found["starred"], found["archived"] = bool(starred), bool(archived)
    found["tags"], found["aliases"] = sorted(orjson.loads(tags)), sorted(orjson.loads(aliases))
    found["heads"] = heads
    return found

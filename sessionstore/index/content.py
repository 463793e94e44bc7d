"""The statements that put a session's rows into the index and take them out. Only `writer` calls them.

Words go to the full-text tables row by row, beside their content and without triggers. While loading, no statement
is used that changes many rows and may fail half-way: SQLite would open a savepoint for it, and FTS5 answers every
savepoint by writing out all the words it has gathered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from sessionstore import errors
from sessionstore.index import entry
from sessionstore.index.rows import DIGEST, LINKS, ROW, TEXT, Row, fit
from sessionstore.index.schema import SEQ, SHIFT, put
from sessionstore.notes import in_force

SEGMENT_BYTES = 56 << 20
"""About how many bytes of messages fill FTS5's memory, which then becomes a segment of the full-text index."""
MANY_SEGMENTS, TOO_MANY_SEGMENTS = 64, 256
"""From so many segments on, every commit merges a little, or a lot."""
_MERGED, _MERGED_AT_MOST = 64, 4096

_TEXTS = ROW[TEXT:]
_ADD_MESSAGE = f"INSERT INTO messages (id, session_id, {', '.join(ROW)}) VALUES ({', '.join('?' * (len(ROW) + 2))})"
_ADD_WORDS = f"INSERT INTO messages_fts (rowid, {', '.join(_TEXTS)}) VALUES (?, {', '.join('?' * len(_TEXTS))})"
_DROP_WORDS = (
    f"INSERT INTO messages_fts (messages_fts, rowid, {', '.join(_TEXTS)})"
    f" SELECT 'delete', id, {', '.join(_TEXTS)} FROM messages WHERE id BETWEEN ? AND ?"
)
_ADD_SESSION = (
    f"INSERT INTO sessions (id, {', '.join(entry.COLUMNS)}, digest, change_seq)"
    f" VALUES (?, {', '.join('?' * len(entry.COLUMNS))}, ?, ?)"
)
_ADD_CALL = (
    "INSERT INTO tool_calls (session_id, message_id, call_id, name, result_id, is_error) VALUES (?, ?, ?, ?, ?, ?)"
)
_ADD_FILE = "INSERT INTO files_touched (session_id, message_id, path, action) VALUES (?, ?, ?, ?)"
_ANSWER_CALL = "UPDATE tool_calls SET result_id = ?, is_error = ? WHERE session_id = ? AND call_id = ?"


def add_messages(
    connection: sqlite3.Connection, session: int, start: int, batches: Iterable[Sequence[Row]], count: int, name: str
) -> int | None:
    """Insert the rows of a session from number `start` on, until it has `count` messages. Returns the sum of their
    digests, or None, with nothing changed, when the first rows are missing. Raises `RevisionCorrupt` (of revision
    `name`) when the rows do not come to `count`, and whatever `batches` raises; then nothing of them is kept."""
    links: list[tuple[int, Any]] = []
    base, position, content = session << SHIFT, start, 0
    many = connection.executemany
    try:
        for given in batches:
            rows = given if not given or given[0][0] >= position else [row for row in given if row[0] >= position]
            if not rows:
                continue
            if rows[0][0] != position:
                if position == start:
                    return None
                break
            position += len(rows)
            many(_ADD_MESSAGE, [(base | row[0], session, *row[:LINKS]) for row in rows])
            many(_ADD_WORDS, [(base | row[0], *row[TEXT:LINKS]) for row in rows])
            content += sum([row[DIGEST] for row in rows])
            links += [(base | row[0], row[LINKS]) for row in rows if row[LINKS]]
        if position != count:
            raise errors.RevisionCorrupt(name=name, reason=f"it states {count} messages, and {position} can be read")
    except sqlite3.Error:
        raise
    except BaseException:
        drop_messages(connection, session, start)
        raise
    _add_links(connection, session, links)
    return content


def _add_links(connection: sqlite3.Connection, session: int, links: list[tuple[int, Any]]) -> None:
    """Enter tool calls with their results and files; a result may answer a call that was entered earlier."""
    calls: list[list[Any]] = []
    files: list[tuple[int, int, str, str]] = []
    by_id: dict[str, list[Any]] = {}
    for number, (called, answered, touched) in links:
        files += [(session, number, path, action) for path, action in touched]
        for call_id, name in called:
            call = [session, number, call_id, name, None, None]
            calls.append(call)
            by_id[call_id] = call
        for call_id, failed in answered:
            if call_id in by_id:
                by_id[call_id][4:] = number, failed
            else:
                connection.execute(_ANSWER_CALL, (number, failed, session, call_id))
    connection.executemany(_ADD_CALL, calls)
    if files:
        connection.executemany(_ADD_FILE, files)


def drop_messages(connection: sqlite3.Connection, session: int, start: int = 0) -> None:
    """Remove a session's messages from number `start` on."""
    span = (session << SHIFT | start, session << SHIFT | SEQ)
    connection.execute(_DROP_WORDS, span)
    connection.execute("DELETE FROM messages WHERE id BETWEEN ? AND ?", span)
    for table in ("tool_calls", "files_touched"):
        connection.execute(f"DELETE FROM {table} WHERE session_id = ? AND message_id BETWEEN ? AND ?", (session, *span))


def add_session(
    connection: sqlite3.Connection,
    session: int,
    values: Mapping[str, Any],
    tags: Sequence[str],
    aliases: Sequence[str],
    change_seq: int,
) -> int:
    """Insert the row of a session with everything that hangs on it but messages; returns its digest."""
    digest = entry.digest(values.values(), tags, aliases)
    connection.execute(_ADD_SESSION, (session, *values.values(), digest, change_seq))
    connection.execute(
        "INSERT INTO sessions_fts (rowid, title, cjk) VALUES (?, ?, ?)", (session, values["title"], values["cjk"])
    )
    if tags:
        connection.executemany("INSERT INTO tags (session_id, tag) VALUES (?, ?)", [(session, tag) for tag in tags])
    if aliases:
        pairs = [(session, alias) for alias in aliases]
        connection.executemany("INSERT INTO aliases (session_id, alias) VALUES (?, ?)", pairs)
    return digest


def drop_session(connection: sqlite3.Connection, session: int) -> int:
    """Remove what `add_session` inserted; returns the digest it had (0 when there is no such row)."""
    row = connection.execute("SELECT digest, title, cjk FROM sessions WHERE id = ?", (session,)).fetchone()
    if row is None:
        return 0
    digest, title, cjk = row
    connection.execute(
        "INSERT INTO sessions_fts (sessions_fts, rowid, title, cjk) VALUES ('delete', ?, ?, ?)", (session, title, cjk)
    )
    connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
    connection.execute("DELETE FROM tags WHERE session_id = ?", (session,))
    connection.execute("DELETE FROM aliases WHERE session_id = ?", (session,))
    return int(digest)


def sessions_of(connection: sqlite3.Connection, key: str) -> list[tuple[int, dict[str, Any], list[str]]]:
    """The heads of a session that are shown: number, values of `entry.COLUMNS`, aliases."""
    found = []
    query = f"SELECT id, {', '.join(entry.COLUMNS)} FROM sessions WHERE key = ?"
    for session, *values in connection.execute(query, (key,)).fetchall():
        aliases = connection.execute("SELECT alias FROM aliases WHERE session_id = ?", (session,))
        names = sorted(alias for (alias,) in aliases)
        found.append((session, dict(zip(entry.COLUMNS, values, strict=True)), names))
    return found


def add_name(connection: sqlite3.Connection, name: str, session: int | None) -> None:
    """Enter a revision's name, with the session that shows it."""
    sql = (
        "INSERT INTO revisions (name, session_id) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET session_id = excluded.session_id"
    )
    connection.execute(sql, (name, session))


def add_source(connection: sqlite3.Connection, source: str, importer: Any) -> None:
    """Enter a source, once."""
    name, version = (importer.get("name"), importer.get("version")) if isinstance(importer, dict) else (None, None)
    connection.execute(
        "INSERT OR IGNORE INTO sources (name, importer, importer_version) VALUES (?, ?, ?)",
        (source, fit(str(name)) if name else None, version if type(version) is int else None),
    )


def notes_of(connection: sqlite3.Connection, key: str) -> dict[str, Any]:
    """The notes in force for a session, by field."""
    found = connection.execute("SELECT name, field, value, time FROM notes WHERE key = ?", (key,)).fetchall()
    if not found:
        return {}
    return in_force(
        {"_name": name, "field": field, "value": orjson.loads(value), "time": time or ""}
        for name, field, value, time in found
    )


def add_note(connection: sqlite3.Connection, name: str, note: Mapping[str, Any]) -> None:
    """Enter a note."""
    value, time = orjson.dumps(note["value"]).decode(), note.get("time")
    connection.execute(
        "INSERT OR REPLACE INTO notes (name, key, field, value, time) VALUES (?, ?, ?, ?, ?)",
        (name, fit(note["key"]), fit(note["field"]), fit(value), fit(time) if time else None),
    )


def drop_note(connection: sqlite3.Connection, name: str) -> str | None:
    """Remove a note; returns the key of its session."""
    row = connection.execute("SELECT key FROM notes WHERE name = ?", (name,)).fetchone()
    connection.execute("DELETE FROM notes WHERE name = ?", (name,))
    return row[0] if row else None


def merge(connection: sqlite3.Connection, segments: int) -> int:
    """When the full-text index has about `segments` segments and these are too many, merge a bounded number of
    pages of them, so that searches need to look into few. Returns how many there are by then."""
    if segments < MANY_SEGMENTS:
        return segments
    before = connection.total_changes
    pages = _MERGED if segments < TOO_MANY_SEGMENTS else _MERGED_AT_MOST
    connection.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('merge', ?)", (pages,))
    if connection.total_changes - before >= 2:
        return segments
    put(connection, "segments", 0)
    return 0


def rewrite(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, so that nothing of what was removed is left in it."""
    for table in ("messages_fts", "sessions_fts"):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

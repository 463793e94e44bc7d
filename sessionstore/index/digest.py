"""The digest of the index: what it says, whatever the order it was told in and whatever rows it is kept in.

The writer keeps it up to date by adding and subtracting; computing it anew from every row must give the same. Two
indexes of the same store therefore have the same digest, one kept up to date for years and one just rebuilt.
"""

from __future__ import annotations

import sqlite3

from sessionstore.index import entry
from sessionstore.index.rows import ROW, digest_of
from sessionstore.index.schema import SHIFT


def digest(connection: sqlite3.Connection) -> str:
    """The digest computed from every row, as 16 hexadecimal digits."""
    contents: dict[int, int] = {}
    for number, *row in connection.execute(f"SELECT id, {', '.join(ROW)} FROM messages ORDER BY id"):
        session = number >> SHIFT
        contents[session] = contents.get(session, 0) + digest_of(tuple(row))
    total = 0
    for session, *values in connection.execute(f"SELECT id, {', '.join(entry.COLUMNS)} FROM sessions").fetchall():
        values[entry.CONTENT] = contents.pop(session, 0) % entry.MODULUS
        total += entry.digest(values, _names(connection, "tag", session), _names(connection, "alias", session))
    if contents:
        return "messages without a session"
    return f"{total % entry.MODULUS:016x}"


def _names(connection: sqlite3.Connection, kind: str, session: int) -> list[str]:
    table = {"tag": "tags", "alias": "aliases"}[kind]
    return [name for (name,) in connection.execute(f"SELECT {kind} FROM {table} WHERE session_id = ?", (session,))]

"""What a hit of a search is: the plain data that the command line and other programs are given."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from sessionstore.index.plan import EVERYWHERE
from sessionstore.index.schema import SEQ, SHIFT
from sessionstore.index.snippet import SHORT, Highlighter, plain

if TYPE_CHECKING:
    from sessionstore.index.pattern import Spot

Hit = dict[str, Any]

_SESSION = {
    "key": "key",
    "revision": "revision",
    "title": "title",
    "source": "source",
    "project": "project",
    "branch": "branch",
    "models": "models",
    "session_time": "sorted_at",
}


def session(connection: sqlite3.Connection, number: int, highlighter: Highlighter) -> Hit:
    """What every hit of a session has in common."""
    sql = f"SELECT {', '.join(_SESSION.values())} FROM sessions WHERE id = ?"
    found: Hit = dict(zip(_SESSION, connection.execute(sql, (number,)).fetchone(), strict=True))
    found["models"] = orjson.loads(found["models"]) if found["models"] else []
    found["title_marks"] = highlighter.marks(found["title"] or "")
    return found


def of_title(session: Hit, score: float, part: str = "title") -> Hit:
    """A session found by its title or its id alone."""
    return {
        **session,
        "message": None,
        "seq": None,
        "role": None,
        "kind": None,
        "model": None,
        "time": session["session_time"],
        "part": part,
        "snippet": session["title"] or "",
        "marks": session["title_marks"],
        "link": session["key"],
        "score": round(score, 6),
        "matches": 0,
        "also_in": [],
    }


def of_message(
    connection: sqlite3.Connection,
    session: Hit,
    number: int,
    score: float,
    highlighter: Highlighter,
    spots: Sequence[Spot],
    columns: Sequence[str],
) -> Hit:
    """A message that was found, by its row number; `spots` are where the patterns were found in its `columns`."""
    sql = f"SELECT message_id, seq, role, kind, model, time, {', '.join(columns)} FROM messages WHERE id = ?"
    message, seq, role, kind, model, time, *texts = connection.execute(sql, (number,)).fetchone()
    if spots:
        highlighter = highlighter.also([texts[spot.text][spot.start : spot.end] for spot in spots])
    part, place = highlighter.best(texts)
    if spots and not highlighter.patterns:
        part, place = spots[0].text, spots[0].start
    snippet, marks = highlighter.snippet(texts[part] or "", place)
    return {
        **session,
        "message": message,
        "seq": seq,
        "role": role,
        "kind": kind,
        "model": model,
        "time": time or session["session_time"],
        "part": columns[part],
        "snippet": snippet,
        "marks": marks,
        "link": f"{session['key']}#{message}",
        "score": round(score, 6),
    }


def around(connection: sqlite3.Connection, number: int, context: int) -> Hit:
    """The messages before and after one, as far as its session goes: bookkeeping left out."""
    session, seq = number >> SHIFT, number & SEQ
    texts = ", ".join(f"substr({column}, 1, {SHORT})" for column in EVERYWHERE)
    found: Hit = {}
    for name, sign, order in (("before", "<", "DESC"), ("after", ">", "ASC")):
        sql = (
            f"SELECT message_id, seq, role, kind, time, {texts} FROM messages"
            f" WHERE session_id = ? AND seq {sign} ? AND coalesce(kind, '') NOT IN ('meta', 'context')"
            f" ORDER BY seq {order} LIMIT ?"
        )
        rows = connection.execute(sql, (session, seq, context)).fetchall()
        messages = [dict(zip(("message", "seq", "role", "kind", "time"), row, strict=False)) for row in rows]
        for message, row in zip(messages, rows, strict=True):
            message["text"] = plain(next((text for text in row[5:] if text), ""))
        found[name] = messages[::-1] if sign == "<" else messages
    return found

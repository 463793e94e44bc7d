"""What a hit of a search is: the plain data that the command line and other programs are given."""

from __future__ import annotations

import sqlite3
from typing import Any

from sessionstore.index.snippet import Highlighter

Hit = dict[str, Any]

_PARTS = ("text", "reasoning", "tool_input", "tool_output")
_SESSION = {
    "key": "key",
    "revision": "revision",
    "title": "title",
    "source": "source",
    "project": "project",
    "branch": "branch",
    "session_time": "sorted_at",
}


def session(connection: sqlite3.Connection, number: int, highlighter: Highlighter) -> Hit:
    """What every hit of a session has in common."""
    sql = f"SELECT {', '.join(_SESSION.values())} FROM sessions WHERE id = ?"
    found: Hit = dict(zip(_SESSION, connection.execute(sql, (number,)).fetchone(), strict=True))
    found["title_marks"] = highlighter.marks(found["title"] or "")
    return found


def of_title(session: Hit, score: float) -> Hit:
    """A session found by its title alone."""
    return {
        **session,
        "message": None,
        "seq": None,
        "role": None,
        "kind": None,
        "model": None,
        "time": session["session_time"],
        "part": "title",
        "snippet": session["title"] or "",
        "marks": session["title_marks"],
        "link": session["key"],
        "score": round(score, 6),
        "matches": 0,
    }


def of_message(
    connection: sqlite3.Connection,
    session: Hit,
    number: int,
    score: float,
    highlighter: Highlighter,
    matches: int | None,
) -> Hit:
    """A message that was found, by its row number."""
    sql = f"SELECT message_id, seq, role, kind, model, time, {', '.join(_PARTS)} FROM messages WHERE id = ?"
    message, seq, role, kind, model, time, *texts = connection.execute(sql, (number,)).fetchone()
    part, place = highlighter.best(texts)
    snippet, marks = highlighter.snippet(texts[part] or "", place)
    return {
        **session,
        "message": message,
        "seq": seq,
        "role": role,
        "kind": kind,
        "model": model,
        "time": time or session["session_time"],
        "part": _PARTS[part],
        "snippet": snippet,
        "marks": marks,
        "link": f"{session['key']}#{message}",
        "score": round(score, 6),
        "matches": matches,
    }

"""Writes the fixtures of the crush format: a project of Crush, and one of the older opencode in Go."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

START = 1_770_000_000
SESSIONS = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, parent_session_id TEXT, title TEXT NOT NULL,
  message_count INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
  completion_tokens INTEGER NOT NULL DEFAULT 0, cost REAL NOT NULL DEFAULT 0.0, updated_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL, summary_message_id TEXT);
CREATE TABLE files (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, path TEXT NOT NULL, content TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
"""
MESSAGES = """
CREATE TABLE messages (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, role TEXT NOT NULL,
  parts TEXT NOT NULL default '[]', model TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  finished_at INTEGER{more});
"""
CALL = {"id": "toolu_1", "name": "agent", "input": '{"prompt":"Count."}', "type": "function", "finished": True}
ROWS: list[tuple[str, str, str, Any]] = [
    ("a1", "s-1", "user", [("text", {"text": "How many books? 书"}), ("finish", {"reason": "stop", "time": 0})]),
    (
        "a2",
        "s-1",
        "assistant",
        [
            ("reasoning", {"thinking": "A sub-agent counts.", "signature": "c2ln", "started_at": START}),
            ("text", {"text": "Counting."}),
            ("tool_call", CALL),
            ("finish", {"reason": "tool_use", "time": START + 2}),
        ],
    ),
    (
        "a3",
        "s-1",
        "tool",
        [("tool_result", {"tool_call_id": "toolu_1", "name": "", "content": "two", "is_error": False})],
    ),
    ("a4", "s-1", "assistant", [("text", {"text": "Two."}), ("finish", {"reason": "end_turn", "time": START + 3})]),
    ("b1", "toolu_1", "user", [("text", {"text": "Count."})]),
    ("b2", "toolu_1", "tool", [("tool_result", {"tool_call_id": "t", "content": "no", "is_error": True})]),
    ("b3", "toolu_1", "assistant", [("hologram", {"of": "a book"}), ("text", {"text": "two"})]),
]


def fill(path: Path, more: str) -> None:
    """Write one database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.executescript(SESSIONS + MESSAGES.format(more=more))
    row = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    base.execute(row, ("s-1", None, "Books", 4, 1200, 30, 0.25, START + 3, START, None))
    base.execute(row, ("toolu_1", "s-1", "New Agent Session", 3, 0, 0, 0.0, START + 2, START + 1, None))
    base.execute("INSERT INTO files VALUES ('f1', 's-1', '/home/ann/shelf.txt', 'two', 0, ?, ?)", (START, START))
    for number, (ident, session, role, parts) in enumerate(ROWS):
        text = json.dumps([{"type": kind, "data": data} for kind, data in parts])
        values = [ident, session, role, text, "large-1" if role == "assistant" else "", START + number, START + number]
        values += [None] + (["anthropic" if role == "assistant" else "", int(ident == "a4")] if more else [])
        base.execute(f"INSERT INTO messages VALUES ({', '.join('?' * len(values))})", values)
    base.commit()
    base.execute("VACUUM")
    base.close()


def make(target: Path) -> None:
    """Write the fixtures below a directory."""
    fill(target / "shelf" / ".crush" / "crush.db", ", provider TEXT, is_summary_message INTEGER DEFAULT 0 NOT NULL")
    fill(target / "lamp" / ".opencode" / "opencode.db", "")

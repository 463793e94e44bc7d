"""Writes the fixtures of the goose format: a database, and a log of the time before."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

START = 1_770_000_000
SCHEMA = """
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
  user_set_name BOOLEAN DEFAULT FALSE, session_type TEXT NOT NULL DEFAULT 'user', working_dir TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  extension_data TEXT DEFAULT '{}', total_tokens INTEGER, accumulated_total_tokens INTEGER, recipe_json TEXT);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT NOT NULL,
  role TEXT NOT NULL, content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL,
  timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER, metadata_json TEXT);
"""
VISIBLE = {"userVisible": True, "agentVisible": True}
CALL = {"status": "success", "value": {"name": "developer__shell", "arguments": {"command": "wc -l shelf.txt"}}}
SAID: list[tuple[str, Any, Any]] = [
    ("user", [{"type": "text", "text": "How many books? 书"}], VISIBLE),
    (
        "assistant",
        [
            {"type": "thinking", "thinking": "Count.", "signature": "c2ln"},
            {"type": "redactedThinking", "data": "b3BhcXVl"},
            {"type": "text", "text": "Counting."},
            {"type": "toolRequest", "id": "t1", "toolCall": CALL},
            {"type": "toolRequest", "id": "t2", "toolCall": {"status": "error", "error": "no such tool"}},
        ],
        {"userVisible": True, "agentVisible": False},
    ),
    (
        "user",
        [
            {
                "type": "toolResponse",
                "id": "t1",
                "toolResult": {"status": "success", "value": [{"type": "text", "text": "2"}]},
            },
            {"type": "toolResponse", "id": "t2", "toolResult": {"status": "error", "error": "no such tool"}},
        ],
        VISIBLE,
    ),
    ("assistant", [{"type": "conversationCompacted", "msg": "Books were counted."}], VISIBLE),
    (
        "assistant",
        [{"type": "text", "text": "Two."}, {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}],
        None,
    ),
]


def make(target: Path) -> None:
    """Write the fixtures below a directory."""
    place = target / ".local" / "share" / "goose" / "sessions"
    place.mkdir(parents=True, exist_ok=True)
    path = place / "sessions.db"
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.executescript(SCHEMA)
    written = "2026-02-02 02:40:00"
    base.execute("INSERT INTO schema_version VALUES (6, ?)", (written,))
    row = "INSERT INTO sessions VALUES (?, ?, '', 0, 'user', ?, ?, ?, ?, 900, 1800, ?)"
    base.execute(row, ("20260202_1", "Books", "/home/ann/shelf-app", written, written, '{"todo": "none"}', None))
    base.execute(row, ("20260202_2", "Empty", "/home/ann/lamp", written, written, "{}", '{"title": "Lamps"}'))
    row = "INSERT INTO messages VALUES (NULL, ?, '20260202_1', ?, ?, ?, ?, NULL, ?)"
    for number, (role, content, about) in enumerate(SAID):
        values = (role, json.dumps(content), START + number, written, json.dumps(about) if about else None)
        base.execute(row, (f"msg-{number}" if number else None, *values))
    base.commit()
    base.execute("VACUUM")
    base.close()
    about = {"working_dir": "/home/ann/lamp", "description": "Lamps", "message_count": 3, "total_tokens": 50}
    lines: list[Any] = [about]
    lines += [{"role": role, "created": START + n, "content": said} for n, (role, said, _) in enumerate(SAID[:3])]
    lines.append({"note": "an unknown line"})
    (place / "20250501_101112.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

"""Writes the fixtures of the openai-agents format: a plain session database and an advanced one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

PLAIN = """
CREATE TABLE {sessions} (session_id TEXT PRIMARY KEY, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE {messages} (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, message_data TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  FOREIGN KEY (session_id) REFERENCES {sessions} (session_id) ON DELETE CASCADE);
"""
ADVANCED = """
CREATE TABLE message_structure (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
  message_id INTEGER NOT NULL, branch_id TEXT NOT NULL DEFAULT 'main', message_type TEXT NOT NULL,
  sequence_number INTEGER NOT NULL, user_turn_number INTEGER, branch_turn_number INTEGER, tool_name TEXT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE turn_usage (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
  branch_id TEXT NOT NULL DEFAULT 'main', user_turn_number INTEGER NOT NULL, requests INTEGER DEFAULT 0,
  input_tokens INTEGER DEFAULT 0, output_tokens INTEGER DEFAULT 0, total_tokens INTEGER DEFAULT 0,
  input_tokens_details JSON, output_tokens_details JSON, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  UNIQUE(session_id, branch_id, user_turn_number));
CREATE TABLE branch_reservations (session_id TEXT NOT NULL, branch_id TEXT NOT NULL,
  PRIMARY KEY (session_id, branch_id));
"""
PNG = "data:image/png;base64,iVBORw0KGgo="
ITEMS: list[Any] = [
    {"role": "developer", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is 6 times 7? \N{SNOWMAN}"},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
            {"type": "input_image", "image_url": "https://example.org/a.png"},
            {"type": "input_file", "file_id": "file-1"},
        ],
    },
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Sixes"}, {"type": "summary_text", "text": "and sevens"}],
        "encrypted_content": "b3BhcXVl",
    },
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "multiply", "arguments": '{"a":6,"b":7}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "42"}},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "42", "annotations": []},
            {"type": "refusal", "refusal": "No more."},
        ],
    },
]
OTHERS: list[Any] = [
    {"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "gAAAA"},
    [1],
    {"type": "message", "role": "?"},
]


def fill(connection: sqlite3.Connection, sessions: str, messages: str, said: list[tuple[str, Any]]) -> None:
    """Sessions and their items."""
    for name in dict.fromkeys(name for name, _ in said):
        row = (name, "2026-03-01 10:00:00", "2026-03-01 10:30:00")
        connection.execute(f"INSERT INTO {sessions} VALUES (?, ?, ?)", row)
    for number, (name, item) in enumerate(said, 1):
        row = (name, json.dumps(item), f"2026-03-01 10:{number:02}:00")
        connection.execute(f"INSERT INTO {messages} (session_id, message_data, created_at) VALUES (?, ?, ?)", row)


def plain(path: Path) -> None:
    """Two sessions in two pairs of tables, one of each name; items that were taken back; one without its session."""
    with sqlite3.connect(path) as connection:
        for names in (("agent_sessions", "agent_messages"), ("my_sessions", "my_messages")):
            connection.executescript(PLAIN.format(sessions=names[0], messages=names[1]))
        said = [("ada", item) for item in ITEMS] + [("bob", item) for item in OTHERS]
        fill(connection, "agent_sessions", "agent_messages", [*said, ("ada", {"role": "user", "content": "again"})])
        fill(connection, "my_sessions", "my_messages", [("ada", {"role": "user", "content": "elsewhere"})])
        connection.execute("DELETE FROM agent_messages WHERE id = 6")
        connection.execute("DELETE FROM agent_sessions WHERE session_id = 'bob'")
        connection.execute("INSERT INTO agent_sessions VALUES ('empty', 'x', '2026-03-01 11:00:00')")
    connection.close()


def advanced(path: Path) -> None:
    """A session of two turns, the second of which was asked anew in a branch."""
    said: list[tuple[str, Any]] = [
        ("ada", {"role": role, "content": content})
        for role, content in (
            ("user", "First"),
            ("assistant", "One"),
            ("user", "Second"),
            ("assistant", "Two"),
            ("user", "Second, anew"),
            ("assistant", "Two, anew"),
        )
    ]
    with sqlite3.connect(path) as connection:
        connection.executescript(PLAIN.format(sessions="agent_sessions", messages="agent_messages") + ADVANCED)
        fill(connection, "agent_sessions", "agent_messages", said)
        branches = {"main": [(1, 1), (2, 1), (3, 2), (4, 2)], "again": [(1, 1), (2, 1), (5, 2), (6, 2)]}
        for branch, entries in branches.items():
            connection.execute("INSERT INTO branch_reservations VALUES ('ada', ?)", (branch,))
            for sequence, (number, turn) in enumerate(entries, 1):
                connection.execute(
                    "INSERT INTO message_structure (session_id, message_id, branch_id, message_type, sequence_number,"
                    " user_turn_number, branch_turn_number) VALUES ('ada', ?, ?, 'user', ?, ?, ?)",
                    (number, branch, sequence, turn, turn),
                )
        for branch, turn, tokens in (("main", 1, 10), ("main", 2, 20), ("again", 2, 30), ("gone", 9, 40)):
            connection.execute(
                "INSERT INTO turn_usage (session_id, branch_id, user_turn_number, requests, input_tokens,"
                " output_tokens, input_tokens_details, output_tokens_details, created_at)"
                " VALUES ('ada', ?, ?, 1, ?, 5, ?, ?, ?)",
                (branch, turn, tokens, '{"cached_tokens": 4}', '{"reasoning_tokens": 2}', "2026-03-01 10:30:00"),
            )
        connection.execute("UPDATE message_structure SET created_at = '2026-03-01 10:30:00'")
    connection.close()


def make(target: Path) -> None:
    """Write the fixtures below a directory."""
    for name, write in (("agents_session.db", plain), ("advanced.db", advanced)):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write(path)

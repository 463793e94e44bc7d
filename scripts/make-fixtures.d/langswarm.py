"""Writes the fixtures of the langswarm format: databases and dumps as the two versions lay them out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VERSION_1 = """
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
  status TEXT NOT NULL, session_control TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  last_activity TEXT, metadata TEXT NOT NULL, history TEXT NOT NULL);
CREATE INDEX idx_user_id ON sessions(user_id);
CREATE INDEX idx_status ON sessions(status);
CREATE INDEX idx_updated_at ON sessions(updated_at);
"""
VERSION_2_SESSIONS = """
CREATE TABLE IF NOT EXISTS sessions (session_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, provider TEXT NOT NULL,
  model TEXT NOT NULL, backend TEXT NOT NULL, context_data TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
"""
VERSION_2_REST = """
CREATE TABLE IF NOT EXISTS session_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
  message_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, timestamp TIMESTAMP NOT NULL, metadata TEXT,
  provider_message_id TEXT, token_count INTEGER, finish_reason TEXT,
  FOREIGN KEY (session_id) REFERENCES sessions (session_id) ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS session_metrics (session_id TEXT PRIMARY KEY, message_count INTEGER DEFAULT 0,
  total_tokens INTEGER DEFAULT 0, session_duration REAL DEFAULT 0.0, last_activity TIMESTAMP,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX IF NOT EXISTS idx_sessions_user_id ON sessions(user_id);
CREATE INDEX IF NOT EXISTS idx_messages_session_id ON session_messages(session_id);
CREATE INDEX IF NOT EXISTS idx_messages_timestamp ON session_messages(timestamp);
"""


def message(number: int, role: str, content: str, **other: Any) -> dict[str, Any]:
    """A version 1 message with the fields its writer always writes."""
    return {
        "id": f"msg_{number:08x}",
        "role": role,
        "content": content,
        "timestamp": f"2025-07-08T10:{number:02}:00.914340",
        "metadata": {},
        "tool_calls": None,
        "tool_call_id": None,
        "provider_message_id": None,
    } | other


def session(name: str, messages: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    """A version 1 session: its metadata and its history."""
    metadata = {
        "user_id": "ada",
        "session_id": name,
        "provider": "openai",
        "model": "gpt-4o",
        "created_at": "2025-07-08T10:00:00.100000",
        "updated_at": "2025-07-08T10:20:00.200000",
        "status": "active",
        "session_control": "hybrid",
        "provider_thread_id": None,
        "provider_conversation_id": None,
        "provider_agent_id": None,
        "context_limit": None,
        "auto_truncate": True,
        "summarization_enabled": True,
        "message_count": len(messages),
        "total_tokens": 0,
        "last_activity": "2025-07-08T10:20:00.200000",
        "tags": [],
        "custom_metadata": {},
    } | other
    words = sum(len(entry["content"].split()) for entry in messages)
    history = {"session_id": name, "messages": messages, "summary": None, "total_tokens": words, "truncated_at": None}
    return {"metadata": metadata, "history": history}


CALL = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]
TALK = [
    message(1, "system", "Answer in one line."),
    message(2, "user", "What is the weather in Oslo? \N{SNOWMAN}"),
    message(3, "assistant", "", tool_calls=CALL),
    message(4, "tool", "4 degrees, rain", tool_call_id="c1"),
    message(5, "assistant", "Four degrees and rain.", provider_message_id="chatcmpl-1", metadata={"latency": 0.7}),
    message(6, "function", "ignored by most"),
]


def row_1(found: dict[str, Any], **columns: Any) -> tuple[Any, ...]:
    """A version 1 row; columns repeat the metadata unless they are given."""
    names = ("session_id", "user_id", "provider", "model", "status", "session_control", "created_at", "updated_at")
    values = {name: found["metadata"][name] for name in (*names, "last_activity")} | columns
    return (*values.values(), json.dumps(found["metadata"]), json.dumps(found["history"]))


def database(path: Path, *scripts: str, rows: dict[str, Iterable[tuple[Any, ...]]]) -> None:
    """A database made by scripts, with rows by table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        for script in scripts:
            connection.executescript(script)
        for table, values in rows.items():
            for value in values:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(value))})", value)
    connection.close()


def rows_1() -> list[tuple[Any, ...]]:
    """Three version 1 sessions: a whole one, a contradicting one, one without messages."""
    contradicting = session("session_0000beef", TALK[:2], session_id="session_0000dead", message_count=9)
    contradicting["history"]["truncated_at"] = "2025-07-08T10:19:00"
    contradicting["history"]["summary"] = "They spoke of the weather."
    empty = session("session_00000000", [], provider="anthropic", model="claude-3-opus")
    return [
        row_1(session("session_9e7c059d", TALK, tags=["travel"], custom_metadata={"team": "blue"})),
        row_1(contradicting, session_id="session_0000beef", status="archived", model="gpt-4o-mini"),
        row_1(empty),
    ]


def rows_2() -> dict[str, list[tuple[Any, ...]]]:
    """Version 2 tables: a session, one whose JSON names another, and leavings of two deleted ones."""

    def context(name: str, **other: Any) -> str:
        known = {"session_id": name, "user_id": "ada", "provider": "openai", "model": "gpt-4o"}
        rest = {"backend": "local_sqlite", "max_messages": 100, "auto_archive": True, "persist_messages": True}
        return json.dumps(known | rest | {"provider_session_id": None, "provider_context": {}} | other)

    def spoken(number: int, name: str, role: str, content: str, metadata: Any = None, *rest: Any) -> tuple[Any, ...]:
        time = "2025-10-03 11:59:00" if number == 7 else f"2025-10-03 12:{number:02}:00.123456"
        more = rest or (None, None, None)
        return (number, name, f"msg_{number:08x}", role, content, time, json.dumps(metadata or {}), *more)

    columns = ("ada", "openai", "gpt-4o", "local_sqlite")
    saved = ("2025-10-03 12:09:00", "2025-10-03 12:09:00")
    first, second, lost = "session_ada_0a1b2c3d", "session_ada_77777777", "session_ada_deadbeef"
    calls = {"tool_calls": CALL, "trace": "t-1"}
    return {
        "sessions": [
            (first, *columns, context(first, provider_session_id="thread_1"), *saved),
            (second, *columns, context("session_other", model="gpt-4.1", max_messages=2), *saved),
            ("session_ada_00000000", *columns, "not json", "2025-10-03 12:09:00.5", "soon"),
        ],
        "session_messages": [
            spoken(7, first, "user", "Later by its row, earlier by its time."),
            spoken(1, first, "system", "Be brief."),
            spoken(2, first, "user", "Plan a trip to Bergen."),
            spoken(3, first, "assistant", "", calls, "msg_p1", 31, "tool_calls"),
            spoken(4, first, "tool", "4 degrees", {"tool_call_id": "c1"}),
            spoken(5, first, "assistant", "Take the night train.", None, "msg_p2", 12, "stop"),
            spoken(11, second, "user", "One"),
            spoken(12, second, "assistant", "Two"),
            spoken(21, lost, "user", "I was deleted, my messages were not."),
            spoken(22, lost, "assistant", "They are orphans."),
        ],
        "session_metrics": [
            (first, 6, 43, 12.5, "2025-10-03 12:09:00.123456", "2025-10-03 12:09:00"),
            ("session_ada_gone", 2, 5, 1.0, "2025-10-03 12:09:00.123456", "2025-10-03 12:09:00"),
        ],
    }


def documents() -> list[dict[str, Any]]:
    """Documents of a vector store: one session, its search documents, and those of a session it has not."""

    def talk(asked: int, answered: int, name: str, user: str, agent: str) -> dict[str, Any]:
        ids = {"user_message_id": f"msg_{asked:08x}", "agent_message_id": f"msg_{answered:08x}"}
        said = {"type": "conversation", "session_id": name, "user_input": user, "agent_response": agent}
        return {
            "key": f"conversation:msg_{asked:08x}_msg_{answered:08x}",
            "text": f"{user} -> {agent}",
            "metadata": said | ids,
        }

    name, other = "session_9e7c059d", "session_1234abcd"
    return [
        {
            "key": f"session:{name}",
            "text": f"Session {name} for user ada",
            "metadata": {
                "type": "session",
                "session_id": name,
                "session_data": json.dumps(session(name, TALK)),
            },
        },
        talk(2, 5, name, TALK[1]["content"], TALK[4]["content"]),
        talk(80, 81, name, "Was I trimmed?", "Yes, from the session."),
        talk(1, 2, other, "Who am I?", "Somebody without a session document."),
        {
            "key": "message:msg_00000003",
            "text": "And then nobody answered.",
            "metadata": {"type": "message", "session_id": other, "user_input": "And then nobody answered."},
        },
        {
            "key": "session:session_broken00",
            "text": "Session",
            "metadata": {"type": "session", "session_data": "{oops"},
        },
    ]


def events() -> list[dict[str, Any]]:
    """Event rows: three states of one session, written out of order, and an event without a state."""

    def event(number: int, kind: str, time: str, data: Any) -> dict[str, Any]:
        known = {"event_id": f"e{number}", "session_id": "session_9e7c059d", "user_id": "ada", "event_type": kind}
        return known | {"event_timestamp": time, "session_data": data, "message_data": None, "metadata": "{}"}

    name = "session_9e7c059d"
    return [
        event(1, "session_created", "2025-09-08T08:00:00.000001", json.dumps(session(name, []))),
        event(3, "session_updated", "2025-09-08T08:20:00.000001", session(name, TALK)),
        event(2, "session_updated", "2025-09-08T08:10:00.000001", json.dumps(session(name, TALK[:2]))),
        event(4, "session_viewed", "2025-09-08T08:30:00.000001", None),
    ]


def make(target: Path) -> None:
    """Write all fixtures below a directory."""
    database(target / "version-1" / "langswarm_sessions.db", VERSION_1, rows={"sessions": rows_1()})
    database(target / "version-2" / "langswarm_sessions.db", VERSION_2_SESSIONS, VERSION_2_REST, rows=rows_2())
    both = target / "version-1-used-by-version-2" / "langswarm_sessions.db"
    database(both, VERSION_1, VERSION_2_SESSIONS, VERSION_2_REST, rows={"sessions": rows_1()[:1]})
    dumps = target / "documents"
    dumps.mkdir(parents=True, exist_ok=True)
    (dumps / "documents.json").write_text(json.dumps(documents(), indent=1) + "\n", "utf-8")
    (dumps / "documents.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in documents()), "utf-8")
    (dumps / "session_events.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in events()), "utf-8")

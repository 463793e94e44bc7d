"""Writes the fixtures of the kiro format: logs, a database, a saved conversation and a chat of the editor."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

START = 1_770_000_000_000
WHERE = "/home/ann/shelf-app"
LINES: list[Any] = [
    {
        "kind": "Prompt",
        "data": {"message_id": "p-1", "content": [{"kind": "text", "data": "How many books? 书"}]},
        "version": "v1",
    },
    {
        "kind": "AssistantMessage",
        "data": {
            "message_id": "a-1",
            "content": [
                {"kind": "text", "data": "Counting."},
                {"kind": "toolUse", "data": {"toolUseId": "t1", "name": "shell", "input": {"command": "wc"}}},
            ],
        },
    },
    {
        "kind": "ToolResults",
        "data": {
            "content": [
                {"kind": "toolResult", "data": {"toolUseId": "t1", "content": [{"text": "2"}], "status": "error"}},
                {"kind": "hologram", "data": 1},
            ],
            "results": {},
        },
    },
    {"kind": "Later", "data": {"unknown": True}},
]


def user(content: Any, **more: Any) -> dict[str, Any]:
    """A prompt."""
    return {"env_context": {"env_state": {"current_working_directory": WHERE}}, "content": content, **more}


def conversation(name: str) -> dict[str, Any]:
    """A conversation as the database has it."""
    called = {"message_id": "a-1", "content": "", "tool_uses": [{"id": "t1", "name": "shell", "args": {"x": 1}}]}
    result = {"tool_use_id": "t1", "content": [{"Text": "2"}], "status": "Success"}
    return {
        "conversation_id": name,
        "history": [
            {
                "user": user({"Prompt": {"prompt": "How many books?"}}, timestamp="2026-02-02T02:40:00+01:00"),
                "assistant": {"ToolUse": called},
                "request_metadata": {"stream_end_timestamp_ms": START, "model_id": "large-1"},
            },
            {
                "user": user({"ToolUseResults": {"tool_use_results": [result]}}),
                "assistant": {"Response": {"message_id": "a-2", "content": "Two."}},
                "request_metadata": {"stream_end_timestamp_ms": START + 5},
            },
            {"user": user({"Dance": {"step": 1}}), "assistant": {"Response": {"content": "?"}}},
        ],
        "transcript": ["> How many books?", "Two."],
        "next_message": None,
    }


def make(target: Path) -> None:
    """Write the fixtures below a directory."""
    cli = target / ".kiro" / "sessions" / "cli"
    shared = target / ".local" / "share" / "kiro-cli"
    editor = target / ".config" / "Kiro" / "User" / "globalStorage" / "kiro.kiroagent" / "0123abcd"
    for place in (cli, shared, editor):
        place.mkdir(parents=True, exist_ok=True)
    (cli / "k-1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    about = {"session_id": "k-1", "cwd": WHERE, "title": "Books", "created_at": "2026-02-02T02:40:00Z", "mode": "x"}
    (cli / "k-1.json").write_text(json.dumps(about, indent=1))
    path = shared / "data.sqlite3"
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.execute("PRAGMA page_size = 1024")
    base.execute(
        "CREATE TABLE conversations_v2 (key TEXT NOT NULL, conversation_id TEXT NOT NULL, value TEXT NOT NULL,"
        " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (key, conversation_id))"
    )
    base.execute("CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)")
    row = "INSERT INTO conversations_v2 VALUES (?, ?, ?, ?, ?)"
    base.execute(row, (WHERE, "k-2", json.dumps(conversation("k-2")), START, START + 9))
    base.execute(row, ("/home/ann/lamp", "k-2", json.dumps(conversation("k-2")), START + 1, START + 2))
    base.execute(row, (WHERE, "k-3", "not JSON", START + 2, START + 2))
    base.commit()
    base.execute("VACUUM")
    base.close()
    (shared / "saved.json").write_text(json.dumps(conversation("k-4"), indent=2))
    chat = [
        {"role": "human", "content": "# System Prompt"},
        {"role": "bot", "content": "I will follow these instructions."},
        {"role": "human", "content": "How many books?"},
        {"role": "tool", "content": "2"},
        {"role": "bot", "content": "Two."},
        {"role": "narrator", "content": "The end."},
    ]
    about = {"modelId": "large-1", "workflow": "act", "startTime": START, "endTime": START + 60_000}
    whole = {"executionId": "e-1", "actionId": "act", "chat": chat, "metadata": about, "context": []}
    (editor / "e-1.chat").write_text(json.dumps(whole))

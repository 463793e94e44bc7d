"""Writes the fixture of the langchain-sql format."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

CALL = {"name": "multiply", "args": {"a": 6, "b": 7}, "id": "call_1", "type": "tool_call"}
USED = {
    "input_tokens": 120,
    "output_tokens": 8,
    "total_tokens": 128,
    "input_token_details": {"cache_read": 100, "cache_creation": 5},
    "output_token_details": {"reasoning": 3},
}
OLD_CALL = {"function_call": {"name": "search", "arguments": '{"q": "birds"}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
THOUGHT = {"type": "thinking", "thinking": "Sixes and sevens.", "signature": "c2ln"}


def message(kind: str, content: Any, **data: Any) -> str:
    """A message as LangChain writes it."""
    known = {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": None,
        "id": None,
    }
    return json.dumps({"type": kind, "data": known | data})


def rows() -> list[tuple[str | None, str]]:
    """Two sessions that take turns, one without a name, and what is no message."""
    told = {"model_name": "gpt-4o-mini", "finish_reason": "tool_calls"}
    repeated = {"type": "tool_use", "id": "call_1", "name": "multiply", "input": {"a": 6, "b": 7}}
    return [
        ("ada", message("system", "Be brief.")),
        ("ada", message("human", [{"type": "text", "text": "What is on this? \N{SNOWMAN}"}, IMAGE], example=False)),
        ("bob", message("human", "Find birds")),
        (
            "ada",
            message(
                "ai",
                [THOUGHT, {"type": "text", "text": "Let me see."}, repeated],
                tool_calls=[CALL],
                invalid_tool_calls=[],
                usage_metadata=USED,
                response_metadata=told,
                id="run-1",
            ),
        ),
        ("bob", message("ai", "", additional_kwargs=OLD_CALL)),
        ("ada", message("tool", "42", tool_call_id="call_1", status="error", artifact={"raw": 42})),
        ("bob", message("function", "a wren", name="search")),
        ("ada", message("AIMessageChunk", "It is 42.", tool_calls=[], usage_metadata=None)),
        ("bob", message("chat", "Said by a pirate", role="pirate")),
        ("bob", message("chat", "Said by a user", role="user")),
        ("bob", message("remove", "", id="run-1")),
        ("bob", "not json"),
        (None, message("human", "Of no session")),
    ]


def make(target: Path) -> None:
    """Write the fixture below a directory."""
    target.mkdir(parents=True, exist_ok=True)
    path = target / "chat_history.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE message_store (id INTEGER NOT NULL, session_id TEXT, message TEXT, PRIMARY KEY (id))"
        )
        connection.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows())
    connection.close()

"""Writes event logs as icoder does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SESSION = "6f1d2c3b-0511-4a00-8000-000000000005"


def events(session: str) -> list[dict[str, Any]]:
    """The events of an answer with a tool."""
    billed = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 700,
        "output_tokens": 60,
        "service_tier": "standard",
    }
    return [
        {"type": "text_delta", "text": "Let me "},
        {"type": "text_delta", "text": "see."},
        {"type": "tool_use_start", "name": "Read", "args": {"file_path": "a.txt"}},
        {"type": "tool_result", "name": "Read", "output": "hello", "is_error": False},
        {"type": "text_delta", "text": "It says hello."},
        {"type": "done", "session_id": session, "usage": billed, "cost_usd": 0.0021, "result": "It says hello."},
    ]


def run() -> list[dict[str, Any]]:
    """A run of icoder: a command, two questions, a tool."""
    made: list[dict[str, Any]] = [
        {
            "event": "session_start",
            "provider": "claude",
            "mcp_coder_version": "0.1.20",
            "project_dir": "/home/ada/tinyshop",
            "mcp_servers": {"files": "1.0"},
            "session_id": SESSION,
        },
        {"event": "input_received", "text": "/help"},
        {"event": "command_matched", "command": "/help"},
        {"event": "output_emitted", "text": "Available commands:\n/help"},
        {"event": "input_received", "text": "What does a.txt say?"},
        {"event": "llm_request_start", "text": "What does a.txt say?"},
        *({"event": "stream_event"} | event for event in events(SESSION)),
        {"event": "llm_request_end"},
        {"event": "display_mode_changed", "mode": "compact"},
        {"event": "input_received", "text": "/review"},
        {"event": "llm_request_start", "text": "Review the last commit."},
        {"event": "stream_event", "type": "permission_warning", "message": "Bash is not allowed"},
        {"event": "stream_event", "type": "error", "message": "CLI failed with code 1"},
        {"event": "llm_request_end"},
    ]
    return [{"t": round(0.25 * number + 0.000125, 6)} | event for number, event in enumerate(made)]


def log(*events: dict[str, Any]) -> bytes:
    """Events one a line, as `json.dumps` writes them."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format: a run, one that breaks off, an old one."""
    made = {
        "logs/icoder_2026-05-11T10-00-00-123456.jsonl": log(*run()),
        "logs/icoder_2026-05-11T10-00-00-123456-2.jsonl": log(
            {"t": 1.5e-05, "event": "session_start", "provider": "langchain"},
            {"t": 1, "event": "input_received", "text": "Hi"},
            {"t": 1.5, "event": "llm_request_start", "text": "Hi"},
            {"t": 2, "event": "stream_event", "type": "text_delta", "text": "Hel"},
            {"t": 2.5, "event": "stream_event", "type": "text_delta", "text": "lo"},
        ),
        "logs/icoder_2026-03-29T14-30-00.jsonl": log(
            {"t": 0.0, "event": "input_received", "text": "Hi"},
            {"t": 0.5, "event": "stream_event", "type": "text_delta", "text": "Hello"},
            {"t": 0.75, "event": "stream_event", "type": "done", "usage": {"input_tokens": 2, "output_tokens": 1}},
        ),
    }
    for name, data in made.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / Path(__file__).stem)

"""Write the fixtures of mcp-cli as its own code lays them out: two-space JSON, rewritten on every save."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SYSTEM = {"role": "system", "content": "You have tools for the garden's sensors."}
CALL = {"id": "call_7Gq", "type": "function", "function": {"name": "read_sensor", "arguments": '{"bed": "herbs"}'}}
TALK: list[dict[str, Any]] = [
    SYSTEM,
    {"role": "user", "content": "Is the herb bed dry? 🌿"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "name": "read_sensor", "content": '{"moisture": 0.12}', "tool_call_id": "call_7Gq"},
    {"role": "assistant", "content": "Yes: 12 %. Water it.", "reasoning_content": "Below 20 % is dry."},
]
USAGE = {"total_input": 412, "total_output": 31, "total_tokens": 443, "turn_count": 2}


def session(session_id: str, messages: list[dict[str, Any]], agent: str | None, saved: str) -> dict[str, Any]:
    """A saved session. `created_at` is that of the save, as the program writes it."""
    metadata: dict[str, Any] = {"session_id": session_id}
    if agent is not None:
        metadata["agent_id"] = agent
    metadata |= {
        "created_at": f"{saved}.123456+00:00",
        "updated_at": f"{saved}.123999+00:00",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "message_count": len(messages),
        "description": "",
    }
    return {"metadata": metadata, "messages": messages, "token_usage": USAGE if len(messages) > 3 else None}


def long_talk() -> list[dict[str, Any]]:
    """As many messages as the program keeps, and the system prompt."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"Turn {n + 41}"} for n in range(200)]
    return [SYSTEM, *turns]


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format."""
    pictures = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What grows here?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ],
    }
    answer = {"role": "assistant", "content": "Thyme."}
    sessions = {
        "sessions/chat-0a1b2c3d4e5f.json": session("chat-0a1b2c3d4e5f", TALK, None, "2026-02-20T10:00:00"),
        "sessions/default/chat-5f4e3d2c1b0a.json": session(
            "chat-5f4e3d2c1b0a", [SYSTEM, pictures, answer], "default", "2026-03-01T18:30:00"
        ),
        "sessions/gardener/plan_beds.json": session("plan/beds", TALK[:2], "gardener", "2026-03-02T07:15:00"),
        "sessions/default/chat-aaaabbbbcccc.json": session(
            "chat-aaaabbbbcccc", long_talk(), "default", "2026-03-03T20:00:00"
        ),
    }
    for name, value in sessions.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8", newline="\n")
    export = {
        "version": "1.0",
        "exported_at": "2026-03-01T18:31:07.000001+00:00",
        "metadata": {"session_id": "chat-0a1b2c3d4e5f", "provider": "openai", "model": "gpt-4o-mini"},
        "token_usage": USAGE,
        "messages": TALK,
    }
    (target / "chat-chat-0a1b2c3d4e5f.json").write_text(json.dumps(export, indent=2), encoding="utf-8", newline="\n")

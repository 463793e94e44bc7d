"""Write the fixtures of chuk-ai-session-manager: of its file store, and as chuk-sessions holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIRST, SECOND = (f"6f1c0e5a-{n}111-4a4a-8b8b-0000000000{n}1" for n in (1, 2))


def usage(prompt: int, completion: int, model: str, cost: float) -> dict[str, Any]:
    """What the program guesses that a message cost."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "model": model,
        "estimated_cost_usd": cost,
    }


def event(n: int, message: Any, source: str, kind: str = "message", **more: Any) -> dict[str, Any]:
    """The n-th event of a session."""
    return {
        "id": f"e0000000-0000-4000-8000-{n:012d}",
        "message": message,
        "timestamp": f"2026-02-21T09:00:{n:02d}.500000Z",
        "source": source,
        "type": kind,
        "metadata": {},
        "parent_event_id": None,
        "task_id": None,
        "token_usage": None,
    } | more


def session(session_id: str, events: list[dict[str, Any]], parent: str | None = None) -> dict[str, Any]:
    """A session with the totals of its events."""
    costs = [item["token_usage"] for item in events if item["token_usage"]]
    return {
        "id": session_id,
        "metadata": {
            "created_at": "2026-02-21T09:00:00.000001Z",
            "updated_at": "2026-02-21T09:10:00.000002Z",
            "properties": {"system_prompt": "Answer in one sentence.", "user_id": "ada"},
        },
        "parent_id": parent,
        "child_ids": [],
        "task_ids": [],
        "runs": [],
        "events": events,
        "state": {},
        "token_summary": {
            "total_prompt_tokens": sum(cost["prompt_tokens"] for cost in costs),
            "total_completion_tokens": sum(cost["completion_tokens"] for cost in costs),
            "total_tokens": sum(cost["total_tokens"] for cost in costs),
            "usage_by_model": {},
            "total_estimated_cost_usd": sum(cost["estimated_cost_usd"] for cost in costs),
        },
    }


def talk() -> list[dict[str, Any]]:
    """One event of every kind."""
    answered = {"model": "gpt-4o", "provider": "openai", "timestamp": "2026-02-21T10:00:02.501234"}
    tool = {"tool": "tides", "arguments": {"port": "Brest"}, "result": {"high": "14:05"}, "error": None}
    failed = {"tool": "tides", "arguments": {"port": "?"}, "result": None, "error": "no such port", "success": False}
    call = {"id": "call_1", "type": "function", "function": {"name": "tides", "arguments": '{"port": "Sète"}'}}
    injected = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {"role": "tool", "name": "tides", "content": "none to speak of", "tool_call_id": "call_1"}
    return [
        event(1, "When is high water in Brest?", "user", token_usage=usage(9, 0, "gpt-4o-mini", 2e-06)),
        event(2, tool | {"success": True}, "system", "tool_call"),
        event(3, failed, "system", "tool_call"),
        event(4, "At 14:05.", "llm", metadata=answered, token_usage=usage(0, 5, "gpt-4o", 5e-05)),
        event(5, injected, "system", "tool_call"),
        event(6, answer, "system", "tool_call"),
        event(7, {"ref": "tide-table-2026"}, "system", "reference"),
        event(8, "User discussed: when is high water in Brest", "system", "summary"),
    ]


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format."""
    stored = session(FIRST, talk())
    for item in (stored["metadata"], *stored["events"]):
        for key in ("created_at", "updated_at", "timestamp"):
            if key in item:
                item[key] = item[key].replace("Z", "+00:00")
    asked = [event(9, "And tomorrow?", "user"), event(10, "At 14:50.", "llm", metadata={"model": "unknown"})]
    (target / "store").mkdir(parents=True, exist_ok=True)
    _write(target / "store" / f"{FIRST}.json", stored)
    (target / "redis").mkdir(exist_ok=True)
    segment = session(SECOND, asked, FIRST)
    envelope = {
        "session_id": SECOND,
        "sandbox_id": "ai-session-manager",
        "user_id": None,
        "created_at": "2026-02-21T09:00:00.000001Z",
        "expires_at": "2026-02-22T09:00:00.000001Z",
        "status": "active",
        "last_accessed": "2026-02-21T09:00:00.000001Z",
        "custom_metadata": {
            "ai_session_data": json.dumps(segment, separators=(",", ":"), ensure_ascii=False),
            "event_count": len(asked),
            "session_type": "ai_session_manager",
        },
    }
    _write(target / "redis" / f"{SECOND}.json", envelope, indent=None)


def _write(path: Path, value: Any, indent: int | None = 2) -> None:
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8", newline="\n")

"""Writes logs as `claude -p --output-format stream-json` prints them and mcp_coder keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SESSION = "6f1d2c3b-0325-4a00-8000-000000000003"


def lines(*records: Any) -> bytes:
    """Records one a line, each as `JSON.stringify` writes it."""
    return b"".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for r in records)


def usage(fresh: int, written: int, read: int, output: int) -> dict[str, Any]:
    """Claude's usage of one response."""
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "service_tier": "standard",
    }


def init(session: str, **more: Any) -> dict[str, Any]:
    """The first record of a stream."""
    return {
        "type": "system",
        "subtype": "init",
        "cwd": "C:\\work\\tinyshop",
        "session_id": session,
        "tools": ["Bash", "Read", "mcp__files__read_file"],
        "mcp_servers": [{"name": "files", "status": "connected"}],
        "model": "claude-sonnet-4-20250514",
        "permissionMode": "default",
        "apiKeySource": "none",
    } | more


def assistant(number: int, message: str, block: dict[str, Any], session: str, output: int = 2) -> dict[str, Any]:
    """One content block of a response, as the stream has it."""
    return {
        "type": "assistant",
        "message": {
            "model": "claude-opus-4-6",
            "id": message,
            "type": "message",
            "role": "assistant",
            "content": [block],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(3, 100, 2000, output),
            "context_management": None,
        },
        "parent_tool_use_id": None,
        "session_id": session,
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
    }


def user(number: int, content: Any, session: str, **more: Any) -> dict[str, Any]:
    """A user's message in the stream."""
    return {
        "type": "user",
        "message": {"role": "user", "content": content},
        "session_id": session,
        "parent_tool_use_id": None,
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
    } | more


def stream(session: str, first: int, prompt: str) -> list[dict[str, Any]]:
    """One run of `claude -p --output-format stream-json` with a tool and a sub-agent."""
    billed = usage(6, 200, 4000, 150)
    call = {"type": "tool_use", "id": f"toolu_{first}", "name": "Task", "input": {"prompt": "count"}}
    inner = assistant(first + 5, f"msg_{first}_sub", {"type": "text", "text": "Two files."}, session, 9)
    result = [
        {"type": "tool_result", "tool_use_id": f"toolu_{first}", "content": [{"type": "text", "text": "Two files."}]}
    ]
    answer = "There are two files: α and β."
    return [
        init(session, uuid=f"00000000-0000-4000-8000-{first:012d}", claude_code_version="2.1.74"),
        user(first + 1, prompt, session, isReplay=True),
        assistant(
            first + 2, f"msg_{first}_1", {"type": "thinking", "thinking": "Count.", "signature": "c2ln"}, session
        ),
        assistant(first + 3, f"msg_{first}_1", {"type": "text", "text": "Let me count."}, session),
        assistant(first + 4, f"msg_{first}_1", call, session),
        inner | {"parent_tool_use_id": f"toolu_{first}"},
        user(first + 6, result, session),
        assistant(first + 7, f"msg_{first}_2", {"type": "text", "text": answer}, session),
        {
            "type": "rate_limit_event",
            "rate_limit_info": {"status": "allowed", "resetsAt": 1774436400, "rateLimitType": "five_hour"},
            "uuid": f"00000000-0000-4000-8000-{first + 8:012d}",
            "session_id": session,
        },
        {
            "type": "result",
            "subtype": "success",
            "is_error": False,
            "duration_ms": 5633,
            "duration_api_ms": 5535,
            "num_turns": 3,
            "result": answer,
            "stop_reason": "end_turn",
            "session_id": session,
            "total_cost_usd": 0.050635,
            "usage": billed,
            "modelUsage": {
                "claude-opus-4-6": {
                    "inputTokens": 9,
                    "outputTokens": 190,
                    "cacheReadInputTokens": 6000,
                    "cacheCreationInputTokens": 300,
                    "webSearchRequests": 0,
                    "costUSD": 0.050635,
                }
            },
            "permission_denials": [],
            "uuid": f"00000000-0000-4000-8000-{first + 9:012d}",
        },
    ]


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format: a run, and another that resumes its session."""
    logs = "logs/claude-sessions"
    made = {
        f"{logs}/session_20260325_112758_316631_fix.ndjson": lines(*stream(SESSION, 100, "How many files are there?")),
        f"{logs}/session_20260325_113256_944902.ndjson": lines(*stream(SESSION, 200, "And now?")),
    }
    for name, data in made.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / Path(__file__).stem)

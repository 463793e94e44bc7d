"""Writes LangChain histories as mcp_coder does, in both their forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SESSION = "6f1d2c3b-0410-4a00-8000-000000000004"
OLD = "6f1d2c3b-0310-4a00-8000-000000000007"


def dumped(*messages: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as LangChain's `model_dump` gives them, the type taken out."""
    common = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
    return [{"type": kind, "data": common | data} for kind, data in messages]


def history() -> list[dict[str, Any]]:
    """A history with a tool call and with the system prompt stored again."""
    system = ("system", {"content": "Be brief."})
    call = {"name": "read_file", "args": {"path": "a.txt"}, "id": "call_1", "type": "tool_call"}
    return dumped(
        system,
        ("human", {"content": "What does a.txt say?", "example": False}),
        (
            "ai",
            {
                "content": [
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "call_1", "name": "read_file", "input": {"path": "a.txt"}},
                ],
                "response_metadata": {
                    "model_name": "gpt-5-mini",
                    "finish_reason": "tool_calls",
                    "system_fingerprint": "fp",
                },
                "id": "run--0001-0",
                "tool_calls": [call],
                "invalid_tool_calls": [],
                "usage_metadata": {
                    "input_tokens": 120,
                    "output_tokens": 30,
                    "total_tokens": 150,
                    "input_token_details": {"cache_read": 100},
                    "output_token_details": {"reasoning": 10},
                },
            },
        ),
        (
            "tool",
            {"content": "hello", "name": "read_file", "tool_call_id": "call_1", "artifact": None, "status": "success"},
        ),
        (
            "ai",
            {
                "content": "It says hello.",
                "response_metadata": {"model_name": "gpt-5-mini", "finish_reason": "stop"},
                "id": "run--0002-0",
                "tool_calls": [],
                "usage_metadata": {"input_tokens": 160, "output_tokens": 8, "total_tokens": 168},
            },
        ),
        system,
        ("human", {"content": "Thanks. And b.txt?"}),
        (
            "ai",
            {
                "content": "There is no b.txt.",
                "response_metadata": {"model_name": "gpt-5-mini", "finish_reason": "stop"},
                "id": "run--0003-0",
                "tool_calls": [],
                "usage_metadata": {"input_tokens": 180, "output_tokens": 9, "total_tokens": 189},
            },
        ),
    )


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format."""
    old = [{"role": "human", "content": "Grüß Gott"}, {"role": "ai", "content": "Hello."}]
    directory = target / ".mcp_coder" / "sessions" / "langchain"
    directory.mkdir(parents=True, exist_ok=True)
    for session, messages in ((SESSION, history()), (OLD, old)):
        (directory / f"{session}.json").write_bytes(json.dumps(messages, indent=2).encode())


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / Path(__file__).stem)

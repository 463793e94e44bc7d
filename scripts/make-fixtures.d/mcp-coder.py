"""Writes stored answers as mcp_coder's `store_session` and its other writers do.

The shapes that other formats of the program share come from the scripts beside this one."""

from __future__ import annotations

import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STREAM_LOGS = runpy.run_path(str(HERE / "claude-stream.py"))
usage, init, stream = (STREAM_LOGS[name] for name in ("usage", "init", "stream"))
events = runpy.run_path(str(HERE / "icoder.py"))["events"]
history = runpy.run_path(str(HERE / "mcp-coder-langchain.py"))["history"]
markdown = runpy.run_path(str(HERE / "mcp-coder-transcript.py"))["markdown"]

SDK = "6f1d2c3b-0925-4a00-8000-000000000001"
CLI = "6f1d2c3b-0218-4a00-8000-000000000002"
STREAM = "6f1d2c3b-0325-4a00-8000-000000000003"
LANGCHAIN = "6f1d2c3b-0410-4a00-8000-000000000004"
COPILOT = "6f1d2c3b-0601-4a00-8000-000000000006"


# What the Claude SDK's objects look like when they are written with `default=str`.


@dataclass
class TextBlock:
    text: str


@dataclass
class ThinkingBlock:
    thinking: str
    signature: str


@dataclass
class ToolUseBlock:
    id: str
    name: str
    input: dict[str, Any]


@dataclass
class ToolResultBlock:
    tool_use_id: str
    content: Any = None
    is_error: bool | None = None


@dataclass
class AssistantMessage:
    content: list[Any]
    model: str
    parent_tool_use_id: str | None = None


@dataclass
class UserMessage:
    content: Any
    parent_tool_use_id: str | None = None


@dataclass
class SystemMessage:
    subtype: str
    data: dict[str, Any]


@dataclass
class ResultMessage:
    subtype: str
    duration_ms: int
    duration_api_ms: int
    is_error: bool
    num_turns: int
    session_id: str
    total_cost_usd: float | None = None
    usage: dict[str, Any] | None = None
    result: str | None = None


def document(value: Any, ascii_only: bool = True) -> bytes:
    """A document as the program's `json.dump` writes it."""
    return json.dumps(value, indent=2, ensure_ascii=ascii_only, default=str).encode()


def sdk_response() -> dict[str, Any]:
    """An answer of the SDK, whose message objects became Python text."""
    model = "claude-sonnet-4-20250514"
    billed = usage(12, 900, 4000, 180)
    text = "I'll look at the file.It says \"héllo\" & it's fine 😀."
    return {
        "text": text,
        "session_info": {
            "session_id": SDK,
            "model": model,
            "tools": ["Bash", "Read"],
            "mcp_servers": [{"name": "files", "status": "connected"}],
            "cwd": "C:\\work\\tinyshop",
            "api_key_source": "none",
        },
        "result_info": {
            "duration_ms": 9100,
            "duration_api_ms": 8700,
            "cost_usd": 0.0123455,
            "usage": billed,
            "result": 'It says "héllo" & it\'s fine 😀.',
            "num_turns": 2,
            "is_error": False,
        },
        "raw_messages": [
            SystemMessage("init", init(SDK)),
            AssistantMessage([ThinkingBlock("A file, then.", "c2ln"), TextBlock("I'll look at the file.")], model),
            AssistantMessage([ToolUseBlock("toolu_01", "Read", {"file_path": "C:\\work\\a b.txt", "limit": 3})], model),
            UserMessage([ToolResultBlock("toolu_01", [{"type": "text", "text": "'héllo' \"there\"\n\ttab\\n"}])]),
            AssistantMessage([TextBlock('It says "héllo" & it\'s fine 😀.')], model),
            ResultMessage("success", 9100, 8700, False, 2, SDK, 0.0123455, billed, 'It says "héllo" & it\'s fine 😀.'),
        ],
    }


def turn(prompt: str, response: Any, timestamp: str, model: str, **more: Any) -> dict[str, Any]:
    """A stored turn; `timestamp` is the local time that the program marks with a Z."""
    metadata = {"timestamp": f"{timestamp}Z", "working_directory": "C:\\work\\tinyshop", "model": model} | more
    return {"prompt": prompt, "response_data": response, "metadata": metadata}


def response(timestamp: str, text: str, session: str | None, raw: dict[str, Any], provider: str = "claude") -> Any:
    """An answer as the program has passed it on since October 2025."""
    return {
        "version": "1.0",
        "timestamp": timestamp,
        "text": text,
        "session_id": session,
        "provider": provider,
        "raw_response": raw,
    }


def cli_result(text: str, cost: float, billed: dict[str, Any]) -> dict[str, Any]:
    """What `claude --output-format json` prints."""
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 2801,
        "duration_api_ms": 2600,
        "num_turns": 1,
        "result": text,
        "session_id": CLI,
        "total_cost_usd": cost,
        "usage": billed,
        "modelUsage": {
            "claude-opus-4-6": {
                "inputTokens": billed["input_tokens"],
                "outputTokens": billed["output_tokens"],
                "cacheReadInputTokens": billed["cache_read_input_tokens"],
                "cacheCreationInputTokens": billed["cache_creation_input_tokens"],
                "webSearchRequests": 0,
                "costUSD": cost,
            }
        },
        "permission_denials": [],
        "uuid": "00000000-0000-4000-8000-0000000000aa",
    }


def stored() -> dict[str, bytes]:
    """The stored answers, by path."""
    here = "project/.mcp-coder/responses"
    cli = usage(3, 10, 20, 5)
    mock = {
        "text": "Done.",
        "session_info": {"session_id": SDK, "model": "claude-sonnet-4", "tools": [], "mcp_servers": []},
        "result_info": {"duration_ms": 1800, "cost_usd": 0.002, "usage": {"input_tokens": 20, "output_tokens": 15}},
        "raw_messages": [
            {"role": "user", "content": "Write it down."},
            {
                "role": "assistant",
                "content": "Done.",
                "tool_calls": [{"id": "call_1", "name": "file_writer", "parameters": {"filename": "n.txt"}}],
            },
            "<claude.Other object at 0x7f00>",
        ],
    }
    text_only = {
        "text": "4",
        "session_info": {"model": "claude", "tools": []},
        "result_info": {"duration_ms": 0, "cost_usd": 0.0},
    }
    run = stream(CLI, 500, "And the files?")
    streamed = {
        "messages": run,
        "stream_file": "logs\\claude-sessions\\session_20260220_080000_000001.ndjson",
        "result": run[-1]["result"],
        "is_error": False,
        "duration_ms": 5633,
        "total_cost_usd": 0.050635,
        "usage": usage(6, 200, 4000, 150),
        "system": run[0],
    }
    agent = {
        "messages": history(),
        "backend": "openai",
        "model": "gpt-5-mini",
        "agent_steps": 1,
        "total_tool_calls": 0,
        "tool_trace": [],
    }
    copilot = {
        "messages": [
            {"type": "assistant.message", "message": {"content": [{"text": "Hello."}]}},
            {"type": "result", "sessionId": COPILOT, "usage": {"outputTokens": 4}},
        ],
        "stream_file": "logs/copilot-sessions/session_20260601_090000_000001.jsonl",
        "usage": {"output_tokens": 4},
        "sessionId": COPILOT,
        "premiumRequests": 1,
    }
    plain = {"backend": "gemini", "model": "gemini-2.5-pro", "response_content": "Grüße"}
    happened = [{"type": "system", "data": init(STREAM)}, *events(STREAM)]
    assembled = {
        "events": happened,
        "stream_file": "logs/claude-sessions/session_20260301_095958_000001.ndjson",
        "system": init(STREAM),
        "usage": usage(5, 50, 700, 60),
        "tool_trace": happened[3:5],
    }
    analysis = response("2026-03-02T08:15:29.5", "A plan.", CLI, cli_result("A plan.", 0.02, cli))
    errors = '{"file": "a.py", "line": 1}'
    sdk = sdk_response()
    workflow = {
        "step": 1,
        "type": "mypy",
        "timestamp": "2025-10-04T21:17:10.821752",
        "conversation_markdown": markdown(
            "Mypy Fix Attempt 1", "Fix it.", sdk["text"], "2025-10-04T21:17:10.820753", errors
        ),
        "llm_response_data": sdk,
        "metadata": {"workflow": "implement", "version": "1.0", "comprehensive_export": True},
    }
    r1 = turn(
        "What does a.txt say?",
        response("2026-03-01T10:00:00.123456", "Let me see.It says hello.", STREAM, assembled),
        "2026-03-01T10:00:01.000001",
        "claude",
        branch_name="123-shop",
    )
    cli_turn = turn(
        "What is 2+2?",
        response("2026-02-18T09:30:00.000100", "4", CLI, cli_result("4", 0.0034567, cli)) | {"method": "cli"},
        "2026-02-18T09:30:00.000200",
        "claude",
    )
    return {
        f"{here}/response_2025-09-25T14-03-09.json": document(
            turn("What does the file say?", sdk, "2025-09-25T14:03:09.170735", "claude-sonnet-4-20250514")
        ),
        f"{here}/response_2025-09-25T14-05-40.json": document(
            turn("Write it down.", mock, "2025-09-25T14:05:40.5", "claude-sonnet-4")
        ),
        f"{here}/response_2025-11-02T08-00-00.json": document(
            turn("2+2?", text_only, "2025-11-02T08:00:00.000001", "claude")
        ),
        f"{here}/response_2026-02-18T09-30-00.json": document(cli_turn),
        f"{here}/response_2026-02-20T08-00-05.json": document(
            turn(
                "And the files?",
                response(
                    "2026-02-20T08:00:05.1", "Let me count.Two files.There are two files: α and β.", CLI, streamed
                ),
                "2026-02-20T08:00:05.2",
                "claude",
            )
        ),
        f"{here}/response_2026-03-01T10-00-01.json": document(r1),
        f"{here}/response_2026-04-10T12-00-00.json": document(
            turn(
                "Thanks. And b.txt?",
                response("2026-04-10T12:00:00.25", "There is no b.txt.", LANGCHAIN, agent, "langchain"),
                "2026-04-10T12:00:00.5",
                "langchain",
            )
        ),
        f"{here}/response_2026-06-01T09-00-00.json": document(
            turn(
                "Hi",
                response("2026-06-01T09:00:00.1", "Hello.", COPILOT, copilot, "copilot"),
                "2026-06-01T09:00:00.2",
                "copilot",
            )
        ),
        "project/.mcp-coder/create_plan_sessions/2026-03-02T08-15-30_initial_analysis.json": document(
            turn(
                "Analyse the issue.",
                analysis,
                "2026-03-02T08:15:30.000001",
                "claude",
                branch_name="123-shop",
                step_name="initial_analysis",
                log_file_path="logs/x.ndjson",
            )
        ),
        "project/pr_info/.conversations/step_1_mypy_comprehensive.json": document(workflow, ascii_only=False),
        "mlruns/0/5e55/artifacts/conversation_data/step_0_conversation.json": document(r1),
        "answers/answer.json": document(
            response("2026-04-11T07:00:00", "Grüße", LANGCHAIN, plain, "langchain"), ascii_only=False
        ),
    }


def make(target: Path) -> None:
    """Write all fixtures below `target`, the directory of this format."""
    made = stored()
    for name, data in made.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats" / Path(__file__).stem)

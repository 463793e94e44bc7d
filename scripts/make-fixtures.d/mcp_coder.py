"""Writes the fixtures of mcp_coder's formats as its writers would: `make(target)` fills `fixtures/formats/`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SDK = "6f1d2c3b-0925-4a00-8000-000000000001"
CLI = "6f1d2c3b-0218-4a00-8000-000000000002"
STREAM = "6f1d2c3b-0325-4a00-8000-000000000003"
LANGCHAIN = "6f1d2c3b-0410-4a00-8000-000000000004"
ICODER = "6f1d2c3b-0511-4a00-8000-000000000005"
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


def events() -> list[dict[str, Any]]:
    """The events of an answer with a tool."""
    billed = usage(5, 50, 700, 60)
    return [
        {"type": "text_delta", "text": "Let me "},
        {"type": "text_delta", "text": "see."},
        {"type": "tool_use_start", "name": "Read", "args": {"file_path": "a.txt"}},
        {"type": "tool_result", "name": "Read", "output": "hello", "is_error": False},
        {"type": "text_delta", "text": "It says hello."},
        {"type": "done", "session_id": STREAM, "usage": billed, "cost_usd": 0.0021},
    ]


def langchain(*messages: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as LangChain's `model_dump` gives them, the type taken out."""
    common = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
    return [{"type": kind, "data": common | data} for kind, data in messages]


def langchain_history() -> list[dict[str, Any]]:
    """A history with a tool call and with the system prompt stored again."""
    system = ("system", {"content": "Be brief."})
    call = {"name": "read_file", "args": {"path": "a.txt"}, "id": "call_1", "type": "tool_call"}
    return langchain(
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


def icoder_events() -> list[dict[str, Any]]:
    """A run of icoder: a command, two questions, a tool."""
    billed = usage(5, 50, 700, 60)
    made: list[dict[str, Any]] = [
        {
            "event": "session_start",
            "provider": "claude",
            "mcp_coder_version": "0.1.20",
            "project_dir": "/home/ada/tinyshop",
            "mcp_servers": {"files": "1.0"},
            "session_id": ICODER,
        },
        {"event": "input_received", "text": "/help"},
        {"event": "command_matched", "command": "/help"},
        {"event": "output_emitted", "text": "Available commands:\n/help"},
        {"event": "input_received", "text": "What does a.txt say?"},
        {"event": "llm_request_start", "text": "What does a.txt say?"},
        *({"event": "stream_event"} | event for event in events()[:-1]),
        {"event": "stream_event", "type": "done", "session_id": ICODER, "usage": billed, "cost_usd": 0.0021},
        {"event": "llm_request_end"},
        {"event": "display_mode_changed", "mode": "compact"},
        {"event": "input_received", "text": "/review"},
        {"event": "llm_request_start", "text": "Review the last commit."},
        {"event": "stream_event", "type": "permission_warning", "message": "Bash is not allowed"},
        {"event": "stream_event", "type": "error", "message": "CLI failed with code 1"},
        {"event": "llm_request_end"},
    ]
    return [{"t": round(0.25 * number + 0.000125, 6)} | event for number, event in enumerate(made)]


def markdown(title: str, prompt: str, answer: str, time: str, errors: str = "") -> str:
    """A transcript of the workflow."""
    mypy = bool(errors)
    return (
        f"# {title}\n\n"
        + (f"## Mypy Errors:\n{errors}\n\n" if mypy else "")
        + f"## Prompt Sent to LLM:\n{prompt}\n\n## LLM {'Fix ' if mypy else ''}Response:\n{answer}\n\n---\n"
        + f"{'Mypy fix generated' if mypy else 'Generated'} on: {time}\n"
    )


def stored() -> dict[str, bytes]:
    """The stored answers, by path."""
    here = "mcp-coder/project/.mcp-coder/responses"
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
        "messages": langchain_history(),
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
    assembled = {
        "events": events(),
        "stream_file": "logs/claude-sessions/session_20260301_095958_000001.ndjson",
        "usage": usage(5, 50, 700, 60),
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
        f"{here}/response_2025-09-25T14-03-09.json": document(turn("What does the file say?", sdk, "2025-09-25T14:03:09.170735", "claude-sonnet-4-20250514")),
        f"{here}/response_2025-09-25T14-05-40.json": document(turn("Write it down.", mock, "2025-09-25T14:05:40.5", "claude-sonnet-4")),
        f"{here}/response_2025-11-02T08-00-00.json": document(turn("2+2?", text_only, "2025-11-02T08:00:00.000001", "claude")),
        f"{here}/response_2026-02-18T09-30-00.json": document(cli_turn),
        f"{here}/response_2026-02-20T08-00-05.json": document(turn("And the files?", response("2026-02-20T08:00:05.1", "Let me count.Two files.There are two files: α and β.", CLI, streamed), "2026-02-20T08:00:05.2", "claude")),
        f"{here}/response_2026-03-01T10-00-01.json": document(r1),
        f"{here}/response_2026-04-10T12-00-00.json": document(turn("Thanks. And b.txt?", response("2026-04-10T12:00:00.25", "There is no b.txt.", LANGCHAIN, agent, "langchain"), "2026-04-10T12:00:00.5", "langchain")),
        f"{here}/response_2026-06-01T09-00-00.json": document(turn("Hi", response("2026-06-01T09:00:00.1", "Hello.", COPILOT, copilot, "copilot"), "2026-06-01T09:00:00.2", "copilot")),
        "mcp-coder/project/.mcp-coder/create_plan_sessions/2026-03-02T08-15-30_initial_analysis.json": document(turn("Analyse the issue.", analysis, "2026-03-02T08:15:30.000001", "claude", branch_name="123-shop", step_name="initial_analysis", log_file_path="logs/x.ndjson")),
        "mcp-coder/project/pr_info/.conversations/step_1_mypy_comprehensive.json": document(workflow, ascii_only=False),
        "mcp-coder/mlruns/0/5e55/artifacts/conversation_data/step_0_conversation.json": document(r1),
        "mcp-coder/answers/answer.json": document(response("2026-04-11T07:00:00", "Grüße", LANGCHAIN, plain, "langchain"), ascii_only=False),
    }  # fmt: skip


def make(target: Path) -> None:
    """Write every fixture below `target` (`fixtures/formats`)."""
    logs = "claude-stream/logs/claude-sessions"
    made = stored() | {
        f"{logs}/session_20260325_112758_316631_fix.ndjson": lines(*stream(STREAM, 100, "How many files are there?")),
        f"{logs}/session_20260325_113256_944902.ndjson": lines(*stream(STREAM, 200, "And now?")),
        "icoder/logs/icoder_2026-05-11T10-00-00-123456.jsonl": b"".join(
            json.dumps(event).encode() + b"\n" for event in icoder_events()
        ),
        "icoder/logs/icoder_2026-05-11T10-00-00-123456-2.jsonl": b"".join(
            json.dumps(event).encode() + b"\n"
            for event in (
                {"t": 1.5e-05, "event": "session_start", "provider": "langchain"},
                {"t": 1, "event": "input_received", "text": "Hi"},
                {"t": 1.5, "event": "llm_request_start", "text": "Hi"},
                {"t": 2, "event": "stream_event", "type": "text_delta", "text": "Hel"},
                {"t": 2.5, "event": "stream_event", "type": "text_delta", "text": "lo"},
            )
        ),
        "icoder/logs/icoder_2026-03-29T14-30-00.jsonl": b"".join(
            json.dumps(event).encode() + b"\n"
            for event in (
                {"t": 0.0, "event": "input_received", "text": "Hi"},
                {"t": 0.5, "event": "stream_event", "type": "text_delta", "text": "Hello"},
                {"t": 0.75, "event": "stream_event", "type": "done", "usage": {"input_tokens": 2, "output_tokens": 1}},
            )
        ),
        f"mcp-coder-langchain/.mcp_coder/sessions/langchain/{LANGCHAIN}.json": document(langchain_history()),
        "mcp-coder-langchain/.mcp_coder/sessions/langchain/6f1d2c3b-0310-4a00-8000-000000000007.json": document(
            [{"role": "human", "content": "Grüß Gott"}, {"role": "ai", "content": "Hello."}]
        ),
        "mcp-coder-transcript/pr_info/.conversations/step_1.md": markdown(
            "Implementation Task: Add a till", "Implement it.\n\nStep by step.", "Done.\n\n---\nAll of it.", "2025-10-29T08:37:58.090542"
        ).encode(),
        "mcp-coder-transcript/pr_info/.conversations/step_0_mypy_2.md": markdown(
            "Mypy Fix Attempt 2", "Fix the errors.", "Fixed ✅", "2026-01-04T01:53:18.110404", '{"file": "a.py"}\n'
        ).replace("\n", "\r\n").encode(),
    }  # fmt: skip
    for name, data in made.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "fixtures" / "formats")

"""mcp_coder's names: signatures, values, JSON, and responses put together from events."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import typing
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Optional, get_type_hints

import pytest

from sessionstore.compat import mcp_coder
from tests.compat.mcp_coding import response

LLMResponseDict, StreamEvent = mcp_coder.LLMResponseDict, mcp_coder.StreamEvent
LLM_DEFAULT_TIMEOUT_SECONDS = 30

SIGNATURES = """
to_json_string(response: LLMResponseDict) -> str
from_json_string(json_str: str) -> LLMResponseDict
serialize_llm_response(response: LLMResponseDict, filepath: Path | str) -> None
deserialize_llm_response(filepath: Path | str) -> LLMResponseDict
prompt_llm(question: str, provider: str='claude', session_id: str | None=None, timeout: int=LLM_DEFAULT_TIMEOUT_SECONDS, env_vars: dict[str, str] | None=None, execution_dir: str | None=None, mcp_config: str | None=None, settings_file: str | None=None, branch_name: str | None=None, project_dir: str | None=None) -> LLMResponseDict
prompt_llm_stream(question: str, provider: str='claude', session_id: str | None=None, timeout: int=LLM_DEFAULT_TIMEOUT_SECONDS, env_vars: dict[str, str] | None=None, execution_dir: str | None=None, mcp_config: str | None=None, settings_file: str | None=None, branch_name: str | None=None, tools: list[Any] | None=None, project_dir: str | None=None) -> Iterator[StreamEvent]
ask_llm(question: str, provider: str='claude', method: str='cli', session_id: str | None=None, timeout: int=LLM_DEFAULT_TIMEOUT_SECONDS, env_vars: dict[str, str] | None=None, project_dir: str | None=None, execution_dir: str | None=None, mcp_config: str | None=None, branch_name: str | None=None) -> str
store_session(response_data: LLMResponseDict, prompt: str, store_path: Optional[str]=None, step_name: Optional[str]=None, branch_name: Optional[str]=None, log_file_path: Optional[str]=None) -> str
extract_session_id(file_path: str) -> Optional[str]
extract_langchain_session_id(file_path: str) -> str
store_langchain_history(session_id: str, messages: list[dict[str, Any]], base_dir: Optional[str]=None) -> str
load_langchain_history(session_id: str, base_dir: Optional[str]=None) -> list[dict[str, Any]]
find_latest_session(responses_dir: str='.mcp-coder/responses', provider: str='claude') -> Optional[str]
""".strip().splitlines()  # noqa: E501


@pytest.mark.parametrize("line", SIGNATURES, ids=lambda line: line.partition("(")[0])
def test_signatures_are_those_of_the_older_modules(line: str) -> None:
    names: dict[str, Any] = dict(globals())
    exec(f"def {line}: ...".replace("def ", "def made_", 1), names)
    name = line.partition("(")[0]
    assert inspect.signature(getattr(mcp_coder, name), eval_str=True) == inspect.signature(
        names[f"made_{name}"], eval_str=True
    )


METHODS = {
    "__init__": "(self, provider: str) -> None",
    "add": "(self, event: StreamEvent) -> None",
    "result": "(self) -> LLMResponseDict",
}


@pytest.mark.parametrize("name", METHODS)
def test_the_assemblers_methods(name: str) -> None:
    names: dict[str, Any] = dict(globals())
    exec(f"def made{METHODS[name]}: ...", names)
    method = getattr(mcp_coder.ResponseAssembler, name)
    assert inspect.signature(method, eval_str=True) == inspect.signature(names["made"], eval_str=True)
    assert isinstance(mcp_coder.ResponseAssembler.has_error, property)


def test_values_and_types() -> None:
    assert frozenset({"claude", "langchain", "copilot"}) == mcp_coder.SUPPORTED_PROVIDERS
    assert isinstance(mcp_coder.SUPPORTED_PROVIDERS, frozenset)
    assert (mcp_coder.LLM_RESPONSE_VERSION, mcp_coder.LLM_DEFAULT_TIMEOUT_SECONDS) == ("1.0", 30)
    assert StreamEvent == dict[str, object]
    assert get_type_hints(mcp_coder.LLMResponseDict) == {
        "version": str,
        "timestamp": str,
        "text": str,
        "session_id": str | None,
        "provider": str,
        "raw_response": dict[str, object],
    }
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert get_type_hints(mcp_coder.UsageInfo) == dict.fromkeys(names, int)
    assert not mcp_coder.UsageInfo.__required_keys__
    assert typing.is_typeddict(mcp_coder.LLMResponseDict)
    assert issubclass(mcp_coder.LLMTimeoutError, TimeoutError)


def test_module_exports() -> None:
    """The names that programs import, from whichever of the older modules."""
    older = {
        "types": ["LLMResponseDict", "LLM_RESPONSE_VERSION", "ResponseAssembler", "StreamEvent"],
        "more types": ["SUPPORTED_PROVIDERS", "UsageInfo"],
        "serialization": ["to_json_string", "from_json_string", "serialize_llm_response", "deserialize_llm_response"],
        "interface": ["ask_llm", "prompt_llm", "prompt_llm_stream", "LLMTimeoutError", "LLM_DEFAULT_TIMEOUT_SECONDS"],
        "storage": ["store_session", "extract_session_id", "find_latest_session", "extract_langchain_session_id"],
        "history": ["store_langchain_history", "load_langchain_history"],
    }
    names = [name for some in older.values() for name in some]
    assert sorted(mcp_coder.__all__) == sorted(names)
    assert all(hasattr(mcp_coder, name) for name in names)


def test_a_response_as_json_is_indented_and_keeps_its_characters() -> None:
    text = mcp_coder.to_json_string(response("Grüße 你好"))
    assert text == (
        '{\n  "version": "1.0",\n  "timestamp": "2026-03-01T10:00:00.123456",\n  "text": "Grüße 你好",\n'
        '  "session_id": "550e8400-e29b-41d4-a716-446655440000",\n  "provider": "claude",\n  "raw_response": {\n'
        '    "type": "result",\n    "result": "Grüße 你好",\n'
        '    "session_id": "550e8400-e29b-41d4-a716-446655440000"\n  }\n}'
    )
    assert mcp_coder.from_json_string(text) == response("Grüße 你好")


def test_a_round_trip_keeps_everything() -> None:
    given = response("x", None, method="cli", later={"nested": [1, 2.5, None, True, "\ud83d"]})
    assert mcp_coder.from_json_string(mcp_coder.to_json_string(given)) == given
    odd = mcp_coder.from_json_string('{"version": "1.7", "number": NaN}')
    assert odd["version"] == "1.7" and math.isnan(odd["number"])  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "Missing 'version'"),
        ('{"version": ""}', "Missing 'version'"),
        ("[]", "Missing 'version'"),
        ('{"version": "2.0"}', "Incompatible version: 2.0"),
        ('{"version": 1.0}', "Incompatible version: 1.0"),
        ('{"version": "10.0"}', "Incompatible version: 10.0"),
    ],
)
def test_versions_are_checked(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        mcp_coder.from_json_string(text)


def test_what_is_no_json_says_so() -> None:
    with pytest.raises(json.JSONDecodeError):
        mcp_coder.from_json_string("no json")


def test_values_without_a_form_in_json_become_their_text() -> None:
    at = datetime(2026, 3, 1, 10)
    given = response(raw_response={"at": at, "in": Path("a/b"), "names": {"b", "a"}})
    assert json.loads(mcp_coder.to_json_string(given))["raw_response"] == {
        "at": str(at),
        "in": str(Path("a/b")),
        "names": ["a", "b"],
    }


def test_messages_of_the_claude_sdk_stay_objects() -> None:
    """The older module wrote them as Python text, which nobody reads back."""

    @dataclasses.dataclass
    class ToolUseBlock:
        id: str
        name: str
        input: dict[str, Any]

    @dataclasses.dataclass
    class AssistantMessage:
        content: list[Any]
        model: str
        error: str | None = None

    message = AssistantMessage([ToolUseBlock("t1", "Read", {"path": "a"})], "claude-opus-4-6")
    given = response(raw_response={"raw_messages": [message]})
    assert json.loads(mcp_coder.to_json_string(given))["raw_response"]["raw_messages"] == [
        {
            "type": "assistant",
            "message": {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a"}}],
                "model": "claude-opus-4-6",
            },
        }
    ]


# -- events ------------------------------------------------------------------------------------------------------------


def assembled(*events: StreamEvent, provider: str = "claude") -> tuple[Any, mcp_coder.ResponseAssembler]:
    assembler = mcp_coder.ResponseAssembler(provider=provider)
    for event in events:
        assembler.add(event)
    return assembler.result(), assembler


def test_no_events() -> None:
    made, assembler = assembled(provider="copilot")
    assert (made["text"], made["session_id"], made["version"], made["provider"]) == ("", None, "1.0", "copilot")
    assert made["raw_response"] == {"events": []} and not assembler.has_error
    assert datetime.fromisoformat(made["timestamp"]).tzinfo is None


def test_pieces_tools_and_the_end() -> None:
    call: StreamEvent = {"type": "tool_use_start", "name": "Read", "args": {"path": "a"}, "tool_call_id": "t1"}
    result: StreamEvent = {"type": "tool_result", "name": "Read", "output": "hello", "tool_call_id": "t1"}
    done: StreamEvent = {"type": "done", "session_id": "s1", "usage": {"input_tokens": 3}, "result": "other"}
    made, assembler = assembled(
        {"type": "stream_file", "path": "logs/x.ndjson"},
        {"type": "raw_line", "line": "{}"},
        {"type": "text_delta", "text": " Let me see."},
        call,
        result,
        {"type": "text_delta", "text": "It says hello. "},
        {"type": "permission_warning", "tool": "Bash"},
        done,
    )
    assert made["text"] == "Let me see.It says hello." and made["session_id"] == "s1"
    raw = made["raw_response"]
    assert [event["type"] for event in raw["events"]] == [
        "stream_file",
        "text_delta",
        "tool_use_start",
        "tool_result",
        "text_delta",
        "permission_warning",
        "done",
    ]
    assert raw["tool_trace"] == [call, result]
    assert raw["usage"] == {"input_tokens": 3} and raw["stream_file"] == "logs/x.ndjson"
    assert not assembler.has_error and "error" not in raw


def test_the_final_text_counts_when_there_were_no_pieces() -> None:
    assert assembled({"type": "done", "result": " all ", "session_id": None})[0]["text"] == "all"


def test_an_error() -> None:
    made, assembler = assembled({"type": "error", "message": "Connection reset"})
    assert assembler.has_error and made["raw_response"]["error"] == "Connection reset"


def test_later_system_events_do_not_hide_the_first() -> None:
    """In the older module an event that only counts tokens took the place of the one that names the servers."""
    init = {"subtype": "init", "mcp_servers": [{"name": "files", "status": "connected"}]}
    made, _ = assembled(
        {"type": "system", "data": init}, {"type": "system", "data": {"subtype": "thinking_tokens", "n": 3}}
    )
    assert made["raw_response"]["system"] == init
    assert len(made["raw_response"]["events"]) == 2
    late, _ = assembled({"type": "system", "data": {"subtype": "hook"}}, {"type": "system", "data": init})
    assert late["raw_response"]["system"] == init


def test_events_that_are_not_what_they_say_break_nothing() -> None:
    made, assembler = assembled(
        {"type": "text_delta", "text": 7},
        {"type": "done", "usage": [], "session_id": 3, "result": 4},
        {"type": "error", "message": None},
        {"type": "stream_file"},
        {},
    )
    assert made["text"] == "" and made["session_id"] is None and not assembler.has_error
    assert len(made["raw_response"]["events"]) == 5


__all__ = ["Iterator", "Optional"]

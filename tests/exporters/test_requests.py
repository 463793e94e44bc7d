"""Requests for providers: they are what the providers' own libraries take, and every tool call is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types as genai
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter

from tests.exporters import support
from tests.exporters.support import FIXTURES, answer, call, exported, image, say, session
from tests.store import strategies

OPENAI = TypeAdapter(list[ChatCompletionMessageParam])
OPENAI_TOOLS = TypeAdapter(list[ChatCompletionToolParam])
ANTHROPIC = TypeAdapter(MessageCreateParamsNonStreaming)
FORMS = ("openai", "anthropic", "gemini", "sharegpt")
each_form = pytest.mark.parametrize("form", FORMS)


def request_of(form: str, messages: list[support.Message], **fields: Any) -> Any:
    """The request of a session, after its provider's library has found it right."""
    data, _ = exported(form, session(messages, **fields), messages)
    [request] = support.lines(data)
    sound(form, request)
    return request


def sound(form: str, request: Any) -> None:
    """Hold that a request is what the provider's library takes, has no field it does not know, and pairs its tools."""
    {"openai": sound_openai, "anthropic": sound_anthropic, "gemini": sound_gemini, "sharegpt": sound_sharegpt}[form](
        request
    )


def taken(value: Any) -> Any:
    """What a library has made of a request, with its lists, which it checks only when they are read."""
    if isinstance(value, Mapping):
        return {name: taken(item) for name, item in value.items()}
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return value
    return [taken(item) for item in value]


def sound_openai(request: Any) -> None:
    assert request.keys() <= {"messages", "tools"}
    assert taken(OPENAI.validate_python(request["messages"])) == request["messages"]
    assert taken(OPENAI_TOOLS.validate_python(request.get("tools", []))) == request.get("tools", [])
    waiting: list[str] = []
    seen: set[str] = set()
    for message in request["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        waiting = [one["id"] for one in message.get("tool_calls", ())]
        assert all(len(ident) <= 40 for ident in waiting)
        assert not seen & set(waiting)
        seen |= set(waiting)
    assert not waiting


def sound_anthropic(request: Any) -> None:
    assert taken(ANTHROPIC.validate_python(request)) == request
    roles = [message["role"] for message in request["messages"]]
    assert roles == [("user", "assistant")[n % 2] for n in range(len(roles))]
    waiting: list[str] = []
    for message in request["messages"]:
        answered = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert answered == waiting
        assert [block["type"] for block in message["content"][: len(answered)]] == ["tool_result"] * len(answered)
        waiting = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        assert all(block.get("text", "x").strip() for block in message["content"])
        assert message["content"]
    assert not waiting


def sound_gemini(request: Any) -> None:
    assert request.keys() <= {"contents", "systemInstruction", "tools"}
    for item in (*request["contents"], *filter(None, [request.get("systemInstruction")])):
        genai.Content.model_validate_json(json.dumps(item))
    for tool in request.get("tools", ()):
        genai.Tool.model_validate_json(json.dumps(tool))
    roles = [item["role"] for item in request["contents"]]
    assert roles == [("user", "model")[n % 2] for n in range(len(roles))]
    waiting: list[tuple[str, str]] = []
    for item in request["contents"]:
        answers = [part["functionResponse"] for part in item["parts"] if "functionResponse" in part]
        assert [(one["id"], one["name"]) for one in answers] == waiting
        calls = [part["functionCall"] for part in item["parts"] if "functionCall" in part]
        waiting = [(one["id"], one["name"]) for one in calls]
    assert not waiting


def sound_sharegpt(request: Any) -> None:
    assert request.keys() <= {"id", "conversations", "tools"}
    said = [turn["from"] for turn in request["conversations"]]
    assert set(said) <= {"system", "human", "gpt", "function_call", "observation"}
    assert "system" not in said[1:]
    for turn, following in zip(request["conversations"], [*said[1:], ""], strict=False):
        assert isinstance(turn["value"], str)
        assert (turn["from"] == "function_call") == (following == "observation")
        if turn["from"] == "function_call":
            assert json.loads(turn["value"]).keys() == {"name", "arguments"}


def said_in(request: Any) -> str:
    """Everything that a request says, in one text."""
    return json.dumps(request, ensure_ascii=False)


# --- any session ---------------------------------------------------------------------------------------------


@each_form
def test_every_fixture_becomes_a_request_that_the_provider_takes(form: str) -> None:
    for name, revision, messages in FIXTURES:
        [request] = support.lines(exported(form, revision, messages)[0])
        sound(form, request)
        assert request, name


@each_form
@settings(max_examples=60, deadline=None)
@given(messages=support.conversations())
def test_a_sound_conversation_is_said_whole(form: str, messages: list[support.Message]) -> None:
    told = said_in(request_of(form, messages))
    for role, text in support.texts(messages, "system", "user", "assistant"):
        assert json.dumps(text, ensure_ascii=False)[1:-1] in told, role
    for text in support.results(messages).values():
        assert json.dumps(text, ensure_ascii=False)[1:-1] in told


@each_form
@settings(max_examples=60, deadline=None)
@given(messages=strategies.messages(), tools=st.lists(strategies.sound_json, max_size=2))
def test_anything_that_can_be_stored_becomes_a_request(
    form: str, messages: list[support.Message], tools: list[Any]
) -> None:
    request_of(form, messages, tools=tools)


# --- tools ---------------------------------------------------------------------------------------------------

LATE = [
    say(1, "user", "go"),
    say(2, "assistant", call("a", "one", {"n": 1}), call("b", "two", {"n": 2})),
    say(3, "user", "are you there?"),
    say(4, "assistant", "yes"),
    say(5, "tool", answer("b", "second")),
    say(6, "tool", answer("a", "first")),
]


@each_form
def test_late_results_stand_behind_their_calls(form: str) -> None:
    told = said_in(request_of(form, LATE))
    assert told.index("first") < told.index("second") < told.index("are you there?") < told.index("yes")


@each_form
def test_a_call_without_a_result_gets_an_error_and_is_named(form: str) -> None:
    messages = [say(1, "user", "go"), say(2, "assistant", call("a")), say(3, "user", "well?")]
    told = said_in(request_of(form, messages))
    assert told.index("No result of this tool call was recorded.") < told.index("well?")
    _, report = exported(form, session(messages), messages)
    assert "tool calls without a result: an error was put in its place (1)" in report.lines


@each_form
def test_a_result_without_its_call_is_told_as_text(form: str) -> None:
    messages = [say(1, "user", "go"), say(2, "tool", answer("gone", "the lost result")), say(3, "assistant", "fine")]
    assert "the lost result" in said_in(request_of(form, messages))
    assert "results without their call told as text (1)" in exported(form, session(messages), messages)[1].lines


def test_ids_that_repeat_become_different() -> None:
    turn = [call("time:0"), call("time:0", arguments={"n": 2})]
    messages = [say(1, "assistant", *turn), say(2, "tool", answer("time:0", "later"), answer("time:0", "sooner"))]
    request = request_of("openai", messages)
    assert [one["id"] for one in request["messages"][0]["tool_calls"]] == ["time_0", "time_0_2"]
    assert [message["content"] for message in request["messages"][1:]] == ["sooner", "later"]


def test_a_result_without_an_id_answers_the_first_open_call() -> None:
    messages = [
        say(1, "assistant", call("a"), call("b")),
        say(2, "tool", answer("", "1")),
        say(3, "tool", answer("", "2")),
    ]
    assert [one["content"] for one in request_of("openai", messages)["messages"][1:]] == ["1", "2"]


def test_arguments_that_are_no_object_are_wrapped_where_an_object_must_be() -> None:
    messages = [say(1, "assistant", call("a", arguments="*** Begin Patch")), say(2, "tool", answer("a"))]
    assert request_of("openai", messages)["messages"][0]["tool_calls"][0]["function"]["arguments"] == "*** Begin Patch"
    block = request_of("anthropic", messages)["messages"][1]["content"][0]
    assert block["input"] == {"input": "*** Begin Patch"}
    part = request_of("gemini", messages)["contents"][1]["parts"][0]
    assert part["functionCall"]["args"] == {"input": "*** Begin Patch"}


def test_pictures_in_results_are_shown_where_the_provider_can_see_them() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": support.PNG}}
    messages = [
        say(1, "assistant", call("a", "look")),
        say(2, "tool", answer("a", [{"type": "text", "text": "see"}, picture], is_error=True)),
    ]
    result = request_of("anthropic", messages)["messages"][2]["content"][0]
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert result["is_error"] is True
    response = request_of("gemini", messages)["contents"][2]["parts"][0]["functionResponse"]
    assert response["response"] == {"error": "see"}
    assert response["parts"][0]["inlineData"]["mimeType"] == "image/png"
    report = exported("openai", session(messages), messages)[1]
    assert "images in tool results left out (1)" in report.lines
    assert "failure marks of tool results left out (1)" in report.lines


TOOLS: list[tuple[str, Any]] = [
    ("openai", {"type": "function", "function": {"name": "ls", "description": "d", "parameters": {"properties": {}}}}),
    ("anthropic", {"name": "ls", "description": "d", "input_schema": {"type": "object", "properties": {}}}),
    ("gemini", {"functionDeclarations": [{"name": "ls", "description": "d", "parameters": {"properties": {}}}]}),
    ("mcp", {"name": "ls", "description": "d", "inputSchema": {"properties": {}}}),
    ("responses", {"type": "function", "name": "ls", "description": "d", "parameters": {"properties": {}}}),
]


@pytest.mark.parametrize("tool", [tool for _, tool in TOOLS], ids=[name for name, _ in TOOLS])
def test_tool_definitions_of_any_provider_are_told_to_any_other(tool: Any) -> None:
    schema = {"type": "object", "properties": {}}
    messages = [say(1, "user", "go")]
    fields = {"tools": [tool, {"type": "web_search"}]}
    [openai] = request_of("openai", messages, **fields)["tools"]
    assert openai["function"] == {"name": "ls", "description": "d", "parameters": schema}
    [anthropic] = request_of("anthropic", messages, **fields)["tools"]
    assert anthropic == {"name": "ls", "description": "d", "input_schema": schema}
    [gemini] = request_of("gemini", messages, **fields)["tools"]
    assert gemini["functionDeclarations"] == [{"name": "ls", "description": "d", "parametersJsonSchema": schema}]
    [sharegpt] = json.loads(request_of("sharegpt", messages, **fields)["tools"])
    assert sharegpt == {"name": "ls", "description": "d", "parameters": schema}
    report = exported("openai", session(messages, **fields), messages)[1]
    assert "tool definitions of another shape left out (1)" in report.lines


# --- who says what -------------------------------------------------------------------------------------------


def test_anthropic_keeps_thinking_that_it_has_signed_and_names_the_rest() -> None:
    signed = {"type": "reasoning", "content": "hm", "signature": "c2ln"}
    hidden = {"type": "reasoning", "content": "", "signature": "c2VjcmV0", "redacted": True}
    messages = [
        say(1, "user", "go"),
        say(2, "assistant", signed, hidden, {"type": "reasoning", "content": "bare"}, "done", model="claude-opus-4"),
        say(3, "user", "and?"),
        say(4, "assistant", signed, "yes", model="gpt-5"),
    ]
    request = request_of("anthropic", messages)
    assert request["model"] == "gpt-5"
    assert request["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "text", "text": "done"},
    ]
    report = exported("anthropic", session(messages), messages)[1]
    assert "reasoning without signature left out (1)" in report.lines
    assert "reasoning signed by another provider left out (1)" in report.lines


def test_what_one_side_says_in_several_messages_is_one_turn_where_roles_alternate() -> None:
    messages = [say(1, "user", "a"), say(2, "user", "b"), say(3, "assistant", "c"), say(4, "assistant", "d")]
    assert [len(one["content"]) for one in request_of("anthropic", messages)["messages"]] == [2, 2]
    assert [len(one["parts"]) for one in request_of("gemini", messages)["contents"]] == [2, 2]
    assert [one["content"] for one in request_of("openai", messages)["messages"]] == ["a", "b", "c\n\nd"]


def test_system_prompts_are_told_once_and_in_front() -> None:
    messages = [say(1, "system", "Be brief."), say(2, "user", "a"), say(3, "system", "Be kind.")]
    system = [{"type": "text", "content": "Be brief."}]
    request = request_of("anthropic", messages, system=system)
    assert request["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    assert request_of("gemini", messages)["systemInstruction"] == {
        "parts": [{"text": "Be brief."}, {"text": "Be kind."}]
    }
    assert request_of("sharegpt", messages)["conversations"][0] == {"from": "system", "value": "Be brief.\n\nBe kind."}
    assert [one["role"] for one in request_of("openai", messages)["messages"]] == ["system", "user", "system"]
    report = exported("anthropic", session(messages), messages)[1]
    assert "system messages moved to the front (1)" in report.lines


def test_notices_and_bookkeeping_are_not_told_to_a_model() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "system", "rate limit", kind="error"),
        say(3, "system", "x", kind="meta"),
        say(4, "assistant", "pre", kind="prefill"),
        say(5, "assistant", "prefix"),
        say(6, "user", "inside", kind="sidechain"),
    ]
    data, report = exported("openai", session(messages), messages)
    assert support.lines(data) == [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "prefix"}]}
    ]
    assert report.lines[-3:] == [
        "notices of the program left out (1)",
        "pre-filled beginnings left out (1)",
        "messages of sub-agents left out (1)",
    ]
    data, _ = exported("openai", session(messages), messages, kinds=["prefill"])
    assert support.lines(data)[0]["messages"][1]["content"] == "pre\n\nprefix"


def test_files_of_every_kind_go_where_they_can() -> None:
    def blob(mime: str) -> support.Json:
        return {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "data": "AAAA"}

    messages = [
        say(
            1,
            "user",
            "look",
            image(),
            blob("application/pdf"),
            blob("audio/wav"),
            {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "no base64!"},
        )
    ]
    kinds = [item["type"] for item in request_of("openai", messages)["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "file", "input_audio"]
    kinds = [item["type"] for item in request_of("anthropic", messages)["messages"][0]["content"]]
    assert kinds == ["text", "image", "document"]
    parts = request_of("gemini", messages)["contents"][0]["parts"]
    assert [part["inlineData"]["mimeType"] for part in parts[1:]] == ["image/png", "application/pdf", "audio/wav"]
    for form, n in (("openai", 1), ("anthropic", 2), ("gemini", 1), ("sharegpt", 4)):
        lost = [entry["n"] for entry in exported(form, session(messages), messages)[1].as_json() if "n" in entry]
        assert lost == [n], form


def test_links_to_pictures_stay_links() -> None:
    messages = [
        say(
            1,
            "user",
            {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
            {"type": "uri", "uri": "file:///etc/passwd"},
        )
    ]
    assert (
        request_of("openai", messages)["messages"][0]["content"][0]["image_url"]["url"] == "https://example.org/a.png"
    )
    assert request_of("anthropic", messages)["messages"][0]["content"][0]["source"]["type"] == "url"
    assert request_of("gemini", messages)["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "https://example.org/a.png"}}
    ]

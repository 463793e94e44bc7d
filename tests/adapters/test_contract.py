"""What every adapter does, over HTTP against a server that others wrote (LLMock), with the provider's own library."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.adapters.base import Ask
from sessionstore.exporters.report import Report
from sessionstore.models import Message
from tests.adapters.mocked import MODELS, SECRET, Mocked

each = pytest.mark.parametrize("name", MODELS)
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HELLO = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Hello?"}]}]
AGAIN = 3
"""So often the server has to be asked when it is broken twice."""


def question(name: str, messages: list[dict[str, Any]] | None = None, **fields: Any) -> Ask:
    return Ask(MODELS[name].rpartition("/")[2], messages or HELLO, **fields)


def sound(message: dict[str, Any]) -> dict[str, Any]:
    """The message, after the model has found it right."""
    Message.model_validate({"id": "m2", **message})
    assert message["role"] == "assistant"
    return message


def text(message: dict[str, Any]) -> str:
    return "".join(part["content"] for part in message["parts"] if part["type"] == "text")


def waits() -> tuple[list[float], Callable[[float], None]]:
    """What was waited for, and what waits a thousand times faster."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        time.sleep(seconds / 1000)

    return waited, sleep


# --- answers -------------------------------------------------------------------------------------------------


@each
def test_an_answer_is_a_message_with_its_usage(name: str, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "text": "Good day to you."})
    message = sound(mocked.adapter(name).answer(question(name)))
    assert text(message) == "Good day to you."
    assert message["usage"]["input_tokens"] > 0 and message["usage"]["output_tokens"] > 0
    assert message["finish_reason"].lower() in ("stop", "end_turn")


@each
def test_a_streamed_answer_is_the_same_as_a_whole_one(name: str, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "text": "Good day to you.", "times": 2})
    adapter = mocked.adapter(name)
    whole = sound(adapter.answer(question(name)))
    stream = adapter.stream(question(name))
    pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(piece.text for piece in pieces if piece.kind == "text") == "Good day to you."
    streamed = sound(stream.message())
    for field in ("parts", "provider", "usage", "finish_reason"):
        assert streamed[field] == whole[field]


@each
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_is_called_and_its_result_answered(name: str, streamed: bool, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]})
    adapter = mocked.adapter(name)

    def answered(ask: Ask) -> dict[str, Any]:
        if not streamed:
            return sound(adapter.answer(ask))
        stream = adapter.stream(ask)
        assert "get_weather" in [piece.name for piece in stream] or len(ask.messages) > 1
        return sound(stream.message())

    session = {"tools": [WEATHER]}
    said = answered(question(name, session=session))
    [call] = [part for part in said["parts"] if part["type"] == "tool_call"]
    assert call["name"] == "get_weather" and call["id"]
    assert call["arguments"] in ({"city": "Paris"}, '{"city":"Paris"}', '{"city": "Paris"}')
    result = {"type": "tool_call_response", "id": call["id"], "response": "21C and dry"}
    path = [*HELLO, {"id": "m2", **said}, {"id": "m3", "role": "tool", "parts": [result]}]
    assert text(answered(question(name, path, session=session)))
    assert "21C and dry" in str(mocked.asked()[-1]["body"])


@each
def test_a_call_without_a_result_is_closed_in_what_is_sent(name: str, mocked: Mocked) -> None:
    call = {"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {}}
    path = [*HELLO, {"id": "m2", "role": "assistant", "parts": [call]}, {**HELLO[0], "id": "m3"}]
    report = Report()
    mocked.adapter(name).answer(question(name, path), report)
    assert "No result of this tool call was recorded." in str(mocked.asked()[-1]["body"])
    assert "tool calls without a result: an error was put in its place (1)" in report.lines
    assert path[1]["parts"] == [call]


# --- what goes wrong -----------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_busy_provider_is_asked_again_when_it_wants(name: str, streamed: bool, mocked: Mocked) -> None:
    mocked.break_({"type": "fail", "status": 429, "retry_after": 0.3, "times": 2})
    adapter = mocked.adapter(name)
    if streamed:
        stream = adapter.stream(question(name))
        assert list(stream)
    else:
        adapter.answer(question(name))
    assert len(mocked.asked()) == AGAIN
    assert not mocked.verdict() & {"retry_after_ignored", "no_backoff", "retry_storm"}


@each
def test_a_provider_that_wants_too_long_a_wait_is_not_asked_again(name: str, mocked: Mocked) -> None:
    mocked.break_({"type": "fail", "status": 429, "retry_after": 3600})
    with pytest.raises(errors.RateLimited) as caught:
        mocked.adapter(name).answer(question(name))
    assert caught.value.status == 429 and caught.value.retry_after == 3600
    assert len(mocked.asked()) == 1


@each
@pytest.mark.parametrize("status", [500, 503])
def test_a_provider_that_is_down_is_given_up_after_some_tries(name: str, status: int, mocked: Mocked) -> None:
    waited, sleep = waits()
    mocked.break_({"type": "fail", "status": status, "times": None})
    with pytest.raises(errors.ProviderDown) as caught:
        mocked.adapter(name, sleep=sleep).answer(question(name))
    assert caught.value.status == status and caught.value.again
    assert len(mocked.asked()) == AGAIN
    assert len(waited) == 2 and all(0.3 < seconds < 1.5 for seconds in waited)


@each
@pytest.mark.parametrize(
    ("status", "kind"), [(400, errors.ProviderRefused), (401, errors.ProviderDenied), (404, errors.ProviderRefused)]
)
def test_what_will_never_succeed_is_asked_once(
    name: str, status: int, kind: type[errors.ProviderError], mocked: Mocked
) -> None:
    mocked.break_({"type": "fail", "status": status, "times": None, "message": f"no: Bearer {SECRET} is bad"})
    with pytest.raises(kind) as caught:
        mocked.adapter(name).answer(question(name))
    assert len(mocked.asked()) == 1
    assert SECRET not in str(caught.value) and "***" in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@each
def test_a_conversation_that_is_too_long_is_named_so(name: str, mocked: Mocked) -> None:
    message = "This model's maximum context length was exceeded."
    mocked.break_({"type": "fail", "status": 400, "code": "context_length_exceeded", "message": message})
    with pytest.raises(errors.ContextTooLong):
        mocked.adapter(name).answer(question(name))


@each
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
def test_a_stream_that_is_cut_or_broken_is_no_answer_and_what_came_is_kept(
    name: str, kind: str, mocked: Mocked
) -> None:
    mocked.break_(
        {"type": "reply", "text": "One two three four five six seven eight."},
        {"type": "stream_fault", "kind": kind, "after_chunks": 5},
    )
    stream = mocked.adapter(name).stream(question(name))
    with pytest.raises((errors.AnswerCut, errors.AnswerInvalid)):
        list(stream)
    partial = stream.partial()
    assert partial is not None
    sound(partial)
    assert "One two three four five six seven eight.".startswith(text(partial)) and text(partial)
    assert partial["finish_reason"] == "unfinished" and partial["kind"] == "error"
    with pytest.raises(errors.AnswerCut):
        stream.message()


@each
def test_a_stream_that_hangs_is_given_up(name: str, mocked: Mocked) -> None:
    mocked.break_({"type": "stream_fault", "kind": "stall", "after_chunks": 4, "stall_seconds": 8})
    began = time.monotonic()
    stream = mocked.adapter(name, timeout=0.5).stream(question(name))
    with pytest.raises(errors.AnswerCut):
        list(stream)
    assert time.monotonic() - began < 6


@each
def test_arguments_that_are_no_json_are_kept_as_they_are(name: str, mocked: Mocked) -> None:
    mocked.break_({"type": "tool_fault", "kind": "malformed_arguments"})
    try:
        message = sound(mocked.adapter(name).answer(question(name, session={"tools": [WEATHER]})))
    except errors.AnswerInvalid:
        return
    assert [part["name"] for part in message["parts"] if part["type"] == "tool_call"] == ["get_weather"]


@each
def test_a_server_that_is_not_there_is_said_to_be_so(name: str, mocked: Mocked) -> None:
    adapter = mocked.adapter(name, base_url="http://127.0.0.1:9", retries=0)
    with pytest.raises(errors.ProviderUnreachable):
        adapter.answer(question(name))


@each
def test_without_a_key_nothing_is_sent(name: str, mocked: Mocked) -> None:
    adapter = mocked.adapter(name, api_key=None, base_url=None)
    with pytest.raises(errors.NoCredentials) as caught:
        adapter.answer(question(name))
    assert "API_KEY" in str(caught.value) and caught.value.exit_code == 2

"""Claude Code as a program: what it is called with, what it answers, and how a session is gone on with."""

from __future__ import annotations

import dataclasses
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.adapters.base import Ask, Settings
from sessionstore.adapters.claude_code import ClaudeCode
from sessionstore.chat import Chat
from sessionstore.exporters.report import Report
from sessionstore.manager import SessionManager
from sessionstore.models import Message


@pytest.fixture
def adapter(tmp_path: Path) -> ClaudeCode:
    """The adapter with a program of the tests' own."""
    shutil.copy(Path(__file__).with_name("fake_claude.py"), tmp_path / "fake.py")
    program = tmp_path / "claude"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "fake.py"}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return ClaudeCode(Settings(command=str(program)))


def say(number: int, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": f"m{number}", "role": role, "parts": [{"type": "text", "content": text}], **more}


def test_an_answer_has_its_cost_and_goes_on_by_its_session(adapter: ClaudeCode) -> None:
    path = [say(1, "user", "Hello")]
    first = adapter.answer(Ask("opus", path, {"system": [{"type": "text", "content": "Be brief."}]}))
    Message.model_validate({"id": "m2", **first})
    assert first["parts"][0]["content"] == "I have heard 1 times: Hello"
    assert first["usage"] == {
        "input_tokens": 100,
        "output_tokens": 7,
        "cache_read_tokens": 90,
        "cache_write_tokens": 6,
        "cost_microusd": 12346,
    }
    assert first["model"] == "claude-opus-4-6"
    assert first["x"]["arguments"][:5] == ["-p", "--model", "opus", "--append-system-prompt", "Be brief."]
    second = adapter.answer(Ask("opus", [*path, {"id": "m2", **first}, say(3, "user", "Again")]))
    assert second["parts"][0]["content"] == "I have heard 2 times: Again"
    assert second["x"]["session_id"] != first["x"]["session_id"]


def test_a_conversation_with_another_model_is_told_first(adapter: ClaudeCode) -> None:
    call = {"type": "tool_call", "id": "c", "name": "ls", "arguments": {"path": "."}}
    result = {"type": "tool_call_response", "id": "c", "response": "a.txt"}
    path = [
        say(1, "user", "What is here?"),
        {"id": "m2", "role": "assistant", "provider": "openai", "parts": [call]},
        {"id": "m3", "role": "tool", "parts": [result]},
        say(4, "assistant", "A file.", provider="openai"),
        say(5, "user", "Which?"),
    ]
    told = adapter.request(Ask("opus", path), Report())["input"]
    assert told.index("User: What is here?") < told.index("ls") < told.index("a.txt") < told.index("A file.")
    assert told.endswith("The next message is:\n\nWhich?")


def test_a_streamed_answer_is_the_same(adapter: ClaudeCode) -> None:
    stream = adapter.stream(Ask("opus", [say(1, "user", "Hello")]))
    assert "".join(piece.text for piece in stream).split() == ["I", "have", "heard", "1", "times:", "Hello"]
    message = stream.message()
    assert message["parts"] == [{"type": "text", "content": "I have heard 1 times: Hello"}]
    assert message["usage"]["cost_microusd"] == 12346


def test_a_program_that_dies_leaves_what_it_has_said(adapter: ClaudeCode) -> None:
    stream = adapter.stream(Ask("opus", [say(1, "user", "please die")]))
    with pytest.raises(errors.ProviderError):
        list(stream)
    partial = stream.partial()
    assert partial is not None and partial["parts"][0]["content"].startswith("I have heard 1 times:")


def test_failures_are_told_without_secrets(adapter: ClaudeCode) -> None:
    with pytest.raises(errors.ProviderRefused) as caught:
        adapter.answer(Ask("opus", [say(1, "user", "break")]))
    assert "Invalid API key" in str(caught.value) and "0123456789" not in str(caught.value)
    with pytest.raises(errors.ProviderRefused, match="I have heard"):
        adapter.answer(Ask("opus", [say(1, "user", "refuse")]))
    with pytest.raises(errors.ProviderUnreachable, match="cannot be run"):
        ClaudeCode(Settings(command="/nowhere/claude")).answer(Ask("opus", [say(1, "user", "Hello")]))


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        ("Claude AI usage limit reached|{soon}", errors.RateLimited, 429),
        ("You've hit your limit · resets 7pm (America/Los_Angeles)", errors.RateLimited, 429),
        ('API Error: 429 {"type":"error","error":{"type":"rate_limit_error"}}', errors.RateLimited, 429),
        ('API Error (529 {"type":"error","error":{"type":"overloaded_error"}})', errors.ProviderDown, 529),
        ("API Error: 500 Internal server error", errors.ProviderDown, 500),
        ("API Error: 401 Invalid bearer token", errors.ProviderDenied, 401),
        ("API Error: 400 prompt is too long: 210000 tokens > 200000 maximum", errors.ContextTooLong, 400),
        ("Something else", errors.ProviderRefused, None),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_the_interface_behind_it_has_answered_is_told_by_its_kind(
    adapter: ClaudeCode, said: str, kind: type[errors.ProviderError], status: int | None, streamed: bool
) -> None:
    ask = Ask("opus", [say(1, "user", "fail: " + said.replace("{soon}", str(int(time.time()) + 1000)))])

    def ended() -> None:
        stream = adapter.stream(ask)
        list(stream)
        stream.message()

    with pytest.raises(kind) as caught:
        ended() if streamed else adapter.answer(ask)
    assert type(caught.value) is kind and caught.value.status == status
    assert caught.value.again is (kind in (errors.RateLimited, errors.ProviderDown))
    if "{soon}" in said:
        assert caught.value.retry_after is not None and 900 < caught.value.retry_after <= 1000


def test_what_is_no_json_is_no_answer(adapter: ClaudeCode) -> None:
    with pytest.raises(errors.AnswerInvalid):
        adapter.answer(Ask("opus", [say(1, "user", "garbage")]))
    with pytest.raises((errors.AnswerInvalid, errors.AnswerCut)):
        list(adapter.stream(Ask("opus", [say(1, "user", "garbage")])))


def test_a_program_that_is_left_is_ended(adapter: ClaudeCode) -> None:
    stream = adapter.stream(Ask("opus", [say(1, "user", "hang")]))
    next(iter(stream))
    stream.close()


def test_a_program_that_says_nothing_is_ended(adapter: ClaudeCode) -> None:
    impatient = ClaudeCode(dataclasses.replace(adapter.settings, timeout=0.5, retries=0))
    stream = impatient.stream(Ask("opus", [say(1, "user", "hang")]))
    with pytest.raises(errors.ProviderError, match=r"it has said nothing for 0.5 seconds"):
        list(stream)
    partial = stream.partial()
    assert partial is not None and partial["parts"][0]["content"].startswith("I have heard 1 times:")


def test_where_the_program_runs_and_with_what(adapter: ClaudeCode, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    settings = dataclasses.replace(adapter.settings, directory=str(place), environment={"FAKE_GIVEN": "yes"})
    answer = ClaudeCode(settings).answer(Ask("opus", [say(1, "user", "Hello")]))
    assert answer["x"]["directory"] == str(place) and answer["x"]["environment"] == {"FAKE_GIVEN": "yes"}


def test_the_chat_core_goes_on_with_the_programs_own_session(adapter: ClaudeCode, tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store") as sessions, Chat(sessions, {"claude-code": adapter.settings}) as talk:
        talk.ask("One", "claude-code/opus", "s")
        assert talk.ask("Two", session_id="s").text == "I have heard 2 times: Two"

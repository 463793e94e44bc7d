"""What a program may say, and what of the session it cannot see."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import errors, fsio
from sessionstore.chat import Chat, incoming
from sessionstore.manager import SessionManager
from tests.adapters.mocked import Mocked
from tests.exporters.support import PNG


def test_messages_may_have_either_shape() -> None:
    assert incoming.messages("Hi")[0] == {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}
    assert incoming.messages({"role": "user", "content": "Hi"})[0]["parts"] == [{"type": "text", "content": "Hi"}]
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    [message] = incoming.messages([{"role": "user", "content": [{"type": "text", "text": "See"}, image]}])
    assert [part["type"] for part in message["parts"]] == ["text", "blob"]
    for wrong in ({}, {"role": "user"}, {"role": "king", "content": "x"}, 7):
        with pytest.raises(errors.UsageError):
            incoming.messages([wrong])  # type: ignore[list-item]


def test_tool_results_may_be_failures() -> None:
    [message] = incoming.tool_results({"a": {"x": 1}, "b": OSError("no")})
    assert message["parts"][0]["response"] == {"x": 1}
    assert message["parts"][1] == {
        "type": "tool_call_response",
        "id": "b",
        "response": "OSError: no",
        "is_error": True,
    }


def test_an_image_the_store_has_lost_is_named_and_the_rest_is_told(
    talk: Chat, sessions: SessionManager, mocked: Mocked
) -> None:
    image = incoming.attached(b"not really a picture", "image/png", "a.png")
    text = {"type": "text", "content": "What is it?"}
    first = talk.ask([{"role": "user", "parts": [image, text]}], "gpt-5", "s")
    part: dict[str, Any] = next(iter(first.session.history()))["parts"][0]
    found = sessions.store.objects.find(part["object"], "bin")
    assert found is not None
    fsio.remove(found)
    answer = talk.ask("And now?", session_id="s")
    assert "images and files whose bytes the store has lost (1)" in answer.notes
    assert "What is it?" in str(mocked.asked()[-1]["body"])


def test_a_model_that_only_calls_tools_is_stopped(talk: Chat, mocked: Mocked) -> None:
    tool = {"name": "add", "parameters": {"type": "object"}}
    mocked.break_({"type": "reply", "tool_calls": [{"name": "add", "arguments": {}}], "times": None})
    options: dict[str, Any] = {"tools": [tool], "toolbox": {"add": lambda: 1}}
    with pytest.raises(errors.UsageError, match="20 times"):
        talk.ask("Add", "gpt-5", "s", **options)
    with pytest.raises(errors.UsageError, match="20 times"):
        list(talk.stream("Add", "gpt-5", "t", **options))
    assert len(talk.sessions.get("s").history()) == 41


def test_instructions_are_told_once(talk: Chat, mocked: Mocked) -> None:
    talk.ask("One", "gpt-5", "s", system="Be brief.")
    talk.ask("Two", session_id="s", system="Be brief.")
    talk.ask("Three", session_id="s", system="Be kind.")
    told = [one["content"] for one in mocked.asked()[-1]["body"]["messages"] if one["role"] == "system"]
    assert told == ["Be brief.", "Be kind."]

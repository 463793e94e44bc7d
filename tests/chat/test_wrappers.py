"""The functions with the names of llm-mcp-server's tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.chat import Chat
from sessionstore.wrappers import analyze_with_gemini, kimi_chat, quick_gpt
from tests.adapters.mocked import Mocked


def body(mocked: Mocked) -> Any:
    return mocked.asked()[-1]["body"]


def reply(text: str) -> dict[str, Any]:
    return {"type": "reply", "text": text}


def test_gemini_analyses_a_text(talk: Chat, mocked: Mocked) -> None:
    mocked.break_(reply("It is short."))
    assert analyze_with_gemini("abc", chat=talk, session_id="a") == "It is short."
    assert body(mocked)["generationConfig"]["maxOutputTokens"] == 8192
    assert body(mocked)["contents"][0]["parts"][0]["text"] == "Analyze: abc"
    assert mocked.asked()[-1]["model"] == "gemini-2.5-pro"
    analyze_with_gemini("def", chat=talk, session_id="a")
    assert len(body(mocked)["contents"]) == 3


def test_a_quick_question_is_short_and_cool(talk: Chat, mocked: Mocked) -> None:
    assert quick_gpt("Two and two?", chat=talk)
    assert (body(mocked)["temperature"], body(mocked)["max_completion_tokens"]) == (0.3, 500)


def test_kimi_has_its_defaults_and_goes_on_with_the_last_session(talk: Chat, mocked: Mocked) -> None:
    mocked.break_(reply("One."), reply("Two."))
    assert kimi_chat("First", chat=talk, session_id="api-design", system="Be terse.") == "One."
    asked = body(mocked)
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("kimi-k2-0711-preview", 0.6, 4096)
    quick_gpt("Something else", chat=talk)
    kimi_chat("Second", chat=talk, session_id="@last", system="Be loud.")
    told = [(one["role"], one["content"]) for one in body(mocked)["messages"]]
    assert told[0] == ("system", "Be terse.") and told[-1] == ("user", "Second") and len(told) == 4


def test_last_without_any_session_begins_one(talk: Chat) -> None:
    assert kimi_chat("First", chat=talk, session_id="@last")
    [session] = talk.sessions.list()
    assert "@" not in session["key"]


def test_the_list_and_clearing(talk: Chat, mocked: Mocked) -> None:
    assert kimi_chat(chat=talk, session_id="@list") == "No active sessions found."
    kimi_chat("First", chat=talk, session_id="api-design", system="Be terse.")
    kimi_chat("First", chat=talk, session_id="other_1")
    listed = kimi_chat(chat=talk, session_id="@list")
    assert (
        listed.startswith("## Active Kimi Sessions")
        and "- **api-design**\n  - Topics: api design\n  - Messages: 3\n" in listed
    )
    assert kimi_chat(chat=talk, session_id="@clear:api-design") == "Session 'api-design' cleared successfully."
    assert kimi_chat(chat=talk, session_id="@clear:nobody") == "Session 'nobody' not found."
    assert "api-design" not in kimi_chat(chat=talk, session_id="@list")
    kimi_chat("Anew", chat=talk, session_id="api-design")
    assert [one["content"] for one in body(mocked)["messages"]] == ["Be terse.", "Anew"]
    kept = [p["content"] for one in talk.sessions.get("api-design").messages() for p in one["parts"]]  # type: ignore[attr-defined]
    assert "First" in kept and "Anew" in kept
    assert kimi_chat(chat=talk, session_id="@clear:@all").startswith("All 2 ")
    with pytest.raises(errors.UsageError):
        kimi_chat("x", chat=talk, session_id="@what")


def test_last_is_no_session_of_a_coding_program(talk: Chat, mocked: Mocked) -> None:
    said = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Fix it"}]}]
    said.append({**said[0], "id": "m2", "role": "assistant", "model": "kimi-k2.7-code"})
    talk.sessions.store.put("kimi-code:agent", said)
    talk.sessions.store.put("kimi:0a:chat_20250713_0905", said, {"native_id": "chat_20250713_0905"})
    assert "- **chat_20250713_0905**" in kimi_chat(chat=talk, session_id="@list")
    assert "agent" not in kimi_chat(chat=talk, session_id="@list")


def test_a_given_beginning_is_part_of_the_answer(talk: Chat, mocked: Mocked) -> None:
    mocked.break_(reply(" blue."))
    assert kimi_chat("The sky?", chat=talk, partial_response="The sky is", session_id="s") == "The sky is blue."
    assert body(mocked)["messages"][-1] == {"role": "assistant", "content": "The sky is", "partial": True}


def test_the_conversation_comes_along_when_it_is_asked_for(talk: Chat, mocked: Mocked) -> None:
    mocked.break_(reply("One."))
    told = kimi_chat("First", chat=talk, return_conversation=True)
    text, _, state = told.partition("\n\nConversation State:\n```json\n")
    assert text == "One."
    assert json.loads(state.removesuffix("\n```")) == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "One."},
    ]


def test_tools_that_kimi_wants_to_use_are_told(talk: Chat, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "tool_calls": [{"name": "look", "arguments": {"at": "it"}}]})
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    assert '"name": "look"' in kimi_chat("Look", chat=talk, available_tools=[tool])


def test_a_session_without_a_model_is_gone_on_with(talk: Chat, mocked: Mocked) -> None:
    talk.sessions.create("imported_1")
    kimi_chat("Hello", chat=talk, session_id="imported_1")
    assert body(mocked)["model"] == "kimi-k2-0711-preview"


def test_a_view_chooses_what_a_model_is_told(talk: Chat, mocked: Mocked) -> None:
    with Chat(talk.sessions, talk._settings, view=lambda messages: messages[-1:]) as short:
        for text in ("one", "two"):
            kimi_chat(text, chat=short, session_id="s_1")
    assert [one["content"] for one in body(mocked)["messages"]] == ["two"]
    assert len(talk.sessions.get("s_1").history()) == 4

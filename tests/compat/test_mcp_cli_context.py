"""mcp-cli's ChatContext: what its integration document asks for, kept in the store."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionMessageToolCall
from pydantic import TypeAdapter, ValidationError

from sessionstore import SessionManager, errors
from sessionstore.compat import _mcp_cli_managers as managers
from sessionstore.compat.mcp_cli import (
    ChatContext,
    ConversationHistory,
    MarkdownExporter,
    Message,
    MessageRole,
    ModelManager,
    SessionTracker,
    TestChatContext,
    TokenUsageStats,
    ToolCall,
)
from sessionstore.manager import tokens
from sessionstore.manager.summaries import ByModel
from tests.cli.running import ROOT, Program

SIGNATURES = {
    "__init__": "(self, tool_manager, model_manager, token_threshold=150000, enable_infinite_context=True)",
    "create": "(tool_manager, provider=None, model=None, api_base=None, api_key=None)",
    "initialize": "(self)",
    "find_tool_by_name": "(self, name)",
    "find_server_by_name": "(self, name)",
    "refresh_after_model_change": "(self)",
    "execute_tool": "(self, tool_name, arguments)",
    "stream_execute_tool": "(self, tool_name, arguments)",
    "get_server_for_tool": "(self, tool_name)",
    "add_user_message": "(self, content)",
    "add_assistant_message": "(self, content, tool_calls=None)",
    "add_tool_response": "(self, tool_call_id, content, name)",
    "get_conversation_length": "(self)",
    "clear_conversation_history": "(self, keep_system_prompt=True)",
    "regenerate_system_prompt": "(self)",
    "get_messages_for_llm": "(self)",
    "get_tool_count": "(self)",
    "get_server_count": "(self)",
    "get_token_stats": "(self)",
    "get_display_name_for_tool": "(namespaced_tool_name)",
    "to_dict": "(self)",
    "update_from_dict": "(self, context_dict)",
    "get_status_summary": "(self)",
}
ASYNC = {
    "initialize",
    "refresh_after_model_change",
    "execute_tool",
    "get_server_for_tool",
    "add_user_message",
    "add_assistant_message",
    "add_tool_response",
    "clear_conversation_history",
    "get_token_stats",
}
OPENAI = TypeAdapter(list[ChatCompletionMessageParam])


class Tools:
    """A tool manager with tools that do something."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("add",)

    async def get_unique_tools(self) -> list[Any]:
        return [self.tool(name) for name in self.names]

    def tool(self, name: str) -> Any:
        function = {"name": name, "description": f"Does {name}.", "parameters": {"type": "object", "properties": {}}}
        return SimpleNamespace(
            name=name,
            namespace="sums",
            fully_qualified_name=f"sums.{name}",
            description=f"Does {name}.",
            parameters=function["parameters"],
            to_openai_format=lambda: {"type": "function", "function": function},
        )

    async def get_server_info(self) -> list[Any]:
        return [SimpleNamespace(name="sums-server", namespace="sums")]

    async def get_tools_for_llm(self) -> list[dict[str, Any]]:
        return [tool.to_openai_format() for tool in await self.get_unique_tools()]

    async def execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        return sum(arguments.values())

    async def stream_execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        for value in arguments.values():
            yield value

    async def get_server_for_tool(self, tool_name: str) -> str | None:
        return "sums" if tool_name in self.names else None


def models(model: str = "gpt-4o-mini", provider: str = "openai") -> ModelManager:
    """A model manager in which one is chosen."""
    made = ModelManager()
    made.switch_model(provider, model)
    return made


def call(ident: str, name: str = "add", arguments: str = '{"a": 1}') -> dict[str, Any]:
    """A tool call as OpenAI writes it."""
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the contexts of a test find."""
    monkeypatch.setenv("SESSIONSTORE_DIR", str(tmp_path / "store"))
    return tmp_path / "store"


def run(talk: Callable[[ChatContext], Awaitable[None]], **options: Any) -> ChatContext:
    """A context after a conversation."""
    context = ChatContext(Tools(), options.pop("models", None) or models(), **options)

    async def whole() -> None:
        assert await context.initialize()
        await talk(context)

    asyncio.run(whole())
    return context


def stored(place: Path) -> list[Any]:
    """The sessions in the store, the last one first."""
    with SessionManager(place) as manager:
        return [manager.get(entry["key"]) for entry in manager.list(limit=100)]


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_older_class(name: str) -> None:
    signature = inspect.signature(getattr(ChatContext, name))
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    plain = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    assert str(plain) == SIGNATURES[name]


def test_what_was_asynchronous_is() -> None:
    assert {name for name in SIGNATURES if inspect.iscoroutinefunction(getattr(ChatContext, name))} == ASYNC
    assert inspect.isasyncgenfunction(ChatContext.stream_execute_tool)
    for name in ("client", "provider", "model"):
        assert isinstance(getattr(ChatContext, name), property)


def test_the_class_for_tests_has_its_signatures() -> None:
    assert list(inspect.signature(TestChatContext).parameters) == ["stream_manager", "model_manager"]
    made = inspect.signature(TestChatContext.create_for_testing)
    assert list(made.parameters) == ["stream_manager", "provider", "model"]
    assert issubclass(TestChatContext, ChatContext)


def test_there_is_no_conversation_history_and_the_error_says_what_to_do() -> None:
    context = ChatContext(Tools(), models())
    assert not hasattr(context, "conversation_history") and not hasattr(ChatContext, "conversation_history")
    with pytest.raises(AttributeError, match=r"get_messages_for_llm\(\).*add_user_message"):
        context.conversation_history.append({"role": "user", "content": "Hello"})
    with pytest.raises(AttributeError, match="get_messages_for_llm"):
        context.conversation_history = []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        context.nothing  # noqa: B018


# -- before it is initialised ----------------------------------------------------------------------------------------


def test_it_fails_fast_before_it_is_initialised() -> None:
    context = ChatContext(Tools(), models())
    waiting: list[Callable[[], Any]] = [
        lambda: asyncio.run(context.add_user_message("Hello")),
        lambda: asyncio.run(context.add_assistant_message("Hi")),
        lambda: asyncio.run(context.add_tool_response("c", "3", "add")),
        lambda: asyncio.run(context.clear_conversation_history()),
        lambda: asyncio.run(context.get_token_stats()),
        lambda: asyncio.run(context.resume("@last")),
        context.get_messages_for_llm,
        context.get_conversation_history,
        context.get_conversation_length,
    ]
    for use in waiting:
        with pytest.raises(RuntimeError, match="not initialized: await"):
            use()
    assert context.get_status_summary()["session_manager_active"] is False
    assert "messages=0" in repr(context) and "0 messages" in str(context)


def test_what_cannot_be_initialised_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Tools):
        async def get_unique_tools(self) -> list[Any]:
            raise ConnectionError("no server answers")

    context = ChatContext(Broken(), models())
    assert asyncio.run(context.initialize()) is False
    assert "no server answers" in capsys.readouterr().out

    async def entered() -> None:
        async with context:
            pass

    with pytest.raises(RuntimeError, match="Failed to initialize"):
        asyncio.run(entered())


def test_a_context_without_tools_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Nothing(Tools):
        async def get_unique_tools(self) -> list[Any]:
            return []

    async def entered() -> None:
        async with ChatContext(Nothing(), models()) as context:
            assert context.get_tool_count() == 0
            await context.add_user_message("Hello")

    asyncio.run(entered())
    assert capsys.readouterr().out == "No tools available. Chat functionality may be limited.\n"


# -- the conversation ------------------------------------------------------------------------------------------------


def test_a_conversation_is_in_the_store(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        assert stored(place) == []
        assert [message["role"] for message in context.get_messages_for_llm()] == ["system"]
        assert context.get_conversation_history() == context.get_messages_for_llm()
        await context.add_user_message("How much is 1 and 2?")
        await context.add_assistant_message("", [call("call_1", arguments='{"a": 1, "b": 2}')])
        await context.add_tool_response("call_1", "3", "add")
        await context.add_assistant_message("Three.")

    context = run(talk)
    messages = context.get_messages_for_llm()
    assert messages[1:] == [
        {"role": "user", "content": "How much is 1 and 2?"},
        {"role": "assistant", "content": None, "tool_calls": [call("call_1", arguments='{"a": 1, "b": 2}')]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3", "name": "add"},
        {"role": "assistant", "content": "Three."},
    ]
    OPENAI.validate_python(messages)
    assert context.get_conversation_length() == 4
    (session,) = stored(place)
    assert (session.id, session.title, session.model) == (context.session_id, "How much is 1 and 2?", "gpt-4o-mini")
    assert [message["role"] for message in session.history()] == ["system", "user", "assistant", "tool", "assistant"]
    assert {message.get("provider") for message in session.history() if message["role"] == "assistant"} == {"openai"}
    assert session.tools and session.tools[0]["function"]["name"] == "add"


def test_messages_may_be_awaited_as_in_the_older_code() -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("Hello")
        awaited = await context.get_messages_for_llm()
        assert awaited == context.get_messages_for_llm() and isinstance(awaited, list)
        assert json.loads(json.dumps(awaited)) == awaited

    run(talk)


def test_tasks_keep_the_order_in_which_they_were_made() -> None:
    async def talk(context: ChatContext) -> None:
        adding = [asyncio.create_task(context.add_user_message(f"turn {n}")) for n in range(20)]
        await asyncio.gather(*adding)

    messages = run(talk).get_messages_for_llm()
    assert [message["content"] for message in messages[1:]] == [f"turn {n}" for n in range(20)]


def test_each_call_is_followed_by_its_result_in_whatever_order_they_come(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("Both, please.")
        early = asyncio.create_task(context.add_tool_response("call_3", "before its call", "add"))
        both = asyncio.create_task(context.add_assistant_message("", [call("call_3"), call("call_1"), call("call_2")]))
        await asyncio.gather(early, both)
        await context.add_tool_response("call_2", "second", "add")
        await context.add_tool_response("call_1", "first", "add")
        await context.add_assistant_message("Done.")

    context = run(talk)
    messages = context.get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "assistant",
    ]
    told = [(message["tool_call_id"], message["content"]) for message in messages if message["role"] == "tool"]
    assert told == [("call_3", "before its call"), ("call_1", "first"), ("call_2", "second")]
    assert context.get_conversation_length() == 6


def test_a_call_without_a_result_is_closed_in_the_view_only(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("Go.")
        await context.add_assistant_message("", [call("call_1")])
        await context.add_user_message("Stop!")

    context = run(talk)
    messages = context.get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "user"]
    assert context.get_conversation_length() == 3
    assert stored(place)[0].count == 4


def test_a_result_that_comes_twice_is_no_second_answer() -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_assistant_message("", [call("call_1")])
        await context.add_tool_response("call_1", "3", "add")
        await context.add_tool_response("call_1", "3 again", "add")

    messages = run(talk).get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert [message["role"] for message in messages].count("tool") == 1
    assert "3 again" in messages[-1]["content"]


def test_tool_calls_may_be_objects() -> None:
    async def talk(context: ChatContext) -> None:
        theirs = ChatCompletionMessageToolCall.model_validate(call("call_1"))
        await context.add_assistant_message("Both.", [theirs, ToolCall.model_validate(call("call_2"))])

    assert run(talk).get_messages_for_llm()[1]["tool_calls"] == [call("call_1"), call("call_2")]


@pytest.mark.parametrize("wrong", ["text", {}, {"id": "c"}, {"id": "", "function": {"name": "add"}}, 5])
def test_a_call_that_is_none_is_refused_and_nothing_is_added(wrong: Any) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("Hello")
        with pytest.raises(errors.UsageError, match=r"call"):
            await context.add_assistant_message("", [wrong])
        assert context.get_conversation_length() == 1

    run(talk)


def test_pictures_and_results_that_are_no_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}

    async def talk(context: ChatContext) -> None:
        await context.add_user_message([{"type": "text", "text": "What is this?"}, picture])  # type: ignore[arg-type]
        await context.add_assistant_message("", [call("call_1")])
        await context.add_tool_response("call_1", {"moisture": 0.12}, "add")  # type: ignore[arg-type]

    messages = run(talk).get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert messages[1]["content"] == [{"type": "text", "text": "What is this?"}, picture]
    assert json.loads(messages[3]["content"]) == {"moisture": 0.12}


def test_what_was_said_to_the_letter() -> None:
    said = ["", "  spaces  ", "\n", "NUL \x00 and \u2028", "# Markdown\n```"]

    async def talk(context: ChatContext) -> None:
        for text in said:
            await context.add_user_message(text)
        await context.add_assistant_message("  indented\n")

    messages = run(talk).get_messages_for_llm()
    assert [message["content"] for message in messages[1:]] == [*said, "  indented\n"]


# -- clearing, prompts, models ---------------------------------------------------------------------------------------


def test_clearing_begins_another_session_and_keeps_the_old_one(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("first conversation")
        await context.add_assistant_message("yes")
        first = context.session_id
        await context.clear_conversation_history()
        assert context.session_id != first
        assert context.get_conversation_length() == 0
        assert (await context.get_token_stats()).total_tokens == 0
        assert [message["role"] for message in context.get_messages_for_llm()] == ["system"]
        await context.add_user_message("second conversation")
        await context.clear_conversation_history(keep_system_prompt=False)
        assert context.get_messages_for_llm() == []
        await context.add_user_message("third conversation")

    run(talk)
    sessions = stored(place)
    assert [session.title for session in sessions] == [
        "third conversation",
        "second conversation",
        "first conversation",
    ]
    assert [session.state for session in sessions] == ["active", "completed", "completed"]
    assert [message["role"] for message in sessions[0].history()] == ["user"]


@pytest.mark.parametrize("keep", [True, False])
def test_the_prompt_is_made_anew(place: Path, keep: bool) -> None:
    async def talk(context: ChatContext) -> None:
        await context.clear_conversation_history(keep_system_prompt=keep)
        await context.add_user_message("Hello")
        context.internal_tools = [Tools("water").tool("water")]
        context.regenerate_system_prompt()

    context = run(talk)
    messages = context.get_messages_for_llm()
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "water" in messages[0]["content"] and context.system_prompt == messages[0]["content"]
    (session,) = stored(place)
    assert len(session.manager.store.revisions_of(session.key)) == 2


def test_another_model_is_recorded_and_told(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        await context.refresh_after_model_change()
        await context.add_user_message("Hello")
        await context.add_assistant_message("Hi")
        context.model_manager.switch_model("anthropic", "claude-opus-4-6")
        await context.refresh_after_model_change()
        await context.add_assistant_message("Hi from me")

    context = run(talk)
    (session,) = stored(place)
    assert session.stats()["switches"] == 1
    assert [message.get("model") for message in session.history() if message["role"] == "assistant"] == [
        "gpt-4o-mini",
        "claude-opus-4-6",
    ]
    assert context.get_conversation_length() == 3
    messages = context.get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert any("switched from gpt-4o-mini to claude-opus-4-6" in str(message["content"]) for message in messages)


def test_going_on_with_a_conversation(place: Path) -> None:
    async def first(context: ChatContext) -> None:
        await context.add_user_message("Remember 42.")
        await context.add_assistant_message("", [call("call_1")])

    name = run(first).session_id

    async def second(context: ChatContext) -> None:
        await context.resume(name)
        assert context.session_id == name and context.token_stats.total_tokens > 0
        await context.add_tool_response("call_1", "remembered", "add")
        await context.add_assistant_message("I do.", [call("call_1")])
        await context.add_tool_response("call_1", "again", "add")
        with pytest.raises(errors.NotFound):
            await context.resume("nothing-of-that-name")

    messages = run(second).get_messages_for_llm()
    assert [message["role"] for message in messages] == ["system", "user", *["assistant", "tool"] * 2]
    assert [message["content"] for message in messages if message["role"] == "tool"] == ["remembered", "again"]
    OPENAI.validate_python(messages)
    assert len(stored(place)) == 1


def test_ids_of_calls_that_repeat_stay_with_their_turns() -> None:
    async def talk(context: ChatContext) -> None:
        for number in range(3):
            await context.add_user_message(f"Question {number}")
            await context.add_assistant_message("", [call("add:0"), call("add:1")])
            await context.add_tool_response("add:1", f"second of {number}", "add")
            await context.add_tool_response("add:0", f"first of {number}", "add")
            await context.add_tool_response("add:0", f"once more of {number}", "add")

    messages = run(talk).get_messages_for_llm()
    OPENAI.validate_python(messages)
    told = [message["content"] for message in messages if message["role"] == "tool"]
    assert told == [f"{which} of {number}" for number in range(3) for which in ("first", "second")]
    ids = [one["id"] for message in messages for one in message.get("tool_calls", ())]
    assert len(set(ids)) == 6


# -- tokens, segments, cost ------------------------------------------------------------------------------------------


def sized(count: int) -> str:
    """A text that makes a message of so many tokens."""
    return "x" * (4 * (count - tokens.FRAME))


def prompt_tokens(context: ChatContext) -> int:
    return tokens.estimate({"parts": [{"type": "text", "content": context.system_prompt}]})


def test_the_warning_at_80_percent(capsys: pytest.CaptureFixture[str]) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message(sized(119_000 - prompt_tokens(context)))
        await context.add_assistant_message(sized(999))
        assert context.token_stats.total_tokens == 119_999
        assert not context.token_stats.approaching_limit(context.token_threshold)
        assert capsys.readouterr().out == ""
        await context.clear_conversation_history()
        await context.add_user_message(sized(119_000 - prompt_tokens(context)))
        await context.add_assistant_message(sized(1_000))
        assert capsys.readouterr().out == "Token usage: 120000/150000 (80% threshold)\n"
        stats = await context.get_token_stats()
        assert (stats.total_tokens, stats.completion_tokens, stats.segments) == (120_000, 1_000, 1)
        assert stats.approaching_limit(context.token_threshold) and not stats.exceeded_limit(context.token_threshold)

    run(talk)


def test_segments_come_by_themselves_and_the_conversation_goes_on(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("My cat is called Mimi. Remember that my cat Mimi is grey.")
        await context.add_assistant_message("Mimi is a grey cat.")
        for number in range(40):
            await context.add_user_message(f"Question {number}: {sized(100)}")
            await context.add_assistant_message(f"Answer {number}: {sized(100)}")

    context = run(talk, token_threshold=2_000)
    stats = asyncio.run(context.get_token_stats())
    assert stats.segments > 3 and stats.total_tokens > 8_000 and stats.exceeded_limit(2_000)
    messages = context.get_messages_for_llm()
    OPENAI.validate_python(messages)
    assert messages[0]["role"] == "system"
    assert messages[1]["content"].startswith("Summary of the conversation so far:") and "Mimi" in messages[1]["content"]
    assert messages[-1]["content"].startswith("Answer 39")
    assert sum(len(message["content"]) for message in messages) < 4 * 3_500
    assert context.get_conversation_length() == 82
    everything = context.get_conversation_history()
    assert len(everything) == 83 and everything[2]["content"] == "Mimi is a grey cat."
    assert MarkdownExporter.export(everything).count("### User") == 41
    assert stored(place)[0].count == 83


def test_without_infinite_context_there_is_one_segment_within_the_budget() -> None:
    async def talk(context: ChatContext) -> None:
        for number in range(40):
            await context.add_user_message(f"Question {number}: {sized(100)}")

    context = run(talk, token_threshold=2_000, enable_infinite_context=False)
    assert asyncio.run(context.get_token_stats()).segments == 1
    messages = context.get_messages_for_llm()
    assert messages[0]["role"] == "system" and messages[1]["role"] == "user"
    assert messages[-1]["content"].startswith("Question 39")
    assert sum(len(message["content"]) for message in messages) <= 4 * 2_000


def test_a_model_that_takes_less_than_the_threshold_sees_less() -> None:
    async def talk(context: ChatContext) -> None:
        await context.add_user_message("My cat is called Mimi.")
        for number in range(60):
            await context.add_user_message(f"Question {number}: {sized(200)}")

    context = run(talk, models=models("gpt-4"))
    assert asyncio.run(context.get_token_stats()).segments == 1
    messages = context.get_messages_for_llm()
    assert "Mimi" in messages[1]["content"]
    assert sum(len(message["content"]) for message in messages) < 4 * 8_192


def test_summaries_by_a_model_are_made_once() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return f"summary {len(asked)}"

    async def talk(context: ChatContext) -> None:
        for number in range(10):
            await context.add_user_message(f"Question {number}: {sized(100)}")

    context = ChatContext(Tools(), models(), token_threshold=600)
    context.summariser = ByModel(ask)

    async def whole() -> None:
        await context.initialize()
        await talk(context)

    asyncio.run(whole())
    first = context.get_messages_for_llm()
    assert "summary" in first[1]["content"]
    count = len(asked)
    assert count and context.get_messages_for_llm() == first and len(asked) == count


def test_cost_is_the_list_price_of_what_was_sent_and_answered() -> None:

    async def talk(context: ChatContext) -> None:
        await context.add_user_message(sized(1_000_000 - prompt_tokens(context)))
        await context.add_assistant_message(sized(1_000_000))

    context = run(talk, token_threshold=10_000_000)
    assert context.token_stats.estimated_cost == pytest.approx(0.15 + 0.60)
    assert asyncio.run(context.get_token_stats()).estimated_cost == pytest.approx(0.75)
    unknown = run(talk, token_threshold=10_000_000, models=models("nobody-knows-this", "nobody"))
    assert unknown.token_stats.estimated_cost == 0.0


def test_tracking_as_the_second_library_did(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        tracker = context.session_manager
        assert isinstance(tracker, SessionTracker)
        assert await tracker.user_says("How much?") == context.session_id
        await tracker.tool_used("add", {"a": 1}, 3)
        await tracker.tool_used("add", {"a": 1}, None, error="overflow")
        await tracker.ai_responds("Three.", model="gpt-4o-mini", provider="openai")
        stats = await tracker.get_stats()
        names = "session_id session_segments session_chain total_messages total_events user_messages ai_messages"
        names += " tool_calls total_tokens estimated_cost created_at last_update infinite_context"
        assert set(names.split()) <= stats.keys()
        assert (stats["tool_calls"], stats["user_messages"], stats["total_messages"]) == (2, 1, 6)
        assert stats["tools"]["add"] == {"calls": 2, "results": 2, "errors": 1}

    context = run(talk)
    OPENAI.validate_python(context.get_messages_for_llm())
    empty = SessionTracker(place)
    assert asyncio.run(empty.get_stats())["total_tokens"] == 0


def test_a_long_conversation_stays_quick(place: Path) -> None:
    async def talk(context: ChatContext) -> None:
        tracker = context.session_manager
        assert tracker is not None
        await context.add_user_message("begin")
        tracker.manager.append(tracker.session, [{"role": "user", "content": f"turn {n}"} for n in range(20_000)])  # type: ignore[arg-type]
        await context.add_assistant_message("warm")
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(10):
            await context.add_assistant_message(f"answer {number}")
        assert (loop.time() - started) / 10 < 0.5
        assert context.get_conversation_length() == 20_012

    run(talk)


# -- shapes ----------------------------------------------------------------------------------------------------------


def test_messages_are_validated() -> None:
    with pytest.raises(ValidationError):
        Message.from_dict({"role": "nobody", "content": "x"})
    given = {"role": "assistant", "content": "x", "tool_calls": [call("call_1")]}
    assert Message.from_dict(given).to_dict() == given
    assert Message(role=MessageRole.TOOL, content="3", name="add", tool_call_id="c").to_dict()["role"] == "tool"
    for wrong in ("{oops", "[1]"):
        assert ToolCall(id="c", function={"name": "add", "arguments": wrong}).arguments == {}


def test_a_conversation_in_memory() -> None:
    history = ConversationHistory(messages=[Message(role=MessageRole.SYSTEM, content="Be brief.")])
    history.add_user_message("Hello")
    history.add_assistant_message("", [ToolCall.model_validate(call("call_1"))])
    history.add_tool_response("call_1", "3", "add")
    assert (len(history), history.length) == (4, 3)
    OPENAI.validate_python(history.get_messages_for_llm())
    history.clear()
    assert (len(history), history.length) == (1, 0)
    history.clear(keep_system=False)
    assert len(history) == 0


def test_thresholds() -> None:
    stats = TokenUsageStats(total_tokens=120_000)
    assert stats.approaching_limit(150_000) and not stats.exceeded_limit(150_000)
    assert not TokenUsageStats(total_tokens=119_999).approaching_limit(150_000)
    assert TokenUsageStats(total_tokens=150_000).exceeded_limit(150_000)


# -- tools, managers, other programs ---------------------------------------------------------------------------------


def test_tools_and_servers_are_those_of_the_manager() -> None:
    async def talk(context: ChatContext) -> None:
        assert await context.execute_tool("add", {"a": 1, "b": 2}) == 3
        assert [piece async for piece in context.stream_execute_tool("add", {"a": 1, "b": 2})] == [1, 2]
        assert await context.get_server_for_tool("add") == "sums"
        assert await context.get_server_for_tool("nothing") == "Unknown"

    context = run(talk)
    for name in ("add", "sums.add", "elsewhere.add"):
        assert context.find_tool_by_name(name).name == "add"
    assert context.find_tool_by_name("nothing") is None
    assert context.find_server_by_name("sums").name == context.find_server_by_name("sums-server").name
    assert context.find_server_by_name("nothing") is None
    assert (context.get_tool_count(), context.get_server_count()) == (1, 1)
    assert context.get_display_name_for_tool("sums.add") == "sums.add"
    assert context.tool_to_server_map == {"add": "sums"}


def test_tools_are_fitted_to_the_provider() -> None:
    class Fitting(Tools):
        async def get_adapted_tools_for_llm(self, provider: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
            if provider != "openai":
                raise LookupError(provider)
            return [{"type": "function", "function": {"name": "sums_add"}}], {"sums_add": "sums.add"}

    async def whole(provider: str) -> ChatContext:
        context = ChatContext(Fitting(), models(provider=provider))
        await context.initialize()
        return context

    assert asyncio.run(whole("openai")).tool_name_mapping == {"sums_add": "sums.add"}
    assert asyncio.run(whole("other")).openai_tools[0]["function"]["name"] == "add"


def test_what_commands_are_given_and_give_back() -> None:
    class Models(ModelManager):
        def get_client(self) -> Any:
            return "client"

    made = Models()
    made.switch_model("openai", "gpt-4o-mini")
    context = run(lambda context: context.add_user_message("Hello"), models=made)
    given = context.to_dict()
    assert given["client"] == "client" and given["session_manager"] is context.session_manager
    other = ChatContext(Tools(), models())
    other.update_from_dict({**given, "exit_requested": True})
    assert other.exit_requested and other.get_conversation_length() == 1 and other.tools == context.tools
    summary = context.get_status_summary()
    assert (summary["model"], summary["tool_count"], summary["conversation_length"]) == ("gpt-4o-mini", 1, 1)
    assert set(summary["token_usage"]) == {"total", "prompt", "completion", "cost", "segments"}
    assert str(context) == "Chat session with openai/gpt-4o-mini (1 tools, 1 messages)"


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [("openai", "gpt-5", ("openai", "gpt-5")), ("openai", None, ("openai", "")), (None, "gpt-5", ("", "gpt-5"))],
)
def test_making_one_without_mcp_cli(provider: str | None, model: str | None, found: tuple[str, str]) -> None:
    context = ChatContext.create(Tools(), provider, model, api_base="http://127.0.0.1:1", api_key="k")
    assert (context.provider, context.model) == found
    assert context.model_manager.settings == (
        {provider: {"api_key": "k", "api_base": "http://127.0.0.1:1"}} if provider else {}
    )
    with pytest.raises(RuntimeError, match=r"sessionstore\.chat"):
        context.client  # noqa: B018


def test_the_context_for_tests() -> None:
    class Streams:
        def get_all_tools(self) -> list[Any]:
            return [Tools().tool("add")]

        def get_server_info(self) -> list[Any]:
            return []

        def get_server_for_tool(self, name: str) -> str:
            return "" if name == "nothing" else "sums"

    class Calling(Streams):
        async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
            return sum(arguments.values())

        def get_internal_tools(self) -> list[Any]:
            return self.get_all_tools()

    async def whole(streams: Any) -> TestChatContext:
        context = TestChatContext.create_for_testing(streams, "openai", "gpt-4o-mini")
        assert await context.initialize()
        await context.add_user_message("Hello")
        assert await context.get_server_for_tool("nothing") == "Unknown"
        return context

    context = asyncio.run(whole(Streams()))
    assert context.openai_tools[0]["function"]["name"] == "add" and context.get_conversation_length() == 1
    with pytest.raises(ValueError, match="call_tool"):
        asyncio.run(context.execute_tool("add", {}))
    assert asyncio.run(asyncio.run(whole(Calling())).execute_tool("add", {"a": 2, "b": 3})) == 5


def test_where_mcp_cli_is_installed_its_prompt_and_models_are_used(tmp_path: Path) -> None:
    package = tmp_path / "site" / "mcp_cli"
    (package / "chat").mkdir(parents=True)
    for name in ("__init__.py", "chat/__init__.py"):
        (package / name).touch()
    (package / "chat" / "system_prompt.py").write_text(
        "def generate_system_prompt(tools):\n    return f'{len(tools)} tools'\n"
    )
    (package / "model_manager.py").write_text(
        "class ModelManager:\n"
        "    def switch_model(self, provider, model): self.chosen = provider, model\n"
        "    def get_active_provider(self): return self.chosen[0]\n"
        "    def get_active_model(self): return self.chosen[1]\n"
    )
    program = """
import asyncio
from sessionstore.compat.mcp_cli import ChatContext
class Tools:
    async def get_unique_tools(self): return []
    async def get_server_info(self): return []
    async def get_tools_for_llm(self): return []
context = ChatContext.create(Tools(), "openai", "gpt-5")
asyncio.run(context.initialize())
print(type(context.model_manager).__module__, context.model, context.get_messages_for_llm()[0]["content"])
"""
    environment = Program(tmp_path, tmp_path).environment()
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "mcp_cli.model_manager gpt-5 0 tools"


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, os, signal
from sessionstore.compat.mcp_cli import ChatContext, ModelManager
class Tools:
    async def get_unique_tools(self): return []
    async def get_server_info(self): return []
    async def get_tools_for_llm(self): return []
async def main():
    context = ChatContext(Tools(), ModelManager())
    await context.initialize()
    for n in range(5):
        await context.add_user_message(f"turn {n}")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    environment = Program(tmp_path, tmp_path, tmp_path / "killed").environment()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    (session,) = stored(tmp_path / "killed")
    assert [message["parts"][0]["content"] for message in session.history()][1:] == [f"turn {n}" for n in range(5)]


def test_the_example_in_the_documents_does_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "compat" / "mcp_cli.md").read_text(encoding="utf-8")
    (code,), (expected,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "text"))
    environment = Program(tmp_path, tmp_path).environment()
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (expected, "")


def test_one_manager_for_each_store(place: Path, tmp_path: Path) -> None:
    one = managers.manager_at(place)
    assert managers.manager_at(place) is one
    assert managers.manager_at(tmp_path / "other") is not one


def test_the_module_is_found_from_the_sources_alone() -> None:
    assert Path(inspect.getfile(ChatContext)).is_relative_to(ROOT)

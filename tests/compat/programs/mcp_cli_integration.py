"""A program as one for mcp-cli is written; of its imports, the modules' names only are other ones."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sessionstore.compat.mcp_cli import (
    ChatContext,
    ConversationHistory,
    JSONExporter,
    MarkdownExporter,
    Message,
    MessageRole,
    SessionData,
    SessionMetadata,
    SessionStore,
    TokenTracker,
    TokenUsageStats,
    ToolCall,
    TurnUsage,
)


class Models:
    """A model manager, as far as a context asks it."""

    def get_active_provider(self) -> str:
        return "openai"

    def get_active_model(self) -> str:
        return "gpt-4o-mini"

    def get_client(self) -> str:
        return "client"


class Tools:
    """A tool manager with one real tool."""

    async def get_unique_tools(self) -> list[Any]:
        shape = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}}}
        tool = SimpleNamespace(name="add", namespace="sums", fully_qualified_name="sums.add", description="Adds.")
        tool.to_openai_format = lambda: shape
        return [tool]

    async def get_server_info(self) -> list[Any]:
        return [SimpleNamespace(name="sums-server", namespace="sums")]

    async def get_tools_for_llm(self) -> list[dict[str, Any]]:
        return [tool.to_openai_format() for tool in await self.get_unique_tools()]

    async def execute_tool(self, tool_name: str, arguments: dict[str, Any]) -> Any:
        assert tool_name == "add"
        return arguments["a"] + arguments["b"]

    async def get_server_for_tool(self, tool_name: str) -> str:
        return "sums"


def shapes() -> None:
    """The conversation's shapes."""
    conversation = ConversationHistory()
    conversation.messages.append(Message(role=MessageRole.SYSTEM, content="You are a helpful assistant."))
    conversation.add_user_message("Hello!")
    conversation.add_assistant_message("Hi there!")
    assert (len(conversation), conversation.length) == (3, 2)
    roles = [message["role"] for message in conversation.get_messages_for_llm()]
    assert roles == ["system", "user", "assistant"]

    stats = TokenUsageStats()
    stats.update(prompt=100, completion=50, cost=0.001)
    assert (stats.total_tokens, stats.estimated_cost) == (150, 0.001)
    assert not stats.approaching_limit(1000)
    stats.update(prompt=650, completion=0)
    assert stats.approaching_limit(1000) and not stats.exceeded_limit(1000)

    call = ToolCall(id="call_1", function={"name": "get_weather", "arguments": '{"location": "San Francisco"}'})
    assert (call.name, call.arguments) == ("get_weather", {"location": "San Francisco"})


async def conversation() -> list[dict[str, Any]]:
    """A conversation with a tool."""
    context = ChatContext(
        tool_manager=Tools(), model_manager=Models(), token_threshold=150000, enable_infinite_context=True
    )
    try:
        await context.add_user_message("too early")
    except RuntimeError:
        pass
    else:
        raise AssertionError("it must fail fast")
    assert await context.initialize()

    await context.add_user_message("What is 2 + 40?")
    asked = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 40}'}}
    await context.add_assistant_message("", tool_calls=[asked])
    result = await context.execute_tool("add", json.loads(asked["function"]["arguments"]))
    await context.add_tool_response("call_1", str(result), "add")
    await context.add_assistant_message("It is 42.")

    messages = context.get_messages_for_llm()
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert messages[2]["tool_calls"] == [asked]
    assert messages[3] == {"role": "tool", "tool_call_id": "call_1", "content": "42", "name": "add"}
    assert context.get_conversation_length() == 4

    stats = await context.get_token_stats()
    assert stats.total_tokens > 0 and stats.segments == 1
    print(f"Total: {stats.total_tokens}")
    print(f"Cost: ${stats.estimated_cost:.4f}")
    print(f"Segments: {stats.segments}")

    kept = list(messages)
    await context.clear_conversation_history()
    assert context.get_conversation_length() == 0
    assert context.get_messages_for_llm() == kept[:1]
    return kept


def saved(messages: list[dict[str, Any]]) -> None:
    """Saving, listing, loading, deleting, exporting."""
    tracker = TokenTracker()
    tracker.record_turn(TurnUsage(input_tokens=120, output_tokens=30, model="gpt-4o-mini", provider="openai"))
    usage = {
        "total_input": tracker.total_input,
        "total_output": tracker.total_output,
        "total_tokens": tracker.total_tokens,
        "turn_count": tracker.turn_count,
    }
    print(tracker.format_summary())

    store = SessionStore()
    metadata = SessionMetadata(session_id="chat-0123456789ab", provider="openai", model="gpt-4o-mini")
    path = store.save(SessionData(metadata=metadata, messages=messages, token_usage=usage))
    assert path == Path("~/.mcp-cli/sessions/default/chat-0123456789ab.json").expanduser()
    assert json.loads(path.read_text(encoding="utf-8"))["messages"] == messages

    found = SessionStore().load("chat-0123456789ab")
    assert found is not None and found.messages == messages and found.token_usage == usage
    assert [one.session_id for one in store.list_sessions()] == ["chat-0123456789ab"]

    exported = json.loads(JSONExporter.export(messages, {"session_id": "chat-0123456789ab"}, usage))
    assert list(exported) == ["version", "exported_at", "metadata", "token_usage", "messages"]
    assert MarkdownExporter.export(messages).startswith("# Chat Export\n")

    if "--keep" not in sys.argv:
        assert store.delete("chat-0123456789ab") and not store.delete("chat-0123456789ab")
        assert store.load("chat-0123456789ab") is None


def main() -> None:
    """All of it."""
    shapes()
    saved(asyncio.run(conversation()))
    print("=" * 60)
    print("✅ ALL TESTS PASSED")


if __name__ == "__main__":
    main()

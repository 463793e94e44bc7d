"""What mcp-cli had a second library for: following a conversation, and saying what it came to.

There the conversation was one list and the figures another. Here there is one session in the store; messages go into
it, and everything said about it is worked out from it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sessionstore import layout, objects
from sessionstore.compat._mcp_cli_managers import manager_at
from sessionstore.compat._mcp_cli_messages import Listed, for_model, plain_calls, unified
from sessionstore.compat._mcp_cli_shapes import TokenUsageStats
from sessionstore.importers.common import title_line
from sessionstore.importers.openai_chat import text_of
from sessionstore.journal import now
from sessionstore.manager.aio import AsyncSession, AsyncSessionManager
from sessionstore.manager.context import Context, room
from sessionstore.manager.making import complete
from sessionstore.manager.prices import price
from sessionstore.manager.session import Session
from sessionstore.manager.summaries import Summariser

Message = dict[str, Any]


class SessionTracker:
    """One conversation. It is in the store from its first message on; what a method adds is durable when it returns.

    `place` is the store's directory. A segment is closed when the conversation has grown by `token_threshold` tokens,
    unless `infinite_context` is false.
    """

    def __init__(
        self,
        place: Path,
        system_prompt: str | None = None,
        infinite_context: bool = True,
        token_threshold: int = 150_000,
        *,
        tools: Sequence[Any] = (),
        summariser: Summariser | None = None,
        session: Session | None = None,
    ) -> None:
        self.manager = manager_at(place)
        self.system_prompt, self.tools, self.summariser = system_prompt, list(tools), summariser
        self.infinite_context, self.token_threshold = infinite_context, token_threshold
        self.session_id = session.id if session else f"chat-{secrets.token_hex(6)}"
        self.session = session
        """The session in the store; None before the first message."""
        self._async = AsyncSessionManager(self.manager)
        self._lock = threading.Lock()
        self._asked: set[str] = set(_calls(session.messages())) if session else set()
        self._early: dict[str, str] = {}
        """Results that came before their call: the call's id, and the id of the message."""
        self._costs = _Costs()

    # -- adding ----------------------------------------------------------------------------------------------------

    async def user_says(self, message: Any) -> str:
        """Add what a person says: a text, or a list of OpenAI's content items. Returns the session's id."""
        return await self._add({"role": "user", "content": message})

    async def ai_responds(
        self, response: str | None, model: str = "", provider: str = "", *, tool_calls: Sequence[Any] | None = None
    ) -> str:
        """Add what a model says, and which tools it wants. Returns the session's id. Raises `UsageError` for a call
        that is none."""
        calls = plain_calls(tool_calls)
        message = unified({"role": "assistant", "content": response or "", "tool_calls": calls or None})
        message |= {"model": model or None, "provider": provider or None}
        wanted = {call["id"] for call in calls}
        early = {self._early.pop(name) for name in wanted if name in self._early}
        self._asked |= wanted
        if early:
            return await self._add_before(message, early)
        return await self._append([message], model, provider)

    async def tool_used(
        self, tool_name: str, arguments: Any, result: Any, error: str | None = None, *, call_id: str | None = None
    ) -> str:
        """Add what a tool gave back. Without a `call_id` nobody has recorded the call: it is added as well. Returns the
        session's id."""
        failed = {"is_error": True} if error else {}
        answer: Message = {"type": "tool_call_response", "id": call_id or "", "response": error or result, **failed}
        told: Message = {"role": "tool", "parts": [answer], "x": {"name": tool_name}}
        if call_id is not None:
            if call_id not in self._asked:
                told["id"] = self._early[call_id] = layout.ulid()
            return await self._append([told])
        answer["id"] = f"call_{layout.ulid()}"
        asked = {"type": "tool_call", "id": answer["id"], "name": tool_name, "arguments": arguments or {}}
        return await self._append([{"role": "assistant", "parts": [asked]}, told])

    async def _add(self, message: Message) -> str:
        return await self._append([unified(message)])

    async def _append(self, messages: list[Message], model: str = "", provider: str = "") -> str:
        text = text_of(messages[0]) if messages[0]["role"] == "user" else ""
        session = self._begun(model, provider, title_line(text) or None)
        await AsyncSession(self._async, session).append(messages)
        return self.session_id

    async def _add_before(self, message: Message, early: set[str]) -> str:
        """Add a message whose calls were answered before it came: the answers, by their messages' ids, are put behind
        it. The order in which they came stays in the session's history."""
        session = self._begun()
        made = complete([message])

        def ordered(messages: list[Message]) -> list[Message]:
            answers = [one for one in messages if one["id"] in early]
            return [one for one in messages if one["id"] not in early] + made + answers

        def work() -> None:
            with self.manager.held(session.key):
                live = self.manager.live(session.key)
                live.replace(lambda head: ordered(list(self.manager.store.messages(head))), {"updated_at": now()})
            self.manager.changed(session.key)

        await self._async._call(session.key, work)
        return self.session_id

    def _begun(self, model: str = "", provider: str = "", title: str | None = None) -> Session:
        with self._lock:
            if self.session is None:
                self.session = self.manager.create(
                    self.session_id,
                    model=model or None,
                    provider=provider or None,
                    system=self.system_prompt,
                    title=title,
                    tools=self.tools or None,
                    cwd=os.getcwd(),
                )
            return self.session

    async def switch_model(self, model: str, provider: str = "") -> None:
        """Let another model answer from now on. Who calls this has chosen it, so no consent is asked for."""
        if self.session is not None:
            session = AsyncSession(self._async, self.session)
            await session.switch_model(model, consent=True, provider=provider or None)

    async def complete(self) -> None:
        """The conversation has come to its end; it stays in the store."""
        if self.session is not None:
            await self._async.set_state(self.session, "completed")

    async def close(self) -> None:
        """Have the search index current."""
        await asyncio.to_thread(self.manager.keeper.flush)

    def update_system_prompt(self, system_prompt: str) -> None:
        """Change the instructions; how they were stays in the session's history."""
        self.system_prompt = system_prompt
        session = self.session
        if session is None:
            return
        first = next(iter(session.messages()), None)
        if first is not None and first["role"] == "system":
            session.edit(0, system_prompt)
            return
        made = complete([{"role": "system", "content": system_prompt}])
        with self.manager.held(session.key):
            live = self.manager.live(session.key)
            live.replace(lambda head: [*made, *self.manager.store.messages(head)], {"updated_at": now()})
        self.manager.changed(session.key)

    # -- reading ---------------------------------------------------------------------------------------------------

    def get_messages_for_llm(self, model: str = "") -> Listed:
        """What to send: the instructions, a summary of what no longer fits, the rest; in OpenAI's shape, each call
        followed by its result."""
        if self.session is None:
            return Listed([{"role": "system", "content": self.system_prompt}] if self.system_prompt else [])
        most = room(model or self.session.model)
        threshold = min(self.token_threshold, most) if most else self.token_threshold
        context = self._context(threshold, model=model or None, budget=None if self.infinite_context else threshold)
        return for_model(context.messages(), self._bytes)

    def get_conversation(self) -> Listed:
        """All messages in OpenAI's shape, of all segments, as they were added."""
        return self.get_messages_for_llm() if self.session is None else for_model(self.session.history(), self._bytes)

    def _bytes(self, name: str) -> bytes:
        return self.manager.store.objects.get(name, objects.VALUE, check=True)

    def get_conversation_length(self) -> int:
        """How many messages there are beside the instructions, in all segments."""
        if self.session is None:
            return 0
        counted = self.session.revision["counts"].get("by_role") or {}
        return sum(count for role, count in counted.items() if role != "system")

    def context(self) -> Context | None:
        """The conversation in segments of `token_threshold` tokens; None before the first message."""
        return None if self.session is None else self._context(self.token_threshold)

    def usage(self) -> TokenUsageStats:
        """Tokens (estimated, each message once), their price as far as it is known, and segments."""
        context = self.context()
        if context is None:
            return TokenUsageStats()
        with self._lock:
            cost, completion = self._costs.of(context)
        total = sum(context.counts)
        return TokenUsageStats(
            prompt_tokens=total - completion,
            completion_tokens=completion,
            total_tokens=total,
            estimated_cost=cost,
            segments=len(context.segments),
        )

    async def get_usage(self) -> TokenUsageStats:
        """`usage`, without holding the event loop."""
        return await asyncio.to_thread(self.usage)

    async def get_stats(self) -> dict[str, Any]:
        """The figures of the conversation; `session_chain` has its one id, because segments are views of it."""
        return await asyncio.to_thread(self._stats)

    def _stats(self) -> dict[str, Any]:
        usage = self.usage().model_dump()
        segments = usage.pop("segments")
        found: dict[str, Any] = self.session.stats() if self.session else {}
        return {
            "session_id": self.session_id,
            "session_segments": segments,
            "session_chain": [self.session_id],
            "total_messages": self.get_conversation_length(),
            "total_events": found.get("messages", 0),
            "user_messages": found.get("user_messages", 0),
            "ai_messages": found.get("ai_messages", 0),
            "tool_calls": found.get("tool_calls", 0),
            **usage,
            "tools": found.get("tools", {}),
            "created_at": found.get("created_at"),
            "last_update": found.get("updated_at"),
            "infinite_context": self.infinite_context,
        }

    def _context(self, threshold: int, **options: Any) -> Context:
        assert self.session is not None
        options |= {"infinite": self.infinite_context, "summariser": self.summariser}
        return self.session.context(threshold=threshold, **options)


def _calls(messages: Iterable[Message]) -> Iterator[str]:
    """The ids of all tool calls in some messages."""
    return (part["id"] for message in messages for part in message["parts"] if part.get("type") == "tool_call")


class _Costs:
    """What the answers of a conversation have cost: what was billed, else the list price of what was sent with each, as
    far as a price is known. Messages that were counted are not looked at again."""

    def __init__(self) -> None:
        self._seen = 0
        self._microusd = 0
        self._completion = 0

    def of(self, context: Context) -> tuple[float, int]:
        """The cost in dollars, and the tokens of all answers."""
        path, counts = context.path, context.counts
        if len(path) < self._seen:
            self.__init__()  # type: ignore[misc]
        lead = context.segments[0].start
        for segment in context.segments:
            sent = sum(counts[:lead]) + sum(counts[segment.start : max(segment.start, self._seen)])
            for place in range(max(segment.start, self._seen), segment.end):
                message = path[place]
                if message["role"] == "assistant":
                    self._completion += counts[place]
                    self._microusd += _cost(message, sent, counts[place])
                sent += counts[place]
        self._seen = len(path)
        return self._microusd / 1_000_000, self._completion


def _cost(message: Message, sent: int, answered: int) -> int:
    usage = message.get("usage") or {"input_tokens": sent, "output_tokens": answered}
    if "cost_microusd" in usage:
        return int(usage["cost_microusd"])
    model = message.get("model")
    return (price(model, usage, message.get("provider")) or 0) if model else 0

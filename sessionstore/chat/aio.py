"""`AsyncChat`: the chat core for an event loop. Both sides are kept as `Chat` keeps them, in the same steps (`core`).

Waiting for a provider is done by the asynchronous client of its library, so any number of conversations wait at once
and whoever is cancelled hangs up. Reading and writing the store is done in threads, as `AsyncSessionManager` does it:
what is asked of one session in the order in which it was asked, and to its end also when the caller is cancelled.

Cancelled while the model is asked, the turn stays unanswered, and `resume` answers it; cancelled or left in the midst
of a stream, what has come is kept beside the path as unfinished.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from sessionstore import errors, tracing
from sessionstore.adapters import aio
from sessionstore.adapters.base import Adapter, Delta, Json, Message, Settings
from sessionstore.adapters.base import Ask as Question
from sessionstore.chat import incoming, running
from sessionstore.chat.core import ROUNDS, Answer, Chat, Talk, Toolbox, Turn, too_many_calls
from sessionstore.chat.sessions import Session
from sessionstore.chat.window import USUAL, Window
from sessionstore.manager.aio import AsyncSessionManager, in_order
from sessionstore.manager.core import SessionManager

T = TypeVar("T")


class AsyncChat:
    """Conversations with any model, for an event loop. `sessions` is an `AsyncSessionManager` or a `SessionManager`;
    `settings` and `window` are as in `Chat`. The functions of a toolbox may be coroutines; others are called in
    threads. An async context manager."""

    def __init__(
        self,
        sessions: AsyncSessionManager | SessionManager,
        settings: Mapping[str, Settings] | Callable[[type[Adapter]], Settings] | None = None,
        *,
        window: Window | None = USUAL,
    ) -> None:
        self.sessions = sessions if isinstance(sessions, AsyncSessionManager) else AsyncSessionManager(sessions)
        self._chat = Chat(self.sessions.manager, settings, window=window)

    async def __aenter__(self) -> AsyncChat:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to the providers."""
        for adapter in self._chat.adapters:
            await adapter.aclose()
        self._chat.close()

    async def ask(
        self,
        messages: incoming.Said = (),
        model: str | None = None,
        session_id: str | None = None,
        *,
        tools: Sequence[Any] | None = None,
        toolbox: Toolbox | None = None,
        consent: bool = False,
        **options: Any,
    ) -> Answer:
        """Like `Chat.ask`."""
        turn = await self._begin(messages, model, session_id, tools, consent, options)
        for _ in range(ROUNDS):
            answer = await turn.answered()
            results = await run(answer.tool_calls, toolbox, turn.session.key)
            if results is None:
                return answer
            await turn.say(results)
        raise too_many_calls(turn.session.key)

    async def stream(
        self,
        messages: incoming.Said = (),
        model: str | None = None,
        session_id: str | None = None,
        *,
        tools: Sequence[Any] | None = None,
        toolbox: Toolbox | None = None,
        consent: bool = False,
        **options: Any,
    ) -> AsyncStreaming:
        """Like `Chat.stream`: `async for piece in await chat.stream(…)`. What was said is durable when this returns,
        the answer when the iteration ends."""
        return AsyncStreaming(await self._begin(messages, model, session_id, tools, consent, options), toolbox)

    async def resume(self, session_id: str, model: str | None = None, **options: Any) -> Answer:
        """Like `Chat.resume`."""
        return await self.ask((), model, session_id, **options)

    async def _begin(
        self,
        said: incoming.Said,
        model: str | None,
        session_id: str | None,
        tools: Sequence[Any] | None,
        consent: bool,
        options: dict[str, Any],
    ) -> _Turn:
        def begin() -> Turn:
            return self._chat.begin(said, model, session_id, tools, consent, options)

        return _Turn(self.sessions, await in_order(self.sessions, session_id, begin))


class _Turn:
    """A turn whose store is in other threads."""

    def __init__(self, sessions: AsyncSessionManager, turn: Turn) -> None:
        self._sessions, self.plain = sessions, turn
        self.session: Session = turn.session

    async def _do(self, work: Callable[[], T]) -> T:
        return await in_order(self._sessions, self.session.key, work)

    async def say(self, messages: Sequence[Message]) -> None:
        await self._do(lambda: self.plain.say(messages))

    async def asked(self) -> tuple[Question, Json]:
        """The question and its body; a long session takes a while to be put into a provider's shape."""

        def made() -> tuple[Question, Json]:
            ask = self.plain.asked()
            return ask, self.plain.adapter.body(ask, self.plain.report)

        return await self._do(made)

    async def answered(self) -> Answer:
        turn = self.plain
        ask, body = await self.asked()
        with turn.watched(ask, cpu=False) as talk:
            try:
                message = await aio.answer(turn.adapter, ask, body=body)
            except errors.SessionstoreError as error:
                await self._do(lambda error=error: turn.failed(error, talk))  # type: ignore[misc]
                raise
            turn.heard(talk, message)
        return await self.keep(message)

    async def keep(self, message: Message) -> Answer:
        return await self._do(lambda: self.plain.keep(message))

    async def cut_off(self, error: BaseException, talk: Talk, stream: aio.AsyncStream | None) -> None:
        """Keep what has come, also when the task is cancelled once more meanwhile."""
        kept = asyncio.ensure_future(self._do(lambda: self.plain.cut_off(error, talk, stream)))
        try:
            await asyncio.shield(kept)
        except asyncio.CancelledError:
            if not kept.done():
                kept.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


class AsyncStreaming:
    """An answer that comes piece by piece: iterate over it with `async for`, or await `answer()`, which reads it to its
    end. When it is cut off, cancelled or left (`aclose`, or the end of `async with`), what has come is kept in the
    session as unfinished."""

    def __init__(self, turn: _Turn, toolbox: Toolbox | None) -> None:
        self._turn, self._toolbox = turn, toolbox
        self._answer: Answer | None = None
        self._pieces: AsyncGenerator[Delta, None] = self._read()
        self.session = turn.session

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self._pieces

    async def __aenter__(self) -> AsyncStreaming:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop; what has come is kept."""
        await self._pieces.aclose()

    async def answer(self) -> Answer:
        """The whole answer. Raises what the iteration raises."""
        async for _ in self._pieces:
            pass
        if self._answer is None:
            raise errors.UsageError(reason=f"{self.session.key}: the answer was not read to its end")
        return self._answer

    async def _read(self) -> AsyncGenerator[Delta, None]:
        for _ in range(ROUNDS):
            kept: list[Answer] = []
            pieces = self._round(kept)
            try:
                async for piece in pieces:
                    yield piece
            finally:
                await pieces.aclose()
            [answer] = kept
            results = await run(answer.tool_calls, self._toolbox, self.session.key)
            if results is None:
                self._answer = answer
                return
            await self._turn.say(results)
        raise too_many_calls(self.session.key)

    async def _round(self, kept: list[Answer]) -> AsyncGenerator[Delta, None]:
        turn = self._turn
        ask, body = await turn.asked()
        with turn.plain.watched(ask, stream=True, cpu=False) as talk:
            stream: aio.AsyncStream | None = None
            try:
                with tracing.within(talk):
                    stream = await aio.stream(turn.plain.adapter, ask, body=body)
                first = True
                async for piece in stream:
                    if first:
                        talk.told(first_seconds=talk.milliseconds / 1e3)
                        first = False
                    yield piece
                message = stream.message()
                turn.plain.heard(talk, message)
            except BaseException as error:
                await turn.cut_off(error, talk, stream)
                raise
            finally:
                if stream is not None:
                    await asyncio.shield(stream.aclose())
        kept.append(await turn.keep(message))


async def run(calls: Sequence[Message], toolbox: Toolbox | None, session: str | None) -> list[Message] | None:
    """The results of tool calls, run one after the other; None when there are none, or none of them is in the
    toolbox."""
    if not running.wanted(calls, toolbox):
        return None
    assert toolbox is not None
    return [{"role": "tool", "parts": [await _ran(call, toolbox, session) for call in calls]}]


async def _ran(call: Message, toolbox: Toolbox, session: str | None) -> Message:
    try:
        with running.watched(call, session, cpu=False) as work:
            function, given = running.called(call, toolbox)
            if inspect.iscoroutinefunction(function):
                response = await function(**given)
            else:
                response = await aio.settled(await aio.in_thread(lambda: function(**given)))
            work.told(result=lambda: response)
    except Exception as error:
        return running.failed(call, error)
    return running.gave(call, response)

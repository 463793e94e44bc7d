"""How a tool talks with a model: in a thread of its own, told of piece by piece, left when the client gives up.

One call, step by step, and what is left when it is cancelled, or the server ends, between two of them:
  1. what is said is appended to the session, durable       a turn that waits; `chat` without a prompt answers it
  2. the answer comes; progress tells the client            the same; the pieces that came stand beside the path
  3. the answer is appended, durable                        a whole turn, which the next call finds
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from sessionstore import errors
from sessionstore.adapters.base import Adapter, Delta, Settings
from sessionstore.chat import incoming, thread
from sessionstore.chat.core import Answer, Chat, Toolbox
from sessionstore.chat.sessions import Session
from sessionstore.manager import SessionManager
from sessionstore.mcp_server.desk import Desk, Reach, told

AT_ONCE = 8
"""So many models are talked with at once; others wait. Reading does not wait for them."""
TICK, BEAT = 0.25, 5.0
"""Seconds between two notifications while an answer comes, and while none does."""


class Left(Exception):
    """The client has given up."""


class Heard(Chat):
    """A chat whose answers are heard as they come. It is used for one call, by one thread; `answer` is the last one,
    `session` the one that was talked in."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat.sessions)
        self._chat = chat
        self._left = threading.Event()
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self.answer: Answer | None = None
        self.session: Session | None = None

    def ask(
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
        """As `Chat.ask`. Raises `Left` when the client has left; what was said, and came, is kept. A provider that
        cannot be asked at all is found before anything is kept."""
        self._check(model, session_id)
        stream = self._chat.stream(
            messages, model, session_id, tools=tools, toolbox=toolbox, consent=consent, **options
        )
        self.session = stream.session
        try:
            for piece in stream:
                self._hear(piece)
            self.answer = stream.answer
        finally:
            stream.close()
        return self.answer

    def _check(self, model: str | None, session_id: str | None) -> None:
        """Raises `NoCredentials`, `LibraryMissing`, `UnknownModel` when the model that would answer cannot be asked."""
        session = None if model else thread.find(self.sessions, session_id)
        wanted = model or (session.model if session else None)
        if not wanted:
            return
        adapter, _ = self._chat.adapter(wanted)
        try:
            adapter.client()
        except errors.NoCredentials:
            advice = f"set {' or '.join(adapter.keys)} in the environment of this server"
            raise errors.NoCredentials(provider=adapter.title, advice=advice) from None

    def _hear(self, piece: Delta) -> None:
        if self._left.is_set():
            raise Left
        if piece.kind == "text":
            with self._lock:
                self._pieces.append(piece.text)

    def taken(self) -> str:
        """What has been heard since this was last asked."""
        with self._lock:
            pieces, self._pieces = self._pieces, []
        return "".join(pieces)

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._left.set()


class Talks:
    """The chat core for the tools, made when it is first needed."""

    def __init__(self, desk: Desk, reach: Reach) -> None:
        self._desk, self._reach = desk, reach
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._lock = threading.Lock()
        self._chat: Chat | None = None

    def chat(self) -> Chat:
        """The chat core, on the desk's store."""
        with self._lock:
            if self._chat is None:
                self._chat = Chat(SessionManager(self._desk.archive.store), self._settings)
            return self._chat

    def _settings(self, kind: type[Adapter]) -> Settings:
        if not kind.url:
            reason = f"{kind.name} runs a program on this machine, which this server does not do; name another model"
            raise errors.UsageError(reason=reason)
        return self._reach(kind)

    async def turn(self, deed: Callable[[Heard], str], ctx: Context) -> tuple[str, Heard]:
        """Run one turn, a function that gives what to tell, beside the protocol; tells its progress. Raises
        `ToolError`, which says where what was said is kept."""
        async with self._limiter:
            run = _Run(lambda: Heard(self.chat()), deed)
            run.start()
            try:
                await _follow(run, ctx)
            finally:
                run.leave()
        return run.result()


class _Run:
    """A turn in a daemon thread: one that waits for a provider must hold up neither the protocol nor the end of the
    program."""

    def __init__(self, begin: Callable[[], Heard], deed: Callable[[Heard], str]) -> None:
        self._begin, self._deed = begin, deed
        self._token = anyio.lowlevel.current_token()
        self._gone = False
        self._told = ""
        self._error: BaseException | None = None
        self.heard: Heard | None = None
        self.done = anyio.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._work, name="sessionstore-chat", daemon=True).start()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._gone = True
        if self.heard is not None:
            self.heard.leave()

    def result(self) -> tuple[str, Heard]:
        """What is to be told. Raises `ToolError`."""
        if self._error is not None:
            raise self._error
        assert self.heard is not None
        return self._told, self.heard

    def _work(self) -> None:
        try:
            self._told = told(self._turn)
        except ToolError as error:
            self._error = _with_place(error, self.heard)
        except BaseException as error:
            self._error = error
        with suppress(RuntimeError):  # the server has ended meanwhile
            anyio.from_thread.run_sync(self.done.set, token=self._token)

    def _turn(self) -> str:
        self.heard = self._begin()
        if self._gone:
            self.heard.leave()
        return self._deed(self.heard)


async def _follow(run: _Run, ctx: Context) -> None:
    """Wait for a turn, and tell the client how it goes on."""
    notified, waited = 0, 0.0
    while not run.done.is_set():
        with anyio.move_on_after(TICK):
            await run.done.wait()
        text = run.heard.taken() if run.heard is not None else ""
        waited = 0.0 if text else waited + TICK
        if text or waited >= BEAT:
            notified, waited = notified + 1, 0.0
            await ctx.report_progress(notified, None, text or "waiting for the model")


def _with_place(error: ToolError, heard: Heard | None) -> ToolError:
    """The error, with how to go on when the question is kept."""
    if heard is None or heard.session is None:
        return error
    key = heard.session.key
    made = ToolError(f"{error}; the question is kept in {key}: call chat with session={key!r} and no prompt to retry")
    made.__cause__ = error.__cause__
    return made

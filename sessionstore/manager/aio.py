"""`SessionManager` for programs that run in an event loop: the same methods, to be awaited.

The work is done in threads. What is asked of one session is done in the order in which it was asked, also when a caller
is cancelled meanwhile; different sessions do not wait for each other.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from sessionstore import tracing
from sessionstore.manager.core import SessionManager
from sessionstore.manager.session import Session
from sessionstore.store import Store

P = ParamSpec("P")
R = TypeVar("R")


class _Threaded:
    """What does its work in threads, in order."""

    manager: SessionManager

    def _target(self) -> Any:
        raise NotImplementedError

    async def _call(self, order: Any, work: Callable[[], R]) -> R:
        raise NotImplementedError


def _to_thread(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[_Threaded, P], Awaitable[R]]:
    """A method that does what `method` does, in a thread. What is ordered by is the session: the first argument of a
    manager's method, or the session itself."""

    async def awaited(self: _Threaded, /, *args: P.args, **kwargs: P.kwargs) -> R:
        plain: Any = tuple(_plain(value) for value in args)
        named = {name: _plain(value) for name, value in kwargs.items()}
        target = self._target()
        first = target if isinstance(target, Session) else plain[0] if plain else None
        order = first.key if isinstance(first, Session) else first
        return await self._call(order, partial(method, target, *plain, **named))

    update_wrapper(awaited, method)
    return awaited


def _to_session(
    method: Callable[Concatenate[Any, P], Session],
) -> Callable[Concatenate[_Threaded, P], Awaitable[AsyncSession]]:
    """The same for a method that gives a session."""
    threaded = _to_thread(method)

    async def awaited(self: _Threaded, /, *args: P.args, **kwargs: P.kwargs) -> AsyncSession:
        return AsyncSession(_manager_of(self), await threaded(self, *args, **kwargs))

    update_wrapper(awaited, method)
    return awaited


def _plain(value: Any) -> Any:
    return value.sync if isinstance(value, AsyncSession) else value


def _manager_of(threaded: _Threaded) -> AsyncSessionManager:
    found = threaded if isinstance(threaded, AsyncSessionManager) else getattr(threaded, "owner", None)
    assert isinstance(found, AsyncSessionManager)
    return found


class AsyncSessionManager(_Threaded):
    """The sessions of one store, for an event loop. Made as a `SessionManager`, or from one."""

    def __init__(self, path: str | os.PathLike[str] | Store | SessionManager, **options: Any) -> None:
        self.manager = path if isinstance(path, SessionManager) else SessionManager(path, **options)
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[str, asyncio.Lock]]
        self._locks = WeakKeyDictionary()

    def _target(self) -> SessionManager:
        return self.manager

    async def _call(self, order: Any, work: Callable[[], R]) -> R:
        loop = asyncio.get_running_loop()
        if tracing.active():
            work = partial(contextvars.copy_context().run, work)
        if not isinstance(order, str):
            return await loop.run_in_executor(None, work)
        lock = self._locks.setdefault(loop, WeakValueDictionary()).setdefault(order, asyncio.Lock())
        await lock.acquire()
        try:
            running = loop.run_in_executor(None, work)
        except BaseException:
            lock.release()
            raise
        # The next one may begin when this one has ended, not when its caller was cancelled.
        running.add_done_callback(lambda done: _ended(lock, done))
        return await asyncio.shield(running)

    async def in_order(self, order: str | None, work: Callable[[], R]) -> R:
        """Do some work in a thread; what has the same `order` is done one after the other, as it was asked."""
        return await self._call(order, work)

    async def __aenter__(self) -> AsyncSessionManager:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    close = _to_thread(SessionManager.close)
    create = _to_session(SessionManager.create)
    get = _to_session(SessionManager.get)
    append = _to_thread(SessionManager.append)
    history = _to_thread(SessionManager.history)
    set_fields = _to_thread(SessionManager.set_fields)
    set_metadata = _to_thread(SessionManager.set_metadata)
    edit = _to_thread(SessionManager.edit)
    delete_message = _to_thread(SessionManager.delete_message)
    search = _to_thread(SessionManager.search)
    list = _to_thread(SessionManager.list)
    state = _to_thread(SessionManager.state)
    set_state = _to_thread(SessionManager.set_state)
    pause = _to_thread(SessionManager.pause)
    complete = _to_thread(SessionManager.complete)
    archive = _to_thread(SessionManager.archive)
    retrieve = _to_thread(SessionManager.retrieve)
    clean_up = _to_thread(SessionManager.clean_up)
    branch = _to_session(SessionManager.branch)
    merge = _to_session(SessionManager.merge)
    compare = _to_thread(SessionManager.compare)
    switch_model = _to_thread(SessionManager.switch_model)
    share = _to_thread(SessionManager.share)
    agent = _to_thread(SessionManager.agent)
    save_template = _to_thread(SessionManager.save_template)
    templates = _to_thread(SessionManager.templates)
    context = _to_thread(SessionManager.context)
    get_stats = _to_thread(SessionManager.get_stats)
    backup = _to_thread(SessionManager.backup)
    restore = _to_thread(SessionManager.restore)
    recover = _to_thread(SessionManager.recover)


async def in_order(manager: AsyncSessionManager, order: str | None, work: Callable[[], R]) -> R:
    """What `work` gives, done in a thread, after whatever was asked of the session `order` before."""
    return await manager._call(order, work)


def _ended(lock: asyncio.Lock, done: asyncio.Future[Any]) -> None:
    lock.release()
    if not done.cancelled():
        done.exception()  # a caller that was cancelled does not ask for it


class AsyncSession(_Threaded):
    """A live session for an event loop. What it is can be asked at once: `sync` is the plain session."""

    def __init__(self, owner: AsyncSessionManager, session: Session) -> None:
        self.owner, self.sync = owner, session
        self.key = session.key

    def __repr__(self) -> str:
        return f"<AsyncSession {self.key}>"

    def _target(self) -> Session:
        return self.sync

    async def _call(self, order: Any, work: Callable[[], R]) -> R:
        return await self.owner._call(order, work)

    async def facts(self) -> Mapping[str, Any]:
        """key, id, model, provider, title, tags, metadata, state and count, as they are now."""
        names = ("key", "id", "model", "provider", "title", "tags", "metadata", "state", "count")
        return await self._call(None, lambda: {name: getattr(self.sync, name) for name in names})

    messages = _to_thread(Session.messages)
    history = _to_thread(Session.history)
    pending = _to_thread(Session.pending)
    context = _to_thread(Session.context)
    stats = _to_thread(Session.stats)
    append = _to_thread(Session.append)
    add_user = _to_thread(Session.add_user)
    add_system = _to_thread(Session.add_system)
    add_assistant = _to_thread(Session.add_assistant)
    add_tool_call = _to_thread(Session.add_tool_call)
    add_tool_result = _to_thread(Session.add_tool_result)
    edit = _to_thread(Session.edit)
    delete_message = _to_thread(Session.delete_message)
    branch = _to_session(Session.branch)
    switch_model = _to_thread(Session.switch_model)
    set_metadata = _to_thread(Session.set_metadata)
    set_state = _to_thread(Session.set_state)

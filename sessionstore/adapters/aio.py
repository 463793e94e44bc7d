"""Adapters in an event loop: the same requests, answers, streams and errors, over the libraries' asynchronous clients.

Only waiting differs. An adapter that has no asynchronous client (a program that is run, or one by somebody else) is
called in a thread of its own; then what was cancelled ends by itself, and what it brings is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sessionstore import errors
from sessionstore.adapters import base, patience

if TYPE_CHECKING:
    from sessionstore.adapters.base import Adapter, Ask, Delta, Json, Message
    from sessionstore.exporters.report import Report

T = TypeVar("T")


async def answer(adapter: Adapter, ask: Ask, report: Report | None = None, *, body: Json | None = None) -> Message:
    """Like `Adapter.answer`. A `body` that was made before is taken as it is."""
    sent = body if body is not None else adapter.body(ask, report)
    response = await _patiently(adapter, lambda: adapter.send_async(sent), ask)
    return adapter.understood(lambda: adapter.message(response), ask)


async def stream(adapter: Adapter, ask: Ask, report: Report | None = None, *, body: Json | None = None) -> AsyncStream:
    """Like `Adapter.stream`, once the provider has begun to answer."""
    sent = body if body is not None else adapter.body(ask, report)
    return AsyncStream(adapter, ask, await _patiently(adapter, lambda: adapter.open_async(sent), ask))


async def _patiently(adapter: Adapter, call: Callable[[], Awaitable[T]], ask: Ask) -> T:
    async def once() -> T:
        try:
            return await call()
        except errors.SessionstoreError:
            raise
        except Exception as error:
            raise adapter.failure(error, ask) from None

    settings = adapter.settings
    return await patience.insist_async(once, settings.retries, settings.patience, adapter.tell_retry)


class AsyncStream(base.Stream):
    """A `Stream` to be read with `async for`."""

    def __init__(self, adapter: Adapter, ask: Ask, events: AsyncIterator[Json]) -> None:
        super().__init__(adapter, ask, iter(()))
        self._coming = events

    async def __aiter__(self) -> AsyncGenerator[Delta, None]:
        while True:
            try:
                event = await anext(self._coming)
            except StopAsyncIteration:
                break
            except errors.SessionstoreError:
                raise
            except Exception as error:
                raise self._cut(self._adapter.failure(error, self._ask)) from None
            for delta in self._taken(event):
                yield delta
        self._whole()

    async def aclose(self) -> None:
        """Stop listening."""
        close = getattr(self._coming, "aclose", None)
        if close is not None:
            await close()


async def closing(events: Any, document: Callable[[Any], Json]) -> AsyncGenerator[Json, None]:
    """A library's events as JSON; the connection is closed when they end or are no longer wanted."""
    headers = getattr(getattr(events, "response", None), "headers", {})
    ident = headers.get("x-request-id") or headers.get("request-id")
    try:
        async for event in events:
            yield {**document(event), "_request_id": ident}
    finally:
        await events.close()


async def settled(value: Any) -> Any:
    """A value that may have to be awaited: the libraries do not agree, nor do their releases."""
    return await value if inspect.isawaitable(value) else value


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread of its own: however many wait, none waits for another."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            result = context.run(work)
        except StopIteration:
            _tell(loop, settle, None, RuntimeError("the work ended without a result"))
        except BaseException as error:
            _tell(loop, settle, None, error)
        else:
            _tell(loop, settle, result, None)

    threading.Thread(target=run, name="sessionstore-adapter", daemon=True).start()
    return await done


async def threaded(open_: Callable[[], Iterator[Json]]) -> AsyncIterator[Json]:
    """The events of a plain iterator, read in a thread of its own, once the first has come. When they are no longer
    wanted, the iterator is closed after its next event."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[tuple[Json | None, BaseException | None]] = asyncio.Queue()
    left = threading.Event()

    def read() -> None:
        events: Iterator[Json] = iter(())
        try:
            events = open_()
            for event in events:
                if left.is_set():
                    return
                _tell(loop, coming.put_nowait, (event, None))
            _tell(loop, coming.put_nowait, (None, None))
        except BaseException as error:
            _tell(loop, coming.put_nowait, (None, error))
        finally:
            getattr(events, "close", lambda: None)()

    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(read), name="sessionstore-adapter", daemon=True).start()
    try:
        first = await coming.get()
    except BaseException:
        left.set()
        raise
    if first[1] is not None:
        raise first[1]
    return _read(first, coming, left)


async def _read(
    item: tuple[Any, BaseException | None], coming: asyncio.Queue[Any], left: threading.Event
) -> AsyncGenerator[Json, None]:
    try:
        while item != (None, None):
            event, error = item
            if error is not None:
                raise error
            yield event
            item = await coming.get()
    finally:
        left.set()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., object], *values: Any) -> None:
    """Call something in the loop; a loop that has ended wants nothing any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *values)

"""What all adapters are: a unified session becomes a provider's request, its response a unified message.

    request(ask, report)  -> the body            pure
    message(response)     -> a unified message   pure; the body of a response, also one put together from a stream
    send(body), open(body)                       the provider's own library over HTTP

A stream's events are put together to the body that the same answer would have had without streaming, so there is one
mapping only. `answer` and `stream` are what callers use: they try again what may succeed later, never before the
provider wants it, and raise nothing but `errors.ProviderError` and `errors.UsageError`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from sessionstore import canonical, errors, tracing
from sessionstore.adapters import patience
from sessionstore.adapters.failures import failure
from sessionstore.exporters.report import Report

Json = dict[str, Any]
Message = dict[str, Any]
T = TypeVar("T")
UNFINISHED = "unfinished"
"""The finish reason of an answer that was cut off."""
AGAIN = "sessionstore.chat.again"
"""The logger that is told when a provider is asked again."""
_log = logging.getLogger(AGAIN)
_log.addHandler(logging.NullHandler())
_SHAPE = (KeyError, IndexError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a provider. Times are in seconds."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    timeout: float = 600
    """How long to wait for the next bytes."""
    retries: int = 2
    """How often to try again what may succeed later."""
    patience: float = 60
    """The longest wait between two tries; a provider that wants a longer one is not asked again."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: str = "claude"
    """The program to run, for adapters that run one."""
    directory: str | None = None
    """Where that program runs; here when None."""
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    """The whole environment of that program; ours when None."""
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model: the session so far and how it shall be answered."""

    model: str
    """As the provider calls it."""
    messages: Sequence[Message]
    """The active path; blobs have their `data`."""
    session: Mapping[str, Any] = field(default_factory=dict)
    """The session's fields: `system`, `tools`, `source`, …"""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    reasoning: str | int | None = None
    """How much to think: "low", "medium", "high" or a number of tokens."""
    tool_choice: str | None = None
    """"auto", "none", "required" or the name of a tool."""
    safety: Sequence[Mapping[str, str]] = ()
    """Gemini's safety settings: {"category", "threshold"}."""
    prefill: str | None = None
    """How the answer shall begin."""
    cache: bool = False
    """Ask the provider to keep the conversation in its cache, where that has to be asked for."""
    server_state: bool = False
    """Let the provider keep the conversation and send only what is new, where it can."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the provider's own request, verbatim."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer as it comes: `kind` is "text", "reasoning" or "tool_call" (then `text` is a piece of the
    arguments, and `name` and `id` come with the first piece)."""

    kind: str
    text: str
    index: int = 0
    name: str | None = None
    id: str | None = None


class Gatherer(ABC):
    """Puts a stream's events together to the body of a response."""

    finished: bool = False
    """Whether the provider has said that the answer is whole."""

    @abstractmethod
    def take(self, event: Json) -> Iterator[Delta]:
        """Take the next event; gives what it has added."""

    @abstractmethod
    def response(self) -> Json:
        """The body as far as it has come."""


class Adapter(ABC):
    """One provider's interface."""

    name: ClassVar[str]
    """What users write before the slash of `name/model`."""
    provider: ClassVar[str]
    """Who answers, as messages state it."""
    title: ClassVar[str]
    """What people call the provider."""
    families: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of its models."""
    library: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    """The Python package it needs, and the extra of ours that brings it."""
    url: ClassVar[str] = ""
    """Where the provider is."""
    keys: ClassVar[tuple[str, ...]] = ()
    url_names: ClassVar[tuple[str, ...]] = ()
    """Environment variables in which the provider's own tools look for the key and the address; only the command line
    and the compatibility layer read them."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._lock = threading.Lock()
        self._connected: Any = None
        self._connected_async: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    # -- pure --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def request(self, ask: Ask, report: Report) -> Json:
        """The body of the request. What the provider cannot take is named in the report."""

    @abstractmethod
    def message(self, response: Json) -> Message:
        """A response as a message without id and time."""

    @abstractmethod
    def gatherer(self) -> Gatherer:
        """A new gatherer for a stream."""

    # -- over the wire -----------------------------------------------------------------------------------------------

    @abstractmethod
    def send(self, body: Json) -> Json:
        """Ask and wait for the whole response. Raises what the provider's library raises."""

    @abstractmethod
    def open(self, body: Json) -> Iterator[Json]:
        """Ask and return the events, once the provider has begun to answer. Raises what the library raises."""

    def answer(self, ask: Ask, report: Report | None = None) -> Message:
        """Ask and get the answer. Raises `ProviderError`, `UsageError`."""
        body = self.body(ask, report)
        response = self._patiently(lambda: self.send(body), ask)
        return self.understood(lambda: self.message(response), ask)

    def stream(self, ask: Ask, report: Report | None = None) -> Stream:
        """Ask and get the answer as it comes. Raises `ProviderError`, `UsageError`, also while it is read."""
        body = self.body(ask, report)
        return Stream(self, ask, self._patiently(lambda: self.open(body), ask))

    async def send_async(self, body: Json) -> Json:
        """Like `send`, in an event loop. Without an asynchronous client it is done in a thread."""
        from sessionstore.adapters import aio

        return await aio.in_thread(lambda: self.send(body))

    async def open_async(self, body: Json) -> AsyncIterator[Json]:
        """Like `open`, in an event loop."""
        from sessionstore.adapters import aio

        return await aio.threaded(lambda: self.open(body))

    def connect(self) -> Any:
        """The provider's library, ready to be called. Raises `LibraryMissing`, `NoCredentials`."""

    def connect_async(self) -> Any:
        """The same for an event loop."""

    def client(self) -> Any:
        """What `connect` gives, made once: it holds the connections, and threads may share it."""
        with self._lock:
            if self._connected is None:
                self._connected = self.connect()
            return self._connected

    def client_async(self) -> Any:
        """What `connect_async` gives, made once for each event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._connected_async:
                self._connected_async[loop] = self.connect_async()
            return self._connected_async[loop]

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        with self._lock:
            made = self._connected_async.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await (made.aclose() if hasattr(made, "aclose") else made.close())

    def close(self) -> None:
        """Close the connections; the next question makes new ones."""
        with self._lock:
            made, self._connected = self._connected, None
        if made is not None:
            made.close()

    def key(self) -> str:
        """The API key. A server that is not the provider's own may do without. Raises `NoCredentials`."""
        if self.settings.api_key:
            return self.settings.api_key
        if self.settings.base_url:
            return "none"
        names = " or ".join(self.keys)
        raise errors.NoCredentials(provider=self.title, advice=f"give api_key, or on the command line set {names}")

    def missing(self) -> errors.LibraryMissing:
        """What to raise when the provider's library is not installed."""
        return errors.LibraryMissing(provider=self.title, library=self.library, extra=self.extra)

    def failure(self, error: Exception, ask: Ask) -> errors.SessionstoreError:
        """What a library has raised as one of our errors, without any secret in it."""
        return failure(self.title, error, model=ask.model, secrets=(self.settings.api_key or "",))

    def place(self) -> Json:
        """Where the provider is asked, for traces: {"address", "port"}."""
        parts = urlsplit(self.settings.base_url or self.url)
        if not parts.hostname:
            return {}
        return {"address": parts.hostname, "port": parts.port or (80 if parts.scheme == "http" else 443)}

    def understood(self, make: Callable[[], T], ask: Ask) -> T:
        """What `make` makes of what the provider has sent. Raises `AnswerInvalid` when that is of another shape."""
        try:
            return make()
        except _SHAPE as error:
            reason = f"it has another shape ({type(error).__name__})"
            raise errors.AnswerInvalid(provider=self.title, reason=reason, model=ask.model) from None

    def body(self, ask: Ask, report: Report | None = None) -> Json:
        """The body of the request, as it can be sent."""
        body: Json = canonical.clean(self.request(ask, report if report is not None else Report()))
        return body

    def _patiently(self, call: Callable[[], T], ask: Ask) -> T:
        def once() -> T:
            try:
                return call()
            except errors.SessionstoreError:
                raise
            except Exception as error:
                raise self.failure(error, ask) from None

        settings = self.settings
        return patience.insist(once, settings.retries, settings.patience, settings.sleep, self.tell_retry)

    def tell_retry(self, error: errors.ProviderError, seconds: float) -> None:
        """Tell whoever listens that the provider is asked again."""
        _log.warning("%s; asking again in %.1f s", error, seconds, extra={"provider": self.provider})
        facts = {
            "error": type(error).__name__,
            "status": error.fields.get("status"),
            "model": error.fields.get("model"),
        }
        facts |= {"request_id": error.fields.get("request_id"), "provider": self.provider, "reason": str(error)}
        tracing.event(tracing.WARNING, "provider", "retry", None, seconds=round(seconds, 3), **facts)


class Stream:
    """An answer while it comes: iterate over its pieces, then `message()` is the whole of it; `partial()` is what has
    come of one that was cut off."""

    def __init__(self, adapter: Adapter, ask: Ask, events: Iterator[Json]) -> None:
        self._adapter, self._ask, self._events = adapter, ask, events
        self._gatherer = adapter.gatherer()

    def __iter__(self) -> Iterator[Delta]:
        adapter = self._adapter
        while True:
            try:
                event = next(self._events)
            except StopIteration:
                break
            except errors.SessionstoreError:
                raise
            except Exception as error:
                raise self._cut(adapter.failure(error, self._ask)) from None
            yield from self._taken(event)
        self._whole()

    def _whole(self) -> None:
        if not self._gatherer.finished:
            raise errors.AnswerCut(provider=self._adapter.title, reason="it ended before it was whole", again=True)

    def _taken(self, event: Json) -> list[Delta]:
        try:
            return self._adapter.understood(lambda: list(self._gatherer.take(event)), self._ask)
        except errors.SessionstoreError:
            raise
        except Exception as error:
            raise self._adapter.failure(error, self._ask) from None

    def close(self) -> None:
        """Stop listening."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    def message(self) -> Message:
        """The whole answer, once it was read to its end. Raises `AnswerCut`, `AnswerInvalid`."""
        self._whole()
        return self._adapter.understood(lambda: self._adapter.message(self._gatherer.response()), self._ask)

    def partial(self) -> Message | None:
        """What has come so far, marked as unfinished; None when that is nothing."""
        try:
            message = self._adapter.message(self._gatherer.response())
        except (errors.AnswerInvalid, *_SHAPE):
            return None
        whole = [part for part in message["parts"] if part["type"] != "tool_call"]
        calls = [part for part in message["parts"] if part["type"] == "tool_call"]
        if not any(part.get("content") for part in whole) and not calls:
            return None
        x = dict(message.get("x") or {})
        if calls:
            x["unfinished_calls"] = calls
        return {**message, "parts": whole, "finish_reason": UNFINISHED, "kind": "error", **({"x": x} if x else {})}

    def _cut(self, error: errors.SessionstoreError) -> errors.SessionstoreError:
        """A connection that is lost in the midst of an answer has cut it off."""
        if isinstance(error, errors.ProviderUnreachable):
            return errors.AnswerCut(**{**error.fields, "again": True})
        return error

"""How LangSwarm's sessions ask a model: the chat core over a conversation that a program holds.

The chat core sees the conversation as one session. What the model answers is handed to `keep` before it is returned, so
it is as durable as the program's storage; what was said is there already. Keys and addresses come from the caller or
from the variables that the providers' own tools read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sessionstore import errors
from sessionstore.adapters.base import Adapter, Settings
from sessionstore.chat import thread
from sessionstore.journal import now

Message = dict[str, Any]
OFFLINE = frozenset({"mock", "test", "none"})
"""Providers that answer without a network."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a provider of LangSwarm's is asked: the adapter, and what differs from the adapter's own provider."""

    adapter: str
    keys: tuple[str, ...] = ()
    url: str | None = None
    url_names: tuple[str, ...] = ()


ROUTES: dict[str, Route] = {
    "openai": Route("openai"),
    "gpt": Route("openai"),
    "claude": Route("anthropic"),
    "anthropic": Route("anthropic"),
    "gemini": Route("gemini"),
    "google": Route("gemini"),
    "kimi": Route("kimi"),
    "moonshot": Route("kimi"),
    "mistral": Route("openai", ("MISTRAL_API_KEY",), "https://api.mistral.ai/v1", ("MISTRAL_BASE_URL",)),
    "cohere": Route(
        "openai",
        ("COHERE_API_KEY", "CO_API_KEY"),
        "https://api.cohere.ai/compatibility/v1",
        ("COHERE_BASE_URL",),
    ),
}
"""Mistral and Cohere speak OpenAI's dialect at addresses of their own."""


def settings_of(provider: str, api_key: str | None = None) -> Settings:
    """How to reach a provider. Without `api_key` it is looked up. Raises `KeyError` for an unknown provider."""
    from sessionstore import adapters

    route = ROUTES[provider.lower()]
    kind: type[Adapter] = adapters.named(route.adapter)
    first = _first(route.url_names if route.url else kind.url_names)
    return Settings(api_key=api_key or _first(route.keys or kind.keys), base_url=first or route.url)


def _first(names: Iterable[str]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


class Conversation:
    """A conversation as the chat core sees a session. `history` gives its messages, `keep` takes an answer."""

    def __init__(
        self, key: str, model: str, history: Callable[[], Sequence[Message]], keep: Callable[[Message], None]
    ) -> None:
        self.key, self.id, self.model = key, key, model
        self.revision: Mapping[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self._history, self._keep = history, keep

    def history(self) -> Sequence[Message]:
        """The messages in view, in order."""
        return self._history()

    def context(self, **_: Any) -> Any:
        """What is told of it is chosen by the program, which keeps its own window."""
        raise errors.UsageError(reason=f"{self.key} is told as its program has it")

    def set_metadata(self, /, **changes: Any) -> dict[str, Any]:
        """Kept as long as the question takes: the program has its own metadata."""
        self.metadata |= changes
        return self.metadata

    def append(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Keep what is answered."""
        for message in messages:
            self._keep(dict(message))


class _One:
    """A store of sessions that has one conversation only."""

    def __init__(self, conversation: Conversation, store: Any) -> None:
        self._conversation, self.store = conversation, store

    def get(self, name: str) -> Conversation:
        return self._conversation

    def create(self, session_id: str | None = None, **_: Any) -> Conversation:
        return self._conversation

    def list(self, *, limit: int = 20) -> list[dict[str, Any]]:
        return [{"key": self._conversation.key}][:limit]

    def switch_model(self, session: Any, new_model: str, reason: str | None = None, *, consent: Any = False) -> Any:
        raise errors.UsageError(reason=f"{session.key} goes on with {session.model}")


def ask(conversation: Conversation, provider: str, settings: Settings, store: Any = None) -> Message:
    """The answer to what was said last, as it was kept. Raises `ProviderError`, `UsageError`."""
    from sessionstore.chat import Chat

    wanted = f"{ROUTES[provider.lower()].adapter}/{conversation.model}"
    conversation.model = wanted
    with Chat(_One(conversation, store), lambda _: settings, window=None) as chat:
        return chat.ask((), wanted, conversation.key).message


def simulated(text: str) -> Message:
    """An answer that no model has given, and says so."""
    parts = [{"type": "text", "content": text}]
    x = {"metadata": {"simulated": True}, "response_id": f"mock_{uuid4().hex[:8]}"}
    return thread.stamped({"role": "assistant", "parts": parts, "finish_reason": "stop", "time": now(), "x": x})


def told(answer: Message, **more: Any) -> Message:
    """An answer with what LangSwarm's programs look for: an id of their kind, the tokens and the model among the
    metadata, the provider's id."""
    x = dict(answer.get("x") or {})
    metadata = {**(x.get("metadata") or {}), **more}
    if answer.get("usage"):
        metadata["usage"] = dict(answer["usage"])
        x["token_count"] = answer["usage"].get("output_tokens")
    if answer.get("model"):
        metadata.setdefault("model", answer["model"])
    x["metadata"] = metadata
    if x.get("response_id"):
        x["provider_message_id"] = x["response_id"]
    return {**answer, "id": f"msg_{uuid4().hex[:8]}", "x": x}

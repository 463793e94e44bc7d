"""Version 2: providers' sides of sessions (`langswarm.core.session.providers`).

All of them ask through the chat core. The conversation is kept by the session and its storage; a provider's side holds
it in memory, and is given it again when a session is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

from sessionstore import errors
from sessionstore.adapters.base import Settings
from sessionstore.compat import _langswarm_asking as asking
from sessionstore.compat._langswarm_interfaces import (
    IProviderSession,
    MessageRole,
    ProviderSessionError,
    SessionMessage,
    utc_now,
)
from sessionstore.compat._langswarm_records import TWO, Message
from sessionstore.compat._langswarm_storage2 import message_of, record_of

_ASKING = frozenset({MessageRole.USER, MessageRole.TOOL, MessageRole.FUNCTION})


@dataclass
class _Talk:
    """One conversation. `most` is how many of its messages the model is told, None for all."""

    user_id: str
    model: str
    most: int | None = None
    messages: list[SessionMessage] = field(default_factory=list)
    began: datetime = field(default_factory=utc_now)


class BaseStatelessProviderSession(IProviderSession):
    """A provider that is told the whole conversation with each question. `settings` says how to reach it."""

    provider: ClassVar[str] = "mock"
    default_model: ClassVar[str] = "mock-model"

    def __init__(self, api_key: str | None = None) -> None:
        offline = self.provider in asking.OFFLINE
        self.settings = Settings() if offline else asking.settings_of(self.provider, api_key)
        self.store: Any = None
        """The store that has the bytes of images, when there are any."""
        self._conversations: dict[str, _Talk] = {}

    async def create_provider_session(self, user_id: str, **kwargs: Any) -> str:
        """Begin a conversation; its id. `model` says who answers, `system_message` what it is told first."""
        name = f"{self._prefix()}_{user_id}_{uuid4().hex[:8]}"
        talk = self._conversations[name] = _Talk(user_id, str(kwargs.get("model") or self.default_model))
        if kwargs.get("system_message"):
            talk.messages.append(_said(str(kwargs["system_message"]), MessageRole.SYSTEM, name))
        return name

    def _prefix(self) -> str:
        return "conv"

    def adopt(
        self,
        provider_session_id: str,
        messages: Sequence[SessionMessage],
        *,
        user_id: str = "",
        model: str | None = None,
        most: int | None = None,
    ) -> None:
        """Take over a conversation as a session holds it."""
        known = self._conversations.get(provider_session_id) or _Talk(user_id, self.default_model)
        told = [one for one in known.messages if one.role == MessageRole.SYSTEM] if not messages else list(messages)
        model = model or known.model
        self._conversations[provider_session_id] = _Talk(known.user_id, model, most, told, known.began)

    async def get_provider_session(self, provider_session_id: str) -> dict[str, Any] | None:
        """id, provider, model, message_count, created_at and type; None when there is no such conversation."""
        talk = self._conversations.get(provider_session_id)
        if talk is None:
            return None
        return {
            "id": provider_session_id,
            "provider": self.provider,
            "model": talk.model,
            "message_count": len(talk.messages),
            "created_at": talk.began.isoformat(),
            "type": "stateless_client_managed",
        }

    async def send_message(
        self, provider_session_id: str, message: str, role: MessageRole = MessageRole.USER
    ) -> SessionMessage:
        """Say something; the answer. What needs none (an instruction) is given back. Raises `ProviderSessionError`."""
        talk = self._conversations.get(provider_session_id)
        if talk is None:
            raise ProviderSessionError(f"Conversation {provider_session_id} not found")
        said = _said(message, role, provider_session_id)
        return await self.answer(provider_session_id, said)

    async def answer(self, provider_session_id: str, said: SessionMessage) -> SessionMessage:
        """The same with a message that a session has made. Raises `ProviderSessionError`."""
        talk = self._conversations[provider_session_id]
        if not talk.messages or talk.messages[-1].id != said.id:
            talk.messages.append(said)
        if said.role not in _ASKING:
            return said
        found: list[SessionMessage] = []

        def keep(answer: Message) -> None:
            found.append(message_of(asking.told(answer, conversation_id=provider_session_id)))

        conversation = asking.Conversation(provider_session_id, talk.model, lambda: self._told(talk), keep)
        try:
            await asyncio.to_thread(self._ask, conversation, said)
        except errors.SessionstoreError as error:
            raise ProviderSessionError(str(error)) from error
        talk.messages += found
        return found[-1]

    def _ask(self, conversation: asking.Conversation, said: SessionMessage) -> None:
        asking.ask(conversation, self.provider, self.settings, self.store)

    def _told(self, talk: _Talk) -> list[Message]:
        """What the model is told: instructions, and the last messages."""
        messages = talk.messages
        if talk.most is not None and len(messages) > talk.most:
            start = max(0, len(messages) - max(1, talk.most))
            messages = [one for one in messages[:start] if one.role == MessageRole.SYSTEM] + messages[start:]
        return [_unified(message, talk.model, self.provider) for message in messages]

    async def get_messages(self, provider_session_id: str, limit: int | None = None) -> list[SessionMessage]:
        """The conversation, or its last `limit` messages."""
        talk = self._conversations.get(provider_session_id)
        messages = talk.messages if talk else []
        return messages[-limit:] if limit else list(messages)

    async def delete_provider_session(self, provider_session_id: str) -> bool:
        """Forget a conversation; False when there is none."""
        return self._conversations.pop(provider_session_id, None) is not None


def _said(text: str, role: MessageRole, conversation_id: str) -> SessionMessage:
    return SessionMessage(f"msg_{uuid4().hex[:8]}", role, text, utc_now(), {"conversation_id": conversation_id})


def _unified(message: SessionMessage, model: str, provider: str) -> Message:
    record, whole = record_of(message), message.__dict__.get("_whole")
    if whole is not None and TWO.record(whole) == record:
        found: Message = whole
        return found
    return TWO.message(record, model, provider)


class OpenAIProviderSession(BaseStatelessProviderSession):
    """OpenAI. Its threads are no more; conversations are kept here, also those that began as threads."""

    provider, default_model = "openai", "gpt-4o"

    def __init__(self, api_key: str, assistant_id: str | None = None) -> None:
        super().__init__(api_key)
        self.assistant_id = assistant_id


class AnthropicProviderSession(BaseStatelessProviderSession):
    """Anthropic."""

    provider, default_model = "anthropic", "claude-sonnet-4-5"

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)


class GeminiProviderSession(BaseStatelessProviderSession):
    """Gemini."""

    provider, default_model = "gemini", "gemini-2.5-pro"

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)


class CohereProviderSession(BaseStatelessProviderSession):
    """Cohere."""

    provider, default_model = "cohere", "command-r-plus"

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)


class MistralProviderSession(BaseStatelessProviderSession):
    """Mistral."""

    provider, default_model = "mistral", "mistral-large-latest"

    def __init__(self, api_key: str, agent_id: str | None = None) -> None:
        super().__init__(api_key)
        self.agent_id = agent_id

    def _prefix(self) -> str:
        return "mistral"


class MockProviderSession(BaseStatelessProviderSession):
    """A provider without a network. Its answers have `simulated` in their metadata."""

    def __init__(self, api_key: str | None = None, **kwargs: Any) -> None:
        super().__init__(api_key)

    def _prefix(self) -> str:
        return "mock"

    def _ask(self, conversation: asking.Conversation, said: SessionMessage) -> None:
        conversation.append([asking.simulated(f"Mock response to: {said.content}")])


class InMemorySessionStore:
    """Plain sessions of this process: dictionaries, no provider."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, list[dict[str, Any]]] = {}

    async def create_session(self, user_id: str, session_type: str = "conversation", **kwargs: Any) -> str:
        """Make a session; its id."""
        name, moment = f"session_{user_id}_{uuid4().hex[:8]}", utc_now()
        facts = {"user_id": user_id, "session_type": session_type, "created_at": moment, "last_activity": moment}
        self._sessions[name], self._messages[name] = {**facts, **kwargs}, []
        return name

    async def get_session(self, session_id: str) -> dict[str, Any] | None:
        """What is known of a session; None when there is none."""
        return self._sessions.get(session_id)

    async def add_message(
        self,
        session_id: str,
        message: str,
        role: str,
        message_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> bool:
        """Add a message; False when there is no such session."""
        if session_id not in self._sessions:
            return False
        moment = self._sessions[session_id]["last_activity"] = utc_now()
        made = {"id": message_id or f"msg_{uuid4().hex[:8]}", "role": role, "content": message}
        self._messages[session_id].append({**made, "timestamp": moment, "metadata": metadata or {}})
        return True

    async def get_messages(self, session_id: str, limit: int | None = None) -> list[dict[str, Any]]:
        """The messages of a session, or the last `limit` of them."""
        messages = self._messages.get(session_id, [])
        return messages[-limit:] if limit else messages

    async def delete_session(self, session_id: str) -> bool:
        """Forget a session; False when there is none."""
        self._messages.pop(session_id, None)
        return self._sessions.pop(session_id, None) is not None

    async def cleanup_expired_sessions(self, max_age_hours: int = 24) -> int:
        """Forget what was not touched for so long; how many sessions."""
        cutoff = utc_now() - timedelta(hours=max_age_hours)
        old = [name for name, session in self._sessions.items() if session["last_activity"] < cutoff]
        for name in old:
            await self.delete_session(name)
        return len(old)

    def get_session_count(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def get_message_count(self, session_id: str | None = None) -> int:
        """How many messages a session has, or all of them."""
        if session_id:
            return len(self._messages.get(session_id, []))
        return sum(map(len, self._messages.values()))


class ProviderSessionFactory:
    """Makes providers' sides by name."""

    @staticmethod
    def create_provider_session(provider: str, api_key: str | None = None, **kwargs: Any) -> IProviderSession:
        """A provider's side; `mock` needs no key. Raises `ValueError` for an unknown provider or a missing key."""
        kinds: dict[str, tuple[str, Any]] = {
            "openai": ("OpenAI", OpenAIProviderSession),
            "anthropic": ("Anthropic", AnthropicProviderSession),
            "gemini": ("Gemini", GeminiProviderSession),
            "cohere": ("Cohere", CohereProviderSession),
            "mistral": ("Mistral", MistralProviderSession),
        }
        name = provider.lower()
        if name == "mock":
            return MockProviderSession(api_key)
        if name not in kinds:
            known = ", ".join((*kinds, "mock"))
            raise ValueError(f"Unsupported provider '{provider}'. Supported providers: {known}.")
        title, kind = kinds[name]
        if not api_key:
            raise ValueError(f"{title} API key required")
        made: IProviderSession = kind(api_key, **kwargs)
        return made

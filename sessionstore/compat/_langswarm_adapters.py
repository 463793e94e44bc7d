"""Version 1: requests and responses of each provider (`langswarm.core.session.adapters`).

Programs that talk to a provider themselves use these. The session manager does not: it asks through the chat core.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar

from sessionstore.compat._langswarm_models import ConversationMessage, LangSwarmSession, MessageRole


class BaseSessionAdapter(ABC):
    """What an adapter does."""

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model

    @abstractmethod
    def create_session(self, session: LangSwarmSession) -> dict[str, Any]:
        """What a first request says."""

    @abstractmethod
    def prepare_request(self, session: LangSwarmSession, message: str) -> dict[str, Any]:
        """A request with the conversation and a new message of the user's."""

    @abstractmethod
    def process_response(self, session: LangSwarmSession, response: Any) -> ConversationMessage:
        """The message in a response of the provider's library."""

    @abstractmethod
    def supports_native_sessions(self) -> bool:
        """Whether the provider keeps conversations."""

    def update_session_from_response(self, session: LangSwarmSession, response: Any) -> None:
        """Take over ids and tokens from a response."""
        for name in ("thread_id", "conversation_id", "agent_id"):
            if isinstance(value := getattr(response, name, None), str):
                setattr(session.metadata, f"provider_{name}", value)
        session.metadata.total_tokens += _tokens(getattr(response, "usage", None))


def _tokens(usage: Any) -> int:
    total = getattr(usage, "total_tokens", None)
    if type(total) is int:
        return total
    counts = [getattr(usage, name, 0) for name in ("input_tokens", "output_tokens")]
    return sum(count for count in counts if type(count) is int)


class _Plain(BaseSessionAdapter):
    """A provider whose requests have `messages`."""

    name: ClassVar[str]
    native: ClassVar[bool] = False

    def __init__(self, model: str) -> None:
        super().__init__(self.name, model)

    def supports_native_sessions(self) -> bool:
        return self.native

    def create_session(self, session: LangSwarmSession) -> dict[str, Any]:
        return {"model": self.model, "messages": session.get_messages_for_api(), **self._more(session, True)}

    def prepare_request(self, session: LangSwarmSession, message: str) -> dict[str, Any]:
        messages = [*session.get_messages_for_api(), {"role": "user", "content": message}]
        return {"model": self.model, "messages": messages, **self._more(session, False)}

    def _more(self, session: LangSwarmSession, first: bool) -> dict[str, Any]:
        return {}

    def process_response(self, session: LangSwarmSession, response: Any) -> ConversationMessage:
        own = getattr(response, "id", None)
        text, calls = self._read(response)
        named = own if isinstance(own, str) else "unknown"
        return ConversationMessage(
            id=f"{self.name}_{named}",
            role=MessageRole.ASSISTANT,
            content=text,
            tool_calls=calls,
            provider_message_id=own if isinstance(own, str) else None,
        )

    def _read(self, response: Any) -> tuple[str, list[dict[str, Any]] | None]:
        choices = getattr(response, "choices", None)
        if not choices:
            return str(response), None
        said = choices[0].message
        calls = [call.model_dump() for call in getattr(said, "tool_calls", None) or ()]
        return said.content or "", calls or None


class OpenAISessionAdapter(_Plain):
    """OpenAI, with threads."""

    name, native = "openai", True

    def _more(self, session: LangSwarmSession, first: bool) -> dict[str, Any]:
        metadata = session.metadata
        if first and metadata.session_control.value in ("native", "hybrid"):
            told = {"langswarm_session_id": session.session_id, "user_id": session.user_id}
            return {"thread": {"metadata": told}}
        return {"thread_id": metadata.provider_thread_id} if not first and metadata.provider_thread_id else {}


class ClaudeSessionAdapter(_Plain):
    """Anthropic."""

    name = "claude"

    def _more(self, session: LangSwarmSession, first: bool) -> dict[str, Any]:
        return {"max_tokens": 4096}

    def _read(self, response: Any) -> tuple[str, list[dict[str, Any]] | None]:
        content = getattr(response, "content", None)
        if not isinstance(content, list | tuple):
            return str(response), None
        return "".join(text for part in content if isinstance(text := getattr(part, "text", None), str)), None


class GeminiSessionAdapter(_Plain):
    """Gemini, whose requests have `contents`."""

    name = "gemini"

    def create_session(self, session: LangSwarmSession) -> dict[str, Any]:
        contents = [_content(one["role"], one["content"]) for one in session.get_messages_for_api()]
        return {"model": self.model, "contents": contents}

    def prepare_request(self, session: LangSwarmSession, message: str) -> dict[str, Any]:
        made = self.create_session(session)
        return {**made, "contents": [*made["contents"], _content("user", message)]}

    def process_response(self, session: LangSwarmSession, response: Any) -> ConversationMessage:
        name = f"gemini_{datetime.now().isoformat()}"
        return ConversationMessage(id=name, role=MessageRole.ASSISTANT, content=self._read(response)[0])

    def _read(self, response: Any) -> tuple[str, list[dict[str, Any]] | None]:
        candidates = getattr(response, "candidates", None)
        if not candidates:
            return str(response), None
        parts = candidates[0].content.parts
        return "".join(text for part in parts if isinstance(text := getattr(part, "text", None), str)), None


def _content(role: str, text: Any) -> dict[str, Any]:
    return {"role": "user" if role == "user" else "model", "parts": [{"text": text}]}


class MistralSessionAdapter(_Plain):
    """Mistral, with agents and conversations."""

    name, native = "mistral", True

    def _more(self, session: LangSwarmSession, first: bool) -> dict[str, Any]:
        metadata = session.metadata
        if first and metadata.session_control.value not in ("native", "hybrid"):
            return {}
        named = {"agent_id": metadata.provider_agent_id, "conversation_id": metadata.provider_conversation_id}
        return {name: value for name, value in named.items() if value}


class CohereSessionAdapter(_Plain):
    """Cohere, whose requests have `chat_history`."""

    name = "cohere"

    def create_session(self, session: LangSwarmSession) -> dict[str, Any]:
        names = {"user": "USER", "assistant": "CHATBOT", "system": "SYSTEM"}
        told = [
            {"role": names[message["role"]], "message": message["content"]}
            for message in session.get_messages_for_api()
            if message["role"] in names
        ]
        return {"model": self.model, "chat_history": told}

    def prepare_request(self, session: LangSwarmSession, message: str) -> dict[str, Any]:
        return {**self.create_session(session), "message": message}

    def process_response(self, session: LangSwarmSession, response: Any) -> ConversationMessage:
        own, text = getattr(response, "generation_id", None), getattr(response, "text", None)
        return ConversationMessage(
            id=f"cohere_{own or 'unknown'}",
            role=MessageRole.ASSISTANT,
            content=text if isinstance(text, str) else str(response),
            provider_message_id=own,
        )


class TestSessionAdapter(_Plain):
    """The adapter of programs' tests."""

    __test__ = False
    name, native = "test", True

    def _more(self, session: LangSwarmSession, first: bool) -> dict[str, Any]:
        return {"test_session": True} if first else {}

    def _read(self, response: Any) -> tuple[str, list[dict[str, Any]] | None]:
        told = (getattr(response, name, None) for name in ("content", "text"))
        return next((text for text in told if isinstance(text, str)), "Test response"), None


class SessionAdapterFactory:
    """Makes adapters by the provider's name."""

    _adapters: ClassVar[dict[str, type[_Plain]]] = {
        "openai": OpenAISessionAdapter,
        "gpt": OpenAISessionAdapter,
        "claude": ClaudeSessionAdapter,
        "anthropic": ClaudeSessionAdapter,
        "gemini": GeminiSessionAdapter,
        "google": GeminiSessionAdapter,
        "mistral": MistralSessionAdapter,
        "cohere": CohereSessionAdapter,
        "kimi": OpenAISessionAdapter,
        "moonshot": OpenAISessionAdapter,
        "test": TestSessionAdapter,
        "none": TestSessionAdapter,
        "mock": TestSessionAdapter,
    }

    @classmethod
    def create_adapter(cls, provider: str, model: str) -> BaseSessionAdapter:
        """The adapter of a provider. Raises `ValueError` for an unknown one."""
        kind = cls._adapters.get(provider.lower())
        if kind is None:
            raise ValueError(f"No session adapter available for provider: {provider}")
        return kind(model)

    @classmethod
    def get_supported_providers(cls) -> list[str]:
        """The names of all providers."""
        return list(cls._adapters)

    @classmethod
    def supports_provider(cls, provider: str) -> bool:
        """Whether there is an adapter."""
        return provider.lower() in cls._adapters

"""Version 1: who keeps a conversation (`langswarm.core.session.strategies`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sessionstore.compat._langswarm_models import LangSwarmSession, SessionControl

_NAMES = ("native_threading", "stateful_conversations", "message_ids", "thread_branching")
_FACTS: dict[str, tuple[tuple[bool, bool, bool, bool], str, tuple[str, ...]]] = {
    "openai": (
        (True, True, True, True),
        "hybrid",
        ("assistants_api", "thread_management", "message_persistence"),
    ),
    "mistral": ((True, True, False, True), "hybrid", ("agent_conversations", "conversation_branching")),
    "claude": ((False, False, True, False), "client", ("message_ids", "stateless_api")),
    "gemini": ((False, False, False, False), "client", ("stateless_api",)),
    "cohere": ((False, False, True, False), "client", ("response_ids", "stateless_api")),
}
_UNKNOWN = ((False, False, False, False), "client", ("unknown_provider",))
_NATIVE = ("openai", "mistral")


class SessionStrategy(ABC):
    """Decides who keeps a conversation."""

    @abstractmethod
    def should_use_native_sessions(self, provider: str, model: str, **kwargs: Any) -> bool:
        """Whether the provider shall keep it."""

    @abstractmethod
    def get_session_parameters(self, session: LangSwarmSession) -> dict[str, Any]:
        """What a request says of the session."""

    @abstractmethod
    def supports_threading(self, provider: str) -> bool:
        """Whether conversations can be told apart."""


class NativeSessionStrategy(SessionStrategy):
    """The provider, where it can."""

    def should_use_native_sessions(self, provider: str, model: str, **kwargs: Any) -> bool:
        """Whether the provider can."""
        return self.supports_threading(provider)

    def get_session_parameters(self, session: LangSwarmSession) -> dict[str, Any]:
        """The provider's own ids of the session."""
        metadata, provider = session.metadata, session.provider.lower()
        names = {"openai": ("thread_id",), "mistral": ("agent_id", "conversation_id")}.get(provider, ())
        found = {name: getattr(metadata, f"provider_{name}") for name in names}
        return {name: value for name, value in found.items() if value}

    def supports_threading(self, provider: str) -> bool:
        """Whether the provider keeps conversations."""
        return provider.lower() in _NATIVE


class ClientSideSessionStrategy(SessionStrategy):
    """The program, always."""

    def should_use_native_sessions(self, provider: str, model: str, **kwargs: Any) -> bool:
        """No."""
        return False

    def get_session_parameters(self, session: LangSwarmSession) -> dict[str, Any]:
        """The whole conversation."""
        messages = session.get_messages_for_api()
        return {"messages": messages, "session_id": session.session_id, "user_id": session.user_id}

    def supports_threading(self, provider: str) -> bool:
        """Yes."""
        return True


class HybridSessionStrategy(SessionStrategy):
    """The provider where it can, else the program."""

    def __init__(self) -> None:
        self.native_strategy = NativeSessionStrategy()
        self.client_strategy = ClientSideSessionStrategy()
        self.provider_preferences = {name: "native" if name in _NATIVE else "client" for name in _FACTS}

    def should_use_native_sessions(self, provider: str, model: str, **kwargs: Any) -> bool:
        """Whether the provider can and is to be preferred."""
        preferred = self.provider_preferences.get(provider.lower(), "client") == "native"
        return preferred and self.native_strategy.supports_threading(provider)

    def get_session_parameters(self, session: LangSwarmSession) -> dict[str, Any]:
        """What a request says of the session."""
        native = self.should_use_native_sessions(session.provider, session.model)
        return (self.native_strategy if native else self.client_strategy).get_session_parameters(session)

    def supports_threading(self, provider: str) -> bool:
        """Yes."""
        return True

    def get_optimal_strategy(self, provider: str, model: str) -> str:
        """`native` or `client`."""
        return "native" if self.should_use_native_sessions(provider, model) else "client"


class SessionStrategyFactory:
    """Makes strategies, and tells what providers can do."""

    @classmethod
    def create_strategy(cls, control: SessionControl) -> SessionStrategy:
        """The strategy of that kind. Raises `ValueError`."""
        kinds: dict[Any, type[SessionStrategy]] = {
            SessionControl.NATIVE: NativeSessionStrategy,
            SessionControl.LANGSWARM: ClientSideSessionStrategy,
            SessionControl.HYBRID: HybridSessionStrategy,
        }
        if control not in kinds:
            raise ValueError(f"Unknown session control: {control}")
        return kinds[control]()

    @classmethod
    def get_recommended_strategy(cls, provider: str, model: str) -> SessionControl:
        """Who should keep conversations with a provider."""
        return SessionControl.HYBRID if provider.lower() in _NATIVE else SessionControl.LANGSWARM

    @classmethod
    def analyze_provider_capabilities(cls, provider: str) -> dict[str, Any]:
        """What LangSwarm says that a provider can do: four booleans, `recommended_strategy`, `features`."""
        able, recommended, features = _FACTS.get(provider.lower(), _UNKNOWN)
        facts: dict[str, Any] = dict(zip(_NAMES, able, strict=True))
        return {**facts, "recommended_strategy": recommended, "features": list(features)}

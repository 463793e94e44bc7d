"""Version 2: interfaces, values and errors (`langswarm.core.session.interfaces`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any


class SessionStatus(Enum):
    """Where a session stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    ARCHIVED = "archived"
    ERROR = "error"


class MessageRole(Enum):
    """Who says something."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    FUNCTION = "function"
    TOOL = "tool"


class SessionBackend(Enum):
    """Who keeps a session, and who answers: sessions of the first and the last kind are answered by a provider."""

    PROVIDER_NATIVE = "provider_native"
    LOCAL_MEMORY = "local_memory"
    LOCAL_SQLITE = "local_sqlite"
    EXTERNAL_DB = "external_db"
    HYBRID = "hybrid"


def utc_now() -> datetime:
    """The present, in UTC and without an offset, as all times of version 2 are."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class SessionMessage:
    """One message. `token_count` is what an answer of a provider's has cost to say."""

    id: str
    role: MessageRole
    content: str
    timestamp: datetime
    metadata: dict[str, Any]
    provider_message_id: str | None = None
    token_count: int | None = None
    finish_reason: str | None = None


@dataclass
class SessionContext:
    """What is known of a session beside its messages. `max_messages` is how many of them a provider is told."""

    session_id: str
    user_id: str
    provider: str
    model: str
    backend: SessionBackend
    max_messages: int = 100
    auto_archive: bool = True
    persist_messages: bool = True
    provider_session_id: str | None = None
    provider_context: dict[str, Any] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.provider_context = self.provider_context or {}


@dataclass
class SessionMetrics:
    """Figures of a session. `session_duration` is in seconds, from the beginning to the last change."""

    message_count: int = 0
    total_tokens: int = 0
    session_duration: float = 0.0
    last_activity: datetime | None = None
    created_at: datetime = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.created_at = self.created_at or utc_now()


Session = Any
"""LangSwarm's interfaces name a class that it does not have; any `ISession` is meant."""


class ISessionStorage(ABC):
    """Where sessions are kept."""

    @abstractmethod
    async def save_session(self, session_id: str, messages: list[SessionMessage], context: SessionContext) -> bool:
        """Keep a session as it is now."""

    @abstractmethod
    async def load_session(self, session_id: str) -> tuple[list[SessionMessage], SessionContext] | None:
        """A session; None when there is none."""

    @abstractmethod
    async def delete_session(self, session_id: str) -> bool:
        """Delete a session."""

    @abstractmethod
    async def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionContext]:
        """The sessions that pass the filters, `limit` at most."""

    @abstractmethod
    async def get_session_metrics(self, session_id: str) -> SessionMetrics | None:
        """Figures of a session; None when there is none."""


class IProviderSession(ABC):
    """A provider's side of sessions."""

    @abstractmethod
    async def create_provider_session(self, user_id: str, **kwargs: Any) -> str:
        """Begin a conversation; its id."""

    @abstractmethod
    async def get_provider_session(self, provider_session_id: str) -> dict[str, Any] | None:
        """What is known of a conversation; None when there is none."""

    @abstractmethod
    async def send_message(
        self, provider_session_id: str, message: str, role: MessageRole = MessageRole.USER
    ) -> SessionMessage:
        """Say something; the answer."""

    @abstractmethod
    async def get_messages(self, provider_session_id: str, limit: int | None = None) -> list[SessionMessage]:
        """The conversation, or its last `limit` messages."""

    @abstractmethod
    async def delete_provider_session(self, provider_session_id: str) -> bool:
        """Forget a conversation."""


class ISessionManager(ABC):
    """All sessions."""

    @abstractmethod
    async def create_session(
        self,
        user_id: str,
        provider: str,
        model: str,
        backend: SessionBackend = SessionBackend.PROVIDER_NATIVE,
        **kwargs: Any,
    ) -> Session:
        """Make a session."""

    @abstractmethod
    async def get_session(self, session_id: str) -> Session | None:
        """A session; None when there is none."""

    @abstractmethod
    async def list_user_sessions(self, user_id: str, limit: int = 100) -> list[Session]:
        """The sessions of a user."""

    @abstractmethod
    async def archive_session(self, session_id: str) -> bool:
        """Put a session away."""

    @abstractmethod
    async def delete_session(self, session_id: str) -> bool:
        """Delete a session."""


class ISession(ABC):
    """One session."""

    @property
    @abstractmethod
    def session_id(self) -> str:
        """The session's id."""

    @property
    @abstractmethod
    def user_id(self) -> str:
        """Whose session it is."""

    @property
    @abstractmethod
    def status(self) -> SessionStatus:
        """Where it stands."""

    @property
    @abstractmethod
    def context(self) -> SessionContext:
        """What is known of it."""

    @property
    @abstractmethod
    def metrics(self) -> SessionMetrics:
        """Its figures."""

    @abstractmethod
    async def send_message(self, content: str, role: MessageRole = MessageRole.USER, **kwargs: Any) -> SessionMessage:
        """Say something; the answer, or what was said when nobody answers."""

    @abstractmethod
    async def get_messages(self, limit: int | None = None) -> list[SessionMessage]:
        """The messages, or the last `limit` of them."""

    @abstractmethod
    async def add_system_message(self, content: str) -> SessionMessage:
        """Add an instruction."""

    @abstractmethod
    async def clear_messages(self) -> bool:
        """Begin anew."""

    @abstractmethod
    async def update_context(self, **kwargs: Any) -> bool:
        """Change what is known of it."""

    @abstractmethod
    async def archive(self) -> bool:
        """Put it away."""


class ISessionLifecycleHook(ABC):  # noqa: B024  (programs override what they want)
    """What is told of the life of sessions."""

    async def on_session_created(self, session: ISession) -> None:
        """A session was made."""

    async def on_message_sent(self, session: ISession, message: SessionMessage) -> None:
        """Something was said."""

    async def on_message_received(self, session: ISession, message: SessionMessage) -> None:
        """Something was answered."""

    async def on_session_archived(self, session: ISession) -> None:
        """A session was put away."""

    async def on_session_deleted(self, session: ISession) -> None:
        """A session was deleted."""


class ISessionMiddleware(ABC):
    """What changes messages on their way."""

    @abstractmethod
    async def process_outgoing_message(self, session: ISession, message: SessionMessage) -> SessionMessage:
        """What is said instead of a message."""

    @abstractmethod
    async def process_incoming_message(self, session: ISession, message: SessionMessage) -> SessionMessage:
        """What is answered instead of a message."""


class SessionError(Exception):
    """What goes wrong with sessions."""


class SessionNotFoundError(SessionError):
    """There is no such session."""


class ProviderSessionError(SessionError):
    """A provider has not answered."""


class SessionStorageError(SessionError):
    """A session could not be kept or read."""

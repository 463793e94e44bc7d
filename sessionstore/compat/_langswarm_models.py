"""Version 1: what a session and a conversation are (`langswarm.core.session.models`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import uuid4


class SessionStatus(Enum):
    """Where a session stands."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"
    EXPIRED = "expired"


class SessionControl(Enum):
    """Who keeps the conversation: the provider, the program, or whichever does it better."""

    NATIVE = "native"
    LANGSWARM = "langswarm"
    HYBRID = "hybrid"


class MessageRole(Enum):
    """Who says something."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    FUNCTION = "function"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass
class ConversationMessage:
    """One message of a conversation. Times are local, without an offset."""

    id: str
    role: MessageRole
    content: str
    timestamp: datetime = field(default_factory=datetime.now)
    metadata: dict[str, Any] = field(default_factory=dict)
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    provider_message_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The message as JSON has it."""
        plain = {"id": self.id, "role": self.role.value, "content": self.content}
        plain["timestamp"] = self.timestamp.isoformat()
        return {
            **plain,
            "metadata": self.metadata,
            "tool_calls": self.tool_calls,
            "tool_call_id": self.tool_call_id,
            "provider_message_id": self.provider_message_id,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ConversationMessage:
        """The message of such a dictionary. Raises `KeyError` and `ValueError` for what is none."""
        return cls(
            data["id"],
            MessageRole(data["role"]),
            data["content"],
            datetime.fromisoformat(data["timestamp"]),
            data.get("metadata", {}),
            *(data.get(name) for name in ("tool_calls", "tool_call_id", "provider_message_id")),
        )


@dataclass
class SessionMetadata:
    """What is known of a session beside its messages."""

    user_id: str
    session_id: str
    provider: str
    model: str
    created_at: datetime = field(default_factory=datetime.now)
    updated_at: datetime = field(default_factory=datetime.now)
    status: SessionStatus = SessionStatus.ACTIVE
    session_control: SessionControl = SessionControl.HYBRID
    provider_thread_id: str | None = None
    provider_conversation_id: str | None = None
    provider_agent_id: str | None = None
    context_limit: int | None = None
    auto_truncate: bool = True
    summarization_enabled: bool = True
    message_count: int = 0
    total_tokens: int = 0
    last_activity: datetime | None = None
    tags: list[str] = field(default_factory=list)
    custom_metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("created_at", "updated_at", "last_activity"):
            plain[name] = plain[name].isoformat() if plain[name] else None
        return {**plain, "status": self.status.value, "session_control": self.session_control.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SessionMetadata:
        """The fields of such a dictionary. Raises `KeyError` and `ValueError` for what is none."""
        plain = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        for name in ("created_at", "updated_at"):
            plain[name] = datetime.fromisoformat(data[name])
        plain["last_activity"] = _moment(data.get("last_activity"))
        plain["status"] = SessionStatus(data["status"])
        plain["session_control"] = SessionControl(data["session_control"])
        return cls(**plain)


@dataclass
class ConversationHistory:
    """The messages of a session. `total_tokens` counts words."""

    session_id: str
    messages: list[ConversationMessage] = field(default_factory=list)
    summary: str | None = None
    total_tokens: int = 0
    truncated_at: datetime | None = None

    def add_message(self, message: ConversationMessage) -> None:
        """Add a message at the end."""
        self.messages.append(message)
        self.total_tokens += len(str(message.content or "").split())

    def get_recent_messages(self, limit: int = 10) -> list[ConversationMessage]:
        """The last `limit` messages."""
        return self.messages[-limit:] if limit > 0 else []

    def get_messages_since(self, timestamp: datetime) -> list[ConversationMessage]:
        """The messages after a moment."""
        return [message for message in self.messages if message.timestamp > timestamp]

    def truncate_to_limit(self, context_limit: int) -> None:
        """Keep `context_limit` messages at most: those of the system, then the latest others."""
        if len(self.messages) <= context_limit:
            return
        system = [message for message in self.messages if message.role == MessageRole.SYSTEM][: max(0, context_limit)]
        others = [message for message in self.messages if message.role != MessageRole.SYSTEM]
        room = context_limit - len(system)
        self.messages = system + (others[-room:] if room > 0 else [])
        self.truncated_at = datetime.now()

    def to_dict(self) -> dict[str, Any]:
        """The history as JSON has it."""
        return {
            "session_id": self.session_id,
            "messages": [message.to_dict() for message in self.messages],
            "summary": self.summary,
            "total_tokens": self.total_tokens,
            "truncated_at": self.truncated_at.isoformat() if self.truncated_at else None,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ConversationHistory:
        """The history of such a dictionary. Raises `KeyError` and `ValueError` for what is none."""
        messages = [ConversationMessage.from_dict(message) for message in data.get("messages", [])]
        summary, tokens = data.get("summary"), data.get("total_tokens", 0)
        return cls(data["session_id"], messages, summary, tokens, _moment(data.get("truncated_at")))


class LangSwarmSession:
    """A session as a program holds it. It is stored when a storage saves it."""

    def __init__(
        self,
        user_id: str,
        session_id: str | None = None,
        provider: str = "openai",
        model: str = "gpt-4o",
        session_control: SessionControl = SessionControl.HYBRID,
        context_limit: int | None = None,
        **kwargs: Any,
    ) -> None:
        """`kwargs` are further fields of `SessionMetadata`; others are not looked at."""
        session_id = session_id if session_id is not None else f"session_{uuid4().hex[:8]}"
        known = {one.name for one in fields(SessionMetadata)}
        self.metadata = SessionMetadata(
            user_id=user_id,
            session_id=session_id,
            provider=provider,
            model=model,
            session_control=session_control,
            context_limit=context_limit,
            **{name: value for name, value in kwargs.items() if name in known},
        )
        self.history = ConversationHistory(session_id=session_id)
        self._adapter: Any = None
        self._strategy: Any = None
        self._manager: Any = None
        self._stored: int | None = None
        """How many stored messages this object knows of."""
        self._revision: str | None = None
        """The revision it was last read from or written as."""

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.metadata.session_id

    @property
    def user_id(self) -> str:
        """Whose session it is."""
        return self.metadata.user_id

    @property
    def provider(self) -> str:
        """Who answers."""
        return self.metadata.provider

    @property
    def model(self) -> str:
        """The model that answers."""
        return self.metadata.model

    @property
    def message_count(self) -> int:
        """How many messages are in view."""
        return len(self.history.messages)

    @property
    def is_active(self) -> bool:
        """Whether it is active."""
        return self.metadata.status == SessionStatus.ACTIVE

    def add_message(self, content: str, role: MessageRole, **kwargs: Any) -> ConversationMessage:
        """Add a message; `kwargs` are further fields of it."""
        message = ConversationMessage(id=f"msg_{uuid4().hex[:8]}", role=role, content=content, **kwargs)
        self.history.add_message(message)
        self.metadata.message_count = len(self.history.messages)
        self.metadata.last_activity = self.metadata.updated_at = datetime.now()
        return message

    def get_messages(self, limit: int | None = None) -> list[ConversationMessage]:
        """The messages, or the last `limit` of them."""
        return self.history.get_recent_messages(limit) if limit else self.history.messages

    def get_messages_for_api(self) -> list[dict[str, Any]]:
        """The messages as a request of OpenAI's has them."""
        found = []
        for message in self.history.messages:
            plain: dict[str, Any] = {"role": message.role.value, "content": message.content}
            if message.tool_calls:
                plain["tool_calls"] = message.tool_calls
            if message.tool_call_id:
                plain["tool_call_id"] = message.tool_call_id
            found.append(plain)
        return found

    def archive(self) -> None:
        """Put the session away."""
        self.metadata.status = SessionStatus.ARCHIVED
        self.metadata.updated_at = datetime.now()

    def reactivate(self) -> None:
        """Take the session out of the archive."""
        self.metadata.status = SessionStatus.ACTIVE
        self.metadata.updated_at = datetime.now()

    def to_dict(self) -> dict[str, Any]:
        """The session as JSON has it."""
        return {"metadata": self.metadata.to_dict(), "history": self.history.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LangSwarmSession:
        """The session of such a dictionary. Raises `KeyError` and `ValueError` for what is none."""
        metadata = SessionMetadata.from_dict(data["metadata"])
        session = cls(metadata.user_id, metadata.session_id)
        session.metadata = metadata
        session.history = ConversationHistory.from_dict(data["history"])
        return session

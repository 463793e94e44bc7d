"""LangSwarm's session management, version 2, on this store.

Stands for `langswarm.core.session` of today's LangSwarm (once `langswarm.v2.core.session`), and for its modules
`interfaces`, `storage`, `base` and `providers`: all their names are here. See docs/compat/langswarm.md.
"""

from __future__ import annotations

import logging
from typing import Any

from sessionstore.compat._langswarm_interfaces import (
    IProviderSession,
    ISession,
    ISessionLifecycleHook,
    ISessionManager,
    ISessionMiddleware,
    ISessionStorage,
    MessageRole,
    ProviderSessionError,
    SessionBackend,
    SessionContext,
    SessionError,
    SessionMessage,
    SessionMetrics,
    SessionNotFoundError,
    SessionStatus,
    SessionStorageError,
)
from sessionstore.compat._langswarm_providers import (
    AnthropicProviderSession,
    BaseStatelessProviderSession,
    CohereProviderSession,
    GeminiProviderSession,
    InMemorySessionStore,
    MistralProviderSession,
    MockProviderSession,
    OpenAIProviderSession,
    ProviderSessionFactory,
)
from sessionstore.compat._langswarm_sessions import BaseSession, SessionManager
from sessionstore.compat._langswarm_storage2 import (
    InMemorySessionStorage,
    SQLiteSessionStorage,
    StorageFactory,
    get_default_storage,
    set_default_storage,
)

__version__ = "2.0.0"
__all__ = [
    "AnthropicProviderSession",
    "BaseSession",
    "BaseStatelessProviderSession",
    "CohereProviderSession",
    "GeminiProviderSession",
    "IProviderSession",
    "ISession",
    "ISessionLifecycleHook",
    "ISessionManager",
    "ISessionMiddleware",
    "ISessionStorage",
    "InMemorySessionStorage",
    "InMemorySessionStore",
    "LoggingMiddleware",
    "MessageRole",
    "MetricsHook",
    "MistralProviderSession",
    "MockProviderSession",
    "OpenAIProviderSession",
    "ProviderSessionError",
    "ProviderSessionFactory",
    "SQLiteSessionStorage",
    "SessionBackend",
    "SessionContext",
    "SessionError",
    "SessionManager",
    "SessionMessage",
    "SessionMetrics",
    "SessionNotFoundError",
    "SessionStatus",
    "SessionStorageError",
    "StorageFactory",
    "configure_development_sessions",
    "configure_production_sessions",
    "create_provider_session",
    "create_session_manager",
    "create_simple_session",
    "get_default_storage",
    "get_session_manager",
    "initialize_default_session_manager",
    "session_context",
    "set_default_storage",
    "set_session_manager",
]

_PRODUCTION = "/var/lib/langswarm/sessions.db"
_manager: SessionManager | None = None
_log = logging.getLogger("sessionstore.compat.langswarm")


def get_session_manager() -> SessionManager | None:
    """The manager that all use who name none; None when there is none."""
    return _manager


def set_session_manager(manager: SessionManager) -> None:
    """Let all who name none use this manager."""
    global _manager
    _manager = manager


def create_session_manager(
    storage: str = "sqlite",
    storage_config: dict[str, Any] | None = None,
    providers: dict[str, str] | None = None,
) -> SessionManager:
    """A manager with a storage (`memory`, or `sqlite` with a `db_path`) and providers by name, each with its key. A
    provider that there is none of is left out, with a warning. Raises `ValueError` for an unknown storage."""
    made: dict[str, IProviderSession] = {}
    for name, api_key in (providers or {}).items():
        try:
            made[name] = ProviderSessionFactory.create_provider_session(name, api_key)
        except Exception as error:
            _log.warning("Failed to create %s provider session: %s", name, error)
    return SessionManager(StorageFactory.create_storage(storage, **(storage_config or {})), made)


async def create_simple_session(
    user_id: str,
    provider: str = "mock",
    model: str = "gpt-4o",
    api_key: str | None = None,
    storage: str = "memory",
) -> BaseSession:
    """One session with a manager of its own; without a key nobody answers."""
    manager = create_session_manager(storage=storage, providers={provider: api_key} if api_key else {})
    backend = SessionBackend.PROVIDER_NATIVE if api_key else SessionBackend.LOCAL_MEMORY
    return await manager.create_session(user_id, provider, model, backend)


def create_provider_session(provider: str, api_key: str, **kwargs: Any) -> IProviderSession:
    """A provider's side. Raises `ValueError`."""
    return ProviderSessionFactory.create_provider_session(provider, api_key, **kwargs)


class LoggingMiddleware(ISessionMiddleware):
    """Logs that messages pass, not what they say."""

    def __init__(self, logger_name: str = "session_middleware") -> None:
        self.logger = logging.getLogger(logger_name)

    async def process_outgoing_message(self, session: ISession, message: SessionMessage) -> SessionMessage:
        """Log what is said."""
        self.logger.debug("Outgoing message in session %s: %s", session.session_id, message.role.value)
        return message

    async def process_incoming_message(self, session: ISession, message: SessionMessage) -> SessionMessage:
        """Log what is answered."""
        self.logger.debug("Incoming message in session %s: %s", session.session_id, message.role.value)
        return message


class MetricsHook(ISessionLifecycleHook):
    """Counts what happens to sessions."""

    def __init__(self) -> None:
        names = ("created", "archived", "deleted", "messages_sent", "messages_received")
        self.session_counts = dict.fromkeys(names, 0)

    async def on_session_created(self, session: ISession) -> None:
        """Count it."""
        self.session_counts["created"] += 1

    async def on_message_sent(self, session: ISession, message: SessionMessage) -> None:
        """Count it."""
        self.session_counts["messages_sent"] += 1

    async def on_message_received(self, session: ISession, message: SessionMessage) -> None:
        """Count it."""
        self.session_counts["messages_received"] += 1

    async def on_session_archived(self, session: ISession) -> None:
        """Count it."""
        self.session_counts["archived"] += 1

    async def on_session_deleted(self, session: ISession) -> None:
        """Count it."""
        self.session_counts["deleted"] += 1

    def get_metrics(self) -> dict[str, int]:
        """The counts, by what happened."""
        return self.session_counts.copy()


def configure_development_sessions() -> SessionManager:
    """A manager in memory that logs and counts."""
    manager = create_session_manager(storage="memory")
    manager.add_global_middleware(LoggingMiddleware())
    manager.add_global_hook(MetricsHook())
    return manager


def configure_production_sessions(
    storage_config: dict[str, Any] | None = None, providers: dict[str, str] | None = None
) -> SessionManager:
    """A manager with a store (beside /var/lib/langswarm/sessions.db unless `db_path` says otherwise) that counts."""
    manager = create_session_manager("sqlite", storage_config or {"db_path": _PRODUCTION}, providers)
    manager.add_global_hook(MetricsHook())
    return manager


def initialize_default_session_manager() -> None:
    """Make a development manager the one that all use, when there is none."""
    if get_session_manager() is None:
        set_session_manager(configure_development_sessions())


class _SessionBlock:
    def __init__(self, session: ISession) -> None:
        self.session = session

    async def __aenter__(self) -> ISession:
        return self.session

    async def __aexit__(self, *_: object) -> None:
        """What was said is kept already."""


def session_context(session: ISession) -> _SessionBlock:
    """A session for `async with`."""
    return _SessionBlock(session)

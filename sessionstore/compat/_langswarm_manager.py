"""Version 1: the session manager (`langswarm.core.session.manager`)."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sessionstore.adapters.base import Settings
from sessionstore.compat import _langswarm_asking as asking
from sessionstore.compat._langswarm_adapters import BaseSessionAdapter, SessionAdapterFactory
from sessionstore.compat._langswarm_models import (
    ConversationMessage,
    LangSwarmSession,
    MessageRole,
    SessionControl,
    SessionMetadata,
    SessionStatus,
)
from sessionstore.compat._langswarm_records import ONE, Message
from sessionstore.compat._langswarm_storage import (
    SessionStorage,
    SQLiteSessionStorage,
    get_session_storage,
    message_of,
    whole_of,
)
from sessionstore.compat._langswarm_strategies import SessionStrategy, SessionStrategyFactory

_ASKING = frozenset({MessageRole.USER, MessageRole.TOOL, MessageRole.FUNCTION})
_SIMULATED = "This is a mock response from the assistant."
_log = logging.getLogger("sessionstore.compat.langswarm")


class LangSwarmSessionManager:
    """Sessions in a storage. `settings` says how to reach providers, by LangSwarm's name of them; for the others the
    variables that the providers' own tools read are looked up.

    `simulate` says whether answers are made up: never (False), always (True), or, as LangSwarm always does, where
    there is no key for the provider (None). A made-up answer has `simulated` in its metadata.
    """

    settings: dict[str, Settings]
    simulate: bool | None = None

    def __init__(
        self,
        storage: SessionStorage | None = None,
        default_session_control: SessionControl = SessionControl.HYBRID,
    ) -> None:
        self.storage = storage if storage is not None else get_session_storage()
        self.default_session_control = default_session_control
        self.settings = {}
        self._strategy_cache: dict[SessionControl, SessionStrategy] = {}
        self._adapter_cache: dict[tuple[str, str], BaseSessionAdapter] = {}
        self._active_sessions: dict[str, LangSwarmSession] = {}

    def create_session(
        self,
        user_id: str,
        provider: str = "openai",
        model: str = "gpt-4o",
        session_id: str | None = None,
        session_control: SessionControl | None = None,
        **kwargs: Any,
    ) -> LangSwarmSession:
        """Make a session and keep it. Raises `ValueError` for an unknown provider."""
        if session_control is None:
            session_control = self.default_session_control
            if session_control == SessionControl.HYBRID:
                session_control = SessionStrategyFactory.get_recommended_strategy(provider, model)
        session = LangSwarmSession(user_id, session_id, provider, model, session_control, **kwargs)
        self._equip(session)
        self.storage.save_session(session)
        self._active_sessions[session.session_id] = session
        return session

    def _equip(self, session: LangSwarmSession) -> None:
        session._strategy = self._get_strategy(session.metadata.session_control)
        session._adapter = self._get_adapter(session.provider, session.model)
        session._manager = self

    def get_session(self, session_id: str) -> LangSwarmSession | None:
        """A session; None when there is none. One that is active is the same object each time."""
        session = self._active_sessions.get(session_id)
        if session is not None:
            if isinstance(self.storage, SQLiteSessionStorage):
                self.storage.refresh(session)
            return session
        session = self.storage.load_session(session_id)
        if session is not None:
            self._equip(session)
            if session.metadata.status == SessionStatus.ACTIVE:
                self._active_sessions[session_id] = session
        return session

    def add_message_to_session(
        self, session_id: str, content: str, role: MessageRole, **kwargs: Any
    ) -> ConversationMessage | None:
        """Add a message and keep it; None when there is no such session."""
        session = self.get_session(session_id)
        if session is None:
            return None
        message = session.add_message(content, role, **kwargs)
        self.storage.save_session(session)
        return message

    def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionMetadata]:
        """The sessions that pass the filters, latest first, `limit` at most."""
        return self.storage.list_sessions(user_id, status, limit)

    def send_message(self, session_id: str, message: str, role: MessageRole = MessageRole.USER) -> ConversationMessage:
        """Say something, keep it, and get the answer, which is kept before it is returned. What needs no answer (an
        instruction) is returned itself. Raises `ValueError` when there is no such session, `ProviderError`."""
        session = self.get_session(session_id)
        if session is None:
            raise ValueError(f"Session {session_id} not found")
        said = session.add_message(message, role)
        self.storage.save_session(session)
        if role not in _ASKING:
            return said
        self._answer(session)
        return session.history.messages[-1]

    def _answer(self, session: LangSwarmSession) -> None:
        conversation = asking.Conversation(
            session.session_id, session.model, lambda: _history(session), lambda answer: self._keep(session, answer)
        )
        settings = self._reachable(session.provider)
        if settings is None:
            conversation.append([asking.simulated(_SIMULATED)])
            return
        store = self.storage._shelf.manager.store if isinstance(self.storage, SQLiteSessionStorage) else None
        asking.ask(conversation, session.provider, settings, store)

    def _reachable(self, provider: str) -> Settings | None:
        """How to reach a provider; None when the answer is to be made up."""
        name = provider.lower()
        if name in asking.OFFLINE or self.simulate:
            return None
        settings = self.settings.get(name) or asking.settings_of(name)
        if settings.api_key or name in self.settings or self.simulate is False:
            return settings
        _log.warning("there is no key for %s: the answer is made up, and marked as such", provider)
        return None

    def _keep(self, session: LangSwarmSession, answer: Message) -> None:
        """Take over an answer: message, ids, tokens."""
        message = message_of(asking.told(answer))
        metadata, usage = session.metadata, answer.get("usage") or {}
        session.history.add_message(message)
        metadata.message_count = len(session.history.messages)
        metadata.last_activity = metadata.updated_at = datetime.now()
        metadata.total_tokens += sum(usage.get(name) or 0 for name in ("input_tokens", "output_tokens"))
        self.storage.save_session(session)

    def archive_session(self, session_id: str) -> bool:
        """Put a session away; False when there is none."""
        session = self.get_session(session_id)
        if session is None:
            return False
        session.archive()
        kept = self.storage.save_session(session)
        self._active_sessions.pop(session_id, None)
        return kept

    def delete_session(self, session_id: str) -> bool:
        """Delete a session; False when there is none."""
        self._active_sessions.pop(session_id, None)
        return self.storage.delete_session(session_id)

    def cleanup_expired_sessions(self, max_age_days: int = 30) -> int:
        """Put away what was not touched for so long; how many sessions."""
        count = self.storage.cleanup_expired_sessions(max_age_days)
        cutoff = datetime.now() - timedelta(days=max_age_days)
        for name, session in list(self._active_sessions.items()):
            if session.metadata.updated_at < cutoff or self.storage.load_session(name) is None:
                del self._active_sessions[name]
        return count

    def get_session_statistics(self) -> dict[str, Any]:
        """Figures of the sessions in memory."""
        sessions = self._active_sessions.values()
        return {
            "active_sessions": len(sessions),
            "provider_distribution": dict(Counter(session.provider for session in sessions)),
            "strategy_distribution": dict(Counter(one.metadata.session_control.value for one in sessions)),
            "supported_providers": SessionAdapterFactory.get_supported_providers(),
            "cache_sizes": {"strategies": len(self._strategy_cache), "adapters": len(self._adapter_cache)},
        }

    def analyze_provider_capabilities(self, provider: str) -> dict[str, Any]:
        """What LangSwarm says that a provider can do."""
        return SessionStrategyFactory.analyze_provider_capabilities(provider)

    def _get_strategy(self, control: SessionControl) -> SessionStrategy:
        if control not in self._strategy_cache:
            self._strategy_cache[control] = SessionStrategyFactory.create_strategy(control)
        return self._strategy_cache[control]

    def _get_adapter(self, provider: str, model: str) -> BaseSessionAdapter:
        key = (provider.lower(), model)
        if key not in self._adapter_cache:
            self._adapter_cache[key] = SessionAdapterFactory.create_adapter(provider, model)
        return self._adapter_cache[key]


def _history(session: LangSwarmSession) -> list[Message]:
    """A program's conversation as unified messages; those that it has not changed as they are stored."""
    found = []
    for message in session.history.messages:
        record, whole = message.to_dict(), whole_of(message)
        unchanged = whole is not None and ONE.record(whole) == record
        found.append(whole if whole and unchanged else ONE.message(record, session.model, session.provider))
    return found


_default: LangSwarmSessionManager | None = None


def get_session_manager() -> LangSwarmSessionManager:
    """The manager that all use who name none."""
    global _default
    if _default is None:
        _default = LangSwarmSessionManager()
    return _default


def set_session_manager(manager: LangSwarmSessionManager) -> None:
    """Let all who name none use this manager."""
    global _default
    _default = manager

"""Version 1: where sessions are kept (`langswarm.core.session.storage`)."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sessionstore.compat._langswarm_models import (
    ConversationMessage,
    LangSwarmSession,
    SessionControl,
    SessionMetadata,
    SessionStatus,
)
from sessionstore.compat._langswarm_records import NEVER, ONE, Message, time_of
from sessionstore.compat._langswarm_shelf import DEFAULT, Kept, Shelf, shelf_of

_STATES = {
    SessionStatus.ACTIVE: "active",
    SessionStatus.INACTIVE: "paused",
    SessionStatus.ARCHIVED: "archived",
    SessionStatus.EXPIRED: "expired",
}
_STATUSES = {
    **{state: status for status, state in _STATES.items()},
    "created": SessionStatus.ACTIVE,
    "retrieved": SessionStatus.ACTIVE,
    "completed": SessionStatus.INACTIVE,
}


class SessionStorage(ABC):
    """What a storage does. Errors of the store are raised, never swallowed."""

    @abstractmethod
    def save_session(self, session: LangSwarmSession) -> bool:
        """Keep a session as it is now."""

    @abstractmethod
    def load_session(self, session_id: str) -> LangSwarmSession | None:
        """A session; None when there is none."""

    @abstractmethod
    def delete_session(self, session_id: str) -> bool:
        """Delete a session; False when there is none."""

    @abstractmethod
    def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionMetadata]:
        """The sessions that pass the filters, latest first, `limit` at most."""

    @abstractmethod
    def update_session_metadata(self, session_id: str, metadata: dict[str, Any]) -> bool:
        """Set fields of a session's metadata; False when there is none."""

    @abstractmethod
    def cleanup_expired_sessions(self, max_age_days: int = 30) -> int:
        """Put away what was not touched for so long; how many sessions."""


def _set_fields(target: SessionMetadata, changes: dict[str, Any]) -> None:
    known = {one.name for one in fields(SessionMetadata)}
    for name, value in changes.items():
        if name in known:
            setattr(target, name, value)
    if "updated_at" not in changes:
        target.updated_at = datetime.now()


class InMemorySessionStorage(SessionStorage):
    """Sessions of this process only; a session that is loaded is the one that was saved."""

    def __init__(self) -> None:
        self._sessions: dict[str, LangSwarmSession] = {}

    def save_session(self, session: LangSwarmSession) -> bool:
        """Keep a session."""
        self._sessions[session.session_id] = session
        return True

    def load_session(self, session_id: str) -> LangSwarmSession | None:
        """A session; None when there is none."""
        return self._sessions.get(session_id)

    def delete_session(self, session_id: str) -> bool:
        """Forget a session; False when there is none."""
        return self._sessions.pop(session_id, None) is not None

    def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionMetadata]:
        """The sessions that pass the filters, latest first."""
        return _listed([session.metadata for session in self._sessions.values()], user_id, status, limit)

    def update_session_metadata(self, session_id: str, metadata: dict[str, Any]) -> bool:
        """Set fields of a session's metadata; False when there is none."""
        session = self._sessions.get(session_id)
        if session is not None:
            _set_fields(session.metadata, metadata)
        return session is not None

    def cleanup_expired_sessions(self, max_age_days: int = 30) -> int:
        """Forget what was not touched for so long; how many sessions."""
        cutoff = datetime.now() - timedelta(days=max_age_days)
        old = [name for name, session in self._sessions.items() if _naive(session.metadata.updated_at) < cutoff]
        for name in old:
            del self._sessions[name]
        return len(old)


def _listed(
    found: list[SessionMetadata], user_id: str | None, status: SessionStatus | None, limit: int
) -> list[SessionMetadata]:
    passed = [one for one in found if (not user_id or one.user_id == user_id) and (not status or one.status == status)]
    passed.sort(key=lambda one: _naive(one.updated_at), reverse=True)
    return passed[:limit] if limit >= 0 else passed


def _naive(moment: datetime) -> datetime:
    return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment


class SQLiteSessionStorage(SessionStorage):
    """Sessions in a store. A database of LangSwarm's at `db_path` is taken over and never touched."""

    def __init__(self, db_path: str = DEFAULT) -> None:
        self.db_path = Path(db_path)
        self._shelf: Shelf = shelf_of(os.fspath(db_path))

    def save_session(self, session: LangSwarmSession) -> bool:
        """Keep a session as it is now; durable when this returns True. Messages that others have added to it
        meanwhile are added to `session`. Raises `StorageError`, `LockedError`, `UsageError`."""
        plain = session.to_dict()
        records = plain["history"].pop("messages")
        metadata = {name: value for name, value in plain["metadata"].items() if name not in ("session_id", "status")}
        story = {name: said for name, said in plain["history"].items() if name != "session_id" and said is not None}
        whole = {one.id: made for one in session.history.messages if (made := whole_of(one)) is not None}
        updated = session.metadata.updated_at.astimezone(UTC).isoformat()
        saved = self._shelf.save(
            ONE,
            session.session_id,
            records,
            {**metadata, "history": story},
            state=_STATES[session.metadata.status],
            base=session._stored,
            whole=whole,
            updated_at=updated,
        )
        session._stored, session._revision = saved.messages, saved.revision
        if saved.strangers and (kept := self._shelf.load(session.session_id)) is not None:
            _take(session, kept)
        return True

    def load_session(self, session_id: str) -> LangSwarmSession | None:
        """A session; None when there is none."""
        kept = self._shelf.load(session_id)
        if kept is None:
            return None
        metadata = _metadata(session_id, kept, len(kept.shown))
        session = LangSwarmSession(metadata.user_id, session_id)
        session.metadata = metadata
        story = kept.facts.get("history")
        story = story if isinstance(story, dict) else {}
        session.history.summary = story.get("summary")
        session.history.truncated_at = time_of(story.get("truncated_at"))
        _take(session, kept)
        words = sum(len(str(message.content or "").split()) for message in session.history.messages)
        stated = story.get("total_tokens")
        session.history.total_tokens = stated if type(stated) is int else words
        return session

    def delete_session(self, session_id: str) -> bool:
        """Erase a session, leaving a tombstone; False when there is none. Raises `LocksUnavailable`, `Busy`."""
        return self._shelf.delete(session_id)

    def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionMetadata]:
        """The sessions that pass the filters, latest first."""
        found = [_metadata(str(kept.revision["native_id"]), kept) for kept in self._shelf.all()]
        return _listed(found, user_id, status, limit)

    def update_session_metadata(self, session_id: str, metadata: dict[str, Any]) -> bool:
        """Set fields of a session's metadata; False when there is none."""
        session = self.load_session(session_id)
        if session is None:
            return False
        _set_fields(session.metadata, metadata)
        return self.save_session(session)

    def cleanup_expired_sessions(self, max_age_days: int = 30) -> int:
        """Let sessions expire that were not touched for so long; how many. They are out of sight and stay in the
        store, from where `sessionstore` gets them back."""
        cutoff = datetime.now() - timedelta(days=max_age_days)
        old = [kept for kept in self._shelf.all() if _naive(_metadata("", kept).updated_at) < cutoff]
        for kept in old:
            self._shelf.put_away(kept.key)
        return len(old)

    def refresh(self, session: LangSwarmSession) -> None:
        """Add to a session what others have written to it since it was read."""
        kept = self._shelf.facts(session.session_id)
        if kept is None or session._revision in (None, kept.revision["_name"]):
            return
        whole = self._shelf.load(session.session_id)
        if whole is None or session._stored is None:
            return
        held, stored = session.history.messages, {message["id"] for message in whole.path}
        known = {message.id for message in held}
        others = [made for one in whole.path[session._stored :] if (made := message_of(one, whole)).id not in known]
        unsaved = [message for message in held if message.id not in stored]
        session.history.messages = [message for message in held if message.id in stored] + others + unsaved
        session.history.total_tokens += sum(len(message.content.split()) for message in others)
        session.metadata.status = _STATUSES[whole.state]
        session.metadata.message_count = len(session.history.messages)
        session._stored, session._revision = len(whole.path), whole.revision["_name"]


def _take(session: LangSwarmSession, kept: Kept) -> None:
    """Let a session hold what is in view of the stored one; messages it holds already stay the same objects."""
    held = {message.id: message for message in session.history.messages}
    made = [message_of(message, kept) for message in kept.shown]
    session.history.messages[:] = [held.get(message.id, message) for message in made]
    session.metadata.message_count = len(session.history.messages)
    session._stored, session._revision = len(kept.path), kept.revision["_name"]


def message_of(message: Message, kept: Kept | None = None) -> ConversationMessage:
    """A stored message as a program sees it; it remembers the stored one."""
    record = ONE.record(message, kept.began if kept else NEVER)
    made = ConversationMessage.from_dict(deepcopy(record))
    made.__dict__["_whole"] = message
    return made


def whole_of(message: ConversationMessage) -> Message | None:
    """The stored message that a program's message was made of."""
    whole: Message | None = message.__dict__.get("_whole")
    return whole


def _metadata(session_id: str, kept: Kept, count: int | None = None) -> SessionMetadata:
    """A stored session's metadata, whoever has written it."""
    facts = kept.facts
    wanted = {one.name for one in fields(SessionMetadata)} - {"user_id", "session_id", "provider", "model", "status"}
    plain = {name: facts[name] for name in wanted if facts.get(name) is not None}
    began = _naive(kept.began)
    for name in ("created_at", "updated_at", "last_activity"):
        plain.pop(name, None)
    updated = time_of(facts.get("updated_at"))
    later = _naive(kept.changed) if kept.changed else None
    if updated is None or (later is not None and later > _naive(updated) + timedelta(seconds=1)):
        updated = later or began
    try:
        control = SessionControl(plain.pop("session_control", "hybrid"))
    except ValueError:
        control = SessionControl.HYBRID
    plain["message_count"] = kept.revision["counts"]["messages"] if count is None else count
    return SessionMetadata(
        str(facts.get("user_id") or ""),
        session_id,
        str(facts.get("provider") or ""),
        str(facts.get("model") or ""),
        created_at=began,
        updated_at=_naive(updated),
        status=_STATUSES[kept.state],
        session_control=control,
        last_activity=time_of(facts.get("last_activity")),
        **plain,
    )


class SessionStorageFactory:
    """Makes storages by name."""

    @classmethod
    def create_storage(cls, storage_type: str = "sqlite", **kwargs: Any) -> SessionStorage:
        """`memory`, or `sqlite` with a `db_path`. Raises `ValueError` for another one, `ImportError` for BigQuery."""
        if storage_type == "memory":
            return InMemorySessionStorage()
        if storage_type == "sqlite":
            return SQLiteSessionStorage(kwargs.get("db_path", DEFAULT))
        if storage_type == "bigquery":
            raise ImportError("sessions are not kept in BigQuery; sessionstore migrate takes over its session_events")
        raise ValueError(f"Unknown storage type: {storage_type}")

    @classmethod
    def get_default_storage(cls) -> SessionStorage:
        """The storage of programs that name none."""
        return cls.create_storage("sqlite")


_default: SessionStorage | None = None


def get_session_storage() -> SessionStorage:
    """The storage that all use who name none."""
    global _default
    if _default is None:
        _default = SessionStorageFactory.get_default_storage()
    return _default


def set_session_storage(storage: SessionStorage) -> None:
    """Let all who name none use this storage."""
    global _default
    _default = storage

"""Version 2: where sessions are kept (`langswarm.core.session.storage`). The work is done in threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sessionstore import errors
from sessionstore.compat._langswarm_interfaces import (
    ISessionStorage,
    MessageRole,
    SessionBackend,
    SessionContext,
    SessionMessage,
    SessionMetrics,
    SessionStatus,
    SessionStorageError,
    utc_now,
)
from sessionstore.compat._langswarm_records import NEVER, TWO, Message, Record
from sessionstore.compat._langswarm_shelf import DEFAULT, Kept, Shelf, shelf_of
from sessionstore.manager.aio import AsyncSessionManager

R = TypeVar("R")
Loaded = tuple[list[SessionMessage], SessionContext]
_STATES = {
    SessionStatus.ACTIVE: "active",
    SessionStatus.PAUSED: "paused",
    SessionStatus.COMPLETED: "completed",
    SessionStatus.ARCHIVED: "archived",
    SessionStatus.ERROR: "paused",
}
_STATUSES = {
    "created": SessionStatus.ACTIVE,
    "active": SessionStatus.ACTIVE,
    "retrieved": SessionStatus.ACTIVE,
    "paused": SessionStatus.PAUSED,
    "completed": SessionStatus.COMPLETED,
    "archived": SessionStatus.ARCHIVED,
    "expired": SessionStatus.ARCHIVED,
}
_SAID = ("user_id", "provider", "model", "max_messages", "auto_archive", "persist_messages", "provider_session_id")
_FAILED = "failed"
"""Said of a session whose status is `ERROR`: the store has no state for it."""


@dataclass(slots=True)
class _Known:
    """What a storage last knew of a session: how many messages, in which revision, and the ids of others' that it has
    not given to the program yet."""

    count: int
    revision: str
    unseen: set[str] = field(default_factory=set)


class InMemorySessionStorage(ISessionStorage):
    """Sessions of this process only."""

    def __init__(self) -> None:
        self._sessions: dict[str, Loaded] = {}
        self._metrics: dict[str, SessionMetrics] = {}
        self._statuses: dict[str, SessionStatus] = {}

    async def save_session(self, session_id: str, messages: list[SessionMessage], context: SessionContext) -> bool:
        """Keep a session."""
        self._sessions.pop(session_id, None)
        self._sessions[session_id] = (list(messages), context)
        known = self._metrics.get(session_id)
        began = known.created_at if known else min((one.timestamp for one in messages), default=utc_now(), key=_naive)
        self._metrics[session_id] = _metrics(messages, _naive(began), utc_now())
        return True

    async def load_session(self, session_id: str) -> tuple[list[SessionMessage], SessionContext] | None:
        """A session; None when there is none."""
        found = self._sessions.get(session_id)
        return (list(found[0]), found[1]) if found else None

    async def delete_session(self, session_id: str) -> bool:
        """Forget a session."""
        for kept in (self._sessions, self._metrics, self._statuses):
            kept.pop(session_id, None)
        return True

    async def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionContext]:
        """The sessions that pass the filters, latest first."""
        found = [
            context
            for name, (_, context) in reversed(self._sessions.items())
            if (not user_id or context.user_id == user_id)
            and (not status or self._statuses.get(name, SessionStatus.ACTIVE) == status)
        ]
        return found[:limit]

    async def get_session_metrics(self, session_id: str) -> SessionMetrics | None:
        """Figures of a session; None when there is none."""
        return self._metrics.get(session_id)

    async def get_session_status(self, session_id: str) -> SessionStatus | None:
        """Where a session stands; None when there is none."""
        return self._statuses.get(session_id, SessionStatus.ACTIVE) if session_id in self._sessions else None

    async def set_session_status(self, session_id: str, status: SessionStatus) -> bool:
        """Say where a session stands; False when there is none."""
        if session_id in self._sessions:
            self._statuses[session_id] = status
        return session_id in self._sessions


class SQLiteSessionStorage(ISessionStorage):
    """Sessions in a store. A database of LangSwarm's at `db_path`, of either version, is taken over and never touched.
    It can be made before there is an event loop. Everything raises `SessionStorageError`."""

    def __init__(self, db_path: str = DEFAULT) -> None:
        self.db_path = Path(db_path)
        self._shelf: Shelf = shelf_of(os.fspath(db_path))
        self._runner: AsyncSessionManager | None = None
        self._known: dict[str, _Known] = {}

    async def _do(self, session_id: str | None, work: Callable[[], R]) -> R:
        """Do some work in a thread, in order for each session."""
        try:
            if self._runner is None:
                manager = await asyncio.to_thread(lambda: self._shelf.manager)
                self._runner = self._runner or AsyncSessionManager(manager)
            return await self._runner.in_order(session_id, work)
        except errors.SessionstoreError as error:
            raise SessionStorageError(str(error)) from error

    async def save_session(self, session_id: str, messages: list[SessionMessage], context: SessionContext) -> bool:
        """Keep a session as it is now; durable when this returns True. What of it was stored and is not among
        `messages` is out of view, and stays in the store."""
        records = [record_of(message) for message in messages]
        whole = {message.id: made for message in messages if (made := message.__dict__.get("_whole")) is not None}
        facts = _facts(context)

        def work() -> bool:
            known = self._known.get(session_id)
            base, unseen = (known.count, known.unseen) if known else (None, set[str]())
            saved = self._shelf.save(TWO, session_id, records, facts, base=base, unseen=unseen, whole=whole)
            self._known[session_id] = _Known(saved.messages, saved.revision, saved.strangers)
            return True

        return await self._do(session_id, work)

    async def load_session(self, session_id: str) -> tuple[list[SessionMessage], SessionContext] | None:
        """A session; None when there is none."""

        def work() -> Loaded | None:
            kept = self._shelf.load(session_id)
            if kept is None:
                return None
            self._known[session_id] = _Known(len(kept.path), kept.revision["_name"])
            return [message_of(message, kept) for message in kept.shown], _context(session_id, kept)

        return await self._do(session_id, work)

    async def news(self, session_id: str) -> tuple[list[SessionMessage], set[str]] | None:
        """The messages of a session in view, and the ids of all that are stored, when others have written to it since
        this storage last read or wrote it."""

        def work() -> tuple[list[SessionMessage], set[str]] | None:
            known, kept = self._known.get(session_id), self._shelf.facts(session_id)
            if known is None or kept is None or (kept.revision["_name"] == known.revision and not known.unseen):
                return None
            kept = self._shelf.load(session_id)
            assert kept is not None
            self._known[session_id] = _Known(len(kept.path), kept.revision["_name"])
            stored = {message_of(message, kept).id for message in kept.path}
            return [message_of(message, kept) for message in kept.shown], stored

        return await self._do(session_id, work)

    async def delete_session(self, session_id: str) -> bool:
        """Erase a session, leaving a tombstone. True also when there is none."""

        def work() -> bool:
            self._shelf.delete(session_id)
            self._known.pop(session_id, None)
            return True

        return await self._do(session_id, work)

    async def list_sessions(
        self, user_id: str | None = None, status: SessionStatus | None = None, limit: int = 100
    ) -> list[SessionContext]:
        """The sessions that pass the filters, latest first."""

        def work() -> list[SessionContext]:
            found = []
            for kept in self._shelf.all():
                context = _context(str(kept.revision["native_id"]), kept)
                if (not user_id or context.user_id == user_id) and (not status or _status(kept) == status):
                    found.append((_naive(kept.changed or NEVER), context))
            found.sort(key=lambda pair: pair[0], reverse=True)
            return [context for _, context in found[:limit]]

        return await self._do(None, work)

    async def get_session_metrics(self, session_id: str) -> SessionMetrics | None:
        """Figures of a session; None when there is none. It began when it was first saved, however often it was saved
        since."""

        def work() -> SessionMetrics | None:
            kept = self._shelf.load(session_id)
            if kept is None:
                return None
            messages = [message_of(message, kept) for message in kept.shown]
            began = min((one.timestamp for one in messages if one.timestamp != NEVER), default=NEVER, key=_naive)
            if kept.began != NEVER:
                began = min(_naive(began), _naive(kept.began)) if began != NEVER else kept.began
            last = kept.changed or max((one.timestamp for one in messages), default=began, key=_naive)
            return _metrics(messages, _naive(began), _naive(last) if last != NEVER else None)

        return await self._do(session_id, work)

    async def get_session_status(self, session_id: str) -> SessionStatus | None:
        """Where a session stands; None when there is none."""

        def work() -> SessionStatus | None:
            kept = self._shelf.facts(session_id)
            return None if kept is None else _status(kept)

        return await self._do(session_id, work)

    async def set_session_status(self, session_id: str, status: SessionStatus) -> bool:
        """Say where a session stands; False when there is none."""
        facts = {_FAILED: True if status == SessionStatus.ERROR else None}
        return await self._do(session_id, lambda: self._shelf.say(session_id, _STATES[status], facts))

    async def cleanup_old_sessions(self, max_age_days: int = 30) -> int:
        """Let sessions expire that were not touched for so long; how many. They are out of sight and stay in the
        store, from where `sessionstore` gets them back."""

        def work() -> int:
            cutoff = datetime.now(UTC) - timedelta(days=max_age_days)
            old = [kept for kept in self._shelf.all() if _naive(_touched(kept)) < _naive(cutoff)]
            for kept in old:
                self._shelf.put_away(kept.key)
            return len(old)

        return await self._do(None, work)


def _touched(kept: Kept) -> datetime:
    """When a session was last changed; the present when nothing tells, so that it is left alone."""
    return kept.changed or (kept.began if kept.began != NEVER else utc_now())


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _status(kept: Kept) -> SessionStatus:
    if kept.state == "paused" and kept.facts.get(_FAILED):
        return SessionStatus.ERROR
    return _STATUSES[kept.state]


def _facts(context: SessionContext) -> dict[str, Any]:
    backend = context.backend.value if isinstance(context.backend, SessionBackend) else context.backend
    return {name: getattr(context, name) for name in _SAID} | {
        "backend": backend,
        "provider_context": context.provider_context or {},
    }


def _context(session_id: str, kept: Kept) -> SessionContext:
    """A stored session's context, whoever has written it."""
    facts = kept.facts
    try:
        backend = SessionBackend(facts.get("backend", SessionBackend.LOCAL_SQLITE.value))
    except ValueError:
        backend = SessionBackend.LOCAL_SQLITE
    user_id, provider, model = (str(facts.get(name) or "") for name in ("user_id", "provider", "model"))
    context = SessionContext(session_id, user_id, provider, model, backend)
    for name in ("max_messages", "auto_archive", "persist_messages"):
        if isinstance(facts.get(name), int):
            setattr(context, name, facts[name])
    names = ("provider_session_id", "provider_thread_id", "provider_conversation_id")
    context.provider_session_id = next((str(facts[name]) for name in names if facts.get(name)), None)
    told = facts.get("provider_context")
    context.provider_context = dict(told) if isinstance(told, dict) else {}
    return context


def _metrics(messages: list[SessionMessage], began: datetime, last: datetime | None) -> SessionMetrics:
    tokens = sum(message.token_count or 0 for message in messages)
    duration = max(0.0, (last - began).total_seconds()) if last and began != NEVER else 0.0
    return SessionMetrics(len(messages), tokens, duration, last, began)


def record_of(message: SessionMessage) -> Record:
    """A message as a record."""
    record: Record = {one.name: getattr(message, one.name) for one in fields(SessionMessage)}
    role = message.role.value if isinstance(message.role, MessageRole) else message.role
    return {
        **record,
        "role": role,
        "metadata": dict(message.metadata or {}),
        "timestamp": message.timestamp.isoformat(),
    }


def message_of(message: Message, kept: Kept | None = None) -> SessionMessage:
    """A stored message as a program sees it; it remembers the stored one."""
    record = deepcopy(TWO.record(message, kept.began if kept else NEVER))
    moment = datetime.fromisoformat(record["timestamp"])
    made = SessionMessage(**{**record, "role": MessageRole(record["role"]), "timestamp": moment})
    made.__dict__["_whole"] = message
    return made


class StorageFactory:
    """Makes storages by name."""

    @staticmethod
    def create_storage(storage_type: str, **kwargs: Any) -> ISessionStorage:
        """`memory`, or `sqlite` with a `db_path`. Raises `ValueError` for another one."""
        if storage_type.lower() in ("memory", "in_memory"):
            return InMemorySessionStorage()
        if storage_type.lower() in ("sqlite", "local"):
            return SQLiteSessionStorage(kwargs.get("db_path", DEFAULT))
        raise ValueError(f"Unknown storage type: {storage_type}")


_default: ISessionStorage | None = None


def get_default_storage() -> ISessionStorage:
    """The storage that all use who name none."""
    global _default
    if _default is None:
        _default = SQLiteSessionStorage()
    return _default


def set_default_storage(storage: ISessionStorage) -> None:
    """Let all who name none use this storage."""
    global _default
    _default = storage

"""Version 2: sessions and their manager (`langswarm.core.session.base`)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

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
    SessionStatus,
    utc_now,
)
from sessionstore.compat._langswarm_providers import BaseStatelessProviderSession
from sessionstore.compat._langswarm_storage2 import SQLiteSessionStorage

_ANSWERED = (SessionBackend.PROVIDER_NATIVE, SessionBackend.HYBRID)
_CONTEXT = frozenset(one.name for one in fields(SessionContext))
_log = logging.getLogger("sessionstore.compat.langswarm")


class BaseSession(ISession):
    """One session. What is said is kept by the storage before a provider is asked, and its answer before it is
    returned. All messages are kept; a provider is told the last `max_messages`."""

    def __init__(
        self,
        session_id: str,
        user_id: str,
        context: SessionContext,
        storage: ISessionStorage | None = None,
        provider_session: IProviderSession | None = None,
    ) -> None:
        self._session_id, self._user_id, self._context = session_id, user_id, context
        self._storage, self._provider_session = storage, provider_session
        self._status = SessionStatus.ACTIVE
        self._messages: list[SessionMessage] = []
        self._metrics = SessionMetrics()
        self._middleware: list[ISessionMiddleware] = []
        self._lifecycle_hooks: list[ISessionLifecycleHook] = []
        self._turn = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session_id

    @property
    def user_id(self) -> str:
        """Whose session it is."""
        return self._user_id

    @property
    def status(self) -> SessionStatus:
        """Where it stands."""
        return self._status

    @property
    def context(self) -> SessionContext:
        """What is known of it."""
        return self._context

    @property
    def metrics(self) -> SessionMetrics:
        """Its figures: messages in view, tokens that were counted, seconds from the beginning to the last change."""
        return self._metrics

    # -- messages --------------------------------------------------------------------------------------------------

    async def send_message(self, content: str, role: MessageRole = MessageRole.USER, **kwargs: Any) -> SessionMessage:
        """Say something, with `kwargs` as its metadata; the provider's answer, or what was said when nobody answers.
        Raises `ProviderSessionError` (what was said is kept even then), `SessionStorageError`."""
        try:
            async with self._turn:
                message = SessionMessage(f"msg_{uuid4().hex[:8]}", role, content, utc_now(), dict(kwargs))
                for middleware in self._middleware:
                    message = await middleware.process_outgoing_message(self, message)
                response = await self._answered(message)
        except SessionError:
            raise
        except Exception as error:
            raise ProviderSessionError(f"Failed to send message: {error}") from error
        for hook in self._lifecycle_hooks:
            await hook.on_message_sent(self, message)
            if response is not message:
                await hook.on_message_received(self, response)
        return response

    async def _answered(self, message: SessionMessage) -> SessionMessage:
        """Keep a message, ask, and keep the answer."""
        await self._refresh()
        answered = self._provider_session is not None and self._context.backend in _ANSWERED
        if answered and not self._context.provider_session_id:
            raise ProviderSessionError("Provider session not available")
        self._messages.append(message)
        await self._save()
        if not answered:
            return message
        response = await self._ask(message)
        if response is message or (response.role == message.role and response.content == message.content):
            message.provider_message_id = message.provider_message_id or response.provider_message_id
            return message
        for middleware in self._middleware:
            response = await middleware.process_incoming_message(self, response)
        self._messages.append(response)
        await self._save()
        return response

    async def _ask(self, message: SessionMessage) -> SessionMessage:
        provider, name = self._provider_session, self._context.provider_session_id
        assert provider is not None and name is not None
        if not isinstance(provider, BaseStatelessProviderSession):
            return await provider.send_message(name, message.content, message.role)
        self._hand_over()
        return await provider.answer(name, message)

    def _hand_over(self) -> None:
        """Let a provider of ours know the conversation as it is here."""
        provider, context = self._provider_session, self._context
        if isinstance(provider, BaseStatelessProviderSession) and context.provider_session_id:
            provider.adopt(
                context.provider_session_id,
                self._messages,
                user_id=self._user_id,
                model=context.model or None,
                most=context.max_messages,
            )
            if isinstance(self._storage, SQLiteSessionStorage) and self._storage._runner is not None:
                provider.store = self._storage._runner.manager.store

    async def get_messages(self, limit: int | None = None) -> list[SessionMessage]:
        """The messages, or the last `limit` of them. Where a provider that is not ours keeps the session, those it
        tells of; when it tells of none, those that are kept here."""
        foreign = not isinstance(self._provider_session, BaseStatelessProviderSession | None)
        name = self._context.provider_session_id
        if foreign and self._context.backend == SessionBackend.PROVIDER_NATIVE and name:
            assert self._provider_session is not None
            try:
                if told := await self._provider_session.get_messages(name, limit=limit):
                    return told
            except Exception as error:
                _log.warning("%s: the provider does not tell its messages: %s", self._session_id, error)
        await self._refresh()
        return self._messages[-limit:] if limit else self._messages.copy()

    async def add_system_message(self, content: str) -> SessionMessage:
        """Add an instruction."""
        return await self.send_message(content, MessageRole.SYSTEM)

    async def clear_messages(self) -> bool:
        """Begin anew: what was said is out of view, and stays in the store. A session that a provider keeps which is
        not ours is put away instead."""
        foreign = not isinstance(self._provider_session, BaseStatelessProviderSession | None)
        if foreign and self._context.backend == SessionBackend.PROVIDER_NATIVE:
            return await self.archive()
        async with self._turn:
            await self._refresh()
            self._messages.clear()
            await self._save()
            self._hand_over()
        return True

    # -- the rest --------------------------------------------------------------------------------------------------

    async def update_context(self, **kwargs: Any) -> bool:
        """Change what is known of the session; what is no field of it goes to `provider_context`."""
        for name, value in kwargs.items():
            if name == "backend":
                value = SessionBackend(value)
            if name in _CONTEXT:
                setattr(self._context, name, value)
            else:
                self._context.provider_context[name] = value
        async with self._turn:
            await self._save()
        return True

    async def archive(self) -> bool:
        """Put the session away. It stays readable."""
        self._status = SessionStatus.ARCHIVED
        async with self._turn:
            await self._save()
            await self._save_status()
        for hook in self._lifecycle_hooks:
            await hook.on_session_archived(self)
        return True

    async def _save(self) -> None:
        """Keep the session as it is."""
        self._count()
        if self._storage is None:
            return
        messages = self._messages if self._context.persist_messages else []
        await self._storage.save_session(self._session_id, messages, self._context)

    async def _save_status(self) -> None:
        """Keep where it stands, where the storage can."""
        say = getattr(self._storage, "set_session_status", None)
        if say is not None:
            await say(self._session_id, self._status)

    async def _refresh(self) -> None:
        """Take in what others have written to the session."""
        if not isinstance(self._storage, SQLiteSessionStorage) or not self._context.persist_messages:
            return
        news = await self._storage.news(self._session_id)
        if news is not None:
            told, stored = news
            held = {one.id: one for one in self._messages}
            unsaved = [one for one in self._messages if one.id not in stored]
            self._messages = [held.get(one.id, one) for one in told] + unsaved
            self._count()

    def _count(self) -> None:
        metrics, now = self._metrics, utc_now()
        metrics.message_count = len(self._messages)
        metrics.total_tokens = sum(message.token_count or 0 for message in self._messages)
        metrics.last_activity = now
        metrics.session_duration = max(0.0, (now - metrics.created_at).total_seconds())

    def add_middleware(self, middleware: ISessionMiddleware) -> None:
        """Let messages be changed on their way."""
        self._middleware.append(middleware)

    def add_lifecycle_hook(self, hook: ISessionLifecycleHook) -> None:
        """Tell somebody of the session's life."""
        self._lifecycle_hooks.append(hook)


class SessionManager(ISessionManager):
    """All sessions of a storage, and the providers that answer."""

    def __init__(
        self,
        storage: ISessionStorage | None = None,
        provider_sessions: dict[str, IProviderSession] | None = None,
    ) -> None:
        self._storage = storage
        self._provider_sessions = provider_sessions or {}
        self._active_sessions: dict[str, BaseSession] = {}
        self._global_middleware: list[ISessionMiddleware] = []
        self._global_hooks: list[ISessionLifecycleHook] = []

    async def create_session(
        self,
        user_id: str,
        provider: str,
        model: str,
        backend: SessionBackend = SessionBackend.PROVIDER_NATIVE,
        session_id: str | None = None,
        **kwargs: Any,
    ) -> BaseSession:
        """Make a session and keep it. `kwargs` are fields of the context; others go to its `provider_context` and to
        the provider. A provider that cannot begin leaves the session to be kept locally. Raises `SessionError`."""
        name = session_id or f"session_{user_id}_{uuid4().hex[:8]}"
        known = {key: value for key, value in kwargs.items() if key in _CONTEXT}
        context = SessionContext(name, user_id, provider, model, SessionBackend(backend), **known)
        context.provider_context = {**context.provider_context, **{k: v for k, v in kwargs.items() if k not in known}}
        handler = self._provider_sessions.get(provider)
        told: list[SessionMessage] = []
        if context.backend in _ANSWERED and handler is not None:
            try:
                given = {"model": model, **kwargs} if isinstance(handler, BaseStatelessProviderSession) else kwargs
                context.provider_session_id = await handler.create_provider_session(user_id, **given)
                if isinstance(handler, BaseStatelessProviderSession):
                    told = await handler.get_messages(context.provider_session_id)
            except Exception as error:
                _log.warning("%s has not begun a session, it is kept locally: %s", provider, error)
                context.backend, handler = SessionBackend.LOCAL_MEMORY, None
        session = self._made(name, context, handler)
        session._messages = told
        await session._save()
        self._active_sessions[name] = session
        for hook in self._global_hooks:
            await hook.on_session_created(session)
        return session

    def _made(self, name: str, context: SessionContext, handler: IProviderSession | None) -> BaseSession:
        session = BaseSession(name, context.user_id, context, self._storage, handler)
        session._middleware += self._global_middleware
        session._lifecycle_hooks += self._global_hooks
        return session

    async def get_session(self, session_id: str) -> BaseSession | None:
        """A session; None when there is none. One that is active is the same object each time. Raises
        `SessionStorageError`."""
        if session_id in self._active_sessions:
            return self._active_sessions[session_id]
        loaded = await self._storage.load_session(session_id) if self._storage else None
        if loaded is None or self._storage is None:
            return None
        messages, context = loaded
        session = self._made(session_id, context, self._provider_sessions.get(context.provider))
        session._messages = list(messages)
        ask = getattr(self._storage, "get_session_status", None)
        session._status = (await ask(session_id) if ask else None) or SessionStatus.ACTIVE
        session._metrics = await self._storage.get_session_metrics(session_id) or session._metrics
        session._hand_over()
        if session.status == SessionStatus.ACTIVE:
            self._active_sessions[session_id] = session
        return session

    async def list_user_sessions(self, user_id: str, limit: int = 100) -> list[BaseSession]:
        """The sessions of a user ("" for all), latest first. Raises `SessionStorageError`."""
        contexts = await self._storage.list_sessions(user_id=user_id, limit=limit) if self._storage else []
        found = [await self.get_session(context.session_id) for context in contexts]
        return [session for session in found if session is not None]

    async def archive_session(self, session_id: str) -> bool:
        """Put a session away; False when there is none."""
        session = await self.get_session(session_id)
        if session is None:
            return False
        done = await session.archive()
        self._active_sessions.pop(session_id, None)
        return done

    async def delete_session(self, session_id: str) -> bool:
        """Delete a session here and at its provider. True also when there is none. Raises `SessionStorageError`."""
        session = await self.get_session(session_id)
        self._active_sessions.pop(session_id, None)
        if self._storage:
            await self._storage.delete_session(session_id)
        if session is None:
            return True
        handler, name = session._provider_session, session.context.provider_session_id
        if handler is not None and name:
            try:
                await handler.delete_provider_session(name)
            except Exception as error:
                _log.warning("%s is not deleted at its provider: %s", session_id, error)
        for hook in self._global_hooks:
            await hook.on_session_deleted(session)
        return True

    def add_provider_session(self, provider: str, provider_session: IProviderSession) -> None:
        """Let a provider answer the sessions that name it."""
        self._provider_sessions[provider] = provider_session

    def add_global_middleware(self, middleware: ISessionMiddleware) -> None:
        """Let messages of all sessions made from now on be changed on their way."""
        self._global_middleware.append(middleware)

    def add_global_hook(self, hook: ISessionLifecycleHook) -> None:
        """Tell somebody of the life of all sessions made from now on."""
        self._global_hooks.append(hook)

    async def cleanup_inactive_sessions(self, max_inactive_hours: int = 24) -> int:
        """Put away the sessions in memory that were not touched for so long; how many."""
        cutoff: datetime = utc_now() - timedelta(hours=max_inactive_hours)
        old = [name for name, one in self._active_sessions.items() if (one.metrics.last_activity or cutoff) < cutoff]
        return sum([await self.archive_session(name) for name in old])

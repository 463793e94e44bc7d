"""LangSwarm's version 2 names on this store: signatures, sessions, providers, what is taken over and not reproduced."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionManager as StoreManager
from sessionstore import notes
from sessionstore.compat import langswarm, langswarm_v1
from sessionstore.compat import langswarm_v2 as v2
from sessionstore.compat._langswarm_shelf import shelf_of
from sessionstore.compat.langswarm_v2 import (
    BaseSession,
    MessageRole,
    MetricsHook,
    ProviderSessionError,
    SessionBackend,
    SessionContext,
    SessionManager,
    SessionMessage,
    SessionStatus,
    SessionStorageError,
    SQLiteSessionStorage,
    create_session_manager,
)
from tests.adapters.conftest import server as server
from tests.adapters.server import Server, document
from tests.compat.langswarm_signatures import VERSION_2
from tests.compat.signatures import differences
from tests.compat.test_langswarm_v1 import CALL, DATABASES, PROGRAMS, completion
from tests.compat.test_langswarm_v1 import place as place

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456)


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that runs in an event loop of its own."""

    @wraps(test)
    def runs(**given: Any) -> None:
        asyncio.run(test(**given))  # type: ignore[arg-type]

    return runs


def message(number: int, text: str, role: MessageRole = MessageRole.USER, **more: Any) -> SessionMessage:
    """A message of a program's."""
    return SessionMessage(f"msg_{number:08x}", role, text, NOON + timedelta(minutes=number), {}, **more)


def context(name: str = "s", user: str = "ada", **more: Any) -> SessionContext:
    """A context of a program's."""
    return SessionContext(name, user, "mock", "gpt-4o", SessionBackend.LOCAL_SQLITE, **more)


def texts(messages: list[SessionMessage]) -> list[str]:
    """What messages say."""
    return [one.content for one in messages]


def head(path: str, session_id: str) -> dict[str, Any]:
    """The head of a session as the store has it."""
    kept = shelf_of(path).load(session_id)
    assert kept is not None
    return dict(kept.revision)


def with_mock(path: str = "chat.db") -> SessionManager:
    """A manager with a store and an offline provider."""
    return create_session_manager("sqlite", {"db_path": path}, {"mock": "none"})


# -- what is declared -------------------------------------------------------------------------------------------------


def test_everything_is_declared_as_in_langswarm() -> None:
    assert differences(VERSION_2, v2) == []
    assert len(VERSION_2.splitlines()) > 130


def test_todays_names_are_version_2() -> None:
    assert langswarm.SQLiteSessionStorage is v2.SQLiteSessionStorage is not langswarm_v1.SQLiteSessionStorage
    assert all(hasattr(langswarm, name) for name in v2.__all__)


def test_errors_have_one_base() -> None:
    for name in ("SessionNotFoundError", "ProviderSessionError", "SessionStorageError"):
        assert issubclass(getattr(v2, name), v2.SessionError)
    assert SessionContext("s", "u", "p", "m", SessionBackend.HYBRID).provider_context == {}
    assert abs(v2.SessionMetrics().created_at - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)


# -- the storage ------------------------------------------------------------------------------------------------------


@run
async def test_a_session_comes_back_as_it_was(place: Path) -> None:
    storage = SQLiteSessionStorage("deep/down/chat.db")
    told = [
        message(1, "Be brief.", MessageRole.SYSTEM),
        message(2, "Weather?", provider_message_id="p1"),
        message(3, "", MessageRole.ASSISTANT, token_count=31, finish_reason="tool_calls"),
        message(4, "4 degrees", MessageRole.TOOL),
        message(5, "r", MessageRole.FUNCTION),
    ]
    told[2].metadata = {"trace": "t", "tool_calls": [CALL]}
    told[3].metadata = {"tool_call_id": "c1"}
    given = context(max_messages=7, auto_archive=False, provider_session_id="thread_1", provider_context={"a": [1]})
    assert await storage.save_session("s", told, given)
    assert await SQLiteSessionStorage("deep/down/chat.db").load_session("s") == (told, given)
    with StoreManager("deep/down/chat.db.sessionstore") as manager:
        history = manager.get("s").history()
    assert history[2]["parts"][0]["type"] == "tool_call" and history[3]["parts"][0]["id"] == "c1"
    assert history[1]["time"] == "2026-01-02T12:02:00.123456+00:00"


@run
async def test_listing_filters_before_the_limit(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    for number in range(6):
        await storage.save_session(f"s{number}", [message(1, "x")], context(f"s{number}", "ab"[number % 2]))
    assert [one.session_id for one in await storage.list_sessions("b", limit=2)] == ["s5", "s3"]
    await storage.set_session_status("s1", SessionStatus.ARCHIVED)
    archived = await storage.list_sessions(status=SessionStatus.ARCHIVED, limit=1)
    assert [one.session_id for one in archived] == ["s1"]
    assert (
        len(await storage.list_sessions(status=SessionStatus.ACTIVE)) == 5 and len(await storage.list_sessions("")) == 6
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("status", list(SessionStatus))
def test_every_status_is_kept(kind: str, status: SessionStatus) -> None:
    async def test() -> None:
        storage: Any = v2.StorageFactory.create_storage(kind, db_path="chat.db")
        await storage.save_session("s", [message(1, "x")], context())
        assert await storage.set_session_status("s", status) and not await storage.set_session_status("t", status)
        other = SQLiteSessionStorage("chat.db") if kind == "sqlite" else storage
        assert await other.get_session_status("s") == status and await other.get_session_status("t") is None
        await storage.save_session("s", [message(1, "x"), message(2, "y")], context())
        assert await other.get_session_status("s") == status
        assert [one.session_id for one in await other.list_sessions(status=status)] == ["s"]
        await storage.set_session_status("s", SessionStatus.ACTIVE)
        assert await other.get_session_status("s") == SessionStatus.ACTIVE

    asyncio.run(test())


@run
async def test_figures_count_and_keep_the_beginning(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    assert await storage.get_session_metrics("s") is None
    await storage.save_session("s", [message(1, "x", token_count=3)], context())
    first = await storage.get_session_metrics("s")
    await storage.save_session("s", [message(1, "x", token_count=3), message(2, "y", token_count=4)], context())
    second = await storage.get_session_metrics("s")
    assert first is not None and second is not None
    assert (second.message_count, second.total_tokens) == (2, 7)
    assert first.created_at == second.created_at == NOON + timedelta(minutes=1)
    assert second.last_activity is not None and second.session_duration > 0


@run
async def test_deleting_erases_messages_and_figures(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    await storage.save_session("s", [message(1, "a secret")], context())
    key = shelf_of("chat.db").key("s")[0]
    assert await storage.delete_session("s") and await storage.delete_session("s")
    assert await storage.load_session("s") is None and await storage.get_session_metrics("s") is None
    assert notes.is_purged(shelf_of("chat.db").manager.store, key)
    assert not any(b"a secret" in path.read_bytes() for path in Path("chat.db.sessionstore/sessions").rglob("*.json"))
    await storage.save_session("s", [message(2, "anew")], context())
    loaded = await SQLiteSessionStorage("chat.db").load_session("s")
    assert loaded is not None and texts(loaded[0]) == ["anew"]


@run
async def test_clean_up_puts_away_and_deletes_nothing(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    for name in ("old", "new"):
        await storage.save_session(name, [message(1, "x")], context(name))
    manager = shelf_of("chat.db").manager
    with manager.held(key := shelf_of("chat.db").key("old")[0]):
        manager.live(key).extend((), {"updated_at": "2020-01-01T00:00:00Z"})
    assert await storage.cleanup_old_sessions(30) == 1 and await storage.cleanup_old_sessions(30) == 0
    assert await storage.load_session("old") is None
    assert [one.session_id for one in await storage.list_sessions()] == ["new"]
    assert manager.state(key) == "expired" and manager.get(key).count == 1


@run
async def test_storages_by_name(place: Path) -> None:
    make = v2.StorageFactory.create_storage
    assert isinstance(make("IN_MEMORY"), v2.InMemorySessionStorage) and isinstance(make("local"), SQLiteSessionStorage)
    with pytest.raises(ValueError, match="Unknown storage type: ftp"):
        make("ftp")
    mine = v2.InMemorySessionStorage()
    v2.set_default_storage(mine)
    assert v2.get_default_storage() is mine
    await mine.save_session("s", [message(1, "x", token_count=2)], context())
    metrics = await mine.get_session_metrics("s")
    assert metrics is not None and (metrics.message_count, metrics.total_tokens) == (1, 2)
    assert await mine.list_sessions("bob") == [] and len(await mine.list_sessions("ada")) == 1
    assert await mine.delete_session("s") and await mine.load_session("s") is None


# -- sessions ---------------------------------------------------------------------------------------------------------


@run
async def test_a_conversation_goes_on_in_another_manager(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "gpt-4o", system_message="Be brief.")
    assert session.context.provider_session_id.startswith("mock_ada_")  # type: ignore[union-attr]
    answer = await session.send_message("hello", trace=7)
    assert (answer.role, answer.content) == (MessageRole.ASSISTANT, "Mock response to: hello")
    assert answer.metadata["simulated"] is True
    again = await with_mock().get_session(session.session_id)
    assert again is not None and again.context == session.context and again.status == SessionStatus.ACTIVE
    assert texts(await again.get_messages()) == ["Be brief.", "hello", "Mock response to: hello"]
    assert (await again.get_messages())[1].metadata == {"trace": 7}
    assert texts(await again.get_messages(limit=1)) == ["Mock response to: hello"]
    assert again.metrics.message_count == 3
    assert abs(again.metrics.created_at - session.metrics.created_at) < timedelta(seconds=5)
    await again.send_message("more")
    assert texts(await session.get_messages())[-2:] == ["more", "Mock response to: more"]
    assert "parents" not in head("chat.db", session.session_id)


@run
async def test_without_a_provider_what_is_said_is_kept_and_given_back(place: Path) -> None:
    manager = create_session_manager(storage_config={"db_path": "chat.db"})
    session = await manager.create_session("ada", "openai", "gpt-4o")
    said = await session.send_message("hello")
    assert said.role == MessageRole.USER
    added = await session.send_message("hi", MessageRole.ASSISTANT)
    system = await session.add_system_message("Be brief.")
    assert (added.role, system.role) == (MessageRole.ASSISTANT, MessageRole.SYSTEM)
    loaded = await SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and texts(loaded[0]) == ["hello", "hi", "Be brief."]


@run
async def test_a_new_session_is_kept_before_anything_is_said(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m", session_id="mine", max_messages=5, theme="dark")
    found = await with_mock().list_user_sessions("ada")
    assert [one.session_id for one in found] == ["mine"] and found[0].context == session.context
    assert session.context.max_messages == 5 and session.context.provider_context == {"theme": "dark"}
    assert len(await with_mock().list_user_sessions("")) == 1 and await with_mock().list_user_sessions("bob") == []


@run
async def test_context_is_updated(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m")
    assert await session.update_context(max_messages=50, custom_setting="x", backend="local_sqlite")
    again = await with_mock().get_session(session.session_id)
    assert again is not None and again.context.max_messages == 50
    assert (
        again.context.provider_context == {"custom_setting": "x"}
        and again.context.backend == SessionBackend.LOCAL_SQLITE
    )


@run
async def test_clearing_takes_out_of_view_and_keeps(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m")
    other = await with_mock().get_session(session.session_id)
    assert other is not None
    await session.send_message("one")
    assert len(await other.get_messages()) == 2
    assert await session.clear_messages() and await session.get_messages() == [] and await other.get_messages() == []
    assert session.metrics.message_count == 0
    await other.send_message("two")
    assert texts(await session.get_messages()) == ["two", "Mock response to: two"]
    assert head("chat.db", session.session_id)["counts"]["messages"] == 4


@run
async def test_turns_at_the_same_time_stay_in_order(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m")
    other = await with_mock().get_session(session.session_id)
    assert other is not None
    await asyncio.gather(*(one.send_message(f"{n}") for n in range(6) for one in (session, other)))
    told = texts(await session.get_messages())
    assert sorted(told) == sorted([f"{n}" for n in range(6)] * 2 + [f"Mock response to: {n}" for n in range(6)] * 2)
    loaded = await SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and sorted(texts(loaded[0])) == sorted(told)
    assert len({one.id for one in loaded[0]}) == 24


@run
async def test_messages_need_not_be_kept(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m", persist_messages=False)
    await session.send_message("do not write this down")
    await session.archive()
    assert len(await session.get_messages()) == 2
    assert head("chat.db", session.session_id)["counts"]["messages"] == 0


@run
async def test_hooks_and_middleware(place: Path) -> None:
    class Shout(v2.ISessionMiddleware):
        async def process_outgoing_message(self, session: v2.ISession, message: SessionMessage) -> SessionMessage:
            message.content = message.content.upper()
            return message

        async def process_incoming_message(self, session: v2.ISession, message: SessionMessage) -> SessionMessage:
            message.metadata["seen"] = True
            return message

    manager, hook = with_mock(), MetricsHook()
    manager.add_global_hook(hook)
    manager.add_global_middleware(Shout())
    manager.add_global_middleware(v2.LoggingMiddleware("x"))
    session = await manager.create_session("ada", "mock", "m")
    answer = await session.send_message("hello")
    assert answer.content == "Mock response to: HELLO" and answer.metadata["seen"] is True
    await session.add_system_message("quiet")
    assert await manager.archive_session(session.session_id) and not await manager.archive_session("nobody")
    assert await manager.delete_session(session.session_id) and await manager.delete_session("nobody")
    counts = {"created": 1, "archived": 1, "deleted": 1, "messages_sent": 2, "messages_received": 1}
    assert hook.get_metrics() == counts
    assert await manager.get_session(session.session_id) is None


@run
async def test_sessions_that_rest_are_put_away(place: Path) -> None:
    manager = with_mock()
    old, new = [await manager.create_session("ada", "mock", "m") for _ in range(2)]
    old.metrics.last_activity = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=25)
    assert await manager.cleanup_inactive_sessions(24) == 1
    assert (old.status, new.status) == (SessionStatus.ARCHIVED, SessionStatus.ACTIVE)
    again = await with_mock().get_session(old.session_id)
    assert again is not None and again.status == SessionStatus.ARCHIVED


@run
async def test_convenience_functions(place: Path) -> None:
    v2.set_session_manager(None)  # type: ignore[arg-type]
    v2.initialize_default_session_manager()
    manager = v2.get_session_manager()
    assert manager is not None
    async with v2.session_context(await manager.create_session("ada", "mock", "m")) as session:
        assert (await session.send_message("x")).content == "x"
    production = v2.configure_production_sessions({"db_path": ":memory:"})
    assert (await production.create_session("ada", "mock", "m")).user_id == "ada"
    simple = await v2.create_simple_session("ada")
    assert (await simple.send_message("x")).role == MessageRole.USER
    answered = await v2.create_simple_session("ada", api_key="none")
    assert (await answered.send_message("x")).role == MessageRole.ASSISTANT
    left_out = create_session_manager("memory", providers={"abacus": "k", "openai": ""})
    assert left_out._provider_sessions == {}
    store = v2.InMemorySessionStore()
    name = await store.create_session("ada", topic="t")
    assert await store.add_message(name, "x", "user") and not await store.add_message("nobody", "x", "user")
    assert len(await store.get_messages(name, 1)) == 1 and (await store.get_session(name) or {})["topic"] == "t"
    assert (store.get_session_count(), store.get_message_count(), store.get_message_count(name)) == (1, 1, 1)
    assert await store.cleanup_expired_sessions(-1) == 1 and not await store.delete_session(name)


# -- providers --------------------------------------------------------------------------------------------------------


def anthropic(text: str) -> Any:
    """What Anthropic answers."""
    head = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn"}
    usage = {"input_tokens": 9, "output_tokens": 3}
    return document({**head, "content": [{"type": "text", "text": text}], "stop_sequence": None, "usage": usage})


def gemini(text: str) -> Any:
    """What Gemini answers."""
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    return document({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage})


@pytest.mark.parametrize(
    ("provider", "variable", "path", "answer"),
    [
        ("openai", "OPENAI_BASE_URL", "/v1", completion),
        ("mistral", "MISTRAL_BASE_URL", "/v1", completion),
        ("cohere", "COHERE_BASE_URL", "/v1", completion),
        ("anthropic", "ANTHROPIC_BASE_URL", "", anthropic),
        ("gemini", "GOOGLE_GEMINI_BASE_URL", "", gemini),
    ],
)
def test_a_provider_is_asked_with_its_own_library(
    server: Server, monkeypatch: pytest.MonkeyPatch, provider: str, variable: str, path: str, answer: Any
) -> None:
    monkeypatch.setenv(variable, server.url + path)
    config = {"db_path": "chat.db"}

    async def test() -> None:
        manager = create_session_manager("sqlite", config, {provider: "sk-test"})
        session = await manager.create_session("ada", provider, "model-1", system_message="Be brief.")
        server.replies = [answer("Hi."), answer("Again.")]
        said = await session.send_message("Hello")
        assert (said.content, said.role) == ("Hi.", MessageRole.ASSISTANT)
        assert said.token_count and said.metadata["usage"]["input_tokens"] in (9, 11)
        again = await create_session_manager("sqlite", config, {provider: "sk-test"}).get_session(session.session_id)
        assert again is not None
        assert (await again.send_message("And?")).content == "Again."
        assert again.metrics.total_tokens == 2 * said.token_count

    asyncio.run(test())
    sent = str(server.requests[-1])
    for text in ("Be brief.", "Hello", "Hi.", "And?", "sk-test", "model-1"):
        assert text in sent
    (name,) = (one for one in StoreManager("chat.db.sessionstore").list(source="langswarm"))
    stats = StoreManager("chat.db.sessionstore").get_stats(name["key"])
    assert stats["output_tokens"] in (6, 8)


@run
async def test_what_was_said_is_kept_before_the_provider_is_asked(
    place: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    manager = create_session_manager("sqlite", {"db_path": "chat.db"}, {"openai": "sk-test"})
    session = await manager.create_session("ada", "openai", "gpt-4o")
    server.replies = [document({"error": {"message": "bad"}}, 400)]
    with pytest.raises(ProviderSessionError) as caught:
        await session.send_message("Hello")
    assert "sk-test" not in str(caught.value)
    loaded = await SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and texts(loaded[0]) == ["Hello"]
    server.replies = [completion("Yes.")]
    assert (await session.send_message("Anybody?")).content == "Yes."
    assert texts(await session.get_messages()) == ["Hello", "Anybody?", "Yes."]


@run
async def test_a_provider_is_told_the_last_messages_and_all_are_kept(
    place: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    manager = create_session_manager("sqlite", {"db_path": "chat.db"}, {"openai": "sk-test"})
    session = await manager.create_session("ada", "openai", "gpt-4o", max_messages=3, system_message="Be brief.")
    for number in range(4):
        server.replies = [completion(f"answer {number}")]
        await session.send_message(f"question {number}")
    told = [one["content"] for one in server.requests[-1][2]["messages"]]
    assert told == ["Be brief.", "question 2", "answer 2", "question 3"]
    assert len(await session.get_messages()) == 9
    loaded = await SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and len(loaded[0]) == 9


@run
async def test_providers_sides_by_themselves(place: Path) -> None:
    make = v2.ProviderSessionFactory.create_provider_session
    mock = make("mock")
    name = await mock.create_provider_session("ada", system_message="s")
    assert (await mock.send_message(name, "hi")).content == "Mock response to: hi"
    assert texts(await mock.get_messages(name)) == ["s", "hi", "Mock response to: hi"]
    assert texts(await mock.get_messages(name, 1)) == ["Mock response to: hi"] and await mock.get_messages("x") == []
    facts = await mock.get_provider_session(name)
    assert facts is not None and (facts["message_count"], facts["provider"]) == (3, "mock")
    assert (await mock.send_message(name, "quiet", MessageRole.SYSTEM)).role == MessageRole.SYSTEM
    with pytest.raises(ProviderSessionError, match="not found"):
        await mock.send_message("nobody", "hi")
    assert await mock.delete_provider_session(name) and not await mock.delete_provider_session(name)
    assert await mock.get_provider_session(name) is None
    openai = v2.create_provider_session("openai", "k", assistant_id="asst_1")
    assert isinstance(openai, v2.OpenAIProviderSession) and openai.assistant_id == "asst_1"
    with pytest.raises(ValueError, match="OpenAI API key required"):
        make("openai")
    with pytest.raises(ValueError, match="Unsupported provider 'abacus'"):
        make("abacus", "k")


@run
async def test_a_provider_of_the_programs_own(place: Path) -> None:
    class Own(v2.IProviderSession):
        told: list[SessionMessage] = []  # noqa: RUF012
        broken = False

        async def create_provider_session(self, user_id: str, **kwargs: Any) -> str:
            if self.broken:
                raise OSError("down")
            return "thread_own"

        async def get_provider_session(self, provider_session_id: str) -> dict[str, Any] | None:
            return None

        async def send_message(
            self, provider_session_id: str, message: str, role: MessageRole = MessageRole.USER
        ) -> SessionMessage:
            if message == "fail":
                raise RuntimeError("no")
            return SessionMessage("own_1", MessageRole.ASSISTANT, message[::-1], NOON, {}, "own_1", 5)

        async def get_messages(self, provider_session_id: str, limit: int | None = None) -> list[SessionMessage]:
            if self.broken:
                raise OSError("down")
            return self.told

        async def delete_provider_session(self, provider_session_id: str) -> bool:
            raise OSError("down")

    own, manager = Own(), create_session_manager("sqlite", {"db_path": "chat.db"})
    manager.add_provider_session("own", own)
    session = await manager.create_session("ada", "own", "m")
    assert session.context.provider_session_id == "thread_own"
    assert (await session.send_message("abc")).content == "cba" and session.metrics.total_tokens == 5
    assert texts(await session.get_messages()) == ["abc", "cba"]
    own.told = [message(9, "from the provider")]
    assert texts(await session.get_messages()) == ["from the provider"]
    with pytest.raises(ProviderSessionError, match="Failed to send message: no"):
        await session.send_message("fail")
    assert await session.clear_messages() and session.status == SessionStatus.ARCHIVED
    own.broken = True
    assert texts(await session.get_messages()) == ["abc", "cba", "fail"]
    local = await manager.create_session("ada", "own", "m")
    assert local.context.backend == SessionBackend.LOCAL_MEMORY and (await local.send_message("x")).content == "x"
    assert await manager.delete_session(session.session_id)
    bare = BaseSession("b", "ada", SessionContext("b", "ada", "own", "m", SessionBackend.HYBRID), None, own)
    with pytest.raises(ProviderSessionError, match="not available"):
        await bare.send_message("x")


# -- what the older program left, and what is not reproduced ----------------------------------------------------------


@run
async def test_a_database_is_taken_over_and_not_touched(place: Path) -> None:
    shutil.copy(DATABASES / "version-2" / "langswarm_sessions.db", "old.db")
    before = Path("old.db").read_bytes(), os.stat("old.db").st_mtime_ns
    storage = SQLiteSessionStorage("old.db")
    loaded = await storage.load_session("session_ada_0a1b2c3d")
    assert loaded is not None
    messages, told = loaded
    assert told.provider_session_id == "thread_1" and isinstance(told.backend, SessionBackend)
    assert messages[2].metadata["tool_calls"] == [CALL] and messages[2].token_count == 31
    assert messages[0].timestamp == datetime(2025, 10, 3, 12, 1, 0, 123456)
    assert await storage.save_session("session_ada_0a1b2c3d", messages, told)
    assert "parents" not in head("old.db", "session_ada_0a1b2c3d")
    session = await create_session_manager("sqlite", {"db_path": "old.db"}).get_session("session_ada_0a1b2c3d")
    assert session is not None
    await session.send_message("go on")
    assert head("old.db", "session_ada_0a1b2c3d")["counts"]["messages"] == len(messages) + 1
    assert (Path("old.db").read_bytes(), os.stat("old.db").st_mtime_ns) == before
    assert await storage.load_session("session_ada_deadbeef") is not None, "orphans of a deleted session are found"


@run
async def test_bug_1_a_database_of_version_1_serves_version_2(place: Path) -> None:
    shutil.copy(DATABASES / "version-1" / "langswarm_sessions.db", "old.db")
    storage = SQLiteSessionStorage("old.db")
    loaded = await storage.load_session("session_9e7c059d")
    assert loaded is not None and await storage.save_session(
        "session_9e7c059d", [*loaded[0], message(99, "two")], loaded[1]
    )
    assert await storage.save_session("new", [message(1, "x")], context("new"))
    one = langswarm_v1.SQLiteSessionStorage("old.db").load_session("session_9e7c059d")
    assert one is not None and one.get_messages()[-1].content == "two"
    assert one.metadata.tags == ["travel"] and len(await storage.list_sessions()) == 4


@run
async def test_bug_2_a_loaded_session_can_be_saved_again(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    await storage.save_session("s", [message(1, "x")], context())
    for number in range(2, 5):
        loaded = await SQLiteSessionStorage("chat.db").load_session("s")
        assert loaded is not None and loaded[1].backend is SessionBackend.LOCAL_SQLITE
        assert await storage.save_session("s", [*loaded[0], message(number, "y")], loaded[1])
    loaded = await storage.load_session("s")
    assert loaded is not None and len(loaded[0]) == 4


@run
async def test_bug_5_the_id_that_was_asked_for_is_the_sessions(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    await storage.save_session("row", [message(1, "x")], context("inside"))
    loaded = await storage.load_session("row")
    assert loaded is not None and loaded[1].session_id == "row"
    assert [one.session_id for one in await storage.list_sessions()] == ["row"]


@run
async def test_bug_6_more_than_max_messages_are_kept(place: Path) -> None:
    session = await with_mock().create_session("ada", "mock", "m", max_messages=4)
    for number in range(5):
        await session.send_message(f"{number}")
    loaded = await SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and len(loaded[0]) == 10


@run
async def test_bug_7_messages_of_one_instant_keep_their_order(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    told = [SessionMessage(f"m{n}", MessageRole.USER, str(n), NOON - timedelta(seconds=n // 3), {}) for n in range(9)]
    await storage.save_session("s", told, context())
    loaded = await SQLiteSessionStorage("chat.db").load_session("s")
    assert loaded is not None and texts(loaded[0]) == [str(n) for n in range(9)]


@run
async def test_bug_8_an_archived_session_stays_archived(place: Path) -> None:
    manager = with_mock()
    session = await manager.create_session("ada", "mock", "m")
    await session.archive()
    again = await with_mock().get_session(session.session_id)
    assert again is not None and again.status == SessionStatus.ARCHIVED
    assert await SQLiteSessionStorage("chat.db").list_sessions(status=SessionStatus.ACTIVE) == []


def test_bug_9_a_storage_is_made_without_an_event_loop() -> None:
    storage = SQLiteSessionStorage("chat.db")

    async def save(number: int) -> bool:
        return await storage.save_session("s", [message(n, "x") for n in range(number)], context())

    assert asyncio.run(save(1)) and asyncio.run(save(2))
    assert len(asyncio.run(storage.load_session("s")) or ((), ())) == 2


@run
async def test_bug_10_failures_are_raised_and_not_swallowed(place: Path) -> None:
    storage = SQLiteSessionStorage("chat.db")
    await storage.save_session("s", [message(1, "x")], context())
    for path in Path("chat.db.sessionstore/sessions").rglob("*.json"):
        path.write_bytes(b"damaged")
    other = SQLiteSessionStorage("chat.db")
    for call in (other.load_session("s"), other.save_session("", [], context())):
        with pytest.raises(SessionStorageError):
            await call


@run
async def test_the_event_loop_is_not_blocked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    storage, threads = SQLiteSessionStorage("chat.db"), set()
    save = storage._shelf.save
    monkeypatch.setattr(
        storage._shelf, "save", lambda *a, **k: (threads.add(threading.current_thread()), save(*a, **k))[1]
    )
    await storage.save_session("s", [message(1, "x")], context())
    assert threads and threading.main_thread() not in threads


def test_a_program_works_after_changing_its_import(place: Path) -> None:
    environment = {**os.environ, "SESSIONSTORE_DIR": str(place / "store")}
    assert (PROGRAMS / "langswarm_two.py").read_text().count("sessionstore") == 1
    for expected in ("first", "second"):
        ran = subprocess.run(
            [sys.executable, str(PROGRAMS / "langswarm_two.py")], capture_output=True, text=True, env=environment
        )
        assert ran.returncode == 0, ran.stderr
        assert f"{expected} run" in ran.stdout and ran.stdout.rstrip().endswith("done")


def test_the_example_of_the_documentation_does_what_it_says(place: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "compat" / "langswarm.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == (printed, "")
    command = [sys.executable, "-m", "sessionstore", "--store", "app.db.sessionstore", "search", "anybody", "--json"]
    assert "anybody" in subprocess.run(command, capture_output=True, text=True, check=True).stdout

"""A program as LangSwarm's documents of version 2 write it; only its import has changed."""

import asyncio

from sessionstore.compat.langswarm import (
    BaseSession,
    LoggingMiddleware,
    MessageRole,
    MetricsHook,
    ProviderSessionFactory,
    SessionBackend,
    SessionStatus,
    StorageFactory,
    configure_development_sessions,
    configure_production_sessions,
    create_session_manager,
    create_simple_session,
)


async def basics() -> None:
    manager = create_session_manager(storage="memory")
    sessions = []
    for user in ("alice", "bob", "charlie"):
        session = await manager.create_session(
            user_id=user, provider="mock", model="gpt-4o", backend=SessionBackend.LOCAL_MEMORY
        )
        assert isinstance(session, BaseSession) and session.status.value == "active"
        sessions.append(session)
    assert (await manager.get_session(sessions[0].session_id)).user_id == "alice"
    assert len(await manager.list_user_sessions("alice")) == 1
    session = await create_simple_session(user_id="demo_user", provider="mock", model="gpt-4o", storage="memory")
    for text in ("Hello, how are you?", "Can you help me?"):
        response = await session.send_message(text)
        print(response.role.value, response.content[:30], response.timestamp.year > 2000)
    assert len(await session.get_messages(limit=1)) == 1
    assert (await session.add_system_message("You are now in helpful mode.")).role == MessageRole.SYSTEM
    assert session.metrics.message_count == 3 and await session.clear_messages()
    assert await session.get_messages() == []


async def storage() -> None:
    config = {"db_path": "app/sessions.db"}
    manager = create_session_manager(storage="sqlite", storage_config=config)
    known = await manager.list_user_sessions("sqlite_user")
    print("second run" if known else "first run")
    session = await manager.create_session(user_id="sqlite_user", provider="mock", model="gpt-4o")
    for number in range(3):
        await session.send_message(f"SQLite test message {number + 1}")
    manager2 = create_session_manager(storage="sqlite", storage_config=config)
    retrieved = await manager2.get_session(session.session_id)
    assert len(await retrieved.get_messages()) == 3
    assert len(await manager2.list_user_sessions("sqlite_user")) == len(known) + 1
    for kind in ("memory", "sqlite"):
        print(type(StorageFactory.create_storage(kind, db_path=":memory:")).__name__)


async def lifecycle() -> None:
    manager = create_session_manager("sqlite", {"db_path": "life.db"}, {"mock": "fake_key"})
    hook = MetricsHook()
    manager.add_global_hook(hook)
    manager.add_global_middleware(LoggingMiddleware("demo"))
    session = await manager.create_session(user_id="u", provider="mock", model="gpt-4o")
    print(session.context.backend.value, session.context.provider_session_id is not None)
    answer = await session.send_message("Test message")
    assert answer.role == MessageRole.ASSISTANT
    assert await session.update_context(max_messages=50, custom_setting="test_value")
    assert await session.archive() and session.status == SessionStatus.ARCHIVED
    assert len(await (await manager.get_session(session.session_id)).get_messages()) == 2
    assert await manager.delete_session(session.session_id)
    assert await manager.get_session(session.session_id) is None
    print(hook.get_metrics(), await manager.cleanup_inactive_sessions(max_inactive_hours=0))
    provider = ProviderSessionFactory.create_provider_session("mock")
    name = await provider.create_provider_session("test_user")
    print((await provider.send_message(name, "Hello mock provider!")).content)
    for made in (configure_development_sessions(), configure_production_sessions({"db_path": ":memory:"}, {})):
        assert await made.create_session("user", "mock", "gpt-4o")


async def main() -> None:
    await basics()
    await storage()
    await lifecycle()
    print("done")


asyncio.run(main())

"""The same in an event loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.manager import AsyncSession, AsyncSessionManager, Session, SessionManager

HELPERS = {"live", "held", "changed", "key_of", "make", "session", "following", "trace_context"}


def test_every_method_is_there(manager: SessionManager) -> None:
    def methods(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}

    assert methods(SessionManager) - HELPERS == methods(AsyncSessionManager) - {"in_order"}
    assert methods(Session) == methods(AsyncSession) - {"facts"}
    assert inspect.signature(AsyncSessionManager.create) == inspect.signature(SessionManager.create)


def test_a_conversation(tmp_path: Path) -> None:
    async def talk() -> None:
        async with AsyncSessionManager(tmp_path / "store") as manager:
            session = await manager.create("chat", model="gpt-4o")
            await session.add_user("Hello?")
            assert (await session.pending() or {})["role"] == "user"
            await manager.append(session, {"role": "assistant", "content": "Hi"})
            assert [m["role"] for m in await session.history()] == ["user", "assistant"]
            branch = await session.branch(0, "side")
            assert (await branch.facts())["count"] == 1
            await session.switch_model("claude-sonnet-4-5", consent=True)
            assert [hit["key"] for hit in await manager.search("Hello")] != []
            await manager.archive(session)
            with pytest.raises(errors.UsageError):
                await session.add_user("x")
            with pytest.raises(errors.NotFound):
                await manager.get("nobody")
            assert await manager.compare("chat", branch)

    asyncio.run(talk())


def test_what_is_asked_of_one_session_happens_in_order(tmp_path: Path) -> None:
    async def talk() -> None:
        manager = AsyncSessionManager(tmp_path / "store")
        sessions = [await manager.create(f"s{n}") for n in range(4)]
        await asyncio.gather(*(session.add_user(str(n)) for n in range(50) for session in sessions))
        for session in sessions:
            assert [m["parts"][0]["content"] for m in await session.history()] == [str(n) for n in range(50)]
        await manager.close()

    asyncio.run(talk())


def test_a_cancelled_caller_does_not_disturb_the_order(tmp_path: Path) -> None:
    async def talk() -> None:
        manager = AsyncSessionManager(tmp_path / "store")
        session = await manager.create("s")
        tasks = [asyncio.create_task(session.add_user(str(n))) for n in range(40)]
        await asyncio.sleep(0.01)
        for task in tasks[::7]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        await session.add_user("last")
        said = [m["parts"][0]["content"] for m in await session.history()]
        assert said[-1] == "last"
        assert [int(text) for text in said[:-1]] == sorted(int(text) for text in said[:-1])
        assert {str(n) for n, result in enumerate(done) if isinstance(result, str)} <= set(said)
        await manager.close()

    asyncio.run(talk())


def test_one_manager_serves_several_loops_one_after_the_other(tmp_path: Path) -> None:
    manager = AsyncSessionManager(tmp_path / "store")

    async def add(text: str) -> int:
        session = await manager.get("s") if text != "1" else await manager.create("s")
        await session.add_user(text)
        return int((await session.facts())["count"])

    assert [asyncio.run(add(text)) for text in "123"] == [1, 2, 3]
    manager.manager.close()


def test_the_next_begins_when_the_cancelled_one_has_ended(tmp_path: Path) -> None:
    async def talk() -> None:
        manager = AsyncSessionManager(tmp_path / "store")
        session = await manager.create("s")
        events: list[str] = []

        def slow(name: str) -> None:
            events.append(f"{name} begins")
            time.sleep(0.15)
            events.append(f"{name} ends")

        first = asyncio.create_task(manager._call(session.key, lambda: slow("first")))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await manager._call(session.key, lambda: slow("second"))
        assert events == ["first begins", "first ends", "second begins", "second ends"]
        await manager.close()

    asyncio.run(talk())

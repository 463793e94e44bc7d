"""The chat core in an event loop: what the other one promises, and many conversations at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.chat import AsyncChat, Settings
from sessionstore.manager import AsyncSessionManager, SessionManager
from tests.adapters.mocked import MODELS, Mocked
from tests.adapters.server import Server, document, events
from tests.chat.test_chat import Reopened, reply, said
from tests.exporters.support import PNG

each = pytest.mark.parametrize("model", MODELS.values())
Scene = Callable[[AsyncChat], Awaitable[Any]]


@pytest.fixture
def play(sessions: SessionManager, mocked: Mocked) -> Callable[[Scene], Any]:
    """Runs a scene in an event loop of its own, with LLMock as all providers."""

    def run(scene: Scene) -> Any:
        async def main() -> Any:
            async with AsyncChat(sessions, {name: mocked.settings(name) for name in MODELS}) as chat:
                return await scene(chat)

        return asyncio.run(main())

    return run


# --- a conversation ------------------------------------------------------------------------------------------


@each
def test_both_sides_are_in_the_store_when_the_answer_is_returned(
    model: str, play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_(reply("Four."))

    async def scene(chat: AsyncChat) -> None:
        answer = await chat.ask("Two and two?", model, "s")
        assert answer.text == "Four." and answer.finish == "stop" and answer.usage["output_tokens"] > 0
        assert said(reopened("native:s")) == [("user", "Two and two?"), ("assistant", "Four.")]
        await chat.ask("And three?", session_id="s")

    play(scene)
    assert "Two and two?" in str(mocked.asked()[-1]["body"])
    assert [role for role, _ in said(reopened("native:s"))] == ["user", "assistant"] * 2
    assert not mocked.verdict() & {"auth_header_missing", "invalid_json"}


@each
def test_a_stream_is_what_is_kept(model: str, play: Any, mocked: Mocked, reopened: Reopened) -> None:
    mocked.break_(reply("One two three four five six."))

    async def scene(chat: AsyncChat) -> None:
        stream = await chat.stream("Count", model, "s")
        assert said(reopened("native:s")) == [("user", "Count")]
        pieces = [piece async for piece in stream]
        answer = await stream.answer()
        assert "".join(piece.text for piece in pieces) == answer.text == "One two three four five six."

    play(scene)
    assert said(reopened("native:s"))[1] == ("assistant", "One two three four five six.")


@each
def test_tools_are_run_whether_they_are_coroutines_or_not(
    model: str, play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    threads: list[str] = []

    async def add(a: int) -> dict[str, int]:
        await asyncio.sleep(0.01)
        return {"sum": a + 2}

    def slow(a: int) -> int:
        threads.append(threading.current_thread().name)
        raise OSError("disk on fire")

    mocked.break_(
        {"type": "reply", "tool_calls": [{"name": "add", "arguments": {"a": 2}}]},
        {"type": "reply", "tool_calls": [{"name": "slow", "arguments": {"a": 2}}]},
    )
    tools = [{"name": name, "parameters": {"properties": {"a": {"type": "integer"}}}} for name in ("add", "slow")]

    async def scene(chat: AsyncChat) -> None:
        stream = await chat.stream("2 and 2?", model, "s", tools=tools, toolbox={"add": add, "slow": slow})
        assert (await stream.answer()).text

    play(scene)
    kept = reopened("native:s")
    assert [one["role"] for one in kept] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert kept[2]["parts"][0]["response"] == {"sum": 4}
    assert kept[4]["parts"][0]["is_error"] is True and "MainThread" not in threads


def test_images_and_switches_go_the_same_way(play: Any, mocked: Mocked, reopened: Reopened) -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}

    async def scene(chat: AsyncChat) -> None:
        question = {"role": "user", "parts": [image, {"type": "text", "content": "What is it?"}]}
        await chat.ask([question], "gpt-5", "s")
        with pytest.raises(errors.NoConsent):
            await chat.ask("And you?", "claude-opus-4-6", "s")
        await chat.ask("And you?", "claude-opus-4-6", "s", consent=True)

    play(scene)
    assert PNG in str(mocked.asked()[-1]["body"])
    assert [one.get("kind") for one in reopened("native:s")] == [None, None, "switch", None, None]


# --- what goes wrong -----------------------------------------------------------------------------------------


@each
def test_what_was_said_is_kept_when_the_provider_fails_and_answered_later(
    model: str, play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_({"type": "fail", "status": 400})

    async def scene(chat: AsyncChat) -> None:
        with pytest.raises(errors.ProviderRefused):
            await chat.ask("Are you there?", model, "s")
        assert said(reopened("native:s")) == [("user", "Are you there?")]
        await chat.resume("s")
        with pytest.raises(errors.UsageError, match="no turn that waits"):
            await chat.resume("s")

    play(scene)
    assert [role for role, _ in said(reopened("native:s"))] == ["user", "assistant"]


@each
def test_what_may_succeed_later_is_tried_again(model: str, play: Any, mocked: Mocked) -> None:
    mocked.break_({"type": "fail", "status": 500}, {"type": "fail", "status": 429, "retry_after": 0}, reply("At last."))

    async def scene(chat: AsyncChat) -> None:
        assert (await chat.ask("Hello?", model, "s")).text == "At last."

    play(scene)
    assert len(mocked.asked()) == 3


@each
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
def test_an_answer_that_is_cut_off_is_kept_as_unfinished_and_asked_for_again(
    model: str, kind: str, play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_(reply("One two three four five six."), {"type": "stream_fault", "kind": kind, "after_chunks": 5})

    async def scene(chat: AsyncChat) -> None:
        with pytest.raises((errors.AnswerCut, errors.AnswerInvalid)):
            async for _ in await chat.stream("Count", model, "s"):
                pass
        _, partial = reopened("native:s")
        assert partial["kind"] == "error" and partial["finish_reason"] == "unfinished"
        assert "One two three four five six.".startswith(said([partial])[0][1]) and said([partial])[0][1]
        mocked.break_(reply("All of it."))
        answer = await chat.resume("s")
        assert said(list(answer.session.history())) == [("user", "Count"), ("assistant", "All of it.")]

    play(scene)
    assert len(reopened("native:s")) == 3


@each
def test_a_reader_that_is_cancelled_keeps_what_it_has_heard(
    model: str, play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_(reply(" ".join(["word"] * 400)))

    async def scene(chat: AsyncChat) -> None:
        heard = asyncio.Event()

        async def read() -> None:
            async for _ in await chat.stream("Count", model, "s"):
                heard.set()
                await asyncio.sleep(30)

        task = asyncio.create_task(read())
        await asyncio.wait_for(heard.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scene)
    _, partial = reopened("native:s")
    assert partial["kind"] == "error" and partial["x"]["unfinished"] and "word" in said([partial])[0][1]


def test_cancelled_while_it_waits_for_the_next_piece(
    sessions: SessionManager, server: Server, reopened: Reopened
) -> None:
    """The cancellation arrives inside the library, not between two pieces."""
    gate = threading.Event()

    def pieces() -> Iterator[bytes]:
        for word in ("One ", "two "):
            chunk = {"id": "c", "model": "gpt-5", "choices": [{"index": 0, "delta": {"content": word}}]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        gate.wait(20)

    one = events([])
    one.pieces = pieces()  # type: ignore[assignment]
    server.replies.append(one)

    async def main() -> None:
        async with AsyncChat(sessions, {"openai": Settings("k", f"{server.url}/v1")}) as chat:
            heard: list[str] = []

            async def read() -> None:
                nonlocal heard
                async for piece in await chat.stream("Count", "gpt-5", "s"):
                    heard += [piece.text]

            task = asyncio.create_task(read())
            while len(heard) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    try:
        asyncio.run(asyncio.wait_for(main(), 15))
    finally:
        gate.set()
    _, partial = reopened("native:s")
    assert said([partial]) == [("assistant", "One two ")] and partial["x"]["unfinished"] == "CancelledError"


@pytest.mark.clock
def test_cancelled_while_the_model_is_asked_the_turn_can_be_resumed(
    play: Any, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_({"type": "delay", "seconds": 5})

    async def scene(chat: AsyncChat) -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat.ask("Shall I wait?", "gpt-5", "s"), 1)
        assert time.monotonic() - began < 4
        assert said(reopened("native:s")) == [("user", "Shall I wait?")]
        mocked.reset()
        assert (await chat.resume("s")).text

    play(scene)


def test_left_in_the_midst_or_closed_the_rest_is_not_waited_for(play: Any, mocked: Mocked, reopened: Reopened) -> None:
    mocked.break_(reply("One two three four five six."))

    async def scene(chat: AsyncChat) -> None:
        async with await chat.stream("Count", "gpt-5", "s") as stream:
            async for _ in stream:
                break
        with pytest.raises(errors.UsageError, match="not read to its end"):
            await stream.answer()

    play(scene)
    assert reopened("native:s")[1]["x"]["unfinished"] == "the reader has left"


def test_a_chat_serves_one_event_loop_after_another(sessions: SessionManager, mocked: Mocked) -> None:
    chat = AsyncChat(sessions, {name: mocked.settings(name) for name in MODELS})

    async def once(number: int) -> str:
        async with chat:
            return (await chat.ask(f"Number {number}", "gpt-5", "s")).text

    assert all(asyncio.run(once(number)) for number in range(3))
    assert sessions.get("s").count == 6


# --- together ------------------------------------------------------------------------------------------------


WAIT = 0.2


@pytest.fixture
def slow() -> Iterator[str]:
    """An OpenAI that takes its time, however many ask."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(10 * WAIT if body["model"] == "gpt-5-slow" else WAIT)
            said = body["messages"][-1]["content"]
            message = {"role": "assistant", "content": f"You said {said}"}
            whole = {
                "id": "c",
                "model": "gpt-5",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
            data = json.dumps(whole).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Many(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    http = Many(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("model", ["gpt-5", "simulated/slow:0.2"])
@pytest.mark.clock
def test_fifty_conversations_at_once_do_not_wait_for_each_other(
    model: str, sessions: SessionManager, slow: str, reopened: Reopened
) -> None:
    async def main() -> float:
        async with AsyncChat(AsyncSessionManager(sessions), {"openai": Settings("k", slow)}) as chat:
            await chat.ask("warm up", model, "warm")
            began = time.monotonic()
            answers = await asyncio.gather(*(chat.ask(f"number {n}", model, f"s{n}") for n in range(50)))
            spent = time.monotonic() - began
            assert len({answer.session.key for answer in answers}) == 50
            return spent

    spent = asyncio.run(main())
    assert spent < 50 * WAIT / 2
    for number in range(50):
        kept = said(reopened(f"native:s{number}"))
        assert kept[0] == ("user", f"number {number}") and [role for role, _ in kept] == ["user", "assistant"]


@pytest.mark.clock
def test_the_loop_goes_on_while_many_wait(sessions: SessionManager, slow: str) -> None:
    async def main() -> float:
        longest, last = 0.0, time.monotonic()

        async def tick() -> None:
            nonlocal longest, last
            while True:
                await asyncio.sleep(0.005)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()

        async with AsyncChat(sessions, {"openai": Settings("k", slow)}) as chat:
            await chat.ask("warm up", "gpt-5", "warm")
            last = time.monotonic()
            ticking = asyncio.create_task(tick())
            await asyncio.gather(*(chat.ask("x", "gpt-5-slow", f"s{n}") for n in range(3)))
            ticking.cancel()
            return longest

    assert asyncio.run(main()) < 5 * WAIT  # half of what each of them waits


def test_two_who_ask_in_one_session_at_once_are_both_answered(
    sessions: SessionManager, slow: str, reopened: Reopened
) -> None:
    async def main() -> None:
        async with AsyncChat(sessions, {"openai": Settings("k", slow)}) as chat:
            await asyncio.gather(*(chat.ask(f"number {n}", "gpt-5", "s") for n in range(4)))

    asyncio.run(main())
    kept = said(reopened("native:s"))
    assert sorted(text for role, text in kept if role == "user") == [f"number {n}" for n in range(4)]
    assert sum(role == "assistant" for role, _ in kept) == 4


# --- adapters without an asynchronous client -----------------------------------------------------------------


def test_a_program_is_run_in_a_thread(sessions: SessionManager, tmp_path: Path, reopened: Reopened) -> None:
    import sys

    fake = tmp_path / "fake_claude.py"  # it keeps its sessions beside itself
    fake.write_bytes((Path(__file__).parents[1] / "adapters" / "fake_claude.py").read_bytes())
    program = tmp_path / "claude"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {fake} "$@"\n')
    program.chmod(0o755)

    async def main() -> None:
        async with AsyncChat(sessions, {"claude-code": Settings(command=str(program))}) as chat:
            answer = await chat.ask("Hello", "claude-code", "s")
            pieces = [piece async for piece in await chat.stream("More", session_id="s")]
            assert answer.text and pieces

    asyncio.run(main())
    assert [role for role, _ in said(reopened("native:s"))] == ["user", "assistant"] * 2


def test_a_thread_that_is_not_waited_for_does_no_harm(sessions: SessionManager, reopened: Reopened) -> None:
    async def main() -> None:
        async with AsyncChat(sessions) as chat:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(chat.ask("Hello", "simulated/slow:0.5", "s"), 0.2)
            assert [role for role, _ in said(reopened("native:s"))] == ["user"]
            stream = await chat.stream((), "simulated/long:50", "s", consent=True)
            async for _ in stream:
                break
            await stream.aclose()
            with contextlib.suppress(errors.AnswerCut):
                await (await chat.stream((), "simulated/cut", "s", consent=True)).answer()
            assert (await chat.resume("s", "simulated/echo", consent=True)).text

    asyncio.run(main())
    time.sleep(0.5)
    kinds = [one.get("kind") for one in reopened("native:s")]
    assert kinds.count("error") == 2


def test_the_answer_is_a_document_of_another_shape(
    sessions: SessionManager, server: Server, reopened: Reopened
) -> None:
    server.replies.append(document({"surprise": 1}))

    async def main() -> AsyncIterator[None] | None:
        async with AsyncChat(sessions, {"openai": Settings("k", f"{server.url}/v1")}) as chat:
            with pytest.raises(errors.AnswerInvalid):
                await chat.ask("Hello", "gpt-5", "s")
        return None

    asyncio.run(main())
    assert [role for role, _ in said(reopened("native:s"))] == ["user"]


def test_each_piece_may_be_waited_for_with_a_limit(play: Any, mocked: Mocked, reopened: Reopened) -> None:
    """Before Python 3.12 `wait_for` reads every piece in a task of its own."""
    mocked.break_(reply("One two three."))

    async def scene(chat: AsyncChat) -> None:
        pieces = aiter(await chat.stream("Count", "gpt-5", "s"))
        heard = ""
        with contextlib.suppress(StopAsyncIteration):
            while True:
                heard += (await asyncio.wait_for(anext(pieces), 10)).text
        assert heard == "One two three."

    play(scene)
    assert said(reopened("native:s"))[1] == ("assistant", "One two three.")


def test_a_trace_follows_what_is_done_in_threads(sessions: SessionManager) -> None:
    from sessionstore import tracing

    async def main() -> None:
        async with AsyncChat(sessions) as chat:
            await asyncio.gather(*(chat.ask(f"x{n}", "simulated/429,slow:0.05", f"s{n}") for n in range(5)))
            async with await chat.stream("y", "simulated/long:9", "s0", consent=True) as stream:
                async for _ in stream:
                    break

    with tracing.configure("ERROR") as trace:
        asyncio.run(main())
    summary = trace.summary()
    assert summary["operations"]["chat"]["count"] == 6 and summary["operations"]["chat"]["errors"] == 1
    assert summary["models"]["429,slow:0.05"]["retries"] == 5 and summary["errors"] == {"GeneratorExit": 1}
    assert summary["sessions"] >= 5


def test_a_model_that_only_calls_tools_is_stopped(play: Any, mocked: Mocked) -> None:
    call = {"type": "reply", "tool_calls": [{"name": "again", "arguments": {}}]}
    mocked.break_(*[call] * 50)
    again = {"tools": [{"name": "again", "parameters": {}}], "toolbox": {"again": lambda: "once more"}}

    async def scene(chat: AsyncChat) -> None:
        with pytest.raises(errors.UsageError, match="has called tools 20 times"):
            await chat.ask("Go", "gpt-5", "s", **again)
        with pytest.raises(errors.UsageError, match="has called tools 20 times"):
            await (await chat.stream((), session_id="s", **again)).answer()

    play(scene)


def test_cancelled_twice_what_has_come_is_kept_all_the_same(
    sessions: SessionManager, reopened: Reopened, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sessionstore.chat.core import Turn

    keep = Turn.keep

    def slowly(*given: Any) -> Any:
        time.sleep(0.3)
        return keep(*given)

    monkeypatch.setattr(Turn, "keep", slowly)

    async def main() -> None:
        async with AsyncChat(sessions) as chat:
            heard = asyncio.Event()

            async def read() -> None:
                async for _ in await chat.stream("x", "simulated/long:50", "s"):
                    heard.set()
                    await asyncio.sleep(30)

            task = asyncio.create_task(read())
            await heard.wait()
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.05)
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.5)

    asyncio.run(main())
    assert reopened("native:s")[1]["kind"] == "error"


def test_what_a_broken_program_raises_in_its_thread_arrives(sessions: SessionManager) -> None:
    async def main() -> None:
        async with AsyncChat(sessions, {"claude-code": Settings(command="/no/such/program", retries=0)}) as chat:
            for call in (chat.ask, chat.stream):
                with pytest.raises(errors.ProviderUnreachable):
                    await _whole(await call("Hello", "claude-code", "s"))

    asyncio.run(main())


async def _whole(stream: Any) -> Any:
    return await stream.answer()

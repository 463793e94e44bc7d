"""The tools that talk with other models: over both transports, with the official client, against a provider that
others wrote (LLMock) and one that says, and keeps back, exactly what it is told."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from sessionstore.adapters.base import Adapter, Settings
from sessionstore.archive.asking import Archive
from sessionstore.chat import thread
from sessionstore.manager import SessionManager
from sessionstore.mcp_server.server import READ_ONLY, make_server
from sessionstore.store import Store
from tests.adapters.conftest import mocked as mocked
from tests.adapters.conftest import mocked_server as mocked_server
from tests.adapters.conftest import server as server
from tests.adapters.mocked import SECRET, Mocked
from tests.cli.running import Program, says
from tests.mcp.serving import MODES, environment, error, http, run, stdio

CHAT = {"chat", "kimi_chat", "quick_gpt", "analyze_with_gemini"}
each_transport = pytest.mark.parametrize("transport", ["stdio", "http"])


@pytest.fixture
def small(archive: Path, tmp_path: Path) -> Path:
    """A store to talk in."""
    return Path(shutil.copytree(archive, tmp_path / "store", symlinks=True))


def reply(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": text, **more}


def keys(url: str) -> dict[str, str]:
    """An environment with a key and an address for every provider."""
    return {
        "OPENAI_API_KEY": SECRET,
        "OPENAI_BASE_URL": f"{url}/v1",
        "MOONSHOT_API_KEY": SECRET,
        "MOONSHOT_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": SECRET,
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
        "GEMINI_API_KEY": SECRET,
        "GOOGLE_GEMINI_BASE_URL": f"{url}/gemini",
    }


@asynccontextmanager
async def talking(transport: str, store: Path, known: dict[str, str], mode: str = "auto") -> AsyncIterator[Client]:
    """An official client of `sessionstore mcp --write` with these variables in its environment."""
    if transport == "stdio":
        parameters: StdioServerParameters = stdio(store, "--write")
        parameters = parameters.model_copy(update={"env": {**environment(), **known}})
        async with Client(parameters, mode=mode) as client:
            yield client
    else:
        with http(store, "--write", env=known) as (url, _):
            async with Client(url, mode=mode) as client:
                yield client


def structured(result: Any) -> dict[str, Any]:
    assert not result.is_error, result.content
    return dict(result.structured_content)


def said(store: Path, key: str) -> list[tuple[str, str]]:
    """What a session holds, from the files: role and text."""
    with SessionManager(store, index=False) as manager:
        history = manager.get(key).history()
        return [(one["role"], "".join(part.get("content", "") for part in one["parts"])) for one in history]


@each_transport
@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_goes_on_and_is_kept(small: Path, mocked: Mocked, transport: str, mode: str) -> None:
    mocked.break_(reply("Thirty tonnes."), reply("Yes, thirty."))
    heard: list[tuple[float, str | None]] = []

    async def progress(done: float, total: float | None, told: str | None) -> None:
        heard.append((done, told))

    async def test() -> dict[str, Any]:
        async with talking(transport, small, keys(mocked.url), mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} >= CHAT
            whale = {"prompt": "How heavy is a whale?", "model": "gpt-5", "session": "whales", "system": "Be brief."}
            first = await client.call_tool("chat", whale, progress_callback=progress)
            assert json.loads(first.content[0].text) == first.structured_content
            again = structured(await client.call_tool("chat", {"prompt": "Sure?", "session": "native:whales"}))
            assert again["text"] == "Yes, thirty."
            found = structured(await client.call_tool("search_sessions", {"query": "tonnes role:assistant"}))
            assert "native:whales" in [one["key"] for one in found["sessions"]]
            return structured(first)

    first = run(test)
    assert (first["text"], first["session"], first["finish"]) == ("Thirty tonnes.", "native:whales", "stop")
    assert (first["model"], first["provider"]) == ("gpt-5", "openai")
    assert first["usage"]["input_tokens"] > 0 < first["usage"]["output_tokens"]
    assert first["usage"]["cost_microusd"] > 0 and first["usage"]["estimated"]
    assert "".join(told or "" for _, told in heard) == "Thirty tonnes."
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    asked = [(one["role"], one["content"]) for one in mocked.asked()[-1]["body"]["messages"]]
    assert asked[1:] == [("user", "How heavy is a whale?"), ("assistant", "Thirty tonnes."), ("user", "Sure?")]
    assert said(small, "native:whales")[1:] == [*asked[1:], ("assistant", "Yes, thirty.")]


@each_transport
def test_the_older_servers_tools_answer_as_they_did(small: Path, mocked: Mocked, transport: str) -> None:
    mocked.break_(reply("One."), reply("Two."), reply("Short."), reply("It is a log."))

    async def test() -> None:
        async with talking(transport, small, keys(mocked.url)) as client:

            async def call(name: str, **arguments: Any) -> Any:
                result = await client.call_tool(name, arguments)
                assert not result.is_error, result.content
                return result

            first = await call("kimi_chat", prompt="First", session_id="api-design", system="Be terse.")
            assert [one.text for one in first.content] == ["One."]
            assert first.structured_content["session"] == "native:api-design"
            body = mocked.asked()[-1]["body"]
            assert (body["model"], body["temperature"], body["max_tokens"]) == ("kimi-k2-0711-preview", 0.6, 4096)
            second = await call("kimi_chat", prompt="Second", session_id="@last", return_conversation=True)
            told, state = (one.text for one in second.content)
            assert told == "Two."
            conversation = json.loads(state.removeprefix("Conversation State:\n```json\n").removesuffix("\n```"))
            assert [one["content"] for one in conversation] == ["Be terse.", "First", "One.", "Second", "Two."]
            listed = await call("kimi_chat", session_id="@list")
            assert "- **api-design**\n  - Topics: api design" in listed.content[0].text
            assert "session" not in listed.structured_content
            quick = await call("quick_gpt", prompt="Two and two?")
            assert quick.content[0].text == "Short."
            body = mocked.asked()[-1]["body"]
            assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("gpt-4o-mini", 0.3, 500)
            analysed = await call("analyze_with_gemini", text="abc", instruction="Sum up")
            assert analysed.content[0].text == "It is a log."
            body = mocked.asked()[-1]["body"]
            assert body["contents"][0]["parts"][0]["text"] == "Sum up: abc"
            cleared = await call("kimi_chat", session_id="@clear:api-design")
            assert cleared.content[0].text == "Session 'api-design' cleared successfully."
            assert "api-design" not in (await call("kimi_chat", session_id="@list")).content[0].text

    run(test)


def test_tools_that_kimi_wants_to_use_are_told_and_not_run(small: Path, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "tool_calls": [{"name": "look", "arguments": {"at": "it"}}]})
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    found = called(small, keys(mocked.url), "kimi_chat", prompt="Look", dynamic_tools=[tool])
    [wanted] = structured(found)["tool_calls"]
    assert wanted["name"] == "look" and found.structured_content["finish"] == "tool_calls"
    assert found.content[0].text.startswith("Tool calls:\n")


def called(store: Path, known: dict[str, str], name: str, **arguments: Any) -> Any:
    """The result of one call, in this process."""
    from sessionstore.adapters.environment import settings_from

    def reach(kind: type[Adapter]) -> Settings:
        return settings_from(known, kind)

    async def call() -> Any:
        made = make_server(Archive(Store(store), pytest.fail), (*READ_ONLY, "write", "chat"), reach=reach)
        async with Client(made) as client:
            return await client.call_tool(name, arguments)

    return run(call)


@each_transport
def test_a_provider_that_fails_is_told_in_one_line_and_the_question_is_kept(
    small: Path, mocked: Mocked, transport: str
) -> None:
    mocked.break_({"type": "fail", "status": 401, "message": f"bad key {SECRET}"}, reply("I am."))

    async def test() -> None:
        async with talking(transport, small, keys(mocked.url)) as client:
            asked = {"prompt": "Are you there?", "model": "gpt-5", "session": "there"}
            told = error(await client.call_tool("chat", asked))
            assert "does not accept the API key" in told and SECRET not in told
            assert "session='native:there' and no prompt" in told
            again = structured(await client.call_tool("chat", {"session": "native:there"}))
            assert again["text"] == "I am."
            nothing = error(await client.call_tool("chat", {"session": "native:there"}))
            assert "no turn that waits" in nothing

    run(test)
    assert said(small, "native:there") == [("user", "Are you there?"), ("assistant", "I am.")]


@each_transport
@pytest.mark.parametrize("mode", MODES)
def test_a_cancelled_turn_waits_in_its_session(small: Path, slow: SlowProvider, transport: str, mode: str) -> None:
    """The provider keeps its answer back until the client has gone."""

    async def test() -> None:
        async with talking(transport, small, keys(slow.url), mode) as client:
            with anyio.move_on_after(2.5) as scope:
                await client.call_tool("chat", {"prompt": "Wait for it.", "model": "openai/any", "session": "slow"})
            assert scope.cancelled_caught
            assert said(small, "native:slow") == [("user", "Wait for it.")]
            assert not (await client.call_tool("list_sessions", {"limit": 1})).is_error
            slow.go.set()
            answer = structured(await client.call_tool("chat", {"session": "slow"}))
            assert answer["text"] == "It has come."

    run(test)
    assert [one for one in said(small, "native:slow") if one[0] == "user"] == [("user", "Wait for it.")]
    with SessionManager(small, index=False) as manager:
        assert thread.unanswered(manager.get("native:slow").history()) is None


def test_a_client_that_goes_away_leaves_the_question_and_no_process(small: Path, slow: SlowProvider) -> None:
    async def test() -> None:
        async with talking("stdio", small, keys(slow.url)) as client:
            with anyio.move_on_after(2):
                await client.call_tool("chat", {"prompt": "Wait.", "model": "openai/any", "session": "slow"})

    began = time.monotonic()
    run(test)
    assert time.monotonic() - began < 20
    assert said(small, "native:slow") == [("user", "Wait.")]


def test_reading_does_not_wait_for_models(small: Path, slow: SlowProvider) -> None:
    async def test() -> None:
        async with talking("http", small, keys(slow.url)) as client, anyio.create_task_group() as group:
            for number in range(6):
                asked = {"prompt": "Wait.", "model": "openai/any", "session": f"slow-{number}"}
                group.start_soon(client.call_tool, "chat", asked)
            await anyio.sleep(1)
            with anyio.fail_after(10):
                assert not (await client.call_tool("list_sessions", {})).is_error
            slow.go.set()

    run(test)


class SlowProvider:
    """A provider that answers when it is let."""

    def __init__(self) -> None:
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        go = self.go = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                go.wait(60)
                piece = {"id": "1", "object": "chat.completion.chunk", "model": "any", "created": 1}
                delta = {"index": 0, "delta": {"role": "assistant", "content": "It has come."}, "finish_reason": None}
                end = {"index": 0, "delta": {}, "finish_reason": "stop"}
                lines = [json.dumps({**piece, "choices": [one]}) for one in (delta, end)]
                body = "".join(f"data: {one}\n\n" for one in [*lines, "[DONE]"]).encode()
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def slow() -> Iterator[SlowProvider]:
    """A provider that answers when it is let."""
    made = SlowProvider()
    yield made
    made.close()


def test_another_model_needs_consent(small: Path, mocked: Mocked) -> None:
    mocked.break_(reply("A."))
    structured(called(small, keys(mocked.url), "chat", prompt="First", model="gpt-5", session="s"))
    other = {"prompt": "Second", "model": "claude-opus-4-6", "session": "s"}
    assert "consent" in error(called(small, keys(mocked.url), "chat", **other))
    mocked.break_(reply("B."))
    answer = structured(called(small, keys(mocked.url), "chat", **other, consent=True))
    assert (answer["text"], answer["provider"]) == ("B.", "anthropic")


def test_an_imported_session_goes_on_and_its_tools_are_not_called(small: Path, mocked: Mocked) -> None:
    key = "claude-code:4f0c1d2e-1111-4a4a-9b9b-000000000001"
    before = len(said(small, key))
    mocked.break_(reply("Done."))
    answer = structured(
        called(small, keys(mocked.url), "chat", prompt="And?", model="claude-opus-4-6", session=key, consent=True)
    )
    assert (answer["text"], answer["session"]) == ("Done.", key)
    assert len(said(small, key)) > before
    assert mocked.asked()[-1]["body"].get("tool_choice", {"type": "none"}) == {"type": "none"}


@pytest.mark.parametrize("given", ['{"a": 1}', "[1, 2]", "null", "\x00\ud7ff￿ é 漢字"])
def test_a_prompt_may_look_like_anything(small: Path, mocked: Mocked, given: str) -> None:
    structured(called(small, keys(mocked.url), "chat", prompt=given, model="gpt-5", session="s"))
    assert said(small, "native:s")[0] == ("user", given)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "there is nothing to ask"),
        ({"session": "nobody-is-called-so", "model": "gpt-5"}, "there is nothing to ask"),
        ({"prompt": "x"}, "name a model"),
        ({"prompt": "x", "model": "no-such-family"}, "no provider is known"),
        ({"prompt": "x", "model": "claude-code"}, "runs a program on this machine"),
        ({"prompt": "x", "model": "gpt-5"}, "no API key for OpenAI; set OPENAI_API_KEY in the environment of this"),
        ({"prompt": "x", "model": "gpt-5", "base_url": "http://127.0.0.1:1"}, "no parameter base_url"),
        ({"prompt": "x", "model": "gpt-5", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "model": "gpt-5", "session": "@what"}, "@what"),
        ({"prompt": "x", "model": "gpt-5", "session": "4f0c1d2e-1111-4a4a-9b9b-0000000000"}, "do you mean|could mean"),
        ({"prompt": "x", "model": "gpt-5", "session": "codex:not-there"}, "no session"),
        ({"prompt": 7}, "prompt"),
    ],
)
def test_calls_that_make_no_sense_are_told_so_and_make_nothing(
    small: Path, arguments: dict[str, Any], words: str
) -> None:
    def sessions() -> int:
        return len(list(Store(small).revision_names()))

    before = sessions()
    told = error(called(small, {}, "chat", **arguments))
    assert re.search(words, told)
    assert sessions() == before


def test_an_answer_that_is_huge_is_cut_and_read_on(small: Path, mocked: Mocked) -> None:
    mocked.break_(reply("word " * 50_000))
    answer = structured(called(small, keys(mocked.url), "chat", prompt="Long?", model="gpt-5"))
    assert (len(answer["text"]), answer["cut"], answer["characters"]) == (60_000, True, 250_000)
    rest = called(small, {}, "read_message", session=answer["session"], message=answer["message"], offset=249_990)
    assert structured(rest)["text"] == ("word " * 50_000)[249_990:]
    more = called(
        small, keys(mocked.url), "kimi_chat", prompt="Go", session_id=answer["session"], return_conversation=True
    )
    state = more.content[1].text
    assert len(state) < 210_000 and "messages are left out" in state


def test_chat_is_not_there_unless_it_was_asked_for(small: Path, program: Program) -> None:
    async def test(*options: str) -> set[str]:
        async with Client(stdio(small, *options)) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    assert not run(lambda: test()) & CHAT
    assert not run(lambda: test("--write", "--no-chat")) & CHAT
    assert run(lambda: test("--write")) >= CHAT
    program.store = small
    says(program("mcp", "--no-chat"), 2, "--no-chat belongs to --write")

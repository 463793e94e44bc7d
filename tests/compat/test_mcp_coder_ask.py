"""Asking: Claude Code by its command line, LangChain's models by configuration, and both in the store."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.compat import _mcp_coder_langchain as langchain
from sessionstore.compat import mcp_coder
from sessionstore.compat._mcp_coder_claude import Records
from sessionstore.manager import SessionManager
from tests.adapters.conftest import mocked as mocked
from tests.adapters.conftest import mocked_server as mocked_server
from tests.adapters.conftest import server as server
from tests.adapters.mocked import SECRET, Mocked
from tests.adapters.server import Server, document, events
from tests.compat.mcp_coding import Place, read, said


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, monkeypatch)
    monkeypatch.setenv("FAKE_CLAUDE", "present")
    return made


def result_of(response: Any) -> dict[str, Any]:
    [done] = [event for event in response["raw_response"]["events"] if event["type"] == "done"]
    return dict(done)


def lines(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """The records that the program has printed."""
    stream = mcp_coder.prompt_llm_stream(*arguments, **options)
    return [json.loads(str(event["line"])) for event in stream if event["type"] == "raw_line"]


# -- what cannot be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [mcp_coder.prompt_llm, lambda *a, **k: list(mcp_coder.prompt_llm_stream(*a, **k))])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"question": ""}, "Question cannot be empty"),
        ({"question": " \n"}, "Question cannot be empty"),
        ({"question": "q", "timeout": 0}, "Timeout must be a positive number"),
        ({"question": "q", "timeout": -1}, "Timeout must be a positive number"),
        ({"question": "q", "provider": "gpt"}, "Unsupported provider: gpt"),
        ({"question": "q", "provider": "copilot"}, "no adapter for GitHub Copilot"),
        ({"question": "q", "session_id": " "}, "session_id cannot be empty"),
    ],
)
def test_what_cannot_be_asked(place: Place, ask: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ask(**options)
    assert not place.store.exists() or place.sessions() == {}


def test_a_method_has_to_be_one(place: Place) -> None:
    with pytest.raises(ValueError, match="Unsupported method: http"):
        mcp_coder.ask_llm("q", method="http")
    assert mcp_coder.ask_llm("q", method="api") == "I have heard 1 times: q"


def test_the_environment_names_the_provider(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_CODER_LLM_PROVIDER", "nobody")
    with pytest.raises(ValueError, match="Unsupported provider: nobody"):
        mcp_coder.prompt_llm("q")
    monkeypatch.setenv("MCP_CODER_LLM_PROVIDER", "claude")
    assert mcp_coder.prompt_llm("q", provider="copilot")["provider"] == "claude"


# -- Claude Code -------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on(place: Place) -> None:
    first = mcp_coder.prompt_llm("My colour is blue", branch_name="12-colours")
    assert set(first) == {"version", "timestamp", "text", "session_id", "provider", "raw_response"}
    assert first["text"] == "I have heard 1 times: My colour is blue" and first["provider"] == "claude"
    assert first["raw_response"]["usage"]["output_tokens"] == 7  # type: ignore[index]
    second = mcp_coder.prompt_llm("Which colour?", session_id=first["session_id"])
    assert second["text"].startswith("I have heard 2 times") and second["session_id"] == first["session_id"]
    [(key, messages)] = place.sessions().items()
    assert key == f"mcp-coder:{first['session_id']}"
    assert said(messages) == [
        ("user", "My colour is blue"),
        ("assistant", first["text"]),
        ("user", "Which colour?"),
        ("assistant", second["text"]),
    ]
    with SessionManager(place.store) as manager:
        session = manager.get(key)
        assert session.revision["git"] == {"branch": "12-colours"} and session.pending() is None
        assert session.revision["usage"]["output_tokens"] == 14
        assert session.revision["usage"]["cost_microusd"] == 24692
        assert [found["key"] for found in manager.search("colour")][:1] == [key]


def test_a_turn_that_is_also_stored_as_a_file_is_one_turn(place: Place) -> None:
    asked = mcp_coder.prompt_llm("One, with a tool")
    paths = [mcp_coder.store_session(asked, "One, with a tool")]
    assembler = mcp_coder.ResponseAssembler("claude")
    for event in mcp_coder.prompt_llm_stream("Two", session_id=asked["session_id"]):
        assembler.add(event)
    paths.append(mcp_coder.store_session(assembler.result(), "Two", step_name="two"))
    mcp_coder.serialize_llm_response(asked, "one.json")
    [messages] = place.sessions().values()
    assert [text for role, text in said(messages) if role == "user"] == ["One, with a tool", "Two"]
    assert read(paths[0])["response_data"] == asked
    place.import_all(*(place.work / path for path in (*paths, "one.json")))
    assert list(place.sessions().values()) == [messages]


def test_tools_and_their_results_are_kept(place: Place) -> None:
    """The older module left the results of tools out, and said of none which call it belongs to."""
    response = mcp_coder.prompt_llm("use a tool")
    call, result = response["raw_response"]["tool_trace"]  # type: ignore[misc]
    assert call == {
        "type": "tool_use_start",
        "name": "Read",
        "args": {"file_path": "a.txt"},
        "tool_call_id": "toolu_1",
    }
    assert result["output"] == "hello" and result["tool_call_id"] == "toolu_1" and result["name"] == "Read"
    assert response["raw_response"]["system"]["subtype"] == "init"  # type: ignore[index]
    [messages] = place.sessions().values()
    parts = [part for message in messages for part in message["parts"] if part["type"].startswith("tool_call")]
    assert [part["id"] for part in parts] == ["toolu_1", "toolu_1"] and parts[1]["response"] == "hello"


def test_what_is_passed_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    *_, result = lines(
        "q" * 20_000,
        env_vars={"FAKE_GIVEN": "yes"},
        execution_dir=str(elsewhere),
        mcp_config=".mcp.json",
        settings_file="settings.json",
        project_dir=str(place.root),
    )
    assert result["directory"] == str(elsewhere)
    assert result["environment"] == {"FAKE_CLAUDE": "present", "FAKE_GIVEN": "yes"}
    told = " ".join(result["arguments"])
    assert "--mcp-config .mcp.json --strict-mcp-config --settings settings.json" in told
    assert "qqqq" not in told and "--session-id" in told and "--resume" not in told
    [(_, messages)] = place.sessions().items()
    assert said(messages)[0] == ("user", "q" * 20_000)
    *_, result = lines("more", session_id=result["session_id"])
    assert f"--resume {result['session_id']}" in " ".join(result["arguments"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mcp_coder.prompt_llm("q", execution_dir="nowhere")


def test_a_session_of_claude_code_that_the_store_does_not_know_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = mcp_coder.prompt_llm("Before")["session_id"]
    place.store = place.root / "another"
    monkeypatch.setenv("SESSIONSTORE_DIR", str(place.store))
    assert mcp_coder.prompt_llm("After", session_id=known)["text"].startswith("I have heard 2 times")
    assert list(place.sessions()) == [f"mcp-coder:{known}"]


@pytest.mark.parametrize("style", ["", "old"])
def test_older_releases_give_a_resumed_session_another_id(
    place: Place, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setenv("FAKE_CLAUDE", style)
    first = mcp_coder.prompt_llm("One")
    second = mcp_coder.prompt_llm("Two", session_id=first["session_id"])
    assert second["session_id"] != first["session_id"] and second["text"].startswith("I have heard 2 times")
    paths = [mcp_coder.store_session(first, "One"), mcp_coder.store_session(second, "Two")]
    found = {key: said(messages) for key, messages in place.sessions().items()}
    assert found[f"mcp-coder:{first['session_id']}"] == [("user", "One"), ("assistant", first["text"])]
    assert found[f"mcp-coder:{second['session_id']}"] == [("user", "Two"), ("assistant", second["text"])]
    with SessionManager(place.store) as manager:
        assert manager.get(f"mcp-coder:{second['session_id']}").revision["forked_from"] == {
            "key": f"mcp-coder:{first['session_id']}",
            "relation": "resume",
        }
        assert len(manager.list()) == 2
    place.import_all(*(place.work / path for path in paths))
    assert {key: said(messages) for key, messages in place.sessions().items()} == found


def test_silence_is_a_timeout_and_leaves_the_session_intact(place: Place) -> None:
    first = mcp_coder.prompt_llm("One")
    with pytest.raises(
        mcp_coder.LLMTimeoutError, match=r"LLM inactivity timeout \(claude\): no output for 1s"
    ) as caught:
        mcp_coder.prompt_llm("please hang", session_id=first["session_id"], timeout=1)
    assert isinstance(caught.value, TimeoutError) and caught.value.session_id == first["session_id"]
    assert mcp_coder.prompt_llm("Three", session_id=first["session_id"])["text"].startswith("I have heard 3 times")
    [messages] = place.sessions().values()
    told = said(messages)
    assert told[:3] == [("user", "One"), ("assistant", first["text"]), ("user", "please hang")]
    assert told[3][1].startswith("I have heard 2 times") and told[4] == ("user", "Three")
    [failed] = [message for message in messages if message.get("kind") == "error"]
    assert "inactivity timeout" in failed["parts"][0]["content"]


def test_a_stream_tells_its_failure(place: Place) -> None:
    *_, last = mcp_coder.prompt_llm_stream("please hang", timeout=1)
    assert (last["type"], last["reason"], last["timeout"]) == ("error", "inactivity_timeout", 1)
    *_, last = mcp_coder.prompt_llm_stream("please break")
    assert (last["type"], last["reason"], last["return_code"]) == ("error", "nonzero_exit", 1)
    assert "sk-ant" not in str(last["message"])


def test_a_failure_keeps_the_question(place: Place) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        mcp_coder.prompt_llm("please break")
    assert caught.value.returncode == 1 and "Invalid API key" in caught.value.stderr
    [(key, messages)] = place.sessions().items()
    assert said(messages) == [("user", "please break")]
    with SessionManager(place.store) as manager:
        waiting = manager.get(key).pending()
        assert waiting is not None and waiting["role"] == "user"


def test_claude_code_has_to_be_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONSTORE_CLAUDE", str(place.root / "nothing"))
    with pytest.raises(FileNotFoundError, match="Claude Code CLI not found"):
        mcp_coder.prompt_llm("Hello")
    with pytest.raises(FileNotFoundError, match="Claude Code CLI not found"):
        list(mcp_coder.prompt_llm_stream("Hello"))


def test_what_is_said_is_kept_before_it_is_asked_and_before_it_is_told(place: Place) -> None:
    stream = mcp_coder.prompt_llm_stream("Hello")
    next(iter(stream))
    [messages] = place.sessions().values()
    assert said(messages) == [("user", "Hello")]
    for event in stream:
        if event["type"] == "done":
            [messages] = place.sessions().values()
            assert said(messages) == [("user", "Hello"), ("assistant", "I have heard 1 times: Hello")]
            return
    raise AssertionError("no end")


def test_a_stream_that_is_left_keeps_what_has_come(place: Place) -> None:
    stream = mcp_coder.prompt_llm_stream("please hang")
    for event in stream:
        if event["type"] == "text_delta":
            break
    stream.close()  # type: ignore[attr-defined]
    [messages] = place.sessions().values()
    assert [role for role, _ in said(messages)] == ["user", "assistant"]


def test_a_slow_reader_is_no_silent_program(place: Place) -> None:
    import time

    stream = mcp_coder.prompt_llm_stream("Hello", timeout=1)
    next(iter(stream))
    time.sleep(1.5)
    assert [event["type"] for event in stream][-1] == "done"


def test_conversations_side_by_side_do_not_mix(place: Place) -> None:
    def work(number: int) -> None:
        response = mcp_coder.prompt_llm(f"I am {number}")
        again = mcp_coder.prompt_llm(f"Still {number}", session_id=response["session_id"])
        made.append((number, str(response["session_id"]), again["session_id"]))

    made: list[tuple[int, str, str | None]] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = place.sessions()
    assert len(made) == len(found) == 4
    for number, session_id, again in made:
        assert session_id == again
        texts = [text for role, text in said(found[f"mcp-coder:{session_id}"]) if role == "user"]
        assert texts == [f"I am {number}", f"Still {number}"]


def test_records_without_pieces() -> None:
    """Without partial messages the text comes whole; with them it does not come twice."""
    records = Records()
    text = {"type": "text", "text": "Hello"}
    whole = {"type": "assistant", "message": {"id": "m1", "content": [text, "odd", {"type": "thinking"}]}}
    begun = {"type": "stream_event", "event": {"type": "message_start", "message": {"id": "m2"}}}
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hel"}}
    again = {"type": "assistant", "message": {"id": "m2", "content": [text]}}
    found = [e for one in (whole, begun, {"type": "stream_event", "event": delta}, again) for e in records.take(one)]
    assert found == [{"type": "text_delta", "text": "Hello"}, {"type": "text_delta", "text": "Hel"}]
    assert list(records.take({"type": "user", "message": {"content": "again"}})) == []
    assert not records.done and next(records.take({"type": "result", "is_error": True}))["is_error"] is True


@pytest.mark.parametrize(("prints", "told"), [("nonsense", "no JSON"), ("", "no_result")])
def test_a_program_that_prints_something_else(place: Place, prints: str, told: str) -> None:
    place.program.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{prints}'\n")
    if prints:
        with pytest.raises(ValueError, match="Failed to parse CLI JSON"):
            mcp_coder.prompt_llm("Hello")
    else:
        *_, last = mcp_coder.prompt_llm_stream("Hello")
        assert last["reason"] == told
        assert mcp_coder.prompt_llm("Hello")["raw_response"]["error"] == last["message"]
    assert {said(messages)[0] for messages in place.sessions().values()} == {("user", "Hello")}


# -- LangChain ---------------------------------------------------------------------------------------------------------

BACKENDS = {"openai": "gpt-5", "anthropic": "claude-opus-4-6", "gemini": "gemini-2.5-pro"}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, place: Place, mocked: Mocked, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend that is configured by the environment; its server is LLMock."""
    name = str(request.param)
    for variable, value in {
        "MCP_CODER_LLM_LANGCHAIN_BACKEND": name,
        "MCP_CODER_LLM_LANGCHAIN_MODEL": BACKENDS[name],
        "MCP_CODER_LLM_LANGCHAIN_ENDPOINT": str(mocked.settings(name).base_url),
        f"{name.upper()}_API_KEY": SECRET,
    }.items():
        monkeypatch.setenv(variable, value)
    return name


def test_langchain_goes_on_with_its_history(place: Place, backend: str, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "text": "Four."}, {"type": "reply", "text": "Five."})
    first = mcp_coder.prompt_llm("Two and two?", provider="langchain")
    assert first["text"] == "Four." and first["provider"] == "langchain"
    raw = first["raw_response"]
    assert (raw["backend"], raw["model"], raw["response_content"]) == (backend, BACKENDS[backend], "Four.")
    assert raw["usage"]["input_tokens"] > 0 and raw["usage"]["output_tokens"] > 0  # type: ignore[index]
    streamed = list(mcp_coder.prompt_llm_stream("And one?", provider="langchain", session_id=first["session_id"]))
    assert "".join(str(event["text"]) for event in streamed if event["type"] == "text_delta") == "Five."
    assert streamed[-1]["type"] == "done" and streamed[-1]["session_id"] == first["session_id"]
    sent = str(mocked.asked()[-1]["body"])
    assert "Two and two?" in sent and "Four." in sent and "And one?" in sent
    history = mcp_coder.load_langchain_history(str(first["session_id"]))
    assert [(one["type"], one["data"]["content"]) for one in history] == [
        ("human", "Two and two?"),
        ("ai", "Four."),
        ("human", "And one?"),
        ("ai", "Five."),
    ]
    assert list(history[1]["data"])[:5] == ["content", "additional_kwargs", "response_metadata", "name", "id"]
    [(key, messages)] = place.sessions().items()
    assert key.startswith("mcp-coder-langchain:") and [text for _, text in said(messages)][-1] == "Five."
    place.import_all(place.home / ".mcp_coder" / "sessions" / "langchain" / f"{first['session_id']}.json")
    assert place.sessions() == {key: messages}


@pytest.fixture
def configured(place: Place, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A model that is configured by the file; its server says what it is told."""
    (place.home / ".mcp_coder").mkdir()
    text = (
        f'[llm.langchain]\nbackend = "openai"\nmodel = "gpt-5-mini"\napi_key = "sk-file"\nbase_url = "{server.url}"\n'
    )
    (place.home / ".mcp_coder" / "config.toml").write_text(text)
    return server


def chat_answer(text: str) -> Any:
    message = {"role": "assistant", "content": text}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini"}
    return {**body, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def test_langchain_is_configured_by_a_file(place: Place, configured: Server) -> None:
    configured.replies.append(document(chat_answer("Yes.")))
    assert mcp_coder.ask_llm("Is it?", provider="langchain") == "Yes."
    [(_, headers, body)] = configured.requests
    assert headers["authorization"] == "Bearer sk-file" and body["model"] == "gpt-5-mini"


def test_system_prompts_are_not_told_again_and_again(place: Place, configured: Server) -> None:
    """Older files have them before every turn; no provider takes that."""
    system = {"type": "system", "data": {"content": "Be brief."}}
    turn = [{"type": "human", "data": {"content": "One"}}, {"type": "ai", "data": {"content": "1"}}]
    mcp_coder.store_langchain_history("s", [system, *turn, system, *turn])
    configured.replies.append(document(chat_answer("Yes.")))
    mcp_coder.prompt_llm("More", provider="langchain", session_id="s")
    assert [one["role"] for one in configured.requests[0][2]["messages"]] == ["user", "assistant"] * 2 + ["user"]
    types = [one["type"] for one in mcp_coder.load_langchain_history("s")]
    assert types == ["human", "ai"] * 3


def test_a_history_of_the_first_form_goes_on(place: Place, configured: Server) -> None:
    mcp_coder.store_langchain_history("s", [{"role": "human", "content": "One"}, {"role": "ai", "content": "1"}])
    configured.replies.append(document(chat_answer("2")))
    mcp_coder.prompt_llm("Two", provider="langchain", session_id="s")
    assert [one["type"] for one in mcp_coder.load_langchain_history("s")] == ["human", "ai", "human", "ai"]
    assert [one["content"] for one in configured.requests[0][2]["messages"]] == ["One", "1", "Two"]


def test_turns_at_the_same_time_are_both_kept(place: Place, configured: Server) -> None:
    """The older module rewrote the file with what it had read before it asked."""
    mcp_coder.store_langchain_history("s", [])
    started = mcp_coder.prompt_llm_stream("One", provider="langchain", session_id="s")
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "1"}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    configured.replies.append(events([{**piece, "choices": [choice]}, {**piece, "choices": [end]}], done=True))
    next(iter(started))
    configured.replies.append(document(chat_answer("2")))
    mcp_coder.prompt_llm("Two", provider="langchain", session_id="s")
    assert [event["type"] for event in started][-1] == "done"
    assert [one["data"]["content"] for one in mcp_coder.load_langchain_history("s")] == ["Two", "2", "One", "1"]
    [messages] = place.sessions().values()
    assert [text for _, text in said(messages)] == ["Two", "2", "One", "1"]


def test_an_unknown_session_is_an_error(place: Place, configured: Server) -> None:
    for ask in (mcp_coder.prompt_llm, lambda *a, **k: list(mcp_coder.prompt_llm_stream(*a, **k))):
        with pytest.raises(ValueError, match=r"ghost-id.*ghost-id\.json"):
            ask("q", provider="langchain", session_id="ghost-id")
    assert configured.requests == []


def test_an_answer_that_is_cut_off_is_kept_beside_the_file(place: Place, configured: Server) -> None:
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "Half an"}, "finish_reason": None}
    configured.replies.append(events([{**piece, "choices": [choice]}], cut=True))
    stream = mcp_coder.prompt_llm_stream("One", provider="langchain")
    with pytest.raises(errors.AnswerCut):
        list(stream)
    [(key, messages)] = place.sessions().items()
    assert said(messages) == [("user", "One"), ("assistant", "Half an")]
    assert messages[1]["finish_reason"] == "unfinished"
    assert mcp_coder.load_langchain_history(key.rpartition(":")[2]) == []


def test_failures_of_langchains_models(place: Place, configured: Server) -> None:
    configured.replies.append(document({"error": {"message": "no such model"}}, 404))
    with pytest.raises(ValueError, match="'gpt-5-mini' not found"):
        mcp_coder.prompt_llm("One", provider="langchain")
    configured.replies.append(document({"error": {"message": "who are you?"}}, 401))
    with pytest.raises(errors.ProviderDenied):
        mcp_coder.prompt_llm("Two", provider="langchain")
    assert sorted(said(messages)[0][1] for messages in place.sessions().values()) == ["One", "Two"]
    assert not list(place.home.rglob("*.json"))


def test_silence_of_langchains_models_is_a_timeout(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, value in (
            ("BACKEND", "openai"),
            ("MODEL", "gpt-5"),
            ("ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}"),
        ):
            monkeypatch.setenv(f"MCP_CODER_LLM_LANGCHAIN_{name}", value)
        for ask in (mcp_coder.prompt_llm, lambda *a, **k: list(mcp_coder.prompt_llm_stream(*a, **k))):
            with pytest.raises(mcp_coder.LLMTimeoutError, match=r"\(langchain\)") as caught:
                ask("One", provider="langchain", timeout=1)
            assert f"{caught.value.session_id}" in "".join(place.sessions())


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "backend not configured"),
        ({"BACKEND": "azure"}, "Unsupported langchain backend: 'azure'"),
        ({"BACKEND": "openai"}, "model not configured"),
        ({"BACKEND": "openai", "MODEL": "x", "API_VERSION": "1"}, "not supported"),
    ],
)
def test_configurations_that_name_no_model(
    place: Place, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MCP_CODER_LLM_LANGCHAIN_{name}", value)
    with pytest.raises(ValueError, match=told):
        mcp_coder.prompt_llm("q", provider="langchain")


def test_ollama_is_asked_as_it_speaks(place: Place, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BACKEND", "ollama"), ("MODEL", "llama3"), ("BASE_URL", server.url)):
        monkeypatch.setenv(f"MCP_CODER_LLM_LANGCHAIN_{name}", value)
    server.replies.append(document(chat_answer("Here.")))
    assert mcp_coder.ask_llm("Who?", provider="langchain") == "Here."
    assert server.requests[0][0] == "/v1/chat/completions"


TOOL_SERVER = """
import os
from mcp.server import MCPServer
server = MCPServer("sums")
@server.tool()
def add(a: int, b: int) -> str:
    "Adds."
    if a < 0:
        raise ValueError("negative")
    return f"{a + b} {os.environ['UNIT']} {os.path.basename(os.getcwd())}"
server.run()
"""


def wish(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "reply", "tool_calls": [{"name": name, "arguments": arguments}]}


def test_mcp_tools_are_run(place: Place, backend: str, mocked: Mocked) -> None:
    (place.work / "server.py").write_text(TOOL_SERVER)
    server = {"command": sys.executable, "args": ["server.py"], "env": {"UNIT": "${WHAT}"}}
    (place.work / "mcp.json").write_text(json.dumps({"mcpServers": {"sums": server}}))
    options: dict[str, Any] = {"provider": "langchain", "mcp_config": "mcp.json", "env_vars": {"WHAT": "apples"}}
    options["execution_dir"] = str(place.work)
    mocked.break_(wish("add", a=2, b=2), wish("add", a=-1, b=2), wish("nothing"), {"type": "reply", "text": "Four."})
    made = mcp_coder.prompt_llm("2 and 2?", **options)
    assert made["text"] == "Four."
    raw: Any = made["raw_response"]
    assert (raw["total_tool_calls"], raw["agent_steps"]) == (3, 4)
    results = [event for event in raw["tool_trace"] if event["type"] == "tool_result"]
    assert [event["is_error"] for event in results] == [False, True, True]
    assert results[0]["output"] == "4 apples work" and "add" in results[1]["output"]
    types = [one["type"] for one in mcp_coder.load_langchain_history(str(made["session_id"]))]
    assert types == ["human", "ai", "tool", "ai", "tool", "ai", "tool", "ai"]
    assert [one["type"] for one in raw["messages"]] == types
    tools = json.dumps(mocked.asked()[0]["body"])
    assert "Adds." in tools and '"add"' in tools
    mocked.break_(wish("add", a=1, b=1), {"type": "reply", "text": "Two."})
    events_ = list(mcp_coder.prompt_llm_stream("And 1?", session_id=made["session_id"], **options))
    told = [event["type"] for event in events_ if event["type"] not in ("raw_line", "text_delta")]
    assert told == ["tool_use_start", "tool_result", "done"]
    [messages] = place.sessions().values()
    assert [message["role"] for message in messages][-4:] == ["user", "assistant", "tool", "assistant"]


def test_tools_in_langchains_form_are_run(place: Place, configured: Server) -> None:
    class Tool:
        name, description, args = "add", "Adds.", {"a": {"type": "integer"}}

        def invoke(self, arguments: dict[str, Any]) -> dict[str, int]:
            raise NotImplementedError

        async def ainvoke(self, arguments: dict[str, Any]) -> dict[str, int]:
            return {"sum": arguments["a"] + 2}

    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    for delta, reason in (({"tool_calls": [call]}, "tool_calls"), ({"content": "Four."}, "stop")):
        one = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": reason}
        configured.replies.append(events([{**piece, "choices": [one]}, {**piece, "choices": [end]}], done=True))
    told = list(mcp_coder.prompt_llm_stream("2 and 2?", provider="langchain", tools=[Tool()]))
    [result] = [event for event in told if event["type"] == "tool_result"]
    assert result["output"] == '{"sum": 4}' and result["tool_call_id"] == "call_1"
    assert told[-2] == {"type": "text_delta", "text": "Four."}
    assert configured.requests[1][2]["messages"][-1]["content"] == '{"sum": 4}'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"mcpServers": {"x": {"command": "/nowhere/server"}}}', ConnectionError),
        ('{"servers": {}}', ValueError),
        ("{", ValueError),
    ],
)
def test_servers_that_are_not_there(place: Place, configured: Server, text: str, error: type[Exception]) -> None:
    (place.work / "mcp.json").write_text(text)
    with pytest.raises(error):
        mcp_coder.prompt_llm("q", provider="langchain", mcp_config="mcp.json")
    with pytest.raises(FileNotFoundError):
        mcp_coder.prompt_llm("q", provider="langchain", mcp_config="nowhere.json")
    assert configured.requests == []


def test_answers_are_dumped_as_langchain_does() -> None:
    message = {
        "parts": [
            {"type": "text", "content": "Let me see."},
            {"type": "tool_call", "id": "c", "name": "ls", "arguments": {"path": "."}},
        ],
        "usage": {"input_tokens": 120, "output_tokens": 30, "cache_read_tokens": 100, "reasoning_tokens": 10},
        "finish_reason": "tool_calls",
        "x": {"response_id": "run-1"},
    }
    assert langchain.answer(message, "gpt-5") == {
        "type": "ai",
        "data": {
            "content": "Let me see.",
            "additional_kwargs": {},
            "response_metadata": {"model_name": "gpt-5", "finish_reason": "tool_calls"},
            "name": None,
            "id": "run-1",
            "tool_calls": [{"name": "ls", "args": {"path": "."}, "id": "c", "type": "tool_call"}],
            "invalid_tool_calls": [],
            "usage_metadata": {
                "input_tokens": 120,
                "output_tokens": 30,
                "total_tokens": 150,
                "input_token_details": {"cache_read": 100},
                "output_token_details": {"reasoning": 10},
            },
        },
    }
    assert langchain.usage(message) == {"input_tokens": 120, "output_tokens": 30, "cache_read_input_tokens": 100}

"""The chat core: both sides are kept, the user's first, and nothing that goes wrong loses anything."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.chat import Chat, chat
from sessionstore.manager import SessionManager
from tests.adapters.mocked import MODELS, Mocked
from tests.exporters.support import PNG

each = pytest.mark.parametrize("model", MODELS.values())
Reopened = Callable[[str], list[dict[str, Any]]]


def said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (one["role"], "".join(p.get("content", "") for p in one["parts"] if p["type"] == "text")) for one in messages
    ]


def reply(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": text, **more}


# --- a conversation ------------------------------------------------------------------------------------------


@each
def test_both_sides_are_in_the_store_when_the_answer_is_returned(
    model: str, talk: Chat, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_(reply("Four."))
    answer = talk.ask("Two and two?", model)
    assert answer.text == "Four." and answer.finish == "stop"
    assert said(reopened(answer.session.key)) == [("user", "Two and two?"), ("assistant", "Four.")]
    assert answer.usage["input_tokens"] > 0 and answer.usage["output_tokens"] > 0


@each
def test_a_session_goes_on_under_its_id(model: str, talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    first = talk.ask("One", model, "lesson_1")
    second = talk.ask("Two", session_id="lesson_1")
    assert second.session.key == first.session.key == "native:lesson_1"
    assert [role for role, _ in said(reopened("native:lesson_1"))] == ["user", "assistant"] * 2
    body = str(mocked.asked()[-1]["body"])
    assert "One" in body and "Two" in body and first.text in body


def test_an_id_is_not_taken_for_the_beginning_of_another_one(talk: Chat) -> None:
    talk.ask("One", "gpt-5", "lesson_one")
    assert talk.ask("Two", "gpt-5", "lesson").session.key == "native:lesson"


def test_nor_for_the_beginning_of_several(talk: Chat, sessions: SessionManager) -> None:
    for number in range(10, 18):
        sessions.create(f"lesson-{number}")
    assert talk.ask("Two", "gpt-5", "lesson-1").session.key == "native:lesson-1"
    for source in ("codex", "kimi"):
        sessions.store.put(f"{source}:the-same", [{"id": "m1", "role": "user", "parts": []}])
    with pytest.raises(errors.Ambiguous):
        talk.ask("Three", "gpt-5", "the-same")


def test_a_client_that_sends_the_whole_conversation_each_time_writes_only_what_is_new(
    talk: Chat, reopened: Reopened
) -> None:
    system = {"role": "system", "content": "Be brief."}
    first = talk.ask([system, {"role": "user", "content": "One"}], "gpt-5", "s")
    again = [system, {"role": "user", "content": "One"}, {"role": "assistant", "content": first.text}]
    talk.ask([*again, {"role": "user", "content": "Two"}], session_id="s")
    assert [role for role, _ in said(reopened("native:s"))] == ["system", "user", "assistant", "user", "assistant"]


def test_the_same_word_twice_is_two_turns(talk: Chat, reopened: Reopened) -> None:
    talk.ask("Go on", "gpt-5", "s")
    talk.ask("Go on", session_id="s")
    assert [text for role, text in said(reopened("native:s")) if role == "user"] == ["Go on", "Go on"]


def test_the_function_does_what_the_object_does(sessions: SessionManager, mocked: Mocked) -> None:
    settings = {name: mocked.settings(name) for name in MODELS}
    answer = chat("Hello", "gpt-5", "s", sessions=sessions, settings=settings, temperature=0.1)
    assert mocked.asked()[-1]["body"]["temperature"] == 0.1
    assert answer.text and answer.session.key == "native:s"


@each
def test_tools_are_run_and_every_step_is_kept(model: str, talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    tool = {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    }
    mocked.break_({"type": "reply", "tool_calls": [{"name": "add", "arguments": {"a": 2}}]})
    answer = talk.ask("2 and 2?", model, "s", tools=[tool], toolbox={"add": lambda a: {"sum": a + 2}})
    kept = reopened("native:s")
    assert [one["role"] for one in kept] == ["user", "assistant", "tool", "assistant"]
    assert kept[2]["parts"][0]["response"] == {"sum": 4} and kept[2]["parts"][0]["id"] == kept[1]["parts"][-1]["id"]
    assert answer.text


def test_a_tool_that_fails_is_told_to_the_model_as_failed(talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    def broken(**_: Any) -> None:
        raise OSError("disk on fire")

    mocked.break_({"type": "reply", "tool_calls": [{"name": "add", "arguments": {"a": 2}}]})
    talk.ask("2?", "claude-opus-4-6", "s", tools=[{"name": "add", "parameters": {}}], toolbox={"add": broken})
    [part] = reopened("native:s")[2]["parts"]
    assert part["is_error"] is True and part["response"] == "OSError: disk on fire"


def test_calls_that_cannot_be_run_are_told_so(talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    calls = [
        {"name": "add", "arguments": {"a": 1, "b": 2}},
        {"name": "take", "arguments": {}},
        {"name": "add", "arguments": [1, 2]},
    ]
    mocked.break_({"type": "reply", "tool_calls": calls})
    tools = [{"name": name, "parameters": {"type": "object"}} for name in ("add", "take")]
    talk.ask("Count!", "gpt-5", "s", tools=tools, toolbox={"add": lambda a, b: a + b})
    results = [part for one in reopened("native:s") if one["role"] == "tool" for part in one["parts"]]
    assert [one["response"] for one in results] == [
        3,
        "LookupError: there is no tool take",
        "TypeError: the arguments are no JSON object",
    ]
    assert [one.get("is_error", False) for one in results] == [False, True, True]


def test_a_stream_that_never_begins_leaves_the_question(talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    mocked.break_({"type": "fail", "status": 401})
    with pytest.raises(errors.ProviderDenied):
        list(talk.stream("Hello?", "gpt-5", "s"))
    assert said(reopened("native:s")) == [("user", "Hello?")]
    assert talk.resume("s").text


def test_tool_calls_without_a_toolbox_are_the_callers(talk: Chat, mocked: Mocked) -> None:
    mocked.break_({"type": "reply", "tool_calls": [{"name": "add", "arguments": {"a": 2}}]})
    answer = talk.ask("2?", "gpt-5", "s", tools=[{"name": "add", "parameters": {}}])
    assert answer.finish == "tool_calls"
    [call] = answer.tool_calls
    result = {"role": "tool", "tool_call_id": call["id"], "content": "4"}
    assert talk.ask([result], session_id="s").text


@each
def test_an_image_is_kept_once_and_sent_each_time(model: str, talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
    talk.ask([{"role": "user", "parts": [image, {"type": "text", "content": "What is it?"}]}], model, "s")
    talk.ask("And now?", session_id="s")
    kept = reopened("native:s")[0]["parts"][0]
    assert "object" in kept and "data" not in kept
    assert PNG in str(mocked.asked()[-1]["body"]) or PNG.replace("+", "-").replace("/", "_") in str(mocked.asked()[-1])


# --- what goes wrong -----------------------------------------------------------------------------------------


@each
def test_what_was_said_is_kept_when_the_provider_fails_and_answered_later(
    model: str, talk: Chat, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_({"type": "fail", "status": 400})
    with pytest.raises(errors.ProviderRefused):
        talk.ask("Are you there?", model, "s")
    assert said(reopened("native:s")) == [("user", "Are you there?")]
    assert talk.sessions.get("s").pending()["role"] == "user"  # type: ignore[attr-defined]
    talk.resume("s")
    assert [role for role, _ in said(reopened("native:s"))] == ["user", "assistant"]
    with pytest.raises(errors.UsageError, match="no turn that waits"):
        talk.resume("s")


@each
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
def test_an_answer_that_is_cut_off_is_kept_as_unfinished_and_asked_for_again(
    model: str, kind: str, talk: Chat, mocked: Mocked, reopened: Reopened
) -> None:
    mocked.break_(reply("One two three four five six."), {"type": "stream_fault", "kind": kind, "after_chunks": 5})
    with pytest.raises((errors.AnswerCut, errors.AnswerInvalid)):
        list(talk.stream("Count", model, "s"))
    user, partial = reopened("native:s")
    assert partial["kind"] == "error" and partial["finish_reason"] == "unfinished"
    assert "One two three four five six.".startswith(said([partial])[0][1]) and said([partial])[0][1]
    assert partial["x"]["unfinished"].startswith("Answer")
    assert talk.sessions.get("s").pending()["message"] == user["id"]  # type: ignore[attr-defined]
    mocked.break_(reply("All of it."))
    answer = talk.resume("s")
    assert said([partial])[0][1].strip() not in str(mocked.asked()[-1]["body"])
    assert said(list(answer.session.history())) == [("user", "Count"), ("assistant", "All of it.")]
    assert len(reopened("native:s")) == 3
    assert said(list(talk.ask("More", session_id="s").session.history()))[:2] == [
        ("user", "Count"),
        ("assistant", "All of it."),
    ]


def test_a_reader_that_leaves_keeps_what_it_has_heard(talk: Chat, mocked: Mocked, reopened: Reopened) -> None:
    mocked.break_(reply("One two three four five six."))
    stream = talk.stream("Count", "gpt-5", "s")
    next(iter(stream))
    stream.close()
    _, partial = reopened("native:s")
    assert partial["x"]["unfinished"] == "the reader has left"
    with pytest.raises(errors.UsageError):
        _ = stream.answer


def test_a_kill_while_the_model_is_asked_leaves_a_turn_that_can_be_resumed(
    tmp_path: Path, mocked: Mocked, talk: Chat
) -> None:
    mocked.break_({"type": "delay", "seconds": 3})
    code = f"""
import sys
from sessionstore.chat import Chat, Settings
from sessionstore.manager import SessionManager
talk = Chat(SessionManager({str(tmp_path / "store")!r}), {{"openai": Settings("k", {mocked.url + "/v1"!r})}})
print("ready", flush=True)
talk.ask("Shall I be killed?", "gpt-5", "s")
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert child.stdout is not None
    child.stdout.readline()
    for _ in range(200):
        with contextlib.suppress(errors.NotFound):
            if talk.sessions.get("native:s").history():
                break
        time.sleep(0.02)
    time.sleep(0.3)  # so that it is waiting for its answer
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert talk.resume("s").text
    assert [one["role"] for one in talk.sessions.get("s").history()] == ["user", "assistant"]


def test_another_model_needs_consent_and_is_recorded(talk: Chat, reopened: Reopened, mocked: Mocked) -> None:
    talk.ask("Hello", "gpt-5", "s")
    with pytest.raises(errors.NoConsent):
        talk.ask("And you?", "claude-opus-4-6", "s")
    assert len(reopened("native:s")) == 2
    talk.ask("And you?", "claude-opus-4-6", "s", consent=True)
    assert [one.get("kind") for one in reopened("native:s")] == [None, None, "switch", None, None]
    assert "[note] The model was switched from gpt-5 to claude-opus-4-6." in str(mocked.asked()[-1]["body"])
    assert talk.ask("Still you?", session_id="s").message["provider"] == "anthropic"


def test_safety_settings_are_kept_with_the_session(talk: Chat, sessions: SessionManager, mocked: Mocked) -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    talk.ask("Hello", "gemini-2.5-pro", "s", safety=safety)
    talk.ask("And again?", session_id="s")
    assert [one["body"]["safetySettings"] for one in mocked.asked()] == [safety, safety]
    with pytest.raises(errors.NoConsent, match="gpt-5 does not know the parameters safety_settings"):
        talk.ask("And you?", "gpt-5", "s")
    talk.ask("And you?", "gpt-5", "s", consent=True)
    assert "HARASSMENT" not in str(mocked.asked()[-1]["body"])
    talk.ask("Back?", "gemini-2.5-pro", "s", consent=True, safety=[])
    assert "safetySettings" not in mocked.asked()[-1]["body"]
    assert sessions.get("s").metadata == {"parameters": {"safety_settings": []}}


def test_parameters_of_a_session_hold_where_the_model_knows_them(
    talk: Chat, sessions: SessionManager, mocked: Mocked
) -> None:
    sessions.create("s", model="claude-opus-4-6", metadata={"parameters": {"temperature": 0.5, "max_tokens": 77}})
    talk.ask("Hello", session_id="s")
    talk.ask("Hello", session_id="s", temperature=0.1)
    talk.ask("Hello", "gpt-5", "s", consent=True)
    first, second, third = (one["body"] for one in mocked.asked())
    assert (first["temperature"], first["max_tokens"]) == (0.5, 77)
    assert (second["temperature"], second["max_tokens"]) == (0.1, 77)
    assert "temperature" not in third and third["max_completion_tokens"] == 77


def test_a_session_that_is_not_there_is_made_but_not_by_last(talk: Chat) -> None:
    with pytest.raises(errors.NotFound):
        talk.ask("Hello", "gpt-5", "@last")


def test_wrong_use_is_said_before_anything_is_kept(talk: Chat, sessions: SessionManager) -> None:
    for wrong, arguments in (
        (errors.UnknownModel, ("Hello", "grog-1")),
        (errors.UsageError, ("Hello",)),
        (errors.UsageError, ([{"text": "no role"}], "gpt-5")),
    ):
        with pytest.raises(wrong):
            talk.ask(*arguments)
    with pytest.raises(errors.UsageError, match="no option"):
        talk.ask("Hello", "gpt-5", temperatur=1)
    assert not sessions.store.revision_names()


# --- together ------------------------------------------------------------------------------------------------


def test_conversations_at_the_same_time_do_not_mix(talk: Chat, sessions: SessionManager, reopened: Reopened) -> None:
    failures: list[BaseException] = []

    def converse(number: int) -> None:
        try:
            for turn in range(5):
                talk.ask(f"{number}/{turn}", list(MODELS.values())[number % 5], f"s{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=converse, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for number in range(8):
        kept = said(reopened(f"native:s{number}"))
        assert [text for role, text in kept if role == "user"] == [f"{number}/{turn}" for turn in range(5)]
        assert [role for role, _ in kept] == ["user", "assistant"] * 5


def test_each_step_is_traced_with_the_session(talk: Chat, caplog: pytest.LogCaptureFixture, mocked: Mocked) -> None:
    caplog.set_level(logging.INFO, "sessionstore.chat")
    talk.ask("Hello", "gpt-5", "s")
    mocked.break_({"type": "fail", "status": 400})
    with pytest.raises(errors.ProviderRefused):
        talk.ask("Hello?", session_id="s")
    told = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    assert told[:4] == ["session created", "said", "asking", "answered"]
    assert told[-1].startswith("not answered: OpenAI refused the request")
    assert all(record.__dict__["session"] == "native:s" for record in caplog.records)
    answered = caplog.records[3].__dict__["facts"]
    assert answered["usage"]["output_tokens"] > 0 and answered["ms"] >= 0

"""Sessions written as the programs' own files: their importers read the same conversation back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from sessionstore import exporters
from sessionstore.exporters.native import is_uuid
from sessionstore.importers import all_importers
from tests.exporters import support
from tests.exporters.support import FIXTURES, answer, call, exported, image, returned, say, session
from tests.importers.support import imported, recognised

NATIVE = [name for name, form in exporters.FORMS.items() if form.native and name in all_importers()]
each_format = pytest.mark.parametrize("form", NATIVE)
HOLD_IMAGES = {"claude-code", "codex", "kimi", "llm-sessions", "gemini-cli"}
HOLD_FAILURES = {"claude-code", "gemini-cli"}
HOLD_TIMES = {"claude-code", "codex", "llm-sessions", "gemini-cli"}
HOLD_SYSTEM = {"claude-code", "codex", "kimi", "llm-sessions"}
HOLD_USAGE = {"claude-code", "codex", "gemini-cli"}


def compare(form: str, before: list[support.Message], after: list[support.Message]) -> None:
    """Hold that a conversation is the same as far as the format can say it."""
    assert support.texts(after) == support.texts(before)
    assert support.calls(after) == support.calls(before)
    assert support.results(after) == support.results(before)
    if form in HOLD_SYSTEM:
        system = [part for message in after if message["role"] == "system" for part in message["parts"]]
        told = [part["content"] for part in system if part["type"] == "text"]
        assert told == [text for _, text in support.texts(before, "system")]
    if form in HOLD_IMAGES:
        assert support.images(after) == support.images(before)
    if form in HOLD_FAILURES:
        assert support.failures(after) == support.failures(before)
    if form in HOLD_TIMES:
        times = [message["time"] for message in after if message["role"] == "user"]
        assert times == [message["time"] for message in before if message["role"] == "user"]
    if form in HOLD_USAGE:
        assert support.total(after) == support.total(before)


@each_format
@settings(max_examples=40, deadline=None)
@given(messages=support.conversations())
def test_a_foreign_session_comes_back_as_the_same_conversation(form: str, messages: list[support.Message]) -> None:
    revision = session(messages, title="A title", cwd="/home/ada/src/shop")
    data, report = exported(form, revision, messages)
    assert recognised(all_importers()[form], data)
    draft, after = returned(form, data, revision)
    compare(form, messages, [message for message in after if message["parts"] or "usage" in message])
    assert report.messages == len(messages)
    if "the title" in exporters.form(form).holds:
        assert draft.title == "A title"
    else:
        assert "the title is not held by this format" in report.lines


@each_format
def test_every_fixture_comes_back_as_the_same_conversation(form: str) -> None:
    for name, revision, messages in FIXTURES:
        data, _ = exported(form, revision, messages)
        importer = all_importers()[form]
        path = support.shown(chosen(revision, messages))
        if not path:
            continue
        assert recognised(importer, data), name
        _, after = returned(form, data, revision)
        told = {("user", line) for text in support.results(path).values() for line in text.split("\n\n")}
        assert talk(path) <= talk(after) <= talk(path) | told, name


def chosen(revision: support.Json, messages: list[support.Message]) -> list[support.Message]:
    """The active path, as unified JSON tells it."""
    from sessionstore.exporters import view
    from sessionstore.exporters.report import Report

    return list(view.chosen(revision, lambda: iter(messages), Report()))


def talk(messages: list[support.Message]) -> set[tuple[str, str]]:
    """What was said, without the wrappers that a format puts around results it has no call of."""
    return {(role, line) for role, text in support.texts(messages) for line in text.split("\n\n")} - ORPHANS


ORPHANS = {("user", "Result of a tool call that this conversation does not hold:")}


@pytest.mark.parametrize("form", ["claude-code", "codex", "kimi", "llm-sessions"])
def test_a_session_of_the_format_itself_comes_back_with_every_message(form: str) -> None:
    kinds = () if form == "codex" else ("meta", "prefill", "sidechain")
    compared = 0
    for name, revision, messages in FIXTURES:
        if revision["source"] != form:
            continue
        data, _ = exported(form, revision, messages, branches=form == "claude-code", kinds=kinds)
        draft, after = returned(form, data, revision)
        assert draft.native_id == revision["native_id"]
        kept = [message for message in messages if form != "codex" or message.get("kind") != "meta"]
        after = [message for message in after if form != "codex" or message.get("kind") != "meta"]
        bare = [facts(message) for message in kept]
        timeless = [{} if "time" in message else {"time": ...} for message in bare]
        assert len(after) >= len(bare)
        for made, wanted, time in zip(after, bare, timeless, strict=False):
            assert {**facts(made), **time} == {**wanted, **time}, name
        compared += len(bare)
    assert compared > 10


def facts(message: support.Message) -> Any:
    """What must be the same of a message that returns to its own format."""
    names = ("role", "parts", "kind", "time", "model")
    return {name: message[name] for name in names if name in message}


@pytest.mark.samples
@each_format
def test_real_sessions_come_back_as_the_same_conversation(form: str, samples: Path) -> None:
    compared = 0
    for source in ("claude-code", "codex"):
        importer = all_importers()[source]
        for path in sorted((samples / source).rglob("*.jsonl")):
            if not recognised(importer, path):
                continue
            read = imported(importer, path, companions={})
            for native_id, messages in read.sessions.items():
                revision = support.revision_of(source, read.drafts[native_id], messages)
                if shown := support.shown(chosen(revision, messages)):
                    _, after = returned(form, exported(form, revision, messages)[0], revision)
                    assert talk(shown) <= talk(after), path
                    assert support.calls(after) == support.calls(shown), path
                    compared += 1
    assert compared > 20


# --- what the formats cannot hold ----------------------------------------------------------------------------


def test_reasoning_goes_back_only_to_the_provider_that_has_signed_it() -> None:
    thought = {"type": "reasoning", "content": "hm", "signature": "c2ln"}
    bare = {"type": "reasoning", "content": "hm"}
    messages = [
        say(1, "user", "go"),
        say(2, "assistant", thought, "one", model="claude-sonnet-4-5"),
        say(3, "assistant", thought, "two", model="gpt-5"),
        say(4, "assistant", bare, "three", model="claude-sonnet-4-5"),
    ]
    data, report = exported("claude-code", session(messages), messages)
    _, after = returned("claude-code", data, session(messages))
    assert support.reasoning(after) == [("hm", "c2ln")]
    assert "reasoning without signature left out (1)" in report.lines
    assert "reasoning signed by another provider left out (1)" in report.lines
    data, report = exported("codex", session(messages), messages)
    _, after = returned("codex", data, session(messages))
    assert support.reasoning(after) == [("hm", ""), ("hm", "c2ln"), ("hm", "")]
    assert "signatures of reasoning by another provider left out (1)" in report.lines


def test_what_kimi_sessions_cannot_say_is_named() -> None:
    messages = [
        say(1, "user", "go", time="2026-01-01T00:00:00Z"),
        say(2, "assistant", call("a"), model="kimi-k2", usage={"input_tokens": 3}),
        say(3, "tool", answer("a", "no", is_error=True)),
        *(say(n, "user", f"more {n}") for n in range(4, 60)),
    ]
    _, report = exported("kimi", session(messages, title="T"), messages)
    for line in (
        "times are not held by this format",
        "models are not held by this format",
        "token counts are not held by this format",
        "the title is not held by this format",
        "failure marks of tool results left out (1)",
        "messages that the program will drop when it saves the file again (9)",
    ):
        assert line in report.lines


def test_a_kimi_file_has_the_shape_that_its_program_writes() -> None:
    name, revision, messages = next(one for one in FIXTURES if one[1]["native_id"].startswith("clock-and-weather"))
    data, _ = exported("kimi", revision, messages)
    assert data == (support.LEGACY / "project/.kimi_sessions" / name.partition(":")[0]).read_bytes()


def test_times_that_a_program_needs_and_nobody_knows_are_named() -> None:
    messages = [say(1, "user", "a"), say(2, "assistant", "b", time="2026-01-01T00:00:01Z"), say(3, "user", "c")]
    revision = session(messages, created_at="2026-01-01T00:00:00Z")
    for form in ("claude-code", "codex"):
        data, report = exported(form, revision, messages)
        _, after = returned(form, data, revision)
        times = [message.get("time") for message in support.shown(after) if support.texts([message])]
        assert times == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z"]
        assert "unknown times given as the last known one (2)" in report.lines


# --- Claude Code ---------------------------------------------------------------------------------------------


def test_claude_code_records_form_a_chain_of_uuids() -> None:
    messages = [say(1, "user", "a"), say(2, "assistant", "b"), say(3, "user", "c")]
    records = support.lines(exported("claude-code", session(messages), messages)[0])
    assert [record["parentUuid"] for record in records] == [None, records[0]["uuid"], records[1]["uuid"]]
    assert all(is_uuid(record["uuid"]) and is_uuid(record["sessionId"]) for record in records)
    assert exporters.place("claude-code", session(messages)) == f"unknown/{records[0]['sessionId']}.jsonl"


def test_claude_code_holds_all_branches() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "assistant", "b"),
        say(3, "user", "c"),
        say(4, "user", "d", parent="m2"),
        say(5, "user", "e", parent=None),
    ]
    revision = session(messages, active_leaf="m4")
    data, report = exported("claude-code", revision, messages, branches=True)
    _, after = returned("claude-code", data, revision)
    names = {message["id"]: text for message, (_, text) in zip(after, support.texts(after), strict=True)}
    assert [names.get(message.get("parent", "-")) for message in after] == [None, None, None, "b", None]
    assert after[4]["parent"] is None
    data, report = exported("claude-code", revision, messages)
    assert [text for _, text in support.texts(returned("claude-code", data, revision)[1])] == ["a", "b", "d"]
    assert "messages on other branches left out (2)" in report.lines


def test_claude_code_repeats_usage_as_the_program_does() -> None:
    for name, revision, messages in FIXTURES:
        if revision["source"] == "claude-code":
            data, _ = exported("claude-code", revision, messages, branches=True, kinds=("meta", "prefill", "sidechain"))
            assert support.total(returned("claude-code", data, revision)[1]) == support.total(messages), name


def test_ids_that_repeat_or_do_not_fit_stay_paired_in_claude_code() -> None:
    messages = [
        say(1, "user", "a"),
        say(2, "assistant", call("time:0", arguments={"n": 1})),
        say(3, "tool", answer("time:0", "first")),
        say(4, "assistant", call("time:0", arguments={"n": 2})),
        say(5, "tool", answer("", "second")),
    ]
    data, _ = exported("claude-code", session(messages), messages)
    _, after = returned("claude-code", data, session(messages))
    assert support.results(after) == {0: "first", 1: "second"}
    used = [part["id"] for message in after for part in message["parts"] if part["type"] == "tool_call"]
    assert used == ["time_0", "time_0_2"]


# --- Codex ---------------------------------------------------------------------------------------------------


def test_codex_tells_texts_again_as_the_events_it_shows() -> None:
    messages = [say(1, "user", "hello", image()), say(2, "assistant", "hi", model="gpt-5")]
    records = support.lines(exported("codex", session(messages, title="T"), messages)[0])
    kinds = [(record["type"], record["payload"].get("type")) for record in records]
    assert kinds == [
        ("session_meta", None),
        ("response_item", "message"),
        ("event_msg", "user_message"),
        ("turn_context", None),
        ("response_item", "message"),
        ("event_msg", "agent_message"),
        ("event_msg", "thread_name_updated"),
    ]
    assert records[2]["payload"]["images"] == [records[1]["payload"]["content"][1]["image_url"]]
    assert records[3]["payload"]["model"] == "gpt-5"


def test_codex_totals_grow_with_each_answer() -> None:
    messages = [say(n, "assistant", f"{n}", usage={"input_tokens": 10, "output_tokens": n}) for n in (1, 2)]
    records = support.lines(exported("codex", session(messages), messages)[0])
    totals = [
        record["payload"]["info"]["total_token_usage"]["total_tokens"]
        for record in records
        if record["payload"].get("type") == "token_count"
    ]
    assert totals == [11, 23]


def test_text_that_is_no_json_goes_to_a_tool_as_it_is() -> None:
    patch = "*** Begin Patch\n*** End Patch"
    messages = [say(1, "assistant", call("a", "apply_patch", patch)), say(2, "tool", answer("a", "ok"))]
    records = support.lines(exported("codex", session(messages), messages)[0])
    items = [record["payload"] for record in records if record["type"] == "response_item"]
    assert [item["type"] for item in items] == ["custom_tool_call", "custom_tool_call_output"]
    assert items[0]["input"] == patch


# --- Gemini CLI ----------------------------------------------------------------------------------------------


def test_gemini_cli_lines_have_the_shape_that_its_program_writes() -> None:
    messages = [
        say(1, "system", "Be brief."),
        say(2, "user", "list", time="2026-01-01T00:00:00.000Z"),
        say(
            3, "assistant", {"type": "reasoning", "content": "hm"}, "ok", call("a", "ls", {"p": "."}), model="gemini-3"
        ),
        say(4, "tool", answer("a", "README")),
        say(5, "system", "over quota", kind="error"),
        say(6, "assistant", call("b", "ls")),
    ]
    data, report = exported("gemini-cli", session(messages, cwd="/p"), messages)
    header, user, model, error, last = support.lines(data)
    assert {"sessionId", "projectHash", "startTime", "lastUpdated", "kind"} <= header.keys()
    assert (user["type"], user["content"]) == ("user", [{"text": "list"}])
    assert (model["type"], model["content"], model["model"]) == ("gemini", "ok", "gemini-3")
    assert model["thoughts"][0]["description"] == "hm"
    [made] = model["toolCalls"]
    assert made["result"] == [{"functionResponse": {"id": "a", "name": "ls", "response": {"output": "README"}}}]
    assert (error["type"], error["content"]) == ("error", "over quota")
    assert (last["toolCalls"][0]["status"], "result" in last["toolCalls"][0]) == ("cancelled", False)
    assert "system prompts are not held by this format (1)" in report.lines


# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native_id", ["../../etc/passwd", "a/b\\c", "con", "", "..", "x" * 300, "a\0b\n", "日本/語"])
@pytest.mark.parametrize("form", [name for name, form in exporters.FORMS.items() if form.native])
def test_no_id_leads_out_of_the_directory(form: str, native_id: str) -> None:
    for source in (form, "native"):
        revision = session([], cwd="/home/../..//x")
        revision |= {"native_id": native_id, "source": source, "key": f"{source}:{native_id}"}
        place = exporters.place(form, revision)
        steps = place.split("/")
        assert not {"", ".", ".."} & set(steps)
        assert all(len(step.encode()) < 200 and "\\" not in step and "\0" not in step for step in steps)


def test_every_export_is_the_same_each_time() -> None:
    for _, revision, messages in FIXTURES[:6]:
        for form in exporters.NAMES:
            assert exported(form, revision, messages)[0] == exported(form, revision, messages)[0]


def test_kimi_and_llm_sessions_are_one_document() -> None:
    messages = [say(1, "user", "a"), say(2, "assistant", "b", model="m", usage={"input_tokens": 2, "output_tokens": 3})]
    document = json.loads(exported("llm-sessions", session(messages), messages)[0])
    assert (document["version"], document["models_used"], document["metadata"]["total_tokens"]) == ("1.0", ["m"], 5)
    assert document["messages"][1]["tokens"] == {"input": 2, "output": 3, "total": 5}
    assert json.loads(exported("kimi", session(messages), messages)[0])["message_count"] == 2

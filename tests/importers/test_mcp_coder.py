"""Stored answers of mcp_coder, in every shape in which it has stored them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.mcp_coder import McpCoder
from sessionstore.importers.mcp_coder_repr import sdk_record
from sessionstore.importers.parsing import Unparsable

from .support import FORMATS, imported, recognised, roles, text

FIXTURES = FORMATS / "mcp-coder"
RESPONSES = FIXTURES / "project" / ".mcp-coder" / "responses"
SDK = "6f1d2c3b-0925-4a00-8000-000000000001"
CLI = "6f1d2c3b-0218-4a00-8000-000000000002"
STREAM = "6f1d2c3b-0325-4a00-8000-000000000003"


def response(**fields: Any) -> dict[str, Any]:
    """An answer as the program passes it on, with `fields` changed; one given as `...` is left out."""
    made = {
        "version": "1.0",
        "timestamp": "2026-03-01T10:00:00.123456",
        "text": "4",
        "session_id": "s-1",
        "provider": "claude",
        "raw_response": {},
    } | fields
    return {name: value for name, value in made.items() if value is not ...}


def turn(answer: Any, **metadata: Any) -> dict[str, Any]:
    """A stored turn with that answer."""
    about = {"timestamp": "2026-03-01T10:00:01Z", "working_directory": "/w", "model": "claude"} | metadata
    return {"prompt": "2+2?", "response_data": answer, "metadata": about}


def read(made: Any, name: str = "response_2026-03-01T10-00-01.json") -> tuple[Draft, list[Message], tuple[int, ...]]:
    """Read a document that is written as the program writes it."""
    result = imported(McpCoder(), json.dumps(made, indent=2).encode("ascii"), name, {})
    draft, messages = result.one()
    return draft, messages, result.counts


def fixture(name: str) -> tuple[Draft, list[Message]]:
    """Read one of the stored responses."""
    return imported(McpCoder(), RESPONSES / name).one()


def bill(messages: list[Message]) -> dict[str, int]:
    """The usage of messages, added up."""
    total: dict[str, int] = {}
    for message in messages:
        for name, count in message.get("usage", {}).items():
            total[name] = total.get(name, 0) + count
    return total


def test_every_stored_answer_is_recognised_and_nothing_else_is() -> None:
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    assert len(files) == 12
    assert all(recognised(McpCoder(), path) for path in files)
    for other in (
        {"prompt": "x", "response": "y"},
        {"version": "1.0", "id": "a", "models_used": [], "messages": []},
        {"version": "2.0", "text": "", "raw_response": {}},
        {"version": 1, "text": "", "raw_response": {}},
        {"prompt": "x", "response_data": 5, "metadata": {}},
        [{"prompt": "x", "response_data": {}, "metadata": {}}],
    ):
        assert not recognised(McpCoder(), json.dumps(other).encode())


def test_a_prompt_that_is_longer_than_the_head_does_not_hide_the_rest() -> None:
    made = turn(response()) | {"prompt": "x" * 200_000}
    assert recognised(McpCoder(), json.dumps(made, indent=2).encode())
    assert not recognised(McpCoder(), json.dumps({"prompt": "x" * 200_000}).encode())


def test_python_text_of_sdk_objects_is_read_back() -> None:
    draft, messages = fixture("response_2025-09-25T14-03-09.json")
    assert draft.native_id == SDK
    assert draft.cwd == "C:\\work\\tinyshop"
    assert roles(messages) == ["user", "system", "assistant", "assistant", "tool", "assistant", "system", "system"]
    assert messages[2]["parts"] == [
        {"type": "reasoning", "content": "A file, then.", "signature": "c2ln"},
        {"type": "text", "content": "I'll look at the file."},
    ]
    call, result = messages[3]["parts"][0], messages[4]["parts"][0]
    assert call["arguments"] == {"file_path": "C:\\work\\a b.txt", "limit": 3}
    assert result["id"] == call["id"] == "toolu_01"
    assert result["response"] == [{"type": "text", "text": "'héllo' \"there\"\n\ttab\\n"}]
    assert text(messages[5]) == 'It says "héllo" & it\'s fine 😀.'
    assert bill(messages) == {
        "input_tokens": 4912,
        "cache_read_tokens": 4000,
        "cache_write_tokens": 900,
        "output_tokens": 180,
        "cost_microusd": 12346,
    }
    assert "answer-differs" not in draft.issues and "usage-differs" not in draft.issues


def test_a_message_that_cannot_be_read_back_is_kept_as_it_is() -> None:
    draft, messages = fixture("response_2025-09-25T14-05-40.json")
    assert draft.native_id == SDK
    assert draft.issues["unreadable-repr"][0] == 1
    assert messages[2]["parts"] == [{"type": "record", "record": {"message": "<claude.Other object at 0x7f00>"}}]
    assert messages[1]["parts"][1]["name"] == "file_writer"
    assert [text(m) for m in messages if m["role"] == "user"] == ["Write it down."], "the prompt is told once"
    assert bill(messages) == {"input_tokens": 20, "output_tokens": 15, "cost_microusd": 2000}


def test_turns_of_a_session_have_ids_of_their_own_and_times_to_join_them_by() -> None:
    _, first = fixture("response_2025-09-25T14-03-09.json")
    _, second = fixture("response_2025-09-25T14-05-40.json")
    assert not {m["id"] for m in first} & {m["id"] for m in second}
    assert first[0]["x"]["time"] == {
        "raw": "2025-09-25T14:03:09.170735",
        "precision": "us",
        "zone": "unknown",
        "written": "2025-09-25T14:03:09.170735Z",
    }
    assert first[0]["x"]["time"]["raw"] < second[0]["x"]["time"]["raw"]
    assert not [m for m in first + second if "time" in m]


def test_the_first_message_always_has_the_time_of_its_turn() -> None:
    made = {
        "step": 1,
        "timestamp": "2025-10-04T21:17:10",
        "conversation_markdown": "",
        "llm_response_data": {"text": "x"},
    }
    for document in (made, response(), turn({"text": "x"}), turn("x")):
        _, messages, _ = read(document)
        assert messages[0]["x"]["time"]["zone"] == "unknown"


def test_a_false_utc_is_reported() -> None:
    assert "false-utc" in read(turn(response()))[0].issues
    assert "false-utc" not in read(response())[0].issues


def test_an_answer_in_text_mode_is_a_session_of_its_own() -> None:
    draft, messages = fixture("response_2025-11-02T08-00-00.json")
    assert draft.native_id.startswith("response_2025-11-02T08-00-00-")
    assert draft.aliases == ["response_2025-11-02T08-00-00"]
    assert set(draft.issues) == {"false-utc", "id-missing"}
    assert roles(messages) == ["user", "assistant", "system"]
    assert "model" not in messages[1] and "usage" not in messages[1]


def test_files_without_a_session_do_not_become_one_by_a_name_they_share() -> None:
    one, other = turn({"text": "1"}), turn({"text": "2"})
    assert read(one)[0].native_id != read(other)[0].native_id
    assert read(one)[0].native_id == read(one)[0].native_id


@pytest.mark.parametrize(
    ("answer", "root", "metadata"),
    [
        ({"text": "", "session_id": "s"}, {}, {}),
        ({"text": "", "session_info": {"session_id": "s"}}, {}, {}),
        ({"text": ""}, {"session_id": "s"}, {}),
        ({"text": ""}, {}, {"session_id": "s"}),
        ({"text": "", "raw_response": {"session_id": "s"}}, {}, {}),
        ({"text": "", "raw_response": {"session_info": {"session_id": "s"}}}, {}, {}),
        ({"text": "", "raw_response": {"sessionId": "s"}}, {}, {}),
        ({"text": "", "raw_response": {"events": [{"type": "done", "session_id": "s"}]}}, {}, {}),
        ({"text": "", "raw_messages": ["ResultMessage(subtype='success', session_id='s')"]}, {}, {}),
        ({"text": "", "session_id": "  ", "session_info": {"session_id": "s"}}, {}, {}),
    ],
)
def test_the_session_is_found_wherever_it_is_named(answer: Any, root: Any, metadata: Any) -> None:
    assert read(turn(answer, **metadata) | root)[0].native_id == "s"


def test_several_session_ids_lead_to_the_same_session() -> None:
    draft, _, _ = read(turn(response(raw_response={"session_id": "s-2"})))
    assert (draft.native_id, draft.aliases) == ("s-1", ["s-2"])
    assert "session-id-contradiction" in draft.issues


def test_a_result_of_the_command_line_is_one_answer_with_the_whole_bill() -> None:
    draft, messages = fixture("response_2026-02-18T09-30-00.json")
    assert draft.native_id == CLI
    assert roles(messages) == ["user", "assistant", "system"]
    answer = messages[1]
    assert text(answer) == "4" and answer["model"] == "claude-opus-4-6"
    assert answer["usage"] == {
        "input_tokens": 33,
        "cache_read_tokens": 20,
        "cache_write_tokens": 10,
        "output_tokens": 5,
        "cost_microusd": 3457,
    }
    assert answer["x"]["response"]["method"] == "cli"
    assert "result" not in answer["x"]["response"]["raw_response"], "the text is told once"


def test_an_answer_that_is_an_error_is_marked() -> None:
    _, messages, _ = read(turn(response(text="Out of credit", raw_response={"is_error": True})))
    assert messages[1]["kind"] == "error"


def test_a_stored_stream_gives_its_messages_and_its_bill_once() -> None:
    draft, messages = fixture("response_2026-02-20T08-00-05.json")
    assert [text(m) for m in messages if m["role"] == "user"] == ["And the files?"]
    assert bill(messages) == {
        "input_tokens": 6309,
        "cache_read_tokens": 6000,
        "cache_write_tokens": 300,
        "output_tokens": 190,
        "cost_microusd": 50635,
    }
    assert [m.get("kind") for m in messages if m["role"] == "assistant"].count("sidechain") == 1
    assert not {"answer-differs", "usage-differs"} & set(draft.issues)


def test_stream_events_become_messages_with_tool_calls() -> None:
    draft, messages = fixture("response_2026-03-01T10-00-01.json")
    assert draft.native_id == STREAM and draft.git == {"branch": "123-shop"}
    assert roles(messages) == ["user", "system", "assistant", "tool", "assistant", "system"]
    assert [part["type"] for part in messages[2]["parts"]] == ["text", "tool_call"]
    assert text(messages[2]) == "Let me see."
    assert messages[4]["usage"]["cost_microusd"] == 2100
    assert messages[4]["x"]["done"].keys() == {"cost_usd", "usage"}
    kept = messages[4]["x"]["response"]["raw_response"]
    assert kept.keys() == {"stream_file", "usage"}, "what repeats the events is told once"
    assert draft.issues["tool-call-id-lost"][0] == 1
    assert "usage-differs" not in draft.issues


def test_every_event_and_the_envelope_are_counted() -> None:
    result = imported(McpCoder(), RESPONSES / "response_2026-03-01T10-00-01.json")
    assert result.counts == (10, 9, 1, 0)


def test_a_history_of_langchain_is_this_turn_and_what_was_before_it() -> None:
    draft, messages = fixture("response_2026-04-10T12-00-00.json")
    assert [m.get("kind") for m in messages] == [None, "context", None, "meta"]
    assert len(messages[1]["parts"][0]["record"]["history"]) == 6
    assert text(messages[2]) == "There is no b.txt."
    assert bill(messages) == {"input_tokens": 180, "output_tokens": 9}, "earlier turns are billed by themselves"
    assert draft.title == "Thanks. And b.txt?"


def test_tokens_of_langchain_include_the_cache_and_those_of_claude_do_not() -> None:
    counts = {"input_tokens": 100, "cache_read_input_tokens": 80, "output_tokens": 1}
    for provider, total in (("langchain", 100), ("claude", 180)):
        made = turn(response(provider=provider, raw_response={"usage": counts}))
        assert read(made)[1][1]["usage"]["input_tokens"] == total


def test_records_of_copilot_are_kept_and_its_text_is_the_answer() -> None:
    _, messages = fixture("response_2026-06-01T09-00-00.json")
    assert [m["kind"] for m in messages[1:3]] == ["meta", "meta"]
    assert text(messages[3]) == "Hello." and messages[3]["usage"] == {"output_tokens": 4}


def test_an_answer_alone_has_no_prompt() -> None:
    draft, messages = imported(McpCoder(), FIXTURES / "answers" / "answer.json").one()
    assert list(draft.issues) == ["prompt-missing"]
    assert text(messages[0]) == "Grüße" and messages[0]["model"] == "gemini-2.5-pro"
    assert messages[0]["x"]["time"]["raw"] == "2026-04-11T07:00:00"


def test_an_answer_is_the_same_whether_it_was_stored_with_its_turn_or_alone() -> None:
    alone, within = read(response())[1][0], read(turn(response()))[1][1]
    assert {**alone, "id": ""} == {**within, "id": ""}


def test_an_artifact_of_mlflow_is_the_stored_turn() -> None:
    artifact = next(FIXTURES.rglob("step_0_conversation.json"))
    assert (
        imported(McpCoder(), artifact).sessions
        == imported(McpCoder(), RESPONSES / "response_2026-03-01T10-00-01.json").sessions
    )


def test_a_step_of_a_workflow_says_where_it_ran() -> None:
    draft, messages = imported(McpCoder(), next(FIXTURES.rglob("*_initial_analysis.json"))).one()
    assert draft.native_id == CLI and draft.git == {"branch": "123-shop"}
    assert messages[-1]["parts"][0]["record"]["metadata"]["step_name"] == "initial_analysis"


def test_a_comprehensive_transcript_is_a_turn_with_its_prompt() -> None:
    draft, messages = imported(McpCoder(), next(FIXTURES.rglob("*_comprehensive.json"))).one()
    assert draft.native_id == SDK and text(messages[0]) == "Fix it."
    assert messages[0]["x"]["time"]["raw"] == "2025-10-04T21:17:10.821752"
    about = messages[-1]["parts"][0]["record"]
    assert about["step"] == 1 and about["conversation_markdown"]["heading"].startswith("# Mypy Fix Attempt 1\n")
    assert "prompt-missing" not in draft.issues


def test_a_transcript_that_says_something_else_is_kept_whole() -> None:
    markdown = (
        "# T\n\n## Prompt Sent to LLM:\nGo\n\n## LLM Response:\nother\n\n---\nGenerated on: 2025-10-04T21:17:10\n"
    )
    made = {
        "step": 1,
        "type": None,
        "conversation_markdown": markdown,
        "llm_response_data": {"text": "x", "session_id": "s"},
    }
    _, messages, _ = read(made)
    assert messages[-1]["parts"][0]["record"]["conversation_markdown"] == markdown
    made["conversation_markdown"] = "nothing of the kind"
    assert "prompt-missing" in read(made)[0].issues


def test_a_text_that_differs_from_the_messages_is_kept_beside_them() -> None:
    events = [{"type": "text_delta", "text": "a"}]
    draft, messages, _ = read(turn(response(text="b", raw_response={"events": events})))
    assert [text(m) for m in messages if m["role"] == "assistant"] == ["a", "b"]
    assert "answer-differs" in draft.issues


def test_what_only_looks_like_a_repetition_is_kept() -> None:
    events = [{"type": "tool_use_start", "name": "f", "args": {}}, {"type": "done", "result": "other"}]
    raw = {"events": events, "tool_trace": [{"tool": "f"}], "system": {"a": 1}}
    answer = read(turn(response(raw_response=raw)))[1][1]
    assert answer["x"]["done"] == {"result": "other"}
    assert [m for m in read(turn(response(raw_response=raw)))[1] if "tool_trace" in str(m) and "{'a': 1}" in str(m)]


def test_figures_that_contradict_each_other_are_reported_and_not_added() -> None:
    raw = {"events": [{"type": "text_delta", "text": "4"}, {"type": "done", "usage": {"output_tokens": 9}}]}
    draft, messages, _ = read(turn(response(raw_response=raw | {"usage": {"output_tokens": 5}})))
    assert bill(messages) == {"output_tokens": 9}
    assert "usage-differs" in draft.issues


def test_what_has_no_name_is_kept() -> None:
    made = turn(response(extra={"a": 1}, raw_response={"odd": [1]}), more="m") | {"root": True}
    _, messages, _ = read(made)
    assert messages[1]["x"]["response"]["extra"] == {"a": 1}
    assert messages[1]["x"]["response"]["raw_response"] == {"odd": [1]}
    record = messages[-1]["parts"][0]["record"]
    assert record["root"] is True and record["metadata"]["more"] == "m"


@pytest.mark.parametrize("answer", ["only a text", None, {}, {"text": 5}, {"raw_response": "x", "text": "y"}])
def test_answers_of_other_shapes_are_kept(answer: Any) -> None:
    _, messages, counts = read(turn(answer))
    assert counts[0] == 3
    held = json.dumps(messages[1:])
    assert all(json.dumps(value) in held for value in (answer.values() if isinstance(answer, dict) else [answer]))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
def test_a_torn_document_is_refused(part: float) -> None:
    data = (RESPONSES / "response_2025-09-25T14-03-09.json").read_bytes()
    with pytest.raises(Unparsable):
        list(McpCoder().read(Source.of(data[: int(len(data) * part)], "response.json")))


# -- Python text -------------------------------------------------------------------------------------------------------


def test_a_text_of_python_is_read_without_being_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for hostile in (
        f"__import__('pathlib').Path({str(target)!r}).touch()",
        f"SystemMessage(subtype=open({str(target)!r}, 'w'), data={{}})",
        "AssistantMessage(content=[].append(1))",
        "AssistantMessage(content=[x for x in (1,)])",
        "AssistantMessage(content=1+1)",
        "AssistantMessage(content=f'{1}')",
        "AssistantMessage('positional')",
        "AssistantMessage(content=b'x')",
        "AssistantMessage(content='x'",
        "AssistantMessage(content='x') AssistantMessage(content='x')",
        "AssistantMessage(content=1, content=2)",
        "AssistantMessage(content=<object>)",
        "AssistantMessage(content=nan)",
        "AssistantMessage(content={1: 2})",
        "AssistantMessage(content={'__class__': 'TextBlock'})",
        "'only a text'",
        "",
        "(" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "-" * 100_000 + "1",
        "AssistantMessage(content='" + "\\" * 99_999,
        "AssistantMessage(content='\\N{no such name}')",
    ):
        assert sdk_record(hostile) is None, hostile[:60]
    assert not target.exists()


def test_all_that_a_text_may_consist_of_is_read() -> None:
    found = sdk_record(
        "SystemMessage(subtype='x', "
        "data={'a': [1, -2.5, 1e-06, True, None], 'b': ('t',), 'c': {}, 'd': \"it's\", 'e': []})"
    )
    assert found == {
        "type": "system",
        "subtype": "x",
        "data": {"a": [1, -2.5, 1e-06, True, None], "b": ["t"], "c": {}, "d": "it's", "e": []},
    }
    assert sdk_record("ResultMessage(n=" + "9" * 30 + ", m=1e999)") == {"type": "result", "n": "9" * 30, "m": "1e999"}
    half = sdk_record("UserMessage(content='\\ud83d \\x41')")
    assert half is not None and half["message"]["content"] == "\ufffd A"


def test_objects_that_the_program_made_of_sdk_messages_are_read_too() -> None:
    made = {"type": "AssistantMessage", "content": [{"type": "text", "text": "Hi"}], "model": "m"}
    assert sdk_record(made) == {
        "type": "assistant",
        "message": {"content": [{"type": "text", "text": "Hi"}], "model": "m"},
    }
    assert sdk_record({"type": "assistant"}) is None and sdk_record({"role": "user"}) is None and sdk_record(5) is None


def test_many_and_long_texts_are_read_in_linear_time() -> None:
    deltas = [{"type": "text_delta", "text": "word "} for _ in range(100_000)]
    _, messages, counts = read(turn(response(text="word " * 100_000, raw_response={"events": deltas})))
    assert counts[0] == 100_003 and len(text(messages[1])) == 500_000
    record = sdk_record("AssistantMessage(content=[" + "TextBlock(text='x'), " * 50_000 + "TextBlock(text='y')])")
    assert record is not None and len(record["message"]["content"]) == 50_001

"""Kimi sessions of llm-mcp-server (`.kimi_sessions/*.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Head, Machine, Message, Source
from sessionstore.importers.kimi import Kimi
from sessionstore.importers.parsing import Unparsable

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "legacy" / "project" / ".kimi_sessions"
USER = {"role": "user", "content": "hello"}
BOT = {"role": "assistant", "content": "hi"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "clock:0", "type": "function", "function": {"name": "clock", "arguments": '{"a": 1}'}}],
}
TOOL = {"role": "tool", "tool_call_id": "clock:0", "content": "12:00"}


def document(*messages: Any, **fields: Any) -> dict[str, Any]:
    """A session as the program writes it, with `fields` changed; a field given as `...` is left out."""
    made = {
        "session_id": "api-design_20250712_2100",
        "messages": list(messages),
        "metadata": {"created": "2025-07-12T21:00:00", "topics": ["api", "design"]},
        "created": "2025-07-12T21:00:00",
        "last_accessed": "2025-07-12T21:05:11.713738",
        "message_count": len(messages),
        "topics": ["api", "design"],
    } | fields
    return {name: value for name, value in made.items() if value is not ...}


def read(made: Any, name: str = "api-design_20250712_2100.json") -> tuple[Draft, list[Message], Source]:
    """Read a document that is written as the program writes it."""
    source = Source.of(json.dumps(made, indent=2).encode("ascii"), name)
    messages = [message for _, message in Kimi().read(source)]
    source.settle()
    assert source.account.adds_up
    return source.drafts[0], messages, source


def fixture(name: str) -> tuple[Draft, list[Message]]:
    """Read a fixture."""
    source = Source.of((FIXTURES / f"{name}.json").read_bytes(), f"{name}.json")
    messages = [message for _, message in Kimi().read(source)]
    return source.drafts[0], messages


def recognised(made: Any) -> bool:
    """Whether a document is taken for a Kimi session."""
    return Kimi().recognise(Head("x.json", json.dumps(made).encode(), True))


def test_fixtures_are_written_as_the_program_writes_them() -> None:
    files = sorted(FIXTURES.glob("*.json"))
    assert len(files) == 6
    for path in files:
        data = path.read_bytes()
        value = json.loads(data)
        assert json.dumps(value, indent=2).encode("ascii") == data
        assert path.stem == value["session_id"]


def test_a_session_keeps_its_fields_and_messages() -> None:
    draft, messages = fixture("api-design_20250712_2100")
    assert draft.native_id == "api-design_20250712_2100"
    assert draft.aliases == ["migrated_api-design_20250712_2100"]
    assert draft.title == "héllo 你好 😀"
    assert draft.created_at is None and draft.updated_at is None
    assert draft.x == {
        "created_at": {"raw": "2025-07-12T21:00:00", "precision": "s", "zone": "unknown"},
        "updated_at": {"raw": "2025-07-12T21:05:11.713738", "precision": "us", "zone": "unknown"},
        "topics": ["api", "design"],
        "metadata": {"created": "2025-07-12T21:00:00", "topics": ["api", "design"]},
        "message_count": 4,
    }
    assert messages == [
        {"id": "m1", "role": "system", "parts": [{"type": "text", "content": "You are terse."}]},
        {"id": "m2", "role": "user", "parts": [{"type": "text", "content": "héllo 你好 😀\nWhat time is it?"}]},
        {
            "id": "m3",
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "get_current_time:0", "name": "get_current_time", "arguments": "{}"}],
        },
        {
            "id": "m4",
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "get_current_time:0", "response": "2025-07-12 21:00:01"}],
        },
    ]


def test_the_envelope_is_a_record_of_its_own() -> None:
    account = read(document(USER, BOT))[2].account
    assert (account.records, account.mapped, account.preserved) == (3, 3, 0)


def test_an_answer_that_was_never_stored_is_reported() -> None:
    draft, _ = fixture("api-design_20250712_2100")
    assert list(draft.issues) == ["history-ends-with-tool"]
    assert list(read(document(USER, CALL, TOOL, USER, BOT))[0].issues) == ["answer-after-tool-missing"]
    assert not read(document(USER, CALL, TOOL, BOT))[0].issues


def test_tool_calls_are_paired_by_position_because_their_ids_repeat() -> None:
    assert not read(document(USER, CALL, TOOL, BOT, USER, CALL, TOOL, BOT))[0].issues
    draft, messages = fixture("clock-and-weather_20250712_2210")
    assert {code: count for code, (count, _) in draft.issues.items()} == {
        "answer-after-tool-missing": 3,
        "dangling-tool-call": 1,
    }
    assert [part["id"] for part in messages[7]["parts"]] == ["get_weather:0", "get_weather:1"]
    assert [part["type"] for part in messages[1]["parts"]] == ["text", "tool_call"]


def test_arguments_stay_the_text_they_were() -> None:
    assert read(document(CALL))[1][0]["parts"][0]["arguments"] == '{"a": 1}'


def test_a_tool_result_without_its_call_is_kept_and_reported() -> None:
    draft, messages, _ = read(document(TOOL, BOT))
    assert list(draft.issues) == ["orphan-tool-message"]
    assert messages[0]["parts"][0]["response"] == "12:00"


def test_a_call_without_a_result_is_kept_and_reported() -> None:
    draft, messages, _ = read(document(USER, CALL, USER, BOT))
    assert draft.issues["dangling-tool-call"][0] == 1
    assert len(messages) == 4
    assert list(read(document(USER, CALL))[0].issues) == ["dangling-tool-call"]


def test_an_empty_text_is_a_part_unless_tool_calls_stand_for_it() -> None:
    assert read(document(BOT | {"content": ""}))[1][0]["parts"] == [{"type": "text", "content": ""}]
    assert [part["type"] for part in read(document(CALL))[1][0]["parts"]] == ["tool_call"]
    assert read(document(BOT | {"content": None}))[1][0]["parts"] == []


def test_a_full_window_says_that_older_messages_may_be_lost() -> None:
    assert "window-truncated" in read(document(*[USER, BOT] * 25))[0].issues
    assert "window-truncated" in read(document({"role": "system", "content": "be brief"}, *[USER, BOT] * 25))[0].issues
    assert not read(document(*[USER, BOT] * 24, USER))[0].issues
    draft, messages = fixture("refactor-model-agnostic-sessions_20250712_2126")
    assert set(draft.issues) >= {"window-truncated", "orphan-tool-message"}
    assert [message["role"] for message in messages[:2]] == ["system", "tool"]
    assert len(messages) == 51
    assert Kimi.window == 50


def test_a_prefilled_beginning_is_marked_and_its_repetition_reported() -> None:
    draft, messages = fixture("tale-opening_20250713_0905")
    assert messages[1]["kind"] == "prefill"
    assert "x" not in messages[1] and "kind" not in messages[2]
    assert messages[2]["parts"][0]["content"].startswith(messages[1]["parts"][0]["content"])
    assert draft.issues["prefill-repeated"][0] == 1
    other = read(document(USER, BOT | {"partial": True}, USER, BOT))[0]
    assert not other.issues


def test_partial_that_is_not_true_is_only_kept() -> None:
    message = read(document(BOT | {"partial": False}))[1][0]
    assert message["x"] == {"partial": False} and "kind" not in message


def test_a_wrong_message_count_is_reported() -> None:
    draft = read(document(USER, BOT, message_count=7))[0]
    assert draft.issues == {"message-count-differs": [1, "message_count is 7, the file holds 2 messages"]}
    assert draft.x["message_count"] == 7


def test_two_creation_times_are_both_kept_and_reported() -> None:
    draft = read(document(USER, metadata={"created": "2025-07-11T00:00:00"}))[0]
    assert list(draft.issues) == ["creation-time-contradiction"]
    assert draft.x["created_at"]["raw"] == "2025-07-12T21:00:00"
    assert draft.x["metadata"]["created"] == "2025-07-11T00:00:00"


def test_the_id_inside_wins_over_the_name_of_the_file() -> None:
    draft = read(document(USER), "renamed.json")[0]
    assert draft.native_id == "api-design_20250712_2100"
    assert draft.aliases == ["renamed", "migrated_renamed"]
    assert list(draft.issues) == ["id-differs-from-file-name"]


@pytest.mark.parametrize("session_id", ["../x", "a/b", "a b", "设计_20250712_2100", "@last_20250713_0000", "v1.2_x"])
def test_an_id_that_was_used_as_a_path_is_the_name_of_its_file(session_id: str) -> None:
    draft = read(document(USER, session_id=session_id), f".kimi_sessions/{session_id}.json")[0]
    assert draft.native_id == session_id
    assert not draft.issues


@pytest.mark.parametrize("wrong", [None, 5, "", "  ", [], ...])
def test_a_session_without_an_id_is_named_after_its_file(wrong: Any) -> None:
    draft = read(document(USER, session_id=wrong), "notes.json")[0]
    assert draft.native_id == "notes"
    assert "id-missing" in draft.issues
    with pytest.raises(Unparsable, match="no session id"):
        read(document(USER, session_id=wrong), "")


@pytest.mark.parametrize("wrong", [None, 5, "text", {"a": 1}, ...])
def test_a_session_without_a_list_of_messages_is_read_and_reported(wrong: Any) -> None:
    draft, messages, source = read(document(messages=wrong, message_count=0))
    assert messages == []
    assert "messages-missing" in draft.issues
    assert source.account.records == 1
    assert draft.x.get("messages", ...) == wrong


@pytest.mark.parametrize("record", [None, 5, "text", [], {}, {"role": "narrator"}, {"role": []}, USER | {"content": 5}])
def test_a_record_that_is_no_message_is_preserved_in_its_place(record: Any) -> None:
    _, messages, source = read(document(USER, record, BOT))
    assert messages[1]["kind"] == "meta"
    assert messages[1]["parts"] == [
        {"type": "record", "record": record if isinstance(record, dict) else {"value": record}}
    ]
    assert (source.account.mapped, source.account.preserved) == (3, 1)
    assert [message["id"] for message in messages] == ["m1", "m2", "m3"]


def test_fields_without_a_name_in_the_model_are_kept() -> None:
    draft, messages, _ = read(document(USER | {"name": "ann", "weight": [1]}, owner={"team": 5}, created_at="before"))
    assert messages[0]["x"] == {"name": "ann", "weight": [1]}
    assert draft.x["owner"] == {"team": 5}
    assert draft.x["record"] == {"created_at": "before"}


def test_what_is_no_time_is_kept_as_it_was() -> None:
    draft = read(document(USER, created="yesterday", last_accessed=5, metadata={}))[0]
    assert draft.x["created"] == "yesterday" and draft.x["last_accessed"] == 5
    assert "created_at" not in draft.x


def test_a_time_with_an_offset_is_stated() -> None:
    draft = read(document(USER, created="2025-07-12T21:00:00+02:00", metadata={}))[0]
    assert draft.created_at == "2025-07-12T21:00:00+02:00"
    assert "created_at" not in draft.x and "created" not in draft.x


@pytest.mark.parametrize(
    ("raw", "precision"),
    [
        ("2025-07-12T21:00:00.713738", "us"),
        ("2025-07-12T21:00:00.713", "ms"),
        ("2025-07-12T21:00:00", "s"),
        ("2025-07-12 21:00", "min"),
        ("2025-07-12", "day"),
    ],
)
def test_a_local_time_keeps_its_precision(raw: str, precision: str) -> None:
    kept = read(document(USER, created=raw, metadata={}))[0].x["created_at"]
    assert kept == {"raw": raw, "precision": precision, "zone": "unknown"}


@pytest.mark.parametrize(
    "raw",
    [
        "2025-13-12T21:00:00",
        "2025-02-30",
        "2025-07-12T21:00:00.",
        "٢٠٢٥-07-12",
        "2025-07-12Z",
        "2025-07-12T21:00Z",
        "2025-07-12 21:00:00Z",
    ],
)
def test_no_time_is_made_of_what_is_none(raw: str) -> None:
    assert read(document(USER, created=raw, metadata={}))[0].x["created"] == raw


def test_the_title_is_the_first_line_of_the_first_prompt() -> None:
    assert read(document(BOT, {"role": "user", "content": " \n\n  plan it \nnow"}))[0].title == "plan it"
    assert read(document({"role": "user", "content": "x" * 500}))[0].title == "x" * 120
    assert read(document({"role": "user", "content": "\n"}, USER))[0].title == "hello"
    assert read(document(BOT))[0].title is None


def test_content_of_parts_is_mapped_part_by_part() -> None:
    image = "iVBORw0KGgo="
    parts = [
        {"type": "text", "text": "look", "cache": 1},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        {"type": "tool_call", "id": 5},
        "bare",
        7,
    ]
    assert read(document(USER | {"content": parts}))[1][0]["parts"] == [
        {"type": "text", "content": "look", "cache": 1},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": image, "detail": "low"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
        {"type": "uri", "modality": "image", "uri": "data:image/png;base64,%%%"},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        {"type": "record", "record": {"type": "tool_call", "id": 5}},
        {"type": "text", "content": "bare"},
        {"type": "record", "record": {"value": 7}},
    ]


def test_tool_calls_of_another_shape_are_kept_as_records() -> None:
    good: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"n": 1}}}
    odd = [None, {"id": "a"}, good | {"type": "custom"}, good | {"id": 5}, good | {"function": {"name": "f"}}]
    extra = good | {"index": 0, "function": {"name": "f", "arguments": "", "strict": True}}
    parts = read(document(BOT | {"tool_calls": [*odd, good, extra]}))[1][0]["parts"][1:]
    assert [part["type"] for part in parts] == ["record"] * 5 + ["tool_call"] * 2
    assert [part["record"] for part in parts[1:5]] == odd[1:]
    assert parts[5] == {"type": "tool_call", "id": "a", "name": "f", "arguments": {"n": 1}}
    assert parts[6] == {
        "type": "tool_call",
        "id": "a",
        "name": "f",
        "arguments": "",
        "index": 0,
        "function": {"strict": True},
    }


def test_reasoning_of_newer_models_is_a_part_of_its_own() -> None:
    parts = read(document(BOT | {"reasoning_content": "hm"}))[1][0]["parts"]
    assert parts == [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"}]


@pytest.mark.parametrize("value", [[], [1], "text", 5, None])
def test_a_document_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(Unparsable, match="not a JSON object"):
        read(value)


@pytest.mark.parametrize("data", [b"", b'{"session_id": "x", "messages": [{"role"', b"\0\0\0"])
def test_a_file_cut_off_while_it_was_written_is_refused(data: bytes) -> None:
    with pytest.raises(Unparsable):
        list(Kimi().read(Source.of(data, "x.json")))


def test_only_documents_of_this_program_are_recognised() -> None:
    assert recognised(document(USER))
    assert recognised(document(USER, last_accessed=...))
    assert recognised(document(USER, topics=..., last_accessed=...))
    assert recognised(document(messages=None))
    assert not recognised(document(messages=...))
    assert not recognised(document(session_id=...))
    # what another agent writes: an id, messages and their count, but no metadata and no creation time
    assert not recognised({"session_id": "x", "model": "m", "session_start": "t", "message_count": 1, "messages": []})
    assert not recognised([document(USER)])
    assert not Kimi().recognise(Head("x.json", b'{"session_id": "x"', True))


def test_sessions_are_looked_for_upwards_and_at_home() -> None:
    machine = Machine(home=Path("/home/ann"), cwd=Path("/home/ann/code/app"))
    roots = [str(place.root) for place in Kimi().places(machine)]
    assert roots == [
        f"{directory}/.kimi_sessions".replace("//", "/")
        for directory in ("/home/ann/code/app", "/home/ann/code", "/home/ann", "/home", "/")
    ]
    outside = [str(place.root) for place in Kimi().places(Machine(home=Path("/home/ann"), cwd=Path("/srv")))]
    assert outside == ["/srv/.kimi_sessions", "/.kimi_sessions", "/home/ann/.kimi_sessions"]


@pytest.mark.samples
def test_no_sample_of_another_program_is_taken_for_a_kimi_session(samples: Path) -> None:
    files = [path for path in samples.rglob("*.json*") if path.is_file()]
    assert files
    for path in files:
        data = path.read_bytes()
        assert not Kimi().recognise(Head(path.name, data, True)), path

"""OpenAI chat messages: one conversation a line, an array of them, one object, or one array of messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Head, Source
from sessionstore.importers.openai_messages import OpenaiMessages
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate import finding
from tests.importers.support import FORMATS, imported, recognised, roles, text

FIXTURES = FORMATS / "openai-messages"
USER = {"role": "user", "content": "Hello"}
BOT = {"role": "assistant", "content": "Hi."}
TALK = {"messages": [USER, BOT]}
IMPORTER = OpenaiMessages()


def lines(*values: Any) -> bytes:
    """Values as JSON, one a line."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def takes(value: Any, name: str = "x.json") -> bool:
    """Whether a document is recognised."""
    return recognised(IMPORTER, json.dumps(value).encode(), name)


def test_every_line_is_a_session_named_by_its_content() -> None:
    read = imported(IMPORTER, FIXTURES / "fine-tune.jsonl")
    assert read.counts == (6, 6, 0, 0)
    ids = list(read.sessions)
    assert len(ids) == 6
    assert ids[4] == f"{ids[0]}-2"
    assert read.sessions[ids[0]] == read.sessions[ids[4]]
    assert [draft.title for draft in read.source.drafts][:3] == [
        "What is a fathom?",
        "Weather in Oslo? ☔",
        "Weather in Rome?",
    ]
    first = read.sessions[ids[0]]
    assert roles(first) == ["system", "user", "assistant", "user", "assistant"]
    assert [message["id"] for message in first] == ["m1", "m2", "m3", "m4", "m5"]
    assert [message.get("x") for message in first[2::2]] == [{"weight": 0}, {"weight": 1}]


def test_a_name_does_not_depend_on_white_space_order_or_place() -> None:
    (once,) = imported(IMPORTER, lines(TALK), "a.jsonl").sessions
    other = {"messages": [{"content": "Hello", "role": "user"}, BOT]}
    assert list(imported(IMPORTER, json.dumps([other], indent=3).encode(), "b.json").sessions) == [once]
    assert list(imported(IMPORTER, lines({"messages": [USER]}, TALK), "c.jsonl").sessions)[1] == once


def test_tools_developers_and_calls() -> None:
    read = imported(IMPORTER, FIXTURES / "fine-tune.jsonl")
    draft, messages = read.source.drafts[1], list(read.sessions.values())[1]
    assert draft.tools[0]["function"]["name"] == "get_weather"
    assert draft.x == {"parallel_tool_calls": False}
    assert not draft.issues
    assert messages[0]["role"] == "system" and messages[0]["x"] == {"role": "developer"}
    call = {"type": "tool_call", "id": "call_a1", "name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert messages[2]["parts"] == [call]
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "call_a1", "response": "rain, 4 °C"}]


def test_functions_of_the_first_generation() -> None:
    read = imported(IMPORTER, FIXTURES / "fine-tune.jsonl")
    draft, messages = read.source.drafts[2], list(read.sessions.values())[2]
    assert [tool["name"] for tool in draft.tools] == ["get_weather"]
    call = {"type": "tool_call", "id": "", "name": "get_weather", "arguments": '{"city": "Rome"}'}
    assert messages[1] == {"id": "m2", "role": "assistant", "parts": [call]}
    assert (messages[2]["role"], messages[2]["x"]) == ("tool", {"name": "get_weather", "role": "function"})
    assert list(draft.issues) == ["tool-call-id-lost"]


def test_pictures_sound_and_files() -> None:
    read = imported(IMPORTER, FIXTURES / "fine-tune.jsonl")
    draft, messages = read.source.drafts[3], list(read.sessions.values())[3]
    assert messages[0]["parts"][1:] == [
        {"type": "uri", "modality": "image", "uri": "https://example.org/buoy.png", "detail": "low"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "data": "UklGRg=="},
        {"type": "file", "file_id": "file-abc123"},
        {
            "type": "blob",
            "modality": "application",
            "mime_type": "application/pdf",
            "data": "JVBERi0=",
            "filename": "chart.pdf",
        },
    ]
    assert draft.aliases == ["7c9e6679-7425-40de-944b-e07fc1f90ae7"]
    assert draft.x["model"] == "gpt-4o"
    assert not any("model" in message for message in messages)


def test_parts_that_call_their_text_value() -> None:
    read = imported(IMPORTER, FIXTURES / "fine-tune.jsonl")
    draft, messages = read.source.drafts[5], list(read.sessions.values())[5]
    assert text(messages[0]) == "Think first."
    assert [part["type"] for part in messages[2]["parts"]] == ["reasoning", "tool_call"]
    assert messages[2]["parts"][1]["arguments"] == {"a": 2, "b": 2}
    assert draft.tools == [{"name": "add"}]


def test_an_array_of_conversations() -> None:
    read = imported(IMPORTER, FIXTURES / "array.json")
    assert read.counts == (2, 2, 0, 0)
    assert read.source.drafts[0].x == {"images": ["pictures/1.jpg"]}


def test_an_array_of_messages_is_one_session_with_the_name_of_its_file() -> None:
    read = imported(IMPORTER, FIXTURES / "saved.json")
    draft, messages = read.one()
    assert (draft.native_id, draft.title, read.counts) == ("saved", "Name a tree.", (5, 5, 0, 0))
    assert roles(messages) == ["system", "user", "assistant", "user", "assistant"]
    assert messages[3]["parts"][1]["type"] == "uri"


def test_one_conversation_counts_its_object_and_its_messages() -> None:
    read = imported(IMPORTER, FIXTURES / "request.json")
    draft, _ = read.one()
    assert (draft.native_id, read.counts) == ("request", (3, 3, 0, 0))
    assert draft.x == {"model": "gpt-4o-mini", "temperature": 0.2}
    own = {"id": "talk-7", "title": "Greetings", "messages": [USER, BOT, 5]}
    read = imported(IMPORTER, json.dumps(own).encode(), "exported.json")
    draft, messages = read.one()
    assert (draft.native_id, draft.aliases, draft.title, draft.x) == ("talk-7", ["exported"], "Greetings", {})
    assert read.counts == (4, 3, 1, 0)
    assert messages[2]["kind"] == "meta"


def test_an_object_in_one_line_is_a_document_until_a_second_line_follows() -> None:
    assert list(imported(IMPORTER, lines(TALK), "chat.json").sessions) == ["chat"]
    assert len(imported(IMPORTER, lines(TALK), "chat.jsonl").one()[0].native_id) == 32
    assert len(imported(IMPORTER, lines(TALK, TALK), "chat.json").sessions) == 2


def test_block_sizes_change_nothing() -> None:
    data = b"\xef\xbb\xbf\n" + lines(TALK, {"messages": [BOT]})
    for size in (1, 2, 7, 64):
        source = Source("chat.json", [data[at : at + size] for at in range(0, len(data), size)])
        assert len(list(IMPORTER.read(source))) == 3
        assert len(source.drafts) == 2


def test_lines_that_are_no_conversation_are_rejected_and_the_rest_is_read() -> None:
    read = imported(IMPORTER, lines(TALK, {"messages": []}, {"a": 1}, 5) + b'{"messages":[{"ro', "x.jsonl")
    assert read.counts == (5, 1, 0, 4)
    reasons = [reason for _, reason in read.source.account.rejected]
    assert reasons[:3] == ["neither a conversation nor a message"] * 2 + ["not a JSON object"]
    assert "torn-last-line" in read.source.drafts[0].issues


def test_messages_of_another_shape_are_kept_verbatim() -> None:
    odd = [USER, "text", {"role": "narrator", "content": "x"}, {"role": "user", "content": {"a": 1}}, BOT]
    _, messages = imported(IMPORTER, lines({"messages": odd}), "x.jsonl").one()
    assert [message.get("kind") for message in messages] == [None, "meta", "meta", "meta", None]
    assert messages[1]["parts"] == [{"type": "record", "record": {"value": "text"}}]
    assert messages[2]["parts"] == [{"type": "record", "record": odd[2]}]


def test_calls_of_the_wrong_shape_beside_a_result_are_kept() -> None:
    tool = {"role": "tool", "content": "1", "tool_call_id": "c", "tool_calls": [5, {"function": {"name": 1}}]}
    draft, messages = imported(IMPORTER, lines({"messages": [USER, tool]}), "x.jsonl").one()
    assert [part["type"] for part in messages[1]["parts"]] == ["tool_call_response", "record", "record"]
    assert "orphan-tool-message" in draft.issues


def test_a_document_without_messages_cannot_be_read() -> None:
    for document in ({"messages": 5}, {}, 5):
        with pytest.raises(Unparsable):
            imported(IMPORTER, json.dumps(document).encode(), "x.json")


@pytest.mark.parametrize(
    "value",
    [
        TALK,
        [USER, BOT],
        [TALK, TALK | {"source": "forum"}],
        {"model": "m", "messages": [USER]},
        [{"role": "system", "content": [{"type": "text", "text": "x"}]}, {"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    ],
)
def test_what_is_recognised(value: Any) -> None:
    assert takes(value)


BLOCKS = [{"type": "text", "text": "x"}]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"messages": []},
        [5],
        [{"role": "user"}],
        [{"role": "human", "content": "x"}, {"role": "ai", "content": "y"}],
        [USER | {"id": "msg_1"}, BOT],
        [USER | {"timestamp": "2026-01-01"}],
        [USER | {"ts": 1}],
        [{"role": "user", "content": BLOCKS}, {"role": "assistant", "content": BLOCKS}],
        [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}],
        [{"type": "human", "data": {"content": "x"}}],
        {"id": "x", "version": "1.0", "models_used": [], "messages": [USER]},
        {"session_id": "x", "messages": [USER], "topics": []},
        {"metadata": {"session_id": "x"}, "messages": [USER]},
        {"version": "1.0", "exported_at": "2026-01-01T00:00:00Z", "messages": [USER]},
        {"conversationId": "x", "messages": [USER]},
        {"sessionId": "x", "projectHash": "y", "messages": [USER]},
        {"chat_messages": [], "messages": [USER]},
        [{"mapping": {}, "messages": [USER]}],
        {"conversations": [USER]},
    ],
)
def test_what_is_somebody_elses(value: Any) -> None:
    assert not takes(value)
    assert not takes(value, "x.jsonl")


def test_a_system_prompt_beside_the_messages() -> None:
    asked = {"system": "Be brief.", "model": "m", "max_tokens": 1, "messages": [USER]}
    assert takes(asked, "x.jsonl")
    assert not takes(asked), "another provider's request"
    draft, _ = imported(IMPORTER, lines(asked), "x.jsonl").one()
    assert draft.system == [{"type": "text", "content": "Be brief."}]
    assert draft.x == {"model": "m", "max_tokens": 1}


def test_lines_that_are_messages_are_read_only_when_the_format_is_named() -> None:
    data = lines(USER, BOT)
    head = Head("log.jsonl", data, True)
    assert not IMPORTER.recognise(head)
    assert IMPORTER.accepts(head)
    assert finding.recognise(head, [IMPORTER]) is IMPORTER
    with pytest.raises(Unparsable):
        finding.recognise(head, all_importers().values())
    draft, messages = imported(IMPORTER, data, "log.jsonl").one()
    assert (draft.native_id, len(messages)) == ("log", 2)


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_a_first_record_longer_than_the_head_is_recognised(name: str) -> None:
    long = {"messages": [{"role": "user", "content": "x" * 100_000}, BOT]}
    assert recognised(IMPORTER, lines(long, TALK), name)
    assert recognised(IMPORTER, lines(long), name)
    assert recognised(IMPORTER, json.dumps([long, TALK]).encode(), name)


def test_a_file_without_the_words_of_a_message_is_never_loaded() -> None:
    def every() -> list[bytes]:
        raise AssertionError("loaded")

    for start in (b'{"a":', b"[[", b"", b"\x00", b'{"role":"', b'[{"content":"'):
        assert not IMPORTER.recognise(Head("x.json", start + b"x" * 60_000, False, every))


def test_an_array_cut_anywhere_is_read_to_the_cut_or_refused() -> None:
    data = (FIXTURES / "array.json").read_bytes()
    for end in range(0, len(data), 37):
        try:
            imported(IMPORTER, data[:end], "x.json")
        except Unparsable as error:
            assert str(error)


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    files = [path for path in sorted((samples / "openai-messages").rglob("*")) if path.is_file()]
    assert files
    for path in files:
        assert [name for name, other in all_importers().items() if recognised(other, path)] == ["openai-messages"]
        read = imported(IMPORTER, path)
        assert read.counts[0] == read.counts[1] == len(read.sessions)
        assert all(message.get("kind") != "meta" for messages in read.sessions.values() for message in messages)

"""ShareGPT conversations in lines and arrays, with the aliases that are about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.parsing import Unparsable
from sessionstore.importers.sharegpt import MEANS, Sharegpt
from tests.importers.support import FORMATS, imported, recognised, roles, text

FIXTURES = FORMATS / "sharegpt"
HUMAN = {"from": "human", "value": "Hello"}
GPT = {"from": "gpt", "value": "Hi."}
IMPORTER = Sharegpt()


def lines(*values: Any) -> bytes:
    """Values as JSON, one a line."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_a_line_is_a_session() -> None:
    read = imported(IMPORTER, FIXTURES / "conversations.jsonl")
    assert read.counts == (5, 5, 0, 0)
    draft, messages = read.source.drafts[0], next(iter(read.sessions.values()))
    assert (draft.title, draft.x, draft.aliases) == ("What is a lichen?", {"id": "hCk2bXe_0"}, [])
    assert roles(messages) == ["system", "user", "assistant"]
    assert messages[2] == {
        "id": "m3",
        "role": "assistant",
        "parts": [{"type": "text", "content": "A fungus and an alga living together."}],
        "x": {"weight": 1},
    }


def test_calls_results_tools_and_system() -> None:
    read = imported(IMPORTER, FIXTURES / "conversations.jsonl")
    draft, messages = read.source.drafts[1], list(read.sessions.values())[1]
    assert draft.tools == [{"name": "convert", "parameters": {}}]
    assert draft.system == [{"type": "text", "content": "You convert money."}]
    assert roles(messages) == ["user", "assistant", "tool", "assistant"]
    call = {"type": "tool_call", "id": "", "name": "convert", "arguments": {"amount": 10, "to": "EUR"}}
    assert messages[1]["parts"] == [call]
    assert messages[2]["parts"] == [{"type": "tool_call_response", "id": "", "response": '{"amount": 9.2}'}]
    assert not any("x" in message for message in messages)


def test_roles_need_not_alternate_and_unusual_names_are_kept() -> None:
    messages = list(imported(IMPORTER, FIXTURES / "conversations.jsonl").sessions.values())[2]
    assert roles(messages) == ["user", "user", "assistant", "assistant"]
    assert [message.get("x") for message in messages] == [None, None, {"from": "bard"}, {"from": "chatgpt"}]


def test_other_names_of_the_keys() -> None:
    read = imported(IMPORTER, FIXTURES / "conversations.jsonl")
    draft, messages = read.source.drafts[3], list(read.sessions.values())[3]
    assert [text(message) for message in messages] == ["Ping", "Pong"]
    assert draft.x["model"] == "vicuna-13b" and not any("model" in message for message in messages)


def test_a_call_that_is_no_json_stays_text_and_an_unknown_speaker_a_record() -> None:
    messages = list(imported(IMPORTER, FIXTURES / "conversations.jsonl").sessions.values())[4]
    assert text(messages[1]) == "convert(10)" and messages[1]["x"] == {"from": "function_call"}
    assert messages[2]["x"] == {"from": "tool"}
    assert messages[3]["kind"] == "meta"
    assert messages[3]["parts"] == [{"type": "record", "record": {"from": "narrator", "value": "Silence."}}]


def test_several_calls_in_one_turn() -> None:
    read = imported(IMPORTER, FIXTURES / "array.json")
    assert read.counts == (2, 2, 0, 0)
    draft, messages = read.source.drafts[1], list(read.sessions.values())[1]
    assert [part["name"] for part in messages[1]["parts"]] == ["a", "b"]
    assert draft.tools == [] and "tools" not in draft.x


def test_numbers_that_would_change_leave_a_call_as_text() -> None:
    value = '{"name": "f", "arguments": {"n": 123456789012345678901234567890}}'
    turns = [{"from": "function_call", "value": value}]
    _, messages = imported(IMPORTER, lines({"conversations": turns}), "x.jsonl").one()
    assert text(messages[0]) == value


def test_tools_that_cannot_be_read_stay_as_they_are() -> None:
    draft, _ = imported(IMPORTER, lines({"conversations": [HUMAN], "tools": "[{", "system": ""}), "x.jsonl").one()
    assert draft.tools == [] and draft.x == {"tools": "[{"}


def test_one_object_is_one_conversation() -> None:
    read = imported(IMPORTER, json.dumps({"conversations": [HUMAN, GPT]}, indent=1).encode(), "x.json")
    assert (read.counts, len(read.one()[1])) == ((1, 1, 0, 0), 2)
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{\n"conversations": 5}', "x.json")


def test_what_is_no_conversation_is_rejected() -> None:
    read = imported(IMPORTER, lines({"conversations": [HUMAN]}, {"conversations": []}, {"a": 1}), "x.jsonl")
    assert read.counts == (3, 1, 0, 2)


@pytest.mark.parametrize("role", sorted(MEANS))
def test_every_role_is_recognised_whatever_its_case(role: str) -> None:
    assert recognised(IMPORTER, lines({"conversations": [{"from": role.upper(), "value": "x"}]}), "x.jsonl")


@pytest.mark.parametrize(
    "value",
    [
        {"conversations": []},
        {"conversations": [5]},
        {"conversations": [{"from": "human", "value": 5}]},
        {"conversations": [{"from": "wizard", "value": "x"}]},
        {"conversations": [HUMAN], "messages": []},
        {"conversations": [{"role": "user", "content": "x", "id": "1"}]},
        {"session": {}, "items": [HUMAN]},
        {"items": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}]},
        [HUMAN, GPT],
    ],
)
def test_what_is_somebody_elses(value: Any) -> None:
    assert not recognised(IMPORTER, json.dumps(value).encode(), "x.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    files = [path for path in sorted((samples / "sharegpt").rglob("*")) if path.is_file()]
    assert files
    for path in files:
        assert [name for name, other in all_importers().items() if recognised(other, path)] == ["sharegpt"]
        read = imported(IMPORTER, path)
        assert read.counts[0] == read.counts[1] == len(read.sessions)
        turns = [message for messages in read.sessions.values() for message in messages]
        assert not any(message.get("kind") == "meta" for message in turns)
        calls = sum(part["type"] == "tool_call" for message in turns for part in message["parts"])
        results = sum(part["type"] == "tool_call_response" for message in turns for part in message["parts"])
        assert calls == results

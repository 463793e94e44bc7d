"""The session logs of pi, OpenClaw and OhMyPi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.pi import Pi
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

TREE, LIST = sorted((FORMATS / "pi" / ".pi").rglob("*.jsonl"))
CLAW = next((FORMATS / "pi" / ".openclaw").rglob("*.jsonl"))
HEADER = {"type": "session", "id": "s", "cwd": "/home/ann"}


def read(*records: Any, name: str = "a/2026_s.jsonl") -> Imported:
    """Read a log."""
    return imported(Pi(), b"".join(json.dumps(one).encode() + b"\n" for one in records), name, {})


def test_a_tree_of_entries_keeps_every_branch() -> None:
    result = imported(Pi(), TREE, companions={})
    draft, messages = result.one()
    assert result.counts == (15, 12, 3, 0)
    assert draft.native_id == "pi-1" and draft.aliases == ["2026-02-02T02-40-00-000Z_pi-1"]
    assert draft.title == "Books" and draft.cwd == "/home/ann/shelf-app" and draft.x == {"version": 3}
    assert draft.created_at == "2026-02-02T02:40:00.000Z"
    assert roles(messages[:7]) == ["system", "system", "user", "assistant", "tool", "tool", "user"]
    kinds = [message.get("kind") for message in messages if message["role"] == "system"]
    assert kinds == ["switch", "switch", "compaction", "context", "context", "meta", "meta", "meta"]
    by_id = {message["id"]: message for message in messages}
    assert "parent" not in by_id["e5"] and by_id["e6"]["parent"] == "e4"
    assert draft.active_leaf == "e14"
    assert by_id["e13"]["x"]["parentId"] == "e99" and draft.issues["parent-missing"][0] == 1


def test_thinking_calls_results_pictures_and_commands_are_parts() -> None:
    _, messages = imported(Pi(), TREE, companions={}).one()
    by_id = {message["id"]: message for message in messages}
    assert [part["type"] for part in by_id["e3"]["parts"]] == ["text", "blob"]
    thought, call = by_id["e4"]["parts"]
    assert thought == {"type": "reasoning", "content": "Count.", "signature": "c2ln"}
    assert call == {"type": "tool_call", "id": "t1", "name": "bash", "arguments": {"command": "wc"}}
    failed = {"type": "tool_call_response", "id": "t1", "response": "two", "is_error": True}
    assert by_id["e5"]["parts"] == [failed]
    assert "is_error" not in by_id["e6"]["parts"][0]
    assert by_id["e7"]["kind"] == "context" and by_id["e7"]["parts"][1]["response"] == "shelf.txt"
    assert by_id["e7"]["x"]["message"] == {"exitCode": 0}


def test_the_input_includes_the_cache_and_the_cost_is_exact() -> None:
    _, messages = imported(Pi(), TREE, companions={}).one()
    answer = next(message for message in messages if message["id"] == "e4")
    assert answer["usage"] == {
        "input_tokens": 112,
        "output_tokens": 30,
        "cache_read_tokens": 100,
        "cache_write_tokens": 10,
        "cost_microusd": 3000,
    }
    assert (answer["model"], answer["provider"], answer["finish_reason"]) == ("large-1", "anthropic", "toolUse")
    assert answer["time"] == "2026-02-02T02:40:04.000Z"


def test_a_log_of_version_1_is_a_list_and_names_what_it_was_branched_off() -> None:
    draft, messages = imported(Pi(), LIST, companions={}).one()
    assert draft.forked_from == {"key": "pi:pi-1", "relation": "fork"}
    assert [message["id"] for message in messages] == ["m1", "m2"] and draft.active_leaf is None
    assert messages[1]["finish_reason"] == "aborted" and messages[1]["x"]["message"]["errorMessage"] == "stopped"


def test_openclaw_names_the_session_and_the_call_as_what_an_entry_follows() -> None:
    draft, messages = imported(Pi(), CLAW, companions={}).one()
    assert roles(messages) == ["user", "assistant", "tool"]
    assert not draft.issues and not any("parent" in message for message in messages)


def test_a_malformed_line_is_rejected_and_the_rest_read() -> None:
    data = (
        json.dumps(HEADER).encode()
        + b"\nnot JSON\n"
        + json.dumps({"type": "message", "message": {"role": "user", "content": "x"}}).encode()
    )
    result = imported(Pi(), data, "s.jsonl", {})
    assert result.counts == (3, 2, 0, 1) and text(result.one()[1][0]) == "x"


def test_a_log_without_its_header_is_read_and_reported() -> None:
    result = read({"type": "message", "message": {"role": "user", "content": "x"}}, HEADER)
    draft, messages = result.one()
    assert draft.native_id == "2026_s" and "header-missing" in draft.issues
    assert len(messages) == 2 and messages[1]["kind"] == "meta"


@pytest.mark.parametrize("said", [None, 5, {}, {"role": []}, {"role": "user"}, {"role": "toolResult", "toolCallId": 5}])
def test_what_is_no_message_is_kept_verbatim(said: Any) -> None:
    record = {"type": "message", "id": "a", "parentId": 5, "message": said}
    result = read(HEADER, record)
    assert result.counts == (2, 1, 1, 0)
    assert result.one()[1][0]["parts"] == [{"type": "record", "record": record}]


def test_ids_that_repeat_are_made_unique() -> None:
    entry = {"type": "message", "id": "a", "parentId": "a", "message": {"role": "user", "content": "x"}}
    _, messages = read(HEADER, *[entry] * 3).one()
    assert [message["id"] for message in messages] == ["a", "a~2", "a~3"]


def test_growth_gives_what_one_read_gives() -> None:
    lines = TREE.read_bytes().splitlines(keepends=True)
    whole = imported(Pi(), TREE, companions={}).one()
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]), str(TREE))
        before = [message for _, message in Pi().read(first)]
        second = Source(str(TREE), [b"".join(lines[cut:])], account=first.account, resumed=first.resume)
        assert before + [message for _, message in Pi().read(second)] == whole[1]
        assert second.drafts[0].state() == whole[0].state()


@pytest.mark.parametrize("record", [{"type": "session_start", "cwd": "/"}, {"type": "session", "cwd": "/"}, {"a": 1}])
def test_other_records_are_not_recognised(record: Any) -> None:
    assert not recognised(Pi(), json.dumps(record).encode())


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    found = 0
    for folder in ("pi", "openclaw"):
        for path in sorted((samples / folder).rglob("*.jsonl")):
            assert recognised(Pi(), path), path
            assert imported(Pi(), path, companions={}).source.account.mapped
            found += 1
    assert found

"""Hermes Agent: sessions, gateway logs and the three exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionstore.importers.hermes import Hermes
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles

IMPORTER = Hermes()
SESSIONS = FORMATS / "hermes" / ".hermes" / "sessions"
EXPORTS = FORMATS / "hermes" / "exports"


def test_a_session() -> None:
    read = imported(IMPORTER, SESSIONS / "20260501_090000_kiln.json")
    draft, messages = read.one()
    assert read.counts == (6, 5, 1, 0)
    assert (draft.native_id, draft.cwd, draft.title) == (
        "20260501_090000_kiln",
        "/home/ada/src/kiln",
        "Is the kiln hot?",
    )
    assert draft.x["created_at"]["zone"] == "unknown" and draft.updated_at == "2026-05-01T09:05:00Z"
    assert draft.system == [{"type": "text", "content": "You are Hermes."}] and len(draft.tools) == 1
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "system"]


def test_reasoning_is_told_once_and_failed_tools_are_marked() -> None:
    messages = imported(IMPORTER, SESSIONS / "20260501_090000_kiln.json").one()[1]
    assert [part["type"] for part in messages[1]["parts"]] == ["reasoning", "text", "tool_call"]
    assert messages[2]["parts"][0]["is_error"] is True
    assert messages[3]["finish_reason"] == "stop" and messages[3]["parts"][0]["content"] == "No data."


def test_a_gateway_log() -> None:
    read = imported(IMPORTER, SESSIONS / "20260502_100000_0a0b0c0d.jsonl")
    draft, messages = read.one()
    assert read.counts == (3, 2, 1, 0)
    assert draft.native_id == "20260502_100000_0a0b0c0d" and len(draft.tools) == 1
    assert roles(messages) == ["system", "user", "assistant"] and messages[1]["x"]["time"]["precision"] == "us"


def test_an_archival_export_keeps_what_was_rewound_as_a_branch() -> None:
    draft, messages = imported(IMPORTER, EXPORTS / "archive.json").one()
    assert (draft.native_id, draft.aliases) == ("kiln-7:export", ["kiln-7"])
    assert draft.forked_from == {"key": "hermes:kiln-6", "relation": "resume"}
    assert messages[5]["parent"] == messages[3]["id"] and "parent" not in messages[4]
    assert draft.active_leaf == "bill" and "usage" not in draft.x


def test_the_bill_of_an_archival_export_is_counted_once() -> None:
    messages = imported(IMPORTER, EXPORTS / "archive.json").one()[1]
    assert [message["usage"] for message in messages if "usage" in message] == [
        {
            "input_tokens": 3120,
            "output_tokens": 640,
            "cache_read_tokens": 2100,
            "cache_write_tokens": 300,
            "reasoning_tokens": 96,
            "cost_microusd": 250000,
            "estimated": True,
        }
    ]


def test_a_trajectory() -> None:
    read = imported(IMPORTER, EXPORTS / "trajectory.json")
    draft, messages = read.one()
    assert read.counts == (5, 4, 1, 0)
    assert draft.native_id == "kiln-8:atif" and draft.aliases == ["kiln-8", "trajectory-8"]
    assert [message["id"] for message in messages] == ["1", "2", "2:results", "3", "4"]
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "system"]
    assert messages[1]["usage"]["cost_microusd"] == 1000 and messages[1]["usage"]["cache_read_tokens"] == 100
    assert messages[2]["parts"] == [{"type": "tool_call_response", "id": "g1", "response": "blue"}]
    assert messages[4]["usage"] == {"input_tokens": 5}


def test_a_log_of_events_may_hold_several_sessions() -> None:
    read = imported(IMPORTER, EXPORTS / "events.jsonl")
    assert read.counts == (7, 5, 2, 0)
    assert list(read.sessions) == ["kiln-9:atof", "kiln-10:atof"]
    messages = read.sessions["kiln-9:atof"]
    assert roles(messages) == ["system", "assistant", "assistant", "tool", "system", "system"]
    assert messages[1]["provider"] == "nous" and messages[1]["x"]["data"] == {"finish": "stop"}
    assert messages[2]["parts"][0]["id"] == messages[3]["parts"][0]["id"] == "e1"
    assert messages[4]["kind"] == "error"


def test_what_is_somebody_elses() -> None:
    assert not recognised(IMPORTER, json.dumps({"session_id": "s", "messages": [], "last_accessed": "x"}).encode())
    assert not recognised(IMPORTER, json.dumps({"schema_version": "1.0", "steps": []}).encode())
    assert not recognised(IMPORTER, lines({"type": "session_meta", "payload": {}, "timestamp": "t"}))
    assert recognised(IMPORTER, lines({"role": "session_meta", "model": "m"}, {"role": "user", "content": "x"}))
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{\n"session_id": "s"}', "s.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "hermes")
    assert len(found) == 6 and not any(read.counts[3] for read in found.values())

"""gptme's conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.gptme import Gptme
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles

IMPORTER = Gptme()
LOG = next((FORMATS / "gptme").rglob("conversation.jsonl"))
BRANCH = next((FORMATS / "gptme").rglob("branches/*.jsonl"))
PLAIN = {"role": "user", "content": "Hello", "timestamp": "2026-05-01T10:00:00"}


def test_a_conversation() -> None:
    read = imported(IMPORTER, LOG)
    draft, messages = read.one()
    assert read.counts == (6, 6, 0, 0)
    assert (draft.native_id, draft.title) == ("2026-05-01-plant-list", "List the plants.")
    assert roles(messages) == ["system", "user", "assistant", "system", "assistant", "tool"]
    assert messages[0]["x"]["pinned"] is True and messages[3]["x"]["call_id"] == "call-1"


def test_local_times_are_not_passed_off_as_points_in_time() -> None:
    messages = imported(IMPORTER, LOG).one()[1]
    assert messages[0]["x"]["time"]["zone"] == "unknown" and "time" not in messages[0]
    assert messages[4]["time"] == "2026-05-01T10:00:09+02:00"


def test_metadata_gives_model_and_bill_in_both_forms() -> None:
    messages = imported(IMPORTER, LOG).one()[1]
    assert messages[2]["model"] == "openai/gpt-5-mini"
    assert messages[2]["usage"] == {
        "input_tokens": 210,
        "output_tokens": 42,
        "cache_read_tokens": 80,
        "cache_write_tokens": 10,
        "reasoning_tokens": 7,
        "cost_microusd": 1200,
    }
    assert messages[2]["x"]["metadata"] == {"timings": {"gen_ms": 900.5}}
    assert messages[4]["usage"] == {"input_tokens": 50, "output_tokens": 6} and "x" not in messages[4]


def test_a_branch_is_a_session_that_names_the_conversation() -> None:
    draft, _ = imported(IMPORTER, BRANCH).one()
    assert draft.native_id == "2026-05-01-plant-list/without-moss"
    assert draft.forked_from == {"key": "gptme:2026-05-01-plant-list", "relation": "fork"}


def test_growth_gives_what_one_read_gives() -> None:
    data = LOG.read_bytes().splitlines(keepends=True)
    whole = imported(IMPORTER, LOG).one()[1]
    first = Source.of(b"".join(data[:3]), str(LOG))
    before = [message for _, message in IMPORTER.read(first)]
    second = Source(str(LOG), [b"".join(data[3:])], account=first.account, resumed=first.resume)
    assert before + [message for _, message in IMPORTER.read(second)] == whole


@pytest.mark.parametrize(
    ("record", "name", "expected"),
    [
        (PLAIN, "a/conversation.jsonl", True),
        (PLAIN, "a/branches/b.jsonl", True),
        (PLAIN | {"pinned": True}, "x.jsonl", True),
        (PLAIN, "x.jsonl", False),
        (PLAIN | {"uuid": "1"}, "a/conversation.jsonl", False),
        ({"role": "user", "content": "Hello"}, "a/conversation.jsonl", False),
        (PLAIN | {"timestamp": 5}, "a/conversation.jsonl", False),
    ],
)
def test_lines_that_others_write_too_need_a_sign(record: dict[str, object], name: str, expected: bool) -> None:
    assert recognised(IMPORTER, lines(record), name) is expected


def test_a_record_that_is_no_message_is_kept_verbatim() -> None:
    read = imported(IMPORTER, lines(PLAIN, {"role": "ghost"}), "a/conversation.jsonl")
    assert read.counts == (2, 1, 1, 0)
    assert read.one()[1][1]["parts"] == [{"type": "record", "record": {"role": "ghost"}}]


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "gptme")
    assert [read.counts for read in found.values()] == [(7, 7, 0, 0)]

"""The transcripts of Antigravity."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.importers.antigravity import Antigravity
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles, text

IMPORTER = Antigravity()
HOME = FORMATS / "antigravity"
FULL = next(HOME.rglob("transcript_full.jsonl"))
SHORT = FULL.with_name("transcript.jsonl")
STEP = {"step_index": 0, "source": "USER_EXPLICIT", "type": "USER_INPUT", "status": "DONE", "content": "Hello"}


def test_steps_become_messages() -> None:
    draft, messages = imported(IMPORTER, FULL, companions=[SHORT]).one()
    assert draft.native_id == "7d1c0000-0000-4000-8000-000000000001"
    assert draft.title == "What grows in the bed?"
    assert roles(messages) == [
        *("user", "system", "assistant", "tool", "assistant"),
        *("system", "system", "system", "tool", "user"),
    ]
    kinds = [message.get("kind") for message in messages if message["role"] == "system"]
    assert kinds == ["meta", "context", "compaction", "error"]
    assert messages[2]["parts"][0] == {"type": "reasoning", "content": "I should look."}
    assert messages[2]["parts"][1]["name"] == "list_dir"
    assert messages[2]["time"] == "2026-04-01T08:00:02Z"
    assert messages[8]["x"]["latency"] == {"ms": 12} and messages[8]["x"]["status"] == "CANCELED"


def test_the_short_transcript_repeats_the_full_one() -> None:
    alone = imported(IMPORTER, FULL)
    both = imported(IMPORTER, FULL, companions=[SHORT])
    assert alone.counts == (9, 8, 1, 0)
    assert both.counts == (19, 18, 1, 0)
    assert both.one()[1][:-1] == alone.one()[1]
    assert "Thanks" in text(both.one()[1][-1])


def test_steps_with_the_same_index_are_all_kept() -> None:
    draft, messages = imported(IMPORTER, lines(STEP, STEP | {"created_at": "lost"}), "a.jsonl").one()
    assert [message["id"] for message in messages] == ["m1", "m2"]
    assert messages[1]["x"]["created_at"] == "lost" and "time" not in messages[1]
    assert draft.native_id == "a"


def test_cut_texts_are_reported() -> None:
    draft, _ = imported(IMPORTER, next((HOME / ".gemini" / "antigravity-cli").rglob("*.jsonl"))).one()
    assert draft.issues["text-truncated"][0] == 1


def test_what_is_not_a_transcript() -> None:
    assert recognised(IMPORTER, lines(STEP))
    assert not recognised(IMPORTER, lines({"step_index": 1, "type": "x"}))
    assert not recognised(IMPORTER, lines(STEP, {"a": 1}, {"b": 2}))


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "antigravity")
    assert sorted(path.rpartition("/")[2] for path in found) == ["cli_schema_drift.jsonl", "cli_small.jsonl"]
    assert sum(read.counts[0] for read in found.values()) == 22

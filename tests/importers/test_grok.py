"""Grok Build's session directories, both formats of the history, and histories alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore.importers.grok import Grok
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles

IMPORTER = Grok()
POND = next((FORMATS / "grok").rglob("%2Fhome%2Fada%2Fpond"))
ID = "019f6000-0000-7000-8000-00000000000"
CURRENT, OLDER, ALONE = (POND / f"{ID}{number}" for number in (1, 2, 3))


def files(directory: Path) -> list[Path]:
    """The companions of a summary."""
    return [path for path in sorted(directory.iterdir()) if path.name != "summary.json"]


def test_a_session_of_today() -> None:
    read = imported(IMPORTER, CURRENT / "summary.json", companions=files(CURRENT))
    draft, messages = read.one()
    assert read.counts == (13, 11, 2, 0)
    assert (draft.native_id, draft.title, draft.cwd) == (CURRENT.name, "Counting fish", "/home/ada/pond")
    assert draft.git == {"branch": "main", "commit": "0f0f", "remote": "git@example.com:pond.git"}
    assert draft.forked_from == {"key": f"grok:{ID}0", "relation": "subagent"}
    assert draft.x["signals"] == {"turnCount": 2, "errorCount": 0}
    assert roles(messages) == [
        *("system", "user", "user", "assistant", "assistant"),
        *("assistant", "tool", "user", "assistant", "system"),
    ]


def test_what_the_program_wrote_in_the_users_name_is_context_but_interjections() -> None:
    messages = imported(IMPORTER, CURRENT / "summary.json", companions=files(CURRENT)).one()[1]
    assert [message.get("kind") for message in messages if message["role"] == "user"] == ["context", None, None]


def test_reasoning_images_and_tools() -> None:
    messages = imported(IMPORTER, CURRENT / "summary.json", companions=files(CURRENT)).one()[1]
    assert messages[2]["parts"][1]["type"] == "blob"
    assert messages[3]["id"] == "rs_1"
    assert messages[3]["parts"] == [{"type": "reasoning", "content": "Count them.", "signature": "AAAA"}]
    assert messages[4]["parts"][0]["name"] == "web_search"
    assert [part["type"] for part in messages[5]["parts"]] == ["tool_call"] and messages[5]["model"] == "grok-4.5"


def test_an_older_session() -> None:
    read = imported(IMPORTER, OLDER / "summary.json", companions=files(OLDER))
    draft, messages = read.one()
    assert read.counts == (6, 6, 0, 0) and draft.native_id == OLDER.name
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant"]
    assert [part["type"] for part in messages[2]["parts"]] == ["reasoning", "text", "tool_call"]
    assert messages[4]["model"] == "grok-4"


def test_a_history_alone_is_named_after_its_directory() -> None:
    read = imported(IMPORTER, ALONE / "chat_history.jsonl")
    assert read.one()[0].native_id == ALONE.name and read.counts == (4, 4, 0, 0)
    copy = imported(IMPORTER, (ALONE / "chat_history.jsonl").read_bytes(), f"{ALONE}/copy.jsonl")
    assert copy.one()[0].native_id == f"{ALONE.name}/copy"


def test_older_histories_alone_and_other_programs_logs_are_not_claimed() -> None:
    assert not recognised(IMPORTER, OLDER / "chat_history.jsonl")
    assert not recognised(IMPORTER, lines({"type": "user", "content": "x", "timestamp": "t", "id": "1"}))
    assert not recognised(IMPORTER, lines({"type": "user", "content": "x"}))
    assert recognised(IMPORTER, lines({"type": "user", "content": "x", "prompt_index": 0}))


def test_a_summary_without_an_id_or_a_history() -> None:
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{"info": {}}', "summary.json")
    read = imported(IMPORTER, CURRENT / "summary.json")
    assert read.counts == (1, 1, 0, 0) and "messages-missing" in read.one()[0].issues


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "grok")
    assert sorted(path.rpartition("/")[2] for path in found) == ["source-v1.jsonl", *["summary.json"] * 4]
    assert all(read.counts[0] == read.counts[1] for read in found.values())

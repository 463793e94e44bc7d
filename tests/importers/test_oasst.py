"""Open Assistant's trees: nested, wrapped and flat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.oasst import Oasst
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles

IMPORTER = Oasst()
TREES, FLAT, TREE = (FORMATS / "oasst" / name for name in ("trees.jsonl", "messages.jsonl", "tree.json"))


def said(name: str, role: str = "prompter", **fields: Any) -> dict[str, Any]:
    """A message."""
    return {"message_id": name, "parent_id": None, "text": name, "role": role} | fields


def test_a_line_is_a_tree_with_all_its_branches() -> None:
    read = imported(IMPORTER, TREES)
    assert read.counts == (2, 2, 0, 0) and list(read.sessions) == ["t1", "u1"]
    messages = read.sessions["t1"]
    assert roles(messages) == ["user", "assistant", "assistant", "user"]
    assert [message.get("parent", "before") for message in messages] == ["before", "before", "t1", "before"]
    assert messages[2]["model"] == "chip20b" and messages[1]["x"]["rank"] == 1
    assert messages[0]["x"]["emojis"] == {"+1": 2}


def test_the_best_ranked_path_is_the_active_one() -> None:
    assert imported(IMPORTER, TREES).drafts["t1"].active_leaf == "t4"
    assert imported(IMPORTER, FLAT).drafts["f1"].active_leaf == "f3"


def test_a_wrapped_tree_in_a_document() -> None:
    draft, messages = imported(IMPORTER, TREE).one()
    assert (draft.native_id, draft.x, draft.title) == (
        "tree-1",
        {"tree_state": "ready_for_export"},
        "What is a bog?",
    )
    assert len(messages) == 4


def test_single_messages_are_put_together_by_their_tree() -> None:
    read = imported(IMPORTER, FLAT)
    assert read.counts == (5, 5, 0, 0)
    assert [message["id"] for message in read.sessions["f1"]] == ["f1", "f2", "f3"]
    assert read.sessions["f1"][0]["time"] == "2023-02-05T14:23:50.983374+00:00"
    assert read.sessions["f1"][2]["parent"] == "f1"
    assert read.sessions["g1"][1]["parent"] is None and "parent-missing" in read.drafts["g1"].issues


def test_an_array_is_read_like_lines() -> None:
    values = [json.loads(line) for line in TREES.read_bytes().splitlines()]
    assert imported(IMPORTER, json.dumps(values).encode(), "x.json").sessions == imported(IMPORTER, TREES).sessions


def test_what_is_no_message_is_kept_or_rejected() -> None:
    read = imported(IMPORTER, lines(said("a", replies=[5, said("b", "wizard")]), {"a": 1}), "x.jsonl")
    assert read.counts == (2, 1, 0, 1)
    assert [message.get("kind") for message in read.sessions["a"]] == [None, "meta", "meta"]


def test_a_tree_that_is_there_twice() -> None:
    assert list(imported(IMPORTER, lines(said("a"), said("a")), "x.jsonl").sessions) == ["a", "a~2"]


def test_what_is_somebody_elses() -> None:
    assert recognised(IMPORTER, lines(said("a")), "x.jsonl")
    assert not recognised(IMPORTER, lines(said("a", "assistant")), "x.jsonl")
    assert not recognised(IMPORTER, lines({"role": "prompter", "text": "x"}), "x.jsonl")
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{\n"a": 1}', "x.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    (read,) = everything(IMPORTER, samples / "oasst").values()
    assert read.counts == (100, 100, 0, 0) and len(read.sessions) == 100

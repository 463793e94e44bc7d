"""LibreChat's exported conversations, flat and recursive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.librechat import LibreChat
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, everything, imported, recognised, roles

IMPORTER = LibreChat()
FLAT = FORMATS / "librechat" / "Downloads" / "Tales.json"
RECURSIVE = FORMATS / "librechat" / "Downloads" / "Tales-recursive.json"


def exported(*messages: Any) -> bytes:
    """An export of messages."""
    return json.dumps({"conversationId": "c", "endpoint": "e", "messages": messages}).encode()


def said(name: str, parent: Any, **fields: Any) -> dict[str, Any]:
    """A message."""
    return {"messageId": name, "parentMessageId": parent, "isCreatedByUser": True, "text": name} | fields


def test_all_branches_are_kept() -> None:
    read = imported(IMPORTER, FLAT)
    draft, messages = read.one()
    assert read.counts == (7, 7, 0, 0)
    assert (draft.native_id, draft.title, draft.active_leaf) == ("lc-1", "Tales", "a4")
    assert [message.get("parent", "before") for message in messages] == [
        *("before", "before", "q1", None, "before", "before")
    ]
    assert roles(messages) == ["user", "assistant", "assistant", "user", "assistant", "assistant"]
    assert draft.x["exportAt"].startswith("08:12:16") and draft.x["options"]["model"] == "gpt-5-mini"


def test_fields_of_messages() -> None:
    messages = imported(IMPORTER, FLAT).one()[1]
    assert messages[0]["time"] == "2026-01-02T03:04:05.000Z" and "model" not in messages[0]
    assert messages[0]["x"] == {"endpoint": "openAI", "sender": "User", "tokenCount": 4}
    assert (messages[1]["model"], messages[1]["finish_reason"]) == ("gpt-5-mini", "incomplete")
    assert messages[2]["x"]["unfinished"] is True
    assert [part["type"] for part in messages[4]["parts"]] == [
        *("reasoning", "text", "tool_call", "tool_call_response", "record")
    ]
    assert messages[5]["kind"] == "error"


def test_a_recursive_export_is_told_parents_first() -> None:
    read = imported(IMPORTER, RECURSIVE)
    draft, messages = read.one()
    assert [message["id"] for message in messages] == ["q1", "a1", "q3", "a2"]
    assert messages[3]["parent"] == "q1" and read.counts == (5, 5, 0, 0)
    assert draft.active_leaf == "a2"


def test_a_very_deep_tree_is_read() -> None:
    inner = '{"messageId":"%d","isCreatedByUser":true,"text":"x","children":['
    depth = 80
    tree = "".join(inner % number for number in range(depth)) + "]}" * depth
    data = f'{{"conversationId":"c","endpoint":"e","messages":[{tree}]}}'.encode()
    assert len(imported(IMPORTER, data, "c.json").one()[1]) == depth


def test_circles_and_missing_parents_are_reported() -> None:
    draft, messages = imported(IMPORTER, exported(said("a", "b"), said("b", "a"), said("c", "lost")), "c.json").one()
    assert draft.issues["parent-cycle"][0] == 1 and draft.issues["parent-missing"][0] == 1
    assert messages[2]["parent"] is None


def test_ids_are_made_unique() -> None:
    _, messages = imported(IMPORTER, exported(said("a", None), said("a", "a"), 5), "c.json").one()
    assert [message["id"] for message in messages] == ["a", "a~2", "m3"]
    assert messages[2]["kind"] == "meta"


def test_what_is_somebody_elses() -> None:
    assert not recognised(IMPORTER, b'{"conversationId": "c", "messages": []}')
    assert not recognised(IMPORTER, b'{"conversationId": "c", "endpoint": "e", "messages": 5}')
    assert recognised(IMPORTER, exported())
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{"conversationId": "c"}', "c.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "librechat")
    assert sorted(read.counts for read in found.values()) == [(3, 3, 0, 0), (6, 6, 0, 0), (7, 7, 0, 0)]

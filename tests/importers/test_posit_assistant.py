"""Posit Assistant's conversations: a tree and the messages beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.parsing import Unparsable
from sessionstore.importers.posit_assistant import PositAssistant
from tests.importers.support import FORMATS, Imported, everything, imported, lines, recognised, roles

IMPORTER = PositAssistant()
PLACE = next((FORMATS / "posit-assistant").rglob("a1b2"))
MAIN = PLACE / "c0ffee01" / "conversation.json"
BELOW = PLACE / "c0ffee01" / "subagents" / "c0ffee02" / "conversation.json"


def read(path: Path) -> Imported:
    """A conversation with its companions."""
    beside: dict[str, bytes | Path] = {"lm-messages.jsonl": path.with_name("lm-messages.jsonl")}
    above = "../workspace.json" if path == MAIN else "../../../workspace.json"
    return imported(IMPORTER, path, companions={**beside, above: PLACE / "workspace.json"})


def built(nodes: list[dict[str, Any]], count: int) -> Imported:
    """A conversation of some nodes and messages."""
    document = {"schemaVersion": "3", "root": {"id": "r"}, "messages": nodes}
    messages = [{"id": number, "message": {"role": "user", "content": str(number)}} for number in range(count)]
    return imported(
        IMPORTER, json.dumps(document).encode(), "conversation.json", {"lm-messages.jsonl": lines(*messages)}
    )


def test_a_conversation() -> None:
    found = read(MAIN)
    draft, messages = found.one()
    assert found.counts == (12, 11, 1, 0)
    assert (draft.native_id, draft.title, draft.cwd) == ("c0ffee01", "Loading sales", "/home/ada/src/sales")
    assert draft.git == {"branch": "main"} and draft.created_at == "2026-01-01T00:00:00.000Z"
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "assistant", "user", "system"]
    assert [part["type"] for part in messages[1]["parts"]] == ["reasoning", "text", "tool_call"]
    assert messages[2]["parts"][0]["response"] == "a,b"


def test_the_tree_gives_parents_and_the_active_branch() -> None:
    draft, messages = read(MAIN).one()
    assert [message.get("parent", "before") for message in messages] == ["before"] * 5 + ["3", "before"]
    assert draft.active_leaf == "5"
    assert messages[4]["x"]["node"]["isActive"] is False
    assert draft.issues["message-not-in-tree"][0] == 1


def test_what_the_provider_says() -> None:
    answer = read(MAIN).one()[1][1]
    assert (answer["model"], answer["provider"]) == ("claude-sonnet-4-6", "positai")
    assert answer["time"] == "2026-01-01T00:00:01.000Z"
    assert answer["usage"] == {
        "input_tokens": 212,
        "output_tokens": 34,
        "cache_read_tokens": 100,
        "cache_write_tokens": 100,
    }
    assert answer["x"]["positai"] == {"modelName": "Claude Sonnet 4.6"}


def test_a_sub_agent_names_its_parent() -> None:
    draft, _ = read(BELOW).one()
    assert draft.forked_from == {"key": "posit-assistant:c0ffee01", "relation": "subagent"}
    assert draft.cwd == "/home/ada/src/sales"


def test_nodes_without_messages_and_circles_are_stepped_over() -> None:
    nodes = [
        {"id": "a", "parentId": "r", "lmMessageIds": [0], "isActive": True},
        {"id": "b", "parentId": "a", "lmMessageIds": [], "isActive": True},
        {"id": "c", "parentId": "b", "lmMessageIds": [1, 9], "isActive": False},
        {"id": "d", "parentId": "e", "lmMessageIds": [2]},
        {"id": "e", "parentId": "d", "lmMessageIds": []},
        {"id": "a"},
    ]
    found = built(nodes, 3)
    draft, messages = found.one()
    assert found.counts == (10, 9, 1, 0) and "parent" not in messages[1]
    assert messages[2]["parent"] is None and draft.active_leaf == "0"
    assert {"parent-cycle", "message-missing"} <= draft.issues.keys()
    assert draft.x["nodes"] == [{"id": "a"}]


def test_without_its_messages_a_conversation_says_so() -> None:
    found = imported(IMPORTER, MAIN)
    assert found.counts == (5, 1, 4, 0) and "messages-missing" in found.one()[0].issues


def test_copies_are_preserved_and_not_read() -> None:
    beside: dict[str, bytes | Path] = {"lm-messages.jsonl": b"", "ui-messages.jsonl": b"{}\n"}
    assert imported(IMPORTER, MAIN, companions=beside).counts == (6, 5, 1, 0)


def test_what_is_somebody_elses() -> None:
    assert not recognised(IMPORTER, b'{"schemaVersion": "3", "root": {}, "messages": [{"id": "a"}]}')
    assert not recognised(IMPORTER, PLACE / "workspace.json")
    with pytest.raises(Unparsable):
        imported(IMPORTER, b'{"root": {}}', "conversation.json")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "posit-assistant")
    assert len(found) == 3 and all(one.counts[0] == one.counts[1] for one in found.values())

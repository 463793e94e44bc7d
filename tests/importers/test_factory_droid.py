"""Factory Droid: stored sessions and the stream of its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Source
from sessionstore.importers.factory_droid import FactoryDroid
from tests.importers.support import FORMATS, everything, imported, lines, recognised, roles, text

IMPORTER = FactoryDroid()
STORED = next((FORMATS / "factory-droid" / ".factory").rglob("*.jsonl"))
STREAM = FORMATS / "factory-droid" / "exec" / "stream.jsonl"
START = {"type": "session_start", "id": "s", "cwd": "/work"}


def said(name: str, parent: Any = None, **fields: Any) -> dict[str, Any]:
    """A record of a message."""
    body = {"role": "user", "content": [{"type": "text", "text": name}]}
    return {"type": "message", "id": name, "parentId": parent, "message": body} | fields


def test_a_stored_session() -> None:
    read = imported(IMPORTER, STORED)
    draft, messages = read.one()
    assert read.counts == (8, 7, 1, 0)
    assert (draft.native_id, draft.title, draft.cwd) == (STORED.stem, "Prune the roses", "/home/ada/garden")
    assert draft.x == {"title": "New session", "owner": "gardener", "version": 2}
    assert roles(messages) == ["user", "user", "assistant", "tool", "assistant", "system", "assistant"]
    assert [message.get("kind") for message in messages] == ["context", None, None, None, None, "meta", None]
    assert [part["type"] for part in messages[2]["parts"]] == ["reasoning", "tool_call"]


def test_parents_are_stated_where_they_are_not_the_message_before() -> None:
    messages = imported(IMPORTER, STORED).one()[1]
    assert [message.get("parent", "before") for message in messages] == ["before"] * 6 + ["a4"]
    draft, messages = imported(IMPORTER, lines(START, said("a", "s"), said("b", "lost"), said("c", "s"))).one()
    assert "parent" not in messages[1] and draft.issues["parent-missing"][0] == 1
    assert messages[2]["parent"] is None


def test_a_stream() -> None:
    read = imported(IMPORTER, STREAM)
    draft, messages = read.one()
    assert read.counts == (7, 6, 1, 0)
    assert (draft.native_id, draft.aliases, draft.tools) == ("9a7d0000:stream", ["9a7d0000"], ["Execute"])
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant", "system", "system"]
    assert messages[2]["id"] == "call_1" and messages[3]["id"] == "call_1~2"
    assert messages[3]["parts"][0] == {
        "type": "tool_call_response",
        "id": "call_1",
        "response": "no such file",
        "is_error": True,
    }
    assert messages[4]["model"] == "rose-model"
    assert messages[5]["kind"] == "error"


def test_the_completion_bears_the_bill_and_is_no_second_answer() -> None:
    last = imported(IMPORTER, STREAM).one()[1][-1]
    assert last["parts"] == [] and last["kind"] == "meta"
    assert last["usage"] == {"input_tokens": 100, "output_tokens": 5, "cache_read_tokens": 90}
    alone = {"type": "completion", "session_id": "s", "finalText": "Done"}
    message = imported(IMPORTER, lines(alone), "x.jsonl").one()[1][0]
    assert message["role"] == "assistant" and text(message) == "Done"


@pytest.mark.parametrize("path", [STORED, STREAM], ids=["stored", "stream"])
def test_going_on_after_any_line_gives_what_one_read_gives(path: Path) -> None:
    data = path.read_bytes().splitlines(keepends=True)
    whole = imported(IMPORTER, path).one()
    for cut in range(1, len(data)):
        first = Source.of(b"".join(data[:cut]), str(path))
        before = [message for _, message in IMPORTER.read(first)]
        second = Source(str(path), [b"".join(data[cut:])], account=first.account, resumed=first.resume)
        after = [message for _, message in IMPORTER.read(second)]
        assert before + after == whole[1]
        assert second.drafts[0].state() == whole[0].state()


def test_too_many_ids_to_remember_leave_no_way_to_go_on() -> None:
    source = Source.of(lines(START, *(said(f"a{number}") for number in range(500))), "s.jsonl")
    assert len(list(IMPORTER.read(source))) == 500 and source.resume is None


def test_sessions_of_a_like_shape_are_not_claimed() -> None:
    other = lines({"type": "session", "id": "s", "version": 3, "cwd": "/"}, said("a"))
    assert not recognised(IMPORTER, other)
    assert recognised(IMPORTER, lines(START, said("a")))
    stream = STREAM.read_bytes()
    assert [name for name, one in all_importers().items() if recognised(one, stream, "x.jsonl")] == ["factory-droid"]


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "factory-droid")
    assert len(found) == 6
    assert sum(read.counts[3] for read in found.values()) == 0

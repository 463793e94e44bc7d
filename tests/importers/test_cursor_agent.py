"""The transcripts of Cursor's agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.cursor_agent import CursorAgent
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

PROJECTS = FORMATS / "cursor-agent" / ".cursor" / "projects"
SHELF, SUB = sorted(PROJECTS.rglob("*.jsonl"))


def read(*records: Any) -> Imported:
    """Read a transcript."""
    return imported(CursorAgent(), b"".join(json.dumps(one).encode() + b"\n" for one in records), "a/t-1.jsonl", {})


def turn(role: str, *content: Any, **fields: Any) -> dict[str, Any]:
    """A record of a turn."""
    return {"role": role, "message": {"content": list(content)}} | fields


def test_a_transcript_is_one_message_a_record() -> None:
    result = imported(CursorAgent(), SHELF, companions={})
    draft, messages = result.one()
    assert result.counts == (9, 8, 1, 0)
    assert draft.native_id == "d00dfeed-0000-4000-8000-000000000001"
    assert draft.title == "Which books are on the shelf? 书"
    assert text(messages[0]).startswith("<user_query>")
    assert roles(messages) == [
        *("user", "assistant", "assistant", "system", "user"),
        *("assistant", "system", "tool", "assistant"),
    ]
    assert [m.get("kind") for m in messages if m["role"] == "system"] == ["meta", "error"]
    assert [part["type"] for part in messages[1]["parts"]] == ["reasoning", "text", "tool_call"]
    assert messages[2]["model"] == "cursor-auto"
    assert messages[5]["parts"][0]["name"] == "Task" and messages[5]["parts"][1]["type"] == "custom_block"
    assert not any("time" in m or "usage" in m for m in messages)


def test_a_sub_agent_names_its_parent() -> None:
    draft, _ = imported(CursorAgent(), SUB, companions={}).one()
    assert draft.forked_from == {"key": f"cursor-agent:{SHELF.stem}", "relation": "subagent"}


def test_growth_gives_what_one_read_gives() -> None:
    lines = SHELF.read_bytes().splitlines(keepends=True)
    whole = imported(CursorAgent(), SHELF, companions={}).one()
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]), str(SHELF))
        before = [message for _, message in CursorAgent().read(first)]
        second = Source(str(SHELF), [b"".join(lines[cut:])], account=first.account, resumed=first.resume)
        assert before + [message for _, message in CursorAgent().read(second)] == whole[1]
        assert second.drafts[0].state() == whole[0].state()


def test_further_fields_are_kept() -> None:
    message = read(turn("assistant", {"type": "text", "text": "hi"}, annotations=[1]) | {"model": 5}).one()[1][0]
    assert message["x"] == {"annotations": [1], "model": 5}
    record = {"role": "user", "message": {"content": [], "extra": 1}}
    assert read(record).one()[1][0]["x"] == {"message": {"extra": 1}}


def test_recognition_leaves_others_alone() -> None:
    def known(*records: Any) -> bool:
        return recognised(CursorAgent(), b"".join(json.dumps(one).encode() + b"\n" for one in records), "x.jsonl")

    said = turn("user", {"type": "text", "text": "hi"})
    assert known(said) and known(said, {"type": "turn_ended"})
    assert not recognised(ClaudeCode(), SHELF)
    assert not known({"role": "user", "content": "hi"})
    assert not known({"type": "error", "error": "boom"})
    assert not known(said | {"uuid": "u"}) and not known(said | {"type": "user", "sessionId": "s"})
    assert not known({"role": "user", "message": {"content": "text"}})


@pytest.mark.parametrize(
    "value", [None, 5, "", [], {}, [None], ["x"], [{"type": "tool_call", "input": 5}], [{"type": []}]]
)
def test_fields_of_any_type_are_survived(value: Any) -> None:
    for name in ("role", "message", "model", "type", "error"):
        read(turn("assistant", {"type": "text", "text": "hi"}) | {name: value}, {name: value})
    read({"role": "user", "message": {"content": value}}, {"role": "assistant", "message": {"content": value}})


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    paths = [path for path in sorted((samples / "cursor-cli").rglob("*.jsonl")) if path.name != "error-only.jsonl"]
    assert paths
    for path in paths:
        assert recognised(CursorAgent(), path)
        assert imported(CursorAgent(), path, companions={}).counts[3] == 0

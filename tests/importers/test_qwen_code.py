"""Qwen Code's transcripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore import canonical
from sessionstore.importers.base import Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.qwen_code import QwenCode
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

CHATS = FORMATS / "qwen-code" / ".qwen" / "projects" / "-home-ann-shelf-app" / "chats"
SHELF = CHATS / "019f5555-0000-7000-8000-000000000001.jsonl"


def record(ident: str, parent: str | None, kind: str = "user", *parts: Any, **fields: Any) -> dict[str, Any]:
    """A record with its frame."""
    role = "model" if kind == "assistant" else "user"
    frame = {"uuid": ident, "parentUuid": parent, "sessionId": "s", "timestamp": "2026-06-01T10:00:00.000Z"}
    return frame | {"type": kind, "message": {"role": role, "parts": list(parts or [{"text": "x"}])}} | fields


def read(*records: Any, between: bytes = b"\n") -> Imported:
    """Read records that stand on lines of their own, or with something else between them."""
    return imported(QwenCode(), between.join(json.dumps(one).encode() for one in records) + b"\n", "s.jsonl", {})


def test_a_transcript_is_one_message_a_record() -> None:
    result = imported(QwenCode(), SHELF, companions={})
    draft, messages = result.one()
    assert result.counts == (15, 12, 3, 0)
    assert roles(messages)[:6] == ["user", "assistant", "tool", "assistant", "system", "user"]
    assert (draft.title, draft.cwd, draft.git) == ("The shelf", "/home/ann/shelf-app", {"branch": "main"})
    assert messages[1]["parts"][0] == {"type": "reasoning", "content": "Look first."}
    assert messages[1]["parts"][1]["arguments"] == {"path": "shelf.txt"}
    assert messages[2]["parts"][0]["response"] == {"output": "Dune\nEmma"}
    assert messages[11]["parts"][0]["is_error"] is True
    assert messages[12]["kind"] == "context"
    assert messages[8]["x"]["cwd"] == "/home/ann/other" and "cwd" not in messages[9].get("x", {})


def test_a_rewind_leaves_a_branch() -> None:
    draft, messages = imported(QwenCode(), SHELF, companions={}).one()
    assert messages[7]["parent"] == messages[4]["id"] and messages[7]["kind"] == "meta"
    assert draft.active_leaf == messages[13]["id"] and text(messages[13]) == "Two. 二"
    rewound = read(record("a", None), record("b", "a"), record("c", "a", "system", subtype="rewind")).one()[0]
    assert rewound.active_leaf == "c"


def test_thoughts_are_part_of_the_output_or_beside_it_as_the_total_tells() -> None:
    _, messages = imported(QwenCode(), SHELF, companions={}).one()
    assert messages[1]["usage"] == {
        "input_tokens": 900,
        "output_tokens": 30,
        "cache_read_tokens": 400,
        "reasoning_tokens": 12,
    }
    assert messages[3]["usage"] == {"input_tokens": 950, "output_tokens": 13, "reasoning_tokens": 5}


def test_a_record_with_a_known_id_goes_on_and_its_tokens_count_once() -> None:
    tokens = {"promptTokenCount": 10, "candidatesTokenCount": 3}
    draft, messages = read(
        record("a", None),
        record("b", "a", "assistant", usageMetadata=tokens),
        record("b", "a", "assistant", usageMetadata=tokens | {"candidatesTokenCount": 5}),
        record("c", "b"),
    ).one()
    assert [m["id"] for m in messages] == ["a", "b", "b~2", "c"]
    assert not any("parent" in m for m in messages[1:])
    assert [m.get("usage") for m in messages[1:3]] == [{"input_tokens": 10, "output_tokens": 3}, {"output_tokens": 2}]
    assert draft.issues["repeated-message-id"][0] == 1


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_two_records_on_a_line_are_two_messages(size: int) -> None:
    texts = [{"text": 'a}{"uuid":b'}, {"text": "}"}]
    data = b"".join(
        json.dumps(one, separators=(",", ":")).encode() for one in (record("a", None, "user", *texts), record("b", "a"))
    )
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    source = Source("s.jsonl", blocks)
    messages = [message for _, message in QwenCode().read(source)]
    assert [m["id"] for m in messages] == ["a", "b"] and source.account.records == 2 and source.account.adds_up
    assert messages[0]["parts"][0]["content"] == 'a}{"uuid":b'
    assert recognised(QwenCode(), data, "s.jsonl")


def test_growth_gives_what_one_read_gives() -> None:
    lines = SHELF.read_bytes().splitlines(keepends=True)
    whole = imported(QwenCode(), SHELF, companions={}).one()
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]), str(SHELF))
        before = [message for _, message in QwenCode().read(first)]
        state = canonical.loads(canonical.dumps(first.resume))
        second = Source(str(SHELF), [b"".join(lines[cut:])], account=first.account, resumed=state)
        assert before + [message for _, message in QwenCode().read(second)] == whole[1]
        assert second.drafts[0].state() == whole[0].state()


def test_a_parent_that_is_not_there_and_another_session_are_reported() -> None:
    draft, messages = read(record("a", "gone"), record("b", "a", sessionId="other")).one()
    assert messages[0]["parent"] == "gone" and messages[1]["x"]["sessionId"] == "other"
    assert set(draft.issues) == {"missing-parent", "session-id-changes"}


def test_recognition_keeps_it_apart_from_claude_code() -> None:
    assert recognised(QwenCode(), SHELF) and not recognised(ClaudeCode(), SHELF)
    claude = record("a", None) | {"message": {"role": "user", "content": "hi"}}
    assert not recognised(QwenCode(), json.dumps(claude).encode() + b"\n", "x.jsonl")


@pytest.mark.parametrize("value", [None, 5, "", [], {}, [None], {"parts": 5}, {"parts": [{"text": 5}]}])
def test_fields_of_any_type_are_survived(value: Any) -> None:
    names = (
        "uuid",
        "parentUuid",
        "sessionId",
        "timestamp",
        "type",
        "message",
        "usageMetadata",
        "toolCallResult",
        "cwd",
    )
    for name in (*names, "systemPayload", "subtype", "model"):
        read(
            record("a", None, "assistant") | {name: value},
            record("b", "a", "system", subtype="custom_title") | {name: value},
        )


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    paths = sorted((samples / "qwen-code").rglob("*.jsonl"))
    assert paths
    for path in paths:
        assert recognised(QwenCode(), path) and not recognised(ClaudeCode(), path)
        assert imported(QwenCode(), path, companions={}).counts[3] == 0

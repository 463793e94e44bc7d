"""The event logs of Copilot CLI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Source
from sessionstore.importers.copilot_cli import CopilotCli
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

PLACE = FORMATS / "copilot-cli" / ".copilot" / "session-state"
LOG, EARLY = PLACE / "c-1" / "events.jsonl", PLACE / "c-0.jsonl"


def read(*records: Any) -> Imported:
    """Read a log."""
    return imported(CopilotCli(), b"".join(json.dumps(one).encode() + b"\n" for one in records), "s/c/events.jsonl", {})


def event(kind: str, **data: Any) -> dict[str, Any]:
    """An event that follows the one before it."""
    return {"type": kind, "data": data}


def test_an_event_is_a_message_and_the_start_is_the_session() -> None:
    result = imported(CopilotCli(), LOG, companions={})
    draft, messages = result.one()
    assert result.counts == (15, 10, 5, 0)
    assert draft.native_id == "c-1" and draft.aliases == [] and draft.cwd == "/home/ann/shelf-app"
    assert draft.git == {"branch": "main", "commit": "abc", "repository": "ann/shelf"}
    assert draft.title == "How many books? 书" and draft.created_at == "2026-02-02T02:40:00.000Z"
    assert [message["id"] for message in messages] == [f"v{number}" for number in range(1, 15)]
    kinds = [message.get("kind") for message in messages]
    assert (
        kinds
        == ["switch", None, None, "meta", None, "meta", None, "sidechain", "error", None, "compaction"] + ["meta"] * 3
    )
    assert roles(messages[1:7]) == ["system", "user", "system", "assistant", "system", "tool"]


def test_prompts_keep_what_the_model_was_shown() -> None:
    _, messages = imported(CopilotCli(), LOG, companions={}).one()
    prompt = messages[2]
    assert prompt["x"]["data"] == {"transformedContent": "<now/> How many books? 书"}
    assert prompt["parts"][1] == {"type": "file", "path": "/home/ann/a.png", "displayName": "a.png"}


def test_an_answer_has_its_reasoning_and_calls_and_the_result_its_failure() -> None:
    _, messages = imported(CopilotCli(), LOG, companions={}).one()
    reasoning, said, call = messages[4]["parts"]
    assert reasoning == {"type": "reasoning", "content": "Count.", "signature": "b3A="}
    assert said["content"] == "Counting."
    assert call == {"type": "tool_call", "id": "t1", "name": "bash", "arguments": {"command": "wc"}}
    assert messages[4]["model"] == "large-1"
    result = messages[6]
    assert result["parts"] == [{"type": "tool_call_response", "id": "t1", "response": "2\n", "is_error": True}]
    assert result["parent"] == "v5"


def test_the_sum_over_the_messages_is_what_the_run_has_used() -> None:
    _, messages = imported(CopilotCli(), LOG, companions={}).one()
    total: dict[str, int] = {}
    for message in messages:
        for name, figure in message.get("usage", {}).items():
            total[name] = total.get(name, 0) + figure
    assert total == {"input_tokens": 1000, "output_tokens": 50, "cache_read_tokens": 800}
    assert messages[4]["usage"] == {"output_tokens": 12}


def test_an_early_version_has_prompts_and_answers_only() -> None:
    result = imported(CopilotCli(), EARLY, companions={})
    draft, messages = result.one()
    assert result.counts == (2, 2, 0, 0) and draft.native_id == "c-0"
    assert roles(messages) == ["user", "assistant"] and text(messages[1]) == "Hi."
    assert messages[0]["time"] == "2026-02-02T02:40:00.000Z" and messages[0]["x"] == {"cwd": "/home/ann/shelf-app"}


def test_a_second_start_is_a_message() -> None:
    start = event("session.start", sessionId="c")
    result = read(start, event("user.message", content="x"), start)
    assert [message.get("kind") for message in result.one()[1]] == [None, "meta"]


@pytest.mark.parametrize(
    "data", [{}, {"content": 5}, {"toolCallId": 5}, {"newModel": ""}, {"content": "x", "toolRequests": 5}]
)
@pytest.mark.parametrize(
    "kind", ["assistant.message", "tool.execution_complete", "session.model_change", "session.error"]
)
def test_what_does_not_say_what_it_promises_is_kept_verbatim(kind: str, data: Any) -> None:
    result = read(event("session.start", sessionId="c"), event(kind, **data))
    if kind == "assistant.message" and data == {"content": "x"}:
        return
    assert result.counts == (2, 1, 1, 0)


def test_growth_gives_what_one_read_gives() -> None:
    lines = LOG.read_bytes().splitlines(keepends=True)
    whole = imported(CopilotCli(), LOG, companions={}).one()
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]), str(LOG))
        before = [message for _, message in CopilotCli().read(first)]
        second = Source(str(LOG), [b"".join(lines[cut:])], account=first.account, resumed=first.resume)
        assert before + [message for _, message in CopilotCli().read(second)] == whole[1]
        assert second.drafts[0].state() == whole[0].state()


@pytest.mark.parametrize("kind", ["session", "session_meta", "message", "user", "tool_call"])
def test_other_records_are_not_recognised(kind: str) -> None:
    assert not recognised(CopilotCli(), json.dumps({"type": kind, "data": {}, "id": "1"}).encode() + b"\n")


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    paths = sorted((samples / "copilot-cli").rglob("*.jsonl"))
    assert paths
    for path in paths:
        assert recognised(CopilotCli(), path), path
        assert imported(CopilotCli(), path, companions={}).source.account.mapped

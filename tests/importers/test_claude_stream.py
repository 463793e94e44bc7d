"""Claude Code's stream-json output as log files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.importers.claude_stream import ClaudeStream

from .support import FORMATS, ROOT, Imported, imported, recognised, roles

LOGS = FORMATS / "claude-stream" / "logs" / "claude-sessions"
FIRST = LOGS / "session_20260325_112758_316631_fix.ndjson"
SECOND = LOGS / "session_20260325_113256_944902.ndjson"
SESSION = "6f1d2c3b-0325-4a00-8000-000000000003"
INIT = {"type": "system", "subtype": "init", "cwd": "/w", "session_id": "s-1", "tools": ["Bash"], "model": "m"}


def answer(message: str, output: int, session: str = "s-1", **fields: Any) -> dict[str, Any]:
    """One line of a response."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": output}
    body = {
        "id": message,
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "a"}],
        "usage": usage,
    }
    return {"type": "assistant", "message": body, "session_id": session, "parent_tool_use_id": None} | fields


def result(output: int, cost: float = 0.01, session: str = "s-1", **fields: Any) -> dict[str, Any]:
    """The last line of a run."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": output}
    return {
        "type": "result",
        "subtype": "success",
        "session_id": session,
        "total_cost_usd": cost,
        "usage": usage,
    } | fields


def read(*records: Any, name: str = "session_20260325_112758_316631.ndjson") -> Imported:
    """Read lines."""
    return imported(ClaudeStream(), b"".join(json.dumps(r).encode() + b"\n" for r in records), name, {})


def output(messages: list[Message]) -> int:
    """The output tokens of messages, added up."""
    return sum(message.get("usage", {}).get("output_tokens", 0) for message in messages)


def one(*records: Any) -> tuple[Draft, list[Message]]:
    """Read the lines of one session."""
    return read(*records).one()


def test_logs_are_told_from_transcripts_by_their_lines() -> None:
    for path in (FIRST, SECOND):
        assert recognised(ClaudeStream(), path) and not recognised(ClaudeCode(), path)
    transcripts = list((ROOT / "fixtures").rglob("projects/**/*.jsonl"))
    assert transcripts
    for path in transcripts:
        assert not recognised(ClaudeStream(), path)


@pytest.mark.parametrize(
    "line",
    [
        {"session_id": "s", "ts": 1, "text": "x"},
        {"type": "message", "role": "user", "session_id": "s"},
        {"type": "user", "session_id": "s", "content": "x"},
        {"type": "assistant.message", "data": {}, "session_id": "s"},
        {"type": "user", "sessionId": "s", "session_id": "s", "message": {}},
        {"type": "system", "session_id": "s"},
    ],
)
def test_lines_of_other_programs_are_not_taken(line: Any) -> None:
    assert not recognised(ClaudeStream(), json.dumps(line).encode() + b"\n")


def test_a_first_line_longer_than_the_head_is_enough() -> None:
    made = INIT | {"slash_commands": ["x" * 100_000]}
    assert recognised(ClaudeStream(), json.dumps(made).encode() + b"\n")


def test_every_line_is_a_message_in_its_place() -> None:
    found = imported(ClaudeStream(), FIRST)
    draft, messages = found.one()
    assert found.counts == (10, 9, 1, 0)
    assert draft.native_id == SESSION and draft.title == "How many files are there?"
    assert draft.cwd == "C:\\work\\tinyshop" and draft.tools == ["Bash", "Read", "mcp__files__read_file"]
    assert draft.x == {"branch_identifier": "fix"}
    turns = ["assistant"] * 4 + ["tool", "assistant"]
    assert roles(messages) == ["system", "user", *turns, "system", "system"]
    assert messages[5]["kind"] == "sidechain"
    assert [m["id"][-3:] for m in messages] == [str(n) for n in range(100, 110)]


def test_the_name_says_when_the_log_began_but_not_where() -> None:
    _, messages = imported(ClaudeStream(), FIRST).one()
    assert messages[0]["x"]["time"] == {"raw": "2026-03-25T11:27:58.316631", "precision": "us", "zone": "unknown"}
    assert not [m for m in messages if "time" in m or (m is not messages[0] and "time" in m.get("x", {}))]
    assert "x" not in read(INIT, name="log.ndjson").one()[1][0]


def test_a_log_has_one_clock() -> None:
    line = {"type": "user", "message": {"content": "x"}, "session_id": "s-1", "timestamp": "2026-03-25T10:28:00.000Z"}
    named, unnamed = read(INIT, line).one()[1], read(INIT, line, name="log.ndjson").one()[1]
    assert "time" not in named[1] and named[1]["x"] == {"timestamp": "2026-03-25T10:28:00.000Z"}
    assert unnamed[1]["time"] == "2026-03-25T10:28:00.000Z" and "x" not in unnamed[1]


def test_two_logs_of_a_session_are_its_turns() -> None:
    first, second = (imported(ClaudeStream(), path).one() for path in (FIRST, SECOND))
    assert first[0].native_id == second[0].native_id
    assert not {m["id"] for m in first[1]} & {m["id"] for m in second[1]}
    assert ClaudeStream.turns


def test_a_response_is_counted_once_and_the_result_completes_the_bill() -> None:
    _, messages = imported(ClaudeStream(), FIRST).one()
    usage = [m["usage"] for m in messages if "usage" in m]
    assert [u.get("output_tokens") for u in usage] == [2, 9, 2, 177]
    assert usage[-1] == {"output_tokens": 177, "cost_microusd": 50635}
    assert sum(u.get("input_tokens", 0) for u in usage) == 9 + 300 + 6000


def test_growing_figures_add_what_they_grow_by() -> None:
    _, messages = one(INIT, answer("a", 1), answer("a", 4), answer("b", 2), answer("a", 4), result(20))
    assert [m.get("usage", {}).get("output_tokens") for m in messages] == [None, 1, 3, 2, None, 14]
    assert output(messages) == 20


def test_a_log_without_a_result_counts_what_it_states() -> None:
    assert output(one(INIT, answer("a", 3), answer("a", 3))[1]) == 3


def test_more_than_the_result_states_is_reported() -> None:
    draft, messages = one(INIT, answer("a", 5), result(3))
    assert "usage-differs" in draft.issues and output(messages) == 5
    assert not one(INIT, answer("a", 5, parent_tool_use_id="t"), result(3))[0].issues


def test_several_results_are_reported() -> None:
    draft, messages = one(INIT, answer("a", 1), result(5), answer("b", 1), result(7))
    assert output(messages) == 12 and "several-results" in draft.issues


def test_failures_are_marked() -> None:
    _, messages = one(INIT, answer("a", 1, error="rate_limit"), result(1, subtype="error_max_turns", is_error=True))
    assert [m.get("kind") for m in messages] == ["meta", "error", "error"]


def test_sessions_in_one_file_are_kept_apart() -> None:
    other = INIT | {"session_id": "s-2"}
    found = read(INIT, answer("a", 1), other, answer("b", 2, session="s-2"), result(2, session="s-2"))
    assert {name: len(messages) for name, messages in found.sessions.items()} == {"s-1": 2, "s-2": 3}


def test_lines_without_an_id_get_one_that_is_unique_among_logs() -> None:
    _, messages = one(INIT, {"type": "rate_limit_event", "uuid": "u", "session_id": "s-1"}, answer("a", 1, uuid="u"))
    stamp = "session_20260325_112758_316631"
    assert [m["id"] for m in messages] == [f"{stamp}-1", "u", "u-3"]


def test_a_log_without_any_session_is_named_by_its_file() -> None:
    draft, _ = one({"type": "stream_event", "event": {}})
    assert draft.native_id == "session_20260325_112758_316631" and "id-missing" in draft.issues


@pytest.mark.parametrize("cut", [1, 200, 2000, 3500, -1, -50])
def test_a_torn_log_is_read_up_to_the_tear(cut: int) -> None:
    data = FIRST.read_bytes()[:cut]
    source = Source.of(data, FIRST.name)
    messages = list(ClaudeStream().read(source))
    assert source.account.adds_up and len(messages) == data.count(b"\n") + (cut == -1)
    assert [reason for _, reason in source.account.rejected] == (
        [] if cut == -1 else ["torn last line, still being written or cut off"]
    )


def test_a_log_can_be_gone_on_with_unless_it_is_very_long() -> None:
    for lines, wanted in ((10, True), (600, False)):
        source = Source.of(
            b"".join(json.dumps(answer(f"m{n}", 1)).encode() + b"\n" for n in range(lines)), "log.ndjson"
        )
        list(ClaudeStream().read(source))
        assert (source.resume is not None) is wanted

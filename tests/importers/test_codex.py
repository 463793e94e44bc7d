"""Codex rollouts (`.codex/sessions/**/rollout-*.jsonl` and older forms)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.importers.base import Draft, Head, Machine, Message, Source
from sessionstore.importers.codex import Codex
from sessionstore.importers.parsing import Unparsable

HOME = Path(__file__).resolve().parents[2] / "fixtures" / "legacy" / "home" / ".codex"
NAME = "sessions/2025/10/04/rollout-2025-10-04T09-12-00-5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901.jsonl"
META = {"id": "s-1", "timestamp": "2025-10-04T07:12:00.690Z", "cwd": "/src/tidepool", "cli_version": "0.44.0"}
CONTEXT = {"cwd": "/src/tidepool", "model": "gpt-5-codex", "summary": "auto"}
PNG = "iVBORw0KGgo="


def line(kind: str, payload: Any, second: int = 1, **beside: Any) -> dict[str, Any]:
    """An enveloped record."""
    return {"timestamp": f"2025-10-04T07:12:{second % 60:02}.000Z", "type": kind, "payload": payload} | beside


def item(kind: str, /, **payload: Any) -> dict[str, Any]:
    """A Responses item."""
    return line("response_item", {"type": kind} | payload)


def event(kind: str, /, **payload: Any) -> dict[str, Any]:
    """An event."""
    return line("event_msg", {"type": kind} | payload)


def user(text: str, **payload: Any) -> dict[str, Any]:
    """A prompt as an item."""
    return item("message", role="user", content=[{"type": "input_text", "text": text}], **payload)


def answer(text: str, **payload: Any) -> dict[str, Any]:
    """An answer as an item."""
    return item("message", role="assistant", content=[{"type": "output_text", "text": text}], **payload)


def thought(text: str, **payload: Any) -> dict[str, Any]:
    """Reasoning as an item."""
    return item("reasoning", summary=[{"type": "summary_text", "text": text}], content=None, **payload)


def figures(given: int, cached: int, made: int, thought: int = 0) -> dict[str, int]:
    """A usage object as Codex writes it."""
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens")
    return dict(zip(names, (given, cached, made, thought, given + made), strict=True))


def tokens(total: dict[str, int], last: dict[str, int], **payload: Any) -> dict[str, Any]:
    """A token count."""
    return event("token_count", info={"total_token_usage": total, "last_token_usage": last}, **payload)


def read(*records: Any, meta: bool = True, name: str = "") -> tuple[Draft, list[Message], Source]:
    """Read records, by default below a `session_meta`."""
    rows = [line("session_meta", META, 0), *records] if meta else list(records)
    return read_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows), name)


def read_bytes(data: bytes, name: str = "") -> tuple[Draft, list[Message], Source]:
    """Read the bytes of a file."""
    source = Source.of(data, name)
    messages = [message for _, message in Codex().read(source)]
    source.settle()
    assert source.account.adds_up
    return source.drafts[0], messages, source


def fixture(path: str) -> tuple[Draft, list[Message], Source]:
    """Read a fixture."""
    return read_bytes((HOME / path).read_bytes(), path)


def said(messages: list[Message]) -> list[tuple[str, str]]:
    """Who has said what, in order: texts and thoughts, bookkeeping left out."""
    return [
        (message["role"], part["content"])
        for message in messages
        if message.get("kind") != "meta"
        for part in message["parts"]
        if part["type"] in ("text", "reasoning")
    ]


def bill(messages: list[Message]) -> dict[str, int]:
    """The usage of all messages together."""
    total: Counter[str] = Counter()
    for message in messages:
        total.update(message.get("usage", {}))
    return dict(total)


def recognised(data: bytes, name: str = "x.jsonl", whole: bool = True) -> bool:
    """Whether the bytes are taken for a rollout."""
    return Codex().recognise(Head(name, data, whole, lambda: [data]))


# -- recognising -------------------------------------------------------------------------------------------------------


def test_sessions_and_archived_sessions_are_the_places() -> None:
    machine = Machine(home=Path("/home/mara"), cwd=Path("/src"))
    roots = [place.root.as_posix() for place in Codex().places(machine)]
    assert roots == [
        "/home/mara/.codex/sessions",
        "/home/mara/.codex/archived_sessions",
        "/home/mara/.trae/cli/sessions",
    ]


def test_codex_home_takes_the_place_of_the_home_directory() -> None:
    machine = Machine(home=Path("/home/mara"), cwd=Path("/src"), env={"CODEX_HOME": "/data/codex"})
    assert next(iter(Codex().places(machine))).root.as_posix() == "/data/codex/sessions"


@pytest.mark.parametrize(
    "row",
    [
        {"session_id": "s-1", "ts": 1759561923, "text": "hello"},
        {"id": "s-1", "thread_name": "Tides", "updated_at": "2026-03-02T13:05:20Z"},
        {"timestamp": "2025-09-10T12:00:00Z", "role": "user", "content": "hello"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"timestamp": "2025-09-10T12:00:00Z", "type": "response_item", "payload": "not an object"},
    ],
    ids=["history", "index", "bare role and content", "an item without a header", "no payload"],
)
def test_what_is_no_rollout_is_not_claimed(row: dict[str, Any]) -> None:
    assert not recognised(json.dumps(row).encode() + b"\n")


def test_the_log_of_prompts_is_not_claimed() -> None:
    assert not recognised((HOME / "history.jsonl").read_bytes())


def test_one_envelope_among_foreign_lines_is_not_enough() -> None:
    rows = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, line("world_state", {})]
    assert not recognised("\n".join(map(json.dumps, rows)).encode())


def test_a_first_line_longer_than_the_head_is_recognised() -> None:
    meta = line("session_meta", META | {"base_instructions": {"text": "x" * 100_000}})
    assert recognised(json.dumps(meta).encode()[: 64 << 10], whole=False)


def test_empty_files_and_other_documents_are_not_claimed() -> None:
    assert not recognised(b"")
    assert not recognised(b'{"session": {"id": "s"}, "messages": []}', "x.json")
    assert not recognised(b'{"session": {"id": "s"}, "items": [', "x.json")


# -- recorded twice ----------------------------------------------------------------------------------------------------


def test_text_recorded_twice_is_counted_once() -> None:
    _, messages, source = read(
        user("hello"),
        event("user_message", message="hello", images=[], kind="plain"),
        event("agent_reasoning", text="greet back"),
        event("agent_message", message="hi"),
        event("token_count", info=None),
        thought("greet back"),
        answer("hi"),
        event("task_complete", last_agent_message="hi"),
    )
    assert said(messages) == [("user", "hello"), ("assistant", "greet back"), ("assistant", "hi")]
    assert (source.account.mapped, source.account.preserved) == (8, 1)


@given(st.permutations(["event", "completed", "item", "tokens", "world"]))
def test_the_order_of_an_item_and_its_events_does_not_matter(order: list[str]) -> None:
    completed = {"type": "AgentMessage", "id": "i-1", "content": [{"type": "Text", "text": "hi "}]}
    rows = {
        "event": event("agent_message", message="hi", phase=None, memory_citation=None),
        "completed": event("item_completed", item=completed, thread_id="s-1", turn_id="t-1"),
        "item": answer("hi"),
        "tokens": tokens(figures(5, 0, 1), figures(5, 0, 1)),
        "world": line("world_state", {"full": True}),
    }
    _, messages, source = read(user("hello"), *(rows[name] for name in order), event("turn_aborted"))
    assert said(messages) == [("user", "hello"), ("assistant", "hi")]
    assert source.resume is not None


def test_the_same_prompt_given_twice_is_two_prompts() -> None:
    go = event("user_message", message="go on")
    _, messages, _ = read(user("go on"), go, answer("a"), user("go on"), go, answer("b"))
    assert said(messages) == [("user", "go on"), ("assistant", "a"), ("user", "go on"), ("assistant", "b")]


def test_a_prompt_that_only_an_event_has_stands_before_its_answer() -> None:
    _, messages, _ = read(event("user_message", message="hello"), line("turn_context", CONTEXT), answer("hi"))
    assert said(messages) == [("user", "hello"), ("assistant", "hi")]


def test_an_event_before_the_start_of_its_turn_still_finds_its_item() -> None:
    _, messages, _ = read(
        event("user_message", message="hello"), event("task_started", turn_id="t"), user("hello"), answer("hi")
    )
    assert said(messages) == [("user", "hello"), ("assistant", "hi")]


def test_an_answer_that_only_an_event_has_is_told_when_the_turn_ends() -> None:
    _, messages, source = read(user("a"), event("agent_message", message="b", phase="commentary"), user("c"))
    assert said(messages) == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert messages[1]["x"] == {"phase": "commentary"}
    assert source.resume is not None


def test_a_file_of_events_only_still_gives_its_text() -> None:
    draft, messages, source = fixture(
        "archived_sessions/rollout-2025-11-20T18-00-00-c0ffee00-1234-4abc-8def-00112233aabb.jsonl"
    )
    assert [(role, text.splitlines()[-1]) for role, text in said(messages)] == [
        ("user", "Rename the kite class"),
        ("assistant", "Simple rename."),
        ("assistant", "Renamed it to `Stunt`."),
    ]
    assert [message["time"] for message in messages] == sorted(message["time"] for message in messages)
    assert draft.title == "Rename the kite class"
    assert (draft.cwd, draft.project) == ("C:\\Users\\Mara\\kites", "kites")
    assert bill(messages) == {"input_tokens": 1500, "cache_read_tokens": 500, "output_tokens": 30}
    assert source.resume is not None


def test_an_event_at_the_end_is_told_and_the_next_read_starts_over() -> None:
    _, messages, source = read(user("a"), event("agent_message", message="b"))
    assert said(messages) == [("user", "a"), ("assistant", "b")]
    assert source.resume is None


def test_what_only_the_event_says_is_kept() -> None:
    citation = {"entries": [], "rolloutIds": ["r"]}
    _, messages, _ = read(
        answer("hi"), event("agent_message", message="hi", phase="final_answer", memory_citation=citation)
    )
    assert messages[1]["kind"] == "meta"
    payload = {"type": "agent_message", "phase": "final_answer", "memory_citation": citation}
    assert messages[1]["parts"] == [{"type": "record", "record": {"type": "event_msg", "payload": payload}}]


def test_a_phase_that_the_item_states_is_not_kept_twice() -> None:
    _, messages, _ = read(
        event("agent_message", message="hi", phase="final_answer"), answer("hi", phase="final_answer")
    )
    assert len(messages) == 1
    assert messages[0]["x"] == {"phase": "final_answer"}


def test_images_of_a_prompt_are_kept_once() -> None:
    url = f"data:image/png;base64,{PNG}"
    content = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": url}]
    _, messages, _ = read(
        item("message", role="user", content=content),
        event("user_message", message="look", images=[url], local_images=["/a.png"]),
    )
    assert messages[0]["parts"][1] == {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
    assert messages[1]["parts"][0]["record"]["payload"] == {"type": "user_message", "local_images": ["/a.png"]}


def test_empty_reasoning_that_is_said_to_be_completed_adds_nothing() -> None:
    completed = {"type": "Reasoning", "id": "rs", "summary_text": [], "raw_content": []}
    _, messages, source = read(
        item("reasoning", id="rs", summary=[], encrypted_content="gAAA"), event("item_completed", item=completed)
    )
    assert messages[0]["parts"] == [{"type": "reasoning", "content": "", "signature": "gAAA"}]
    assert len(messages) == 1
    assert source.account.preserved == 0


def test_completed_items_that_are_no_talk_are_preserved() -> None:
    done = {"type": "CommandExecution", "id": "c", "command": ["ls"], "exit_code": 0}
    _, messages, source = read(event("item_completed", item=done))
    assert messages[0]["parts"][0]["record"]["payload"]["item"] == done
    assert source.account.preserved == 1


# -- usage -------------------------------------------------------------------------------------------------------------


def test_the_same_total_told_twice_is_billed_once() -> None:
    first, second = figures(100, 60, 10, 4), figures(250, 160, 25, 4)
    _, messages, _ = read(
        line("turn_context", CONTEXT),
        event("token_count", info=None),
        tokens(first, first),
        tokens(first, first),
        tokens(second, figures(150, 100, 15)),
        tokens(second, figures(150, 100, 15)),
    )
    assert bill(messages) == {
        "input_tokens": 250,
        "cache_read_tokens": 160,
        "output_tokens": 25,
        "reasoning_tokens": 4,
    }
    counted = [message for message in messages if "usage" in message]
    assert [(m["role"], m["kind"], m["parts"], m["model"]) for m in counted] == [
        ("system", "meta", [], "gpt-5-codex")
    ] * 2
    assert all("x" not in message for message in counted)


def test_the_growth_of_the_total_counts_when_the_last_usage_disagrees() -> None:
    first, second = figures(100, 0, 10), figures(180, 0, 20)
    _, messages, _ = read(tokens(first, first), tokens(second, figures(1, 0, 1)))
    assert bill(messages) == {"input_tokens": 180, "output_tokens": 20}
    assert messages[1]["x"]["info"]["last_token_usage"] == figures(1, 0, 1)


def test_a_total_that_went_down_has_begun_anew() -> None:
    first, second = figures(100, 50, 10), figures(30, 0, 5)
    _, messages, _ = read(tokens(first, first), tokens(second, second))
    assert bill(messages) == {"input_tokens": 130, "cache_read_tokens": 50, "output_tokens": 15}


def test_a_context_said_to_be_full_bills_nothing() -> None:
    first, full = figures(100, 0, 10), figures(0, 0, 0) | {"total_tokens": 272000}
    after = figures(40, 0, 4) | {"total_tokens": 272044}
    _, messages, _ = read(tokens(first, first), tokens(full, full), tokens(after, figures(40, 0, 4)))
    assert bill(messages) == {"input_tokens": 140, "output_tokens": 14}


def test_rate_limits_are_told_when_they_change() -> None:
    low, high = {"primary": {"used_percent": 1.0}}, {"primary": {"used_percent": 2.0}}
    usage = figures(100, 0, 10)
    _, messages, _ = read(
        event("token_count", info=None, rate_limits=low),
        event("token_count", info=None, rate_limits=low),
        tokens(usage, usage, rate_limits=low),
        tokens(usage, usage, rate_limits=high),
    )
    assert [message.get("x") for message in messages] == [{"rate_limits": low}, None, {"rate_limits": high}]
    assert bill(messages) == {"input_tokens": 100, "output_tokens": 10}


def test_completed_turns_state_running_totals() -> None:
    _, messages, _ = read(
        event("turn.completed", usage={"input_tokens": 1420, "cached_input_tokens": 380, "output_tokens": 910}),
        event("turn.completed", usage={"input_tokens": 2840, "cached_input_tokens": 1420, "output_tokens": 1520}),
    )
    assert bill(messages) == {"input_tokens": 2840, "cache_read_tokens": 1420, "output_tokens": 1520}


def test_a_second_kind_of_counter_is_preserved_and_not_billed_again() -> None:
    usage = figures(100, 0, 10)
    _, messages, source = read(tokens(usage, usage), event("turn.completed", usage=usage))
    assert bill(messages) == {"input_tokens": 100, "output_tokens": 10}
    assert source.account.preserved == 1


@pytest.mark.parametrize("info", [{"prompt": 1420}, 5, [], {"total_token_usage": {"input_tokens": "many"}}])
def test_counts_of_an_unknown_shape_are_preserved(info: Any) -> None:
    _, messages, source = read(event("token_count", info=info))
    assert source.account.preserved == 1
    assert messages[0]["parts"][0]["record"]["payload"]["info"] == info
    assert bill(messages) == {}


# -- the session -------------------------------------------------------------------------------------------------------


def test_the_first_session_meta_names_the_session() -> None:
    git = {"commit_hash": "0f3c", "branch": "main", "repository_url": "https://example.org/t.git", "dirty": True}
    facts = META | {"git": git, "originator": "codex_vscode", "model_provider": "openai", "session_id": "root-1"}
    draft, messages, _ = read(line("session_meta", facts), answer("hi"), meta=False)
    assert draft.native_id == "s-1"
    assert draft.created_at == "2025-10-04T07:12:00.690Z"
    assert (draft.cwd, draft.project) == ("/src/tidepool", "tidepool")
    assert draft.git == {"commit": "0f3c", "branch": "main", "remote": "https://example.org/t.git"}
    assert draft.x["git"] == {"dirty": True}
    assert (draft.x["originator"], draft.x["cli_version"], draft.x["session_id"]) == (
        "codex_vscode",
        "0.44.0",
        "root-1",
    )
    assert messages[0]["provider"] == "openai"


@pytest.mark.parametrize("facts", [{"instructions": "Be brief."}, {"base_instructions": {"text": "Be brief."}}])
def test_instructions_are_the_first_message_and_have_no_time(facts: dict[str, Any]) -> None:
    draft, messages, _ = read(line("session_meta", META | facts, ordinal=0), user("hello"), meta=False)
    parts = [{"type": "text", "content": "Be brief."}]
    assert messages[0] == {"id": "m1", "role": "system", "kind": "context", "parts": parts}
    assert draft.title == "hello"


def test_a_local_time_is_not_passed_off_as_utc() -> None:
    draft, _, _ = read(line("session_meta", META | {"timestamp": "2025-10-04T07:12:00"}), meta=False)
    assert draft.created_at is None
    assert draft.x["created_at"] == {"raw": "2025-10-04T07:12:00", "precision": "s", "zone": "unknown"}


def test_a_message_time_without_a_zone_goes_to_x() -> None:
    _, messages, _ = read({**user("hello"), "timestamp": "2025-10-04T07:12:00.123"}, {**answer("hi"), "timestamp": 5})
    assert all("time" not in message for message in messages)
    assert messages[0]["x"] == {"time": {"raw": "2025-10-04T07:12:00.123", "precision": "ms", "zone": "unknown"}}
    assert messages[1]["x"] == {"timestamp": 5}


@pytest.mark.parametrize(
    ("facts", "relation"),
    [
        ({"forked_from_id": "p-1"}, "fork"),
        ({"parent_thread_id": "p-1"}, "subagent"),
        ({"source": {"subagent": {"thread_spawn": {"parent_thread_id": "p-1"}}}}, "subagent"),
        ({"source": {"subagent": {"thread_spawn": {"parent_thread_id": "p-1"}}}, "forked_from_id": "p-1"}, "subagent"),
    ],
)
def test_forks_and_subagents_name_their_parent(facts: dict[str, Any], relation: str) -> None:
    draft, _, _ = read(line("session_meta", META | facts), meta=False)
    assert draft.forked_from == {"key": "codex:p-1", "relation": relation}


def test_without_session_meta_the_session_is_named_after_its_file() -> None:
    draft, _, _ = read(user("hello"), meta=False, name=NAME)
    assert draft.native_id == "5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"
    assert draft.issues["no-session-meta"][0] == 1
    assert read(user("hello"), meta=False, name="a/my notes.jsonl.zst")[0].native_id == "my notes"


def test_a_stub_has_no_title() -> None:
    context = "<environment_context>\n  <cwd>/src/lagoon</cwd>\n</environment_context>"
    draft, messages, _ = read(user(context), user("# AGENTS.md instructions for /src\n\nBe brief."))
    assert draft.title is None
    assert [(message["role"], message["kind"]) for message in messages] == [("user", "context")] * 2


def test_the_title_is_the_first_line_of_the_first_prompt() -> None:
    assert read(user("<turn_aborted>"), user("\n  Fix it \nplease"), user("no"))[0].title == "Fix it"
    assert read(user("x" * 200))[0].title == "x" * 120


def test_a_thread_that_is_given_a_name_has_it_as_title() -> None:
    named = event("thread_name_updated", thread_name="Tides")
    assert read(user("hello"), named, user("more"))[0].title == "Tides"


def test_a_subagent_file_says_that_it_repeats_its_parent() -> None:
    draft, messages, _ = fixture(
        "sessions/2026/03/02/rollout-2026-03-02T14-00-00-019cae2b-7777-7abc-9def-012345678901.jsonl"
    )
    assert draft.native_id == "019cae2b-7777-7abc-9def-012345678901"
    assert draft.forked_from == {"key": "codex:019cadf0-1a2b-7c3d-8e4f-5a6b7c8d9e0f", "relation": "subagent"}
    assert draft.issues["copied-history"][0] == 1
    assert [m["id"] for m in messages] == ["m1", "m2", "m3", "msg_user1", "msg_a1", "am_1", "m7", "msg_k1"]
    assert messages[5]["kind"] == "context"


def test_a_turn_context_is_kept_when_it_changes() -> None:
    _, messages, source = read(
        line("turn_context", CONTEXT | {"turn_id": "1"}),
        answer("a"),
        line("turn_context", CONTEXT | {"turn_id": "2"}),
        answer("b"),
        line("turn_context", CONTEXT | {"turn_id": "3", "model": "gpt-5.4"}),
        answer("c"),
    )
    assert [m.get("model") for m in messages if m["role"] == "assistant"] == ["gpt-5-codex", "gpt-5-codex", "gpt-5.4"]
    assert source.account.preserved == 2


# -- items -------------------------------------------------------------------------------------------------------------


def test_a_wrapped_tool_output_is_unwrapped() -> None:
    output = json.dumps({"output": "1 failed", "metadata": {"exit_code": 1, "duration_seconds": 0.4}})
    _, messages, _ = read(item("function_call_output", call_id="c", output=output))
    part = {"type": "tool_call_response", "id": "c", "response": "1 failed", "is_error": True}
    assert messages[0]["parts"] == [part]
    assert messages[0]["x"] == {"metadata": {"exit_code": 1, "duration_seconds": 0.4}}


@pytest.mark.parametrize(
    "output",
    [
        '{"output":"a","metadata":{"exit_code":0},"more":1}',
        '{"output":"a","output":"b","metadata":{}}',
        '{"output":"a"}',
        '{"output":5,"metadata":{}}',
        '{"output":"a","metadata":{"exit_code":0}',
    ],
)
def test_an_output_stays_wrapped_when_unwrapping_would_lose_something(output: str) -> None:
    _, messages, _ = read(item("function_call_output", call_id="c", output=output))
    assert messages[0]["parts"] == [{"type": "tool_call_response", "id": "c", "response": output}]
    assert "x" not in messages[0]


@pytest.mark.parametrize(
    ("output", "failed"),
    [
        ("Exit code: 1\nWall time: 0.1 seconds\nOutput:\nno", True),
        ("Exit code: 0\nWall time: 0.1 seconds\nOutput:\nyes", False),
        ("Chunk ID: 4f\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\n", True),
        ("Chunk ID: 4f\nWall time: 0.1 seconds\nProcess exited with code 0\nOutput:\n", False),
        ("it says: Process exited with code 2", False),
    ],
)
def test_a_stated_exit_code_tells_an_error(output: str, failed: bool) -> None:
    part = read(item("function_call_output", call_id="c", output=output))[1][0]["parts"][0]
    assert part["response"] == output
    assert part.get("is_error", False) is failed


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            {"type": "function_call", "call_id": "c", "name": "shell", "arguments": '{"a": 1}'},
            ("c", "shell", '{"a": 1}'),
        ),
        ({"type": "function_call", "call_id": "c", "name": "patch", "arguments": {"a": 1}}, ("c", "patch", {"a": 1})),
        ({"type": "function_call", "call_id": "c", "name": "shell"}, ("c", "shell", None)),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "***"},
            ("c", "apply_patch", "***"),
        ),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec"}},
            ("c", "local_shell", {"type": "exec"}),
        ),
        ({"type": "web_search_call", "id": "ws", "action": {"query": "q"}}, ("ws", "web_search", {"query": "q"})),
        ({"type": "web_search_call", "action": {"query": "q"}}, ("m1", "web_search", {"query": "q"})),
        (
            {"type": "tool_search_call", "call_id": "c", "arguments": {"query": "q"}},
            ("c", "tool_search", {"query": "q"}),
        ),
    ],
)
def test_every_kind_of_call_is_a_tool_call(call: dict[str, Any], expected: tuple[Any, ...]) -> None:
    _, messages, _ = read(line("response_item", call))
    part = messages[0]["parts"][0]
    assert messages[0]["role"] == "assistant"
    assert (part["type"], part["id"], part["name"], part["arguments"]) == ("tool_call", *expected)


def test_outputs_of_content_items_become_parts() -> None:
    output = [
        {"type": "input_text", "text": "3.4 m"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
    ]
    _, messages, _ = read(item("custom_tool_call_output", call_id="c", output=output))
    assert messages[0]["parts"][0]["response"] == [
        {"type": "text", "content": "3.4 m"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
    ]


def test_a_generated_image_is_a_blob_of_its_call() -> None:
    _, messages, _ = read(item("image_generation_call", id="ig", status="completed", result=PNG))
    assert messages[0]["parts"][1] == {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
    assert messages[0]["x"] == {"status": "completed"}


def test_summaries_and_raw_thoughts_are_both_kept() -> None:
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    content = [{"type": "reasoning_text", "text": "raw"}]
    _, messages, _ = read(
        event("agent_reasoning", text="a"),
        event("agent_reasoning", text="b"),
        item("reasoning", summary=summary, content=content, encrypted_content="gAAA"),
        event("agent_reasoning_raw_content", text="raw"),
    )
    assert len(messages) == 1
    assert messages[0]["parts"] == [
        {"type": "reasoning", "content": "a\n\nb", "signature": "gAAA"},
        {"type": "reasoning", "content": "raw"},
    ]


def test_developer_messages_are_context_of_the_system() -> None:
    _, messages, _ = read(item("message", role="developer", content=[{"type": "input_text", "text": "No network."}]))
    assert (messages[0]["role"], messages[0]["kind"], messages[0]["x"]) == ("system", "context", {"role": "developer"})


def test_items_that_are_not_understood_are_preserved_as_they_are() -> None:
    compaction = {"type": "compaction", "encrypted_content": "gAAA"}
    lookalike = {"type": "tool_call", "function": {"name": "x"}}
    _, messages, source = read(line("response_item", compaction), line("response_item", lookalike))
    assert [message["parts"] for message in messages] == [
        [compaction],
        [{"type": "record", "record": lookalike}],
    ]
    assert source.account.preserved == 2


def test_fields_without_a_name_of_ours_are_kept() -> None:
    row = answer("hi", id="msg_1", phase="final_answer") | {"ordinal": 7}
    _, messages, _ = read(row)
    assert messages[0]["id"] == "msg_1"
    assert messages[0]["x"] == {"phase": "final_answer", "ordinal": 7}


def test_an_id_that_comes_again_gets_a_suffix() -> None:
    ids = ("a", "a", "a~2", "a", "m1")
    draft, messages, _ = read(*(answer(str(n), id=id) for n, id in enumerate(ids)))
    assert [message["id"] for message in messages] == ["a", "a~2", "a~2~2", "a~3", "m5"]
    assert draft.issues["repeated-message-id"][0] == 3


def test_errors_are_messages_of_their_own_kind() -> None:
    _, messages, _ = read(
        event("error", message="stream disconnected", codex_error_info="other"),
        event("error", error={"kind": "rate_limit", "message": "Rate limit exceeded"}),
        event("error", error=5),
    )
    assert [(m["kind"], m["parts"][0].get("content")) for m in messages] == [
        ("error", "stream disconnected"),
        ("error", "Rate limit exceeded"),
        ("meta", None),
    ]
    assert messages[1]["x"] == {"error": {"kind": "rate_limit"}}


def test_a_compaction_keeps_its_text_and_its_record() -> None:
    history = [{"type": "message", "role": "user", "content": []}]
    _, messages, _ = read(line("compacted", {"message": "So far: tides.", "replacement_history": history}))
    record = {"type": "compacted", "payload": {"replacement_history": history}}
    assert messages[0]["kind"] == "compaction"
    assert messages[0]["parts"] == [
        {"type": "text", "content": "So far: tides."},
        {"type": "record", "record": record},
    ]


@pytest.mark.parametrize(
    "row",
    [
        line("session_meta", 5),
        line("response_item", None),
        line("event_msg", {"type": []}),
        line("event_msg", {"type": "user_message", "message": 5}),
        line("event_msg", {"type": "item_completed", "item": {"type": "AgentMessage", "content": 5}}),
        line("response_item", {"type": "message", "role": [], "content": []}),
        line("response_item", {"type": "message", "role": "user", "content": 5}),
        line("response_item", {"type": "reasoning", "summary": 5}),
        line("response_item", {"type": "function_call", "name": 5, "call_id": "c"}),
        line("response_item", {"type": "function_call_output", "call_id": []}),
        {"record_type": "state"},
        {"unknown": 1},
        {},
    ],
)
def test_records_of_a_wrong_shape_are_preserved(row: Any) -> None:
    _, messages, source = read(row)
    assert source.account.preserved == 1
    assert messages[0]["kind"] == "meta"
    assert len(messages[0]["parts"]) == 1


# -- generations -------------------------------------------------------------------------------------------------------


def test_an_autumn_2025_rollout_is_read() -> None:
    draft, messages, source = fixture(NAME)
    assert draft.title == "The gauge test fails on leap days. Find out why and fix it."
    assert Counter((m["role"], m.get("kind")) for m in messages) == {
        ("system", "context"): 1,
        ("system", "meta"): 5,
        ("user", "context"): 1,
        ("user", None): 2,
        ("assistant", None): 5,
        ("tool", None): 2,
    }
    assert bill(messages) == {
        "input_tokens": 9100,
        "cache_read_tokens": 7400,
        "output_tokens": 260,
        "reasoning_tokens": 96,
    }
    assert (source.account.records, source.account.mapped, source.account.preserved) == (23, 21, 2)
    assert draft.issues == {}


def test_a_2026_rollout_is_read() -> None:
    draft, messages, _ = fixture(
        "sessions/2026/03/02/rollout-2026-03-02T13-05-00-019cadf0-1a2b-7c3d-8e4f-5a6b7c8d9e0f.jsonl"
    )
    assert draft.title == "Reading a tide chart"
    assert [tool["name"] for tool in draft.tools] == ["forecast"]
    assert [text for role, text in said(messages) if role == "user"] == ["What does this chart show?"]
    assert [text for role, text in said(messages) if role == "assistant"] == [
        "",
        "A spring tide: the range is at its largest.",
    ]
    assert [m["x"]["ordinal"] for m in messages[1:]] == [
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
        20,
        21,
        22,
        23,
        24,
    ]
    assert [m["kind"] for m in messages[-3:]] == ["compaction", "meta", "error"]


def test_a_mid_2025_rollout_of_bare_lines_is_read() -> None:
    draft, messages, source = fixture(
        "sessions/2025/08/14/rollout-2025-08-14T10-30-00-7e57ab1e-0815-4711-9000-abcdefabcdef.jsonl"
    )
    assert (draft.native_id, draft.created_at) == ("7e57ab1e-0815-4711-9000-abcdefabcdef", "2025-08-14T08:30:00.123Z")
    assert (draft.cwd, draft.project, draft.title) == ("/home/mara/src/lagoon", "lagoon", "Which Python do we need?")
    assert [m["role"] for m in messages if m.get("kind") != "meta"] == [
        "system", "user", "user", "assistant", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert all("time" not in message for message in messages)
    assert source.account.preserved == 2


def test_a_spring_2025_document_is_read() -> None:
    draft, messages, source = fixture("sessions/rollout-2025-04-22-1badb002-2025-4422-8888-aaaaaaaaaaaa.json")
    assert (draft.native_id, draft.created_at) == ("1badb002-2025-4422-8888-aaaaaaaaaaaa", "2025-04-22T16:20:00.000Z")
    assert [m["role"] for m in messages] == ["user", "assistant", "assistant", "tool", "assistant"]
    assert messages[3]["parts"][0]["is_error"] is True
    assert (source.account.records, source.account.mapped) == (6, 6)
    assert source.resume is None


def test_a_document_keeps_what_stands_beside_and_rejects_what_is_no_item() -> None:
    document = {"session": {"id": "s", "timestamp": "2025-04-22T16:20:00Z"}, "items": [5, {"type": "x"}], "v": 1}
    draft, messages, source = read_bytes(json.dumps(document, indent=1).encode())
    assert draft.x == {"v": 1}
    assert source.account.rejected == [(2, "not a JSON object")]
    assert messages[0]["parts"] == [{"type": "record", "record": {"type": "x"}}]


def test_a_broken_document_is_unparsable() -> None:
    with pytest.raises(Unparsable):
        list(Codex().read(Source.of(b'{"session": {"id": "s"}, "items": [')))
    with pytest.raises(Unparsable):
        list(Codex().read(Source.of(b'{"session": {"id": "s"}, "items": 5}')))


def test_a_compressed_rollout_is_recognised_once_unpacked() -> None:
    path = HOME / "sessions/2025/12/01/rollout-2025-12-01T08-00-00-deadbee1-0000-4000-8000-0123456789ab.jsonl.zst"
    assert path.name.endswith(Codex.suffixes)
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    assert recognised(data, path.name)
    draft, messages, _ = read_bytes(data, path.name)
    assert draft.native_id == "deadbee1-0000-4000-8000-0123456789ab"
    assert said(messages) == [("user", "List the corals"), ("assistant", "Staghorn, brain, fire.")]


def test_a_file_that_changes_its_generation_half_way_is_read() -> None:
    header = {"id": "s-1", "timestamp": "2025-08-14T08:30:00Z", "instructions": None}
    bare = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "old"}]}
    draft, messages, _ = read(header, bare, line("turn_context", CONTEXT), answer("new"), meta=False)
    assert draft.native_id == "s-1"
    assert said(messages) == [("user", "old"), ("assistant", "new")]


# -- going on ----------------------------------------------------------------------------------------------------------


def test_going_on_remembers_totals_texts_ids_and_context() -> None:
    usage, more = figures(100, 0, 10), figures(150, 0, 12)
    rows = [
        line("session_meta", META),
        line("turn_context", CONTEXT | {"turn_id": "1"}),
        user("hello", id="u"),
        event("user_message", message="hello"),
        answer("hi", id="a"),
        tokens(usage, usage, rate_limits={"used": 1}),
        event("agent_message", message="hi"),
        tokens(usage, usage, rate_limits={"used": 1}),
        line("turn_context", CONTEXT | {"turn_id": "2"}),
        answer("again", id="a"),
        tokens(more, figures(50, 0, 2), rate_limits={"used": 1}),
    ]
    data = [json.dumps(row).encode() + b"\n" for row in rows]
    whole = Source.of(b"".join(data))
    expected = [message for _, message in Codex().read(whole)]
    assert said(expected) == [("user", "hello"), ("assistant", "hi"), ("assistant", "again")]
    assert bill(expected) == {"input_tokens": 150, "output_tokens": 12}
    for cut in range(1, len(data)):
        first = Source.of(b"".join(data[:cut]))
        messages = [message for _, message in Codex().read(first)]
        assert first.resume is not None
        state = json.loads(json.dumps(first.resume))
        second = Source("", data[cut:], account=first.account, resumed=state)
        messages += [message for _, message in Codex().read(second)]
        assert messages == expected
        assert second.drafts[0].state() == whole.drafts[0].state()
        assert second.account == whole.account


# -- the samples -------------------------------------------------------------------------------------------------------

NOT_ROLLOUTS = {
    "history.jsonl",
    "session_branch.jsonl",
    "session_simple.jsonl",
    "session_toolcall.jsonl",
    "schema_drift.jsonl",
}


@pytest.mark.samples
def test_all_rollouts_among_the_samples_are_recognised_and_nothing_else(samples: Path) -> None:
    for path in sorted(samples.rglob("*")):
        if path.is_file() and path.name.endswith(Codex.suffixes):
            head = Head(path.name, path.read_bytes()[: 64 << 10], path.stat().st_size <= 64 << 10, path.read_bytes)
            ours = path.relative_to(samples).parts[0] == "codex" and path.name not in NOT_ROLLOUTS
            assert Codex().recognise(head) is ours, path


@pytest.mark.samples
def test_a_real_rollout_has_each_text_once_and_its_true_bill(samples: Path) -> None:
    path = next((samples / "codex").rglob("rollout-2025-10-31T19-02-58-*.jsonl"))
    rows = [json.loads(row) for row in path.read_bytes().splitlines()]
    draft, messages, source = read_bytes(path.read_bytes(), path.name)
    payloads = [row["payload"] for row in rows if row["type"] == "response_item"]
    assert len([m for m in messages if m.get("kind") != "meta"]) == len(payloads)
    total = [row["payload"]["info"]["total_token_usage"] for row in rows if row["payload"].get("type") == "token_count"]
    assert bill(messages) == {
        "input_tokens": total[-1]["input_tokens"],
        "cache_read_tokens": total[-1]["cached_input_tokens"],
        "output_tokens": total[-1]["output_tokens"],
        "reasoning_tokens": total[-1]["reasoning_output_tokens"],
    }
    assert draft.native_id in path.name
    assert source.account.preserved == 0

"""Event logs of icoder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.icoder import Icoder

from .support import FORMATS, imported, recognised, roles, text

LOGS = FORMATS / "icoder" / "logs"
RUN = LOGS / "icoder_2026-05-11T10-00-00-123456.jsonl"
NAME = "icoder_2026-05-11T10-00-00-123456.jsonl"
DONE = {"type": "done", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}


def log(*events: dict[str, Any]) -> bytes:
    """Events a second apart."""
    return b"".join(json.dumps({"t": n, **event}).encode() + b"\n" for n, event in enumerate(events))


def stream(**event: Any) -> dict[str, Any]:
    """A stream event."""
    return {"event": "stream_event", **event}


def read(*events: dict[str, Any], name: str = NAME) -> tuple[Draft, list[Message]]:
    """Read events."""
    return imported(Icoder(), log(*events), name, {}).one()


def test_logs_are_recognised_by_their_events() -> None:
    assert all(recognised(Icoder(), path) for path in LOGS.iterdir())
    for other in ({"t": 1, "event": "page_view"}, {"t": "1", "event": "input_received"}, {"event": "input_received"}):
        assert not recognised(Icoder(), json.dumps(other).encode() + b"\n")
    assert not recognised(Icoder(), b'{"t":1,"event":"input_received"}\n{"role":"user","content":"x"}\n')


def test_a_run_is_a_conversation() -> None:
    found = imported(Icoder(), RUN)
    draft, messages = found.one()
    assert found.counts == (19, 14, 5, 0)
    assert draft.native_id == RUN.stem and draft.aliases == ["6f1d2c3b-0511-4a00-8000-000000000005"]
    assert draft.title == "What does a.txt say?" and draft.cwd == "/home/ada/tinyshop"
    said = [m for m in messages if "kind" not in m]
    assert roles(said) == ["user", "user", "assistant", "tool", "assistant", "user"]
    assert [text(m) for m in said] == ["/help", "What does a.txt say?", "Let me see.", "", "It says hello.", "/review"]
    assert [m["kind"] for m in messages if m["role"] == "user" and "kind" in m] == ["context"]
    assert [text(m) for m in messages if m.get("kind") == "error"] == ["CLI failed with code 1"]


def test_times_are_those_of_the_name_and_the_offset() -> None:
    _, messages = imported(Icoder(), RUN).one()
    assert messages[0]["time"] == "2026-05-11T10:00:00.123581Z"
    times = [m["time"] for m in messages]
    assert times == sorted(times)
    answer = messages[6]
    assert answer["x"]["t"] == 1.500125 and answer["x"]["until"] == 2.000125


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("icoder_2026-05-11T10-00-00-123456-2.jsonl", "2026-05-11T10:00:00.123456Z"),
        ("icoder_2026-05-11T10-00-00.jsonl", "2026-05-11T10:00:00.000000Z"),
        ("icoder_2026-05-11T10-00-00-2.jsonl", "2026-05-11T10:00:00.000000Z"),
        ("icoder_2026-13-11T10-00-00.jsonl", None),
        ("renamed.jsonl", None),
        ("", None),
    ],
)
def test_only_a_name_that_states_a_time_gives_times(name: str, time: str | None) -> None:
    draft, messages = read({"event": "input_received", "text": "Hi"}, name=name)
    assert messages[0].get("time") == time
    assert ("times-are-offsets" in draft.issues) is (time is None)
    assert messages[0]["x"]["t"] == 0 and draft.native_id


@pytest.mark.parametrize("offset", [-1, 1e300, True, None, "1", []])
def test_an_offset_that_is_none_gives_no_time(offset: Any) -> None:
    _, messages = read({"event": "input_received", "text": "Hi", "t": offset})
    assert "time" not in messages[0] and messages[0]["x"] == {"t": offset}


def test_the_session_is_also_found_by_the_ids_that_answers_state() -> None:
    draft, _ = read(stream(**DONE, session_id="a"), stream(**DONE, session_id="b"), stream(**DONE, session_id="a"))
    assert draft.aliases == ["a", "b"]


def test_the_bill_is_that_of_every_answer_once() -> None:
    event = stream(**DONE, cost_usd=0.5)
    _, messages = read(stream(type="text_delta", text="x"), event, stream(type="text_delta", text="y"), event)
    assert [m["usage"] for m in messages] == [
        {"input_tokens": 8, "cache_read_tokens": 3, "output_tokens": 1, "cost_microusd": 500_000}
    ] * 2


def test_tokens_of_langchain_include_the_cache() -> None:
    _, messages = read({"event": "session_start", "provider": "langchain"}, stream(**DONE))
    assert messages[1]["usage"]["input_tokens"] == 5


def test_an_answer_that_breaks_off_is_kept_and_grows() -> None:
    events = [{"event": "input_received", "text": "Hi"}, stream(type="text_delta", text="Hel")]
    draft, messages = read(*events)
    assert text(messages[1]) == "Hel" and "answer-unfinished" in draft.issues
    source = Source.of(log(*events), NAME)
    list(Icoder().read(source))
    assert source.resume is None
    source = Source.of(log(*events, stream(type="text_delta", text="lo"), stream(**DONE)), NAME)
    assert text([message for _, message in Icoder().read(source)][1]) == "Hello"
    assert source.resume is not None


def test_what_the_events_say_besides_is_kept() -> None:
    _, messages = read(
        stream(type="text_delta", text="a", index=1),
        stream(type="text_delta", text="b"),
        stream(type="tool_use_start", name="Read", args={}, tool_call_id="c", extra=1),
        stream(type="tool_result", name="Read", output=["x"], tool_call_id="c", is_error=True),
        stream(type="error", message="no", reason="because"),
        {"event": "autocomplete_shown", "items": [1]},
    )
    parts = messages[0]["parts"]
    assert [part.get("index") for part in parts[:2]] == [1, None]
    assert parts[2]["id"] == "c" and parts[2]["extra"] == 1
    assert messages[1]["parts"][0]["is_error"] is True and messages[1]["parts"][0]["id"] == "c"
    assert messages[2]["x"]["event"] == {"reason": "because"}
    assert messages[3]["parts"][0]["record"] == {"event": "autocomplete_shown", "items": [1]}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "input_received", "text": 5},
        {"event": 7},
        {"event": None},
        stream(),
        stream(type=[]),
        stream(type="text_delta", text=None),
        stream(type="tool_use_start", name=1),
        stream(type="tool_result"),
        stream(type="done", usage=[], session_id=3),
        {"event": "session_start", "session_id": [], "project_dir": 1},
    ],
)
def test_events_of_other_shapes_are_kept(event: Any) -> None:
    found = imported(Icoder(), log(event), NAME, {})
    assert len(found.one()[1]) == 1 and found.counts[0] == 1


@pytest.mark.parametrize("part", [0.1, 0.4, 0.7, 0.95])
def test_a_torn_log_is_read_up_to_the_tear(part: float) -> None:
    data = RUN.read_bytes()
    source = Source.of(data[: int(len(data) * part)], NAME)
    messages = list(Icoder().read(source))
    assert source.account.adds_up and len(source.account.rejected) <= 1
    assert bool(messages) is (part > 0.1) and len(source.drafts) == bool(messages)


def test_many_pieces_of_an_answer_are_joined_in_linear_time() -> None:
    _, messages = read(*(stream(type="text_delta", text="word ") for _ in range(100_000)))
    assert len(messages) == 1 and len(text(messages[0])) == 500_000

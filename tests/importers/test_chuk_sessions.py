"""chuk-ai-session-manager: its file store, and the envelope of chuk-sessions."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.chuk_sessions import ChukSessions
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles, text

FIXTURES = FORMATS / "chuk-sessions"
FIRST, SECOND = "6f1c0e5a-1111-4a4a-8b8b-000000000011", "6f1c0e5a-2111-4a4a-8b8b-000000000021"
IMPORTER = ChukSessions()


def event(message: Any, source: Any = "user", kind: Any = "message", **more: Any) -> dict[str, Any]:
    """An event with as little as it may have."""
    return {"message": message, "source": source, "type": kind} | more


def session(*events: Any, **more: Any) -> dict[str, Any]:
    """A session document."""
    return {"id": "s-1", "metadata": {}, "events": list(events), "token_summary": {}} | more


def enveloped(inner: Any, **more: Any) -> dict[str, Any]:
    """What chuk-sessions holds of a session."""
    return {"session_id": "s-1", "custom_metadata": {"ai_session_data": json.dumps(inner)}} | more


def one(value: Any, name: str = "x.json") -> tuple[Draft, list[Message]]:
    """The session of a document."""
    return imported(IMPORTER, json.dumps(value).encode(), name).one()


def test_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "chuk-sessions.py"))["make"](tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert made == {path.relative_to(FIXTURES): path.read_bytes() for path in FIXTURES.rglob("*.json")}


def test_a_stored_session() -> None:
    read = imported(IMPORTER, FIXTURES / "store" / f"{FIRST}.json")
    draft, messages = read.one()
    assert read.counts == (9, 8, 1, 0)
    assert (draft.native_id, draft.aliases) == (FIRST, [f"session:{FIRST}"])
    assert draft.created_at == "2026-02-21T09:00:00.000001+00:00"
    assert draft.system == [{"type": "text", "content": "Answer in one sentence."}]
    assert draft.title == "When is high water in Brest?"
    assert draft.x["metadata"] == {"properties": {"user_id": "ada"}}
    assert roles(messages) == [
        *("user", "assistant", "tool", "assistant", "tool", "assistant"),
        *("assistant", "tool", "system", "system"),
    ]
    assert messages[0]["id"] == "e0000000-0000-4000-8000-000000000001"
    assert messages[0]["time"] == "2026-02-21T09:00:01.500000+00:00"
    assert [message.get("kind") for message in messages[-2:]] == ["meta", "compaction"]
    assert not draft.issues


def test_a_tools_use_is_a_call_and_its_result() -> None:
    _, messages = imported(IMPORTER, FIXTURES / "store" / f"{FIRST}.json").one()
    call, result, _, failed = messages[1:5]
    assert result["id"] == f"{call['id']}:result"
    assert call["parts"] == [{"type": "tool_call", "id": call["id"], "name": "tides", "arguments": {"port": "Brest"}}]
    assert result["parts"] == [{"type": "tool_call_response", "id": call["id"], "response": {"high": "14:05"}}]
    assert failed["parts"][0]["response"] == "no such port" and failed["parts"][0]["is_error"] is True
    assert result["time"] == call["time"]


def test_injected_messages_are_read_in_their_own_dialect() -> None:
    _, messages = imported(IMPORTER, FIXTURES / "store" / f"{FIRST}.json").one()
    assert messages[6]["parts"][0]["id"] == messages[7]["parts"][0]["id"] == "call_1"
    assert messages[7]["x"] == {"name": "tides"}


def test_costs_are_estimates_and_add_up() -> None:
    _, messages = imported(IMPORTER, FIXTURES / "store" / f"{FIRST}.json").one()
    usages = [message["usage"] for message in messages if "usage" in message]
    assert usages == [
        {"input_tokens": 9, "cost_microusd": 2, "estimated": True},
        {"output_tokens": 5, "cost_microusd": 50, "estimated": True},
    ]
    assert "model" not in messages[0]
    assert (messages[5]["model"], messages[5]["provider"]) == ("gpt-4o", "openai")
    assert messages[5]["x"]["metadata"] == {"timestamp": "2026-02-21T10:00:02.501234"}


def test_a_segment_is_linked_to_the_one_it_goes_on_from() -> None:
    draft, messages = imported(IMPORTER, FIXTURES / "redis" / f"{SECOND}.json").one()
    assert draft.forked_from == {"key": f"chuk-sessions:{FIRST}", "relation": "resume"}
    assert draft.x["chuk_sessions"]["sandbox_id"] == "ai-session-manager"
    assert "ai_session_data" not in json.dumps(draft.x)
    assert messages[1]["x"] == {"metadata": {"model": "unknown"}} and "model" not in messages[1]


@pytest.mark.parametrize("value", [session(), enveloped(session(), status="active")])
def test_an_empty_list_of_events_is_reported(value: Any) -> None:
    draft, messages = one(value)
    assert messages == []
    assert list(draft.issues) == ["events-empty"]


def test_contradictions_between_envelope_and_session_are_reported() -> None:
    value = enveloped(session(event("x")), session_id="other")
    value["custom_metadata"]["event_count"] = 0
    draft, _ = one(value)
    assert (draft.native_id, draft.aliases) == ("s-1", ["other", "session:s-1"])
    assert set(draft.issues) == {"id-contradiction", "event-count-differs"}


def test_ids_are_made_unique_and_missing_ones_counted() -> None:
    tool = event({"tool": "t", "arguments": {}, "result": 1}, "system", "tool_call", id="a")
    _, messages = one(session(event("x", id="a"), event("y", id="a"), event("z"), tool))
    assert [message["id"] for message in messages] == ["a", "a~2", "m3", "a~3", "a~3:result"]


def test_many_events_of_one_id_take_no_quadratic_time() -> None:
    assert len(one(session(*[event("x", id="a")] * 30_000))[1]) == 30_000


@pytest.mark.parametrize(
    "odd",
    [
        5,
        None,
        {},
        event("x", "robot"),
        event("x", 5),
        event("x", "user", []),
        event({"tool": 5}, "system", "tool_call"),
        event({"a": 1}),
        event([1], "system", "tool_trace"),
        event("x", "system", "tool_fix"),
    ],
)
def test_events_that_are_no_conversation_are_kept_verbatim(odd: Any) -> None:
    read = imported(IMPORTER, json.dumps(session(event("x"), odd)).encode(), "x.json")
    assert read.counts == (3, 2, 1, 0)
    last = read.one()[1][-1]
    assert last["kind"] == "meta"
    assert last["parts"][0]["record"] == (odd if isinstance(odd, dict) else {"value": odd})


def test_what_a_tool_gave_back_is_kept_beside_its_error() -> None:
    said = {"tool": "t", "arguments": 1, "result": "half", "error": "cut", "success": True, "more": 1}
    _, messages = one(session(event(said, "system", "tool_call")))
    assert messages[1]["parts"][0]["response"] == "half" and messages[1]["parts"][0]["is_error"]
    assert messages[1]["x"] == {"more": 1, "error": "cut", "success": True}


def test_a_message_from_a_source_of_another_role_keeps_the_source() -> None:
    _, messages = one(session(event({"role": "assistant", "content": "Hi"}, "user")))
    assert (messages[0]["role"], messages[0]["x"], text(messages[0])) == ("assistant", {"source": "user"}, "Hi")


@pytest.mark.parametrize("cost", [-1, 1e300, "1", True, None, [1]])
def test_figures_that_cannot_be_are_not_taken(cost: Any) -> None:
    usage = {"prompt_tokens": cost, "completion_tokens": cost, "estimated_cost_usd": cost}
    _, messages = one(session(event("x", token_usage=usage)))
    assert "usage" not in messages[0]
    assert messages[0]["x"] == {"token_usage": usage}


def test_a_session_names_its_file_when_nothing_else_does() -> None:
    draft, _ = one({"id": 5, "metadata": {}, "events": [event("x")], "token_summary": {}}, "dump.json")
    assert (draft.native_id, list(draft.issues)) == ("dump", ["id-missing"])
    assert draft.x["id"] == 5


def test_what_holds_no_session_is_refused() -> None:
    broken = {"custom_metadata": {"ai_session_data": "{"}}
    for value in (5, [], broken, enveloped([1])):
        with pytest.raises(Unparsable):
            one(value)


def test_recognition() -> None:
    runs = {"id": "x", "metadata": {}, "events": [], "child_ids": [], "task_ids": [], "runs": []}
    for value in (session(), runs, enveloped({})):
        assert recognised(IMPORTER, json.dumps(value).encode(), "x.json")
    for value in ({"id": "x", "events": []}, {"events": [], "token_summary": {}}, {"custom_metadata": {}}, [session()]):
        assert not recognised(IMPORTER, json.dumps(value).encode(), "x.json")

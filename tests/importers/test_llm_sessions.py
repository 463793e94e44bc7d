"""Unified sessions of llm-mcp-server (`.llm_sessions/sessions/*.json`)."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Head, Machine, Message, Source
from sessionstore.importers.llm_sessions import LlmSessions
from sessionstore.importers.parsing import Unparsable

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "legacy" / "project" / ".llm_sessions"
USER = {"role": "user", "content": "hello", "timestamp": "2025-07-13T10:15:30.120977"}
BOT = {"role": "assistant", "content": "hi", "timestamp": 1752394535.204817, "model": "a"}
NAIVE = {"raw": "2025-07-13T10:15:30.120977", "precision": "us", "zone": "unknown"}


def switch(old: str, new: str, reason: str = "User requested") -> dict[str, Any]:
    """The message that records a change of model."""
    text = f"Model switched from {old} to {new}. Reason: {reason}"
    return {"role": "system", "content": text, "timestamp": "2025-07-13T10:18:02", "model_switch": True}


def document(*messages: Any, **fields: Any) -> dict[str, Any]:
    """A session as the program writes it; `metadata` is merged, a field given as `...` is left out."""
    metadata: Any = {
        "system_prompt": None,
        "tags": [],
        "total_tokens": 0,
        "total_cost": 0.0,
        "model_switches": [],
    }
    given = fields.pop("metadata", {})
    made = {
        "id": "unified_20250713_101530_1a2b3c4d",
        "version": "1.0",
        "created_at": "2025-07-13T10:15:30.118274",
        "updated_at": "2025-07-13T10:21:07.442001",
        "model": "a",
        "models_used": ["a"],
        "messages": list(messages),
        "metadata": metadata | given if isinstance(given, dict) else given,
    } | fields
    return {name: value for name, value in made.items() if value is not ...}


def read(
    made: Any, name: str = "sessions/unified_20250713_101530_1a2b3c4d.json"
) -> tuple[Draft, list[Message], Source]:
    """Read a document that is written as the program writes it."""
    source = Source.of(json.dumps(made, indent=2, ensure_ascii=False).encode(), name)
    messages = [message for _, message in LlmSessions().read(source)]
    assert source.account.adds_up
    return source.drafts[0], messages, source


def message(**fields: Any) -> Message:
    """The message that a record (an answer unless `fields` says otherwise) becomes."""
    return read(document(BOT | fields))[1][0]


def fixture(name: str) -> tuple[Draft, list[Message]]:
    """Read a fixture, unpacked when it is packed."""
    data = (FIXTURES / "sessions" / f"{name}.json").read_bytes()
    source = Source.of(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data, f"sessions/{name}.json")
    messages = [message for _, message in LlmSessions().read(source)]
    return source.drafts[0], messages


def test_fixtures_are_written_as_the_program_writes_them() -> None:
    files = sorted((FIXTURES / "sessions").glob("[!.]*.json"))
    packed = [path for path in files if path.read_bytes().startswith(b"\x1f\x8b")]
    assert (len(files), len(packed)) == (4, 1)
    for path in files:
        data = gzip.decompress(path.read_bytes()) if path in packed else path.read_bytes()
        value = json.loads(data)
        assert json.dumps(value, indent=2, ensure_ascii=False).encode() == data
        assert value["id"] == path.stem
        assert (len(data.decode()) > 10240) == (path in packed)


def test_every_view_of_the_fixtures_is_a_link_that_leads_nowhere() -> None:
    links = list((FIXTURES / "views").rglob("*.json"))
    assert len(links) == 9
    for link in links:
        assert os.readlink(link) == f"../../sessions/{link.name}"
        assert not link.exists()


def test_a_leftover_temporary_file_is_not_claimed() -> None:
    leftovers = list((FIXTURES / "sessions").glob(".*.tmp"))
    assert len(leftovers) == 1
    assert not leftovers[0].name.endswith(LlmSessions.suffixes)
    with pytest.raises(Unparsable):
        list(LlmSessions().read(Source.of(leftovers[0].read_bytes(), leftovers[0].name)))


def test_a_session_keeps_its_fields() -> None:
    draft, messages = fixture("release-notes")
    assert draft.native_id == "release-notes"
    assert draft.aliases == []
    assert draft.title == "Draft release notes for 0.4: faster search, no more lost sessions."
    assert draft.system == [{"type": "text", "content": "You write release notes."}]
    assert draft.x == {
        "created_at": {"raw": "2025-07-15T16:30:00", "precision": "s", "zone": "unknown"},
        "updated_at": {"raw": "2025-07-15T16:31:12.000093", "precision": "us", "zone": "unknown"},
        "version": "1.0",
        "model": "moonshotai/kimi-k2",
        "models_used": ["moonshotai/kimi-k2"],
        "tags": ["docs", "release"],
        "model_switches": [
            {
                "from": "gpt-4.1-mini",
                "to": "moonshotai/kimi-k2",
                "timestamp": "2025-07-15T16:29:59",
                "reason": "cheaper",
            }
        ],
        "metadata": {"total_tokens": 0, "total_cost": 0.0},
    }
    assert not draft.issues
    assert messages[1] == {
        "id": "m2",
        "role": "assistant",
        "time": "2025-07-15T14:30:12.250000Z",
        "model": "moonshotai/kimi-k2",
        "parts": [{"type": "text", "content": "**0.4** \u2013 search is faster; sessions are never lost."}],
        "usage": {"input_tokens": 24, "output_tokens": 15, "cost_microusd": 11},
        "finish_reason": "stop",
        "x": {"timestamp": 1752589812.25, "cost": 0.000011, "cost_currency": "USD (converted from CNY)"},
    }
    assert messages[2]["x"]["name"] == "editor"


def test_local_and_epoch_times_of_one_file_are_told_apart() -> None:
    _, (user, bot), _ = read(document(USER, BOT))
    assert "time" not in user and user["x"] == {"time": NAIVE}
    assert bot["time"] == "2025-07-13T08:15:35.204817Z" and bot["x"] == {"timestamp": 1752394535.204817}


def test_whole_seconds_and_stated_times_are_taken() -> None:
    assert message(timestamp=1752394535)["time"] == "2025-07-13T08:15:35.000000Z"
    stated = message(timestamp="2025-07-13T10:15:35+02:00")
    assert stated["time"] == "2025-07-13T10:15:35+02:00" and "x" not in stated


@pytest.mark.parametrize("wrong", [None, True, -5.0, 0, 1e300, 1752394535204, "soon", [], {}])
def test_a_timestamp_that_is_none_is_kept_as_it_was(wrong: Any) -> None:
    made = message(timestamp=wrong)
    assert "time" not in made and made["x"] == {"timestamp": wrong}


def test_a_field_called_time_is_not_overwritten() -> None:
    made = read(document(USER | {"time": "own"}))[1][0]
    assert made["x"] == {"time": "own", "timestamp": USER["timestamp"]}


def test_billed_tokens_are_usage() -> None:
    made = message(tokens={"input": 41, "output": 12, "total": 53}, cost=0.000036)
    assert made["usage"] == {"input_tokens": 41, "output_tokens": 12, "cost_microusd": 36}
    assert made["x"] == {"timestamp": BOT["timestamp"], "cost": 0.000036}


def test_estimated_tokens_say_so() -> None:
    assert message(tokens=7)["usage"] == {"output_tokens": 7, "estimated": True}
    assert read(document(USER | {"tokens": 9}))[1][0]["usage"] == {"input_tokens": 9, "estimated": True}
    assert "usage" not in message(tokens=0)
    assert message(tokens=0)["x"]["tokens"] == 0


@pytest.mark.parametrize(
    "tokens",
    [
        {"input": 41, "output": 12, "total": 99},
        {"input": 41, "output": 12, "cached": 5},
        {"input": 41, "output": "12"},
        {"input": 41, "output": -1},
        {"input": 41, "output": 2**63},
    ],
)
def test_token_figures_that_usage_does_not_restate_are_kept(tokens: dict[str, Any]) -> None:
    made = message(tokens=tokens)
    assert made["usage"]["input_tokens"] == 41
    assert made["x"]["tokens"] == tokens


@pytest.mark.parametrize("tokens", [None, True, -3, "7", [], {}, {"input": 0, "output": 0}, 2**63])
def test_tokens_without_a_figure_are_no_usage(tokens: Any) -> None:
    made = message(tokens=tokens)
    assert "usage" not in made and made["x"]["tokens"] == tokens


@pytest.mark.parametrize(
    ("cost", "currency"),
    [(0.5, "CNY"), (0.5, None), (0, "USD"), (-1.0, "USD"), (1e-9, "USD"), (1e300, "USD"), (True, "USD")],
)
def test_a_cost_that_is_no_amount_of_dollars_is_only_kept(cost: Any, currency: Any) -> None:
    made = message(cost=cost, cost_currency=currency)
    assert "usage" not in made and made["x"]["cost"] == cost


def test_a_change_of_model_is_a_message_of_its_kind() -> None:
    made = read(document(switch("a", "b")))[1][0]
    assert (made["role"], made["kind"]) == ("system", "switch")
    assert "model_switch" not in made["x"]


def test_a_change_of_model_recorded_again_is_kept_and_reported() -> None:
    draft, messages, _ = read(document(switch("a-2.5", "b"), USER, switch("a-2.5", "b", "because"), USER))
    assert draft.issues["model-switch-repeated"][0] == 1
    assert [made.get("kind") for made in messages] == ["switch", None, "switch", None]
    assert not read(document(switch("a", "b"), switch("b", "a"), switch("a", "b")))[0].issues
    assert not read(document(switch("a-2.5", "b"), switch("a-2.0", "b")))[0].issues


def test_a_change_of_model_does_not_hide_that_an_answer_is_missing() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    made = document(BOT | {"tool_calls": calls}, {"role": "tool", "tool_call_id": "c", "content": ""}, switch("a", "b"))
    assert "history-ends-with-tool" in read(made)[0].issues


def test_a_system_prompt_stored_twice_is_kept_and_reported() -> None:
    prompt = {"role": "system", "content": "be brief"}
    draft, messages, _ = read(document(prompt, prompt, USER))
    assert draft.issues["system-prompt-repeated"][0] == 1
    assert len(messages) == 3


def test_the_system_prompt_of_the_metadata_is_taken_only_when_no_message_states_it() -> None:
    prompt = {"role": "system", "content": "be brief"}
    draft = read(document(prompt, metadata={"system_prompt": "be brief"}))[0]
    assert draft.system == [] and draft.x["metadata"]["system_prompt"] == "be brief"
    draft = read(document(prompt, metadata={"system_prompt": "be long"}))[0]
    assert draft.system == [{"type": "text", "content": "be long"}]
    assert "system_prompt" not in draft.x["metadata"]


def test_the_model_of_the_last_answer_counts_then_the_last_switch_then_the_file() -> None:
    switched = {"model_switches": [{"from_model": "a", "to_model": "b", "timestamp": "t", "reason": None}]}
    other_shape = {"model_switches": [{"from": "a", "to": "c", "timestamp": "t", "reason": None}]}
    draft = read(document(BOT | {"model": "z"}, BOT | {"model": "b"}, metadata=switched))[0]
    assert draft.x["model_contradiction"] == {"last_answer": "b", "last_switch": "b", "file": "a", "verdict": "b"}
    assert list(draft.issues) == ["model-contradiction"]
    draft = read(document(USER, metadata=other_shape))[0]
    assert draft.x["model_contradiction"] == {"last_switch": "c", "file": "a", "verdict": "c"}
    assert draft.x["model"] == "a"
    assert "model_contradiction" not in read(document(USER, BOT))[0].x
    assert "model_contradiction" not in read(document(BOT, USER | {"model": "z"}))[0].x


@pytest.mark.parametrize("switches", [5, [5], [{"to_model": 5}], [[]], [None], {"to_model": "b"}])
def test_model_switches_of_any_shape_are_kept(switches: Any) -> None:
    draft = read(document(USER, BOT, metadata={"model_switches": switches}))[0]
    assert switches in (draft.x.get("model_switches"), draft.x["metadata"].get("model_switches"))
    assert not draft.issues


def test_the_switch_that_the_file_forgets_is_found_in_the_fixture() -> None:
    draft, messages = fixture("unified_20250713_101530_1a2b3c4d")
    assert draft.x["model_contradiction"] == {
        "last_answer": "gemini-2.5-pro",
        "last_switch": "gemini-2.5-pro",
        "file": "gpt-4.1-mini",
        "verdict": "gemini-2.5-pro",
    }
    assert {code: count for code, (count, _) in draft.issues.items()} == {
        "model-contradiction": 1,
        "model-switch-repeated": 1,
        "system-prompt-repeated": 1,
    }
    assert [made["model"] for made in messages if "model" in made] == ["gpt-4.1-mini", *["gemini-2.5-pro"] * 2]
    assert draft.system == []
    assert messages[3]["x"]["request_id"] == "chatcmpl-Bsyn0001"


def test_a_migrated_session_resolves_by_its_old_id_and_says_what_the_migration_lost() -> None:
    draft, messages = fixture("migrated_api-design_20250712_2100")
    assert draft.aliases == ["api-design_20250712_2100"]
    assert set(draft.issues) == {"times-are-of-migration", "tool-call-id-lost", "history-ends-with-tool"}
    assert draft.x["created_at"] == {"raw": "2025-07-12T21:00", "precision": "min", "zone": "unknown"}
    assert draft.x["migrated_at"]["raw"] == "2025-07-13T23:40:11.000120"
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "", "response": "2025-07-12 21:00:01"}]
    assert messages[3]["x"]["migrated"] is True
    assert messages[3]["x"]["original_timestamp"] == "2025-07-12T21:00:00"


def test_a_true_creation_time_that_is_no_time_replaces_nothing() -> None:
    draft = read(document(USER, metadata={"original_created_at": "long ago"}))[0]
    assert draft.x["created_at"]["raw"] == "2025-07-13T10:15:30.118274"
    assert draft.x["metadata"]["original_created_at"] == "long ago"
    assert "migrated_at" not in draft.x


@pytest.mark.parametrize("metadata", [5, "text", ["x"]])
def test_metadata_of_another_type_is_kept(metadata: Any) -> None:
    assert read(document(USER, metadata=metadata))[0].x["metadata"] == metadata


def test_unknown_fields_are_kept_at_every_level() -> None:
    draft, (made,), _ = read(
        document(USER | {"mood": "good"}, tags="own", metadata={"kimi_topics": ["a"], "tags": ["t"]})
    )
    assert made["x"] == {"mood": "good", "time": NAIVE}
    assert draft.x["metadata"]["kimi_topics"] == ["a"]
    assert draft.x["tags"] == ["t"] and draft.x["record"] == {"tags": "own"}


def test_the_id_inside_wins_over_the_name_of_the_file() -> None:
    draft = read(document(USER), "copy.json")[0]
    assert draft.aliases == ["copy"]
    assert list(draft.issues) == ["id-differs-from-file-name"]


def test_the_envelope_and_every_element_are_accounted_for() -> None:
    account = read(document(USER, 5, BOT))[2].account
    assert (account.records, account.mapped, account.preserved) == (4, 3, 1)


def test_only_documents_of_this_program_are_recognised() -> None:
    def recognised(made: Any) -> bool:
        return LlmSessions().recognise(Head("x.json", json.dumps(made).encode(), True))

    assert recognised(document(USER))
    assert not recognised(document(USER, version="1.1"))
    assert not recognised(document(USER, version=1.0))
    assert not recognised(document(USER, models_used=...))
    assert not recognised(document(USER, id=...))
    assert not recognised({"format": "sessionstore/session", "v": 1, "key": "native:x", "messages": []})
    assert not recognised([])


def test_sessions_are_looked_for_upwards_and_at_home() -> None:
    roots = [str(place.root) for place in LlmSessions().places(Machine(home=Path("/home/ann"), cwd=Path("/srv/app")))]
    assert roots == [
        "/srv/app/.llm_sessions",
        "/srv/.llm_sessions",
        "/.llm_sessions",
        "/home/ann/.llm_sessions",
    ]


@pytest.mark.samples
def test_no_sample_of_another_program_is_taken_for_a_unified_session(samples: Path) -> None:
    files = [path for path in samples.rglob("*.json*") if path.is_file()]
    assert files
    for path in files:
        assert not LlmSessions().recognise(Head(path.name, path.read_bytes(), True)), path

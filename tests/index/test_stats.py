"""Counting what is in a store."""

from __future__ import annotations

import json
from typing import Any

from sessionstore.index.stats import stats
from sessionstore.store import Store
from tests.index.making import answered, called, note, put, reading, said, synced


def counted(store: Store, *args: Any, **options: Any) -> dict[str, Any]:
    synced(store)
    with reading(store) as connection:
        return stats(connection, *args, **options)


def used(text: str, tokens: int, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": tokens, "output_tokens": 1, "cost_microusd": tokens * 10}
    return said(text, "assistant", usage=usage, **more)


def test_an_empty_store_has_nothing(store: Store) -> None:
    found = counted(store)
    assert (found["sessions"], found["messages"], found["input_tokens"]) == (0, 0, 0)
    assert found["by_source"] == found["by_tool"] == []


def test_totals_and_their_parts_add_up(store: Store) -> None:
    put(store, "codex:1", said("q"), used("a", 100, model="gpt", time="2026-01-31T23:00:00Z"), project="shop")
    put(store, "codex:2", used("a", 20, model="gpt", time="2026-02-01T00:00:00Z"), project="shop")
    put(store, "kimi:1", used("a", 3, model="k2", time="2026-02-02T00:00:00Z"), used("b", 4, model="gpt"))
    found = counted(store)
    assert json.loads(json.dumps(found)) == found
    assert (found["sessions"], found["messages"]) == (3, 5)
    assert (found["input_tokens"], found["output_tokens"], found["cost_microusd"]) == (127, 4, 1270)
    assert found["by_role"] == {"assistant": 4, "user": 1}
    assert [(row["source"], row["sessions"], row["input_tokens"]) for row in found["by_source"]] == [
        ("codex", 2, 120),
        ("kimi", 1, 7),
    ]
    assert [(row["model"], row["sessions"], row["messages"], row["input_tokens"]) for row in found["by_model"]] == [
        ("gpt", 3, 3, 124),
        ("k2", 1, 1, 3),
    ]
    assert [(row["month"], row["input_tokens"]) for row in found["by_month"]] == [("2026-01", 100), ("2026-02", 27)]
    for name in ("by_source", "by_month", "by_project"):
        assert sum(row["input_tokens"] for row in found[name]) == 127, name
        assert sum(row["messages"] for row in found[name]) == 5, name


def test_tools_are_counted_with_their_failures(store: Store) -> None:
    put(
        store,
        "a:1",
        called("c1", "Bash", {}),
        answered("c1", "no", failed=True),
        called("c2", "Bash", {}),
        answered("c2", "yes"),
        called("c3", "Read", {}),
    )
    assert counted(store)["by_tool"] == [
        {"tool": "Bash", "calls": 2, "errors": 1},
        {"tool": "Read", "calls": 1, "errors": 0},
    ]


def test_estimated_cost_is_said_to_be(store: Store) -> None:
    put(store, "a:1", said("x", usage={"cost_microusd": 5, "estimated": True}))
    put(store, "b:1", said("x", usage={"cost_microusd": 5}))
    assert counted(store)["estimated"] is True
    assert counted(store, {"source": "b"})["estimated"] is False


def test_filters_narrow_what_is_counted(store: Store) -> None:
    put(store, "a:1", used("x", 5))
    put(store, "b:1", used("x", 7))
    note(store, "b:1", "archived", True)
    assert counted(store, {"source": "b"})["input_tokens"] == 7
    assert counted(store, archived=False)["input_tokens"] == 5
    assert counted(store)["input_tokens"] == 12


def test_messages_that_a_fork_took_over_are_counted_once(store: Store) -> None:
    shared = [used("one", 100, time="2026-01-01T00:00:00Z"), used("two", 10, time="2026-01-01T00:00:01Z")]
    put(store, "a:1", *shared, called("c", "Bash", {}))
    fork = {"key": "a:1", "relation": "fork"}
    put(store, "a:2", *shared, called("c", "Bash", {}), used("three", 1), forked_from=fork)
    found = counted(store)
    assert (found["sessions"], found["messages"], found["input_tokens"]) == (2, 4, 111)
    assert found["by_tool"] == [{"tool": "Bash", "calls": 1, "errors": 0}]
    assert counted(store, {"session": "a:2"})["input_tokens"] == 111


def test_a_message_resumed_under_its_own_id_at_another_place_is_counted_once(store: Store) -> None:
    message = used("one", 100, time="2026-01-01T00:00:00Z", id="native")
    put(store, "a:1", message)
    resumed = {"key": "a:1", "relation": "resume"}
    put(store, "a:2", said("summary"), message, used("more", 1), forked_from=resumed)
    assert counted(store)["input_tokens"] == 101


def test_what_a_subagent_did_is_counted_in_full(store: Store) -> None:
    message = used("one", 100, time="2026-01-01T00:00:00Z")
    put(store, "a:1", message)
    put(store, "a:2", message, forked_from={"key": "a:1", "relation": "subagent"})
    assert counted(store)["input_tokens"] == 200


def test_of_two_heads_the_latest_is_counted(store: Store) -> None:
    put(store, "a:1", used("root", 100), used("left", 5, time="2026-01-01T00:00:00Z"))
    put(store, "a:1", used("root", 100), used("right", 7, time="2026-02-01T00:00:00Z"))
    found = counted(store)
    assert (found["sessions"], found["input_tokens"]) == (1, 107)

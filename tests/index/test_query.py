"""Listing sessions and finding the one that is meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.index.query import SORTS, find, list_sessions, resolve
from sessionstore.store import Store
from tests.index.making import called, keys, note, put, reading, said, synced

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def listed(store: Store, *args: Any, **options: Any) -> list[str]:
    with reading(store) as connection:
        return [session["key"] for session in list_sessions(connection, *args, **options)]


def resolved(store: Store, name: str) -> list[str]:
    with reading(store) as connection:
        return [session["key"] for session in resolve(connection, name)]


@pytest.fixture
def shelf(store: Store) -> Store:
    """Three sessions that differ in everything one can sort or filter by."""
    put(
        store,
        "codex:abcdef-111",
        said("one", time="2026-01-01T00:00:00Z", usage={"input_tokens": 5, "cost_microusd": 9}),
        title="Middle",
        project="shop",
        cwd="/src/shop",
        git={"branch": "main"},
        aliases=["old-name"],
    )
    put(
        store,
        "claude-code:abcdef-222",
        said("two", time="2026-03-15T08:00:00Z", model="claude-opus-4-5", usage={"output_tokens": 900}),
        called("c", "Bash", {}),
        title="zebra",
        project="zoo",
    )
    put(store, "kimi:7", *[said("three " * 50, time="2025-06-01T00:00:00+02:00")] * 4, title="Aardvark")
    note(store, "kimi:7", "star", True)
    note(store, "kimi:7", "tags", ["zoo"])
    synced(store)
    return store


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("recent", ["claude-code:abcdef-222", "codex:abcdef-111", "kimi:7"]),
        ("oldest", ["kimi:7", "codex:abcdef-111", "claude-code:abcdef-222"]),
        ("title", ["kimi:7", "codex:abcdef-111", "claude-code:abcdef-222"]),
        ("messages", ["kimi:7", "claude-code:abcdef-222", "codex:abcdef-111"]),
        ("tokens", ["claude-code:abcdef-222", "codex:abcdef-111", "kimi:7"]),
        ("cost", ["codex:abcdef-111", "kimi:7", "claude-code:abcdef-222"]),
        ("size", ["kimi:7", "claude-code:abcdef-222", "codex:abcdef-111"]),
        ("created", ["claude-code:abcdef-222", "codex:abcdef-111", "kimi:7"]),
    ],
)
def test_sessions_are_listed_in_the_order_asked_for(shelf: Store, sort: str, order: list[str]) -> None:
    got = listed(shelf, sort=sort)
    assert got == order if sort != "cost" else got[0] == order[0]
    assert sort in SORTS


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({"source": "codex"}, ["codex:abcdef-111"]),
        ({"project": "o"}, ["claude-code:abcdef-222", "codex:abcdef-111"]),
        ({"model": "opus"}, ["claude-code:abcdef-222"]),
        ({"branch": "main"}, ["codex:abcdef-111"]),
        ({"tag": "ZOO"}, ["kimi:7"]),
        ({"tool": "bash"}, ["claude-code:abcdef-222"]),
        ({"title": "ard"}, ["kimi:7"]),
        ({"after": "2026"}, ["claude-code:abcdef-222", "codex:abcdef-111"]),
        ({"before": "2026"}, ["kimi:7"]),
        ({"on": "today"}, ["claude-code:abcdef-222"]),
        ({"after": "2026", "source": "codex"}, ["codex:abcdef-111"]),
        ({"session": "old-name"}, ["codex:abcdef-111"]),
        ({"title": "100%"}, []),
    ],
)
def test_filters_narrow_the_list(shelf: Store, filters: dict[str, str], keys: list[str]) -> None:
    assert listed(shelf, filters, now=NOW) == keys


def test_a_list_comes_in_pages(shelf: Store) -> None:
    assert [*listed(shelf, limit=2), *listed(shelf, limit=2, offset=2)] == listed(shelf)


def test_archived_sessions_are_listed_only_when_asked_for(shelf: Store) -> None:
    note(shelf, "kimi:7", "archived", True)
    synced(shelf)
    assert "kimi:7" not in listed(shelf)
    assert listed(shelf, archived=True) == ["kimi:7"]
    assert "kimi:7" in listed(shelf, archived=None)
    assert listed(shelf, archived=None, starred=True) == ["kimi:7"]


def test_a_listed_session_is_plain_data_with_everything_known_of_it(shelf: Store) -> None:
    with reading(shelf) as connection:
        (session,) = list_sessions(connection, {"source": "codex"})
    assert json.loads(json.dumps(session)) == session
    assert session["key"] == "codex:abcdef-111"
    assert session["aliases"] == ["old-name"]
    assert session["usage"] == {"input_tokens": 5, "cost_microusd": 9}
    assert session["by_role"] == {"user": 1}
    assert (session["title"], session["project"], session["branch"]) == ("Middle", "shop", "main")
    assert (session["time"], session["messages"], session["heads"]) == ("2026-01-01T00:00:00Z", 1, 1)
    assert session["revision"] in shelf.revision_names()


@pytest.mark.parametrize("wrong", [{"filters": {"colour": "x"}}, {"sort": "x"}, {"filters": {"after": "soon"}}])
def test_what_cannot_be_listed_is_refused(shelf: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError):
        listed(shelf, **wrong)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("codex:abcdef-111", ["codex:abcdef-111"]),
        ("abcdef-111", ["codex:abcdef-111"]),
        ("old-name", ["codex:abcdef-111"]),
        ("codex:", ["codex:abcdef-111"]),
        ("codex", []),
        ("abcdef-2", ["claude-code:abcdef-222"]),
        ("abcdef", ["claude-code:abcdef-222", "codex:abcdef-111"]),
        ("abcde", []),
        ("7", ["kimi:7"]),
        ("@last", ["claude-code:abcdef-222"]),
        ("nobody", []),
        ("", []),
        ("\ud800" * 8, []),
        ("%%%%%%%%", []),
    ],
)
def test_a_session_is_found_by_key_native_id_alias_beginning_and_last(shelf: Store, name: str, keys: list[str]) -> None:
    assert resolved(shelf, name) == keys


def test_a_whole_id_is_meant_before_the_beginning_of_another(store: Store) -> None:
    put(store, "a:abcdef", said("x"))
    put(store, "a:abcdef-2", said("x"))
    synced(store)
    assert resolved(store, "abcdef") == ["a:abcdef"]


def test_both_heads_of_a_session_are_found_by_its_name(store: Store) -> None:
    put(store, "a:1", said("root"), said("left", time="2026-01-01T00:00:00Z"))
    put(store, "a:1", said("root"), said("right", time="2026-02-01T00:00:00Z"))
    synced(store)
    with reading(store) as connection:
        heads = find(connection, "a:1")
    assert [head["time"] for head in heads] == ["2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"]
    assert [head["heads"] for head in heads] == [2, 2]


def test_a_name_that_means_none_or_several_is_refused(shelf: Store) -> None:
    with reading(shelf) as connection:
        with pytest.raises(errors.NotFound):
            find(connection, "nobody")
        with pytest.raises(errors.Ambiguous, match="claude-code:abcdef-222, codex:abcdef-111"):
            find(connection, "abcdef")


def test_sessions_without_any_time_are_listed_last(shelf: Store) -> None:
    put(shelf, "a:1", said("x"))
    synced(shelf)
    assert listed(shelf)[-1] == "a:1"


def test_a_local_time_orders_a_session(store: Store) -> None:
    put(store, "a:1", said("x", time="2026-01-02T00:00:00Z"))
    put(store, "a:2", said("x"), x={"updated_at": {"raw": "2026-01-03 10:00", "precision": "min", "zone": "unknown"}})
    synced(store)
    assert listed(store) == ["a:2", "a:1"]


def test_a_session_of_unknown_time_is_not_before_anything(store: Store) -> None:
    put(store, "native:timeless", said("when?"))
    put(store, "native:old", said("then", time="2020-01-01T00:00:00Z"))
    synced(store)
    assert listed(store, {"before": "2026"}) == ["native:old"]
    assert keys(store, "before:2026 OR nothing") == ["native:old"]
    assert sorted(listed(store)) == ["native:old", "native:timeless"]

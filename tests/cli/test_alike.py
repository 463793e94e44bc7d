"""`search --like` and `search --semantic` as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Program, ok, says


def some_key(program: Program) -> str:
    return str(ok(program("search", "gauge", "--sessions", "--limit", 1, "--json")).json[0]["key"])


@pytest.mark.parametrize("more", [(), ("--semantic",)])
def test_sessions_like_one_are_never_that_one(shared: Program, more: tuple[str, ...]) -> None:
    key = some_key(shared)
    found = ok(shared("search", "--like", key, "--limit", 5, "--json", *more)).json
    assert 1 <= len(found) <= 5
    assert key not in [one["key"] for one in found]
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert all(0 < one["score"] <= 1 for one in found)
    assert bool(found[0]["shared"]) is not bool(more)
    told = ok(shared("search", "--like", key, "--limit", 5, *more)).out
    assert all(one["key"] in told for one in found)


def test_a_query_narrows_down_what_is_compared(shared: Program) -> None:
    key = some_key(shared)
    everything = ok(shared("search", "--like", key, "--json")).json
    source = everything[-1]["source"]
    found = ok(shared("search", "--like", key, f"source:{source}", "--json")).json
    assert [one["key"] for one in found] == [one["key"] for one in everything if one["source"] == source]


def test_meaning_finds_and_fields_hold(shared: Program) -> None:
    found = ok(shared("search", "--semantic", "water level at the coast", "source:codex", "--json")).json
    assert found
    assert {hit["source"] for hit in found} == {"codex"}
    assert all(hit["matches"] is None and hit["message"] for hit in found)
    assert ok(shared("show", found[0]["link"])).out


def test_a_purged_session_leaves_no_vectors(imported: Program) -> None:
    ok(imported("search", "--semantic", "water level", "--json"))
    assert imported.store is not None
    vectors = Path(imported.store) / "index.sqlite.vectors"
    assert vectors.exists()
    ok(imported("purge", some_key(imported), "--yes"))
    assert not vectors.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--like", "nobody"), 2, "nobody"),
        (("--semantic", "x", "--count"), 2, "--count"),
        (("--semantic", "-x"), 2, ""),
        (("--semantic", "role:user"), 2, "words"),
    ],
)
def test_mistakes(shared: Program, arguments: tuple[str, ...], code: int, words: str) -> None:
    says(shared("search", *arguments), code, words)

"""Words near each other: they count more, and where there are enough such messages the others are not scored."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from sessionstore.index import candidates, groups
from sessionstore.index.search import TOGETHER, asked, search, tree_of
from sessionstore.store import Store
from tests.index.making import Message, answered, put, reading, said, synced

WORDS = [f"w{n}" for n in range(300)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """150 sessions with `tide` and `gauge`: one after the other, near each other, far apart, in prose and in what tools
    say, in short messages and long ones; and as many without."""
    store, rng = Store.init(tmp_path_factory.mktemp("near") / "store"), random.Random(7)

    def message() -> Message:
        gap = rng.choice([0, 0, 2, 5, 40, 40, 40, 200])
        between, around = rng.choices(WORDS, k=gap), rng.choices(WORDS, k=rng.choice([2, 10, 60]))
        text = " ".join([*around, "tide", *between, "gauge", *rng.choices(WORDS, k=5)])
        return said(text) if rng.random() < 0.6 else answered("c", text)

    for number in range(150):
        time = f"2026-{rng.randint(1, 12):02}-03T10:00:00Z"
        put(store, f"a:{number}", *(message() for _ in range(rng.randint(1, 4))), updated_at=time)
        put(store, f"b:{number}", said(" ".join(rng.choices([*WORDS, "tide", "gauge"], k=20))), updated_at=time)
    synced(store)
    return store


QUERIES = ["tide gauge", "gauge tide", "tide gauge w1", "tide gauge -w2", "tide gauge role:user"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("limit", [1, 5, 20, 60, 400])
def test_scoring_the_near_ones_first_changes_nothing(
    mixed: Store, monkeypatch: pytest.MonkeyPatch, query: str, limit: int
) -> None:
    with reading(mixed) as connection:
        quick = search(connection, query, limit)
        monkeypatch.setattr(candidates, "nearest", lambda _: None)
        assert quick == search(connection, query, limit)
    assert quick


@pytest.mark.parametrize(
    ("query", "hits"),
    [*((query, 203) for query in QUERIES), ("tide", 203), ("tide (gauge OR w1)", 203), ("w3-w4 OR tide", TOGETHER)],
)
def test_pages_follow_on_one_another(mixed: Store, query: str, hits: int) -> None:
    with reading(mixed) as connection:
        whole = [hit["link"] for hit in search(connection, query, hits)]
        pages = [hit["link"] for at in range(0, hits, 7) for hit in search(connection, query, min(7, hits - at), at)]
    assert len(whole) > 20
    assert pages == whole


def test_with_enough_near_ones_the_others_are_not_scored(mixed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[int] = []
    every = candidates.best_of_sessions
    monkeypatch.setattr(candidates, "best_of_sessions", lambda question: asked_for.append(1) or every(question))
    with reading(mixed) as connection:
        assert len(search(connection, "tide gauge", 20)) == 20
        assert asked_for == []
        assert len(search(connection, "tide gauge", 140)) == 140
        assert asked_for == [1]
        search(connection, "tide gauge (w1 OR w2)", 5)
        assert asked_for == [1, 1]


def test_no_message_scores_more_than_the_bound(mixed: Store) -> None:
    with reading(mixed) as connection, asked(connection, tree_of("tide gauge", {}), None) as question:
        near = candidates.nearest(question)
        every = candidates._by_score(question, 10_000, 0)
        assert near is not None
        assert 20 <= len(near.best) < len(every)
        assert every[: len(near.best)] == near.best
        assert max(score for number, score in every if (number, score) not in near.best) <= near.bound
        assert all(dict(every)[number] == score for number, score in (near.scores or {}).items())


def test_what_is_new_counts_at_most_as_much_as_is_allowed_for(tmp_path: Path) -> None:
    store = Store.init(tmp_path / "store")
    for year in (2020, 2026):
        put(store, f"a:{year}", said(f"tide {year}"), updated_at=f"{year}-03-03T10:00:00Z")
    synced(store)
    with reading(store) as connection:
        scores = {hit["key"]: hit["score"] for hit in search(connection, "tide")}
        ranks = [group.score / group.messages[0][1] for group in arranged(connection)]
    assert len(scores) == 2
    assert max(ranks) == pytest.approx(groups.MOST)
    assert min(ranks) >= 1


def arranged(connection: Any) -> list[groups.Group]:
    with asked(connection, tree_of("tide", {}), None) as question:
        return groups.arranged(connection, candidates._by_score(question, 10, 0), {}, [], 10)

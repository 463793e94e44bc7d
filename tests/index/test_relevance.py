"""Known items: what somebody remembers is among the first hits, whatever kind of thing it is."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.index import schema
from sessionstore.index.dates import EARLIEST
from sessionstore.index.search import count, search
from sessionstore.index.suggest import suggestion
from sessionstore.store import Store
from tests.cli.running import LEGACY, Program, ok
from tests.index.making import path_of, synced
from tests.index.relevance import NEEDLES, TYPOS, plant

QUERIES = [(found.kind, query, found.exact) for found in NEEDLES for query in found.queries]
IN_FIXTURES = {
    "gauge leap days": "codex:5b0c2f4e",
    "`days_in_year`": "codex:5b0c2f4e",
    "file:test_gauge OR days_in_year": "codex:5b0c2f4e",
    "weiter so": "codex:5b0c2f4e",
    "figlet": "codex:1badb002",
    '"figlet: not found"': "codex:1badb002",
    "kelp forest": "codex:1badb002",
    "staghorn": "codex:deadbee1",
    "deadbee1": "codex:deadbee1",
    "requires-python": "codex:7e57ab1e",
    "tax_for(": "claude-code:4f0c1d2e-1111",
    "café's": "claude-code:4f0c1d2e-1111",
    "half": "claude-code:4f0c1d2e-1111",
    "675": "claude-code:4f0c1d2e-",
    "大阪": "kimi:",
    "天": "kimi:",
    "の天気": "kimi:",
    "31 °C": "kimi:",
    "你好": "",
    "😀": "",
    "a_b": "kimi:",
    "lamp": "kimi:",
    "`except:`": "llm-sessions:",
    "worker 3": "llm-sessions:",
    "7e57ab1e-0815": "codex:7e57ab1e",
    "4f0c1d2e-5555": "claude-code:4f0c1d2e-5555",
    r"/1\.35 litres/": "claude-code:4f0c1d2e-5555",
    "has:image chart": "codex:019c",
    "tool:shell figlet": "codex:1badb002",
    "release notes": "llm-sessions:",
}
"""What people would look for in the fixtures, and how the key of the best session begins."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[sqlite3.Connection, dict[str, list[str]]]]:
    store = Store.init(tmp_path_factory.mktemp("known") / "store")
    wanted = plant(store)
    synced(store)
    with closing(schema.connect_reader(path_of(store))) as connection:
        yield connection, wanted


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    place = tmp_path_factory.mktemp("fixtures")
    ok(Program(place, place, place / "store")("migrate", LEGACY))
    with closing(schema.connect_reader(str(place / "store" / "index.sqlite"))) as connection:
        yield connection


Planted = tuple[sqlite3.Connection, dict[str, list[str]]]


def rank(connection: sqlite3.Connection, query: str, links: list[str]) -> int | None:
    """Where the first of `links` stands among ten hits, from 1."""
    hits = [hit["link"] for hit in search(connection, query, 10)]
    return next((place for place, link in enumerate(hits, 1) if link in links), None)


def test_the_set_is_large_enough_and_of_every_kind() -> None:
    assert len(QUERIES) + len(IN_FIXTURES) + len(TYPOS) >= 150
    assert {"code", "phrase", "cjk", "output", "reasoning", "date", "regex", "uuid", "title"} <= {
        k for k, _, _ in QUERIES
    }


@pytest.mark.parametrize(("kind", "query", "exact"), [pytest.param(*q, id=f"{q[0]}: {q[1]}") for q in QUERIES])
def test_what_was_planted_is_among_the_first_ten(planted: Planted, kind: str, query: str, exact: bool) -> None:
    connection, wanted = planted
    found = rank(connection, query, wanted[query])
    assert found is not None or not exact


def test_what_was_planted_comes_first_nearly_always(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    connection, wanted = planted
    ranks = {query: rank(connection, query, wanted[query]) for _, query, _ in QUERIES}
    score = sum(1 / place for place in ranks.values() if place) / len(ranks)
    recall = sum(1 for place in ranks.values() if place) / len(ranks)
    with capsys.disabled():
        print(f"\nknown items: {len(ranks)} queries, recall@10 {recall:.3f}, mean reciprocal rank {score:.3f}")
        print("  not first:", {query: place for query, place in ranks.items() if place != 1})
    assert recall == 1.0
    assert score >= 0.95


@pytest.mark.parametrize("query", IN_FIXTURES)
def test_what_people_would_look_for_in_the_fixtures_comes_first(fixtures: sqlite3.Connection, query: str) -> None:
    hits = search(fixtures, query, 10)
    assert hits
    assert hits[0]["key"].startswith(IN_FIXTURES[query])


@pytest.mark.parametrize("typed", TYPOS)
def test_a_misspelled_word_is_put_right(planted: Planted, typed: str) -> None:
    connection, _ = planted
    assert search(connection, typed) == []
    assert suggestion(connection, typed) == TYPOS[typed]


@pytest.mark.parametrize(
    "typed", ["qqzzxxjjvv", "zwu", "12345", "GPTX", "龘龘", "role:tol", '"open', "zwurbelix nowheretobefound"]
)
@pytest.mark.clock
def test_nothing_is_proposed_where_nothing_is_near(planted: Planted, typed: str) -> None:
    connection, _ = planted
    began = time.monotonic()
    proposed = None
    with contextlib.suppress(errors.SearchSyntax):
        proposed = suggestion(connection, typed)
    assert proposed is None
    assert time.monotonic() - began < 2


def test_the_fixtures_show_forked_history_once(fixtures: sqlite3.Connection) -> None:
    hits = search(fixtures, '"675 g of flour"')
    assert len({hit["key"] for hit in hits}) == 1
    assert len(hits[0]["also_in"]) >= 1


# -- whatever is typed, on everything at once -----------------------------------------------------------------------

PIECES = [*(query for _, query, _ in QUERIES), *IN_FIXTURES, *TYPOS]
SIGNS = [*"\"'()[]{}*+-:/\\^$.,;|&!?<>=~`#@%_ \t\n\0", "OR", "AND", "NOT", "NEAR(", "..", "://", "/i", "/x/", "\ud800"]
FIELDS = ["role:", "on:", "in:", "has:", "file:", "session:", "before:", "after:", "tag:", "title:", "model:", "tool:"]
VALUES = ["7d", "2025-03", "2025-01..2025-06", "..", "tools", "title", "error", "user", "context", EARLIEST, "99999y"]


def typed(rng: random.Random) -> str:
    """Something that somebody, or a cat, may type."""
    pieces = []
    for _ in range(rng.randint(1, 6)):
        choice = rng.random()
        if choice < 0.35:
            pieces.append(rng.choice(PIECES))
        elif choice < 0.6:
            pieces.append(rng.choice(SIGNS))
        elif choice < 0.75:
            pieces.append(rng.choice(FIELDS) + rng.choice([*VALUES, rng.choice(SIGNS)]))
        elif choice < 0.9:
            word = rng.choice(PIECES)
            at = rng.randrange(len(word) + 1)
            pieces.append(word[:at] + rng.choice(SIGNS) + word[at:])
        else:
            pieces.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x110000)])) for _ in range(5)))
    return rng.choice(["", " ", " ", " "]).join(pieces)


@pytest.mark.timeout(3600)
def test_nothing_typed_fails_or_takes_long(planted: Planted, pytestconfig: pytest.Config) -> None:
    connection, _ = planted
    rng = random.Random(20260101)
    slowest = ("", 0.0)
    for number in range(100_000 if pytestconfig.getoption("--all") else 5_000):
        query = typed(rng)
        began = time.process_time()
        with contextlib.suppress(errors.UsageError):
            search(connection, query, sort=rng.choice(["best", "best", "recent", "oldest"]), context=number % 2)
            if number % 10 == 0:
                count(connection, query)
        slowest = max(slowest, (query, time.process_time() - began), key=lambda pair: pair[1])
        assert not connection.in_transaction
    assert slowest[1] < 1, slowest


@pytest.mark.parametrize("pattern", [r"/(\w+)+$$$x/", r"/(a|a)*(b|b)*(\w|\w)*!/", "/(.*)*~/"])
@pytest.mark.clock
def test_a_pathological_pattern_ends_soon(tmp_path: Path, pattern: str) -> None:
    from tests.index.making import put, said

    store = Store.init(tmp_path / "store")
    put(store, "a:1", said("a" * 5000 + "b" * 5000))
    synced(store)
    began = time.monotonic()
    with closing(schema.connect_reader(path_of(store))) as connection, contextlib.suppress(errors.UsageError):
        search(connection, pattern)
    assert time.monotonic() - began < 10

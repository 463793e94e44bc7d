"""Regular expressions, orders, counts, ids, repeated history, surroundings and inflected forms."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.index import pattern, schema
from sessionstore.index.search import count, search
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store
from tests.index.making import answered, called, digests, found, keys, path_of, put, reading, said, synced


def hits(store: Store, query: str, **options: Any) -> list[dict[str, Any]]:
    with reading(store) as connection:
        return search(connection, query, **options)


# -- patterns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        ("error: (foo|bar) now", '"now"*'),
        ("def get_\\w+\\(", '"get"'),
        (" alpha beta ", '"alpha" AND "beta"'),
        ("^alpha$", '"alpha"'),
        ("\\balpha\\b", '"alpha"'),
        ("alpha", None),
        (" alpha", '"alpha"*'),
        (" alpha?", '"alph"*'),
        (" al+", None),
        (" alpha{2,3} x", '"alph"*'),
        ("a b|c d", None),
        (" [abc]lpha ", None),
        ("(?i) alpha ", None),
        (" naïve ", None),
        (".*", None),
        (" a[]b]c d ", '"d"'),
        (" a\\x41 b ", None),
        (" (a(b)c) deep ", '"deep"'),
    ],
)
def test_the_words_that_every_match_of_a_pattern_has(source: str, expression: str | None) -> None:
    assert pattern.words(source) == expression


def corpus(store: Store) -> None:
    put(store, "a:1", said("def get_gauge(x):\n    return 7"), answered("c", "ERROR 404 at /srv/Gauge"))
    put(store, "a:2", said("getgauge 123"), title="Gauge of 2025")
    put(store, "b:3", said("unrelated"), called("c", "Bash", {"command": "grep -n gauge src/*.py"}))
    synced(store)


@pytest.mark.parametrize(
    ("query", "links"),
    [
        (r"/get_?gauge/", {"a:1#m1", "a:2#m1"}),
        (r"/def get_\w+\(/", {"a:1#m1"}),
        (r"/^\s+return \d$/", {"a:1#m1"}),
        (r"/error \d+/", set()),
        (r"/error \d+/i", {"a:1#m2"}),
        (r"/x\):.*return/", set()),
        (r"/x\):.*return/s", {"a:1#m1"}),
        (r"gauge /\d{3}/", {"a:1#m2", "a:2"}),
        (r"-/gauge/ role:user", {"b:3#m1"}),
        (r"(/404/ OR /123/)", {"a:1#m2", "a:2#m1"}),
        (r"/gauge/ source:b", {"b:3#m2"}),
        (r"/gauge/ in:tools", {"b:3#m2"}),
        (r"/Gauge of \d+/", {"a:2"}),
        (r"in:title /\d/", {"a:2"}),
        (r"/srv/Gauge", {"a:1#m2"}),
        (r"/[/]srv/", {"a:1#m2"}),
        (r"/[[]|--&&srv.Gauge/", set()),
        (r"/\/srv\//", {"a:1#m2"}),
    ],
)
def test_a_pattern_finds_exactly_these(store: Store, query: str, links: set[str]) -> None:
    corpus(store)
    assert set(found(store, query)) == links


@pytest.mark.parametrize("query", ["/a(/", "/a/q", "/[b-a]/", "/(?P<x>a)(?P<x>b)/", "/a**/"])
def test_a_pattern_that_is_none_is_refused_with_its_place(store: Store, query: str) -> None:
    corpus(store)
    with pytest.raises(errors.SearchSyntax):
        found(store, query)


def test_what_a_pattern_found_is_marked(store: Store) -> None:
    put(store, "a:1", said("x " * 300 + "depth was 1234cm then" + " y" * 300))
    synced(store)
    (hit,) = hits(store, r"/\d+cm/")
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == ["1234cm"]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_pattern_without_end_is_given_up(store: Store, threaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern, "SECONDS", 0.5)
    put(store, "a:1", said("a" * 40))
    synced(store)
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(errors.UsageError) as caught:
            found(store, r"/(a+)+$x/")
        told.append(str(caught.value))

    if threaded:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(20)
    else:
        ask()
    assert told == ["the pattern /(a+)+$x/ takes too long; make it simpler"]


# -- orders, counts, ids --------------------------------------------------------------------------------------------


def timed(store: Store) -> None:
    for key, time in (("a:1", "2024"), ("a:2", "2026"), ("a:3", "2025")):
        more = "and more words" if key == "a:1" else ""
        put(store, key, *[said(f"apples {n} {more}", time=f"{time}-01-0{n}T00:00:00Z") for n in (1, 2, 3, 4)])
    put(store, "a:4", said("x", time="2025-06-01T00:00:00Z"), title="apples")
    synced(store)


def test_hits_can_be_sorted_by_time(store: Store) -> None:
    timed(store)
    assert [h["link"] for h in hits(store, "apples", sort="recent", per_session=1)] == [
        "a:2#m4",
        "a:4",
        "a:3#m4",
        "a:1#m4",
    ]
    oldest = hits(store, "apples", sort="oldest", per_session=2)
    assert [h["link"] for h in oldest] == ["a:1#m1", "a:1#m2", "a:3#m1", "a:3#m2", "a:4", "a:2#m1", "a:2#m2"]
    assert [h["link"] for h in hits(store, "in:title apples", sort="recent")] == ["a:4"]
    assert [h["link"] for h in hits(store, "apples in:text", sort="recent", limit=2, offset=3)] == ["a:3#m4", "a:3#m3"]
    with pytest.raises(errors.UsageError):
        hits(store, "apples", sort="sideways")


@pytest.mark.parametrize(
    ("query", "messages", "sessions"),
    [
        ("apples", 12, 4),
        ("apples in:text", 12, 3),
        ("apples 3", 3, 3),
        ("app*", 12, 4),
        ("role:user", 13, 4),
        ("/apples [12]/", 6, 3),
        ("-apples", 1, 1),
        ("in:title apples", 0, 1),
        ("->", 0, 0),
    ],
)
def test_counts(store: Store, query: str, messages: int, sessions: int) -> None:
    timed(store)
    with reading(store) as connection:
        assert count(connection, query) == {"messages": messages, "sessions": sessions}


def test_a_session_is_found_by_its_id_and_by_the_beginning_of_it(store: Store) -> None:
    put(store, "codex:4f0c1d2e-0001", said("hello"), aliases=["migrated_old"])
    put(store, "codex:9a0c1d2e-0002", said("as in session 4f0c1d2e-0001"))
    synced(store)
    for query in ("4f0c1d2e-0001", "4f0c1d", "codex:4f0c1d2e-00", "migrated_old"):
        first = hits(store, query)[0]
        assert (first["key"], first["part"], first["message"]) == ("codex:4f0c1d2e-0001", "id", None), query
    assert keys(store, "4f0c1d2e-0001") == ["codex:4f0c1d2e-0001", "codex:9a0c1d2e-0002"]


# -- shown once -----------------------------------------------------------------------------------------------------

HISTORY = ["first question about apples", "apples grow on trees", "and apples fall"]


def test_the_history_of_a_fork_is_shown_once_with_where_else_it_is(store: Store) -> None:
    put(store, "a:1", *[said(t, time=f"2026-01-01T00:0{n}:00Z") for n, t in enumerate(HISTORY)])
    put(
        store,
        "a:2",
        *[said(t, time=f"2026-02-01T00:0{n}:00Z") for n, t in enumerate([*HISTORY, "more apples later"])],
        forked_from={"key": "a:1"},
    )
    put(store, "a:3", said("first question about apples"))
    synced(store)
    shown = hits(store, "apples", per_session=10)
    assert len([hit for hit in shown if hit["snippet"] == HISTORY[1]]) == 1
    also = {hit["snippet"]: hit["also_in"] for hit in shown if hit["key"] != "a:3"}
    assert all(also[text] in (["a:1"], ["a:2"]) for text in HISTORY)
    assert also["more apples later"] == []
    assert {hit["key"] for hit in shown if hit["snippet"] == HISTORY[0]} >= {"a:3"}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
def test_what_is_shown_once_does_not_depend_on_how_much_is_shown(store: Store, limit: int) -> None:
    text = "apples and apples " * 20
    for number in range(9):
        put(store, f"a:{number}", said(text, id=f"x{number}"), *([said("own apples")] if number == 4 else []))
    put(store, "b:1", said("a different word about apples " * 6))
    put(store, "b:2", said("apples and pears, each of them, " * 9))
    synced(store)
    every = hits(store, "apples", limit=100)
    assert len(every) == 4
    assert len(every[0]["also_in"]) == 8
    assert sorted(len(hit["also_in"]) for hit in every) == [0, 0, 0, 8]
    assert hits(store, "apples", limit=limit) == every[:limit]
    assert [hit for at in range(5) for hit in hits(store, "apples", limit=1, offset=at)] == every


@pytest.mark.parametrize("sort", ["best", "recent", "oldest"])
def test_a_long_text_in_many_sessions_is_shown_once(store: Store, sort: str) -> None:
    text = "these are the apples instructions that every session begins with " * 5
    for number in range(30):
        put(store, f"a:{number}", said(text, id=f"x{number}", time=f"2026-01-01T00:{number:02}:00Z"), said("own"))
    put(store, "b:1", said("a different word about apples " * 6))
    synced(store)
    shown = hits(store, "apples", sort=sort)
    assert sorted(hit["key"][0] for hit in shown) == ["a", "b"]
    (first,) = [hit for hit in shown if hit["key"].startswith("a")]
    assert len(first["also_in"]) == 29


def test_what_a_program_put_in_comes_last(store: Store) -> None:
    put(store, "a:1", said("apples apples apples apples", kind="context"))
    put(store, "a:2", answered("c", "ok <system-reminder>apples apples apples</system-reminder>"))
    put(store, "a:3", said("a long sentence that says only once something about apples and goes on for a while"))
    put(store, "a:4", *[said("filler")] * 10)
    synced(store)
    assert keys(store, "apples")[0] == "a:3"
    assert set(keys(store, "apples in:context")) == {"a:1", "a:2"}
    assert hits(store, "apples in:context")[0]["part"] == "context"


def test_words_next_to_each_other_count_more(store: Store) -> None:
    far = "retry " + "and some words between " * 6 + "timeout"
    for number in range(9):
        put(store, f"a:{number}", said(far))
    put(store, "b:1", said("some words before the retry timeout " + "and some words after it " * 6))
    put(store, "b:2", *[said("filler words")] * 30)
    synced(store)
    assert keys(store, "retry timeout")[0] == "b:1"


# -- around, stems, schema ------------------------------------------------------------------------------------------


def test_a_hit_can_be_shown_with_what_stands_around_it(store: Store) -> None:
    put(
        store,
        "a:1",
        said("one"),
        said("bookkeeping", kind="meta"),
        answered("c", "two\n  lines"),
        said("apples"),
        said("four"),
    )
    synced(store)
    (hit,) = hits(store, "apples", context=2)
    assert [(m["message"], m["seq"], m["role"], m["text"]) for m in hit["before"]] == [
        ("m1", 0, "user", "one"),
        ("m3", 2, "tool", "two lines"),
    ]
    assert [m["text"] for m in hit["after"]] == ["four"]
    assert "before" not in hits(store, "apples")[0]


def test_inflected_forms_are_found_when_asked_for(store: Store) -> None:
    put(store, "a:1", said("he runs"), said("running fast"), said("they run"), said("the runner"), said("ruin"))
    synced(store)
    assert found(store, "running") == ["a:1#m2"]
    assert set(found(store, "running", stem="english")) == {"a:1#m1", "a:1#m2", "a:1#m3"}
    assert found(store, "running -runs", stem="english") == []
    with pytest.raises(errors.UsageError, match="no stemmer for 'klingon'"):
        found(store, "running", stem="klingon")


def test_an_index_of_the_first_step_is_made_anew(store: Store) -> None:
    put(store, "a:1", said("apples"))
    synced(store)
    with closing(sqlite3.connect(path_of(store), isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert keys(store, "apples") == ["a:1"]
    with reading(store) as opened:
        assert schema.pragma(opened, "user_version") == schema.VERSION
    with closing(sqlite3.connect(path_of(store), isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with IndexWriter(path_of(store), store.id) as writer:
        assert writer.applied() == set()


def test_an_index_of_the_second_step_is_brought_up_to_date_as_it_lies(store: Store) -> None:
    put(store, "a:1", said("apples"))
    synced(store)
    with closing(sqlite3.connect(path_of(store), isolation_level=None)) as connection:
        connection.execute("CREATE TABLE batches (id INTEGER PRIMARY KEY)")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '0003%'")
        connection.execute("PRAGMA user_version = 2")
    with IndexWriter(path_of(store), store.id) as writer:
        assert len(writer.applied()) == 1
    with reading(store) as opened:
        assert schema.pragma(opened, "user_version") == schema.VERSION
        assert not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchall()
    assert keys(store, "apples") == ["a:1"]


def test_files_touched_follow_the_messages(store: Store) -> None:
    first = put(store, "a:1", called("c", "Read", {"file_path": "/src/a.py"}), answered("c", "x"))
    synced(store)
    put(
        store,
        "a:1",
        called("c", "Read", {"file_path": "/src/a.py"}),
        answered("c", "x"),
        called("d", "Edit", {"path": "b"}),
    )
    synced(store)
    with reading(store) as connection:
        sql = "SELECT path, action, message_id & 16777215 FROM files_touched ORDER BY id"
        assert connection.execute(sql).fetchall() == [("/src/a.py", "read", 0), ("b", "edit", 2)]
    assert first not in store.revision_names()
    stated, computed, fresh = digests(store)
    assert stated == computed == fresh
    assert found(store, "file:a.py") == ["a:1#m1"]
    assert found(store, "file:///src/a.py") == []

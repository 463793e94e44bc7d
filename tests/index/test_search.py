"""What a search finds, in which order, and how it is shown."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import errors
from sessionstore.index import schema
from sessionstore.index.search import search
from sessionstore.store import Store
from tests.index.making import answered, called, found, keys, note, path_of, put, reading, said, synced

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def hits(store: Store, query: str, **options: Any) -> list[dict[str, Any]]:
    with reading(store) as connection:
        return search(connection, query, **options)


def one_of_each(store: Store) -> None:
    put(store, "a:1", said("spoken apples"), called("c", "Bash", {"command": "ls apples_dir"}))
    put(store, "a:2", {**said(""), "role": "assistant", "parts": [{"type": "reasoning", "content": "apples thought"}]})
    put(store, "a:3", answered("c", "apples in the output " + "and a lot of other words " * 20))
    put(store, "a:4", said("unrelated"), title="A title about apples")
    synced(store)


# -- what is found --------------------------------------------------------------------------------------------------


def test_text_reasoning_tool_input_tool_output_and_titles_are_all_searched(store: Store) -> None:
    one_of_each(store)
    assert set(keys(store, "apples")) == {"a:1", "a:2", "a:3", "a:4"}
    assert found(store, "Bash") == ["a:1#m2"]


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("getUserName(", ["x = getUserName(id)"]),
        ("foo.bar(", ["call foo.bar(1)"]),
        ("foo_bar", ["def foo_bar(): pass"]),
        ("foo bar", ["call foo.bar(1)", "def foo_bar(): pass", "foo and bar"]),
        ('"foo bar"', ["call foo.bar(1)", "def foo_bar(): pass"]),
        ("c++", ["written in C++ today"]),
        ("--no-verify", ["git commit --no-verify"]),
        ("a/b.py:12", ["see a/b.py:12: error"]),
        ("$HOME", ["cd $HOME/x"]),
        ("100%", ["100% sure"]),
        ("->", ["def f() -> int"]),
        ("🎉", ["done 🎉"]),
        ("café", ["Café au lait"]),
        ("cafe", ["Café au lait"]),
        ("CAFÉ.", ["Café au lait"]),
        ("it's", ["it’s typographic"]),
        ("索", ["数据库索引"]),
        ("据库", ["数据库索引"]),
        ("数据库索引", ["数据库索引"]),
        ("据索", []),
        ("python", ["使用Python编程"]),
        ("用python编", ["使用Python编程"]),
        ("한국", ["나는 한국어를"]),
        ("ภาษา", ["ผมพูดภาษาไทย"]),
        ("naïve OR 100%", ["100% sure"]),
        ("git -commit", []),
        ("verif*", ["git commit --no-verify", "written in C today, no verify"]),
        ("veri", []),
        ("NEAR(written today, 2)", ["written in C++ today", "written in C today, no verify"]),
        ("NEAR(written today, 1)", []),
        ('"commit   --no-verify"', ["git commit --no-verify"]),
    ],
)
def test_a_query_finds_exactly_these(store: Store, query: str, texts: list[str]) -> None:
    corpus = [
        "x = getUserName(id)",
        "call foo.bar(1)",
        "def foo_bar(): pass",
        "foo and bar",
        "written in C++ today",
        "written in C today, no verify",
        "git commit --no-verify",
        "see a/b.py:12: error",
        "cd $HOME/x",
        "at home",
        "100% sure",
        "100 percent",
        "def f() -> int",
        "done 🎉",
        "Café au lait",
        "it’s typographic",
        "数据库索引",
        "使用Python编程",
        "나는 한국어를",
        "ผมพูดภาษาไทย",
    ]
    put(store, "a:1", *map(said, corpus))
    synced(store)
    expected = {f"a:1#m{corpus.index(text) + 1}" for text in texts}
    assert set(found(store, query)) - {"a:1"} == expected


def test_the_words_of_a_query_must_be_in_one_message(store: Store) -> None:
    put(store, "a:1", said("timeout here"), said("retry there"))
    put(store, "a:2", said("timeout and retry"))
    synced(store)
    assert keys(store, "timeout retry") == ["a:2"]


def test_a_match_across_several_parts_of_a_message_counts(store: Store) -> None:
    parts = [{"type": "text", "content": "timeout"}, {"type": "reasoning", "content": "retry"}]
    put(store, "a:1", {"id": "m1", "role": "assistant", "parts": parts})
    synced(store)
    assert keys(store, "timeout retry") == ["a:1"]


def filtered(store: Store) -> None:
    git = {"branch": "feat/login"}
    put(
        store,
        "codex:one",
        said("apples", time="2026-01-10T00:00:00Z"),
        said("apples", "assistant", time="2026-01-31T23:59:59.999Z", model="gpt-5.2-codex"),
        called("c", "shell", {"cmd": "apples"}, time="2026-02-01T00:00:00Z"),
        answered("c", "apples", failed=True, time="2026-03-14T12:00:00Z"),
        project="shop",
        cwd="/home/me/src/shop",
        git=git,
        title="Buying fruit",
        aliases=["migrated_one"],
        models=["gpt-5.2-codex"],
    )
    put(
        store,
        "claude-code:two",
        said("apples ```code```"),
        project="other",
        models=["claude-opus-4-5"],
        created_at="2026-03-15T01:00:00Z",
    )
    note(store, "claude-code:two", "tags", ["Fruit"])
    synced(store)


@pytest.mark.parametrize(
    ("query", "links"),
    [
        ("apples role:user", ["codex:one#m1", "claude-code:two#m1"]),
        ("apples -role:user", ["codex:one#m2", "codex:one#m3", "codex:one#m4"]),
        ("apples source:claude", ["claude-code:two#m1"]),
        ("apples source:claude-code", ["claude-code:two#m1"]),
        ("apples source:clau", []),
        ("apples -source:codex", ["claude-code:two#m1"]),
        ("apples project:sho", ["codex:one#m1", "codex:one#m2", "codex:one#m3", "codex:one#m4"]),
        ("apples project:/src/shop role:user", ["codex:one#m1"]),
        ("apples branch:login role:user", ["codex:one#m1"]),
        ("apples model:opus", ["claude-code:two#m1"]),
        ("apples model:gpt role:assistant", ["codex:one#m2", "codex:one#m3"]),
        ("apples tool:Shell", ["codex:one#m3", "codex:one#m4"]),
        ("apples tag:fruit", ["claude-code:two#m1"]),
        ("apples title:buying role:user", ["codex:one#m1"]),
        ("apples session:codex:one role:user", ["codex:one#m1"]),
        ("apples session:migrated_one role:user", ["codex:one#m1"]),
        ("apples before:2026-02", ["codex:one#m1", "codex:one#m2"]),
        ("apples after:2026-02-01", ["codex:one#m3", "codex:one#m4", "claude-code:two#m1"]),
        ("apples on:2026-01", ["codex:one#m1", "codex:one#m2"]),
        ("apples on:yesterday", ["codex:one#m4"]),
        ("apples after:2d", ["codex:one#m4", "claude-code:two#m1"]),
        ("apples on:today", ["claude-code:two#m1"]),
        ("apples has:tool", ["codex:one#m3"]),
        ("apples has:error", ["codex:one#m4"]),
        ("apples has:code", ["claude-code:two#m1"]),
        ("apples in:text", ["codex:one#m1", "codex:one#m2", "claude-code:two#m1"]),
        ("apples in:tools", ["codex:one#m3", "codex:one#m4"]),
        ("apples (role:tool OR source:claude-code)", ["codex:one#m4", "claude-code:two#m1"]),
        ("apples NOT (role:tool OR source:claude-code)", ["codex:one#m1", "codex:one#m2", "codex:one#m3"]),
        ("(role:tool apples) OR ```", ["codex:one#m4", "claude-code:two#m1"]),
        ("role:tool OR source:claude-code", ["codex:one#m4", "claude-code:two#m1"]),
        ("role:tool", ["codex:one#m4"]),
        ("NOT role:assistant NOT role:tool", ["codex:one#m1", "claude-code:two#m1"]),
        ("NOT code", ["codex:one#m1", "codex:one#m2", "codex:one#m3", "codex:one#m4"]),
        ("```code```", ["claude-code:two#m1"]),
        ("-code role:user", ["codex:one#m1"]),
    ],
)
def test_fields_filter_and_combine_like_words(store: Store, query: str, links: list[str]) -> None:
    filtered(store)
    assert sorted(found(store, query, now=NOW)) == sorted(links)


def test_filters_given_apart_from_the_query_add_to_it(store: Store) -> None:
    filtered(store)
    assert found(store, "apples OR pears", fields={"role": "tool"}) == ["codex:one#m4"]
    assert found(store, "", fields={"role": "tool"}) == ["codex:one#m4"]


def test_the_title_a_user_gave_is_searched_instead_of_the_one_of_the_source(store: Store) -> None:
    put(store, "a:1", said("x"), title="about pears")
    note(store, "a:1", "title", "关于apples的")
    synced(store)
    assert keys(store, "pears") == []
    assert keys(store, "apples") == keys(store, "关于") == keys(store, "in:title apples") == ["a:1"]


def test_a_title_is_no_hit_for_a_search_that_is_about_messages(store: Store) -> None:
    put(store, "a:1", said("x"), title="apples")
    synced(store)
    assert found(store, "apples") == ["a:1"]
    assert found(store, "apples source:a") == ["a:1"]
    assert found(store, "apples role:user") == found(store, "apples in:text") == []
    assert found(store, "in:title x") == []


@pytest.mark.parametrize(
    "query", ["role:", "before:never", "has:everything", "in:nowhere", "a OR in:text", 'role:" " a']
)
def test_a_field_with_a_value_that_makes_no_sense_is_refused_or_taken_literally(store: Store, query: str) -> None:
    put(store, "a:1", said("x"))
    synced(store)
    if query == "role:":
        assert found(store, query) == []
        return
    with pytest.raises(errors.SearchSyntax):
        found(store, query)


def test_an_empty_query_is_refused(store: Store) -> None:
    synced(store)
    for query in ("", "  ", "\0"):
        with pytest.raises(errors.SearchSyntax):
            found(store, query)


# -- in which order, and how much -----------------------------------------------------------------------------------


def test_text_counts_more_than_reasoning_and_reasoning_more_than_tool_output(store: Store) -> None:
    filler = "some other words to make it as long"
    for key, kind in (("a:3", "tool_call_response"), ("a:2", "reasoning"), ("a:1", "text")):
        text = f"apples {filler}"
        part = (
            {"type": kind, "id": "c", "response": text}
            if kind == "tool_call_response"
            else {"type": kind, "content": text}
        )
        put(store, key, {"id": "m1", "role": "assistant", "parts": [part]})
    put(store, "a:4", *[said(filler)] * 20)
    synced(store)
    assert keys(store, "apples") == ["a:1", "a:2", "a:3"]


def test_of_equal_sessions_the_recent_one_comes_first(store: Store) -> None:
    for key, time in (
        ("a:1", "2024-01-01T00:00:00Z"),
        ("a:2", "2026-01-01T00:00:00Z"),
        ("a:3", "2025-01-01T00:00:00Z"),
    ):
        put(store, key, said("apples", time=time))
    synced(store)
    assert keys(store, "apples")[0] == "a:2"


def test_filters_alone_list_the_newest_session_first(store: Store) -> None:
    for key, time in (
        ("a:1", "2024-01-01T00:00:00Z"),
        ("a:2", "2026-01-01T00:00:00Z"),
        ("a:3", "2025-01-01T00:00:00Z"),
    ):
        put(store, key, said("apples", time=time))
    synced(store)
    assert keys(store, "role:user") == ["a:2", "a:3", "a:1"]


def test_hits_of_a_session_stand_together_and_are_no_more_than_asked_for(store: Store) -> None:
    for number in range(4):
        put(store, f"a:{number}", *[said("apples " * (n + 1)) for n in range(6)])
    synced(store)
    listed = [hit["key"] for hit in hits(store, "apples", limit=100)]
    assert len(listed) == 12
    assert listed == sorted(listed, key=listed.index)
    assert all(hit["matches"] == 6 for hit in hits(store, "apples"))


def test_pages_of_hits_follow_each_other_without_gap_or_overlap(store: Store) -> None:
    for number in range(7):
        put(store, f"a:{number}", *[said(f"apples and {n} more") for n in range(3)])
    synced(store)
    whole = [hit["link"] for hit in hits(store, "apples", limit=100)]
    paged = [hit["link"] for start in range(0, 25, 4) for hit in hits(store, "apples", limit=4, offset=start)]
    assert paged == whole
    assert len(whole) == 21


def test_a_rare_literal_among_many_lookalikes_is_found(store: Store) -> None:
    put(store, "a:1", *[said("plain c here") for _ in range(2500)], said("written in c++"))
    synced(store)
    assert found(store, "c++") == ["a:1#m2501"]


# -- how a hit is shown ---------------------------------------------------------------------------------------------


def test_a_hit_names_everything_that_is_needed_to_open_it(store: Store) -> None:
    put(
        store,
        "codex:one",
        said("filler"),
        said("The Apples fell", "assistant", id="native-7", time="2026-01-01T00:00:00Z", model="gpt-5"),
        title="Fruit: apples",
        project="shop",
        git={"branch": "main"},
    )
    synced(store)
    (hit,) = hits(store, "apples")
    name = min(store.revision_names())
    assert {k: v for k, v in hit.items() if k != "score"} == {
        "key": "codex:one",
        "revision": name,
        "title": "Fruit: apples",
        "title_marks": [[7, 13]],
        "source": "codex",
        "project": "shop",
        "branch": "main",
        "models": ["gpt-5"],
        "session_time": "2026-01-01T00:00:00Z",
        "message": "native-7",
        "seq": 1,
        "role": "assistant",
        "kind": None,
        "model": "gpt-5",
        "time": "2026-01-01T00:00:00Z",
        "part": "text",
        "snippet": "The Apples fell",
        "marks": [[4, 10]],
        "link": "codex:one#native-7",
        "matches": 1,
        "also_in": [],
    }
    assert hit["score"] > 0


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("one two three", "two", ["two"]),
        ("twofold two_fold", "two", ["two"]),
        ("prefix prefixed", "prefi*", ["prefi", "prefi"]),
        ("a\n\n  quick   brown fox", '"quick brown"', ["quick brown"]),
        ("Café CAFE", "cafe", ["Café", "CAFE"]),
        ("在数据库中", "数据", ["数据"]),
        ("call foo.bar( and foo bar", "foo.bar(", ["foo.bar("]),
        ("x " * 500 + "needle" + " y" * 500, "needle", ["needle"]),
        ("apples and pears", "apples -plums pears", ["apples", "pears"]),
        ("apples apples", "apples", ["apples", "apples"]),
        ("it’s", "it's", ["it’s"]),
    ],
)
def test_the_words_found_are_marked_in_the_snippet(store: Store, text: str, query: str, marked: list[str]) -> None:
    put(store, "a:1", said(text))
    synced(store)
    (hit,) = hits(store, query)
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == marked
    assert len(hit["snippet"]) <= 250
    assert "\n" not in hit["snippet"]


def test_the_snippet_is_of_the_part_that_shows_most_of_the_words(store: Store) -> None:
    message = called("c", "Bash", {"command": "retry with timeout"})
    message["parts"].insert(0, {"type": "text", "content": "only the timeout"})
    put(store, "a:1", message)
    synced(store)
    (hit,) = hits(store, "timeout retry")
    assert (hit["part"], hit["snippet"]) == ("tool_input", "Bash retry with timeout")


# -- whatever is typed ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    store = Store.init(tmp_path_factory.mktemp("fuzz") / "store")
    put(store, "a:1", said("apples (pears) 数据 c++ 100% foo_bar"), title="T")
    put(store, "b:2", said('NEAR "x" AND y', "assistant", time="2026-01-01T00:00:00Z"))
    synced(store)
    with closing(schema.connect_reader(path_of(store))) as opened:
        yield opened


PIECES = [
    "apples",
    "pears",
    '"',
    "(",
    ")",
    "*",
    "-",
    "+",
    "^",
    ":",
    ",",
    "OR",
    "AND",
    "NOT",
    "NEAR(",
    "a b, 5)",
    "{",
    "}",
]
PIECES += [
    "text",
    "role:",
    "before:",
    "in:",
    "has:",
    "session:",
    "user",
    "7d",
    "数据",
    "c++",
    "%",
    "_",
    "\\",
    "'",
    "\0",
]
PIECES += ["\ud800", "é", "🎉", "\n", "rank", "messages_fts", "cjk :", "{text}", "5", ";", "--", "/*", "\ue000", "ก็"]
typed = st.lists(st.sampled_from(PIECES) | st.text(st.characters(codec=None), max_size=5), max_size=12)


@given(typed, st.sampled_from(["", " "]))
def test_nothing_typed_raises_anything_but_a_syntax_error(
    connection: sqlite3.Connection, pieces: list[str], between: str
) -> None:
    hits = []
    with contextlib.suppress(errors.SearchSyntax):
        hits = search(connection, between.join(pieces), now=NOW)
    for hit in hits:
        assert all(0 <= start < end <= len(hit["snippet"]) for start, end in hit["marks"])
    assert not connection.in_transaction


# -- against a plain reading of the language ------------------------------------------------------------------------

WORDS = ["red", "green", "blue", "re.d", "gr(", "+"]
texts = st.lists(st.sampled_from([*WORDS, "数据", "据"]), min_size=1, max_size=4).map(" ".join)
leaves = st.sampled_from([*WORDS, "gre*", '"red green"', "数", "role:user", "role:assistant", "source:a", "has:tool"])
queries = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} {pair[1]} )"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} OR {pair[1]} )"),
        inner.map(lambda one: f"(NOT {one} )"),
    ),
    max_leaves=6,
)


def fulfils(query: str, text: str, role: str, source: str) -> bool:
    """A plain reading of the language, over the few forms that `queries` makes."""
    tokens = re.findall(r'\(NOT |\(|\)|OR|"[^"]*"|gr\(|[^\s()]+', query)

    def unit() -> bool:
        token = tokens.pop(0)
        if token == "(NOT ":
            value = not unit()
        elif token == "(":
            value = unit()
            either = tokens[0] == "OR"
            if either:
                tokens.pop(0)
            other = unit()
            value = value or other if either else value and other
        else:
            return leaf(token)
        assert tokens.pop(0) == ")"
        return value

    def leaf(token: str) -> bool:
        words = [w for w in re.split(r"[^\w]+", text) if w]
        if token.startswith("role:"):
            return role == token[5:]
        if token.startswith("source:"):
            return source == token[7:]
        if token == "has:tool":
            return False
        if token == "gre*":
            return any(word.startswith("gre") for word in words)
        if token == '"red green"':
            return ("red", "green") in itertools.pairwise(words)
        if token in ("re.d", "gr(", "+", "数"):
            return token in text
        return token in words

    return unit()


@given(st.lists(st.tuples(texts, st.sampled_from(["user", "assistant"]), st.sampled_from("ab")), max_size=6), queries)
def test_a_query_finds_what_a_plain_reading_of_it_says(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, str, str]], query: str
) -> None:
    store = Store.init(tmp_path_factory.mktemp("plain") / "store")
    for source in "ab":
        given_here = [said(text, role, id=f"{n}") for n, (text, role, where) in enumerate(messages) if where == source]
        if given_here:
            put(store, f"{source}:1", *given_here)
    synced(store)
    expected = {f"{w}:1#{n}" for n, (text, role, w) in enumerate(messages) if fulfils(query, text, role, w)}
    assert set(found(store, query)) == expected


# -- cost -----------------------------------------------------------------------------------------------------------


def test_a_search_loads_nothing_heavy() -> None:
    code = (
        "import sys, sqlite3, orjson; before = set(sys.modules)\n"
        "import sessionstore.index.search\n"
        "heavy = {'pathlib', 'dataclasses', 'inspect', 'pydantic', 'sqlite_utils', 'asyncio', 'json', 'zstandard'}\n"
        "assert not heavy & (set(sys.modules) - before), heavy & (set(sys.modules) - before)"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )


@pytest.mark.parametrize("query", ["apples", "apples role:user", "apples after:2020 tool:Bash", "apples -role:tool"])
def test_ranking_reads_no_text(store: Store, query: str) -> None:
    put(store, "a:1", *[said("apples " * n) for n in range(1, 30)])
    synced(store)
    with reading(store) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        search(connection, query)
        connection.set_trace_callback(None)
        ranking = [sql for sql in statements if "bm25(messages_fts" in sql]
        assert ranking
        for sql in ranking:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert all("COVERING INDEX messages_facts" in step for step in plan if " m " in step), plan

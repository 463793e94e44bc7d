"""Bringing the index to what the store says."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sessionstore import canonical, layout
from sessionstore.index import schema
from sessionstore.index.difference import difference
from sessionstore.index.health import check
from sessionstore.index.search import search
from sessionstore.index.sync import rebuild, sync, sync_sessions
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store
from tests.index.making import digests, found, keys, note, numbered, path_of, put, reading, said, synced

LONG = "word " * 2000
"""Four messages of this length close a page."""


def revision_file(store: Store, name: str) -> Path:
    return Path(store.root, "sessions", name)


def edit(store: Store, name: str, *texts: str) -> str:
    """Write a revision that names `name` as its parent and has other messages."""
    revision = store.load_revision(name)
    messages = numbered(*map(said, texts))
    counts = {**revision["counts"], "messages": len(messages)}
    parents = [layout.split_name(name)[1]]
    edited = {**revision, "pages": [], "messages": messages, "counts": counts, "parents": parents}
    new, data = store.name_of(edited)
    store.write_revision(new, data)
    return new


def test_what_is_new_in_the_store_can_be_found(store: Store) -> None:
    put(store, "a:1", said("apples"))
    put(store, "b:2", said("pears"))
    assert synced(store).added == 2
    assert found(store, "pears") == ["b:2#m1"]


def test_taking_in_one_session_leaves_the_others_for_later(store: Store) -> None:
    put(store, "a:1", said("apples"))
    put(store, "b:2", said("pears"))
    with IndexWriter(path_of(store), store.id) as writer:
        assert sync_sessions(store, writer, ["b:2"]).added == 1
    assert (found(store, "pears"), found(store, "apples")) == (["b:2#m1"], [])
    store.append("b:2", [{**said("plums"), "id": "m2"}])
    note(store, "b:2", "tags", ["fruit"])
    with IndexWriter(path_of(store), store.id) as writer:
        counts = sync_sessions(store, writer, ["b:2", "a:1", "c:none"])
    assert (counts.added, counts.extended, counts.notes) == (1, 1, 1)
    assert found(store, "plums tag:fruit") == ["b:2#m2"]
    assert synced(store).as_dict() == {"added": 0, "extended": 0, "removed": 0, "notes": 0, "damaged": {}}


def test_a_second_sync_has_nothing_to_do(store: Store) -> None:
    put(store, "a:1", said("apples"))
    note(store, "a:1", "star", True)
    synced(store)
    with reading(store) as connection:
        assert difference(store, connection).empty
        before = schema.get(connection, "change_seq")
    assert not any(synced(store).as_dict().values())
    with reading(store) as connection:
        assert schema.get(connection, "change_seq") == before


@pytest.mark.parametrize("texts", [["short"], [LONG] * 4, [LONG] * 9, ["short"] * 50])
def test_an_appended_session_gets_only_its_new_messages(store: Store, texts: list[str]) -> None:
    put(store, "a:1", *map(said, texts))
    synced(store)
    with reading(store) as connection:
        before = connection.execute("SELECT id FROM messages").fetchall()
    store.append("a:1", [{**said("newest"), "id": "added"}])
    read: list[int] = []
    original = store.messages
    store.messages = lambda revision, start=0: read.append(start) or original(revision, start)  # type: ignore[method-assign,func-returns-value]
    with IndexWriter(path_of(store), store.id) as writer:
        counts = sync(store, writer)
    assert (counts.extended, counts.added, counts.removed) == (1, 0, 0)
    assert max(read) == len(texts)
    assert found(store, "newest") == ["a:1#added"]
    with reading(store) as connection:
        after = connection.execute("SELECT id FROM messages").fetchall()
    assert after[: len(before)] == before
    assert len(set(digests(store))) == 1


def test_a_session_that_went_on_differently_is_not_taken_for_an_extension(store: Store) -> None:
    old = put(store, "a:1", said("one"), said("two"))
    synced(store)
    os.remove(revision_file(store, old))
    put(store, "a:1", said("one"), said("other"), said("three"))
    counts = synced(store)
    assert (counts.added, counts.extended, counts.removed) == (1, 0, 1)
    assert found(store, "two") == []
    assert len(set(digests(store))) == 1


def test_two_heads_are_both_shown(store: Store) -> None:
    put(store, "a:1", said("root"), said("left"))
    synced(store)
    put(store, "a:1", said("root"), said("right"))
    synced(store)
    assert keys(store, "left") == keys(store, "right") == ["a:1"]
    assert len(set(digests(store))) == 1


def test_a_message_that_two_heads_share_is_found_once(store: Store) -> None:
    put(store, "a:1", said("root"), said("left branch"))
    put(store, "a:1", said("root"), said("right branch"))
    synced(store)
    assert len(found(store, "root")) == 1
    assert len(found(store, "branch")) == 2


def test_an_edited_session_is_shown_as_it_is_now_and_known_as_it_was(store: Store) -> None:
    old = put(store, "a:1", said("typo"))
    synced(store)
    new = edit(store, old, "corrected")
    synced(store)
    assert (found(store, "typo"), found(store, "corrected")) == ([], ["a:1#m1"])
    with IndexWriter(path_of(store), store.id) as writer:
        assert writer.applied() == {old, new}
    assert len(set(digests(store))) == 1


def test_two_edits_of_one_session_are_two_branches(store: Store) -> None:
    old = put(store, "a:1", said("typo"), said("more"))
    synced(store)
    edit(store, old, "corrected")
    edit(store, old, "rephrased")
    assert synced(store).damaged == {}
    assert len(found(store, "corrected OR rephrased")) == 2
    assert found(store, "typo") == []


def test_what_is_rolled_back_is_shown_as_it_was_before(store: Store) -> None:
    old = put(store, "a:1", said("one"))
    synced(store)
    kept = revision_file(store, old).read_bytes()
    new = put(store, "a:1", said("one"), said("two"))
    synced(store)
    os.remove(revision_file(store, new))
    revision_file(store, old).write_bytes(kept)
    synced(store)
    assert (found(store, "one"), found(store, "two")) == (["a:1#m1"], [])
    assert len(set(digests(store))) == 1


def test_a_removed_revision_vanishes(store: Store) -> None:
    name = put(store, "a:1", said("apples"))
    put(store, "a:2", said("apples"))
    synced(store)
    os.remove(revision_file(store, name))
    assert synced(store).removed == 1
    assert found(store, "apples") == ["a:2#m1"]
    assert check(path_of(store)) == []


def test_a_damaged_revision_is_named_and_everything_else_indexed(store: Store) -> None:
    bad = put(store, "a:1", said("apples"))
    put(store, "a:2", said("apples"))
    whole = revision_file(store, bad).read_bytes()
    revision_file(store, bad).write_bytes(whole[:-5])
    counts = synced(store)
    assert list(counts.damaged) == [bad]
    assert found(store, "apples") == ["a:2#m1"]
    revision_file(store, bad).write_bytes(whole)
    assert synced(store).added == 1


def test_a_session_with_a_missing_page_is_named_and_everything_else_indexed(store: Store) -> None:
    bad = put(store, "a:1", *[said(LONG)] * 5, said("tail"))
    put(store, "a:2", said("apples"))
    page = store.load_revision(bad)["pages"][0]["id"]
    (path,) = Path(store.root, "objects").rglob(f"{page}*")
    whole = path.read_bytes()
    path.unlink()
    assert list(synced(store).damaged) == [bad]
    assert keys(store, "apples OR tail") == ["a:2"]
    path.write_bytes(whole)
    synced(store)
    assert sorted(keys(store, "apples OR tail")) == ["a:1", "a:2"]
    assert len(set(digests(store))) == 1


def test_when_a_new_head_cannot_be_read_the_one_before_is_still_shown(store: Store) -> None:
    old = put(store, "a:1", said("old"))
    synced(store)
    bad = edit(store, old, *[LONG] * 5)
    revision = store.load_revision(bad)
    pages = [{"id": "0" * 64, "n": 5, "bytes": 5}]
    name, data = store.name_of({**revision, "pages": pages, "messages": []})
    os.remove(revision_file(store, bad))
    store.write_revision(name, data)
    counts = synced(store)
    assert list(counts.damaged) == [name]
    assert found(store, "old") == ["a:1#m1"]
    assert len(set(digests(store))) == 1


@pytest.mark.parametrize("document", [b"{}", b"[]", b"null", b"\xff", b"", b'{"v":1,"key":"a:1"}'])
def test_a_file_that_is_no_revision_is_named_and_passed_over(store: Store, document: bytes) -> None:
    name = f"{layout.fanout('a:1')}/{layout.slug('a:1')}.{canonical.digest(document)}.json"
    revision_file(store, name).parent.mkdir(exist_ok=True)
    revision_file(store, name).write_bytes(document)
    put(store, "a:2", said("apples"))
    counts = synced(store)
    assert list(counts.damaged) == [name]
    assert counts.added == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"git": 5},
        {"counts": {}},
        {"counts": {"messages": "many"}},
        {"counts": {"messages": 2, "bytes": "many", "by_role": {"user": []}}},
        {"pages": None},
        {"pages": [5]},
        {"messages": 5},
        {"parents": 5},
        {"usage": []},
        {"forked_from": "a:1"},
        {"x": {"updated_at": 5}, "updated_at": {}, "title": ["t"], "aliases": [5], "importer": "me", "models": 5},
    ],
)
def test_a_revision_of_an_odd_shape_leaves_nothing_half_done(store: Store, odd: dict[str, Any]) -> None:
    put(store, "a:2", said("apples"))
    revision = store.load_revision(put(store, "a:1", said("apples"), said("pears")))
    for name in store.revision_names():
        if "a-1" in name:
            os.remove(revision_file(store, name))
    name, data = store.name_of({**revision, **odd})
    store.write_revision(name, data)
    counts = synced(store)
    assert set(counts.damaged) in (set(), {name})
    assert len(keys(store, "apples")) == 2 - len(counts.damaged)
    assert len(set(digests(store))) == 1
    assert check(path_of(store)) == []


def test_large_values_kept_out_of_line_are_searchable(store: Store) -> None:
    put(store, "a:1", said("filler " * 60_000 + "needle"))
    synced(store)
    assert found(store, "needle") == ["a:1#m1"]


def test_progress_ends_at_the_number_of_sessions(store: Store) -> None:
    for number in range(3):
        put(store, f"a:{number}", said("x"))
    seen: list[tuple[int, int]] = []
    with IndexWriter(path_of(store), store.id) as writer:
        sync(store, writer, lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# -- notes ----------------------------------------------------------------------------------------------------------


def session(store: Store, key: str) -> dict[str, Any]:
    from sessionstore.index.query import resolve

    with reading(store) as connection:
        return resolve(connection, key)[0]


def test_notes_show_on_their_session(store: Store) -> None:
    put(store, "a:1", said("x"), title="given")
    note(store, "a:1", "title", "mine")
    note(store, "a:1", "tags", ["work", "urgent"])
    note(store, "a:1", "star", True)
    note(store, "a:1", "archived", True)
    assert synced(store).notes == 4
    shown = session(store, "a:1")
    assert (shown["title"], shown["tags"], shown["starred"], shown["archived"]) == (
        "mine",
        ["urgent", "work"],
        True,
        True,
    )
    assert len(set(digests(store))) == 1


def test_a_note_taken_back_gives_the_title_of_the_source_again(store: Store) -> None:
    put(store, "a:1", said("x"), title="given")
    note(store, "a:1", "title", "mine")
    synced(store)
    note(store, "a:1", "title", None)
    synced(store)
    assert session(store, "a:1")["title"] == "given"
    assert found(store, "in:title mine") == []
    assert len(set(digests(store))) == 1


def test_notes_outlast_an_append(store: Store) -> None:
    put(store, "a:1", said("x"), title="given")
    note(store, "a:1", "tags", ["keep"])
    synced(store)
    store.append("a:1", [{**said("y"), "id": "y"}])
    synced(store)
    assert session(store, "a:1")["tags"] == ["keep"]
    assert len(set(digests(store))) == 1


def test_a_note_that_comes_before_its_session_counts_when_that_comes(store: Store) -> None:
    note(store, "a:1", "star", True)
    synced(store)
    put(store, "a:1", said("x"))
    synced(store)
    assert session(store, "a:1")["starred"]


@pytest.mark.parametrize("order", ["earlier first", "later first"])
def test_of_two_notes_on_a_field_the_later_counts(store: Store, order: str) -> None:
    put(store, "a:1", said("x"))
    texts = [("2026-01-01T00:00:00Z", "early"), ("2026-01-01T00:00:00.500Z", "late")]
    for time, title in texts if order == "earlier first" else texts[::-1]:
        document = {"format": "sessionstore/note", "v": 1, "key": "a:1", "field": "title", "value": title, "time": time}
        data = canonical.dumps(document)
        path = Path(store.root, "notes", layout.document_name("a:1", data))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        synced(store)
    assert session(store, "a:1")["title"] == "late"


def test_a_tombstone_hides_a_session_even_if_its_revision_comes_back(store: Store) -> None:
    name = put(store, "a:1", said("apples"))
    synced(store)
    note(store, "a:1", "tombstone", {"time": "2026-01-01T00:00:00Z"})
    synced(store)
    assert found(store, "apples") == []
    with IndexWriter(path_of(store), store.id) as writer:
        writer.forget(name)
    synced(store)
    assert found(store, "apples") == []
    assert len(set(digests(store))) == 1
    note(store, "a:1", "tombstone", None)
    synced(store)
    assert found(store, "apples") == ["a:1#m1"]
    assert len(set(digests(store))) == 1


def test_a_damaged_note_is_named_and_everything_else_indexed(store: Store) -> None:
    put(store, "a:1", said("apples"))
    note(store, "a:1", "star", True)
    (name,) = store.note_names()
    Path(store.root, "notes", name).write_bytes(b"{}")
    counts = synced(store)
    assert list(counts.damaged) == [name]
    assert found(store, "apples") == ["a:1#m1"]


# -- rebuilding -----------------------------------------------------------------------------------------------------


def test_a_rebuild_says_what_the_kept_up_index_said(store: Store) -> None:
    for number in range(5):
        put(
            store, f"a:{number}", said(f"word{number}"), said("common"), title=f"title {number}", aliases=[f"x{number}"]
        )
        synced(store)
    note(store, "a:3", "tags", ["t"])
    store.append("a:2", [{**said("more common"), "id": "z"}])
    synced(store)
    before, links = digests(store), sorted(found(store, "common"))
    rebuild(store, path_of(store))
    assert digests(store) == before
    assert sorted(found(store, "common")) == links
    assert check(path_of(store)) == []


def test_a_rebuild_goes_on_counting_changes(store: Store) -> None:
    for number in range(5):
        put(store, f"a:{number}", said("x"))
        synced(store)
    with reading(store) as connection:
        before = schema.get(connection, "change_seq")
    rebuild(store, path_of(store))
    with reading(store) as connection:
        assert schema.get(connection, "change_seq") > before


def test_a_rebuild_leaves_nothing_beside_the_index(store: Store) -> None:
    put(store, "a:1", said("x"))
    synced(store)
    before = set(os.listdir(store.root))
    rebuild(store, path_of(store))
    assert set(os.listdir(store.root)) - {"index.sqlite-wal", "index.sqlite-shm"} == before


def test_a_reader_in_the_middle_of_a_question_sees_the_old_index_and_then_the_new_one(store: Store) -> None:
    put(store, "a:1", said("apples"))
    synced(store)
    with closing(schema.connect_reader(path_of(store))) as connection:
        with schema.snapshot(connection):
            assert len(search(connection, "apples")) == 1
            put(store, "a:2", said("apples"))
            rebuild(store, path_of(store))
            assert len(search(connection, "apples")) == 1
        assert len(search(connection, "apples")) == 2


def test_readers_never_see_half_a_session_while_the_index_is_written_and_rebuilt(store: Store) -> None:
    put(store, "a:0", *[said("apples")] * 40)
    synced(store)
    stop = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        try:
            while not stop.is_set():
                with reading(store) as connection:
                    hits = search(connection, "apples", limit=10_000, per_session=100)
                    per_key = {hit["key"]: 0 for hit in hits}
                    for hit in hits:
                        per_key[hit["key"]] += 1
                    if set(per_key.values()) != {40}:
                        wrong.append(per_key)
        except Exception as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 8):
            put(store, f"a:{number}", *[said("apples")] * 40)
            synced(store)
            if number % 3 == 0:
                rebuild(store, path_of(store))
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_an_index_deleted_under_the_writer_is_filled_again_by_the_next_sync(store: Store) -> None:
    put(store, "a:1", said("apples"))
    with IndexWriter(path_of(store), store.id) as writer:
        sync(store, writer)
        for ending in ("", "-wal", "-shm"):
            os.unlink(path_of(store) + ending)
        put(store, "a:2", said("pears"))
        sync(store, writer)
    assert sorted(keys(store, "apples OR pears")) == ["a:1", "a:2"]


# -- anything that can happen to a store ----------------------------------------------------------------------------


class AnyHistory(RuleBasedStateMachine):
    """Whatever is written, appended, branched, edited, removed, annotated or damaged, and whenever the index is
    synchronised: it ends up saying what a new index says, and so do its full-text tables."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.store = Store.init(f"{self.folder}/store")
        self.count = 0
        synced(self.store)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def message(self, size: int) -> dict[str, Any]:
        self.count += 1
        return {**said(f"text{self.count} " + "filler " * size), "id": f"i{self.count}"}

    def pick(self, choice: int) -> str | None:
        names = sorted(self.store.revision_names())
        return names[choice % len(names)] if names else None

    @rule(key=st.sampled_from(["a:1", "a:2", "b:1"]), size=st.sampled_from([1, 900, 6000]))
    def write(self, key: str, size: int) -> None:
        put(self.store, key, self.message(size), self.message(1), title=f"t{self.count}")

    @rule(choice=st.integers(0, 9), size=st.sampled_from([1, 6000]))
    def append(self, choice: int, size: int) -> None:
        if name := self.pick(choice):
            self.store.append(self.store.load_revision(name)["key"], [self.message(size)])

    @rule(choice=st.integers(0, 9))
    def edit(self, choice: int) -> None:
        if name := self.pick(choice):
            self.count += 1
            edit(self.store, name, f"edited{self.count}")

    @rule(choice=st.integers(0, 9))
    def remove(self, choice: int) -> None:
        if name := self.pick(choice):
            os.remove(revision_file(self.store, name))

    @rule(
        key=st.sampled_from(["a:1", "a:2"]),
        field_value=st.sampled_from(
            [
                ("title", "数据 mine"),
                ("title", None),
                ("tags", ["x"]),
                ("star", True),
                ("tombstone", None),
                ("tombstone", {"time": "2026-01-01T00:00:00Z"}),
            ]
        ),
    )
    def annotate(self, key: str, field_value: tuple[str, Any]) -> None:
        note(self.store, key, *field_value)

    @precondition(lambda self: self.store.note_names())
    @rule()
    def lose_a_note(self) -> None:
        os.remove(Path(self.store.root, "notes", min(self.store.note_names())))

    @rule()
    def rebuild(self) -> None:
        rebuild(self.store, path_of(self.store))

    @rule(some=st.sets(st.sampled_from(["a:1", "a:2", "b:1", "c:none"])))
    def take_in_some_only(self, some: set[str]) -> None:
        with IndexWriter(path_of(self.store), self.store.id) as writer:
            assert sync_sessions(self.store, writer, some).damaged == {}

    @invariant()
    def the_index_says_what_a_new_one_says(self) -> None:
        if self.count % 2:
            return
        assert synced(self.store).damaged == {}
        assert len(set(digests(self.store))) == 1
        assert check(path_of(self.store)) == []


AnyHistory.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestAnyHistory: Callable[..., Any] = AnyHistory.TestCase

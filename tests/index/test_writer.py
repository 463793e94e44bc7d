"""Applying, hiding and forgetting revisions."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.index import schema
from sessionstore.index.digest import digest
from sessionstore.index.health import check
from sessionstore.index.rows import Row, encode
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store
from tests.index.making import answered, called, digests, found, note, numbered, path_of, put, reading, said, synced


def apply(store: Store, writer: IndexWriter, name: str, *, start: int = 0, extends: str | None = None) -> bool:
    revision = store.load_revision(name)
    rows = encode(store.messages(revision, start), start)
    return writer.apply(name, revision, [rows[:1], rows[1:]], extends=extends)


def test_applied_sessions_are_what_a_sync_would_have_made_of_them(store: Store) -> None:
    name = put(store, "a:1", said("hello"), said("there", "assistant"), title="Greeting", aliases=["old"])
    with IndexWriter(path_of(store), store.id) as writer:
        assert apply(store, writer, name)
    assert synced(store).as_dict() == {"added": 0, "extended": 0, "removed": 0, "notes": 0, "damaged": {}}
    assert len(set(digests(store))) == 1
    assert found(store, "there") == ["a:1#m2"]


def test_applying_again_changes_nothing(store: Store) -> None:
    name = put(store, "a:1", said("hello"))
    with IndexWriter(path_of(store), store.id) as writer:
        assert apply(store, writer, name)
        assert not apply(store, writer, name)
    assert len(set(digests(store))) == 1


@pytest.mark.parametrize("start", [0, 1, 2])
def test_an_extension_takes_the_place_of_what_it_extends(store: Store, start: int) -> None:
    old = put(store, "a:1", said("one"), said("two"))
    synced(store)
    new = put(store, "a:1", said("one"), said("two"), said("three"))
    with IndexWriter(path_of(store), store.id) as writer:
        before = writer.session_of(old)
        assert apply(store, writer, new, start=start, extends=old)
        assert writer.session_of(new) == before
        assert writer.applied() == {new}
    assert sorted(found(store, "one OR three")) == ["a:1#m1", "a:1#m3"]
    assert len(set(digests(store))) == 1


def test_an_extension_of_what_is_not_indexed_is_left_to_the_next_sync(store: Store) -> None:
    put(store, "a:1", said("one"))
    new = put(store, "a:1", said("one"), said("two"))
    with IndexWriter(path_of(store), store.id) as writer:
        assert not apply(store, writer, new, start=1, extends="00/never-indexed-00000000." + "0" * 64 + ".json")
    assert synced(store).added == 1
    assert len(set(digests(store))) == 1


def test_a_revision_whose_rows_are_too_few_is_refused_whole(store: Store) -> None:
    name = put(store, "a:1", said("one"), said("two"))
    revision = store.load_revision(name)
    with IndexWriter(path_of(store), store.id) as writer:
        with pytest.raises(errors.RevisionCorrupt):
            writer.apply(name, revision, [encode([next(store.messages(revision))])])
        assert writer.applied() == set()
        assert writer.connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    assert check(path_of(store)) == []


def test_when_rows_cannot_be_read_to_the_end_nothing_of_them_is_kept(store: Store) -> None:
    old = put(store, "a:1", said("one"))
    synced(store)
    new = put(store, "a:1", said("one"), said("two"), said("three"))
    revision = store.load_revision(new)

    def failing() -> Iterator[list[Row]]:
        yield encode(list(store.messages(revision))[:2])
        raise errors.ObjectMissing(name="a page")

    with IndexWriter(path_of(store), store.id) as writer:
        with pytest.raises(errors.ObjectMissing):
            writer.apply(new, revision, failing(), extends=old)
        assert writer.applied() == {old}
    assert found(store, "one OR two") == ["a:1#m1"]
    assert check(path_of(store)) == []


def test_parents_are_no_longer_shown(store: Store) -> None:
    old = put(store, "a:1", said("typo"))
    synced(store)
    revision = store.load_revision(old)
    edited = {
        **revision,
        "messages": numbered(said("corrected")),
        "parents": [old[:-5].rpartition(".")[2]],
    }
    name, data = store.name_of(edited)
    store.write_revision(name, data)
    with IndexWriter(path_of(store), store.id) as writer:
        assert apply(store, writer, name)
    assert synced(store).as_dict()["removed"] == 0
    assert (found(store, "typo"), found(store, "corrected")) == ([], ["a:1#m1"])
    assert len(set(digests(store))) == 1


def test_forgetting_leaves_no_trace_in_any_table(store: Store) -> None:
    keep = put(store, "a:1", said("kept"))
    note(store, "a:2", "tags", ["x"])
    gone = put(store, "a:2", said("gone"), called("c", "Read", {}), answered("c", "out"), aliases=["b"], title="T")
    synced(store)
    with IndexWriter(path_of(store), store.id) as writer:
        assert writer.forget(gone)
        assert not writer.forget(gone)
        assert writer.applied() == {keep}
        for table in ("tool_calls", "aliases", "tags"):
            assert writer.connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert check(path_of(store)) == []


def test_what_was_forgotten_is_erased_from_the_file(store: Store) -> None:
    gone = put(store, "a:2", said("zanzibar secretword"), called("c", "Read", {"path": "zanzibar"}))
    put(store, "a:1", said("kept"))
    synced(store)
    with IndexWriter(path_of(store), store.id) as writer:
        writer.forget(gone)
        writer.erase()
    with open(path_of(store), "rb") as file:
        data = file.read()
    assert b"kept" in data
    assert b"zanzibar" not in data
    assert b"secretword" not in data


def test_a_result_is_linked_to_its_call_even_when_it_comes_later(store: Store) -> None:
    put(store, "a:1", said("go"), called("c1", "Bash", {"command": "ls"}), called("c2", "Read", {}))
    synced(store)
    store.append("a:1", [{**answered("c1", "boom", failed=True), "id": "m4"}])
    synced(store)
    with reading(store) as connection:
        rows = connection.execute(
            "SELECT t.name, m.message_id, r.message_id, t.is_error FROM tool_calls t"
            " JOIN messages m ON m.id = t.message_id LEFT JOIN messages r ON r.id = t.result_id ORDER BY t.id"
        ).fetchall()
    assert rows == [("Bash", "m2", "m4", 1), ("Read", "m3", None, None)]


def test_nothing_is_visible_before_the_commit_and_everything_after(store: Store) -> None:
    put(store, "a:1", said("first"))
    synced(store)
    second = put(store, "a:2", said("second"))
    with IndexWriter(path_of(store), store.id) as writer:
        apply(store, writer, second)
        with closing(schema.connect_reader(path_of(store))) as reader:
            assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
            writer.commit()
            assert reader.execute("SELECT count(*) FROM sessions").fetchone() == (2,)


def test_leaving_by_an_exception_takes_back_what_was_not_committed(store: Store) -> None:
    name = put(store, "a:1", said("first"))

    def fail() -> None:
        with IndexWriter(path_of(store), store.id) as writer:
            apply(store, writer, name)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with IndexWriter(path_of(store), store.id) as writer:
        assert writer.applied() == set()


def test_every_commit_raises_the_change_number(store: Store) -> None:
    seen = []
    for number in range(3):
        put(store, f"a:{number}", said("x"))
        synced(store)
        with reading(store) as connection:
            seen.append(connection.execute("SELECT max(change_seq) FROM sessions").fetchone()[0])
            assert seen[-1] == schema.get(connection, "change_seq")
    assert seen == sorted(set(seen))


def _hold(path: str, store_id: str, held: Any, release: Any) -> None:
    with IndexWriter(path, store_id):
        held.set()
        release.wait(30)


def test_a_second_writer_is_told_that_the_index_is_busy(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path_of(store), store.id, held, release))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(errors.Busy), IndexWriter(path_of(store), store.id, timeout=0.1):
            pass
    finally:
        release.set()
        process.join()


def test_a_deleted_file_is_noticed(store: Store) -> None:
    put(store, "a:1", said("first"))
    with IndexWriter(path_of(store), store.id) as writer:
        before = writer.lost
        os.unlink(path_of(store))
        after = writer.lost
        writer.reopen()
        assert (before, after, writer.lost) == (False, True, False)
        assert writer.applied() == set()


def test_merging_a_little_with_every_commit_keeps_the_index_sound(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionstore.index.content.MANY_SEGMENTS", 4)
    for number in range(12):
        put(store, f"a:{number}", said(f"word{number} common"))
        synced(store)
    assert check(path_of(store)) == []
    assert len(found(store, "common")) == 12


@pytest.mark.parametrize("text", ["a\0b", "half \ud800 pair", "x" * 100_000, "数据", "", "'\"%_\\"])
def test_any_text_goes_in_and_out_again(store: Store, text: str) -> None:
    name = put(store, "a:1", said("before"), said(text), said("after"))
    synced(store)
    assert len(found(store, "before OR after")) == 2
    with IndexWriter(path_of(store), store.id) as writer:
        writer.forget(name)
    assert check(path_of(store)) == []


def test_a_full_disk_is_one_clear_error_and_leaves_a_readable_index(store: Store) -> None:
    put(store, "a:1", said("first"))
    synced(store)
    name = put(store, "a:2", *[said(f"word{n} " * 400) for n in range(200)])
    with IndexWriter(path_of(store), store.id) as writer:
        pages = schema.pragma(writer.connection, "page_count")
        writer.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(errors.NoSpace):
            apply(store, writer, name)
    assert check(path_of(store)) == []
    assert found(store, "first") == ["a:1#m1"]


def test_the_digest_of_an_empty_index_is_that_of_nothing(store: Store) -> None:
    synced(store)
    with reading(store) as connection:
        assert digest(connection) == "0" * 16


def test_rows_without_a_session_show_in_the_digest(store: Store) -> None:
    put(store, "a:1", said("first"))
    synced(store)
    with closing(sqlite3.connect(path_of(store))) as connection:
        connection.execute("DELETE FROM sessions")
        assert digest(connection) != schema.get(connection, "digest")

"""The cheap sign that the index is not behind: it may cost a look too many, and never hides a change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from sessionstore.index import fresh, schema
from sessionstore.index.difference import Difference
from sessionstore.notes import set_note
from sessionstore.store import Store
from tests.index.making import path_of, put, reading, said, synced


def behind(store: Store) -> Difference:
    """What is asked before every search."""
    with reading(store) as connection:
        return fresh.behind(store, connection, path_of(store))


def kept(store: Store) -> str | None:
    """The sign in the index."""
    with reading(store) as connection:
        found = schema.get(connection, fresh.NAME)
        return str(found) if found else None


@pytest.fixture
def settled(store: Store) -> Store:
    """A store and an index that knows its sign."""
    for number in range(3):
        put(store, f"a:{number}", said("apples"))
    synced(store)
    age(store)
    assert behind(store).empty
    assert kept(store) == fresh.sign(store.root)
    return store


def age(store: Store) -> None:
    """Let the directories' times be old."""
    old = time.time() - 60
    for folder in ("sessions", "notes"):
        for directory, _, _ in os.walk(f"{store.root}/{folder}"):
            os.utime(directory, (old, old))


def test_a_young_change_is_not_trusted(store: Store) -> None:
    put(store, "a:1", said("apples"))
    synced(store)
    assert fresh.sign(store.root) is None
    assert behind(store).empty
    assert kept(store) is None
    assert fresh.sign(store.root, now=time.time() + 10) is not None


def test_while_nothing_changes_no_name_is_listed(settled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed() -> set[str]:
        raise AssertionError("listed")

    monkeypatch.setattr(settled, "revision_names", listed)
    assert behind(settled).empty


def add(store: Store) -> None:
    put(store, "a:new", said("pears"))


def extend(store: Store) -> None:
    store.append("a:1", [said("pears")])


def note(store: Store) -> None:
    set_note(store, "a:1", "title", "Pears")


def remove(store: Store) -> None:
    os.unlink(f"{store.root}/sessions/{sorted(store.revision_names())[0]}")


@pytest.mark.parametrize("change", [add, extend, note, remove])
@pytest.mark.parametrize("aged", [False, True])
def test_every_change_of_the_store_is_noticed(settled: Store, change: Callable[[Store], None], aged: bool) -> None:
    change(settled)
    if aged:
        for folder in ("sessions", "notes"):
            for number, (directory, _, _) in enumerate(os.walk(f"{settled.root}/{folder}")):
                os.utime(directory, (1e9 + number, 1e9 + number))
    assert not behind(settled).empty
    synced(settled)
    assert behind(settled).empty


def test_an_index_that_is_written_by_somebody_else_is_only_asked(settled: Store) -> None:
    from sessionstore.index.files import lock_path, locked

    with locked(lock_path(path_of(settled)), 0):
        os.utime(f"{settled.root}/sessions", (1e9, 1e9))
        before = kept(settled)
        assert behind(settled).empty
        assert kept(settled) == before
    assert behind(settled).empty
    assert kept(settled) != before

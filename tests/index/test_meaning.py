"""Searching by meaning: the packaged model, the vectors beside the index, and what is near what."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.index import vectors
from sessionstore.index.embedding import DIMENSIONS, WINDOW, Embedder, windows
from sessionstore.index.meaning import like, near
from sessionstore.index.search import sessions_with
from sessionstore.index.similar import similar
from sessionstore.store import Store
from tests.index.making import answered, called, numbered, path_of, put, reading, said, synced

BREAD = ("Knead the dough and let it rest.", "Bake the loaf in a hot oven until the crust is brown.")
NETWORK = ("The server keeps closing the connection.", "Increase the socket timeout and retry the request.")
GARDEN = ("Which flowers grow in the shade?", "Ferns and hostas; water the soil in the evening.")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.init(tmp_path / "s")
    for name, (question, answer) in {"bread": BREAD, "network": NETWORK, "garden": GARDEN}.items():
        messages = numbered(said(question), said(answer, role="assistant"))
        put(store, f"a:{name}", *messages, title=name, cwd=f"/home/ada/{name}")
    synced(store)
    return store


def caught_up(store: Store, embedder: Embedder) -> list[int]:
    """Brings the vectors up to date; how many messages had to be read, each time it began."""
    begun: list[int] = []
    with reading(store) as connection:
        vectors.current(connection, path_of(store), embedder, begun.append)
    return begun


def asked(store: Store, embedder: Embedder, query: str, **options: Any) -> list[str]:
    caught_up(store, embedder)
    with reading(store) as connection:
        return [hit["link"] for hit in near(connection, path_of(store), embedder, query, **options)]


def test_the_model_is_in_its_package_and_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    array = Embedder().embed(["bread", "", "loaf"])
    assert array.shape == (3, DIMENSIONS)
    assert array[0] @ array[2] > array[0] @ Embedder().embed(["carburettor"])[0]
    assert not list(tmp_path.iterdir()), "nothing is kept in the home directory"


@pytest.mark.parametrize(
    ("query", "first"),
    [("baking bread", "a:bread"), ("network trouble", "a:network"), ("plants for a dark garden", "a:garden")],
)
def test_what_means_the_same_is_found_without_the_words(
    store: Store, embedder: Embedder, query: str, first: str
) -> None:
    assert asked(store, embedder, query)[0].split("#")[0] == first


def test_fields_hold_and_other_kinds_of_query_are_refused(store: Store, embedder: Embedder) -> None:
    assert all(link.startswith("a:garden#") for link in asked(store, embedder, "baking bread project:garden"))
    assert all(link.endswith("#m2") for link in asked(store, embedder, "baking bread role:assistant"))
    for query in ("-bread", "/br.ad/", "project:garden"):
        with pytest.raises(errors.UsageError):
            asked(store, embedder, query)
    with pytest.raises(errors.SearchSyntax):
        asked(store, embedder, "before:noday bread")


def test_limits_and_portions(store: Store, embedder: Embedder) -> None:
    everything = asked(store, embedder, "the oven server flowers water", limit=100)
    assert len(everything) > 2
    assert asked(store, embedder, "the oven server flowers water", limit=2) == everything[:2]
    assert asked(store, embedder, "the oven server flowers water", limit=2, offset=1) == everything[1:3]


def test_only_new_messages_are_read_and_forks_once(store: Store, embedder: Embedder) -> None:
    assert caught_up(store, embedder) == [6]
    assert caught_up(store, embedder) == [0]
    old = numbered(said(BREAD[0]), said(BREAD[1], role="assistant"))
    put(store, "a:fork", *old, {**said("And rye bread?"), "id": "m3"})
    synced(store)
    assert caught_up(store, embedder) == [1]
    assert "a:fork#m3" in asked(store, embedder, "rye bread")


def test_what_is_gone_from_the_index_is_gone_from_the_vectors(store: Store, embedder: Embedder) -> None:
    caught_up(store, embedder)
    with closing(sqlite3.connect(vectors.beside(path_of(store)))) as file, file:
        file.execute("INSERT INTO vectors VALUES (1, x'')")
    caught_up(store, embedder)
    with closing(sqlite3.connect(vectors.beside(path_of(store)))) as file:
        assert file.execute("SELECT count(*) FROM vectors WHERE same = 1").fetchone() == (0,)


def test_tools_and_bookkeeping_have_no_vectors(tmp_path: Path, embedder: Embedder) -> None:
    store = Store.init(tmp_path / "s")
    call, result = called("c", "shell", {"command": "bake bread"}), answered("c", "a loaf of bread")
    put(store, "a:1", *numbered(call, result, {**said("bread"), "kind": "context"}))
    synced(store)
    assert asked(store, embedder, "bread") == []


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100])
def test_a_damaged_file_is_made_anew(store: Store, embedder: Embedder, damage: bytes) -> None:
    caught_up(store, embedder)
    vectors.forget(path_of(store))
    Path(vectors.beside(path_of(store))).write_bytes(damage)
    assert caught_up(store, embedder) == [6]


def test_vectors_of_another_model_are_not_compared(store: Store, embedder: Embedder) -> None:
    caught_up(store, embedder)
    with closing(sqlite3.connect(vectors.beside(path_of(store)))) as file, file:
        file.execute("UPDATE model SET name = 'another'")
    assert caught_up(store, embedder) == [6]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_file_is_for_its_owner_only(store: Store, embedder: Embedder) -> None:
    caught_up(store, embedder)
    assert stat.S_IMODE(os.stat(vectors.beside(path_of(store))).st_mode) == 0o600


def test_sessions_alike_by_meaning_and_by_words(store: Store, embedder: Embedder) -> None:
    put(store, "a:cake", *numbered(said("How long does a cake stay in the oven?"), said("Until brown.", "assistant")))
    synced(store)
    caught_up(store, embedder)
    with reading(store) as connection:
        by_meaning = like(connection, path_of(store), "a:cake", 10)
        assert by_meaning[0].session["key"] == "a:bread"
        assert "a:cake" not in [found.session["key"] for found in by_meaning]
        within = sessions_with(connection, "project:garden")
        assert {found.session["key"] for found in like(connection, path_of(store), "a:cake", 10, within)} <= {
            "a:garden"
        }
        by_words = similar(connection, "a:cake", "", 10, lambda: None)
        assert by_words.sessions[0].session["key"] == "a:bread"
        assert {"oven", "brown"} & set(by_words.sessions[0].shared)
        assert similar(connection, "a:cake", "", 10, lambda: None, set()).sessions == []


def test_a_session_without_words_is_like_nothing(store: Store, embedder: Embedder) -> None:
    put(store, "a:tools", *numbered(called("c", "shell", {"command": "ls"}), answered("c", "a b c")))
    synced(store)
    caught_up(store, embedder)
    with reading(store) as connection:
        assert like(connection, path_of(store), "a:tools", 10) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("  \n ", 0),
        ("short", 1),
        ("x" * (WINDOW + 1), 2),
        ("word " * 500, 3),
        (f"{'a' * 700}\n{'b' * 700}", 2),
    ],
)
def test_windows_hold_everything(text: str, count: int) -> None:
    found = windows(text)
    assert len(found) == count
    assert all(len(piece) <= WINDOW for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())

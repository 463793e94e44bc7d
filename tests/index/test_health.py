"""An index that is missing, broken, foreign, cut short or not writable."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.index import health, schema
from sessionstore.index.search import search
from sessionstore.index.sync import rebuild, sync
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store
from tests.index.making import digests, found, path_of, put, reading, said, synced


@pytest.fixture
def filled(store: Store) -> Store:
    """A store of a few sessions with its index."""
    for number in range(6):
        put(store, f"a:{number}", *[said(f"apples word{number} {n} " * 40) for n in range(30)])
    synced(store)
    return store


def size(store: Store) -> int:
    return os.path.getsize(path_of(store))


def remove(store: Store) -> None:
    os.remove(path_of(store))


def cut_half(store: Store) -> None:
    os.truncate(path_of(store), size(store) // 2)


def cut_end(store: Store) -> None:
    os.truncate(path_of(store), size(store) - 100)


def empty(store: Store) -> None:
    os.truncate(path_of(store), 0)


def garbage(store: Store) -> None:
    Path(path_of(store)).write_bytes(b"not a database" * 1000)


def no_header(store: Store) -> None:
    with open(path_of(store), "r+b") as file:
        file.write(bytes(100))


def another_program(store: Store) -> None:
    with closing(sqlite3.connect(path_of(store))) as connection:
        connection.execute("PRAGMA application_id = 1")


def newer_schema(store: Store) -> None:
    with closing(sqlite3.connect(path_of(store))) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")


def another_store(store: Store) -> None:
    with closing(sqlite3.connect(path_of(store))) as connection, connection:
        connection.execute("UPDATE meta SET value = 'x' WHERE name = 'store_id'")


def another_schema(store: Store) -> None:
    os.remove(path_of(store))
    with closing(sqlite3.connect(path_of(store))) as connection, connection:
        connection.execute("CREATE TABLE mine (x)")


def foreign_wal(store: Store) -> None:
    shutil.copy(path_of(store), path_of(store) + "-wal")
    os.remove(path_of(store))


SEEN_AT_ONCE = [remove, empty, garbage, no_header, another_program, newer_schema, another_store, another_schema]
SEEN_AT_ONCE += [foreign_wal]


@pytest.mark.parametrize("spoil", [*SEEN_AT_ONCE, cut_half], ids=lambda spoil: spoil.__name__)
def test_a_question_to_a_spoilt_index_is_answered_all_the_same(filled: Store, spoil: Callable[[Store], None]) -> None:
    spoil(filled)
    hits = health.ask(
        filled, path_of(filled), lambda connection: search(connection, "apples", per_session=100, limit=999)
    )
    assert len(hits) == 180
    assert health.check(path_of(filled), filled.id) == []
    assert len(set(digests(filled))) == 1


@pytest.mark.parametrize("spoil", SEEN_AT_ONCE, ids=lambda spoil: spoil.__name__)
def test_what_can_be_seen_at_once_is_seen_when_opening(filled: Store, spoil: Callable[[Store], None]) -> None:
    spoil(filled)
    with reading(filled) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (180,)


@pytest.mark.parametrize("spoil", [*SEEN_AT_ONCE, cut_half, cut_end], ids=lambda spoil: spoil.__name__)
def test_a_check_finds_what_is_wrong(filled: Store, spoil: Callable[[Store], None]) -> None:
    spoil(filled)
    assert health.check(path_of(filled), filled.id) != []


def test_a_sound_index_has_nothing_wrong_with_it(filled: Store) -> None:
    assert health.check(path_of(filled), filled.id) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_check_finds_flipped_bytes_in_anything_that_was_indexed(filled: Store, seed: int) -> None:
    with closing(sqlite3.connect(path_of(filled), isolation_level=None)) as connection:
        connection.execute("VACUUM")  # leaves no unused copies in the file, where a flipped byte means nothing
    data = bytearray(Path(path_of(filled)).read_bytes())
    places = [place for place in range(len(data) - 8) if data[place : place + 6] == b"apples"]
    place = random.Random(seed).choice(places)
    data[place] ^= 1
    Path(path_of(filled)).write_bytes(data)
    assert health.check(path_of(filled)) != []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET title = 'other' WHERE id = 1",
        "UPDATE messages SET role = 'tool' WHERE seq = 3",
        "UPDATE messages SET time = '2020-01-01T00:00:00Z' WHERE seq = 3",
        "INSERT INTO tags (session_id, tag) VALUES (1, 'x')",
        "DELETE FROM sessions WHERE id = 2",
        "INSERT INTO messages_fts (messages_fts) VALUES ('delete-all')",
    ],
)
def test_a_check_finds_rows_that_another_program_changed(filled: Store, change: str) -> None:
    with closing(sqlite3.connect(path_of(filled))) as connection, connection:
        connection.execute(change)
    assert health.check(path_of(filled)) != []


def test_damage_that_shows_only_in_the_answer_leads_to_a_rebuild_and_the_answer(filled: Store) -> None:
    asked = []

    def question(connection: sqlite3.Connection) -> int:
        asked.append(1)
        if len(asked) == 1:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return len(search(connection, "apples"))

    assert health.ask(filled, path_of(filled), question) == 18


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_leftovers_of_an_index_that_is_gone_are_not_taken_for_a_new_one(filled: Store, ending: str) -> None:
    os.remove(path_of(filled))
    Path(path_of(filled) + ending).write_bytes(b"leftover" * 5000)
    assert len(found(filled, "apples")) == 180
    assert health.check(path_of(filled)) == []


def test_the_log_of_a_killed_writer_is_not_replayed_into_a_new_index(filled: Store) -> None:
    put(filled, "b:1", said("pears"))
    with IndexWriter(path_of(filled), filled.id) as writer:
        sync(filled, writer)
        log = Path(path_of(filled) + "-wal").read_bytes()
    assert log
    os.remove(path_of(filled))
    Path(path_of(filled) + "-wal").write_bytes(log)
    assert found(filled, "pears") == ["b:1#m1"]
    assert health.check(path_of(filled)) == []
    assert len(set(digests(filled))) == 1


def _write_for_ever(root: str, started: Any) -> None:
    store = Store(root)
    number = 100
    while True:
        put(store, f"b:{number}", *[said(f"pears {number} " * 50)] * 30)
        with IndexWriter(path_of(store), store.id) as writer:
            sync(store, writer)
        number += 1
        started.set()


@pytest.mark.parametrize("after", [0.0, 0.03, 0.11])
def test_a_writer_killed_at_any_moment_leaves_an_index_that_opens_and_catches_up(filled: Store, after: float) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_write_for_ever, args=(filled.root, started))
    process.start()
    assert started.wait(60)
    time.sleep(after)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with reading(filled) as connection:
        assert len(search(connection, "apples")) == 18
    synced(filled)
    assert health.check(path_of(filled)) == []
    assert len(set(digests(filled))) == 1


def test_an_index_in_a_directory_that_cannot_be_written_is_still_read(filled: Store) -> None:
    code = (
        "import os, re, sys\n"
        "from sessionstore.index.schema import connect_reader\n"
        "from sessionstore.index.search import search\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "print(len(search(connect_reader(sys.argv[1]), 'apples')))"
    )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "index.sqlite")
        shutil.copy(path_of(filled), copy)
        copy.chmod(0o444)
        os.chmod(folder, 0o555)
        root = Path(__file__).parent.parent.parent
        command = [sys.executable, "-c", code, str(copy)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        os.chmod(folder, 0o700)
    assert (result.stdout, result.returncode) == ("18\n", 0), result.stderr


def test_an_index_that_is_being_written_is_not_rebuilt_but_reported_busy(filled: Store) -> None:
    os.remove(path_of(filled))
    with IndexWriter(path_of(filled), filled.id):
        os.remove(path_of(filled))
        with pytest.raises(errors.Busy):
            rebuild(filled, path_of(filled), timeout=0.1)

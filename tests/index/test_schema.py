"""The schema steps and the identity of an index."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore.index import schema
from sessionstore.index.rows import ROW
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store
from tests.index.making import path_of, put, reading, said, synced


def test_the_newest_step_is_the_version() -> None:
    numbers = [int(os.path.basename(path)[:4]) for path in schema.step_files()]
    assert numbers == list(range(1, schema.VERSION + 1))


def test_a_new_index_is_marked_as_ours_and_current(store: Store) -> None:
    synced(store)
    with reading(store) as connection:
        assert schema.pragma(connection, "application_id") == schema.APPLICATION_ID
        assert schema.pragma(connection, "user_version") == schema.VERSION
        assert schema.get(connection, "store_id") == store.id
        assert schema.pragma(connection, "journal_mode") == "wal"


def test_every_table_has_an_integer_primary_key(store: Store) -> None:
    synced(store)
    with reading(store) as connection:
        tables = [
            name
            for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            if "VIRTUAL" not in sql and not name.partition("_fts")[1]
        ]
        assert {"sessions", "messages", "tool_calls", "tags", "aliases", "sources", "meta"} <= set(tables)
        for table in tables:
            keys = [(row[2], row[5]) for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
            assert keys == [("INTEGER", 1)], table


@pytest.mark.parametrize("table", ["messages", "sessions"])
def test_datasette_recognises_the_full_text_tables(store: Store, table: str) -> None:
    synced(store)
    with reading(store) as connection:
        pattern = f'%VIRTUAL TABLE%USING FTS%content="{table}"%'
        sql = "SELECT name FROM sqlite_master WHERE rootpage = 0 AND sql LIKE ?"
        assert connection.execute(sql, (pattern,)).fetchall() == [(f"{table}_fts",)]


def test_the_columns_of_a_row_are_columns_of_the_table(store: Store) -> None:
    synced(store)
    with reading(store) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(messages)")]
    assert columns == ["id", "session_id", *ROW]


def test_opening_a_current_index_does_not_load_the_migrations(store: Store) -> None:
    synced(store)
    code = (
        "import sys; from sessionstore.index.writer import IndexWriter\n"
        f"with IndexWriter({path_of(store)!r}, {store.id!r}): pass\n"
        "assert 'sqlite_utils' not in sys.modules, 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent.parent)


def test_an_interrupted_schema_step_is_done_again(store: Store) -> None:
    put(store, "a:1", said("hello"))
    with closing(sqlite3.connect(path_of(store))) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    assert synced(store).added == 1


@pytest.mark.parametrize(
    "spoil",
    [
        "PRAGMA application_id = 7",
        f"PRAGMA user_version = {schema.VERSION + 1}",
        "UPDATE meta SET value = 'another' WHERE name = 'store_id'",
    ],
)
def test_an_index_that_is_not_ours_to_go_on_with_is_replaced(store: Store, spoil: str) -> None:
    put(store, "a:1", said("hello"))
    synced(store)
    with closing(sqlite3.connect(path_of(store), isolation_level=None)) as connection:
        connection.execute(spoil)
    with IndexWriter(path_of(store), store.id) as writer:
        assert writer.applied() == set()
    assert synced(store).added == 1


def test_the_file_is_for_its_owner_only(store: Store) -> None:
    synced(store)
    assert os.stat(path_of(store)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["per%cent", "que?ry", "ha#sh", "with space", "ünï", "100%20"])
def test_a_store_may_lie_at_any_path(tmp_path: Path, name: str) -> None:
    store = Store.init(tmp_path / name)
    put(store, "a:1", said("hello"))
    synced(store)
    with reading(store) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)

"""The command that asks the index in SQL."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.output import one_line, table

_CELL = 60
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "data_version"}
_INSTRUCTIONS = 20_000
"""After so many steps of SQLite's machine it is looked whether somebody has pressed Ctrl-C."""
_TABLES = (
    "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    " AND name NOT LIKE '%\\_fts\\_%' ESCAPE '\\' ORDER BY type, name"
)


@command("sql", example='sessionstore sql "SELECT source, count(*) FROM sessions GROUP BY 1"')
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many rows.")
@json_option
def sql_command(app: App, query: str | None, as_csv: bool, limit: int, as_json: bool) -> None:
    """Ask the index in SQL.

    One statement that reads; nothing can be changed. Without QUERY the tables and views are listed; docs/index.md
    says what is in them. Views for a start: conversations, recent, tool_errors, usage_by_day; the table
    files_touched has the paths in tool calls.
    """
    from sessionstore.cli.reading import reader

    with reader(app.store()) as connection, _guarded(connection) as stopped:
        try:
            cursor = connection.execute(query or _TABLES)
            names = _names([column[0] for column in cursor.description or ()])
            rows = cursor.fetchmany(limit + 1)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            if stopped:
                raise KeyboardInterrupt from None
            raise errors.UsageError(reason=f"SQL: {' '.join(str(error).split())}") from None
    if not names:
        raise errors.UsageError(reason="SQL: that is no statement that reads")
    if len(rows) > limit:
        note(f"only the first {limit} rows are shown; --limit shows more")
    _print(names, rows[:limit], as_csv, as_json)


@contextmanager
def _guarded(connection: sqlite3.Connection) -> Iterator[list[int]]:
    """Let a connection only read what there is, and stop it with Ctrl-C; then what is yielded is not empty."""
    stopped: list[int] = []
    for name in ("messages_fts", "sessions_fts", "words"):
        connection.execute(f"SELECT 1 FROM {name} LIMIT 0")  # SQLite opens a virtual table as if it made one.
    connection.set_authorizer(_allowed)
    connection.set_progress_handler(lambda: len(stopped), _INSTRUCTIONS)
    before = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
        connection.set_progress_handler(None, 0)


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in ("load_extension", "fts3_tokenizer") else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in _PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _names(given: list[str]) -> list[str]:
    """Names of columns, each once."""
    found: list[str] = []
    for name in given:
        unique, n = name, 2
        while unique in found:
            unique, n = f"{name}_{n}", n + 1
        found.append(unique)
    return found


def _print(names: list[str], rows: list[tuple[Any, ...]], as_csv: bool, as_json: bool) -> None:
    plain = [[value.hex() if isinstance(value, bytes) else value for value in row] for row in rows]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in plain])
    elif as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows(chain([names], plain))
    else:
        numbers = [
            i for i in range(len(names)) if plain and all(isinstance(row[i], int | float | None) for row in plain)
        ]
        cells = [["-" if value is None else one_line(str(value), _CELL) for value in row] for row in plain]
        last = len(names) - 1
        for row, given in zip(cells, islice(plain, len(cells)), strict=True):
            row[last] = "-" if given[last] is None else str(given[last])
        table(cells, names, right=[i for i in numbers if i != last])

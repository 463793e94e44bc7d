"""SQL on the index: what it shows, and that it can only read."""

from __future__ import annotations

import csv
import io
import os
import signal
import time

import pytest

from tests.cli.running import Program, ok, says

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_table_csv_and_json_say_the_same(shared: Program) -> None:
    query = "SELECT source, count(*) AS sessions FROM sessions GROUP BY 1 ORDER BY 1"
    rows = ok(shared("sql", query, "--json")).json
    assert sum(row["sessions"] for row in rows) == 25
    told = list(csv.DictReader(io.StringIO(ok(shared("sql", query, "--csv")).out)))
    assert [(row["source"], int(row["sessions"])) for row in told] == [(r["source"], r["sessions"]) for r in rows]
    lines = ok(shared("sql", query)).out.splitlines()
    assert [line.split() for line in lines[1:]] == [[row["source"], str(row["sessions"])] for row in rows]


@pytest.mark.parametrize("view", ["conversations", "recent", "tool_errors", "usage_by_day", "files_touched"])
def test_every_view_has_rows(shared: Program, view: str) -> None:
    assert ok(shared("sql", f"SELECT * FROM {view}", "--json")).json


def test_the_full_text_tables_can_be_asked(shared: Program) -> None:
    query = "SELECT count(*) AS n FROM messages_fts WHERE messages_fts MATCH 'error'"
    assert ok(shared("sql", query, "--json")).json[0]["n"] > 0


def test_without_a_statement_the_tables_are_listed(shared: Program) -> None:
    names = [row["name"] for row in ok(shared("sql", "--json")).json]
    assert {"sessions", "messages", "files_touched", "recent"} <= set(names)


def test_columns_of_one_name_are_told_apart(shared: Program) -> None:
    assert ok(shared("sql", "SELECT 1 AS a, 2 AS a, x'00ff' AS b", "--json")).json == [{"a": 1, "a_2": 2, "b": "00ff"}]


def test_more_rows_than_the_limit_are_said(shared: Program) -> None:
    result = ok(shared("sql", "SELECT key FROM sessions", "--limit", 3, "--json"))
    assert len(result.json) == 3
    assert "only the first 3 rows are shown" in result.err


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM sessions",
        "INSERT INTO meta (name, value) VALUES ('a', 'b')",
        "UPDATE sessions SET title = 'x'",
        "DROP TABLE sessions",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "ATTACH 'other.sqlite' AS other",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode = DELETE",
        "VACUUM INTO 'copy.sqlite'",
        "SELECT load_extension('x')",
        "INSERT INTO messages_fts (messages_fts) VALUES ('rebuild')",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT * FROM nowhere",
        "SELECT",
        "",
        "/* nothing */",
    ],
)
def test_anything_but_one_reading_statement_is_refused_on_one_line(shared: Program, query: str) -> None:
    result = shared("sql", query or "  ")
    says(result, 2, "SQL: ")
    assert shared.cwd.joinpath("other.sqlite").exists() is False


def test_ctrl_c_ends_a_long_question(shared: Program) -> None:
    process = shared.start("sql", ENDLESS)
    time.sleep(1.5)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert b"Traceback" not in err

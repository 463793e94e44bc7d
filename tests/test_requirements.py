"""docs/requirements.md accounts for every line of the design documents: once, with a place and a test that exist."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "requirements.md"
LINES = {
    "llm-mcp-server: Model-Agnostic Session Implementation Guide": 67,
    "llm-mcp-server: Worktree Instructions for Model-Agnostic Sessions": 20,
    "LangSwarm: Session Management - Align with LLM Provider Patterns and Simplify": 85,
    "mcp-cli: Session Manager Integration - Corrected Architecture": 24,
    "mcp_coder: LLM Session Management Implementation Plan": 18,
}
"""The documents, and how many lines each has."""
ROW = re.compile(r"\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
QUOTED = re.compile(r"`((?:sessionstore|docs|scripts|tests)/[^`]+)`")


class Row(NamedTuple):
    """One requirement: its number in its document, what is asked for, where it is, which test shows it."""

    number: int
    asked: str
    where: str
    test: str


def sections(text: str) -> Iterator[tuple[str, list[Row]]]:
    """The documents with their rows. Raises `ValueError` for a line of a table that is no row."""
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")][2:]
        found = []
        for line in lines:
            match = ROW.fullmatch(line)
            if match is None:
                raise ValueError(line)
            found.append(Row(int(match[1]), match[2], match[3], match[4]))
        yield title, found


@cache
def names(path: Path) -> frozenset[str]:
    """What a file of tests defines."""
    tree = ast.parse(path.read_bytes())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    found = {node.name for node in tree.body if isinstance(node, kinds)}
    targets = (target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets)
    return frozenset(found | {target.id for target in targets if isinstance(target, ast.Name)})


def wrong(row: Row, root: Path) -> Iterator[str]:
    """What of a row does not hold."""
    offered = "not offered" not in row.where
    places = QUOTED.findall(row.where)
    if offered and not places:
        yield "no place"
    if not offered and "because" not in row.where:
        yield "no reason"
    yield from (f"{place} is not there" for place in places if not (root / place).is_file())
    if row.test == "—":
        if offered or places:
            yield "no test"
        return
    if script := re.fullmatch(r"`(scripts/[\w-]+)`", row.test):
        if not os.access(root / script[1], os.X_OK):
            yield f"{row.test} is not there"
        return
    match = re.fullmatch(r"`(tests/[\w/]+\.py)::(\w+)`", row.test)
    if match is None:
        yield f"{row.test} names no test"
    elif not (root / match[1]).is_file() or match[2] not in names(root / match[1]):
        yield f"{row.test} is not there"
    elif not match[2].lower().startswith("test"):
        yield f"{row.test} is no test"


def test_every_line_of_every_document_is_there_once() -> None:
    found = dict(sections(DOCUMENT.read_text("utf-8")))
    assert {title: [row.number for row in rows] for title, rows in found.items()} == {
        title: list(range(1, count + 1)) for title, count in LINES.items()
    }


def test_every_place_and_every_test_exists() -> None:
    rows = [(title, row) for title, rows in sections(DOCUMENT.read_text("utf-8")) for row in rows]
    found = [f"{title.partition(':')[0]} {row.number}: {what}" for title, row in rows for what in wrong(row, ROOT)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("where", "test", "trouble"),
    [
        ("`sessionstore/store.py`", "`tests/test_requirements.py::test_every_place_and_every_test_exists`", []),
        ("`sessionstore/nothing.py`", "`tests/test_requirements.py::test_nothing`", ["is not there"] * 2),
        ("`sessionstore/store.py`", "`tests/test_requirements.py::wrong`", ["is no test"]),
        ("`sessionstore/store.py`", "`scripts/test`", []),
        ("`sessionstore/store.py`", "`scripts/nothing`", ["is not there"]),
        ("`sessionstore/store.py`", "by hand", ["names no test"]),
        ("`sessionstore/store.py`", "—", ["no test"]),
        ("somewhere", "—", ["no place", "no test"]),
        ("not offered, because nobody wants it", "—", []),
        ("not offered", "—", ["no reason"]),
    ],
)
def test_a_row_that_does_not_hold_is_noticed(where: str, test: str, trouble: list[str]) -> None:
    found = list(wrong(Row(1, "something", where, test), ROOT))
    assert len(found) == len(trouble)
    assert all(said.endswith(meant) for said, meant in zip(found, trouble, strict=True))

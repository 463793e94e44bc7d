"""The chat databases of Cursor's agent."""

from __future__ import annotations

import json
import runpy
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.cursor import Cursor
from sessionstore.importers.cursor_chats import CursorChats
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles, text

STORE = next((FORMATS / "cursor-chats").rglob("store.db"))
NAMES = [bytes([n]) * 32 for n in range(1, 6)]


def database(path: Path, blobs: dict[Any, Any], meta: dict[Any, Any]) -> Path:
    """A chat's database; a `meta` that is a dictionary is written as the program writes it."""
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE blobs (id TEXT, data BLOB)")
    base.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    for name, data in blobs.items():
        raw = json.dumps(data).encode() if isinstance(data, dict) else data
        base.execute("INSERT INTO blobs VALUES (?, ?)", (name.hex() if isinstance(name, bytes) else name, raw))
    for key, value in meta.items():
        raw = json.dumps(value).encode().hex() if isinstance(value, dict) else value
        base.execute("INSERT INTO meta VALUES (?, ?)", (key, raw))
    base.commit()
    base.close()
    return path


def said(what: str) -> dict[str, Any]:
    """A message."""
    return {"role": "user", "content": what}


def test_the_fixture_is_what_its_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "cursor-chats.py"))["make"](tmp_path)
    made = tmp_path / STORE.relative_to(FORMATS / "cursor-chats")
    assert (
        imported(CursorChats(), made, companions={}).one()[1] == imported(CursorChats(), STORE, companions={}).one()[1]
    )
    assert (made.parent / "meta.json").read_bytes() == (STORE.parent / "meta.json").read_bytes()


def test_the_latest_root_gives_the_order() -> None:
    beside = {"meta.json": STORE.parent / "meta.json"}
    result = imported(CursorChats(), STORE, companions=beside)
    draft, messages = result.one()
    assert result.counts == (9, 7, 1, 1)
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant"]
    assert text(messages[-1]) == "Two."
    assert [list(blob["content"][0].values())[1] for blob in draft.x["blobs"].values()] == ["Three."]
    assert draft.native_id == "d00dfeed-0000-4000-8000-000000000001" and not draft.aliases
    assert (draft.title, draft.cwd, draft.project) == ("Count the books", "/home/ann/shelf-app", "shelf-app")
    assert (draft.created_at, draft.updated_at) == ("2026-01-01T09:00:00.000Z", "2026-01-01T09:01:00.000Z")
    assert imported(CursorChats(), STORE, companions={}).one()[0].cwd is None


def test_parts_of_messages_are_mapped() -> None:
    _, messages = imported(CursorChats(), STORE, companions={}).one()
    assert messages[2]["parts"] == [
        {"type": "reasoning", "content": "Count.", "signature": "c2ln"},
        {"type": "tool_call", "id": "t1", "name": "Shell", "arguments": {"command": "wc -l shelf.txt"}},
    ]
    assert messages[3]["parts"][0]["response"] == "2 shelf.txt"


def test_without_a_root_the_order_is_that_of_the_rows(tmp_path: Path) -> None:
    blobs = {NAMES[0]: said("one"), NAMES[1]: said("two")}
    draft, messages = imported(CursorChats(), database(tmp_path / "store.db", blobs, {}), companions={}).one()
    assert [text(m) for m in messages] == ["one", "two"] and draft.native_id == tmp_path.name


def test_a_message_that_is_named_twice_or_not_there(tmp_path: Path) -> None:
    root = (
        b"".join(b"\x0a\x20" + name for name in (NAMES[0], NAMES[1], NAMES[0]))
        + b"\x1d1234\x21"
        + bytes(8)
        + b"\x0a\xff"
    )
    meta = {"0": {"agentId": "a", "latestRootBlobId": NAMES[4].hex()}}
    path = database(tmp_path / "store.db", {NAMES[0]: said("one"), NAMES[4]: root}, meta)
    draft, messages = imported(CursorChats(), path, companions={}).one()
    assert [m["id"] for m in messages] == [NAMES[0].hex(), NAMES[0].hex() + "~2"]
    assert draft.issues["blob-missing"][0] == 1 and draft.aliases == [tmp_path.name]


@pytest.mark.parametrize(
    "value", [None, 5, 1.5, float("inf"), "", "x", "7b7d", b"\xff{", b"\n {}", b"{}", b"[", {"role": []}]
)
def test_rows_of_any_kind_are_survived(tmp_path: Path, value: Any) -> None:
    blobs = {NAMES[0]: value, "x": value, None: value, 5: value, NAMES[1]: said("one")}
    name = NAMES[0].hex()
    metas: list[dict[Any, Any]] = [{"0": value, None: value, b"k": value}, {"0": {"latestRootBlobId": name}}]
    if not isinstance(value, bytes):
        metas.append({"0": {"agentId": value, "latestRootBlobId": value, "name": value, "createdAt": value}})
    for number, meta in enumerate(metas):
        path = database(tmp_path / f"{number}.db", blobs, meta)
        beside = {"meta.json": json.dumps({"cwd": 5, "title": [], "createdAtMs": "x"}).encode()}
        imported(CursorChats(), path, companions=beside)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text"},
        {"type": "text", "text": 5},
        {"type": "reasoning", "text": "x", "signature": 5},
        {"type": "tool-call", "toolCallId": 5, "toolName": "x"},
        {"type": "tool-result", "toolCallId": "x"},
        {"type": "tool-call", "toolCallId": "x", "toolName": "f", "name": "g"},
        {"type": "image", "image": "data"},
        5,
    ],
)
def test_parts_of_another_shape_are_kept(tmp_path: Path, part: Any) -> None:
    path = database(tmp_path / "store.db", {NAMES[0]: {"role": "user", "content": [part]}}, {})
    message = imported(CursorChats(), path, companions={}).one()[1][0]
    assert message["parts"][0] == {"type": "record", "record": part if isinstance(part, dict) else {"value": part}}


def test_recognition_is_by_tables(tmp_path: Path) -> None:
    assert recognised(CursorChats(), STORE) and not recognised(Cursor(), STORE)
    path = database(tmp_path / "store.db", {}, {})
    assert recognised(CursorChats(), path)
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE other (id TEXT)")
    base.close()
    assert not recognised(CursorChats(), path)


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    for path in sorted((samples / "cursor-cli").rglob("*.db")):
        assert recognised(CursorChats(), path)
        assert imported(CursorChats(), path, companions={}).counts[3] == 0

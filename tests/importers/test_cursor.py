"""Cursor's state databases."""

from __future__ import annotations

import json
import runpy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Head, Source
from sessionstore.importers.cursor import COMPOSERS, PROMPTS, TABS, Cursor
from sessionstore.importers.editor_parts import folder_of
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, ROOT, Imported, imported, recognised, roles, text

USER = FORMATS / "cursor" / ".config" / "Cursor" / "User"
GLOBAL = USER / "globalStorage" / "state.vscdb"
GARDEN = USER / "workspaceStorage" / "11aa" / "state.vscdb"
TABBED = USER / "workspaceStorage" / "22bb" / "state.vscdb"
NEW, SUB, LOST, OLD = (f"0a1b2c3d-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 4))


def database(path: Path, rows: dict[str, Any], items: dict[str, Any] | None = None) -> Path:
    """A state database with these rows of `cursorDiskKV` and of `ItemTable`."""
    base = sqlite3.connect(path)
    for table, content in (("cursorDiskKV", rows), ("ItemTable", items or {})):
        base.execute(f"CREATE TABLE {table} (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
        for key, value in content.items():
            raw = value if value is None or isinstance(value, bytes | str | int) else json.dumps(value)
            base.execute(f"INSERT INTO {table} VALUES (?, ?)", (key, raw))
    base.commit()
    base.close()
    return path


def dump(path: Path) -> list[str]:
    """Everything in a database; its bytes depend on the release of SQLite."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as base:
        return list(base.iterdump())


def read(path: Path) -> Imported:
    """Read a database together with the description of its workspace."""
    beside = path.parent / "workspace.json"
    return imported(Cursor(), path, companions=[beside] if beside.exists() else [])


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "cursor.py"))["make"](tmp_path)
    home = FORMATS / "cursor"
    paths = sorted(path.relative_to(home) for path in home.rglob("*") if path.is_file())
    assert paths == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    for path in paths:
        if path.suffix == ".json":
            assert (home / path).read_bytes() == (tmp_path / path).read_bytes()
        else:
            assert dump(home / path) == dump(tmp_path / path)


def test_the_composers_list_gives_the_order() -> None:
    result = read(GLOBAL)
    messages = result.sessions[NEW]
    assert [m["id"] for m in messages] == ["b1", "b2", "b2:results", "b3", "b3:results", "b4", "b5", "b6"]
    assert roles(messages)[:5] == ["user", "assistant", "tool", "assistant", "tool"]
    draft = result.drafts[NEW]
    assert (draft.title, draft.cwd, draft.project) == ("Sort the shelf", "/home/ann/shelf-app", "shelf-app")
    assert (draft.created_at, draft.updated_at) == ("2026-01-01T09:00:00.000Z", "2026-01-01T09:01:00.000Z")
    assert draft.x["usageData"] == {"claude-4.5-sonnet": {"costInCents": 4, "amount": 1}}


def test_a_bubble_with_a_tool_is_a_call_and_its_result() -> None:
    _, answer, results = read(GLOBAL).sessions[NEW][:3]
    assert answer["parts"] == [
        {"type": "reasoning", "content": "Look first.", "signature": "c2ln"},
        {"type": "tool_call", "id": "call-1", "name": "read_file", "arguments": '{"target_file":"shelf.txt"}'},
    ]
    assert (answer["model"], answer["time"]) == ("claude-4.5-sonnet", "2026-01-01T09:00:02.000Z")
    assert answer["usage"] == {"input_tokens": 900, "output_tokens": 30}
    assert answer["x"]["toolFormerData"] == {"tool": 5, "params": '{"path":"shelf.txt"}'}
    assert results["parts"][0]["response"] == '{"contents":"Dune\\nEmma"}'
    failed = read(GLOBAL).sessions[NEW][4]["parts"][0]
    assert failed["is_error"] is True and failed["id"] == "call-2"


def test_bubbles_beside_the_list_are_kept_behind_it() -> None:
    result = read(GLOBAL)
    draft, messages = result.drafts[NEW], result.sessions[NEW]
    assert draft.active_leaf == "b4"
    assert [(m["id"], m["parent"]) for m in messages if "parent" in m] == [("b5", None), ("b6", None)]
    assert draft.issues["unlisted-bubble"][0] == draft.issues["bubble-empty"][0] == 1
    assert draft.issues["bubble-missing"][0] == 1


def test_rows_are_accounted_for_and_no_other_key_is_read() -> None:
    result = read(GLOBAL)
    assert result.counts == (13, 10, 2, 1)
    told = json.dumps([result.sessions, [draft.state() for draft in result.source.drafts]])
    assert "not-to-be-read" not in told and "checkpointId" not in told and "cursorAuth" not in told


def test_sub_agents_and_lost_composers() -> None:
    result = read(GLOBAL)
    assert result.drafts[SUB].forked_from == {"key": f"cursor:{NEW}", "relation": "subagent"}
    assert result.sessions[SUB][0]["time"] == "2026-01-01T09:00:00.000Z"
    assert "composer-missing" in result.drafts[LOST].issues
    assert [m.get("kind") for m in result.sessions[LOST]] == [None, "meta"]
    assert result.drafts["prompts-globalStorage"].x["records"][0]["value"]["name"] == ""


def test_conversations_inside_the_workspace_database() -> None:
    result = read(GARDEN)
    draft = result.drafts[OLD]
    assert [text(m) for m in result.sessions[OLD]] == ["What grows here?", "Beans."]
    assert (draft.title, draft.cwd, draft.project) == ("Plan the garden", "c:/Users/ann/garden", "garden")
    prompts = result.drafts["prompts-11aa"]
    assert [text(m) for m in result.sessions["prompts-11aa"]] == ["What grows here?", "Sort them"]
    assert [record["value"].get("name") for record in prompts.x["records"]] == [None, "Sort the shelf"]
    assert result.counts == (8, 7, 1, 0)
    assert NEW not in result.drafts


def test_tabs_of_the_oldest_generation() -> None:
    draft, messages = read(TABBED).one()
    assert (draft.native_id, draft.title, draft.cwd) == ("tab-1", "Names of birds", "/home/ann/shélf")
    assert [text(m) for m in messages] == ["Name a bird.", "Wren.", "Or robin."]
    assert [m["id"] for m in messages] == ["t1", "t2", "m3"]
    assert messages[1]["model"] == "gpt-4" and messages[1]["x"]["rawText"] == "Wren."


def test_an_inner_id_finds_the_row_with_another_key(tmp_path: Path) -> None:
    rows = {
        "composerData:c": {"fullConversationHeadersOnly": [{"bubbleId": "inner"}, {"bubbleId": ""}, 5]},
        "bubbleId:c:outer": {"type": 1, "bubbleId": "inner", "text": "one"},
        "bubbleId:c:other": {"type": 2, "bubbleId": "", "text": "two"},
    }
    draft, messages = read(database(tmp_path / "x.vscdb", rows)).one()
    assert [(m["id"], text(m)) for m in messages] == [("inner", "one"), ("other", "two")]
    assert draft.active_leaf is None and not draft.issues


def test_a_conversation_map_is_read_by_the_list(tmp_path: Path) -> None:
    value = {
        "fullConversationHeadersOnly": [{"bubbleId": "b"}, {"bubbleId": "a"}],
        "conversationMap": {"a": {"type": 2, "text": "second"}, "b": {"type": 1, "text": "first"}},
    }
    draft, messages = read(database(tmp_path / "x.vscdb", {"composerData:c": value})).one()
    assert [text(m) for m in messages] == ["first", "second"] and draft.native_id == "c"


def test_a_table_of_headers_adds_what_the_composer_does_not_say(tmp_path: Path) -> None:
    path = database(tmp_path / "x.vscdb", {"composerData:c": {"conversation": [{"type": 1, "text": "hi"}]}})
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE composerHeaders (composerId TEXT, createdAt INTEGER, value TEXT)")
    head = {"name": "Named", "workspaceIdentifier": {"uri": "vscode-remote://wsl%2Bubuntu/home/ann/x"}}
    base.executemany("INSERT INTO composerHeaders VALUES (?, ?, ?)", [("c", 5, json.dumps(head)), ("d", 6, "{}")])
    base.commit()
    base.close()
    result = read(path)
    draft = result.drafts["c"]
    assert (draft.title, draft.cwd, draft.created_at) == ("Named", "/home/ann/x", "1970-01-01T00:00:00.005Z")
    assert result.counts == (4, 4, 0, 0)


def test_ids_that_repeat_are_made_unique(tmp_path: Path) -> None:
    bubbles = [{"type": 1, "bubbleId": "b", "text": str(n)} for n in range(3)]
    tabs = {"tabs": [{"tabId": "t", "bubbles": bubbles}, {"tabId": "t", "bubbles": bubbles[:1]}]}
    result = read(database(tmp_path / "x.vscdb", {}, {TABS: tabs}))
    assert [m["id"] for m in result.sessions["t"]] == ["b", "b~2", "b~3"]
    assert "repeated-session-id" in result.drafts["t~2"].issues


@pytest.mark.parametrize("value", [None, 5, "", "x", b"\xff", "[]", "{}", "null", {"type": 2}, {"text": 5, "type": 1}])
def test_values_of_any_kind_are_survived(tmp_path: Path, value: Any) -> None:
    rows = {
        "composerData:c": value,
        "bubbleId:c:b": value,
        "bubbleId::": value,
        "bubbleId:": value,
        "composerData:": value,
    }
    read(database(tmp_path / "x.vscdb", rows, dict.fromkeys((TABS, COMPOSERS, PROMPTS), value)))
    inner = {"name": value, "thinking": value, "params": value, "tokenCount": value, "uri": value}
    if not isinstance(value, bytes):
        fields = (
            "thinking",
            "toolFormerData",
            "tokenCount",
            "modelInfo",
            "createdAt",
            "bubbleId",
            "id",
            "type",
            "text",
        )
        bubbles = [{"type": 2, "text": ""} | {name: one} for name in fields for one in (value, inner)]
        names = ("workspaceIdentifier", "subagentInfo", "conversationMap", "fullConversationHeadersOnly", "name")
        composers = {f"composerData:{name}": {"conversation": bubbles, name: value} for name in names}
        items = {TABS: {"tabs": [value, {"bubbles": [value]}]}, COMPOSERS: {"allComposers": [value]}, PROMPTS: [value]}
        read(database(tmp_path / "y.vscdb", composers, items))


def test_recognition_is_by_tables_and_keys(tmp_path: Path) -> None:
    assert all(recognised(Cursor(), path) for path in (GLOBAL, GARDEN, TABBED))
    base = sqlite3.connect(tmp_path / "code.vscdb")
    base.execute("CREATE TABLE ItemTable (key TEXT, value BLOB)")
    base.execute("INSERT INTO ItemTable VALUES ('memento/workbench', '{}')")
    base.commit()
    base.close()
    assert not recognised(Cursor(), tmp_path / "code.vscdb")
    assert not Cursor().recognise(Head("state.vscdb", b"{}", True))


@pytest.mark.parametrize("size", [0, 100, 1024, 3000])
def test_a_damaged_database_is_refused(size: int) -> None:
    with pytest.raises(Unparsable):
        list(Cursor().read(Source.of(GLOBAL.read_bytes()[:size], "state.vscdb")))


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("file:///home/ann/a%20b", "/home/ann/a b"),
        ("file:///c%3A/Users/ann", "c:/Users/ann"),
        ("file://server/share/x", "//server/share/x"),
        ("vscode-remote://ssh-remote%2Bhost/srv/app", "/srv/app"),
        ("file:///%ff", "/\ufffd"),
        ("vscode-userdata:/x", None),
        ("untitled", None),
        (5, None),
    ],
)
def test_the_folder_of_a_uri(uri: Any, folder: str | None) -> None:
    assert folder_of(uri) == folder


@pytest.mark.samples
def test_samples_are_recognised_read_and_accounted_for(samples: Path) -> None:
    paths = sorted((samples / "cursor-vscdb").rglob("*.vscdb"))
    assert paths
    for path in paths:
        assert recognised(Cursor(), path)
        result = imported(Cursor(), path, companions=[])
        assert result.counts[3] == 0 and all(result.sessions.values())

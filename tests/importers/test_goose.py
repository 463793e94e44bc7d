"""Goose's database and its older logs."""

from __future__ import annotations

import json
import runpy
import sqlite3
from pathlib import Path

import pytest

from sessionstore.importers.goose import Goose
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles

PLACE = FORMATS / "goose" / ".local" / "share" / "goose" / "sessions"
BASE, LOG = PLACE / "sessions.db", PLACE / "20250501_101112.jsonl"


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "goose.py"))["make"](tmp_path)
    again = tmp_path / BASE.relative_to(FORMATS / "goose")
    assert imported(Goose(), again, "x.db").sessions == imported(Goose(), BASE, "x.db").sessions


def test_the_database_has_sessions_with_messages_and_without() -> None:
    result = imported(Goose(), BASE)
    assert result.counts == (7, 7, 0, 0)
    draft, messages = result.drafts["20260202_1"], result.sessions["20260202_1"]
    assert draft.title == "Books" and draft.cwd == "/home/ann/shelf-app"
    assert draft.created_at == "2026-02-02T02:40:00Z" and draft.x["accumulated_total_tokens"] == 1800
    assert draft.x["extension_data"] == {"todo": "none"}
    assert result.sessions["20260202_2"] == [] and result.drafts["20260202_2"].x["recipe_json"] == {"title": "Lamps"}
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "assistant"]
    assert [message["id"] for message in messages] == ["m1", "msg-1", "msg-2", "msg-3", "msg-4"]
    assert messages[1]["time"] == "2026-02-02T02:40:01.000Z"


def test_contents_are_parts() -> None:
    messages = imported(Goose(), BASE).sessions["20260202_1"]
    kinds = [part["type"] for part in messages[1]["parts"]]
    assert kinds == ["reasoning", "reasoning", "text", "tool_call", "toolRequest"]
    assert messages[1]["x"] == {"metadata": {"userVisible": True, "agentVisible": False}}
    assert messages[1]["parts"][3]["name"] == "developer__shell"
    good, bad = messages[2]["parts"]
    assert good["response"] == [{"type": "text", "text": "2"}] and "is_error" not in good
    assert bad["is_error"] is True and "x" not in messages[2]
    assert messages[3]["kind"] == "compaction"
    assert messages[4]["parts"][1]["mime_type"] == "image/png"


def test_a_log_begins_with_what_describes_it() -> None:
    result = imported(Goose(), LOG, companions={})
    draft, messages = result.one()
    assert result.counts == (5, 4, 1, 0)
    assert draft.native_id == "20250501_101112" and draft.title == "Lamps" and draft.project == "lamp"
    assert roles(messages) == ["user", "assistant", "tool", "system"]
    assert messages[0]["time"] == "2026-02-02T02:40:00.000Z"


def test_rows_of_any_content_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(BASE.read_bytes())
    base = sqlite3.connect(path)
    row = "INSERT INTO messages VALUES (NULL, NULL, ?, ?, ?, ?, ?, NULL, ?)"
    base.execute(row, ("gone", "user", "not JSON", "soon", "then", "{"))
    base.execute(row, ("gone", "user", '[5, null, {"type": []}, {"type": "toolRequest", "id": 5}]', -1, None, "5"))
    base.commit()
    base.close()
    result = imported(Goose(), path)
    assert result.counts == (9, 8, 1, 0) and "session-row-missing" in result.drafts["gone"].issues


def test_a_database_cut_off_is_refused() -> None:
    with pytest.raises(Unparsable):
        imported(Goose(), BASE.read_bytes()[:3000], "sessions.db")


@pytest.mark.parametrize("record", [{"working_dir": "/"}, {"working_dir": 5, "description": ""}, {"role": "user"}])
def test_other_lines_are_not_recognised(record: object) -> None:
    assert not recognised(Goose(), json.dumps(record).encode() + b"\n")


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    paths = sorted((samples / "goose").rglob("*.db"))
    assert paths
    for path in paths:
        assert recognised(Goose(), path)
        assert imported(Goose(), path).counts == (1, 1, 0, 0)

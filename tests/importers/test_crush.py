"""The databases of Crush and of opencode in Go."""

from __future__ import annotations

import runpy
import sqlite3
from pathlib import Path

import pytest

from sessionstore.importers.crush import Crush
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles, text

CRUSH = FORMATS / "crush" / "shelf" / ".crush" / "crush.db"
OLDER = FORMATS / "crush" / "lamp" / ".opencode" / "opencode.db"


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "crush.py"))["make"](tmp_path)
    for path in (CRUSH, OLDER):
        again = tmp_path / path.relative_to(FORMATS / "crush")
        assert imported(Crush(), again, "x.db").sessions == imported(Crush(), path, "x.db").sessions


@pytest.mark.parametrize("path", [CRUSH, OLDER], ids=["crush", "opencode-go"])
def test_sessions_and_their_sub_agents_are_read(path: Path) -> None:
    result = imported(Crush(), path)
    assert result.counts == (9, 9, 0, 0)
    whole, sub = result.drafts["s-1"], result.drafts["toolu_1"]
    assert whole.title == "Books" and whole.x["cost"] == 0.25 and whole.created_at == "2026-02-02T02:40:00.000Z"
    assert sub.forked_from == {"key": "crush:s-1", "relation": "subagent"}
    messages = result.sessions["s-1"]
    assert roles(messages) == ["user", "assistant", "tool", "assistant"]
    assert [message["id"] for message in messages] == ["a1", "a2", "a3", "a4"]
    assert messages[1]["time"] == "2026-02-02T02:40:01.000Z" and messages[1]["model"] == "large-1"
    assert not any("usage" in message for message in messages)


def test_parts_are_read_and_unknown_ones_kept() -> None:
    result = imported(Crush(), CRUSH)
    thought, said, call = result.sessions["s-1"][1]["parts"]
    assert thought["signature"] == "c2ln" and thought["started_at"] == 1_770_000_000
    assert said == {"type": "text", "content": "Counting."}
    assert call == {"type": "tool_call", "id": "toolu_1", "name": "agent", "arguments": '{"prompt":"Count."}'}
    assert result.sessions["s-1"][1]["finish_reason"] == "tool_use"
    assert result.sessions["s-1"][1]["provider"] == "anthropic"
    assert result.sessions["s-1"][3]["kind"] == "compaction" and text(result.sessions["s-1"][3]) == "Two."
    assert result.sessions["toolu_1"][1]["parts"][0]["is_error"] is True
    assert result.sessions["toolu_1"][2]["parts"][0] == {"type": "hologram", "data": {"of": "a book"}} or (
        result.sessions["toolu_1"][2]["parts"][0]["type"] == "record"
    )


def test_what_is_in_the_write_ahead_log_only_is_read(tmp_path: Path) -> None:
    path = tmp_path / "crush.db"
    path.write_bytes(CRUSH.read_bytes())
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA wal_autocheckpoint = 0")
    base.execute(
        "INSERT INTO messages SELECT 'a5', session_id, role, parts, model, created_at + 9, 1, 1, '', 0 FROM messages"
        " WHERE id = 'a1'"
    )
    base.commit()
    log = path.with_name("crush.db-wal")
    assert len(imported(Crush(), path, companions=[log]).sessions["s-1"]) == 5
    assert len(imported(Crush(), path).sessions["s-1"]) == 4
    base.close()


def test_rows_of_any_content_are_read(tmp_path: Path) -> None:
    path = tmp_path / "crush.db"
    path.write_bytes(CRUSH.read_bytes())
    base = sqlite3.connect(path)
    row = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    base.execute(row, ("z1", "gone", "user", "not JSON", None, "soon", 0, None, None, 0))
    base.execute(row, ("z2", "gone", b"\xff", '[{"type":"text","data":{"text":"x"}}]', None, 0, 0, None, None, 0))
    base.execute(row, ("z3", "gone", "user", '[5, {"type": 5}, {"type":"text"}, null]', b"\x00", -1, 0, None, None, 0))
    base.execute("INSERT INTO sessions VALUES ('', NULL, '', 0, 0, 0, 0.0, 0, 0, NULL)")
    base.commit()
    base.close()
    result = imported(Crush(), path)
    assert result.counts == (13, 10, 2, 1)
    assert "session-row-missing" in result.drafts["gone"].issues


def test_a_database_cut_off_is_refused() -> None:
    with pytest.raises(Unparsable):
        imported(Crush(), CRUSH.read_bytes()[:3000], "crush.db")


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    paths = sorted((samples / "opencode-go").rglob("*.db"))
    assert paths
    for path in paths:
        assert recognised(Crush(), path)
        result = imported(Crush(), path, companions=[path.with_name(path.name + "-wal")])
        assert sum(map(len, result.sessions.values())) == 66
        assert not result.source.account.rejected

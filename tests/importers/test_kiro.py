"""Kiro's logs, databases and chats."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.kiro import Kiro
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.bundles import Bundles
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles, text

PLACE = FORMATS / "kiro"
LOG = PLACE / ".kiro" / "sessions" / "cli" / "k-1.jsonl"
BASE = PLACE / ".local" / "share" / "kiro-cli" / "data.sqlite3"
SAVED = BASE.with_name("saved.json")
CHAT = next(PLACE.rglob("*.chat"))


def test_the_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "kiro.py"))["make"](tmp_path)
    again = tmp_path / BASE.relative_to(PLACE)
    assert imported(Kiro(), again, "x.sqlite3").sessions == imported(Kiro(), BASE, "x.sqlite3").sessions


def test_a_log_is_described_by_the_file_beside_it() -> None:
    result = imported(Kiro(), LOG, companions=[LOG.with_suffix(".json")])
    draft, messages = result.one()
    assert result.counts == (5, 4, 1, 0)
    assert draft.title == "Books" and draft.cwd == "/home/ann/shelf-app" and draft.x == {"mode": "x"}
    assert roles(messages) == ["user", "assistant", "tool", "system"]
    assert [message["id"] for message in messages] == ["p-1", "a-1", "m3", "m4"]
    assert messages[1]["parts"][1]["arguments"] == {"command": "wc"}
    assert messages[2]["parts"][0]["is_error"] is True and messages[2]["parts"][1]["type"] == "record"
    assert not any("time" in message for message in messages)


def test_the_description_belongs_to_the_log() -> None:
    several = Bundles(all_importers(), {})
    assert several.lead_of(str(LOG.with_suffix(".json"))) == str(LOG)
    assert [member.name for member in several.members(str(LOG))] == ["k-1.json"]
    assert several.lead_of(str(SAVED)) == str(SAVED)


def test_names_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    log = tmp_path / "k[1]*.jsonl"
    log.write_bytes(LOG.read_bytes())
    for name in ("k[1]*.json", "k1.json", "k1x.json"):
        (tmp_path / name).write_bytes(LOG.with_suffix(".json").read_bytes())
    several = Bundles(all_importers(), {})
    assert [member.name for member in several.members(str(log))] == ["k[1]*.json"]
    assert several.lead_of(str(tmp_path / "k1.json")) == str(tmp_path / "k1.json")


def test_a_database_has_a_session_for_each_row() -> None:
    result = imported(Kiro(), BASE)
    assert result.counts == (9, 6, 2, 1)
    assert list(result.drafts) == ["k-2", "k-2@/home/ann/lamp"]
    draft, messages = result.drafts["k-2"], result.sessions["k-2"]
    assert draft.created_at == "2026-02-02T02:40:00.000Z" and draft.project == "shelf-app"
    assert roles(messages) == ["user", "assistant", "tool", "assistant", "system"]
    asked, called, result_of, said, other = messages
    assert asked["time"] == "2026-02-02T02:40:00+01:00" and "env_context" in asked["x"]
    assert called["id"] == "a-1" and called["model"] == "large-1" and called["time"] == "2026-02-02T02:40:00.000Z"
    assert called["parts"] == [{"type": "tool_call", "id": "t1", "name": "shell", "arguments": {"x": 1}}]
    assert result_of["parts"][0]["response"] == [{"Text": "2"}] and text(said) == "Two."
    assert other["kind"] == "meta" and "Dance" in other["parts"][0]["record"]["user"]["content"]


def test_a_saved_conversation_is_the_same_as_its_row() -> None:
    draft, messages = imported(Kiro(), SAVED, companions={}).one()
    assert draft.native_id == "k-4" and draft.aliases == ["saved"]
    assert messages == imported(Kiro(), BASE).sessions["k-2"]


def test_a_chat_of_the_editor_is_read() -> None:
    result = imported(Kiro(), CHAT, companions={})
    draft, messages = result.one()
    assert result.counts == (7, 6, 1, 0)
    assert draft.native_id == "e-1" and draft.updated_at == "2026-02-02T02:41:00.000Z"
    assert roles(messages) == ["user", "assistant", "user", "tool", "assistant", "system"]
    assert messages[4]["model"] == "large-1" and messages[3]["parts"][0]["id"] == ""


@pytest.mark.parametrize(
    "turn", [None, 5, {}, {"user": 5}, {"user": {"content": {}}}, {"user": {"content": {"P": {}}}}]
)
def test_a_turn_that_is_none_is_kept(turn: Any) -> None:
    data = json.dumps({"conversation_id": "k", "history": [{"user": 1, "assistant": 2}] * 20 + [turn]}).encode()
    result = imported(Kiro(), data, "k.json", {})
    assert result.counts == (22, 1, 21, 0)


def test_a_document_cut_off_is_refused() -> None:
    for end in (0, 20, 200):
        with pytest.raises(Unparsable):
            imported(Kiro(), SAVED.read_bytes()[:end], "k.json", {})


@pytest.mark.parametrize("document", [{"conversation_id": "x", "history": 5}, {"executionId": 1, "chat": []}, {}])
def test_other_documents_are_not_recognised(document: Any) -> None:
    assert not recognised(Kiro(), json.dumps(document).encode())


@pytest.mark.samples
def test_samples(samples: Path) -> None:
    paths = sorted((samples / "kiro").rglob("*.json"))
    assert paths
    for path in paths:
        assert recognised(Kiro(), path)
        assert imported(Kiro(), path, companions={}).source.account.preserved == 0

"""mcp-cli: saved sessions of both layouts, JSON exports, and bare lists of messages."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft, Head, Message
from sessionstore.importers.mcp_cli import McpCli
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate import finding
from tests.importers.support import FORMATS, ROOT, imported, recognised, roles

FIXTURES = FORMATS / "mcp-cli"
SESSIONS = FIXTURES / "sessions"
USER = {"role": "user", "content": "Hello"}
IMPORTER = McpCli()


def session(*messages: Any, **metadata: Any) -> bytes:
    """A saved session."""
    stated = {
        "session_id": "chat-000000000000",
        "created_at": "2026-03-01T10:00:00+00:00",
        "updated_at": "2026-03-01T10:00:00.000400+00:00",
        "message_count": len(messages),
    }
    return json.dumps({"metadata": stated | metadata, "messages": messages, "token_usage": None}).encode()


def one(data: bytes | Path, name: str | None = None) -> tuple[Draft, list[Message]]:
    """The session of a file."""
    return imported(IMPORTER, data, name).one()


def test_fixtures_are_what_their_generator_writes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "scripts" / "make-fixtures.d" / "mcp-cli.py"))["make"](tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert made == {path.relative_to(FIXTURES): path.read_bytes() for path in FIXTURES.rglob("*.json")}


def test_a_session_without_an_agent() -> None:
    read = imported(IMPORTER, SESSIONS / "chat-0a1b2c3d4e5f.json")
    draft, messages = read.one()
    assert (draft.native_id, draft.aliases, read.counts) == ("chat-0a1b2c3d4e5f", [], (6, 6, 0, 0))
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant"]
    call = {"type": "tool_call", "id": "call_7Gq", "name": "read_sensor", "arguments": '{"bed": "herbs"}'}
    assert messages[2]["parts"] == [call]
    assert messages[3]["x"] == {"name": "read_sensor"}
    assert [part["type"] for part in messages[4]["parts"]] == ["reasoning", "text"]
    assert draft.title == "Is the herb bed dry? 🌿"
    assert draft.x["token_usage"]["total_tokens"] == 443
    assert not any({"usage", "model", "time"} & message.keys() for message in messages)


def test_the_beginning_of_a_session_is_lost_with_every_save() -> None:
    draft, _ = one(SESSIONS / "chat-0a1b2c3d4e5f.json")
    assert draft.created_at is None
    assert draft.updated_at == "2026-02-20T10:00:00.123999+00:00"
    assert draft.x["metadata"]["created_at"] == "2026-02-20T10:00:00.123456+00:00"
    assert list(draft.issues) == ["creation-time-is-of-saving"]
    draft, _ = one(session(USER, created_at="2026-02-01T10:00:00+00:00"), "chat-000000000000.json")
    assert (draft.created_at, list(draft.issues)) == ("2026-02-01T10:00:00+00:00", [])


def test_a_session_of_an_agent_with_pictures_and_sound() -> None:
    draft, messages = one(SESSIONS / "default" / "chat-5f4e3d2c1b0a.json")
    assert draft.x["metadata"]["agent_id"] == "default"
    assert [part["type"] for part in messages[1]["parts"]] == ["text", "blob", "blob"]
    assert messages[1]["parts"][2]["mime_type"] == "audio/wav"


def test_an_id_that_is_no_file_name() -> None:
    draft, _ = one(SESSIONS / "gardener" / "plan_beds.json")
    assert (draft.native_id, draft.aliases) == ("plan/beds", ["plan_beds"])
    assert "file-name-shared" in draft.issues


def test_a_full_window_is_reported() -> None:
    draft, messages = one(SESSIONS / "default" / "chat-aaaabbbbcccc.json")
    assert len(messages) == 201
    assert "window-truncated" in draft.issues
    assert IMPORTER.window == 200


def test_an_export_is_the_session_it_was_made_of() -> None:
    draft, messages = one(FIXTURES / "chat-chat-0a1b2c3d4e5f.json")
    saved, stored = one(SESSIONS / "chat-0a1b2c3d4e5f.json")
    assert (draft.native_id, messages) == (saved.native_id, stored)
    assert draft.aliases == ["chat-chat-0a1b2c3d4e5f"]
    assert not draft.issues
    assert draft.x["exported_at"] == "2026-03-01T18:31:07.000001+00:00"


def test_an_export_without_metadata_has_the_name_of_its_file() -> None:
    export = {"version": "1.0", "exported_at": "2026-03-01T18:31:07+00:00", "messages": [USER]}
    data = json.dumps(export).encode()
    assert recognised(IMPORTER, data, "talk.json")
    draft, _ = one(data, "talk.json")
    assert (draft.native_id, list(draft.issues)) == ("talk", ["id-missing"])


def test_a_bare_list_is_read_when_the_format_is_named_and_else_is_anybodys() -> None:
    data = json.dumps([USER, {"role": "assistant", "content": "Hi 🌍"}], indent=2, ensure_ascii=False).encode()
    head = Head("saved.json", data, True)
    assert not IMPORTER.recognise(head)
    assert finding.recognise(head, [IMPORTER]) is IMPORTER
    assert finding.recognise(head, all_importers().values()).source == "openai-messages"
    read = imported(IMPORTER, data, "saved.json")
    draft, messages = read.one()
    assert (draft.native_id, roles(messages), read.counts) == ("saved", ["user", "assistant"], (3, 3, 0, 0))


@pytest.mark.parametrize("value", [[], [5], [{"role": "ai", "content": "x"}], {}, {"messages": [USER]}])
def test_what_is_not_taken_even_when_the_format_is_named(value: Any) -> None:
    assert not IMPORTER.accepts(Head("x.json", json.dumps(value).encode(), True))


def test_other_programs_files_are_not_taken() -> None:
    kimi = {"session_id": "a", "messages": [USER], "metadata": {}, "created": "", "last_accessed": "", "topics": []}
    unified = {"id": "a", "version": "1.0", "models_used": [], "messages": [USER], "metadata": {"session_id": "x"}}
    hermes = {"session_id": "a", "model": "m", "platform": "cli", "messages": [USER]}
    for value in (kimi, unified, hermes, {"metadata": {"session_id": "x"}, "messages": [USER]}):
        assert not recognised(IMPORTER, json.dumps(value).encode(), "x.json")


def test_a_wrong_count_and_odd_messages_are_reported_and_kept() -> None:
    read = imported(IMPORTER, session(USER, 5, {"role": "x"}, message_count=9), "chat-000000000000.json")
    draft, messages = read.one()
    assert "message-count-differs" in draft.issues
    assert read.counts == (4, 2, 2, 0)
    assert [message.get("kind") for message in messages] == [None, "meta", "meta"]


def test_what_has_no_messages_or_no_name_is_refused() -> None:
    for data in (b"{}", b'{"messages": 5}', b"5", session(USER)[:40]):
        with pytest.raises(Unparsable):
            one(data, "x.json")
    with pytest.raises(Unparsable):
        one(b'[{"role":"user","content":"x"}]', "")


@pytest.mark.parametrize("created", [None, 5, "yesterday", "2026-03-01T10:00:00"])
def test_times_that_are_none_stay_in_the_metadata(created: Any) -> None:
    draft, _ = one(session(USER, created_at=created, updated_at=created), "chat-000000000000.json")
    assert draft.created_at is None and draft.updated_at is None
    assert draft.x["metadata"]["created_at"] == created

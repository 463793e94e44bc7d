"""The OpenAI Agents SDK's session databases."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.openai_agents import OpenAIAgents
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

PLAIN = FORMATS / "openai-agents" / "agents_session.db"
ADVANCED = FORMATS / "openai-agents" / "advanced.db"


def read(path: Path) -> Imported:
    """Read a database."""
    return imported(OpenAIAgents(), path)


def database(path: Path, *items: Any) -> Path:
    """A database of one session with items given as JSON values."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY, created_at, updated_at)")
        connection.execute("CREATE TABLE agent_messages (id INTEGER PRIMARY KEY, session_id, message_data, created_at)")
        connection.execute("INSERT INTO agent_sessions VALUES ('s', '2026-01-01 00:00:00', '2026-01-01 00:00:00')")
        for item in items:
            row = (json.dumps(item), "2026-01-01 00:00:00")
            connection.execute(
                "INSERT INTO agent_messages (session_id, message_data, created_at) VALUES ('s', ?, ?)", row
            )
    connection.close()
    return path


def test_databases_are_recognised_by_columns(tmp_path: Path) -> None:
    assert recognised(OpenAIAgents(), PLAIN) and recognised(OpenAIAgents(), ADVANCED)
    assert recognised(OpenAIAgents(), database(tmp_path / "a.db"))
    with sqlite3.connect(tmp_path / "b.db") as connection:
        connection.execute("CREATE TABLE agent_sessions (session_id, created_at, updated_at, title)")
        connection.execute("CREATE TABLE agent_messages (id, session_id, message)")
    connection.close()
    assert not recognised(OpenAIAgents(), tmp_path / "b.db")


def test_items_become_messages_in_the_order_of_their_rows() -> None:
    found = read(PLAIN)
    messages = found.sessions["ada"]
    assert roles(messages) == ["system", "user", "assistant", "assistant", "tool", "assistant", "user"]
    assert [message["id"] for message in messages] == ["1", "2", "3", "4", "5", "7", "11"]
    assert messages[0]["x"] == {"role": "developer"}
    assert [part["type"] for part in messages[1]["parts"]] == ["text", "blob", "uri", "input_file"]
    assert messages[2]["parts"] == [{"type": "reasoning", "content": "Sixes\nand sevens", "signature": "b3BhcXVl"}]
    assert messages[3]["parts"][0]["arguments"] == '{"a":6,"b":7}'
    assert messages[4]["parts"] == [{"type": "tool_call_response", "id": "call_1", "response": "42"}]
    assert text(messages[5]) == "42" and messages[5]["x"]["id"] == "msg_1"
    assert messages[6]["time"] == "2026-03-01T10:11:00Z"
    assert not found.drafts["ada"].issues


def test_sessions_have_the_times_of_their_rows() -> None:
    drafts = read(PLAIN).drafts
    assert (drafts["ada"].created_at, drafts["ada"].updated_at) == ("2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z")
    assert drafts["empty"].created_at is None and drafts["empty"].x == {"created_at": "x"}


def test_what_cannot_be_read_is_kept_and_said() -> None:
    found = read(PLAIN)
    assert [message["kind"] for message in found.sessions["bob"]] == ["meta"] * 3
    codes = {code: count for code, (count, _) in found.drafts["bob"].issues.items()}
    assert codes == {"session-row-missing": 1, "encrypted-items": 1, "item-unreadable": 2}
    assert found.counts == (14, 11, 3, 0)


def test_tables_of_other_names_are_read_and_their_sessions_told_apart() -> None:
    found = read(PLAIN)
    assert text(found.sessions["my_messages/ada"][0]) == "elsewhere"


def test_branches_fork_where_they_were_made_and_every_turn_is_billed_once() -> None:
    found = read(ADVANCED)
    _, messages = found.one()
    assert [(message["id"], message["parent"]) for message in messages if "parent" in message] == [("5", "2")]
    assert [message.get("usage", {}).get("input_tokens") for message in messages] == [None, 10, None, 20, None, 30]
    assert messages[1]["usage"]["cache_read_tokens"] == 4 and messages[1]["usage"]["reasoning_tokens"] == 2
    assert [reason for _, reason in found.source.account.rejected] == ["the usage of a turn that is gone"]


@pytest.mark.parametrize("value", [None, 5, "x", "text", [], {}, [None], [{"type": "text"}], {"a": []}, True])
def test_a_value_of_any_type_anywhere_is_survived(value: Any, tmp_path: Path) -> None:
    items: list[Any] = [value, {"type": value}, {"role": value, "content": value}, {"role": "user", "content": value}]
    items += [{"role": "user", "content": [value, {"type": value}, {"type": "input_image", "image_url": value}]}]
    items += [{"role": "user", "content": [{"type": "input_text", "text": value, "content": value}]}]
    for kind in ("function_call", "function_call_output", "reasoning", "computer_call", "text", "blob", "x_output"):
        items += [{"type": kind, "call_id": value, "name": value, "output": value, "role": value}]
        items += [{"type": kind, "name": "x", "summary": value, "content": value, "encrypted_content": value}]
    assert read(database(tmp_path / "a.db", *items)).counts[0] == len(items) + 1


def test_a_database_cut_off_is_refused() -> None:
    with pytest.raises(Unparsable):
        imported(OpenAIAgents(), PLAIN.read_bytes()[:9000], companions={})


@pytest.mark.samples
def test_the_sample_is_read_wholly(samples: Path) -> None:
    for path in sorted((samples / "openai-agents-sqlite").rglob("*.db")):
        assert recognised(OpenAIAgents(), path)
        found = read(path)
        assert found.counts == (8, 8, 0, 0)
        assert roles(found.sessions["user-42"]) == ["user", "assistant", "assistant", "tool", "assistant"]

"""LangChain's `SQLChatMessageHistory`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.langchain_sql import LangChainSql
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURE = FORMATS / "langchain-sql" / "chat_history.db"


def read(path: Path) -> Imported:
    """Read a database."""
    return imported(LangChainSql(), path)


def database(path: Path, *messages: Any, table: str = "message_store") -> Path:
    """A database of one session with messages given as JSON values."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)")
        for message in messages:
            connection.execute(f"INSERT INTO {table} (session_id, message) VALUES ('s', ?)", (json.dumps(message),))
    connection.close()
    return path


def test_the_table_is_recognised_by_its_columns_and_under_another_name_by_its_messages(tmp_path: Path) -> None:
    human = {"type": "human", "data": {"content": "hi"}}
    assert recognised(LangChainSql(), FIXTURE)
    assert recognised(LangChainSql(), database(tmp_path / "a.db"))
    assert recognised(LangChainSql(), database(tmp_path / "b.db", human, table="chats"))
    assert not recognised(LangChainSql(), database(tmp_path / "c.db", {"text": "hi"}, table="chats"))


def test_sessions_that_take_turns_are_told_apart() -> None:
    found = read(FIXTURE)
    assert [message["id"] for message in found.sessions["ada"]] == ["1", "2", "4", "6", "8"]
    assert roles(found.sessions["ada"]) == ["system", "user", "assistant", "tool", "assistant"]
    assert found.drafts["ada"].title == "What is on this? ☃"
    assert len(found.sessions["without-session-id"]) == 1
    assert found.counts == (13, 10, 3, 0)
    assert not any("time" in message for messages in found.sessions.values() for message in messages)


def test_an_answer_has_its_thought_its_call_once_its_model_and_its_bill() -> None:
    answer = read(FIXTURE).sessions["ada"][2]
    assert answer["parts"] == [
        {"type": "reasoning", "content": "Sixes and sevens.", "signature": "c2ln"},
        {"type": "text", "content": "Let me see."},
        {"type": "tool_call", "id": "call_1", "name": "multiply", "arguments": {"a": 6, "b": 7}},
    ]
    assert (answer["model"], answer["finish_reason"]) == ("gpt-4o-mini", "tool_calls")
    assert answer["usage"] == {
        "input_tokens": 120,
        "output_tokens": 8,
        "cache_read_tokens": 100,
        "cache_write_tokens": 5,
        "reasoning_tokens": 3,
    }
    assert answer["x"]["id"] == "run-1"


def test_results_keep_their_error_and_what_the_tool_made() -> None:
    result = read(FIXTURE).sessions["ada"][3]
    assert result["parts"] == [{"type": "tool_call_response", "id": "call_1", "response": "42", "is_error": True}]
    assert result["x"]["artifact"] == {"raw": 42}


def test_calls_of_the_first_versions_come_from_the_providers_own_form() -> None:
    call = read(FIXTURE).sessions["bob"][1]["parts"]
    assert call == [{"type": "tool_call", "id": "", "name": "search", "arguments": '{"q": "birds"}'}]


def test_what_is_no_message_is_kept() -> None:
    messages = read(FIXTURE).sessions["bob"]
    assert [message.get("kind") for message in messages] == [None, None, None, "meta", None, "meta", "meta"]
    assert text(messages[4]) == "Said by a user"
    assert messages[6]["parts"][0]["record"]["message"] == "not json"


def test_two_tables_with_one_session_id_are_two_sessions(tmp_path: Path) -> None:
    human = {"type": "human", "data": {"content": "hi"}}
    path = database(database(tmp_path / "a.db", human), human, table="other")
    assert list(read(path).sessions) == ["s", "other/s"]


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [None], [{"type": "text"}], {"a": {"b": []}}, [[]], True])
def test_a_value_of_any_type_anywhere_is_survived(value: Any, tmp_path: Path) -> None:
    data = dict.fromkeys(("content", "tool_calls", "usage_metadata", "response_metadata", "tool_call_id"), value)
    messages: list[Any] = [value, {"type": value, "data": {}}, {"type": "human", "data": value}]
    for kind in ("human", "ai", "tool", "chat", "remove"):
        messages.append({"type": kind, "data": data | {"additional_kwargs": value, "role": value}})
        messages += ({"type": kind, "data": {"content": "x", name: value}} for name in data if name != "content")
        nested = {"content": [value], "tool_calls": [value], "additional_kwargs": {"tool_calls": [value]}}
        messages += ({"type": kind, "data": {"content": "", name: given}} for name, given in nested.items())
    assert read(database(tmp_path / "a.db", *messages)).counts[0] == len(messages)


def test_a_database_cut_off_is_refused() -> None:
    for size in (50, 4000, 5000, 8000):
        with pytest.raises(Unparsable):
            imported(LangChainSql(), FIXTURE.read_bytes()[:size], companions={})


@pytest.mark.samples
def test_the_sample_is_read_wholly(samples: Path) -> None:
    for path in sorted((samples / "langchain-sql").rglob("*.db")):
        assert recognised(LangChainSql(), path)
        found = read(path)
        assert found.counts == (5, 5, 0, 0)
        assert roles(found.one()[1]) == ["system", "user", "assistant", "tool", "assistant"]

"""LangSwarm: both database layouts, which share one file name, and dumps of its document stores."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Machine
from sessionstore.importers.langswarm import LangSwarm
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURES = FORMATS / "langswarm"
VERSION_1 = FIXTURES / "version-1" / "langswarm_sessions.db"
VERSION_2 = FIXTURES / "version-2" / "langswarm_sessions.db"
BOTH = FIXTURES / "version-1-used-by-version-2" / "langswarm_sessions.db"
DOCUMENTS = FIXTURES / "documents" / "documents.json"
EVENTS = FIXTURES / "documents" / "session_events.jsonl"


def changed(source: Path, target: Path, *statements: str) -> Path:
    """A copy of a database after some statements."""
    path = target / "copy.db"
    path.write_bytes(source.read_bytes())
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def read(data: bytes | Path) -> Imported:
    """Read a source."""
    return imported(LangSwarm(), data, companions={})


def issues(found: Imported, name: str) -> dict[str, int]:
    """How often each issue of a session was reported."""
    return {code: count for code, (count, _) in found.drafts[name].issues.items()}


def lines(*records: Any) -> bytes:
    """Records, one a line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_places_are_the_working_directory_and_the_production_preset() -> None:
    machine = Machine(home=Path("/home/ada"), cwd=Path("/home/ada/project"))
    roots = [place.root for place in LangSwarm().places(machine)]
    assert roots[0] == Path("/home/ada/project/langswarm_sessions.db")
    assert Path("/var/lib/langswarm") in roots


@pytest.mark.parametrize("path", [VERSION_1, VERSION_2, BOTH, DOCUMENTS, DOCUMENTS.with_suffix(".jsonl"), EVENTS])
def test_every_layout_is_recognised(path: Path) -> None:
    assert recognised(LangSwarm(), path)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE sessions (session_id, user_id)",
        "CREATE TABLE sessions (session_id, user_id, provider, model)",
        "CREATE TABLE sessions (id TEXT, parent_session_id TEXT, history TEXT, context_data TEXT)",
        "CREATE TABLE session_messages (id, session_id, role, content)",
    ],
)
def test_other_databases_with_sessions_are_not(script: str, tmp_path: Path) -> None:
    path = tmp_path / "langswarm_sessions.db"
    with sqlite3.connect(path) as connection:
        connection.execute(script)
    connection.close()
    assert not recognised(LangSwarm(), path)


@pytest.mark.parametrize(
    "data",
    [
        b'[{"key": "session:1", "text": 5}]',
        b'{"key": "user:1", "text": "x", "metadata": {"type": "session"}}\n',
        b'{"event_id": 1, "event_type": "x"}\n',
        b'[{"role": "user", "content": "\\"session_data\\" \\"event_type\\""}]',
        b"[1, 2",
        b"",
    ],
)
def test_other_json_is_not(data: bytes) -> None:
    assert not recognised(LangSwarm(), data, "documents.json")


def test_version_1_gives_every_message_with_its_tools_and_its_local_time() -> None:
    found = read(VERSION_1)
    messages = found.sessions["session_9e7c059d"]
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert [message["id"] for message in messages] == [f"msg_{number:08x}" for number in range(1, 7)]
    assert messages[2]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}'},
    ]
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "4 degrees, rain"}]
    assert messages[4]["x"]["provider_message_id"] == "chatcmpl-1"
    assert messages[4]["x"]["metadata"] == {"latency": 0.7}
    assert messages[5]["x"]["role"] == "function"
    assert messages[0]["x"] == {"time": {"raw": "2025-07-08T10:01:00.914340", "precision": "us", "zone": "unknown"}}
    assert not any("time" in message for message in messages)
    assert {message.get("model") for message in messages if message["role"] == "assistant"} == {"gpt-4o"}
    assert found.counts == (11, 11, 0, 0)


def test_version_1_keeps_what_the_session_says_and_takes_words_for_no_tokens() -> None:
    draft = read(VERSION_1).drafts["session_9e7c059d"]
    assert draft.title == "What is the weather in Oslo? ☃"
    assert draft.created_at is None and draft.x["created_at"]["zone"] == "unknown"
    assert draft.x["tags"] == ["travel"] and draft.x["custom_metadata"] == {"team": "blue"}
    assert draft.x["history"] == {"total_tokens": 21}
    assert not any("usage" in message for message in read(VERSION_1).sessions["session_9e7c059d"])


def test_where_columns_and_json_differ_the_json_counts_but_the_row_names_the_session() -> None:
    found = read(VERSION_1)
    draft = found.drafts["session_0000beef"]
    assert draft.aliases == ["session_0000dead"]
    assert draft.x["model"] == "gpt-4o" and draft.x["columns"] == {"model": "gpt-4o-mini", "status": "archived"}
    assert issues(found, "session_0000beef") == {
        "session-id-contradiction": 1,
        "columns-contradict-json": 1,
        "message-count-differs": 1,
        "window-truncated": 1,
    }
    assert draft.x["history"]["summary"] == "They spoke of the weather."


def test_a_session_without_messages_is_a_session() -> None:
    assert read(VERSION_1).sessions["session_00000000"] == []


def test_a_version_1_file_that_version_2_has_used_says_so() -> None:
    found = read(BOTH)
    assert list(found.sessions) == ["session_9e7c059d"]
    assert issues(found, "session_9e7c059d")["version-2-could-not-save"] == 1
    assert len(found.sessions["session_9e7c059d"]) == 6


def test_rows_that_version_2_left_in_a_version_1_file_go_to_their_session(tmp_path: Path) -> None:
    row = (
        "INSERT INTO session_messages VALUES ({}, '{}', 'msg_00000002', 'user', 'late', '2026', NULL, NULL, NULL, NULL)"
    )
    path = changed(BOTH, tmp_path, row.format(1, "session_9e7c059d"), row.format(2, "session_gone"))
    found = read(path)
    assert text(found.sessions["session_9e7c059d"][-1]) == "late"
    assert found.sessions["session_9e7c059d"][-1]["id"] == "msg_00000002~2"
    assert issues(found, "session_9e7c059d")["message-id-repeated"] == 1
    assert issues(found, "session_gone") == {"session-row-missing": 1}


def test_version_2_follows_the_row_numbers_and_not_the_times() -> None:
    messages = read(VERSION_2).sessions["session_ada_0a1b2c3d"]
    assert [message["id"][-1] for message in messages] == ["1", "2", "3", "4", "5", "7"]
    assert messages[-1]["x"]["time"]["raw"] < messages[0]["x"]["time"]["raw"]
    assert not any("time" in message for message in messages)


def test_version_2_takes_tools_out_of_metadata_where_an_application_has_put_them() -> None:
    messages = read(VERSION_2).sessions["session_ada_0a1b2c3d"]
    assert messages[2]["parts"][0]["name"] == "weather"
    assert messages[2]["x"]["metadata"] == {"trace": "t-1"}
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "4 degrees"}]
    assert messages[4]["finish_reason"] == "stop"
    assert messages[4]["x"]["token_count"] == 12 and "usage" not in messages[4]


def test_version_2_believes_only_the_time_of_the_last_save() -> None:
    found = read(VERSION_2)
    draft = found.drafts["session_ada_0a1b2c3d"]
    assert (draft.created_at, draft.updated_at) == (None, "2025-10-03T12:09:00Z")
    assert draft.x["saved_at"]["raw"] == "2025-10-03 12:09:00"
    assert draft.x["metrics"]["total_tokens"] == 43
    odd = found.drafts["session_ada_00000000"]
    assert odd.updated_at is None and odd.x["updated_at"] == "soon"
    assert odd.x["context_data"] == "not json" and "context-unreadable" in odd.issues


def test_version_2_says_what_it_contradicts_and_what_it_may_have_cut_off() -> None:
    found = read(VERSION_2)
    draft = found.drafts["session_ada_77777777"]
    assert draft.aliases == ["session_other"]
    assert draft.x["model"] == "gpt-4.1" and draft.x["columns"] == {"model": "gpt-4o"}
    assert found.sessions["session_ada_77777777"][1]["model"] == "gpt-4.1"
    codes = {"session-id-contradiction": 1, "columns-contradict-json": 1, "window-truncated": 1}
    assert issues(found, "session_ada_77777777") == codes


def test_messages_and_metrics_of_deleted_sessions_are_recovered() -> None:
    found = read(VERSION_2)
    assert roles(found.sessions["session_ada_deadbeef"]) == ["user", "assistant"]
    assert issues(found, "session_ada_deadbeef") == {"session-row-missing": 1}
    assert found.sessions["session_ada_gone"] == []
    assert found.drafts["session_ada_gone"].x["metrics"]["message_count"] == 2
    assert found.counts == (15, 15, 0, 0)


def test_values_of_any_type_are_survived(tmp_path: Path) -> None:
    path = changed(
        VERSION_2,
        tmp_path,
        "UPDATE session_messages SET role = X'00FF' WHERE id = 1",
        "UPDATE session_messages SET role = 'narrator' WHERE id = 2",
        "UPDATE session_messages SET content = X'41', metadata = '[[1]]' WHERE id = 3",
        "UPDATE session_messages SET message_id = 7, timestamp = 5 WHERE id = 4",
        "UPDATE session_messages SET session_id = X'01' WHERE id = 5",
        "UPDATE session_messages SET session_id = '' WHERE id = 7",
        "UPDATE sessions SET session_id = NULL WHERE session_id = 'session_ada_00000000'",
        "UPDATE session_metrics SET session_id = NULL WHERE session_id = 'session_ada_gone'",
    )
    found = read(path)
    assert len(found.sessions["without-session-id"]) == 2
    assert [reason for _, reason in found.source.account.rejected] == [
        "a session without an id",
        "metrics of no session",
    ]
    assert [message.get("kind") for message in found.sessions["session_ada_0a1b2c3d"]] == ["meta", "meta", "meta", None]
    assert found.sessions["session_ada_0a1b2c3d"][3]["x"] == {"timestamp": 5}


@pytest.mark.parametrize("history", ["", "[", "[]", "5", '{"messages": 5}', '{"messages": [5, null, {}]}'])
def test_a_history_of_any_shape_is_kept(history: str, tmp_path: Path) -> None:
    path = changed(VERSION_1, tmp_path, f"UPDATE sessions SET history = '{history}', metadata = 'x'")
    found = read(path)
    assert {"history-unreadable", "messages-missing"} & set(issues(found, "session_9e7c059d")) or "null" in history
    assert "metadata-unreadable" in issues(found, "session_9e7c059d")
    assert found.drafts["session_9e7c059d"].x["user_id"] == "ada"


def test_a_database_cut_off_is_refused() -> None:
    data = VERSION_2.read_bytes()
    for size in (20, 100, 5000, len(data) // 2, len(data) - 4096, len(data) - 1):
        with pytest.raises(Unparsable):
            read(data[:size])


@pytest.mark.parametrize("path", [DOCUMENTS, DOCUMENTS.with_suffix(".jsonl")])
def test_documents_give_whole_sessions_and_only_what_these_lack_from_the_search_documents(path: Path) -> None:
    found = read(path)
    messages = found.sessions["session_9e7c059d"]
    assert roles(messages) == ["system", "user", "assistant", "tool", "assistant", "tool", "user", "assistant"]
    assert [text(message) for message in messages[6:]] == ["Was I trimmed?", "Yes, from the session."]
    assert issues(found, "session_9e7c059d")["message-only-in-search-document"] == 2
    assert messages[6]["x"]["document"]["key"] == "conversation:msg_00000050_msg_00000051"
    assert found.counts == (12, 11, 1, 0)


def test_a_session_without_its_document_is_made_of_the_search_documents() -> None:
    found = read(DOCUMENTS)
    messages = found.sessions["session_1234abcd"]
    assert [message["id"] for message in messages] == ["msg_00000001", "msg_00000002", "msg_00000003"]
    assert issues(found, "session_1234abcd") == {"session-document-missing": 1}
    broken = found.sessions["session_broken00"]
    assert broken[0]["kind"] == "meta" and broken[0]["parts"][0]["record"]["key"] == "session:session_broken00"


def test_of_events_the_latest_state_counts_wherever_it_stands() -> None:
    found = read(EVENTS)
    draft, messages = found.one()
    assert len(messages) == 7 and messages[6]["kind"] == "meta"
    assert draft.x["event"]["event_id"] == "e3"
    assert draft.issues["older-states"][0] == 2
    assert found.counts == (10, 9, 1, 0)


def test_events_of_any_shape_are_accounted_for() -> None:
    event = {"event_id": 1, "event_type": "x", "session_id": "s", "session_data": {"history": {"messages": []}}}
    found = read(lines(event, event | {"session_id": 5}, event | {"session_data": [1]}, {"key": "x"}, event))
    assert found.counts == (5, 2, 1, 2)
    assert issues(found, "s") == {"older-states": 1}


def test_a_dump_cut_off_is_read_up_to_there_or_refused() -> None:
    data = DOCUMENTS.with_suffix(".jsonl").read_bytes()
    for size in range(0, len(data), 97):
        try:
            read(data[:size])
        except Unparsable:
            assert size < 97
    with pytest.raises(Unparsable):
        read(DOCUMENTS.read_bytes()[:2000])

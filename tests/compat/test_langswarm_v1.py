"""LangSwarm's version 1 names on this store: signatures, round trips, what is taken over, what is not reproduced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionManager, Store, errors, notes
from sessionstore.adapters.base import Settings
from sessionstore.compat import langswarm_v1 as v1
from sessionstore.compat._langswarm_shelf import shelf_of
from sessionstore.compat.langswarm_v1 import (
    ConversationHistory,
    ConversationMessage,
    LangSwarmSession,
    LangSwarmSessionManager,
    MessageRole,
    SessionControl,
    SessionStatus,
    SQLiteSessionStorage,
)
from tests.adapters.conftest import server as server
from tests.adapters.server import Server, document
from tests.compat.langswarm_signatures import VERSION_1
from tests.compat.signatures import differences
from tests.importers.support import FORMATS

DATABASES = FORMATS / "langswarm"
PROGRAMS = Path(__file__).parent / "programs"
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of one's own, without keys, and nothing remembered from the test before."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSIONSTORE_DIR", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sessionstore.compat._langswarm_storage._default", None)
    monkeypatch.setattr("sessionstore.compat._langswarm_manager._default", None)
    return tmp_path


def completion(text: str, **more: Any) -> Any:
    """What OpenAI answers."""
    usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return document({**head, "choices": [choice], "usage": usage, **more})


def talk(storage: v1.SessionStorage, **more: Any) -> LangSwarmSession:
    """A session with everything in it, saved."""
    session = LangSwarmSession("ada", provider="openai", model="gpt-4o", **more)
    session.add_message("Be brief.", MessageRole.SYSTEM)
    session.add_message("Weather in Oslo? \N{SNOWMAN}", MessageRole.USER, metadata={"nested": {"a": [1, None]}})
    session.add_message("", MessageRole.ASSISTANT, tool_calls=[CALL], provider_message_id="chatcmpl-1")
    session.add_message("4 degrees", MessageRole.TOOL, tool_call_id="c1")
    session.add_message("Four.", MessageRole.ASSISTANT)
    session.add_message("r", MessageRole.FUNCTION)
    assert storage.save_session(session) is True
    return session


def stored(path: str, session_id: str) -> dict[str, Any]:
    """The head of a session as the store has it."""
    kept = shelf_of(path).load(session_id)
    assert kept is not None
    return dict(kept.revision)


# -- what is declared -------------------------------------------------------------------------------------------------


def test_everything_is_declared_as_in_langswarm() -> None:
    assert differences(VERSION_1, v1) == []
    assert len(VERSION_1.splitlines()) > 90


def test_the_comparison_of_signatures_can_fail() -> None:
    wrong = VERSION_1.replace("limit: int=100", "limit: int=50").replace("'hybrid'", "'mixed'")
    assert len(differences(wrong, v1)) >= 4


def test_all_names_of_the_package_are_there() -> None:
    assert all(hasattr(v1, name) for name in v1.__all__)
    from sessionstore.compat import langswarm

    with pytest.raises(AttributeError, match="langswarm_v1"):
        langswarm.LangSwarmSession  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute"):
        langswarm.Nothing  # noqa: B018


def test_sessions_go_to_dictionaries_and_back() -> None:
    session = talk(v1.InMemorySessionStorage(), tags=["a"], custom_metadata={"b": 1}, context_limit=9)
    plain = json.loads(json.dumps(session.to_dict()))
    assert LangSwarmSession.from_dict(plain).to_dict() == plain
    assert list(plain["metadata"]) == METADATA.split() and list(plain["history"]["messages"][0])[-1] == (
        "provider_message_id"
    )
    assert plain["history"]["messages"][2]["tool_calls"] == [CALL]
    assert plain["metadata"]["tags"] == ["a"]


METADATA = """user_id session_id provider model created_at updated_at status session_control provider_thread_id
provider_conversation_id provider_agent_id context_limit auto_truncate summarization_enabled message_count total_tokens
last_activity tags custom_metadata"""


def test_messages_for_a_request_name_calls() -> None:
    told = talk(v1.InMemorySessionStorage()).get_messages_for_api()
    assert told[2] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert told[3] == {"role": "tool", "content": "4 degrees", "tool_call_id": "c1"}


def test_history_since_and_recent() -> None:
    session = talk(v1.InMemorySessionStorage())
    assert [one.content for one in session.get_messages(2)] == ["Four.", "r"]
    since = session.history.messages[3].timestamp
    assert [one.content for one in session.history.get_messages_since(since)] == ["Four.", "r"]
    assert len(session.history.get_recent_messages()) == 6


# -- the storage ------------------------------------------------------------------------------------------------------


def test_a_session_comes_back_as_it_was_also_in_another_process(place: Path) -> None:
    session = talk(SQLiteSessionStorage("chat.db"), tags=["travel"], custom_metadata={"n": {"x": 1.5}})
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and loaded.to_dict() == session.to_dict()
    code = (
        "import json, sys; from sessionstore.compat.langswarm_v1 import *;"
        "print(json.dumps(SQLiteSessionStorage('chat.db').load_session(sys.argv[1]).to_dict()))"
    )
    ran = subprocess.run([sys.executable, "-c", code, session.session_id], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == session.to_dict()
    assert not (place / "chat.db").exists() and (place / "chat.db.sessionstore" / "STORE.json").exists()


def test_what_a_program_writes_is_an_ordinary_session(place: Path) -> None:
    session = talk(SQLiteSessionStorage("chat.db"))
    with SessionManager("chat.db.sessionstore") as manager:
        found = manager.get(session.session_id)
        assert found.title == "Weather in Oslo? \N{SNOWMAN}" and found.model == "gpt-4o"
        kinds = [(one["role"], one["parts"][0]["type"]) for one in found.history()]
        assert kinds[2:4] == [("assistant", "tool_call"), ("tool", "tool_call_response")]
        assert manager.search("degrees")[0]["key"] == found.key
        assert found.key.startswith("langswarm:")
        found.add_user("And tomorrow?")
    again = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert again is not None and again.get_messages()[-1].content == "And tomorrow?"


def test_a_save_appends_and_makes_no_history_of_its_own() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    for number in range(5):
        session.add_message(f"turn {number}", MessageRole.USER)
        storage.save_session(session)
    head = stored("chat.db", session.session_id)
    assert head["counts"]["messages"] == 11 and "parents" not in head


def test_a_changed_message_is_changed_and_stays_in_history() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    session.history.messages[1].content = "Weather in Bergen?"
    session.history.messages[1].metadata["nested"]["a"].append(2)
    storage.save_session(session)
    loaded = storage.load_session(session.session_id)
    assert loaded is not None and loaded.to_dict()["history"]["messages"] == session.to_dict()["history"]["messages"]
    head = stored("chat.db", session.session_id)
    assert len(head["parents"]) == 1 and head["counts"]["messages"] == 6


def test_a_nested_change_is_noticed() -> None:
    storage = SQLiteSessionStorage("chat.db")
    name = talk(storage).session_id
    session = storage.load_session(name)
    assert session is not None
    storage.save_session(session)
    session.history.messages[1].metadata["nested"]["a"].append("new")
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(name)
    assert loaded is not None and loaded.history.messages[1].metadata == {"nested": {"a": [1, None, "new"]}}


def test_what_cannot_be_told_in_the_unified_form_comes_back_all_the_same() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = LangSwarmSession("ada")
    session.add_message("   ", MessageRole.USER)
    session.add_message("x", MessageRole.ASSISTANT, tool_calls=[{"odd": 1}], tool_call_id="both")
    aware = ConversationMessage("", MessageRole.USER, "who?", datetime(2020, 1, 1, 12, tzinfo=UTC))
    session.history.add_message(aware)
    session.history.add_message(ConversationMessage("same", MessageRole.USER, "1"))
    session.history.add_message(ConversationMessage("same", MessageRole.USER, "2"))
    storage.save_session(session)
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None
    assert loaded.to_dict()["history"]["messages"] == session.to_dict()["history"]["messages"]
    assert "parents" not in stored("chat.db", session.session_id)


def test_hostile_content_is_kept_as_text() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = LangSwarmSession("ada", session_id="../../etc/passwd'; DROP TABLE sessions;--#@")
    session.add_message("lone \ud83d surrogate, NUL \x00", MessageRole.USER, metadata={"nan": float("nan")})
    storage.save_session(session)
    loaded = storage.load_session(session.session_id)
    assert loaded is not None and loaded.history.messages[0].content.startswith("lone \ufffd surrogate")
    assert [one.session_id for one in storage.list_sessions()] == [session.session_id]
    for name in ("", "a\0b"):
        with pytest.raises(errors.UsageError, match="cannot be a session's id"):
            storage.save_session(LangSwarmSession("ada", session_id=name))


def test_filters_count_before_the_limit_and_the_latest_comes_first() -> None:
    storage = SQLiteSessionStorage("chat.db")
    made = [LangSwarmSession("ada" if number % 2 else "bob") for number in range(6)]
    for age, session in enumerate(made):
        session.metadata.updated_at = datetime.now() - timedelta(hours=age)
        storage.save_session(session)
    found = storage.list_sessions(user_id="bob", limit=2)
    assert [one.session_id for one in found] == [made[0].session_id, made[2].session_id]
    made[5].archive()
    storage.save_session(made[5])
    archived = storage.list_sessions(status=SessionStatus.ARCHIVED, limit=1)
    assert [one.session_id for one in archived] == [made[5].session_id]
    assert len(storage.list_sessions(status=SessionStatus.ACTIVE)) == 5


@pytest.mark.parametrize("status", list(SessionStatus))
def test_every_status_is_kept(status: SessionStatus) -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    assert storage.update_session_metadata(session.session_id, {"status": status, "unknown": 1})
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and loaded.metadata.status == status
    assert [one.status for one in storage.list_sessions()] == [status]
    loaded.reactivate()
    loaded.add_message("back", MessageRole.USER)
    storage.save_session(loaded)
    assert storage.list_sessions(status=SessionStatus.ACTIVE)[0].message_count == 7


def test_people_and_programs_agree_on_what_is_archived() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    manager = shelf_of("chat.db").manager
    manager.archive(session.session_id)
    loaded = storage.load_session(session.session_id)
    assert loaded is not None and loaded.metadata.status == SessionStatus.ARCHIVED
    manager.retrieve(session.session_id)
    assert storage.list_sessions()[0].status == SessionStatus.ACTIVE


def test_tags_of_people_stay() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage, tags=["travel"])
    key = shelf_of("chat.db").key(session.session_id)[0]
    store = shelf_of("chat.db").manager.store
    notes.set_note(store, key, "tags", ["travel", "mine"])
    session.metadata.tags = ["winter"]
    storage.save_session(session)
    assert notes.notes_of(store, key)["tags"] == ["mine", "winter"]


def test_provider_ids_are_kept() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage, provider_thread_id="thread_1")
    session.metadata.provider_agent_id, session.metadata.provider_conversation_id = "agent_1", "conv_1"
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and loaded.metadata.provider_thread_id == "thread_1"
    assert (loaded.metadata.provider_agent_id, loaded.metadata.provider_conversation_id) == ("agent_1", "conv_1")
    assert loaded.history.messages[2].provider_message_id == "chatcmpl-1"
    loaded.metadata.provider_thread_id = None
    storage.save_session(loaded)
    assert storage.list_sessions()[0].provider_thread_id is None


def test_deleting_leaves_a_tombstone_and_the_id_may_be_used_again() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage, session_id="support")
    key = shelf_of("chat.db").key("support")[0]
    assert storage.delete_session("support") and not storage.delete_session("support")
    assert storage.load_session("support") is None and storage.list_sessions() == []
    assert notes.is_purged(shelf_of("chat.db").manager.store, key)
    assert not any(
        b"Weather in Oslo" in path.read_bytes() for path in Path("chat.db.sessionstore/sessions").rglob("*.json")
    )
    again = LangSwarmSession("ada", session_id="support")
    again.add_message("anew", MessageRole.USER)
    storage.save_session(again)
    loaded = SQLiteSessionStorage("chat.db").load_session("support")
    assert loaded is not None and [one.content for one in loaded.history.messages] == ["anew"]
    assert session.message_count == 6


def test_clean_up_puts_away_and_deletes_nothing() -> None:
    storage = SQLiteSessionStorage("chat.db")
    old, new = talk(storage), talk(storage)
    storage.update_session_metadata(old.session_id, {"updated_at": datetime.now() - timedelta(days=31)})
    assert storage.cleanup_expired_sessions(max_age_days=30) == 1
    assert storage.load_session(old.session_id) is None
    assert [one.session_id for one in storage.list_sessions()] == [new.session_id]
    assert storage.cleanup_expired_sessions() == 0
    manager = shelf_of("chat.db").manager
    assert manager.state(old.session_id) == "expired" and manager.get(old.session_id).count == 6
    manager.retrieve(old.session_id)
    back = storage.load_session(old.session_id)
    assert back is not None and back.message_count == 6


def test_two_programs_that_write_one_session_lose_nothing() -> None:
    one, other = SQLiteSessionStorage("chat.db"), SQLiteSessionStorage("chat.db")
    mine = talk(one)
    theirs = other.load_session(mine.session_id)
    assert theirs is not None
    theirs.add_message("theirs", MessageRole.USER)
    other.save_session(theirs)
    mine.add_message("mine", MessageRole.USER)
    one.save_session(mine)
    assert [message.content for message in mine.history.messages[-2:]] == ["theirs", "mine"]
    loaded = other.load_session(mine.session_id)
    assert loaded is not None and loaded.message_count == 8
    one.refresh(theirs)
    assert [message.content for message in theirs.history.messages[-2:]] == ["theirs", "mine"]
    assert "parents" not in stored("chat.db", mine.session_id)


def test_databases_of_one_directory_are_apart() -> None:
    talk(SQLiteSessionStorage("a.db"), session_id="same")
    assert SQLiteSessionStorage("b.db").list_sessions() == []
    assert SQLiteSessionStorage("b.db").load_session("same") is None


def test_without_a_path_the_common_store_is_used_and_directories_are_apart(place: Path) -> None:
    talk(SQLiteSessionStorage(), session_id="same")
    assert len(Store(place / "store").revision_names()) == 1
    (place / "other").mkdir()
    os.chdir(place / "other")
    assert SQLiteSessionStorage().list_sessions() == []
    assert SQLiteSessionStorage().load_session("same") is None


def test_a_store_moves_with_its_directory(place: Path) -> None:
    name = talk(SQLiteSessionStorage(str(place / "here" / "chat.db"))).session_id
    shutil.copytree(place / "here", place / "there")
    moved = SQLiteSessionStorage(str(place / "there" / "chat.db"))
    loaded = moved.load_session(name)
    assert loaded is not None and loaded.message_count == 6
    loaded.add_message("here again", MessageRole.USER)
    moved.save_session(loaded)
    assert [one.message_count for one in moved.list_sessions()] == [7]


def test_memory_is_a_store_for_as_long_as_it_is_used() -> None:
    storage = SQLiteSessionStorage(":memory:")
    name = talk(storage).session_id
    assert storage.load_session(name) is not None and SQLiteSessionStorage(":memory:").load_session(name) is None
    assert not Path(":memory:").exists()


# -- what the older program left --------------------------------------------------------------------------------------


def test_a_database_is_taken_over_and_not_touched(place: Path) -> None:
    shutil.copy(DATABASES / "version-1" / "langswarm_sessions.db", "old.db")
    before = Path("old.db").read_bytes(), os.stat("old.db").st_mtime_ns
    storage = SQLiteSessionStorage("old.db")
    found = {one.session_id: one for one in storage.list_sessions()}
    assert set(found) == {"session_9e7c059d", "session_0000beef", "session_00000000"}
    assert found["session_9e7c059d"].tags == ["travel"] and found["session_9e7c059d"].custom_metadata == {
        "team": "blue"
    }
    assert found["session_9e7c059d"].created_at == datetime(2025, 7, 8, 10, 0, 0, 100000)
    session = storage.load_session("session_9e7c059d")
    assert session is not None
    told = [(one.role.value, one.content, one.tool_call_id) for one in session.history.messages]
    assert told[3] == ("tool", "4 degrees, rain", "c1") and told[5][0] == "function"
    assert session.history.messages[2].tool_calls == [CALL]
    assert session.history.messages[0].timestamp == datetime(2025, 7, 8, 10, 1, 0, 914340)
    storage.save_session(session)
    session.add_message("go on", MessageRole.USER)
    storage.save_session(session)
    head = stored("old.db", "session_9e7c059d")
    assert "parents" not in head and head["originals"] and head["counts"]["messages"] == 7
    assert (Path("old.db").read_bytes(), os.stat("old.db").st_mtime_ns) == before
    contradicting = storage.load_session("session_0000beef")
    assert contradicting is not None and contradicting.history.summary == "They spoke of the weather."


def test_what_the_older_program_adds_later_is_found_too() -> None:
    import sqlite3

    shutil.copy(DATABASES / "version-1" / "langswarm_sessions.db", "old.db")
    storage = SQLiteSessionStorage("old.db")
    session = storage.load_session("session_9e7c059d")
    assert session is not None
    session.add_message("go on", MessageRole.USER)
    storage.save_session(session)
    connection = sqlite3.connect("old.db")
    with connection:
        connection.execute("UPDATE sessions SET session_id = 'session_later' WHERE session_id = 'session_00000000'")
    connection.close()
    assert storage.load_session("session_later") is not None
    again = storage.load_session("session_9e7c059d")
    assert again is not None and again.get_messages()[-1].content == "go on"


def test_a_deleted_session_is_not_brought_back_by_the_old_database() -> None:
    shutil.copy(DATABASES / "version-1" / "langswarm_sessions.db", "old.db")
    storage = SQLiteSessionStorage("old.db")
    assert storage.delete_session("session_9e7c059d")
    os.utime("old.db", (1, 1))
    assert storage.load_session("session_9e7c059d") is None
    assert len(storage.list_sessions()) == 2


def test_a_database_of_version_2_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(DATABASES / "version-2" / "langswarm_sessions.db", "two.db")
    Path("broken.db").write_bytes(b"SQLite format 3\x00" + b"\x00" * 100)
    storage = SQLiteSessionStorage("two.db")
    session = storage.load_session("session_ada_0a1b2c3d")
    assert session is not None and session.metadata.session_control == SessionControl.HYBRID
    assert session.history.messages[2].tool_calls == [CALL]
    assert SQLiteSessionStorage("broken.db").list_sessions() == []
    assert "broken.db was not taken over" in caplog.text


# -- what is not reproduced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "left"), [(5, "ssabc"), (3, "ssc"), (2, "ss"), (1, "s"), (0, ""), (9, "sasbc")])
def test_truncating_keeps_instructions_and_the_latest(limit: int, left: str) -> None:
    history = ConversationHistory("x")
    for letter in "sasbc":
        role = MessageRole.SYSTEM if letter == "s" else MessageRole.USER
        history.add_message(ConversationMessage(letter, role, letter))
    history.truncate_to_limit(limit)
    assert "".join(one.content for one in history.messages) == left or limit == 5
    assert (history.truncated_at is None) == (limit >= 5)


def test_truncating_takes_out_of_view_and_loses_nothing() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    session.history.truncate_to_limit(3)
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and [one.content for one in loaded.history.messages] == ["Be brief.", "Four.", "r"]
    assert loaded.history.truncated_at == session.history.truncated_at
    assert stored("chat.db", session.session_id)["counts"]["messages"] == 6
    loaded.add_message("more", MessageRole.USER)
    storage.save_session(loaded)
    again = storage.load_session(session.session_id)
    assert again is not None and again.message_count == 4
    assert stored("chat.db", session.session_id)["counts"]["messages"] == 7


def test_a_session_that_takes_the_place_of_another_leaves_it_in_the_store() -> None:
    storage = SQLiteSessionStorage("chat.db")
    talk(storage, session_id="one")
    other = LangSwarmSession("bob", session_id="one")
    storage.save_session(other)
    loaded = storage.load_session("one")
    assert loaded is not None and (loaded.user_id, loaded.message_count) == ("bob", 0)
    assert stored("chat.db", "one")["counts"]["messages"] == 6


def test_messages_in_another_order_are_kept_in_that_order() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    session.history.messages.reverse()
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and loaded.to_dict()["history"]["messages"] == session.to_dict()["history"]["messages"]
    assert stored("chat.db", session.session_id)["parents"]


def test_a_message_that_is_taken_out_is_in_the_history_only() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    del session.history.messages[3]
    storage.save_session(session)
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and [one.content for one in loaded.history.messages][2:4] == ["", "Four."]
    head = stored("chat.db", session.session_id)
    assert head["counts"]["messages"] == 5 and head["parents"]
    (before,) = [
        one for one in shelf_of("chat.db").manager.store.revisions_of(head["key"]) if one["_name"] != head["_name"]
    ]
    assert before["counts"]["messages"] == 6


def test_what_a_person_has_edited_is_what_the_program_sees() -> None:
    storage = SQLiteSessionStorage("chat.db")
    session = talk(storage)
    session.history.messages[4].content = "  "
    storage.save_session(session)
    manager = shelf_of("chat.db").manager
    manager.edit(session.session_id, session.history.messages[4].id, "Edited.")
    manager.edit(session.session_id, session.history.messages[0].id, "Be long.")
    loaded = storage.load_session(session.session_id)
    assert loaded is not None
    assert [loaded.history.messages[n].content for n in (0, 4)] == ["Be long.", "Edited."]
    loaded.history.messages[4].content = "Mine again."
    storage.save_session(loaded)
    again = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert again is not None and again.to_dict()["history"]["messages"] == loaded.to_dict()["history"]["messages"]


def test_what_the_chat_core_has_kept_stays_when_a_program_saves(server: Server) -> None:
    manager = LangSwarmSessionManager(SQLiteSessionStorage("chat.db"))
    manager.settings = {"openai": Settings("sk-test", f"{server.url}/v1")}
    session = manager.create_session("ada")
    server.replies = [completion("Hi.", system_fingerprint="fp_1")]
    answer = manager.send_message(session.session_id, "Hello")
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None
    loaded.history.messages[1].metadata["rating"] = 5
    SQLiteSessionStorage("chat.db").save_session(loaded)
    kept = shelf_of("chat.db").load(session.session_id)
    assert kept is not None and kept.path[1]["id"] == answer.id
    assert kept.path[1]["usage"] == {"input_tokens": 11, "output_tokens": 4}
    assert kept.path[1]["x"]["system_fingerprint"] == "fp_1" and kept.path[1]["x"]["metadata"]["rating"] == 5
    assert kept.path[1]["model"] == "gpt-4o" and kept.path[1]["finish_reason"] == "stop"


def test_failures_are_raised_and_not_swallowed(place: Path) -> None:
    blocked = place / "file"
    blocked.write_text("no directory")
    with pytest.raises((errors.SessionstoreError, OSError)):
        SQLiteSessionStorage(str(blocked / "chat.db")).save_session(LangSwarmSession("ada"))


# -- managers ---------------------------------------------------------------------------------------------------------


def test_without_a_key_answers_are_made_up_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    manager = LangSwarmSessionManager(SQLiteSessionStorage("chat.db"))
    session = manager.create_session("ada")
    answer = manager.send_message(session.session_id, "Hello")
    assert answer.content == "This is a mock response from the assistant."
    assert answer.metadata["simulated"] is True and "made up" in caplog.text
    manager.simulate = False
    with pytest.raises(errors.NoCredentials):
        manager.send_message(session.session_id, "Really?")
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and [one.content for one in loaded.history.messages][-1] == "Really?"


def test_a_model_is_asked_and_the_answer_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    manager = LangSwarmSessionManager(SQLiteSessionStorage("chat.db"))
    session = manager.create_session("ada", "openai", "gpt-4o")
    server.replies = [completion("Hi."), completion("Again.")]
    assert manager.send_message(session.session_id, "Be brief.", MessageRole.SYSTEM).role == MessageRole.SYSTEM
    assert server.requests == []
    answer = manager.send_message(session.session_id, "Hello")
    assert (answer.content, answer.role, answer.provider_message_id) == ("Hi.", MessageRole.ASSISTANT, "chatcmpl-7")
    assert answer.metadata["usage"] == {"input_tokens": 11, "output_tokens": 4}
    assert session.metadata.total_tokens == 15
    other = LangSwarmSessionManager(SQLiteSessionStorage("chat.db"))
    other.send_message(session.session_id, "And?")
    sent = [(one["role"], one["content"]) for one in server.requests[-1][2]["messages"]]
    assert sent == [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi."), ("user", "And?")]
    loaded = manager.get_session(session.session_id)
    assert loaded is session and session.message_count == 5
    head = stored("chat.db", session.session_id)
    assert head["usage"]["input_tokens"] == 22 and head["models"] == ["gpt-4o"] and "parents" not in head


def test_a_failed_question_is_kept_and_can_be_asked_again(server: Server) -> None:
    manager = LangSwarmSessionManager(SQLiteSessionStorage("chat.db"))
    manager.settings = {"openai": Settings("sk-test", f"{server.url}/v1", retries=0)}
    session = manager.create_session("ada")
    server.replies = [document({"error": {"message": "no"}}, 500)]
    with pytest.raises(errors.ProviderError):
        manager.send_message(session.session_id, "Hello")
    loaded = SQLiteSessionStorage("chat.db").load_session(session.session_id)
    assert loaded is not None and [one.content for one in loaded.history.messages] == ["Hello"]
    server.replies = [completion("Here I am.")]
    assert manager.send_message(session.session_id, "Anybody?").content == "Here I am."


@pytest.mark.parametrize(
    ("provider", "model"), [("mistral", "mistral-large"), ("cohere", "command-r"), ("gpt", "gpt-4o")]
)
def test_other_providers_speak_the_same_dialect(server: Server, provider: str, model: str) -> None:
    manager = LangSwarmSessionManager(v1.InMemorySessionStorage())
    manager.settings = {provider: Settings("sk-test", f"{server.url}/v1")}
    server.replies = [completion("Oui.")]
    session = manager.create_session("ada", provider, model)
    assert manager.send_message(session.session_id, "?").content == "Oui."
    assert server.requests[0][2]["model"] == model and server.requests[0][0].endswith("/chat/completions")


def test_the_manager_of_a_program(place: Path) -> None:
    v1.set_session_storage(SQLiteSessionStorage("chat.db"))
    manager = v1.get_session_manager()
    assert v1.get_session_manager() is manager and manager.storage is v1.get_session_storage()
    session = manager.create_session("ada", "claude", "claude-3", tags=["t"], custom_metadata={"p": 1})
    assert session.metadata.session_control == SessionControl.LANGSWARM and session.metadata.tags == ["t"]
    assert manager.create_session("ada").metadata.session_control == SessionControl.HYBRID
    message = manager.add_message_to_session(session.session_id, "hi", MessageRole.USER, metadata={"k": 1})
    assert message is not None and message.metadata == {"k": 1}
    assert manager.add_message_to_session("nobody", "hi", MessageRole.USER) is None
    assert manager.get_session(session.session_id) is session and manager.get_session("nobody") is None
    with pytest.raises(ValueError, match="nobody not found"):
        manager.send_message("nobody", "hi")
    with pytest.raises(ValueError, match="No session adapter"):
        manager.create_session("ada", "invalid_provider", "x")
    statistics = manager.get_session_statistics()
    assert statistics["active_sessions"] == 2 and statistics["provider_distribution"] == {"claude": 1, "openai": 1}
    assert manager.analyze_provider_capabilities("openai")["thread_branching"] is True
    assert manager.analyze_provider_capabilities("x")["features"] == ["unknown_provider"]
    assert manager.archive_session(session.session_id) and not manager.archive_session("nobody")
    archived = manager.get_session(session.session_id)
    assert archived is not None and not archived.is_active
    assert manager.delete_session(session.session_id) and not manager.delete_session(session.session_id)
    manager.storage.update_session_metadata(
        manager.list_sessions()[0].session_id, {"updated_at": datetime.now() - timedelta(days=40)}
    )
    assert manager.cleanup_expired_sessions() == 1 and manager.get_session_statistics()["active_sessions"] == 0
    v1.set_session_manager(manager)


def test_a_storage_of_the_programs_own_serves_as_well(server: Server) -> None:
    class Own(v1.InMemorySessionStorage):
        saves = 0

        def save_session(self, session: LangSwarmSession) -> bool:
            self.saves += 1
            return super().save_session(session)

    own = Own()
    manager = LangSwarmSessionManager(own)
    session = manager.create_session("ada", "mock", "m")
    manager.send_message(session.session_id, "hi")
    assert own.saves == 3 and session.message_count == 2
    own.update_session_metadata(session.session_id, {"updated_at": datetime.now() - timedelta(days=40)})
    assert [one.session_id for one in own.list_sessions("ada", SessionStatus.ACTIVE)] == [session.session_id]
    assert manager.cleanup_expired_sessions() == 1 and own.load_session(session.session_id) is None
    assert not own.delete_session("x") and not own.update_session_metadata("x", {})


def test_storages_by_name() -> None:
    factory = v1.SessionStorageFactory
    assert isinstance(factory.create_storage("memory"), v1.InMemorySessionStorage)
    assert isinstance(factory.get_default_storage(), SQLiteSessionStorage)
    with pytest.raises(ValueError, match="Unknown storage type: ftp"):
        factory.create_storage("ftp")
    with pytest.raises(ImportError):
        factory.create_storage("bigquery")


def test_hybrid_managers_search_the_store() -> None:
    manager = v1.HybridSessionManagerFactory.create_hybrid_manager("chromadb", db_path="chat.db")
    one, other = manager.create_session("ada"), manager.create_session("bob")
    manager.add_message_to_session(one.session_id, "Tell me of machine learning.", MessageRole.USER)
    manager.add_message_to_session(other.session_id, "What is machine learning good for?", MessageRole.USER)
    manager.add_message_to_session(other.session_id, "Whales.", MessageRole.ASSISTANT)
    found = manager.search_conversation_history("machine learning (!", user_id="ada")
    assert [hit["content"] for hit in found] == ["Tell me of machine learning."]
    assert set(found[0]) == {
        "session_id",
        "role",
        "timestamp",
        "user_id",
        "provider",
        "model",
        "content",
        "relevance_score",
    }
    assert manager.search_conversation_history("learning", session_id=other.session_id)[0]["user_id"] == "bob"
    similar = manager.find_similar_conversations(one.session_id)
    assert [hit["session_id"] for hit in similar] == [other.session_id] and manager.find_similar_conversations(
        "x"
    ) == []
    figures = manager.get_conversation_analytics()
    assert figures["total_messages"] == 3 and figures["role_distribution"] == {"user": 2, "assistant": 1}
    assert figures["top_topics"]["machine"] == 2 and figures["average_messages_per_session"] == 1.5


def test_hybrid_managers_with_a_document_store() -> None:
    factory = v1.HybridSessionManagerFactory
    manager = factory.create_hybrid_manager("mock", "memory")
    session = manager.create_session("ada")
    manager.add_message_to_session(session.session_id, "whales", MessageRole.USER)
    assert manager.search_conversation_history("WHALE")[0]["relevance_score"] == 0.9
    assert [one["id"].partition(":")[0] for one in manager.enhanced_adapter.documents] == ["session", "message"]
    basic = factory.create_hybrid_manager("abacus", "memory")
    assert not basic.enhanced_available and basic.search_conversation_history("x") == []
    assert basic.get_conversation_analytics() == {} and basic.find_similar_conversations("x") == []

    class Failing:
        def add_documents(self, documents: list[Any]) -> list[str]:
            raise OSError("no")

    failing = v1.HybridSessionManager(v1.InMemorySessionStorage(), Failing())
    assert failing.create_session("ada").user_id == "ada"


def test_bridges_translate_filters() -> None:
    class Own:
        def add_documents(self, documents: list[Any]) -> list[str]:
            return [one["id"] for one in documents]

        def query(self, query: str, filters: Any, k: int) -> list[Any]:
            return [{"text": query, "metadata": filters}]

    bridge = v1.SessionDatabaseBridge(Own())
    assert bridge.add_documents([{"key": "k", "text": "t"}]) == ["k"]
    conditions = [("a", "=="), ("b", "!="), ("c", ">="), ("d", "<="), ("e", "~")]
    told = {"conditions": [{"field": name, "operator": sign, "value": 1} for name, sign in conditions]}
    found = bridge.query("q", told)[0]
    assert found == {"text": "q", "metadata": {"a": 1, "b_not": 1, "c_gte": 1, "d_lte": 1}, "score": 0.0}
    make = v1.HybridAdapterFactory
    names = ("chromadb", "sqlite", "redis", "qdrant", "elasticsearch", "bigquery", "gcs")
    assert all(getattr(make, f"create_{name}_adapter")(db_path="x.db") for name in names)
    assert make.create_adapter("abacus") is None


def test_strategies() -> None:
    make, session = v1.SessionStrategyFactory, LangSwarmSession("ada")
    session.metadata.provider_thread_id = "thread_1"
    hybrid = make.create_strategy(SessionControl.HYBRID)
    assert hybrid.should_use_native_sessions("OpenAI", "x") and not hybrid.should_use_native_sessions("claude", "x")
    assert hybrid.get_session_parameters(session) == {"thread_id": "thread_1"} and hybrid.supports_threading("x")
    client = make.create_strategy(SessionControl.LANGSWARM)
    assert set(client.get_session_parameters(session)) == {"messages", "session_id", "user_id"}
    assert not client.should_use_native_sessions("openai", "x") and client.supports_threading("x")
    assert isinstance(hybrid, v1.HybridSessionStrategy) and hybrid.get_optimal_strategy("gemini", "x") == "client"
    assert not make.create_strategy(SessionControl.NATIVE).should_use_native_sessions("gemini", "x")
    with pytest.raises(ValueError):
        make.create_strategy("none")  # type: ignore[arg-type]


def test_adapters_build_requests() -> None:
    class Named:
        def __init__(self, **values: Any) -> None:
            self.__dict__.update(values)

        def model_dump(self) -> dict[str, Any]:
            return dict(self.__dict__)

    make, session = v1.SessionAdapterFactory, LangSwarmSession("ada")
    session.add_message("one", MessageRole.USER)
    session.add_message("two", MessageRole.ASSISTANT)
    for name in ("openai", "claude", "mistral", "test"):
        adapter = make.create_adapter(name, "m")
        assert adapter.create_session(session)["messages"][1] == {"role": "assistant", "content": "two"}
        assert adapter.prepare_request(session, "three")["messages"][-1] == {"role": "user", "content": "three"}
    assert "thread" in make.create_adapter("openai", "m").create_session(session)
    gemini = make.create_adapter("gemini", "m").prepare_request(session, "three")
    assert gemini["contents"][1:] == [
        {"role": "model", "parts": [{"text": "two"}]},
        {"role": "user", "parts": [{"text": "three"}]},
    ]
    cohere = make.create_adapter("cohere", "m").prepare_request(session, "three")
    assert cohere["message"] == "three" and cohere["chat_history"][1] == {"role": "CHATBOT", "message": "two"}
    said = Named(content="hi", tool_calls=[Named(id="c1")])
    response = Named(id="r1", choices=[Named(message=said)], usage=Named(total_tokens=9), thread_id="thread_9")
    openai = make.create_adapter("gpt", "m")
    made = openai.process_response(session, response)
    assert (made.id, made.content, made.tool_calls) == ("openai_r1", "hi", [{"id": "c1"}])
    openai.update_session_from_response(session, response)
    assert session.metadata.total_tokens == 9 and session.metadata.provider_thread_id == "thread_9"
    claude = Named(id="r2", content=[Named(text="a"), Named(text="b")], usage=Named(input_tokens=1, output_tokens=2))
    assert make.create_adapter("claude", "m").process_response(session, claude).content == "ab"
    openai.update_session_from_response(session, claude)
    assert session.metadata.total_tokens == 12
    candidate = Named(candidates=[Named(content=Named(parts=[Named(text="g")]))])
    assert make.create_adapter("gemini", "m").process_response(session, candidate).content == "g"
    assert (
        make.create_adapter("cohere", "m").process_response(session, Named(text="c", generation_id="7")).id
        == "cohere_7"
    )
    assert make.create_adapter("none", "m").process_response(session, Named()).content == "Test response"
    assert make.supports_provider("OpenAI") and "cohere" in make.get_supported_providers()
    assert make.create_adapter("openai", "m").supports_native_sessions()


def test_a_program_works_after_changing_its_import(place: Path) -> None:
    environment = {**os.environ, "SESSIONSTORE_DIR": str(place / "store")}
    source = (PROGRAMS / "langswarm_one.py").read_text()
    assert source.count("sessionstore") == 1
    for expected in ("first", "second"):
        ran = subprocess.run(
            [sys.executable, str(PROGRAMS / "langswarm_one.py")], capture_output=True, text=True, env=environment
        )
        assert ran.returncode == 0, ran.stderr
        assert f"{expected} run" in ran.stdout and ran.stdout.rstrip().endswith("done")


def test_processes_that_write_one_session_at_a_time_lose_nothing(place: Path) -> None:
    name = talk(SQLiteSessionStorage("chat.db")).session_id
    code = (
        "import sys; from sessionstore.compat.langswarm_v1 import *;"
        "manager = LangSwarmSessionManager(SQLiteSessionStorage('chat.db'));"
        "[manager.add_message_to_session(sys.argv[1], f'{sys.argv[2]}-{n}', MessageRole.USER) for n in range(15)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name, writer]) for writer in "abc"]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    session = SQLiteSessionStorage("chat.db").load_session(name)
    assert session is not None
    told = [message.content for message in session.history.messages[6:]]
    assert sorted(told) == sorted(f"{writer}-{n}" for writer in "abc" for n in range(15))
    for writer in "abc":
        assert [text for text in told if text.startswith(writer)] == [f"{writer}-{n}" for n in range(15)]


def test_thoughts_and_images_stay_when_something_else_of_a_message_changes() -> None:
    storage = SQLiteSessionStorage("chat.db")
    name = talk(storage).session_id
    manager = shelf_of("chat.db").manager
    thought = {"type": "reasoning", "content": "hm", "signature": "s"}
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "iVBORw0KGgo="}
    manager.append(name, {"role": "assistant", "parts": [thought, {"type": "text", "content": "Yes."}, image]})
    session = storage.load_session(name)
    assert session is not None and session.history.messages[-1].content == "Yes."
    session.history.messages[-1].metadata["rating"] = 5
    storage.save_session(session)
    kept = shelf_of("chat.db").load(name)
    assert kept is not None and [part["type"] for part in kept.path[-1]["parts"]] == ["reasoning", "text", "blob"]
    again = storage.load_session(name)
    assert again is not None and again.history.messages[-1].metadata == {"rating": 5}
    assert manager.store.objects.get(kept.path[-1]["parts"][2]["object"], "bin", check=True).startswith(b"\x89PNG")

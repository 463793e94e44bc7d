"""Sessions that a program makes, reads and continues."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Store, errors
from sessionstore.index.writer import IndexWriter
from sessionstore.manager import Session, SessionManager
from sessionstore.verify import verify

ROOT = Path(__file__).resolve().parents[2]


def texts(session: Session) -> list[str]:
    """What is said, in order."""
    return [message["parts"][0].get("content", "") for message in session.messages()]


def test_a_session_keeps_what_it_was_made_with(manager: SessionManager) -> None:
    tools = [{"name": "ls", "description": "List.", "parameters": {"type": "object"}}]
    session = manager.create(
        "one",
        model="gpt-4o",
        provider="openai",
        system="Be brief.",
        title="T",
        cwd="/w",
        metadata={"a": 1},
        tools=tools,
    )
    again = SessionManager(manager.store).get("one")
    assert (again.key, again.id, again.model, again.provider) == ("native:one", "one", "gpt-4o", "openai")
    assert (again.title, again.metadata, again.tools, again.count) == ("T", {"a": 1}, tools, 1)
    assert again.messages()[0]["role"] == "system"
    assert again == session
    assert again.revision["cwd"] == "/w"


def test_a_session_without_an_id_gets_a_new_one(manager: SessionManager) -> None:
    assert manager.create().id != manager.create().id


def test_an_id_is_used_once(manager: SessionManager) -> None:
    manager.create("one").add_user("Hello")
    with pytest.raises(errors.UsageError, match="native:one already"):
        manager.create("one")
    assert manager.get("one").count == 1


@pytest.mark.parametrize("bad", ["", "@last", "@x", " a", "a ", "a\nb", "a#b", "x" * 501])
def test_what_means_something_else_is_no_id(manager: SessionManager, bad: str) -> None:
    with pytest.raises(errors.UsageError, match="cannot be a session's id"):
        manager.create(bad)


@pytest.mark.parametrize("name", ["../../etc/passwd", "con", "a/b\\c:d", "日本語", "A", "\ud83d"])
def test_no_id_becomes_a_path(manager: SessionManager, name: str) -> None:
    session = manager.create(name)
    session.add_user("Hello")
    assert manager.get(session.key).count == 1
    folder = Path(manager.store.root) / "sessions"
    assert all(path.parent.parent == folder for path in folder.rglob("*.json"))


def test_a_session_is_found_by_key_id_beginning_and_as_the_last(manager: SessionManager) -> None:
    session = manager.create("conversation-about-whales")
    session.add_user("Hello")
    for name in ("native:conversation-about-whales", "conversation-about-whales", "conversation-ab", "@last"):
        assert manager.get(name).key == session.key
    with pytest.raises(errors.NotFound):
        manager.get("conversation-about-birds")
    manager.create("conversation-about-birds")
    with pytest.raises(errors.Ambiguous, match="birds"):
        manager.get("conversation-ab")


def test_names_are_found_without_an_index_too(tmp_path: Path) -> None:
    store = Store.init(tmp_path / "store")
    message = {"id": "m1", "role": "user", "time": "2026-01-01T00:00:00Z", "parts": [{"type": "text", "content": "x"}]}
    old = "kimi:refactor-sessions_20250712_2126"
    store.put(old, [message], {"aliases": ["migrated_refactor"], "updated_at": "2026-01-01T00:00:00Z"})
    with SessionManager(store, index=False) as manager:
        manager.create("whales-and-more")
        (tmp_path / "store" / "index.sqlite").mkdir()
        for name, key in (
            ("refactor-sessions_20250712_2126", old),
            ("migrated_refactor", old),
            ("whales", "native:whales-and-more"),
            ("native:wha", "native:whales-and-more"),
            ("@last", "native:whales-and-more"),
        ):
            assert manager.get(name).key == key
        with pytest.raises(errors.NotFound):
            manager.get("whal")


def test_last_in_an_empty_store_is_nobody(manager: SessionManager) -> None:
    with pytest.raises(errors.NotFound):
        manager.get("@last")
    assert manager.list() == []


def test_an_imported_session_goes_on_where_its_source_stopped(manager: SessionManager) -> None:
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Hello"}]}
    manager.store.put("kimi:abc", [message], {"aliases": ["migrated_abc"]})
    session = manager.get("migrated_abc")
    session.add_assistant("Hi", model="kimi-k2")
    assert texts(manager.get("kimi:abc")) == ["Hello", "Hi"]


def test_an_imported_tree_goes_on_at_its_active_leaf(manager: SessionManager) -> None:
    def node(name: str, parent: str | None, **more: Any) -> dict[str, Any]:
        return {"id": name, "role": "user", "parent": parent, "parts": [{"type": "text", "content": name}], **more}

    nodes = [node("a", None), node("b", "a"), node("c", "a"), node("d", "b")]
    manager.store.put("x:leaf", nodes, {"active_leaf": "c"})
    manager.store.put("x:side", [node("a", None), node("b", "a"), node("s", None, kind="sidechain")])
    for key, before in (("x:leaf", ["a", "c"]), ("x:side", ["a", "b"])):
        session = manager.get(key)
        session.add_assistant("e", model="gpt-4o")
        session.switch_model("o3", consent=True)
        ids = session.append([{"role": "user", "content": "f", "id": "f"}, {"role": "assistant", "content": "g"}])
        path = session.history()
        assert [one["id"] for one in path[:2]] == before
        assert [one["parts"][0]["content"][:1] for one in path[2:]] == ["e", "T", "f", "g"]
        assert path[-1]["id"] == ids[-1]
        assert session.pending() is None


def test_messages_get_ids_and_times_that_are_right(manager: SessionManager) -> None:
    session = manager.create()
    ids = session.append([{"role": "user", "content": "a"}, {"role": "user", "content": "b", "id": "m7"}])
    first, second = session.messages()
    assert [first["id"], second["id"]] == ids
    assert (len(ids[0]), ids[1]) == (26, "m7")
    assert first["time"].endswith("Z")


@pytest.mark.parametrize(
    "bad",
    [
        {"role": "robot", "content": "x"},
        {"role": "user", "parts": [{"type": "text"}]},
        {"role": "user", "content": "x", "colour": "red"},
        {"role": "user", "content": "x", "time": "yesterday"},
        {"role": "user"},
    ],
)
def test_a_message_of_another_shape_is_refused_and_nothing_of_the_batch_is_kept(
    manager: SessionManager, bad: dict[str, Any]
) -> None:
    session = manager.create()
    with pytest.raises(errors.UsageError, match="message 2 is not valid"):
        session.append([{"role": "user", "content": "good"}, bad])
    assert session.count == 0


def test_what_json_cannot_hold_is_made_representable(manager: SessionManager) -> None:
    session = manager.create()
    session.add_tool_call("f", {"n": float("nan"), "s": "\ud83d", "big": 2**70})
    [part] = session.messages()[0]["parts"]
    assert part["arguments"] == {"n": "NaN", "s": "�", "big": str(2**70)}
    assert verify(manager.store).ok


def test_large_texts_and_images_come_back(manager: SessionManager) -> None:
    session = manager.create()
    long = "x" * 400_000
    session.add_user([long, {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "aGVsbG8="}])
    text, image = session.messages()[0]["parts"]
    assert text["content"] == long
    assert manager.store.objects.get(image["object"], "bin") == b"hello"
    assert verify(manager.store).ok


def test_an_unanswered_turn_shows(manager: SessionManager) -> None:
    session = manager.create(system="Be brief.")
    assert session.pending() is None
    asked = session.add_user("Which files?")
    assert session.pending() == {"message": asked, "role": "user", "time": session.messages()[-1]["time"], "calls": []}
    call = session.add_tool_call("ls")
    waiting = session.pending()
    assert waiting is not None and (waiting["role"], waiting["calls"]) == ("assistant", [call])
    result = session.add_tool_result(call, "a b")
    waiting = session.pending()
    assert waiting is not None and (waiting["role"], waiting["message"]) == ("tool", result)
    session.add_assistant("a and b")
    assert session.pending() is None


def test_metadata_and_fields_change_without_a_message(manager: SessionManager) -> None:
    session = manager.create(metadata={"a": 1, "b": 2})
    session.add_user("Hello")
    assert session.set_metadata(b=None, c=[3], self="me") == {"a": 1, "c": [3], "self": "me"}
    manager.set_fields(session, title="New", project="p")
    session.add_assistant("Hi")
    assert (session.title, session.metadata["a"], session.count) == ("New", 1, 2)
    assert len(manager.store.revisions_of(session.key)) == 1


def test_what_a_caller_does_to_a_message_does_not_reach_the_store(manager: SessionManager) -> None:
    session = manager.create()
    given = {"role": "user", "parts": [{"type": "text", "content": "a"}]}
    session.append(given)
    given["parts"][0]["content"] = "changed"  # type: ignore[index]
    session.messages()[0]["parts"][0]["content"] = "changed"
    session.history()[0]["parts"].clear()
    session.metadata["x"] = 1
    session.add_user("b")
    assert texts(session) == ["a", "b"]
    assert verify(manager.store).ok


def test_a_long_session_is_read_where_it_is_looked_at(manager: SessionManager) -> None:
    session = manager.create()
    session.append([{"role": "user", "content": f"{n} {'x' * 500}", "id": f"m{n}"} for n in range(2000)])
    fresh = SessionManager(manager.store, index=False)
    found = fresh.get(session.key).messages()
    assert (len(found), found[1234]["id"], found[-1]["id"]) == (2000, "m1234", "m1999")
    assert len(fresh.pages._held) == 1
    assert [message["id"] for message in found[10:13]] == ["m10", "m11", "m12"]
    assert [message["id"] for message in fresh.get(session.key).messages(1998)] == ["m1998", "m1999"]
    with pytest.raises(IndexError):
        found[2000]


def test_the_cache_of_pages_keeps_to_its_budget(manager: SessionManager) -> None:
    session = manager.create()
    session.append([{"role": "user", "content": "x" * 5000} for _ in range(100)])
    manager.pages._budget = 100_000
    assert len(list(session.messages())) == 100
    assert manager.pages._bytes <= 100_000


def test_what_another_process_has_written_is_noticed(manager: SessionManager) -> None:
    session = manager.create("shared")
    session.add_user("1")
    script = (
        "import sys; from sessionstore.manager import SessionManager\n"
        "s = SessionManager(sys.argv[1]).get('shared'); s.add_assistant('2')"
    )
    command = [sys.executable, "-c", script, manager.store.root]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
    assert texts(session) == ["1", "2"]
    session.add_user("3")
    assert texts(SessionManager(manager.store).get("shared")) == ["1", "2", "3"]
    assert len(manager.store.revisions_of(session.key)) == 1


def test_a_plain_store_and_a_manager_write_one_session_in_turns(manager: SessionManager) -> None:
    session = manager.create("mixed")
    for n in range(60):
        if n % 3:
            session.add_user(f"{n} {'x' * 2000}")
        else:
            part = {"type": "text", "content": f"{n} {'x' * 2000}"}
            manager.store.append(session.key, [{"id": f"s{n}", "role": "user", "parts": [part]}])
    assert [text.split()[0] for text in texts(session)] == [str(n) for n in range(60)]
    assert len(manager.store.revisions_of(session.key)) == 1
    whole = Store.init(Path(manager.store.root).parent / "other")
    whole.put(session.key, list(session.messages()))
    assert whole.heads(session.key)[0]["pages"] == session.revision["pages"]


def test_the_sessions_used_last_stay_in_memory(tmp_path: Path) -> None:
    with SessionManager(tmp_path / "store", cache_size=3) as manager:
        sessions = [manager.create(f"s{n}") for n in range(10)]
        for session in sessions:
            session.add_user("Hello")
        assert set(manager._cache) == {"native:s7", "native:s8", "native:s9"}
        with pytest.raises(errors.NotFound):
            manager.get("native:nobody")
        assert len(manager._cache) == 3
        sessions[0].add_user("again")
        assert sessions[0].count == 2


def test_a_purged_session_is_gone_and_does_not_come_back(manager: SessionManager) -> None:
    from sessionstore.purge import purge

    session = manager.create("gone")
    session.add_user("secret")
    purge(manager.store, session.key)
    with pytest.raises(errors.NotFound):
        session.add_user("more")
    with pytest.raises(errors.UsageError, match="was purged"):
        manager.create("gone")


def test_a_failed_write_leaves_the_session_as_it_was(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    session = manager.create()
    session.add_user("1")

    def full(*_: object, **__: object) -> bool:
        raise errors.NoSpace(path="x", what="disk full")

    with monkeypatch.context() as patch:
        patch.setattr(manager.store, "write_revision", full)
        with pytest.raises(errors.NoSpace):
            session.add_user("lost")
    session.add_user("2")
    assert texts(session) == ["1", "2"]
    assert texts(SessionManager(manager.store).get(session.key)) == ["1", "2"]


# -- the index ---------------------------------------------------------------------------------------------------------


def test_what_was_said_is_found(manager: SessionManager) -> None:
    session = manager.create("whales", title="Animals")
    session.add_user("How heavy is a blue whale?")
    assert [hit["key"] for hit in manager.search("whale")] == [session.key]
    session.add_assistant("About 150 tonnes.")
    assert [hit["role"] for hit in manager.search("tonnes")] == ["assistant"]
    assert manager.search("tonnes", role="user") == []
    with pytest.raises(errors.SearchSyntax):
        manager.search('"open')


def test_the_index_follows_by_itself(manager: SessionManager) -> None:
    from sessionstore.index.health import is_current

    session = manager.create()
    for n in range(20):
        session.add_user(f"turn {n}")
    assert manager.keeper._thread is not None
    manager.close()
    assert is_current(manager.store, manager.keeper.path)


def test_a_busy_index_never_makes_an_append_fail(manager: SessionManager) -> None:
    session = manager.create("busy")
    manager.keeper.flush()
    with IndexWriter(manager.keeper.path, manager.store.id):
        began = threading.Event()
        began.set()
        for n in range(5):
            session.add_user(f"turn {n}")
        assert manager.keeper.flush(timeout=0.05) is False
        assert isinstance(manager.keeper.failed, errors.Busy)
        assert manager.get("busy").count == 5
    assert len(manager.search("turn", limit=50)) == 3
    assert manager.keeper.failed is None


def test_a_broken_index_is_no_trouble(manager: SessionManager) -> None:
    session = manager.create()
    session.add_user("whale")
    manager.keeper.flush()
    Path(manager.keeper.path).write_bytes(b"garbage" * 1000)
    session.add_user("another whale")
    assert len(manager.search("whale")) == 2


def test_a_list_is_filtered_before_it_is_cut(manager: SessionManager) -> None:
    for n in range(30):
        session = manager.create(f"s{n:02}", project="even" if n % 2 == 0 else "odd", model="m")
        session.add_user("Hello")
        if n % 10 == 0:
            manager.pause(session)
    assert [one["project"] for one in manager.list(project="even", limit=10, offset=5)] == ["even"] * 10
    assert len(manager.list(project="odd", limit=100)) == 15
    paused = manager.list(state="paused", limit=2)
    assert [one["state"] for one in paused] == ["paused", "paused"]
    assert len(manager.list(state="paused", limit=2, offset=2)) == 1
    assert manager.list(state="paused", project="odd") == []


# -- kills -------------------------------------------------------------------------------------------------------------

TALKING = """
import sys
from sessionstore.manager import SessionManager
session = SessionManager(sys.argv[1]).create("talk")
for n in range(100_000):
    session.add_user(f"question {n}")
    print(n, flush=True)
"""


def test_a_kill_between_question_and_answer_loses_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TALKING, str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 80:
            process.send_signal(signal.SIGKILL)
            break
    rest = [int(line) for line in process.stdout if line.strip().isdigit()]
    process.wait()
    process.stdout.close()
    acknowledged = max([80, *rest])
    with SessionManager(tmp_path / "store") as manager:
        said = texts(manager.get("talk"))
        assert said == [f"question {n}" for n in range(len(said))]
        assert len(said) in (acknowledged + 1, acknowledged + 2)
        found = manager.recover()
        assert found["pending"]["native:talk"]["role"] == "user"
        assert found["damaged"] == {}
        manager.get("talk").add_assistant("answer")
        assert manager.get("talk").pending() is None
    gc.collect()

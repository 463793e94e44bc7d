"""mcp-cli's session files, exports and token figures: signatures, bytes, and what was broken and is not any more."""

from __future__ import annotations

import inspect
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sessionstore import SessionManager, Store, errors
from sessionstore.compat import mcp_cli
from sessionstore.compat.mcp_cli import (
    JSONExporter,
    MarkdownExporter,
    SessionData,
    SessionMetadata,
    SessionStore,
    TokenTracker,
    TurnUsage,
)
from tests.cli.running import ROOT, Program

FIXTURES = ROOT / "fixtures" / "formats" / "mcp-cli" / "sessions"
PROGRAM = Path(__file__).parent / "programs" / "mcp_cli_integration.py"

SIGNATURES = {
    "SessionStore.__init__": "(self, sessions_dir: 'Path | None' = None, agent_id: 'str' = 'default') -> 'None'",
    "SessionStore.save": "(self, data: 'SessionData') -> 'Path'",
    "SessionStore.load": "(self, session_id: 'str') -> 'SessionData | None'",
    "SessionStore.list_sessions": "(self) -> 'list[SessionMetadata]'",
    "SessionStore.delete": "(self, session_id: 'str') -> 'bool'",
    "MarkdownExporter.export": (
        "(messages: 'list[dict[str, Any]]', metadata: 'dict[str, Any] | None' = None) -> 'str'"
    ),
    "JSONExporter.export": (
        "(messages: 'list[dict[str, Any]]', metadata: 'dict[str, Any] | None' = None,"
        " token_usage: 'dict[str, Any] | None' = None) -> 'str'"
    ),
    "TokenTracker.record_turn": "(self, usage: 'TurnUsage') -> 'None'",
    "TokenTracker.estimate_tokens": "(text: 'str') -> 'int'",
    "TokenTracker.format_summary": "(self) -> 'str'",
}
"""As mcp-cli has them; that `__init__` returns None is said there by nothing."""

FIELDS: dict[str, dict[str, tuple[str, Any]]] = {
    "SessionMetadata": {
        "session_id": ("str", ...),
        "agent_id": ("str", "default"),
        "created_at": ("str", "made"),
        "updated_at": ("str", "made"),
        "provider": ("str", ""),
        "model": ("str", ""),
        "message_count": ("int", 0),
        "description": ("str", ""),
    },
    "SessionData": {
        "metadata": ("SessionMetadata", ...),
        "messages": ("list[dict[str, Any]]", "made"),
        "token_usage": ("dict[str, Any] | None", None),
    },
    "TurnUsage": {
        "input_tokens": ("int", 0),
        "output_tokens": ("int", 0),
        "model": ("str", ""),
        "provider": ("str", ""),
        "estimated": ("bool", False),
    },
    "TokenTracker": {"turns": ("list[TurnUsage]", "made")},
    "TokenUsageStats": {
        "prompt_tokens": ("int", 0),
        "completion_tokens": ("int", 0),
        "total_tokens": ("int", 0),
        "estimated_cost": ("float", 0.0),
        "segments": ("int", 1),
    },
}

TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "You have tools."},
    {"role": "user", "content": "Grüße 🌿 \u2028?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
    },
    {"role": "tool", "name": "f", "content": "3", "tool_call_id": "call_1"},
    {"role": "assistant", "content": "Three.", "reasoning_content": "Count."},
]
USAGE = {"total_input": 10, "total_output": 5, "total_tokens": 15, "turn_count": 1}
FILE = """{
  "metadata": {
    "session_id": "chat-0a1b2c3d4e5f",
    "agent_id": "default",
    "created_at": "2026-03-01T10:00:00.123456+00:00",
    "updated_at": "%s",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "message_count": 5,
    "description": ""
  },
  "messages": [
    {
      "role": "system",
      "content": "You have tools."
    },
    {
      "role": "user",
      "content": "Grüße 🌿 \u2028?"
    },
    {
      "role": "assistant",
      "content": null,
      "tool_calls": [
        {
          "id": "call_1",
          "type": "function",
          "function": {
            "name": "f",
            "arguments": "{\\"a\\": 1}"
          }
        }
      ]
    },
    {
      "role": "tool",
      "name": "f",
      "content": "3",
      "tool_call_id": "call_1"
    },
    {
      "role": "assistant",
      "content": "Three.",
      "reasoning_content": "Count."
    }
  ],
  "token_usage": {
    "total_input": 10,
    "total_output": 5,
    "total_tokens": 15,
    "turn_count": 1
  }
}"""
"""What mcp-cli writes, to the byte."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of sessions."""
    return tmp_path / "sessions"


@pytest.fixture
def store(folder: Path) -> SessionStore:
    """The sessions of the usual agent in it."""
    return SessionStore(folder)


def talk(session_id: str = "chat-0a1b2c3d4e5f", *said: str, **stated: str) -> SessionData:
    """A session in which the user says some things."""
    messages = [{"role": "user", "content": text} for text in said] or TALK
    return SessionData(metadata=SessionMetadata(session_id=session_id, **stated), messages=messages)  # type: ignore[arg-type]


def kept(folder: Path) -> dict[str, list[str]]:
    """What the store beside the files holds: by key the texts of each session."""
    with SessionManager(folder / "sessionstore") as manager:
        return {
            entry["key"]: [
                part.get("content", "") for message in manager.get(entry["key"]).history() for part in message["parts"]
            ]
            for entry in manager.list(archived=None, limit=1000)
        }


def legacy_file(path: Path, session_id: str, *said: str, **stated: Any) -> bytes:
    """Write a file as mcp-cli does; its bytes."""
    metadata = {"session_id": session_id, "created_at": "2026-02-01T10:00:00+00:00", "message_count": len(said)}
    metadata |= {"updated_at": "2026-02-01T11:00:00+00:00", "provider": "", "model": "", "description": "", **stated}
    messages = [{"role": "user", "content": text} for text in said]
    data = json.dumps({"metadata": metadata, "messages": messages, "token_usage": None}, indent=2).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


# -- names and shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_older_module(name: str) -> None:
    owner, _, method = name.partition(".")
    assert str(inspect.signature(getattr(getattr(mcp_cli, owner), method))) == SIGNATURES[name]


def test_what_was_static_is_static() -> None:
    for owner, name in ((MarkdownExporter, "export"), (JSONExporter, "export"), (TokenTracker, "estimate_tokens")):
        assert isinstance(inspect.getattr_static(owner, name), staticmethod)


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_those_of_the_older_module(name: str) -> None:
    shape: type[BaseModel] = getattr(mcp_cli, name)
    found = {}
    for field, info in shape.model_fields.items():
        annotation = info.annotation
        plain = annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else ""
        told = plain or str(annotation).replace("typing.", "").replace("sessionstore.compat._mcp_cli_shapes.", "")
        made = "made" if info.default_factory else ... if info.is_required() else info.default
        found[field] = (told, made)
    assert found == FIELDS[name]
    assert list(found) == list(FIELDS[name])


# -- saving and loading ----------------------------------------------------------------------------------------------


def test_a_file_is_what_mcp_cli_writes_to_the_byte(store: SessionStore, folder: Path) -> None:
    created = "2026-03-01T10:00:00.123456+00:00"
    metadata = SessionMetadata(
        session_id="chat-0a1b2c3d4e5f", created_at=created, provider="openai", model="gpt-4o-mini", message_count=99
    )
    data = SessionData(metadata=metadata, messages=TALK, token_usage=USAGE)
    path = store.save(data)
    assert path == folder / "default" / "chat-0a1b2c3d4e5f.json"
    assert path.read_bytes() == (FILE % data.metadata.updated_at).encode()
    assert data.metadata.updated_at > created
    assert data.metadata.message_count == 5
    loaded = store.load("chat-0a1b2c3d4e5f")
    assert loaded == data and loaded is not data


def test_a_session_is_in_the_store_with_its_bytes(store: SessionStore, folder: Path) -> None:
    path = store.save(talk())
    with SessionManager(folder / "sessionstore") as manager:
        session = manager.get("chat-0a1b2c3d4e5f")
        assert [message["role"] for message in session.history()] == [message["role"] for message in TALK]
        entry = session.revision["originals"][0]
        assert b"".join(manager.store.original(entry)) == path.read_bytes()
        assert manager.search("Three")[0]["key"] == session.key


def test_another_migration_of_the_same_files_changes_nothing(store: SessionStore, folder: Path, tmp_path: Path) -> None:
    store.save(talk())
    program = Program(tmp_path, tmp_path, folder / "sessionstore")
    before = kept(folder)
    done = subprocess.run(
        [sys.executable, "-m", "sessionstore", "migrate", str(folder / "default"), "--json"],
        env=program.environment(),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    report = json.loads(done.stdout)
    assert (report["sources"], report["skipped"]) == (0, 1)
    assert kept(folder) == before and len(before) == 1


def test_saving_again_continues_the_session(store: SessionStore, folder: Path) -> None:
    store.save(talk("chat-1", "one"))
    store.save(talk("chat-1", "one", "two"))
    assert list(kept(folder).values()) == [["one", "two"]]
    found = store.load("chat-1")
    assert found is not None and len(found.messages) == 2


def test_turns_that_leave_the_window_stay_in_the_store(store: SessionStore, folder: Path) -> None:
    said = [f"turn {n}" for n in range(260)]
    store.save(talk("chat-1", *said[:200]))
    store.save(talk("chat-1", *said[60:]))
    found = store.load("chat-1")
    assert found is not None and [message["content"] for message in found.messages] == said[60:]
    assert list(kept(folder).values()) == [said]


def test_a_session_keeps_the_time_it_began(store: SessionStore) -> None:
    first = talk("chat-1", "one", created_at="2026-03-01T10:00:00+00:00")
    store.save(first)
    again = talk("chat-1", "one", "two")
    assert again.metadata.created_at > "2026-03-01T10:00:00+00:00"
    store.save(again)
    assert again.metadata.created_at == "2026-03-01T10:00:00+00:00"
    found = store.load("chat-1")
    assert found is not None
    assert (found.metadata.created_at, found.metadata.message_count) == ("2026-03-01T10:00:00+00:00", 2)


def test_the_latest_comes_first_in_the_list(store: SessionStore) -> None:
    for name in ("a", "b", "c"):
        store.save(talk(name, "hello"))
    store.save(talk("a", "hello", "again"))
    assert [metadata.session_id for metadata in store.list_sessions()] == ["a", "c", "b"]


def test_what_is_not_there(store: SessionStore) -> None:
    assert store.load("chat-1") is None
    assert store.list_sessions() == []
    assert store.delete("chat-1") is False


def test_a_deleted_session_is_put_away_and_comes_back_when_it_is_saved(store: SessionStore, folder: Path) -> None:
    path = store.save(talk("chat-1", "one"))
    assert store.delete("chat-1") is True
    assert not path.exists()
    assert store.load("chat-1") is None
    assert store.list_sessions() == []
    assert store.delete("chat-1") is False
    assert SessionStore(folder).load("chat-1") is None
    with SessionManager(folder / "sessionstore") as manager:
        assert manager.state("chat-1") == "archived"
        assert manager.list() == []
    store.save(talk("chat-1", "one", "two"))
    assert [metadata.session_id for metadata in store.list_sessions()] == ["chat-1"]
    with SessionManager(folder / "sessionstore") as manager:
        assert manager.state("chat-1") == "retrieved"
        assert manager.get("chat-1").count == 2


def test_a_deleted_session_can_be_had_back_on_the_command_line(
    store: SessionStore, folder: Path, tmp_path: Path
) -> None:
    store.save(talk("chat-1", "one"))
    assert store.delete("chat-1")
    program = Program(tmp_path, tmp_path, folder / "sessionstore")
    command = [sys.executable, "-m", "sessionstore", "note", "unarchive", "chat-1"]
    subprocess.run(command, env=program.environment(), check=True, cwd=tmp_path, timeout=60)
    found = store.load("chat-1")
    assert found is not None and found.messages[0]["content"] == "one"
    assert [metadata.session_id for metadata in store.list_sessions()] == ["chat-1"]


def test_agents_do_not_see_each_other(folder: Path) -> None:
    one, other = SessionStore(folder, "gardener"), SessionStore(folder)
    one.save(talk("chat-1", "beds"))
    other.save(talk("chat-1", "paths"))
    found = one.load("chat-1")
    assert found is not None and found.messages[0]["content"] == "beds"
    assert one.delete("chat-1")
    assert [metadata.session_id for metadata in other.list_sessions()] == ["chat-1"]
    assert sorted(kept(folder).values()) == [["beds"], ["paths"]]


def test_what_is_in_a_lone_surrogate_is_saved(store: SessionStore, folder: Path) -> None:
    store.save(talk("chat-1", "torn \ud83d"))
    found = store.load("chat-1")
    assert found is not None and found.messages[0]["content"] == "torn \ufffd"


def test_permissions_of_a_file_stay(store: SessionStore) -> None:
    path = store.save(talk("chat-1", "one"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    store.save(talk("chat-1", "two"))
    assert path.stat().st_mode & 0o777 == 0o644


# -- ids and names ---------------------------------------------------------------------------------------------------


def test_ids_that_give_the_same_name_are_kept_apart(store: SessionStore) -> None:
    first = store.save(talk("a/b", "slash"))
    second = store.save(talk("a_b", "underscore"))
    assert first.name == "a_b.json" and second.name != "a_b.json" and second.parent == first.parent
    for name, said in (("a/b", "slash"), ("a_b", "underscore")):
        found = store.load(name)
        assert found is not None and (found.metadata.session_id, found.messages[0]["content"]) == (name, said)
    assert store.save(talk("a_b", "underscore", "again")) == second
    assert {metadata.session_id for metadata in store.list_sessions()} == {"a/b", "a_b"}
    assert store.delete("a_b") and store.load("a/b") is not None


def test_deleting_takes_no_other_session_of_the_same_file_name(store: SessionStore) -> None:
    store.save(talk("a/b", "slash"))
    assert store.delete("a_b") is False
    assert store.load("a/b") is not None


@pytest.mark.parametrize(
    "name", ["../../outside", "/etc/passwd", "..\\..\\x", "a/../../b", "..", "x" * 300, "a\nb", ".", ""]
)
def test_no_id_leads_out_of_the_directory(store: SessionStore, folder: Path, name: str) -> None:
    path = store.save(talk(name, "hello"))
    assert path.parent == folder / "default" and path.exists()
    found = store.load(name)
    assert found is not None and found.metadata.session_id == name
    assert store.delete(name)


@pytest.mark.parametrize("agent", ["../outside", "/outside", "a/b", ".."])
def test_no_agent_leads_out_of_the_directory(folder: Path, agent: str) -> None:
    path = SessionStore(folder, agent).save(talk("chat-1", "hello"))
    assert path.parent.parent == folder
    assert not (folder.parent / "outside").exists()


def test_an_agent_called_like_the_store_is_not_in_its_way(folder: Path) -> None:
    store = SessionStore(folder, "sessionstore")
    path = store.save(talk("chat-1", "hello"))
    assert path.parent == folder / "sessionstore_"
    assert store.load("chat-1") is not None
    assert Store(folder / "sessionstore").root


def test_a_renamed_file_is_found_by_its_id_and_by_its_name(store: SessionStore) -> None:
    path = store.save(talk("chat-1", "hello"))
    path.rename(path.with_name("work.json"))
    for name in ("work", "chat-1"):
        found = SessionStore(store.sessions_dir.parent).load(name)
        assert found is not None and found.metadata.session_id == "chat-1"


# -- what mcp-cli left, and what is damaged --------------------------------------------------------------------------


def test_what_mcp_cli_left_is_taken_over_untouched(folder: Path) -> None:
    old = legacy_file(folder / "chat-old.json", "chat-old", "before agents")
    new = legacy_file(folder / "default" / "chat-new.json", "chat-new", "with agents", agent_id="default")
    foreign = legacy_file(folder / "gardener" / "chat-beds.json", "chat-beds", "beds", agent_id="gardener")
    store = SessionStore(folder)
    found = store.load("chat-old")
    assert found is not None and found.messages[0]["content"] == "before agents"
    assert {metadata.session_id for metadata in store.list_sessions()} == {"chat-old", "chat-new"}
    assert sorted(kept(folder).values()) == [["beds"], ["before agents"], ["with agents"]]
    assert (folder / "chat-old.json").read_bytes() == old
    assert (folder / "default" / "chat-new.json").read_bytes() == new
    assert (folder / "gardener" / "chat-beds.json").read_bytes() == foreign


def test_a_session_from_before_agents_goes_on_in_its_agents_directory(folder: Path) -> None:
    legacy_file(folder / "chat-old.json", "chat-old", "one")
    store = SessionStore(folder)
    path = store.save(talk("chat-old", "one", "two"))
    assert path == folder / "default" / "chat-old.json"
    found = store.load("chat-old")
    assert found is not None and len(found.messages) == 2
    assert found.metadata.created_at == "2026-02-01T10:00:00+00:00"
    assert [metadata.session_id for metadata in store.list_sessions()] == ["chat-old"]


def test_fixtures_of_real_layouts_are_listed(folder: Path) -> None:
    for path in FIXTURES.rglob("*.json"):
        target = folder / path.relative_to(FIXTURES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert len(SessionStore(folder).list_sessions()) == 3
    assert len(kept(folder)) == 4
    beds = SessionStore(folder, "gardener").load("plan/beds")
    assert beds is not None and beds.metadata.session_id == "plan/beds"


def test_a_damaged_file_is_read_from_the_store(store: SessionStore, folder: Path) -> None:
    path = store.save(talk("chat-1", "one"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    for reader in (store, SessionStore(folder)):
        found = reader.load("chat-1")
        assert found is not None and found.messages[0]["content"] == "one"
        assert [metadata.session_id for metadata in reader.list_sessions()] == ["chat-1"]
    store.save(talk("chat-1", "one", "two"))
    assert json.loads(path.read_bytes())["metadata"]["message_count"] == 2


def test_a_lost_file_is_read_from_the_store(store: SessionStore, folder: Path) -> None:
    store.save(talk("chat-1", "one")).unlink()
    for reader in (store, SessionStore(folder)):
        found = reader.load("chat-1")
        assert found is not None and found.messages[0]["content"] == "one"
        assert [metadata.session_id for metadata in reader.list_sessions()] == ["chat-1"]
    assert SessionStore(folder, "gardener").list_sessions() == []
    assert store.delete("chat-1")
    assert store.load("chat-1") is None


def test_a_damaged_file_that_nobody_knows_is_left_out_and_left_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn = folder / "default" / "chat-1.json"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b'{"metadata": {"session_id": "chat-1"')
    store = SessionStore(folder)
    with caplog.at_level(logging.WARNING):
        assert store.list_sessions() == []
    assert "cannot be read" in caplog.text
    assert store.load("chat-1") is None
    path = store.save(talk("chat-1", "new"))
    assert path != torn and torn.read_bytes().startswith(b'{"metadata"')
    found = store.load("chat-1")
    assert found is not None and found.messages[0]["content"] == "new"


def test_a_file_that_mcp_cli_has_written_meanwhile_counts(store: SessionStore, folder: Path) -> None:
    path = store.save(talk("chat-1", "one"))
    legacy_file(path, "chat-1", "one", "two")
    found = store.load("chat-1")
    assert found is not None and len(found.messages) == 2
    store.save(talk("chat-1", "one", "two", "three"))
    assert list(kept(folder).values()) == [["one", "two", "three"]]


def test_reading_goes_on_when_the_store_cannot_be_opened(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    legacy_file(folder / "default" / "chat-1.json", "chat-1", "hello")
    (folder / "sessionstore").mkdir()
    (folder / "sessionstore" / "STORE.json").write_text('{"format":"sessionstore","v":99,"features":{}}')
    store = SessionStore(folder)
    with caplog.at_level(logging.WARNING):
        found = store.load("chat-1")
    assert found is not None and "not in the store yet" in caplog.text
    with pytest.raises(errors.FormatTooNew):
        store.save(talk("chat-1", "hello", "again"))


def test_the_usual_place_is_mcp_clis_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SESSIONSTORE_DIR", str(tmp_path / "store"))
    legacy_file(tmp_path / ".mcp-cli" / "sessions" / "default" / "chat-1.json", "chat-1", "hello")
    store = SessionStore()
    assert store.sessions_dir == tmp_path / ".mcp-cli" / "sessions" / "default"
    assert [metadata.session_id for metadata in store.list_sessions()] == ["chat-1"]
    assert [found["source"] for found in SessionManager(tmp_path / "store").list()] == ["mcp-cli"]


def test_threads_and_processes_may_save_at_once(folder: Path) -> None:
    writer = """
import sys
from sessionstore.compat.mcp_cli import SessionData, SessionMetadata, SessionStore
store = SessionStore(__import__("pathlib").Path(sys.argv[1]))
for n in range(10):
    said = [{"role": "user", "content": f"{sys.argv[2]} {m}"} for m in range(n + 1)]
    store.save(SessionData(metadata=SessionMetadata(session_id=sys.argv[2]), messages=said))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", writer, str(folder), f"process-{n}"], env=environment) for n in range(3)
    ]
    store = SessionStore(folder)

    def save(n: int) -> None:
        for count in (1, 2, 3):
            store.save(talk(f"thread-{n}", *map(str, range(count))))

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in running] == [0, 0, 0]
    counts = {key.rpartition(":")[2]: len(said) for key, said in kept(folder).items()}
    assert counts == {**{f"process-{n}": 10 for n in range(3)}, **{f"thread-{n}": 3 for n in range(4)}}
    assert len(SessionStore(folder).list_sessions()) == 7


def test_what_was_saved_survives_a_kill_at_any_moment(folder: Path) -> None:
    writer = """
import sys
from pathlib import Path
from sessionstore.compat.mcp_cli import SessionData, SessionMetadata, SessionStore
store, said = SessionStore(Path(sys.argv[1])), []
for n in range(10_000):
    said.append({"role": "user", "content": f"turn {n} " + "x" * 500})
    store.save(SessionData(metadata=SessionMetadata(session_id=sys.argv[2]), messages=said[-200:]))
    print(n, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for wait in (1, 7, 40):
        process = subprocess.Popen(
            [sys.executable, "-c", writer, str(folder), f"chat-{wait}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        last = [int(process.stdout.readline()) for _ in range(wait)][-1]
        process.kill()
        last = max([last, *map(int, process.communicate()[0].split())])
        found = SessionStore(folder).load(f"chat-{wait}")
        assert found is not None and f"turn {last}" in {message["content"][:-501] for message in found.messages}
        assert json.loads((folder / "default" / f"chat-{wait}.json").read_bytes())["messages"] == found.messages
        (said,) = (said for key, said in kept(folder).items() if key.endswith(f":chat-{wait}"))
        assert [text.split()[1] for text in said] == [str(n) for n in range(len(said))] and len(said) > last


# -- exports ---------------------------------------------------------------------------------------------------------


def test_markdown_to_the_byte() -> None:
    long = {"role": "tool", "tool_call_id": "call_2", "content": "x" * 3000}
    broken = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "g", "arguments": "{oops"}}]}
    told = MarkdownExporter.export(
        [*TALK, broken, long, {"role": "developer", "content": "?"}], {"model": "gpt", "n": 1}
    )
    expected = [
        "# Chat Export", "", "## Metadata", "", "- **model**: gpt", "- **n**: 1", "", "---", "",
        "### System", "", "> You have tools.", "",
        "### User", "", "Grüße 🌿 \u2028?", "",
        "### Assistant", "", "**Tool Call**: `f`", "", "```json", "{", '  "a": 1', "}", "```", "",
        "### Tool Result (`call_1`)", "", "```", "3", "```", "",
        "### Assistant", "", "Three.", "",
        "### Assistant", "", "**Tool Call**: `g`", "", "```json", "{oops", "```", "",
        "### Tool Result (`call_2`)", "", "```", "x" * 2000, "```", "",
    ]  # fmt: skip
    assert told == "\n".join(expected)
    assert MarkdownExporter.export([]) == "# Chat Export\n\n---\n"


def test_markdown_of_messages_that_are_no_plain_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "user", "content": None},
        {"role": "tool", "content": {"ä": 1}},
        {"role": "assistant", "content": None, "tool_calls": ["none", {"function": {"arguments": {"a": 1}}}]},
    ]
    told = MarkdownExporter.export(messages)
    assert "What is this?\n[image_url]\n" in told and "base64" not in told
    assert '### Tool Result (``)\n\n```\n{"ä": 1}\n```' in told
    assert '**Tool Call**: `unknown`\n\n```json\n{\n  "a": 1\n}\n```' in told


def test_json_to_the_byte(tmp_path: Path) -> None:
    metadata = {"session_id": "chat-0a1b2c3d4e5f", "provider": "openai", "model": "gpt-4o-mini"}
    told = JSONExporter.export(TALK, metadata, USAGE)
    time = json.loads(told)["exported_at"]
    fixture = (FIXTURES.parent / "chat-chat-0a1b2c3d4e5f.json").read_text(encoding="utf-8")
    original = json.loads(fixture)
    made = JSONExporter.export(original["messages"], original["metadata"], original["token_usage"])
    assert made.replace(json.loads(made)["exported_at"], original["exported_at"]) == fixture
    assert time.endswith("+00:00") and told.isascii() and not told.endswith("\n")
    assert list(json.loads(JSONExporter.export([], {}, {}))) == ["version", "exported_at", "messages"]
    assert json.loads(JSONExporter.export([{"path": tmp_path}]))["messages"] == [{"path": str(tmp_path)}]


def test_an_export_comes_back_by_migration(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    file = tmp_path / "export" / "chat-x.json"
    file.write_text(JSONExporter.export(TALK, {"session_id": "chat-x"}), encoding="utf-8")
    program = Program(tmp_path, tmp_path, tmp_path / "store")
    command = [sys.executable, "-m", "sessionstore", "migrate", str(file), "--json"]
    done = subprocess.run(command, env=program.environment(), capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["formats"] == {"mcp-cli": 1}


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_token_figures() -> None:
    tracker = TokenTracker()
    assert tracker.format_summary() == "No token usage recorded."
    tracker.record_turn(TurnUsage(input_tokens=1200, output_tokens=34))
    tracker.record_turn(TurnUsage(input_tokens=1, output_tokens=2, estimated=True))
    assert (tracker.total_input, tracker.total_output, tracker.total_tokens, tracker.turn_count) == (1201, 36, 1237, 2)
    assert tracker.turns[0].total_tokens == 1234
    assert tracker.format_summary() == (
        "Token Usage (2 turns):\n  Input:  1,201 tokens\n  Output: 36 tokens\n  Total:  1,237 tokens\n"
        "  (1 turns estimated)"
    )
    assert [TokenTracker.estimate_tokens(text) for text in ("", "a", "abcd", "abcdefgh")] == [0, 1, 1, 2]


# -- a program -------------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a person who has nothing yet."""
    return Program(tmp_path, tmp_path).environment()


def test_a_program_for_mcp_cli_runs_with_the_import_swapped(environment: dict[str, str], tmp_path: Path) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.rstrip().endswith("ALL TESTS PASSED")


def test_importing_it_costs_a_search_nothing() -> None:
    code = "import sys, sessionstore, sessionstore.compat; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0

"""The face of llm-mcp-server's unified sessions."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sessionstore.compat import llm_sessions
from sessionstore.compat.llm_sessions import BaseAdapter, FeatureFlags, SessionManager, SessionMigrator
from sessionstore.store import Store
from tests.cli.running import ROOT
from tests.dual.programs import KimiProgram, UnifiedProgram

LEGACY = ROOT / "fixtures" / "legacy" / "project"
PROGRAM = Path(__file__).parent / "programs" / "unified_sessions.py"
NOTHING = inspect.Parameter.empty
SIGNATURES: dict[str, dict[str, Any]] = {
    "SessionManager.__init__": {"self": NOTHING, "base_dir": ".llm_sessions"},
    "SessionManager.create_session": {
        "self": NOTHING,
        "model": NOTHING,
        "system_prompt": None,
        "metadata": None,
        "session_id": None,
    },
    "SessionManager.load_session": {"self": NOTHING, "session_id": NOTHING},
    "SessionManager.save_session": {"self": NOTHING, "session": NOTHING},
    "SessionManager.add_message": {
        "self": NOTHING,
        "session_id": NOTHING,
        "role": NOTHING,
        "content": NOTHING,
        "metadata": None,
    },
    "SessionManager.switch_model": {"self": NOTHING, "session_id": NOTHING, "new_model": NOTHING, "reason": None},
    "SessionManager.list_sessions": {"self": NOTHING, "model": None, "tag": None, "limit": 100, "offset": 0},
    "SessionManager.delete_session": {"self": NOTHING, "session_id": NOTHING},
    "SessionManager.migrate_kimi_session": {"self": NOTHING, "kimi_session_path": NOTHING},
    "FeatureFlags.is_unified_sessions_enabled": {},
    "FeatureFlags.is_legacy_mode": {},
    "FeatureFlags.is_dual_write_enabled": {},
    "FeatureFlags.get_migration_batch_size": {},
    "FeatureFlags.is_session_compression_enabled": {},
    "FeatureFlags.get_session_cache_size": {},
    "FeatureFlags.get_compression_threshold": {},
    "FeatureFlags.is_sqlite_index_enabled": {},
    "FeatureFlags.get_active_features": {},
    "BaseAdapter.__init__": {"self": NOTHING, "api_key": None},
    "BaseAdapter.initialize_client": {"self": NOTHING},
    "BaseAdapter.format_messages": {"self": NOTHING, "messages": NOTHING},
    "BaseAdapter.create_completion": {"self": NOTHING, "messages": NOTHING, "model": NOTHING, "kwargs": NOTHING},
    "BaseAdapter.extract_metadata": {"self": NOTHING, "response": NOTHING},
    "BaseAdapter.calculate_cost": {
        "self": NOTHING,
        "model": NOTHING,
        "input_tokens": NOTHING,
        "output_tokens": NOTHING,
    },
    "BaseAdapter.handle_error": {"self": NOTHING, "error": NOTHING},
    "BaseAdapter.supports_model": {"self": NOTHING, "model": NOTHING},
    "BaseAdapter.validate_messages": {"self": NOTHING, "messages": NOTHING},
    "BaseAdapter.get_token_limits": {"self": NOTHING, "model": NOTHING},
    "SessionMigrator.__init__": {"self": NOTHING, "dry_run": False, "backup": True},
    "SessionMigrator.migrate_kimi_sessions": {"self": NOTHING, "source_dir": ".kimi_sessions"},
    "SessionMigrator.verify_migration": {"self": NOTHING, "original_dir": ".kimi_sessions"},
    "main": {},
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_older_programs(name: str) -> None:
    found: Any = llm_sessions
    for step in name.split("."):
        found = inspect.getattr_static(found, step)
    if isinstance(found, staticmethod):
        found = found.__func__
    parameters = inspect.signature(found).parameters
    assert {one.name: one.default for one in parameters.values()} == SIGNATURES[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, without switches."""
    for name in list(os.environ):
        if name.startswith(("LLM_", "SESSIONSTORE")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(cwd: Path, **env: str) -> dict[str, Any]:
    """What the program saw, by step."""
    known = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        cwd=cwd,
        env={**known, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(map(json.loads, done.stdout.decode().splitlines()))


MODES = ({}, {"LLM_DUAL_WRITE": "1"}, {"LLM_LEGACY": "true"}, {"LLM_UNIFIED": "yes", "LLM_DUAL_WRITE": "yes"})


@pytest.mark.parametrize("env", MODES, ids=["store", "dual", "legacy", "unified-dual"])
def test_a_program_works_after_changing_its_import(here: Path, env: dict[str, str]) -> None:
    seen = ran(here, **env)
    assert seen["id"] == [True, 4]
    assert seen["roles"] == ["system", "user", "assistant"]
    assert seen["answer"] == {
        "role": "assistant",
        "content": "Hi.",
        "timestamp": 1752394535.2,
        "tokens": {"input": 9, "output": 2, "total": 11},
        "cost": 3.6e-05,
        "finish_reason": "stop",
        "model": "gpt-4.1-mini",
    }
    said = "Model switched from gpt-4.1-mini to gemini-2.5-pro. Reason: second opinion"
    assert seen["model"] == ["gemini-2.5-pro", ["gpt-4.1-mini", "gemini-2.5-pro"], said]
    switch = {"from_model": "gpt-4.1-mini", "to_model": "gemini-2.5-pro", "reason": "second opinion"}
    assert seen["switch"] == {**switch, "message_count": 3}
    again = "Model switched from gemini-2.5-pro to gpt-4.1-mini. Reason: User requested"
    assert seen["back"] == ["gpt-4.1-mini", again]
    by_hand = {"role": "user", "content": "by hand", "timestamp": "2025-07-13T10:15:30.120977", "mine": [1]}
    assert seen["saved"] == [True, by_hand, 8]
    assert (seen["a copy"], seen["threads"]) == (6, 14)
    assert (seen["list"], seen["page"]) == (["kimi-2", "kimi-1"], ["kimi-0"])
    keys = ["created_at", "id", "message_count", "model", "models_used", "tags", "updated_at"]
    assert seen["tag"] == [keys]
    assert seen["deleted"] == [True, False, None]
    assert seen["missing"] == "Session nobody not found"
    assert seen["flags"]["legacy_mode"] == ("LLM_LEGACY" in env)
    files = sorted((here / ".llm_sessions" / "sessions").glob("*.json")) if env else []
    assert len(files) == (3 if env else 0)
    if env:
        program = UnifiedProgram(here / ".llm_sessions")
        [ident] = [path.stem for path in files if path.stem.startswith("unified_")]
        assert program.load(ident) == SessionManager(str(here / ".llm_sessions")).load_session(ident)


def test_what_the_older_program_left_is_found(here: Path) -> None:
    shutil.copytree(LEGACY / ".llm_sessions", here / ".llm_sessions", symlinks=True)
    files = {path.name: path.read_bytes() for path in (here / ".llm_sessions" / "sessions").glob("*.json")}
    manager = SessionManager()
    program = UnifiedProgram(here / ".llm_sessions")
    assert {one["id"] for one in manager.list_sessions()} == {name.removesuffix(".json") for name in files}
    for ident in ("release-notes", "unified_20250713_101530_1a2b3c4d", "migrated_api-design_20250712_2100"):
        expected = program.load(ident)
        assert expected is not None
        found = manager.load_session(ident)
        assert found is not None
        assert {**found, "model": 0} == {**expected, "model": 0}
    after = manager.add_message("release-notes", "user", "more")
    assert after["messages"][:-1] == (program.load("release-notes") or {})["messages"]
    assert {path.name: path.read_bytes() for path in (here / ".llm_sessions" / "sessions").glob("*.json")} == files
    assert len(SessionManager().list_sessions()) == 4


def test_a_switch_is_kept_and_not_repeated(here: Path) -> None:
    manager = SessionManager()
    manager.create_session("a", session_id="s")
    manager.switch_model("s", "b")
    assert manager.switch_model("s", "b")["metadata"]["model_switches"][1:] == []
    assert (SessionManager().load_session("s") or {})["model"] == "b"
    assert len(manager.switch_model("s", "a")["metadata"]["model_switches"]) == 2


def test_an_id_used_again_begins_anew_and_loses_nothing(here: Path) -> None:
    manager = SessionManager()
    manager.create_session("a", "First.", {"tags": ["x"]}, "same")
    manager.add_message("same", "user", "one")
    second = manager.create_session("b", session_id="same")
    assert (second["messages"], second["model"], second["models_used"]) == ([], "b", ["b"])
    manager.add_message("same", "user", "two")
    assert [one["content"] for one in (manager.load_session("same") or {})["messages"]] == ["two"]
    store = Store(here / ".llm_sessions" / "sessionstore")
    kept = [part["content"] for one in store.messages(store.heads("native:same")[0]) for part in one["parts"]]
    assert kept == ["First.", "one", "two"]
    assert manager.delete_session("same")
    assert manager.create_session("c", session_id="same")["messages"] == []
    assert manager.add_message("same", "user", "three")["model"] == "c"


def test_save_session_takes_messages_away_and_changes_them(here: Path) -> None:
    manager = SessionManager()
    session = manager.create_session("a", "Be brief.", {"note": 1, "other": 2}, "s")
    for text in ("one", "two", "three"):
        session = manager.add_message("s", "user", text)
    del session["messages"][2:]
    del session["metadata"]["note"]
    session["metadata"]["tags"] = ["t"]
    session["model"] = "b"
    manager.save_session(session)
    found = manager.load_session("s") or {}
    assert [one["content"] for one in found["messages"]] == ["Be brief.", "one"]
    assert (found["model"], found["metadata"]["tags"], found["metadata"].get("note"), found["metadata"]["other"]) == (
        "b",
        ["t"],
        None,
        2,
    )
    found["messages"][1]["content"] = "changed"
    manager.save_session(found)
    assert [one["content"] for one in (manager.load_session("s") or {})["messages"]] == ["Be brief.", "changed"]
    assert [one["content"] for one in manager.add_message("s", "user", "on")["messages"]][1:] == ["changed", "on"]
    manager.save_session({"id": "made", "model": "m", "messages": [{"role": "user", "content": "hi"}], "metadata": {}})
    assert [one["content"] for one in (manager.load_session("made") or {})["messages"]] == ["hi"]
    with pytest.raises(KeyError):
        manager.save_session({"messages": []})


def test_a_session_that_others_hold_raises_a_timeout(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessionstore.compat._llm_sessions_keeping.TIMEOUT", 0.2)
    manager = SessionManager()
    manager.create_session("a", session_id="s")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        other = SessionManager()._keeping.manager
        with other.held("native:s"):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        with pytest.raises(TimeoutError, match="Could not acquire lock for session s"):
            manager.add_message("s", "user", "hi")
    finally:
        done.set()
        thread.join()
    assert len(manager.add_message("s", "user", "hi")["messages"]) == 1


def test_processes_do_not_write_over_each_other(here: Path) -> None:
    SessionManager().create_session("a", session_id="s")
    code = "import sys\nfrom sessionstore.compat.llm_sessions import SessionManager\nm = SessionManager()\n"
    code += "for n in range(10): m.add_message('s', 'user', sys.argv[1] + str(n))"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LLM_DUAL_WRITE": "1"}
    running = [subprocess.Popen([sys.executable, "-c", code, name], cwd=here, env=env) for name in "abc"]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    said = [one["content"] for one in (SessionManager().load_session("s") or {})["messages"]]
    assert sorted(said) == sorted(f"{name}{n}" for name in "abc" for n in range(10))
    assert [text for text in said if text[0] == "a"] == [f"a{n}" for n in range(10)]
    file = UnifiedProgram(here / ".llm_sessions").load("s")
    assert file is not None
    assert [one["content"] for one in file["messages"]] == said


def test_kimi_sessions_are_taken_over_without_their_old_losses(here: Path) -> None:
    shutil.copytree(LEGACY / ".kimi_sessions", here / ".kimi_sessions")
    manager = SessionManager()
    made = manager.migrate_kimi_session(here / ".kimi_sessions" / "api-design_20250712_2100.json")
    assert (made["id"], made["created_at"]) == ("migrated_api-design_20250712_2100", "2025-07-12T21:00:00")
    assert made["metadata"]["original_created_at"] == "2025-07-12T21:00:00"
    assert (made["metadata"]["migrated_from"], made["metadata"]["kimi_topics"]) == ("kimi", ["api", "design"])
    assert made["messages"][-1]["tool_call_id"] == "get_current_time:0"
    assert manager.load_session(made["id"]) == made
    manager.add_message(made["id"], "assistant", "Nine.")
    assert [one["message_count"] for one in manager.list_sessions()] == [5]
    with pytest.raises(FileNotFoundError):
        manager.migrate_kimi_session(here / "nowhere.json")
    (here / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="recognises"):
        manager.migrate_kimi_session(here / "bad.json")


def test_the_migrator(here: Path) -> None:
    shutil.copytree(LEGACY / ".kimi_sessions", here / ".kimi_sessions")
    (here / ".kimi_sessions" / "torn.json").write_text('{"session_id"')
    assert SessionMigrator(dry_run=True).migrate_kimi_sessions() == {
        "total": 7,
        "migrated": 6,
        "skipped": 0,
        "errors": 1,
    }
    assert not (here / ".llm_sessions").exists()
    migrator = SessionMigrator()
    assert migrator.migrate_kimi_sessions() == {"total": 7, "migrated": 6, "skipped": 0, "errors": 1}
    assert len(list(here.glob(".kimi_sessions_backup_*/*.json"))) == 7
    assert not migrator.verify_migration()
    (here / ".kimi_sessions" / "torn.json").unlink()
    assert migrator.verify_migration()
    assert SessionMigrator(backup=False).migrate_kimi_sessions() == {
        "total": 6,
        "migrated": 0,
        "skipped": 6,
        "errors": 0,
    }
    KimiProgram(here / ".kimi_sessions").say("chat-v2_final", {"role": "user", "content": "later"})
    assert not migrator.verify_migration()
    done = subprocess.run(
        [sys.executable, "-c", "from sessionstore.compat.llm_sessions import main; main()", "--verify", "--no-backup"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "total: 6, migrated: 1, skipped: 5, errors: 0\nverified\n"), (
        done.stderr
    )


def test_where_the_files_lead_they_are_what_is_seen(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_LEGACY", "1")
    manager, program = SessionManager(), UnifiedProgram(here / ".llm_sessions")
    program.save(program.create("theirs", "gpt-5", None, {"tags": ["x"]}, "2025-07-13T10:00:00"), "2025-07-13T10:00:00")
    assert (manager.load_session("theirs") or {})["model"] == "gpt-5"
    program.say("theirs", "user", "hello")
    after = manager.add_message("theirs", "assistant", "hi")
    assert [one["content"] for one in after["messages"]] == ["hello", "hi"]
    assert program.load("theirs") == after
    assert [one["id"] for one in manager.list_sessions(tag="x")] == ["theirs"]
    (here / ".llm_sessions" / "sessions" / "theirs.json").write_text("{")
    with pytest.raises(ValueError, match=r"theirs\.json"):
        manager.load_session("theirs")
    assert manager.list_sessions() == []
    monkeypatch.delenv("LLM_LEGACY")
    assert len((SessionManager().load_session("theirs") or {})["messages"]) == 2


def test_a_directory_that_is_a_store_is_used_as_one(here: Path) -> None:
    store = Store.init(here / ".llm_sessions")
    SessionManager().create_session("a", session_id="s")
    assert store.heads("native:s")
    assert not (here / ".llm_sessions" / "sessionstore").exists()


@pytest.mark.parametrize("value", ["1", "true", "YES", "True"])
def test_switches_that_are_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("LLM_UNIFIED", "LLM_DUAL_WRITE", "LLM_SESSION_COMPRESS", "LLM_SESSION_INDEX"):
        monkeypatch.setenv(name, value)
    assert FeatureFlags.is_unified_sessions_enabled()
    assert FeatureFlags.is_dual_write_enabled()
    assert FeatureFlags.is_session_compression_enabled()
    assert FeatureFlags.is_sqlite_index_enabled()
    assert not FeatureFlags.is_legacy_mode()
    monkeypatch.setenv("LLM_LEGACY", value)
    assert FeatureFlags.is_legacy_mode()
    assert not FeatureFlags.is_unified_sessions_enabled()


@pytest.mark.parametrize("value", ["", "0", "no", "on", "-3", "2x"])
def test_switches_that_are_off_and_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    names = ("LLM_SESSION_CACHE_SIZE", "LLM_COMPRESSION_THRESHOLD", "LLM_MIGRATION_BATCH_SIZE", "LLM_UNIFIED")
    for name in names:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LLM_COMPRESSION_THRESHOLD", value if value != "0" else "x")
    assert not FeatureFlags.is_unified_sessions_enabled()
    assert FeatureFlags.get_session_cache_size() == 50
    assert FeatureFlags.get_compression_threshold() == 10240
    assert FeatureFlags.get_migration_batch_size() == 50
    monkeypatch.setenv("LLM_SESSION_CACHE_SIZE", "7")
    assert FeatureFlags.get_active_features()["session_cache_size"] == 7


class Echo(BaseAdapter):
    """The smallest adapter."""

    @property
    def supported_models(self) -> list[str]:
        return ["echo-1"]

    def initialize_client(self) -> None:
        self.client = object()

    def format_messages(self, messages: list[dict[str, Any]]) -> Any:
        return messages

    def create_completion(
        self, messages: list[dict[str, Any]], model: str, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        response = {"usage": {"prompt_tokens": 3, "completion_tokens": 1}, "id": "r1", "model": model}
        return messages[-1]["content"], self.extract_metadata({**response, "choices": [{"finish_reason": "stop"}]})


def test_an_adapter_written_on_the_base_class() -> None:
    adapter = Echo("key")
    text, told = adapter.create_completion([{"role": "user", "content": "hi"}], "echo-1")
    assert text == "hi"
    assert told.pop("timestamp") > 1e9
    assert told == {
        "tokens": {"input": 3, "output": 1, "total": 4},
        "finish_reason": "stop",
        "request_id": "r1",
        "model": "echo-1",
    }
    assert adapter.supports_model("echo-1") and not adapter.supports_model("gpt-5")
    assert adapter.validate_messages([{"role": "user", "content": "hi"}])
    assert not adapter.validate_messages([{"role": "nobody", "content": "hi"}])
    assert adapter.handle_error(TimeoutError("late"))["retryable"]
    assert adapter.get_token_limits("gpt-4o")["context_window"] == 128_000
    assert adapter.calculate_cost("nobody-knows-it", 10, 10) == 0.0

"""Whole stories: what a person does from the first day on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.running import LEGACY, Program, files, ok

GAUGE = "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"
FOUND = {
    "claude-code": ('source:claude-code role:tool "No matches"', "4f0c1d2e-1111"),
    "codex": ("source:codex role:tool figlet", "1badb002"),
    "kimi": ("source:kimi 你好", "api-design"),
    "llm-sessions": ("source:llm-sessions 好", "migrated_api-design"),
}
"""For each format a search, for tool output or Chinese text, and what the found session's id holds."""


def said(text: str, time: str) -> str:
    """A line of a Codex rollout in which a person says something."""
    payload = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return json.dumps({"timestamp": time, "type": "response_item", "payload": payload}) + "\n"


def test_from_nothing_to_searching_and_back(program: Program, tmp_path: Path) -> None:
    legacy = tmp_path / "legacy"
    shutil.copytree(LEGACY, legacy, symlinks=True)
    untouched = files(legacy)
    assert program.store is not None
    ok(program("init"))
    before = files(program.store / "sessions")
    assert "kimi" in ok(program("sources", legacy)).out

    report = ok(program("migrate", legacy)).out
    assert "imported   24 sources (7 claude-code, 7 codex, 6 kimi, 4 llm-sessions)" in report
    assert "records    253: 216 mapped, 36 preserved, 1 rejected" in report
    [batch] = ok(program("batches", "--json")).json

    for query, native_id in FOUND.values():
        [hit] = [hit for hit in ok(program("search", query, "--json")).json if native_id in hit["key"]][:1]
        link = hit["link"]
        assert link in ok(program("search", query)).out
        shown = ok(program("show", link, "-C", 0, "--json")).json["messages"]
        assert [message["id"] for message in shown] == [hit["message"]]
        assert f"▶ {hit['role']}" in ok(program("show", link)).out

    markdown = ok(program("export", GAUGE, "--to", "markdown")).out
    assert markdown.startswith("# The gauge test fails on leap days.")
    assert "**Tool call** `shell`" in markdown
    lines = [json.loads(line) for line in ok(program("export", GAUGE, "--to", "jsonl")).out.splitlines()]
    assert lines[0]["counts"]["messages"] == len(lines) - 1 == 16

    [source] = legacy.rglob("rollout-*-5b0c2f4e-*.jsonl")
    assert ok(program("original", GAUGE)).raw == source.read_bytes()
    assert ok(program("original", source)).raw == source.read_bytes()
    ok(program("original", GAUGE, "--to", tmp_path / "one.jsonl"))
    assert (tmp_path / "one.jsonl").read_bytes() == source.read_bytes()
    assert program("original", GAUGE, "--to", tmp_path / "one.jsonl").code == 6
    ok(program("original", batch["id"], "--to", tmp_path / "tree"))
    tree = files(tmp_path / "tree")
    assert len(tree) == 24
    assert tree == {name: untouched[name] for name in tree}

    ok(program("verify", "--deep"))
    ok(program("rollback", batch["id"]))
    assert files(program.store / "sessions") == before
    assert ok(program("search", "error", "--json")).json == []
    assert ok(program("list", "--json")).json == []
    assert files(legacy) == untouched


def test_without_paths_the_usual_places_of_the_home_directory_are_imported(program: Program) -> None:
    shutil.copytree(LEGACY / "home", program.home, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(LEGACY / "project", program.cwd, symlinks=True, dirs_exist_ok=True)
    found = ok(program("sources", "--json")).json
    assert {entry["source"]: entry["files"] for entry in found["sources"]} == {
        "claude-code": 7,
        "codex": 7,
        "kimi": 6,
        "llm-sessions": 4,
    }
    rehearsed = ok(program("migrate", "--dry-run", "--json")).json
    assert program.store is not None
    assert not program.store.exists()
    done = ok(program("migrate", "--json")).json
    assert rehearsed["records"] == done["records"]
    assert rehearsed["sessions"] == done["sessions"] == 25
    again = ok(program("migrate")).out
    assert "24 unchanged since an earlier batch" in again
    assert again.endswith("nothing new; nothing was changed\n")


def test_a_conversation_that_goes_on_is_extended_and_one_that_was_changed_is_branched(
    program: Program, tmp_path: Path
) -> None:
    [original] = LEGACY.rglob("rollout-*-5b0c2f4e-*.jsonl")
    source = tmp_path / original.name
    shutil.copy(original, source)
    ok(program("migrate", source))
    beginning = source.read_bytes()
    source.write_bytes(beginning + said("And for 1900?", "2025-10-04T08:00:00.000Z").encode())
    assert "sessions   1 (1 extended)" in ok(program("migrate", source)).out
    assert len(ok(program("log", GAUGE, "--json")).json) == 1
    assert ok(program("search", "1900", "--json")).json[0]["key"] == GAUGE

    source.write_bytes(beginning + said("And for 2100?", "2025-10-04T09:00:00.000Z").encode())
    assert "sessions   1 (1 branched)" in ok(program("migrate", source)).out
    log = ok(program("log", GAUGE, "--json")).json
    assert [(entry["head"], entry["messages"]) for entry in log] == [(True, 17), (True, 17)]
    shown = ok(program("show", GAUGE))
    assert "this session has 2 branches" in shown.err
    assert "2100" in shown.out
    assert "1900" in ok(program("show", f"{GAUGE}@{log[1]['revision'][:12]}")).out
    for _ in range(3):
        ok(program("rollback", "@last"))
    assert ok(program("list", "--json")).json == []


def test_retired_sources_come_back_as_they_were(program: Program, tmp_path: Path) -> None:
    legacy = tmp_path / "legacy"
    shutil.copytree(LEGACY / "project" / ".kimi_sessions", legacy)
    one = legacy / "chat-v2_final.json"
    one.chmod(0o640)
    before, state = files(legacy), one.stat()
    assert "retired    6 source files removed" in ok(program("migrate", legacy, "--retire")).out
    assert files(legacy) == {}
    assert ok(program("original", "chat-v2_final")).raw == before["chat-v2_final.json"]
    assert "6 source files given back" in ok(program("rollback", "@last")).out
    assert files(legacy) == before
    assert (one.stat().st_mode, one.stat().st_mtime_ns) == (state.st_mode, state.st_mtime_ns)


def test_a_batch_of_which_something_failed_says_so_and_ends_with_5(program: Program, tmp_path: Path) -> None:
    shutil.copy(LEGACY / "project" / ".kimi_sessions" / "chat-v2_final.json", tmp_path / "good.json")
    (tmp_path / "none.json").write_text("[1, 2]")
    partly = program("migrate", tmp_path / "none.json", tmp_path / "good.json")
    assert partly.code == 5
    assert "imported   1 sources (1 kimi)" in partly.out
    assert f"failed     {tmp_path}/none.json: no importer recognises its content" in partly.out
    assert [entry["state"] for entry in ok(program("batches", "--json")).json] == ["partly"]
    assert len(ok(program("list", "--json")).json) == 1


def test_a_dry_run_ends_as_the_migration_would(program: Program) -> None:
    (program.cwd / "none.json").write_text("[1, 2]")
    for before in ((), ("init",)):
        if before:
            ok(program(*before))
        told = program("migrate", "--dry-run", "none.json", "--json")
        assert told.code == 5
        assert [entry["path"] for entry in told.json["failed"]] == [str(program.cwd / "none.json")]
    assert program("migrate", "none.json").code == 5
    assert ok(program("batches", "--json")).json == []


def test_two_machines_merge_by_copying_files(program: Program, tmp_path: Path) -> None:
    laptop = Program(program.home, program.cwd, tmp_path / "laptop")
    [original] = LEGACY.rglob("rollout-*-5b0c2f4e-*.jsonl")
    shutil.copytree(LEGACY / "project", tmp_path / "project", symlinks=True)
    ok(program("migrate", tmp_path / "project" / ".kimi_sessions", original))
    longer = tmp_path / original.name
    longer.write_bytes(original.read_bytes() + said("And for 1900?", "2025-10-04T08:00:00.000Z").encode())
    ok(laptop("migrate", tmp_path / "project" / ".llm_sessions", longer))
    ok(laptop("note", "tag", GAUGE, "tides"))
    assert laptop.store is not None
    assert program.store is not None
    for part in ("objects", "sessions", "notes"):
        for path in sorted((laptop.store / part).rglob("*")):
            target = program.store / path.relative_to(laptop.store)
            if path.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    listed = {entry["key"]: entry for entry in ok(program("list", "--json")).json}
    assert len(listed) == 6 + 4 + 1
    assert (listed[GAUGE]["messages"], listed[GAUGE]["heads"], listed[GAUGE]["tags"]) == (17, 1, ["tides"])
    assert ok(program("search", "1900", "--json")).json[0]["key"] == GAUGE
    assert ok(program("original", GAUGE)).raw == longer.read_bytes()
    ok(program("verify", "--deep"))


def test_a_purged_session_does_not_come_back(program: Program, tmp_path: Path) -> None:
    [original] = LEGACY.rglob("rollout-*-5b0c2f4e-*.jsonl")
    ok(program("migrate", original))
    ok(program("purge", "5b0c2f4e", "--yes"))
    assert program.store is not None
    assert files(program.store / "sessions") == files(program.store / "objects") == files(program.store / "trash") == {}
    assert not any(b"isleap" in data or b"leap days" in data for data in files(program.store).values())
    copy = tmp_path / "again" / original.name
    copy.parent.mkdir()
    shutil.copy(original, copy)
    for path in (original, copy):
        told = program("migrate", path, "--json").json
        assert told["outcomes"].get("new", 0) == 0
    assert ok(program("list", "--json")).json == []
    assert ok(program("search", "gauge", "--json")).json == []


def test_a_purge_is_no_batch_that_could_be_rolled_back(imported: Program) -> None:
    [batch] = ok(imported("batches", "--json")).json
    purged = ok(imported("purge", "1badb002", "--yes", "--json")).json
    assert [entry["id"] for entry in ok(imported("batches", "--json")).json] == [batch["id"]]
    assert imported("rollback", purged["batch"]).code == 2
    assert ok(imported("rollback", "@last", "--json")).json["batch"] == batch["id"]
    assert ok(imported("list", "--json")).json == []


@pytest.mark.parametrize("gone", ["index.sqlite", "views", "index.sqlite-wal"])
def test_what_is_derived_may_be_deleted_without_loss(imported: Program, gone: str) -> None:
    assert imported.store is not None
    ok(imported("note", "title", GAUGE, "Leap day"))
    expected = {name: ok(imported(name, *more, "--json")).json for name, *more in (("list",), ("search", "gauge"))}
    for path in imported.store.glob(f"{gone}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, *more in (("list",), ("search", "gauge")):
        assert ok(imported(name, *more, "--json")).json == expected[name]
    ok(imported("verify", "--index"))


def test_tidying_changes_nothing_that_can_be_read(imported: Program) -> None:
    shown = {entry["key"] for entry in ok(imported("list", "--json")).json}
    lines = ok(imported("export", *sorted(shown), "--to", "jsonl")).raw
    original = ok(imported("original", GAUGE)).raw
    for arguments in (("compact",), ("gc", "--grace-days", "0"), ("views",), ("index", "rebuild"), ("index", "sync")):
        ok(imported(*arguments))
    assert ok(imported("export", *sorted(shown), "--to", "jsonl")).raw == lines
    assert ok(imported("original", GAUGE)).raw == original
    ok(imported("verify", "--deep", "--index"))
    assert ok(imported("index", "status", "--json")).json["behind"] == 0
    levels = {finding["level"] for finding in ok(imported("doctor", "--json")).json}
    assert "error" not in levels

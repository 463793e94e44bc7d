"""`export` and `restore` as people use them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sessionstore import exporters
from tests.cli.running import LEGACY, Program, files, ok, says
from tests.cli.test_json import held

GAUGE = "5b0c2f4e"
PARALLEL = "4f0c1d2e-1111-4a4a-9b9b-000000000001"


# --- export --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", exporters.NAMES)
def test_every_form_can_be_written_to_stdout_a_file_and_a_directory(shared: Program, tmp_path: Path, form: str) -> None:
    printed = ok(shared("export", GAUGE, "--to", form)).raw
    assert ok(shared("export", GAUGE, "--to", form, "-o", "-")).raw == printed != b""
    assert ok(shared("export", GAUGE, "--to", form, "-o", tmp_path / "one")).raw == b""
    assert (tmp_path / "one").read_bytes() == printed
    ok(shared("export", GAUGE, "4f0c1d2e-2222", "--to", form, "--out", tmp_path / "all"))
    written = files(tmp_path / "all")
    assert len(written) == 2
    assert printed in written.values()


def test_what_a_form_cannot_hold_is_named_on_stderr_and_in_json(shared: Program, tmp_path: Path) -> None:
    result = ok(shared("export", GAUGE, "--to", "openai"))
    assert result.err.startswith("sessionstore: codex:5b0c2f4e-")
    assert "times are not held by this format" in result.err
    told = held("export", ok(shared("export", GAUGE, "--to", "openai", "-o", tmp_path / "a.jsonl", "--json")))
    [entry] = told
    assert (entry["form"], entry["path"]) == ("openai", str(tmp_path / "a.jsonl"))
    assert {"what": "times are not held by this format"} in entry["left_out"]
    assert [one["n"] for one in entry["left_out"] if one["what"] == "reasoning left out"] == [1]
    result = ok(shared("export", "--source", "codex", "--to", "openai", "--out", tmp_path / "all"))
    assert result.err.startswith("sessionstore: 7 sessions: ")
    assert result.err.count("\n") == 2


def test_files_are_never_overwritten_unless_told_to(shared: Program, tmp_path: Path) -> None:
    there = tmp_path / "there.md"
    there.write_text("mine")
    says(shared("export", "4f0c1d2e-2222", "--to", "jsonl", "-o", there), 6, "there is a file already")
    assert there.read_text() == "mine"
    ok(shared("export", "4f0c1d2e-2222", "--to", "jsonl", "-o", there, "--force"))
    assert there.read_text() != "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["there.md"]


def test_a_search_chooses_what_is_exported(shared: Program, tmp_path: Path) -> None:
    hits = ok(shared("search", "--json", "tide")).json
    keys = list(dict.fromkeys(hit["key"] for hit in hits))
    assert 1 < len(keys) < 20
    out = ok(shared("export", "--search", "tide", "--to", "jsonl")).raw
    assert [line["key"] for line in map(json.loads, out.splitlines()) if line.get("t") == "session"] == keys
    ok(shared("export", "--search", "tide", "--source", "codex", "--to", "html", "--out", tmp_path / "pages"))
    assert len(files(tmp_path / "pages")) == len([key for key in keys if key.startswith("codex:")])
    assert ok(shared("export", "--search", "nothinglikethis", "--to", "jsonl")).raw == b""


def test_native_files_lie_where_their_program_looks(shared: Program, tmp_path: Path) -> None:
    ok(shared("export", "--source", "claude-code", "--to", "claude-code", "--out", tmp_path / "projects"))
    written = set(files(tmp_path / "projects"))
    assert f"-home-ada-src-tinyshop/{PARALLEL}.jsonl" in written
    assert f"-home-ada-src-tinyshop/{PARALLEL}/subagents/agent-a1b2c3d.jsonl" in written
    ok(shared("export", GAUGE, "--to", "codex", "--out", tmp_path / "sessions"))
    [name] = files(tmp_path / "sessions")
    assert name.startswith("2025/10/04/rollout-2025-10-04T")
    assert name.endswith("-5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901.jsonl")
    ok(shared("export", "--source", "kimi", "--to", "kimi", "--out", tmp_path / ".kimi_sessions"))
    assert set(files(tmp_path / ".kimi_sessions")) == {path.name for path in LEGACY.glob("project/.kimi_sessions/*")}


def test_an_exported_session_can_be_imported_again(shared: Program, program: Program, tmp_path: Path) -> None:
    ok(shared("export", GAUGE, "--to", "claude-code", "--out", tmp_path / "projects"))
    told = ok(program("migrate", tmp_path / "projects", "--json")).json
    assert (told["outcomes"], told["failed"]) == ({"new": 1}, [])
    text = ok(program("export", "claude-code:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901", "--to", "text")).out
    assert "gauge" in text


def test_pictures_are_taken_out_of_the_store(shared: Program) -> None:
    pages = ok(shared("export", "--source", "codex", "--to", "html")).out
    assert pages.count('src="data:image/png;base64,') == 3


def test_options_that_contradict_each_other_are_refused(shared: Program, tmp_path: Path) -> None:
    says(shared("export", GAUGE, "-o", tmp_path / "a", "--out", tmp_path / "b"), 2, "not both")
    says(shared("export", GAUGE, "--to", "openai", "--all-branches"), 2, "one path through a session")
    ok(shared("export", PARALLEL, "--to", "text", "--all-branches", "--with", "meta", "--with", "sidechain"))


# --- restore -------------------------------------------------------------------------------------------------


def test_every_session_is_restored_byte_for_byte_where_its_program_looks(shared: Program, tmp_path: Path) -> None:
    roots = {
        "claude-code": LEGACY / "home/.claude/projects",
        "codex": LEGACY / "home/.codex/sessions",
        "kimi": LEGACY / "project/.kimi_sessions",
        "llm-sessions": LEGACY / "project/.llm_sessions",
    }
    for source, root in roots.items():
        keys = [entry["key"] for entry in ok(shared("list", "--source", source, "--json")).json]
        ok(shared("restore", *keys, "--to", tmp_path / source))
        for name, data in files(tmp_path / source).items():
            archived = LEGACY / "home/.codex/archived_sessions" / name
            original = root / name if (root / name).exists() else archived
            assert data == original.read_bytes(), name
            assert os.stat(tmp_path / source / name).st_mtime_ns == os.stat(original).st_mtime_ns
    assert len(files(tmp_path / "claude-code")) == 7


def test_a_lost_file_comes_back_to_its_old_place(program: Program, tmp_path: Path) -> None:
    shutil.copytree(LEGACY, tmp_path / "legacy", symlinks=True)
    ok(program("migrate", tmp_path / "legacy"))
    before = files(tmp_path / "legacy")
    [told] = held("restore", ok(program("restore", GAUGE, "--json")))
    assert (told["written"], told["changed"]) == (False, False)
    Path(told["path"]).unlink()
    [told] = held("restore", ok(program("restore", GAUGE, "--json")))
    assert told["written"] is True
    assert files(tmp_path / "legacy") == before
    Path(told["path"]).write_text("something else")
    says(program("restore", GAUGE), 6, "there is a file already")
    assert ok(program("restore", GAUGE, "--force")).err.endswith("SHA-256 equal\n")
    assert files(tmp_path / "legacy") == before


def test_one_file_goes_to_stdout_or_under_another_name(shared: Program, tmp_path: Path) -> None:
    original = next(LEGACY.glob("home/.codex/sessions/2025/10/04/*.jsonl"))
    assert ok(shared("restore", GAUGE, "--to", "-")).raw == original.read_bytes()
    ok(shared("restore", GAUGE, "--to", tmp_path / "mine.jsonl"))
    assert (tmp_path / "mine.jsonl").read_bytes() == original.read_bytes()
    (tmp_path / "there").mkdir()
    ok(shared("restore", GAUGE, "--to", tmp_path / "there"))
    assert list(files(tmp_path / "there")) == [f"2025/10/04/{original.name}"]
    says(shared("restore", GAUGE, PARALLEL, "--to", "-"), 2, "2 files do not go to stdout")


def test_a_session_that_was_changed_is_said_to_be(imported: Program, tmp_path: Path) -> None:
    from sessionstore.store import Store

    assert imported.store is not None
    [key] = [entry["key"] for entry in ok(imported("list", "--json")).json if GAUGE in entry["key"]]
    Store(imported.store).append(key, [{"id": "new", "role": "user", "parts": [{"type": "text", "content": "more"}]}])
    result = ok(imported("restore", GAUGE, "--to", tmp_path / "a.jsonl"))
    assert "`export --to codex` writes it as it is now" in result.err
    assert b'"more"' in ok(imported("export", GAUGE, "--to", "codex")).raw


def test_a_session_that_was_never_imported_has_no_file(program: Program) -> None:
    from sessionstore.store import Store

    assert program.store is not None
    Store.init(program.store).put("native:a", [{"id": "m1", "role": "user", "parts": []}])
    says(program("restore", "native:a"), 2, "was not imported")

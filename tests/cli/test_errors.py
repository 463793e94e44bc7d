"""How failures end: one line that says what, which and what to do; the documented exit code; nothing lost."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.cli import names
from sessionstore.store import Store
from tests.cli.running import LEGACY, Program, Result, files, ok, one_line, says

NEEDING_A_STORE = [
    ("batches",),
    ("rollback", "@last"),
    ("original", "@last"),
    ("search", "x"),
    ("list",),
    ("show", "@last"),
    ("log", "@last"),
    ("export", "@last"),
    ("restore", "@last"),
    ("stats",),
    ("index", "status"),
    ("index", "sync"),
    ("index", "rebuild"),
    ("verify",),
    ("gc",),
    ("compact",),
    ("purge", "@last", "--yes"),
    ("note", "star", "@last"),
    ("views",),
]
MISTAKES = {
    "unknown command": (("find", "x"), "No such command 'find'"),
    "unknown subcommand": (("index", "mend"), "No such command 'mend'"),
    "unknown option": (("list", "--newest"), "No such option '--newest'"),
    "missing argument": (("show",), "Missing argument 'NAME'"),
    "wrong value": (("list", "--limit", "many"), "Invalid value for '--limit'"),
    "unknown session": (("show", "nobody"), "no session, batch or message is called 'nobody'"),
    "short beginning": (("show", "4f0c1"), "is called '4f0c1'"),
    "ambiguous session": (("show", "4f0c1d2e"), "could mean claude-code:4f0c1d2e-1111"),
    "unknown message": (("show", "5b0c2f4e#m999"), "'5b0c2f4e#m999'"),
    "unknown revision": (("show", "5b0c2f4e@abcdef"), "@abcdef"),
    "unknown batch": (("rollback", "01ARZ3NDEK"), "'01ARZ3NDEK'"),
    "short batch": (("rollback", "0"), "is called '0'"),
    "unknown format": (("migrate", "--from", "nokia", str(LEGACY)), "there is no format 'nokia'; known: "),
    "unknown form": (("export", "@last", "--to", "pdf"), "'pdf' is not one of"),
    "export of nothing": (("export",), "name the sessions, or choose them with"),
    "batch without place": (("original", "@batch"), "say where they go with --to DIR"),
    "unknown field": (("note", "colour", "@last", "red"), "'colour' is not one of"),
    "note without value": (("note", "tag", "@last"), "needs a value"),
    "bad date": (("list", "--before", "soon"), "'soon' is not a date"),
    "empty query": (("search", ""), "there is nothing to look for in the search, at character 1"),
    "blank query": (("search", "  "), "there is nothing to look for"),
    "statement that writes": (("sql", "DELETE FROM sessions"), "SQL: not authorized"),
    "statement that is none": (("sql", "SELEKT 1"), 'SQL: near "SELEKT": syntax error'),
}


@pytest.mark.parametrize("arguments", NEEDING_A_STORE, ids=" ".join)
def test_without_a_store_nothing_is_made_and_the_way_to_one_is_said(
    program: Program, arguments: tuple[str, ...]
) -> None:
    says(program(*arguments), 2, f"no store at {program.store}; make one with `sessionstore init`")
    assert program.store is not None
    assert not program.store.exists()


QUERIES = {
    'one "two': ("a quotation mark is not closed in the search, at character 5", "    ^"),
    "(one two": ("a bracket is not closed in the search, at character 1", "^"),
    "one OR": ("in the search, at character 6", "     ^"),
    "has:wings": ("has: is one of tool, error, image, reasoning, code", "^"),
    "x before:soon": ("at character 3", "  ^"),
    "x after:2026..2027": ("after: takes one date; on: takes a range in the search, at character 3", "  ^"),
    "天気 /(a/": (
        "the pattern is not one: missing ), unterminated subpattern in the search, at character 5",
        "      ^",
    ),
    "x /a/q": ("a pattern has the flags i, s and m, not q in the search, at character 6", "     ^"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_mistake_in_a_search_is_pointed_at(shared: Program, query: str) -> None:
    words, caret = QUERIES[query]
    result = shared("search", query)
    assert (result.code, result.raw) == (2, b"")
    said, shown, pointer = result.err.splitlines()
    assert said.startswith("sessionstore: ")
    assert said.endswith(words) or words in said
    assert (shown, pointer) == (f"  {query}", f"  {caret}")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(shared: Program, name: str) -> None:
    arguments, words = MISTAKES[name]
    says(shared(*arguments), 2, words)


def test_usage_errors_say_where_to_read_on(shared: Program) -> None:
    says(shared("list", "--newest"), 2, "(see `sessionstore list --help`)")


def test_a_path_that_is_not_there_is_named_and_no_store_is_made(program: Program) -> None:
    for command in ("migrate", "sources"):
        result = program(command, program.cwd / "nowhere")
        assert result.code == 6
        assert f"cannot read {program.cwd}/nowhere: no such file or directory" in result.err
        assert "Traceback" not in result.err


def _unreadable(place: Path) -> Path:
    """A file that even its owner cannot read: as root, one that answers every read with an error."""
    if os.geteuid() == 0:
        return Path("/proc/self/mem")
    path = place / "secret.jsonl"
    path.write_text('{"session_id": "x"}\n')
    path.chmod(0)
    return path


def test_an_unreadable_file_is_left_out_and_named_and_the_others_are_imported(program: Program) -> None:
    pipe = program.cwd / "pipe.jsonl"
    os.mkfifo(pipe)
    secret = _unreadable(program.cwd)
    result = program("migrate", pipe, secret, LEGACY / "project", "--json")
    assert result.code == 5
    told = result.json
    assert told["sources"] == 10
    assert len(told["failed"]) == 2
    reasons = {entry["path"]: entry["reason"] for entry in told["failed"]}
    assert reasons.pop(str(pipe)) == "not a regular file"
    assert set(reasons.values()) <= {"input/output error", "permission denied"}
    assert "Traceback" not in result.err


def test_a_file_of_another_format_than_was_said_is_left_out_and_named(program: Program) -> None:
    path = LEGACY / "project" / ".kimi_sessions" / "chat-v2_final.json"
    told = program("migrate", "--from", "codex", path)
    assert told.code == 5
    assert f"failed     {path}: no importer recognises its content" in told.out
    assert ok(program("migrate", "--from", "kimi", path)).out.count("failed") == 0


def test_a_store_of_a_newer_version_is_refused_and_left_alone(imported: Program) -> None:
    assert imported.store is not None
    marker = imported.store / "STORE.json"
    content = json.loads(marker.read_text())
    for changed in ({**content, "v": 2}, {**content, "features": {"read": ["vectors"], "write": []}}):
        marker.write_text(json.dumps(changed))
        before = files(imported.store)
        for arguments in (("list",), ("migrate", str(LEGACY)), ("gc",)):
            says(imported(*arguments), 7, "upgrade sessionstore")
        assert files(imported.store) == before


def test_a_store_that_only_a_newer_version_may_write_can_be_read(imported: Program) -> None:
    assert imported.store is not None
    marker = imported.store / "STORE.json"
    content = json.loads(marker.read_text())
    marker.write_text(json.dumps({**content, "features": {"read": [], "write": ["vectors"]}}))
    assert len(ok(imported("list", "--json")).json) == 25
    for arguments in (("gc",), ("note", "star", "@last"), ("migrate", str(LEGACY)), ("rollback", "@last")):
        says(imported(*arguments), 7, "upgrade sessionstore")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format":"other","v":1}', "\0\0\0"])
def test_a_damaged_marker_is_damage_and_not_an_empty_store(imported: Program, content: str) -> None:
    assert imported.store is not None
    (imported.store / "STORE.json").write_text(content)
    before = files(imported.store / "sessions")
    for arguments in (("list",), ("migrate", str(LEGACY))):
        says(imported(*arguments), 3, "STORE.json")
    assert files(imported.store / "sessions") == before


def test_a_damaged_object_stops_only_what_needs_it(imported: Program, tmp_path: Path) -> None:
    assert imported.store is not None
    key = "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"
    [entry] = ok(imported("show", key, "--json")).json["originals"]
    name = entry["chunks"][0]["id"]
    path = imported.store / "objects" / name[:2] / f"{name}.raw.zst"
    path.write_bytes(path.read_bytes()[:-20])
    says(imported("original", key), 3, name)
    partly = imported("original", "@batch", "--to", tmp_path / "tree")
    assert (partly.code, partly.raw, partly.err.count("\n")) == (5, b"", 2)
    assert name in partly.err
    assert sum(path.is_file() for path in (tmp_path / "tree").rglob("*")) == 23
    ok(imported("show", key))
    ok(imported("original", "c0ffee00"))
    found = imported("verify")
    assert found.code == 3
    assert f"{path.relative_to(imported.store)} (touches {key})" in found.out
    path.unlink()
    says(imported("original", key), 3, "is missing from the store; run `sessionstore verify`")


def test_a_lost_original_is_made_whole_by_a_copy_of_its_source(imported: Program, tmp_path: Path) -> None:
    assert imported.store is not None
    [entry] = ok(imported("show", "c0ffee00", "--json")).json["originals"]
    name = entry["chunks"][0]["id"]
    (imported.store / "objects" / name[:2] / f"{name}.raw.zst").unlink()
    assert imported("verify", "--repair").code == 3
    [source] = LEGACY.rglob("rollout-*-c0ffee00-*.jsonl")
    (tmp_path / source.name).write_bytes(source.read_bytes())
    ok(imported("migrate", tmp_path / source.name))
    ok(imported("verify", "--deep"))
    assert ok(imported("original", "c0ffee00")).raw == source.read_bytes()


def test_a_damaged_revision_is_named_and_the_others_can_be_read(imported: Program) -> None:
    assert imported.store is not None
    name = ok(imported("show", "5b0c2f4e", "--json")).json["revision"]
    path = imported.store / "sessions" / name
    path.write_bytes(path.read_bytes().replace(b"gauge", b"gauze"))
    says(imported("show", "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"), 3, name)
    assert imported("verify").code == 3
    ok(imported("show", "c0ffee00"))
    assert imported("verify", "--repair").code == 3
    assert not path.exists()
    [folder] = (imported.store / "quarantine").iterdir()
    assert (folder / "sessions" / name).is_file()


def test_a_damaged_journal_stops_migrations_and_can_be_put_aside(imported: Program) -> None:
    assert imported.store is not None
    [journal] = (imported.store / "batches").iterdir()
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    for arguments in (("batches",), ("migrate", str(LEGACY)), ("rollback", journal.stem)):
        says(imported(*arguments), 3, f"{journal} is damaged at line 1")
    ok(imported("list"))
    assert imported("verify", "--repair").code == 3
    assert not journal.exists()
    again = ok(imported("migrate", LEGACY, "--json")).json
    assert again["outcomes"].keys() <= {"same", "contained", "updated"}
    assert len(ok(imported("list", "--json")).json) == 25


def test_nonsense_in_place_of_the_index_is_rebuilt_by_itself(imported: Program) -> None:
    assert imported.store is not None
    expected = ok(imported("search", "error", "--json")).json
    for content in (b"", b"nonsense" * 1000, (imported.store / "index.sqlite").read_bytes()[:50_000]):
        for path in imported.store.glob("index.sqlite*"):
            path.unlink()
        (imported.store / "index.sqlite").write_bytes(content)
        assert ok(imported("search", "error", "--json")).json == expected


@contextmanager
def locked(program: Program, name: str) -> Iterator[None]:
    """Hold one of the store's locks, as another process would."""
    with open(f"{program.store}/locks/{name}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(str(os.getpid()))
        file.flush()
        yield


WRITING = [
    ("store.lock", ("gc",)),
    ("store.lock", ("note", "star", "@last")),
    ("store.lock", ("purge", "@last", "--yes")),
    ("store.lock", ("compact",)),
    ("store.lock", ("verify", "--quick")),
    ("store.lock", ("views",)),
    ("migrate.lock", ("rollback", "@last")),
    ("migrate.lock", ("migrate", str(LEGACY))),
]


@pytest.mark.parametrize(("lock", "arguments"), WRITING, ids=str)
def test_a_locked_store_is_waited_for_and_then_the_holder_is_named(
    imported: Program, lock: str, arguments: tuple[str, ...]
) -> None:
    with locked(imported, lock):
        assert imported.store is not None
        before = files(imported.store / "sessions")
        result = imported(*arguments, fast=True)
        assert result.code == 4
        assert f"is in use by another process (process {os.getpid()})" in result.err.splitlines()[-1]
        assert "Traceback" not in result.err
        assert files(imported.store / "sessions") == before
    assert imported(*arguments).code == 0


def test_reading_waits_for_no_lock(imported: Program) -> None:
    with locked(imported, "store.lock"), locked(imported, "migrate.lock"):
        for arguments in (("list",), ("search", "error"), ("show", "@last"), ("batches",), ("original", "@last")):
            ok(imported(*arguments))


def _long_session(place: Path) -> Path:
    """A transcript with one record that cannot be packed into less than 300 kB."""
    noise = os.urandom(150_000).hex()
    head = {"timestamp": "2026-01-01T00:00:00.000Z", "type": "session_meta"}
    meta = {**head, "payload": {"id": "0badcafe-0000-4000-8000-000000000000", "cwd": "/home/mara", "cli_version": "1"}}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": noise}]}
    lines = [meta, {**head, "type": "response_item", "payload": said}]
    path = place / "rollout-2026-01-01T00-00-00-0badcafe-0000-4000-8000-000000000000.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _mounted(place: Path, size: str, *, again: bool = False) -> bool:
    """Whether a small file system could be mounted there, or given another size."""
    options = f"size={size}" + (",remount" if again else "")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def _full(result: Result) -> None:
    assert (result.code, result.raw) == (6, b"")
    assert "no space left for" in result.err.splitlines()[-1]
    assert "free some and run the same command again" in result.err
    assert "Traceback" not in result.err


def test_a_file_size_limit_ends_as_a_full_disk_does_and_leaves_the_sessions_as_they_were(imported: Program) -> None:
    assert imported.store is not None
    path = _long_session(imported.cwd)
    before = files(imported.store / "sessions")
    _full(imported("migrate", path, limit={resource.RLIMIT_FSIZE: 100_000}))
    assert files(imported.store / "sessions") == before
    ok(imported("verify"))
    assert ok(imported("migrate", path, "--json")).json["outcomes"] == {"new": 1}
    ok(imported("verify", "--deep"))


def test_a_full_disk_stops_the_migration_and_with_more_room_it_is_completed(
    program: Program, shared: Program, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program.store = disk / "store"
    path = _long_session(program.cwd)
    mounted = _mounted(disk, "192k")
    try:
        limit = {} if mounted else {resource.RLIMIT_FSIZE: 100_000}
        ok(program("init"))
        _full(program("migrate", path, limit=limit))
        assert ok(program("verify", "--json")).json["counts"]["revisions"] == 0
        assert not mounted or _mounted(disk, "64m", again=True)
        assert ok(program("migrate", path, "--json")).json["outcomes"] == {"new": 1}
        ok(program("verify"))
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "--json"), ("show", "@last"), ("export", "@last"), ("original", "@last"), ("--help",)],
    ids=" ".join,
)
def test_a_reader_that_goes_away_is_no_error(shared: Program, arguments: tuple[str, ...]) -> None:
    begun = shared.start(*arguments)
    assert begun.stdout is not None
    begun.stdout.close()
    assert begun.stderr is not None
    assert begun.stderr.read() == b""
    begun.stderr.close()
    assert begun.stdin is not None
    begun.stdin.close()
    assert begun.wait(timeout=60) == 0


def test_head_gets_its_line_and_nobody_complains(shared: Program) -> None:
    command = f"{sys.executable} -m sessionstore export --source codex --to jsonl | head -n 1"
    done = subprocess.run(command, shell=True, env=shared.environment(), cwd=shared.cwd, capture_output=True)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_ctrl_c_at_a_question_ends_with_one_line_and_130(imported: Program) -> None:
    begun = imported.start("purge", "1badb002")
    assert begun.stderr is not None
    asked = b""
    while not asked.endswith(b"[y/N]: "):
        asked += begun.stderr.read(1)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=60)
    assert (begun.returncode, out) == (130, b"")
    one_line(err.decode().lstrip("\n"), "interrupted; nothing is lost")
    ok(imported("show", "1badb002"))


def test_ctrl_c_while_waiting_ends_with_one_line_and_130(imported: Program) -> None:
    with locked(imported, "migrate.lock"):
        begun = imported.start("migrate", str(LEGACY))
        assert begun.stderr is not None
        assert b"waiting for another migrat" in begun.stderr.readline()
        begun.send_signal(signal.SIGINT)
        out, err = begun.communicate(timeout=60)
    assert (begun.returncode, out) == (130, b"")
    one_line(err.decode().lstrip("\n"), "run the same command again to go on")


def test_without_an_answer_nothing_is_erased(imported: Program) -> None:
    for typed in ("", "n\n"):
        refused = imported("purge", "1badb002", typed=typed)
        assert refused.code == 130
        assert "Traceback" not in refused.err
    ok(imported("show", "1badb002"))
    ok(imported("purge", "1badb002", typed="y\n"))
    says(imported("show", "1badb002"), 2, "1badb002")


def test_a_python_without_full_text_search_is_named(imported: Program, tmp_path: Path) -> None:
    assert imported.store is not None
    (tmp_path / "sitecustomize.py").write_text(
        "import sqlite3\n"
        "class Poor(sqlite3.Connection):\n"
        "    def execute(self, sql, *rest):\n"
        "        for poor in (\"'%s'\", 'USING %s'):\n"
        "            sql = sql.replace(poor % 'fts5', poor % 'fts6')\n"
        "        return super().execute(sql, *rest)\n"
        "real = sqlite3.connect\n"
        "sqlite3.connect = lambda *a, **k: real(*a, **{'factory': Poor, **k})\n"
    )
    imported.env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{imported.environment()['PYTHONPATH']}"
    for path in imported.store.glob("index.sqlite*"):
        path.unlink()
    says(imported("search", "error"), 1, "has no FTS5; install a Python whose SQLite has it")
    ok(imported("show", "codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"))
    ok(imported("verify"))
    told = imported("doctor", "--json")
    assert told.code == 1
    assert "no search" in " ".join(finding["what"] for finding in told.json if finding["level"] == "error")


def test_a_fault_of_the_program_is_one_line_too_and_shown_whole_on_request(imported: Program, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sessionstore.layout\nsessionstore.layout.find_store = None\n")
    imported.env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{imported.environment()['PYTHONPATH']}"
    says(imported("list"), 1, "internal error (TypeError: ")
    imported.env["SESSIONSTORE_DEBUG"] = "1"
    assert "Traceback" in imported("list").err


def test_what_stands_in_the_way_of_a_rollback_is_named(imported: Program, tmp_path: Path) -> None:
    [first] = ok(imported("batches", "--json")).json
    [source] = LEGACY.rglob("rollout-*-c0ffee00-*.jsonl")
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One more thing."}]}
    record = {"timestamp": "2025-11-20T19:00:00.000Z", "type": "response_item", "payload": said}
    longer = tmp_path / source.name
    longer.write_bytes(source.read_bytes() + json.dumps(record).encode() + b"\n")
    second = ok(imported("migrate", longer, "--json")).json
    assert second["outcomes"] == {"extended": 1}
    says(imported("rollback", first["id"]), 1, f"batch {second['batch']} has changed the session")
    ok(imported("rollback", second["batch"]))
    ok(imported("rollback", first["id"]))
    says(imported("rollback", first["id"]), 1, "it has been rolled back already")


def test_all_files_of_a_session_go_into_a_directory(imported: Program, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    written = imported("original", "c0ffee00", "--to", tmp_path / "to")
    assert (written.code, written.raw) == (0, b"")
    [source] = LEGACY.rglob("rollout-*-c0ffee00-*.jsonl")
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == {source.name: source.read_bytes()}
    again = imported("original", "c0ffee00", "--to", tmp_path / "to")
    assert (again.code, again.err.count("there is a file already")) == (5, 1)


def test_a_session_of_which_no_head_is_left_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index may name one that the store has no longer."""
    monkeypatch.setattr(names, "find_key", lambda store, name: "native:gone")
    with pytest.raises(errors.NotFound):
        names.find_revision(Store.init(tmp_path / "store"), "gone")

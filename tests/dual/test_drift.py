"""Differences are found and said precisely, and the way forward and back loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.dual import way
from sessionstore.dual.moving import strangers
from sessionstore.flags import FORMATS, Flags
from sessionstore.manager import SessionManager
from sessionstore.store import Store
from tests.cli.running import Program, ok, says
from tests.dual.conftest import LEADS, Pair
from tests.dual.programs import KimiProgram, UnifiedProgram

Make = Callable[..., Pair]
KILLED = """
import os, sys
from sessionstore import fsio
from sessionstore.dual import mirrors
from sessionstore.flags import Flags, Place
from sessionstore.manager import SessionManager

beside = mirrors(Flags(dual_write=True), [Place("kimi", sys.argv[2])])
manager = SessionManager(sys.argv[1], index=False, mirrors=beside)
session = manager.create("talk")
session.add_user("one")
real = fsio.restore_file
def killed(path, *rest, **more):
    if str(path).endswith("talk.json"):
        os.kill(os.getpid(), 9)
    return real(path, *rest, **more)
fsio.restore_file = killed
print("ready", flush=True)
session.add_assistant("two")
print("not reached", flush=True)
"""


def kinds(pair: Pair) -> dict[str, str]:
    """File or session name -> how the two sides stand."""
    return {Path(one.path).stem: one.kind for one in way.status(pair.manager.store, pair.legacy)}


def texts(session: Any) -> list[str]:
    return [part["content"] for message in session.history() for part in message["parts"] if part["type"] == "text"]


def say(pair: Pair, ident: str, *said: tuple[str, str]) -> None:
    """The older program goes on."""
    if pair.format == "kimi":
        program = KimiProgram(pair.path(ident).parent)
        program.say(ident, *({"role": role, "content": text} for role, text in said))
        return
    unified = UnifiedProgram(pair.path(ident).parent.parent)
    if unified.load(ident) is None:
        unified.save(unified.create(ident, "gpt-4.1-mini", None, {}, "2025-07-13T10:00:00"))
    for role, text in said:
        unified.say(ident, role, text)


each_format = pytest.mark.parametrize("format", FORMATS)


@each_format
def test_every_kind_of_difference_is_found(pair: Make, format: str) -> None:
    made = pair(format)
    for name in ("same", "ahead", "differs", "unreadable", "unwritten", "behind"):
        session = made.manager.create(name)
        session.add_user("hello")
        session.add_assistant("hi")
    say(made, "ahead", ("user", "and?"), ("assistant", "and so on"))
    say(made, "unknown", ("user", "new"))
    document = json.loads(made.path("differs").read_text())
    document["messages"][1]["content"] = "something else"
    made.path("differs").write_text(json.dumps(document))
    made.path("unreadable").write_text('{"session_id": "unreadable", "messa')
    made.path("unwritten").unlink()
    SessionManager(made.manager.store).get("native:behind").add_user("more")
    found = way.status(made.manager.store, made.legacy)
    assert kinds(made) == {
        "same": "same",
        "ahead": "ahead",
        "differs": "differs",
        "unreadable": "unreadable",
        "unwritten": "unwritten",
        "behind": "behind",
        "unknown": "unknown",
    }
    told = {one.kind: one.what for one in found}
    assert told["ahead"] == "ahead.json goes on after native:ahead: the older program has added 2 messages"
    assert told["behind"] == "behind.json lacks the last 1 messages of native:behind"
    assert told["unwritten"] == "native:unwritten (2 messages) has no file"
    assert told["differs"] == "differs.json and native:differs differ from message 2 of the file on"
    assert told["unknown"] == "unknown.json holds a session of 1 messages that the store does not have"
    assert told["unreadable"].startswith("unreadable.json of native:unreadable cannot be read: Unterminated string")
    assert sorted(one.kind for one in found if not one.held) == ["ahead", "differs", "unknown", "unreadable"]


@each_format
def test_what_the_older_program_has_added_is_not_written_over(pair: Make, format: str) -> None:
    made = pair(format)
    session = made.manager.create("talk")
    session.add_user("hello")
    say(made, "talk", ("assistant", "hi from the old one"))
    before = made.path("talk").read_bytes()
    session.add_assistant("hi from the new one")
    assert made.path("talk").read_bytes() == before
    [reason] = made.manager.mirrors.failed.values()
    assert "say different things" in reason
    moved = way.forward(made.manager, made.legacy, end=False)
    assert (moved.taken, moved.failed) == ({"native:talk": 1}, {})
    assert texts(session) == ["hello", "hi from the new one"]
    assert [message["parts"][0]["content"] for message in session.messages()][2] == "hi from the old one"
    session.add_user("and on")
    assert not made.manager.mirrors.failed
    assert [one["content"] for one in json.loads(made.path("talk").read_text())["messages"]] == texts(session)


@each_format
def test_forward_takes_everything_in_and_ends_the_writing(pair: Make, format: str) -> None:
    made = pair(format)
    session = made.manager.create("talk")
    session.add_user("hello")
    say(made, "talk", ("assistant", "hi"), ("user", "😀 ünï"))
    say(made, "other", ("user", "new"))
    files = {path: path.read_bytes() for path in made.path("x").parent.glob("*.json")}
    rehearsed = way.forward(made.manager, made.legacy, dry_run=True)
    assert (rehearsed.taken, len(rehearsed.imported)) == ({"native:talk": 2}, 1)
    assert session.count == 1
    moved = way.forward(made.manager, made.legacy)
    assert (moved.taken, len(moved.imported), moved.failed) == ({"native:talk": 2}, 1, {})
    assert texts(session) == ["hello", "hi", "😀 ünï"]
    assert texts(made.manager.get("other")) == ["new"]
    again = way.forward(made.manager, made.legacy)
    assert (again.taken, again.imported, again.failed) == ({}, [], {})
    session.add_user("only here")
    assert {path: path.read_bytes() for path in made.path("x").parent.glob("*.json")} == files
    [reason] = made.manager.mirrors.failed.values()
    assert "was ended by `sessionstore dual forward`" in reason
    assert way.back(made.manager, made.legacy).failed == {}
    session.add_user("both again")
    assert "both again" in made.path("talk").read_text()


@each_format
def test_back_gives_the_older_program_everything(pair: Make, format: str) -> None:
    made = pair(format, Flags())
    for number in range(3):
        session = made.manager.create(f"talk-{number}", model="gpt-4.1-mini", system="Be brief.")
        session.add_user("hello")
        session.add_assistant("hi")
    rehearsed = way.back(made.manager, made.legacy, dry_run=True)
    assert len(rehearsed.written) == 3
    assert not made.path("x").parent.exists()
    moved = way.back(made.manager, made.legacy)
    assert (sorted(map(os.path.basename, moved.written)), moved.failed) == ([f"talk-{n}.json" for n in range(3)], {})
    say(made, "talk-1", ("user", "the old one goes on"))
    assert kinds(made) == {"talk-0": "same", "talk-1": "ahead", "talk-2": "same"}
    assert way.back(made.manager, made.legacy).taken == {"native:talk-1": 1}
    assert texts(made.manager.get("native:talk-1"))[-1] == "the old one goes on"


def test_back_keeps_a_copy_of_what_it_replaces(pair: Make) -> None:
    made = pair("kimi")
    for name in ("differs", "torn"):
        made.manager.create(name).add_user("hello")
    document = json.loads(made.path("differs").read_text())
    document["messages"][0]["content"] = "other"
    made.path("differs").write_text(json.dumps(document))
    made.path("torn").write_text("{")
    before = {name: made.path(name).read_bytes() for name in ("differs", "torn")}
    moved = way.back(SessionManager(made.manager.store), made.legacy)
    assert moved.failed == {}
    copies = sorted(path for path in made.path("x").parent.iterdir() if path.suffix == ".kept")
    assert [path.read_bytes() for path in copies] == [before["differs"], before["torn"]]
    assert sorted(moved.copies) == [str(path) for path in copies]
    assert kinds(made) == {"differs": "same", "torn": "same"}


def test_the_window_of_kimi_files_moves_on(pair: Make) -> None:
    """After more turns than the file keeps, on either side, the two still find each other."""
    made = pair("kimi")
    session = made.manager.create("long", system="Be brief.")
    for number in range(80):
        session.add_user(f"question {number}")
    say(made, "long", *(("user", f"old {number}") for number in range(30)))
    assert kinds(made) == {"long": "ahead"}
    assert way.forward(made.manager, made.legacy, end=False).taken == {"native:long": 30}
    assert texts(session) == ["Be brief.", *(f"question {n}" for n in range(80)), *(f"old {n}" for n in range(30))]
    assert kinds(made) == {"long": "same"}
    SessionManager(made.manager.store).get("native:long").append([{"role": "user", "content": "x"}] * 7)
    assert kinds(made) == {"long": "behind"}
    say(made, "long", *(("user", f"all new {number}") for number in range(60)))
    assert kinds(made) == {"long": "differs"}
    assert way.forward(made.manager, made.legacy, end=False).failed == {}
    assert session.count == 1 + 80 + 30 + 7 + 51


@each_format
def test_where_the_files_lead_callers_see_what_they_say(pair: Make, format: str) -> None:
    made = pair(format, LEADS)
    session = made.manager.create("talk")
    session.add_user("hello")
    say(made, "talk", ("assistant", "from the file"))
    assert texts(made.manager.get("talk")) == ["hello", "from the file"]
    say(made, "talk", ("user", "and?"))
    session.add_assistant("so")
    assert texts(session) == ["hello", "from the file", "and?", "so"]
    assert [one["content"] for one in json.loads(made.path("talk").read_text())["messages"]] == texts(session)
    document = json.loads(made.path("talk").read_text())
    document["messages"][1:] = [{"role": "user", "content": "rewritten"}]
    made.path("talk").write_text(json.dumps(document))
    assert texts(made.manager.get("talk")) == ["hello", "rewritten"]
    say(made, "fresh", ("user", "made by the old one"))
    assert {one["key"].rpartition(":")[2] for one in made.manager.list()} == {"talk", "fresh"}
    assert texts(made.manager.get("fresh")) == ["made by the old one"]
    assert session.count == 5
    assert not made.manager.mirrors.failed


def test_a_migration_does_not_import_what_the_store_has_written(pair: Make, tmp_path: Path) -> None:
    made = pair("kimi")
    made.manager.create("mine").add_user("hello")
    say(made, "theirs", ("user", "new"))
    program = Program(tmp_path, tmp_path, made.manager.store.root)  # type: ignore[arg-type]
    ok(program("migrate", ".kimi_sessions"))
    assert [one["key"] for one in ok(program("list", "--json")).json] == ["native:mine"]
    assert [os.path.basename(path) for path in strangers(made.manager.store, made.legacy)] == ["theirs.json"]
    elsewhere = Program(tmp_path, tmp_path, tmp_path / "elsewhere")
    ok(elsewhere("migrate", ".kimi_sessions"))
    assert len(ok(elsewhere("list", "--json")).json) == 2


def test_a_kill_between_the_two_writes_shows_and_is_mended(tmp_path: Path) -> None:
    files = tmp_path / ".kimi_sessions"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "store"), str(files)], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"ready\n"), done.stderr
    assert len(json.loads((files / "talk.json").read_text())["messages"]) == 1
    program = Program(tmp_path, tmp_path, tmp_path / "store")
    told = ok(program("doctor")).out
    assert "warning  talk.json lacks the last 1 messages of native:talk" in told
    assert "run `sessionstore dual back` to write it" in told
    shown = program("dual", "status")
    assert (shown.code, "behind" in shown.out) == (1, True)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    ok(program("dual", "back", "--dry-run"))
    assert len(json.loads((files / "talk.json").read_text())["messages"]) == 1
    assert "1 files written" in ok(program("dual", "back")).out
    assert [one["content"] for one in json.loads((files / "talk.json").read_text())["messages"]] == ["one", "two"]
    assert ok(program("dual", "status")).out.endswith("1 of 1 the same\n")
    assert "nothing to do" in ok(program("dual", "forward")).out
    assert "are not written any more since" in ok(program("doctor")).out


def test_the_commands_by_themselves(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store")
    ok(program("init"))
    says(program("dual", "status"), 2, "--files kimi=DIR")
    says(program("dual", "forward", "--files", "word=."), 2, "'word' are not known")
    KimiProgram(tmp_path / ".kimi_sessions").say("old_20250101_1200", {"role": "user", "content": "hi"})
    shown = program("dual", "status", "--files", "kimi", "--json")
    [place] = shown.json
    assert (shown.code, place["sums"], place["differences"][0]["kind"]) == (1, {"unknown": 1}, "unknown")
    assert "1 sessions imported" in ok(program("dual", "forward", "--files", "kimi")).out
    assert program("dual", "status", "--files", "kimi").code == 0
    moved = ok(program("dual", "back", "--all", "--files", "llm-sessions=out", "--json")).json
    assert [os.path.basename(path) for path in moved[0]["written"]] == ["migrated_old_20250101_1200.json"]
    assert (tmp_path / "out" / "sessions" / "migrated_old_20250101_1200.json").exists()
    says(program("dual", "back", "--files", "llm-sessions=store"), 2, "lies in a store")


def test_commands_write_both_when_the_switch_is_on(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store", env={"LLM_DUAL_WRITE": "1"})
    with SessionManager(Store.init(tmp_path / "store")) as manager:
        manager.create("talk").add_user("hello")
    ok(program("branch", "native:talk", "--id", "other"))
    assert (tmp_path / ".kimi_sessions" / "other.json").exists()
    assert "native:talk (1 messages) has no file" in ok(program("doctor")).out
    KimiProgram(tmp_path / ".kimi_sessions").say("other", {"role": "user", "content": "old"})
    edited = program("switch-model", "native:other", "gpt-5", "--yes")
    assert "is in the store, but not in" in edited.err, edited

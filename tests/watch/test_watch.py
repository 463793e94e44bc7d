"""The watcher as a real process over real files: what changes becomes searchable, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import plistlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore.index.digest import digest
from sessionstore.index.schema import connect_reader
from sessionstore.index.sync import rebuild
from sessionstore.journal import Journals
from sessionstore.store import Store
from sessionstore.verify import verify
from tests.cli.running import ROOT, Program, ok
from tests.migrate import support

pytestmark = pytest.mark.clock
SOON = 1.0
"""Seconds within which a change has to be searchable."""
PATIENCE = 20.0
"""Seconds after which a test gives up."""


class Watching:
    """A running watcher and what it has told."""

    def __init__(self, program: Program, *arguments: str | Path, wrapper: tuple[str, ...] = ()) -> None:
        self.program = program
        self.told: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*wrapper, *program.command("watch", "--json", *arguments)],
            cwd=program.cwd,
            env=program.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.told.append(json.loads(line))

    def events(self, name: str) -> list[dict[str, Any]]:
        """What was told of one kind."""
        return [one for one in self.told if one["event"] == name]

    def wait_for(self, name: str, **facts: Any) -> dict[str, Any]:
        """The first event of this kind with these facts."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.events(name) if facts.items() <= one.items()), None)

        return until(found)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the process; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


def until(question: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first answer that is not falsy."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.005)
    raise AssertionError("it has not happened")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program with an empty home directory that has a place for sessions."""
    home = tmp_path / "home"
    (home / ".claude" / "projects" / "p").mkdir(parents=True)
    return Program(home, home, tmp_path / "store")


@pytest.fixture
def watch(program: Program) -> Iterator[Callable[..., Watching]]:
    """Starts watchers that are ready when it returns, and ends them all."""
    running: list[Watching] = []

    def start(*arguments: str | Path, wrapper: tuple[str, ...] = ()) -> Watching:
        watching = Watching(program, *arguments, wrapper=wrapper)
        running.append(watching)
        watching.wait_for("started")
        return watching

    yield start
    for watching in running:
        if watching.process.poll() is None:
            watching.process.kill()
        watching.ended()


def session(program: Program, number: int) -> Path:
    """Where a session's file lies."""
    return program.home / ".claude" / "projects" / "p" / f"{support.CLAUDE.format(number)}.jsonl"


def key(number: int) -> str:
    """A session's key."""
    return f"claude-code:{support.CLAUDE.format(number)}"


def indexed(program: Program, number: int) -> int | None:
    """How many messages of a session the index shows."""
    try:
        with closing(connect_reader(f"{program.store}/index.sqlite")) as connection:
            row = connection.execute("SELECT messages FROM sessions WHERE key = ?", (key(number),)).fetchone()
    except Exception:
        return None
    return row[0] if row else None


def wait_for_messages(program: Program, number: int, count: int) -> float:
    """Wait until a session is shown with so many messages; the seconds it took."""
    begun = time.monotonic()
    until(lambda: indexed(program, number) == count)
    return time.monotonic() - begun


def assert_index_is_true(program: Program) -> None:
    """The index says what a fresh one says, and the store is sound."""
    assert program.store is not None
    store = Store(program.store)
    assert verify(store).ok
    path = f"{store.root}/index.sqlite"
    with closing(connect_reader(path)) as connection:
        before = digest(connection)
    rebuild(store, path)
    with closing(connect_reader(path)) as connection:
        assert digest(connection) == before


def test_a_growing_session_is_searchable_within_a_second(program: Program, watch: Callable[..., Watching]) -> None:
    watch()
    waited = []
    for count in range(2, 26):
        session(program, 1).write_bytes(support.claude(1, count)) if count == 2 else support.grow(
            session(program, 1), support.claude(1, count, count - 1)
        )
        waited.append(wait_for_messages(program, 1, count))
    assert sorted(waited)[int(len(waited) * 0.95)] < SOON
    found = ok(program("search", "line", "--json")).json
    assert found[0]["key"] == key(1)
    lines = support.live_lines(Store(program.store or ""))
    assert all(line["grown"] for line in lines[1:]), "only what is new is parsed"
    assert len(Journals(f"{program.store}").ids()) == 1
    assert_index_is_true(program)


def test_the_imports_of_a_day_are_one_batch_and_can_be_undone(program: Program, watch: Callable[..., Watching]) -> None:
    watching = watch()
    for number in (1, 2, 3):
        session(program, number).write_bytes(support.claude(number, 3))
        wait_for_messages(program, number, 3)
    watching.stop()
    [batch] = ok(program("batches", "--json")).json
    assert (batch["state"], batch["sources"], batch["sessions"]) == ("done", 3, 3)
    ok(program("rollback", "@last"))
    assert support.keys(Store(program.store or "")) == []


def test_what_another_program_puts_into_the_store_is_indexed(
    program: Program, watch: Callable[..., Watching], tmp_path: Path
) -> None:
    watch()
    other = Store.init(tmp_path / "other")
    other.put("native:hello", [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "quokka"}]}])
    for folder in ("objects", "sessions"):
        shutil.copytree(tmp_path / "other" / folder, Path(program.store or "") / folder, dirs_exist_ok=True)
    until(lambda: ok(program("search", "quokka", "--json")).json)


def test_places_that_appear_vanish_and_come_back_are_followed(program: Program, watch: Callable[..., Watching]) -> None:
    shutil.rmtree(program.home / ".claude")
    watch()
    session(program, 1).parent.mkdir(parents=True)
    session(program, 1).write_bytes(support.claude(1, 2))
    wait_for_messages(program, 1, 2)
    shutil.rmtree(program.home / ".claude")
    time.sleep(0.3)
    session(program, 1).parent.mkdir(parents=True)
    session(program, 1).write_bytes(support.claude(1, 5))
    wait_for_messages(program, 1, 5)
    beside = program.home / "moved"
    (beside / "q").mkdir(parents=True)
    (beside / "q" / session(program, 2).name).write_bytes(support.claude(2, 3))
    (beside / "q").rename(program.home / ".claude" / "projects" / "q")
    wait_for_messages(program, 2, 3)
    assert_index_is_true(program)


def test_an_index_that_is_taken_away_comes_back(program: Program, watch: Callable[..., Watching]) -> None:
    session(program, 1).write_bytes(support.claude(1, 3))
    watch()
    for ending in ("", "-wal", "-shm"):
        Path(f"{program.store}/index.sqlite{ending}").unlink(missing_ok=True)
    wait_for_messages(program, 1, 3)
    support.grow(session(program, 1), support.claude(1, 4, 3))
    wait_for_messages(program, 1, 4)
    Path(f"{program.store}/index.sqlite").write_bytes(b"garbage" * 1000)
    support.grow(session(program, 1), support.claude(1, 5, 4))
    wait_for_messages(program, 1, 5)
    with closing(sqlite3.connect(f"{program.store}/index.sqlite")) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_more_changes_than_the_system_can_remember_are_caught_up_with(
    program: Program, watch: Callable[..., Watching]
) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    session(program, 1).write_bytes(support.claude(1, 2))
    watching = watch()
    watching.process.send_signal(signal.SIGSTOP)
    noise = [session(program, 1).with_name(f"noise-{number}.txt") for number in range(2)]
    for path in itertools.islice(itertools.cycle(noise), limit + 1000):
        with path.open("ab") as file:
            file.write(b"x")
    for number in (2, 3):
        session(program, number).write_bytes(support.claude(number, 4))
    watching.process.send_signal(signal.SIGCONT)
    for number in (2, 3):
        wait_for_messages(program, number, 4)
    until(lambda: any("overflow" in one["why"] for one in watching.events("doubt")))
    assert_index_is_true(program)


def may_limit_watches() -> bool:
    """Whether a process may be started for which the system watches a few directories only."""
    done = (
        subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    return done is not None and done.returncode == 0 and Path("/proc/sys/user/max_inotify_watches").exists()


@pytest.mark.skipif(not may_limit_watches(), reason="no user namespaces")
def test_where_the_system_cannot_watch_the_watcher_looks_and_says_so(
    program: Program, watch: Callable[..., Watching]
) -> None:
    for number in range(80):
        (session(program, 1).parent / f"d{number}").mkdir()
    limited = ("unshare", "-Ur", "sh", "-c", 'echo 40 > /proc/sys/user/max_inotify_watches; exec "$@"', "sh")
    watching = watch(wrapper=limited)
    assert watching.events("trouble")
    assert watching.events("started")[0]["polling"]
    for number in range(1, 6):
        (session(program, 1).parent / f"d{number * 13}" / session(program, number).name).write_bytes(
            support.claude(number, 3)
        )
    for number in range(1, 6):
        wait_for_messages(program, number, 3)


def test_there_is_one_watcher_for_a_store(program: Program, watch: Callable[..., Watching]) -> None:
    watch()
    second = program("watch", "--once")
    assert second.code == 4
    assert "watcher's lock" in second.err


def test_a_killed_watcher_leaves_a_sound_store_and_its_successor_catches_up(
    program: Program, watch: Callable[..., Watching]
) -> None:
    for round_number in range(4):
        watching = watch()
        writer = threading.Thread(
            target=lambda: [
                session(program, number).write_bytes(support.claude(number, 30 + round_number))  # noqa: B023
                for number in range(1, 12)
            ]
        )
        writer.start()
        time.sleep(0.03 * round_number)
        watching.process.kill()
        watching.process.wait(PATIENCE)
        writer.join()
    watch()
    for number in range(1, 12):
        wait_for_messages(program, number, 33)
    assert_index_is_true(program)


def test_once_looks_at_everything_and_ends(program: Program) -> None:
    session(program, 1).write_bytes(support.claude(1, 3))
    ok(program("watch", "--once"))
    assert indexed(program, 1) == 3
    support.grow(session(program, 1), support.claude(1, 4, 3))
    ok(program("watch", "--once"))
    assert indexed(program, 1) == 4
    before = support.parts(Store(program.store or ""), "sessions", "objects", "batches")
    ok(program("watch", "--once"))
    assert support.parts(Store(program.store or ""), "sessions", "objects", "batches") == before


def test_only_the_paths_that_are_named_are_followed(
    program: Program, watch: Callable[..., Watching], tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    watch(tmp_path / "here")
    session(program, 1).write_bytes(support.claude(1, 3))
    (tmp_path / "here" / session(program, 2).name).write_bytes(support.claude(2, 3))
    wait_for_messages(program, 2, 3)
    assert indexed(program, 1) is None


def test_an_import_that_runs_does_not_keep_a_change_waiting(
    program: Program, watch: Callable[..., Watching], tmp_path: Path
) -> None:
    big = tmp_path / "big"
    for number in range(2, 60):
        path = big / f"{support.CLAUDE.format(number)}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(support.claude(number, 400, filler="lorem ipsum dolor sit amet " * 40))
    session(program, 1).write_bytes(support.claude(1, 2))
    watch()
    importing = subprocess.Popen(
        program.command("migrate", big, "--jobs", "1"),
        cwd=program.cwd,
        env=program.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    waited = []
    count = 2
    while importing.poll() is None and count < 200:
        count += 1
        support.grow(session(program, 1), support.claude(1, count, count - 1))
        waited.append(wait_for_messages(program, 1, count))
    assert importing.wait(60) == 0
    assert len(waited) >= 2
    assert sorted(waited)[int((len(waited) - 1) * 0.95)] < 2 * SOON  # the machine of the tests is busy with others
    assert_index_is_true(program)


def cpu_seconds(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_watching_costs_next_to_nothing_while_nothing_happens(program: Program, watch: Callable[..., Watching]) -> None:
    for number in range(1, 40):
        session(program, number).write_bytes(support.claude(number, 3))
    watching = watch()
    time.sleep(0.5)
    before, begun = cpu_seconds(watching.process.pid), time.monotonic()
    time.sleep(8)
    used = (cpu_seconds(watching.process.pid) - before) / (time.monotonic() - begun)
    assert used < 0.01


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_watcher_that_is_told_to_end_ends_well(program: Program, watch: Callable[..., Watching], how: int) -> None:
    watching = watch()
    assert watching.stop(how) == 0
    assert watching.events("stopped")


def test_service_files_start_the_same_watcher(program: Program, tmp_path: Path) -> None:
    odd = tmp_path / "a b%$x"
    odd.mkdir()
    unit = ok(program("watch", odd, "--from", "codex", "--print", "systemd")).out
    assert f'ExecStart={sys.executable} -P -m sessionstore watch --store {program.store} --from codex "' in unit
    assert '/a b%%$$x"' in unit
    agent = plistlib.loads(ok(program("watch", odd, "--print", "launchd")).out.encode())
    assert agent["ProgramArguments"][-1] == str(odd)
    assert agent["ProgramArguments"][:4] == [sys.executable, "-P", "-m", "sessionstore"]
    if shutil.which("systemd-analyze"):
        path = tmp_path / "sessionstore.service"
        path.write_text(unit)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", path],
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert str(path) not in done.stderr and done.returncode == 0, done.stderr


def test_a_path_that_is_not_there_is_refused(program: Program) -> None:
    assert program("watch", "--once", ROOT / "nowhere").code == 6

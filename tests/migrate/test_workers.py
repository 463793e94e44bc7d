"""Several processes: workers of one migration, and migrations at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore.importers.base import Draft, Importer, Message, Source
from sessionstore.importers.claude_code import ClaudeCode
from sessionstore.journal import Journals
from sessionstore.migrate import workers
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.migrate import support
from tests.migrate.support import LEGACY, run, write

MIGRATE = """
import sys
from pathlib import Path
from sessionstore.importers.base import Machine
from sessionstore.migrate.run import Request, migrate
from sessionstore.store import Store
report = migrate(Store(sys.argv[1]), Request(tuple(sys.argv[3:]), jobs=int(sys.argv[2])), Machine(Path("/"), Path("/")))
sys.exit(5 if report.failed else 0)
"""
LARGE = 600_000
"""Bytes of a source, so that eight of them are worth starting processes for."""


def corpus(root: Path, files: int = 8) -> list[Path]:
    """Sources that are large enough together for worker processes."""
    filler = "the tide is turning " * 50
    lines = LARGE // len(support.claude(1, 2, 1, filler))
    return [
        write(support.claude_path(root, number), support.claude(number, lines + number, filler=filler))
        for number in range(1, files + 1)
    ]


def sources_in(store: Store) -> list[str]:
    """Which paths the journals say are in the store."""
    return sorted(line["path"] for line in support.live_lines(store))


def test_any_number_of_processes_gives_the_same_store(store: Store, tmp_path: Path) -> None:
    paths = corpus(tmp_path / "sources")
    run(store, tmp_path / "sources", LEGACY, jobs=1)
    one = support.parts(store)
    for jobs in (2, 3):
        other = Store.init(tmp_path / f"jobs{jobs}")
        report = run(other, tmp_path / "sources", LEGACY, jobs=jobs)
        assert report.failed == []
        assert support.parts(other) == one
        assert sources_in(other) == sources_in(store)
        assert support.leftovers(other) == []
    assert set(map(str, paths)) <= set(sources_in(store))


class Deadly(ClaudeCode):
    """Kills the process that reads a source for which there is a mark, and takes the mark away."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        mark = self.marks / Path(source.name).stem
        for number, pair in enumerate(super().read(source)):
            if number == 100 and mark.exists():
                mark.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            yield pair


@pytest.mark.parametrize("killed", [(3,), (8, 6), (8, 6, 4, 2)], ids=["one", "both at once", "all"])
def test_a_killed_worker_loses_only_its_group_and_the_next_run_completes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: tuple[int, ...]
) -> None:
    paths = corpus(tmp_path / "sources")
    marks = tmp_path / "marks"
    for number in killed:
        write(marks / paths[number - 1].stem, b"")
    importer: Importer = Deadly(marks)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "all_importers", lambda: {importer.source: importer})
        report = run(store, tmp_path / "sources", jobs=2)
    assert not any(marks.iterdir())
    assert {path for path in map(str, paths) if path not in sources_in(store)} == {
        entry["path"] for entry in report.failed
    }
    assert len(report.failed) + report.sources == len(paths)
    assert report.sources > 0 or len(killed) == 4
    support.assert_closed(store)
    assert run(store, tmp_path / "sources", jobs=2).failed == []
    undisturbed = Store.init(tmp_path / "undisturbed")
    run(undisturbed, tmp_path / "sources")
    assert support.parts(store) == support.parts(undisturbed)
    assert support.leftovers(store) == []


def test_a_worker_killed_while_it_commits_leaves_a_batch_that_can_be_resumed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = corpus(tmp_path / "sources")
    mark = write(tmp_path / "mark", b"")
    real = Store.write_revision

    def write_revision(self: Store, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        if mark.exists():
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_revision", write_revision)
        report = run(store, tmp_path / "sources", jobs=2)
    assert len(report.failed) > 0
    support.assert_closed(store)
    [batch] = Journals(store.root).all()
    assert batch.state == "interrupted"
    again = run(store, tmp_path / "sources", jobs=2)
    assert (again.failed, again.resumed, again.batch) == ([], True, batch.id)
    assert sources_in(store) == sorted(map(str, paths))
    rollback(store, batch.id)
    assert support.parts(store, "sessions") == {"sessions": {}}


@pytest.mark.parametrize("jobs", [1, 2])
def test_two_migrations_of_the_same_sources_at_once_store_everything_once(
    store: Store, tmp_path: Path, jobs: int
) -> None:
    corpus(tmp_path / "sources")
    write(support.kimi_path(tmp_path / "sources"), support.kimi(["Hello", "Good evening"]))
    support.rest()
    command = [sys.executable, "-c", MIGRATE, store.root, str(jobs), str(tmp_path / "sources")]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    undisturbed = Store.init(tmp_path / "undisturbed")
    run(undisturbed, tmp_path / "sources")
    assert support.parts(store) == support.parts(undisturbed)
    assert len(Journals(store.root).ids()) == 1
    assert support.leftovers(store) == []


def test_sessions_written_by_programs_meanwhile_are_not_disturbed(store: Store, tmp_path: Path) -> None:
    corpus(tmp_path / "sources")
    command = [sys.executable, "-c", MIGRATE, store.root, "2", str(tmp_path / "sources")]
    migration = subprocess.Popen(command)
    message = {"role": "user", "parts": [{"type": "text", "content": "Still here."}]}
    store.put("native:chat", [{"id": "m1", **message}])
    count = 1
    while migration.poll() is None:
        count += 1
        store.append("native:chat", [{"id": f"m{count}", **message}])
        time.sleep(0.005)
    assert migration.returncode == 0
    [head] = store.heads("native:chat")
    assert head["counts"]["messages"] == count
    assert len(support.keys(store)) == 9
    support.assert_closed(store)


def test_workers_of_a_killed_migration_end_by_themselves(store: Store, tmp_path: Path) -> None:
    corpus(tmp_path / "sources")
    command = [sys.executable, "-c", MIGRATE, store.root, "2", str(tmp_path / "sources")]
    migration = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 20
    while len(_members(migration.pid)) < 3 and migration.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    migration.kill()
    migration.wait(timeout=10)
    while _members(migration.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert run(store, tmp_path / "sources").failed == []
    undisturbed = Store.init(tmp_path / "undisturbed")
    run(undisturbed, tmp_path / "sources")
    assert support.parts(store) == support.parts(undisturbed)


def _members(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                status = Path("/proc", name, "stat").read_text()
            except OSError:
                continue
            fields = status.rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(name))
    return found

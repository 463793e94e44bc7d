"""A migration, its resumption and its rollback killed or failing at the system calls they make: no session is ever half
there, no source is lost, and running it again ends where an undisturbed run does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionstore import errors
from sessionstore.gc import sweep_temp
from sessionstore.journal import Journals
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.faults import crashpoints
from tests.faults.crashpoints import Ended, Point
from tests.migrate import support
from tests.migrate.support import grow, run, write

pytestmark = pytest.mark.strace
Attributes = dict[str, tuple[bytes, int, int]]
MTIME = 1_600_000_000_123_456_789


class World(NamedTuple):
    """A directory that holds a store and the sources it is fed from. Paths are in the journals, so the same place is
    used again for every try: `restore` puts everything back."""

    root: Path
    kept: Path

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    @property
    def sources(self) -> Path:
        return self.root / "sources"

    def keep(self) -> None:
        """Remember everything as it is now."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.root, self.kept, symlinks=True)

    def restore(self) -> None:
        """Everything as it was when it was kept. Sources stay the same files, because times tell whether they are."""
        shutil.rmtree(self.root / "store")
        shutil.copytree(self.kept / "store", self.root / "store")
        for path in self.kept.glob("sources/**/*"):
            here = self.root / path.relative_to(self.kept)
            if path.is_file() and not here.exists():
                here.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, here)

    def attributes(self) -> Attributes:
        """Bytes, mode and mtime of all sources."""
        return {
            str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
            for path in sorted(self.sources.rglob("*"))
            if path.is_file()
        }


def visible(store: Store) -> dict[str, list[str]]:
    """What a reader sees: the heads of every session."""
    return {key: sorted(head["_name"] for head in heads) for key, heads in support.heads(store).items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A store with sessions, and sources of which some are new, some have grown, one was rewritten, one is older than
    what is stored and one was moved on in its window."""
    world = World(tmp_path / "world", tmp_path / "kept")
    store, sources = Store.init(world.root / "store"), world.sources
    grown = write(support.claude_path(sources, 1), support.claude(1, 60))
    rewritten = write(support.codex_path(sources, 2), support.codex(2, 20))
    window = write(support.kimi_path(sources), support.kimi(f"turn {n}" for n in range(50)))
    write(support.claude_path(sources / "now", 3), support.claude(3, 20))
    support.rest()
    run(store, sources)
    grow(grown, support.claude(1, 160, 60, "more and more " * 30))
    rewritten.write_bytes(support.codex(2, 20).replace(b"tide 7", b"TIDE 7"))
    window.write_bytes(support.kimi(f"turn {n}" for n in range(30, 80)))
    write(support.claude_path(sources / "backup", 3), support.claude(3, 9))
    write(support.claude_path(sources, 4), support.claude(4, 5))
    write(support.codex_path(sources, 5), support.codex(5, 4) + b'{"torn')
    for path in sources.rglob("*.json*"):
        os.utime(path, ns=(MTIME, MTIME))
    support.rest()
    world.keep()
    return world


class Golden(NamedTuple):
    """What an undisturbed run gives."""

    before: dict[str, Any]
    seen_before: dict[str, list[str]]
    after: dict[str, Any]
    seen_after: dict[str, list[str]]
    sources: Attributes


def golden(world: World, piece: Callable[[], object]) -> Golden:
    """Do it undisturbed, and put everything back."""
    before, seen_before = support.parts(world.store), visible(world.store)
    sources = world.attributes()
    piece()
    after, seen_after = support.parts(world.store), visible(world.store)
    world.restore()
    return Golden(before, seen_before, after, seen_after, sources)


def migrating(world: World, **options: Any) -> Callable[[], object]:
    """The piece that migrates the sources."""

    def piece() -> None:
        report = run(world.store, world.sources, **options)
        if report.failed:
            raise errors.PartialError(reason=str(report.failed))

    return piece


def assert_every_session_is_before_or_after(store: Store, expected: Golden) -> None:
    """No session is half there, and every visible revision is whole."""
    support.assert_closed(store)
    seen = visible(store)
    for key in {*expected.seen_before, *expected.seen_after, *seen}:
        assert seen.get(key) in (expected.seen_before.get(key), expected.seen_after.get(key)), key


def assert_completes(world: World, expected: Golden, **options: Any) -> None:
    """Running the migration again ends where the undisturbed one did, and rolling back where it began."""
    store = world.store
    assert run(store, world.sources, **options).failed == []
    assert support.parts(store) == expected.after
    sweep_temp(store)
    assert support.leftovers(store) == []
    for batch in reversed(Journals(store.root).ids()[1:]):
        rollback(store, batch)
    assert support.parts(store, "sessions")["sessions"] == expected.before["sessions"]
    assert world.attributes() == expected.sources
    support.assert_closed(store)


def some(points: list[Point], whole: bool, most: int = 25) -> Iterator[Point]:
    """All points, or evenly chosen ones when there are many."""
    step = 1 if whole else max(1, -(-len(points) // most))
    yield from points[::step]


@pytest.mark.parametrize("options", [{}, {"retire": True}], ids=["keeping sources", "retiring sources"])
def test_a_migration_killed_anywhere_can_be_run_again(
    world: World, options: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    piece = migrating(world, **options)
    expected = golden(world, piece)
    points = crashpoints.points(piece, world.root)
    world.restore()
    assert len(points) > 60
    for point in some(points, pytestconfig.getoption("--all")):
        ended = crashpoints.kill_at(piece, point)
        assert ended.killed, (point, ended)
        assert_every_session_is_before_or_after(world.store, expected)
        kept = world.attributes()
        assert all(expected.sources[path] == found for path, found in kept.items())
        assert options or kept == expected.sources
        assert_completes(world, expected, **options)
        world.restore()


def test_a_killed_migration_can_be_rolled_back_at_once(world: World, pytestconfig: pytest.Config) -> None:
    piece = migrating(world, retire=True)
    expected = golden(world, piece)
    points = crashpoints.points(piece, world.root)
    world.restore()
    for point in some(points, pytestconfig.getoption("--all")):
        assert crashpoints.kill_at(piece, point).killed
        for batch in Journals(world.store.root).ids()[1:]:
            rollback(world.store, batch)
        assert support.parts(world.store, "sessions")["sessions"] == expected.before["sessions"], point
        assert world.attributes() == expected.sources
        support.assert_closed(world.store)
        world.restore()


def test_a_rollback_killed_anywhere_goes_on_where_it_was(world: World, pytestconfig: pytest.Config) -> None:
    run(world.store, world.sources, retire=True)
    batch = Journals(world.store.root).ids()[-1]
    removed = World(world.root, world.root.parent / "removed")
    removed.keep()

    def forget_sources() -> None:
        shutil.rmtree(world.sources)
        removed.restore()

    def piece() -> None:
        rollback(world.store, batch)

    expected = golden(removed, piece)
    forget_sources()
    points = crashpoints.points(piece, world.root)
    forget_sources()
    assert len(points) > 40
    for point in some(points, pytestconfig.getoption("--all")):
        ended = crashpoints.kill_at(piece, point)
        assert ended.killed, (point, ended)
        assert_every_session_is_before_or_after(world.store, expected)
        if not Journals(world.store.root).read(batch).undone:
            rollback(world.store, batch)
        assert support.parts(world.store) == expected.after
        assert world.attributes().keys() == {
            str(path.relative_to(world.kept)) for path in world.kept.glob("sources/**/*") if path.is_file()
        }
        assert all(mtime == MTIME for _, _, mtime in world.attributes().values())
        sweep_temp(world.store)
        assert support.leftovers(world.store) == []
        forget_sources()


def test_a_resumption_killed_anywhere_can_be_resumed_again(world: World, pytestconfig: pytest.Config) -> None:
    piece = migrating(world)
    expected = golden(world, piece)
    points = [point for point in crashpoints.points(piece, world.root) if point.call == "rename"]
    world.restore()
    later = [point for point in points if "/sessions/" in point.shown]
    assert crashpoints.kill_at(piece, later[len(later) // 2]).killed
    interrupted = World(world.root, world.root.parent / "interrupted")
    interrupted.keep()
    again = crashpoints.points(piece, world.root)
    for point in some(again, pytestconfig.getoption("--all")):
        interrupted.restore()
        assert crashpoints.kill_at(piece, point).killed
        assert_every_session_is_before_or_after(world.store, expected)
        assert_completes(world, expected)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_migration_that_meets_a_failing_disk_can_be_run_again(
    world: World, error: str, pytestconfig: pytest.Config
) -> None:
    piece = migrating(world)
    expected = golden(world, piece)
    fallible = ("write", "fsync", "rename", "mkdir", "openat", "syncfs")
    points = [point for point in crashpoints.points(piece, world.root) if point.call in fallible]
    world.restore()
    for point in some(points, pytestconfig.getoption("--all")):
        ended = crashpoints.fail_at(piece, point, error)
        assert_failed_well(ended, point)
        assert support.leftovers(world.store) == []
        assert_every_session_is_before_or_after(world.store, expected)
        assert_completes(world, expected)
        world.restore()


def assert_failed_well(ended: Ended, point: Point) -> None:
    """A storage error in one line."""
    assert ended.code == crashpoints.RAISED, (point, ended)
    kind = ended.raised.partition(":")[0]
    assert issubclass(getattr(errors, kind), errors.StorageError), (point, ended)
    assert "\n" not in ended.raised


def test_a_source_that_cannot_be_read_fails_alone(world: World) -> None:
    piece = migrating(world)
    with_log = world.root.parent / "log"
    options = ["-y", "-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=9"]
    ended = crashpoints.run(piece, options, str(with_log))
    assert ended.raised.startswith("PartialError"), ended
    assert "input/output error" in ended.raised
    assert ended.raised.count("'path'") == 1
    support.assert_closed(world.store)
    assert run(world.store, world.sources).failed == []

"""A write killed or failing at every system call it makes: the session is as before or as after, and trying again
ends at the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.gc import sweep_temp
from sessionstore.store import Store
from tests.faults import crashpoints
from tests.faults.crashpoints import Point
from tests.migrate import support

pytestmark = pytest.mark.strace
KEY = "native:tides"
Piece = Callable[[Store], object]


def messages(start: int, end: int, size: int = 3000) -> list[dict[str, Any]]:
    """Turns of about `size` bytes."""
    text = "The tide is turning. " * (size // 21)
    return [
        {"id": f"m{n}", "role": "user", "parts": [{"type": "text", "content": f"{n} {text}"}]}
        for n in range(start, end)
    ]


def picture(number: int) -> dict[str, Any]:
    """A message with a large value."""
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "A" * 4000}
    return {"id": f"m{number}", "role": "user", "parts": [blob]}


def putting(end: int, start: int = 0) -> Piece:
    """The piece that puts a session of some turns; none at all for 0."""
    return lambda store: store.put(KEY, messages(start, end)) if end else None


def appending(*added: dict[str, Any]) -> Piece:
    """The piece that appends messages."""
    return lambda store: store.append(KEY, added)


PUTS: dict[str, tuple[Piece, Piece]] = {
    "a small session": (putting(0), putting(2)),
    "a session of several pages": (putting(0), putting(30)),
    "a longer one": (putting(8), putting(30)),
    "an appended turn": (putting(8), appending(*messages(8, 9))),
    "an appended page": (putting(8), appending(*messages(8, 20))),
    "an appended picture": (putting(2), appending(picture(3))),
    "another branch": (putting(12), putting(12, 1)),
}
each_put = pytest.mark.parametrize(("before", "piece"), PUTS.values(), ids=PUTS.keys())


class Case:
    """A store before the piece, what the piece makes of it, and every point where it can be hurt."""

    def __init__(self, root: Path, before: Piece, piece: Piece) -> None:
        self.root, self.piece, self.tries = root, piece, 0
        self.repeatable = piece.__qualname__.startswith("putting")
        self.first = Store.init(root / "first")
        before(self.first)
        last = self.fresh()
        self.points = crashpoints.points(lambda: piece(Store(last.root)), last.root)
        self.before, self.after = self.first.heads(KEY), last.heads(KEY)
        self.golden = support.parts(last)

    def fresh(self) -> Store:
        """A copy of the store as it was before."""
        self.tries += 1
        return Store(shutil.copytree(self.first.root, self.root / f"try{self.tries}"))

    def check(self, store: Store) -> None:
        """The oracle: whole, before or after, and done again (what was appended is not appended twice) it is as if
        nothing had happened."""
        store = Store(store.root)
        support.assert_closed(store)
        heads = store.heads(KEY)
        assert heads in (self.before, self.after)
        if heads == self.before or self.repeatable:
            self.piece(store)
        else:
            store.append(KEY, [])
        assert support.parts(store) == self.golden
        sweep_temp(store)
        assert support.leftovers(store) == []
        shutil.rmtree(store.root)


@pytest.fixture
def case(tmp_path: Path, before: Piece, piece: Piece) -> Case:
    """The scenario of one parametrised write."""
    return Case(tmp_path, before, piece)


@each_put
def test_a_kill_at_any_call_leaves_the_session_before_or_after(case: Case) -> None:
    assert len(case.points) > 10
    for point in case.points:
        store = case.fresh()
        ended = crashpoints.kill_at(lambda at=store.root: case.piece(Store(at)), point)  # type: ignore[misc]
        assert ended.killed, (point, ended)
        case.check(store)


FALLIBLE = ("openat", "write", "rename", "mkdir", "fsync")


@each_put
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_call_that_fails_is_an_error_that_leaves_nothing_behind(case: Case, error: str) -> None:
    assert_every_failure_is_clean(case, error)


@pytest.mark.parametrize("error", ["EDQUOT", "EROFS", "EFBIG", "EACCES"])
def test_other_failures_are_as_clean(tmp_path: Path, error: str) -> None:
    assert_every_failure_is_clean(Case(tmp_path, *PUTS["an appended page"]), error)


def assert_every_failure_is_clean(case: Case, error: str) -> None:
    """Every call that can fail is made to fail, one at a time."""
    failed = 0
    for point in case.points:
        if point.call not in FALLIBLE:
            continue
        store = case.fresh()
        ended = crashpoints.fail_at(lambda at=store.root: case.piece(Store(at)), point, error)  # type: ignore[misc]
        if error == "EACCES" and ended.code == 0:
            continue  # a directory that may not be flushed is warned of
        assert ended.code == crashpoints.RAISED, (point, ended)
        failed += 1
        name = ended.raised.partition(":")[0]
        assert issubclass(getattr(errors, name), errors.StorageError), ended
        assert "\n" not in ended.raised
        assert support.leftovers(store) == []
        case.check(store)
    assert failed >= 6


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_disk_that_fails_for_good_gives_one_error_and_keeps_what_was_there(tmp_path: Path, error: str) -> None:
    case = Case(tmp_path, *PUTS["a longer one"])
    for call in ("write", "fsync", "rename"):
        store = case.fresh()
        point = next(point for point in case.points if point.call == call)
        piece = lambda at=store.root: case.piece(Store(at))  # noqa: E731
        ended = crashpoints.fail_at(piece, point, error, times=1000)
        assert ended.code == crashpoints.RAISED, ended
        assert store.heads(KEY) == case.before
        case.check(store)


def test_a_failed_fsync_is_not_tried_again_on_the_same_file(tmp_path: Path) -> None:
    case = Case(tmp_path, *PUTS["a session of several pages"])
    for point in case.points:
        if point.call != "fsync" or f"{os.sep}tmp{os.sep}" not in point.path.removeprefix(str(tmp_path)):
            continue
        store = case.fresh()
        log = tmp_path / "log"
        options = ["-y", "-e", "trace=fsync,fdatasync,openat,rename"]
        options += ["-e", f"inject=fsync:error=EIO:when={point.n}"]
        piece = lambda at=store.root: case.piece(Store(at))  # noqa: E731
        assert crashpoints.run(piece, options, str(log)).code == crashpoints.RAISED
        lines = log.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if "INJECTED" in line)
        failed = lines[at].partition("<")[2].partition(">")[0]
        assert failed
        assert not [line for line in lines[at + 1 :] if failed in line and "fsync" in line]
        assert not [line for line in lines[at + 1 :] if "rename" in line]
        case.check(store)


def test_what_a_killed_writer_left_is_made_durable_before_it_counts(tmp_path: Path) -> None:
    case = Case(tmp_path, *PUTS["a session of several pages"])
    for point in case.points:
        if point.call != "fsync":
            continue
        store = case.fresh()
        piece = lambda at=store.root: case.piece(Store(at))  # noqa: E731
        assert crashpoints.kill_at(piece, point).killed
        again = crashpoints.points(piece, store.root)
        synced = "\n".join(repeated.shown for repeated in again if repeated.call == "fsync")
        for name in support.tree(f"{store.root}/objects"):
            assert f"{store.root}/objects/{name}>" in synced or f"{store.root}/tmp/" in synced
        for folder in ("objects", "sessions"):
            made = os.listdir(f"{store.root}/{folder}")
            assert all(f"{store.root}/{folder}/{name}>" in synced for name in made)
            assert f"{store.root}/{folder}>" in synced
        case.check(store)


def test_interrupted_calls_are_tried_again(tmp_path: Path) -> None:
    case = Case(tmp_path, *PUTS["a session of several pages"])
    for call in ("write", "fsync", "openat"):
        store = case.fresh()
        point = Point(call, 1, "")
        piece = lambda at=store.root: case.piece(Store(at))  # noqa: E731
        ended = crashpoints.fail_at(piece, point, "EINTR", times=3)
        assert ended.code == 0, ended
        assert support.parts(store) == case.golden


def test_a_file_system_that_writes_less_than_it_says_is_found_out(tmp_path: Path) -> None:
    case = Case(tmp_path, *PUTS["a longer one"])
    for point in case.points:
        if point.call != "write":
            continue
        store = case.fresh()
        piece = lambda at=store.root: case.piece(Store(at))  # noqa: E731
        ended = crashpoints.return_at(piece, "write", 100, str(point.n))
        assert ended.code == crashpoints.RAISED, ended
        case.check(store)


def test_writes_of_a_few_bytes_at_a_time_give_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, *PUTS["a longer one"])
    store = case.fresh()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[: 1 + len(data) // 2])))
    case.piece(store)
    assert support.parts(store) == case.golden


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_a_file_system_that_cannot_flush_directories_is_warned_of_and_used(tmp_path: Path, error: str) -> None:
    case = Case(tmp_path, *PUTS["a small session"])
    store = case.fresh()

    def piece() -> None:
        from sessionstore import fsio

        fsio.warnings.clear()
        case.piece(Store(store.root))
        if len(fsio.warnings) != 1 or "directory" not in fsio.warnings[0]:
            raise errors.SessionstoreError(reason=f"{fsio.warnings}")

    first = next(point for point in case.points if point.call == "fsync" and point.path.endswith("/sessions"))
    ended = crashpoints.fail_at(piece, first, error)
    assert ended.code == 0, ended
    assert support.parts(store) == case.golden


def test_making_a_store_can_be_killed_anywhere_and_done_again(tmp_path: Path) -> None:
    for point in crashpoints.points(lambda: Store.init(tmp_path / "golden"), tmp_path):
        place = tmp_path / str(point).replace(":", "-")
        ended = crashpoints.kill_at(lambda at=place: Store.init(at), point)  # type: ignore[misc]
        assert ended.killed
        store = Store.init(place)
        store.put(KEY, messages(0, 2))
        support.assert_closed(Store(place))


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EROFS", "EACCES"])
def test_making_a_store_that_fails_is_one_error(tmp_path: Path, error: str) -> None:
    for point in crashpoints.points(lambda: Store.init(tmp_path / "golden"), tmp_path):
        if point.call not in FALLIBLE:
            continue
        place = tmp_path / str(point).replace(":", "-")
        ended = crashpoints.fail_at(lambda at=place: Store.init(at), point, error)  # type: ignore[misc]
        assert ended.code == crashpoints.RAISED or (error == "EACCES" and ended.code == 0), (point, ended)
        Store.init(place).put(KEY, messages(0, 2))

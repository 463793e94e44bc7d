"""Several programs at one store: who waits for whom, what a dead one leaves, and file systems without locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, fsio
from sessionstore.gc import gc
from sessionstore.journal import Journals
from sessionstore.locks import Lock
from sessionstore.migrate.rollback import rollback
from sessionstore.store import Store
from tests.faults import crashpoints
from tests.migrate import support
from tests.migrate.support import run, write

KEY = "native:chat"
HOLD = """
import subprocess, sys, time
from sessionstore.locks import Lock
with Lock(sys.argv[1], shared=sys.argv[2] == "shared"):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
    time.sleep(60)
"""


def message(text: str) -> dict[str, Any]:
    """A turn of a person."""
    return {"id": text, "role": "user", "parts": [{"type": "text", "content": text}]}


_children: list[int] = []


@pytest.fixture(autouse=True)
def no_child_outlives_its_test() -> Iterator[None]:
    yield
    while _children:
        child = _children.pop()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def in_child(piece: Callable[[], object]) -> int:
    """Start a piece in a child; its exit code is that of the error it raises."""
    child = os.fork()
    _children.append(child)
    if child == 0:
        _let_go_of_locks()
        code = 1
        try:
            piece()
            code = 0
        except errors.SessionstoreError as error:
            code = error.exit_code + 100
        finally:
            os._exit(code)
    return child


def _let_go_of_locks() -> None:
    """Close what a fork has copied, so that this is another process like any other."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if "/locks/" in os.readlink(f"/proc/self/fd/{name}"):
                os.close(int(name))


def ended(child: int) -> int:
    """Wait for a child and return its exit code."""
    _children.remove(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_running(child: int) -> bool:
    """Whether a child has not ended."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def hold(path: Path, kind: str = "exclusive") -> tuple[subprocess.Popen[str], int]:
    """A process that holds a lock, and a child of it that has inherited whatever is inherited."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.stdout.close()
    return process, child


def test_the_lock_of_a_killed_process_is_free_at_once_even_when_its_child_lives_on(tmp_path: Path) -> None:
    process, child = hold(tmp_path / "lock")
    try:
        with pytest.raises(errors.Busy, match=f"process {process.pid}"), Lock(str(tmp_path / "lock")):
            pass
        process.kill()
        process.wait()
        with Lock(str(tmp_path / "lock")):
            assert Path("/proc", str(child)).exists()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_that_is_shared_names_nobody_who_does_not_hold_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with Lock(path):
        pass
    process, child = hold(tmp_path / "lock", "shared")
    try:
        with Lock(path, shared=True), pytest.raises(errors.Busy) as caught, Lock(path):
            pass
        assert str(os.getpid()) not in str(caught.value)
    finally:
        process.kill()
        process.wait()
        os.kill(child, signal.SIGKILL)


def test_every_file_the_store_opens_is_closed_in_programs_it_starts(store: Store) -> None:
    with store.writing(), store.sessions_locked([KEY]), Lock(f"{store.root}/locks/other.lock"):
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith(store.root):
                assert not os.get_inheritable(int(name)), target


def test_writers_do_not_wait_for_each_other_but_for_whoever_needs_the_store_alone(store: Store) -> None:
    with store.writing():
        assert ended(in_child(lambda: store.put(KEY, [message("one")]))) == 0
        with pytest.raises(errors.Busy), store.exclusively("gc", timeout=0.1):
            pass
    with store.exclusively("gc"):
        with pytest.raises(errors.Busy, match="the store is in use"), store.writing(timeout=0.1):
            pass
        waiting = in_child(lambda: store.append(KEY, [message("two")]))
        time.sleep(0.3)
        assert is_running(waiting)
    assert ended(waiting) == 0
    assert support.texts(store, support.only_head(store)) == ["one", "two"]


def test_garbage_collection_waits_while_a_migration_holds_the_store(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    with store.writing():
        name = store.objects.put(b"about to be committed", "bin")
        collecting = in_child(lambda: gc(store, grace_days=0))
        time.sleep(0.3)
        assert is_running(collecting)
        assert store.objects.find(name, "bin")
    assert ended(collecting) == 0
    assert store.objects.find(name, "bin") is None


def test_garbage_collection_at_any_moment_takes_nothing_that_is_needed(store: Store, tmp_path: Path) -> None:
    stop = tmp_path / "stop"

    def collect() -> None:
        while not stop.exists():
            gc(store, grace_days=0)
            time.sleep(0.002)

    collecting = in_child(collect)
    for number in range(1, 13):
        path = write(support.claude_path(tmp_path / "sources", number), support.claude(number, 40))
        report = run(store, path)
        assert report.failed == []
        store.put(KEY, [message(str(n)) for n in range(number)])
        support.assert_closed(store)
        if number % 3 == 0:
            rollback(store, str(report.batch))
            support.assert_closed(store)
    stop.touch()
    assert ended(collecting) == 0
    assert len(support.keys(store)) == 1 + 12 - 4


def test_processes_that_append_to_one_session_lose_nothing(store: Store) -> None:
    store.put(KEY, [message("begin")])

    def write_some(who: str) -> None:
        for number in range(15):
            store.append(KEY, [message(f"{who}{number}")])

    children = [in_child(lambda who=who: write_some(who)) for who in "abc"]  # type: ignore[misc]
    write_some("d")
    assert [ended(child) for child in children] == [0, 0, 0]
    head = support.only_head(store)
    found = support.texts(store, head)
    assert sorted(found) == sorted(["begin", *(f"{who}{number}" for who in "abcd" for number in range(15))])
    for who in "abcd":
        assert [text for text in found if text[0] == who and text != "begin"] == [f"{who}{n}" for n in range(15)]
    assert len(store.revision_names()) == 1


def test_threads_that_append_to_one_session_lose_nothing(store: Store) -> None:
    store.put(KEY, [message("begin")])
    threads = [
        threading.Thread(target=lambda who=who: [store.append(KEY, [message(f"{who}{n}")]) for n in range(10)])
        for who in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert support.only_head(store)["counts"]["messages"] == 41


def test_two_writers_that_continue_one_session_differently_make_two_heads(store: Store) -> None:
    shared = [message("question"), message("answer")]
    store.put(KEY, shared)
    children = [
        in_child(lambda who=who: store.put(KEY, [*shared, message(who)]))  # type: ignore[misc]
        for who in ("left", "right")
    ]
    assert [ended(child) for child in children] == [0, 0]
    [both] = support.heads(store).values()
    assert sorted(support.texts(store, head) for head in both) == [
        ["question", "answer", "left"],
        ["question", "answer", "right"],
    ]


def test_readers_never_see_a_session_half_there_while_it_is_written(store: Store) -> None:
    store.put(KEY, [message("0")])

    def write_on() -> None:
        for number in range(1, 150):
            store.append(KEY, [message(str(number) + "x" * 900)])

    writing = in_child(write_on)
    seen = 0
    while is_running(writing):
        [head] = store.heads(KEY)
        found = support.texts(store, head)
        assert [text.rstrip("x") for text in found] == [str(number) for number in range(len(found))]
        assert len(found) >= seen
        seen = len(found)
    assert store.heads(KEY)[0]["counts"]["messages"] == 150


def test_overlapping_migrations_store_everything_once(store: Store, tmp_path: Path) -> None:
    for number in range(1, 10):
        write(support.claude_path(tmp_path / f"part{number % 3}", number), support.claude(number, 20))
    support.rest()
    children = [
        in_child(lambda paths=paths: run(store, *paths))  # type: ignore[misc]
        for paths in (
            [tmp_path],
            [tmp_path / "part0", tmp_path / "part1"],
            [tmp_path / "part1", tmp_path / "part2"],
            [tmp_path / "part2"],
        )
    ]
    assert [ended(child) for child in children] == [0] * 4
    alone = Store.init(tmp_path / "alone")
    run(alone, tmp_path / "part0", tmp_path / "part1", tmp_path / "part2")
    assert support.parts(store) == support.parts(alone)
    assert len(support.live_lines(store)) == 9


WITHOUT_LOCKS = ["ENOLCK", "EOPNOTSUPP", "ENOSYS"]


def without_locks(piece: Callable[[], object], error: str) -> crashpoints.Ended:
    """Run a piece where locks do not work."""
    return crashpoints.run(piece, ["-e", "trace=flock", "-e", f"inject=flock:error={error}"])


@pytest.mark.strace
@pytest.mark.parametrize("error", WITHOUT_LOCKS)
def test_without_locks_everything_is_written_with_a_warning(store: Store, tmp_path: Path, error: str) -> None:
    write(support.claude_path(tmp_path, 1), support.claude(1, 30))

    def piece() -> None:
        fsio.warnings.clear()
        run(store, tmp_path)
        store.put(KEY, [message("one")])
        store.append(KEY, [message("two")])
        if not fsio.warnings or not all("no working locks" in warning for warning in fsio.warnings):
            raise errors.UsageError(reason=str(fsio.warnings))

    assert without_locks(piece, error) == (0, "")
    assert len(support.keys(store)) == 2
    support.assert_closed(store)


@pytest.mark.strace
@pytest.mark.parametrize("error", WITHOUT_LOCKS)
def test_without_locks_nothing_that_needs_the_store_alone_is_done(store: Store, tmp_path: Path, error: str) -> None:
    batch = str(run(store, write(support.claude_path(tmp_path, 1), support.claude(1, 30))).batch)
    store.objects.put(b"garbage", "bin")
    before = support.parts(store)
    collected = without_locks(lambda: gc(store, grace_days=0), error)
    assert collected.raised.startswith("LocksUnavailable")
    assert "so gc is refused" in collected.raised
    assert without_locks(lambda: rollback(store, batch), error).raised.startswith("LocksUnavailable")
    assert support.parts(store) == before


@pytest.mark.strace
def test_without_locks_an_interrupted_migration_can_be_resumed(store: Store, tmp_path: Path) -> None:
    write(support.claude_path(tmp_path, 1), support.claude(1, 30))
    write(support.claude_path(tmp_path, 2), support.claude(2, 30))
    piece = lambda: run(store, tmp_path)  # noqa: E731
    other = Store.init(tmp_path.parent / f"{tmp_path.name}-other")
    into = [point for point in crashpoints.points(lambda: run(other, tmp_path), other.root) if point.call == "rename"]
    assert crashpoints.kill_at(piece, into[-1]).killed
    assert [batch.state for batch in Journals(store.root).all()] == ["interrupted"]
    assert without_locks(piece, "ENOLCK").code == 0
    assert [batch.state for batch in Journals(store.root).all()] == ["done"]
    assert support.parts(store) == support.parts(other)

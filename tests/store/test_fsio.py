"""The operating system, asked carefully: durable writes, full disks, failing disks, locks."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore import errors, fsio
from sessionstore.fsio import Flush, Temp
from sessionstore.locks import Lock
from tests.conftest import ROOT

posix = pytest.mark.skipif(os.name != "posix", reason="the calls that are counted are POSIX ones")


@pytest.fixture
def temp(tmp_path: Path) -> Temp:
    return Temp(str(tmp_path / "tmp"))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes that were made durable, in order, while they really are."""
    inodes: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        inodes.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    monkeypatch.setattr(fsio, "_syncfs", lambda directory: False)
    return inodes


@pytest.fixture
def failing_sync(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk that answers every fsync with an input/output error; the inodes it was asked for."""
    inodes: list[int] = []

    def failing(descriptor: int) -> None:
        inodes.append(os.fstat(descriptor).st_ino)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    return inodes


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory in which no file of 200 kB fits: a small file system where one can be mounted, else a limit."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=20", "tmpfs", str(place)]
    with contextlib.suppress(OSError):
        if subprocess.run(mount, capture_output=True, timeout=20, check=False).returncode == 0:
            try:
                yield place
            finally:
                subprocess.run(["umount", "-l", str(place)], timeout=20, check=True)
            return
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    try:
        yield place
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def inode(path: Path) -> int:
    return path.stat().st_ino


def scratch_files(temp: Temp) -> list[str]:
    return fsio.names(temp.directory)


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_write_that_the_system_takes_in_small_bites_is_written_whole(
    tmp_path: Path, temp: Temp, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = os.write, []

    def bite(descriptor: int, data: bytes | memoryview) -> int:
        sizes.append(write(descriptor, data[:7]))
        return sizes[-1]

    monkeypatch.setattr(os, "write", bite)
    data = bytes(range(256))
    fsio.replace(temp, str(tmp_path / "file"), data)
    fsio.append(str(tmp_path / "log"), data)
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == (tmp_path / "log").read_bytes() == data
    assert len(sizes) == 2 * -(-256 // 7)


def test_a_file_is_written_under_a_temp_name_and_leaves_none_behind(tmp_path: Path, temp: Temp) -> None:
    assert fsio.write_new(temp, str(tmp_path / "deep" / "er" / "file"), b"content")
    assert (tmp_path / "deep" / "er" / "file").read_bytes() == b"content"
    assert scratch_files(temp) == []


@posix
def test_files_and_directories_are_private(tmp_path: Path, temp: Temp) -> None:
    fsio.write_new(temp, str(tmp_path / "made" / "file"), b"content")
    fsio.append(str(tmp_path / "made" / "log"), b"line\n")
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("made", "made/file", "made/log", "tmp")}
    assert modes == {"made": 0o700, "made/file": 0o600, "made/log": 0o600, "tmp": 0o700}


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path, temp: Temp) -> None:
    path = tmp_path / "file"
    assert fsio.write_new(temp, str(path), b"first")
    before = inode(path)
    assert not fsio.write_new(temp, str(path), b"second")
    assert (path.read_bytes(), inode(path)) == (b"first", before)


@posix
def test_a_written_file_and_its_directory_are_durable(tmp_path: Path, temp: Temp, synced: list[int]) -> None:
    fsio.write_new(temp, str(tmp_path / "made" / "file"), b"content")
    assert synced.index(inode(tmp_path / "made" / "file")) < synced.index(inode(tmp_path / "made"))
    assert inode(tmp_path) in synced, "the new directory's own name"


@posix
def test_a_file_already_there_is_made_durable_all_the_same(tmp_path: Path, temp: Temp, synced: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert not fsio.write_new(temp, str(path), b"content")
    assert synced == [inode(path), inode(tmp_path), inode(tmp_path.parent)], "and the directory's own name, once"


@posix
def test_an_append_is_durable_and_so_is_the_name_of_a_new_file(tmp_path: Path, synced: list[int]) -> None:
    path = tmp_path / "log"
    fsio.append(str(path), b"one\n")
    assert synced == [inode(path), inode(tmp_path)]
    fsio.append(str(path), b"two\n")
    assert synced[2:] == [inode(path)]
    fsio.append(str(path), b"three\n", durable=False)
    assert len(synced) == 3
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_temp_names_differ_between_threads_and_processes(tmp_path: Path) -> None:
    temp = Temp(str(tmp_path))
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.extend(temp.name() for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names += [Temp(str(tmp_path)).name() for _ in range(50)]
    assert len(set(names)) == len(names) == 450
    assert all(int(os.path.basename(name).split("-")[0], 16) == os.getpid() for name in names)


@posix
def test_a_forked_process_makes_temp_names_of_its_own(tmp_path: Path) -> None:
    temp = Temp(str(tmp_path))
    ours = temp.name()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, temp.name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 1000).decode()
    os.close(reading)
    os.close(writing)
    assert int(os.path.basename(theirs).split("-")[0], 16) == child
    assert os.path.basename(theirs).split("-")[1] != os.path.basename(ours).split("-")[1]


# -- full and failing disks --------------------------------------------------------------------------------------------


@posix
def test_a_full_disk_is_said_and_leaves_no_temp_file(full_disk: Path) -> None:
    temp = Temp(str(full_disk / "tmp"))
    fsio.write_new(temp, str(full_disk / "small"), b"fits")
    with pytest.raises(errors.NoSpace) as caught:
        fsio.write_new(temp, str(full_disk / "large"), b"x" * 200_000)
    assert caught.value.exit_code == 6
    assert scratch_files(temp) == []
    assert not (full_disk / "large").exists()
    assert (full_disk / "small").read_bytes() == b"fits"
    assert fsio.write_new(temp, str(full_disk / "after"), b"fits too")


@posix
def test_a_full_disk_leaves_a_file_that_was_to_be_replaced_as_it_was(full_disk: Path) -> None:
    temp = Temp(str(full_disk / "tmp"))
    fsio.write_new(temp, str(full_disk / "file"), b"before")
    with pytest.raises(errors.NoSpace):
        fsio.replace(temp, str(full_disk / "file"), b"x" * 200_000)
    assert (full_disk / "file").read_bytes() == b"before"


@posix
def test_a_failed_sync_is_told_and_not_tried_again(tmp_path: Path, temp: Temp, failing_sync: list[int]) -> None:
    (tmp_path / "tmp").mkdir()
    with pytest.raises(errors.WriteFailed, match="input/output error"):
        fsio.write_new(temp, str(tmp_path / "file"), b"content")
    assert len(failing_sync) == 1
    assert not (tmp_path / "file").exists()
    assert scratch_files(temp) == []


@posix
def test_a_failed_flush_is_told_and_not_tried_again(tmp_path: Path, temp: Temp, failing_sync: list[int]) -> None:
    (tmp_path / "tmp").mkdir()
    flush = Flush()
    for number in range(3):
        fsio.write_new(temp, str(tmp_path / f"file{number}"), b"content", flush)
    with pytest.raises(errors.WriteFailed):
        flush.close()
    assert len(failing_sync) == 1


@posix
def test_files_of_a_failed_flush_are_not_taken_for_durable_later(
    tmp_path: Path, temp: Temp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync the system may have dropped the bytes and answers the next fsync with success, so the same
    file must not be acknowledged: it has to be written anew."""
    path, failed = tmp_path / "file", tmp_path / "failed"
    (tmp_path / "tmp").mkdir()
    flush = Flush()
    fsio.write_new(temp, str(path), b"content", flush)
    os.link(path, failed)

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(errors.WriteFailed):
            flush.close()
    fsio.write_new(temp, str(path), b"content")
    assert not path.samefile(failed)


@posix
def test_a_directory_that_cannot_be_synced_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fsio, "warnings", [])
    monkeypatch.setattr(os, "fsync", refused)
    fsio.fsync_directory(str(tmp_path))
    fsio.fsync_directory(str(tmp_path))
    assert len(fsio.warnings) == 1
    assert str(tmp_path) in fsio.warnings[0]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, errors.NoSpace, 6),
        (errno.EDQUOT, errors.NoSpace, 6),
        (errno.EFBIG, errors.NoSpace, 6),
        (errno.EROFS, errors.ReadOnly, 6),
        (errno.EIO, errors.WriteFailed, 6),
        (errno.EACCES, errors.WriteFailed, 6),
    ],
)
def test_every_error_of_the_system_is_one_line(number: int, kind: type[Exception], code: int, tmp_path: Path) -> None:
    failure = fsio.failure(OSError(number, os.strerror(number)), tmp_path / "file")
    assert isinstance(failure, kind)
    assert failure.exit_code == code
    assert str(tmp_path) in str(failure)
    assert "\n" not in str(failure)


# -- many files at once ------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("count", [1, 7, 8, 30])
def test_a_flush_makes_every_file_and_directory_durable(
    tmp_path: Path, temp: Temp, synced: list[int], count: int
) -> None:
    flush = Flush()
    paths = [tmp_path / f"d{number % 3}" / f"file{number}" for number in range(count)]
    for path in paths:
        fsio.write_new(temp, str(path), b"content", flush)
    assert not {inode(path) for path in paths} & set(synced)
    flush.close()
    assert {inode(path) for path in paths} <= set(synced)
    last_file = max(synced.index(inode(path)) for path in paths)
    assert all(synced.index(inode(path.parent)) > last_file for path in paths)
    assert inode(tmp_path) in synced
    synced.clear()
    flush.close()
    assert synced == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="syncfs is a call of Linux")
def test_many_files_are_flushed_with_one_call(tmp_path: Path, temp: Temp, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    syncfs = fsio._syncfs

    def counted(directory: str) -> bool:
        calls.append(directory)
        return syncfs(directory)

    monkeypatch.setattr(fsio, "_syncfs", counted)
    flush = Flush()
    for number in range(20):
        fsio.write_new(temp, str(tmp_path / f"file{number}"), b"content", flush)
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("a file was flushed by itself"))
    flush.close()
    assert len(calls) == 1


@posix
def test_a_flush_includes_what_was_there_already(tmp_path: Path, temp: Temp, synced: list[int]) -> None:
    (tmp_path / "file").write_bytes(b"content")
    flush = Flush()
    assert not fsio.write_new(temp, str(tmp_path / "file"), b"content", flush)
    assert synced == []
    flush.close()
    assert synced == [inode(tmp_path / "file"), inode(tmp_path), inode(tmp_path.parent)]


@posix
def test_moving_and_removing_touch_both_directories(tmp_path: Path, synced: list[int]) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "file").write_bytes(b"content")
    flush = Flush()
    assert fsio.move(str(tmp_path / "from" / "file"), str(tmp_path / "new" / "to" / "file"), flush)
    assert not fsio.move(str(tmp_path / "from" / "file"), str(tmp_path / "new" / "to" / "file"), flush)
    flush.close()
    assert {inode(tmp_path / "from"), inode(tmp_path / "new" / "to"), inode(tmp_path / "new")} <= set(synced)
    assert fsio.remove(str(tmp_path / "new" / "to" / "file"), flush)
    assert not fsio.remove(str(tmp_path / "new" / "to" / "file"), flush)
    synced.clear()
    flush.close()
    assert synced == [inode(tmp_path / "new" / "to")]


# -- reading, removing, restoring --------------------------------------------------------------------------------------


def test_a_file_is_read_whole_and_a_missing_one_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert len(fsio.read_bytes(tmp_path / "file")) == 3_000_000
    with pytest.raises(FileNotFoundError):
        fsio.read_bytes(tmp_path / "missing")
    with pytest.raises(errors.ReadFailed):
        fsio.read_bytes(tmp_path)


def test_what_the_system_makes_up_as_it_is_read_is_read_whole() -> None:
    status = Path("/proc/self/status")
    if status.exists():
        assert b"VmSize" in fsio.read_bytes(status)


def test_walking_gives_one_level_and_follows_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "aa").mkdir()
    (tmp_path / "aa" / "file").touch()
    (tmp_path / "top").touch()
    (tmp_path / "bb").symlink_to(tmp_path / "aa", target_is_directory=True)
    assert sorted(fsio.walk(str(tmp_path), 1)) == ["aa/file"]
    assert list(fsio.walk(str(tmp_path / "missing"), 1)) == []
    assert fsio.names(str(tmp_path / "top")) == []


def test_removing_a_tree_follows_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    fsio.remove_tree(str(tmp_path / "tree"))
    fsio.remove_tree(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()
    assert (tmp_path / "outside" / "kept").exists()


def test_a_restored_file_has_its_bytes_mode_and_time(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file"
    fsio.restore_file(path, [b"one ", b"two"], 0o100640, 1_700_000_000_123_456_789)
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o640


def test_a_file_is_never_restored_over_another_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(errors.WriteFailed, match="there is a file already"):
        fsio.restore_file(path, [b"theirs"])
    assert path.read_bytes() == b"mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


def test_a_restore_whose_bytes_fail_to_come_leaves_nothing(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"one"
        raise errors.ObjectMissing(name="two")

    with pytest.raises(errors.ObjectMissing):
        fsio.restore_file(tmp_path / "file", blocks())
    assert list(tmp_path.iterdir()) == []


# -- locks -------------------------------------------------------------------------------------------------------------

_HOLDER = """
import sys
from sessionstore.locks import Lock
with Lock(sys.argv[1], shared=sys.argv[2] == "shared", timeout=20):
    print("held", flush=True)
    sys.stdin.readline()
"""
Hold = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def lock(tmp_path: Path) -> str:
    return str(tmp_path / "locks" / "store.lock")


@pytest.fixture
def hold(lock: str) -> Iterator[Hold]:
    """Starts another process that holds the lock, "shared" or "exclusive", until its input ends or it is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLDER, lock, how]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(20)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_two_processes_share_a_shared_lock(lock: str, hold: Hold) -> None:
    hold("shared")
    hold("shared")
    with Lock(lock, shared=True):
        pass


@pytest.mark.parametrize(("theirs", "shared"), [("exclusive", True), ("exclusive", False), ("shared", False)])
def test_an_exclusive_lock_keeps_every_other_process_out(lock: str, hold: Hold, theirs: str, shared: bool) -> None:
    hold(theirs)
    with pytest.raises(errors.Busy), Lock(lock, shared=shared, what="the store"):
        pass


def test_busy_names_what_is_in_use_and_by_whom(lock: str, hold: Hold) -> None:
    process = hold("exclusive")
    with pytest.raises(errors.Busy) as caught, Lock(lock, what="the session"):
        pass
    assert str(caught.value).startswith(f"the session is in use by another process (process {process.pid})")
    assert caught.value.exit_code == 4


def test_busy_names_nobody_who_does_not_hold_the_lock(lock: str, hold: Hold) -> None:
    with Lock(lock):
        pass
    hold("shared")
    with pytest.raises(errors.Busy) as caught, Lock(lock):
        pass
    assert f"process {os.getpid()}" not in str(caught.value)


@posix
def test_a_killed_process_holds_no_lock(lock: str, hold: Hold) -> None:
    process = hold("exclusive")
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    with Lock(lock):
        pass


def test_a_lock_is_waited_for(lock: str, hold: Hold) -> None:
    process = hold("exclusive")
    assert process.stdin is not None
    timer = threading.Timer(0.2, process.stdin.close)
    timer.start()
    with Lock(lock, timeout=20):
        pass
    timer.join()


def test_a_lock_keeps_threads_of_one_process_apart(lock: str) -> None:
    with Lock(lock), pytest.raises(errors.Busy), Lock(lock):
        pass
    with Lock(lock):
        pass


def test_a_lock_is_free_after_an_error_inside(lock: str) -> None:
    with contextlib.suppress(RuntimeError), Lock(lock):
        raise RuntimeError
    with Lock(lock):
        pass


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_without_working_locks_writers_are_warned_and_others_refused(
    lock: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def missing(descriptor: int, *, shared: bool, wait: bool = False) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fsio, "flock", missing)
    monkeypatch.setattr(fsio, "warnings", [])
    with Lock(lock, shared=True):
        assert any("no working locks" in warning for warning in fsio.warnings)
    with pytest.raises(errors.LocksUnavailable), Lock(lock, required=True, what="gc"):
        pass

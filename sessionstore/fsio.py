"""The only module that makes files durable, renames, removes or locks them.

Everything else asks this one, so that durability rules live in one place and fault tests can stand in for it.

Writing a file (`write_new`), and what a kill or power loss between two steps leaves:
  1. make a temp file in `tmp/` with O_EXCL   an unfinished temp file, swept later
  2. write all bytes, fsync                   the same
  3. rename to the final name                 the file under its name, complete
  4. fsync the directory                      the name may be lost by power loss: not yet acknowledged
Only after step 4 is success reported. Inside a `Flush`, steps 2 and 4 are put off and done for many files at once,
before anything that points to them is written.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from sessionstore import errors

_POSIX = os.name == "posix"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DIRECTORY_SYNC_MISSING = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_OPEN_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
warnings: list[str] = []
"""What could not be done as safely as usual, in plain sentences; the command line prints them once."""


def failure(error: OSError, path: str | os.PathLike[str], *, writing: bool = True) -> errors.SessionstoreError:
    """The one-line error for an operating system error."""
    shown = os.fspath(path)
    if error.errno in _NO_SPACE:
        what = _space_left(shown)
        return errors.NoSpace(path=shown, what=what)
    if error.errno == errno.EROFS:
        return errors.ReadOnly(path=shown)
    reason = (error.strerror or str(error)).lower()
    return errors.WriteFailed(path=shown, reason=reason) if writing else errors.ReadFailed(path=shown, reason=reason)


def _space_left(path: str) -> str:
    try:
        state = os.statvfs(os.path.dirname(path) or ".")
    except (OSError, AttributeError):
        return "disk full"
    if state.f_files and not state.f_favail:
        return "the file system has no inodes left"
    return "disk full, over quota or over the file size limit"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file. Raises FileNotFoundError, or `ReadFailed` for any other trouble."""
    try:
        descriptor = os.open(path, _OPEN_READ)
        try:
            size = os.fstat(descriptor).st_size
            data = os.read(descriptor, size + 1)
            while more := os.read(descriptor, 1 << 20):
                data += more
            return data
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise failure(error, path, writing=False) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however little the operating system takes at a time."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def fsync_file(path: str) -> None:
    """Make a finished file's bytes durable."""
    descriptor = os.open(path, _OPEN_READ if _POSIX else os.O_RDWR)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directory(path: str) -> None:
    """Make the names in a directory durable. File systems that cannot are named in a warning, once."""
    if not _POSIX:
        return
    descriptor = os.open(path, _OPEN_READ)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _DIRECTORY_SYNC_MISSING:
            raise
        warn(f"the file system of {path} cannot make directory entries durable; a power cut may lose the last writes")
    finally:
        os.close(descriptor)


def _fsync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def warn(sentence: str) -> None:
    """Remember a warning for the user, once."""
    if sentence not in warnings:
        warnings.append(sentence)


class Flush:
    """Puts off durability: files written with it are made durable together by `close`.

    `syncfs` flushes the whole file system at once where the platform has it; else file by file and directory by
    directory. A failed flush is never retried on the same files: the error is raised and the caller writes anew.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.directories: set[str] = set()

    def add(self, path: str) -> None:
        """A file that was written and renamed into place and is not yet durable."""
        self.files.append(path)
        self.directories.add(os.path.dirname(path))

    def touch(self, directory: str) -> None:
        """A directory whose names changed."""
        self.directories.add(directory)

    def close(self) -> None:
        """Make everything added durable. Raises `StorageError`."""
        if not self.directories:
            return
        try:
            if len(self.files) < 8 or not _syncfs(next(iter(self.directories))):
                for path in self.files:
                    fsync_file(path)
                for directory in sorted(self.directories):
                    fsync_directory(directory)
        except OSError as error:
            raise failure(error, next(iter(self.directories))) from error
        self.files.clear()
        self.directories.clear()


_libc_syncfs: Callable[[int], int] | None = None


def _syncfs(directory: str) -> bool:
    """Flush the file system that holds `directory`. False where there is no such call."""
    global _libc_syncfs
    if not sys.platform.startswith("linux"):
        return False
    if _libc_syncfs is None:
        try:
            _libc_syncfs = ctypes.CDLL(None, use_errno=True).syncfs
        except (OSError, AttributeError):
            return False
    descriptor = os.open(directory, _OPEN_READ)
    try:
        if _libc_syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            if number == errno.ENOSYS:
                return False
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(descriptor)
    return True


class Temp:
    """Makes temp files in one directory of the same file system as their final place."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._prefix = f"{os.getpid():x}-{os.urandom(4).hex()}-"
        self._pid = os.getpid()
        self._count = 0

    def name(self) -> str:
        """A path that no other process or thread uses."""
        if self._pid != os.getpid():
            self.__init__(self.directory)  # type: ignore[misc]
        self._count += 1
        return f"{self.directory}/{self._prefix}{self._count:x}-{threading.get_ident():x}"


def write_new(temp: Temp, path: str, data: bytes, flush: Flush | None = None, mode: int = 0o600) -> bool:
    """Put `data` at `path` unless a file is there already; returns whether it was written.

    "Already there" is as durable as "written": the file and its directory are fsynced before this returns
    (or are added to `flush`), because the earlier writer may have been killed before it did so.
    Raises `StorageError`; then `path` is as before and the temp file is gone.
    """
    if os.path.exists(path):
        settle(path, flush)
        return False
    replace(temp, path, data, flush, mode)
    return True


def replace(temp: Temp, path: str, data: bytes, flush: Flush | None = None, mode: int = 0o600) -> None:
    """Put `data` at `path` whatever is there, atomically. Raises `StorageError`."""
    scratch = temp.name()
    try:
        descriptor = _open_new(scratch, mode)
        try:
            write_all(descriptor, data)
            if flush is None:
                _fsync(descriptor)
        finally:
            os.close(descriptor)
        rename(scratch, path, flush)
        if flush is not None:
            flush.add(path)
        else:
            fsync_directory(os.path.dirname(path))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise failure(error, path) from error


def _open_new(path: str, mode: int) -> int:
    try:
        return os.open(path, _OPEN_NEW, mode)
    except FileNotFoundError:
        make_directory(os.path.dirname(path))
        return os.open(path, _OPEN_NEW, mode)


def settle(path: str, flush: Flush | None = None) -> None:
    """Make a file that is already there durable, now or with `flush`. Raises `StorageError`."""
    if flush is not None:
        flush.add(path)
        return
    try:
        fsync_file(path)
        fsync_directory(os.path.dirname(path))
    except OSError as error:
        raise failure(error, path) from error


def rename(old: str, new: str, flush: Flush | None = None) -> None:
    """Rename within one file system, making the target's directory when it is missing."""
    try:
        os.replace(old, new)
    except FileNotFoundError:
        make_directory(os.path.dirname(new), flush)
        os.replace(old, new)


def move(old: str, new: str, flush: Flush) -> bool:
    """Move a file of the store to another place of it; False when it is not there (any more)."""
    try:
        if not os.path.lexists(old):
            return False
        rename(old, new, flush)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise failure(error, new) from error
    flush.touch(os.path.dirname(old))
    flush.touch(os.path.dirname(new))
    return True


def remove(path: str, flush: Flush | None = None) -> bool:
    """Remove a file; False when it is not there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise failure(error, path) from error
    if flush is not None:
        flush.touch(os.path.dirname(path))
    return True


def remove_empty(directory: str) -> None:
    """Remove a directory if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def remove_tree(directory: str) -> None:
    """Remove a directory of the store and everything in it; symlinks are removed, never followed."""
    import shutil

    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise failure(error, directory) from error


def make_directory(path: str, flush: Flush | None = None) -> None:
    """Make a directory (0700) and its missing parents, each name durable in its parent, now or with `flush`."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent, flush)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if flush is not None:
        flush.touch(parent or ".")
    else:
        fsync_directory(parent or ".")


def append(path: str, data: bytes, *, durable: bool = True) -> None:
    """Append to a file in one write (made when missing), durable before this returns. Raises `StorageError`."""
    try:
        new = not os.path.exists(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            write_all(descriptor, data)
            if durable:
                _fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            fsync_directory(os.path.dirname(path))
    except OSError as error:
        raise failure(error, path) from error


def names(directory: str) -> list[str]:
    """The names in a directory, unsorted; none when it does not exist."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return []
    except OSError as error:
        raise failure(error, directory, writing=False) from error


def walk(directory: str, depth: int) -> Iterator[str]:
    """Paths (relative, `/`-separated) of the regular files exactly `depth` levels below `directory`. Symlinks are
    not followed."""
    if depth == 0:
        yield from names(directory)
        return
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise failure(error, directory, writing=False) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            for name in walk(entry.path, depth - 1):
                yield f"{entry.name}/{name}"


def restore_file(path: Path, blocks: Iterable[bytes], mode: int | None = None, mtime_ns: int | None = None) -> None:
    """Write a file outside the store, never over an existing one, then set its mode and mtime.
    Raises `WriteFailed` when `path` exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}.tmp")
        descriptor = os.open(scratch, _OPEN_NEW, 0o600)
        try:
            try:
                for block in blocks:
                    write_all(descriptor, block)
                _fsync(descriptor)
            finally:
                os.close(descriptor)
            if mode is not None:
                os.chmod(scratch, stat.S_IMODE(mode))
            if mtime_ns is not None:
                os.utime(scratch, ns=(mtime_ns, mtime_ns))
            if path.exists() or path.is_symlink():
                raise errors.WriteFailed(path=path, reason="there is a file already")
            os.rename(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise
        fsync_directory(os.fspath(path.parent))
    except OSError as error:
        raise failure(error, path) from error


class Lock:
    """An advisory lock on a file: shared or exclusive, held by the process until released or killed.

    Waits up to `timeout` seconds, then raises `Busy` naming the holder. Where locks do not work, entering succeeds
    with a warning, unless `required`: then `LocksUnavailable`.
    """

    def __init__(
        self, path: str, *, shared: bool = False, timeout: float = 0.0, what: str = "the store", required: bool = False
    ) -> None:
        self.path, self.shared, self.timeout, self.what, self.required = path, shared, timeout, what, required
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except FileNotFoundError:
            make_directory(os.path.dirname(self.path))
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise failure(error, self.path) from error
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self) -> None:
        assert self._descriptor is not None
        deadline, pause = time.monotonic() + self.timeout, 0.001
        while True:
            try:
                _lock(self._descriptor, self.shared)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= deadline:
                    raise errors.Busy(what=self.what, holder=self._holder()) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise failure(error, self.path) from error
                if self.required:
                    raise errors.LocksUnavailable(path=self.path, what=self.what) from None
                warn(f"the file system of {self.path} has no working locks; use the store from one program at a time")
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        if not self.shared:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def _holder(self) -> str:
        assert self._descriptor is not None
        with contextlib.suppress(OSError, ValueError):
            holder = int(os.pread(self._descriptor, 20, 0) or b"0")
            if holder:
                return f" (process {holder})"
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":

    def _lock(descriptor: int, shared: bool) -> None:
        import portalocker

        kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
        try:
            portalocker.lock(descriptor, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise BlockingIOError from error

else:
    import fcntl

    def _lock(descriptor: int, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def exists(path: str) -> bool:
    """Whether there is anything at `path`."""
    return os.path.exists(path)

"""The only module that makes files durable, renames, removes or locks them.

Everything else asks this one, so that durability rules live in one place and fault tests can stand in for it. Writing
a file (`write_new`), and what a kill or power loss between two steps leaves:
  1. make a temp file in `tmp/` with O_EXCL   an unfinished temp file, swept later
  2. write all bytes, fsync                   the same
  3. rename to the final name                 the file under its name, complete
  4. fsync the directory                      the name may be lost by power loss: not yet acknowledged
Success is reported after step 4. In a `Flush`, 2 and 4 are done for many files at once, before what points to them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sessionstore import errors, tracing

_POSIX = os.name == "posix"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DIRECTORY_SYNC_MISSING = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR}
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
    tracing.wrote(written)


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
        tracing.timed_flush(os.fsync, descriptor)
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
    tracing.timed_flush(os.fsync, descriptor)


def warn(sentence: str) -> None:
    """Remember a warning for the user, once."""
    if sentence not in warnings:
        warnings.append(sentence)
        tracing.event(tracing.WARNING, "persistence", "fallback", warning=sentence)


_doubtful: set[str] = set()
"""Files whose flush has failed in this process. The system may have dropped their bytes and would answer the next fsync
with success, so they are written anew before anything relies on them."""


def is_doubtful(path: str) -> bool:
    """Whether a file's bytes may not be on disk although it is there: then it must be written anew."""
    return path in _doubtful


_anchored: set[str] = set()
"""Files and directories whose own name this process has made durable. Whoever made them may have been killed before it
did so, so the first use of each in a process does it again."""


def _anchor(path: str) -> None:
    """Make the name of a file or directory durable, once in a process."""
    if path not in _anchored:
        fsync_directory(os.path.dirname(path))
        _anchored.add(path)


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
                for directory in sorted(set(map(os.path.dirname, self.files))):
                    _anchor(directory)
        except OSError as error:
            _doubtful.update(self.files)
            raise failure(error, next(iter(self.directories))) from error
        self.files.clear()
        self.directories.clear()


_libc_syncfs: Callable[[int], int] | None = None


def _syncfs(directory: str) -> bool:
    """Flush the file system that holds `directory`. False where there is no such call."""
    global _libc_syncfs
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        _libc_syncfs = _libc_syncfs or ctypes.CDLL(None, use_errno=True).syncfs
    if _libc_syncfs is None:
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
    if os.path.exists(path) and not is_doubtful(path):
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
            if os.fstat(descriptor).st_size != len(data):
                raise OSError(errno.EIO, "the file system has not written all bytes")
            if flush is None:
                _fsync(descriptor)
        finally:
            os.close(descriptor)
        rename(scratch, path, flush)
        _doubtful.discard(path)
        if flush is not None:
            flush.add(path)
        else:
            _fsync_name(path)
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
        _fsync_name(path)
    except OSError as error:
        raise failure(error, path) from error


def _fsync_name(path: str) -> None:
    """Make the name of a file durable, and that of its directory."""
    directory = os.path.dirname(path)
    fsync_directory(directory)
    _anchor(directory)


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
        _anchored.discard(directory)


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
        _anchored.add(path)


def append(path: str, data: bytes, *, after_torn: bytes = b"\n", durable: bool = True) -> None:
    """Append whole lines to a file (made when missing), durable before this returns. Raises `StorageError`; then the
    file is as it was. When a kill has left it with an unfinished last line, `after_torn` is put before `data`.
    Appends of several processes do not mingle."""
    try:
        new = not os.path.exists(path)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        if new:
            make_directory(os.path.dirname(path))
        descriptor = os.open(path, flags, 0o600)
        try:
            with contextlib.suppress(OSError):
                flock(descriptor, shared=False, wait=True)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            try:
                write_all(descriptor, after_torn + data if torn else data)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
            if durable:
                _fsync(descriptor)
        finally:
            os.close(descriptor)
        if durable:
            _anchor(path)
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


def restore_file(
    path: Path, blocks: Iterable[bytes], mode: int | None = None, mtime_ns: int | None = None, *, force: bool = False
) -> None:
    """Write a file outside the store, never over an existing one unless `force`, then set its mode and mtime.
    Raises `WriteFailed` when `path` exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{_scratch_of(path.name)}-{os.urandom(4).hex()}.tmp")
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
            if not force and (path.exists() or path.is_symlink()):
                raise errors.WriteFailed(path=path, reason="there is a file already")
            os.replace(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise
        fsync_directory(os.fspath(path.parent))
    except OSError as error:
        raise failure(error, path) from error


if sys.platform == "win32":

    def flock(descriptor: int, *, shared: bool, wait: bool = False) -> None:
        """Lock an open file; raises BlockingIOError when another process has it and this one will not wait."""
        import portalocker

        kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
        try:
            portalocker.lock(descriptor, kind if wait else kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise BlockingIOError from error

else:
    import fcntl

    def flock(descriptor: int, *, shared: bool, wait: bool = False) -> None:
        """Lock an open file; raises BlockingIOError when another process has it and this one will not wait."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)


def remove_scratch(paths: Iterable[str]) -> None:
    """Remove what a `restore_file` of these that was killed has left beside them. Nobody may be restoring them."""
    wanted: dict[str, set[str]] = {}
    for path in paths:
        wanted.setdefault(os.path.dirname(path), set()).add(_scratch_of(os.path.basename(path)))
    for directory, beginnings in wanted.items():
        with contextlib.suppress(errors.StorageError):
            for name in names(directory):
                if name.rpartition("-")[0] in beginnings and name.endswith(".tmp"):
                    remove(f"{directory}/{name}")


def _scratch_of(name: str) -> str:
    """How the names of temp files for a file begin, short whatever the file's name is."""
    from hashlib import sha256

    return f".restore-{sha256(os.fsencode(name)).hexdigest()[:16]}"


def exists(path: str) -> bool:
    """Whether there is anything at `path`."""
    return os.path.exists(path)

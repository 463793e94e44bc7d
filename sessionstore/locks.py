"""Locks between processes: advisory, on files below `locks/`, gone with the process that holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from types import TracebackType

from sessionstore import errors, fsio

_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Lock:
    """An advisory lock on a file: shared or exclusive, held by the process until released or killed.

    Waits up to `timeout` seconds, then raises `Busy` naming the holder. Where locks do not work, entering succeeds
    with a warning, unless `required`: then `LocksUnavailable`. `on_wait` is called once when it has to wait.
    """

    def __init__(
        self,
        path: str,
        *,
        shared: bool = False,
        timeout: float = 0.0,
        what: str = "the store",
        required: bool = False,
        on_wait: Callable[[], None] | None = None,
    ) -> None:
        self.path, self.shared, self.timeout, self.what, self.required = path, shared, timeout, what, required
        self._on_wait = on_wait
        self._descriptor: int | None = None
        self._named = False

    def __enter__(self) -> Lock:
        try:
            try:
                self._descriptor = os.open(self.path, _OPEN, 0o600)
            except FileNotFoundError:
                fsio.make_directory(os.path.dirname(self.path))
                self._descriptor = os.open(self.path, _OPEN, 0o600)
        except OSError as error:
            raise fsio.failure(error, self.path) from error
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
                fsio.flock(self._descriptor, shared=self.shared)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= deadline:
                    raise errors.Busy(what=self.what, holder=self._holder()) from None
                if self._on_wait is not None:
                    self._on_wait()
                    self._on_wait = None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise fsio.failure(error, self.path) from error
                if self.required:
                    raise errors.LocksUnavailable(path=self.path, what=self.what) from None
                fsio.warn(f"no working locks on the file system of {self.path}: use one program at a time")
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        # Only who holds the lock alone is named in it; whoever shares it takes an old name out.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            if not self.shared:
                os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
                self._named = True

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
            if self._named:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor, self._named = None, False

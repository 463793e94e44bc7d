"""Running a piece of a program so that one chosen system call of it fails, or kills it.

The piece runs in a forked child that stops itself until `strace` is attached, so that the first call that is counted
is the piece's own and nothing but the piece pays for tracing. A kill comes on entering the call: what the call before
did is done, the call itself is not.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sessionstore import errors

CHANGING = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "chmod",
    "fchmod",
    "utimensat",
    "symlink",
)
"""The system calls by which a store is changed or made durable."""
RAISED = 70
"""Exit code of a child whose piece raised a `SessionstoreError`; other exceptions give 1."""
PATIENCE = 30.0


class Point(NamedTuple):
    """The `n`-th call (from 1) of one name, and how it was written down when nothing was injected."""

    call: str
    n: int
    shown: str

    @property
    def path(self) -> str:
        """The file that the call was for, when it was given a descriptor."""
        return self.shown.partition("<")[2].partition(">")[0]

    def __str__(self) -> str:
        return f"{self.call}:{self.n}"


class Ended(NamedTuple):
    """How a child ended: its exit code, or minus the signal; what it raised, if that was a `SessionstoreError`."""

    code: int
    raised: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


@cache
def strace_works() -> bool:
    """Whether strace is installed and may attach to a child here."""
    if shutil.which("strace") is None or not hasattr(os, "fork"):
        return False
    try:
        return run(lambda: None, []).code == 0
    except (AssertionError, OSError):
        return False


def points(piece: Callable[[], object], root: str | Path) -> list[Point]:
    """Every call of the piece that changes something below `root` (or makes it durable), in order."""
    with tempfile.NamedTemporaryFile("r", suffix=".trace") as log:
        ended = run(piece, ["-y", "-e", f"trace={','.join(CHANGING)}"], log.name)
        assert ended.code == 0, ended
        return list(_listed(log.read(), os.path.realpath(root)))


_LINE = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)")


def _listed(trace: str, root: str) -> Iterator[Point]:
    counts: Counter[str] = Counter()
    for line in trace.splitlines():
        matched = _LINE.match(line)
        if matched is None or " resumed>" in line or matched[1] not in CHANGING:
            continue
        call = matched[1]
        counts[call] += 1
        shown = line.partition(" ")[2].strip()
        if root in line and (call != "openat" or "O_CREAT" in line):
            yield Point(call, counts[call], shown)


def kill_at(piece: Callable[[], object], point: Point) -> Ended:
    """Run the piece and kill it on entering one call."""
    return _inject(piece, point, "signal=KILL")


def fail_at(piece: Callable[[], object], point: Point, error: str, times: int = 1) -> Ended:
    """Run the piece with one call (and the following ones of that name, up to `times`) failing with an error."""
    last = f"..{point.n + times - 1}" if times > 1 else ""
    return _inject(piece, point._replace(shown=""), f"error={error}", f"{point.n}{last}")


def return_at(piece: Callable[[], object], call: str, value: int, when: str) -> Ended:
    """Run the piece with some calls returning a value without doing anything."""
    return _inject(piece, Point(call, 1, ""), f"retval={value}", when)


def _inject(piece: Callable[[], object], point: Point, what: str, when: str = "") -> Ended:
    call = point.call
    return run(piece, ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when or point.n}"])


def run(piece: Callable[[], object], options: Sequence[str], log: str = os.devnull) -> Ended:
    """Run the piece in a child under strace with these options."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(piece, writing)
    os.close(writing)
    tracer = None
    try:
        os.waitpid(child, os.WUNTRACED)
        command = ["strace", "-f", "-qq", "-s", "16", "-o", log, *options, "-p", str(child)]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _wait_until_traced(child, tracer)
        os.kill(child, signal.SIGCONT)
        code = os.waitstatus_to_exitcode(_reaped(child))
        tracer.wait(timeout=PATIENCE)
        with open(reading, "rb", closefd=False) as pipe:
            return Ended(code, pipe.read().decode())
    finally:
        os.close(reading)
        if tracer is not None:
            tracer.kill()
            tracer.communicate()


def _be_the_child(piece: Callable[[], object], report: int) -> None:
    code = 1
    try:
        os.kill(os.getpid(), signal.SIGSTOP)
        piece()
        code = 0
    except errors.SessionstoreError as error:
        os.writev(report, [f"{type(error).__name__}: {error}".encode()])  # `write` may be made to fail
        code = RAISED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _wait_until_traced(child: int, tracer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    status = Path("/proc", str(child), "status")
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"strace cannot attach: {tracer.communicate()[1]!r}")
        time.sleep(0.0005)


def _reaped(child: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.0005)

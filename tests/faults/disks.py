"""Small file systems of their own, for disks that are full or cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@cache
def mounts_work() -> bool:
    """Whether this process may mount a file system in memory."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        try:
            with small_disk(Path(directory), "size=1m"):
                return True
        except (subprocess.SubprocessError, OSError):
            return False


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A file system in memory, mounted meanwhile."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True, timeout=10)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """A directory that cannot be written meanwhile, not even by root."""
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True, timeout=10)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True, timeout=10)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)

"""What tests of the store's upkeep share: conversations of some size, damage, and processes killed at a given step."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from sessionstore import objects
from sessionstore.store import Store

STEPS = ("replace", "rename", "unlink", "rmdir")
"""The calls that change which files there are."""


def talk(count: int, size: int = 2000, about: str = "tides") -> list[dict[str, Any]]:
    """Messages of `size` characters each, so that 20 or so fill a page."""
    return [
        {
            "id": f"m{n + 1}",
            "role": "assistant" if n % 2 else "user",
            "time": f"2026-02-0{1 + n % 9}T10:00:00.000Z",
            "parts": [{"type": "text", "content": f"{about} {n} ".ljust(size, "ab "[n % 3])}],
        }
        for n in range(count)
    ]


def files(store: Store, *folders: str) -> list[str]:
    """Paths, in the store, of all files below these folders."""
    found = []
    for folder in folders:
        for root, _, names in os.walk(f"{store.root}/{folder}"):
            found += [os.path.relpath(os.path.join(root, name), store.root) for name in names]
    return sorted(found)


def at(store: Store, path: str) -> Path:
    """A file of the store."""
    return Path(store.root, path)


def page_path(store: Store, key: str, number: int = 0) -> str:
    """Where a page of a session lies, in the store."""
    found = store.objects.find(store.heads(key)[0]["pages"][number]["id"], objects.PAGE)
    assert found is not None
    return os.path.relpath(found, store.root)


def flip(path: Path, position: int, bit: int = 0) -> bytes:
    """Flip one bit of a file; returns the bytes it had."""
    before = path.read_bytes()
    data = bytearray(before)
    data[position] ^= 1 << bit
    path.write_bytes(data)
    return before


@contextlib.contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    """For a while, other bytes in a file, or no file."""
    before = path.read_bytes()
    path.unlink() if data is None else path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def killed(step: int, action: Callable[[], object]) -> bool:
    """Do something in a process that is killed just before its `step`th (from 0) call that changes which files there
    are; returns whether it came to that."""
    child = os.fork()
    if child == 0:
        try:
            _arm(step)
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def killed_at_every_step(store: Store, place: Path, action: Callable[[Store], object]) -> Iterator[Store]:
    """Copies of a store, each as an action has left it that was killed one step later than in the one before."""
    for step in itertools.count():
        shutil.copytree(store.root, place / str(step), symlinks=True)
        copy = Store(place / str(step))
        if not killed(step, lambda copy=copy: action(copy)):  # type: ignore[misc]
            return
        yield copy
        shutil.rmtree(copy.root)


def _arm(step: int) -> None:
    left = step

    def armed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*arguments, **named)

        return wrapped

    for name in STEPS:
        setattr(os, name, armed(getattr(os, name)))


def everything(store: Store) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file of a store, with what is compressed unpacked."""
    for root, _, names in os.walk(store.root):
        for name in names:
            path = Path(root, name)
            data = path.read_bytes()
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                data = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 26)
            yield str(path.relative_to(store.root)), data


def where(store: Store, words: bytes) -> list[str]:
    """The files that hold these words."""
    return sorted(path for path, data in everything(store) if words in data)

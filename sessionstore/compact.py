"""Making objects smaller without changing what they are: they stay named by their uncompressed bytes.

Pages and large values are compressed, and chunks compressed anew at a higher level, where that saves enough. Objects
are done in groups; for each group, and what a kill between two steps leaves:
  1. under the shared lock, new files are written to `tmp/` and made durable   temp files, swept later
  2. alone in the store, each is read back and compared with its name           the same
  3. they are moved to their places and made durable                             both files; readers take either
  4. plain files that have a compressed one now are removed                       some of them are left; run again
An object whose present file is damaged is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sessionstore import canonical, checks, errors, fsio, objects
from sessionstore.store import Store
from sessionstore.verify import Progress

LEVEL = 12
"""zstd's level when none is asked for: 25 MB of source a second. The next ones that save more take thrice as long."""
SAVING = 0.05
"""A new file is only worth it when it is smaller by this share."""
GROUP = 32 << 20
"""So many bytes of new files are put in place together, or so many files:"""
GROUP_FILES = 512


@dataclass(slots=True)
class Compacted:
    """What a compaction did: `objects` became smaller, from `before` to `after` bytes; `kept` stay as they are,
    `damaged` among them are not what they are named for."""

    level: int
    objects: int = 0
    before: int = 0
    after: int = 0
    kept: int = 0
    damaged: int = 0

    def as_json(self) -> dict[str, Any]:
        """The shape that `compact --json` prints."""
        return {
            "level": self.level,
            "objects": self.objects,
            "before": self.before,
            "after": self.after,
            "saved": self.before - self.after,
            "kept": self.kept,
            "damaged": self.damaged,
        }


@dataclass(frozen=True, slots=True)
class _Smaller:
    """A new file in `tmp/`, and the one it stands for."""

    staged: str
    name: str
    old: str
    new: str
    before: int
    after: int


def compact(store: Store, *, level: int = LEVEL, progress: Progress | None = None) -> Compacted:
    """Make the store smaller. `level` is zstd's (1 to 22). Writers may go on meanwhile but for moments. Raises
    `Busy`, `LocksUnavailable` (plain files could not be removed), `StorageError`, `UsageError`."""
    if not 1 <= level <= 22:
        raise errors.UsageError(reason=f"there is no level {level}; there are 1 to 22")
    result = Compacted(level)
    with store.exclusively("compact"):
        _finish_earlier(store, result)
    todo = sorted(store.objects.all())
    if progress:
        progress.start(len(todo), sum(_size(path) for _, _, path in todo))
    remaining = iter(todo)
    while group := _stage(store, remaining, result, progress):
        with store.exclusively("compact"):
            _put_in_place(store, group, result)
    return result


def _finish_earlier(store: Store, result: Compacted) -> None:
    """Remove plain files that a killed run has left beside sound compressed ones."""
    flush = fsio.Flush()
    for name, _, path in list(store.objects.all()):
        if not path.endswith(".zst") and fsio.exists(f"{path}.zst") and _holds(f"{path}.zst", name):
            fsio.settle(f"{path}.zst")
            result.objects += 1
            result.before += _size(path)
            result.after += _size(f"{path}.zst")
            fsio.remove(path, flush)
    flush.close()


def _holds(path: str, name: str) -> bool:
    """Whether a file is sound and holds the object it is named for."""
    try:
        return checks.check_bytes(fsio.read_bytes(path), name, None, packed=path.endswith(".zst"))[0] is None
    except (FileNotFoundError, errors.ReadFailed):
        return False


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _stage(
    store: Store, todo: Iterator[tuple[str, str, str]], result: Compacted, progress: Progress | None
) -> list[_Smaller]:
    """Write smaller files for the next objects, durable, until a group is full."""
    group: list[_Smaller] = []
    size = 0
    flush = fsio.Flush()
    try:
        with store.writing():
            for name, _, path in todo:
                smaller = _smaller(store, name, path, result, flush)
                if smaller:
                    group.append(smaller)
                    size += smaller.after
                if progress:
                    progress.advance(1, _size(path))
                if size >= GROUP or len(group) >= GROUP_FILES:
                    break
            flush.close()
    except BaseException:
        for smaller in group:
            fsio.remove(smaller.staged)
        raise
    return group


def _smaller(store: Store, name: str, path: str, result: Compacted, flush: fsio.Flush) -> _Smaller | None:
    try:
        raw = fsio.read_bytes(path)
    except FileNotFoundError:
        return None
    packed = path.endswith(".zst")
    fault, data = checks.check_bytes(raw, name, None, packed=packed)
    made = b"" if fault else objects.compress(data, result.level)
    if fault or len(made) > len(raw) * (1 - SAVING):
        result.kept += 1
        result.damaged += fault is not None
        return None
    staged = store.temp.name()
    fsio.write_new(store.temp, staged, made, flush)
    return _Smaller(staged, name, path, path if packed else f"{path}.zst", len(raw), len(made))


def _put_in_place(store: Store, group: list[_Smaller], result: Compacted) -> None:
    """Steps 2 to 4. An object that was removed meanwhile does not come back."""
    flush = fsio.Flush()
    placed = []
    for smaller in group:
        if fsio.exists(smaller.old) and _is(smaller.staged, smaller.name):
            fsio.move(smaller.staged, smaller.new, flush)
            placed.append(smaller)
        else:
            fsio.remove(smaller.staged)
    flush.close()
    for smaller in placed:
        if smaller.old != smaller.new:
            fsio.remove(smaller.old, flush)
        result.objects += 1
        result.before += smaller.before
        result.after += smaller.after
    flush.close()


def _is(staged: str, name: str) -> bool:
    try:
        return canonical.digest(objects.decompress(fsio.read_bytes(staged), name)) == name
    except (FileNotFoundError, errors.DamageError):
        return False

"""Sweeping what nothing refers to: first to the trash, and out of the trash when its time is over.

Steps, and what a kill between two leaves (running again finishes it):
  0. when asked to: journals say which originals of earlier states of sources are given up       nothing else changed
  1. what is needed is marked (see `closure`)                                                     nothing changed
  2. objects that are not marked move to `trash/<ULID>/objects/`                                  fewer of them moved
  3. folders of the trash that have expired are removed                                           parts of them left
  4. temp files of dead processes are removed                                                     -

How old a folder of the trash is: one that gc made, by the time in its own ULID. One of a batch, by the latest time
in the batch's journal (its end, or that of its rollback), because what it holds came there as late as that. The
folder of a batch that was interrupted never expires: the next run needs it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessionstore import errors, fsio, layout
from sessionstore.closure import Reference, referenced
from sessionstore.journal import Batch, Journals, Line, files_of
from sessionstore.journal import now as present
from sessionstore.store import Store

GRACE_DAYS = 14
DAY = 86400.0


@dataclass(slots=True)
class Swept:
    """What a collection did, or would do: objects and bytes moved to the trash, folders of the trash removed for good
    and kept, temp files removed."""

    dry_run: bool = False
    swept: int = 0
    bytes: int = 0
    expired: int = 0
    kept_in_trash: int = 0
    temp: int = 0
    given_up: int = 0
    """earlier states of sources whose originals are no longer kept for their batch"""
    folder: str | None = None
    """where in the trash the objects are now"""
    expired_folders: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The shape that `gc --json` prints."""
        return {
            "swept": self.swept,
            "bytes": self.bytes,
            "expired": self.expired,
            "kept_in_trash": self.kept_in_trash,
            "temp": self.temp,
            "given_up": self.given_up,
            "dry_run": self.dry_run,
        }


def gc(
    store: Store,
    *,
    dry_run: bool = False,
    grace_days: float = GRACE_DAYS,
    superseded_originals: bool = False,
    now: float | None = None,
) -> Swept:
    """Collect garbage. With `superseded_originals`, originals of earlier states of sources go too, where the last state
    is whole in the store. `now` is the time to go by, in seconds since 1970. Raises `Busy`, `LocksUnavailable`, and
    `DamageError` when a revision or journal cannot be read (then nobody can tell what is needed); refuses with
    `SessionstoreError` when the clock is more than a day behind the store's newest entry."""
    moment = time.time() if now is None else now
    with store.exclusively("gc"):
        check_clock(store, moment)
        batches = {batch.id: batch for batch in Journals(store.root).all()}
        folders = list(trash_folders(store))
        expired = [name for name in folders if _age(name, batches.get(name), moment) > grace_days * DAY]
        result = Swept(dry_run, expired_folders=expired)
        result.expired, result.kept_in_trash = len(expired), len(folders) - len(expired)
        if superseded_originals:
            result.given_up = _give_up(store, list(batches.values()), dry_run=dry_run)
        _sweep(store, referenced(store, batches.values(), without=expired), result)
        if not dry_run:
            for name in expired:
                fsio.remove_tree(f"{store.root}/trash/{name}")
        result.temp = sweep_temp(store, dry_run=dry_run)
    return result


def _give_up(store: Store, batches: list[Batch], *, dry_run: bool) -> int:
    """Give up the originals of earlier states of sources whose last state is in the store and can be put together;
    returns how many sources. The journals say so before anything is removed."""
    lines = [(batch, number, line) for batch in batches for number, line in _held(batch)]
    last = {line["path"]: (batch.id, number) for batch, number, line in lines}
    whole: dict[str, bool] = {}
    given_up: dict[str, list[int]] = {}
    for batch, number, line in lines:
        path = line["path"]
        if last[path] != (batch.id, number):
            if path not in whole:
                whole[path] = _is_whole(store, next(one for b, n, one in lines if (b.id, n) == last[path]))
            if whole[path]:
                given_up.setdefault(batch.id, []).append(number)
    time = present()
    for batch in batches:
        if numbers := given_up.get(batch.id):
            line = {"t": "dropped", "n": numbers, "time": time}
            batch.take(line)
            if not dry_run:
                Journals(store.root).append(batch.id, [line])
    return sum(map(len, given_up.values()))


def _held(batch: Batch) -> list[tuple[int, Line]]:
    lines = [(line["n"], line) for line in batch.live]
    return [(n, line) for n, line in lines if n not in batch.dropped and not line.get("purged")]


def _is_whole(store: Store, line: Line) -> bool:
    """Whether every file of a source can be put together from the store."""
    try:
        for file in files_of(line):
            for _ in store.original(file["original"]):
                pass
    except errors.SessionstoreError:
        return False
    return True


def _sweep(store: Store, marked: set[Reference], result: Swept) -> None:
    folder = f"trash/{layout.ulid()}"
    flush = fsio.Flush()
    for name, kind, path in list(store.objects.all()):
        if (name, kind) in marked or not os.path.isfile(path):
            continue
        size = os.stat(path).st_size
        target = f"{store.root}/{folder}/objects/{path[len(store.objects.root) + 1 :]}"
        if result.dry_run or fsio.move(path, target, flush):
            result.swept += 1
            result.bytes += size
    flush.close()
    if result.swept and not result.dry_run:
        result.folder = folder


def trash_folders(store: Store) -> list[str]:
    """The folders of the trash that this program made, oldest first."""
    return sorted(filter(layout.is_ulid, fsio.names(f"{store.root}/trash")))


def _age(name: str, batch: Batch | None, moment: float) -> float:
    """How many seconds ago the last thing came into a folder of the trash."""
    if batch is not None and batch.state in ("interrupted", "undoing"):
        return 0.0
    latest = ulid_time(name)
    for line in () if batch is None else (batch.begin, batch.end, batch.undone):
        if line and isinstance(written := line.get("time"), str):
            latest = max(latest, _seconds(written))
    return moment - latest


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def ulid_time(name: str) -> float:
    """The time in a ULID, in seconds since 1970."""
    return layout.ulid_milliseconds(name) / 1000


def newest_ulid(store: Store) -> str | None:
    """The newest batch or folder of the trash or the quarantine."""
    folders = [*fsio.names(f"{store.root}/trash"), *fsio.names(f"{store.root}/quarantine")]
    return max((*Journals(store.root).ids(), *filter(layout.is_ulid, folders)), default=None)


def check_clock(store: Store, moment: float) -> None:
    """Raises `SessionstoreError` when `moment` is more than a day before the newest thing in the store: by such a
    clock nothing can be called old."""
    newest = newest_ulid(store)
    if newest is not None and ulid_time(newest) > moment + DAY:
        reason = f"the clock is {(ulid_time(newest) - moment) / DAY:.0f} days behind {newest}, so nothing was removed"
        raise errors.SessionstoreError(reason=f"{reason}; set the clock right and run gc again")


def sweep_temp(store: Store, *, dry_run: bool = False) -> int:
    """Remove what dead processes left in `tmp/`; returns how many there were."""
    names = leftovers(store.root)
    for name in () if dry_run else names:
        path = f"{store.root}/tmp/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            fsio.remove_tree(path)
        else:
            fsio.remove(path)
    return len(names)


def leftovers(root: str) -> list[str]:
    """The names in a store's `tmp/` that were made by processes which are gone."""
    return sorted(name for name in fsio.names(f"{root}/tmp") if not _is_alive(name.partition("-")[0]))


def _is_alive(text: str) -> bool:
    """Whether the process with that number, in hexadecimal, is there. On Windows asking is not safe, so every one is
    taken to be; a name without a number was not made by any."""
    try:
        number = int(text, 16)
    except ValueError:
        return True
    if sys.platform == "win32" or number <= 0:
        return True
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True

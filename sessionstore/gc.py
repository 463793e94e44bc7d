"""Sweeping what nothing refers to: first to the trash, and out of the trash when its time is over.

Steps, and what a kill between two leaves (running again finishes it):
  1. what is needed is marked: by revisions, by superseded revisions in the part of the trash that stays, by files
     that were retired (the store's copy is the only one), by damaged revisions in quarantine     nothing changed
  2. objects that are not marked move to `trash/<ULID>/objects/`                                  fewer of them moved
  3. folders of the trash that have expired are removed                                           parts of them left
  4. temp files of dead processes are removed                                                     -

How old a folder of the trash is: one that gc made, by the time in its own ULID. One of a batch, by the latest time
in the batch's journal (its end, or that of its rollback), because what it holds came there as late as that. The
folder of a batch that was interrupted never expires: the next run needs it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessionstore import checks, errors, fsio, layout, objects
from sessionstore.closure import Reference, objects_of, trashed_revisions
from sessionstore.journal import Batch, Journals
from sessionstore.store import Store

GRACE_DAYS = 14
DAY = 86400.0
_NAMES = re.compile(rb"[0-9a-f]{64}")
_CROCKFORD = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}


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
            "dry_run": self.dry_run,
        }


def gc(store: Store, *, dry_run: bool = False, grace_days: float = GRACE_DAYS, now: float | None = None) -> Swept:
    """Collect garbage. `now` is the time to go by, in seconds since 1970. Raises `Busy`, `LocksUnavailable`, and
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
        _sweep(store, needed(store, set(expired), list(batches.values())), result)
        if not dry_run:
            for name in expired:
                fsio.remove_tree(f"{store.root}/trash/{name}")
        result.temp = sweep_temp(store, dry_run=dry_run)
    return result


def needed(store: Store, without: set[str], batches: list[Batch]) -> set[Reference]:
    """Every object that must stay, not counting what only these folders of the trash need. The caller holds the store
    alone. Raises `DamageError`, `ReadFailed` when a revision cannot be read."""
    found: set[Reference] = set()
    for name in store.revision_names():
        found.update(objects_of(store, store.load_revision(name)))
    for folder in trash_folders(store):
        if folder not in without:
            for _, revision in trashed_revisions(store, folder):
                found.update(objects_of(store, revision))
    for batch in batches:
        for _, original in checks.retired_originals(batch):
            found.update((chunk["id"], objects.CHUNK) for chunk in original["chunks"])
    found.update(_named_in_quarantine(store))
    return found


def _named_in_quarantine(store: Store) -> Iterator[Reference]:
    """Whatever a damaged revision still names: what it says may one day be put together again."""
    for folder in filter(layout.is_ulid, fsio.names(f"{store.root}/quarantine")):
        root = f"{store.root}/quarantine/{folder}/sessions"
        for name in fsio.walk(root, 1):
            for sha256 in set(_NAMES.findall(fsio.read_bytes(f"{root}/{name}"))):
                yield from ((sha256.decode(), kind) for kind in objects.KINDS)


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
    number = 0
    for digit in name[:10]:
        number = number * 32 + _CROCKFORD[digit]
    return number / 1000


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

"""Undoing a batch: the set of sessions becomes what it was before, byte for byte.

Steps, each of which can be repeated after a kill:
  1. refuse unless every session of the batch is as the batch left it      nothing changed
  2. `undo` goes to the journal                                            a rollback that `rollback` goes on with
  3. retired files are given back                                          -
  4. superseded revisions return from `trash/<batch>/`                     both heads are there; readers see one
  5. the revisions that the batch created move to `trash/<batch>/`          the sessions are as before
  6. objects that nothing else refers to move to `trash/<batch>/`           unreferenced objects, swept by gc
  7. `undone` goes to the journal
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sessionstore import errors, fsio, locks
from sessionstore.closure import Reference, objects_of, objects_of_original, referenced
from sessionstore.journal import Batch, Journals, files_of, now
from sessionstore.migrate.retire import give_back, is_missing, returning
from sessionstore.migrate.settle import settle
from sessionstore.store import Store, parse_document


@dataclass(slots=True)
class Undone:
    """What a rollback did: sessions' revisions removed and restored, files given back, objects moved to the trash."""

    batch: str
    removed: int
    restored: int
    returned: int
    objects: int

    def as_json(self) -> dict[str, Any]:
        """The shape that `rollback --json` prints."""
        return {
            "batch": self.batch,
            "removed": self.removed,
            "restored": self.restored,
            "returned": self.returned,
            "objects": self.objects,
        }


def rollback(store: Store, batch_id: str) -> Undone:
    """Undo one batch. Raises `NotFound`, `RollbackRefused` (saying what stands in the way), `Busy`."""
    journals = Journals(store.root)
    with locks.Lock(f"{store.root}/locks/migrate.lock", timeout=60, what="the migration lock"):
        batch = journals.read(batch_id)
        if batch.undone:
            raise errors.RollbackRefused(batch=batch_id, reason="it has been rolled back already")
        if "purge" in batch.begin.get("request", {}):
            raise errors.RollbackRefused(batch=batch_id, reason="what was purged is gone for good")
        with store.exclusively("rollback"):
            settle(store, batch)
            if not batch.undo:
                created, superseded = _revisions(batch)
                _refuse_if_touched(store, journals, batch, created, superseded)
                _refuse_if_sources_are_gone(journals, batch, set(created))
                for path, entry in returning(batch):
                    is_missing(path, entry)
                journals.append(batch_id, [{"t": "undo", "time": now()}])
            else:
                fsio.remove_scratch(path for path, _ in returning(batch))
            return _undo(store, batch)


def finish(store: Store, batch: Batch) -> Undone:
    """Finish a rollback that was killed. The caller holds the store and the migration lock. Raises `WriteFailed` when
    another file has taken the place of one that has to be given back."""
    settle(store, batch)
    fsio.remove_scratch(path for path, _ in returning(batch))
    return _undo(store, batch)


def _undo(store: Store, batch: Batch) -> Undone:
    """Steps 3 to 7."""
    created, superseded = _revisions(batch)
    for path, entry in returning(batch):
        give_back(store, path, entry)
    objects = _restore(store, batch, created, superseded)
    Journals(store.root).append(batch.id, [{"t": "undone", "time": now()}])
    return Undone(batch.id, len(created), len(superseded), len(batch.retire), objects)


def _revisions(batch: Batch) -> tuple[list[str], list[str]]:
    """(revisions that exist because of the batch, revisions that are in the trash because of it)."""
    sessions = [session for line in batch.settled for session in line["sessions"] if session["created"]]
    created = dict.fromkeys(session["revision"] for session in sessions)
    superseded = dict.fromkeys(name for session in sessions for name in session["supersedes"])
    return list(created), [name for name in superseded if name not in created]


def _refuse_if_touched(
    store: Store, journals: Journals, batch: Batch, created: Iterable[str], superseded: Iterable[str]
) -> None:
    trash = f"{store.root}/trash/{batch.id}/sessions"
    for name in created:
        if not fsio.exists(f"{store.root}/sessions/{name}") and not fsio.exists(f"{trash}/{name}"):
            raise errors.RollbackRefused(batch=batch.id, reason=_what_touched(journals, batch, name))
    for name in superseded:
        if not fsio.exists(f"{trash}/{name}"):
            reason = f"the revision {name} that it replaced is no longer in the trash"
            raise errors.RollbackRefused(batch=batch.id, reason=reason)
    _refuse_if_built_upon(store, batch, set(created))


def _refuse_if_built_upon(store: Store, batch: Batch, created: set[str]) -> None:
    """A session that has since been continued beside the batch's revision (a pure append removes it, an edit names it
    as parent) must not lose its history."""
    parents = {name.rpartition(".")[0].rpartition(".")[2]: name for name in created}
    for key in {session["key"] for line in batch.live for session in line["sessions"] if session["created"]}:
        for revision in store.revisions_of(key):
            for parent in set(revision.get("parents", ())) & parents.keys():
                if revision["_name"] not in created:
                    reason = f"the session {key} was changed after it (revision {parent[:12]} is a parent now)"
                    raise errors.RollbackRefused(batch=batch.id, reason=reason)


def _refuse_if_sources_are_gone(journals: Journals, batch: Batch, created: set[str]) -> None:
    """The sessions of files that another batch has removed are all that is left of them."""
    batches = [other for other in journals.all() if not other.undone]
    held = {
        (file["path"], file["original"]["sha256"])
        for other in batches
        for line in other.live
        if not created.isdisjoint(session["revision"] for session in line["sessions"])
        for file in files_of(line)
    }
    for other in batches:
        for path, sha256 in other.retire:
            if other.id != batch.id and (path, sha256) in held:
                reason = f"batch {other.id} has removed {path}, which is in its sessions; roll that back first"
                raise errors.RollbackRefused(batch=batch.id, reason=reason)


def _what_touched(journals: Journals, batch: Batch, name: str) -> str:
    for later in reversed(journals.all()):
        for line in later.live:
            for session in line["sessions"]:
                if later.id != batch.id and name in session["supersedes"]:
                    return f"batch {later.id} has changed the session {session['key']} since; roll that back first"
    return f"the revision {name} was changed or removed since"


def _restore(store: Store, batch: Batch, created: list[str], superseded: list[str]) -> int:
    trash = f"{store.root}/trash/{batch.id}"
    candidates = _objects_of(store, batch, created)
    flush = fsio.Flush()
    for name in superseded:
        fsio.move(f"{trash}/sessions/{name}", f"{store.root}/sessions/{name}", flush)
    flush.close()
    for name in created:
        for place in (f"{store.root}/sessions/{name}", f"{trash}/sessions/{name}"):
            fsio.move(place, f"{trash}/undone/{name}", flush)
    flush.close()
    for name in created:
        fsio.remove_empty(f"{store.root}/sessions/{name[:2]}")
    try:
        live = referenced(store, undoing=batch.id)
    except errors.DamageError:
        return 0  # with a damaged revision anywhere nobody can tell what it needs; garbage collection comes later
    moved = 0
    for object_name, kind in candidates:
        path = store.objects.find(object_name, kind)
        if path and (object_name, kind) not in live:
            moved += fsio.move(path, f"{trash}/objects/{path[len(store.objects.root) + 1 :]}", flush)
    flush.close()
    return moved


def _objects_of(store: Store, batch: Batch, created: Iterable[str]) -> dict[Reference, None]:
    """Every object that the batch may have brought in, in a stable order."""
    found: dict[Reference, None] = {}
    for name in created:
        for folder in ("sessions", f"trash/{batch.id}/undone", f"trash/{batch.id}/sessions"):
            with suppress(FileNotFoundError, errors.DamageError):
                data = fsio.read_bytes(f"{store.root}/{folder}/{name}")
                for reference in objects_of(store, parse_document(name, data)):
                    found[reference] = None
    for file in (file for line in batch.settled for file in files_of(line)):
        found.update(dict.fromkeys(objects_of_original(store, file["original"])))
    return found

"""Putting damaged files in quarantine, and making objects whole again where another copy of their bytes is left.

Steps, each of which can be repeated after a kill:
  1. every file that a report calls damaged is read again: only what is proven wrong is touched
  2. it moves to `quarantine/<ULID>/<its path>`; nothing is deleted
  3. objects that are now missing are looked for: in their other form, under a wrong name, in the trash, in journals
     (lists of chunks), and by importing an original of a session that needs them again; what is found is written as
     any object is
What the operating system cannot read stays where it is: its bytes may be sound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sessionstore import canonical, checks, errors, fsio, layout, objects
from sessionstore.checks import PROVEN, Damage, Report
from sessionstore.closure import Reference, kept_originals, objects_of
from sessionstore.journal import Journals
from sessionstore.store import Revision, Store, parse_document

Rebuild = Callable[[Store, Revision, Collection[Reference]], dict[Reference, bytes]]
"""Those of the wanted objects that importing a revision's originals again gives."""


@dataclass(slots=True)
class Repaired:
    """What a repair did. `quarantine` is the folder's name, None when nothing had to be moved there."""

    quarantine: str | None = None
    moved: list[str] = field(default_factory=list)
    restored: list[dict[str, str]] = field(default_factory=list)
    """objects that are whole again: `path` and what they were restored `from`"""
    missing: list[Damage] = field(default_factory=list)
    """what could not be restored, with the sessions it touches"""
    left: list[str] = field(default_factory=list)
    """what was left alone: not readable, or no longer as the report says"""

    def as_json(self) -> dict[str, Any]:
        """The shape that `verify --repair --json` prints."""
        return {
            "quarantine": self.quarantine,
            "moved": self.moved,
            "restored": self.restored,
            "missing": [{"path": entry.path, "sessions": list(entry.sessions)} for entry in self.missing],
            "left": self.left,
        }


def repair(store: Store, report: Report, rebuild: Rebuild | None = None) -> Repaired:
    """Act on what `verify` has found. Raises `Busy`, `LocksUnavailable`, `StorageError`."""
    result = Repaired()
    with store.exclusively("repair"):
        _quarantine(store, report, result)
        lost: dict[Reference, Damage] = {}
        for entry in report.damage:
            reference = _reference(entry.path)
            if reference is None:
                if entry.path in result.moved:
                    result.missing.append(entry)
            elif entry.kind == "object-missing" or entry.path in result.moved:
                if _is_whole(store, reference):
                    result.restored.append({"path": entry.path, "from": "its other form"})
                else:
                    lost[reference] = entry
        _restore(store, lost, report.misnamed, result, rebuild)
    result.missing += lost.values()
    result.missing.sort()
    return result


def _quarantine(store: Store, report: Report, result: Repaired) -> None:
    name = layout.ulid()
    flush = fsio.Flush()
    for path in dict.fromkeys(entry.path for entry in report.damage if entry.kind in PROVEN | {"unreadable"}):
        if _is_damaged(store, path):
            fsio.move(f"{store.root}/{path}", f"{store.root}/quarantine/{name}/{path}", flush)
            result.moved.append(path)
        else:
            result.left.append(path)
    flush.close()
    result.quarantine = name if result.moved else None


def _is_damaged(store: Store, path: str) -> bool:
    """Whether the bytes of a file prove that they are wrong. False for what cannot be read."""
    folder, _, name = path.partition("/")
    try:
        data = fsio.read_bytes(f"{store.root}/{path}")
        if folder == "objects":
            expected = checks.reference_of(name)[0]
            return checks.check_bytes(data, expected, None, packed=name.endswith(".zst"))[0] is not None
        if folder in ("sessions", "notes"):
            parse_document(name, data)
        elif folder == "batches":
            Journals(store.root).read(name.removesuffix(".jsonl"))
            return not checks.is_canonical(data)
    except (FileNotFoundError, errors.ReadFailed, errors.NotFound, errors.FormatTooNew):
        return False
    except errors.DamageError:
        return True
    return False


def _reference(path: str) -> Reference | None:
    folder, _, name = path.partition("/")
    return objects.parse_name(name) if folder == "objects" else None


def _is_whole(store: Store, reference: Reference) -> bool:
    try:
        store.objects.get(*reference, check=True)
    except errors.SessionstoreError:
        return False
    return True


def _restore(
    store: Store, lost: dict[Reference, Damage], misnamed: list[str], result: Repaired, rebuild: Rebuild | None
) -> None:
    """Write every lost object of which the bytes are found, and take it out of `lost`."""

    def found(reference: Reference, data: bytes, where: str) -> None:
        store.objects.put_named(reference[0], data, reference[1])
        result.restored.append({"path": lost.pop(reference).path, "from": where})

    if lost:
        for path in (*misnamed, *_copies(store, lost)):
            data = checks.content(f"{store.root}/{path}")
            name = canonical.digest(data) if data is not None else ""
            for reference in [reference for reference in lost if reference[0] == name]:
                found(reference, data or b"", path)
    for data in _lists(store) if lost else ():
        reference = canonical.digest(data), objects.VALUE
        if reference in lost:
            found(reference, data, "a journal")
    if rebuild is None:
        return
    for revision in _needing(store, lost):
        for reference, data in rebuild(store, revision, set(lost)).items():
            if reference in lost and canonical.digest(data) == reference[0]:
                found(reference, data, f"an original of {revision['key']}")


def _lists(store: Store) -> Iterator[bytes]:
    """The lists of chunks that originals of many sessions have in objects, as journals have them."""
    journals = Journals(store.root)
    for batch in journals.ids():
        with suppress(errors.DamageError, errors.NotFound, errors.ReadFailed):
            for kept in kept_originals([journals.read(batch)]):
                yield canonical.dumps(kept.original["chunks"])


def _copies(store: Store, lost: Iterable[Reference]) -> Iterator[str]:
    """Files that may hold the bytes of a lost object: its own name in the trash, and foreign names among the
    objects."""
    for folder in filter(layout.is_ulid, fsio.names(f"{store.root}/trash")):
        for name, kind in list(lost):
            for ending in (f"{kind}.zst", kind):
                path = f"trash/{folder}/objects/{name[:2]}/{name}.{ending}"
                if fsio.exists(f"{store.root}/{path}"):
                    yield path
    yield from checks.listing(store.root, "objects", lambda name: objects.parse_name(name) is not None).strangers


def _needing(store: Store, lost: dict[Reference, Damage]) -> Iterator[Revision]:
    """The revisions that need an object that is (still) lost."""
    for name in sorted(store.revision_names()) if lost else ():
        try:
            revision = store.load_revision(name)
            needed = set(objects_of(store, revision))
        except (errors.SessionstoreError, KeyError, TypeError):
            continue
        if not needed.isdisjoint(lost):
            yield revision

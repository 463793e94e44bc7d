"""What refers to what: the objects a revision needs, the originals a batch keeps, and the objects that anything in the
store needs. Whoever removes objects asks here first.

Roots are the revisions in `sessions/`, superseded ones in `trash/`, the originals that journals of batches speak of,
and whatever damaged files in `quarantine/` still name.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from sessionstore import errors, fsio, layout, objects
from sessionstore.journal import Batch, Journals, files_of
from sessionstore.store import Store, parse_document

Reference = tuple[str, str]
"""(object name, kind)"""
NAMES = re.compile(rb"[0-9a-f]{64}")
"""What may be the name of an object in a damaged file."""


def objects_of(store: Store, revision: Mapping[str, Any]) -> Iterator[Reference]:
    """Every object that one revision refers to: pages, large values, originals. Raises `DamageError` at the end, when
    an original's list of chunks cannot be read."""
    for page in revision["pages"]:
        yield page["id"], objects.PAGE
    for blob in revision.get("blobs", ()):
        yield blob["id"], objects.VALUE
    for original in revision.get("originals", ()):
        yield from objects_of_original(store, original)


def objects_of_original(store: Store, original: Mapping[str, Any]) -> Iterator[Reference]:
    """The chunks of an original, and before them the object that lists them, if one does. Raises `DamageError`."""
    if "chunks_object" in original:
        yield original["chunks_object"], objects.VALUE
    for chunk in store.objects.chunks(original):
        yield chunk["id"], objects.CHUNK


class Kept(NamedTuple):
    """A file that the store must be able to give back because of a batch: its path, the keys of the sessions in it,
    its original."""

    batch: str
    path: str
    keys: frozenset[str]
    original: dict[str, Any]


def kept_originals(batches: Iterable[Batch]) -> Iterator[Kept]:
    """Every original that batches keep: of each source that was not rolled back, given up or purged, and of each file
    that was removed, for which the store has the only copy."""
    batches = [batch for batch in batches if not batch.undone]
    keys: dict[str, set[str]] = {}
    for batch in batches:
        passed = _passed(batch)
        for number, line in batch.sources.items():
            own = {session["key"] for session in line["sessions"]}
            for file in files_of(line):
                keys.setdefault(file["original"]["sha256"], set()).update(own)
                needless = number in batch.dropped or line.get("purged") or (file is line and number in passed)
                if not needless:
                    yield Kept(batch.id, file["path"], frozenset(own), file["original"])
    for batch in batches:
        for (path, sha256), entry in batch.retire.items():
            yield Kept(batch.id, path, frozenset(keys.get(sha256, ())), entry["original"])


def _passed(batch: Batch) -> set[int]:
    """The source lines of a batch that a later one of the same batch goes on from, and so begins with all the bytes of:
    a batch that follows a growing file for a day need not keep each of its states."""
    passed: set[int] = set()
    last: dict[str, int] = {}
    for line in batch.settled:
        if line.get("grown") and line["path"] in last:
            passed.add(last[line["path"]])
        last[line["path"]] = line["n"]
    return passed


def trashed_revisions(store: Store, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, revision) of the superseded revisions kept in one folder of the trash; unreadable ones are left out."""
    root = f"{store.root}/trash/{folder}/sessions"
    for name in fsio.walk(root, 1):
        if layout.is_document_name(name):
            try:
                yield f"{root}/{name}", parse_document(name, fsio.read_bytes(f"{root}/{name}"))
            except (errors.SessionstoreError, OSError):
                continue


def referenced(
    store: Store, batches: Iterable[Batch] | None = None, *, without: Container[str] = (), undoing: str | None = None
) -> set[Reference]:
    """Every object that must stay, not counting what only the folders `without` of the trash need, nor what only the
    batch `undoing` needs, which is being rolled back. `batches` are all there are, if they have been read. Needs the
    store for itself. Raises `DamageError`, `ReadFailed`: with an unreadable revision or journal, nobody can tell what
    is needed, so nothing may be removed."""
    found: set[Reference] = set()
    for name in store.revision_names():
        found.update(objects_of(store, store.load_revision(name)))
    for folder in fsio.names(f"{store.root}/trash"):
        if folder not in without and folder != undoing:
            for _, revision in trashed_revisions(store, folder):
                with suppress(errors.DamageError):
                    found.update(objects_of(store, revision))
    batches = Journals(store.root).all() if batches is None else batches
    for kept in kept_originals(batch for batch in batches if batch.id != undoing):
        found.update(objects_of_original(store, kept.original))
    found.update(_named_in_quarantine(store))
    return found


def _named_in_quarantine(store: Store) -> Iterator[Reference]:
    """Whatever a damaged revision or journal still names: what it says may one day be put together again."""
    for folder in filter(layout.is_ulid, fsio.names(f"{store.root}/quarantine")):
        root = f"{store.root}/quarantine/{folder}"
        paths = [f"sessions/{name}" for name in fsio.walk(f"{root}/sessions", 1)]
        for path in (*paths, *(f"batches/{name}" for name in fsio.names(f"{root}/batches"))):
            for sha256 in set(NAMES.findall(fsio.read_bytes(f"{root}/{path}"))):
                yield from ((sha256.decode(), kind) for kind in objects.KINDS)

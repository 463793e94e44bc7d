"""What refers to what: the objects a revision needs, and the objects that anything in the store needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore import errors, fsio, layout, objects
from sessionstore.journal import Journals
from sessionstore.store import Store, parse_document

Reference = tuple[str, str]
"""(object name, kind)"""


def objects_of(store: Store, revision: dict[str, Any]) -> Iterator[Reference]:
    """Every object that one revision refers to: pages, large values, chunks of originals."""
    for page in revision["pages"]:
        yield page["id"], objects.PAGE
    for blob in revision.get("blobs", ()):
        yield blob["id"], objects.VALUE
    for original in revision.get("originals", ()):
        for chunk in original["chunks"]:
            yield chunk["id"], objects.CHUNK


def trashed_revisions(store: Store, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, revision) of the superseded revisions kept in one folder of the trash; unreadable ones are left out."""
    root = f"{store.root}/trash/{folder}/sessions"
    for name in fsio.walk(root, 1):
        if layout.is_document_name(name):
            try:
                yield f"{root}/{name}", parse_document(name, fsio.read_bytes(f"{root}/{name}"))
            except (errors.SessionstoreError, OSError):
                continue


def referenced(store: Store, exclude: str | None = None) -> set[Reference]:
    """Every object that a revision in `sessions/` or a superseded one in `trash/` (but for the folder `exclude`)
    refers to, and the chunks of files that other batches than `exclude` have removed. Needs the store for itself.
    Raises `RevisionCorrupt`: with an unreadable revision, nobody can tell what is needed, so nothing may be
    removed."""
    found: set[Reference] = set()
    for name in store.revision_names():
        found.update(objects_of(store, store.load_revision(name)))
    for folder in fsio.names(f"{store.root}/trash"):
        if folder != exclude:
            for _, revision in trashed_revisions(store, folder):
                found.update(objects_of(store, revision))
    for batch in Journals(store.root).all():
        if batch.id != exclude and not batch.undone:
            for entry in batch.retire.values():
                found.update((chunk["id"], objects.CHUNK) for chunk in entry["original"]["chunks"])
    return found

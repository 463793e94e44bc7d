"""Which session a source's session is: its key, also when the same content lies under another root.

Where native ids are unique only inside one root, a copy or a moved folder gives the same session under another key.
It is recognised by its native id, its stated beginning and its messages, and becomes an alias.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from sessionstore import errors, layout
from sessionstore.importers.base import Importer
from sessionstore.migrate.intake import Intake, Taken, own_key
from sessionstore.store import Store

Revision = dict[str, Any]
_ROOT = 8
"""Hex digits of the root in a scoped key."""


class Keys:
    """Finds the keys of the sessions of one group of sources, in order: what is about to be stored counts as stored.
    While it is used, no other process may commit sessions of scoped formats."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[str, dict[str, list[str]]] = {}
        self._pending: dict[tuple[str, str], list[Revision]] = {}

    def of(self, intake: Intake, taken: Taken) -> str:
        """The key to store a session under."""
        importer, native_id = intake.importer, taken.draft.native_id
        own = own_key(importer, intake.candidate.path, native_id)
        if not importer.scoped:
            return own
        draft = taken.composer.finish(own, {"x": taken.draft.x})
        same = self._pending.setdefault((importer.source, native_id), [])
        key = own
        if not self._store.heads(own):
            elsewhere = (*same, *self._stored(importer, native_id))
            key = next((found["key"] for found in elsewhere if self._is_same(draft, found)), own)
        same.append({**draft, "key": key})
        return key

    def _is_same(self, draft: Revision, other: Revision) -> bool:
        began, other_began = (revision.get("x", {}).get("created_at") for revision in (draft, other))
        if began != other_began:
            return False
        return self._store.extends(draft, other) or self._store.extends(other, draft)

    def _stored(self, importer: Importer, native_id: str) -> Iterator[Revision]:
        """Heads of stored sessions with this native id, under any root."""
        wanted = self._tail(importer, layout.slug(layout.session_key(importer.source, native_id, os.sep)))
        by_tail = self._names.get(importer.source)
        if by_tail is None:
            by_tail = self._names[importer.source] = {}
            for name in sorted(self._store.revision_names()):
                by_tail.setdefault(self._tail(importer, layout.split_name(name)[0][3:]), []).append(name)
        for name in by_tail.get(wanted, ()):
            try:
                revision = self._store.load_revision(name)
            except errors.SessionstoreError:
                continue
            if revision.get("native_id") == native_id and revision["source"] == importer.source:
                yield revision

    @staticmethod
    def _tail(importer: Importer, slug: str) -> str:
        """What the slugs of a native id have in common whatever the root: neither root nor the key's own digest."""
        start = len(layout.slug(importer.source)) - 8
        return slug[start + _ROOT : -8] if slug.startswith(layout.slug(importer.source)[: start - 1]) else ""

"""One place's legacy files as a mirror of a manager's sessions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore import errors
from sessionstore.dual import moving, rendering
from sessionstore.dual.legacy import File, Legacy
from sessionstore.dual.rendering import Told
from sessionstore.migrate.reading import Stat
from sessionstore.notes import notes_of
from sessionstore.store import Revision, Store

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

Record = dict[str, Any]
REMEMBERED = 64
"""So many sessions are remembered as they were written, so that only what is new has to be read and told."""


class _Written(NamedTuple):
    """A file as this process wrote it, and the revision that it shows."""

    file: File
    revision: Revision
    told: Told


class LegacyMirror:
    """Writes sessions to legacy files after the store has them; with `leads` what the files say comes first."""

    def __init__(self, legacy: Legacy, *, leads: bool = False) -> None:
        self.legacy, self.leads = legacy, leads
        self._lock = threading.Lock()
        """Held for a moment only, so that whoever holds a session may take it."""
        self._taking = threading.Lock()
        """Held while news are taken in, by who holds no session yet."""
        self._written: OrderedDict[str, _Written] = OrderedDict()
        self._seen: dict[str, Stat] = {}
        self._busy = threading.local()

    @property
    def name(self) -> str:
        """The directory."""
        return self.legacy.place.directory

    def reading(self, manager: SessionManager, key: str | None) -> None:
        """Take in what the older program has written since it was last looked at, when the files lead."""
        if not self.leads or getattr(self._busy, "taking", False):
            return
        self._busy.taking = True
        try:
            with self._taking:
                self._take_news(manager)
        finally:
            self._busy.taking = False

    def _take_news(self, manager: SessionManager) -> None:
        found = self.legacy.stats()
        fresh = [path for path, stat in found.items() if self._seen.get(path) != stat]
        if not fresh:
            return
        unknown = []
        for path in fresh:
            file = self._file(path)
            if file is None:
                continue
            head = moving.owner(manager.store, self.legacy, file.id)
            if head is None:
                unknown.append(path)
            else:
                moving.take_in(manager, self.legacy, head["key"], file, lead=True)
        if unknown:
            moving.adopt(manager.store, self.legacy, unknown)
        with self._lock:
            self._seen = found

    def wrote(self, manager: SessionManager, key: str) -> None:
        """Write the session's file. Raises `Drifted` when the file says what the store does not know."""
        if key.startswith("template:"):
            return
        note = self.legacy.pair(manager.store)
        if note and note.get("ended"):
            raise errors.UsageError(
                reason=f"writing to {self.name} was ended by `sessionstore dual forward`;"
                " switch LLM_DUAL_WRITE and LLM_LEGACY off, or run `sessionstore dual back`"
            )
        with manager.held(key):
            head = manager.live(key).head()
            ident = self.legacy.id_of(head)
            first = moving.owner(manager.store, self.legacy, ident)
            path = self.legacy.path_of(ident)
            if first is not None and first["key"] != key:
                raise errors.Drifted(path=path, reason=f"it is the file of {first['key']}")
            if moving.is_gone(manager.store, head):
                moving.take_away(manager.store, self.legacy, head, self._file(path))
                return
            self._write(manager.store, head, path)

    def _write(self, store: Store, head: Revision, path: str) -> None:
        """Write a session's file. Where nobody else has written it and the session has only grown, what is new is told
        and the rest is as it was."""
        known = self._still(path)
        if known is not None and (news := _news(store, known.revision, head)) is not None:
            told = known.told.joined(rendering.told_of(store, head, self.legacy.format, news))
            tags = list(notes_of(store, head["key"]).get("tags") or ())
            ident = self.legacy.id_of(head)
            made = rendering.assembled(head, self.legacy.format, ident, told, known.file.document, tags)
            file = known.file if made.document == known.file.document else self.legacy.write(path, made)
        else:
            found = known.file if known else self.legacy.file(path)
            made = self.legacy.rendered(store, head, found)
            file = moving.bring(store, self.legacy, head, found, stored=made)
        with self._lock:
            self._written[path] = _Written(file, head, made.told)
            self._written.move_to_end(path)
            while len(self._written) > REMEMBERED:
                self._written.popitem(last=False)
            self._seen[path] = file.stat

    def _still(self, path: str) -> _Written | None:
        """What was last written to a file, when nobody has written since."""
        with self._lock:
            known = self._written.get(path)
        return known if known is not None and self.legacy.stat(path) == known.file.stat else None

    def _file(self, path: str) -> File | None:
        known = self._still(path)
        return known.file if known else self.legacy.file(path)


def _news(store: Store, before: Revision, head: Revision) -> list[Record] | None:
    """The messages that a straight session has beyond an earlier revision of it; None when it has not simply grown."""
    if any(one.get("active_leaf") is not None for one in (before, head)):
        return None
    if before["key"] != head["key"] or before.get("parents") != head.get("parents"):
        return None
    pages = before["pages"]
    if head["pages"][: len(pages)] != pages:
        return None
    start = sum(page["n"] for page in pages)
    tail = [message["id"] for message in store.messages(before, start)]
    found = list(store.messages(head, start))
    if [message["id"] for message in found[: len(tail)]] != tail:
        return None
    news = found[len(tail) :]
    plain = all("parent" not in one and one.get("kind") in (None, "switch") for one in news)
    return news if plain else None

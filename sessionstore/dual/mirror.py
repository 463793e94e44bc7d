"""One place's legacy files as a mirror of a manager's sessions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.dual import moving
from sessionstore.dual.legacy import File, Legacy
from sessionstore.migrate.reading import Stat

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

REMEMBERED = 64
"""So many files are remembered as they were written, to be spared reading them again."""


class LegacyMirror:
    """Writes sessions to legacy files after the store has them; with `leads` what the files say comes first."""

    def __init__(self, legacy: Legacy, *, leads: bool = False) -> None:
        self.legacy, self.leads = legacy, leads
        self._lock = threading.RLock()
        self._written: OrderedDict[str, File] = OrderedDict()
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
            with self._lock:
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
            written = moving.bring(manager.store, self.legacy, head, self._file(path))
            if written is not None:
                self._remember(written)

    def _file(self, path: str) -> File | None:
        """A file as it is: as it was written, when nobody has written since."""
        with self._lock:
            known = self._written.get(path)
        if known is not None and self.legacy.stat(path) == known.stat:
            return known
        return self.legacy.file(path)

    def _remember(self, file: File) -> None:
        with self._lock:
            self._written[file.path] = file
            self._written.move_to_end(file.path)
            while len(self._written) > REMEMBERED:
                self._written.popitem(last=False)
            self._seen[file.path] = file.stat

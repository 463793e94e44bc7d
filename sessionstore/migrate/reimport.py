"""Reading stored originals again, by the importer that read them, to compare or to make lost objects anew.

Nothing is written and nothing but the store is read. The same bytes under the same name must give the same messages:
that is what an importer's version stands for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

from sessionstore import canonical, errors, fsio, objects
from sessionstore.closure import Reference
from sessionstore.compose import Composer
from sessionstore.importers import all_importers, material
from sessionstore.importers.base import Draft, Importer, Message, Source
from sessionstore.journal import Journals, Line
from sessionstore.migrate import reading
from sessionstore.migrate.intake import companions_of
from sessionstore.store import Revision, Store


class Reimporter:
    """Imports originals of one store again. `Reimporter(store)(store, revision)` is the `reimport` of `verify`,
    `Reimporter(store).rebuild` the `rebuild` of `repair`. Keeps the lines of the original it read last, because
    sessions of one export are asked for one after the other."""

    def __init__(self, store: Store, importers: Mapping[str, Importer] | None = None) -> None:
        self._importers = all_importers() if importers is None else importers
        self._lines: dict[tuple[str, str], Line] | None = None
        self._last: tuple[tuple[str, str, str], dict[str, list[bytes]]] | None = None
        self._store = store

    def __call__(self, store: Store, revision: Revision) -> list[bytes] | None:
        """The session's message lines; none at all when its original does not hold it (any more). None when it has no
        original or was read by another importer or version. Raises `DamageError`, `ReadFailed`."""
        importer = self._importer(revision)
        if importer is None:
            return None
        entry = revision["originals"][0]
        line = self._line(entry, revision["key"])
        asked = (entry["sha256"], line.get("path", ""), importer.source)
        if self._last is None or self._last[0] != asked:
            self._last = asked, self._read(importer, entry, line, _Nothing(store.root, store.temp))
        sessions = self._last[1]
        if revision["native_id"] in sessions:
            return sessions[revision["native_id"]]
        return next(iter(sessions.values())) if len(sessions) == 1 else []

    def rebuild(self, store: Store, revision: Revision, wanted: Collection[Reference]) -> dict[Reference, bytes]:
        """Those of the wanted pages and large values that importing the revision's originals again gives. Originals
        that are themselves damaged give none. Raises `ReadFailed`."""
        importer = self._importer(revision)
        kept = _Wanted(store.root, store.temp, wanted)
        for entry in revision["originals"] if importer else ():
            if importer is not None and len(kept.found) < len(wanted):
                try:
                    self._read(importer, entry, self._line(entry, revision["key"]), kept)
                except errors.DamageError:
                    continue
        return kept.found

    def _importer(self, revision: Revision) -> Importer | None:
        """The importer that the revision was read with, if it has an original and that importer is still the same."""
        read_by = revision.get("importer", {})
        importer = self._importers.get(read_by.get("name", ""))
        if importer is None or not revision.get("originals") or importer.version != read_by.get("version"):
            return None
        return importer

    def _line(self, entry: Mapping[str, Any], key: str) -> Line:
        """The journal's line on the source that an original is of: its path, which some importers take a hint from,
        and its companions. Empty when no journal tells."""
        if self._lines is None:
            self._lines = _lines(self._store)
        return self._lines.get((entry["sha256"], key)) or self._lines.get((entry["sha256"], ""), {})

    def _read(
        self, importer: Importer, entry: Mapping[str, Any], line: Line, kept: objects.Objects
    ) -> dict[str, list[bytes]]:
        """The lines of every session of an original, by native id."""
        source = Source(
            line.get("path", ""),
            _unpacked(self._store.original(entry)),
            size=entry["bytes"],
            companions=companions_of(self._store, line.get("companions", ())),
            copied=partial(material.copied, directory=self._store.temp.directory),
        )
        composers: dict[Draft, Composer] = {}
        lines: dict[Draft, list[bytes]] = {}
        for draft, message in _messages(importer, source):
            if draft not in composers:
                composers[draft], lines[draft] = Composer(kept), []
            lines[draft].append(composers[draft].add(message))
        found: dict[str, list[bytes]] = {}
        for draft in source.drafts:
            found.setdefault(draft.native_id, lines.get(draft, []))
        return found


def _messages(importer: Importer, source: Source) -> Iterator[tuple[Draft, Message]]:
    """What the importer makes of a source, up to where it fails: an importer that fails now gives less than it gave
    once, and that is what the caller compares."""
    try:
        yield from importer.read(source)
    except (errors.SessionstoreError, OSError):
        raise
    except Exception as error:
        fsio.warn(f"importing {source.name or 'an original'} again failed ({type(error).__name__}: {error})")


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(blocks, b"")
    return reading.unpacked(chain((first,), blocks), reading.compression(first))


def _lines(store: Store) -> dict[tuple[str, str], Line]:
    """The journals' last line on every original, by (SHA-256, session key) and by (SHA-256, "")."""
    found: dict[tuple[str, str], Line] = {}
    journals = Journals(store.root)
    for batch in journals.ids():
        try:
            lines = journals.read(batch).sources.values()
        except (errors.DamageError, errors.NotFound, errors.ReadFailed):
            continue
        for line in lines:
            sha256 = line["original"]["sha256"]
            found[sha256, ""] = line
            found.update({(sha256, session["key"]): line for session in line["sessions"]})
    return found


class _Nothing(objects.Objects):
    """Objects that are named and not stored."""

    def put(self, data: bytes, kind: str, flush: fsio.Flush | None = None) -> str:
        """The name `data` would have."""
        return canonical.digest(data)


class _Wanted(objects.Objects):
    """Objects that are kept in memory when they are wanted, and never stored."""

    def __init__(self, root: str, temp: fsio.Temp, wanted: Collection[Reference]) -> None:
        super().__init__(root, temp)
        self._wanted = wanted
        self.found: dict[Reference, bytes] = {}

    def put(self, data: bytes, kind: str, flush: fsio.Flush | None = None) -> str:
        """The name of `data`, which is kept if it is wanted."""
        name = canonical.digest(data)
        if (name, kind) in self._wanted:
            self.found[name, kind] = data
        return name

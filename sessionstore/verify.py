"""Finding every changed, missing or foreign byte of a store, and naming the sessions it touches.

    L0  sizes      an object's file is as long as what refers to it says, without reading it
    L1  hashes     revisions, notes and objects hold the bytes they are named for
    L2  closure    what revisions refer to is there, and adds up to what they state; journals can be read
    L3  deep       originals come back whole, and importing them again gives the same messages
    L4  index      the mirror is what a rebuild would make

Nothing is changed here: `repair` does that. What the operating system cannot read is "unreadable", which proves
nothing about the bytes. Files that are no part of the format are warnings, whatever they are called; so is damage
that only a rollback would meet, since no session is harmed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, Protocol

from sessionstore import canonical, checks, errors, fsio, layout, notes, objects
from sessionstore.checks import Report
from sessionstore.closure import Kept, Reference, kept_originals, objects_of, objects_of_original
from sessionstore.journal import Batch, Journals
from sessionstore.store import Revision, Store, parse_document

Reimport = Callable[[Store, Revision], list[bytes] | None]
"""A session's message lines, read again from its original by the importer it was read with; None when there is no
original or the importer is another one now. May raise `DamageError` for a damaged original."""
IndexDigest = Callable[[], tuple[str, str] | None]
"""The digest of the index and the digest of a rebuilt one; None when there is no index."""


class Progress(Protocol):
    """Who is told how far the work has come."""

    def start(self, files: int, size: int) -> None:
        """So many objects of so many bytes altogether will be looked at."""

    def advance(self, files: int, size: int) -> None:
        """So many more have been."""


def verify(
    store: Store,
    *,
    read_data: bool = True,
    deep: bool = False,
    sample: float | None = None,
    progress: Progress | None = None,
    index_digest: IndexDigest | None = None,
    reimport: Reimport | None = None,
) -> Report:
    """Check a store. Without `read_data` objects are measured but not read; with `sample` only that share of them
    (0 to 1, chosen anew each time) is read. `deep` adds L3, for which `reimport` is needed; `index_digest` adds L4.
    Writers may go on, gc, repair and purge wait. Needs no right to write. Raises `Busy`."""
    share = 0.0 if not read_data else 1.0 if sample is None else sample
    with ExitStack() as stack:
        with suppress(errors.StorageError, errors.FormatTooNew):
            stack.enter_context(store.writing())  # one that cannot be written cannot change meanwhile either
        check = _Verification(store, share)
        check.revisions()
        check.trash()
        check.notes()
        check.journals()
        check.broken_documents()
        check.objects(progress)
        check.statements()
        if deep:
            _check_originals(store, check, reimport)
    if index_digest is not None:
        _check_index(check.report, index_digest)
    _check_marker(store, check.report)
    check.strangers()
    return check.report


class _Stated(NamedTuple):
    """What a revision says of itself that can only be compared when its pages have been read."""

    path: str
    key: str
    pages: tuple[tuple[str, int], ...]
    roles: dict[str, int]
    """of the whole session"""
    tail: dict[str, int]
    """of the messages that are not in pages"""


class _Verification:
    """One run: the passes fill in who refers to what, and the report."""

    def __init__(self, store: Store, share: float) -> None:
        self.store, self.share, self.report = store, share, Report()
        self.users: dict[Reference, set[str]] = {}
        """the sessions that need an object"""
        self.sizes: dict[Reference, int] = {}
        """how many bytes an object has, uncompressed, by what refers to it"""
        self.for_rollback: dict[Reference, str] = {}
        """objects that only a superseded revision needs, and the batch whose rollback would need it"""
        self.stated: list[_Stated] = []
        self.pages: dict[str, tuple[int, dict[str, int]]] = {}
        """of pages that were read and are sound: how many messages, and how many of each role"""
        self.originals: set[str] = set()
        self.kept: list[Kept] = []
        """the originals that batches keep"""
        self.damaged: set[Reference] = set()
        self.strange: list[str] = []
        self.broken: list[tuple[str, str, bytes]] = []
        self.keys: dict[str, str] = {}
        """session keys by the stem of their files' names"""
        self.present: set[str] = set()
        """stems of all revisions, damaged ones too"""

    # -- documents -------------------------------------------------------------------------------------------------

    def _documents(self, folder: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, document) of the sound documents of a folder; the others are put aside in `broken`."""
        found = checks.listing(self.store.root, folder, layout.is_document_name)
        self.strange += found.strangers
        for path in found.unreadable:
            self.report.add(path, "unreadable")
        for name in found.files:
            stem = layout.split_name(name)[0]
            if folder == "sessions":
                self.present.add(stem)
            data = b""
            try:
                data = fsio.read_bytes(f"{self.store.root}/{folder}/{name}")
                document = parse_document(name, data)
            except FileNotFoundError:
                continue
            except errors.FormatTooNew as error:
                self.report.warn(str(error))
            except errors.ReadFailed:
                self.broken.append((f"{folder}/{name}", "unreadable", data))
            except errors.RevisionCorrupt:
                self._broken(folder, name, kind, data)
            else:
                self.report.counts["bytes"] += len(data)
                self.keys[stem] = document["key"]
                yield name, document

    def _broken(self, folder: str, name: str, kind: str, data: bytes) -> None:
        """A document that does not fit its name. When its bytes are sound and only the place is wrong, it is as
        foreign as any other file."""
        key = checks.key_in(data)
        if canonical.digest(data) == layout.split_name(name)[1] and key is not None:
            self.report.warn(f"{folder}/{name} belongs at {folder}/{layout.document_name(key, data)}; ignored")
        else:
            self.broken.append((f"{folder}/{name}", kind, data))

    def broken_documents(self) -> None:
        """Report damaged revisions and notes, now that the keys of the sessions are known."""
        for path, kind, data in self.broken:
            stem = layout.split_name(path.partition("/")[2])[0]
            key = self.keys.get(stem) or checks.key_of(stem, data)
            self.report.add(path, kind, [key or stem.partition("/")[2]])

    def revisions(self) -> None:
        """Every revision: its bytes, what it refers to, and what it states as far as that needs no page."""
        for name, revision in self._documents("sessions", "revision-corrupt"):
            self.report.counts["revisions"] += 1
            try:
                self._refer(revision)
                self._state(f"sessions/{name}", revision)
                self.originals.update(entry["sha256"] for entry in revision.get("originals", ()))
            except (KeyError, TypeError, AttributeError, ValueError):
                self.report.add(f"sessions/{name}", "revision-corrupt", [revision["key"]])

    def _refer(self, revision: Revision) -> None:
        """Take note of the objects that a revision needs, and how long they are."""
        key, users, sizes = revision["key"], self.users, self.sizes
        with suppress(errors.DamageError):
            for reference in objects_of(self.store, revision):
                users.setdefault(reference, set()).add(key)
        for page in revision["pages"]:
            sizes[page["id"], objects.PAGE] = page["bytes"]
        for blob in revision.get("blobs", ()):
            sizes[blob["id"], objects.VALUE] = blob["bytes"]
        for original in revision.get("originals", ()):
            for chunk in self._chunks(original):
                sizes[chunk["id"], objects.CHUNK] = chunk["bytes"]

    def _chunks(self, original: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """An original's chunks; none when the object that lists them is damaged, which is told when that is met."""
        try:
            return self.store.objects.chunks(original)
        except errors.DamageError:
            return ()

    def _state(self, path: str, revision: Revision) -> None:
        """Compare what a revision states with itself, and put aside what its pages are needed for."""
        key, counts, pages, tail = (revision[name] for name in ("key", "counts", "pages", "messages"))
        if not all(map(checks.is_message, tail)):
            self.report.add(path, "message-invalid", [key])
            return
        size = sum(page["bytes"] for page in pages) + sum(len(canonical.line(message)) for message in tail)
        if counts["messages"] != sum(page["n"] for page in pages) + len(tail) or counts["bytes"] != size:
            self.report.add(path, "counts-differ", [key])
            return
        originals = ((entry, self._chunks(entry)) for entry in revision.get("originals", ()))
        if not all(checks.adds_up(entry, chunks) for entry, chunks in originals if chunks or not entry["bytes"]):
            self.report.add(path, "original-differs", [key])
        numbered = tuple((page["id"], page["n"]) for page in pages)
        roles = Counter(message["role"] for message in tail)
        self.stated.append(_Stated(path, key, numbered, dict(counts["by_role"]), roles))

    def trash(self) -> None:
        """Superseded revisions, which a rollback would bring back."""
        for folder in sorted(filter(layout.is_ulid, fsio.names(f"{self.store.root}/trash"))):
            root = f"trash/{folder}/sessions"
            for name in filter(layout.is_document_name, fsio.walk(f"{self.store.root}/{root}", 1)):
                try:
                    revision = parse_document(name, fsio.read_bytes(f"{self.store.root}/{root}/{name}"))
                    needed = set(objects_of(self.store, revision))
                except (errors.SessionstoreError, OSError, KeyError, TypeError):
                    self.report.warn(f"{root}/{name} is damaged, so batch {folder} cannot be rolled back")
                    continue
                self.for_rollback.update(dict.fromkeys(needed - self.users.keys(), folder))

    def notes(self) -> None:
        """Every note."""
        for name, note in self._documents("notes", "note-corrupt"):
            self.report.counts["notes"] += 1
            if not notes.is_note(note):
                self.report.add(f"notes/{name}", "note-corrupt", [note["key"]])

    # -- journals --------------------------------------------------------------------------------------------------

    def journals(self) -> None:
        """Every journal, and that each session which a batch has stored is still there in some form."""
        journals = Journals(self.store.root)
        stored: dict[str, str] = {}
        batches: list[Batch] = []
        for name in journals.ids():
            path = f"batches/{name}.jsonl"
            self.report.counts["batches"] += 1
            try:
                data = fsio.read_bytes(journals.path(name))
                self.report.counts["bytes"] += len(data)
                batch = journals.read(name)
                self._batch(batch, stored)
                sound = checks.is_canonical(data) and batch.committed <= batch.sources.keys()
            except errors.ReadFailed:
                self.report.add(path, "unreadable")
            except (errors.DamageError, KeyError, TypeError, AttributeError, ValueError):
                self.report.add(path, "journal-corrupt")
            except (FileNotFoundError, errors.NotFound):
                continue
            else:
                batches.append(batch)
                if not sound:
                    self.report.add(path, "journal-corrupt")
        self._originals(batches)
        for key, name in stored.items():
            if layout.split_name(name)[0] not in self.present and not notes.is_purged(self.store, key):
                self.report.add(f"sessions/{name}", "session-missing", [key])

    def _batch(self, batch: Batch, stored: dict[str, str]) -> None:
        if batch.state in ("interrupted", "undoing"):
            self.report.warn(f"batch {batch.id} was interrupted; the next migration or rollback goes on with it")
        for line in batch.live:
            for session in line["sessions"]:
                if session["created"]:
                    stored[session["key"]] = session["revision"]
                self.keys.setdefault(layout.split_name(session["revision"])[0], session["key"])

    def _originals(self, batches: list[Batch]) -> None:
        """The originals that batches keep, which must all be there."""
        for kept in kept_originals(batches):
            try:
                if not checks.adds_up(kept.original, self._chunks(kept.original)):
                    self.report.add(f"batches/{kept.batch}.jsonl", "original-differs", kept.keys)
                for chunk in self._chunks(kept.original):
                    reference = chunk["id"], objects.CHUNK
                    self.users.setdefault(reference, set()).update(kept.keys)
                    self.sizes.setdefault(reference, chunk["bytes"])
            except (KeyError, TypeError, AttributeError):
                self.report.add(f"batches/{kept.batch}.jsonl", "journal-corrupt")
            else:
                self.kept.append(kept)
                self.originals.add(kept.original["sha256"])
        self.report.counts["originals"] = len(self.originals)

    # -- objects ---------------------------------------------------------------------------------------------------

    def objects(self, progress: Progress | None) -> None:
        """Every object file, then every object that is needed and was not met."""
        found = checks.listing(self.store.root, "objects", lambda name: objects.parse_name(name) is not None)
        self.strange += found.strangers
        if progress:
            progress.start(len(found.files), sum(self.sizes.values()))
        files, suspects = set(), []
        for name in found.files:
            reference = checks.reference_of(name)
            fault = self._object(f"objects/{name}", reference)
            if fault:
                suspects.append((f"objects/{name}", reference, fault))
            if progress:
                progress.advance(1, self.sizes.get(reference, 0) if reference not in files else 0)
            files.add(reference)
        needed = self.users.keys() | self.for_rollback.keys()
        self.report.counts["objects"] = len(files)
        self.report.counts["orphans"] = len(files - needed)
        for path, reference, fault in suspects:
            self._judge(path, reference, fault, files)
        for reference in needed - files:
            self._not_listed(reference, found.unreadable)

    def _object(self, path: str, reference: Reference) -> str | None:
        """What is wrong with one object file. Pages that are sound are counted on the way."""
        name, kind = reference
        full, packed, size = f"{self.store.root}/{path}", path.endswith(".zst"), self.sizes.get(reference)
        try:
            if self.share < 1 and random.random() >= self.share:
                return checks.measure(full, size, packed=packed)
            raw = fsio.read_bytes(full)
        except FileNotFoundError:
            return None
        except (errors.ReadFailed, OSError):
            return "unreadable"
        self.report.counts["bytes"] += len(raw)
        fault, data = checks.check_bytes(raw, name, size, packed=packed)
        if fault is None and kind == objects.PAGE and reference in self.users:
            self._page(path, name, data)
        return fault

    def _page(self, path: str, name: str, data: bytes) -> None:
        roles: dict[str, int] = {}
        lines = data.splitlines()
        for line in lines:
            try:
                message = canonical.loads(line)
            except ValueError:
                message = None
            if not checks.is_message(message):
                self.report.add(path, "message-invalid", self.users.get((name, objects.PAGE), ()))
                return
            role = message["role"]
            roles[role] = roles.get(role, 0) + 1
        self.pages[name] = len(lines), roles

    def _judge(self, path: str, reference: Reference, fault: str, files: set[Reference]) -> None:
        """Report an object file that is wrong. Where no session needs it, that may be a warning: because it is
        another object under a wrong name, or because only a rollback would need it."""
        self.damaged.add(reference)
        if reference in self.users or fault == "unreadable":
            self.report.add(path, fault, self.users.get(reference, ()))
        elif reference in self.for_rollback:
            self.report.warn(f"{path} is damaged, so batch {self.for_rollback[reference]} cannot be rolled back")
        else:
            data = checks.content(f"{self.store.root}/{path}")
            other = canonical.digest(data) if data else "", reference[1]
            if other in files or other in self.users:
                self.report.warn(f"{path} holds the object {other[0]} under a wrong name; ignored")
                self.report.misnamed.append(path)
            else:
                self.report.add(path, fault)

    def _not_listed(self, reference: Reference, unreadable: list[str]) -> None:
        """An object that is needed and was not met: missing, or behind a link that readers follow and we do not."""
        name, kind = reference
        found = self.store.objects.find(name, kind)
        if found is not None:
            path = found[len(self.store.root) + 1 :]
            if fault := self._object(path, reference):
                self._judge(path, reference, fault, set())
            return
        self.damaged.add(reference)
        path = self.store.objects.path(name, kind, packed=kind == objects.CHUNK)[len(self.store.root) + 1 :]
        if reference in self.users:
            hidden = f"objects/{name[:2]}" in unreadable or "objects" in unreadable
            self.report.add(path, "unreadable" if hidden else "object-missing", self.users[reference])
        else:
            self.report.warn(f"{path} is missing, so batch {self.for_rollback[reference]} cannot be rolled back")

    def statements(self) -> None:
        """Compare what revisions state with their pages, where all of those were read."""
        for path, key, pages, roles, tail in self.stated:
            if not all(name in self.pages for name, _ in pages):
                continue
            total = Counter(tail)
            for name, _ in pages:
                total.update(self.pages[name][1])
            if dict(total) != roles or any(self.pages[name][0] != n for name, n in pages):
                self.report.add(path, "counts-differ", [key])

    def strangers(self) -> None:
        """Warn of every file that is no part of the format, and of what was put aside."""
        root = self.store.root
        for path in (*self.strange, *checks.strangers_outside(root)):
            self.report.warn(f"{path} {checks.what_is(f'{root}/{path}')}")
        if kept := checks.quarantined(root):
            self.report.warn(f"quarantine/ holds {kept} damaged files")


def _check_index(report: Report, index_digest: IndexDigest) -> None:
    """L4."""
    try:
        found = index_digest()
    except (errors.DamageError, errors.ForeignError) as error:
        report.warn(f"{checks.INDEX} cannot be compared: {error}")
        report.add(checks.INDEX, "index-differs")
        return
    if found is None:
        report.warn("there is no index that is up to date, so none was compared")
    elif found[0] != found[1]:
        report.add(checks.INDEX, "index-differs")


def _check_marker(store: Store, report: Report) -> None:
    """STORE.json, as far as that can be told: it is named for nothing and has no hash."""
    try:
        data = fsio.read_bytes(f"{store.root}/{layout.MARKER}")
        marker, model = canonical.loads(data), layout.new_marker()
        changed = [name for name in model if name not in ("id", "features") and marker[name] != model[name]]
        if changed or not layout.is_ulid(marker["id"]) or canonical.line(marker) != data:
            report.add(layout.MARKER, "marker-corrupt")
    except (ValueError, KeyError, AttributeError, TypeError, FileNotFoundError):
        report.add(layout.MARKER, "marker-corrupt")
    except errors.ReadFailed:
        report.add(layout.MARKER, "unreadable")


def _check_originals(store: Store, check: _Verification, reimport: Reimport | None) -> None:
    """Put every original together again, and import it again. Originals of which an object is already known to be
    damaged are left out. Sessions of one original follow each other, so that `reimport` may keep what it read."""
    report, damaged = check.report, check.damaged
    seen: set[str] = set()
    unread = 0
    by_key: dict[str, list[tuple[str, bool, bool]]] = {}
    for name in _by_original(store):
        try:
            revision = store.load_revision(name)
            for entry in revision["originals"]:
                _check_whole(store, check, seen, entry, f"sessions/{revision['_name']}", [revision["key"]])
            if reimport is None or not damaged.isdisjoint(objects_of(store, revision)):
                continue
            lines = reimport(store, revision)
            if lines is None:
                unread += 1
                continue
            fits = checks.holds(list(store.lines(revision)), lines)
        except (errors.NotFound, errors.DamageError, errors.ReadFailed):
            continue
        by_key.setdefault(revision["key"], []).append((name, fits, bool(revision.get("parents"))))
    for key, found in by_key.items():
        _judge(report, key, found)
    for kept in check.kept:
        _check_whole(store, check, seen, kept.original, f"batches/{kept.batch}.jsonl", kept.keys)
    if unread:
        report.warn(f"{unread} revisions were not imported again: their importer is missing or another version now")


def _by_original(store: Store) -> list[str]:
    order = []
    for name in store.revision_names():
        try:
            order.append((store.load_revision(name)["originals"][0]["sha256"], name))
        except (errors.SessionstoreError, KeyError, IndexError, TypeError):
            continue
    return [name for _, name in sorted(order)]


def _check_whole(
    store: Store, check: _Verification, seen: set[str], entry: Mapping[str, Any], path: str, keys: Iterable[str]
) -> None:
    """Put one original together, unless that was done already."""
    if entry["sha256"] in seen:
        return
    try:
        if check.damaged.isdisjoint(objects_of_original(store, entry)):
            seen.add(entry["sha256"])
            for _ in store.original(entry):
                pass
    except errors.DamageError:
        check.report.add(path, "original-differs", keys)


def _judge(report: Report, key: str, found: list[tuple[str, bool, bool]]) -> None:
    """Report revisions (name, whether it is what its original gives, whether it names a parent) that are not what
    they were imported as. One that names a parent was edited on purpose; then it is the parent that fits."""
    for name, fits, edited in found:
        if not fits and not edited:
            report.add(f"sessions/{name}", "pages-differ", [key])
        elif not fits and not any(other for _, other, _ in found):
            report.warn(f"sessions/{name} differs from its original, and so does what it was made from")

"""The way forward and back: what differs, the files' news into the store, the store's sessions into the files.

Nothing is ever removed. `forward` ends the writing of legacy files; `back` writes them so that the older program goes
on with everything, and keeps a copy of each file that it replaces by something else. Both look again when they are
done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sessionstore import errors, layout
from sessionstore.dual import moving, pairing
from sessionstore.dual.comparing import KINDS, Kind, Match
from sessionstore.dual.legacy import File, Legacy
from sessionstore.manager.core import SessionManager
from sessionstore.store import Revision, Store

TAKEN: frozenset[Kind] = frozenset({"same", "fields", "behind", "unwritten", "shadowed", "cleared"})
AT_REST: frozenset[Kind] = frozenset({"same", "shadowed", "cleared"})
"""What `back` leaves alone."""
"""What a file and a session may be to each other when everything the file says is in the store."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one session and one file stand to each other, for people."""

    kind: Kind
    path: str
    key: str | None
    what: str
    held: bool = True
    """whether the store has everything that the file says"""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"kind": self.kind, "file": self.path, "session": self.key, "what": self.what, "held": self.held}


@dataclass(slots=True)
class Moved:
    """What `forward` or `back` did, or would do."""

    direction: str
    directory: str
    dry_run: bool
    taken: dict[str, int] = field(default_factory=dict)
    """messages taken into sessions, by key"""
    imported: list[str] = field(default_factory=list)
    """files whose sessions are new to the store"""
    written: list[str] = field(default_factory=list)
    """files that were written"""
    copies: list[str] = field(default_factory=list)
    """copies of files that now say something else"""
    failed: dict[str, str] = field(default_factory=dict)
    """what could not be done, by file"""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        names = ("direction", "directory", "dry_run", "taken", "imported", "written", "copies", "failed")
        return {name: getattr(self, name) for name in names}


def status(
    store: Store, legacy: Legacy, *, everything: bool = False, beside: Iterable[Legacy] = ()
) -> list[Difference]:
    """How every file and every session that belongs into one stand to each other; those in order too. Sessions that
    have their file `beside`, in another place, need none here."""
    others = [one for one in beside if one is not legacy]
    found = []
    for difference, revision, _ in _looked_at(store, legacy, everything):
        placed = revision and any(os.path.exists(one.path_of(one.id_of(revision))) for one in others)
        if difference.kind != "unwritten" or not placed:
            found.append(difference)
    return found


def summary(found: list[Difference]) -> dict[str, int]:
    """How many there are of each kind."""
    counted = Counter(one.kind for one in found)
    return {kind: counted[kind] for kind in KINDS if counted[kind]}


def _looked_at(
    store: Store, legacy: Legacy, everything: bool
) -> Iterator[tuple[Difference, Revision | None, File | None]]:
    paths = dict.fromkeys(legacy.stats())
    owners: dict[str, str] = {}
    for revision in moving.sessions(store, None if everything else ("native", legacy.format)):
        path = legacy.path_of(legacy.id_of(revision))
        first = moving.owner(store, legacy, legacy.id_of(revision))
        if first is not None and first["key"] != revision["key"]:
            what = f"{revision['key']} has no file of its own: {os.path.basename(path)} is the file of {first['key']}"
            yield Difference("shadowed", path, revision["key"], what), revision, None
            continue
        owners[path] = revision["key"]
        if path not in paths and moving.is_gone(store, revision):
            continue
        yield _difference(store, legacy, revision, path)
    for path in paths:
        if path in owners:
            continue
        ident = os.path.basename(path).removesuffix(".json")
        other = None if everything else moving.owner(store, legacy, ident)
        if other is not None:
            yield _difference(store, legacy, other, path)
            continue
        file = legacy.file(path)
        if file is not None and file.document is None:
            what = f"{os.path.basename(path)} cannot be read: {file.problem}"
            yield Difference("unreadable", path, None, what, False), None, file
        elif file is not None:
            what = (
                f"{os.path.basename(path)} holds a session of {len(file.marks)} messages that the store does not have"
            )
            yield Difference("unknown", path, None, what, False), None, file


def _difference(
    store: Store, legacy: Legacy, revision: Revision, path: str
) -> tuple[Difference, Revision, File | None]:
    file = legacy.file(path)
    kind, match, fields = moving.kind_of(store, legacy, revision, file)
    held = kind in TAKEN
    if kind in ("ahead", "differs") and file is not None:
        held = legacy.knows(store, revision, file)
    what = _told(revision, kind, match, fields, file, held)
    return Difference(kind, path, revision["key"], what, held), revision, file


def _told(revision: Revision, kind: Kind, match: Match, fields: list[str], file: File | None, held: bool) -> str:
    key = revision["key"]
    name = os.path.basename(file.path) if file else ""
    if kind == "unwritten":
        return f"{key} ({revision['counts']['messages']} messages) has no file"
    if kind == "cleared":
        return f"{key} was cleared or deleted, and {name} is still there"
    if kind == "unreadable":
        return f"{name} of {key} cannot be read: {file.problem if file else ''}"
    if kind == "behind":
        return f"{name} lacks the last {match.lacking} messages of {key}"
    if kind == "ahead":
        return f"{name} goes on after {key}: the older program has added {len(match.news)} messages"
    if kind == "fields":
        return f"{name} and {key} have the same messages, but not the same {', '.join(fields)}"
    if kind == "differs" and held:
        return f"{name} shows an earlier state or another branch of {key}, from message {match.at + 1} on"
    if kind == "differs":
        return f"{name} and {key} differ from message {match.at + 1} of the file on"
    return f"{name} and {key} say the same"


def forward(manager: SessionManager, legacy: Legacy, *, dry_run: bool = False, end: bool = True) -> Moved:
    """Take everything that the files say into the store; then `end` the writing of them. The files stay as they are.
    Raises `UsageError` when the files are another store's."""
    store = manager.store
    pairing.check(store, legacy.folder)
    moved = Moved("forward", legacy.place.directory, dry_run)
    unknown = []
    for difference, revision, file in list(_looked_at(store, legacy, everything=False)):
        if difference.held or file is None:
            continue
        if file.document is None:
            moved.failed[difference.path] = file.problem
        elif revision is None:
            unknown.append(difference.path)
        elif dry_run:
            moved.taken[revision["key"]] = len(moving.kind_of(store, legacy, revision, file)[1].news)
        else:
            moved.taken[revision["key"]] = moving.take_in(manager, legacy, revision["key"], file)
    moved.imported = unknown
    if dry_run:
        return moved
    moved.failed |= moving.adopt(store, legacy, unknown)
    moved.imported = [path for path in unknown if path not in moved.failed]
    for difference, _, _ in _looked_at(store, legacy, everything=False):
        if not difference.held:
            moved.failed.setdefault(difference.path, f"looked at again: {difference.what}")
    if end and not moved.failed and os.path.isdir(legacy.folder):
        pairing.write(store, legacy.folder, ended=True)
    return moved


def back(manager: SessionManager, legacy: Legacy, *, dry_run: bool = False, everything: bool = False) -> Moved:
    """Write all sessions' files, so that the older program goes on where the store is; what the files say and the store
    does not is taken in first. Raises `UsageError` when the files are another store's."""
    store = manager.store
    moved = forward(manager, legacy, dry_run=dry_run, end=False)
    moved.direction = "back"
    stamp = layout.ulid()
    for difference, revision, file in list(_looked_at(store, legacy, everything)):
        if revision is None or difference.kind in AT_REST:
            continue
        if difference.kind == "ahead" and dry_run:
            continue
        replaced = file is not None and difference.kind in ("differs", "unreadable")
        if dry_run:
            moved.written.append(difference.path)
            moved.failed.pop(difference.path, None)
            continue
        try:
            with manager.held(revision["key"]):
                if replaced:
                    moved.copies.append(legacy.put_aside(difference.path, stamp))
                head = manager.live(revision["key"]).head()
                moving.bring(store, legacy, head, legacy.file(difference.path), anyway=replaced)
        except errors.SessionstoreError as error:
            moved.failed[difference.path] = str(error)
        else:
            moved.written.append(difference.path)
            moved.failed.pop(difference.path, None)
    if dry_run:
        return moved
    for difference, revision, _ in _looked_at(store, legacy, everything):
        if revision is not None and difference.kind not in AT_REST:
            moved.failed.setdefault(difference.path, f"looked at again: {difference.what}")
    if not moved.failed:
        pairing.write(store, legacy.folder)
    return moved

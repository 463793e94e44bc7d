"""Bringing the index to what the store says: by set difference of file names, without clocks or events.

A revision or note is immutable, so its name says everything: what is in `sessions/` and `notes/` and not in the
index is taken in, what is in the index and no longer in the store is removed. Running it again changes nothing.
What cannot be read is left out and named, and tried again the next time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any

from sessionstore import errors, fsio, layout
from sessionstore.index import entry, schema
from sessionstore.index.digest import digest
from sessionstore.index.files import explain, lock_path, locked, remove_files
from sessionstore.index.rows import DIGEST, Row, encode
from sessionstore.index.truth import Revision, StoreLike
from sessionstore.index.writer import IndexWriter

__all__ = ["Counts", "StoreLike", "digest", "rebuild", "sync"]

Progress = Callable[[int, int], None]
"""Called with (sessions looked at so far, sessions to look at)."""

_ROWS = 512
_UNREADABLE = (
    errors.ObjectMissing,
    errors.ObjectCorrupt,
    errors.RevisionCorrupt,
    errors.ReadFailed,
    errors.FormatTooNew,
    KeyError,
    TypeError,
    AttributeError,
    ValueError,
)
"""What a damaged or misshapen file of the store may raise; trouble with the index itself is none of these."""


class Counts:
    """What a sync did: numbers of heads `added`, `extended`, `removed`, of `notes` taken in or removed, and
    `damaged`: name to reason of everything that could not be read."""

    def __init__(self) -> None:
        self.added = self.extended = self.removed = self.notes = 0
        self.damaged: dict[str, str] = {}

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return dict(vars(self))


def sync(store: StoreLike, writer: IndexWriter, progress: Progress | None = None) -> Counts:
    """Take in everything that changed in the store since the last time, and commit. Raises `StorageError` and
    `DamageError` (of the index itself); damage in the store is counted and passed over."""
    if writer.lost:
        writer.reopen()
    return _Sync(store, writer).run(progress)


def sync_sessions(store: StoreLike, writer: IndexWriter, keys: Collection[str]) -> Counts:
    """`sync` for these sessions only, without a look at the others: what a program does that has just written them."""
    if writer.lost:
        writer.reopen()
    return _Sync(store, writer).run_for(keys)


class _Sync:
    """One run of `sync`."""

    def __init__(self, store: StoreLike, writer: IndexWriter) -> None:
        self.store, self.writer, self.counts = store, writer, Counts()

    def run_for(self, keys: Collection[str]) -> Counts:
        noted: set[str] = set()
        for stem in sorted({f"{layout.fanout(key)}/{layout.slug(key)}" for key in keys}):
            noted |= self._take_notes(_stored(self.store, "notes", stem), self._known("notes", stem))[0]
            names = _stored(self.store, "sessions", stem)
            self._take_session(sorted(names | self._known("revisions", stem)), names)
        for key in sorted(noted):
            self.writer.settle_notes(key)
        self.writer.commit()
        return self.counts

    def _known(self, table: str, stem: str) -> set[str]:
        query = f"SELECT name FROM {table} WHERE name BETWEEN ? AND ?"
        return {name for (name,) in self.writer.connection.execute(query, (f"{stem}.", f"{stem}/"))}

    def run(self, progress: Progress | None) -> Counts:
        noted, undecided = self._take_notes(self.store.note_names(), self.writer.applied_notes())
        names, known = self.store.revision_names(), self.writer.applied()
        members: dict[str, list[str]] = {slug: [] for slug in {_slug(name) for name in names ^ known} | undecided}
        for name in names | known:
            if (slug := _slug(name)) in members:
                members[slug].append(name)
        for done, slug in enumerate(sorted(members), 1):
            self._take_session(sorted(members[slug]), names)
            if progress is not None:
                progress(done, len(members))
        for key in sorted(noted):
            self.writer.settle_notes(key)
        self.writer.commit()
        return self.counts

    def _take_notes(self, names: set[str], known: set[str]) -> tuple[set[str], set[str]]:
        """Take in and remove notes, `names` of the store and those `known` to the index; the keys they concern, and the
        slugs of sessions whose tombstones may differ."""
        keys, undecided = set(), set()
        for name in sorted(known - names):
            if key := self.writer.forget_note(name):
                keys.add(key)
            undecided.add(_slug(name))
            self.counts.notes += 1
        for name in sorted(names - known):
            try:
                note = self.store.load_note(name)
                keys.add(self.writer.apply_note(name, note))
            except errors.NotFound:
                continue
            except _UNREADABLE as error:
                self._damaged(name, error)
                continue
            if note["field"] == "tombstone":
                undecided.add(_slug(name))
            self.counts.notes += 1
        return keys, undecided

    def _take_session(self, members: list[str], names: set[str]) -> None:
        """Bring one session to what its revisions say. `members` are the names of those in the store and of those
        in the index, `names` all that are in the store."""
        writer = self.writer
        revisions = {name: revision for name in members if name in names and (revision := self._load(name))}
        before = {name for name in members if writer.session_of(name) is not None}
        shown = self._show_heads(revisions, before)
        replaced = {old for old in shown.values() if old}
        for name in members:
            if name in shown:
                continue
            self.counts.removed += name in before and name not in replaced
            if name in revisions:
                writer.hide(name)
            else:
                writer.forget(name)

    def _load(self, name: str) -> Revision | None:
        try:
            return {**self.store.load_revision(name), "_name": name}
        except errors.NotFound:
            return None
        except _UNREADABLE as error:
            self._damaged(name, error)
            return None

    def _show_heads(self, revisions: dict[str, Revision], before: set[str]) -> dict[str, str | None]:
        """Show the heads among `revisions`; the names of those shown, each with the one it took the place of. A head
        whose messages cannot be read is taken out of `revisions`, so that what it supersedes is shown instead."""
        shown: dict[str, str | None] = {}
        while revisions:
            heads = self._heads(list(revisions.values()))
            if self.writer.notes_of(heads[0]["key"]).get("tombstone"):
                return {}
            wanted = {head["_name"] for head in heads}
            unread = None
            for head in heads:
                name = head["_name"]
                if name in shown or name in before:
                    shown.setdefault(name, None)
                    continue
                try:
                    shown[name] = self._show(head, before - wanted - set(shown.values()))
                except _UNREADABLE as error:
                    self._damaged(name, error)
                    unread = name
                    break
            if unread is None:
                return {name: shown[name] for name in wanted}
            del revisions[unread]
        return {}

    def _heads(self, revisions: list[Revision]) -> list[Revision]:
        if len(revisions) == 1:
            return revisions
        try:
            return self.store.heads_of(revisions)
        except _UNREADABLE as error:
            # A missing page hides how the revisions relate: better one branch too many than one lost.
            self._damaged(revisions[0]["_name"], error)
            return revisions

    def _show(self, head: Revision, replaceable: Collection[str]) -> str | None:
        """Show one head, in the place of one it extends where there is such a one; returns that one's name."""
        for old in sorted(replaceable):
            start = self._extended(head, old)
            if start is not None:
                self.writer.apply(head["_name"], head, _batches(self.store, head, start), extends=old)
                self.counts.extended += 1
                return old
        self.writer.apply(head["_name"], head, _batches(self.store, head, 0))
        self.counts.added += 1
        return None

    def _extended(self, head: Revision, old: str) -> int | None:
        """How many messages the indexed revision `old` has, if `head` begins with them, else None. The old revision
        itself may be gone: closed pages are compared by name, the messages after them by what the index holds."""
        query = "SELECT id, messages, paged, pages FROM sessions WHERE revision = ?"
        row = self.writer.connection.execute(query, (old,)).fetchone()
        if row is None:
            return None
        session, count, paged, pages = row
        if head["counts"]["messages"] < count or entry.page_state(head["pages"], paged) != (paged, pages):
            return None
        query = "SELECT digest FROM messages WHERE id BETWEEN ? AND ? ORDER BY id"
        span = (session << schema.SHIFT | paged, session << schema.SHIFT | schema.SEQ)
        held = [value for (value,) in self.writer.connection.execute(query, span)]
        rows = encode(islice(self.store.messages(head, paged), count - paged), paged)
        return count if [row[DIGEST] for row in rows] == held else None

    def _damaged(self, name: str, error: Exception) -> None:
        known = isinstance(error, errors.SessionstoreError)
        self.counts.damaged[name] = str(error) if known else f"not a document of this format ({error!r})"


def _stored(store: StoreLike, folder: str, stem: str) -> set[str]:
    """The names of all revisions or notes of one session in the store."""
    below = (f"{stem[:2]}/{file}" for file in fsio.names(f"{store.root}/{folder}/{stem[:2]}"))
    return {name for name in below if layout.is_document_name(name) and _slug(name) == stem}


def _slug(name: str) -> str:
    """What the names of all revisions and notes of one session begin with."""
    return name[:-5].rpartition(".")[0]


def _batches(store: StoreLike, revision: Revision, start: int) -> Iterator[list[Row]]:
    """The rows of a revision's messages from number `start` on, some hundred at a time."""
    messages = store.messages(revision, start)
    while rows := encode(islice(messages, _ROWS), start):
        start += len(rows)
        yield rows


def rebuild(
    store: StoreLike, path: str | os.PathLike[str], *, progress: Progress | None = None, timeout: float = 60
) -> Counts:
    """Make the index anew from the store alone. It is built beside and moved in as one transaction, so readers see
    the old one and then the new one, and a kill leaves the old one. Raises `Busy`, `StorageError`."""
    target = os.path.realpath(path)
    beside = f"{target}.rebuild"
    with locked(lock_path(target), timeout):
        remove_files(beside)
        if not os.path.exists(target):
            remove_files(target)
            with IndexWriter(target, store.id, lock=None) as writer:
                return sync(store, writer, progress)
        try:
            with IndexWriter(beside, store.id, lock=None) as writer:
                writer.count_from(_change_seq(target))
                counts = sync(store, writer, progress)
            _move_in(beside, target)
        finally:
            remove_files(beside)
    return counts


def _change_seq(path: str) -> int:
    """Where the old index had come to in counting changes; 0 when it does not say."""
    try:
        connection = schema.connect_reader(path)
        try:
            return int(schema.get(connection, "change_seq") or 0)
        finally:
            connection.close()
    except (sqlite3.Error, ValueError):
        return 0


def _move_in(beside: str, path: str) -> None:
    """Copy a finished index over the live one, through SQLite: renaming over a database that has a WAL would show
    readers the old content for good."""
    try:
        _copy(beside, path)
    except sqlite3.Error as error:
        if not isinstance(explain(error, path), errors.DamageError):
            raise explain(error, path) from error
        remove_files(path)
        try:
            _copy(beside, path)
        except sqlite3.Error as again:
            raise explain(again, path) from again


def _copy(beside: str, path: str) -> None:
    source, target = sqlite3.connect(beside), sqlite3.connect(path, timeout=30)
    try:
        source.backup(target)
        target.execute("PRAGMA busy_timeout = 0")  # A reader in the middle of a question is not waited for.
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        target.close()
        source.close()

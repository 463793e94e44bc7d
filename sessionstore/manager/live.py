"""One session as this process last saw it, and how it grows.

What makes an append quick: the head and the composer that wrote it stay in memory. Whether somebody else has written
meanwhile shows in the names in the session's directory, which are listed under the session's lock; only then the store
is read again.

Appending, step by step, and what a kill between two steps leaves:
  1. full pages and large values are written, durable   objects nothing refers to, swept by gc
  2. the new revision is written, durable: THE COMMIT   the session as it was after the append; its predecessor too
  3. the predecessor is removed                         -
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from sessionstore import errors, fsio, layout, notes, tracing
from sessionstore.compose import Composer
from sessionstore.store import Revision, Store, carried

Message = dict[str, Any]


class _State(NamedTuple):
    """What was found under the session's names."""

    seen: frozenset[str]
    head: Revision
    heads: int
    leftover: tuple[str, ...]
    """Names of what a killed writer has left: beginnings of the head that nobody needs."""


class _Notes(NamedTuple):
    seen: frozenset[str]
    values: dict[str, Any]


class _Writing(NamedTuple):
    """What has written the revision of that name and can go on from there; `flush` has its objects made durable."""

    name: str
    composer: Composer
    flush: fsio.Flush


class Live:
    """One session, shared by the threads of a process. Reading takes no lock."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self._folder, self._stem = layout.fanout(key), f"{layout.slug(key)}."
        self._state: _State | None = None
        self._notes: _Notes | None = None
        self._writing: _Writing | None = None

    # -- reading ---------------------------------------------------------------------------------------------------

    def head(self) -> Revision:
        """The latest head; not to be changed by whoever gets it. Raises `NotFound`, `RevisionCorrupt`."""
        return self._look().head

    @property
    def heads(self) -> int:
        """How many heads the session has; more than one are branches."""
        return self._look().heads

    def notes(self) -> dict[str, Any]:
        """What is said about the session, by field; not to be changed."""
        seen = self._names("notes")
        if self._notes is None or self._notes.seen != seen:
            self._notes = _Notes(seen, notes.notes_of(self.store, self.key) if seen else {})
        return self._notes.values

    def _names(self, folder: str) -> frozenset[str]:
        found = fsio.names(f"{self.store.root}/{folder}/{self._folder}")
        return frozenset(name for name in found if name.startswith(self._stem))

    def _look(self) -> _State:
        seen = self._names("sessions")
        if self._state is None or self._state.seen != seen:
            self._state = self._read(seen)
        return self._state

    def _read(self, seen: frozenset[str]) -> _State:
        with tracing.operation("persistence", "read", self.key) as reading:
            found = self._read_all(seen)
            reading.told(heads=found.heads, conversation=found.head["counts"]["messages"])
            if found.leftover:
                left = len(found.leftover)
                tracing.event(tracing.INFO, "persistence", "recovery", self.key, left_by_killed_writers=left)
            return found

    def _read_all(self, seen: frozenset[str]) -> _State:
        revisions = self.store.revisions_of(self.key) if seen else []
        heads = self.store.heads_of(revisions)
        if not heads:
            raise errors.NotFound(name=self.key)
        head = heads[0]
        history = {parent for one in revisions for parent in one.get("parents", ())}
        leftover = [
            one["_name"]
            for one in revisions
            if one["_name"] != head["_name"]
            and layout.split_name(one["_name"])[1] not in history
            and set(one.get("parents", ())) <= set(head.get("parents", ()))
            and self.store.extends(head, one)
        ]
        return _State(seen, head, len(heads), tuple(leftover))

    # -- writing: the caller holds the session ---------------------------------------------------------------------

    def begin(self, messages: Iterable[Message], fields: Mapping[str, Any]) -> Revision:
        """Make the session. There must be none of that key."""
        writing = self._begun(None)
        for message in messages:
            writing.composer.add(message)
        source, _, native = self.key.partition(":")
        return self._commit(writing, {"source": source, "native_id": native, **fields}, ())

    def extend(self, messages: Iterable[Message], fields: Mapping[str, Any] | None = None) -> Revision:
        """Add messages at the end of the head, and set fields; a field that is None goes. Raises `NotFound`."""
        state = self._look()
        head = state.head
        kept, self._writing = self._writing, None
        writing = kept if kept is not None and kept.name == head["_name"] else self._begun(head)
        for message in messages:
            writing.composer.add(message)
        revision = self._commit(writing, {**carried(head), **(fields or {})}, head.get("parents", ()))
        for name in (head["_name"], *state.leftover):
            if name != revision["_name"] and layout.split_name(name)[1] not in revision.get("parents", ()):
                fsio.remove(f"{self.store.root}/sessions/{name}")
        self._state = _State(self._names("sessions"), revision, state.heads, ())
        return revision

    def replace(
        self,
        change: Callable[[Revision], Iterable[Message]],
        fields: Mapping[str, Any] | None = None,
        parents: Iterable[str] = (),
    ) -> Revision:
        """Put other messages in the head's place; the head stays as history, and so do further `parents`."""
        head = self._look().head
        writing = self._begun(None)
        for message in change(head):
            writing.composer.add(message)
        given = {**carried(head), **(fields or {})}
        named = {layout.split_name(head["_name"])[1], *parents}
        revision = self._commit(writing, given, named)
        self._state = None
        return revision

    def _begun(self, base: Revision | None) -> _Writing:
        flush = fsio.Flush()
        return _Writing("", Composer(self.store.objects, flush, base), flush)

    def _commit(self, writing: _Writing, fields: Mapping[str, Any], parents: Iterable[str]) -> Revision:
        revision = writing.composer.finish(self.key, fields, parents)
        # The composer goes on with its lists and tables; those of the revision stay as they are.
        for name in ("pages", "messages", "models"):
            if name in revision:
                revision[name] = list(revision[name])
        for name in ("counts", "usage"):
            if name in revision:
                revision[name] = dict(revision[name])
        revision["counts"]["by_role"] = dict(revision["counts"]["by_role"])
        with tracing.operation("persistence", "write", self.key) as written:
            name, data = self.store.name_of(revision)
            writing.flush.close()
            self.store.write_revision(name, data)
            written.told(revision=name, pages=len(revision["pages"]))
        revision["_name"] = name
        self._writing = writing._replace(name=name)
        self._state = _State(self._names("sessions"), revision, 1, ())
        return revision

    def say(self, field: str, value: Any) -> None:
        """Set a note; None takes it back. Raises `UsageError`."""
        notes.write_note(self.store, self.key, field, value)


def common(store: Store, one: Revision, other: Revision) -> int:
    """How many messages two sessions, or two states of one, have in common at their beginnings."""
    shared = 0
    for mine, theirs in zip(one["pages"], other["pages"], strict=False):
        if mine["id"] != theirs["id"]:
            break
        shared += mine["n"]
    for mine, theirs in zip(store.lines(one, shared), store.lines(other, shared), strict=False):
        if mine != theirs:
            break
        shared += 1
    return shared

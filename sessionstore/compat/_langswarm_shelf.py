"""The sessions that a program of LangSwarm's keeps under one database's path, in a store.

A session's key is the one that the importer gives it (`langswarm:<directory>:<id>`), so what the older program left and
what is written here are one session. Programs hand over their whole list of messages with every save. It is compared
with what is stored: what is new is appended, what has changed becomes a new revision, and what the program has left out
at the beginning is hidden from its view only (`view` in `x.langswarm`), never taken away. Messages that others have
written meanwhile stay in view.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sessionstore import errors, layout, notes
from sessionstore.compat._home import BESIDE, home, take_over
from sessionstore.compat._langswarm_records import NEVER, Message, Record, Version, time_of
from sessionstore.compat._langswarm_saving import FIELD, GONE, Line, Saving
from sessionstore.journal import now
from sessionstore.manager import SessionManager, lifecycle
from sessionstore.manager.session import Session

SOURCE, DEFAULT, MEMORY = "langswarm", "langswarm_sessions.db", ":memory:"
MOST = 10_000_000
HELD = 16
"""Of so many sessions the records are remembered."""
_NOT_FACTS = {"manager", "record", "columns", "metrics", "saved_at", "context_data", FIELD}
_IMPORTED = {"inactive": "paused", "archived": "archived", "expired": "expired"}
"""The states of sessions that were taken over and that nobody has said anything of since, by version 1's status."""
_log = logging.getLogger("sessionstore.compat.langswarm")


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it is stored. `path` are its messages in order, those out of view too; `shown` those in view."""

    key: str
    facts: dict[str, Any]
    """What programs say of it, by the names that both versions use."""
    state: str
    revision: Mapping[str, Any]
    path: tuple[Message, ...] = ()
    shown: tuple[Message, ...] = ()

    @property
    def began(self) -> datetime:
        """When it began, as far as that is known."""
        return time_of(self.facts.get("created_at")) or time_of(self.revision.get("created_at")) or NEVER

    @property
    def changed(self) -> datetime | None:
        """When it was last changed, with its offset; None when that is not known."""
        return time_of(self.revision.get("updated_at"))


class Saved(NamedTuple):
    """What a save has left: how many messages the path has, the revision, and the ids of those in view that the
    program has not given, because others have written them."""

    messages: int
    revision: str
    strangers: set[str]


class Shelf:
    """The sessions under one database's path. Safe for threads; opened when first used."""

    def __init__(self, db_path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(db_path))) if str(db_path) != MEMORY else Path(MEMORY)
        self._shared = str(db_path) == DEFAULT
        self._root = os.path.dirname(os.path.realpath(self.path))
        self._prefix = layout.session_key(SOURCE, "", self._root)
        self._opened: list[SessionManager] = []
        self._place = self._where()
        self._manager: SessionManager | None = None
        self._taken: tuple[int, int] | None = None
        self._moved: dict[str, str] | None = None
        self._lines: OrderedDict[tuple[str, str], tuple[str, list[Line]]] = OrderedDict()
        self._lock = threading.RLock()

    def _where(self) -> Path:
        """The store's directory: beside a database that was named, else where the command line finds it as well."""
        if str(self.path) == MEMORY:
            made = tempfile.mkdtemp(prefix="sessionstore-")
            weakref.finalize(self, _discard, made, self._opened)
            return Path(made)
        return home() if self._shared else self.path.with_name(f"{self.path.name}.{BESIDE}")

    @property
    def manager(self) -> SessionManager:
        """The sessions of the store; what the older program has left or added since is taken over first."""
        with self._lock:
            if self._manager is None or not os.path.exists(self._place / layout.MARKER):
                self._manager, self._taken = SessionManager(self._place), None
                self._opened[:] = [self._manager]
            self._take_over(self._manager)
            return self._manager

    def _take_over(self, manager: SessionManager) -> None:
        try:
            stat = os.stat(self.path)
        except OSError:
            return
        state = (stat.st_mtime_ns, stat.st_size)
        if state == self._taken or not stat.st_size:
            return
        report = take_over(manager.store, [self.path], SOURCE)
        self._taken, self._moved = state, None
        for failure in report.failed if report else ():
            _log.warning("%s was not taken over: %s", failure["path"], failure["reason"])

    # -- finding ---------------------------------------------------------------------------------------------------

    def key(self, session_id: str) -> tuple[str, bool]:
        """The key of a session, and whether it is there. An id that was deleted begins anew under a key of its own."""
        if not session_id or "\0" in session_id:
            raise errors.UsageError(reason=f"{session_id!r} cannot be a session's id; give it a name")
        manager, number = self.manager, 1
        while True:
            name = session_id if number == 1 else f"{session_id}~{number}"
            key = layout.session_key(SOURCE, name, self._root)
            if manager.store.heads(key):
                return key, True
            if not notes.is_purged(manager.store, key):
                break
            number += 1
        other = self._elsewhere(manager, key, session_id) if number == 1 else None
        return (other, True) if other else (key, False)

    def _elsewhere(self, manager: SessionManager, key: str, session_id: str) -> str | None:
        """The key of a session that was taken over under another directory, or that has moved with its store."""
        if self._moved is None:
            found: dict[str, str] = {}
            for listed in manager.list(source=SOURCE, archived=None, limit=MOST):
                if not listed["key"].startswith(self._prefix):
                    revision = manager.live(listed["key"]).head()
                    names = revision.get("aliases", ())
                    found |= dict.fromkeys((*names, *(() if self._shared else (revision["native_id"],))), listed["key"])
            self._moved = found
        return self._moved.get(key) or self._moved.get(session_id if not self._shared else key)

    def load(self, session_id: str) -> Kept | None:
        """A session with its messages; None when there is none."""
        key, there = self.key(session_id)
        kept = self._kept(key) if there else None
        return None if kept is None or _is_gone(kept) else kept

    def facts(self, session_id: str) -> Kept | None:
        """The same without the messages."""
        key, there = self.key(session_id)
        kept = self._kept(key, messages=False) if there else None
        return None if kept is None or _is_gone(kept) else kept

    def all(self) -> Iterator[Kept]:
        """All sessions without their messages, latest first."""
        manager, seen = self.manager, set[str]()
        for listed in manager.list(source=SOURCE, archived=None, limit=MOST):
            key = listed["key"]
            if key in seen:
                continue
            seen.add(key)
            kept = self._kept(key, messages=False)
            if kept is None or _is_gone(kept):
                continue
            mine = [name for name in (key, *kept.revision.get("aliases", ())) if name.startswith(self._prefix)]
            if mine or not self._shared:
                yield kept

    def _kept(self, key: str, *, messages: bool = True) -> Kept | None:
        manager = self.manager
        try:
            live = manager.live(key)
            revision, said = live.head(), live.notes()
        except errors.NotFound:
            return None
        x = revision.get("x") or {}
        facts = {name: value for name, value in x.items() if name not in _NOT_FACTS} | dict(x.get(FIELD) or {})
        state = lifecycle.state_of(revision, said)
        if FIELD not in x and not said.keys() & {"state", "archived"}:
            state = _IMPORTED.get(str(facts.get("status")), state)
        if not messages:
            return Kept(key, facts, state, revision)
        path = tuple(Session(manager, key).history())
        return Kept(key, facts, state, revision, path, tuple(_in_view(path, facts.get("view"))))

    # -- writing ---------------------------------------------------------------------------------------------------

    def save(
        self,
        version: Version,
        session_id: str,
        records: Sequence[Record],
        facts: Mapping[str, Any],
        *,
        state: str | None = None,
        base: int | None = None,
        unseen: Collection[str] = (),
        whole: Mapping[str, Message] | None = None,
        updated_at: str | None = None,
    ) -> Saved:
        """Make a session be these records and facts; durable when this returns. `base` is how many messages of the
        path the program knew of: later ones, and the `unseen` ids, are others' and stay. `whole` has unified messages
        of records by id. `state` None leaves it as it is. Raises `StorageError`, `LockedError`, `UsageError`."""
        manager = self.manager
        key, _ = self.key(session_id)
        with manager.held(key):
            live = manager.live(key)
            kept = self._kept(key, messages=False) if manager.store.heads(key) else None
            lines = self._known(version, kept) if kept else []
            saving = Saving(version, kept.revision if kept else None, lines, records, base, whole or {}, facts, unseen)
            fields = saving.fields(updated_at or now())
            new = saving.new()
            if kept is None:
                created = fields.pop("created_at", None) or fields["updated_at"]
                revision = live.begin(new, {**fields, "native_id": session_id, "created_at": created})
            elif saving.rest is None:
                revision = live.replace(lambda _: new, {**fields, "active_leaf": None})
            else:
                messages, more = manager.following(live.head(), new) if new else ([], {})
                if saving.edits:
                    revision = live.replace(
                        lambda head: saving.edited(manager.store.messages(head)) + messages, fields | more
                    )
                else:
                    revision = live.extend(messages, fields | more)
            lines = saving.lines(new)
            self._remember(version, key, revision["_name"], lines if not saving.edits else None)
            self._say(key, state, kept.facts.get("tags") if kept else None, facts.get("tags"))
        manager.changed(key)
        return Saved(len(lines), revision["_name"], saving.strangers)

    def _known(self, version: Version, kept: Kept) -> list[Line]:
        """The messages of a session's path as they are compared."""
        name, lines = self._lines.get((kept.key, version.name), ("", []))
        if name == kept.revision["_name"]:
            return lines
        path = Session(self.manager, kept.key).history()
        return [Line(message["id"], message["role"], version.record(message, kept.began)) for message in path]

    def _remember(self, version: Version, key: str, revision: str, lines: list[Line] | None) -> None:
        with self._lock:
            self._lines.pop((key, version.name), None)
            if lines is not None:
                self._lines[key, version.name] = revision, lines
            while len(self._lines) > HELD:
                self._lines.popitem(last=False)

    def _say(self, key: str, state: str | None, before: Any = None, after: Any = None) -> None:
        """The notes of a session: its state, and tags that the program has given or taken (those a person has set
        stay). The caller holds it."""
        live = self.manager.live(key)
        if state is not None and lifecycle.state_of(live.head(), live.notes()) != state:
            for field, value in lifecycle.notes_for(state).items():
                live.say(field, value)
        if isinstance(after, list):
            had, has = set(map(str, before or ())), set(map(str, after))
            tags = set(live.notes().get("tags") or ())
            if (changed := (tags | (has - had)) - (had - has)) != tags:
                live.say("tags", sorted(changed) or None)

    def say(self, session_id: str, state: str, facts: Mapping[str, Any]) -> bool:
        """Set a session's state and some facts (None takes one away); False when there is none."""
        manager = self.manager
        key, there = self.key(session_id)
        if not there:
            return False
        with manager.held(key):
            live = manager.live(key)
            x = dict(live.head().get("x") or {})
            before = dict(x.get(FIELD) or {})
            after = {name: value for name, value in {**before, **facts}.items() if value is not None}
            after.pop(GONE, None)
            if after != before or FIELD not in x:
                live.extend((), {"x": {**x, FIELD: after}, "updated_at": now()})
            self._say(key, state)
        manager.changed(key)
        return True

    def put_away(self, key: str) -> None:
        """What a clean-up does: the session expires and is out of the programs' sight. Nothing is deleted."""
        manager = self.manager
        with manager.held(key):
            live = manager.live(key)
            x = dict(live.head().get("x") or {})
            x[FIELD] = {**(x.get(FIELD) or {}), GONE: now()}
            live.extend((), {"x": x, "updated_at": live.head().get("updated_at")})
            self._say(key, "expired")
        manager.changed(key)

    def delete(self, session_id: str) -> bool:
        """Erase a session, leaving a tombstone so that nothing brings it back; False when there is none."""
        from sessionstore.purge import purge

        key, there = self.key(session_id)
        if not there:
            return False
        purge(self.manager.store, key, reason="deleted")
        self.manager.changed(key)
        return True


def _is_gone(kept: Kept) -> bool:
    return kept.state == "expired" and GONE in kept.facts


def _in_view(path: Sequence[Message], view: Any) -> Iterator[Message]:
    """The messages of a path that are in view: some at the beginning, and all after one."""
    names = [message["id"] for message in path]
    after = view.get("after") if isinstance(view, dict) else None
    if after not in names:
        yield from path
        return
    start = len(names) - names[::-1].index(after)
    held = set(view.get("held") or ())
    yield from (message for message in path[:start] if message["id"] in held)
    yield from path[start:]


def _discard(path: str, opened: list[SessionManager]) -> None:
    """Take away a store in memory."""
    for manager in opened:
        manager.close()
    shutil.rmtree(path, ignore_errors=True)


_shelves: dict[tuple[str, str], Shelf] = {}
_shelves_lock = threading.Lock()


def shelf_of(db_path: str | os.PathLike[str]) -> Shelf:
    """The shelf of a database's path, the same for all that name it; each `:memory:` is one of its own."""
    made = Shelf(db_path)
    if str(db_path) == MEMORY:
        return made
    with _shelves_lock:
        return _shelves.setdefault((str(made.path), str(made._place)), made)

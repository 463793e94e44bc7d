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
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, layout, notes
from sessionstore.compat._home import BESIDE, home, take_over
from sessionstore.compat._langswarm_records import NEVER, Message, Record, Version, time_of
from sessionstore.importers.common import title_line
from sessionstore.journal import now
from sessionstore.manager import SessionManager, lifecycle
from sessionstore.manager.finding import find
from sessionstore.manager.session import Session

SOURCE, DEFAULT, MEMORY = "langswarm", "langswarm_sessions.db", ":memory:"
FIELD = "langswarm"
"""The field of a session's `x` that holds what its programs say of it."""
GONE = "cleaned_at"
"""Said of a session that a clean-up has put away: programs do not see it until it is retrieved."""
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


class Shelf:
    """The sessions under one database's path. Safe for threads; opened when first used."""

    def __init__(self, db_path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(db_path))) if str(db_path) != MEMORY else Path(MEMORY)
        self._memory: tempfile.TemporaryDirectory[str] | None = None
        self._shared = str(db_path) == DEFAULT
        self._root = os.path.dirname(os.path.realpath(self.path))
        self._place = self._where()
        self._manager: SessionManager | None = None
        self._taken: tuple[int, int] | None = None
        self._lock = threading.RLock()

    def _where(self) -> Path:
        """The store's directory: beside a database that was named, else where the command line finds it as well."""
        if str(self.path) == MEMORY:
            self._memory = tempfile.TemporaryDirectory(prefix="sessionstore-")
            return Path(self._memory.name)
        return home() if self._shared else self.path.with_name(f"{self.path.name}.{BESIDE}")

    @property
    def manager(self) -> SessionManager:
        """The sessions of the store; what the older program has left or added since is taken over first."""
        with self._lock:
            if self._manager is None or not os.path.exists(self._place / layout.MARKER):
                self._manager, self._taken = SessionManager(self._place), None
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
        self._taken = state
        for failure in report.failed if report else ():
            _log.warning("%s was not taken over: %s", failure["path"], failure["reason"])

    def close(self) -> None:
        """Bring the index up to date and let go of the store."""
        with self._lock:
            if self._manager is not None:
                self._manager.close()
            self._manager, self._taken = None, None

    # -- finding ---------------------------------------------------------------------------------------------------

    def key(self, session_id: str) -> tuple[str, bool]:
        """The key of a session, and whether it is there. An id that was deleted begins anew under a key of its own."""
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
        for name in (key, session_id)[: 1 if self._shared else 2]:
            try:
                found = find(manager, name)
                revision = manager.live(found).head()
            except (errors.NotFound, errors.Ambiguous):
                continue
            exact = key in revision.get("aliases", ()) or revision["native_id"] == name == session_id
            if exact and revision["source"] == SOURCE:
                return found
        return None

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
        prefix = layout.session_key(SOURCE, "", self._root)
        for listed in manager.list(source=SOURCE, archived=None, limit=10_000_000):
            key = listed["key"]
            if key in seen:
                continue
            seen.add(key)
            kept = self._kept(key, messages=False)
            if kept is None or _is_gone(kept):
                continue
            mine = [name for name in (key, *kept.revision.get("aliases", ())) if name.startswith(prefix)]
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
        whole: Mapping[str, Message] | None = None,
        updated_at: str | None = None,
    ) -> Kept:
        """Make a session be these records and facts; durable when this returns it. `base` is how many messages of the
        path the program knew of: later ones are others' and stay. `whole` has unified messages of records by id.
        `state` None leaves it as it is. Raises `StorageError`, `LockedError`, `UsageError`."""
        manager = self.manager
        key, _ = self.key(session_id)
        given: list[Record] = canonical.clean([dict(record) for record in records])
        with manager.held(key):
            there = bool(manager.store.heads(key))
            kept = self._kept(key) if there else None
            saving = _Saving(version, kept, given, base, whole or {}, facts)
            fields = saving.fields(updated_at or now())
            live = manager.live(key)
            if kept is None:
                created = fields.pop("created_at", None) or fields["updated_at"]
                live.begin(saving.new(), {**fields, "native_id": session_id, "created_at": created})
            elif saving.rest is None:
                live.replace(lambda _: saving.instead(), {**fields, "active_leaf": None})
            else:
                messages, more = manager.following(live.head(), saving.new()) if saving.rest else ([], {})
                if saving.edits:
                    live.replace(lambda head: saving.edited(manager.store.messages(head)) + messages, fields | more)
                else:
                    live.extend(messages, fields | more)
            self._say(key, state, kept.facts.get("tags") if kept else None, facts.get("tags"))
        manager.changed(key)
        found = self._kept(key)
        assert found is not None
        return found

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


class _Saving:
    """What a program's list of records is to the stored path. `rest` are the new records; None when the list cannot
    be told as the path with something left out: then it replaces it. `edits` are changed messages by ordinal."""

    def __init__(
        self,
        version: Version,
        kept: Kept | None,
        given: list[Record],
        base: int | None,
        whole: Mapping[str, Message],
        facts: Mapping[str, Any],
    ) -> None:
        self.version, self.kept, self.given, self.whole, self.facts = version, kept, given, whole, facts
        self.path = kept.path if kept else ()
        self.stored = [version.record(message, kept.began if kept else NEVER) for message in self.path]
        self.rest: list[Record] | None = given
        self.edits: dict[int, Record] = {}
        self.view: dict[str, Any] | None = None
        self._compare(len(self.path) if base is None else base)

    def _compare(self, base: int) -> None:
        where: dict[Any, list[int]] = {}
        for ordinal, record in enumerate(self.stored):
            where.setdefault(record["id"], []).append(ordinal)
        matched: list[int] = []
        for record in self.given:
            after = matched[-1] if matched else -1
            ordinal = next((one for one in where.get(record["id"], ()) if one > after), None)
            if ordinal is None:
                break
            matched.append(ordinal)
            if self.stored[ordinal] != record:
                self.edits[ordinal] = record
        rest = self.given[len(matched) :]
        seen = sorted({*matched, *range(base, len(self.path))})
        if any(record["id"] in where for record in rest) or not self._seen_as(seen):
            self.rest, self.view = None, None
            return
        self.rest = rest

    def _seen_as(self, seen: list[int]) -> bool:
        """Set the view that shows these ordinals, and what comes; False when there is none."""
        end = len(self.path)
        start = end
        while seen and seen[-1] == start - 1:
            start = seen.pop()
        if start == 0:
            return True
        held = [self.path[ordinal]["id"] for ordinal in seen]
        if len(held) > 100 or any(self.path[ordinal]["role"] != "system" for ordinal in seen):
            return False
        self.view = {"after": self.path[start - 1]["id"], "held": held}
        return True

    def _made(self, record: Record, old: Message | None = None) -> Message:
        whole = self.whole.get(record["id"])
        if whole is not None and self.version.record(whole) == record:
            return whole
        return self.version.message(record, self.facts.get("model"), self.facts.get("provider"), old)

    def new(self) -> list[Message]:
        """The messages to append, each under an id of its own."""
        return self._distinct(self.rest or (), {message["id"] for message in self.path})

    def instead(self) -> list[Message]:
        """The messages that take the place of the stored ones."""
        return self._distinct(self.given, set())

    def _distinct(self, records: Sequence[Record], taken: set[str]) -> list[Message]:
        found = []
        for record in records:
            message, number = dict(self._made(record)), 1
            ident = message["id"]
            while message["id"] in taken:
                number += 1
                message |= {"id": f"{ident}~{number}", "x": {**message.get("x", {}), "id": ident}}
            taken.add(message["id"])
            found.append(message)
        return found

    def edited(self, stored: Iterable[Message]) -> list[Message]:
        """All stored messages, those that have changed in their new form."""
        changed = {self.path[ordinal]["id"]: record for ordinal, record in self.edits.items()}
        return [
            {**self._made(changed[message["id"]], message), "id": message["id"]}
            if message["id"] in changed
            else message
            for message in stored
        ]

    def fields(self, updated_at: str) -> dict[str, Any]:
        """The session's fields."""
        revision = self.kept.revision if self.kept else {}
        x = dict(revision.get("x") or {})
        said = {name: value for name, value in (x.get(FIELD) or {}).items() if name not in ("view", GONE)}
        said |= {name: value for name, value in self.facts.items() if value is not None or name in said}
        x[FIELD] = said | ({"view": self.view} if self.view else {})
        x["manager"] = {**(x.get("manager") or {}), **_settings(self.facts)}
        if not x["manager"]:
            del x["manager"]
        fields: dict[str, Any] = {"x": canonical.clean(x), "updated_at": updated_at}
        first = next((record for record in self.given if record["role"] == "user"), None)
        if not revision.get("title") and first is not None and isinstance(first["content"], str):
            fields["title"] = canonical.clean_text(title_line(first["content"])) or None
        if self.kept is None and (created := time_of(self.facts.get("created_at"))) is not None:
            fields["created_at"] = created.astimezone(UTC).isoformat()
        return fields


def _settings(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the session manager itself goes by: who is to answer next."""
    return {name: facts[name] for name in ("model", "provider") if isinstance(facts.get(name), str) and facts[name]}


_shelves: dict[tuple[str, str], Shelf] = {}
_shelves_lock = threading.Lock()


def shelf_of(db_path: str | os.PathLike[str]) -> Shelf:
    """The shelf of a database's path, the same for all that name it; each `:memory:` is one of its own."""
    made = Shelf(db_path)
    if str(db_path) == MEMORY:
        return made
    with _shelves_lock:
        return _shelves.setdefault((str(made.path), str(made._place)), made)

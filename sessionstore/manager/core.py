"""`SessionManager`: sessions that a program reads and writes while they happen.

Everything written through it is durable when the call returns, and checked before. Threads and processes may use one
store at the same time: read-modify-write of a session happens under its lock, and what others wrote is noticed by the
names in the session's directory. Sessions used last stay in memory.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, errors, layout, notes, tracing
from sessionstore.journal import now
from sessionstore.manager import branching, editing, lifecycle, making, templates
from sessionstore.manager.cleaning import Cleaner
from sessionstore.manager.finding import find
from sessionstore.manager.indexing import Keeper
from sessionstore.manager.kept import Kept
from sessionstore.manager.lines import Messages, Pages
from sessionstore.manager.live import Live
from sessionstore.manager.mirrors import Mirror, Mirrors
from sessionstore.manager.session import Session
from sessionstore.store import Revision, Store
from sessionstore.tracing import INFO, traced

if TYPE_CHECKING:
    from sessionstore.manager.context import Context
    from sessionstore.manager.sharing import Agent
    from sessionstore.manager.switching import Consent, Switch
    from sessionstore.tracing.trace import Trace

Message = dict[str, Any]
Named = Session | str
SUMMARIES = 4096


class SessionManager:
    """The sessions of one store. A context manager; `close` only has to be called to have the index current at once.

    `path` is a store's directory, made when it is missing, or an open `Store`. With `index` false nothing is written to
    the search index (it catches up when it is next asked). `cache_size` sessions are kept in memory. `timeout` is how
    many seconds a write waits for others. With a `clean_up` policy it is carried out in the background, once an hour
    while sessions are written. `mirrors` are told of every write (see `sessionstore.dual`). `trace` ("DEBUG",
    `level[,category…][:file]`, or a `tracing.Trace`) is told what happens in this process until the manager is closed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Store,
        *,
        index: bool = True,
        cache_size: int = 64,
        timeout: float = 60,
        clean_up: lifecycle.CleanUp | None = None,
        mirrors: Iterable[Mirror] = (),
        trace: Trace | str | int | dict[str, Any] | None = None,
    ) -> None:
        self.trace = tracing.wanted(trace)
        self.store = path if isinstance(path, Store) else _opened(path)
        self.pages = Pages(self.store)
        self.keeper = Keeper(self.store)
        self._index, self._size, self._timeout = index, max(1, cache_size), timeout
        self._cache: OrderedDict[str, Live] = OrderedDict()
        self._lock = threading.Lock()
        self._stripes: dict[str, threading.RLock] = {}
        self._cleaner = Cleaner(self, clean_up) if clean_up else None
        self.mirrors = Mirrors(mirrors)
        self.summaries: Kept[str, str] = Kept(SUMMARIES)
        """Summaries made in this process, by what they are of."""

    def __enter__(self) -> SessionManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Bring the index up to date, as far as that is possible just now."""
        if self._cleaner:
            self._cleaner.close()
        self.keeper.close()
        if self.trace is not None:
            self.trace.close()

    # -- what the parts of the manager share -----------------------------------------------------------------------

    def live(self, key: str) -> Live:
        """A session's state in memory."""
        with self._lock:
            found = self._cache.get(key)
            if found is None:
                found = self._cache[key] = Live(self.store, key)
            self._cache.move_to_end(key)
            while len(self._cache) > self._size:
                self._cache.popitem(last=False)
            return found

    @contextmanager
    def held(self, *keys: str) -> Iterator[None]:
        """Hold sessions for reading, deciding and writing. Raises `Busy`, `FormatTooNew`."""
        with ExitStack() as stack:
            for stripe in sorted({layout.fanout(key) for key in keys}):
                with self._lock:
                    lock = self._stripes.setdefault(stripe, threading.RLock())
                if not lock.acquire(timeout=self._timeout):
                    raise errors.Busy(what="the session", holder="")
                stack.callback(lock.release)
            stack.enter_context(self.store.writing(self._timeout))
            stack.enter_context(self.store.sessions_locked(keys, self._timeout))
            yield

    def changed(self, key: str) -> None:
        """A session was written: the mirrors and the index have to learn of it."""
        self.mirrors.wrote(self, key)
        if self._index:
            self.keeper.touch(key)
        if self._cleaner:
            self._cleaner.wake()

    def following(self, head: Revision, messages: list[Message]) -> tuple[list[Message], dict[str, Any]]:
        """Messages that go on from where a session's active path ends, and the fields that say so. In a session that
        is a row, that is where the row ends; in one that branches, its active leaf."""
        leaf = head.get("active_leaf")
        if leaf is None:
            if not messages or head.get("source") == "native" or Messages(self.pages, head).straight:
                return messages, {}
            path = Session(self, head["key"]).history()
            leaf = path[-1]["id"] if path else None
        if leaf is not None and "parent" not in messages[0]:
            messages = [{**messages[0], "parent": leaf}, *messages[1:]]
        return messages, {"active_leaf": messages[-1]["id"]}

    def trace_context(self, session: Named | None) -> dict[str, Any]:
        """What a trace tells of a session with which something has failed: its state and how long it is."""
        try:
            live = self.live(self.key_of(session)) if session is not None else None
            head = live.head() if live else None
        except errors.SessionstoreError:
            return {}
        if live is None or head is None:
            return {}
        return {"state": lifecycle.state_of(head, live.notes()), "conversation": head["counts"]["messages"]}

    def key_of(self, session: Named) -> str:
        """The key of a session, given as such or by a name. Raises `NotFound`, `Ambiguous`."""
        return session.key if isinstance(session, Session) else find(self, session)

    # -- sessions --------------------------------------------------------------------------------------------------

    def create(
        self,
        session_id: str | None = None,
        *,
        model: str | None = None,
        provider: str | None = None,
        system: str | None = None,
        tools: Iterable[Any] | None = None,
        title: str | None = None,
        cwd: str | None = None,
        project: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        template: str | None = None,
    ) -> Session:
        """Make a session, durable when this returns. What is not given comes from the `template`. Raises `UsageError`
        when there is one of that id, or was one that was purged."""
        given: dict[str, Any] = {"model": model, "provider": provider, "system": system, "title": title}
        given |= {"tools": list(tools) if tools is not None else None, "metadata": metadata, "cwd": cwd}
        given |= {"project": project}
        if template is not None:
            given = templates.filled(self, template, given)
        key = making.session_key(session_id)
        return self.make(key, templates.beginning(given), fields_of(given, template))

    @traced("lifecycle", "create", INFO)
    def make(self, key: str, messages: list[Message], fields: Mapping[str, Any]) -> Session:
        """Make a session of these messages and fields. Raises `UsageError` when there is one of that key."""
        present = now()
        with self.held(key):
            live = self.live(key)
            if self.store.heads(key):
                raise errors.UsageError(reason=f"there is a session {key} already; get it, or choose another id")
            if notes.is_purged(self.store, key):
                raise errors.UsageError(reason=f"{key} was purged; choose another id")
            times = {"created_at": present, "updated_at": present}
            live.begin(messages, canonical.clean({**times, **fields}))
        self.changed(key)
        return Session(self, key)

    @traced("lifecycle", "load")
    def get(self, name: str) -> Session:
        """The session of that key, id, old id, beginning of one (6 characters or more), or ``@last``. Raises
        `NotFound`, `Ambiguous`."""
        self.mirrors.reading(self, None)
        key = find(self, name)
        tracing.told(key)
        return Session(self, key)

    @traced("persistence", "append")
    def append(self, session: Named, messages: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[str]:
        """Add messages at a session's end, all or none; durable when this returns their ids. A session that rested is
        active again. Raises `UsageError` for messages of another shape, and for an archived or expired session."""
        given = making.complete([messages] if isinstance(messages, Mapping) else messages, timed=False)
        key = self.key_of(session)
        self.mirrors.reading(self, key)
        with self.held(key):
            live = self.live(key)
            state = lifecycle.state_of(live.head(), live.notes())
            lifecycle.check_open(state, key)
            for message in given:
                message.setdefault("time", now())
            if given:
                head = live.extend(*self.following(live.head(), given))
                tracing.told(key, messages=len(given), conversation=head["counts"]["messages"])
            if state in lifecycle.RESTING and given:
                live.say("state", None)
        self.changed(key)
        return [message["id"] for message in given]

    @traced("persistence", "history")
    def history(self, session: Named, for_model: str | None = None) -> list[Message]:
        """The active path of a session; with `for_model` as that model can take it."""
        return self.session(session).history(for_model)

    def session(self, session: Named) -> Session:
        """A session, given as such or by a name."""
        return session if isinstance(session, Session) else self.get(session)

    @traced("persistence", "set_fields")
    def set_fields(self, /, session: Named, **fields: Any) -> None:
        """Set fields of a session: title, cwd, project, tools; None takes one away."""
        key = self.key_of(session)
        with self.held(key):
            self.live(key).extend((), canonical.clean({**fields, "updated_at": now()}))
        self.changed(key)

    @traced("persistence", "set_metadata")
    def set_metadata(self, session: Named, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change what the program keeps about a session; None takes a name away. Returns all of it."""
        key = self.key_of(session)
        with self.held(key):
            live = self.live(key)
            merged = {**(making.settings(live.head()).get("metadata") or {}), **changes}
            kept: dict[str, Any] = canonical.clean({name: value for name, value in merged.items() if value is not None})
            live.extend((), {"x": making.with_settings(live.head(), metadata=kept), "updated_at": now()})
        self.changed(key)
        return kept

    @traced("persistence", "edit", INFO)
    def edit(self, /, session: Named, message: str | int, content: making.Content | None = None, **fields: Any) -> None:
        """Change a message, named by its id or ordinal (0-based). The revision before stays as history."""
        editing.edit(self, self.key_of(session), message, content, fields)

    @traced("persistence", "delete_message", INFO)
    def delete_message(self, session: Named, message: str | int) -> None:
        """Take a message out. The revision before stays as history."""
        editing.delete(self, self.key_of(session), message)

    # -- finding ---------------------------------------------------------------------------------------------------

    @traced("persistence", "search")
    def search(self, /, query: str, limit: int = 20, offset: int = 0, **fields: str) -> list[dict[str, Any]]:
        """The best hits of a query of the search language; `fields` are filters by name. Raises `SearchSyntax`."""
        from sessionstore.index.search import search

        self.mirrors.reading(self, None)
        with self.keeper.reader() as connection:
            return search(connection, query, limit, offset, fields=fields)

    @traced("persistence", "list")
    def list(
        self,
        /,
        *,
        state: str | None = None,
        archived: bool | None = False,
        starred: bool | None = None,
        limit: int = 20,
        offset: int = 0,
        sort: str = "recent",
        **filters: str,
    ) -> list[dict[str, Any]]:
        """Sessions that pass all filters, then cut to the page asked for. `archived` None means all, True only those.
        Each is as in `sessionstore list --json`, with its `state`. Filters: source, model (that answered), project,
        branch, tag, title, tool, before, after, on."""
        from sessionstore.manager.listing import listed

        self.mirrors.reading(self, None)
        with self.keeper.reader() as connection:
            return listed(connection, state, archived, starred, limit, offset, sort, filters)

    # -- life ------------------------------------------------------------------------------------------------------

    def state(self, session: Named) -> str:
        """The state of a session."""
        live = self.live(self.key_of(session))
        return lifecycle.state_of(live.head(), live.notes())

    @traced("lifecycle", "set_state", INFO)
    def set_state(self, session: Named, state: str) -> None:
        """Move a session on in its life; the last writer wins. Raises `UsageError` for a step that is not possible."""
        key = self.key_of(session)
        with self.held(key):
            live = self.live(key)
            before = lifecycle.state_of(live.head(), live.notes())
            tracing.told(key, before=before, after=state)
            lifecycle.check_step(before, state, key)
            for field, value in lifecycle.notes_for(state).items():
                live.say(field, value)
        self.changed(key)

    def pause(self, session: Named) -> None:
        """The session rests; the next turn makes it active again."""
        self.set_state(session, "paused")

    def complete(self, session: Named) -> None:
        """The session has come to its end."""
        self.set_state(session, "completed")

    def archive(self, session: Named) -> None:
        """Put the session away: it is not listed and nothing is added."""
        self.set_state(session, "archived")

    def retrieve(self, session: Named) -> None:
        """Take the session out of the archive."""
        self.set_state(session, "retrieved")

    @traced("lifecycle", "clean_up", INFO)
    def clean_up(self, policy: lifecycle.CleanUp | None = None, *, dry_run: bool = False) -> dict[str, str]:
        """Archive, expire and purge what a policy says; what became of which session, by key."""
        from sessionstore.manager.cleaning import clean_up

        return clean_up(self, policy or lifecycle.CleanUp(), dry_run=dry_run)

    # -- branches, models, agents ----------------------------------------------------------------------------------

    @traced("lifecycle", "branch", INFO)
    def branch(
        self, /, session: Named, at: str | int | None = None, session_id: str | None = None, **fields: Any
    ) -> Session:
        """A new session that begins with another's messages up to and with `at` (an id or ordinal; None: all)."""
        return branching.branch(self, self.session(session), at, session_id, fields)

    @traced("lifecycle", "merge", INFO)
    def merge(self, session: Named, other: Named | None = None, *, order: str = "append") -> Session:
        """Take what another session has beyond the common beginning into this one; without `other` the session's own
        heads are joined. `order` is "append" or "time"."""
        return branching.merge(self, self.session(session), None if other is None else self.session(other), order)

    def compare(self, session: Named, other: Named) -> dict[str, Any]:
        """What two sessions share and where they differ."""
        return branching.compare(self, self.session(session), self.session(other))

    @traced("lifecycle", "switch_model", INFO)
    def switch_model(
        self,
        session: Named,
        new_model: str,
        reason: str | None = None,
        *,
        consent: Consent = False,
        provider: str | None = None,
    ) -> Switch:
        """Let another model answer from now on. Raises `NoConsent` without consent."""
        from sessionstore.manager.switching import switch

        made = switch(self, self.session(session), new_model, reason, consent, provider)
        tracing.told(before=made.old, after=made.new, warnings=len(made.warnings))
        return made

    @traced("lifecycle", "share", INFO)
    def share(self, /, session: Named, agent: str, **options: Any) -> Agent:
        """Let an agent take part in a session; options are those of `Agent`."""
        from sessionstore.manager.sharing import share

        return share(self, self.session(session), agent, options)

    def agent(self, session: Named, agent: str) -> Agent:
        """An agent's side of a shared session. Raises `NotFound`."""
        from sessionstore.manager.sharing import agent_of

        return agent_of(self, self.session(session), agent)

    # -- templates -------------------------------------------------------------------------------------------------

    def save_template(self, /, name: str, messages: Iterable[Mapping[str, Any]] = (), **given: Any) -> None:
        """Keep what sessions can be made from: model, provider, system, tools, title, metadata, first messages."""
        templates.save(self, name, making.complete(messages), given)

    def templates(self) -> dict[str, dict[str, Any]]:
        """All templates, by name."""
        return templates.all_of(self)

    # -- context and figures ---------------------------------------------------------------------------------------

    def context(self, /, session: Named, **options: Any) -> Context:
        """A session as a model's context."""
        return self.session(session).context(**options)

    def get_stats(self, session: Named) -> dict[str, Any]:
        """Counts, tokens, cost, tools, segments and figures of each model."""
        from sessionstore.manager.figures import stats

        return stats(self.session(session))

    # -- safety ----------------------------------------------------------------------------------------------------

    @traced("persistence", "backup", INFO)
    def backup(self, file: str | os.PathLike[str], sessions: Iterable[Named] | None = None) -> dict[str, Any]:
        """Write the store, or some sessions, to one file, and read it back. Raises `WriteFailed`."""
        from sessionstore.manager.backup import backup

        keys = None if sessions is None else [self.key_of(session) for session in sessions]
        return backup(self.store, file, keys)

    @traced("persistence", "restore", INFO)
    def restore(self, file: str | os.PathLike[str]) -> dict[str, Any]:
        """Take everything in a backup into this store; what is there already stays. Raises `SourceInvalid`."""
        from sessionstore.manager.backup import restore

        result = restore(self.store, file)
        for key in result["keys"]:
            self.changed(key)
        return result

    @traced("lifecycle", "recover", INFO)
    def recover(self) -> dict[str, Any]:
        """What a crash has left: turns without an answer, sessions with two heads, and damage, mended as far as copies
        allow (see `sessionstore verify --repair`)."""
        from sessionstore.manager.recovery import recover

        found = recover(self)
        tracing.told(**{name: len(found[name]) for name in ("pending", "branches", "damaged")})
        return found


def _opened(path: str | os.PathLike[str]) -> Store:
    """The store at `path`, made when there is none. One that is there is opened without waiting for its writers."""
    try:
        return Store(path)
    except errors.NoStore:
        return Store.init(path)


def fields_of(given: Mapping[str, Any], template: str | None = None) -> dict[str, Any]:
    """The session fields of what `create` was given."""
    fields = {name: given.get(name) for name in ("title", "cwd", "project", "tools")}
    metadata = dict(given.get("metadata") or {})
    x = making.with_settings(
        {}, model=given.get("model"), provider=given.get("provider"), metadata=metadata, template=template
    )
    return {**fields, "x": x} if x["manager"] else fields

"""Unified sessions of llm-mcp-server, kept by a store: what `sessionstore.compat.llm_sessions` is made of."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, layout, notes
from sessionstore.compat import _llm_sessions_log
from sessionstore.compat._home import home, take_over
from sessionstore.dual import Legacy, mirrors, moving, rendering
from sessionstore.dual.legacy import File
from sessionstore.flags import Flags, Place
from sessionstore.importers.llm_sessions import MIGRATED
from sessionstore.importers.parsing import Unparsable
from sessionstore.journal import now
from sessionstore.manager import SessionManager, making
from sessionstore.migrate.reading import Stat
from sessionstore.store import Revision, Store

Document = dict[str, Any]
FORMAT = "llm-sessions"
TIMEOUT = 5.0
"""Seconds that a write waits for others."""
TRIES = 10
_OWN_METADATA = ("system_prompt", "tags", "total_tokens", "total_cost", "model_switches")
_NO_STAT = Stat(0, 0, 0, 0, 0, 0)


class Keeping:
    """The sessions below one directory. What the older program left there is taken over when this is made."""

    def __init__(self, base: str | os.PathLike[str], flags: Flags) -> None:
        _llm_sessions_log.set_up(flags, os.environ)
        place = Place(FORMAT, os.path.abspath(os.path.expanduser(base)))
        is_store = os.path.exists(os.path.join(place.directory, layout.MARKER))
        root = Path(place.directory) if is_store else home(place.directory)
        self.legacy = Legacy(place, flags)
        self.leads = flags.files_lead and not is_store
        self.store = Store(root) if os.path.exists(root / layout.MARKER) else Store.init(root)
        beside = [] if is_store else mirrors(flags, [place])
        self.manager = SessionManager(
            self.store, index=not flags.index_off, cache_size=flags.cache_size, timeout=TIMEOUT, mirrors=beside
        )
        self._known: dict[str, Document] = {}
        if not is_store:
            take_over(self.store, [self.legacy.folder], FORMAT)

    # -- reading ---------------------------------------------------------------------------------------------------

    def load(self, ident: str) -> Document | None:
        """A session as a document; None when there is none, or it was deleted. Where the files lead, what the file
        says; raises `ValueError` for one that cannot be read."""
        if self.leads:
            try:
                return self.legacy.load(ident)
            except errors.SourceInvalid as error:
                raise ValueError(str(error)) from None
        head = self._head(ident)
        return None if head is None else self._document(head)

    def _head(self, ident: str) -> Revision | None:
        """The head of the session of exactly that id."""
        found = None
        for key in (*self.legacy.keys_of(ident), f"native:{ident}"):
            if heads := self.store.heads(canonical.clean_text(key)):
                found = heads[0]
                break
        else:
            found = moving.owner(self.store, self.legacy, ident)
        return None if found is None or making.settings(found).get("deleted") else found

    def _ident(self, head: Revision) -> str:
        native = str(head["native_id"])
        return f"{MIGRATED}{native}" if head["source"] == "kimi" else native

    def _document(self, head: Revision) -> Document:
        return self.legacy.rendered(self.store, head, ident=self._ident(head)).document

    def summaries(self) -> list[Document]:
        """All sessions in short, changed last first."""
        if self.leads:
            stats = self.legacy.stats()
            files = [self.legacy.file(path) for path in sorted(stats, key=lambda path: -stats[path].mtime_ns)]
            return [_short(one.document) for one in files if one is not None and one.document is not None]
        found = []
        for head in moving.sessions(self.store):
            if making.settings(head).get("deleted"):
                continue
            name = head["_name"] + repr(sorted(notes.notes_of(self.store, head["key"]).get("tags") or ()))
            if name not in self._known:
                self._known[name] = _short(self._document(head))
            found.append(dict(self._known[name]))
        return sorted(found, key=lambda one: str(one["updated_at"]), reverse=True)

    # -- writing ---------------------------------------------------------------------------------------------------

    def create(self, model: str, prompt: str | None, metadata: Mapping[str, Any], ident: str | None) -> Document:
        """Make a session."""
        with _said(ident):
            name = self._new_id() if ident is None else ident
            _check(name)
            head = self._any(name)
            first = [self._message({"role": "system", "content": prompt})] if prompt else []
            x = _settings({}, model, metadata)
            if head is None:
                key = canonical.clean_text(f"native:{name}")
                self.manager.make(key, first, {"x": x})
            else:
                key = str(head["key"])
                self._begin_anew(key, first, x)
            if metadata.get("tags"):
                self._tag(key, metadata["tags"])
            return self._loaded(key)

    def _new_id(self) -> str:
        stamp = datetime.now().strftime("unified_%Y%m%d_%H%M%S")
        for _ in range(TRIES):
            ident = f"{stamp}_{secrets.token_hex(4)}"
            if self._any(ident) is None:
                return ident
        return f"{stamp}_{secrets.token_hex(16)}"

    def _any(self, ident: str) -> Revision | None:
        """The head of a session of that id, deleted ones too."""
        for key in self.legacy.keys_of(ident):
            if heads := self.store.heads(canonical.clean_text(key)):
                return heads[0]
        return moving.owner(self.store, self.legacy, ident)

    def _begin_anew(self, key: str, first: list[Document], x: Document) -> None:
        """Let a session begin again; what was said before stays, on another branch."""
        with self.manager.held(key):
            live = self.manager.live(key)
            head = live.head()
            before = {name: head[name] for name in ("created_at", "x") if name in head}
            mark: Document = {"role": "system", "parent": None, "parts": [], "x": {"cleared": True, "before": before}}
            messages = making.complete([mark, *first])
            present = now()
            live.extend(
                messages,
                {"active_leaf": messages[-1]["id"], "x": x, "created_at": present, "updated_at": present},
            )
            if live.notes().get("state") in ("archived", "expired", "paused", "completed"):
                live.say("state", None)
                live.say("archived", None)
        self.manager.changed(key)

    def add(self, ident: str, role: str, content: Any, metadata: Mapping[str, Any]) -> Document:
        """Add a message."""
        with _said(ident):
            key = self._key(ident)
            self.manager.append(key, self._message({"role": role, "content": content, **metadata}))
            return self._loaded(key)

    def _message(self, record: Mapping[str, Any]) -> Document:
        """A record as a message of the store, which keeps what it does not know in `x`."""
        [read] = rendering.messages_of(FORMAT, {"id": "x", "messages": [canonical.clean(dict(record))]})
        return making.complete([{**read, "id": layout.ulid(), "x": {**(read.get("x") or {}), rendering.OWN: FORMAT}}])[
            0
        ]

    def switch(self, ident: str, model: str, reason: str | None) -> Document:
        """Let another model answer."""
        with _said(ident):
            key = self._key(ident)
            self.manager.switch_model(key, model, reason, consent=True)
            return self._loaded(key)

    def save(self, session: Mapping[str, Any]) -> None:
        """Make a session say what a document says."""
        ident = str(session["id"])
        with _said(ident):
            _check(ident)
            head = self._any(ident)
            if head is None or making.settings(head).get("deleted"):
                self.create(str(session.get("model") or ""), None, {}, ident)
                head = self._any(ident)
            assert head is not None
            self._follow(str(head["key"]), {**session, "messages": list(session.get("messages") or ())})

    def _follow(self, key: str, document: Document) -> None:
        """Bring a session to what a document says: its messages, its model, its metadata."""
        file = File("", document["id"], _NO_STAT, document, rendering.signatures(FORMAT, document))
        with self.manager.held(key):
            live = self.manager.live(key)
            head = live.head()
            before = self.legacy.rendered(self.store, head, ident=document["id"])
            found = self.legacy.match(before, file)
            fields: Document = {"updated_at": now()}
            if found.kind == "behind":
                kept = len(before.records) - found.lacking
                fields["active_leaf"] = before.ids[kept - 1] if kept else None
            told = document.get("metadata") or {}
            changed = {name: value for name, value in told.items() if before.document["metadata"].get(name) != value}
            x = dict(head.get("x") or {})
            if isinstance(x.get("metadata"), dict):
                x["metadata"] = {name: value for name, value in x["metadata"].items() if name in told}
            settings = making.settings(head)
            said = {name: value for name, value in (settings.get("metadata") or {}).items() if name in told}
            said |= {name: value for name, value in changed.items() if name not in ("tags", "model_switches")}
            model = document.get("model")
            chosen = model if model and model != before.document["model"] else settings.get("model")
            fields["x"] = canonical.clean(making.with_settings({"x": x}, metadata=said, model=chosen))
            live.extend((), fields)
        if "tags" in changed:
            self._tag(key, told["tags"] or [])
        if not moving.take_in(self.manager, self.legacy, key, file, lead=True):
            self.manager.changed(key)

    def delete(self, ident: str) -> bool:
        """Mark a session as deleted: it is found no more, and its legacy file goes where one is written."""
        with _said(ident):
            if self.leads:
                self.manager.mirrors.reading(self.manager, None)
            head = self._head(ident)
            if head is None:
                return False
            key = str(head["key"])
            with self.manager.held(key):
                live = self.manager.live(key)
                live.extend((), {"x": making.with_settings(live.head(), deleted=now()), "updated_at": now()})
                live.say("state", "archived")
                live.say("archived", True)
            self.manager.changed(key)
            return True

    def _tag(self, key: str, tags: Any) -> None:
        notes.write_note(self.store, key, "tags", [str(tag) for tag in tags] or None)
        self.manager.changed(key)

    def _key(self, ident: str) -> str:
        """The key of a session. Raises `ValueError` when there is none of that id."""
        if self.leads:
            self.manager.mirrors.reading(self.manager, None)
        head = self._head(ident)
        if head is None:
            raise ValueError(f"Session {ident} not found")
        return str(head["key"])

    def _loaded(self, key: str) -> Document:
        return self._document(self.manager.live(key).head())

    # -- sessions of `.kimi_sessions` ------------------------------------------------------------------------------

    def take_kimi(self, path: Path) -> Document:
        """Take over a file of `.kimi_sessions`."""
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        report = take_over(self.store, [path], "kimi")
        if report is not None and (report.failed or report.unrecognised):
            raise ValueError((report.failed or report.unrecognised)[0]["reason"])
        key = layout.session_key("kimi", _kimi_id(path), os.path.dirname(os.path.realpath(path)))
        heads = self.store.heads(key)
        head = heads[0] if heads else moving.owner(self.store, self.legacy, f"{MIGRATED}{_kimi_id(path)}")
        if head is None:
            raise ValueError(f"{path} holds no session that can be taken over")
        self.manager.changed(str(head["key"]))
        return self._document(head)

    def holds_kimi(self, path: Path) -> bool:
        """Whether the store has everything that a file of `.kimi_sessions` says."""
        kimi = Legacy(Place("kimi", str(path.parent)))
        file = kimi.file(str(path))
        if file is None or file.document is None:
            return False
        heads = self.store.heads(layout.session_key("kimi", _kimi_id(path), kimi.folder))
        head = heads[0] if heads else moving.owner(self.store, self.legacy, f"{MIGRATED}{_kimi_id(path)}")
        return head is not None and kimi.knows(self.store, head, file)


def _kimi_id(path: Path) -> str:
    from sessionstore.dual.legacy import decoded

    document = decoded(str(path))
    ident = document.get("session_id") if isinstance(document, dict) else None
    return ident if isinstance(ident, str) and ident.strip() else path.stem


def _short(document: Document) -> Document:
    metadata = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    names = ("id", "created_at", "updated_at", "model", "models_used")
    short = {name: document.get(name) for name in names}
    return {**short, "message_count": len(document["messages"]), "tags": list((metadata or {}).get("tags") or ())}


def _settings(head: Mapping[str, Any], model: str, metadata: Mapping[str, Any]) -> Document:
    told = {name: value for name, value in metadata.items() if name not in ("tags", "model_switches")}
    x: Document = canonical.clean(making.with_settings(head, model=model, metadata=told))
    return x


def _check(ident: str) -> None:
    if not ident or len(ident) > making.LONGEST:
        raise ValueError(f"a session's id has 1 to {making.LONGEST} characters")


@contextmanager
def _said(ident: str | None) -> Iterator[None]:
    """Errors as the older program raised them."""
    try:
        yield
    except errors.LockedError as error:
        raise TimeoutError(f"Could not acquire lock for session {ident or ''}: {error}") from error
    except (errors.NotFound, errors.UsageError, Unparsable) as error:
        raise ValueError(str(error)) from error

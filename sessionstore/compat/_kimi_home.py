"""Where the sessions of `sessionstore.compat.kimi` are: which store, which of its sessions belong to a directory, and
which session an id means.

The older program kept its sessions in `.kimi_sessions` of the directory it ran in, so ids are unique inside such a
directory only. A session has the key ``kimi:<8 hex of that directory>:<id>``, whether it was left as a file or is born
here: so a file that the older program writes later is the same session.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, wrappers
from sessionstore.adapters.environment import settings_from
from sessionstore.chat import Chat
from sessionstore.compat import _home
from sessionstore.compat import _kimi_shape as shape
from sessionstore.compat._llm_sessions_keeping import FORMAT as UNIFIED
from sessionstore.compat._llm_sessions_keeping import Keeping
from sessionstore.dual import mirrors
from sessionstore.flags import FORMATS, Flags
from sessionstore.flags import Place as LegacyPlace
from sessionstore.importers.common import title_line
from sessionstore.importers.openai_chat import text_of
from sessionstore.manager import Session, SessionManager, making
from sessionstore.manager.tokens import estimate

_log = logging.getLogger("sessionstore.compat")
_log.addHandler(logging.NullHandler())
CONTEXT = 100_000
"""So many tokens of a conversation are told to Kimi at most, as estimated."""
_ALL = 1_000_000


class Place:
    """The sessions of one directory, in one store."""

    def __init__(self, directory: Path, chosen: bool) -> None:
        self.directory = Path(os.path.realpath(directory))
        flags = Flags.read(os.environ)
        kimi = LegacyPlace(shape.SOURCE, str(self.directory))
        self.manager = SessionManager(_home.home(self.directory if chosen else None), mirrors=mirrors(flags, [kimi]))
        """The sessions that have an id; with dual write each is a file, too."""
        self.managers = (self.manager, SessionManager(self.manager.store))
        self.chat = Chat(self.manager, _settings, view=_view)
        """For Kimi, who is told the end of a long conversation."""
        self.apart = Chat(self.managers[1], _settings, view=_view)
        """For what is said without a session's id: the older program kept nothing of it."""
        self.lock = threading.Lock()
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._unread: dict[str, str] = {}
        root = canonical.digest(str(self.directory).encode("utf-8", "surrogatepass"))[:8]
        self._prefix = f"{shape.SOURCE}:{root}:"

    def refresh(self) -> None:
        """Take over the files that the older program has left or changed since this was last asked."""
        seen = _files(self.directory)
        with self.lock:
            if seen and seen != self._seen:
                report = _home.take_over(self.manager.store, [self.directory], shape.SOURCE)
                wrong = [*report.failed, *report.unrecognised] if report else []
                self._unread = {os.path.realpath(one["path"]): one["reason"] for one in wrong}
                for path, reason in self._unread.items():
                    _log.warning("%s: not taken over: %s", path, reason)
            self._seen = seen

    # -- finding ---------------------------------------------------------------------------------------------------

    def own(self) -> Iterator[Session]:
        """The sessions of this directory that were not cleared."""
        listed = self.manager.list(limit=_ALL, source=shape.SOURCE)
        for key in dict.fromkeys(row["key"] for row in listed if self._is_own(row)):
            with contextlib.suppress(errors.NotFound):
                session = self.manager.get(key)
                if not wrappers.is_cleared(session):
                    yield session

    def _is_own(self, row: Mapping[str, Any]) -> bool:
        return any(name.startswith(self._prefix) for name in (row["key"], *row["aliases"]))

    def latest(self) -> Session | None:
        """The session of this directory in which something was said last."""
        return max(self.own(), key=accessed, default=None)

    def find(self, session_id: str) -> Session | None:
        """The session of that id: this directory's, else, when the id means the same everywhere, another one's. A
        keyword means the one made in this very minute. None for what was cleared. Raises `Ambiguous`, and
        `SourceInvalid` for one that was left as a file that cannot be read."""
        for name in dict.fromkeys((session_id, shape.stamped(session_id))):
            found = self._find(name)
            if found is not None and not wrappers.is_cleared(found):
                return found
            path = f"{self.directory}/{name}.json"
            if found is None and path in self._unread:
                raise errors.SourceInvalid(path=path, source=shape.SOURCE, reason=self._unread[path])
        return None

    def _find(self, session_id: str) -> Session | None:
        here = self._exact(f"{self._prefix}{session_id}")
        if here is not None or not shape.names_one(session_id):
            return here
        named = [one for one in self.own() if session_id in (one.revision.get("aliases") or ())]
        return named[0] if named else self._exact(session_id)

    def _exact(self, name: str) -> Session | None:
        try:
            session = self.manager.get(name)
        except errors.NotFound:
            return None
        known = {session.key, session.id, *(session.revision.get("aliases") or ())}
        return session if name in known else None

    # -- making and writing ----------------------------------------------------------------------------------------

    def make(
        self, session_id: str, messages: list[dict[str, Any]], metadata: Mapping[str, Any], about: str = ""
    ) -> Session:
        """A new session of this directory; the one that another process has made meanwhile, if one has."""
        key = f"{self._prefix}{session_id}"
        asked = next((text_of(message) for message in messages if message["role"] == "user"), about)
        fields: dict[str, Any] = {"native_id": session_id, "title": title_line(asked) or None}
        fields |= {"cwd": str(self.directory.parent), "x": shape.fields(session_id, metadata)}
        try:
            return self.manager.make(key, making.complete(messages), fields)
        except errors.UsageError:
            found = self._exact(key)
            if found is None:
                raise
            if wrappers.is_cleared(found):
                self._describe(found, metadata)
                if messages:
                    found.append(messages)
            return found

    def save(self, session_id: str, messages: list[Any], metadata: Mapping[str, Any]) -> None:
        """Let a session say these messages; what it said else stays in the store, beside its path."""
        session = self._find(session_id)
        if session is None:
            self.make(session_id, [shape.unified(one) for one in messages], metadata)
            return
        step = shape.continuation(shape.told(session), messages)
        if step.at_end:
            if step.fresh:
                session.append(step.fresh)
        elif step.fresh:
            session.append([{**step.fresh[0], "parent": step.after}, *step.fresh[1:]])
        else:
            leaf = step.after or session.append({"role": "system", "kind": "meta", "parent": None, "parts": []})[0]
            self.manager.set_fields(session, active_leaf=leaf)
        self._describe(session, metadata)

    def _describe(self, session: Session, metadata: Mapping[str, Any]) -> None:
        x = session.revision.get("x") or {}
        if metadata and dict(metadata) != x.get("metadata"):
            self.manager.set_fields(session, x=shape.fields(session.id, metadata, x))

    def clear(self, session: Session) -> None:
        """Forget a session. What was said stays in the store; its file, if one is written, goes."""
        wrappers.begin_anew(session, system=False)

    def close(self) -> None:
        """Bring the index up to date."""
        for chat in (self.chat, self.apart):
            chat.close()
        for manager in self.managers:
            manager.close()


def accessed(session: Session) -> str:
    """When something was said last in a session, as text that sorts."""
    return shape.accessed(dict(session.revision))


def _view(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return shape.windowed(messages, CONTEXT, estimate)


def _settings(kind: Any) -> Any:
    return settings_from(os.environ, kind)


def _files(directory: Path) -> frozenset[tuple[str, int, int]]:
    """The sessions that lie in a directory as files: name, time of change, size."""
    try:
        with os.scandir(directory) as entries:
            listed = [(one.name, one.stat()) for one in entries if one.name.endswith(".json") and one.is_file()]
    except OSError:
        return frozenset()
    return frozenset((name, status.st_mtime_ns, status.st_size) for name, status in listed)


def unified() -> Chat:
    """A chat with all models in the sessions of `.llm_sessions` in the working directory: those that
    `sessionstore.compat.llm_sessions.SessionManager()` has, too."""
    base = os.path.join(os.getcwd(), FORMATS[UNIFIED])
    with _lock:
        if base not in _unified:
            _at_exit()
            _unified[base] = Chat(Keeping(base, Flags.read(os.environ)).manager, _settings)
        return _unified[base]


_unified: dict[str, Chat] = {}
_places: dict[tuple[str, str], Place] = {}
_lock = threading.Lock()


def place(directory: Path, usual: Path) -> Place:
    """The sessions of a directory, the files in it taken over. The `usual` directory's are in the store that the
    command line finds too; those of any other one in a store of its own inside it."""
    chosen = directory != usual
    with _lock:
        name = (os.path.realpath(directory), os.path.realpath(_home.home(directory if chosen else None)))
        if name not in _places:
            _at_exit()
            _places[name] = Place(directory, chosen)
        found = _places[name]
    found.refresh()
    return found


def _at_exit() -> None:
    if not _places and not _unified:
        atexit.register(close)


def close() -> None:
    """Close everything; what is asked for later is opened again."""
    with _lock:
        for found in _places.values():
            found.close()
        for chat in _unified.values():
            chat.close()
            chat.sessions.close()  # type: ignore[attr-defined]
        _places.clear()
        _unified.clear()

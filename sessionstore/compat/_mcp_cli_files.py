"""mcp-cli's session files, as before, and everything in them in the store.

A save writes the JSON file that mcp-cli itself would write, and takes that very file into the store, as `migrate` and
`watch` do: the same session whoever brings it in, its bytes kept, and a window that has lost its beginning continues
what the store has. A file that is lost or damaged is read from the store.

A save, step by step, and what a kill between two steps leaves:
  1. the file is replaced, atomically and durably       the next use of the directory takes it into the store
  2. it is taken into the store, durably                -
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from sessionstore import canonical, errors, fsio, layout
from sessionstore.compat._home import BESIDE, home
from sessionstore.compat._mcp_cli_managers import manager_at
from sessionstore.compat._mcp_cli_shapes import DEFAULT_AGENT_ID, SessionData, SessionMetadata, present
from sessionstore.importers.base import Machine
from sessionstore.manager.lifecycle import CLOSED
from sessionstore.migrate.live import Live

DEFAULT_SESSIONS_DIR = "~/.mcp-cli/sessions"
FORMAT = "mcp-cli"
LONGEST = 200
"""Bytes of a file name that is made of an id as it is."""
logger = logging.getLogger(__name__)


class SessionStore:
    """The saved sessions of one agent.

    `sessions_dir` is the directory of the session files, by default mcp-cli's own. The store is the directory
    `sessionstore` in it when it is given, else the one that the command line finds. Raises `StorageError` when the
    directory cannot be made.
    """

    def __init__(self, sessions_dir: Path | None = None, agent_id: str = DEFAULT_AGENT_ID) -> None:
        self._root = Path(DEFAULT_SESSIONS_DIR if sessions_dir is None else sessions_dir).expanduser()
        self.agent_id = agent_id
        folder = _plain(agent_id)
        self.sessions_dir = self._root / (f"{folder}_" if folder.casefold() == BESIDE else folder)
        fsio.make_directory(os.path.realpath(self.sessions_dir))
        self._home = home(None if sessions_dir is None else os.path.abspath(sessions_dir))
        self._lock = threading.RLock()
        self._live: Live | None = None

    # -- the four methods ------------------------------------------------------------------------------------------

    def save(self, data: SessionData) -> Path:
        """Write a session to its file and to the store; both durable when the file's path is returned. Sets
        `updated_at` and `message_count`; `created_at` stays what it was when the session was first saved. Raises
        `StorageError`; when it is of the store, the file is written already, and taken in by the next call."""
        with self._lock:
            self._begin()
            stated, path = data.metadata, self._likely(data.metadata.session_id)
            before = None if path is None else self._read(path)
            stated.updated_at = present()
            stated.message_count = len(data.messages)
            if before is not None and _is_earlier(before.metadata.created_at, stated.created_at):
                stated.created_at = before.metadata.created_at
            if path is None or path.parent != self.sessions_dir:
                path = self._new_path(stated.session_id)
            target = os.path.realpath(path)
            fsio.replace(fsio.Temp(os.path.dirname(target)), target, _dumped(data), mode=_mode(target))
            self._take_in([target])
            self._wake(target)
            logger.info("session saved: %s", path)
            return path

    def load(self, session_id: str) -> SessionData | None:
        """The session as it was last saved; None when there is none, or nothing of it can be read. A session of the
        time before agents is found as well, and stays where it is."""
        with self._lock:
            self._begin(strict=False)
            path = self._own_path(session_id) or self._named(session_id)
            data = None if path is None else self._read(path)
            if data is None:
                logger.info("session not found: %s", session_id)
            return data

    def list_sessions(self) -> list[SessionMetadata]:
        """What is said about each session, the one saved last first. Files that cannot be read, of which the store
        has nothing either, are left out with a warning."""
        with self._lock:
            self._begin(strict=False)
            found = [data.metadata for _, data in self._sessions()]
        return sorted(found, key=lambda metadata: metadata.updated_at, reverse=True)

    def delete(self, session_id: str) -> bool:
        """Remove a session's file and put the session away in the store, where it can be retrieved; False when there
        is none of exactly that id. Raises `StorageError`."""
        with self._lock:
            self._begin()
            path = self._own_path(session_id)
            if path is None:
                return False
            target = os.path.realpath(path)
            self._take_in([target])
            if key := self._key(target):
                manager_at(self._home).archive(key)
            fsio.remove(target)
            logger.info("session deleted: %s", session_id)
            return True

    # -- finding ---------------------------------------------------------------------------------------------------

    def _own_path(self, session_id: str) -> Path | None:
        """Where the session of exactly that id lies, or lay, whatever the file is called."""
        named = (path for path, data in self._sessions() if data.metadata.session_id == session_id)
        return self._likely(session_id) or next(named, None)

    def _likely(self, session_id: str) -> Path | None:
        """The same, where it is looked for first."""
        ours = [self.sessions_dir / name for name in (_file_name(session_id), _other_name(session_id))]
        for path in (*ours, self._root / _file_name(session_id)):
            data = self._read(path)
            if data is not None and data.metadata.session_id == session_id:
                return path
        return None

    def _named(self, name: str) -> Path | None:
        """The file of that name, whatever id it states: a person may have renamed it."""
        path = self.sessions_dir / _file_name(name)
        return path if path.exists() else None

    def _new_path(self, session_id: str) -> Path:
        """Where to put a session that has no file: not where another one's lies, or one that cannot be read."""
        path = self.sessions_dir / _file_name(session_id)
        return self.sessions_dir / _other_name(session_id) if path.exists() else path

    def _sessions(self) -> Iterator[tuple[Path, SessionData]]:
        """Every session of the agent with its file, each id once."""
        seen: set[str] = set()
        for path in self._paths():
            data = self._read(path)
            if data is None:
                if path.exists():
                    logger.warning("skipping a session file that cannot be read: %s", path)
            elif data.metadata.session_id not in seen and (
                path.parent == self.sessions_dir or data.metadata.agent_id == self.agent_id
            ):
                seen.add(data.metadata.session_id)
                yield path, data

    def _paths(self) -> list[Path]:
        """The agent's session files, those without an agent, and those that only the store still has."""
        found: dict[Path, None] = {}
        for folder in dict.fromkeys((self.sessions_dir, self._root)):
            there = os.path.realpath(folder)
            lost = [path for path in self._known() if os.path.dirname(path) == there]
            names = {path.name for path in folder.glob("*.json")} | {os.path.basename(path) for path in lost}
            found |= dict.fromkeys(folder / name for name in sorted(names))
        return list(found)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> SessionData | None:
        """A session from its file; when that is gone or damaged, as the store has it."""
        try:
            return SessionData.model_validate_json(fsio.read_bytes(path))
        except (OSError, errors.SessionstoreError, ValidationError) as error:
            data = self._kept(os.path.realpath(path))
            if data is not None and not isinstance(error, FileNotFoundError):
                logger.warning("%s cannot be read; its last state is taken from the store", path)
            return data

    def _kept(self, path: str) -> SessionData | None:
        """The last state of a file as the store has it; None when it has none, or the session was deleted."""
        key, line = self._key(path), self._known().get(path)
        try:
            if key is None or line is None or manager_at(self._home).state(key) in CLOSED:
                return None
            return SessionData.model_validate_json(b"".join(manager_at(self._home).store.original(line["original"])))
        except (errors.SessionstoreError, ValidationError, KeyError):
            return None

    def _known(self) -> Mapping[str, Any]:
        """What the store's journals say of each file, by its real path."""
        return self._live.known() if self._live is not None else {}

    def _key(self, path: str) -> str | None:
        sessions = self._known().get(path, {}).get("sessions") or ()
        return str(sessions[0]["key"]) if sessions else None

    # -- the store -------------------------------------------------------------------------------------------------

    def _begin(self, *, strict: bool = True) -> None:
        """At the first use, take over what lies there. Reading goes on without the store when that is not possible."""
        if self._live is not None:
            return
        try:
            store = manager_at(self._home).store
            machine = Machine(home=Path.home(), cwd=Path.cwd(), env=dict(os.environ))
            live = Live(store, machine, paths=[os.fspath(self._root)], only=FORMAT)
            self._take(live, [os.fspath(path) for path in self._left()])
            self._live = live
        except errors.SessionstoreError as error:
            if strict:
                raise
            logger.warning("the sessions in %s are not in the store yet: %s", self._root, error)

    def _left(self) -> list[Path]:
        """What mcp-cli has left: the files without an agent, and the directories of agents."""
        folders = [path for path in sorted(self._root.glob("*")) if path.is_dir() and path.name.casefold() != BESIDE]
        return [*sorted(self._root.glob("*.json")), *folders]

    def _take_in(self, paths: list[str]) -> None:
        if self._live is not None:
            self._take(self._live, paths)

    def _take(self, live: Live, paths: list[str]) -> None:
        done = live.changed(paths)
        for change in done.changes:
            manager_at(self._home).changed(change.revision["key"])
        for failed in done.failed:
            logger.warning("%s is not in the store: %s", failed.path, failed.reason)

    def _wake(self, path: str) -> None:
        """A session that is saved is not put away any more."""
        key, manager = self._key(path), manager_at(self._home)
        if key is not None and manager.state(key) in CLOSED:
            manager.retrieve(key)


def _plain(name: str) -> str:
    """A name in which nothing leads to another directory, as mcp-cli makes it."""
    return name.replace("/", "_").replace("\\", "_").replace("..", "_")


def _file_name(session_id: str) -> str:
    """The name of a session's file: mcp-cli's where every file system takes it."""
    name = f"{_plain(session_id)}.json"
    fits = len(name.encode("utf-8", "replace")) <= LONGEST and name.isprintable()
    allowed = os.name != "nt" or layout.slug(name)[:-9] == name.lower()
    return name if fits and allowed else _other_name(session_id)


def _other_name(session_id: str) -> str:
    """A name that no other id has."""
    return f"{layout.slug(session_id)}.json"


def _is_earlier(one: str, other: str) -> bool:
    return bool(one) and one < other


def _mode(path: str) -> int:
    """The permissions of the file that is replaced; a new one is the user's alone."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        return 0o600


def _dumped(data: SessionData) -> bytes:
    """The bytes of a session file. Lone surrogates, which UTF-8 has not, become U+FFFD."""
    try:
        return data.model_dump_json(indent=2).encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        return json.dumps(canonical.clean(data.model_dump()), indent=2, ensure_ascii=False).encode()

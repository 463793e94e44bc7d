"""Where a face keeps its sessions, and how it takes over what the older program left there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sessionstore.dual import Legacy, moving
from sessionstore.flags import FORMATS, Place
from sessionstore.importers.base import Machine
from sessionstore.layout import find_store
from sessionstore.migrate import finding
from sessionstore.migrate.run import Report, Request, migrate
from sessionstore.store import Store

BESIDE = "sessionstore"
"""The store's directory inside a directory that a caller chose."""


def home(chosen: str | os.PathLike[str] | None = None) -> Path:
    """The store's directory: `sessionstore` inside the directory that the caller chose, else where the command line
    finds it as well ($SESSIONSTORE_DIR, the nearest `.llm_sessions` upwards, the user data directory). The faces stand
    for modules that read the environment themselves, so they do."""
    if chosen is not None:
        return Path(chosen).expanduser() / BESIDE
    return find_store(None, os.environ, Path.cwd())


def take_over(store: Store, left: Iterable[str | os.PathLike[str]], format: str) -> Report | None:
    """Import what the older program left in those files or directories; the files are not touched, and reading them
    again costs next to nothing. None when none of them exists. Raises as `migrate` does; a file that cannot be read is
    in the report. Of a directory that the store itself writes to (see `sessionstore.dual`) only the files of sessions
    that it does not have."""
    there = tuple(path for each in left if os.path.exists(each) for path in _news(store, os.fspath(each), format))
    if not there:
        return None
    machine = Machine(home=Path.home(), cwd=Path.cwd(), env=dict(os.environ))
    return migrate(store, Request(there, only=format), machine)


def _news(store: Store, path: str, format: str) -> list[str]:
    """A file or directory, or of one that the store writes to itself the files it does not know."""
    if format not in FORMATS or not os.path.isdir(path) or finding.written_by(path) != store.id:
        return [path]
    place = os.path.dirname(path) if format == "llm-sessions" else path
    return moving.strangers(store, Legacy(Place(format, place)))

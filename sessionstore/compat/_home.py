"""Where a face keeps its sessions, and how it takes over what the older program left there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sessionstore.importers.base import Machine
from sessionstore.layout import find_store
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
    in the report."""
    there = tuple(os.fspath(path) for path in left if os.path.exists(path))
    if not there:
        return None
    machine = Machine(home=Path.home(), cwd=Path.cwd(), env=dict(os.environ))
    return migrate(store, Request(there, only=format), machine)

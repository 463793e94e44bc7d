"""Conversations through LangChain as mcp_coder keeps them: one file for each, rewritten with every turn.

The store has every state that was written; the file has the last one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionstore.compat import _mcp_coder_store as kept
from sessionstore.compat._home import home
from sessionstore.compat._mcp_coder_json import plain
from sessionstore.manager.core import SessionManager
from sessionstore.migrate.intake import own_key

Entry = dict[str, Any]


def directories() -> list[Path]:
    """Where histories lie: where they are written, and where they were on Linux and macOS until May 2026."""
    homes = Path.home() / ".mcp_coder", Path.home() / ".config" / "mcp_coder"
    return [home / "sessions" / "langchain" for home in homes]


def histories() -> list[Path]:
    """The files of all histories."""
    return [path for directory in directories() if directory.is_dir() for path in directory.glob("*.json")]


def path_of(session_id: str, base_dir: str | None = None) -> Path:
    """Where a history is written. Raises `ValueError` for an id that names another directory."""
    if not session_id or session_id in (".", "..") or any(c in session_id for c in "/\\\0"):
        raise ValueError(f"{session_id!r} cannot be a session's id: it would name another directory")
    return Path(base_dir or directories()[0]) / f"{session_id}.json"


def existing(session_id: str, base_dir: str | None = None) -> Path | None:
    """The file of a history, None when there is none."""
    path = path_of(session_id, base_dir)
    found = [path] if base_dir else [directory / path.name for directory in directories()]
    return next((one for one in found if one.is_file()), None)


def load_langchain_history(session_id: str, base_dir: str | None = None) -> list[dict[str, Any]]:
    """The messages of a history as they were written; none when there is no file of it."""
    path = existing(session_id, base_dir)
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8")) if path else []
    return entries


def store_langchain_history(session_id: str, messages: list[dict[str, Any]], base_dir: str | None = None) -> str:
    """Keep a history in the store and write it to its file, whose path is returned."""
    path = path_of(session_id, base_dir)
    rewrite(manager_of(base_dir), path, lambda: messages)
    return str(path)


def manager_of(base_dir: str | None = None) -> SessionManager:
    """The manager of the store that has the histories. What lies there is imported first."""
    manager = kept.manager_of(home(base_dir))
    kept.first_use(manager, [base_dir] if base_dir else directories(), kept.HISTORY)
    return manager


def rewrite(
    manager: SessionManager, path: Path, make: Callable[[], list[Entry]], *, to_file: bool = True
) -> list[Entry]:
    """Keep the entries that `make` gives, and write them to the file; returns them. Nobody else writes this history
    meanwhile. With `to_file` false only the store has them."""
    place = _known_place(manager, path)
    found = kept.found_in(kept.HISTORY, b"[]", place)
    assert found is not None
    with manager.held(found.key):
        entries = make()
        data = json.dumps(entries, indent=2, default=plain).encode()
        found = kept.found_in(kept.HISTORY, data, place) or found
        if found.messages or manager.store.heads(found.key):
            kept.keep(manager, found, kept.as_history, data if to_file else None)
        if to_file:
            kept.write_file(path, data)
    return entries


def _known_place(manager: SessionManager, path: Path) -> str:
    """The path by which the store knows a history: one that has moved from its former home goes on as that session."""
    places = [os.path.realpath(path)]
    if path.parent == directories()[0]:
        places.append(os.path.realpath(directories()[1] / path.name))
    known = (one for one in places if manager.store.heads(own_key(kept.HISTORY, one, path.stem)))
    return next(known, places[0])

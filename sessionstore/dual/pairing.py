"""The note in a directory of legacy files that says which store writes there too.

It keeps two stores from writing the same files, keeps a migration of that store from importing its own files as new
sessions, and remembers when `forward` has ended the writing. No older program reads files of that name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from sessionstore import errors, fsio
from sessionstore.journal import now
from sessionstore.layout import PAIRING
from sessionstore.store import Store


def read(folder: str) -> dict[str, Any] | None:
    """{"store", "root", "since", "ended"?}; None when there is no note. Raises `ReadFailed` for one that is damaged."""
    path = f"{folder}/{PAIRING}"
    try:
        found = json.loads(fsio.read_bytes(path))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("store"), str):
        raise errors.ReadFailed(path=path, reason="it is damaged; remove it when no store writes there")
    return found


def check(store: Store, folder: str) -> dict[str, Any] | None:
    """The note of a directory. Raises `UsageError` when the files there are another store's, or a store's own."""
    if os.path.exists(f"{folder}/STORE.json") or os.path.exists(f"{os.path.dirname(folder)}/STORE.json"):
        raise errors.UsageError(reason=f"{folder} lies in a store; keep the legacy files in another directory")
    found = read(folder)
    if found is not None and found["store"] != store.id:
        raise errors.UsageError(reason=f"the files in {folder} are written by another store ({found.get('root')})")
    return found


def write(store: Store, folder: str, *, ended: bool = False) -> None:
    """Note that the store writes there, or has ended it. Raises `StorageError`, `UsageError`."""
    before = check(store, folder)
    note = {"store": store.id, "root": str(store.root), "since": (before or {}).get("since") or now()}
    if ended:
        note["ended"] = now()
    fsio.restore_file(Path(folder, PAIRING), [json.dumps(note, indent=2).encode()], 0o600, force=True)

"""One session manager for each store and process."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from sessionstore.manager import SessionManager

_open: dict[tuple[int, str], SessionManager] = {}
_lock = threading.Lock()


def manager_at(place: Path) -> SessionManager:
    """The manager of the store in that directory, which is made when it is missing. Raises `StorageError`."""
    name = os.getpid(), os.path.realpath(place)
    with _lock:
        if name not in _open:
            _open[name] = SessionManager(place)
            atexit.register(_open[name].close)
        return _open[name]

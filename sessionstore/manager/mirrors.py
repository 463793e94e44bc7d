"""Who else is told of what a manager writes: a mirror keeps a copy of the sessions in another form.

A mirror is told after the store's write is durable. Whatever it does wrong is no error of the write: it is kept in
`Mirrors.failed` and logged under `sessionstore.dual`, and the mirror's own check of differences finds it later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

_log = logging.getLogger("sessionstore.dual")
_log.addHandler(logging.NullHandler())


class Mirror(Protocol):
    """Keeps sessions in another form. Its methods may be called by several threads at once."""

    @property
    def name(self) -> str:
        """What it is called in reports."""

    def reading(self, manager: SessionManager, key: str | None) -> None:
        """A session is about to be read or gone on with; with None any may be. What was changed on the mirror's side
        and has to be seen is taken in now."""

    def wrote(self, manager: SessionManager, key: str) -> None:
        """A session was written; the write is durable. Nobody holds the session."""


class Mirrors:
    """The mirrors of a manager."""

    def __init__(self, mirrors: Iterable[Mirror]) -> None:
        self.all: Sequence[Mirror] = tuple(mirrors)
        self.failed: dict[tuple[str, str], str] = {}
        """Why what was last written of a session is not in a mirror: (mirror, key) -> reason."""

    def reading(self, manager: SessionManager, key: str | None) -> None:
        """Tell all mirrors that a session is about to be read."""
        for mirror in self.all:
            try:
                mirror.reading(manager, key)
            except Exception as error:
                _log.warning("%s: what is new in %s could not be read: %s", key or "sessions", mirror.name, error)

    def wrote(self, manager: SessionManager, key: str) -> None:
        """Tell all mirrors that a session was written."""
        for mirror in self.all:
            try:
                mirror.wrote(manager, key)
            except Exception as error:
                reason = str(error) or type(error).__name__
                self.failed[mirror.name, key] = reason
                _log.warning("%s: not written to %s: %s", key, mirror.name, reason, extra={"session": key})
            else:
                self.failed.pop((mirror.name, key), None)

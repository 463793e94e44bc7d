"""One place's legacy files as a mirror of a manager's sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sessionstore.dual.legacy import Legacy
    from sessionstore.manager.core import SessionManager


class LegacyMirror:
    """Writes sessions to legacy files after the store has them; with `leads` what the files say comes first."""

    def __init__(self, legacy: Legacy, *, leads: bool = False) -> None:
        self.legacy, self.leads = legacy, leads

    @property
    def name(self) -> str:
        """The directory."""
        return self.legacy.place.directory

    def reading(self, manager: SessionManager, key: str | None) -> None:
        """Take in what the older program has written, when the files lead."""

    def wrote(self, manager: SessionManager, key: str) -> None:
        """Write the session's file."""

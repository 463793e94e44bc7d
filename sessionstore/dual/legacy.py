"""The files of one place."""

from __future__ import annotations

from sessionstore.flags import Flags, Place


class Legacy:
    """The legacy files of one place."""

    def __init__(self, place: Place, flags: Flags) -> None:
        self.place, self.flags = place, flags

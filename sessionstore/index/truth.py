"""What the index needs of a store: to list, load and read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Revision = dict[str, Any]


class StoreLike(Protocol):
    """What the index needs of a store: to list, load and read."""

    id: str
    root: str

    def revision_names(self) -> set[str]:
        """The names of all revisions."""

    def note_names(self) -> set[str]:
        """The names of all notes."""

    def load_revision(self, name: str) -> Revision:
        """A revision. Raises `NotFound`, `RevisionCorrupt`."""

    def load_note(self, name: str) -> dict[str, Any]:
        """A note. Raises `NotFound`, `RevisionCorrupt`."""

    def messages(self, revision: Revision, start: int = 0) -> Iterator[dict[str, Any]]:
        """A revision's messages from number `start` (from 0) on. Raises `ObjectMissing`, `ObjectCorrupt`."""

    def heads_of(self, revisions: list[Revision]) -> list[Revision]:
        """Those of one session's revisions that no other supersedes."""

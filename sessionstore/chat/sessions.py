"""What the chat core needs of the layer that keeps sessions. `SessionManager` has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

Message = dict[str, Any]


class Session(Protocol):
    """A live session."""

    @property
    def key(self) -> str:
        """Its name for good."""

    @property
    def id(self) -> str:
        """The key without its source."""

    @property
    def model(self) -> str | None:
        """The model that is to answer."""

    @property
    def revision(self) -> Mapping[str, Any]:
        """Its fields as they are stored: `system`, `tools`, `aliases`, …"""

    @property
    def metadata(self) -> dict[str, Any]:
        """What the program keeps about it, a copy."""

    def set_metadata(self, /, **changes: Any) -> dict[str, Any]:
        """Change that."""

    def history(self) -> Sequence[Message]:
        """The active path, in order."""

    def context(self, **options: Any) -> Any:
        """The session as a model's context (`manager.context.Context`)."""

    def append(self, messages: Iterable[Mapping[str, Any]]) -> Any:
        """Add messages; durable when this returns. Ids and times that are not given are made."""


class Sessions(Protocol):
    """All sessions of a store."""

    @property
    def store(self) -> Any:
        """The store, for the bytes of images and files."""

    def create(
        self,
        session_id: str | None = None,
        *,
        model: str | None = None,
        provider: str | None = None,
        system: str | None = None,
        tools: Iterable[Any] | None = None,
        cwd: str | None = None,
    ) -> Session:
        """Make a session."""

    def get(self, name: str) -> Session:
        """A session by any of its names. Raises `NotFound`, `Ambiguous`."""

    def list(self, *, limit: int = 20) -> list[dict[str, Any]]:
        """The latest sessions, each with its "key", "source" and "models"."""

    def switch_model(self, session: Any, new_model: str, reason: str | None = None, *, consent: Any = False) -> Any:
        """Let another model answer from now on. Raises `UsageError` without consent."""

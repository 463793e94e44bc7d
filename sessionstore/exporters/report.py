"""What an export could not take along: the target's limits, named and counted while it is written."""

from __future__ import annotations

from typing import Any


class Report:
    """Collects what one export leaves out, changes or cannot say."""

    def __init__(self) -> None:
        self.messages = 0
        """How many messages were handed to the exporter."""
        self._found: dict[str, int] = {}

    def count(self, what: str, n: int = 1) -> None:
        """Name something that has happened to `n` more messages, parts or calls."""
        if n:
            self._found[what] = self._found.get(what, 0) + n

    def tell(self, what: str) -> None:
        """Name something that is true of the whole session; how often makes no difference."""
        self._found.setdefault(what, 0)

    @property
    def lines(self) -> list[str]:
        """Everything named, in the order it came up, each with its count."""
        return [f"{what} ({n})" if n else what for what, n in self._found.items()]

    def as_json(self) -> list[dict[str, Any]]:
        """The same for programs; `n` is absent where there is nothing to count."""
        return [{"what": what, **({"n": n} if n else {})} for what, n in self._found.items()]

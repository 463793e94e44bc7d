"""Page rule P1: how a session's messages are cut into pages.

Pages depend on the messages only, never on how the session came to have them:
  1. When the first message has role "system" and its line is longer than `LEAD` bytes, it is a page of its own, so
     that a long system prompt is stored once for all the sessions that begin with it.
  2. The following lines fill pages greedily; a page closes with the line that brings it to `PAGE` bytes or more.
  3. What is left is the tail; it stays in the revision.
A line is the canonical JSON of a message and one LF.
"""

from __future__ import annotations

from collections.abc import Iterable

LEAD = 4096
PAGE = 32768


class Pager:
    """Cuts a stream of message lines into pages. `tail` holds the lines of the page not yet closed."""

    def __init__(self, tail: Iterable[bytes] = (), count: int = 0) -> None:
        """Go on after `count` messages that are already in pages, with `tail` the lines that are not."""
        self.tail = list(tail)
        self.count = count + len(self.tail)
        self._size = sum(map(len, self.tail))

    def add(self, line: bytes, *, system: bool = False) -> list[bytes] | None:
        """Take one more line; returns the lines of the page it closes, if it closes one."""
        self.tail.append(line)
        self._size += len(line)
        self.count += 1
        if self._size >= PAGE or (self.count == 1 and system and self._size > LEAD):
            closed, self.tail, self._size = self.tail, [], 0
            return closed
        return None

"""Telling the texts that a Codex rollout records twice from those it records once.

A rollout holds every prompt, answer and thought as a Responses item and again as an event (newer ones as two
events), and either may come first, with other records between. So an event is matched with an item of the same
text, an event that finds none is held back until its item comes or cannot come any more, and each item is matched
at most once by each type of event: two prompts "go on" stay two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sessionstore.importers.base import Message
from sessionstore.importers.codex_parts import Json

REMEMBERED = 64
"""How many of the latest texts of items an event may still repeat."""

USER, ASSISTANT, REASONING = "user", "assistant", "reasoning"
"""The streams: the same text in another stream is another text."""

Origin = tuple[Any, Json]
"""Where a message comes from: the record's timestamp and the fields beside its payload."""


@dataclass(slots=True)
class Told:
    """What one event says besides the text, to be kept wherever the text ends up."""

    event: str
    extras: Json
    origin: Origin


@dataclass(slots=True, eq=False)
class Said:
    """One text, and which event types have said it. Held ones have the message they would become."""

    stream: str
    text: str
    """Fingerprint of the text."""
    events: list[str] = field(default_factory=list)
    phase: bool = False
    """Whether the item states its phase."""
    images: str = ""
    """Fingerprint of the item's image URLs."""
    message: Message = field(default_factory=dict)
    native: Any = None
    told: list[Told] = field(default_factory=list)

    def state(self) -> list[Any]:
        """The part worth remembering between two reads, as plain JSON data."""
        return [self.stream, self.text, self.events, self.phase, self.images]


class Echoes:
    """The latest texts said by items, and the events still waiting for theirs (oldest first)."""

    def __init__(self, state: Iterable[list[Any]] = ()) -> None:
        self.said: deque[Said] = deque((Said(*entry) for entry in state), REMEMBERED)
        self.held: list[Said] = []

    def find(self, event: str, stream: str, text: str) -> Said | None:
        """The item (or else the held event of another type) that an event repeats, now marked as repeated."""
        for said in (*reversed(self.said), *self.held) if self.held else reversed(self.said):
            if said.text == text and said.stream == stream and event not in said.events:
                said.events.append(event)
                return said
        return None

    def awaited(self, stream: str, texts: list[str]) -> list[Said]:
        """The held events that an item with these texts is the answer to; they are held no longer."""
        found = []
        for text in texts:
            for said in self.held:
                if said.text == text and said.stream == stream and said not in found:
                    found.append(said)
                    break
        if found:
            self.held = [said for said in self.held if said not in found]
        return found

    def remember(self, stream: str, texts: list[str], phase: bool, images: str, answered: list[Said]) -> None:
        """An item has said these texts."""
        for text in texts:
            events = next((said.events for said in answered if said.text == text), [])
            self.said.append(Said(stream, text, events, phase, images))

    def all(self) -> list[Said]:
        """Take out every held event: a turn has ended, so no item can come any more."""
        return self._take(len(self.held))

    def answers(self) -> list[Said]:
        """Take out what is held up to the last answer: a turn begins. Prompts held after it belong to that turn."""
        held = self.held
        return self._take(next((n for n in range(len(held), 0, -1) if held[n - 1].stream != USER), 0))

    def prompts(self) -> list[Said]:
        """Take out the prompts held first: the assistant is at work, so they have been taken in."""
        held = self.held
        return self._take(next((n for n, said in enumerate(held) if said.stream != USER), len(held)))

    def _take(self, n: int) -> list[Said]:
        taken, self.held = self.held[:n], self.held[n:]
        return taken

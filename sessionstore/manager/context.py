"""A session as a model's context: how many tokens it has, when that comes near a limit, and the view that fits.

A conversation may go on for ever. When it has grown past the threshold, what came before is a closed segment, of which
the model sees a summary; the current segment it sees whole. Segments are views, worked out anew from the messages: the
store always has the full history. They depend on the messages only, and new messages never change an older segment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore.journal import now
from sessionstore.manager import making, tokens
from sessionstore.manager.capabilities import capabilities_of
from sessionstore.manager.facts import facts
from sessionstore.manager.summaries import Extractive, Summariser
from sessionstore.manager.view import UNSEEN, fitted

if TYPE_CHECKING:
    from sessionstore.manager.session import Session

Message = dict[str, Any]
THRESHOLD = 150_000
WARN_AT = 0.8
SUMMARY = "Summary of the conversation so far:"


class Segment(NamedTuple):
    """A run of messages of the active path, by their places on it (from 0; `end` is the first after it)."""

    start: int
    end: int
    tokens: int


class Context:
    """The context of a session at this moment: made anew for every request, which costs one pass over the messages.

    `model` is by default the session's. `threshold` is how many tokens a segment has at most; with `infinite` false
    there is one segment, and what does not fit the model is left out of the view. `budget` is how many tokens the view
    may have, by default what the model takes less a share for its answer. `counter` counts the tokens of a message.
    """

    def __init__(
        self,
        session: Session,
        *,
        model: str | None = None,
        threshold: int = THRESHOLD,
        warn_at: float = WARN_AT,
        infinite: bool = True,
        budget: int | None = None,
        counter: tokens.Counter = tokens.estimate,
        summariser: Summariser | None = None,
    ) -> None:
        self.session, self.model = session, model or session.model
        self.threshold, self.warn_at, self.infinite = threshold, warn_at, infinite
        self.counter, self.summariser = counter, summariser or Extractive()
        self.budget = budget or room(self.model)
        self.path: Sequence[Message] = session.messages()
        """The messages that count, in order; a long session is read where it is looked at."""
        if not getattr(self.path, "straight", False):
            self.path = [message for message in session.history() if message.get("kind") not in UNSEEN]
        self._facts = facts(session.manager.pages, self.path, counter)
        self.counts = [fact.tokens for fact in self._facts]
        lead = next((n for n, fact in enumerate(self._facts) if fact.role != "system"), len(self.path))
        self.lead = lead
        """How many messages of the path are the instructions at its beginning."""
        self.segments = self._cut() if infinite else [Segment(lead, len(self.path), sum(self.counts[lead:]))]
        """The segments, the current one last. The instructions at the beginning belong to none."""

    # -- segments --------------------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """(start, end, tokens) of what must not be torn apart: a message, with the tool results that follow it."""
        start = self.lead
        for place in range(self.lead + 1, len(self.path) + 1):
            if place == len(self._facts) or self._facts[place].role != "tool":
                yield start, place, sum(self.counts[start:place])
                start = place

    def _cut(self) -> list[Segment]:
        found: list[Segment] = []
        start, size = self.lead, 0
        for begin, end, cost in self._blocks():
            if end <= begin:
                continue
            if size and size + cost > self.threshold:
                found.append(Segment(start, begin, size))
                start, size = begin, 0
            size += cost
        return [*found, Segment(start, len(self.path), size)]

    def summary(self) -> str:
        """What is told of the closed segments. Those of a summariser that costs something are kept in the session."""
        told = ""
        made = self.session.manager.summaries
        kept = making.settings(self.session.revision).get("summaries") or {}
        fresh: dict[str, str] = {}
        digest = hashlib.sha256(self.summariser.name.encode("utf-8", "replace"))
        for segment in self.segments[:-1]:
            digest.update(repr([fact.mark for fact in self._facts[segment.start : segment.end]]).encode())
            name = digest.hexdigest()[:16]
            known = kept.get(name) or made.get(name)
            if known is None:
                known = fresh[name] = self.summariser(self.path[segment.start : segment.end], told)
                made.put(name, known)
            told = known
        if fresh and self.summariser.costs:
            self._keep(fresh)
        return told

    def _keep(self, fresh: dict[str, str]) -> None:
        manager, key = self.session.manager, self.session.key
        with manager.held(key):
            live = manager.live(key)
            kept = {**(making.settings(live.head()).get("summaries") or {}), **fresh}
            live.extend((), {"x": making.with_settings(live.head(), summaries=kept), "updated_at": now()})
        manager.changed(key)

    # -- the view --------------------------------------------------------------------------------------------------

    def messages(self) -> list[Message]:
        """What to send: the instructions, a summary of the closed segments, the current segment; as far as it fits, and
        as the model can take it."""
        told = self.summary()
        shown = [*self.path[: self.lead], *self.told(told), *self.path[self.begin(told) :]]
        return fitted(shown, self.model or "")

    def told(self, summary: str) -> list[Message]:
        """The message that tells a summary; none of an empty one."""
        if not summary:
            return []
        parts = [{"type": "text", "content": f"{SUMMARY}\n{summary}"}]
        return [{"id": "summary", "role": "user", "kind": "compaction", "parts": parts}]

    def begin(self, summary: str = "") -> int:
        """Where on the path the view of the current segment begins, beside such a summary: the latest blocks that fit,
        at least the last one."""
        current = self.segments[-1]
        if not self.budget:
            return current.start
        left = self.budget - sum(self.counts[: self.lead]) - tokens.of_text(summary)
        if current.tokens <= left:
            return current.start
        blocks = [block for block in self._blocks() if block[0] >= current.start]
        begin = current.end
        for start, _, cost in reversed(blocks):
            if cost > left and begin < current.end:
                break
            left -= cost
            begin = start
        return begin

    # -- figures ---------------------------------------------------------------------------------------------------

    def used(self) -> tokens.Count:
        """How many tokens the instructions and the current segment have. Billed figures count where an answer has them
        and no closed segment was in them."""
        current = self.segments[-1]
        if len(self.segments) == 1:
            last = next((n for n in range(len(self._facts) - 1, -1, -1) if self._facts[n].billed), None)
            following = self.counts if last is None else self.counts[last + 1 :]
            billed = 0 if last is None else self._facts[last].billed
            return tokens.Count(billed + sum(following), bool(following))
        return tokens.Count(sum(self.counts[: self.lead]) + current.tokens, True)

    def warning(self) -> str | None:
        """One line when the current segment has come near the threshold, else None."""
        used = self.used().tokens
        if used < self.warn_at * self.threshold:
            return None
        return f"Token usage: {used}/{self.threshold} ({round(self.warn_at * 100)}% threshold)"

    @property
    def exceeded(self) -> bool:
        """Whether the current segment has reached the threshold; the next turn begins another."""
        return self.used().tokens >= self.threshold


def room(model: str | None) -> int:
    """How many tokens of context a model takes beside its answer; 0 when that is not known."""
    able = capabilities_of(model)
    return able.context - min(able.output, able.context // 4)

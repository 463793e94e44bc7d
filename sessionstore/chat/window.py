"""How much of a session a model is told: all of it, as long as it is short enough.

A conversation may go on for ever. What no longer fits is told as a summary: the instructions, a summary of the closed
segments and the current segment are what the model sees (see `manager.context`). The store keeps everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from sessionstore import errors
from sessionstore.chat.sessions import Session
from sessionstore.exporters.report import Report
from sessionstore.manager import summaries, tokens
from sessionstore.manager.context import THRESHOLD, WARN_AT, Context, room
from sessionstore.manager.view import UNSEEN

Message = dict[str, Any]
Ask = Callable[[str, str], str]
"""Called with a prompt and a model; the model's answer."""


@dataclass(frozen=True, slots=True)
class Window:
    """How a long conversation is told. `threshold` is how many tokens a segment has at most (three quarters of what the
    model takes, where that is less); from `warn_at` of it on, `Answer.notes` has a warning. With `infinite` false there
    are no segments, and the oldest turns that do not fit are not told. `summariser` is one of `manager.summaries`, or
    the name of a model that makes the summaries. `counter` counts the tokens of a message."""

    threshold: int = THRESHOLD
    warn_at: float = WARN_AT
    infinite: bool = True
    summariser: summaries.Summariser | str | None = None
    counter: tokens.Counter = tokens.estimate


USUAL = Window()


def shown(
    window: Window, session: Session, model: str, history: Sequence[Message], report: Report, ask: Ask
) -> Sequence[Message]:
    """What of the active path is told to `model`; the report says what is not, and how full the window is."""
    fits = room(model)
    context: Context = session.context(
        model=model,
        threshold=min(window.threshold, fits * 3 // 4) if fits and window.infinite else window.threshold,
        warn_at=window.warn_at,
        infinite=window.infinite,
        counter=window.counter,
        summariser=_summariser(window.summariser, ask),
    )
    if warning := context.warning():
        report.tell(warning)
    try:
        told = context.summary()
    except errors.ProviderError as error:
        report.tell(f"the model that summarises could not be asked ({error}): sentences are picked instead")
        context.summariser = summaries.Extractive()
        told = context.summary()
    begin = context.begin(told)
    if begin <= context.lead:
        return history
    report.count("older messages told as a summary" if told else "older messages left out", begin - context.lead)
    lead, first = _places(history, context.lead, begin)
    return [*history[:lead], *context.told(told), *history[first:]]


def _summariser(wanted: summaries.Summariser | str | None, ask: Ask) -> summaries.Summariser | None:
    if not isinstance(wanted, str):
        return wanted
    return summaries.ByModel(lambda prompt: ask(prompt, wanted), f"model {wanted}")


def _places(history: Sequence[Message], *positions: int) -> list[int]:
    """Where on the active path the positions are of what a context counts: bookkeeping is not."""
    counted, found = count(), dict[int, int]()
    for place, message in enumerate(history):
        if message.get("kind") not in UNSEEN:
            found[next(counted)] = place
    return [found.get(position, len(history)) for position in positions]

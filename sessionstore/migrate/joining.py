"""Putting a session together of sources that each hold a part of it: windows that overlap, and turns that do not.

A sliding window extends what is stored by what it shows beyond it. Turns are put in order by their times; the result
is the same whichever source came first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sessionstore import canonical, fsio
from sessionstore.compose import Composer
from sessionstore.store import Store

Revision = dict[str, Any]
Message = dict[str, Any]
LEAST_OVERLAP = 2
"""A window must share at least this many messages with what is stored to be its continuation."""
NEVER = datetime.min.replace(tzinfo=UTC)
_NUMBERED = re.compile(r"m[1-9][0-9]*")
"""An id that says nothing but where the message stood in its source."""


class Stitch(NamedTuple):
    """A stored head and how many messages a window shares with its end."""

    head: Revision
    overlap: int


def best_overlap(store: Store, heads: Iterable[Revision], shown: Sequence[Message]) -> Stitch | None:
    """The head that a sliding window overlaps most, or None when it overlaps none."""
    talk_shown = _talk(shown)
    found = [Stitch(head, _overlap(_talk(store.messages(head)), talk_shown)) for head in heads]
    best = max(found, key=lambda stitch: stitch.overlap, default=None)
    return best if best is not None and best.overlap else None


def _overlap(stored: Sequence[bytes], shown: Sequence[bytes]) -> int:
    sizes = range(min(len(stored), len(shown)), LEAST_OVERLAP - 1, -1)
    return next((size for size in sizes if stored[-size:] == shown[:size]), 0)


def stitched(store: Store, stitch: Stitch, shown: Iterable[Message], flush: fsio.Flush) -> Composer:
    """A head extended by what a sliding window shows beyond it."""
    known_system = {_bare(message) for message in store.messages(stitch.head) if message["role"] == "system"}
    composer = Composer(store.objects, flush, stitch.head)
    skipped = 0
    for message in shown:
        if message["role"] == "system":
            fresh = _bare(message) not in known_system
        else:
            skipped += 1
            fresh = skipped > stitch.overlap
        if fresh:
            composer.add({**message, "id": f"m{composer.count + 1}"})
    return composer


def _talk(messages: Iterable[Message]) -> list[bytes]:
    return [_bare(message) for message in messages if message["role"] != "system"]


def _bare(message: Message) -> bytes:
    return canonical.dumps({name: value for name, value in message.items() if name != "id"})


def joined(stored: Sequence[Message], shown: Sequence[Message]) -> list[Message] | None:
    """All messages of both, each once, by time; those without a time stay behind the one they came after. Messages of
    one time stay as they were together. None for trees, whose messages have their places already."""
    if any("parent" in message for message in (*stored, *shown)):
        return None
    ours, theirs = _by_time(stored), _by_time(shown)
    blocks = [_merged(ours.get(time, []), theirs.get(time, [])) for time in sorted(ours.keys() | theirs.keys())]
    return _with_ids([message for block in blocks for message in block])


def same_content(some: Iterable[Message], others: Iterable[Message]) -> bool:
    """Whether two sessions say the same, whatever their messages are called."""
    return list(map(_bare, some)) == list(map(_bare, others))


def _by_time(messages: Iterable[Message]) -> dict[datetime, list[Message]]:
    """Messages by their time, those without one with the one before them; first of all those before any time."""
    blocks: dict[datetime, list[Message]] = {}
    time = NEVER
    for message in messages:
        time = moment(message) or time
        blocks.setdefault(time, []).append(message)
    return blocks


def moment(message: Message) -> datetime | None:
    """When a message was written, for putting messages in order only: a local time whose zone nobody knows counts as it
    stands, because the sources of one session were written by one clock."""
    if (found := instant(message.get("time"))) is not None:
        return found
    local = message.get("x", {}).get("time")
    try:
        found = datetime.fromisoformat(local["raw"])
    except (TypeError, KeyError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def instant(time: Any) -> datetime | None:
    """A point in time from its text; None when it is none."""
    try:
        found = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _merged(ours: list[Message], theirs: list[Message]) -> list[Message]:
    """The messages of one time in two sources. When each has some that the other has not, no order is known: turns
    stay whole, and their content decides. One turn told in two ways is told twice, one way after the other."""
    ours, theirs = sorted((ours, theirs), key=lambda part: list(map(_bare, part)))
    bare_ours, bare_theirs = list(map(_bare, ours)), list(map(_bare, theirs))
    if _contains(bare_ours, bare_theirs):
        return ours
    if _contains(bare_theirs, bare_ours):
        return theirs
    left, fresh = Counter(bare_ours), []
    for bare, message in zip(bare_theirs, theirs, strict=True):
        if left[bare]:
            left[bare] -= 1
        else:
            fresh.append(message)
    if bare_ours[0] == bare_theirs[0]:
        return [*ours, *fresh]
    turns = sorted((*_turns(ours), *_turns(fresh)), key=lambda turn: (turn[0]["role"] != "system", _bare(turn[0])))
    return [message for turn in turns for message in turn]


def _contains(larger: list[bytes], smaller: list[bytes]) -> bool:
    starts = range(len(larger) - len(smaller) + 1)
    return any(larger[start : start + len(smaller)] == smaller for start in starts)


def _turns(messages: Iterable[Message]) -> list[list[Message]]:
    """What a person said, each time with what came of it."""
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or message["role"] in ("user", "system"):
            turns.append([])
        turns[-1].append(message)
    return turns


def _with_ids(messages: list[Message]) -> list[Message]:
    """Messages with ids of their own: numbers are given anew, other ids get a number behind them where they collide."""
    if all(_NUMBERED.fullmatch(message["id"]) for message in messages):
        return [{**message, "id": f"m{number}"} for number, message in enumerate(messages, 1)]
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    named = []
    for message in messages:
        name = message["id"]
        beginning = re.sub(r"~[0-9]+$", "", name)
        while name in taken:
            numbers[beginning] += 1
            name = f"{beginning}~{numbers[beginning] + 1}"
        taken.add(name)
        named.append({**message, "id": name})
    return named

"""What the context of a session is worked out from: of each message who says it and how many tokens it has. Pages never
change, so this is counted once for each page, however often a context is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sessionstore import canonical
from sessionstore.manager.lines import Messages, Pages
from sessionstore.manager.tokens import Counter, billed

Message = dict[str, Any]


class Fact(NamedTuple):
    """Of one message: a checksum, its tokens, and what the context came to with it as billed, 0 when nobody says."""

    mark: int
    role: str
    tokens: int
    billed: int


def facts_of(messages: Iterable[Message], counter: Counter) -> list[Fact]:
    """The facts of some messages."""
    return [_fact(message, counter) for message in messages]


def _fact(message: Message, counter: Counter) -> Fact:
    return Fact(zlib.crc32(canonical.dumps(message)), message["role"], counter(message), billed(message))


def facts(pages: Pages, messages: Sequence[Message], counter: Counter) -> list[Fact]:
    """The facts of the messages of a path; those of whole pages are remembered."""
    if not isinstance(messages, Messages):
        return facts_of(messages, counter)
    found: list[Fact] = []
    for name in messages.page_names:
        kept = pages.counted.get((name, counter))
        if kept is None:
            kept = facts_of(map(pages.parse, pages.get(name).lines), counter)
            pages.counted.put((name, counter), kept)
        found += kept
    return found + facts_of(map(pages.parse, messages.tail.lines), counter)

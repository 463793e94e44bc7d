"""Showing where a hit is: a short piece of the text around the first match, and what to highlight in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sessionstore.index.terms import fold

BEFORE, LENGTH = 60, 240
"""Characters shown before the first match, and altogether."""
SHORT = 300
"""Characters shown of a message beside the one that was found."""
_LONGEST_SPOT = 200
_FOLDED_MOST = 100_000
_SPACE = re.compile(r"\s+")

Marks = list[list[int]]


def plain(text: str) -> str:
    """`text` on one line."""
    return _SPACE.sub(" ", text).strip()


class Highlighter:
    """Finds the terms of one query in texts."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.given = tuple(patterns)
        self.patterns = [re.compile(pattern, re.IGNORECASE) for pattern in dict.fromkeys(patterns)]

    def also(self, pieces: Sequence[str]) -> Highlighter:
        """One that finds these pieces of text as well."""
        words = (fold(piece[:_LONGEST_SPOT]).split() for piece in pieces)
        return Highlighter([*self.given, *(r"\s+".join(map(re.escape, found)) for found in words if found)])

    def best(self, texts: Sequence[str | None]) -> tuple[int, int]:
        """Which of `texts` shows most of the terms (the first of equals), and where the first one stands in it."""
        chosen, place, most = 0, 0, 0
        for number, text in enumerate(texts):
            if not text:
                if most == 0 and number == chosen:
                    chosen = min(number + 1, len(texts) - 1)
                continue
            starts = [start for pattern in self.patterns if (start := _find(pattern, text)) is not None]
            if len(starts) > most:
                chosen, place, most = number, min(starts), len(starts)
        return chosen, place

    def snippet(self, text: str, place: int) -> tuple[str, Marks]:
        """The piece of `text` around `place` on one line, with the ranges [start, end) of the terms in it."""
        begin = max(0, place - BEFORE)
        end = min(len(text), begin + LENGTH)
        if begin and (space := _SPACE.search(text, begin, place)):
            begin = space.end()
        if end < len(text) and (cut := max(text.rfind(" ", place, end), text.rfind("\n", place, end))) > place:
            end = cut
        piece = plain(text[begin:end])
        shown = f"{'…' if begin else ''}{piece}{'…' if end < len(text) else ''}"
        return shown, self.marks(shown)

    def marks(self, text: str) -> Marks:
        """The ranges [start, end) of all terms in `text`, joined where they touch."""
        folded = fold(text)
        found = sorted({match.span() for pattern in self.patterns for match in pattern.finditer(folded)})
        joined: Marks = []
        for start, end in found:
            if joined and start <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], end)
            elif end > start:
                joined.append([start, end])
        return joined


def _find(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    if match is None and not text.isascii():
        match = pattern.search(fold(text[:_FOLDED_MOST]))
    return match.start() if match else None

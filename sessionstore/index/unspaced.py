"""Scripts written without spaces between words, made searchable from one character on.

SQLite's tokenizer takes a run of such characters for one long word, so nothing inside it would be found. Beside the
text the index therefore keeps every such run with each character as a token of its own: a query of any length is
then an exact phrase. Letters and digits of other scripts inside a run stay whole, so `用Python写` is found by
`python` too. Runs are kept apart by `GAP`, a token that nobody types.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

GAP = "\ue000"
"""A private-use character; the tokenizer takes it for a letter."""

CHARACTERS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1100-\u11ff"  # Hangul Jamo
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007"  # ideographic iteration mark, closing mark, zero
    "\u3040-\u30fa\u30fc-\u318f\u31a0-\u31ff"  # kana, Bopomofo, Hangul compatibility Jamo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # ideographs
    "\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\uff66-\uff9f\uffa0-\uffdc"  # half-width kana and Hangul
    "\U00020000-\U0003ffff"  # rare ideographs
)
"""The characters of such scripts, as ranges of a regular expression's class."""


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Any unspaced character; a run of letters and digits with one; a token of a run. Compiled when first needed:
    it takes longer than a search."""
    return (
        re.compile(f"[{CHARACTERS}]"),
        re.compile(f"(?<![^\\W_])[^\\W_{CHARACTERS}]*+[{CHARACTERS}](?:[^\\W_]|[{CHARACTERS}])*+"),
        re.compile(f"[{CHARACTERS}]|[^\\W_{CHARACTERS}]+"),
    )


def found_in(text: str) -> bool:
    """Whether a text has any such character."""
    return not text.isascii() and _patterns()[0].search(text) is not None


def runs(text: str) -> tuple[list[str], list[str]]:
    """The runs of letters and digits in `text` that hold an unspaced character, and what lies around them: one
    piece more than there are runs."""
    if text.isascii():
        return [], [text]
    pattern = _patterns()[1]
    return pattern.findall(text), pattern.split(text)


def tokens(run: str) -> list[str]:
    """The tokens of a run, composed (NFC): each unspaced character alone, everything else whole."""
    return _patterns()[2].findall(unicodedata.normalize("NFC", run))


def column(texts: Iterable[str | None]) -> str | None:
    """The text of the index column for a message's texts, or None when there is nothing to keep."""
    found = [" ".join(tokens(run)) for text in texts if text for run in runs(text)[0]]
    return f" {GAP} ".join(found) if found else None

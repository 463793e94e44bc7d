"""Words and phrases as a person types them, and what the index is asked for instead.

The full-text index knows words only, runs of letters and digits: `foo_bar` is two, so its parts are found by
themselves and the whole as a phrase. What is typed with punctuation (`foo_bar`, `foo.bar(`, `c++`, `--no-verify`)
is looked up as the phrase of its words and then compared letter by letter with the text found: it matches literally.
Digests and UUIDs are known by their beginnings: six or more hexadecimal digits stand for every word that begins so.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from sessionstore.index import unspaced

_WORD = re.compile(r"[^\W_]+")
_HEX = re.compile(r"[0-9a-f]{6,63}|[0-9A-F]{6,63}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{1,4}|[0-9a-f]{4}-(?:[0-9a-f]{1,4}|[0-9a-f]{4}-(?:[0-9a-f]{1,4}|"
                   r"[0-9a-f]{4}-[0-9a-f]{1,11})))", re.IGNORECASE)  # fmt: skip
_SELECTIVE = 3
_ACCENTS = dict(zip("αεηιουωе", "άέήίόύώё", strict=True))
_SENTENCE_END = ".,;:!?"


class Term(NamedTuple):
    """A word or phrase. `match` is its FTS5 expression, None when it has no word in it; `like` the LIKE pattern that
    the text must fit besides, None when the words alone decide; `within` the pattern that decides in which part of a
    message it stands, where the index cannot tell; `mark` a regular expression for where it stands (see `fold`).
    `typed` is the word itself; `plain` says that it is one whole word and nothing else; `loose` is an expression that
    also holds where the text begins and ends inside words, None when there is none such."""

    match: str | None
    like: str | None
    within: str | None
    mark: str
    typed: str = ""
    plain: bool = False
    loose: str | None = None


def term(typed: str, *, quoted: bool, prefix: bool = False) -> Term:
    """What to look up for a typed word (or, `quoted`, a phrase); `prefix` when any continuation of it will do."""
    text = unicodedata.normalize("NFC", typed)
    if not quoted and not prefix and len(text) > 1 and text[-1] in _SENTENCE_END and text[-2].isalnum():
        text = text[:-1]
    if not quoted and (_HEX.fullmatch(text) or _UUID.fullmatch(text)):
        prefix = True
    runs, pieces = unspaced.runs(text)
    parts = [f'{{cjk}} : "{" ".join(unspaced.tokens(run))}"' for run in runs]
    for number, piece in enumerate(pieces, 1):
        if _WORD.search(piece):
            star = "*" if prefix and number == len(pieces) else ""
            parts.append(_accented(piece) if not star and piece.isalnum() else f'"{_quoted(piece)}"{star}')
    literal = _is_literal(text) or len(parts) != 1
    like = _like(text)
    plain = not (quoted or prefix or literal or runs) and len(_WORD.findall(text)) == 1
    mark = _mark(text, literal, prefix)
    loose = _loose(text) if literal and not runs else None
    return Term(
        " AND ".join(parts) or None, like if literal else None, like if runs else None, mark, text, plain, loose
    )


def _accented(word: str) -> str:
    """The FTS5 expression for a word. SQLite takes the accents off Latin letters only, so a Greek or Russian word is
    asked for without them and with one in every place."""
    if word.isascii() or not _ACCENTS.keys() & set(fold(word)):
        return f'"{_quoted(word)}"'
    bare = "".join(unicodedata.normalize("NFD", c)[0] if c in _ACCENTS.values() else c for c in word.lower())
    places = [i for i, c in enumerate(bare) if c in _ACCENTS]
    forms = [word, bare, *(bare[:i] + _ACCENTS[bare[i]] + bare[i + 1 :] for i in places)]
    quoted = [f'"{form}"' for form in dict.fromkeys(forms)]
    return f"({' OR '.join(quoted)})"


def _loose(text: str) -> str | None:
    words = _WORD.findall(text)
    inner = words[1:] if text[0].isalnum() else words
    return f'"{" ".join(inner)}"*' if len(words) > 1 and len("".join(inner)) >= _SELECTIVE else None


def _quoted(text: str) -> str:
    return text.replace('"', '""')


def _is_literal(text: str) -> bool:
    """Whether more is typed than letters, digits and spaces."""
    return any(not (c.isalnum() or c.isspace() or unicodedata.category(c) in ("Mn", "Mc", "Co")) for c in text)


def _like(text: str) -> str:
    """The LIKE pattern for `text` anywhere. LIKE folds the case of ASCII letters only, so other letters with a case
    match any one character (the words are matched besides); either apostrophe will do; spaces match any space."""
    found: list[str] = []
    for c in text:
        if c.isspace():
            if not found or found[-1] != "%":
                found.append("%")
        elif c in "'\u2019" or (c > "\x7f" and c.lower() != c.upper()):
            found.append("_")
        else:
            found.append(f"\\{c}" if c in "%_\\" else c)
    return f"%{''.join(found)}%"


def _mark(text: str, literal: bool, prefix: bool) -> str:
    folded = fold(text)
    if literal:
        return r"\s+".join(re.escape(piece) for piece in folded.split()).replace("'", "['\u2019]")
    words = _WORD.findall(folded)
    if not words or unspaced.found_in(text):
        return re.escape(folded.strip())
    end = "" if prefix else r"(?![^\W_])"
    return r"(?<![^\W_])" + r"[\W_]+".join(map(re.escape, words)) + end


class _Folded(dict[int, str]):
    """Characters without case and accents, each as exactly one character."""

    def __missing__(self, code: int) -> str:
        base = unicodedata.normalize("NFD", chr(code))[0] if not 0xAC00 <= code < 0xD7B0 else chr(code)
        folded = base.lower()
        self[code] = folded if len(folded) == 1 else base
        return self[code]


_folded = _Folded()


def fold(text: str) -> str:
    """`text` in lower case and without accents, character for character."""
    return text.lower() if text.isascii() else text.translate(_folded)

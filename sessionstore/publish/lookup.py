"""The search of a site: an inverted index in files that a page loads by `<script>`, since a page that was opened as a
file may load nothing otherwise.

    search/manifest.js   the sessions, the first term of every part, the first message of every text file
    search/terms-N.js    terms in order, with the messages they stand in
    search/texts-N.js    the messages' texts, for what is shown of a hit and for phrases

Terms are runs of letters and digits, folded (no case, no accents). In scripts without spaces each character is a term,
and each pair of neighbours. A message is a number over all sessions in their order; in a list it is doubled, plus one
when the term stands in what was said rather than in a tool's text or in reasoning. Lists are differences, each in
digits of 32 with the high bit saying that another follows. `static/search.js` reads all this.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from sessionstore.exporters.text import arguments_text, response_text
from sessionstore.index.unspaced import CHARACTERS
from sessionstore.web.tools import MOST_SHOWN

Message = dict[str, Any]
LONGEST_TERM = 40
_KEPT = 6_000
"""Characters of a message that are kept for showing what was found."""
_PART = 96 << 10
"""Characters of a file, about."""
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_WORDS = re.compile(r"[^\W_]+")
_RUNS = re.compile(f"[{CHARACTERS}]+|[^{CHARACTERS}]+")
_UNSPACED_ONE = re.compile(f"[{CHARACTERS}]")
_ROLES = {"user": "u", "assistant": "a", "tool": "t", "system": "s"}


def fold(text: str) -> str:
    """Text without case and accents."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize("NFC", "".join(c for c in text if not unicodedata.category(c).startswith("M")))
    return text.lower()


def terms(text: str) -> set[str]:
    """The terms of a text."""
    folded = fold(text)
    if folded.isascii():
        return {word[:LONGEST_TERM] for word in _WORDS.findall(folded)}
    found: set[str] = set()
    for word in _WORDS.findall(folded):
        for run in [word] if word.isascii() else _RUNS.findall(word):
            if _UNSPACED_ONE.match(run):
                found.update(run)
                found.update(run[i : i + 2] for i in range(len(run) - 1))
            else:
                found.add(run[:LONGEST_TERM])
    return found


class Lookup:
    """Collects messages, then writes the files."""

    def __init__(self) -> None:
        self.documents = 0
        self._lists: dict[str, array[int]] = {}
        self._texts: list[tuple[int, list[str]]] = []
        self._size = _PART
        self._roles: list[str] = []

    def add(self, message: Message) -> None:
        """Take in the next message."""
        said, beside = texts_of(message)
        strong = terms(said)
        number = 2 * self.documents
        for term in strong:
            self._list(term).append(number + 1)
        for term in terms(beside) - strong:
            self._list(term).append(number)
        kept = "\n".join(filter(None, (said, beside)))[:_KEPT]
        if self._size >= _PART:
            self._texts.append((self.documents, []))
            self._size = 0
        self._texts[-1][1].append(kept)
        self._size += len(kept)
        self._roles.append(_ROLES.get(str(message.get("role")), "x"))
        self.documents += 1

    def _list(self, term: str) -> array[int]:
        found = self._lists.get(term)
        if found is None:
            found = self._lists[term] = array("I")
        return found

    def write(self, sessions: list[dict[str, Any]], page: int, put: Callable[[str, bytes], None]) -> None:
        """Write the files: `sessions` in the order their messages came in, `page` is the number of messages on a
        page."""
        firsts = []
        for number, (first, lines) in enumerate(self._parts()):
            firsts.append(first)
            put(f"search/terms-{number}.js", _call("terms", number, lines))
        for number, (_, kept) in enumerate(self._texts):
            put(f"search/texts-{number}.js", _call("texts", number, kept))
        manifest = {
            "page": page,
            "longest": LONGEST_TERM,
            "kept": _KEPT,
            "unspaced": CHARACTERS,
            "documents": self.documents,
            "roles": "".join(self._roles),
            "terms": firsts,
            "texts": [first for first, _ in self._texts],
            "sessions": sessions,
        }
        put("search/manifest.js", _call("manifest", manifest))

    def _parts(self) -> Iterator[tuple[str, str]]:
        """(first term, lines) of each file of terms."""
        lines: list[str] = []
        size, first = 0, ""
        for term in sorted(self._lists, key=_order):
            if not lines:
                first = term
            lines.append(f"{term} {encoded(self._lists[term])}")
            size += len(lines[-1])
            if size >= _PART:
                yield first, "\n".join(lines)
                lines, size = [], 0
        if lines:
            yield first, "\n".join(lines)


def _order(term: str) -> bytes:
    """Terms stand in the order that JavaScript compares strings in."""
    return term.encode("utf-16-be", "surrogatepass")


def texts_of(message: Message) -> tuple[str, str]:
    """What was said in a message, and what stands beside it: reasoning, calls and results of tools. Each as far as a
    page shows it."""
    said: list[str] = []
    beside: list[str] = []
    for part in message.get("parts") or ():
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("content"), str):
            (beside if message.get("role") in ("tool", "system") else said).append(part["content"][: 4 * MOST_SHOWN])
        elif kind == "reasoning" and isinstance(part.get("content"), str):
            beside.append(part["content"][: 4 * MOST_SHOWN])
        elif kind == "tool_call":
            beside.append(f"{part.get('name')} {_plain(part.get('arguments'))[:MOST_SHOWN]}")
        elif kind == "tool_call_response":
            beside.append(response_text(part.get("response"))[:MOST_SHOWN])
    return "\n".join(said), "\n".join(beside)


def _plain(arguments: Any) -> str:
    """A call's arguments as they read, without JSON's escapes where there is only one level."""
    if isinstance(arguments, dict):
        return "\n".join(
            value if isinstance(value, str) else f"{name} {arguments_text(value)}" for name, value in arguments.items()
        )
    return arguments if isinstance(arguments, str) else arguments_text(arguments)


def encoded(numbers: array[int]) -> str:
    """A rising list of numbers as text."""
    last, pieces = 0, []
    for number in numbers:
        pieces.append(_digits(number - last))
        last = number
    return "".join(pieces)


@lru_cache(maxsize=1 << 16)
def _digits(value: int) -> str:
    made = _DIGITS[value & 31]
    while value := value >> 5:
        made = _DIGITS[value & 31 | 32] + made
    return made


def _call(name: str, *values: Any) -> bytes:
    """A script that hands something to the page's own."""
    told = b",".join(orjson.dumps(value) for value in values)
    return b"sessionstoreSearch." + name.encode() + b"(" + told + b");\n"

"""Finding secrets in a text: the built-in patterns always, and Kingfisher's thousand rules when it is installed.

Kingfisher (the extra `[redact]`) runs inside this process and is used offline only: nothing that it finds is ever
tried against a provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from sessionstore.secrets.patterns import GENERIC, PATTERNS, Pattern, is_plausible

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=_-]+", re.ASCII)
"""Images and the like inside a text; what looks like a key in there is none."""
_FORMAL = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)
"""Digests, commits and UUIDs."""
_UNSURE = re.compile(r"generic|uuid|entropy")
"""Rules of Kingfisher's whose finding is dropped when it has the form of a digest."""


_PLAIN_WORDS = sorted({word for pattern in PATTERNS if not pattern.folded for word in pattern.words})
_FOLDED_WORDS = sorted({word for pattern in PATTERNS if pattern.folded for word in pattern.words})


class Hit(NamedTuple):
    """A secret in a text: characters `start` up to `end`."""

    kind: str
    start: int
    end: int


class Gate(NamedTuple):
    """What may be found in a text: the built-in patterns whose words stand in it, and whether the library has found
    anything."""

    patterns: tuple[Pattern, ...]
    library: bool


class Detector:
    """Looks for secrets. `library` is the name of what is used beside the built-in patterns, or None."""

    def __init__(self, *, built_in_only: bool = False) -> None:
        self._scanner = None if built_in_only else _scanner()
        self.library = "kingfisher" if self._scanner is not None else None

    def gate(self, text: str) -> Gate:
        """What is worth trying on the parts of a text. Asked once for many short texts, it saves most of the time."""
        lowered = _lower(text)
        there = {word for word in _PLAIN_WORDS if word in text}, {word for word in _FOLDED_WORDS if word in lowered}
        patterns = (pattern.narrowed(there[pattern.folded]) for pattern in PATTERNS)
        library = self._scanner is not None and bool(_kingfisher(self._scanner, text))
        return Gate(tuple(pattern for pattern in patterns if pattern.words), library)

    def find(self, text: str, gate: Gate | None = None) -> list[Hit]:
        """The secrets in a text, in order, none overlapping another. `gate` is of a text that holds this one."""
        patterns, library = gate or (PATTERNS, True)
        hits = list(_built_in(text, patterns))
        if self._scanner is not None and library:
            hits += _kingfisher(self._scanner, text)
        if not hits:
            return []
        images = [match.span() for match in _DATA_URI.finditer(text)]
        return _merged(hit for hit in hits if not any(a <= hit.start < b for a, b in images))


def library_installed() -> bool:
    """Whether Kingfisher is there."""
    return find_spec("kingfisher_sdk") is not None


@lru_cache(maxsize=1)
def _scanner() -> Any:
    """Kingfisher's scanner with all its rules, compiled once in a process (and kept in the user's cache directory)."""
    try:
        from kingfisher_sdk import Rules, Scanner
    except ImportError:
        return None
    return Scanner(Rules(confidence="medium"), base64=True)


def _built_in(text: str, patterns: Iterable[Pattern]) -> Iterator[Hit]:
    lowered = _lower(text)
    for pattern in patterns:
        for match in pattern.matches(text, lowered if pattern.folded else text):
            group = "secret" if "secret" in pattern.expression.groupindex else 0
            if is_plausible(match[group], pattern.kind, random=pattern.random):
                yield Hit(pattern.kind, *match.span(group))


def _lower(text: str) -> str:
    """A text in lower case, of the same length."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if c.isascii() else c for c in text)


def _kingfisher(scanner: Any, text: str) -> list[Hit]:
    """What the rules find. Findings that only support others (an account's name beside its key) are none."""
    found = [finding for finding in scanner.scan(text.encode("utf-8", "replace")) if _is_secret(finding)]
    if not found:
        return []
    place = _places(text)
    hits = []
    for finding in found:
        where = finding.location
        start, end = place(where["start_offset"]), place(where["end_offset"])
        while end > start and text[end - 1] in "\\\"'`":
            end -= 1
        kind = _kind(finding.rule_id)
        secret = text[start:end]
        formal = _UNSURE.search(kind) and _FORMAL.fullmatch(secret)
        if end - start >= 4 and not formal and is_plausible(secret, kind, random=False):
            hits.append(Hit(kind, start, end))
    return hits


def _is_secret(finding: Any) -> bool:
    return bool(finding.visible) or "secret" in finding.rule_id


def _kind(rule: str) -> str:
    """A rule's name without who has written it, as it stands in a placeholder."""
    return re.sub(r"[^a-z0-9-]+", "-", rule.rpartition(".")[2].lower()).strip("-")[:40] or "secret"


def _places(text: str) -> Any:
    """From offsets in the UTF-8 bytes of a text to its characters."""
    if text.isascii():
        return lambda offset: offset
    data = text.encode("utf-8", "replace")
    return lambda offset: len(data[:offset].decode("utf-8", "ignore"))


def _merged(hits: Iterable[Hit]) -> list[Hit]:
    """Overlapping hits as one, of the kind that says most."""
    made: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end, _rank(hit.kind), hit.kind)):
        if made and hit.start < made[-1].end:
            last = made.pop()
            kind = min(last.kind, hit.kind, key=lambda kind: (_rank(kind), kind != last.kind))
            made.append(Hit(kind, last.start, max(last.end, hit.end)))
        else:
            made.append(hit)
    return made


_BUILT_IN = frozenset(pattern.kind for pattern in PATTERNS)


def _rank(kind: str) -> int:
    return 3 if "generic" in kind else 2 if kind in GENERIC else 0 if kind in _BUILT_IN else 1

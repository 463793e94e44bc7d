"""Replacing secrets: `[redacted:github-token#1]`, the same secret the same everywhere in what is exported together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sessionstore.secrets.detector import Detector, Hit
from sessionstore.secrets.documents import Document, is_text, rewritten

_SURE = 12
"""A secret of so many characters is replaced wherever it stands; a shorter one, which may also be a common word, only
where it was recognised."""


class Names:
    """The placeholders of secrets, in the order in which they are met."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def of(self, secret: str, kind: str) -> str:
        """What stands in place of a secret."""
        if secret not in self._known:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[secret] = f"[redacted:{kind}#{self._counts[kind]}]"
        return self._known[secret]

    def __len__(self) -> int:
        return len(self._known)

    def sure(self) -> dict[str, str]:
        """Those that are replaced wherever they stand, the longest first."""
        long = (secret for secret in self._known if len(secret) >= _SURE)
        return {secret: self._known[secret] for secret in sorted(long, key=lambda secret: (-len(secret), secret))}


class Redactor:
    """Replaces the secrets that were found. `affected` are the ids of the messages that have any, by session."""

    def __init__(self, detector: Detector, names: Names, affected: Mapping[str, set[str]]) -> None:
        self._detector, self._names, self._affected = detector, names, affected
        self._sure = names.sure()
        self._marks = [_inside(secret) for secret in self._sure]
        self._everywhere = re.compile("|".join(map(re.escape, self._sure))) if self._sure else None

    def message(self, key: str, message: dict[str, Any]) -> dict[str, Any]:
        """A message of the session `key` without secrets."""
        if message["id"] not in self._affected.get(key, ()) and not self._holds_any(message):
            return message
        made: dict[str, Any] = self.document(message)
        return made

    def revision(self, revision: dict[str, Any]) -> dict[str, Any]:
        """A session's own fields without secrets; its pages and messages are left as they are."""
        made: dict[str, Any] = self.document(revision)
        return made

    def document(self, value: Any) -> Any:
        """A copy of anything without secrets."""
        found = Document(value).find(self._detector)
        return rewritten(value, lambda text, number: self._replaced(text, found.get(number, ())))

    def text(self, text: str) -> str:
        """A text without secrets."""
        return self._replaced(text, self._detector.find(text))

    def _holds_any(self, message: dict[str, Any]) -> bool:
        if not self._marks:
            return False
        if any(part.get("type") == "blob" and is_text(part) for part in message["parts"]):
            return True
        line = orjson.dumps(message)
        return any(mark in line for mark in self._marks)

    def _replaced(self, text: str, hits: Iterable[Hit]) -> str:
        pieces, position = [], 0
        for hit in hits:
            pieces.append(self._known(text[position : hit.start]))
            pieces.append(self._names.of(text[hit.start : hit.end], hit.kind))
            position = hit.end
        return "".join([*pieces, self._known(text[position:])])

    def _known(self, text: str) -> str:
        """A text in which nothing was recognised, without what was recognised elsewhere."""
        if self._everywhere is None or not any(secret in text for secret in self._sure):
            return text
        return self._everywhere.sub(lambda match: self._sure[match[0]], text)


def _inside(secret: str) -> bytes:
    """How a secret stands in a line of JSON."""
    return orjson.dumps(secret)[1:-1]


def with_known(text: str, hits: Iterable[Hit], secrets: Iterable[str]) -> list[Hit]:
    """The hits in a text, and the other places of secrets that are known."""
    made = list(hits)
    for secret in secrets:
        at = text.find(secret)
        while at >= 0:
            end = at + len(secret)
            if not any(hit.start < end and at < hit.end for hit in made):
                made.append(Hit("", at, end))
            at = text.find(secret, end)
    return sorted(made, key=lambda hit: hit.start)


def masked(text: str, hits: Iterable[Hit], shown: Hit, around: int = 24) -> str:
    """A secret's surroundings on one line, with every secret in them masked: at most the first four characters of a
    long one are shown."""
    pieces, position, at = [], 0, 0
    for hit in hits:
        pieces.append(text[position : hit.start])
        if hit == shown:
            at = sum(map(len, pieces))
        secret = text[hit.start : hit.end]
        begun = secret[:4] if len(secret) >= 20 else ""
        pieces.append(f"{begun}…({len(secret)} characters)")
        position = hit.end
    plain = "".join([*pieces, text[position : position + around + 1]])
    end = plain.find("characters)", at) + len("characters)")
    begin, last = max(0, at - around), min(len(plain), end + around)
    line = " ".join("".join(c if c.isprintable() else " " for c in plain[begin:last]).split())
    return f"{'…' if begin else ''}{line}{'…' if last < len(plain) else ''}"

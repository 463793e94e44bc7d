"""Looking through sessions before anything of them leaves."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sessionstore import objects
from sessionstore.secrets.detector import Detector, Gate, Hit
from sessionstore.secrets.documents import Document, is_text
from sessionstore.secrets.redact import Names, Redactor, masked, with_known

if TYPE_CHECKING:
    from sessionstore.store import Store

_TOGETHER = 256 << 10
"""Characters that are looked through at once."""
_AROUND = 1000
"""Characters around a secret that are kept until all secrets are known."""
Message = dict[str, Any]
Revision = dict[str, Any]
Messages = Callable[[Revision], Iterable[Message]]
"""Gives the messages of a session that are to leave."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret at one place: its kind, the session, the message's id (None for the session's own fields such as its
    title), and its surroundings with every secret masked. The secret itself is nowhere in it; `placeholder` is the
    same for the same secret."""

    kind: str
    key: str
    message: str | None
    excerpt: str
    placeholder: str

    @property
    def link(self) -> str:
        """What `show` opens at the spot."""
        return self.key if self.message is None else f"{self.key}#{self.message}"

    def as_json(self) -> dict[str, Any]:
        """The finding for programs."""
        told = {"kind": self.kind, "key": self.key, "message": self.message, "link": self.link}
        return {**told, "excerpt": self.excerpt, "placeholder": self.placeholder}


@dataclass
class Check:
    """What was found in some sessions. `different` is the number of different secrets, `messages` of messages looked
    at."""

    detector: Detector
    findings: list[Finding] = field(default_factory=list)
    messages: int = 0
    _names: Names = field(default_factory=Names)
    _affected: dict[str, set[str]] = field(default_factory=dict)
    _waiting: list[tuple[str, str | None, Document]] = field(default_factory=list)
    _size: int = 0
    _found: list[tuple[str, str, str | None, str, str, list[Hit], Hit]] = field(default_factory=list)

    @property
    def different(self) -> int:
        """How many different secrets there are."""
        return len(self._names)

    @property
    def sessions(self) -> int:
        """How many sessions have any."""
        return len({finding.key for finding in self.findings})

    def redactor(self) -> Redactor:
        """What replaces them."""
        return Redactor(self.detector, self._names, self._affected)

    def look(self, key: str, message: str | None, document: Any) -> None:
        """Look through a message, or with None through other fields of a session."""
        whole = Document(document)
        self._waiting.append((key, message, whole))
        self._size += len(whole.text)
        if self._size >= _TOGETHER:
            self.finish()

    def finish(self) -> None:
        """Look through what is still waiting."""
        gate = self.detector.gate("\n".join(whole.text for _, _, whole in self._waiting))
        if gate.patterns or gate.library:
            for key, message, whole in self._waiting:
                self._note(key, message, whole, gate)
        self._waiting, self._size = [], 0

    def _note(self, key: str, message: str | None, whole: Document, gate: Gate) -> None:
        for number, hits in sorted(whole.find(self.detector, gate).items()):
            text = whole.texts[number]
            for hit in hits:
                name = self._names.of(text[hit.start : hit.end], hit.kind)
                self._found.append((hit.kind, key, message, name, *_window(text, hits, hit)))
                if message is not None:
                    self._affected.setdefault(key, set()).add(message)

    def close(self) -> None:
        """Nothing more comes. Only now all secrets are known that an excerpt must not show."""
        self.finish()
        sure = list(self._names.sure())
        for kind, key, message, name, text, hits, hit in self._found:
            self.findings.append(Finding(kind, key, message, masked(text, with_known(text, hits, sure), hit), name))
        self._found = []


def _window(text: str, hits: list[Hit], hit: Hit) -> tuple[str, list[Hit], Hit]:
    """The surroundings of a secret: their text, the hits in them, the one that it is about."""
    begin, end = max(0, hit.start - _AROUND), hit.end + _AROUND
    moved = [
        Hit(one.kind, max(0, one.start - begin), min(one.end, end) - begin)
        for one in hits
        if one.end > begin and one.start < end
    ]
    return text[begin:end], moved, Hit(hit.kind, hit.start - begin, hit.end - begin)


def check(
    store: Store,
    revisions: Iterable[Revision],
    messages: Messages | None = None,
    *,
    detector: Detector | None = None,
    besides: Callable[[Revision], Any] | None = None,
) -> Check:
    """Look through sessions: their fields (and what `besides` gives, such as notes), and the messages that `messages`
    gives, else all. Texts that are attached are looked into as well."""
    made = Check(detector or Detector())
    for revision in revisions:
        key = revision["key"]
        made.look(key, None, revision)
        if besides is not None:
            made.look(key, None, besides(revision))
        for message in (messages or store.messages)(revision):
            made.messages += 1
            made.look(key, message["id"], with_texts(store, message))
    made.close()
    return made


def with_texts(store: Store, message: Message) -> Message:
    """A message with the data of the texts attached to it; other blobs stay references."""
    if not any(part.get("type") == "blob" and "object" in part and is_text(part) for part in message["parts"]):
        return message
    return {**message, "parts": list(_parts(store, message["parts"]))}


def _parts(store: Store, parts: Iterable[Message]) -> Iterator[Message]:
    for part in parts:
        if part.get("type") == "blob" and "object" in part and is_text(part):
            data = store.objects.get(part["object"], objects.VALUE, check=True)
            yield {**part, "data": base64.b64encode(data).decode()}
        else:
            yield part

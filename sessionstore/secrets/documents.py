"""The texts of a message or another document: as one text to look for secrets in, and put back with some replaced.

Every string is taken, also names of members, since any of them may leave. Left out are what says how a message hangs
together (ids, roles, types), what a provider has signed or encrypted, and the bytes of images. A member's name stands
before its value, so that `{"password": "…"}` is known for what it is.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from sessionstore.secrets.detector import Detector, Gate, Hit

_FORMAL = frozenset({"id", "parent", "role", "type", "kind", "time", "object", "modality", "mime_type"})
"""Members of messages and parts that are no text."""
_SEALED = frozenset({"signature", "thoughtSignature", "thought_signature", "encrypted_content", "encryptedContent"})
_STRUCTURE = frozenset(
    {"key", "source", "native_id", "forked_from", "pages", "messages", "originals", "counts", "usage", "parents"}
    | {"active_leaf", "_name"}
)
"""Members of a revision that are no text."""
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml", "application/toml", "application/x-sh")
_LONGEST_NAME = 200
_DEEPEST = 200

Replace = Callable[[str, int], str]
"""Gives what is to stand in place of a string; its number is that in `Document.texts`."""


class Document:
    """A document's strings in one text."""

    def __init__(self, value: Any) -> None:
        self.texts: list[str] = []
        self._starts: list[int] = []
        pieces: list[str] = []
        position = 0

        def take(text: str, name: str) -> str:
            nonlocal position
            head, tail = _around(text, name) if name else ("", "\n")
            self._starts.append(position + len(head))
            self.texts.append(text)
            pieces.extend((head, text, tail))
            position += len(head) + len(text) + len(tail)
            return text

        walk(value, take)
        self.text = "".join(pieces)

    def find(self, detector: Detector, gate: Gate | None = None) -> dict[int, list[Hit]]:
        """The secrets by the number of the string they stand in. `gate` is of a text that holds this one."""
        found: dict[int, list[Hit]] = {}
        for hit in detector.find(self.text, gate):
            at = bisect_right(self._starts, hit.start) - 1
            while 0 <= at < len(self.texts):
                begin = self._starts[at]
                start, end = max(hit.start - begin, 0), min(hit.end - begin, len(self.texts[at]))
                if begin >= hit.end:
                    break
                if start < end:
                    found.setdefault(at, []).append(Hit(hit.kind, start, end))
                at += 1
        return found


def _around(text: str, name: str) -> tuple[str, str]:
    """What stands before and after the value of a member: `name="…"` around a short one on a line."""
    if len(text) > _LONGEST_NAME or '"' in text or "'" in text or "\n" in text:
        return f"{name}:\n", "\n"
    return f'{name}="', '"\n'


def rewritten(value: Any, replace: Replace) -> Any:
    """A copy of a document with its strings replaced."""
    number = -1

    def take(text: str, _: str) -> str:
        nonlocal number
        number += 1
        return replace(text, number)

    return walk(value, take)


def walk(value: Any, take: Callable[[str, str], str]) -> Any:
    """A copy of a message, a revision or any other document, every string in it (with the name of the member it is the
    value of, or "") replaced by what `take` gives."""
    if isinstance(value, Mapping) and isinstance(value.get("parts"), list):
        return {
            name: [_part(part, take) for part in item]
            if name == "parts"
            else (item if name in _FORMAL else _any(item, take, str(name)))
            for name, item in value.items()
        }
    if isinstance(value, Mapping):
        return {name: item if name in _STRUCTURE else _any(item, take, str(name)) for name, item in value.items()}
    return _any(value, take, "")


def _part(part: Any, take: Callable[[str, str], str]) -> Any:
    if not isinstance(part, Mapping):
        return _any(part, take, "")
    made = {}
    for name, item in part.items():
        if name in _FORMAL and isinstance(item, str):
            made[name] = item
        elif name == "data" and part.get("type") == "blob":
            made[name] = _data(part, item, take)
        else:
            made[name] = _any(item, take, "" if name in ("content", "response", "arguments") else str(name))
    return made


def _data(part: Mapping[str, Any], data: Any, take: Callable[[str, str], str]) -> Any:
    """The bytes of a blob: those of a text are looked at, all others stay."""
    if not isinstance(data, str) or not is_text(part):
        return data
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return data
    told = take(text, "")
    return data if told == text else base64.b64encode(told.encode()).decode()


def is_text(part: Mapping[str, Any]) -> bool:
    """Whether a blob says that it is a text."""
    return str(part.get("mime_type") or "").startswith(_TEXTS)


def _any(value: Any, take: Callable[[str, str], str], name: str, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value if name in _SEALED else take(value, name)
    if depth > _DEEPEST:
        return take(orjson.dumps(value).decode(), name) if isinstance(value, dict | list) else value
    if isinstance(value, list):
        return [_any(item, take, name, depth + 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    sealed = _is_image(value)
    made: dict[str, Any] = {}
    for key, item in value.items():
        told = take(key, "") if isinstance(key, str) and len(key) >= 12 else key
        made[told] = item if sealed and key == "data" else _any(item, take, str(key), depth + 1)
    return made


def _is_image(value: Mapping[str, Any]) -> bool:
    kind = value.get("media_type") or value.get("mime_type") or value.get("mimeType") or value.get("type")
    return isinstance(value.get("data"), str) and str(kind).startswith(
        ("image", "audio", "video", "base64", "application")
    )

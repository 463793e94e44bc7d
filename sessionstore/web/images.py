"""The images of a message: stored as objects, or as base64 inside a tool's answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_DEEPEST = 6


class Image(NamedTuple):
    """Where an image's bytes are: the name of an object, or base64 text. `shown` unless it says that it is of a kind
    that is not shown (SVG can hold scripts)."""

    object: str | None
    data: str | None
    shown: bool


def found_in(part: Any, depth: int = 0) -> Iterator[Image]:
    """The images in a part of a message, in their order."""
    if isinstance(part, list):
        for item in part:
            yield from found_in(item, depth + 1) if depth < _DEEPEST else ()
        return
    if not isinstance(part, dict):
        return
    inner = part.get("source")
    source = inner if isinstance(inner, dict) else part
    kind = str(source.get("mime_type") or source.get("media_type") or source.get("mimeType") or "")
    is_image = part.get("modality") == "image" or part.get("type") == "image" or kind.startswith("image/")
    name, data = source.get("object"), source.get("data")
    if is_image and (isinstance(name, str) or isinstance(data, str)):
        yield Image(name if isinstance(name, str) else None, data if isinstance(data, str) else None, "svg" not in kind)
    elif part.get("type") == "tool_call_response" or depth:
        for name in ("response", "content", "output"):
            if isinstance(part.get(name), list | dict) and depth < _DEEPEST:
                yield from found_in(part[name], depth + 1)


def in_message(message: dict[str, Any]) -> list[Image]:
    """All images of a message that are shown, in the order of their numbers."""
    parts = message.get("parts")
    return [image for part in parts or () for image in found_in(part) if image.shown] if parts else []


def content(image: Image, get: Callable[[str], bytes]) -> tuple[bytes, str] | None:
    """The bytes of an image and its kind, which is told from the bytes alone; None when they are none of the kinds
    that a browser is given. `get` reads an object."""
    if image.object is not None:
        data = get(image.object)
    else:
        try:
            data = base64.b64decode(image.data or "", validate=False)
        except (binascii.Error, ValueError):
            return None
    for start, kind in _STARTS:
        if data.startswith(start):
            return data, kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return data, "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return data, "image/avif"
    return None

"""Turning messages into the objects and the revision that state a session.

A `Composer` takes messages one by one, so a session of any size needs little memory: large values become objects,
lines fill pages, pages become objects, and what the revision adds up (counts, tokens, models, times) is added up on
the way. It writes objects only; the revision it finishes with is returned, and writing that is the commit.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from sessionstore import canonical, fsio, layout, objects, references
from sessionstore.pages import Pager

REVISION_FORMAT = "sessionstore/session"
USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_microusd",
)

Revision = dict[str, Any]


class Composer:
    """Builds one session, from nothing or on top of a stored revision (`base`), whose pages are not read again."""

    def __init__(
        self, store_objects: objects.Objects, flush: fsio.Flush | None = None, base: Revision | None = None
    ) -> None:
        self._objects = store_objects
        self._flush = flush
        self.pages: list[dict[str, Any]] = list(base["pages"]) if base else []
        tail = [canonical.line(message) for message in base["messages"]] if base else []
        counts: dict[str, Any] = base["counts"] if base else {"messages": 0, "bytes": 0, "by_role": {}}
        self._pager = Pager(tail, counts["messages"] - len(tail))
        self._tail: list[dict[str, Any]] = list(base["messages"]) if base else []
        self._bytes: int = counts["bytes"]
        self._roles: dict[str, int] = dict(counts["by_role"])
        self._usage: dict[str, Any] = dict(base.get("usage", {})) if base else {}
        self._models: list[str] = list(base.get("models", [])) if base else []
        self._blobs: dict[str, int] = {blob["id"]: blob["bytes"] for blob in base.get("blobs", [])} if base else {}
        self._first: str | None = base.get("created_at") if base else None
        self._last: str | None = base.get("updated_at") if base else None
        self.base = base

    @property
    def count(self) -> int:
        """How many messages the session has so far."""
        return self._pager.count

    def add(self, message: dict[str, Any]) -> bytes:
        """Take the next message; returns its line as it is stored. It must hold no NaN or infinity (what was parsed
        does not; what a program gives goes through `canonical.clean` first)."""
        if any(part.get("type") == "blob" for part in message["parts"]):
            message = {**message, "parts": [self._blob(part) for part in message["parts"]]}
        message, line = _written(message)
        if b"$" in line and references.MARK in line:  # the single byte is found, or not, much faster
            message, line = _written(references.escape(message))
        if len(line) > references.LARGE:
            large: dict[str, Any] = {
                name: references.outline(message[name], self._put) for name in ("parts", "x") if name in message
            }
            message, line = _written({**message, **large})
        role = message["role"]
        self._roles[role] = self._roles.get(role, 0) + 1
        self._bytes += len(line)
        model, time, usage = message.get("model"), message.get("time"), message.get("usage")
        if model and model not in self._models:
            self._models.append(model)
        if time:
            self._first = self._first or time
            self._last = time
        if usage:
            self._add_usage(usage)
        self._tail.append(message)
        closed = self._pager.add(line, system=role == "system")
        if closed:
            self._close_page(closed)
        return line

    def _close_page(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        name = self._objects.put(data, objects.PAGE, self._flush)
        self.pages.append({"id": name, "n": len(lines), "bytes": len(data)})
        self._tail = []

    def _add_usage(self, usage: Mapping[str, Any]) -> None:
        totals = self._usage
        for name in USAGE:
            amount = usage.get(name)
            if amount:
                totals[name] = totals.get(name, 0) + amount
        if usage.get("estimated"):
            totals["estimated"] = True

    def _blob(self, part: dict[str, Any]) -> dict[str, Any]:
        """A blob part with its base64 data moved to an object, when decoding loses nothing. One that names an object
        of the store already (a message taken over from another session) needs that from now on."""
        data, name = part.get("data"), part.get("object")
        if part.get("type") != "blob" or not isinstance(data, str):
            if isinstance(name, str) and layout.is_sha256(name) and self._objects.find(name, objects.VALUE):
                self._blobs[name] = part["bytes"]
            return part
        try:
            raw = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return part
        if not raw or base64.b64encode(raw).decode() != data:
            return part
        kept = {name: value for name, value in part.items() if name != "data"}
        return {**kept, "object": self._put(raw), "bytes": len(raw)}

    def _put(self, data: bytes) -> str:
        name = self._objects.put(data, objects.VALUE, self._flush)
        self._blobs[name] = len(data)
        return name

    def finish(self, key: str, fields: Mapping[str, Any], parents: Iterable[str] = ()) -> Revision:
        """The revision of the session as it is now. `fields` are the session fields of DESIGN's revision that do not
        follow from the messages; empty ones are left out."""
        revision: Revision = {
            "format": REVISION_FORMAT,
            "v": 1,
            "key": key,
            "pages": self.pages,
            "messages": self._tail,
            "counts": {"messages": self.count, "bytes": self._bytes, "by_role": self._roles},
        }
        revision.update({name: value for name, value in fields.items() if value not in (None, [], {}, "")})
        optional = {
            "models": self._models,
            "usage": self._usage,
            "blobs": [{"id": name, "bytes": size} for name, size in sorted(self._blobs.items())],
            "parents": sorted(parents),
        }
        revision.update({name: value for name, value in optional.items() if value})
        if self._first:
            revision.setdefault("created_at", self._first)
        if self._last:
            revision.setdefault("updated_at", self._last)
        return revision


def _written(message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A message as it can be written, and its line."""
    try:
        return message, canonical.trusted_line(message)
    except TypeError:
        message = canonical.clean(message)
        return message, canonical.trusted_line(message)

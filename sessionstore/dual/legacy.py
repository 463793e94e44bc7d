"""The legacy files of one place: which there are, what they say, and writing them.

A file is replaced in one step, so the older program never reads half of one, and only when everything it says is in
the store: what the older program has written since stays until it was taken in.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sessionstore import errors, fsio, layout
from sessionstore.dual import pairing, rendering
from sessionstore.dual.comparing import Match, match
from sessionstore.dual.rendering import Before, Rendered
from sessionstore.exporters.native import safe_name
from sessionstore.flags import Flags, Place
from sessionstore.importers.llm_sessions import MIGRATED
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate.reading import Stat
from sessionstore.notes import notes_of
from sessionstore.store import Revision, Store

Record = dict[str, Any]
LARGEST = 256 << 20
"""Bytes of a file, packed or not, that are read at most."""
_GZIP = b"\x1f\x8b"


class File(NamedTuple):
    """A legacy file as it was read. `problem` says why `document` is not there."""

    path: str
    id: str
    stat: Stat
    document: Record | None = None
    marks: Sequence[bytes] = ()
    problem: str = ""

    @property
    def roles(self) -> list[str]:
        """The role of each of its records."""
        listed = (self.document or {}).get("messages") or ()
        return [str(one.get("role")) if isinstance(one, dict) else "" for one in listed]


class Legacy:
    """The legacy files of one place. Cheap to make; may be shared between threads."""

    def __init__(self, place: Place, flags: Flags | None = None) -> None:
        self.place, self.flags = place, flags or Flags()
        self.format = place.format
        below = "sessions" if place.format == "llm-sessions" else ""
        self.folder = os.path.realpath(os.path.join(place.directory, below))
        """Where the files lie."""

    # -- reading ---------------------------------------------------------------------------------------------------

    def path_of(self, ident: str) -> str:
        """Where the file of a session of that id lies, or would lie."""
        return f"{self.folder}/{safe_name(ident)}.json"

    def stats(self) -> dict[str, Stat]:
        """All files of sessions, by path, each with its stat signature."""
        found = {}
        for name in sorted(fsio.names(self.folder)):
            path = f"{self.folder}/{name}"
            if name.endswith(".json") and not name.startswith("."):
                with contextlib.suppress(OSError):
                    status = os.stat(path, follow_symlinks=False)
                    if os.path.isfile(path) and not os.path.islink(path):
                        found[path] = Stat.of(status)
        return found

    def stat(self, path: str) -> Stat | None:
        """A file's stat signature; None when there is none."""
        try:
            return Stat.of(os.stat(path))
        except OSError:
            return None

    def file(self, path: str) -> File | None:
        """A file as it is now; None when there is none."""
        ident = os.path.basename(path).removesuffix(".json")
        try:
            stat = Stat.of(os.stat(path))
            document = decoded(path)
        except FileNotFoundError:
            return None
        except (OSError, errors.StorageError, ValueError, RecursionError) as error:
            return File(path, ident, stat, problem=" ".join(str(error).split()) or type(error).__name__)
        try:
            if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
                raise Unparsable("it is not a session")
            return File(path, ident, stat, document, rendering.signatures(self.format, document))
        except (Unparsable, RecursionError) as error:
            return File(path, ident, stat, problem=str(error) or "nested too deeply")

    def load(self, ident: str) -> Record | None:
        """What the file of a session says, as the older program reads it; None when there is none. Raises
        `SourceInvalid` for one that cannot be read."""
        found = self.file(self.path_of(ident))
        if found is not None and found.document is None:
            raise errors.SourceInvalid(path=found.path, source=self.format, reason=found.problem)
        return found.document if found else None

    # -- a session's side ------------------------------------------------------------------------------------------

    def keys_of(self, ident: str) -> tuple[str, str]:
        """The keys that a session of that id may have: imported from here, and this store's own."""
        return layout.session_key(self.format, ident, self.folder), f"native:{ident}"

    def id_of(self, revision: Revision) -> str:
        """The id that a session has in its file: its own, as far as that is a file's name."""
        ident = str(revision.get("native_id") or revision["key"])
        if self.format == "llm-sessions" and revision.get("source") == "kimi":
            ident = f"{MIGRATED}{ident}"
        return safe_name(ident)

    def rendered(
        self, store: Store, revision: Revision, file: File | None = None, ident: str | None = None
    ) -> Rendered:
        """A session as this format's document; what a file, or the bytes it was imported from, says keeps its shape.
        `ident` is the id it gets, else that of its file."""
        before = Before(file.document, file.marks) if file and file.document else self._imported(store, revision)
        tags = notes_of(store, revision["key"]).get("tags") or ()
        return rendering.rendered(store, revision, self.format, ident or self.id_of(revision), before, list(tags))

    def _imported(self, store: Store, revision: Revision) -> Before | None:
        if revision.get("source") != self.format:
            return None
        for entry in revision.get("originals") or ():
            try:
                found = _parsed(b"".join(store.original(entry)))
                return Before(found, rendering.signatures(self.format, found))
            except (errors.SessionstoreError, Unparsable, ValueError, RecursionError):
                continue
        return None

    def match(self, stored: Rendered, file: File) -> Match:
        """How a file stands to a session."""
        return match(stored, file.marks, file.roles, self.format)

    def knows(self, store: Store, revision: Revision, file: File) -> bool:
        """Whether everything that a file says is in the session's history or on another of its branches."""
        return any(self.match(one, file).kind in ("same", "behind") for one in self._others(store, revision, file))

    def _others(self, store: Store, revision: Revision, file: File) -> Iterator[Rendered]:
        """The session's other branches, and its earlier states."""
        for head in store.revisions_of(revision["key"]):
            messages = list(store.messages(head))
            inner = {message.get("parent") for message in messages if message.get("parent")}
            for leaf in [head.get("active_leaf"), *_ends(messages, inner)]:
                yield self.rendered(store, {**head, "active_leaf": leaf}, file)

    # -- writing ---------------------------------------------------------------------------------------------------

    def encoded(self, document: Record) -> bytes:
        """A document as the program's file holds it: packed when the switches say so and it is long."""
        text = rendering.text(self.format, document)
        data = text.encode("utf-8", "replace")
        packed = self.format == "llm-sessions" and self.flags.compress
        return gzip.compress(data) if packed and len(text) > self.flags.compression_threshold else data

    def write(self, path: str, made: Rendered) -> File:
        """Put a session's document in a file's place, durable when this returns the file. Raises `StorageError`."""
        mode = _UMASKED if self.format == "kimi" else 0o600
        with contextlib.suppress(OSError):
            mode = os.stat(path).st_mode
        fsio.restore_file(Path(path), [self.encoded(made.document)], mode, force=True)
        ident = os.path.basename(path).removesuffix(".json")
        return File(path, ident, Stat.of(os.stat(path)), made.document, made.marks)

    def put_aside(self, path: str, stamp: str) -> str:
        """Keep a copy of a file under a name that the older program does not look at; returns it."""
        copy = f"{path}.{stamp}.kept"
        fsio.restore_file(Path(copy), [fsio.read_bytes(path)], os.stat(path).st_mode)
        return copy

    def pair(self, store: Store) -> dict[str, Any] | None:
        """The note of which store writes here, made when there is none. Raises `UsageError`."""
        found = pairing.check(store, self.folder)
        if found is None:
            pairing.write(store, self.folder)
        return found


def _ends(messages: Sequence[Record], inner: set[Any]) -> Iterator[str]:
    """The ids of messages at which a branch ends: the last one, and those before one that goes on from elsewhere."""
    for number, message in enumerate(messages):
        following = messages[number + 1] if number + 1 < len(messages) else None
        if (following is None or "parent" in following) and message["id"] not in inner:
            yield message["id"]


def _umasked() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


_UMASKED = _umasked()
"""The mode of a file that a program makes without further ado."""


def decoded(path: str) -> Any:
    """The JSON of a file, packed or not. Raises `ValueError`, `OSError`, `StorageError`."""
    if os.path.getsize(path) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
    return _parsed(fsio.read_bytes(path))


def _parsed(data: bytes) -> Any:
    if data[:2] == _GZIP:
        unpack = zlib.decompressobj(wbits=31)
        try:
            data = unpack.decompress(data, LARGEST)
        except zlib.error as error:
            raise ValueError(f"it is packed and damaged ({error})") from None
        if not unpack.eof:
            raise ValueError("it is packed and not whole, or too large")
    if not data.strip():
        raise ValueError("it is empty")
    return json.loads(data)

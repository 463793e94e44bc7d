"""The store: sessions as immutable revisions over content-addressed objects. The truth of everything else.

Writing a session, step by step, and what a kill between two steps leaves:
  1. objects (chunks, large values, pages) are written      unreferenced objects, swept by gc
  2. they are made durable                                   the same
  3. the revision is written and made durable: THE COMMIT    the session as it was after the write; its predecessor too
  4. the superseded predecessor is removed                   -
Readers take no lock: a reader that finds a revision gone lists the heads again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from sessionstore import canonical, errors, fsio, layout, lineage, objects
from sessionstore.compose import Composer

Revision = dict[str, Any]
STRIPES = 256


class Store:
    """One store directory, opened for reading and writing. Cheap to open; safe to use from several processes.

    `root` is the resolved directory, `id` the store's ULID.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Open an existing store. Raises `NoStore`, `StoreMarkerCorrupt` or `FormatTooNew`."""
        self.root = os.path.realpath(root)
        self.marker = layout.read_marker(self.root)
        self.id: str = self.marker["id"]
        self.temp = fsio.Temp(f"{self.root}/tmp")
        self.objects = objects.Objects(self.root, self.temp)

    @classmethod
    def init(cls, root: str | os.PathLike[str]) -> Store:
        """Make a store, or open the one that is already there."""
        path = os.path.realpath(root)
        for name in ("", *layout.DIRECTORIES):
            fsio.make_directory(f"{path}/{name}".rstrip("/"))
        marker = canonical.dumps(layout.new_marker()) + b"\n"
        with fsio.Lock(f"{path}/locks/store.lock", timeout=10):
            fsio.write_new(fsio.Temp(f"{path}/tmp"), f"{path}/{layout.MARKER}", marker)
        return cls(path)

    # -- locks -----------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, timeout: float = 60) -> Iterator[None]:
        """Hold the store's shared lock: any number of writers at once, but no gc, repair, rollback or purge."""
        if not layout.writable(self.marker):
            raise errors.FormatTooNew(path=self.root, version=self.marker["features"]["write"], known=layout.VERSION)
        with fsio.Lock(f"{self.root}/locks/store.lock", shared=True, timeout=timeout):
            yield

    @contextmanager
    def exclusively(self, what: str, timeout: float = 60) -> Iterator[None]:
        """Hold the store alone. Raises `Busy`, or `LocksUnavailable` where locks do not work."""
        if not layout.writable(self.marker):
            raise errors.FormatTooNew(path=self.root, version=self.marker["features"]["write"], known=layout.VERSION)
        with fsio.Lock(f"{self.root}/locks/store.lock", timeout=timeout, what="the store", required=True):
            yield

    @contextmanager
    def sessions_locked(self, keys: Iterable[str], timeout: float = 60) -> Iterator[None]:
        """Hold the stripes of these sessions, so that read-modify-write of them is safe across processes."""
        with ExitStack() as stack:
            for stripe in sorted({layout.fanout(key) for key in keys}):
                path = f"{self.root}/locks/{stripe}.lock"
                stack.enter_context(fsio.Lock(path, timeout=timeout, what="the session"))
            yield

    # -- names and documents ---------------------------------------------------------------------------------------

    def revision_names(self) -> set[str]:
        """The names of all revisions, ``hh/<slug>.<sha256>.json``."""
        return {name for name in fsio.walk(f"{self.root}/sessions", 1) if layout.is_document_name(name)}

    def note_names(self) -> set[str]:
        """The names of all notes, in the same form."""
        return {name for name in fsio.walk(f"{self.root}/notes", 1) if layout.is_document_name(name)}

    def load_revision(self, name: str) -> Revision:
        """A revision by name, with the name under "_name". Raises `NotFound` when it is gone, `RevisionCorrupt`."""
        return self._load("sessions", name)

    def load_note(self, name: str) -> dict[str, Any]:
        """A note by name, with the name under "_name". Raises `NotFound`, `RevisionCorrupt`."""
        return self._load("notes", name)

    def _load(self, folder: str, name: str) -> dict[str, Any]:
        try:
            data = fsio.read_bytes(f"{self.root}/{folder}/{name}")
        except FileNotFoundError:
            raise errors.NotFound(name=name) from None
        return parse_document(name, data)

    def revisions_of(self, key: str) -> list[Revision]:
        """All stored revisions of one session, heads and history."""
        found = []
        folder, slug = layout.fanout(key), layout.slug(key)
        for file in fsio.names(f"{self.root}/sessions/{folder}"):
            name = f"{folder}/{file}"
            if file.startswith(f"{slug}.") and layout.is_document_name(name):
                try:
                    found.append(self.load_revision(name))
                except errors.NotFound:
                    continue
        return found

    def heads(self, key: str) -> list[Revision]:
        """The heads of one session, latest first; none when there is no such session."""
        return self.heads_of(self.revisions_of(key))

    def heads_of(self, revisions: list[Revision]) -> list[Revision]:
        """Those of one session's revisions that no other supersedes, latest first."""
        return lineage.heads(revisions, self.page)

    def extends(self, new: Revision, old: Revision) -> bool:
        """Whether `old`'s messages are a prefix of `new`'s."""
        return lineage.extends(new, old, self.page)

    # -- messages and originals ------------------------------------------------------------------------------------

    def page(self, name: str) -> bytes:
        """A page's bytes, checked against its name. Raises `ObjectMissing`, `ObjectCorrupt`."""
        return self.objects.get(name, objects.PAGE, check=True)

    def lines(self, revision: Revision, start: int = 0) -> Iterator[bytes]:
        """A session's messages as canonical lines, from ordinal `start` (0-based)."""
        position = 0
        for page in revision["pages"]:
            if position + page["n"] > start:
                yield from self.page(page["id"]).splitlines(keepends=True)[max(0, start - position) :]
            position += page["n"]
        for message in revision["messages"][max(0, start - position) :]:
            yield canonical.line(message)

    def messages(self, revision: Revision, start: int = 0) -> Iterator[dict[str, Any]]:
        """A session's messages from ordinal `start` (0-based), with large strings put back in their places; blobs
        stay references. Raises `ObjectMissing`, `ObjectCorrupt`."""
        outlined = {blob["id"] for blob in revision.get("blobs", ())}
        for line in self.lines(revision, start):
            message = canonical.loads(line)
            yield self._inline(message, outlined) if outlined and b'"$object"' in line else message

    def _inline(self, value: Any, outlined: set[str]) -> Any:
        if isinstance(value, dict):
            name = value.get("$object")
            if isinstance(name, str) and name in outlined and value.keys() == {"$object", "bytes"}:
                return self.objects.get(name, objects.VALUE, check=True).decode("utf-8", "replace")
            return {key: self._inline(item, outlined) for key, item in value.items()}
        if isinstance(value, list):
            return [self._inline(item, outlined) for item in value]
        return value

    def original(self, entry: Mapping[str, Any], size: int | None = None) -> Iterator[bytes]:
        """The bytes of an original (an element of a revision's `originals`), chunk by chunk, the first `size` of
        them when given. Every chunk is checked; a whole original's SHA-256 is checked at the end.
        Raises `ObjectMissing`, `ObjectCorrupt`."""
        left = entry["bytes"] if size is None else size
        total = hashlib.sha256()
        for chunk in entry["chunks"]:
            if left <= 0:
                return
            data = self.objects.get(chunk["id"], objects.CHUNK, check=True)[:left]
            left -= len(data)
            total.update(data)
            yield data
        if left or (size is None and total.hexdigest() != entry["sha256"]):
            raise errors.ObjectCorrupt(name=entry["sha256"])

    # -- writing ---------------------------------------------------------------------------------------------------

    def name_of(self, revision: Revision) -> tuple[str, bytes]:
        """The file name and the bytes of a revision."""
        data = canonical.dumps({name: value for name, value in revision.items() if name != "_name"})
        return layout.document_name(revision["key"], data), data

    def write_revision(self, name: str, data: bytes, flush: fsio.Flush | None = None) -> None:
        """The commit: put a revision in place. Everything it refers to must be durable before."""
        fsio.write_new(self.temp, f"{self.root}/sessions/{name}", data, flush)

    def put(self, key: str, messages: Iterable[dict[str, Any]], fields: Mapping[str, Any] | None = None) -> str:
        """Store a session whole; returns the name of its revision. Durable when this returns.

        Heads whose messages are a prefix of the new ones are superseded and removed; any other head stays beside the
        new one as a branch. Putting what a head already begins with changes nothing. `fields` are session fields
        (title, cwd, …).
        """
        source, _, native = key.partition(":")
        given = {"source": source, "native_id": native, **(fields or {})}
        with self.writing(), self.sessions_locked([key]):
            composer = Composer(self.objects)
            for message in messages:
                composer.add(canonical.clean(message))
            return self._commit(composer.finish(key, given))

    def append(self, key: str, messages: Iterable[dict[str, Any]], fields: Mapping[str, Any] | None = None) -> str:
        """Add messages to the end of a session's latest head; returns the name of the new revision.
        Raises `NotFound` when there is no such session."""
        with self.writing(), self.sessions_locked([key]):
            heads = self.heads(key)
            if not heads:
                raise errors.NotFound(name=key)
            composer = Composer(self.objects, base=heads[0])
            for message in messages:
                composer.add(canonical.clean(message))
            return self._commit(composer.finish(key, {**carried(heads[0]), **(fields or {})}))

    def _commit(self, revision: Revision) -> str:
        name, data = self.name_of(revision)
        older = [head for head in self.heads(revision["key"]) if head["_name"] != name]
        for head in older:
            if self.extends(head, revision) and not self.extends(revision, head):
                return str(head["_name"])
        self.write_revision(name, data)
        for head in older:
            if self.extends(revision, head):
                fsio.remove(f"{self.root}/sessions/{head['_name']}")
        return name


_DERIVED = {"format", "v", "key", "pages", "messages", "counts", "models", "usage", "blobs", "parents", "updated_at"}


def carried(revision: Revision) -> dict[str, Any]:
    """The session fields that a successor of `revision` takes over."""
    return {name: value for name, value in revision.items() if name not in _DERIVED and name != "_name"}


def parse_document(name: str, data: bytes) -> dict[str, Any]:
    """A revision or note from its bytes, checked against its name. Raises `RevisionCorrupt`, `FormatTooNew`."""
    if canonical.digest(data) != layout.split_name(name)[1]:
        raise errors.RevisionCorrupt(name=name, reason="its bytes have changed")
    try:
        document = canonical.loads(data)
        version = document["v"]
        slug = layout.slug(document["key"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.RevisionCorrupt(name=name, reason="it is not a document of this format") from None
    if version != 1:
        raise errors.FormatTooNew(path=name, version=version, known=1)
    if f"{layout.fanout(document['key'])}/{slug}" != layout.split_name(name)[0]:
        raise errors.RevisionCorrupt(name=name, reason="its name belongs to another session")
    document["_name"] = name
    return dict(document)

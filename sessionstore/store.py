"""The store: sessions as immutable revisions over content-addressed objects. The truth of everything else.

Writing a session, step by step, and what a kill between two steps leaves:
  1. objects (chunks, large values, pages) are written      unreferenced objects, swept by gc
  2. they are made durable                                   the same
  3. the revision is written and made durable: THE COMMIT    the session as it was after the write; its predecessor too
  4. the superseded predecessor is removed                   -
Readers take no lock: a reader that finds a revision gone lists the heads again.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from sessionstore import canonical, errors, fsio, layout, lineage, locks, objects, references, tracing
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
        try:
            for name in ("", *layout.DIRECTORIES):
                fsio.make_directory(f"{path}/{name}".rstrip("/"))
        except OSError as error:
            raise fsio.failure(error, path) from error
        marker = canonical.dumps(layout.new_marker()) + b"\n"
        with locks.Lock(f"{path}/locks/store.lock", timeout=10):
            fsio.write_new(fsio.Temp(f"{path}/tmp"), f"{path}/{layout.MARKER}", marker)
        return cls(path)

    # -- locks -----------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, timeout: float = 60) -> Iterator[None]:
        """Hold the store's shared lock: any number of writers at once, but no gc, repair, rollback or purge."""
        if not layout.writable(self.marker):
            raise errors.FormatTooNew(path=self.root, version=self.marker["features"]["write"], known=layout.VERSION)
        with locks.Lock(f"{self.root}/locks/store.lock", shared=True, timeout=timeout):
            yield

    @contextmanager
    def exclusively(self, what: str, timeout: float = 60, *, required: bool = True) -> Iterator[None]:
        """Hold the store alone. Raises `Busy`, or `LocksUnavailable` where locks do not work (unless they are not
        `required`, because `what` loses nothing when somebody writes meanwhile)."""
        if not layout.writable(self.marker):
            raise errors.FormatTooNew(path=self.root, version=self.marker["features"]["write"], known=layout.VERSION)
        with ExitStack() as held:
            try:
                held.enter_context(locks.Lock(f"{self.root}/locks/store.lock", timeout=timeout, required=required))
            except errors.LocksUnavailable:
                raise errors.LocksUnavailable(path=self.root, what=what) from None
            yield

    @contextmanager
    def sessions_locked(self, keys: Iterable[str], timeout: float = 60) -> Iterator[None]:
        """Hold the stripes of these sessions, so that read-modify-write of them is safe across processes."""
        with ExitStack() as stack:
            for stripe in sorted({layout.fanout(key) for key in keys}):
                path = f"{self.root}/locks/{stripe}.lock"
                stack.enter_context(locks.Lock(path, timeout=timeout, what="the session"))
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

    def names_of(self, key: str) -> list[str]:
        """The names of all revisions of one session (or of another whose key has the same slug), damaged ones too."""
        folder, slug = layout.fanout(key), layout.slug(key)
        names = (f"{folder}/{file}" for file in fsio.names(f"{self.root}/sessions/{folder}"))
        own = (name for name in names if layout.split_name(name)[0] == f"{folder}/{slug}")
        return [name for name in own if layout.is_document_name(name)]

    def revisions_of(self, key: str) -> list[Revision]:
        """All stored revisions of one session, heads and history."""
        key = canonical.clean_text(key)
        gone: set[str] = set()
        while True:
            try:
                found = [self.load_revision(name) for name in self.names_of(key) if name not in gone]
            except errors.NotFound as error:
                # A writer has put its successor in place meanwhile (list again), or it is a symlink to nowhere.
                gone.add(error.fields["name"])
                continue
            return [revision for revision in found if revision["key"] == key]

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
        for line in self.lines(revision, start):
            message = canonical.loads(line)
            yield references.resolve(message, self._large) if references.MARK in line else message

    def embedded(self, revision: Revision) -> Iterator[dict[str, Any]]:
        """A session's messages like `messages`, with the bytes of blobs in their places again, as base64 `data`."""
        for message in self.messages(revision):
            if any(part.get("type") == "blob" and "object" in part for part in message["parts"]):
                message = {**message, "parts": [self._with_data(part) for part in message["parts"]]}
            yield message

    def _with_data(self, part: dict[str, Any]) -> dict[str, Any]:
        if part.get("type") != "blob" or "object" not in part:
            return part
        data = self.objects.get(part["object"], objects.VALUE, check=True)
        kept = {name: value for name, value in part.items() if name not in ("object", "bytes")}
        return {**kept, "data": base64.b64encode(data).decode()}

    def _large(self, name: str) -> str:
        return self.objects.get(name, objects.VALUE, check=True).decode("utf-8", "replace")

    def original(self, entry: Mapping[str, Any], size: int | None = None) -> Iterator[bytes]:
        """The bytes of an original (an element of a revision's `originals`), chunk by chunk, the first `size` of
        them when given. Every chunk is checked; a whole original's SHA-256 is checked at the end.
        Raises `ObjectMissing`, `ObjectCorrupt`."""
        from hashlib import sha256

        left, total = entry["bytes"] if size is None else size, sha256()
        for chunk in self.objects.chunks(entry):
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

    def write_revision(self, name: str, data: bytes, flush: fsio.Flush | None = None) -> bool:
        """The commit: put a revision in place, unless it is. Everything it refers to must be durable before. A file of
        that name with other bytes (a power cut can leave a name without its bytes) is replaced."""
        path = f"{self.root}/sessions/{name}"
        if fsio.exists(path) and fsio.read_bytes(path) != data:
            fsio.replace(self.temp, path, data, flush)
            return True
        return fsio.write_new(self.temp, path, data, flush)

    def put(self, key: str, messages: Iterable[dict[str, Any]], fields: Mapping[str, Any] | None = None) -> str:
        """Store a session whole; returns the name of its revision. Durable when this returns.

        Heads whose messages are a prefix of the new ones are superseded and removed; any other head stays beside the
        new one as a branch. Putting what a head already begins with changes nothing. `fields` are session fields
        (title, cwd, …); those not given are taken over from the superseded head, as are its originals.
        """
        key = canonical.clean_text(key)
        source, _, native = key.partition(":")
        given = {"source": source, "native_id": native, **(fields or {})}
        with self.writing(), self.sessions_locked([key]):
            composer = Composer(self.objects)
            for message in _checked(messages):
                composer.add(message)
            revision = composer.finish(key, given)
            superseded = [head for head in self.heads(key) if self.extends(revision, head)]
            if superseded:
                kept = {**carried(superseded[0]), "originals": merged_originals(superseded)}
                revision = composer.finish(key, {**kept, **given})
            return self._commit(revision)

    def append(self, key: str, messages: Iterable[dict[str, Any]], fields: Mapping[str, Any] | None = None) -> str:
        """Add messages to a session's latest head; returns the name of the new revision. Where the session states its
        active path, they go on from its end, and it ends with the last of them, unless they or `fields` say otherwise.
        Raises `NotFound` when there is no such session."""
        with self.writing(), self.sessions_locked([key]):
            heads = self.heads(key)
            if not heads:
                raise errors.NotFound(name=key)
            added, leaf = list(_checked(messages)), heads[0].get("active_leaf")
            stated = dict(fields or {})
            if leaf is not None and added and "active_leaf" not in stated:
                added[0] = {"parent": leaf, **added[0]}
                stated["active_leaf"] = added[-1]["id"]
            composer = Composer(self.objects, base=heads[0])
            for message in added:
                composer.add(message)
            return self._commit(composer.finish(key, {**carried(heads[0]), **stated}))

    def _commit(self, revision: Revision) -> str:
        with tracing.operation("persistence", "commit", revision["key"]):
            return self._committed(revision)

    def _committed(self, revision: Revision) -> str:
        known = self.revisions_of(revision["key"])
        heads = self.heads_of(known)
        for head in heads:
            if self.extends(head, revision) and not self.extends(revision, head):
                return str(head["_name"])
        superseded = [head for head in heads if self.extends(revision, head)]
        if inherited := lineage.inherited(superseded):
            revision["parents"] = sorted({*revision.get("parents", ()), *inherited})
        if originals := merged_originals([revision, *superseded]):
            revision["originals"] = originals
        name, data = self.name_of(revision)
        self.write_revision(name, data)
        # Also what a writer that was killed at this point has left beside the same revision.
        for old in self.heads_of([one for one in known if one["_name"] != name]):
            is_history = layout.split_name(old["_name"])[1] in revision.get("parents", ())
            if not is_history and self.extends(revision, old) and _has_all(revision, old):
                fsio.remove(f"{self.root}/sessions/{old['_name']}")
        return name


def _checked(messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Messages that a program gives, in the form that can be stored. Raises `UsageError` for what is no message."""
    from pydantic import ValidationError

    from sessionstore.models import Message

    for number, message in enumerate(messages, 1):
        cleaned = canonical.clean(message)
        try:
            Message.model_validate(cleaned)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "it"
            raise errors.UsageError(reason=f"message {number} is none: {where}: {first['msg']}") from None
        yield cleaned


_DERIVED = {"format", "v", "key", "pages", "messages", "counts", "models", "usage", "blobs", "parents", "updated_at"}


def carried(revision: Revision) -> dict[str, Any]:
    """The session fields that a successor of `revision` takes over."""
    return {name: value for name, value in revision.items() if name not in _DERIVED and name != "_name"}


def merged_originals(revisions: Iterable[Revision]) -> list[dict[str, Any]]:
    """The originals of several revisions, each once, those of the first revision first."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for entry in (entry for one in revisions for entry in one.get("originals", ())):
        found.setdefault((entry["sha256"], entry.get("name")), entry)
    return list(found.values())


def _has_all(revision: Revision, old: Revision) -> bool:
    """Whether a revision has all the originals of another one."""
    return len(merged_originals([revision, old])) == len(merged_originals([revision]))


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

"""Taking in one source: its bytes become chunks, its records messages, its messages pages; nothing is committed.

Everything is read once: the same blocks are hashed, cut into chunks, split into records and mapped. The files that
belong to a source come first, then its own. A source of lines that has only grown since it was imported is gone on with
from where reading stopped: what was there is hashed again, because nothing else tells that it is unchanged, but not
parsed.
"""

from __future__ import annotations

import base64
import hashlib
import marshal
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

from sessionstore import canonical, errors, fsio, layout, objects
from sessionstore.chunks import Chunker
from sessionstore.compose import Composer
from sessionstore.importers import material
from sessionstore.importers.base import TORN, Account, Draft, Head, Importer, Message, Source
from sessionstore.importers.material import Companion
from sessionstore.importers.parsing import Unparsable
from sessionstore.journal import Line
from sessionstore.migrate import finding, reading
from sessionstore.migrate.bundles import Member
from sessionstore.migrate.finding import Candidate
from sessionstore.migrate.reading import Stat
from sessionstore.store import Store

Encode = Callable[[list[Message], int], list[tuple[Any, ...]]]
"""Makes index rows of messages, given the ordinal of the first; handed in so that this layer knows no index."""
BATCH = 256


@dataclass(slots=True)
class Taken:
    """One session of a source: what the importer made of it, and its messages as stored so far."""

    draft: Draft
    composer: Composer
    base: dict[str, Any] | None = None
    spool: Spool | None = None
    pending: list[Message] = field(default_factory=list)
    encoded: int = 0
    offsets: list[int] = field(default_factory=list)
    """where this session's batches of index rows lie in the spool file"""

    def add(self, message: Message) -> None:
        """Store one message and put its index rows aside."""
        if self.spool is not None:
            self.pending.append(message)
            if len(self.pending) >= BATCH:
                self.flush()
        self.composer.add(message)

    def flush(self) -> None:
        """Spool the index rows of the messages not spooled yet."""
        if self.spool is not None and self.pending:
            self.offsets.append(self.spool.write(self.pending, self.encoded))
            self.encoded += len(self.pending)
            self.pending = []


_SIZE = 8
"""Bytes of the number before the rows in a spool file, which is how many bytes they have."""


@dataclass(slots=True)
class Spool:
    """A temp file of index rows, written by the process that reads and read by the one that owns the index."""

    file: BinaryIO
    encode: Encode

    def write(self, messages: list[Message], start: int) -> int:
        """Add the rows of some messages; returns where."""
        rows = marshal.dumps(self.encode(messages, start))
        try:
            position = self.file.tell()
            self.file.write(len(rows).to_bytes(_SIZE))
            self.file.write(rows)
        except OSError as error:
            raise fsio.failure(error, self.file.name) from error
        return position

    @staticmethod
    def read(file: BinaryIO, position: int) -> Any:
        """The rows that were added there, read in one piece: `marshal` would ask the file for every value by itself."""
        file.seek(position)
        return marshal.loads(file.read(int.from_bytes(file.read(_SIZE))))


@dataclass(slots=True)
class Intake:
    """One source, fully read."""

    candidate: Candidate
    importer: Importer
    stat: Stat
    original: dict[str, Any]
    fresh_chunks: int
    """how many chunks at the end of the original were written by this intake"""
    account: Account
    sessions: list[Taken]
    resume: str | None
    """what a later reading goes on from, see `_resume_state`"""
    offset: int
    """up to which byte the records are complete"""
    grown: bool
    racy: bool
    companions: list[Line] = field(default_factory=list)
    """the other files of the source, each with `name`, `path`, `stat` and `original`"""

    @property
    def originals(self) -> list[dict[str, Any]]:
        """The entries for a revision's `originals`: the source's own file, then its companions, these with a `name`. Of
        a container its own file only: the companions are named by the journal, once for all its sessions."""
        if self.importer.container:
            return [self.original]
        return [self.original, *({**line["original"], "name": line["name"]} for line in self.companions)]


def take_in(
    store: Store,
    candidate: Candidate,
    importers: Mapping[str, Importer],
    flush: fsio.Flush,
    spool: Spool | None = None,
    purged: Container[str] = (),
) -> Intake:
    """Read one source into the store, uncommitted. Raises `SessionstoreError` (unreadable, not recognised,
    changed while reading), and `Purged` before anything is stored when all its sessions are among `purged`."""
    read_at = time.time_ns()
    descriptor, stat = reading.open_file(candidate.path)
    try:
        head, importer = _recognise(descriptor, candidate.path, stat, finding.among(candidate, importers))
        with _faults_of(importer, candidate.path):
            if purged and _all_purged(head, importer, candidate, purged):
                raise errors.Purged(path=candidate.path)
            beside = [_take_beside(store, member, flush) for member in candidate.members]
            stream = _Stream(store, descriptor, candidate, stat, importer, flush, head)
            grown = _resumable(candidate, importer, stat) and stream.prefix_is_unchanged()
            taken, source = _read(store, importer, candidate, stream, flush, spool, grown, beside)
        stream.finish()
        _still_the_same(descriptor, candidate, stat, importer, stream)
    finally:
        os.close(descriptor)
    for session in taken:
        session.flush()
    if not source.account.adds_up:
        counts = f"{source.account.mapped} + {source.account.preserved} + {len(source.account.rejected)}"
        reason = f"{source.account.records} records, but {counts} accounted for"
        raise errors.VerificationFailed(path=candidate.path, reason=reason)
    return Intake(
        candidate,
        importer,
        stat,
        stream.original(),
        stream.fresh,
        source.account,
        taken,
        _resume_state(source) if source.resume is not None and stream.packing is None else None,
        stat.size - source.torn,
        grown,
        any(one.racy(read_at) for one in (stat, *(member.stat for member in candidate.members))),
        beside,
    )


def _take_beside(store: Store, member: Member, flush: fsio.Flush) -> Line:
    """Store the bytes of a file that belongs to a source; returns what the journal says of it."""
    descriptor, stat = reading.open_file(member.path)
    try:
        if stat != member.stat:
            raise errors.SourceChanged(path=member.path)
        first = reading.at(descriptor, member.path, 0, 4)
        hashed, chunks = hashlib.sha256(), []
        chunker = Chunker(rule_of(first, by_line=member.name.lower().endswith(".jsonl")))

        def put(chunk: bytes) -> None:
            chunks.append({"id": store.objects.put(chunk, objects.CHUNK, flush), "bytes": len(chunk)})

        for block in reading.blocks(descriptor, member.path, 0, stat.size):
            hashed.update(block)
            for chunk in chunker.feed(block):
                put(chunk)
        if last := chunker.finish():
            put(last)
    finally:
        os.close(descriptor)
    original = {"sha256": hashed.hexdigest(), "bytes": stat.size, "chunks": chunks}
    return {"name": member.name, "path": member.path, "stat": list(stat), "original": original}


def companions_of(store: Store, lines: Iterable[Line]) -> dict[str, Companion]:
    """The stored companions of a source, as its importer is handed them."""
    return {
        line["name"]: Companion(line["name"], line["original"]["bytes"], partial(store.original, line["original"]))
        for line in lines
    }


def _recognise(descriptor: int, path: str, stat: Stat, importers: Mapping[str, Importer]) -> tuple[Head, Importer]:
    """The beginning of a file and the importer whose format it is. Raises `SessionstoreError`."""
    try:
        head = reading.head(descriptor, path, stat)
    except Unparsable as error:
        raise errors.SourceInvalid(path=path, source="compressed", reason=str(error)) from None
    try:
        return head, finding.recognise(head, importers.values())
    except Unparsable as error:
        raise errors.Unrecognised(path=path, reason=str(error)) from None


@contextmanager
def _faults_of(importer: Importer, path: str) -> Iterator[None]:
    """Makes whatever goes wrong in an importer (anybody may ship one) an error of its source, which is then left out,
    whole, and does not stop the batch."""
    try:
        yield
    except errors.SessionstoreError:
        raise
    except Unparsable as error:
        raise errors.SourceInvalid(path=path, source=importer.title, reason=str(error)) from None
    except OSError as error:
        raise errors.ReadFailed(path=path, reason=(error.strerror or str(error)).lower()) from error
    except Exception as error:
        reason = f"the importer failed ({type(error).__name__}: {error}); please report this"
        raise errors.SourceInvalid(path=path, source=importer.title, reason=reason) from error


def own_key(importer: Importer, path: str, native_id: str) -> str:
    """The key a session has by itself, whatever else is stored."""
    return layout.session_key(importer.source, native_id, os.path.dirname(path) if importer.scoped else None)


def _all_purged(head: Head, importer: Importer, candidate: Candidate, purged: Container[str]) -> bool:
    """Whether every session of a source was purged. A source of lines whose beginning says so is read to its end,
    because further lines could begin other sessions."""

    def gone(drafts: list[Draft]) -> bool:
        return bool(drafts) and all(own_key(importer, candidate.path, one.native_id) in purged for one in drafts)

    found = gone(finding.drafts_in(importer, head, candidate.members))
    if not found or head.whole or not importer.by_line:
        return found
    return gone(finding.drafts_in(importer, head, candidate.members, to_the_end=True))


def _resumable(candidate: Candidate, importer: Importer, stat: Stat) -> bool:
    """Whether the journal lets us go on where the last reading of this file stopped."""
    previous = candidate.previous
    return (
        previous is not None
        and not importer.companions
        and previous.get("resume") is not None
        and previous["importer"] == {"name": importer.source, "version": importer.version}
        and stat.size >= previous["original"]["bytes"] > 0
    )


def _still_the_same(descriptor: int, candidate: Candidate, before: Stat, importer: Importer, stream: _Stream) -> None:
    """Raises `SourceChanged` when what was read may never have been there at once: any change of a source that is not
    of lines; of lines anything but growth."""
    after = Stat.of(os.fstat(descriptor))
    for member in candidate.members:
        try:
            same = Stat.of(os.lstat(member.path))[:4] == member.stat[:4]
        except OSError:
            same = False
        if not same:
            raise errors.SourceChanged(path=member.path)
    if (after.size, after.mtime_ns) == (before.size, before.mtime_ns):
        return
    if not importer.by_line or after.size < before.size or not stream.is_still_there():
        raise errors.SourceChanged(path=candidate.path)


def _read(
    store: Store,
    importer: Importer,
    candidate: Candidate,
    stream: _Stream,
    flush: fsio.Flush,
    spool: Spool | None,
    grown: bool,
    beside: list[Line],
) -> tuple[list[Taken], Source]:
    previous = candidate.previous or {}
    bases = _bases(store, previous) if grown else None
    if bases is None:
        grown = False
        stream.rewind()
    if grown:
        state = _unpacked_state(previous["resume"])
        source = Source(
            candidate.path,
            stream.blocks(previous["offset"]),
            account=_earlier_account(previous),
            resumed=state["importer"],
            file_issues=state["issues"],
        )
    else:
        source = Source(
            candidate.path,
            stream.blocks(0),
            size=stream.stat.size,
            companions=companions_of(store, beside),
            copied=partial(material.copied, directory=store.temp.directory),
        )
    sessions: dict[Draft, Taken] = {}
    by_native_id = bases or {}
    for draft, message in importer.read(source):
        taken = sessions.get(draft)
        if taken is None:
            taken = sessions[draft] = _begin(store, draft, by_native_id, flush, spool)
        taken.add(message)
    source.settle()
    for draft in source.drafts:
        if draft not in sessions:
            sessions[draft] = _begin(store, draft, by_native_id, flush, spool)
    return [sessions[draft] for draft in source.drafts], source


def _begin(
    store: Store, draft: Draft, bases: Mapping[str, dict[str, Any]], flush: fsio.Flush, spool: Spool | None
) -> Taken:
    base = bases.get(draft.native_id)
    composer = Composer(store.objects, flush, base)
    return Taken(draft, composer, base, spool, encoded=composer.count)


def _earlier_account(previous: Line) -> Account:
    """The account of the grown source so far, without the torn line that is about to be read again."""
    counted = previous["account"]
    rejected = [(number, reason) for number, reason in counted["rejected"]]
    torn = previous["offset"] < previous["original"]["bytes"]
    return Account(
        counted["records"] - torn, counted["mapped"], counted["preserved"], rejected[:-1] if torn else rejected
    )


def _resume_state(source: Source) -> str:
    """What a later reading goes on from, packed small: journals are read whole by every run, and only files that
    have grown need it."""
    issues = {code: list(entry) for code, entry in source.file_issues.items() if code != TORN}
    state = canonical.dumps({"importer": source.resume, "issues": issues})
    return base64.b64encode(objects.compress(state)).decode()


def _unpacked_state(packed: str) -> dict[str, Any]:
    state = canonical.loads(objects.decompress(base64.b64decode(packed), "resume"))
    return {"importer": state["importer"], "issues": {code: tuple(entry) for code, entry in state["issues"].items()}}


def _bases(store: Store, previous: Line) -> dict[str, dict[str, Any]] | None:
    """The stored revisions that the grown source's sessions go on from, or None when one is no longer there."""
    found = {}
    for session in previous["sessions"]:
        try:
            found[session["native_id"]] = store.load_revision(session["revision"])
        except errors.SessionstoreError:
            return None
    return found


def rule_of(first: bytes, *, by_line: bool) -> str:
    """The chunk rule for a file: lines, a JSON document, or anything else (databases, archives, compressed files)."""
    if by_line and reading.compression(first) is None:
        return "L1"
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return "E1" if text[:1] in (b"{", b"[") else "B1"


class _Stream:
    """The bytes of one file on their way to the importer: hashed, cut into chunks and stored as they pass."""

    def __init__(
        self,
        store: Store,
        descriptor: int,
        candidate: Candidate,
        stat: Stat,
        importer: Importer,
        flush: fsio.Flush,
        head: Head,
    ) -> None:
        self._store, self._descriptor, self._path, self._flush = store, descriptor, candidate.path, flush
        self.stat, self.packing = stat, reading.compression(head.first)
        self._previous = candidate.previous
        self._rule = rule_of(head.first, by_line=importer.by_line)
        self.rewind()

    def rewind(self) -> None:
        """Start at the file's beginning, with nothing taken over."""
        self._hash = hashlib.sha256()
        self._chunker = Chunker(self._rule)
        self._chunks: list[dict[str, Any]] = []
        self._start = 0
        self._kept = b""
        self.fresh = 0

    def prefix_is_unchanged(self) -> bool:
        """Whether the file still begins with the bytes that were imported; then only what follows, and the open last
        chunk before it, is taken in. A last line that was complete without a LF must still be."""
        assert self._previous is not None
        original = self._previous["original"]
        start = original["bytes"] - original["chunks"][-1]["bytes"]
        kept = b"".join(self._between(start, original["bytes"]))
        hashed = hashlib.sha256()
        for block in chain(self._between(0, start), [kept]):
            hashed.update(block)
        if hashed.hexdigest() != original["sha256"] or not self._line_ended(kept, original["bytes"]):
            return False
        self._hash, self._chunks, self._kept = hashed, original["chunks"][:-1], kept
        self._start = original["bytes"]
        for chunk in self._chunker.feed(kept):
            self._put(chunk)
        return True

    def is_still_there(self) -> bool:
        """Whether the file still begins with the bytes that were read."""
        hashed = hashlib.sha256()
        for block in self._between(0, self.stat.size):
            hashed.update(block)
        return hashed.digest() == self._hash.digest()

    def _between(self, start: int, end: int) -> Iterator[bytes]:
        return reading.blocks(self._descriptor, self._path, start, end)

    def _line_ended(self, kept: bytes, end: int) -> bool:
        assert self._previous is not None
        whole = self._previous["offset"] == end and not kept.endswith(b"\n")
        return not whole or reading.at(self._descriptor, self._path, end, 1) in (b"", b"\n")

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The unpacked blocks from `offset` (before or at the point that has been hashed so far)."""
        return reading.unpacked(self._raw(offset), self.packing)

    def _raw(self, offset: int) -> Iterator[bytes]:
        begin = self._start - len(self._kept)
        if offset < begin:  # the line that was torn is longer than the open chunk
            yield from self._between(offset, self._start)
        elif offset < self._start:
            yield self._kept[offset - begin :]
        for block in self._between(self._start, self.stat.size):
            self._hash.update(block)
            for chunk in self._chunker.feed(block):
                self._put(chunk)
            yield block

    def finish(self) -> None:
        """Store the open last chunk. Every byte must have passed."""
        last = self._chunker.finish()
        if last:
            self._put(last)
        if sum(chunk["bytes"] for chunk in self._chunks) != self.stat.size:
            raise errors.VerificationFailed(path=self._path, reason="not every byte of it was read")

    def _put(self, chunk: bytes) -> None:
        name = self._store.objects.put(chunk, objects.CHUNK, self._flush)
        self._chunks.append({"id": name, "bytes": len(chunk)})
        self.fresh += 1

    def original(self) -> dict[str, Any]:
        """The entry for a revision's `originals`."""
        return {"sha256": self._hash.hexdigest(), "bytes": self.stat.size, "chunks": self._chunks}


def read_only(candidate: Candidate, importers: Mapping[str, Importer]) -> tuple[Account, int, str]:
    """Read a source without storing anything; returns its account, its number of sessions and its format.
    Raises `SessionstoreError` as `take_in` does."""
    descriptor, stat = reading.open_file(candidate.path)
    try:
        head, importer = _recognise(descriptor, candidate.path, stat, finding.among(candidate, importers))
        packed = reading.blocks(descriptor, candidate.path, 0, stat.size)
        source = Source(candidate.path, reading.unpacked(packed, reading.compression(head.first)))
        beside = [Companion(one.name, one.stat.size, reading.later(one.path)) for one in candidate.members]
        source.companions = {one.name: one for one in beside}
        with _faults_of(importer, candidate.path):
            for _ in importer.read(source):
                pass
    finally:
        os.close(descriptor)
    return source.account, len(source.drafts), importer.source

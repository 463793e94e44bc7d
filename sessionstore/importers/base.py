"""What an importer is: a pure reader that turns the bytes of one source into sessions and an account of them.

An importer never writes, never opens anything but the bytes it is handed, never reads the environment, never
executes what it reads, and never imports the store. It sees one source (usually one file) at a time:

    for draft, message in importer.read(source):
        ...                      # messages in the source's own record order, growth is always an append

and when the generator is exhausted, `source.drafts` hold the final session fields and `source.account` says
what became of every record: mapped, preserved or rejected, the three adding up to what the source holds.

Every importer module reads the same way: where the format lives (`places`), how it is recognised by content
(`recognise`), what its records are, how they map (`read`), what the source had already lost (`draft.issue`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sessionstore.importers import material
from sessionstore.importers.material import Archive, Companion, Database
from sessionstore.importers.parsing import FLAGS, Unparsable, parse

Message = dict[str, Any]
"""One message in the unified form: see `sessionstore.models.Message`."""

MAX_LINE = 128 << 20
"""A single record longer than this many bytes is rejected unparsed (its bytes are still kept)."""
MAX_DOCUMENT = 256 << 20
"""A document (a source that must be parsed whole) larger than this many bytes is refused."""
HEAD = 64 << 10
"""As many bytes are enough to tell what kind of file it is, unless its records are very long."""
TORN = "torn-last-line"
"""The issue of a file whose last line was unfinished; the only one that growth takes back."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a person's files are on this machine; made by the command line, the only reader of the environment."""

    home: Path
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """A directory where a format may live. `root` may not exist. Native ids that are unique only inside one
    root are scoped by it."""

    root: Path


class Head:
    """The beginning of a file, for recognising its format by content.

    `name` is the file's path, with `/` separators: a hint only. `data` is its beginning, already decompressed;
    `whole` tells whether that is everything, `first` are the file's first bytes as they lie on disk, `path` is where
    its content can be looked at when it is a database or an archive (never by an importer itself).
    """

    def __init__(
        self,
        name: str,
        data: bytes,
        whole: bool,
        every: Callable[[], Iterable[bytes]] | None = None,
        first: bytes = b"",
        path: str | None = None,
    ) -> None:
        self.name = name
        self.data = data
        self.whole = whole
        self._every = every
        self.first = first
        self._path = path

    @cached_property
    def tables(self) -> dict[str, frozenset[str]]:
        """Of a SQLite database the columns of every plain table, by table; else empty. Raises `Unparsable` for a
        damaged database."""
        if not self.data.startswith(material.SQLITE) or self._path is None:
            return {}
        with Database(self._path, immutable=True) as database:
            return database.tables

    @cached_property
    def members(self) -> list[str]:
        """Of a zip file the names of its members; else empty. Raises `Unparsable` for a damaged archive."""
        if not self.data.startswith(material.ZIP) or self._path is None:
            return []
        with Archive(self._path) as archive:
            return list(archive.members)

    def member(self, name: str) -> Head:
        """The beginning of a member of a zip file. Raises `Unparsable`."""
        assert self._path is not None
        data = b""
        with Archive(self._path) as archive:
            for block in archive.blocks(name):
                data += block
                if len(data) > HEAD:
                    break
        return Head(name, data[:HEAD], len(data) <= HEAD, lambda: self._unpacked(name))

    def _unpacked(self, name: str) -> Iterator[bytes]:
        assert self._path is not None
        with Archive(self._path) as archive:
            yield from archive.blocks(name)

    def blocks(self) -> Iterable[bytes]:
        """The whole file, decompressed, in blocks."""
        return [self.data] if self.whole or self._every is None else self._every()

    def first_line(self) -> bytes:
        """The whole first line, also when it is longer than the head; at most `MAX_LINE` bytes of it."""
        found: list[bytes] = []
        size = 0
        for block in self.blocks():
            line, feed, _ = block.partition(b"\n")
            found.append(line)
            size += len(line)
            if feed or size > MAX_LINE:
                break
        return b"".join(found)[:MAX_LINE]

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the top-level JSON object that the head shows; none when it is no object. They tell cheaply
        whether a long document is worth parsing."""
        return material.first_keys(_without_bom(self.data))

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The JSON objects on the complete lines of the head (at most 400), unparsable lines left out."""
        lines = self.data.split(b"\n")
        if not self.whole and len(lines) > 1:
            lines.pop()
        found = []
        for raw in lines[:400]:
            try:
                value, _ = parse(raw)
            except Unparsable:
                continue
            if isinstance(value, dict):
                found.append(value)
        return found

    @cached_property
    def document(self) -> Any:
        """The file parsed as one JSON document, or None when it is not one."""
        text = self.data.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text[:1] not in (b"{", b"["):
            return None
        data: list[bytes] = []
        size = 0
        for block in self.blocks():
            data.append(block)
            size += len(block)
            if size > MAX_DOCUMENT:
                return None
        try:
            return parse(_without_bom(b"".join(data)))[0]
        except Unparsable:
            return None


@dataclass(slots=True)
class Account:
    """What became of a source's records. `records` is counted while reading, the others as they are mapped."""

    records: int = 0
    mapped: int = 0
    preserved: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    """(record number from 1, reason)"""

    @property
    def adds_up(self) -> bool:
        """True when every record is accounted for exactly once."""
        return self.mapped + self.preserved + len(self.rejected) == self.records


@dataclass(slots=True, eq=False)
class Draft:
    """One session as an importer has understood it; final when the importer's generator is exhausted.

    Counts, token totals, models and the first and last message time are added up by whoever stores the draft;
    `created_at`/`updated_at` are set here only when the source states them itself.
    """

    native_id: str
    aliases: list[str] = field(default_factory=list)
    title: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    cwd: str | None = None
    project: str | None = None
    git: dict[str, str] = field(default_factory=dict)
    forked_from: dict[str, str] | None = None
    """{"key": "<source>:<native id>", "message"?: id, "relation": "fork" | "subagent" | "resume"}"""
    active_leaf: str | None = None
    system: list[Any] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    issues: dict[str, list[Any]] = field(default_factory=dict)
    x: dict[str, Any] = field(default_factory=dict)

    def issue(self, code: str, note: str | None = None, n: int = 1) -> None:
        """Report `n` more occurrences of something the source had already lost or contradicts itself about.

        `code` is a short kebab-case name, `note` one plain sentence (the first one given is kept)."""
        entry = self.issues.setdefault(code, [0, note])
        entry[0] += n

    def state(self) -> dict[str, Any]:
        """The draft as plain JSON data, to go on from later with `Draft.resumed`."""
        return {name: value for name in _DRAFT_FIELDS if (value := getattr(self, name))}

    @classmethod
    def resumed(cls, state: Mapping[str, Any]) -> Draft:
        """The draft that `state` was taken from."""
        return cls(**{name: state[name] for name in _DRAFT_FIELDS if name in state})


_DRAFT_FIELDS = tuple(Draft.__dataclass_fields__)


class Source:
    """The bytes of one source, handed to an importer.

    `blocks` is the content in order (any block size), already decompressed. `name` is the file's path,
    `/`-separated: a hint, never an identity. With `resumed` (what `resume` was at the
    end of an earlier read of the same, since grown source) the blocks start where that read stopped; `records`
    then goes on counting and the importer goes on from `resumed`. An importer that can go on sets `resume` to
    plain JSON data before its generator ends; one that must start over leaves it None.

    What the blocks are is read in one of these ways, once: `records` (one JSON object a line), `document` (one JSON
    text), `elements` (a JSON array, one element at a time), `database` (SQLite), `archive` (zip). `companions` are the
    files that belong to this one, by their path relative to its directory: see `Importer.companions`.
    """

    def __init__(
        self,
        name: str,
        blocks: Iterable[bytes],
        *,
        size: int = 0,
        account: Account | None = None,
        resumed: dict[str, Any] | None = None,
        file_issues: Mapping[str, tuple[int, str | None]] | None = None,
        companions: Mapping[str, Companion] | None = None,
        copied: Callable[[Source], AbstractContextManager[str]] | None = None,
    ) -> None:
        self.name = name
        self.size = size
        self.blocks = blocks
        self.account = account or Account()
        self.resumed = resumed
        self.resume: dict[str, Any] | None = None
        self.drafts: list[Draft] = []
        self.torn = 0
        """Bytes of an unfinished last line: a later read starts again at its beginning."""
        self.file_issues: dict[str, tuple[int, str | None]] = dict(file_issues or {})
        """Issues of the file rather than of one session: code to (how often, note)."""
        self.companions: dict[str, Companion] = dict(companions or {})
        self._copied = copied or material.copied

    @classmethod
    def of(cls, data: bytes, name: str = "", companions: Mapping[str, bytes] | None = None) -> Source:
        """A source of bytes in memory, and companions likewise."""
        beside = {
            other: Companion(other, len(content), lambda content=content: [content])  # type: ignore[misc]
            for other, content in (companions or {}).items()
        }
        return cls(name, [data], size=len(data), companions=beside)

    def draft(self, native_id: str) -> Draft:
        """A new session found in this source."""
        draft = Draft(native_id)
        self.drafts.append(draft)
        return draft

    def mapped(self, n: int = 1) -> None:
        """Count `n` records as understood (or as the repetition of one that is)."""
        self.account.mapped += n

    def preserved(self, n: int = 1) -> None:
        """Count `n` records as kept verbatim without being understood."""
        self.account.preserved += n

    def reject(self, reason: str, record: int | None = None) -> None:
        """Count a record (the last one read unless numbered) as not taken over, and say why."""
        self.account.rejected.append((record or self.account.records, reason))

    def note(self, code: str, note: str | None = None) -> None:
        """Report an issue of the file rather than of one session: it is told of the file's first session."""
        n, first = self.file_issues.get(code, (0, note))
        self.file_issues[code] = (n + 1, first)

    def settle(self) -> None:
        """Tell the first session of the file's own issues. Called once, when reading has ended."""
        if self.drafts:
            for code, (n, note) in self.file_issues.items():
                self.drafts[0].issue(code, note or FLAGS.get(code), n)

    def lines(self) -> Iterator[bytes]:
        """The lines without their line feed, split at LF only. An unfinished last line is yielded as well, and
        `torn` is its length while it is."""
        rest: list[bytes] = []
        size = 0
        for block in self.blocks:
            first, *parts = block.split(b"\n")
            size += len(first)
            if size <= MAX_LINE:
                rest.append(first)
            if parts:
                yield self._joined(rest, size)
                yield from parts[:-1]
                rest, size = [parts[-1]], len(parts[-1])
        if size:
            self.torn = size
            yield self._joined(rest, size)

    def _joined(self, pieces: list[bytes], size: int) -> bytes:
        """A line from its pieces; one that is longer than `MAX_LINE` was not collected and counts as empty."""
        if size <= MAX_LINE:
            return b"".join(pieces)
        self.account.records += 1
        self.reject(f"a record of {size} bytes is over the limit of {MAX_LINE}")
        return b""

    def records(self) -> Iterator[dict[str, Any]]:
        """The JSON object of every line, counted in `account.records`; blank lines are none. Lines that are not
        a JSON object are rejected here with their reason."""
        account = self.account
        first = account.records == 0
        for raw in self.lines():
            if first:
                raw, first = self._start(raw), False
            if not raw or raw.isspace():
                if self.torn:
                    self.torn = 0
                continue
            account.records += 1
            try:
                value, flags = parse(raw)
            except Unparsable as error:
                self._unparsable(str(error))
                continue
            self.torn = 0
            for flag in flags:
                self.note(flag)
            if isinstance(value, dict):
                yield value
            else:
                self.reject("not a JSON object")

    def document(self) -> Any:
        """The whole source as one JSON document. Raises `Unparsable`. The importer counts its records itself,
        with `account.records`."""
        data = b"".join(self.blocks)
        if len(data) > MAX_DOCUMENT:
            raise Unparsable(f"{len(data)} bytes are over the limit of {MAX_DOCUMENT} for one document")
        return self.parsed(self._start(data))

    def parsed(self, raw: bytes) -> Any:
        """One JSON text; what could not be taken over exactly becomes an issue of the file. Raises `Unparsable`."""
        value, flags = parse(raw)
        for flag in flags:
            self.note(flag)
        return value

    def elements(self, blocks: Iterable[bytes] | None = None) -> Iterator[Any]:
        """The elements of the source's (or the given blocks') top-level JSON array, parsed one at a time, each counted
        as a record; a source that is one other JSON text is one element. Elements that cannot be parsed are rejected
        here with their reason. Raises `Unparsable` when nothing can be read at all."""
        for raw in material.elements(self.blocks if blocks is None else blocks):
            self.account.records += 1
            try:
                yield self.parsed(raw)
            except Unparsable as error:
                self._unparsable(str(error))

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The source as a SQLite database: a private copy, with its write-ahead log if it has one. Raises
        `Unparsable`."""
        with self._copied(self) as path, Database(path) as database:
            yield database

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        """The source as a zip file. Raises `Unparsable`."""
        with self._copied(self) as path, Archive(path) as archive:
            yield archive

    def _start(self, raw: bytes) -> bytes:
        text = _without_bom(raw)
        if len(text) != len(raw):
            self.note("byte-order-mark", "the file begins with a byte order mark")
        return text

    def _unparsable(self, reason: str) -> None:
        if self.torn:
            self.reject("torn last line, still being written or cut off")
            self.note(TORN, "the last line was unfinished when the file was read")
        else:
            self.reject(reason)
            self.note("unparsable-record", f"a record could not be read: {reason}")


def _without_bom(raw: bytes) -> bytes:
    if raw.startswith(b"\xef\xbb\xbf"):
        return raw[3:]
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace").encode("utf-8", "replace")
    return raw


class Importer:
    """Base of every importer; subclasses set the class variables and override the three methods."""

    source: ClassVar[str]
    """The format's name, the first half of its session keys."""
    version: ClassVar[int] = 1
    """Raised whenever the same bytes would give other messages; re-imports then name their parent."""
    title: ClassVar[str]
    """What people call the program."""
    versions: ClassVar[str] = ""
    """Which versions and variants of the format are read, in a few words."""
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    """Lower-case endings of the file names worth looking into."""
    scoped: ClassVar[bool] = False
    """True when native ids are unique only inside one root."""
    window: ClassVar[int | None] = None
    """How many non-system messages the source keeps when it keeps only the latest, else None."""
    by_line: ClassVar[bool] = True
    """True for files of one record a line that only grow; False for everything that is rewritten."""
    container: ClassVar[bool] = False
    """True when one source holds many sessions (an export, a database): a new state of it is no new state of those
    sessions in it that have not changed."""
    turns: ClassVar[bool] = False
    """True when a source holds some turns of a session and other sources the others: they are joined, by time."""
    leads: ClassVar[tuple[str, ...]] = ()
    """File-name patterns of the file that stands for several that are one source, the best first: the first pattern
    that a file of the directory fits names the lead. Without any, every file of the format stands for itself, and
    companions are shared. A pattern of several steps (`session/*/*.json`) is for programs that spread what belongs
    together over a tree: the last file that fits and is recognised stands for the tree, and the patterns of the
    companions begin at the tree's root."""
    companions: ClassVar[tuple[str, ...]] = ()
    """Path patterns (`fnmatch` for each step, relative to the lead's directory, `..` allowed as the first step) of the
    files that belong to the lead; `{stem}` is the lead's name without its ending. A database's write-ahead log always
    does."""

    def places(self, machine: Machine) -> Iterable[Place]:
        """Where this format lives on Linux, macOS and Windows."""
        raise NotImplementedError

    def recognise(self, head: Head) -> bool:
        """Whether the file is of this format, by its content."""
        raise NotImplementedError

    def accepts(self, head: Head) -> bool:
        """Whether the file can be of this format, asked when a person has named the format: more than `recognise`
        where several formats share a shape that only one of them recognises."""
        return self.recognise(head)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The source's messages, each with the session it belongs to. Raises `Unparsable` for a document that
        cannot be read at all."""
        raise NotImplementedError

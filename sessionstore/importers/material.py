"""What a source may be besides one stream of lines: a database, an archive, a file with companions, a long array.

Importers are handed these views and never open anything themselves. All of it is hostile: counts and sizes are bounded,
no name of a member ever becomes a path, and of a database only plain tables are read.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, Protocol

from sessionstore.importers.parsing import Flags, Unparsable, parse

SQLITE = b"SQLite format 3\x00"
ZIP = b"PK\x03\x04"
LOG = "-wal"
"""What the name of a SQLite database's write-ahead log ends with."""
BOM = b"\xef\xbb\xbf"
MAX_ELEMENT = 512 << 20
"""One element of a top-level array may be this many bytes long."""
MAX_VALUE = 512 << 20
"""One value of a database may be this many bytes long."""
MAX_MEMBERS = 500_000
MAX_UNZIPPED = 8 << 30
MAX_RATIO = 400
"""A member may not unpack to more than this many times its packed size (beyond the first 64 MiB)."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that belongs to a source: its path relative to the source's own directory, its size, its bytes."""

    name: str
    size: int
    blocks: Callable[[], Iterable[bytes]]

    def read(self, most: int = MAX_ELEMENT) -> bytes:
        """All bytes. Raises `Unparsable` when there are more than `most`."""
        if self.size > most:
            raise Unparsable(f"{self.name} has {self.size} bytes, over the limit of {most}")
        return b"".join(self.blocks())

    def document(self) -> tuple[Any, Flags]:
        """The file as one JSON text, with the names of what could not be taken over exactly. Raises `Unparsable`."""
        return parse(self.read().removeprefix(BOM))


class Bytes(Protocol):
    """What has blocks and companions: a source."""

    name: str
    blocks: Iterable[bytes]
    companions: dict[str, Companion]


@contextmanager
def copied(source: Bytes, directory: str | None = None) -> Iterator[str]:
    """The path of a private copy of a source's bytes, and beside it of its write-ahead log; both are gone afterwards.
    The copy lies in `directory`, else where temporary files lie."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as place:
        path = f"{place}/copy"
        with open(path, "xb") as file:
            for block in source.blocks:
                file.write(block)
        log = source.companions.get(source.name.rsplit("/", 1)[-1] + LOG)
        if log is not None:
            with open(path + LOG, "xb") as file:
                for block in log.blocks():
                    file.write(block)
        yield path


class Database:
    """A private copy of a SQLite database, opened so that nothing in it can run, write or read for ever."""

    def __init__(self, path: str, *, immutable: bool = False) -> None:
        """Open the copy at `path`; `immutable` when it is the user's own file, of which only the layout is looked at.
        Raises `Unparsable`."""
        if not immutable and _is_cut_off(path):
            raise Unparsable("damaged database (cut off)")
        mode = "mode=ro&immutable=1" if immutable else "mode=rw"
        try:
            self._connection = sqlite3.connect(f"{PurePath(path).as_uri()}?{mode}", uri=True, check_same_thread=False)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            self._connection.text_factory = _text
            for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
                self._connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise Unparsable(f"not a readable database ({error})") from None

    def close(self) -> None:
        """Close the copy."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def tables(self) -> dict[str, frozenset[str]]:
        """The columns of every plain table (no views, no virtual tables). Raises `Unparsable`."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        names = [row[0] for row in self._run(query) if isinstance(row[0], str)]
        return {name: frozenset(row[1] for row in self._run(f"PRAGMA table_info({_quoted(name)})")) for name in names}

    def rows(
        self, table: str, columns: Sequence[str] = (), order: str = "rowid", where: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The rows of a plain table as dictionaries, all columns unless some are named, ordered by the columns in
        `order` (comma-separated). `where` compares columns with values, a `%` at the end of a text value matching any
        rest. A table or a column that is not there gives no rows or no such key. Raises `Unparsable` for a damaged
        database."""
        known = self.tables.get(table)
        if known is None:
            return
        wanted = [name for name in columns if name in known] if columns else sorted(known)
        if not wanted:
            return
        conditions, values = [], []
        for name, value in (where or {}).items():
            if name not in known:
                return
            prefix = isinstance(value, str) and value.endswith("%")
            conditions.append(f"{_quoted(name)} GLOB ?" if prefix else f"{_quoted(name)} IS ?")
            values.append(_glob(value[:-1]) + "*" if prefix else value)
        ordered = [name.strip() for name in order.split(",")]
        by = ", ".join(_quoted(name) for name in ordered if name in known or name == "rowid")
        query = f"SELECT {', '.join(map(_quoted, wanted))} FROM {_quoted(table)}"
        query += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        query += f" ORDER BY {by}" if by else ""
        for row in self._run(query, values):
            yield dict(zip(wanted, row, strict=True))

    def count(self, table: str) -> int:
        """How many rows a plain table has; 0 when there is none of that name."""
        if table not in self.tables:
            return 0
        return int(next(self._run(f"SELECT count(*) FROM {_quoted(table)}"))[0])

    def _run(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                yield from cursor
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeDecodeError) as error:
            raise Unparsable(f"damaged database ({error})") from None


def _is_cut_off(path: str) -> bool:
    """Whether a database is shorter than its header says: SQLite itself would read what is missing as empty rows."""
    with open(path, "rb") as file:
        head = file.read(100)
        size = file.seek(0, 2)
    if not head.startswith(SQLITE) or len(head) < 100 or head[24:28] != head[92:96]:
        return False
    page = int.from_bytes(head[16:18], "big")
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big") > size


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("\0", "") + '"'


def _glob(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


class Archive:
    """A zip file: its members by name, unpacked in bounded blocks. Names are names only, never paths."""

    def __init__(self, path: str) -> None:
        """Open the file at `path`. Raises `Unparsable`."""
        import zipfile

        try:
            self._zip = zipfile.ZipFile(path)
            infos = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError) as error:
            raise Unparsable(f"not a readable zip file ({error})") from None
        if len(infos) > MAX_MEMBERS:
            raise Unparsable(f"a zip file with {len(infos)} members is over the limit of {MAX_MEMBERS}")
        self.members: dict[str, int] = {info.filename: info.file_size for info in infos if not info.is_dir()}
        """name to unpacked size as the file states it (believed by nobody), in the file's order"""

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, name: str) -> Iterator[bytes]:
        """A member's bytes. Raises `Unparsable` for a damaged, encrypted or bomb-like one."""
        from zipfile import BadZipFile

        given = 0
        try:
            packed = self._zip.getinfo(name).compress_size
            with self._zip.open(name) as member:
                while block := member.read(_BLOCK):
                    given += len(block)
                    if given > min(MAX_UNZIPPED, (64 << 20) + packed * MAX_RATIO):
                        raise Unparsable(f"{name} unpacks to far more than a conversation does")
                    yield block
        except Unparsable:
            raise
        except (BadZipFile, zlib.error, EOFError, OSError, RuntimeError, KeyError, ValueError) as error:
            raise Unparsable(f"{name} cannot be unpacked ({error})") from None

    def read(self, name: str, most: int = MAX_ELEMENT) -> bytes:
        """All bytes of a member. Raises `Unparsable` when there are more than `most`."""
        found, size = [], 0
        for block in self.blocks(name):
            size += len(block)
            if size > most:
                raise Unparsable(f"{name} has more than {most} bytes")
            found.append(block)
        return b"".join(found)


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|["{}\[\],]', re.DOTALL)
_KEYED = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]:]', re.DOTALL)
_STRING_REST = re.compile(rb'(?:[^"\\]|\\.)*+("?)', re.DOTALL)


def first_keys(text: bytes) -> frozenset[str]:
    """The keys of a top-level JSON object that a text, which may be cut off, shows; none when it is no object."""
    keys: set[str] = set()
    depth, last = 0, b""
    for match in _KEYED.finditer(text):
        token = match[0]
        if token[:1] == b'"':
            last = token
        elif token == b":":
            if depth == 1:
                keys.add(last[1:-1].decode("utf-8", "replace"))
        elif token in b"{[":
            depth += 1
            if depth == 1 and (token == b"[" or text[: match.start()].strip()):
                break
        else:
            depth -= 1
            if depth <= 0:
                break
    return frozenset(keys)


def elements(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The elements of a top-level JSON array as raw bytes, one by one, without holding more than one of them; a text
    that is no array is one element. Raises `Unparsable` when the array is cut off or an element is over the limit.
    What stands between the commas is not looked into: it is for `parse` to tell whether it is JSON."""
    scanner = _Scanner()
    for block in blocks:
        yield from scanner.feed(block)
    yield from scanner.finish()


class _Scanner:
    """Cuts the stream at the commas of the outermost array."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = 0
        """up to where `_rest` has been looked at"""
        self._depth = 0
        self._start = -1
        """where in `_rest` the element begins; -1 before the array has begun"""
        self._in_string = False
        self._other = False
        """whether the text is no array"""
        self._ended = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._rest += block
        if self._start < 0 and not self._other and not self._begin():
            return
        if self._other or self._ended:
            self._check()
            return
        position = self._string_end() if self._in_string else self._seen
        for match in () if self._in_string else _STRUCTURE.finditer(self._rest, position):
            token = self._rest[match.start()]
            if token == 0x22:
                if match.end() - match.start() == 1:  # a string that does not end here
                    self._in_string, self._seen = True, match.end()
                    position = self._string_end()
                    break
            elif token in b"{[":
                self._depth += 1
            elif token in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    if self._rest[self._start : match.start()].strip():
                        yield bytes(self._rest[self._start : match.start()])
                    self._ended, position = True, match.end()
                    break
            elif self._depth == 1:
                yield bytes(self._rest[self._start : match.start()])
                self._start = match.end()
            position = match.end()
        if not self._ended:
            cut = self._start
            del self._rest[:cut]
            self._seen, self._start = position - cut, 0
        else:
            self._rest = self._rest[position:]
        self._check()

    def _string_end(self) -> int:
        """The position behind the string that has begun; when it goes on, behind what is known of it."""
        match = _STRING_REST.match(self._rest, self._seen)
        assert match is not None
        self._in_string = not match[1]
        return match.end()

    def _begin(self) -> bool:
        text = self._rest.removeprefix(BOM).lstrip(b" \t\r\n")
        if not text or BOM.startswith(self._rest):
            return False
        if text[:1] == b"[":
            self._rest = bytearray(text[1:])
            self._depth, self._start, self._seen = 1, 0, 0
        else:
            self._other = True
        return True

    def _check(self) -> None:
        if len(self._rest) > MAX_ELEMENT:
            raise Unparsable(f"an element is over the limit of {MAX_ELEMENT} bytes")

    def finish(self) -> Iterator[bytes]:
        if self._other:
            yield bytes(self._rest)
        elif self._start < 0:
            raise Unparsable("not JSON" if self._rest.strip() else "empty")
        elif not self._ended:
            raise Unparsable("cut off in the middle")
        elif self._rest.strip():
            raise Unparsable("more than one JSON text in a file")

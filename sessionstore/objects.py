"""Objects: immutable files named by the SHA-256 of their uncompressed bytes.

objects/ab/<sha256>.jsonl       a page (also .jsonl.zst once compacted)
objects/ab/<sha256>.raw.zst     one chunk of an original
objects/ab/<sha256>.bin         one large value (also .bin.zst once compacted)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from sessionstore import canonical, errors, fsio

# zstandard takes its time to load: whoever only looks at names does without it.

PAGE, CHUNK, VALUE = "jsonl", "raw", "bin"
KINDS = (PAGE, CHUNK, VALUE)
LEVEL = 1
"""zstd level of freshly written chunks: speed first (3 saves 7 % and takes two thirds longer), `compact` makes them
smaller."""
MAX_OBJECT = 1 << 31
"""No object may unpack to more bytes than this (a guard against decompression bombs in a foreign store)."""

_local = threading.local()


def compress(data: bytes, level: int = LEVEL) -> bytes:
    """One zstd frame that states its content size and carries a checksum."""
    import zstandard

    tools = _local.__dict__.setdefault("compressors", {})
    if level not in tools:
        tools[level] = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
    return bytes(tools[level].compress(data))


def decompress(data: bytes, name: str) -> bytes:
    """The content of a zstd frame. Raises `ObjectCorrupt`."""
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_OBJECT:
            raise errors.ObjectCorrupt(name=name)
        frame = zstandard.ZstdDecompressor().decompressobj()
        content = bytes(frame.decompress(data))
        if not frame.eof or frame.unused_data:
            raise errors.ObjectCorrupt(name=name)
        return content
    except zstandard.ZstdError:
        raise errors.ObjectCorrupt(name=name) from None


class Objects:
    """The `objects/` directory of one store."""

    def __init__(self, root: str, temp: fsio.Temp) -> None:
        self.root = f"{root}/objects"
        self._temp = temp
        self._listed: tuple[str, list[dict[str, Any]]] | None = None
        """the list of chunks that was asked for last: sessions of one export are asked for one after the other"""

    def path(self, name: str, kind: str, *, packed: bool) -> str:
        """Where an object lies when it is stored compressed (`packed`) or plain."""
        return f"{self.root}/{name[:2]}/{name}.{kind}{'.zst' if packed else ''}"

    def put(self, data: bytes, kind: str, flush: fsio.Flush | None = None) -> str:
        """Store bytes; returns their name. Durable when this returns, or with `flush`."""
        name = canonical.digest(data)
        self.put_named(name, data, kind, flush)
        return name

    def put_named(self, name: str, data: bytes, kind: str, flush: fsio.Flush | None = None) -> None:
        """Store bytes whose SHA-256 the caller has already computed."""
        for path in self._places(name, kind):
            if fsio.exists(path):
                if self._is_whole(path, name):
                    fsio.settle(path, flush)
                    return
                fsio.replace(self._temp, path, compress(data) if path.endswith(".zst") else data, flush)
                return
        packed = kind == CHUNK
        fsio.replace(self._temp, self.path(name, kind, packed=packed), compress(data) if packed else data, flush)

    def _places(self, name: str, kind: str) -> tuple[str, ...]:
        packed = self.path(name, kind, packed=True)
        return (packed,) if kind == CHUNK else (self.path(name, kind, packed=False), packed)

    def _is_whole(self, path: str, name: str) -> bool:
        """Whether a file holds the object it is named for. A power cut can leave a name without its bytes: then
        what is being stored takes its place."""
        try:
            return not fsio.is_doubtful(path) and canonical.digest(self._content(path, name)) == name
        except (errors.DamageError, FileNotFoundError):
            return False

    def _content(self, path: str, name: str) -> bytes:
        data = fsio.read_bytes(path)
        return decompress(data, name) if path.endswith(".zst") else data

    def chunks(self, original: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The chunks of an original, in order, each with `id` and `bytes`, whether the entry lists them itself or
        names the object that does. Raises `ObjectMissing`, `ObjectCorrupt`."""
        if "chunks_object" not in original:
            return list(original["chunks"])
        name = original["chunks_object"]
        if self._listed is None or self._listed[0] != name:
            self._listed = name, chunk_list(name, self.get(name, VALUE, check=True))
        return self._listed[1]

    def find(self, name: str, kind: str) -> str | None:
        """The path of the file that holds an object, or None when it is missing."""
        return next(filter(fsio.exists, self._places(name, kind)), None)

    def get(self, name: str, kind: str, *, check: bool = False) -> bytes:
        """An object's bytes; with `check` their hash is compared with the name.
        Raises `ObjectMissing`, `ObjectCorrupt` or `ReadFailed`."""
        for path in self._places(name, kind):
            try:
                data = self._content(path, name)
            except FileNotFoundError:
                continue
            if check and canonical.digest(data) != name:
                raise errors.ObjectCorrupt(name=name)
            return data
        raise errors.ObjectMissing(name=name)

    def all(self) -> Iterator[tuple[str, str, str]]:
        """(name, kind, path) of every object file; files that are not objects are left out."""
        for relative in fsio.walk(self.root, 1):
            parsed = parse_name(relative)
            if parsed:
                yield *parsed, f"{self.root}/{relative}"


def chunk_list(name: str, data: bytes) -> list[dict[str, Any]]:
    """The chunks that an object lists. Raises `ObjectCorrupt`."""
    try:
        return [{"id": str(chunk["id"]), "bytes": int(chunk["bytes"])} for chunk in canonical.loads(data)]
    except (ValueError, KeyError, TypeError):
        raise errors.ObjectCorrupt(name=name) from None


def parse_name(relative: str) -> tuple[str, str] | None:
    """(name, kind) of a path below `objects/`, or None when it is not an object's."""
    folder, _, file = relative.partition("/")
    name, _, ending = file.partition(".")
    kind = ending.removesuffix(".zst")
    if len(name) != 64 or name[:2] != folder or kind not in KINDS or ((kind == CHUNK) and ending == kind):
        return None
    return (name, kind) if all(c in "0123456789abcdef" for c in name) else None

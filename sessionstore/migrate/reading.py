"""Opening a source file: its stat signature, its compression, its bytes once."""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import zstandard

from sessionstore import errors, fsio
from sessionstore.importers.base import Head
from sessionstore.importers.parsing import Unparsable

BLOCK = 1 << 20
HEADS = (16 << 10, 256 << 10, 4 << 20)
"""How many bytes are looked at to recognise a format; more only while too few lines are complete."""
FEWEST_LINES = 3
MAX_UNPACKED = 8 << 30
MAX_RATIO = 400
"""A compressed source may not unpack to more than this many times its size (beyond the first 64 MiB)."""
_RACY_NS = 100_000_000
_ZSTD_SLICE = 1 << 10
"""Compressed bytes unpacked in one go: no more than 32 MiB can come of them."""
_OPEN_SOURCE = os.O_RDONLY
for _flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not blocking: opening a FIFO would wait
    _OPEN_SOURCE |= getattr(os, _flag, 0)


class Stat(NamedTuple):
    """What tells that a file is still the one that was read: any difference means it must be looked at again.
    Times are compared for equality only, never for order."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stat:
        """From `os.stat`."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)

    def racy(self, read_at_ns: int) -> bool:
        """Whether the file changed so shortly before it was read that a later change could go unseen."""
        return abs(read_at_ns - self.mtime_ns) < _RACY_NS or abs(read_at_ns - self.ctime_ns) < _RACY_NS


def open_file(path: str) -> tuple[int, Stat]:
    """A descriptor of a regular file and its stat. Raises `ReadFailed`."""
    try:
        descriptor = os.open(path, _OPEN_SOURCE)
    except OSError as error:
        raise fsio.failure(error, path, writing=False) from error
    status = os.fstat(descriptor)
    if not stat_module.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise errors.ReadFailed(path=path, reason="not a regular file")
    return descriptor, Stat.of(status)


def at(descriptor: int, path: str, position: int, size: int) -> bytes:
    """Up to `size` of the file's bytes from `position`. Raises `ReadFailed`."""
    try:
        return os.pread(descriptor, size, position)
    except OSError as error:
        raise fsio.failure(error, path, writing=False) from error


def blocks(descriptor: int, path: str, start: int, end: int) -> Iterator[bytes]:
    """The file's bytes from `start` up to `end`. Raises `SourceChanged` when it has become shorter meanwhile."""
    position = start
    while position < end:
        block = at(descriptor, path, position, min(BLOCK, end - position))
        if not block:
            raise errors.SourceChanged(path=path)
        position += len(block)
        yield block


def digest(path: str) -> str:
    """The SHA-256 of a file's bytes as they are now. Raises `ReadFailed`, `SourceChanged`."""
    descriptor, stat = open_file(path)
    try:
        hashed = hashlib.sha256()
        for block in blocks(descriptor, path, 0, stat.size):
            hashed.update(block)
    finally:
        os.close(descriptor)
    return hashed.hexdigest()


def later(path: str) -> Callable[[], Iterator[bytes]]:
    """The bytes of a file, read when they are asked for."""

    def read() -> Iterator[bytes]:
        descriptor, stat = open_file(path)
        try:
            yield from blocks(descriptor, path, 0, stat.size)
        finally:
            os.close(descriptor)

    return read


def compression(data: bytes) -> str | None:
    """ "gzip", "zstd" or None, by the first bytes."""
    if data.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if data.startswith(b"\x28\xb5\x2f\xfd") else None


def unpacked(packed: Iterator[bytes], kind: str | None) -> Iterator[bytes]:
    """The content of compressed blocks, in blocks of bounded size. Raises `Unparsable` for a damaged or a bomb-like
    file; real bytes are counted, headers are not believed."""
    if kind is None:
        yield from packed
        return
    counted = _Counted(packed)
    given = 0
    try:
        for piece in _gunzip(counted) if kind == "gzip" else _unzstd(counted):
            given += len(piece)
            if given > min(MAX_UNPACKED, (64 << 20) + counted.taken * MAX_RATIO):
                raise Unparsable("unpacks to far more than a conversation does")
            yield piece
    except (zlib.error, zstandard.ZstdError) as error:
        raise Unparsable(f"damaged {kind} data ({error})") from None


class _Counted:
    """An iterator of blocks as a file object that counts what it gives."""

    def __init__(self, packed: Iterator[bytes]) -> None:
        self._packed = packed
        self._rest = b""
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        data = self._rest or next(self._packed, b"")
        if 0 <= size < len(data):
            data, self._rest = data[:size], data[size:]
        else:
            self._rest = b""
        self.taken += len(data)
        return data


def _gunzip(packed: _Counted) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    while data := packed.read():
        while data:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            if piece := member.decompress(data, BLOCK):
                yield piece
            data = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise Unparsable("gzip data cut off in the middle")


def _unzstd(packed: _Counted) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = unpacker.decompressobj()
    while block := packed.read():
        for start in range(0, len(block), _ZSTD_SLICE):
            data = block[start : start + _ZSTD_SLICE]
            while data:
                if frame.eof:
                    frame = unpacker.decompressobj()
                if piece := frame.decompress(data):
                    yield piece
                data = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise Unparsable("zstd data cut off in the middle")


def head(descriptor: int, path: str, stat: Stat) -> Head:
    """The beginning of a file, decompressed, long enough to hold a few complete records where that is possible."""
    first = at(descriptor, path, 0, 4)
    kind = compression(first)

    def every() -> Iterator[bytes]:
        return unpacked(blocks(descriptor, path, 0, stat.size), kind)

    def load(most: int = MAX_UNPACKED) -> bytes:
        found, size = [], 0
        for block in every():
            found.append(block)
            size += len(block)
            if size >= most:
                break
        return b"".join(found)

    data, whole = b"", True
    for most in HEADS:
        data = at(descriptor, path, 0, most) if kind is None else load(most)
        whole = len(data) >= stat.size if kind is None else len(data) < most
        if whole or data.count(b"\n") >= FEWEST_LINES:
            break
    return Head(path.replace(os.sep, "/"), data, whole, every, first, path)

"""How the bytes of an original are cut into chunks, so that a source that grows costs only what is new.

Rule L1, for sources of lines: a chunk ends after a line that brings it to `MOST` bytes, or that brings it to `LEAST`
and whose CRC-32 (without its LF) is divisible by `ODDS`; a line that alone brings it past `HARD` is cut there. So an
insertion changes only the chunks around it. Rule E1, for JSON documents: the same with ``}`` in place of the LF, so
that next month's export, which has the same conversations at other places, shares the chunks between. Rule B1, for
everything else: blocks of `BLOCK` bytes.

All depend on the bytes only. The last chunk of a file is open: when the file grows, cutting starts again at its
beginning.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

LEAST = 512 << 10
MOST = 2 << 20
HARD = 8 << 20
ODDS = 256
BLOCK = 1 << 20


class Chunker:
    """Cuts a stream of blocks into chunks, by the rule of that name: L1, E1 or B1."""

    def __init__(self, rule: str) -> None:
        self._cut = _RULES[rule]
        self._pending = b""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Take the next bytes; gives the chunks that they complete."""
        self._pending = self._pending + block if self._pending else block
        while end := self._cut(self._pending):
            yield self._pending[:end]
            self._pending = self._pending[end:]

    def finish(self) -> bytes:
        """The last, open chunk; empty when there is none."""
        last, self._pending = self._pending, b""
        return last


def _block_cut(data: bytes) -> int:
    return BLOCK if len(data) >= BLOCK else 0


def _cut_after(mark: bytes, data: bytes) -> int:
    """Where the first chunk of `data` ends, or 0 when that cannot be told yet."""
    if len(data) < LEAST:
        return 0
    start = data.rfind(mark, 0, LEAST - 1) + 1
    while True:
        end = data.find(mark, start)
        if end < 0:
            return HARD if len(data) >= HARD else 0
        if end >= HARD:
            return HARD
        if end + 1 >= MOST or (end + 1 >= LEAST and zlib.crc32(data[start:end]) % ODDS == 0):
            return end + 1
        start = end + 1


_RULES: dict[str, Callable[[bytes], int]] = {
    "L1": partial(_cut_after, b"\n"),
    "E1": partial(_cut_after, b"}"),
    "B1": _block_cut,
}

"""What kind of JSON text a file is, told by its beginning: lines, one array, or one document.

The generic formats come in all three. Only as much is parsed as the beginning holds, because every file that no other
importer knows is shown to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Literal

from sessionstore import canonical
from sessionstore.importers.base import Head, Source
from sessionstore.importers.material import elements
from sessionstore.importers.parsing import Unparsable, parse

Kind = Literal["lines", "array", "document"]

MOST = 400
"""As many values are enough to tell what kind of file it is."""
ID_DIGITS = 32
"""Hex digits of the SHA-256 that names a conversation without an id."""
_BLANK = b"\xef\xbb\xbf \t\r\n"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def beginning(head: Head, marks: Iterable[bytes]) -> tuple[Kind, list[Any]]:
    """The kind of a file and the values it begins with: of lines and arrays those that the head holds whole (the first
    one at least), else the document. None at all when one of `marks` is not in the head: then nothing is parsed."""
    if not all(mark in head.data for mark in marks):
        return "document", []
    text = head.data.lstrip(_BLANK)
    if text[:1] == b"[":
        return "array", list(islice(_elements(head), MOST))
    if text[:1] != b"{":
        return "document", []
    first, newline, rest = text.partition(b"\n")
    if not newline and not head.whole:
        if not _is_lines(head.name) and head.document is not None:
            return "document", [head.document]
        first, rest = head.first_line().lstrip(_BLANK), b"more"
    try:
        value = parse(first)[0]
    except Unparsable:
        if _is_lines(head.name):
            return "lines", head.records
        return "document", [] if head.document is None else [head.document]
    if rest.strip() or _is_lines(head.name):
        return "lines", head.records or [value]
    return "document", [value]


def _elements(head: Head) -> Iterator[Any]:
    """The elements of an array that lie in the head; when there is none whole, the first one of the file."""
    found = False
    try:
        for raw in elements([head.data]):
            found = True
            yield _parsed(raw)
    except Unparsable:
        pass
    if found or head.whole:
        return
    try:
        yield from map(_parsed, islice(elements(head.blocks()), 1))
    except Unparsable:
        return


def _parsed(raw: bytes) -> Any:
    try:
        return parse(raw)[0]
    except Unparsable:
        return None


def _is_lines(name: str) -> bool:
    return name.lower().endswith(".jsonl")


def kind_of(source: Source) -> Kind:
    """The kind of a source, by its first bytes, which are put back. One complete line is a document, unless the file's
    name says that more lines may follow."""
    blocks = iter(source.blocks)
    seen: list[bytes] = []
    kind = _kind(_recording(blocks, seen), _is_lines(source.name))
    source.blocks = chain(seen, blocks)
    return kind


def _recording(blocks: Iterator[bytes], seen: list[bytes]) -> Iterator[bytes]:
    for block in blocks:
        seen.append(block)
        yield block


def _kind(blocks: Iterator[bytes], lines: bool) -> Kind:
    first = bytearray()
    for block in blocks:
        first += block if first.strip(_BLANK) else block.lstrip(_BLANK)
        if first.startswith(b"["):
            return "array"
        if first and (lines or not first.startswith(b"{")):
            break
        if b"\n" in block and b"\n" in first:
            break
    else:
        return "lines" if lines and first else "document"
    if not first.startswith(b"{"):
        return "lines" if lines and not first.startswith(_UTF16) else "document"
    if lines:
        return "lines"
    line, _, rest = bytes(first).partition(b"\n")
    try:
        parse(line)
    except Unparsable:
        return "document"
    return "lines" if any(part.strip() for part in chain([rest], blocks)) else "document"


class Names:
    """Names conversations that have no id by their content: the same conversation has the same name wherever it lies,
    and when it stands in a file more than once, its second copy is `-2`."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def of(self, value: Any) -> str:
        """The name of the next conversation, whatever its white space and the order of its keys."""
        name = canonical.digest(canonical.dumps(value))[:ID_DIGITS]
        copies = self._given[name] = self._given.get(name, 0) + 1
        return name if copies == 1 else f"{name}-{copies}"

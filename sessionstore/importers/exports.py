"""What the exports of chat services have in common: a zip file or its unpacked folder, lists too long to hold at once,
texts with a byte order mark, times in seconds, and pictures and sounds that lie beside the conversations.

`opened` gives both shapes as the same thing, the files of an export by name, so that an importer is written once.
"""

from __future__ import annotations

import base64
import codecs
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.material import BOM, MAX_ELEMENT, ZIP
from sessionstore.importers.parsing import Unparsable

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MAX_ASSET = 64 << 20
"""A picture, sound or other file with more bytes than this stays in the original only."""
MARK = "byte-order-mark"

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"\s*+:?|[{}\[\]]', re.DOTALL)
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_800
"""The first second of the year 10000."""


class Files:
    """The files of an export by name. `lead` is the one that stands for the others, None in a zip file."""

    def __init__(self, names: Iterable[str], blocks: Callable[[str], Iterable[bytes]], lead: str | None) -> None:
        self.names = [name for name in names if not _is_waste(name)]
        self.lead = lead
        self.blocks = blocks

    def read(self, name: str, most: int = MAX_ELEMENT) -> bytes:
        """All bytes of a file. Raises `Unparsable` when it is damaged or has more than `most`."""
        found, size = [], 0
        for block in self.blocks(name):
            size += len(block)
            if size > most:
                raise Unparsable(f"{name} has more than {most} bytes")
            found.append(block)
        return b"".join(found)


def _is_waste(name: str) -> bool:
    """Whether a file is what macOS adds to every zip file that it packs."""
    return name.startswith("__MACOSX/") or base_name(name).startswith("._")


def base_name(name: str) -> str:
    """A file's name without its directory."""
    return name.rsplit("/", 1)[-1]


@contextmanager
def opened(source: Source) -> Iterator[Files]:
    """The files of a source that is a zip file, or one file with others beside it. Raises `Unparsable`."""
    if peek(source, len(ZIP)) == ZIP:
        with source.archive() as archive:
            yield Files(archive.members, archive.blocks, None)
        return
    lead = base_name(source.name) or "document"

    def blocks(name: str) -> Iterable[bytes]:
        return source.blocks if name == lead else source.companions[name].blocks()

    yield Files([lead, *(name for name in sorted(source.companions) if name != lead)], blocks, lead)


def begin(blocks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes of some blocks, and all the blocks once more."""
    rest = iter(blocks)
    seen: list[bytes] = []
    while sum(map(len, seen)) < size and (block := next(rest, None)) is not None:
        seen.append(block)
    return b"".join(seen)[:size], chain(seen, rest)


def peek(source: Source, size: int) -> bytes:
    """The first `size` bytes of a source, which stay to be read."""
    head, source.blocks = begin(source.blocks, size)
    return head


def utf8(source: Source, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks of a text as UTF-8 without a byte order mark."""
    head, rest = begin(blocks, len(BOM))
    if head.startswith(UTF_16):
        source.note(MARK, "the file begins with a byte order mark")
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        for block in rest:
            yield decoder.decode(block).encode("utf-8", "replace")
        yield decoder.decode(b"", True).encode("utf-8", "replace")
        return
    mark = len(BOM) if head.startswith(BOM) else 0
    if mark:
        source.note(MARK, "the file begins with a byte order mark")
    for block in rest:
        yield block[mark:] if mark else block
        mark = max(0, mark - len(block))


def elements(source: Source, files: Files, name: str) -> Iterator[Any]:
    """The elements of a file that is a JSON array, one at a time and each counted as a record; another JSON text is
    one element. Raises `Unparsable` for an array that is cut off."""
    return source.elements(utf8(source, files.blocks(name)))


def document(source: Source, files: Files, name: str) -> Any:
    """A small file beside the conversations as one JSON text; None, and an issue, when it cannot be read."""
    try:
        return source.parsed(b"".join(utf8(source, [files.read(name)])))
    except Unparsable as error:
        source.note("unreadable-file", f"{base_name(name)} beside the conversations could not be read: {error}")
        return None


def refuse_when_empty(source: Source) -> None:
    """Raise `Unparsable` when nothing at all could be taken over: such a source is no export, or a ruined one."""
    account = source.account
    if not source.drafts and not account.mapped and not account.preserved and account.rejected:
        raise Unparsable(account.rejected[0][1])


def outline(data: bytes, *names: str) -> list[set[str]]:
    """The keys of the first objects of a JSON array, or of the one object, as far as the beginning of a file shows
    them: enough to tell what it is without parsing all of it. Nothing when it names none of `names`."""
    if data.startswith(UTF_16):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(BOM).lstrip(b" \t\r\n")
    if data[:1] not in (b"{", b"[") or not any(f'"{name}"'.encode() in data for name in names):
        return []
    level, depth, found = (1 if data[:1] == b"{" else 2), 0, list[set[str]]()
    for match in _TOKEN.finditer(data):
        token = match[0]
        if token in b"{[":
            depth += 1
            if depth == level and token == b"{":
                found.append(set())
        elif token in b"}]":
            depth -= 1
        elif depth == level and token.endswith(b":") and found:
            found[-1].add(token[1:].rpartition(b'"')[0].decode("utf-8", "replace"))
    return found


def micros(value: Any) -> int | None:
    """Seconds since 1970, as a number or its text, in millionths; None when it is no time after 1970."""
    text = value if isinstance(value, str) else repr(value) if type(value) in (int, float) else ""
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, fraction = text.partition(".")
    found = int(whole) * 1_000_000 + int(f"{fraction:0<6.6}")
    return found if 0 < found < _LAST * 1_000_000 else None


def instant(value: int) -> str:
    """Millionths of a second since 1970 as RFC 3339."""
    text = (_EPOCH + timedelta(microseconds=value)).isoformat()
    return text.removesuffix("+00:00") + "Z"


def is_said(value: Any) -> bool:
    """Whether a field says anything: null and what is empty do not."""
    return value is not None and value != "" and value != [] and value != {}


def kept(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that say anything."""
    return {key: value for key, value in record.items() if is_said(value)}


def record_part(value: Any) -> dict[str, Any]:
    """A part that holds a JSON value verbatim."""
    return {"type": "record", "record": value if isinstance(value, dict) else {"value": value}}


def meta(message_id: str, value: Any) -> Message:
    """A record that is no conversation, or was not understood, as a message."""
    return {"id": message_id, "role": "system", "kind": "meta", "parts": [record_part(value)]}


class Ids:
    """Ids that are given once only: what is wanted again gets a number."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._given = dict.fromkeys(taken, 1)

    def take(self, wanted: str) -> str:
        """`wanted`, or the same with a number when it was given before."""
        number, found = self._given.get(wanted, 0), wanted
        while found in self._given:
            number += 1
            found = f"{wanted}~{number}"
        self._given[wanted] = max(number, 1)
        self._given.setdefault(found, 1)
        return found


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
)
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
_MIME = re.compile(r"[a-z0-9][\w.+-]{0,80}/[\w.+-]{1,100}", re.ASCII | re.IGNORECASE)


def mime_type(data: bytes, name: str) -> str:
    """What kind of file it is by its first bytes, else by the ending of its name."""
    for offset, magic, found in _MAGIC:
        if data.startswith(magic, offset):
            return found
    return _ENDINGS.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def modality_of(mime: str) -> str:
    """What a file is to a reader: an image, audio, video or a document."""
    kind = mime.partition("/")[0].lower()
    return kind if kind in ("image", "audio", "video") else "document"


class Assets:
    """The pictures, sounds and other files of an export, found by the id that their names begin with."""

    def __init__(self, files: Files, names: Iterable[str], titles: Mapping[str, str] | None = None) -> None:
        """`titles` are the names under which the user knew the files."""
        self._files = files
        self._names = sorted((base_name(name), name) for name in names)
        self._titles = titles or {}
        self.used: set[str] = set()

    @property
    def unused(self) -> list[str]:
        """The files that no part was made of."""
        return [name for _, name in self._names if name not in self.used]

    def find(self, asset_id: str) -> str | None:
        """The file whose name is the id, or begins with it and a separator."""
        if not asset_id:
            return None
        place = bisect_left(self._names, (asset_id, ""))
        for short, name in self._names[place : place + 50]:
            if not short.startswith(asset_id):
                break
            if short[len(asset_id) : len(asset_id) + 1] in ("", "-", ".", "_"):
                return name
        return None

    def part(self, draft: Draft, asset_id: str, stated: Any, modality: str, missing: Message) -> Message:
        """A blob part of the file with an id: see `blob`."""
        return self.blob(draft, self.find(asset_id), stated, modality, missing)

    def blob(self, draft: Draft, name: str | None, stated: Any, modality: str, missing: Message) -> Message:
        """A blob part of a file; `missing`, and an issue, when the export does not hold it. `stated` is the mime type
        that the source states, `modality` what counts when the type tells nothing."""
        if name is None:
            draft.issue("asset-missing", "a picture, sound or other file that is not in the export")
            return missing
        try:
            data = self._files.read(name, MAX_ASSET)
        except Unparsable as error:
            draft.issue("asset-unreadable", f"a picture, sound or other file could not be read: {error}")
            return missing
        self.used.add(name)
        title = self._titles.get(base_name(name))
        mime = stated if isinstance(stated, str) and _MIME.fullmatch(stated) else mime_type(data, title or name)
        found = modality_of(mime)
        part = {
            "type": "blob",
            "modality": modality if found == "document" and modality else found,
            "mime_type": mime,
            "data": base64.b64encode(data).decode("ascii"),
        }
        return part | ({"name": title} if title else {})

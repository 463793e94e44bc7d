"""What can be wrong with a store, and single questions about single files, for everything that looks after it.
Nothing is changed here."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import zstandard

from sessionstore import canonical, errors, fsio, layout, objects
from sessionstore.closure import Reference

ROLES = frozenset({"system", "user", "assistant", "tool"})
KNOWN = frozenset({layout.MARKER, "views", *layout.DIRECTORIES})
"""What a store's directory holds, besides the files of the index."""
INDEX = "index.sqlite"
_KEY = re.compile(rb'"key":("(?:[^"\\]|\\.)*")')
_FRAME_HEADER = 18
"""No header of a zstd frame is longer (RFC 8878)."""


KINDS = {
    "object-missing": "something refers to an object that is not there",
    "object-size": "an object's file does not have the length it must have",
    "object-corrupt": "an object's bytes are not the ones it is named for",
    "revision-corrupt": "a revision's bytes are not the ones it is named for, or no revision at all",
    "note-corrupt": "a note's bytes are not the ones it is named for, or no note at all",
    "journal-corrupt": "a line of a batch's journal is not what a migration writes",
    "marker-corrupt": "STORE.json is not what it was when the store was made",
    "session-missing": "a batch has stored the session, and no revision of it is there",
    "counts-differ": "what a revision states does not follow from its pages and messages",
    "message-invalid": "a stored message has no id, role or list of parts",
    "original-differs": "an original's chunks do not give the bytes that were imported",
    "pages-differ": "importing the original again, by the same importer, gives other messages",
    "index-differs": "the index is not what a rebuild would make",
    "unreadable": "the operating system cannot read it; its bytes may be sound",
}
"""Every kind of damage."""
PROVEN = frozenset({"object-size", "object-corrupt", "revision-corrupt", "note-corrupt", "journal-corrupt"})
"""The kinds that say of one file that its bytes are wrong, so that it may be put in quarantine."""
MOST_WARNINGS = 200


class Damage(NamedTuple):
    """One damaged or missing file: its path in the store, one of `KINDS`, the keys of the sessions it touches."""

    path: str
    kind: str
    sessions: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What a verification has found. `counts` says what was looked at; `orphans` are objects that nothing refers to
    (any more), `bytes` are bytes read from disk."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("revisions", "notes", "objects", "orphans", "originals", "bytes", "batches"), 0
        )
    )
    found: set[Damage] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)
    """files that hold an object under the name of another one"""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.found

    @property
    def checked(self) -> int:
        """How many files were looked at."""
        return sum(self.counts[name] for name in ("revisions", "notes", "objects", "batches"))

    @property
    def damage(self) -> list[Damage]:
        """All damage, by path."""
        return sorted(self.found)

    def add(self, path: str, kind: str, sessions: Iterable[str] = ()) -> None:
        """Report damage."""
        self.found.add(Damage(path, kind, tuple(sorted(set(sessions)))))

    def warn(self, sentence: str) -> None:
        """Report something that harms no session."""
        self.warnings.append(sentence)

    def as_json(self) -> dict[str, Any]:
        """The shape that `verify --json` prints."""
        shown = sorted(self.warnings)[:MOST_WARNINGS]
        if len(self.warnings) > len(shown):
            shown.append(f"and {len(self.warnings) - len(shown)} more warnings")
        return {
            "ok": self.ok,
            "checked": self.checked,
            "counts": dict(self.counts),
            "damage": [
                {"path": path, "kind": kind, "sessions": list(sessions)} for path, kind, sessions in self.damage
            ],
            "warnings": shown,
        }


# -- objects -----------------------------------------------------------------------------------------------------------


def frame_length(read: Callable[[int, int], bytes]) -> tuple[int, int]:
    """(content bytes stated, bytes of the file) of one zstd frame, by its headers only (layout: RFC 8878, 3.1.1).
    `read` gives some bytes at a position. Raises `ValueError` when the frame is cut off or is none."""
    head = read(0, _FRAME_HEADER)
    try:
        parameters = zstandard.get_frame_parameters(head)
        position = zstandard.frame_header_size(head)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    last = 0
    while not last:
        block = read(position, 3)
        if len(block) < 3:
            raise ValueError("cut off")
        header = int.from_bytes(block, "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == 3:
            raise ValueError("no zstd block")
        position += 3 + (1 if kind == 1 else size)
    return parameters.content_size, position + 4 * parameters.has_checksum


def measure(path: str, size: int | None, *, packed: bool) -> str | None:
    """What is wrong with the length of an object's file (a kind of damage), without reading it. `size` is the length
    its content must have, when that is known. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        length = os.fstat(descriptor).st_size
        if not packed:
            return _compare(length, size) if length else "object-size"
        try:
            content, end = frame_length(lambda position, most: _pread(descriptor, most, position))
        except ValueError:
            return "object-size"
        return "object-size" if end != length else _compare(content, size)
    finally:
        os.close(descriptor)


def _compare(length: int, size: int | None) -> str | None:
    return "object-size" if size is not None and length != size else None


def _pread(descriptor: int, most: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, most)


def check_bytes(raw: bytes, name: str, size: int | None, *, packed: bool) -> tuple[str | None, bytes]:
    """(what is wrong with an object's file, its content when nothing is)."""
    data = raw
    if packed:
        try:
            end = frame_length(lambda position, most: raw[position : position + most])[1]
        except ValueError:
            return "object-size", b""
        if end != len(raw):
            return "object-size", b""
        try:
            data = objects.decompress(raw, name)
        except errors.ObjectCorrupt:
            return "object-corrupt", b""
    if not raw or (size is not None and len(data) != size):
        return "object-size", b""
    return (None, data) if canonical.digest(data) == name else ("object-corrupt", b"")


def content(path: str) -> bytes | None:
    """The content of a file that may be an object under any name; None when it cannot be read or unpacked."""
    try:
        raw = fsio.read_bytes(path)
        return objects.decompress(raw, path) if raw.startswith(b"\x28\xb5\x2f\xfd") else raw
    except (OSError, errors.SessionstoreError):
        return None


# -- documents ---------------------------------------------------------------------------------------------------------


def is_message(message: Any) -> bool:
    """Whether a stored message has at least an id, a role and a list of typed parts."""
    return (
        type(message) is dict
        and type(role := message.get("role")) is str
        and role in ROLES
        and type(name := message.get("id")) is str
        and name != ""
        and type(parts := message.get("parts")) is list
        and all(type(part) is dict and type(part.get("type")) is str for part in parts)
    )


def adds_up(original: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an original's chunks are as long together as it is; an only chunk is the original."""
    if sum(chunk["bytes"] for chunk in chunks) != original["bytes"]:
        return False
    return len(chunks) != 1 or bool(chunks[0]["id"] == original["sha256"])


def is_canonical(journal: bytes) -> bool:
    """Whether every line that can be read is written as this program writes it."""
    for raw in journal.split(b"\n"):
        try:
            if raw and canonical.dumps(canonical.loads(raw)) != raw:
                return False
        except ValueError:
            continue  # a torn line: whether it may be one is for the reader of journals to say
    return True


def key_in(data: bytes) -> str | None:
    """The session key that a document shows."""
    try:
        key = canonical.loads(data)["key"]
    except (ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def key_of(stem: str, data: bytes) -> str | None:
    """The session key of a damaged document, whose name has that stem: from what is left of it, else from the name.
    Whatever is found is right, because the name holds a hash of the key."""
    shown = [match[1] for match in _KEY.finditer(data)]
    plain = stem.partition("/")[2][:-9]
    guessed = [f"{plain[:cut]}:{plain[cut + 1 :]}" for cut, sign in enumerate(plain) if sign == "-"]
    for text in (*shown, *map(canonical.dumps, guessed)):
        with suppress(ValueError):
            key = canonical.loads(text)
            if f"{layout.fanout(key)}/{layout.slug(key)}" == stem:
                return str(key)
    return None


def holds(stored: Sequence[bytes], read: Sequence[bytes]) -> bool:
    """Whether a session's lines are those of its original: exactly, or with more after them because it was gone on
    with, or, for a source that shows a part of the session only, with more around them. A session put together of such
    parts has given its messages ids anew."""
    if list(stored[: len(read)]) == list(read):
        return True
    return len(stored) > len(read) and not Counter(_bare(read)) - Counter(_bare(stored))


def _bare(lines: Sequence[bytes]) -> list[bytes]:
    messages = map(canonical.loads, lines)
    return [canonical.dumps({name: value for name, value in message.items() if name != "id"}) for message in messages]


# -- what lies where ---------------------------------------------------------------------------------------------------


class Listing(NamedTuple):
    """What two levels of a directory hold. Paths are relative to it in `files`, to the store in the others."""

    files: list[str]
    strangers: list[str]
    unreadable: list[str]


def listing(root: str, folder: str, fits: Callable[[str], bool]) -> Listing:
    """The regular files ``ab/name`` of a store's folder that `fits` accepts, everything else there, and directories
    that cannot be listed. Symlinks are not followed."""
    found = Listing([], [], [])
    for entry in _entries(root, folder, found):
        if not (len(entry.name) == 2 and entry.is_dir(follow_symlinks=False)):
            found.strangers.append(f"{folder}/{entry.name}")
            continue
        for file in _entries(root, f"{folder}/{entry.name}", found):
            name = f"{entry.name}/{file.name}"
            if file.is_file(follow_symlinks=False) and fits(name):
                found.files.append(name)
            else:
                found.strangers.append(f"{folder}/{name}")
    return found


def _entries(root: str, folder: str, found: Listing) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError:
        found.unreadable.append(folder)
        return []


def strangers_outside(root: str) -> list[str]:
    """What lies in a store and is no part of the format, but for `objects/`, `sessions/` and `notes/`."""
    found = [name for name in fsio.names(root) if name not in KNOWN and not name.startswith(f"{INDEX}")]
    found += [f"batches/{name}" for name in fsio.names(f"{root}/batches") if not _is_journal(name)]
    for folder in ("trash", "quarantine"):
        found += [f"{folder}/{name}" for name in fsio.names(f"{root}/{folder}") if not layout.is_ulid(name)]
    found += [f"locks/{name}" for name in fsio.names(f"{root}/locks") if not name.endswith(".lock")]
    return sorted(found)


def _is_journal(name: str) -> bool:
    return name.endswith(".jsonl") and layout.is_ulid(name.removesuffix(".jsonl"))


def what_is(path: str) -> str:
    """What to say of a file that is no part of the format."""
    return "is a symbolic link and is not followed" if os.path.islink(path) else "is not part of the store; ignored"


def quarantined(root: str) -> int:
    """How many damaged files are in quarantine."""
    folders = filter(layout.is_ulid, fsio.names(f"{root}/quarantine"))
    return sum(len(files) for name in folders for _, _, files in os.walk(f"{root}/quarantine/{name}"))


def reference_of(name: str) -> Reference:
    """The object whose file lies at a path below `objects/` that `objects.parse_name` accepts."""
    parsed = objects.parse_name(name)
    assert parsed is not None
    return parsed

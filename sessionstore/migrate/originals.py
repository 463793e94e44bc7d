"""Giving original bytes back: the tree of a whole batch, the files of one source, the originals of one session.

No name from a journal or a source is trusted: what is written lies below the directory that was asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from sessionstore import errors, fsio, objects
from sessionstore.journal import Batch, Journals, Line, files_of
from sessionstore.store import Store


class Piece(NamedTuple):
    """One file that can be given back: where it goes below a directory, and what a journal says of it (`path`,
    `original`, `stat`, and of its source: `sessions`), as far as one does."""

    place: str
    file: Line
    line: Line
    batch: Batch | None = None


@dataclass(slots=True)
class Restored:
    """The files that were written, with their sizes, and those that could not be, each with `path` and `reason`."""

    written: dict[str, int] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)


def restore_all(store: Store, pieces: list[Piece], target: str) -> Restored:
    """Write files below a directory, with mode and mtime where they are known, never over existing ones. What fails
    does not stop the others. Raises `NoSpace`, `ReadOnly`."""
    result = Restored()
    for piece in pieces:
        try:
            restore(store, piece, Path(target) / piece.place)
        except (errors.NoSpace, errors.ReadOnly):
            raise
        except errors.SessionstoreError as error:
            result.failed.append({"path": piece.place, "reason": str(error)})
        else:
            result.written[piece.place] = piece.file["original"]["bytes"]
    return result


def restore(store: Store, piece: Piece, place: Path) -> None:
    """Write one file. Raises `WriteFailed` when one is there already, `GivenUp`, `DamageError`."""
    stat = piece.file.get("stat")
    mode, mtime = (stat[5], stat[3]) if stat else (None, None)
    try:
        fsio.restore_file(place, store.original(piece.file["original"]), mode, mtime)
    except errors.ObjectMissing:
        fsio.restore_file(place, _otherwise(store, piece), mode, mtime)


def blocks(store: Store, piece: Piece) -> Iterator[bytes]:
    """The bytes of one file. Raises `GivenUp`, `DamageError`; a missing object before the first byte."""
    chunks = store.objects.chunks(piece.file["original"])
    if all(store.objects.find(chunk["id"], objects.CHUNK) for chunk in chunks):
        return store.original(piece.file["original"])
    return _otherwise(store, piece)


def _otherwise(store: Store, piece: Piece) -> Iterator[bytes]:
    """The bytes of a file whose own chunks are no longer there: when it has grown since, they are the beginning of a
    later original."""
    original = piece.file["original"]
    for session in piece.line.get("sessions", ()):
        for head in store.heads(session["key"]):
            for entry in head.get("originals", ()):
                if entry["bytes"] >= original["bytes"] and _begins(store, entry, original):
                    return store.original(entry, original["bytes"])
    if piece.line.get("purged"):
        raise errors.Purged(path=piece.file["path"])
    if piece.batch is not None and (time := piece.batch.dropped.get(piece.line["n"])):
        raise errors.GivenUp(path=piece.file["path"], time=time)
    raise errors.ObjectMissing(name=original["sha256"])


def _begins(store: Store, entry: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether an original begins with all the bytes of another one."""
    total = hashlib.sha256()
    try:
        for block in store.original(entry, original["bytes"]):
            total.update(block)
    except errors.DamageError:
        return False
    return bool(total.hexdigest() == original["sha256"])


def of_batch(store: Store, batch_id: str) -> list[Piece]:
    """Every source file of a batch, as the batch left it last, below the directory that all have in common. Raises
    `NotFound` when it has none."""
    batch = Journals(store.root).read(batch_id)
    last: dict[str, tuple[Line, Line]] = {}
    for number in sorted(batch.sources):
        for file in files_of(batch.sources[number]):
            last[file["path"]] = file, batch.sources[number]
    if not last:
        raise errors.NotFound(name=batch_id)
    parts = {path: _parts(path) for path in last}
    common = _common([steps[:-1] for steps in parts.values()])
    return [Piece("/".join(parts[path][common:]), file, line, batch) for path, (file, line) in last.items()]


def of_path(store: Store, path: str) -> list[Piece]:
    """The files of the source at a path, as they were when it was imported last, its own first; none when it never
    was."""
    for batch in reversed(Journals(store.root).all()):
        lines = [line for line in batch.live if line["path"] == path]
        if lines:
            own, *others = files_of(lines[-1])
            name = _parts(own["path"])[-1]
            pieces = [Piece("/".join(_parts(file["name"])), file, lines[-1], batch) for file in others]
            return [Piece(name, own, lines[-1], batch), *pieces]
    return []


def of_session(store: Store, revision: Mapping[str, Any]) -> list[Piece]:
    """The originals of a session, the latest first. Raises `UsageError` when it has none."""
    originals = revision.get("originals", [])
    if not originals:
        raise errors.UsageError(reason=f"{revision['key']} was not imported, so it has no original; try `export`")
    known = {
        file["original"]["sha256"]: file
        for batch in Journals(store.root).all()
        for line in batch.settled
        for file in files_of(line)
    }
    pieces: dict[str, Piece] = {}
    for entry in originals:
        file = {**known.get(entry["sha256"], {"path": f"{entry['sha256'][:12]}.original"}), "original": entry}
        place = "/".join(_parts(entry["name"])) if "name" in entry else _parts(file["path"])[-1]
        place = place if place not in pieces else f"{place}.{entry['sha256'][:12]}"
        pieces[place] = Piece(place, file, {"sessions": [{"key": revision["key"]}]})
    return list(pieces.values())


def _parts(path: str) -> list[str]:
    """The steps of a path that may come from any system, without root, drive and steps upwards; at least one."""
    windows = re.match(r"[A-Za-z]:[\\/]|\\\\", path)
    pure = PureWindowsPath(path) if windows else PurePosixPath(path)
    steps = [step for step in pure.parts if step not in (pure.anchor, "..", ".")]
    return [step.replace("\0", "") or "_" for step in steps] or ["original"]


def _common(paths: list[list[str]]) -> int:
    """How many first steps all paths have in common."""
    shortest = min(map(len, paths))
    return next((n for n in range(shortest) if len({path[n] for path in paths}) > 1), shortest)

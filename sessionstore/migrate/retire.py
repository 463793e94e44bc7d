"""Removing sources after they are safely in the store, and giving them back.

A file is removed only when its bytes on disk are, at that moment, those whose hash the store's own copy has just
been read back to; a journal line saying so is durable before.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sessionstore import errors, fsio
from sessionstore.journal import Journals, Line
from sessionstore.migrate import reading
from sessionstore.migrate.decide import holds
from sessionstore.migrate.reading import Stat
from sessionstore.store import Store


@dataclass(slots=True)
class Retired:
    """How many files were removed, and which were kept and why."""

    removed: int = 0
    kept: list[dict[str, str]] = field(default_factory=list)


def retire(store: Store, journals: Journals, begin: Line, lines: list[Line]) -> Retired:
    """Remove the source files of these journal lines, each after a last comparison with the store's copy."""
    result = Retired()
    for line in lines:
        path = line["path"]
        if not os.path.lexists(path):
            continue
        try:
            stat = _compare(store, line)
        except errors.SessionstoreError as error:
            result.kept.append({"path": path, "reason": f"not removed: {error}"})
            continue
        entry = {"t": "retire", "path": path, "stat": list(stat), "original": line["original"]}
        journals.append(begin["batch"], [entry], begin=begin)
        try:
            _remove_unchanged(path, stat)
        except errors.SessionstoreError as error:
            result.kept.append({"path": path, "reason": f"not removed: {error}"})
            continue
        result.removed += 1
    return result


def _compare(store: Store, line: Line) -> Stat:
    """The file's stat. Raises unless its sessions are in the store, with its bytes, and the file and the store's copy
    of it both have the journal's SHA-256."""
    path, original = line["path"], line["original"]
    for key in {session["key"] for session in line["sessions"]}:
        stored = (entry for revision in store.revisions_of(key) for entry in revision.get("originals", ()))
        if not any(holds(store, entry, original) for entry in stored):
            raise errors.SourceInvalid(path=path, source="imported", reason=f"the store no longer has it in {key}")
    for _ in store.original(original):
        pass
    stat = _stat(path)
    if reading.digest(path) != original["sha256"]:
        raise errors.SourceChanged(path=path)
    return stat


def _stat(path: str) -> Stat:
    try:
        return Stat.of(os.lstat(path))
    except OSError as error:
        raise fsio.failure(error, path, writing=False) from error


def _remove_unchanged(path: str, stat: Stat) -> None:
    """Remove a file unless anything about it has changed since it was compared."""
    if _stat(path) != stat:
        raise errors.SourceChanged(path=path)
    flush = fsio.Flush()
    fsio.remove(path, flush)
    flush.close()


def give_back(store: Store, entry: Line) -> None:
    """Put a retired file back with bytes, mode and mtime; a file with the same bytes that is there already is left
    alone. Raises `WriteFailed` when another file has taken its place."""
    if is_missing(entry):
        stat = Stat(*entry["stat"])
        fsio.restore_file(Path(entry["path"]), store.original(entry["original"]), stat.mode, stat.mtime_ns)


def is_missing(entry: Line) -> bool:
    """Whether a retired file is not there. Raises `WriteFailed` when another file has taken its place."""
    if not os.path.lexists(entry["path"]):
        return True
    if not _same_bytes(entry):
        raise errors.WriteFailed(path=entry["path"], reason="another file is there now; move it away first")
    return False


def _same_bytes(entry: Line) -> bool:
    try:
        return reading.digest(entry["path"]) == str(entry["original"]["sha256"])
    except errors.SessionstoreError:
        return False

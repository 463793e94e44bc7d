"""Removing sources after they are safely in the store, and giving them back.

A file is removed only when its bytes on disk are, at that moment, those whose hash the store's own copy has just
been read back to; a journal line saying so is durable before. Of a source of several files all are compared before
the first is removed. Files beside several sources belong to their program and stay, and so do databases: whoever asks
for conversations to be removed does not mean the settings that lie in the same file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sessionstore import errors, fsio
from sessionstore.importers.material import SQLITE
from sessionstore.journal import Batch, Journals, Line, files_of
from sessionstore.migrate import reading
from sessionstore.migrate.reading import Stat
from sessionstore.store import Store

DATABASE = "not removed: a database may hold more than conversations; remove it yourself"


@dataclass(slots=True)
class Retired:
    """How many files were removed, and which were kept and why."""

    removed: int = 0
    kept: list[dict[str, str]] = field(default_factory=list)


def retire(store: Store, journals: Journals, begin: Line, lines: list[Line]) -> Retired:
    """Remove the source files of these journal lines, each after a last comparison with the store's copy."""
    result = Retired()
    for line in lines:
        files = [file for file in files_of(line) if _is_its_own(file) and os.path.lexists(file["path"])]
        try:
            if files and _is_database(store, line):
                result.kept.append({"path": line["path"], "reason": DATABASE})
                continue
            stats = [_compare(store, line, file) for file in files]
        except errors.SessionstoreError as error:
            result.kept.append({"path": line["path"], "reason": f"not removed: {error}"})
            continue
        entries = [
            {"t": "retire", "path": file["path"], "stat": list(stat), "original": file["original"]}
            for file, stat in zip(files, stats, strict=True)
        ]
        if entries:
            journals.append(begin["batch"], entries, begin=begin)
        for entry, stat in zip(entries, stats, strict=True):
            try:
                _remove_unchanged(entry["path"], stat)
            except errors.SessionstoreError as error:
                kept = {"t": "kept", "path": entry["path"], "sha256": entry["original"]["sha256"]}
                journals.append(begin["batch"], [kept])
                result.kept.append({"path": entry["path"], "reason": f"not removed: {error}"})
            else:
                result.removed += 1
    return result


def _is_its_own(file: Line) -> bool:
    """Whether a file belongs to one source only: what lies above the source's directory serves its neighbours too."""
    return not file["name"].startswith("../")


def _is_database(store: Store, line: Line) -> bool:
    """Whether a source is a SQLite database. Raises `DamageError`."""
    return next(store.original(line["original"]), b"").startswith(SQLITE)


def _compare(store: Store, line: Line, file: Line) -> Stat:
    """The stat of one file of a source. Raises unless the source's sessions are in the store, and the file and the
    store's copy of it both have the journal's SHA-256."""
    path, original = file["path"], file["original"]
    for key in {session["key"] for session in line["sessions"]}:
        if not store.names_of(key):
            raise errors.SourceInvalid(path=path, source="imported", reason=f"the store no longer has {key}")
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


def returning(batch: Batch) -> list[tuple[str, Line]]:
    """(where it goes, its entry) of every file that a batch has removed. Of several that had one path the last one
    gets that, the others a place beside it."""
    places: dict[str, Line] = {}
    for (path, sha256), entry in reversed(batch.retire.items()):
        places[path if path not in places else f"{path}.{sha256[:12]}"] = entry
    return list(places.items())


def give_back(store: Store, path: str, entry: Line) -> None:
    """Put a retired file at a path, with bytes, mode and mtime; a file with the same bytes that is there already is
    left alone. Raises `WriteFailed` when another file has taken its place."""
    if is_missing(path, entry):
        stat = Stat(*entry["stat"])
        fsio.restore_file(Path(path), store.original(entry["original"]), stat.mode, stat.mtime_ns)


def is_missing(path: str, entry: Line) -> bool:
    """Whether a retired file is not there. Raises `WriteFailed` when another file has taken its place."""
    if not os.path.lexists(path):
        return True
    try:
        same = reading.digest(path) == str(entry["original"]["sha256"])
    except errors.SessionstoreError:
        same = False
    if not same:
        raise errors.WriteFailed(path=path, reason="another file is there now; move it away first")
    return False

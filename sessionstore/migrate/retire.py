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
        try:
            _compare(store, line)
        except FileNotFoundError:
            continue
        except errors.SessionstoreError as error:
            result.kept.append({"path": path, "reason": f"not removed: {error}"})
            continue
        entry = {"t": "retire", "path": path, "stat": line["stat"], "original": line["original"]}
        journals.append(begin["batch"], [entry], begin=begin)
        flush = fsio.Flush()
        fsio.remove(path, flush)
        flush.close()
        result.removed += 1
    return result


def _compare(store: Store, line: Line) -> None:
    """Raises unless the file and the store's copy of it both have the journal's SHA-256."""
    for _ in store.original(line["original"]):
        pass
    if not os.path.lexists(line["path"]):
        raise FileNotFoundError
    if reading.digest(line["path"]) != line["original"]["sha256"]:
        raise errors.SourceChanged(path=line["path"])


def give_back(store: Store, entry: Line) -> None:
    """Put a retired file back with bytes, mode and mtime; a file with the same bytes that is there already is left
    alone. Raises `WriteFailed` when another file has taken its place."""
    stat = reading.Stat(*entry["stat"])
    if os.path.lexists(entry["path"]):
        if _same_bytes(entry):
            return
        raise errors.WriteFailed(path=entry["path"], reason="another file is there now; move it away first")
    fsio.restore_file(Path(entry["path"]), store.original(entry["original"]), stat.mode, stat.mtime_ns)


def _same_bytes(entry: Line) -> bool:
    try:
        return reading.digest(entry["path"]) == str(entry["original"]["sha256"])
    except errors.SessionstoreError:
        return False

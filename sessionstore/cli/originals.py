"""Giving original bytes back: of one session, or the tree of a whole batch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sessionstore import errors, fsio
from sessionstore.cli.app import App
from sessionstore.journal import Journals, Line
from sessionstore.store import Store


def batch_originals(store: Store, batch: str, target: str | None) -> dict[str, int]:
    """Rebuild the source tree of a batch under `target`, relative to the directory all its files have in common;
    returns the files with their sizes. Mode and mtime come back as well. Raises `WriteFailed` for a file that exists,
    `ObjectMissing`/`ObjectCorrupt` when the store is damaged."""
    if not target:
        raise errors.UsageError(reason="a batch has many files; say where they go with --to DIR")
    lines = list(Journals(store.root).read(batch).sources.values())
    if not lines:
        raise errors.NotFound(name=batch)
    common = os.path.commonpath([os.path.dirname(line["path"]) for line in lines])
    written = {}
    for line in lines:
        relative = os.path.relpath(line["path"], common)
        place = Path(target) / relative
        mode, mtime = line["stat"][5], line["stat"][3]
        fsio.restore_file(place, original_of(store, line), mode, mtime)
        written[relative] = line["original"]["bytes"]
    return written


def original_of(store: Store, line: Line) -> Iterator[bytes]:
    """The bytes of a source as a journal line has them. When the file has grown since and its old last chunk is
    gone, they are the beginning of the later original."""
    try:
        data = list(store.original(line["original"]))
    except errors.ObjectMissing:
        data = _beginning_of_later(store, line)
    return iter(data)


def _beginning_of_later(store: Store, line: Line) -> list[bytes]:
    from sessionstore import canonical

    for session in line["sessions"]:
        for head in store.heads(session["key"]):
            for entry in head.get("originals", ()):
                if entry["bytes"] >= line["original"]["bytes"]:
                    data = b"".join(store.original(entry, line["original"]["bytes"]))
                    if canonical.digest(data) == line["original"]["sha256"]:
                        return [data]
    raise errors.ObjectMissing(name=line["original"]["sha256"])


def session_original(app: App, store: Store, name: str, target: str | None, revision: str | None) -> None:
    """Write the original of one session, or of one source path, to stdout or a file."""
    blocks: Iterator[bytes] | None = None
    path = os.path.abspath(name)
    for batch in reversed(Journals(store.root).all()):
        lines = [line for line in batch.live if line["path"] == path]
        if lines:
            blocks = original_of(store, lines[-1])
            break
    if blocks is None:
        from sessionstore.cli.names import find_revision

        blocks = store.original(_only_original(find_revision(store, name, revision)))
    if target:
        fsio.restore_file(Path(target), blocks)
        return
    for block in blocks:
        sys.stdout.buffer.write(block)


def _only_original(revision: dict[str, Any]) -> dict[str, Any]:
    originals = revision.get("originals", [])
    if not originals:
        raise errors.UsageError(reason=f"{revision['key']} was not imported, so it has no original; try `export`")
    return dict(originals[0])

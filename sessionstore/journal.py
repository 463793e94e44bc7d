"""Journals: what each migration batch did, line by line, durable before it is done.

A journal is `batches/<ULID>.jsonl`, canonical JSON lines with a type under "t", only ever appended to:

    begin       what was asked: paths, format, retire; when; by which version of the program
    source      one source, fully read, stored and verified; lists the revisions it is ABOUT to create and supersede
    commit      the source lines (by number) whose revisions are in place and durable
    failed      a source that was left out, and why
    retire      a file about to be removed; `kept` when it was not removed after all
    dropped     source lines (by number) whose originals gc was told to give up
    end         the batch is finished
    undo        a rollback has begun; `undone` when it is complete

A `source` line without its `commit` is settled by `settle`: finished when all its revisions are there, else taken
back. A torn last line is what a kill leaves; it says nothing and is ignored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sessionstore import __version__, canonical, errors, fsio, layout

Line = dict[str, Any]
_READ_AHEAD = 1 << 18
"""Journals of large batches are read piece by piece: in one piece they take twice the time."""


def now() -> str:
    """The present time, RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Batch:
    """A journal as read: what its lines say together."""

    id: str
    begin: Line = field(default_factory=dict)
    sources: dict[int, Line] = field(default_factory=dict)
    """source lines by number"""
    committed: set[int] = field(default_factory=set)
    failed: list[Line] = field(default_factory=list)
    retire: dict[tuple[str, str], Line] = field(default_factory=dict)
    """files that were, or were about to be, removed, by path and SHA-256, the last one last"""
    dropped: dict[int, str] = field(default_factory=dict)
    """source lines whose originals were given up, by number, and when"""
    end: Line | None = None
    undo: bool = False
    undone: Line | None = None

    @property
    def state(self) -> str:
        """ "done", "partly" (something failed), "interrupted", "undoing" or "rolled-back"."""
        if self.undone:
            return "rolled-back"
        if self.undo:
            return "undoing"
        if self.end is None:
            return "interrupted"
        return "partly" if self.failed else "done"

    @property
    def live(self) -> list[Line]:
        """The source lines that are in effect, in order; none when the batch was, or is being, rolled back."""
        return [] if self.undo or self.undone else self.settled

    @property
    def settled(self) -> list[Line]:
        """The source lines that took effect, in order, whether or not they were rolled back since."""
        return [self.sources[n] for n in sorted(self.committed) if n in self.sources]

    def unsettled(self) -> list[Line]:
        """Source lines whose revisions may or may not be in place."""
        return [line for n, line in sorted(self.sources.items()) if n not in self.committed]

    def take(self, line: Line) -> None:
        """Add one line."""
        kind = line["t"]
        for one in files_of(line):
            if "path_bytes" in one:
                one["path"] = os.fsdecode(bytes.fromhex(one["path_bytes"]))
        if kind == "source":
            _check_source(line)
            self.sources[line["n"]] = line
            self.end = None  # a journal of live imports goes on after the end of a pass
        elif kind == "commit":
            self.committed.update(line["n"])
        elif kind == "withdrawn":
            for number in line["n"]:
                self.sources.pop(number, None)
        elif kind == "failed":
            self.failed.append(line)
        elif kind == "begin":
            self.begin = self.begin or line
        elif kind == "retire":
            file = line["path"], line["original"]["sha256"]
            self.retire.pop(file, None)
            self.retire[file] = line
        elif kind == "kept":
            self.retire.pop((line["path"], line["sha256"]), None)
        elif kind == "dropped":
            self.dropped.update(dict.fromkeys(line["n"], line["time"]))
        elif kind == "end":
            self.end = line
        elif kind == "undo":
            self.undo = True
        elif kind == "undone":
            self.undone = line


_TORN = canonical.dumps({"t": "torn"})
"""The line that follows a torn one."""


class Journals:
    """The `batches/` directory of one store."""

    def __init__(self, root: str) -> None:
        self.root = f"{root}/batches"

    def path(self, batch: str) -> str:
        """Where a batch's journal lies."""
        return f"{self.root}/{batch}.jsonl"

    def ids(self) -> list[str]:
        """The ids of all batches, oldest first."""
        found = (name.removesuffix(".jsonl") for name in fsio.names(self.root) if name.endswith(".jsonl"))
        return sorted(name for name in found if layout.is_ulid(name))

    def new_id(self) -> str:
        """An id for a new batch, that sorts after all others even when the clock was set back."""
        return layout.ulid(after=max(self.ids(), default=None))

    def read(self, batch: str) -> Batch:
        """A batch. Raises `NotFound` or `JournalCorrupt`."""
        found, bad = Batch(batch), 0
        try:
            for number, raw in enumerate(_lines(self.path(batch)), 1):
                line = raw.removesuffix(b"\n")
                if bad and line != _TORN:
                    break
                try:
                    bad = 0
                    if line:
                        found.take(canonical.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    # What a kill leaves is the end of the file, or a line that the next append has marked.
                    bad = number if raw != line else 0
        except FileNotFoundError:
            raise errors.NotFound(name=batch) from None
        if bad:
            raise errors.JournalCorrupt(path=self.path(batch), line=bad)
        return found

    def all(self) -> list[Batch]:
        """All batches, oldest first."""
        return [self.read(batch) for batch in self.ids()]

    def append(self, batch: str, lines: Iterable[Line], *, durable: bool = True, begin: Line | None = None) -> None:
        """Add lines to a journal in one write, with `begin` before them when the journal does not exist yet (should
        two processes begin it at once, the first one counts). Raises `StorageError`."""
        path = self.path(batch)
        first = [begin] if begin is not None and not fsio.exists(path) else []
        data = b"".join(canonical.line(_with_exact_path(line)) for line in (*first, *lines))
        fsio.append(path, data, after_torn=b"\n" + _TORN + b"\n", durable=durable)


def _lines(path: str) -> Iterator[bytes]:
    """The lines of a file, each with its line feed (the last one may lack it), read as they are asked for."""
    try:
        with open(path, "rb", buffering=_READ_AHEAD) as file:
            yield from file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise fsio.failure(error, path, writing=False) from error


def files_of(line: Line) -> list[Line]:
    """The files of a source line, each with `path`, `name`, `stat` and `original`: the source's own file, then its
    companions."""
    return [line, *line.get("companions", ())]


def _check_source(line: Line) -> None:
    """Raises `KeyError` or `TypeError` for a source line that lacks what others rely on."""
    for file in files_of(line):
        original = file["original"]
        _ = (
            file["path"],
            original["sha256"],
            original["bytes"],
            [(one["id"], one["bytes"]) for one in original["chunks"]],
        )
    _ = [(session["key"], session["revision"]) for session in line["sessions"]]


def begin_line(batch: str, request: Line, time: str | None = None) -> Line:
    """The first line of a journal: what was asked, when, by which version of the program."""
    return {"t": "begin", "v": 1, "batch": batch, "time": time or now(), "request": request, "program": __version__}


def _with_exact_path(line: Line) -> Line:
    """A line as it is written: a path that is not text is kept as bytes beside its readable form."""
    if "companions" in line:
        line = {**line, "companions": [_with_exact_path(companion) for companion in line["companions"]]}
    path = line.get("path")
    if path is None or canonical.clean_text(path) == path:
        return line
    return {**line, "path_bytes": os.fsencode(path).hex()}

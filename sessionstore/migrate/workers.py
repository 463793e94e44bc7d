"""Doing groups of sources, in this process or in several.

The parent hands out groups of files and owns the index; a worker reads, stores, verifies and commits a group and
answers with what changed. Index rows cross in a spool file, not through the pipe, so that neither side waits for
the other and memory stays flat.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionstore import errors, fsio
from sessionstore.importers import all_importers, unusable
from sessionstore.importers.base import Importer
from sessionstore.journal import Line
from sessionstore.migrate.commit import Outcome, commit_group
from sessionstore.migrate.finding import Candidate, again
from sessionstore.migrate.intake import Encode, Intake, Spool, take_in
from sessionstore.notes import purged_keys
from sessionstore.store import Store

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

TRIES, PAUSE = 3, 0.1
"""How often a source that changes while it is read is tried, and how many seconds pass between."""
SMALL = 4 << 20
"""Below this many bytes altogether, starting processes costs more than it saves."""
_NICE = 5
"""By how much worker processes give way to the one that started them."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every group of one batch has in common."""

    root: str
    begin: Line
    """the batch's first journal line, written with the first thing that is committed"""
    only: str | None = None
    """the importer to use, when the user has said which"""
    encode: Encode | None = None


@dataclass(slots=True)
class Group:
    """Numbered files that are committed together."""

    files: list[tuple[int, Candidate]]
    bytes: int = 0


@dataclass(slots=True)
class Result:
    """What became of a group; `spool` is the file of index rows, which the receiver removes."""

    group: Group
    outcomes: list[Outcome]
    spool: str | None
    failure: tuple[type[errors.SessionstoreError], dict[str, Any]] | None = None
    """what made the whole group fail, in a form that crosses process borders"""
    died: bool = False
    """whether the process that did it was killed, so that nobody knows how far it came"""

    @property
    def error(self) -> errors.SessionstoreError | None:
        """The error of the store that made the whole group fail."""
        return self.failure[0](**self.failure[1]) if self.failure else None


def groups(files: Iterable[tuple[int, Candidate]], limit: int) -> Iterator[Group]:
    """Files in order, in groups of about `limit` bytes and at most 64 files."""
    group = Group([])
    for number, candidate in files:
        group.files.append((number, candidate))
        group.bytes += candidate.size
        if group.bytes >= limit or len(group.files) >= 64:
            yield group
            group = Group([])
    if group.files:
        yield group


def chosen_importers(only: str | None) -> dict[str, Importer]:
    """All importers, or the one that was asked for. Raises `UsageError` for an unknown name."""
    importers = all_importers()
    for name, reason in unusable.items():
        fsio.warn(f"the importer {name} of another package cannot be used ({reason})")
    if only is None:
        return importers
    if only not in importers:
        raise errors.UsageError(reason=f"there is no format {only!r}; known: {', '.join(sorted(importers))}")
    return {only: importers[only]}


def do_group(store: Store, job: Job, group: Group) -> Result:
    """Take in and commit one group. Failures of single sources are outcomes; an error of the store is `error`."""
    path = store.temp.name() + ".spool" if job.encode else None
    outcomes: list[Outcome] = []
    try:
        with store.writing():  # also by the worker itself: it may outlive the process that started it
            if path is None or job.encode is None:
                _do_files(store, job, group, None, outcomes)
            else:
                with open(path, "x+b") as file:
                    _do_files(store, job, group, Spool(file, job.encode), outcomes)
    except errors.SessionstoreError as error:
        return Result(group, outcomes, path, (type(error), error.fields))
    except OSError as caught:
        refused = fsio.failure(caught, path or store.root)
        return Result(group, outcomes, path, (type(refused), refused.fields))
    return Result(group, outcomes, path)


def _do_files(store: Store, job: Job, group: Group, spool: Spool | None, outcomes: list[Outcome]) -> None:
    flush = fsio.Flush()
    importers, purged = chosen_importers(job.only), purged_keys(store)
    intakes: list[tuple[int, Intake]] = []
    for number, candidate in group.files:
        try:
            intakes.append((number, _take_in(store, candidate, importers, flush, spool, purged)))
        except (errors.ReadFailed, errors.ForeignError, errors.DamageError) as error:
            reason = str(error.fields.get("reason", error))
            outcomes.append(Outcome(candidate.path, reason=reason, kind=type(error).__name__))
    outcomes += commit_group(store, job.begin, intakes, flush, spool)


def _take_in(
    store: Store,
    candidate: Candidate,
    importers: Mapping[str, Importer],
    flush: fsio.Flush,
    spool: Spool | None,
    purged: Container[str],
) -> Intake:
    """Take in a source; one that its program is writing just now is tried again a moment later."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return take_in(store, candidate, importers, flush, spool, purged)
        except errors.SourceChanged:
            if not left:
                raise
            time.sleep(PAUSE)
            candidate = again(candidate, importers)
    raise AssertionError("not reached")


def run_groups(store: Store, job: Job, todo: Sequence[Group], jobs: int) -> Generator[Result, None, None]:
    """Do all groups, with up to `jobs` worker processes; results come as they are finished."""
    if jobs <= 1 or sum(group.bytes for group in todo) < SMALL:
        for group in todo:
            yield do_group(store, job, group)
        return
    from multiprocessing import get_context
    from multiprocessing.connection import wait

    context: Any = get_context("fork" if sys.platform.startswith("linux") else "spawn")
    waiting = list(reversed(todo))
    busy: dict[Connection, tuple[Any, Group]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                _start_worker(context, job, busy, waiting.pop())
            for ready in wait(list(busy)):
                yield _receive(ready, busy, waiting)  # type: ignore[arg-type]
    finally:
        for connection, (worker, _) in busy.items():
            connection.close()
            worker.terminate()
            worker.join()


def _start_worker(context: Any, job: Job, busy: dict[Connection, tuple[Any, Group]], group: Group) -> None:
    ours, theirs = context.Pipe()
    inherited = [*busy, ours] if context.get_start_method() == "fork" else []
    worker = context.Process(target=_work, args=(theirs, job, inherited), daemon=True)
    worker.start()
    theirs.close()
    busy[ours] = (worker, group)
    _hand_out(ours, group)


def _hand_out(connection: Connection, group: Group) -> None:
    with suppress(OSError):  # of a worker that has died: receiving from it will tell
        connection.send(group)


def _receive(ready: Connection, busy: dict[Connection, tuple[Any, Group]], waiting: list[Group]) -> Result:
    worker, group = busy[ready]
    try:
        result = ready.recv()
        assert isinstance(result, Result)
    except (EOFError, OSError):
        del busy[ready]
        ready.close()
        worker.join()
        reason = "the process that was reading it died; run the migration again"
        return Result(group, [Outcome(candidate.path, reason=reason) for _, candidate in group.files], None, died=True)
    if waiting:
        busy[ready] = (worker, waiting.pop())
        _hand_out(ready, busy[ready][1])
    else:
        del busy[ready]
        ready.close()
        worker.join()
    return result


def _work(connection: Connection, job: Job, inherited: Sequence[Connection]) -> None:
    """A worker process: group in, result out, until the pipe closes. The parent's ends of the pipes, which a fork
    copies, are closed first: while any process held one, the pipe would not close when the parent is killed. It gives
    way to the parent, which has the index to write and would else be last to finish."""
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    store = Store(job.root)
    while True:
        try:
            group = connection.recv()
        except EOFError:
            break
        try:
            connection.send(do_group(store, job, group))
        except BrokenPipeError:
            break
    os._exit(0)

"""A whole migration batch: plan, do, report; resume what a kill left; remove sources when asked to."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from sessionstore import canonical, errors, fsio, locks
from sessionstore.gc import sweep_temp
from sessionstore.importers.base import Importer, Machine
from sessionstore.journal import Batch, Journals, Line, begin_line, now
from sessionstore.migrate import finding
from sessionstore.migrate.commit import Change, Outcome
from sessionstore.migrate.finding import Candidate
from sessionstore.migrate.intake import Encode, read_only
from sessionstore.migrate.retire import retire
from sessionstore.migrate.rollback import finish
from sessionstore.migrate.settle import settle
from sessionstore.migrate.workers import Job, Result, chosen_importers, groups, run_groups
from sessionstore.store import Store

GROUP_LEAST, GROUP_MOST = 1 << 20, 32 << 20
"""How many source bytes are committed together, at least and at most."""


class Sink(Protocol):
    """Who is told of every committed session: the index, handed in so that this layer knows none."""

    encode: Encode
    """Makes index rows of messages; runs in worker processes."""

    def apply(self, changes: Sequence[Change], spool: str) -> None:
        """Take over committed sessions; their index rows lie in the spool file."""


class Progress(Protocol):
    """Who is told how far a batch has come."""

    def waiting(self) -> None:
        """Another migration of this store is running and has to finish first."""

    def start(self, files: int, size: int) -> None:
        """So many files of so many bytes altogether will be read."""

    def advance(self, files: int, size: int) -> None:
        """So many more have been done."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to migrate: paths (none: the known places), one format only, whether to remove the sources after."""

    paths: tuple[str, ...] = ()
    only: str | None = None
    retire: bool = False
    dry_run: bool = False
    jobs: int = 0


@dataclass(slots=True)
class Report:
    """What a batch did. `batch` is None when there was nothing to do."""

    batch: str | None = None
    found: int = 0
    bytes: int = 0
    skipped: int = 0
    """sources unchanged since an earlier batch"""
    sources: int = 0
    sessions: dict[str, int] = field(default_factory=dict)
    """sessions by outcome (see `decide`)"""
    mapped: int = 0
    preserved: int = 0
    rejected: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    unrecognised: list[dict[str, str]] = field(default_factory=list)
    issues: dict[str, int] = field(default_factory=dict)
    """sessions by what their source had already lost"""
    by_source: dict[str, int] = field(default_factory=dict)
    retired: int = 0
    purged: int = 0
    """sources left alone because their sessions were purged"""
    resumed: bool = False
    dry_run: bool = False

    def take(self, outcome: Outcome, explicit: set[str]) -> None:
        """Add what became of one source. A file that no importer recognises counts as failed only when the user
        named that very file."""
        if outcome.kind == "Purged":
            self.purged += 1
            return
        if outcome.line is None:
            entry = {"path": outcome.path, "reason": outcome.reason or ""}
            unknown = outcome.kind == "Unrecognised" and outcome.path not in explicit
            (self.unrecognised if unknown else self.failed).append(entry)
            return
        line, account = outcome.line, outcome.line["account"]
        self.sources += 1
        self.by_source[line["source"]] = self.by_source.get(line["source"], 0) + 1
        self.mapped += account["mapped"]
        self.preserved += account["preserved"]
        self.rejected += len(account["rejected"])
        for session in line["sessions"]:
            self.sessions[session["outcome"]] = self.sessions.get(session["outcome"], 0) + 1
        for change in outcome.changes:
            for issue in change.revision.get("issues", ()):
                self.issues[issue["code"]] = self.issues.get(issue["code"], 0) + 1

    def as_json(self) -> dict[str, Any]:
        """The shape that `migrate --json` prints."""
        return {
            "batch": self.batch,
            "sources": self.sources,
            "sessions": sum(self.sessions.values()),
            "records": {"mapped": self.mapped, "preserved": self.preserved, "rejected": self.rejected},
            "skipped": self.skipped,
            "failed": self.failed,
            "found": self.found,
            "bytes": self.bytes,
            "outcomes": dict(sorted(self.sessions.items())),
            "formats": dict(sorted(self.by_source.items())),
            "unrecognised": self.unrecognised,
            "issues": dict(sorted(self.issues.items())),
            "retired": self.retired,
            "purged": self.purged,
            "resumed": self.resumed,
            "dry_run": self.dry_run,
        }


def migrate(
    store: Store, request: Request, machine: Machine, sink: Sink | None = None, progress: Progress | None = None
) -> Report:
    """Run one batch. Sources fail one by one, into the report; raises `StorageError` when the store itself cannot
    be written, `Busy` when another migration runs for longer than ten minutes."""
    importers = chosen_importers(request.only)
    where = finding.roots(request.paths, importers.values(), machine)._replace(store=store.id)
    if request.dry_run:
        return _Run(store, request, where, sink, progress, None, Journals(store.root).all()).run()
    on_wait = progress.waiting if progress else None
    with locks.Lock(f"{store.root}/locks/migrate.lock", timeout=600, what="the migration lock", on_wait=on_wait):
        sweep_temp(store)
        batches, resumed = Journals(store.root).all(), None
        if unfinished := [batch for batch in batches if batch.state in ("interrupted", "undoing")]:
            resumed = _settle_all(store, request, unfinished)
            batches = Journals(store.root).all()
        with store.writing():
            return _Run(store, request, where, sink, progress, resumed, batches).run()


def _settle_all(store: Store, request: Request, unfinished: Sequence[Batch]) -> Batch | None:
    """Settle what killed runs left, and finish killed rollbacks; returns the batch that this request goes on with, if
    there is one."""
    journals, resumed = Journals(store.root), None
    if undoing := [batch for batch in unfinished if batch.undo]:
        with store.exclusively("finishing a rollback"):
            for batch in undoing:
                finish(store, batch)
    with store.exclusively("settling an interrupted migration", required=False):
        for batch in (journals.read(batch.id) for batch in unfinished if not batch.undo):
            if batch.state != "interrupted":
                continue  # a watcher was in the middle of a pass and has finished it
            settle(store, batch)
            if batch.begin.get("request") == _asked(request):
                resumed = batch
            else:
                journals.append(batch.id, [{"t": "end", "time": now(), "interrupted": True}])
    return resumed


def _asked(request: Request) -> Line:
    paths = sorted(canonical.clean_text(os.path.abspath(path)) for path in request.paths)
    return {"paths": paths, "from": request.only, "retire": request.retire}


class _Run:
    """One batch in progress."""

    def __init__(
        self,
        store: Store,
        request: Request,
        where: finding.Roots,
        sink: Sink | None,
        progress: Progress | None,
        resumed: Batch | None,
        batches: Sequence[Batch],
    ) -> None:
        self.store, self.request, self.where, self.sink, self.progress = store, request, where, sink, progress
        self.journals = Journals(store.root)
        self.resumed = resumed
        self.report = Report(dry_run=request.dry_run, resumed=resumed is not None)
        self.importers = chosen_importers(request.only)
        self.known = finding.still_stored(store, finding.known_sources(batches))
        self.explicit = {os.path.realpath(path) for path in request.paths if os.path.isfile(path)}
        self.files: list[Candidate] = []
        self.unchanged: list[Candidate] = []

    def run(self) -> Report:
        """Do it all; see `migrate`."""
        self.files = files = list(self._plan())
        self.report.found, self.report.skipped = len(files) + len(self.unchanged), len(self.unchanged)
        self.report.bytes = sum(candidate.size for candidate in (*files, *self.unchanged))
        if self.request.dry_run:
            rehearse(files, self.importers, self.report, self.explicit)
            return self.report
        batch = self.resumed.id if self.resumed else self.journals.new_id()
        begin = begin_line(batch, _asked(self.request))
        job = Job(self.store.root, begin, self.request.only, self._encode())
        died = False
        with closing(self._results(job, files)) as results:
            for result in results:
                self._take(result)
                died |= result.died
        self._forget_companions()
        if self.request.retire:
            self._retire(batch, begin)
        if fsio.exists(self.journals.path(batch)):
            self.report.batch = batch
            if died and self.journals.read(batch).unsettled():
                return self.report  # without an end: the next run settles what the dead process left
            failures = [{"t": "failed", **entry} for entry in self.report.failed]
            self.journals.append(batch, [*failures, {"t": "end", "time": now()}])
        return self.report

    def _plan(self) -> Iterator[Candidate]:
        """Every file that has to be read; unchanged ones are put aside."""

        def unreadable(path: str, reason: str) -> None:
            self.report.failed.append({"path": path, "reason": reason})

        for candidate in finding.candidates(self.where, self.importers, self.known, on_error=unreadable):
            if finding.unchanged(candidate, self.importers):
                self.unchanged.append(candidate)
            else:
                yield candidate

    def _encode(self) -> Encode | None:
        return self.sink.encode if self.sink else None

    def _results(self, job: Job, files: Sequence[Candidate]) -> Generator[Result, None, None]:
        """Results of all groups. The largest files come first, so that the processes finish together."""
        first = 1 + max(self.resumed.sources, default=0) if self.resumed else 1
        size = sum(candidate.size for candidate in files)
        jobs = self.request.jobs or min(4, os.cpu_count() or 1)
        limit = min(GROUP_MOST, max(GROUP_LEAST, size // (jobs * 6)))
        ordered = sorted(files, key=lambda candidate: -candidate.size)
        todo = list(groups(enumerate(ordered, first), limit))
        if self.progress:
            self.progress.start(len(files), size)
        return run_groups(self.store, job, todo, jobs)

    def _take(self, result: Result) -> None:
        """Report a finished group and hand it to the index."""
        for outcome in result.outcomes:
            self.report.take(outcome, self.explicit)
        if result.spool:
            changes = [change for outcome in result.outcomes for change in outcome.changes]
            if self.sink and changes and not result.error:
                self.sink.apply(changes, result.spool)
            fsio.remove(result.spool)
        if self.progress:
            self.progress.advance(len(result.group.files), result.group.bytes)
        if result.error:
            raise result.error

    def _forget_companions(self) -> None:
        """A file that is no source itself and was taken in as the companion of another one was not left."""
        beside = {member.path for candidate in (*self.files, *self.unchanged) for member in candidate.members}
        self.report.unrecognised = [entry for entry in self.report.unrecognised if entry["path"] not in beside]

    def _retire(self, batch: str, begin: Line) -> None:
        """Remove every source that is safely in the store, whichever batch brought it in."""
        done = self.journals.read(batch).live if fsio.exists(self.journals.path(batch)) else []
        lines = {line["path"]: line for line in done}
        lines.update({candidate.path: candidate.previous for candidate in self.unchanged if candidate.previous})
        announced = self.resumed.retire if self.resumed else {}
        lines.update({path: self.known[path] for path, _ in announced if path in self.known and path not in lines})
        if lines:
            result = retire(self.store, self.journals, begin, list(lines.values()))
            self.report.retired = result.removed
            self.report.failed += result.kept


def rehearse(files: Sequence[Candidate], importers: Mapping[str, Importer], report: Report, explicit: set[str]) -> None:
    """Read the files as a migration would, without writing anything, and fill in the report."""
    for candidate in files:
        try:
            account, sessions, source = read_only(candidate, importers)
        except errors.SessionstoreError as error:
            reason = str(error.fields.get("reason", error))
            report.take(Outcome(candidate.path, reason=reason, kind=type(error).__name__), explicit)
            continue
        report.sources += 1
        report.by_source[source] = report.by_source.get(source, 0) + 1
        report.mapped += account.mapped
        report.preserved += account.preserved
        report.rejected += len(account.rejected)
        report.sessions["would import"] = report.sessions.get("would import", 0) + sessions

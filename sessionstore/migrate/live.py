"""Importing what has just changed, over and over, in one process: what a watcher does with legacy sources.

Each pass reads the changed files only and commits them like any migration. The passes of one day share one journal, so
a day can be rolled back; it ends with every pass. No lock keeps a pass waiting for a large migration: sessions are
locked one by one when they are committed, and what the other has just brought in is found to be there already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sessionstore import errors, fsio
from sessionstore.importers.base import Importer, Machine
from sessionstore.importers.material import LOG
from sessionstore.journal import Batch, Journals, Line, begin_line, now
from sessionstore.migrate import finding
from sessionstore.migrate.bundles import Bundles
from sessionstore.migrate.commit import Change, Outcome
from sessionstore.migrate.finding import Candidate, Roots
from sessionstore.migrate.run import Sink
from sessionstore.migrate.settle import settle
from sessionstore.migrate.workers import Job, chosen_importers, do_group, groups
from sessionstore.store import Store

GROUP = 16 << 20
"""How many source bytes are committed together."""
SIDE_FILES = (LOG, "-shm", "-journal")
"""Endings of the files that SQLite keeps beside a database: a change of one is a change of the database."""


@dataclass(slots=True)
class Pass:
    """What one pass did."""

    changes: list[Change] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    sources: int = 0


class Live:
    """Imports changed sources of one store. Not for several threads."""

    def __init__(
        self,
        store: Store,
        machine: Machine,
        sink: Sink | None = None,
        *,
        paths: Iterable[str] = (),
        only: str | None = None,
    ) -> None:
        """`paths` are the directories or files to follow, by default the places where the formats live; `only` names
        one format. Raises `UsageError` for an unknown format."""
        self.store, self.machine, self.sink, self.only = store, machine, sink, only
        self.importers: dict[str, Importer] = chosen_importers(only)
        self.paths = [os.path.realpath(path) for path in paths]
        self.journals = Journals(store.root)
        self._known: dict[str, Line] = {}
        self._seen: dict[str, int] | None = None

    def places(self) -> list[str]:
        """Every directory or file that is followed, whether it exists or not."""
        return self.paths or list(finding.places(self.importers.values(), self.machine))

    def everything(self) -> Pass:
        """Import whatever has changed in any place."""
        there = [path for path in self.places() if os.path.exists(path)]
        return self._import(finding.candidates(self._roots(there), self.importers, self.known(), on_error=_ignore))

    def changed(self, paths: Iterable[str]) -> Pass:
        """Import what has changed in these files and directories. Files that are gone are left alone."""
        return self._import(self._candidates(paths))

    def known(self) -> Mapping[str, Line]:
        """What the journals say of every source; read anew when somebody else has written to them."""
        sizes = self._sizes()
        if sizes != self._seen:
            self._known = finding.still_stored(self.store, finding.known_sources(self.journals.all()))
            self._seen = sizes
        return self._known

    def _sizes(self) -> dict[str, int]:
        found = {}
        for batch in self.journals.ids():
            try:
                found[batch] = os.path.getsize(self.journals.path(batch))
            except OSError:
                continue
        return found

    def _roots(self, paths: list[str]) -> Roots:
        suffixes = {suffix for importer in self.importers.values() for suffix in importer.suffixes}
        formats = {} if self.paths else finding.places(self.importers.values(), self.machine)
        return Roots(paths, tuple(sorted(suffixes)), formats, self.store.id)

    def _candidates(self, paths: Iterable[str]) -> Iterator[Candidate]:
        known = self.known()
        several = Bundles(self.importers, {path: line["importer"]["name"] for path, line in known.items()})
        endings = self._roots([]).suffixes
        wanted: dict[str, None] = {}
        for path in paths:
            for ending in SIDE_FILES:
                path = path.removesuffix(ending)
            if os.path.isdir(path):
                wanted[path] = None
                continue
            lead = several.lead_of(path)
            if finding.written_by(os.path.dirname(lead)) == self.store.id:
                continue
            if lead.lower().endswith(endings) and os.path.isfile(lead) and not os.path.islink(lead):
                wanted[lead] = None
        return finding.candidates(self._roots(list(wanted)), self.importers, known, on_error=_ignore)

    def _import(self, candidates: Iterable[Candidate]) -> Pass:
        todo = [one for one in candidates if not finding.unchanged(one, self.importers)]
        done = Pass()
        if not todo:
            return done
        batch = self._batch()
        if batch.unsettled():
            with self.store.exclusively("settling an interrupted import", required=False):
                batch = self.journals.read(batch.id)
                settle(self.store, batch)
        first = 1 + max(batch.sources, default=0)
        job = Job(self.store.root, batch.begin, self.only, self.sink.encode if self.sink else None)
        for group in groups(enumerate(todo, first), GROUP):
            result = do_group(self.store, job, group)
            self._take(done, result.outcomes, result.spool, apply=result.error is None)
            if result.error:
                raise result.error
        if done.sources:
            self.journals.append(batch.id, [{"t": "end", "time": now()}])
        self._seen = self._sizes()
        return done

    def _take(self, done: Pass, outcomes: Iterable[Outcome], spool: str | None, *, apply: bool) -> None:
        changes = []
        for outcome in outcomes:
            if outcome.line is None:
                if outcome.kind not in ("Unrecognised", "Purged"):
                    done.failed.append(outcome)
                continue
            done.sources += 1
            changes += outcome.changes
            self._known[outcome.path] = outcome.line
        if spool:
            if apply and changes and self.sink:
                self.sink.apply(changes, spool)
            fsio.remove(spool)
        done.changes += changes

    def _batch(self) -> Batch:
        """The journal of the day: the latest one, unless it was rolled back."""
        time = now()
        request = {"live": time[:10], "paths": self.paths, "from": self.only}
        for name in reversed(self.journals.ids()):
            try:
                batch = self.journals.read(name)
            except errors.DamageError:
                continue
            if batch.begin.get("request") == request:
                if not batch.undo:
                    return batch
                break
            if batch.begin.get("time", time)[:10] < time[:10]:
                break
        new = self.journals.new_id()
        return Batch(new, begin_line(new, request, time))


def _ignore(path: str, reason: str) -> None:
    """Files come and go while they are followed; the next pass finds what is there then."""

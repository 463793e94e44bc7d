"""Making a group of sources durable, step by step. A kill between two steps leaves:

1. chunks, values and pages of the group are flushed       unreferenced objects; the sources are read again
2. they are read back and compared                          the same
3. `source` lines go to the journal, durable                lines without revisions: withdrawn by `settle`
4. revisions are written and flushed: THE COMMIT            some or all revisions: `settle` finishes or withdraws
5. superseded revisions move to `trash/<batch>/`            both are there; readers see one head; `settle` finishes
6. a `commit` line goes to the journal                      -
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from sessionstore import errors, fsio, locks, objects
from sessionstore.journal import Journals, Line
from sessionstore.migrate.decide import Decision, decide, entries_of
from sessionstore.migrate.identity import Keys
from sessionstore.migrate.intake import BATCH, Intake, Spool, Taken
from sessionstore.migrate.settle import supersede
from sessionstore.store import Store


@dataclass(slots=True)
class Change:
    """What the index has to be told of one committed session. Plain data: it crosses process borders."""

    name: str
    revision: dict[str, Any]
    replaces: list[str]
    """names of revisions that are gone"""
    base: str | None
    """the one of them whose first `start` messages are also this revision's, else None"""
    start: int
    """the ordinal of the first message in the spool"""
    offsets: list[int]
    """where its batches of index rows lie in the spool"""


@dataclass(slots=True)
class Outcome:
    """What became of one source."""

    path: str
    line: Line | None = None
    reason: str | None = None
    kind: str | None = None
    """the name of the error class, for a source that was left out"""
    changes: list[Change] = field(default_factory=list)


def commit_group(
    store: Store, begin: Line, numbered: Iterable[tuple[int, Intake]], flush: fsio.Flush, spool: Spool | None
) -> list[Outcome]:
    """Verify and commit sources that have been taken in, in the batch that `begin` names. A source that fails
    verification is left out, with the reason. Raises `StorageError` when the store cannot be written; then nothing
    of the group is committed."""
    flush.close()
    outcomes, sound = [], []
    for number, intake in numbered:
        try:
            _read_back(store, intake)
            sound.append((number, intake))
        except errors.DamageError as error:
            reason = str(errors.VerificationFailed(path=intake.candidate.path, reason=str(error)))
            outcomes.append(Outcome(intake.candidate.path, reason=reason))
    with ExitStack() as held:
        if any(intake.importer.scoped for _, intake in sound):
            held.enter_context(locks.Lock(f"{store.root}/locks/scoped.lock", timeout=600, what="the scoped sessions"))
        finder, keys, keyed = Keys(store), {}, []
        for number, intake in sound:
            try:
                keys.update({id(taken): finder.of(intake, taken) for taken in intake.sessions})
                keyed.append((number, intake))
            except errors.DamageError as error:
                outcomes.append(_damaged(intake, error))
        held.enter_context(store.sessions_locked(keys.values()))
        outcomes += _commit(store, begin, keyed, keys, flush, spool)
    return outcomes


def _damaged(intake: Intake, error: errors.DamageError) -> Outcome:
    """The outcome of a source whose session in the store is damaged: nothing can be compared with it."""
    return Outcome(intake.candidate.path, reason=f"not imported: {error}", kind=type(error).__name__)


def _commit(
    store: Store,
    begin: Line,
    sound: list[tuple[int, Intake]],
    keys: dict[int, str],
    flush: fsio.Flush,
    spool: Spool | None,
) -> list[Outcome]:
    journals, batch = Journals(store.root), begin["batch"]
    heads: dict[str, list[dict[str, Any]]] = {}
    outcomes, lines, writes, superseded = [], [], {}, []
    for number, intake in sound:
        try:
            decided = _decide_all(store, intake, keys, heads, flush)
        except errors.DamageError as error:
            outcomes.append(_damaged(intake, error))
            continue
        line = _source_line(number, intake)
        outcome = Outcome(intake.candidate.path, line)
        for taken, key, name, data, decision in decided:
            gone = [head["_name"] for head in decision.supersedes]
            line["sessions"].append(_session_line(taken, key, name, decision, gone))
            if decision.outcome == "purged" or decision.revision["counts"]["messages"] != taken.composer.count:
                line["resume"] = None  # the stored session is another one than was read, so there is no going on
            if decision.write:
                writes[name] = data
                superseded += gone
                outcome.changes.append(_change(store, taken, name, decision, gone, spool))
        lines.append(line)
        outcomes.append(outcome)
    flush.close()
    if not lines:
        return outcomes
    journals.append(batch, lines, begin=begin)
    _write_revisions(store, writes, flush)
    supersede(store, batch, superseded)
    journals.append(batch, [{"t": "commit", "n": [line["n"] for line in lines]}], durable=False)
    return outcomes


def _write_revisions(store: Store, writes: dict[str, bytes], flush: fsio.Flush) -> None:
    """Put the revisions in place, all or none. Raises `StorageError`; then those that may not be durable are gone."""
    written = []
    try:
        for name, data in writes.items():
            if store.write_revision(name, data, flush):
                written.append(name)
        flush.close()
    except errors.StorageError:
        for name in written:
            with suppress(errors.StorageError):
                fsio.remove(f"{store.root}/sessions/{name}")
        raise


def _decide_all(
    store: Store, intake: Intake, keys: dict[int, str], heads: dict[str, list[dict[str, Any]]], flush: fsio.Flush
) -> list[tuple[Taken, str, str, bytes, Decision]]:
    """What to do with every session of a source: (session, key, revision's name, its bytes, decision). `heads` are
    those of the sources before it; brought up to date only when all could be decided. Raises `DamageError`."""
    decided = []
    originals, lists = entries_of(intake)
    changed: dict[str, list[dict[str, Any]]] = {}
    for taken in intake.sessions:
        key = keys[id(taken)]
        known = changed.get(key) or heads.get(key) or store.heads(key)
        decision = decide(store, intake, taken, key, known, originals, flush)
        name, data = store.name_of(decision.revision)
        if decision.write:
            decision.revision["_name"] = name
            gone = {head["_name"] for head in decision.supersedes}
            known = store.heads_of([decision.revision, *(head for head in known if head["_name"] not in gone)])
        changed[key] = known
        decided.append((taken, key, name, data, decision))
    if any(decision.write for *_, decision in decided):
        for listed, data in lists.items():
            store.objects.put_named(listed, data, objects.VALUE, flush)
    heads.update(changed)
    return decided


def _change(store: Store, taken: Taken, name: str, decision: Decision, gone: list[str], spool: Spool | None) -> Change:
    revision = {field: value for field, value in decision.revision.items() if field not in ("_name", "messages")}
    head = decision.supersedes[0] if decision.supersedes else None
    if head is not None and decision.outcome == "joined":
        return Change(name, revision, gone, None, 0, _respool(store, decision, 0, spool))
    if head is not None and decision.outcome == "updated":
        return Change(name, revision, gone, head["_name"], revision["counts"]["messages"], [])
    if head is not None and decision.outcome == "stitched":
        start = head["counts"]["messages"]
        return Change(name, revision, gone, head["_name"], start, _respool(store, decision, start, spool))
    if taken.base is None:
        return Change(name, revision, gone, None, 0, taken.offsets)
    if head is not None and head["_name"] == taken.base["_name"]:
        return Change(name, revision, gone, head["_name"], head["counts"]["messages"], taken.offsets)
    return Change(name, revision, gone, None, 0, _respool(store, decision, 0, spool))


def _respool(store: Store, decision: Decision, start: int, spool: Spool | None) -> list[int]:
    return spool_messages(store, decision.revision, start, spool) if spool is not None else []


def spool_messages(store: Store, revision: dict[str, Any], start: int, spool: Spool) -> list[int]:
    """Put the index rows of a stored session's messages, from `start`, in the spool; returns where."""
    offsets, pending = [], []
    for message in store.messages(revision, start):
        pending.append(message)
        if len(pending) >= BATCH:
            offsets.append(spool.write(pending, start))
            start, pending = start + len(pending), []
    if pending:
        offsets.append(spool.write(pending, start))
    return offsets


def _source_line(number: int, intake: Intake) -> Line:
    account = intake.account
    line: Line = {
        "t": "source",
        "n": number,
        "path": intake.candidate.path,
        "name": intake.candidate.name,
        "source": intake.importer.source,
        "importer": {"name": intake.importer.source, "version": intake.importer.version},
        "stat": list(intake.stat),
        "original": intake.original,
        "offset": intake.offset,
        "resume": intake.resume,
        "grown": intake.grown,
        "account": {
            "records": account.records,
            "mapped": account.mapped,
            "preserved": account.preserved,
            "rejected": [list(rejection) for rejection in account.rejected],
        },
        "sessions": [],
    }
    if intake.companions:
        line["companions"] = intake.companions
    if intake.racy:
        line["racy"] = True
    return line


def _session_line(taken: Taken, key: str, name: str, decision: Decision, gone: list[str]) -> Line:
    return {
        "key": key,
        "native_id": taken.draft.native_id,
        "revision": name,
        "outcome": decision.outcome,
        "created": decision.write,
        "supersedes": gone,
        "messages": decision.revision["counts"]["messages"],
    }


def _read_back(store: Store, intake: Intake) -> None:
    """Compare what is on disk with what was read: every new chunk and page byte for byte (by hash), the pages' line
    counts, and the whole original's SHA-256 when all of it is new. Raises `DamageError`."""
    _read_back_original(store, intake.original, intake.fresh_chunks)
    for file in intake.companions:
        _read_back_original(store, file["original"], len(file["original"]["chunks"]))
    for taken in intake.sessions:
        known = len(taken.base["pages"]) if taken.base else 0
        for page in taken.composer.pages[known:]:
            if store.page(page["id"]).count(b"\n") != page["n"]:
                raise errors.ObjectCorrupt(name=page["id"])


def _read_back_original(store: Store, original: Line, fresh_chunks: int) -> None:
    whole = hashlib.sha256()
    chunks = original["chunks"]
    fresh = chunks[len(chunks) - fresh_chunks :]
    for chunk in fresh:
        data = store.objects.get(chunk["id"], objects.CHUNK, check=True)
        if len(data) != chunk["bytes"]:
            raise errors.ObjectCorrupt(name=chunk["id"])
        if len(fresh) > 1:
            whole.update(data)
    if len(fresh) == len(chunks) > 1 and whole.hexdigest() != original["sha256"]:
        raise errors.ObjectCorrupt(name=original["sha256"])

"""Erasing one session for good, wherever the store still has anything of it.

Steps, each of which can be repeated after a kill:
  1. a tombstone note, without content, so that nothing brings the session back,  the session is there, unlisted by
     for its key and those it has under other roots                               importers
  2. its revisions are removed                                                    objects that nothing refers to
  3. objects that nothing else needs are removed, out of the trash and the quarantine too, and with them whatever was
     garbage before: it may be an earlier state of this very session               fewer of them
  4. its superseded and damaged revisions, its notes, its links in `views/`        -
  5. journals: batches no longer list it, nor keep what they noted to go on with its source
  6. a journal of its own says that it was purged                                  -

Journals are only ever appended to, but here: what an importer keeps to go on with a growing file quotes the session.
Their paths and hashes stay. Objects that another session needs as well stay, and the report names them, and the source
files whose originals stay because they hold other sessions too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sessionstore import canonical, checks, errors, fsio, layout, notes, objects, tracing
from sessionstore.closure import NAMES, Reference, kept_originals, objects_of, objects_of_original
from sessionstore.gc import sweep_temp
from sessionstore.journal import Journals, Line, begin_line, now
from sessionstore.store import Store, parse_document


@dataclass(slots=True)
class Purged:
    """What a purge has removed: counts of files, and the objects that stay because other sessions need them."""

    key: str
    batch: str = ""
    revisions: int = 0
    notes: int = 0
    objects: int = 0
    bytes: int = 0
    journals: int = 0
    views: int = 0
    shared: dict[Reference, list[str]] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    """sessions because of which the originals of source files that held the purged one stay, by path"""

    def as_json(self) -> dict[str, Any]:
        """The shape that `purge --json` prints."""
        shared = [
            {"object": name, "kind": kind, "sessions": keys} for (name, kind), keys in sorted(self.shared.items())
        ]
        counts = {name: getattr(self, name) for name in ("revisions", "notes", "objects", "bytes", "journals", "views")}
        files = [{"path": path, "sessions": keys} for path, keys in sorted(self.files.items())]
        return {"key": self.key, "batch": self.batch, **counts, "shared": shared, "files": files}


@dataclass(slots=True)
class _Needs:
    """Who needs which objects."""

    key: str
    paths: list[str] = field(default_factory=list)
    """revisions of the session, and copies of them"""
    aliases: set[str] = field(default_factory=set)
    """keys that the session has under other roots, and that are no other session's"""
    own: set[Reference] = field(default_factory=set)
    others: dict[Reference, set[str]] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    """SHA-256 of source files that held nothing but the session"""
    files: dict[str, set[str]] = field(default_factory=dict)
    """other sessions in the source files that held the session and more, by path"""

    def take(self, references: set[Reference], keys: set[str]) -> None:
        """Add what the sessions `keys` (none: a file without sessions) need."""
        if self.key in keys:
            self.own |= references
        if keys != {self.key}:
            for reference in references:
                self.others.setdefault(reference, set()).update(keys - {self.key})


def purge(store: Store, key: str, *, reason: str | None = None) -> Purged:
    """Erase a session. The caller removes it from the index. Raises `NotFound` when there is nothing of it, `Busy`,
    `LocksUnavailable`, `ReadFailed` when it cannot be told what other sessions need."""
    result = Purged(key)
    with tracing.operation("lifecycle", "purge", key, level=tracing.INFO), store.exclusively("purge"):
        needs = _needs(store, key)
        tombstone = notes.notes_of(store, key).get(notes.TOMBSTONE)
        if not needs.paths and not notes.names_of(store, key):
            raise errors.NotFound(name=key)
        if tombstone is None or reason is not None:
            tombstone = {"time": now(), "reason": reason}
            notes.write_note(store, key, notes.TOMBSTONE, tombstone)
        for alias in sorted(needs.aliases):
            if not notes.is_purged(store, alias):
                notes.write_note(store, alias, notes.TOMBSTONE, tombstone)
        flush = fsio.Flush()
        for path in sorted(needs.paths, key=lambda path: not path.startswith("sessions/")):
            result.revisions += fsio.remove(f"{store.root}/{path}", flush)
        flush.close()
        result.shared = {ref: sorted(needs.others[ref]) for ref in needs.own & needs.others.keys()}
        result.files = {path: sorted(keys) for path, keys in needs.files.items()}
        _remove_objects(store, needs, result, flush)
        result.notes = _remove_notes(store, key, flush)
        result.views = _remove_views(store, key, flush)
        flush.close()
        sweep_temp(store)
        result.journals = _scrub_journals(store, key, needs.retired)
        result.batch = _tell(store, key)
    return result


def _stem(key: str) -> str:
    return f"{layout.fanout(key)}/{layout.slug(key)}"


def _documents(store: Store, key: str) -> Iterator[tuple[str, str]]:
    """(path, stem) of every revision anywhere in the store, and of files beside this session's that are named after
    them, as sync tools make copies."""
    folders = ["sessions"]
    folders += [f"trash/{name}/{part}" for name in fsio.names(f"{store.root}/trash") for part in ("sessions", "undone")]
    folders += [f"quarantine/{name}/sessions" for name in fsio.names(f"{store.root}/quarantine")]
    stem = _stem(key)
    for folder in folders:
        for name in fsio.walk(f"{store.root}/{folder}", 1):
            if layout.is_document_name(name):
                yield f"{folder}/{name}", layout.split_name(name)[0]
            elif name.startswith(f"{stem}."):
                yield f"{folder}/{name}", stem


def _needs(store: Store, key: str) -> _Needs:
    needs, stem = _Needs(key), _stem(key)
    for path, whose in _documents(store, key):
        references, document = _references(store, path)
        if whose == stem or document["key"] == key:
            needs.paths.append(path)
            needs.take(references, {key})
            needs.aliases.update(filter(_is_key_of(key), document.get("aliases", ())))
        else:
            needs.take(references, {document["key"]})
    for kept in kept_originals(Journals(store.root).all()):
        with suppress(errors.DamageError):
            needs.take(set(objects_of_original(store, kept.original)), set(kept.keys))
        if kept.keys == {key}:
            needs.retired.add(kept.original["sha256"])
        elif key in kept.keys:
            needs.files.setdefault(kept.path, set()).update(kept.keys - {key})
    needs.aliases = {alias for alias in needs.aliases if not store.names_of(alias)}
    return needs


def _is_key_of(key: str) -> Callable[[Any], bool]:
    """Tells the aliases that are keys a session has under other roots from other names of it."""
    source = key.partition(":")[0]
    return lambda alias: isinstance(alias, str) and alias.startswith(f"{source}:")


def _references(store: Store, path: str) -> tuple[set[Reference], dict[str, Any]]:
    """What a revision needs, and what it says; of a damaged one whatever it still names, and its session."""
    data = fsio.read_bytes(f"{store.root}/{path}")
    try:
        revision = parse_document("/".join(path.split("/")[-2:]), data)
        return set(objects_of(store, revision)), revision
    except (errors.SessionstoreError, KeyError, TypeError):
        named = {name.decode() for name in NAMES.findall(data)}
        return {(name, kind) for name in named for kind in objects.KINDS}, {"key": checks.key_in(data) or path}


def _remove_objects(store: Store, needs: _Needs, result: Purged, flush: fsio.Flush) -> None:
    """Remove every object that no other session needs, and files named like copies of one, as sync tools make."""
    names_needed = {name for name, _ in needs.others}
    folders = ["objects"]
    folders += [f"{place}/{name}/objects" for place in ("trash", "quarantine") for name in _folders(store, place)]
    for path in [path for folder in folders for path in _below(f"{store.root}/{folder}")]:
        reference = objects.parse_name("/".join(path.replace(os.sep, "/").split("/")[-2:]))
        if reference is None:
            named = NAMES.search(os.fsencode(os.path.basename(path)))
            stays = named is None or named[0].decode() in names_needed
        else:
            stays = reference in needs.others
        size = 0 if stays else os.lstat(path).st_size
        if not stays and fsio.remove(path, flush):
            result.objects += 1
            result.bytes += size
    flush.close()


def _below(directory: str) -> list[str]:
    """All files below a directory; symbolic links are not followed."""
    return [os.path.join(root, name) for root, _, names in os.walk(directory) for name in names]


def _folders(store: Store, place: str) -> list[str]:
    return sorted(filter(layout.is_ulid, fsio.names(f"{store.root}/{place}")))


def _remove_notes(store: Store, key: str, flush: fsio.Flush) -> int:
    """Remove every note on the session but its tombstone."""
    kept = {name for name in notes.names_of(store, key) if _is_tombstone(store, name)}
    places = [f"notes/{name}" for name in notes.names_of(store, key) if name not in kept]
    for folder in _folders(store, "quarantine"):
        root = f"quarantine/{folder}/notes"
        found = fsio.walk(f"{store.root}/{root}", 1)
        places += [f"{root}/{name}" for name in found if layout.split_name(name)[0] == _stem(key)]
    return sum(fsio.remove(f"{store.root}/{path}", flush) for path in places)


def _is_tombstone(store: Store, name: str) -> bool:
    try:
        return bool(store.load_note(name).get("field") == notes.TOMBSTONE)
    except errors.SessionstoreError:
        return False


def _remove_views(store: Store, key: str, flush: fsio.Flush) -> int:
    """Remove the session from `views/`: a hard link there would keep its revision."""
    mine = re.compile(re.escape(layout.slug(key)) + r"(\.[0-9a-f]{12})?\.json")
    found = [name for name in fsio.walk(f"{store.root}/views", 2) if mine.fullmatch(name.rpartition("/")[2])]
    return sum(fsio.remove(f"{store.root}/views/{name}", flush) for name in found)


def _scrub_journals(store: Store, key: str, retired: set[str]) -> int:
    """Take the session out of every journal; returns how many were changed. What was retired goes first, because
    whose it was can only be told while batches still list the session."""

    def without_retired(raw: bytes) -> bytes:
        line = _line(raw)
        return b"" if line.get("t") == "retire" and line["original"]["sha256"] in retired else raw

    def without_session(raw: bytes) -> bytes:
        line = _line(raw)
        if not line:
            return b"" if layout.slug(key).encode() in raw or canonical.dumps(key)[1:-1] in raw else raw
        if line.get("t") != "source" or not any(entry["key"] == key for entry in line["sessions"]):
            return raw
        kept = [entry for entry in line["sessions"] if entry["key"] != key]
        rewritten = {**line, "sessions": kept, "resume": None, **({} if kept else {"purged": True})}
        return canonical.line(rewritten)

    changed = _rewrite(store, without_retired) if retired else set()
    return len(changed | _rewrite(store, without_session))


def _line(raw: bytes) -> Line:
    """A journal's line; empty when it is damaged or torn."""
    try:
        line = canonical.loads(raw)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _rewrite(store: Store, change: Callable[[bytes], bytes]) -> set[str]:
    """Put every journal through `change`, line by line; returns which ones that has changed."""
    changed = set()
    places = [f"batches/{name}.jsonl" for name in Journals(store.root).ids()]
    for folder in _folders(store, "quarantine"):
        root = f"quarantine/{folder}/batches"
        places += [f"{root}/{name}" for name in fsio.names(f"{store.root}/{root}")]
    for path in places:
        data = fsio.read_bytes(f"{store.root}/{path}")
        rewritten = b"".join(map(change, data.splitlines(keepends=True)))
        if rewritten != data:
            fsio.replace(store.temp, f"{store.root}/{path}", rewritten)
            changed.add(path)
    return changed


def _tell(store: Store, key: str) -> str:
    """Write the journal of the purge; returns the name of its batch."""
    journals, time = Journals(store.root), now()
    batch = journals.new_id()
    begin = begin_line(batch, {"purge": key}, time)
    lines = [{"t": "purged", "key": key, "time": time}, {"t": "end", "time": time}]
    journals.append(batch, lines, begin=begin)
    return batch

"""Finding sources: walking directories, and telling by content which importer a file is for.

Nothing is opened that is known from an earlier batch and whose stat signature has not changed. Symlinks are not
followed, stores are not looked into.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sessionstore import canonical, errors, fsio, layout
from sessionstore.importers.base import Draft, Head, Importer, Machine, Source
from sessionstore.importers.material import Companion
from sessionstore.importers.parsing import Unparsable
from sessionstore.journal import Batch, Line
from sessionstore.migrate import bundles, reading
from sessionstore.migrate.bundles import Bundles, Member
from sessionstore.migrate.reading import Stat
from sessionstore.store import Store

SKIPPED_DIRECTORIES = frozenset({".git", "node_modules", "__pycache__", ".venv"})


class Candidate(NamedTuple):
    """A file that may be a source. `name` is its path relative to the directory it was found under; `previous` is
    the journal's last word on it, if it has been imported before; `members` are the files that belong to it."""

    path: str
    name: str
    stat: Stat
    previous: Line | None = None
    members: tuple[Member, ...] = ()
    formats: frozenset[str] = frozenset()
    """the only formats it may be of; empty when it may be of any"""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return self.stat.size + sum(member.stat.size for member in self.members)


class Roots(NamedTuple):
    """Where to look: the directories or files, the file-name endings worth opening, and, of known places, which formats
    live there: a download folder may hold exports, but not every data set in it is somebody's conversation."""

    paths: list[str]
    suffixes: tuple[str, ...]
    formats: Mapping[str, frozenset[str]] = {}
    store: str = ""
    """The id of the store that imports: what it writes itself, in the form of another program, it does not import."""

    def formats_at(self, path: str) -> frozenset[str]:
        """The formats that a file may be of; empty when that is not restricted."""
        if not self.formats:
            return frozenset()
        found: set[str] = set()
        while True:
            found |= self.formats.get(path, frozenset())
            if (parent := os.path.dirname(path)) == path:
                return frozenset(found)
            path = parent


def roots(paths: Iterable[str], importers: Iterable[Importer], machine: Machine) -> Roots:
    """The given paths, or without any the places where the importers' formats live. Raises `ReadFailed` for a
    given path that does not exist."""
    importers = list(importers)
    suffixes = tuple(sorted({suffix for importer in importers for suffix in importer.suffixes}))
    given = [os.path.abspath(path) for path in paths]
    for path in given:
        if not os.path.exists(path):
            raise errors.ReadFailed(path=path, reason="no such file or directory")
    if given:
        return Roots(given, suffixes)
    formats = places(importers, machine)
    return Roots([path for path in formats if os.path.isdir(path)], suffixes, formats)


def places(importers: Iterable[Importer], machine: Machine) -> dict[str, frozenset[str]]:
    """The real paths of the places where formats live, there or not, each with the formats that live in it."""
    found: dict[str, frozenset[str]] = {}
    for importer in importers:
        for place in importer.places(machine):
            path = os.path.realpath(place.root)
            found[path] = found.get(path, frozenset()) | {importer.source}
    return found


def walk(where: Roots, *, on_error: Callable[[str, str], None]) -> Iterator[tuple[str, str, Stat]]:
    """(path, name, stat) of every file worth opening, each once, in a stable order. What cannot be listed is told
    to `on_error` with its reason and left out."""
    seen: set[tuple[int, int]] = set()
    for root in where.paths:
        root = os.path.realpath(root)
        try:
            status = os.stat(root)
        except OSError as error:
            on_error(root, (error.strerror or "unreadable").lower())
            continue
        if not os.path.isdir(root):
            found = iter([(root, os.path.basename(root), Stat.of(status))])
        else:
            found = _walk_directory(root, where, on_error)
        for path, name, stat in found:
            if (stat.device, stat.inode) not in seen:
                seen.add((stat.device, stat.inode))
                yield path, name, stat


def _walk_directory(
    directory: str, where: Roots, on_error: Callable[[str, str], None]
) -> Iterator[tuple[str, str, Stat]]:
    """As `walk`, of one directory. Not recursive: directories may be nested deeper than functions."""
    suffixes = where.suffixes
    open_listings = [_listing(directory, "", where.store, on_error)]
    while open_listings:
        entry, prefix = next(open_listings[-1], (None, ""))
        if entry is None:
            open_listings.pop()
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED_DIRECTORIES:
                    open_listings.append(_listing(entry.path, f"{prefix}{entry.name}/", where.store, on_error))
            elif entry.name.lower().endswith(suffixes) and entry.is_file(follow_symlinks=False):
                yield entry.path, prefix + entry.name, Stat.of(entry.stat(follow_symlinks=False))
        except OSError as error:
            on_error(entry.path, (error.strerror or "unreadable").lower())


def _listing(
    directory: str, prefix: str, store: str, on_error: Callable[[str, str], None]
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """The entries of a directory in order, each with the directory's path from where the walk began."""
    try:
        with os.scandir(directory) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        on_error(directory, (error.strerror or "unreadable").lower())
        return
    if any(entry.name == layout.MARKER for entry in entries):
        return
    if store and any(entry.name == layout.PAIRING for entry in entries) and written_by(directory) == store:
        return
    yield from ((entry, prefix) for entry in entries)


def written_by(directory: str) -> str | None:
    """The id of the store that writes the legacy files in a directory, None when none does."""
    try:
        found = canonical.loads(fsio.read_bytes(f"{directory}/{layout.PAIRING}"))
    except (OSError, ValueError, errors.StorageError):
        return None
    store = found.get("store") if isinstance(found, dict) else None
    return store if isinstance(store, str) else None


def known_sources(batches: Iterable[Batch]) -> dict[str, Line]:
    """The last word of the journals on every source path; `batches` oldest first. Rolled-back batches say nothing,
    and what others say of sessions that went with them (a copy found later adds nothing of its own) is void."""
    known: dict[str, Line] = {}
    taken_back: set[str] = set()
    created: set[str] = set()
    for batch in batches:
        for line in batch.live:
            known[line["path"]] = line
        for line in batch.sources.values():
            (taken_back if batch.undo else created).update(_created(line))
    void = taken_back - created
    return {path: line for path, line in known.items() if void.isdisjoint(_revisions(line))} if void else known


def still_stored(store: Store, known: Mapping[str, Line]) -> dict[str, Line]:
    """Of the sources that journals know, those whose sessions are all still there in some form. The others have to be
    read again, however unchanged they are."""
    there = {layout.split_name(name)[0] for name in store.revision_names()}

    def stems(line: Line) -> set[str]:
        sessions = (session for session in line["sessions"] if session["outcome"] != "purged")
        return {layout.split_name(session["revision"])[0] for session in sessions}

    return {path: line for path, line in known.items() if stems(line) <= there}


def _created(line: Line) -> Iterator[str]:
    return (session["revision"] for session in line["sessions"] if session["created"])


def _revisions(line: Line) -> Iterator[str]:
    return (session["revision"] for session in line["sessions"])


def candidates(
    where: Roots,
    importers: Mapping[str, Importer],
    known: Mapping[str, Line],
    *,
    on_error: Callable[[str, str], None],
) -> Iterator[Candidate]:
    """Every source there may be, each once, in a stable order; several files that are one source are one candidate.
    `known` is what the journals know of them. Errors as in `walk`."""
    several = Bundles(importers, {path: line["importer"]["name"] for path, line in known.items()})
    for path, name, stat, members in bundles.grouped(walk(where, on_error=on_error), several):
        yield Candidate(path, name, stat, known.get(path), members, where.formats_at(path))


def among(candidate: Candidate, importers: Mapping[str, Importer]) -> Mapping[str, Importer]:
    """Those of the importers whose format a candidate may be of."""
    if not candidate.formats:
        return importers
    return {name: importer for name, importer in importers.items() if name in candidate.formats}


def again(candidate: Candidate, importers: Mapping[str, Importer]) -> Candidate:
    """The candidate as its files are now."""
    known = {candidate.path: candidate.previous["importer"]["name"]} if candidate.previous else {}
    try:
        stat = Stat.of(os.stat(candidate.path))
    except OSError:
        return candidate
    return candidate._replace(stat=stat, members=Bundles(importers, known).members(candidate.path))


def unchanged(candidate: Candidate, importers: Mapping[str, Importer]) -> bool:
    """Whether a source is the one that was imported, by the importer as it is now. Equal stat signatures say so; a file
    whose signature differs, or was taken too soon after it changed to be trusted, is compared by its SHA-256 when its
    size is the same."""
    previous = candidate.previous
    if previous is None:
        return False
    importer = importers.get(previous["importer"]["name"])
    if importer is None or importer.version != previous["importer"]["version"]:
        return False
    beside = {line["name"]: line for line in previous.get("companions", ())}
    if beside.keys() != {member.name for member in candidate.members}:
        return False
    pairs = [(candidate.path, candidate.stat, previous)]
    pairs += [(member.path, member.stat, beside[member.name]) for member in candidate.members]
    racy = bool(previous.get("racy"))
    return all(stat.size == line["original"]["bytes"] for _, stat, line in pairs) and all(
        _same(path, stat, line, racy) for path, stat, line in pairs
    )


def _same(path: str, stat: Stat, line: Line, racy: bool) -> bool:
    if tuple(line["stat"]) == tuple(stat) and not racy:
        return True
    try:
        return reading.digest(path) == str(line["original"]["sha256"])
    except errors.SessionstoreError:
        return False


def recognise(head: Head, importers: Iterable[Importer]) -> Importer:
    """The one importer whose format this is; a single one has been named by a person, so it takes all it can read.
    Raises `Unparsable` with the reason when there is none or several."""
    importers, name = list(importers), head.name.lower()
    fitting = [importer for importer in importers if name.endswith(importer.suffixes)]
    claimed, reason = [], "no importer recognises its content"
    for importer in fitting:
        try:
            if importer.accepts(head) if len(importers) == 1 else importer.recognise(head):
                claimed.append(importer)
        except Unparsable:
            continue
        except errors.SessionstoreError:
            raise
        except Exception as error:
            # A fault of one importer (anybody may ship one) must not keep the others from recognising their own.
            reason = f"the importer {importer.source} failed ({type(error).__name__}: {error}); please report this"
    if len(claimed) == 1:
        return claimed[0]
    if claimed:
        names = " or ".join(sorted(importer.source for importer in claimed))
        raise Unparsable(f"could be {names}; say which with --from")
    raise Unparsable("empty file" if not head.data else reason)


def survey(where: Roots, importers: Mapping[str, Importer]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """What lies in some places, by format: (one entry per format with `source`, `paths`, `files`, `bytes`,
    `sessions`), and the files that are no source, each with its reason. Files of lines are read at their beginning
    only, so a session that starts further on is not counted."""
    troubles: list[tuple[str, str]] = []
    by_format: dict[str, dict[str, Any]] = {}
    for one in candidates(where, importers, {}, on_error=lambda path, reason: troubles.append((path, reason))):
        path, members = one.path, one.members
        try:
            descriptor, stat = reading.open_file(path)
            try:
                head = reading.head(descriptor, path, stat)
                importer = recognise(head, among(one, importers).values())
                sessions = len(drafts_in(importer, head, members))
            finally:
                os.close(descriptor)
        except errors.SessionstoreError as error:
            troubles.append((path, str(error.fields.get("reason", error))))
            continue
        except Unparsable as error:
            troubles.append((path, str(error)))
            continue
        entry = by_format.setdefault(
            importer.source,
            {"source": importer.source, "title": importer.title, "paths": set(), "files": 0, "bytes": 0, "sessions": 0},
        )
        entry["paths"].add(_root_of(path, where))
        entry["files"] += 1 + len(members)
        entry["bytes"] += stat.size + sum(member.stat.size for member in members)
        entry["sessions"] += sessions
    for entry in by_format.values():
        entry["paths"] = sorted(entry["paths"])
    return sorted(by_format.values(), key=lambda entry: str(entry["source"])), troubles


def drafts_in(
    importer: Importer, head: Head, members: Iterable[Member] = (), *, to_the_end: bool = False
) -> list[Draft]:
    """The sessions that a source holds; of one of lines those it begins with, unless it is read `to_the_end`. None when
    it cannot be read."""
    complete = head.data[: head.data.rfind(b"\n") + 1]
    if head.whole:
        blocks: Iterable[bytes] = [head.data]
    elif importer.by_line and not to_the_end:
        blocks = [complete]
    else:
        blocks = head.blocks()
    beside = {member.name: Companion(member.name, member.stat.size, reading.later(member.path)) for member in members}
    try:
        source = Source(head.name, blocks, companions=beside)
        for _ in importer.read(source):
            pass
    except errors.SessionstoreError:
        raise
    except Exception:  # of Unparsable, or a fault of the importer: whoever reads the source whole will tell of it
        return []
    return source.drafts


def _root_of(path: str, where: Roots) -> str:
    for root in where.paths:
        real = os.path.realpath(root)
        if path == real or path.startswith(real.rstrip("/") + "/"):
            return root
    return os.path.dirname(path)

"""Sources of several files: which file stands for them, and which files belong to it.

A file belongs to a lead only when the lead is recognised by its content; until then every file is looked at by itself.
Symlinks are not followed.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from sessionstore import errors
from sessionstore.importers.base import Importer
from sessionstore.importers.material import LOG
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate import reading
from sessionstore.migrate.reading import Stat

DATABASES = (".db", ".sqlite", ".sqlite3", ".vscdb")
"""Endings of file names that a database may have; beside it may lie its write-ahead log."""
MOST = 200_000
"""No more than so many companions are taken in with one source."""
TRIED = 20
"""As many files are looked at for one that stands for a directory's others."""
STEM = "{stem}"
"""What stands for the lead's name without its ending in the pattern of a companion."""


class Member(NamedTuple):
    """A file that belongs to a source: its path relative to the source's directory, its path, its stat signature."""

    name: str
    path: str
    stat: Stat


def members_of(importer: Importer, lead: str) -> tuple[Member, ...]:
    """The files that belong to the source that `lead` stands for, by name; not the lead itself."""
    directory = os.path.dirname(lead)
    steps = _lead_steps(importer, lead)
    above, way = "/.." * (steps - 1), "../" * (steps - 1)
    base = os.path.normpath(directory + above)
    stem = _escaped(os.path.basename(lead).rpartition(".")[0])
    found: dict[str, Member] = {}
    for pattern in importer.companions if steps else ():
        for name in _matching(base, pattern.replace(STEM, stem).split("/"), way):
            path = os.path.normpath(f"{directory}/{name}")
            if name not in found and path != lead and (stat := _stat_of(path)) is not None:
                found[name] = Member(name, path, stat)
            if len(found) >= MOST:
                return tuple(found[name] for name in sorted(found))
    log = lead + LOG
    if lead.lower().endswith(DATABASES) and (stat := _stat_of(log)) is not None and stat.size:
        name = os.path.basename(log)
        found[name] = Member(name, log, stat)
    return tuple(found[name] for name in sorted(found))


def _lead_steps(importer: Importer, path: str) -> int:
    """How many steps the pattern has that makes a file a lead; 0 when there is none, 1 when every file is one."""
    found = path.split(os.sep)
    for wanted in (pattern.split("/") for pattern in importer.leads):
        if len(found) > len(wanted) and all(map(_fits, found[-len(wanted) :], wanted)):
            return len(wanted)
    return 0 if importer.leads else 1


@lru_cache(maxsize=64)
def _longest_first(patterns: tuple[str, ...]) -> list[list[str]]:
    """The steps of the patterns that stay below the directory they begin in."""
    below = (pattern.split("/") for pattern in patterns)
    return sorted((steps for steps in below if steps[0] != ".."), key=len, reverse=True)


def _named_alike(importer: Importer, path: str) -> Iterator[str]:
    """The files beside a file that it could belong to by its name."""
    directory, name = os.path.split(path)
    for pattern in importer.companions:
        before, _, after = pattern.partition(STEM)
        if "/" in pattern or not name.startswith(before) or not name.endswith(after):
            continue
        stem = name[len(before) : len(name) - len(after)]
        for ending in importer.suffixes if stem else ():
            lead = f"{directory}/{stem}{ending}"
            if lead != path and _stat_of(lead) is not None:
                yield lead


def _is_plain(pattern: str) -> bool:
    """Whether a pattern fits one name only."""
    return not any(letter in pattern for letter in "*?[")


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern. Most patterns are plain names, which need no regular expression."""
    return name == pattern or (not _is_plain(pattern) and fnmatchcase(name, pattern))


def _escaped(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _matching(directory: str, steps: list[str], prefix: str) -> Iterator[str]:
    """The relative paths below a directory that fit a pattern, given as its steps."""
    first, rest = steps[0], steps[1:]
    if first == "..":
        yield from _matching(os.path.dirname(directory), rest, f"{prefix}../")
        return
    for name in _fitting(directory, first):
        if rest:
            below = f"{directory}/{name}"
            if not os.path.islink(below):
                yield from _matching(below, rest, f"{prefix}{name}/")
        else:
            yield prefix + name


def _fitting(directory: str, pattern: str) -> Iterable[str]:
    """The names in a directory that fit a pattern. One that is a plain name is asked for, not searched: every source
    of a large directory may have a companion of its own name."""
    if _is_plain(pattern):
        return (pattern,) if os.path.lexists(f"{directory}/{pattern}") else ()
    return (name for name in _names(directory) if _fits(name, pattern))


@lru_cache(maxsize=64)
def _listed(directory: str, mtime_ns: int) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(directory)))
    except OSError:
        return ()


def _names(directory: str) -> tuple[str, ...]:
    try:
        return _listed(directory, os.stat(directory).st_mtime_ns)
    except OSError:
        return ()


def _stat_of(path: str) -> Stat | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return Stat.of(status) if stat_module.S_ISREG(status.st_mode) else None


class Bundles:
    """Tells of every file found which source it belongs to, opening only files whose names could stand for one."""

    def __init__(self, importers: Mapping[str, Importer], known: Mapping[str, str]) -> None:
        """`known` names the importer of sources that were imported before, by path."""
        self._importers = importers
        self._several = [importer for importer in importers.values() if importer.leads and importer.companions]
        self._beside = [
            importer
            for importer in importers.values()
            if not importer.leads and any(STEM in pattern and "/" not in pattern for pattern in importer.companions)
        ]
        self._known = known
        self._recognised: dict[str, str | None] = {}
        self._trees: dict[tuple[str, str], str] = {}
        """the leads of trees, by importer and the tree's root"""

    def lead_of(self, path: str) -> str:
        """The path of the file that stands for the source this file belongs to; itself when it stands alone."""
        if (known := self._known_importer(path)) is not None and not known.companions:
            return path
        for importer in self._several:
            for directory in self._directories(importer, path):
                if (lead := self._lead_of_directory(importer, directory)) is not None:
                    return lead
        for importer in self._beside:
            for lead in _named_alike(importer, path):
                if self._importer_of(lead) == importer.source:
                    return lead
        return path

    def _lead_of_directory(self, importer: Importer, directory: str) -> str | None:
        """The file that stands for a directory, if there is one. That of a tree is looked for once."""
        known = self._trees.get((importer.source, directory))
        if known is not None:
            return known
        for lead in islice(self._leads_in(importer, directory), TRIED):
            if self._importer_of(lead) == importer.source:
                if _lead_steps(importer, lead) > 1:
                    self._trees[importer.source, directory] = lead
                return lead
        return None

    def members(self, lead: str) -> tuple[Member, ...]:
        """The companions of a source. Files that no importer of several files recognises have none but a log."""
        name = os.path.basename(lead)
        known = self._known_importer(lead)
        for importer in self._importers.values() if known is None else (known,):
            if not importer.companions or not name.lower().endswith(importer.suffixes):
                continue
            if not _lead_steps(importer, lead):
                continue
            found = members_of(importer, lead)
            if found and self._importer_of(lead) == importer.source:
                return found
        return members_of(Importer(), lead) if lead.lower().endswith(DATABASES) else ()

    def _known_importer(self, path: str) -> Importer | None:
        """The importer of a source that was imported before: no other has to be asked, which makes looking at thousands
        of unchanged sources quick."""
        return self._importers.get(self._known.get(path, ""))

    def _directories(self, importer: Importer, path: str) -> Iterator[str]:
        """The directories whose lead the file could be or belong to, the outermost first: what could itself be a lead
        belongs to the one above it."""
        steps = path.split(os.sep)
        for wanted in _longest_first(importer.companions):
            if len(steps) <= len(wanted):
                continue
            if all(map(_fits, steps[-len(wanted) :], wanted)):
                yield os.sep.join(steps[: -len(wanted)])
        if any(_fits(steps[-1], pattern) for pattern in importer.leads):
            yield os.path.dirname(path)

    @staticmethod
    def _leads_in(importer: Importer, directory: str) -> Iterator[str]:
        """The file that can stand for those of a directory; the last ones first when they lie deeper, where any of them
        can."""
        for pattern in importer.leads:
            steps = pattern.split("/")
            names = sorted(_matching(directory, steps, ""), reverse=len(steps) > 1)
            for path in (f"{directory}/{name}" for name in names):
                if (stat := _stat_of(path)) is not None and stat.size:
                    yield path
                    if len(steps) == 1:
                        return

    def _importer_of(self, lead: str) -> str | None:
        """The format of a file that may stand for several, by its content."""
        if lead not in self._recognised:
            self._recognised[lead] = self._known.get(lead) or self._look(lead)
        return self._recognised[lead]

    def _look(self, lead: str) -> str | None:
        from sessionstore.migrate.finding import recognise

        try:
            descriptor, stat = reading.open_file(lead)
            try:
                return recognise(reading.head(descriptor, lead, stat), self._importers.values()).source
            finally:
                os.close(descriptor)
        except (errors.SessionstoreError, Unparsable):
            return None


def grouped(
    files: Iterable[tuple[str, str, Stat]], bundles: Bundles
) -> Iterator[tuple[str, str, Stat, tuple[Member, ...]]]:
    """The sources that some files make: (path, name, stat, members) of each, in the order of their first file."""
    done: set[str] = set()
    for path, name, stat in files:
        lead = bundles.lead_of(path)
        if lead in done:
            continue
        done.add(lead)
        if lead != path:
            found = _stat_of(lead)
            if found is None:
                continue
            beside = os.path.relpath(lead, os.path.dirname(path))
            name, stat = os.path.normpath(os.path.join(os.path.dirname(name), beside)), found
        yield lead, name.replace(os.sep, "/"), stat, bundles.members(lead)

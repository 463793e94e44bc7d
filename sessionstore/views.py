"""Folders to look around in with other programs: links to the heads of all sessions, by model, date, source and tag.

    views/by-model/<model>/<slug>.json     also by-date/<YYYY-MM-DD>, by-source/<source>, by-tag/<tag>

They are derived: made anew beside and swapped in, so that stale entries vanish; a kill between two steps leaves the
old ones, none, or the new ones. Entries are relative symbolic links; where those are refused, hard links; where those
are refused too, files that hold the relative path.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sessionstore import canonical, errors, fsio, layout, locks, notes
from sessionstore.store import Revision, Store

KINDS = ("by-model", "by-date", "by-source", "by-tag")
LONGEST = 80
"""A folder is called by so many bytes of its model's or tag's name at most."""
Link = Callable[[str, str], None]
"""Makes a link to its first argument at its second. Raises OSError or NotImplementedError where there is no such."""
_UNSAFE = re.compile(r"[^\w.+@=-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""Names that Windows keeps for devices."""


@dataclass(slots=True)
class Viewed:
    """What was made: how many links, to how many sessions, and of what kind."""

    sessions: int = 0
    links: int = 0
    kind: str = "symlink"
    skipped: int = 0
    """damaged revisions"""

    def as_json(self) -> dict[str, Any]:
        """The shape that `views --json` prints."""
        return {"sessions": self.sessions, "links": self.links, "kind": self.kind, "skipped": self.skipped}


def make_symlink(target: str, path: str) -> None:
    """A symbolic link at `path` that says `target`. Nothing in `views/` is ever made durable."""
    Path(path).symlink_to(target)


def make_hard_link(target: str, path: str) -> None:
    """Another name, `path`, for a file."""
    Path(path).hardlink_to(target)


def views(store: Store, *, symlink: Link = make_symlink, hard_link: Link = make_hard_link) -> Viewed:
    """Make `views/` anew. Raises `StorageError`, `Busy` when another process does the same."""
    result = Viewed()
    with store.writing(), locks.Lock(f"{store.root}/locks/views.lock", timeout=60, what="views/"):
        scratch = store.temp.name()
        linker = _Linker(store.root, symlink, hard_link)
        try:
            _build(store, scratch, linker, result)
            _swap(store, scratch)
        except OSError as error:
            raise fsio.failure(error, f"{store.root}/views") from error
        finally:
            fsio.remove_tree(scratch)
    result.kind = linker.kind
    return result


def _build(store: Store, scratch: str, linker: _Linker, result: Viewed) -> None:
    tags = {key: found.get("tags", ()) for key, found in notes.all_notes(store).items()}
    for kind in KINDS:
        os.makedirs(f"{scratch}/{kind}", 0o700)
    made: set[str] = set()
    for heads in _sessions(store, result):
        result.sessions += 1
        for revision in heads:
            entry = _entry_name(revision, alone=len(heads) == 1)
            for folder in sorted(set(_folders(revision, tags.get(revision["key"], ())))):
                if folder not in made:
                    os.makedirs(f"{scratch}/{folder}", 0o700, exist_ok=True)
                    made.add(folder)
                linker.link(f"sessions/{revision['_name']}", f"{scratch}/{folder}/{entry}")
                result.links += 1


def _sessions(store: Store, result: Viewed) -> Iterator[list[Revision]]:
    """The heads of every session."""
    by_session: dict[str, list[str]] = {}
    for name in sorted(store.revision_names()):
        by_session.setdefault(layout.split_name(name)[0], []).append(name)
    for names in by_session.values():
        revisions = []
        for name in names:
            try:
                revisions.append(store.load_revision(name))
            except errors.NotFound:
                continue
            except (errors.DamageError, errors.FormatTooNew, errors.ReadFailed):
                result.skipped += 1
        try:
            heads = store.heads_of(revisions)
        except (errors.DamageError, errors.ReadFailed):
            heads = revisions  # with a page missing it cannot be told which supersedes which: show them all
        if heads:
            yield heads


def _entry_name(revision: Revision, *, alone: bool) -> str:
    slug = layout.slug(revision["key"])
    return f"{slug}.json" if alone else f"{slug}.{layout.split_name(revision['_name'])[1][:12]}.json"


def _folders(revision: Revision, tags: Iterable[str]) -> Iterator[str]:
    """The folders that a session belongs in."""
    for model in revision.get("models", ()):
        yield f"by-model/{safe_name(model)}"
    yield f"by-date/{_date(revision)}"
    yield f"by-source/{safe_name(revision.get('source') or revision['key'].partition(':')[0])}"
    for tag in tags:
        yield f"by-tag/{safe_name(tag)}"


def _date(revision: Revision) -> str:
    """The day a session began, in UTC where its zone is known; "undated" when the source does not say."""
    for field in ("created_at", "updated_at"):
        raw = revision.get("x", {}).get(field)
        text: Any = revision.get(field) or (raw.get("raw") if isinstance(raw, dict) else None)
        try:
            moment = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            continue
        try:
            return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
        except OverflowError:
            continue
    return "undated"


def safe_name(text: str) -> str:
    """A folder's name for a model or a tag: lower-case letters of any script, digits and few signs, so that it is
    the same folder on every file system and never a path. Names that differ in other signs only share a folder."""
    plain = _UNSAFE.sub("-", unicodedata.normalize("NFC", text.casefold())).strip("-. ")
    plain = plain.encode("utf-8", "ignore")[:LONGEST].decode("utf-8", "ignore").strip("-. ")
    if not plain:
        return canonical.digest(text.encode("utf-8", "replace"))[:8]
    return f"_{plain}" if _RESERVED.fullmatch(plain) else plain


class _Linker:
    """Makes entries of the best kind that the file system allows, as found out with the first of them."""

    def __init__(self, root: str, symlink: Link, hard_link: Link) -> None:
        self._root = root
        self._ways: list[tuple[str, Link]] = [
            ("symlink", lambda target, path: symlink(f"../../../{target}", path)),
            ("hard link", lambda target, path: hard_link(f"{root}/{target}", path)),
            ("pointer", self._pointer),
        ]

    @property
    def kind(self) -> str:
        """What kind of entries are made."""
        return self._ways[0][0]

    def link(self, target: str, path: str) -> None:
        """Make an entry for a path in the store. One that is gone meanwhile gets none. Raises OSError."""
        while True:
            try:
                self._ways[0][1](target, path)
                return
            except (OSError, NotImplementedError):
                if not fsio.exists(f"{self._root}/{target}"):
                    return
                if len(self._ways) == 1:
                    raise
                del self._ways[0]

    @staticmethod
    def _pointer(target: str, path: str) -> None:
        with open(path, "x", encoding="utf-8") as file:
            file.write(f"../../../{target}\n")


def _swap(store: Store, scratch: str) -> None:
    old = store.temp.name()
    place = f"{store.root}/views"
    if os.path.lexists(place):
        fsio.rename(place, old)
    fsio.rename(scratch, place)
    if os.path.isdir(old) and not os.path.islink(old):
        fsio.remove_tree(old)
    else:
        fsio.remove(old)

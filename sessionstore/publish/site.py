"""A site: sessions as a directory of pages, made beside its place and moved in whole.

    index.html · sessions.html · search.html · site.json      what there is, all of it, the search, the mark of a site
    sessions/ texts/ images/ static/ search/                  pages, long texts, pictures, style and scripts, the index

The same sessions give the same bytes. Killed, it leaves a directory `.NAME-….tmp` beside the target and no target.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from sessionstore import __version__, errors, fsio, layout, objects
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import chosen
from sessionstore.notes import notes_of
from sessionstore.publish.frame import SESSIONS, STATIC, frame
from sessionstore.publish.lookup import Lookup
from sessionstore.publish.sessions import Session, write_pages
from sessionstore.secrets.redact import Redactor
from sessionstore.store import Store
from sessionstore.web import assets, pages, plot
from sessionstore.web.conversation import PAGE, Span, page_links

Message = dict[str, Any]
MARK = "site.json"
"""The file that says that a directory is a site made here."""
_FORMAT = "sessionstore/site"
_LIST = 200
"""Sessions on a page of the list."""
_RECENT = 25
_NOTES = ("title", "tags", "star")


@dataclass
class Choice:
    """What of the sessions is shown, as in every export: all branches, kinds of messages that are left out otherwise,
    and what replaces secrets. What is left out is named in `report`."""

    branches: bool = False
    kinds: tuple[str, ...] = ()
    redactor: Redactor | None = None
    report: Report = field(default_factory=Report)


def publish(
    store: Store,
    revisions: Iterable[Message],
    target: Path,
    choice: Choice,
    *,
    force: bool = False,
    advance: Callable[[int], None] = lambda messages: None,
) -> dict[str, Any]:
    """Make a site of sessions at `target`; returns path, sessions, messages, files and bytes. With `force` a site that
    is there is replaced; anything else never is. `advance` is told of every session's messages.
    Raises `WriteFailed`, `UsageError`."""
    target = Path(os.path.abspath(target))
    refuse_foreign(target, force)
    scratch = target.with_name(f".{target.name[:80]}-{os.urandom(4).hex()}.tmp")
    try:
        made = _Making(store, scratch, choice, advance)
        told = made.all(revisions)
        _move_in(scratch, target, force)
    except OSError as error:
        raise fsio.failure(error, target) from error
    finally:
        fsio.remove_tree(str(scratch))
    return {"path": str(target), **told}


def refuse_foreign(target: Path, force: bool) -> None:
    """Raises `WriteFailed` when there is something at `target` that is not to be replaced."""
    if not (target.exists() or target.is_symlink()):
        return
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return
        if _is_site(target):
            if force:
                return
            raise errors.WriteFailed(path=target, reason="there is a site already; --force replaces it")
    raise errors.WriteFailed(path=target, reason="there is something that is no site; give another place")


def _is_site(target: Path) -> bool:
    try:
        mark = orjson.loads((target / MARK).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("format") == _FORMAT


def _move_in(scratch: Path, target: Path, force: bool) -> None:
    """Put the finished site in its place. What was there is moved aside first, and back when that fails."""
    refuse_foreign(target, force)
    aside = scratch.with_name(f"{scratch.name}.old")
    there = target.exists()
    if there:
        fsio.rename(str(target), str(aside))
    try:
        fsio.rename(str(scratch), str(target))
    except OSError:
        if there:
            fsio.rename(str(aside), str(target))
        raise
    if there:
        fsio.remove_tree(str(aside))
    fsio.fsync_directory(str(target.parent))


class _Making:
    """One site while it is made."""

    def __init__(self, store: Store, root: Path, choice: Choice, advance: Callable[[int], None]) -> None:
        self.store, self.root, self.choice, self.advance = store, root, choice, advance
        self.flush = fsio.Flush()
        self.lookup = Lookup()
        self.sessions: list[Session] = []
        self.files = self.bytes = 0
        self._written: set[str] = set()

    def write(self, name: str, data: bytes) -> None:
        """Put a file into the site. One that is there already is the same."""
        if name in self._written:
            return
        self._written.add(name)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.flush.add(str(path))
        self.files += 1
        self.bytes += len(data)

    def all(self, revisions: Iterable[Message]) -> dict[str, int]:
        """Make everything."""
        heads = {revision["key"]: revision for revision in revisions}
        self.sessions = sorted(map(self._session, heads.values()), key=lambda one: (_backwards(one.time), one.key))
        for session in self.sessions:
            for number, message in enumerate(session.read(self.choice.report)):
                session.meet(number, message)
                self.lookup.add(message)
        known = {session.key: session for session in self.sessions}
        for session in self.sessions:
            write_pages(session, self._family(session, known), self.write, self._blob, known)
            self.advance(session.count)
        self._overview()
        self._static()
        listed = [_listed(session) for session in self.sessions]
        self.lookup.write(listed, PAGE, self.write)
        told = {"sessions": len(self.sessions), "messages": self.lookup.documents}
        self.write(MARK, orjson.dumps({"format": _FORMAT, "v": 1, "made_by": __version__, **told}))
        self.flush.close()
        return {**told, "files": self.files, "bytes": self.bytes}

    def _session(self, revision: Message) -> Session:
        key, choice = revision["key"], self.choice
        notes = {name: value for name, value in notes_of(self.store, key).items() if name in _NOTES}
        redactor = choice.redactor

        def stored() -> Iterable[Message]:
            found = self.store.messages(revision)
            return (redactor.message(key, message) for message in found) if redactor else found

        def read(report: Report) -> Iterable[Message]:
            return chosen(revision, stored, report, branches=choice.branches, kinds=choice.kinds)

        session = Session(
            layout.slug(key),
            redactor.revision(revision) if redactor else revision,
            redactor.document(notes) if redactor else notes,
            read,
        )
        if choice.branches:
            path = chosen(revision, stored, Report(), kinds=choice.kinds)
            session.on_path = frozenset(str(message["id"]) for message in path)
        return session

    def _family(self, session: Session, known: Mapping[str, Session]) -> dict[str, Any]:
        fork = session.revision.get("forked_from") or {}
        parent = None
        if fork.get("key"):
            there = known.get(fork["key"])
            parent = {**fork, "address": there.file(1) if there else ""}
        children = [
            {
                "address": other.file(1),
                "title": other.title,
                "relation": (other.revision.get("forked_from") or {}).get("relation") or "fork",
                "messages": other.count,
            }
            for other in self._children(known).get(session.key, ())
        ]
        return {"parent": parent, "children": children}

    def _children(self, known: Mapping[str, Session]) -> dict[str, list[Session]]:
        if not hasattr(self, "_by_parent"):
            self._by_parent: dict[str, list[Session]] = {}
            for session in sorted(known.values(), key=lambda one: (one.time, one.key)):
                parent = (session.revision.get("forked_from") or {}).get("key")
                self._by_parent.setdefault(str(parent), []).append(session)
        return self._by_parent

    def _blob(self, name: str) -> bytes:
        if not layout.is_sha256(name):
            return b""
        return self.store.objects.get(name, objects.VALUE, check=True)

    def _overview(self) -> None:
        """The first page, the list of all sessions, the search page."""
        known = {session.key: session for session in self.sessions}
        here = frame(0, lambda key: f"{SESSIONS}/{known[key].file(1)}")
        rows = [session.row() for session in self.sessions]
        home = {**here, **_sums(self.sessions), "recent": rows[:_RECENT]}
        self.write("index.html", _page("home.html", home))
        last = max(1, -(-len(rows) // _LIST))
        for page in range(1, last + 1):
            shown = Span((page - 1) * _LIST, min(len(rows), page * _LIST), page, last, _LIST)
            context = {
                **here,
                "span": shown,
                "links": page_links(shown),
                "page_address": lambda number: "sessions.html" if number == 1 else f"sessions-{number}.html",
                "found": SimpleNamespace(count=len(rows)),
                "total": len(rows),
                "sessions": rows[shown.start : shown.end],
            }
            self.write("sessions.html" if page == 1 else f"sessions-{page}.html", _page("still_sessions.html", context))
        search = frame(0, here["address_of"], "pages.js", "search.js")
        self.write("search.html", _page("still_search.html", search))

    def _static(self) -> None:
        for name, (data, _, _) in sorted(assets.all_assets().items()):
            self.write(f"{STATIC}/{name}", data)
        script = files("sessionstore.publish").joinpath("static/search.js")
        self.write(f"{STATIC}/search.js", script.read_bytes())


def _page(name: str, context: Mapping[str, Any]) -> bytes:
    return pages.render(name, context).encode("utf-8", "replace")


def _backwards(time: str) -> tuple[int, ...]:
    """The latest first, those without a time at the end."""
    return tuple(-ord(c) for c in time) or (1,)


def _listed(session: Session) -> dict[str, Any]:
    """A session as the search knows it."""
    row = session.row()
    told = {name: row[name] for name in ("key", "title", "source", "project", "messages") if row[name]}
    return {**told, "models": row["models"][:6], "time": row["time"][:16], "file": session.slug}


def _sums(sessions: list[Session]) -> dict[str, Any]:
    """What the first page says of all sessions: by source, over time, by project and tag."""
    sources: dict[str, dict[str, Any]] = {}
    days: dict[str, tuple[int, int]] = {}
    projects: dict[str, list[int]] = {}
    tags: dict[str, int] = {}
    for session in sessions:
        row, usage = session.row(), session.revision.get("usage") or {}
        source = sources.setdefault(row["source"], {"source": row["source"], "last": "", **dict.fromkeys(_ADDED, 0)})
        told = {"sessions": 1, "messages": session.count, **{name: usage.get(name) or 0 for name in _ADDED[2:]}}
        for name in _ADDED:
            source[name] += told[name]
        source["last"] = max(source["last"], row["time"])
        if row["time"]:
            count, messages = days.get(row["time"][:10], (0, 0))
            days[row["time"][:10]] = (count + 1, messages + session.count)
        if row["project"]:
            sums = projects.setdefault(str(row["project"]), [0, 0])
            sums[0] += 1
            sums[1] += session.count
        for tag in row["tags"]:
            tags[tag] = tags.get(tag, 0) + 1
    listed = sorted(sources.values(), key=lambda one: (-one["messages"], one["source"]))
    return {
        "sources": listed,
        "totals": {name: sum(one[name] for one in listed) for name in _ADDED},
        "bars": plot.bars(days),
        "projects": [(name, *sums) for name, sums in projects.items()][:12],
        "tags": sorted(tags.items(), key=lambda pair: (-pair[1], pair[0]))[:30],
    }


_ADDED = ("sessions", "messages", "input_tokens", "output_tokens", "cost_microusd")

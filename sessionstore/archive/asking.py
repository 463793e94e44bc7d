"""The archive: a store and its index, asked by name. Answers are plain data; long texts in them are clipped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sessionstore import errors, layout
from sessionstore.archive.current import INDEX, Tell, open_current
from sessionstore.archive.work import Work
from sessionstore.index import health
from sessionstore.store import Store

Answer = TypeVar("Answer")
Revision = dict[str, Any]
TITLE, LABEL, GROUPS = 200, 120, 15
"""Characters of a title, of any other name, and entries of a list of figures that an answer has at most."""
_LEAST = 6


def clip(text: Any, most: int = LABEL) -> str | None:
    """A text of at most `most` characters, None for nothing."""
    if text is None or text == "":
        return None
    plain = str(text)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


class Archive:
    """A store to ask. `tell` is given sentences that a person should see, such as that the index is behind. Safe to
    use from several threads: every question opens a connection of its own."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self.store = store
        self.tell = tell
        self.path = f"{store.root}/{INDEX}"

    # -- the index -------------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[sqlite3.Connection], Answer], work: Work | None = None) -> Answer:
        """Ask the index, after it has caught up with the store. Raises whatever `question` does, and
        `SessionstoreError` when `work` is over."""
        work = work or Work()
        self.refresh()
        work.check()

        def watched(connection: sqlite3.Connection) -> Answer:
            with work.watching(connection):
                return question(connection)

        return health.ask(self.store, self.path, watched)

    def refresh(self) -> None:
        """Bring the index to the store's state. Large differences, and an index that cannot be written, are told."""
        open_current(self.store, self.tell).close()

    # -- names -----------------------------------------------------------------------------------------------------

    def find_key(self, name: str, work: Work | None = None) -> str:
        """The key of the session that `name` means: a key, an id, an old id, the beginning of one, or ``@last``.
        Raises `NotFound`, `Ambiguous`."""
        if self.store.heads(name):
            return name
        from sessionstore.index.query import find

        return str(self.ask(lambda connection: find(connection, name), work)[0]["key"])

    def find_revision(self, name: str, work: Work | None = None) -> Revision:
        """The latest head of a session, or with ``NAME@REVISION`` the revision whose hash begins so.
        Raises `NotFound`, `Ambiguous`."""
        if heads := self.store.heads(name):
            return heads[0]
        start, _, wanted = name.rpartition("@")
        if not start or len(wanted) < _LEAST or set(wanted) - set("0123456789abcdef"):
            start, wanted = name, ""
        key = self.find_key(start, work)
        found = self.store.revisions_of(key) if wanted else self.store.heads(key)
        fitting = [one for one in found if layout.split_name(one["_name"])[1].startswith(wanted)]
        if not fitting:
            raise errors.NotFound(name=name)
        if len(fitting) > 1 and wanted:
            raise errors.Ambiguous(name=name, candidates=", ".join(one["_name"] for one in fitting[:5]))
        return fitting[0]

    def complete(self, typed: str, most: int = 50) -> list[str]:
        """Keys of sessions that contain what was typed, those changed last first."""
        sql = "SELECT key FROM sessions WHERE instr(lower(key), lower(?)) GROUP BY key ORDER BY max(sorted_at) DESC"
        values = (typed, most)
        return self.ask(lambda connection: [str(key) for (key,) in connection.execute(f"{sql} LIMIT ?", values)])

    # -- questions -------------------------------------------------------------------------------------------------

    def search(self, query: str, limit: int = 10, offset: int = 0, work: Work | None = None) -> dict[str, Any]:
        """What a search finds: at most `limit` messages, by session, best first. Members: query, sessions (each as
        `_found`, with hits), shown (messages), next_offset (None when that was all). Raises `SearchSyntax`."""
        from sessionstore.index.search import search

        hits = self.ask(lambda connection: search(connection, query, limit + 1, offset), work)
        more = len(hits) > limit
        sessions: dict[str, dict[str, Any]] = {}
        for hit in hits[:limit]:
            sessions.setdefault(hit["key"], _found(hit))["hits"] += [] if hit["message"] is None else [_hit(hit)]
        return {
            "query": clip(query, 1000),
            "sessions": list(sessions.values()),
            "shown": min(len(hits), limit),
            "next_offset": offset + limit if more else None,
        }

    def list(
        self,
        filters: Mapping[str, str],
        limit: int = 20,
        offset: int = 0,
        sort: str = "recent",
        *,
        starred: bool | None = None,
        archived: bool | None = False,
        work: Work | None = None,
    ) -> dict[str, Any]:
        """Sessions that pass the filters (see `index.query`). Members: sessions (see `outline`), next_offset.
        Raises `UsageError`."""
        from sessionstore.index.query import list_sessions

        found = self.ask(
            lambda connection: list_sessions(
                connection, filters, limit + 1, offset, sort, starred=starred, archived=archived
            ),
            work,
        )
        more = len(found) > limit
        return {"sessions": [outline(one) for one in found[:limit]], "next_offset": offset + limit if more else None}

    def stats(self, filters: Mapping[str, str], work: Work | None = None) -> dict[str, Any]:
        """Totals as `index.stats` gives them, each list cut to its `GROUPS` largest entries. Raises `UsageError`."""
        from sessionstore.index.stats import stats

        found = self.ask(lambda connection: stats(connection, filters), work)
        found["by_month"] = found["by_month"][-24:]
        for name in ("by_source", "by_model", "by_project", "by_tool"):
            found[name] = [
                {label: clip(value) if isinstance(value, str) else value for label, value in row.items()}
                for row in found[name][:GROUPS]
            ]
        return found

    def similar(
        self, name: str | None = None, text: str | None = None, limit: int = 10, work: Work | None = None
    ) -> dict[str, Any]:
        """Sessions that are about the same as a session, or as a text. Members: about (the session's key or None),
        terms (what it was told by), sessions (each an outline with score and shared). Raises `NotFound`,
        `UsageError`."""
        from sessionstore.index.similar import similar

        if (name is None) == (text is None):
            raise errors.UsageError(reason="give either a session or a text to compare with")
        work = work or Work()
        key = None if name is None else self.find_key(name, work)
        found = self.ask(lambda connection: similar(connection, key, text or "", limit, work.check), work)
        return {
            "about": key,
            "terms": found.terms,
            "sessions": [{**outline(one.session), "score": one.score, "shared": one.shared} for one in found.sessions],
        }


def outline(session: Mapping[str, Any]) -> dict[str, Any]:
    """What a list says of a session (an element of what `index.query.list_sessions` gives)."""
    return {
        "key": session["key"],
        "title": clip(session["title"], TITLE),
        "source": session["source"],
        "project": clip(session["project"]),
        "models": [str(clip(model)) for model in session["models"][:5]],
        "time": session["time"],
        "messages": session["messages"],
        "tags": [str(clip(tag)) for tag in session["tags"][:20]],
        "starred": session["starred"],
        "forked_from": session["forked_from"],
    }


def _found(hit: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": hit["key"],
        "title": clip(hit["title"], TITLE),
        "source": hit["source"],
        "project": clip(hit["project"]),
        "time": hit["session_time"] or None,
        "matches": hit["matches"],
        "hits": [],
    }


def _hit(hit: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "message": hit["message"],
        "role": hit["role"],
        "time": hit["time"] or None,
        "part": hit["part"],
        "snippet": clip(hit["snippet"], 500) or "",
    }

"""How revisions of one session relate: which supersedes which, and which are heads.

Revision B supersedes A when A's messages are a prefix of B's, or when A is among B's `parents`. Because pages
depend on the messages only, a prefix is recognised by page names and at most one page has to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sessionstore import canonical
from sessionstore.layout import split_name

Revision = dict[str, Any]
ReadPage = Callable[[str], bytes]


def same_messages(a: Revision, b: Revision) -> bool:
    """Whether two revisions hold exactly the same messages."""
    return page_names(a) == page_names(b) and _lines(a["messages"]) == _lines(b["messages"])


def extends(new: Revision, old: Revision, read_page: ReadPage) -> bool:
    """Whether `old`'s messages are a prefix of (or the same as) `new`'s."""
    new_pages, old_pages = page_names(new), page_names(old)
    depth = len(old_pages)
    if old["counts"]["messages"] > new["counts"]["messages"] or new_pages[:depth] != old_pages:
        return False
    tail = _lines(old["messages"])
    if not tail:
        return True
    if len(new_pages) == depth:
        return _lines(new["messages"][: len(tail)]) == tail
    following = read_page(new_pages[depth]).splitlines(keepends=True)
    return following[: len(tail)] == tail


def heads(revisions: Sequence[Revision], read_page: ReadPage) -> list[Revision]:
    """Those of one session's revisions (each with its file name under "_name") that no other supersedes, the one
    with the latest `updated_at` first."""
    if len(revisions) < 2:
        return list(revisions)
    named = {split_name(revision["_name"])[1]: revision for revision in revisions}
    parents = {parent for revision in revisions for parent in revision.get("parents", ())}
    hidden = {sha for sha in named if sha in parents}
    hidden |= {sha for sha, old in named.items() if any(_replaces(named[new], old, read_page) for new in hidden)}
    candidates = [revision for sha, revision in named.items() if sha not in hidden]
    kept = [old for old in candidates if not any(new is not old and _covers(new, old, read_page) for new in candidates)]
    return sorted(kept, key=_rank, reverse=True)


def _covers(new: Revision, old: Revision, read_page: ReadPage) -> bool:
    """Whether `new` makes `old` superfluous; of two with the same messages only one does."""
    if not extends(new, old, read_page):
        return False
    return new["counts"]["messages"] > old["counts"]["messages"] or _rank(new) > _rank(old)


def _replaces(hidden: Revision, old: Revision, read_page: ReadPage) -> bool:
    """Whether `old` is an earlier state of a revision that is history now, so that it is history as well. A revision
    of other parents is not: it may be an edit that made the session shorter."""
    same_parents = set(old.get("parents", ())) == set(hidden.get("parents", ()))
    return same_parents and extends(hidden, old, read_page)


def inherited(superseded: Iterable[Revision]) -> set[str]:
    """The parents that the successor of these heads must name, so that what they replaced stays history."""
    return {parent for head in superseded for parent in head.get("parents", ())}


def _rank(revision: Revision) -> tuple[str, str]:
    return revision.get("updated_at") or "", revision["_name"]


def page_names(revision: Revision) -> list[str]:
    """The names of a revision's pages, in order."""
    return [page["id"] for page in revision["pages"]]


def _lines(messages: Sequence[Any]) -> list[bytes]:
    return [canonical.line(message) for message in messages]

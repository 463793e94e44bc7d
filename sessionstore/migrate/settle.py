"""Finishing or taking back what a killed run left between journal line and commit.

A source is finished when each of its sessions is in place: its revision is there, whole, or has since been moved to
the trash by its successor, or gone on with. Else it is taken back, to be read again: what it superseded returns, and
what it made goes to `trash/<batch>/undone/`, but for what something has built upon since.
"""

from __future__ import annotations

from collections.abc import Iterable

from sessionstore import canonical, errors, fsio, layout, notes
from sessionstore.journal import Batch, Journals, Line
from sessionstore.store import Store


def settle(store: Store, batch: Batch) -> None:
    """Settle a batch. Needs the store for itself."""
    committed = {session["revision"] for line in batch.settled for session in line["sessions"]}
    finished, withdrawn = [], []
    for line in batch.unsettled():
        if _is_in_place(store, line):
            created = [session for session in line["sessions"] if session["created"]]
            supersede(store, batch.id, [name for session in created for name in session["supersedes"]])
            finished.append(line["n"])
        else:
            _withdraw(store, batch.id, line, committed)
            withdrawn.append(line["n"])
    lines = [{"t": "commit", "n": finished}, {"t": "withdrawn", "n": withdrawn}]
    Journals(store.root).append(batch.id, [line for line in lines if line["n"]])
    for line in lines:
        if line["n"]:
            batch.take(line)


def supersede(store: Store, batch: str, names: list[str]) -> None:
    """Move superseded revisions to the batch's trash."""
    flush = fsio.Flush()
    for name in names:
        fsio.move(f"{store.root}/sessions/{name}", f"{store.root}/trash/{batch}/sessions/{name}", flush)
    flush.close()


def _is_in_place(store: Store, line: Line) -> bool:
    """Whether every session that a source line speaks of, also those it found there, is in place, durable. Who wrote
    the revisions may have been killed before they were flushed; one that holds other bytes than it is named for (a
    power cut leaves such) goes to quarantine."""
    flush, complete = fsio.Flush(), True
    folders = ["sessions", *(f"trash/{name}/sessions" for name in fsio.names(f"{store.root}/trash"))]
    for session in line["sessions"]:
        paths = (f"{store.root}/{folder}/{session['revision']}" for folder in folders)
        if (place := _whole(store, filter(fsio.exists, paths), flush)) is not None:
            fsio.settle(place, flush)
        elif session["outcome"] != "purged" and not _was_continued(store, line, session):
            complete = False
    flush.close()
    return complete


def _whole(store: Store, paths: Iterable[str], flush: fsio.Flush) -> str | None:
    """The first of these files whose bytes are those it is named for; those before it go to quarantine."""
    for path in paths:
        if _is_whole(path):
            return path
        fsio.move(path, f"{store.root}/quarantine/{layout.ulid()}/{path[len(store.root) + 1 :]}", flush)
    return None


def _is_whole(path: str) -> bool:
    """Whether a file holds, to the byte, the revision it is named for."""
    try:
        return not fsio.is_doubtful(path) and canonical.digest(fsio.read_bytes(path)) == layout.split_name(path)[1]
    except (FileNotFoundError, errors.ReadFailed):
        return False


def _was_continued(store: Store, line: Line, session: Line) -> bool:
    """Whether a revision that is no longer there has been: a stored one names it as parent, or has taken over the
    original that it was made of. So has one that was purged."""
    sha256 = layout.split_name(session["revision"])[1]
    for revision in _sound_revisions(store, session["key"]):
        if sha256 in revision.get("parents", ()):
            return True
        held = {entry["sha256"] for entry in revision.get("originals", ())}
        same_importer = revision.get("importer") == line["importer"]
        if revision["_name"] not in session["supersedes"] and same_importer and line["original"]["sha256"] in held:
            return True
    return notes.is_purged(store, session["key"])


def _withdraw(store: Store, batch: str, line: Line, committed: set[str]) -> None:
    created = [session for session in line["sessions"] if session["created"]]
    own = {session["revision"] for session in created}
    flush = fsio.Flush()
    for session in created:
        for name in session["supersedes"]:
            fsio.move(f"{store.root}/trash/{batch}/sessions/{name}", f"{store.root}/sessions/{name}", flush)
        name = session["revision"]
        if name not in committed and not _is_built_upon(store, session, own):
            fsio.move(f"{store.root}/sessions/{name}", f"{store.root}/trash/{batch}/undone/{name}", flush)
    flush.close()
    for session in created:
        fsio.remove_empty(f"{store.root}/sessions/{session['revision'][:2]}")


def _is_built_upon(store: Store, session: Line, own: set[str]) -> bool:
    """Whether a revision that the line has not made goes on from one it has made."""
    revisions = {revision["_name"]: revision for revision in _sound_revisions(store, session["key"])}
    mine = revisions.get(session["revision"])
    if mine is None:
        return False
    sha256 = layout.split_name(session["revision"])[1]
    longer = mine["counts"]["messages"]
    return any(
        sha256 in other.get("parents", ()) or (other["counts"]["messages"] > longer and store.extends(other, mine))
        for name, other in revisions.items()
        if name not in own
    )


def _sound_revisions(store: Store, key: str) -> list[Line]:
    """The revisions of a session that can be read."""
    found = []
    for name in store.names_of(key):
        try:
            found.append(store.load_revision(name))
        except errors.SessionstoreError:
            continue
    return [revision for revision in found if revision["key"] == key]

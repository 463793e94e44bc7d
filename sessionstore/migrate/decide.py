"""What a session just read is to what the store already has of it.

new         nothing is stored under this key
same        exactly this is stored
contained   a stored head already holds these messages and these bytes
extended    the messages go on where a head ends: it is superseded
updated     the messages are a head's, other fields changed: it is superseded, named as parent
stitched    the source keeps a window only, and it overlaps a head: the head is extended by what is new
reimported  the same bytes (or their continuation) give other messages now: the head stays as history
purged      the session was erased for good: it stays so
branched    a different continuation: a second head beside the first
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionstore import canonical, errors, fsio, layout, objects
from sessionstore.compose import Composer
from sessionstore.importers.base import Draft, Importer
from sessionstore.lineage import inherited
from sessionstore.migrate.intake import Intake, Taken, own_key
from sessionstore.notes import is_purged
from sessionstore.store import Store

Revision = dict[str, Any]
LEAST_OVERLAP = 2
"""A window must share at least this many messages with what is stored to be its continuation."""


@dataclass(slots=True)
class Decision:
    """What to do with one session. `revision` is what stands for it afterwards; it is written when `write`."""

    outcome: str
    revision: Revision
    write: bool
    supersedes: list[Revision] = field(default_factory=list)


def fields_of(draft: Draft, importer: Importer, originals: list[dict[str, Any]], aliases: Iterable[str]) -> Revision:
    """The session fields of a draft, in the revision's form."""
    issues = [
        {"code": code, "n": n, **({"note": note} if note else {})} for code, (n, note) in sorted(draft.issues.items())
    ]
    return {
        "source": importer.source,
        "native_id": draft.native_id,
        "aliases": sorted(set(aliases)),
        "title": draft.title,
        "created_at": draft.created_at,
        "updated_at": draft.updated_at,
        "cwd": draft.cwd,
        "project": draft.project,
        "git": draft.git,
        "forked_from": draft.forked_from,
        "active_leaf": draft.active_leaf,
        "system": draft.system,
        "tools": draft.tools,
        "issues": issues,
        "x": draft.x,
        "originals": originals,
        "importer": {"name": importer.source, "version": importer.version},
    }


def decide(
    store: Store, intake: Intake, taken: Taken, key: str, heads: Sequence[Revision], flush: fsio.Flush
) -> Decision:
    """What to do with one session of a source, given its stored heads."""
    candidates = (*taken.draft.aliases, own_key(intake.importer, intake.candidate.path, taken.draft.native_id))
    aliases = [alias for alias in candidates if alias not in (key, taken.draft.native_id)]

    def finished(composer: Composer, originals: list[dict[str, Any]], parents: Iterable[str] = ()) -> Revision:
        known = [alias for head in heads for alias in head.get("aliases", ())]
        fields = fields_of(taken.draft, intake.importer, originals, [*aliases, *known])
        return composer.finish(key, fields, parents)

    revision = finished(taken.composer, [intake.original])
    if is_purged(store, key):
        return Decision("purged", revision, False)
    if not heads:
        return Decision("new", revision, True)
    superseded = [head for head in heads if store.extends(revision, head)]
    if superseded:
        older = [entry for head in superseded for entry in head.get("originals", ())]
        kept = [entry for entry in older if not _replaced_by(intake, entry, store)]
        revision = finished(taken.composer, _distinct([intake.original, *kept]), inherited(superseded))
        return _successor(store, finished, taken, revision, superseded)
    for head in heads:
        if store.extends(head, revision):
            return _contained(store, intake, head, aliases)
    if intake.importer.window and (stitched := _stitch(store, intake, taken, heads[0], flush)) is not None:
        if stitched.count == heads[0]["counts"]["messages"]:
            return _contained(store, intake, heads[0], aliases)
        originals = _distinct([intake.original, *heads[0].get("originals", ())])
        return Decision("stitched", finished(stitched, originals, inherited(heads[:1])), True, [heads[0]])
    replaced = [head for head in heads if _reimport(store, intake, head)]
    if replaced:
        parents = [layout.split_name(head["_name"])[1] for head in replaced]
        return Decision("reimported", finished(taken.composer, [intake.original], parents), True)
    return Decision("branched", revision, True)


def _successor(store: Store, finished: Any, taken: Taken, revision: Revision, superseded: list[Revision]) -> Decision:
    """The decision for a revision whose messages begin with those of stored heads."""
    latest = superseded[0]
    if latest["counts"]["messages"] < revision["counts"]["messages"]:
        return Decision("extended", revision, True, superseded)
    names = [head["_name"] for head in superseded]
    if _fields(latest) == _fields(revision) or store.name_of(revision)[0] in names:
        return Decision("same", latest, False)
    parents = {*inherited(superseded), *(layout.split_name(name)[1] for name in names)}
    return Decision("updated", finished(taken.composer, revision["originals"], parents), True, superseded)


def _fields(revision: Revision) -> bytes:
    """Everything a revision says but where it comes from."""
    return canonical.dumps({name: value for name, value in revision.items() if name not in ("_name", "parents")})


def _contained(store: Store, intake: Intake, head: Revision, aliases: list[str]) -> Decision:
    """The decision for a session that a head already holds: only its bytes or an alias may be new."""
    originals, known = head.get("originals", []), head.get("aliases", [])
    held = any(holds(store, entry, intake.original) for entry in originals)
    if held and set(aliases) <= set(known):
        return Decision("contained", head, False)
    revision = {name: value for name, value in head.items() if name != "_name"}
    revision["originals"] = originals if held else _distinct([*originals, intake.original])
    revision["parents"] = sorted({*inherited([head]), layout.split_name(head["_name"])[1]})
    if aliases:
        revision["aliases"] = sorted({*known, *aliases})
    return Decision("updated", revision, True, [head])


def _reimport(store: Store, intake: Intake, head: Revision) -> bool:
    """Whether the difference comes from the importer, not from the source, nor from somebody who has gone on with the
    session or edited it: what a person has made of it must stay in sight."""
    importer, previous = head.get("importer", {}), intake.candidate.previous
    if importer.get("name") != intake.importer.source:
        return False
    same_version = importer.get("version") == intake.importer.version
    if previous is None:
        if same_version:
            return False
    else:
        read_last = {session["revision"] for session in previous["sessions"]}
        parents = set() if same_version else set(head.get("parents", ()))
        if head["_name"] not in read_last and parents.isdisjoint(layout.split_name(name)[1] for name in read_last):
            return False
    same_bytes = any(holds(store, intake.original, entry) for entry in head.get("originals", ()))
    return same_bytes or (intake.grown and importer.get("version") != intake.importer.version)


def holds(store: Store, larger: dict[str, Any], smaller: dict[str, Any]) -> bool:
    """Whether an original begins with all the bytes of another one."""
    if larger["sha256"] == smaller["sha256"]:
        return True
    if larger["bytes"] <= smaller["bytes"]:
        return False
    position = 0
    for ours, theirs in zip(larger["chunks"], smaller["chunks"], strict=False):
        if ours["id"] != theirs["id"]:
            break
        position += ours["bytes"]
    else:
        return True
    rest = smaller["chunks"][_index_at(smaller, position) :]
    if len(rest) != 1:
        return False
    ours_at = _index_at(larger, position)
    try:
        last = store.objects.get(rest[0]["id"], objects.CHUNK)
        over = b"".join(store.objects.get(c["id"], objects.CHUNK) for c in larger["chunks"][ours_at : ours_at + 4])
    except errors.DamageError:
        return False
    return over.startswith(last)


def _index_at(original: dict[str, Any], position: int) -> int:
    passed = 0
    for index, chunk in enumerate(original["chunks"]):
        if passed >= position:
            return index
        passed += chunk["bytes"]
    return len(original["chunks"])


def _replaced_by(intake: Intake, entry: dict[str, Any], store: Store) -> bool:
    """Whether a stored original need not be kept beside the new one: the new one begins with it, or it is an earlier
    state of a document that its program rewrites (and whose messages are all in the new one)."""
    return not intake.importer.by_line or holds(store, intake.original, entry)


def _distinct(originals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({entry["sha256"]: entry for entry in originals}.values())


def _stitch(store: Store, intake: Intake, taken: Taken, head: Revision, flush: fsio.Flush) -> Composer | None:
    """A head extended by what a sliding window shows beyond it, or None when they do not overlap."""
    stored = [(_bare(message), message) for message in store.messages(head)]
    shown = [(_bare(message), message) for message in _messages_of(store, taken)]
    talk_stored = [bare for bare, message in stored if message["role"] != "system"]
    talk_shown = [bare for bare, message in shown if message["role"] != "system"]
    overlap = next(
        (
            size
            for size in range(min(len(talk_stored), len(talk_shown)), LEAST_OVERLAP - 1, -1)
            if talk_stored[-size:] == talk_shown[:size]
        ),
        0,
    )
    if not overlap:
        return None
    known_system = {bare for bare, message in stored if message["role"] == "system"}
    skipped = 0
    composer = Composer(store.objects, flush, head)
    for bare, message in shown:
        if message["role"] == "system":
            fresh = bare not in known_system
        else:
            skipped += 1
            fresh = skipped > overlap
        if fresh:
            composer.add({**message, "id": f"m{composer.count + 1}"})
    return composer


def _bare(message: dict[str, Any]) -> bytes:
    return canonical.dumps({name: value for name, value in message.items() if name != "id"})


def _messages_of(store: Store, taken: Taken) -> Iterable[dict[str, Any]]:
    return store.messages(taken.composer.finish("", {}))

"""What a session just read is to what the store already has of it.

new         nothing is stored under this key
same        exactly this is stored
contained   a stored head already holds these messages and these bytes
extended    the messages go on where a head ends: it is superseded
updated     the messages are a head's, other fields changed: it is superseded, named as parent
stitched    the source keeps a window only, and it overlaps a head: the head is extended by what is new
joined      the source holds other turns of the session than a head: it is superseded by both together
reimported  the same bytes (or their continuation) give other messages now: the head stays as history
purged      the session was erased for good: it stays so
branched    a different continuation: a second head beside the first
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sessionstore import canonical, errors, fsio, layout, objects
from sessionstore.compose import Composer
from sessionstore.importers.base import Draft, Importer
from sessionstore.lineage import inherited
from sessionstore.migrate import joining
from sessionstore.migrate.intake import Intake, Taken, own_key
from sessionstore.notes import is_purged
from sessionstore.store import Store, carried, merged_originals

Revision = dict[str, Any]
Original = dict[str, Any]
Finished = Callable[..., Revision]
MOST_CHUNKS = 16
"""An original of many sessions that has more chunks than this lists them in an object of its own, once."""
_STATED_ONLY = {"source", "native_id", "aliases", "originals", "importer", "issues", "active_leaf"}
"""Fields that a successor has only when its own source states them: the others are taken over from the head."""


@dataclass(slots=True)
class Decision:
    """What to do with one session. `revision` is what stands for it afterwards; it is written when `write`."""

    outcome: str
    revision: Revision
    write: bool
    supersedes: list[Revision] = field(default_factory=list)


def entries_of(intake: Intake) -> tuple[list[Original], dict[str, bytes]]:
    """(a source's originals as its sessions' revisions have them, the objects that list their chunks). The store has
    those objects only once somebody puts them there."""
    entries, lists = [], {}
    for original in intake.originals:
        entry = dict(original)
        if intake.importer.container and len(entry["chunks"]) > MOST_CHUNKS:
            data = canonical.dumps(entry.pop("chunks"))
            entry["chunks_object"] = canonical.digest(data)
            lists[entry["chunks_object"]] = data
        entries.append(entry)
    return entries, lists


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


class _Case:
    """One session of a source, and the heads that are stored of it."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        taken: Taken,
        key: str,
        heads: Sequence[Revision],
        originals: list[Original],
        flush: fsio.Flush,
    ) -> None:
        self.store, self.intake, self.taken, self.key, self.heads = store, intake, taken, key, heads
        self.originals, self.flush = originals, flush
        self.importer = intake.importer
        candidates = (*taken.draft.aliases, own_key(intake.importer, intake.candidate.path, taken.draft.native_id))
        self.aliases = [alias for alias in candidates if alias not in (key, taken.draft.native_id)]

    def finished(
        self,
        originals: list[Original] | None = None,
        parents: Iterable[str] = (),
        *,
        composer: Composer | None = None,
        after: Revision | None = None,
    ) -> Revision:
        """The session's revision. What the source does not state is taken over from the head that it comes `after`."""
        known = [alias for head in self.heads for alias in head.get("aliases", ())]
        own = self.originals if originals is None else originals
        fields = fields_of(self.taken.draft, self.importer, own, [*self.aliases, *known])
        composer = composer or self.taken.composer
        if not after:
            return composer.finish(self.key, fields, parents)
        made = composer.finish(self.key, _over(_taken_over(after), fields), parents)
        if after.get("updated_at"):  # known to who wrote it, where the source itself states no time
            made.setdefault("updated_at", after["updated_at"])
        return made

    def decide(self) -> Decision:
        """What to do with it."""
        revision = self.finished()
        if is_purged(self.store, self.key):
            return Decision("purged", revision, False)
        if not self.heads:
            return Decision("new", revision, True)
        if superseded := [head for head in self.heads if self.store.extends(revision, head)]:
            return self._successor(superseded)
        for head in self.heads:
            if self.store.extends(head, revision):
                return self._contained(head)
        if self.importer.window and (decision := self._stitched()) is not None:
            return decision
        replaced = [head for head in self.heads if _reimport(self.store, self.intake, head)]
        newer = any(head["importer"].get("version") != self.importer.version for head in replaced)
        if self.importer.turns and not newer and (decision := self._joined(self.heads[0])) is not None:
            return decision
        if replaced:
            parents = [layout.split_name(head["_name"])[1] for head in replaced]
            return Decision("reimported", self.finished(parents=parents, after=_by_programs(replaced[0])), True)
        return Decision("branched", revision, True)

    def _successor(self, superseded: list[Revision]) -> Decision:
        """The decision for messages that begin with those of stored heads."""
        latest, parents = superseded[0], inherited(superseded)
        older = [entry for head in superseded for entry in head.get("originals", ())]
        kept = [entry for entry in older if not _replaced_by(self.intake, entry, self.store)]
        revision = self.finished(_distinct([*self.originals, *kept]), parents, after=latest)
        if latest["counts"]["messages"] < revision["counts"]["messages"]:
            return Decision("extended", revision, True, superseded)
        names = [head["_name"] for head in superseded]
        if _fields(latest) == _fields(revision) or self.store.name_of(revision)[0] in names:
            return Decision("same", latest, False)
        if self.importer.container and _said(latest) == _said(revision):
            return Decision("contained", latest, False)
        parents = {*parents, *(layout.split_name(name)[1] for name in names)}
        revision = self.finished(revision["originals"], parents, after=latest)
        return Decision("updated", revision, True, superseded)

    def _contained(self, head: Revision) -> Decision:
        """The decision for a session that a head already holds: only its bytes or an alias may be new."""
        originals, known = head.get("originals", []), head.get("aliases", [])
        lead = self.intake.original
        held = self.importer.container or any(holds(self.store, entry, lead) for entry in originals)
        if held and set(self.aliases) <= set(known):
            return Decision("contained", head, False)
        revision = {name: value for name, value in head.items() if name != "_name"}
        revision["originals"] = originals if held else _distinct([*originals, *self.originals])
        revision["parents"] = sorted({*inherited([head]), layout.split_name(head["_name"])[1]})
        if self.aliases:
            revision["aliases"] = sorted({*known, *self.aliases})
        return Decision("updated", revision, True, [head])

    def _messages(self) -> list[dict[str, Any]]:
        return list(self.store.messages(self.taken.composer.finish("", {})))

    def _stitched(self) -> Decision | None:
        """The decision for a window that overlaps a head, if it does."""
        shown = self._messages()
        stitch = joining.best_overlap(self.store, self.heads, shown)
        if stitch is None:
            return None
        head, composer = stitch.head, joining.stitched(self.store, stitch, shown, self.flush)
        if composer.count == head["counts"]["messages"]:
            return self._contained(head)
        originals = _distinct([*self.originals, *head.get("originals", ())])
        revision = self.finished(originals, inherited([head]), composer=composer, after=head)
        return Decision("stitched", revision, True, [head])

    def _joined(self, head: Revision) -> Decision | None:
        """The decision for turns beside those of a head, if they can be put in order."""
        stored = list(self.store.messages(head))
        messages = joining.joined(stored, self._messages())
        if messages is None:
            return None
        if joining.same_content(messages, stored):
            return self._contained(head)
        composer = Composer(self.store.objects, self.flush)
        for message in messages:
            composer.add(message)
        originals = [*self.originals, *(entry for entry in head.get("originals", ()) if not self._begins(entry))]
        parents = {*inherited([head]), layout.split_name(head["_name"])[1]}
        own = self.finished(_distinct(originals), parents, composer=composer)
        own.pop("active_leaf", None)
        return Decision("joined", {**own, **_together(head, self.finished())}, True, [head])

    def _begins(self, entry: Original) -> bool:
        """Whether the source begins with all the bytes of an original, so that it holds its turns too."""
        return holds(self.store, self.intake.original, entry)


def decide(
    store: Store,
    intake: Intake,
    taken: Taken,
    key: str,
    heads: Sequence[Revision],
    originals: list[Original],
    flush: fsio.Flush,
) -> Decision:
    """What to do with one session of a source, given its stored heads and the source's `originals`."""
    return _Case(store, intake, taken, key, heads, originals, flush).decide()


def _taken_over(head: Revision) -> Revision:
    """What a successor takes over from a head unless its source states it."""
    return {name: value for name, value in carried(head).items() if name not in _STATED_ONLY}


def _by_programs(head: Revision) -> Revision:
    """Of a head that an older importer made: its title, and fields that no importer knows."""
    known = Draft.__dataclass_fields__.keys() - {"title"}
    return {name: value for name, value in head.items() if name not in known}


def _over(known: Mapping[str, Any], stated: Mapping[str, Any]) -> Revision:
    """Session fields: those that are stated, and what else is known. Of `x`, the same field by field."""
    fields = {**known, **{name: value for name, value in stated.items() if value not in (None, "", [], {})}}
    if known.get("x") and stated.get("x"):
        fields["x"] = {**known["x"], **stated["x"]}
    return fields


def _together(head: Revision, shown: Revision) -> Revision:
    """What is said of a session by a head and by a source of other turns of it: what began earlier counts, so that the
    order in which the sources come does not."""
    began, other = (_instant_or_last(one.get("created_at")) for one in (head, shown))
    first, second = (head, shown) if began <= other else (shown, head)
    fields, later = _taken_over(first), _taken_over(second)
    for name, value in later.items():
        if began == other and name in fields:
            fields[name] = min(fields[name], value, key=canonical.dumps)
    fields = _over(later, fields)
    latest = max((head, shown), key=lambda one: joining.instant(one.get("updated_at")) or joining.NEVER)
    if latest.get("updated_at"):
        fields["updated_at"] = latest["updated_at"]
    issues = [issue for one in (second, first) for issue in one.get("issues", ())]
    if issues:
        most: dict[str, Any] = {}
        for issue in issues:
            if issue["n"] >= most.get(issue["code"], issue)["n"]:
                most[issue["code"]] = issue
        fields["issues"] = [most[code] for code in sorted(most)]
    return fields


def _instant_or_last(time: Any) -> tuple[bool, Any]:
    found = joining.instant(time)
    return found is None, found or joining.NEVER


def _said(revision: Revision) -> bytes:
    """Everything a revision says of its session, whatever bytes it was read from."""
    return _fields({name: value for name, value in revision.items() if name not in ("originals", "importer")})


def _fields(revision: Revision) -> bytes:
    """Everything a revision says but where it comes from."""
    return canonical.dumps({name: value for name, value in revision.items() if name not in ("_name", "parents")})


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
    try:
        return _begins_with(store, store.objects.chunks(larger), store.objects.chunks(smaller))
    except errors.DamageError:
        return False


def _begins_with(store: Store, larger: list[Original], smaller: list[Original]) -> bool:
    """Whether these chunks begin with all the bytes of those. Raises `DamageError`."""
    position = 0
    for ours, theirs in zip(larger, smaller, strict=False):
        if ours["id"] != theirs["id"]:
            break
        position += ours["bytes"]
    else:
        return True
    rest = smaller[_index_at(smaller, position) :]
    if len(rest) != 1:
        return False
    ours_at = _index_at(larger, position)
    last = store.objects.get(rest[0]["id"], objects.CHUNK)
    return b"".join(store.objects.get(c["id"], objects.CHUNK) for c in larger[ours_at : ours_at + 4]).startswith(last)


def _index_at(chunks: list[Original], position: int) -> int:
    passed = 0
    for index, chunk in enumerate(chunks):
        if passed >= position:
            return index
        passed += int(chunk["bytes"])
    return len(chunks)


def _replaced_by(intake: Intake, entry: Original, store: Store) -> bool:
    """Whether a stored original need not be kept beside the new one, because its messages are all in that: it is an
    earlier state of a document that its program rewrites, the new one begins with it, or it is a companion that is
    there again. (The batch that brought it in still gives it back.)"""
    if not intake.importer.by_line:
        return True
    if "name" in entry:
        return any(companion["name"] == entry["name"] for companion in intake.companions)
    return holds(store, intake.original, entry)


def _distinct(originals: list[Original]) -> list[Original]:
    return merged_originals([{"originals": originals}])

"""What a list of messages that a program of LangSwarm's wants to keep is to what is stored already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from sessionstore import canonical
from sessionstore.compat._langswarm_records import NEVER, Message, Record, Version, time_of
from sessionstore.importers.common import title_line

FIELD = "langswarm"
"""The field of a session's `x` that holds what its programs say of it."""
GONE = "cleaned_at"
"""Said of a session that a clean-up has put away: programs do not see it until it is retrieved."""
MOST_HELD = 100
"""So many instructions may be in view before what is out of view."""


class Line(NamedTuple):
    """A stored message as it is compared: its id, its role, and what a program sees of it."""

    id: str
    role: str
    record: Record


class Saving:
    """One save. `rest` are the records to append; None when the list cannot be told as the stored path with something
    left out: then it replaces it. `edits` are changed records by ordinal, `view` says what is out of view, `strangers`
    are the ids of messages in view that were not given."""

    def __init__(
        self,
        version: Version,
        stored: Mapping[str, Any] | None,
        lines: Sequence[Line],
        given: Sequence[Record],
        base: int | None,
        whole: Mapping[str, Message],
        facts: Mapping[str, Any],
        unseen: Collection[str] = (),
    ) -> None:
        """`stored` is the revision, None for a new session; `lines` its path, `base` how much of it the program
        knows (None: all) but for the `unseen` ids."""
        self.version, self.stored, self.whole, self.facts = version, stored, whole, facts
        self.path, self.given = lines, given
        self.rest: Sequence[Record] | None = given
        self.edits: dict[int, Record] = {}
        self.view: dict[str, Any] | None = None
        self.strangers: set[str] = set()
        self._compare(len(lines) if base is None else base, unseen)

    def _compare(self, base: int, unseen: Collection[str]) -> None:
        where: dict[Any, list[int]] = {}
        for ordinal, line in enumerate(self.path):
            where.setdefault(line.record["id"], []).append(ordinal)
        matched: list[int] = []
        for record in self.given:
            after = matched[-1] if matched else -1
            ordinal = next((one for one in where.get(record["id"], ()) if one > after), -1)
            if ordinal < 0:
                break
            matched.append(ordinal)
            known = self.path[ordinal].record
            if known != record and known != (cleaned := canonical.clean(record)):
                self.edits[ordinal] = cleaned
        rest = self.given[len(matched) :]
        others = {*range(base, len(self.path)), *(n for n, line in enumerate(self.path) if line.id in unseen)}
        seen = sorted({*matched, *others})
        self.strangers = {self.path[ordinal].id for ordinal in others.difference(matched)}
        if any(record["id"] in where for record in rest) or not self._seen_as(seen):
            self.rest, self.view, self.edits, self.strangers = None, None, {}, set()
            return
        self.rest = rest

    def _seen_as(self, seen: list[int]) -> bool:
        """Set the view that shows these ordinals, and what comes; False when there is none."""
        start = len(self.path)
        while seen and seen[-1] == start - 1:
            start = seen.pop()
        if start == 0:
            return True
        if len(seen) > MOST_HELD or any(self.path[ordinal].role != "system" for ordinal in seen):
            return False
        self.view = {"after": self.path[start - 1].id, "held": [self.path[ordinal].id for ordinal in seen]}
        return True

    def _made(self, record: Record, old: Message | None = None) -> Message:
        cleaned: Record = canonical.clean(record)
        whole = self.whole.get(cleaned["id"])
        if whole is not None and self.version.record(whole) == cleaned:
            return dict(whole)
        return self.version.message(cleaned, self.facts.get("model"), self.facts.get("provider"), old)

    def new(self) -> list[Message]:
        """The messages to append, or to put in the place of all; each under an id of its own."""
        taken = set() if self.rest is None else {line.id for line in self.path}
        found = []
        for record in self.given if self.rest is None else self.rest:
            message, number = self._made(record), 1
            ident = message["id"]
            while message["id"] in taken:
                number += 1
                message |= {"id": f"{ident}~{number}", "x": {**message.get("x", {}), "id": ident}}
            taken.add(message["id"])
            found.append(message)
        return found

    def edited(self, stored: Iterable[Message]) -> list[Message]:
        """All stored messages, those that have changed in their new form."""
        changed = {self.path[ordinal].id: record for ordinal, record in self.edits.items()}
        return [
            {**self._made(changed[message["id"]], message), "id": message["id"]}
            if message["id"] in changed
            else message
            for message in stored
        ]

    def lines(self, new: Sequence[Message]) -> list[Line]:
        """The path after the save, when nothing was edited."""
        added = [Line(message["id"], message["role"], self.version.record(message, NEVER)) for message in new]
        return added if self.rest is None else [*self.path, *added]

    def fields(self, updated_at: str) -> dict[str, Any]:
        """The session's fields."""
        revision = self.stored or {}
        x = dict(revision.get("x") or {})
        said = {name: value for name, value in (x.get(FIELD) or {}).items() if name not in ("view", GONE)}
        said |= {name: value for name, value in self.facts.items() if value is not None or name in said}
        x[FIELD] = said | ({"view": self.view} if self.view else {})
        x["manager"] = {**(x.get("manager") or {}), **_settings(self.facts)}
        if not x["manager"]:
            del x["manager"]
        fields: dict[str, Any] = {"x": canonical.clean(x), "updated_at": updated_at}
        first = next((record for record in self.given if record["role"] == "user"), None)
        if not revision.get("title") and first is not None and isinstance(first["content"], str):
            fields["title"] = canonical.clean_text(title_line(first["content"])) or None
        if self.stored is None and (created := time_of(self.facts.get("created_at"))) is not None:
            fields["created_at"] = created.astimezone(UTC).isoformat()
        return fields


def _settings(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the session manager itself goes by: who is to answer next."""
    return {name: facts[name] for name in ("model", "provider") if isinstance(facts.get(name), str) and facts[name]}

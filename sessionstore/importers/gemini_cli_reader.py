"""The records of a Gemini CLI session, replayed so that nothing that was yielded before ever changes."""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Any

import orjson

from sessionstore import canonical
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import is_instant, naive_time, stem, title_line
from sessionstore.importers.gemini_cli_parts import Record, figures_of, messages_of
from sessionstore.importers.gemini_parts import kept, usage_of
from sessionstore.importers.parsing import Unparsable

SOURCE = "gemini-cli"
ROOT = "../.project_root"
_STATE = 1 << 20
"""A state to go on from that would be larger than this many bytes is not worth keeping."""
_BILLED = 64
_TIMES = {"startTime": "created_at", "lastUpdated": "updated_at"}


class Reader:
    """Turns records into messages; knows which of them are on the active path."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.draft: Draft
        self.count = 0
        self.names: dict[str, None] = {}
        """Every message id so far."""
        self.last: str | None = None
        """The message yielded last."""
        self.leaf: str | None = None
        """The message that the next one follows."""
        self.active: list[list[Any]] = []
        """Of every message record on the active path: its id, the message before it, the last one it gave, a digest."""
        self.index: dict[str, int] = {}
        """Where in `active` a record's id is."""
        self.billed: dict[str, list[int]] = {}
        """The token figures of the latest records, of which a newer version adds only what it has more."""
        self.branched = False
        self.described = False

    def begin(self, record: Record) -> None:
        """Open the session by the first record."""
        ident = record.get("sessionId")
        name = stem(self.source.name)
        if isinstance(ident, str) and ident:
            self.draft = self.source.draft(ident)
            if name and name != ident:
                self.draft.aliases.append(name)
        else:
            self.draft = self.source.draft(name or "session")
            self.draft.issue("id-missing", "the file does not begin with a session id; its name was taken")

    def go_on(self, state: Record) -> None:
        """Take up where the reader that gave `state` stopped."""
        self.draft = Draft.resumed(state["draft"])
        self.source.drafts.append(self.draft)
        for name in ("count", "last", "leaf", "active", "billed", "branched", "described"):
            setattr(self, name, state[name])
        self.names = dict.fromkeys(state["names"])
        self.index = {entry[0]: place for place, entry in enumerate(self.active) if entry[0]}

    def state(self) -> Record | None:
        """Everything needed to go on, as plain JSON data; None when it has become too large."""
        state: Record = {"draft": self.draft.state(), "names": list(self.names)}
        for name in ("count", "last", "leaf", "active", "billed", "branched", "described"):
            state[name] = getattr(self, name)
        try:
            data = orjson.dumps(state)
        except TypeError:
            return None
        copy: Record | None = orjson.loads(data) if len(data) <= _STATE else None
        return copy

    def take(self, record: Record) -> list[Message]:
        """The messages that a line of the log gives."""
        target = record.get("$rewindTo")
        if isinstance(record.get("$set"), dict):
            return self._set(record)
        if isinstance(target, str):
            return self._rewind(record, target)
        if "type" not in record and ("sessionId" in record or "projectHash" in record or "startTime" in record):
            first, new = not self.described, self.describe(record)
            self.source.mapped()
            return [self._marker(record)] if new and not first else []
        if "type" not in record and not isinstance(record.get("id"), str):
            self.source.preserved()
            return [self._marker(record)]
        return self.add(record)

    def add(self, record: Record, upsert: bool = True, counted: bool = True) -> list[Message]:
        """The messages of a message record; none when it repeats a record as it is."""
        ident = record.get("id")
        native = ident if isinstance(ident, str) and ident else ""
        digest = blake2b(canonical.dumps(record), digest_size=6).hexdigest()
        place = self.index.get(native) if upsert and native else None
        before = self.leaf
        if place is not None:
            if self.active[place][3] == digest:
                self.source.mapped(int(counted))
                return []
            before = self.active[place][1]
            self.branched = True
        made = messages_of(record)
        if counted:
            (self.source.preserved if made[0]["parts"] == [kept(record)] else self.source.mapped)()
        self._bill(made[0], native)
        leaf = self.leaf
        self._name(made, native, before)
        entry = [native, before, self.leaf, digest]
        if place is None:
            if native in self.index:
                entry[0] = ""
            elif native:
                self.index[native] = len(self.active)
            self.active.append(entry)
        else:
            self.active[place] = entry
            if place + 1 < len(self.active):
                # What follows was yielded as following the older version, and stays so.
                self.leaf = leaf
                self.draft.issue("late-update", "a message was changed after others had followed it")
        self._entitle(made[0])
        return made

    def _name(self, made: list[Message], native: str, before: str | None) -> None:
        self.count += 1
        for number, message in enumerate(made):
            name = self._free(native or f"m{self.count}") if not number else self._free(f"{made[0]['id']}:results")
            message["id"] = name
            if before != self.last:
                message["parent"] = before
            self.last = before = name
        self.leaf = self.last

    def _free(self, name: str) -> str:
        free = name
        if name in self.names:
            tries = (f"{name}~{n}" for n in range(2, 100))
            free = next((other for other in tries if other not in self.names), f"{name}~m{self.count}")
            while free in self.names:
                free += "'"
            if not self.branched:
                self.draft.issue("repeated-message-id", "several records of the session have the same id")
        self.names[free] = None
        return free

    def _bill(self, message: Message, native: str) -> None:
        raw = message.get("x", {}).get("tokens")
        figures = figures_of(message)
        if not figures:
            return
        known = self.billed.get(native) if native else None
        if known is not None:
            if "tokens" not in message.get("x", {}):
                message.setdefault("x", {})["tokens"] = raw
            figures, added = [max(pair) for pair in zip(figures, known, strict=True)], figures
            added = [max(0, now - then) for now, then in zip(added, known, strict=True)]
        else:
            added = figures
        if native:
            self.billed.pop(native, None)
            self.billed[native] = figures
            if len(self.billed) > _BILLED:
                del self.billed[next(iter(self.billed))]
        if usage := usage_of(added):
            message["usage"] = usage

    def _entitle(self, message: Message) -> None:
        if self.draft.title is None and message["role"] == "user":
            for part in message["parts"]:
                text = part["content"] if part["type"] == "text" else ""
                if isinstance(text, str) and not text.lstrip().startswith("<") and (line := title_line(text)):
                    self.draft.title = line
                    return

    def _marker(self, record: Record) -> Message:
        """A record that is no turn, in its place."""
        message: Message = {"role": "system", "kind": "meta", "parts": [kept(record)]}
        self._name([message], "", self.leaf)
        return message

    def take_other(self, value: Any) -> list[Message]:
        """A value that is no record at all, in its place."""
        return [self._marker({"value": value})]

    def _rewind(self, record: Record, target: str) -> list[Message]:
        self.source.mapped()
        place = self.index.get(target)
        if place is None:
            self.draft.issue("rewind-to-unknown", "the session was rewound to a message that the file does not hold")
        self._cut(place or 0)
        return [self._marker(record)]

    def _cut(self, place: int) -> None:
        """Take everything from `place` on off the active path."""
        if place < len(self.active):
            self.leaf = self.active[place][1]
            self.branched = True
        for entry in self.active[place:]:
            if self.index.get(entry[0], -1) >= place:
                del self.index[entry[0]]
        del self.active[place:]

    def _set(self, record: Record) -> list[Message]:
        changes = dict(record["$set"])
        checkpoint = changes.get("messages")
        self.source.mapped()
        if not isinstance(checkpoint, list):
            new = self.describe(changes) or len(record) > 1
            return [self._marker(record)] if new else []
        del changes["messages"]
        self.describe(changes)
        return self._rebuild(record, changes, checkpoint)

    def _rebuild(self, record: Record, changes: Record, checkpoint: list[Any]) -> list[Message]:
        """A checkpoint states all messages again: what is as it was stays, the rest follows the last of that."""
        digests = [blake2b(canonical.dumps(one), digest_size=6).hexdigest() for one in checkpoint]
        same = 0
        for entry, digest in zip(self.active, digests, strict=False):
            if entry[3] != digest:
                break
            same += 1
        rest = {name: value for name, value in changes.items() if name not in _TIMES}
        if same == len(self.active) == len(checkpoint) and not rest:
            return []
        self._cut(same)
        around = {name: value for name, value in record.items() if name != "$set"}
        ids = [one.get("id") if isinstance(one, dict) else None for one in checkpoint]
        made = [self._marker(around | {"$set": changes | {"messages": ids}})]
        for one in checkpoint[same:]:
            if isinstance(one, dict):
                made += self.add(one, upsert=False, counted=False)
            else:
                made.append(self._marker({"value": one}))
        return made

    def describe(self, fields: Record) -> bool:
        """Take over what is said of the session. Whether it is more than that it has gone on."""
        draft, new = self.draft, False
        self.described = True
        for name, value in fields.items():
            if name in _TIMES:
                self._time(name, value)
                continue
            if name == "sessionId" and isinstance(value, str) and value:
                if value != draft.native_id and value not in draft.aliases:
                    draft.aliases.append(value)
                    draft.issue(
                        "session-id-changes", "the session got another id when it was resumed; the first counts"
                    )
                    new = True
                continue
            if name == "summary" and isinstance(value, str) and title_line(value):
                draft.title = title_line(value)
            if draft.x.get(name, ...) != value:
                draft.x[name] = value
                new = True
        if draft.x.get("kind") == "subagent" and draft.forked_from is None:
            above = self.source.name.split("/")[-2:-1]
            if above and above[0] not in ("", "chats"):
                draft.forked_from = {"key": f"{SOURCE}:{above[0]}", "relation": "subagent"}
        return new

    def _time(self, name: str, value: Any) -> None:
        field = _TIMES[name]
        if is_instant(value):
            if field == "updated_at" or self.draft.created_at is None:
                setattr(self.draft, field, value)
        else:
            self.draft.x[name] = naive_time(value) or value

    def finish(self) -> None:
        """State which messages are the current conversation, and where it took place when that is certain."""
        self.draft.active_leaf = self.leaf if self.branched else None
        beside = self.source.companions.get(ROOT)
        if beside is None:
            return
        try:
            root = beside.read(1 << 16).strip()
        except Unparsable:
            return
        known = self.draft.x.get("projectHash")
        if root and (not isinstance(known, str) or known == sha256(root).hexdigest()):
            self.draft.cwd = root.decode("utf-8", "replace")
            self.draft.project = self.draft.cwd.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or None

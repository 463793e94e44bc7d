"""The session that comes out of a Codex rollout: its messages' ids, times and models, its title and directory."""

from __future__ import annotations

import re
from typing import Any

from sessionstore.importers import codex_parts as parts
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.codex_echo import Origin
from sessionstore.importers.codex_parts import Json

MAX_IDS = 8192
"""With more message ids of the source's own than this, remembering them all costs more than reading again."""

_ROLLOUT_ID = re.compile(r"rollout-.*?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(?:jsonl\.zst|jsonl|json)$", re.IGNORECASE)
_ID_LENGTH = len(parts.fingerprint(""))


class Transcript:
    """Collects the messages of one session in `out`, and goes on from the state of an earlier read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.out: list[Message] = []
        state = source.resumed or {}
        self.count: int = state.get("count", 0)
        self.model: str | None = state.get("model")
        self.provider: str | None = state.get("provider")
        names: str = state.get("ids", "")
        self.ids: dict[str, int] = {names[at : at + _ID_LENGTH]: 1 for at in range(0, len(names), _ID_LENGTH)}
        """Fingerprints of the ids the source has given, and how often."""
        self.ids.update(state.get("repeated", {}))
        self.origin: Origin = (None, {})
        """Time and surrounding fields of the record at hand."""
        self._draft: Draft | None = None
        if "draft" in state:
            self._draft = Draft.resumed(state["draft"])
            source.drafts.append(self._draft)

    def state(self) -> Json:
        """What to go on from, as plain JSON data."""
        return {
            "draft": self.draft.state(),
            "count": self.count,
            "model": self.model,
            "provider": self.provider,
            "ids": "".join(name for name, times in self.ids.items() if times == 1),
            "repeated": {name: times for name, times in self.ids.items() if times > 1},
        }

    @property
    def draft(self) -> Draft:
        """The session; made when first asked for, under the name its file has."""
        if self._draft is None:
            name = self.source.name.rpartition("/")[2]
            found = _ROLLOUT_ID.match(name)
            self._draft = self.source.draft(found[1].lower() if found else _SUFFIX.sub("", name) or "unnamed")
        return self._draft

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all has been found."""
        return self._draft is None and self.count == 0

    def emit(self, message: Message, native: Any = None, origin: Origin | None = None) -> None:
        """Add a message, at the time of the record at hand unless said otherwise."""
        self.count += 1
        message["id"] = self._unique(native)
        time, aside = origin or self.origin
        if time is not None:
            parts.put_time(message, time)
        if aside:
            x = message.setdefault("x", {})
            for name, value in aside.items():
                x[name if name not in x else f"envelope.{name}"] = value
        self.out.append(message)

    def keep(self, record: Json) -> None:
        """Add a record that is not conversation, and count it as preserved."""
        self.emit(parts.meta(record))
        self.source.preserved()

    def preserve(self, kind: str, payload: Json) -> None:
        """Add an enveloped record that is not conversation, and count it as preserved."""
        self.keep({"type": kind, "payload": payload})

    def sign(self, message: Message) -> None:
        """State who has said a message of the model's."""
        if self.model:
            message["model"] = self.model
        if self.provider:
            message["provider"] = self.provider

    def hear(self, message: Message) -> None:
        """What a user's message says of the session: its title, and in older files its directory."""
        draft = self.draft
        if draft.title is None and "kind" not in message:
            draft.title = parts.title_of(parts.texts_of(message["parts"]))
        elif draft.cwd is None and "kind" in message:
            cwd = parts.stated_cwd(parts.texts_of(message["parts"]))
            if cwd:
                self.place(cwd)

    def place(self, cwd: str) -> None:
        """State where the session took place."""
        self.draft.cwd, self.draft.project = cwd, parts.project_of(cwd)

    def _unique(self, native: Any) -> str:
        # An id of the form we give ourselves could be given twice, so it does not count as one.
        if not isinstance(native, str) or not native or (native[0] == "m" and native[1:].isdecimal()):
            return f"m{self.count}"
        ids, name, id = self.ids, parts.fingerprint(native), native
        times = ids.get(name, 0) + 1
        if times > 1:
            self.draft.issue("repeated-message-id", "several messages have the same id; the later ones got a suffix")
            while (other := parts.fingerprint(id := f"{native}~{times}")) in ids:
                times += 1
            ids[other] = 1
        ids[name] = times
        return id

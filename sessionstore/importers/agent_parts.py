"""What the importers of coding agents share: parts that keep the fields their source adds, files as data URIs, and the
ids and parents of logs whose records name the one before them."""

from __future__ import annotations

import re
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.claude_code_parts import micro_dollars, unified_usage
from sessionstore.importers.common import OWN_PARTS, is_instant, naive_time, title_line
from sessionstore.importers.database_rows import count
from sessionstore.importers.gemini_parts import extended, kept
from sessionstore.importers.parsing import Unparsable

Record = dict[str, Any]
Part = dict[str, Any]

_DATA_URI = re.compile(
    r"data:(?P<mime>[\w.+-]+/[\w.+-]+)(?:;[\w.=+-]+)*;base64,(?P<data>[A-Za-z0-9+/]*={0,2})", re.ASCII
)
_RESERVED = {"blob": {"object", "bytes", "modality"}, "uri": {"modality"}, "reasoning": {"signature"}}
_STATE = 1 << 20
"""A state to go on from that names more than this many characters of ids is not worth keeping."""


def part_with(part: Part, item: Part, *known: str) -> Part:
    """`part` with the fields of `item` that are not `known`, nulls left out; the item verbatim when they collide with
    what the model has names for."""
    rest = {name: value for name, value in item.items() if name not in known and value is not None}
    if rest.keys() & (_RESERVED.get(part["type"], set()) | {"is_error"}):
        return kept(item)
    whole = extended(part, rest, ())
    return kept(item) if whole["type"] == "record" else whole


def other(item: Any) -> Part:
    """A part of a type that the model does not know, verbatim."""
    kind = item.get("type") if isinstance(item, dict) else None
    return item if isinstance(kind, str) and kind and kind not in OWN_PARTS else kept(item)


def text_part(text: str) -> Part:
    """A plain text."""
    return {"type": "text", "content": text}


def file_part(uri: str, mime: Any = None, modality: str | None = None) -> Part:
    """A file by its URI; its bytes when it is a data URI."""
    found = _DATA_URI.fullmatch(uri)
    if found and len(found["data"]) % 4 == 0:
        kind = found["mime"]
        return {"type": "blob", "modality": modality or kind.split("/")[0], "mime_type": kind, "data": found["data"]}
    part: Part = {"type": "uri", "uri": uri}
    if isinstance(mime, str) and mime:
        part["mime_type"] = mime
    return part


def meta(record: Any, kind: str = "meta") -> Message:
    """A record that is no conversation or was not understood, verbatim; the message lacks its id."""
    return {"role": "system", "kind": kind, "parts": [kept(record)]}


def is_verbatim(message: Message, record: Any) -> bool:
    """Whether a message does no more than keep a record."""
    return bool(message["parts"] == [kept(record)])


def usage_of(fresh: Any, output: Any, read: Any = 0, written: Any = 0, reasoning: Any = 0, cost: Any = 0) -> Record:
    """Figures in the unified form. `fresh` is the input beside the cache, `cost` in US dollars."""
    figures = [count(value) for value in (fresh, read, written, output, reasoning)]
    return unified_usage([*figures, micro_dollars(cost)])


def timed(message: Message, value: Any, x: Record, name: str = "timestamp") -> None:
    """State a message's time; what is no point in time goes to `x`."""
    if is_instant(value):
        message["time"] = value
    elif naive := naive_time(value):
        x.setdefault("time", naive)
    elif value is not None:
        x.setdefault(name, value)


def finished(message: Message, x: Record) -> Message:
    """The message with the further fields of its record, if there are any."""
    return message | {"x": x} if x else message


def text_of(message: Message) -> str:
    """The texts of a message."""
    return "\n".join(part["content"] for part in message["parts"] if part["type"] == "text")


def entitle(draft: Draft, message: Message) -> None:
    """Take the first prompt as the title of a session that has none."""
    if draft.title is None and message["role"] == "user" and "kind" not in message:
        draft.title = title_line(text_of(message)) or None


def companion_document(source: Source, name: str) -> Any:
    """The JSON text of a companion; None, and an issue of the file, when it cannot be read."""
    try:
        value, flags = source.companions[name].document()
    except Unparsable as error:
        source.note("companion-unreadable", f"a file that belongs to the session could not be read: {error}")
        return None
    for flag in flags:
        source.note(flag)
    return value


class Links:
    """The ids and parents of messages whose records name the record before them."""

    def __init__(self, draft: Draft, state: Record | None = None) -> None:
        """Report to this draft; go on from `state`."""
        self._draft = draft
        state = state or {}
        self._names: dict[str, str | None] = dict(state.get("names", {}))
        """by record id: the message that it became, or the one before a record that became none"""
        self._taken: dict[str, None] = dict.fromkeys(state.get("taken", ()))
        self._repeats: dict[str, int] = dict(state.get("repeats", {}))
        self._count: int = state.get("count", 0)
        self.last: str | None = state.get("last")
        self.branched: bool = state.get("branched", False)

    def skip(self, ident: Any) -> None:
        """A record that becomes no message."""
        if isinstance(ident, str) and ident:
            self._names.setdefault(ident, self.last)

    def also(self, ident: Any) -> None:
        """Another id by which records name the last message."""
        self.skip(ident)

    def take(self, message: Message, ident: Any = None) -> Message:
        """The message with an id of its own, which follows the one before it."""
        self._count += 1
        wanted = name = ident if isinstance(ident, str) and ident else f"m{self._count}"
        while name in self._taken:
            self._repeats[wanted] = self._repeats.get(wanted, 1) + 1
            name = f"{wanted}~{self._repeats[wanted]}"
        self._taken[name] = None
        self.last = name
        if isinstance(ident, str) and ident:
            self._names[ident] = name
        return {"id": name} | message

    def link(self, message: Message, ident: Any, parent: Any) -> Message:
        """The message with an id, and a parent when that is not the one before it. A parent that is not in the file is
        reported and kept in `x`."""
        before = self.last
        if isinstance(parent, str) and parent not in self._names:
            self._draft.issue("parent-missing", "a record follows one that is not in the file")
            message = finished(message, message.pop("x", {}) | {"parentId": parent})
        elif parent is None or isinstance(parent, str):
            found = None if parent is None else self._names[parent]
            if found != before:
                message = message | {"parent": found}
                self.branched = True
        else:
            message = finished(message, message.pop("x", {}) | {"parentId": parent})
        return self.take(message, ident)

    def state(self) -> Record | None:
        """What is needed to go on later; None when it would be too much."""
        if sum(map(len, self._names)) + sum(map(len, self._taken)) > _STATE:
            return None
        taken = list(self._taken)
        state = {"names": self._names, "taken": taken, "count": self._count, "last": self.last}
        return state | {"branched": self.branched, "repeats": self._repeats}

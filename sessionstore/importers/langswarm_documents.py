"""Dumps of the document stores that LangSwarm version 1 could write to: its documents, or BigQuery's event rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sessionstore.importers.base import Draft, Head, Message, Source
from sessionstore.importers.langswarm_parts import Conversation, version_1
from sessionstore.importers.parsing import Unparsable, parse

KINDS = ("session:", "conversation:", "message:")
"""What the keys of documents begin with."""
EVENT = {"event_id", "event_type", "session_id", "session_data"}
"""Fields of an event row."""
MARKS = ((b'"session_data"', b'"event_type"'), *((b'"key"', b'"' + kind.encode()) for kind in KINDS))
"""Of one of these pairs both must be in the beginning of a dump, before it is parsed."""
START = 1 << 20
"""How many bytes are looked at to tell lines from one document."""

_PAIR = re.compile(r"(?P<user>.+?)_(?P<assistant>msg_.+)", re.DOTALL)


def recognise(head: Head) -> bool:
    """Whether a file is a dump: its first records decide."""
    if not any(all(mark in head.data for mark in pair) for pair in MARKS):
        return False
    records = head.records
    if not records and head.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
        document = head.document
        records = document[:400] if isinstance(document, list) else []
    found = [record for record in records if _is_document(record) or _is_event(record)]
    return bool(found) and 2 * len(found) >= len(records)


def _is_document(record: Any) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("metadata"), dict) or "text" not in record:
        return False
    key, metadata = record.get("key"), record["metadata"]
    if not isinstance(key, str) or not key.startswith(KINDS):
        return False
    return "session_data" in metadata or "user_input" in metadata or "user_input" in record or "type" in metadata


def _is_event(record: Any) -> bool:
    return isinstance(record, dict) and record.keys() >= EVENT


def beginning(source: Source) -> bytes:
    """The first bytes of a source, which still gives all of them afterwards."""
    blocks = iter(source.blocks)
    taken: list[bytes] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size >= START or (b"\n" in block and size > 16):
            break
    source.blocks = chain(taken, blocks)
    return b"".join(taken)


def read(source: Source, start: bytes) -> Iterator[tuple[Draft, Message]]:
    """The messages of all sessions of a dump, which is one record a line, or one JSON array."""
    dump = _Dump(source)
    for record in source.records() if _is_lines(start) else source.elements():
        dump.take(record)
    if not source.account.records:
        raise Unparsable("empty")
    yield from dump.sessions()


def _is_lines(start: bytes) -> bool:
    first = start.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0]
    if first[:1] != b"{":
        return False
    try:
        parse(first)
    except Unparsable:
        return first[-1:] != b"{" and b'"' in first
    return True


class _Dump:
    """Collects what a dump holds; of several states of a session only the latest."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.states: dict[str, tuple[str, Any, dict[str, Any]]] = {}
        """by session id: when, what the session is, the rest of the record"""
        self.older: dict[str, int] = {}
        self.talks: dict[str, list[dict[str, Any]]] = {}
        """by session id: the documents made for searching"""
        self.others: dict[str, list[dict[str, Any]]] = {}
        """by session id: what is neither"""

    def take(self, record: Any) -> None:
        """Look at the next record; all but those kept for later are accounted for here."""
        if _is_event(record):
            self._event(dict(record))
        elif _is_document(record):
            self._document(dict(record))
        elif isinstance(record, dict) and (name := _session_of(record)):
            self.others.setdefault(name, []).append(record)
        else:
            self.source.reject("neither a document nor an event of a session")

    def _event(self, record: dict[str, Any]) -> None:
        name = record["session_id"]
        if not isinstance(name, str) or not name:
            self.source.reject("an event of no session")
            return
        data = self._data(record["session_data"])
        if data is None:
            self.others.setdefault(name, []).append(record)
            return
        when = record.get("event_timestamp")
        del record["session_data"], record["session_id"]
        self._state(name, when if isinstance(when, str) else "", data, {"event": record})

    def _document(self, record: dict[str, Any]) -> None:
        kind, _, name = record["key"].partition(":")
        metadata = record["metadata"]
        if kind == "session" and name:
            data = self._data(metadata.get("session_data"))
            if data is not None:
                rest = {key: value for key, value in metadata.items() if key != "session_data"}
                document = record | {"metadata": rest}
                self._state(name, "", data, {"document": document})
                return
        elif kind != "session":
            self.talks.setdefault(_session_of(record) or record["key"], []).append(record)
            return
        self.others.setdefault(name or record["key"], []).append(record)

    def _data(self, value: Any) -> dict[str, Any] | None:
        """What a session is, given as an object or as its JSON text; None when it is neither."""
        if isinstance(value, str):
            try:
                value = self.source.parsed(value.encode("utf-8", "replace"))
            except Unparsable:
                return None
        return value if isinstance(value, dict) and ("history" in value or "metadata" in value) else None

    def _state(self, name: str, when: str, data: dict[str, Any], rest: dict[str, Any]) -> None:
        self.source.mapped()
        known = self.states.get(name)
        if known is not None:
            self.older[name] = self.older.get(name, 0) + 1
        if known is None or when >= known[0]:
            self.states[name] = (when, data, rest)

    def sessions(self) -> Iterator[tuple[Draft, Message]]:
        """The messages, session by session."""
        for name in dict.fromkeys((*self.states, *self.talks, *self.others)):
            draft = self.source.draft(name)
            conversation = Conversation(self.source, draft)
            if name in self.states:
                _, data, rest = self.states.pop(name)
                draft.x.update(rest)
                history, metadata = data.get("history"), data.get("metadata")
                yield from version_1(conversation, metadata, history, {})
                if other := {k: v for k, v in data.items() if k not in ("history", "metadata")}:
                    draft.x["session_data"] = other
                if older := self.older.get(name):
                    draft.issue("older-states", "the dump holds older states of the session; the latest counts", older)
            else:
                draft.issue("session-document-missing", "no readable document of the session; what others say of it")
            yield from self._searched(conversation, self.talks.pop(name, []))
            for record in self.others.pop(name, []):
                self.source.preserved()
                yield draft, conversation.preserved(record)
            conversation.finish()

    def _searched(
        self, conversation: Conversation, records: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[Draft, Message]]:
        """The messages of documents made for searching that the session does not hold itself."""
        for record in records:
            messages = [made for made in _spoken(record) if made["id"] not in conversation.held]
            if not _spoken(record):
                self.source.preserved()
                yield conversation.draft, conversation.preserved(record)
                continue
            self.source.mapped()
            if messages and conversation.draft.issues.get("session-document-missing") is None:
                note = "messages that only documents made for searching hold stand at the end"
                conversation.draft.issue("message-only-in-search-document", note, len(messages))
            for made in messages:
                yield conversation.draft, conversation.see(made, rebuilt=True)


def _session_of(record: dict[str, Any]) -> str:
    """The session a record names; "" when it names none."""
    metadata = record.get("metadata")
    for place in (record, metadata if isinstance(metadata, dict) else {}):
        if isinstance(place.get("session_id"), str) and place["session_id"]:
            return str(place["session_id"])
    return ""


def _spoken(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What a `conversation:` or `message:` document says, as messages; the first of them keeps the whole document."""
    kind, _, ids = record["key"].partition(":")
    pair = _PAIR.fullmatch(ids) if kind == "conversation" else None
    user_id, assistant_id = (pair["user"], pair["assistant"]) if pair else (ids, f"{ids}.answer")
    asked, answered = _field(record, "user_input"), _field(record, "agent_response")
    if asked is None and kind == "message":
        asked = record.get("text")
    found = []
    if isinstance(asked, str):
        found.append({"id": user_id, "role": "user", "content": asked})
    if isinstance(answered, str):
        found.append({"id": assistant_id, "role": "assistant", "content": answered})
    if found:
        said = ("user_input", "agent_response")
        metadata = {key: value for key, value in record["metadata"].items() if key not in said}
        found[0]["document"] = {k: v for k, v in record.items() if k not in said} | {"metadata": metadata}
    return found


def _field(record: dict[str, Any], name: str) -> Any:
    return record["metadata"].get(name, record.get(name))

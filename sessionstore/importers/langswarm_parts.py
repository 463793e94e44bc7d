"""LangSwarm's messages and its version 1 sessions, which both the database and the documents hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import is_instant, naive_time, title_line
from sessionstore.importers.database_rows import Ids

ALWAYS_WRITTEN = ("tool_calls", "tool_call_id", "provider_message_id", "metadata", "token_count", "finish_reason")
"""Fields of a message that are written even when they say nothing."""
COLUMNS = ("user_id", "provider", "model", "status", "session_control", "created_at", "updated_at", "last_activity")
"""What version 1 keeps twice: in columns and in the JSON of `metadata`."""


class Conversation:
    """Makes the messages of one session out of records, and says what they contradict."""

    def __init__(self, source: Source, draft: Draft) -> None:
        self.source = source
        self.draft = draft
        self.model: Any = None
        self.provider: Any = None
        self.held: set[str] = set()
        """the source's own ids of the messages so far"""
        self._ids = Ids()
        self._pairs = openai_chat.ToolPairs(draft)

    def see(self, record: Any, rebuilt: bool = False) -> Message:
        """The next message. The record is counted as mapped or preserved, but not in `records`; with `rebuilt` it was
        made here from another record and is not counted at all."""
        message = unified(record) if isinstance(record, Mapping) else None
        if message is None:
            self.source.preserved(not rebuilt)
            return self.preserved(record)
        self.source.mapped(not rebuilt)
        own = message.pop("id")
        if isinstance(own, str) and own:
            if own in self.held:
                self.draft.issue("message-id-repeated", "several messages of the session have one id")
            self.held.add(own)
        elif own is not None:
            message["x"]["id"] = own
        message = {"id": self._ids.take(own)} | message
        if message["role"] == "assistant":
            if isinstance(self.model, str) and self.model:
                message["model"] = self.model
            if isinstance(self.provider, str) and self.provider:
                message["provider"] = self.provider
        self._pairs.see(message)
        if not message["x"]:
            del message["x"]
        if self.draft.title is None and message["role"] == "user":
            self.draft.title = title_line(openai_chat.text_of(message)) or None
        return message

    def preserved(self, record: Any) -> Message:
        """A message that holds a record verbatim. Nothing is counted."""
        value = dict(record) if isinstance(record, Mapping) else {"value": record}
        parts = [{"type": "record", "record": value}]
        return {"id": self._ids.take(), "role": "system", "kind": "meta", "parts": parts}

    def finish(self) -> None:
        """Report tool calls without results."""
        self._pairs.finish()


def unified(record: Mapping[str, Any]) -> Message | None:
    """A record as a message with the source's own `id` (or None) and an `x`; None when it has not the shape of one."""
    rest = dict(record)
    for name in ALWAYS_WRITTEN:
        if name in rest and (rest[name] is None or rest[name] == {}):
            del rest[name]
    own, timestamp = rest.pop("id", None), rest.pop("timestamp", None)
    finish_reason = rest.pop("finish_reason", None)
    if rest.get("role") == "function":
        rest["role"] = "tool"
        message = openai_chat.chat_message(rest)
        if message is not None:
            message["x"]["role"] = "function"
    else:
        message = openai_chat.chat_message(rest)
    if message is None:
        return None
    x = message["x"]
    if is_instant(timestamp):
        message["time"] = timestamp
    elif (naive := naive_time(timestamp)) and "time" not in x:
        x["time"] = naive
    elif timestamp is not None:
        x["timestamp"] = timestamp
    if isinstance(finish_reason, str) and finish_reason:
        message["finish_reason"] = finish_reason
    elif finish_reason is not None:
        x["finish_reason"] = finish_reason
    return {"id": own} | message


def version_1(
    conversation: Conversation, metadata: Any, history: Any, columns: Mapping[str, Any]
) -> Iterator[tuple[Draft, Message]]:
    """The messages of a version 1 session, and its fields on the draft. `columns` are those of its row, by name. Every
    element of the history is counted in the account; the session itself is counted by the caller."""
    draft, source = conversation.draft, conversation.source
    envelope = dict(metadata) if isinstance(metadata, Mapping) else {}
    story = dict(history) if isinstance(history, Mapping) else {}
    _ids(draft, envelope, story)
    _columns(draft, envelope, columns)
    conversation.model, conversation.provider = envelope.get("model"), envelope.get("provider")
    records = story.pop("messages", None)
    if not isinstance(records, list):
        draft.issue("messages-missing", "the session has no list of messages")
        if records is not None:
            story["messages"] = records
        records = []
    stated = envelope.get("message_count")
    if type(stated) is int and stated != len(records):
        draft.issue("message-count-differs", "message_count is not the number of messages the session holds")
    if story.get("truncated_at") is not None:
        draft.issue("window-truncated", "the program has cut off older messages to keep to its limit")
    source.account.records += len(records)
    for record in records:
        yield draft, conversation.see(record)
    _times(draft, envelope)
    for name, value in ({} if metadata is None or isinstance(metadata, Mapping) else {"metadata": metadata}).items():
        draft.x[name] = value
    openai_chat.keep_rest(draft, {k: v for k, v in envelope.items() if v is not None and v != [] and v != {}})
    if said := {k: v for k, v in story.items() if v is not None}:
        openai_chat.keep_rest(draft, {"history": said})


def _ids(draft: Draft, envelope: dict[str, Any], story: dict[str, Any]) -> None:
    for inside in (envelope, story):
        other = inside.pop("session_id", None)
        if other is None or other == draft.native_id:
            continue
        draft.issue("session-id-contradiction", "the row and the JSON in it name different sessions; the row counts")
        if isinstance(other, str) and other and other not in draft.aliases:
            draft.aliases.append(other)
        inside["session_id"] = other


def _columns(draft: Draft, envelope: dict[str, Any], columns: Mapping[str, Any]) -> None:
    """The columns beside the JSON: what only they say is taken, what they say otherwise is kept and reported."""
    other = {}
    for name, value in columns.items():
        if value is None:
            continue
        if name not in envelope:
            envelope[name] = value
        elif envelope[name] != value:
            other[name] = value
    if other:
        names = ", ".join(sorted(set(other) & set(COLUMNS))) or "a column"
        draft.issue(
            "columns-contradict-json",
            f"columns and metadata differ ({names}); the program reads the metadata, which counts",
        )
        draft.x["columns"] = other


def _times(draft: Draft, envelope: dict[str, Any]) -> None:
    for name in ("created_at", "updated_at"):
        openai_chat.take_session_time(draft, envelope, name, name)

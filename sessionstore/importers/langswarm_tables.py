"""LangSwarm's two database layouts, told apart by their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import naive_time
from sessionstore.importers.database_rows import decoded, from_json, plain_row, stated, utc
from sessionstore.importers.langswarm_parts import COLUMNS, Conversation, version_1
from sessionstore.importers.material import Database

SHARED = {"session_id", "user_id", "provider", "model"}
MESSAGE = {"session_id", "message_id", "role", "content", "provider_message_id", "finish_reason"}
"""Columns of `session_messages` by which it is known as LangSwarm's."""
NAMELESS = "without-session-id"
"""The session of messages that name no session."""

_CURRENT_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


def version(tables: Mapping[str, frozenset[str]]) -> int:
    """1 or 2, by the columns of `sessions`; 0 when the database is no LangSwarm's."""
    columns = tables.get("sessions", frozenset())
    if not columns >= SHARED:
        return 2 if not columns and tables.get("session_messages", frozenset()) >= MESSAGE else 0
    if columns >= {"history", "metadata", "session_control"}:
        return 1
    return 2 if columns >= {"context_data", "backend"} else 0


def read(source: Source, database: Database) -> Iterator[tuple[Draft, Message]]:
    """The messages of every session of a database of either version."""
    if version(database.tables) == 1:
        seen: set[Any] = set()
        known: dict[str, Conversation] = {}
        again = database.count("session_messages") or database.count("session_metrics")
        for row in database.rows("sessions"):
            source.account.records += 1
            name = row.get("session_id")
            if not isinstance(name, str) or not name or name in seen:
                source.reject("a second session with one id" if name in seen else "a session without an id")
                continue
            seen.add(name)
            known[name] = Conversation(source, source.draft(name))
            yield from _row_of_version_1(known[name], row)
            if not again:
                del known[name]
        if database.tables.get("session_messages", frozenset()) >= MESSAGE:
            source.note("version-2-could-not-save", "version 2 has used this version 1 file and saved no session in it")
        yield from _Version2(source, database, {}, known).read()
    else:
        yield from _Version2(source, database, _sessions(source, database), {}).read()


def _row_of_version_1(conversation: Conversation, row: dict[str, Any]) -> Iterator[tuple[Draft, Message]]:
    draft, source = conversation.draft, conversation.source
    del row["session_id"]
    raw = {name: row.pop(name, None) for name in ("metadata", "history")}
    metadata, history = from_json(source, raw["metadata"]), from_json(source, raw["history"])
    if isinstance(history, dict):
        source.mapped()
    else:
        source.preserved()
        draft.issue("history-unreadable", "the history of the session is no JSON object")
        yield draft, conversation.preserved(plain_row(raw | {"session_id": draft.native_id}))
    if not isinstance(metadata, dict) and raw["metadata"] is not None:
        draft.issue("metadata-unreadable", "the metadata of the session is no JSON object")
        metadata = decoded(source, raw["metadata"])
    columns = plain_row({name: row.pop(name) for name in COLUMNS if name in row})
    if isinstance(history, dict):
        yield from version_1(conversation, metadata, history, columns)
    else:
        openai_chat.keep_rest(draft, {k: v for k, v in columns.items() if v is not None})
    openai_chat.keep_rest(draft, stated(row))
    conversation.finish()


def _sessions(source: Source, database: Database) -> dict[str, dict[str, Any]]:
    """The session rows of version 2 by id."""
    found: dict[str, dict[str, Any]] = {}
    for row in database.rows("sessions"):
        source.account.records += 1
        name = row.pop("session_id", None)
        if not isinstance(name, str) or not name or name in found:
            source.reject("a second session with one id" if name in found else "a session without an id")
            continue
        found[name] = row
    return found


class _Version2:
    """Joins the session rows of version 2 with messages and metrics, and finds those without a session."""

    def __init__(
        self,
        source: Source,
        database: Database,
        sessions: dict[str, dict[str, Any]],
        conversations: dict[str, Conversation],
    ) -> None:
        self.source = source
        self.database = database
        self.sessions = sessions
        self.metrics: dict[str, dict[str, Any]] = {}
        self.conversations = conversations
        """sessions that rows found later may still belong to"""
        self.done: set[str] = set(conversations)

    def read(self) -> Iterator[tuple[Draft, Message]]:
        """All messages, session by session."""
        for row in self.database.rows("session_metrics"):
            self.source.account.records += 1
            name = row.pop("session_id", None)
            if not isinstance(name, str) or not name or name in self.metrics:
                self.source.reject("second metrics of one session" if name in self.metrics else "metrics of no session")
                continue
            self.metrics[name] = row
            self.source.mapped()
        rows = self.database.rows("session_messages", order="session_id, id")
        for given, group in groupby(rows, key=lambda row: row.get("session_id")):
            yield from self._session(given, group)
        for name in [*self.sessions, *self.metrics]:
            if name in self.sessions or name in self.metrics:
                yield from self._session(name, iter(()))

    def _session(self, given: Any, rows: Iterator[dict[str, Any]]) -> Iterator[tuple[Draft, Message]]:
        name = given if isinstance(given, str) and given else NAMELESS
        conversation = self.conversations.get(name) or Conversation(self.source, self.source.draft(name))
        draft, first = conversation.draft, name not in self.done
        self.done.add(name)
        if name == NAMELESS:
            self.conversations[name] = conversation
        row = self.sessions.pop(name, None)
        context: dict[str, Any] = {}
        if row is not None:
            context = self._row(draft, row, conversation)
        elif first:
            draft.issue(
                "session-row-missing", "the session's row was deleted; its messages and metrics were left behind"
            )
        number = 0
        for record in rows:
            number += 1
            self.source.account.records += 1
            if not isinstance(given, str) or not given:
                record["session_id"] = plain_row(record)["session_id"]
            else:
                del record["session_id"]
            yield draft, conversation.see(self._record(record))
        most = context.get("max_messages")
        if type(most) is int and 0 < most <= number:
            draft.issue(
                "window-truncated", "the session is as long as the program lets it grow; older messages may be lost"
            )
        if metrics := self.metrics.pop(name, None):
            draft.x["metrics"] = stated(metrics)
        conversation.finish()

    def _row(self, draft: Draft, row: dict[str, Any], conversation: Conversation) -> dict[str, Any]:
        """The session's row on its draft; what its `context_data` says."""
        raw = row.pop("context_data", None)
        parsed = from_json(self.source, raw)
        self.source.mapped()
        context = dict(parsed) if isinstance(parsed, dict) else {}
        if not isinstance(parsed, dict):
            draft.issue("context-unreadable", "the context of the session is no JSON object")
            draft.x["context_data"] = decoded(self.source, raw)
        columns = stated(row)
        created, updated = columns.pop("created_at", None), columns.pop("updated_at", None)
        other = context.pop("session_id", None)
        if other is not None and other != draft.native_id:
            draft.issue(
                "session-id-contradiction", "the row and the JSON in it name different sessions; the row counts"
            )
            if isinstance(other, str) and other:
                draft.aliases.append(other)
            draft.x["session_id"] = other
        differ = {name: value for name, value in columns.items() if name in context and context[name] != value}
        if differ:
            note = (
                f"columns and context differ ({', '.join(sorted(differ))}); the program reads the context, which counts"
            )
            draft.issue("columns-contradict-json", note)
            draft.x["columns"] = differ
        conversation.model = context.get("model", columns.get("model"))
        conversation.provider = context.get("provider", columns.get("provider"))
        if created is not None:
            draft.x["saved_at"] = naive_time(created) or created
        if isinstance(updated, str) and _CURRENT_TIMESTAMP.fullmatch(updated) and (time := utc(updated)):
            draft.updated_at = time
        elif updated is not None:
            draft.x["updated_at"] = naive_time(updated) or updated
        said = {name: value for name, value in (columns | context).items() if value is not None and value != {}}
        openai_chat.keep_rest(draft, said)
        return context

    def _record(self, row: dict[str, Any]) -> dict[str, Any]:
        """A message's row in the form of version 1: what an application has put into `metadata` of a tool's use is
        taken out of it."""
        row.pop("id", None)
        record = plain_row(row)
        record["id"] = record.pop("message_id", None)
        metadata = decoded(self.source, row.get("metadata"))
        if isinstance(metadata, dict):
            metadata = dict(metadata)
            if isinstance(metadata.get("tool_calls"), list):
                record.setdefault("tool_calls", metadata.pop("tool_calls"))
            if isinstance(metadata.get("tool_call_id"), str):
                record.setdefault("tool_call_id", metadata.pop("tool_call_id"))
        record["metadata"] = metadata
        return record

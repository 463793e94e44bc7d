"""Cline's SDK and terminal program: the session directories that they write since 2026.

Where: `~/.cline/data/sessions/<id>/` on Linux, macOS and Windows: `<id>.messages.json`, rewritten on every turn, with
`session.json` and perhaps `<name>.compaction.json` (a shortened copy that the model was shown later) beside it.

How it is recognised: a document with `version`, `agent`, `sessionId` and a list of `messages`. The files of one
directory are one source.

What the records are and how they map: the records are the files' envelopes and their messages. Blocks of content (text,
thinking, tool uses and results, files, pictures) become parts; `metrics` are the tokens, whose input includes the
cache. A message of a compaction that is the session's own, unchanged, is counted as its repetition; another is on a
branch of its own at the end, of kind `compaction` when it is the summary and else `context`. The system prompt belongs
to the session.

What it loses: which of several shortened copies the model was shown, and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers.agent_parts import (
    Record,
    companion_document,
    entitle,
    finished,
    is_verbatim,
    meta,
    other,
    usage_of,
)
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import parts_of
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.database_rows import Ids, count
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.parsing import Unparsable

_KEYS = frozenset({"version", "agent", "sessionId", "messages"})
_ABOUT = "session.json"
_COMPACTED = ".compaction.json"
_FIGURES = frozenset({"inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "cost"})


class ClineSdk(Importer):
    """Reader of the session directories of Cline's SDK."""

    source: ClassVar[str] = "cline-sdk"
    title: ClassVar[str] = "Cline SDK and CLI"
    suffixes: ClassVar[tuple[str, ...]] = (".messages.json", ".compaction.json")
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("*.messages.json", "*.compaction.json")
    companions: ClassVar[tuple[str, ...]] = (_ABOUT, "*.messages.json", "*.compaction.json")

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        yield Place(machine.home / ".cline" / "data" / "sessions")

    def recognise(self, head: Head) -> bool:
        """The envelope of a session's messages."""
        return {"version", "agent", "sessionId"} <= head.keys and _is_session(head.document)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the directory's sessions. Raises `Unparsable` for a document that is none."""
        lead = source.document()
        if not _is_session(lead):
            raise Unparsable("not a session of Cline's SDK")
        about = _about(source)
        documents = [(source.name, lead)]
        for name in sorted(source.companions):
            if name == _ABOUT:
                continue
            document = companion_document(source, name)
            if _is_session(document):
                documents.append((name, document))
            else:
                source.account.records += 1
                source.reject("a file beside the session that is none")
        documents.sort(key=lambda one: one[0].endswith(_COMPACTED))
        sessions: dict[str, _Session] = {}
        for name, document in documents:
            ident, agent = document["sessionId"], document.get("agent")
            known = sessions.get(ident)
            if known is not None and not name.endswith(_COMPACTED) and known.agent != agent:
                ident = f"{ident}/{agent}"
            if ident not in sessions:
                sessions[ident] = _Session(source, ident, document, about)
            yield from sessions[ident].messages(name, document)


def _is_session(document: Any) -> bool:
    if not isinstance(document, dict) or not document.keys() >= _KEYS or not isinstance(document["messages"], list):
        return False
    return isinstance(document["sessionId"], str) and bool(document["sessionId"])


def _about(source: Source) -> Record:
    """What `session.json` says, {} without it."""
    if _ABOUT not in source.companions:
        return {}
    about = companion_document(source, _ABOUT)
    source.account.records += 1
    if not isinstance(about, dict):
        source.reject("a session's description that cannot be read")
        return {}
    source.mapped()
    return about


class _Session:
    """Makes the messages of one session, then those of its shortened copies that differ."""

    def __init__(self, source: Source, name: str, document: Record, about: Record) -> None:
        self.source = source
        self.agent = document.get("agent")
        self.draft = source.draft(name)
        self._ids = Ids()
        self._known: dict[str, str] = {}
        self._leaf: str | None = None
        """the session's own last message"""
        own = document["sessionId"]
        if name != own:
            self.draft.forked_from = {"key": f"{ClineSdk.source}:{own}", "relation": "subagent"}
        elif about.get("session_id") in (own, None):
            self._describe(about)
        if isinstance(document.get("system_prompt"), str):
            self.draft.system.append({"type": "text", "content": document["system_prompt"]})
        rest = {key: value for key, value in document.items() if key not in (*_KEYS, "system_prompt")}
        if self.agent is not None:
            rest["agent"] = self.agent
        if is_instant(rest.get("updated_at")):
            self.draft.updated_at = rest.pop("updated_at")
        self.draft.x |= rest

    def _describe(self, about: Record) -> None:
        draft = self.draft
        more = about.get("metadata")
        if isinstance(about.get("cwd"), str):
            place(draft, about["cwd"])
        if is_instant(about.get("started_at")):
            draft.created_at = about["started_at"]
        if isinstance(more, dict):
            if isinstance(more.get("title"), str) and more["title"].strip():
                draft.title = more["title"]
            fork = more.get("fork")
            if isinstance(fork, dict) and isinstance(fork.get("forkedFromSessionId"), str):
                draft.forked_from = {"key": f"{ClineSdk.source}:{fork['forkedFromSessionId']}", "relation": "fork"}
        if about:
            draft.x["session"] = {key: value for key, value in about.items() if key not in ("cwd", "started_at")}

    def messages(self, name: str, document: Record) -> Iterator[tuple[Draft, Message]]:
        """The messages of a file; its envelope is a record as well."""
        self.source.account.records += 1
        self.source.mapped()
        copy, first = name.endswith(_COMPACTED), True
        if copy:
            self.draft.x.setdefault("compactions", []).append(stem(name))
        for record in document["messages"]:
            self.source.account.records += 1
            ident = record.get("id") if isinstance(record, dict) else None
            digest = canonical.digest(canonical.dumps(record))
            if copy and isinstance(ident, str) and self._known.get(ident) == digest:
                self.source.mapped()  # the session's own message again
                continue
            message = _message(record)
            if is_verbatim(message, record):
                self.source.preserved()
            else:
                self.source.mapped()
            if copy:
                _as_copy(message)
                if first and self._known:
                    message["parent"] = None
            elif isinstance(ident, str):
                self._known[ident] = digest
            first = False
            message = {"id": self._ids.take(ident)} | message
            if not copy:
                self._leaf = message["id"]
                entitle(self.draft, message)
            else:
                self.draft.active_leaf = self._leaf
            yield self.draft, message
        if "compactions" not in self.draft.x:
            return
        if self._leaf is None:
            self.draft.issue("messages-missing", "only a shortened copy of the session is there")


def _as_copy(message: Message) -> None:
    """Mark a message of a shortened copy; what it has cost is counted in the session."""
    about = message.get("x", {}).get("metadata")
    kind = about.get("kind") if isinstance(about, dict) else None
    message["kind"] = "compaction" if isinstance(kind, str) and kind.startswith("compaction") else "context"
    message.pop("usage", None)


def _message(record: Any) -> Message:
    role = record.get("role") if isinstance(record, dict) else None
    content = record.get("content") if isinstance(record, dict) else None
    if role not in ("user", "assistant", "system", "tool"):
        return meta(record)
    parts = parts_of(content)
    if parts is None:
        return meta(record)
    parts = [part if part["type"] != "record" else other(part["record"]) for part in parts]
    parts = [part if part["type"] != "record" or not _is_file(part) else part["record"] for part in parts]
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    message: Message = {"role": role, "parts": parts}
    x = {key: value for key, value in record.items() if key not in ("id", "role", "content") and value is not None}
    if time := millis(x.get("ts")):
        message["time"] = time
        del x["ts"]
    _answer(message, x)
    return finished(message, x)


def _is_file(part: Record) -> bool:
    return bool(part["record"].get("type") == "file")


def _answer(message: Message, x: Record) -> None:
    model, metrics = x.get("modelInfo"), x.get("metrics")
    if isinstance(model, dict):
        rest = dict(model)
        for theirs, ours in (("id", "model"), ("provider", "provider")):
            if isinstance(rest.get(theirs), str) and rest[theirs]:
                message[ours] = rest.pop(theirs)
        x["modelInfo"] = rest
        if not rest:
            del x["modelInfo"]
    if isinstance(metrics, dict):
        # Input includes the cache, unless that would leave less than nothing.
        given = count(metrics.get("inputTokens"))
        read, written = count(metrics.get("cacheReadTokens")), count(metrics.get("cacheWriteTokens"))
        fresh = given - read - written
        figures = usage_of(
            fresh if fresh >= 0 else given, metrics.get("outputTokens"), read, written, cost=metrics.get("cost")
        )
        if figures:
            message["usage"] = figures
            if metrics.keys() <= _FIGURES:
                del x["metrics"]

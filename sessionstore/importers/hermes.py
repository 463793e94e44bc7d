"""Hermes Agent: the sessions of Nous Research's agent, and what it exports of them.

Where: `~/.hermes/sessions/` on Linux, macOS and Windows (`$HERMES_HOME/sessions` when that is set): a document
`<id>.json` for each session, or a log `<id>.jsonl` that the gateway to chat programs writes; exports wherever they were
written to. The program's database `state.db` is not read.

How it is recognised: a document with `session_id`, `session_start` and `messages`; a log with a record of the role
`session_meta`; an archival export by its `producer`, which begins with `hermes/`, and `session_revision_hash`; a
trajectory by a `schema_version` that begins with `ATIF-`, and `steps`; a log of events by `atof_version`.

What the records are and how they map: of a document the envelope and each message, of a log each line, in OpenAI's
dialect with `reasoning`; a `session_meta` is kept verbatim. System prompt, tools, directory and times go to the
session, its model to `x`, because messages do not state theirs. An archival export is a document of messages, a
trajectory one of steps, a log of events has one a line: tools and answers become messages, what else happened is kept
verbatim. These three tell the same session in another form, so their ids are the session's with `:export`, `:atif` or
`:atof`, and the session's own id is an alias.

What it loses: the models of messages and, but in exports, what they have cost; in documents the times of messages; in
some times the zone (they stay in `x`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import hermes_exports, openai_chat
from sessionstore.importers.agent_lines import Record, entitle, said, take_text, take_time, tell, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import kind_of
from sessionstore.importers.common import stem
from sessionstore.importers.editor_parts import place
from sessionstore.importers.exports import meta
from sessionstore.importers.openai_messages_parts import take_system, take_tools
from sessionstore.importers.parsing import Unparsable

_DOCUMENTS = (
    frozenset({"session_id", "session_start", "messages"}),
    frozenset({"producer", "session_revision_hash", "messages"}),
    frozenset({"schema_version", "steps"}),
)
_SIGNS = frozenset({"session_start", "session_revision_hash", "schema_version"})


class Hermes(Importer):
    """Reader of Hermes Agent's sessions, logs and exports."""

    source: ClassVar[str] = "hermes"
    title: ClassVar[str] = "Hermes Agent"
    versions: ClassVar[str] = "session files, archival exports, ATIF, ATOF"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of sessions."""
        configured = machine.env.get("HERMES_HOME")
        yield Place((machine.cwd / configured if configured else machine.home / ".hermes") / "sessions")

    def recognise(self, head: Head) -> bool:
        """A session's document, a log with a record about the session, an export, a trajectory or events."""
        if head.keys & _SIGNS and b'"atof_version"' not in head.data[:4096]:
            return _is_document(head.document)
        if b'"session_meta"' not in head.data and b'"atof_version"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        if any("type" in record or "payload" in record for record in records[:20]):
            return False
        return any(record.get("role") == "session_meta" or hermes_exports.is_event(record) for record in records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the session. Raises `Unparsable` for a document that is none."""
        if kind_of(source) == "lines":
            yield from _lines(source)
            return
        document = source.document()
        if not isinstance(document, dict):
            raise Unparsable("not a JSON object")
        if isinstance(document.get("steps"), list):
            yield from hermes_exports.trajectory(source, document)
        elif "session_revision_hash" in document:
            yield from hermes_exports.archive(source, document)
        elif hermes_exports.is_event(document):
            yield from hermes_exports.events(source, _only(source, document))
        elif document.get("role") == "session_meta":
            yield from _log(source, _only(source, document))
        else:
            yield from _session(source, document)


def _is_document(value: Any) -> bool:
    if not isinstance(value, dict) or not any(value.keys() >= keys for keys in _DOCUMENTS):
        return False
    if "steps" in value:
        version = value["schema_version"]
        return isinstance(version, str) and version.startswith("ATIF-") and isinstance(value["steps"], list)
    if "session_revision_hash" in value:
        return isinstance(value["producer"], str) and value["producer"].startswith("hermes/")
    return isinstance(value["session_id"], str) and isinstance(value["messages"], list)


def _only(source: Source, document: Record) -> Iterator[Record]:
    source.account.records += 1
    yield document


def _lines(source: Source) -> Iterator[tuple[Draft, Message]]:
    records = source.records()
    first = next(records, None)
    if first is not None:
        read = hermes_exports.events if hermes_exports.is_event(first) else _log
        yield from read(source, _again(first, records))


def _again(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _log(source: Source, records: Iterator[Record]) -> Iterator[tuple[Draft, Message]]:
    """The messages of a gateway's log, which is named after its session."""
    draft = source.draft(stem(source.name) or "session")
    for number, record in enumerate(records, 1):
        if record.get("role") == "session_meta" and not draft.tools:
            take_tools(draft, dict(record))
        message = _message(f"m{number}", record)
        tell(source, message)
        entitle(draft, message)
        yield draft, message


def _session(source: Source, document: Record) -> Iterator[tuple[Draft, Message]]:
    draft, rest = openai_chat.open_session(source, document, "session_id")
    draft.aliases.clear()
    draft.issues.pop("id-differs-from-file-name", None)
    source.account.records += 1
    source.mapped()
    records = rest.pop("messages", None)
    if not isinstance(records, list):
        raise Unparsable("no list of messages")
    _describe(draft, said(rest))
    source.account.records += len(records)
    pairs = openai_chat.ToolPairs(draft)
    for number, record in enumerate(records, 1):
        message = _message(f"m{number}", record)
        tell(source, message)
        pairs.see(message)
        entitle(draft, message)
        yield draft, message
    pairs.finish()


def _describe(draft: Draft, rest: Record) -> None:
    """Take over what the document says of the session."""
    openai_chat.take_session_time(draft, rest, "session_start", "created_at")
    openai_chat.take_session_time(draft, rest, "last_updated", "updated_at")
    take_text(draft, "title", rest, "title")
    take_system(draft, rest)
    take_tools(draft, rest)
    settings = rest.get("model_config")
    if isinstance(rest.get("cwd"), str):
        place(draft, rest.pop("cwd"))
    elif isinstance(settings, dict) and isinstance(settings.get("cwd"), str):
        place(draft, settings["cwd"])
    openai_chat.keep_rest(draft, rest)


def _message(name: str, record: Any) -> Message:
    message = openai_chat.chat_message(record) if isinstance(record, dict) else None
    if message is None:
        found = meta(name, record)
        if isinstance(record, dict):
            take_time(found, {"timestamp": record.get("timestamp")}, "timestamp")
        return found
    x = said(message.pop("x"))
    thought = x.get("reasoning")
    if isinstance(thought, str):
        if message["parts"][:1] != [{"type": "reasoning", "content": thought}]:
            message["parts"].insert(0, {"type": "reasoning", "content": thought})
        del x["reasoning"]
    if isinstance(x.get("finish_reason"), str) and x["finish_reason"]:
        message["finish_reason"] = x.pop("finish_reason")
        if message["role"] == "tool" and message["finish_reason"] == "error":
            message["parts"][-1]["is_error"] = True
    take_time(message, x, "timestamp")
    return with_rest({"id": name} | message, x)

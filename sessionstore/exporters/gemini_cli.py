"""Gemini CLI: a session as its releases since 0.39 write it, a header line and one message a line.

Lies in `tmp/<project hash>/chats/session-<time>-<id>.jsonl`. Results stand with the calls in the model's message;
system prompts are not part of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.native import Clock, began, digest, file_time, safe_path, session_uuid, uuid_of
from sessionstore.exporters.report import Report
from sessionstore.exporters.turns import Call, Ids, Turn, turns

Record = dict[str, Any]
_NOTICES = {"error": "error"}


def place(revision: Record) -> str:
    """`<project hash>/chats/session-<time>-<id>.jsonl`."""
    time = file_time(began(revision))[:16]
    return safe_path(f"{_project(revision)}/chats/session-{time}-{_id(revision)[:8]}.jsonl")


def export(revision: Record, messages: Iterable[Record], report: Report) -> Iterator[str]:
    """The lines."""
    writer = _Writer(revision, report)
    yield _line(writer.header())
    waiting: list[Record] = []
    for message in messages:
        if message["role"] == "system":
            # Notices keep their place among the turns, which are put together from what lies between them.
            yield from map(_line, writer.turns(waiting))
            waiting = []
            if (notice := writer.notice(message)) is not None:
                yield _line(notice)
        else:
            waiting.append(message)
    yield from map(_line, writer.turns(waiting))


def _line(record: Record) -> str:
    return content.dumps(record, separators=(",", ":")) + "\n"


def _id(revision: Record) -> str:
    native = str(revision.get("native_id") or "")
    return native if native and revision.get("source") == "gemini-cli" else session_uuid(revision)


def _project(revision: Record) -> str:
    known = (revision.get("x") or {}).get("projectHash") if revision.get("source") == "gemini-cli" else None
    return known if isinstance(known, str) and known else digest(str(revision.get("cwd") or ""))


class _Writer:
    """Writes turns as messages of the file."""

    def __init__(self, revision: Record, report: Report) -> None:
        self.revision, self.report = revision, report
        self.own = revision.get("source") == "gemini-cli"
        self.clock = Clock(revision, report)
        self.ids = Ids("", 1 << 20)
        self._used: set[str] = set()

    def header(self) -> Record:
        """The first line."""
        facts = {
            "sessionId": _id(self.revision),
            "projectHash": _project(self.revision),
            "startTime": self.clock.begin,
            "lastUpdated": self.revision.get("updated_at") or self.clock.begin,
            "kind": "main",
        }
        if self.revision.get("title"):
            facts["summary"] = self.revision["title"]
        if self.revision.get("cwd"):
            facts["directories"] = [self.revision["cwd"]]
        if self.revision.get("tools") or self.revision.get("system"):
            self.report.tell("system prompts and tool definitions are not held by this format")
        return facts

    def notice(self, message: Record) -> Record | None:
        """A system message: an error or an information, or nothing when it was said to the model."""
        kind = message.get("kind")
        text = "\n\n".join(content.texts(message["parts"]))
        if kind in (None, "context") and not self.own:
            self.report.count("system prompts are not held by this format")
            return None
        if not text:
            return None
        self._name(message)
        return {**self._frame(message), "type": _NOTICES.get(str(kind), "info"), "content": text}

    def turns(self, messages: list[Record]) -> Iterator[Record]:
        """The messages of some turns between two notices."""
        for turn in turns(messages, self.report, self.ids, merged=False, answer=False):
            yield self._user(turn) if turn.role == "user" else self._model(turn)

    def _frame(self, message: Record) -> Record:
        return {"id": self._name(message), "timestamp": self.clock.of(message)}

    def _name(self, message: Record) -> str:
        ident = str(message["id"])
        if not self.own:
            ident = uuid_of(str(self.revision["key"]), ident)
        while ident in self._used:
            ident = uuid_of(ident)
        return ident

    def _user(self, turn: Turn) -> Record:
        record = {**self._frame(turn.messages[0]), "type": "user"}
        self._used.add(record["id"])
        record["content"] = [made for part in turn.speech if (made := self._part(part)) is not None]
        if (kind := turn.messages[0].get("kind")) is not None:
            self.report.count(f"marks of kind {kind} left out")
        return record

    def _model(self, turn: Turn) -> Record:
        first = turn.messages[0]
        record = {**self._frame(first), "type": "gemini"}
        self._used.add(record["id"])
        said = [part for part in turn.speech if part["type"] != "reasoning"]
        if not said or (len(said) == 1 and said[0]["type"] == "text"):
            record["content"] = content.plain_text(said[0]) if said else ""
        else:
            record["content"] = [made for part in said if (made := self._part(part)) is not None]
        record["thoughts"] = [thought for part in turn.speech if (thought := self._thought(part, record))]
        if tokens := self._tokens(turn):
            record["tokens"] = tokens
        models = [message["model"] for message in turn.messages if message.get("model")]
        if models:
            record["model"] = models[-1]
        if turn.calls:
            record["toolCalls"] = [self._call(call, record) for call in turn.calls]
        return record

    def _part(self, part: Record) -> Record | None:
        if part["type"] == "text":
            return {"text": content.plain_text(part)}
        found = content.blob(part) if part["type"] == "blob" else None
        if found:
            return {"inlineData": {"mimeType": found[0], "data": found[1]}}
        if part["type"] == "uri" and content.is_link(part.get("uri")):
            return {"fileData": {"fileUri": part["uri"]}}
        self.report.count(f"parts of type {part['type']} left out")
        return None

    def _thought(self, part: Record, record: Record) -> Record | None:
        if part["type"] != "reasoning":
            return None
        self.report.count("signatures of reasoning left out", int(bool(part.get("signature"))))
        text = content.plain_text(part)
        if not text:
            return None
        return {"subject": str(part.get("subject") or ""), "description": text, "timestamp": record["timestamp"]}

    def _tokens(self, turn: Turn) -> Record:
        """The turn's token counts, each message's once."""
        distinct = {id(message): message.get("usage") or {} for message in turn.messages}

        def total(name: str) -> int:
            return sum(usage.get(name, 0) for usage in distinct.values())

        if not any(distinct.values()):
            return {}
        counted, written, thought = total("input_tokens"), total("output_tokens"), total("reasoning_tokens")
        self.report.count("costs left out", int(total("cost_microusd") > 0))
        return {
            "input": counted,
            "output": max(0, written - thought),
            "cached": total("cache_read_tokens"),
            "thoughts": thought,
            "tool": 0,
            "total": counted + max(written, thought),
        }

    def _call(self, call: Call, record: Record) -> Record:
        arguments, wrapped = content.arguments_object(call.arguments)
        self.report.count("tool arguments that are no object wrapped in one", int(wrapped))
        text = "\n".join(content.texts(call.result))
        told: Any = {"error" if call.is_error else "output": text}
        if isinstance(call.response, dict):
            told = call.response
        made: Record = {"id": call.id, "name": call.name, "args": arguments}
        if call.answered:
            response = {"id": call.id, "name": call.name, "response": told}
            pictures = (self._part(part) for part in call.result if part["type"] != "text")
            made["result"] = [{"functionResponse": response}, *filter(None, pictures)]
            made["resultDisplay"] = text
        made["status"] = ("error" if call.is_error else "success") if call.answered else "cancelled"
        made["timestamp"] = record["timestamp"]
        return made

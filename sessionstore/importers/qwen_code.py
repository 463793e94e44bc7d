"""Qwen Code: a fork of Gemini CLI with transcripts of its own.

Where: `~/.qwen/projects/<slug>/chats/<session id>.jsonl` on Linux, macOS and Windows, one JSON record a line, only
ever appended to. Two records on one line occur and are read as two.

How it is recognised: records with `uuid`, `parentUuid` and `sessionId` whose `message` has Gemini's `parts`, or that
have a `systemPayload`, or are of type `tool_result`.

What the records are and how they map: one record is one message, in record order, with its id, parent and time; what
stays the same in a session (directory, branch, version) is told once. Parts with `thought` are reasoning,
`functionCall` and `functionResponse` tool calls and results. A record with an id that was there before goes on where
that one ended. Records of type `system` (telemetry, commands, titles, `rewind`) are kept verbatim as messages of kind
`meta`, because others name them as their parent. The last turn, or the last `rewind`, is the end of the active path.
Input tokens include those from the cache; thoughts count as output.

What it loses: the system prompt and the tools. Telemetry repeats the token figures and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import orjson

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, naive_time, stem, title_line
from sessionstore.importers.gemini_parts import count, kept, parts_of, usage_of

Record = dict[str, Any]
_GLUE = b'}{"uuid":'
_ROLES = {"user": "user", "assistant": "assistant", "tool_result": "tool"}
_HOISTED = ("cwd", "gitBranch", "version")
_STATE = 1 << 20


class QwenCode(Importer):
    """Reader of Qwen Code's transcripts."""

    source: ClassVar[str] = "qwen-code"
    title: ClassVar[str] = "Qwen Code"
    versions: ClassVar[str] = "session logs of 2025 and 2026"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of projects."""
        yield Place(machine.home / ".qwen" / "projects")

    def recognise(self, head: Head) -> bool:
        """Whether some record has the program's frame and Gemini's parts or the program's own payload."""
        if b'"parentUuid"' not in head.data:
            return False
        data = b"".join(_unglued([head.data if head.records else head.first_line()]))
        return any(_is_own(record) for record in Head(head.name, data, head.whole or not head.records).records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record."""
        reader = _Reader(source)
        source.blocks = _unglued(source.blocks)
        for record in source.records():
            message = reader.take(record)
            yield reader.draft, message
        if source.drafts:
            source.resume = reader.state()


def _unglued(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks with a line feed between records that stand on one line. Inside a string the quotes of what divides
    them would be escaped, so it is never part of one."""
    rest = b""
    for block in blocks:
        text = (rest + block).replace(_GLUE, _GLUE[:1] + b"\n" + _GLUE[1:])
        cut = max(0, len(text) - len(_GLUE) + 1)
        rest = text[cut:]
        if cut:
            yield text[:cut]
    yield rest


def _is_own(record: Record) -> bool:
    if not {"uuid", "parentUuid", "sessionId"} <= record.keys():
        return False
    body = record.get("message")
    return (
        "systemPayload" in record or record.get("type") == "tool_result" or (isinstance(body, dict) and "parts" in body)
    )


class _Reader:
    """Turns records into messages of the one session of a file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        state = source.resumed or {}
        self.draft: Draft
        if state:
            self.draft = Draft.resumed(state["draft"])
            source.drafts.append(self.draft)
        self.names: dict[str, str] = dict(state.get("names", {}))
        """The latest message of every record id."""
        self.taken: set[str] = set(state.get("taken", ()))
        """Message ids that are no record's own."""
        self.count: int = state.get("count", 0)
        self.last: str | None = state.get("last")
        self.hoisted: Record = dict(state.get("hoisted", {}))
        self.billed: list[Any] = list(state.get("billed", ["", []]))
        """The latest record with figures, and the highest of them."""

    def state(self) -> Record | None:
        """Everything needed to go on; None when it has become too large."""
        state = {
            "draft": self.draft.state(),
            "names": self.names,
            "taken": sorted(self.taken),
            "count": self.count,
            "last": self.last,
            "hoisted": self.hoisted,
            "billed": self.billed,
        }
        try:
            data = orjson.dumps(state)
        except TypeError:
            return None
        copy: Record | None = orjson.loads(data) if len(data) <= _STATE else None
        return copy

    def take(self, record: Record) -> Message:
        self._session(record)
        message: Message = {}
        native, again = self._name(message, record)
        self._parent(message, record, again)
        if is_instant(record.get("timestamp")):
            message["time"] = record.pop("timestamp")
        elif "time" not in record and (naive := naive_time(record.get("timestamp"))):
            del record["timestamp"]
            record["time"] = naive
        self._hoist(record)
        self.last = message["id"]
        if native:
            self.names[native] = self.last
        kind = record.get("type")
        body = record.get("message")
        parts = parts_of(body.get("parts")) if isinstance(body, dict) else None
        if not isinstance(kind, str) or kind not in _ROLES or parts is None:
            self._kept(message, record)
            return message
        self.source.mapped()
        del record["type"]
        message |= {"role": _ROLES[kind], "parts": parts}
        rest = {name: value for name, value in body.items() if name not in ("parts", "role")} if body else {}
        if body and body.get("role") not in ("user", "model", None):
            rest["role"] = body["role"]
        del record["message"]
        if rest:
            record["message"] = rest
        self._finish(message, record, native)
        self.draft.active_leaf = message["id"]
        return message

    def _session(self, record: Record) -> None:
        ident = record.get("sessionId")
        if not self.source.drafts:
            name = stem(self.source.name)
            if isinstance(ident, str) and ident:
                self.draft = self.source.draft(ident)
                if name and name != ident:
                    self.draft.aliases.append(name)
            else:
                self.draft = self.source.draft(name or "session")
                self.draft.issue("id-missing", "the first record states no session id; the file's name was taken")
        if ident == self.draft.native_id:
            del record["sessionId"]
        elif isinstance(ident, str) and ident and ident not in self.draft.aliases:
            self.draft.issue(
                "session-id-changes", "a record names another session than the first one; the first counts"
            )

    def _name(self, message: Message, record: Record) -> tuple[str, str | None]:
        """Give the message its id. The record's own, and the message that had it before."""
        self.count += 1
        native = record.pop("uuid", None)
        if not isinstance(native, str) or not native:
            if native is not None:
                record["uuid"] = native
            native = ""
        again = self.names.get(native) if native else None
        name, number = native or f"m{self.count}", 2
        while name in self.names or name in self.taken:
            name = f"{native or 'm'}~{number if number < 100 else f'm{self.count}'}"
            native += "'" if number > 100 else ""
            number += 1
        if name != native:
            self.taken.add(name)
        message["id"] = name
        return native, again

    def _parent(self, message: Message, record: Record, again: str | None) -> None:
        parent = record.pop("parentUuid", self.last)
        if again is not None:
            self.draft.issue("repeated-message-id", "several records of the session have the same id")
            if again != self.last:
                message["parent"] = again
            return
        if parent is not None and not (isinstance(parent, str) and parent):
            record["parentUuid"] = parent
            return
        if isinstance(parent, str):
            if parent not in self.names and parent not in self.taken:
                self.draft.issue("missing-parent", "a message answers one that the file does not hold before it")
            parent = self.names.get(parent, parent)
        if parent != self.last:
            message["parent"] = parent

    def _hoist(self, record: Record) -> None:
        for name in _HOISTED:
            value = record.get(name)
            if not isinstance(value, str) or not value:
                continue
            if name not in self.hoisted:
                self.hoisted[name] = value
                if name == "cwd":
                    self.draft.cwd = value
                    self.draft.project = value.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or None
                elif name == "gitBranch":
                    self.draft.git["branch"] = value
                else:
                    self.draft.x[name] = value
            elif self.hoisted[name] != value:
                self.hoisted[name] = value
                continue
            del record[name]

    def _kept(self, message: Message, record: Record) -> None:
        self.source.preserved()
        message |= {"role": "system", "kind": "meta", "parts": [kept(record)]}
        payload = record.get("systemPayload")
        if record.get("subtype") == "rewind":
            self.draft.active_leaf = message["id"]
        if record.get("subtype") == "custom_title" and isinstance(payload, dict):
            title = payload.get("customTitle")
            if isinstance(title, str) and title_line(title):
                self.draft.title = title_line(title)
        elif record.get("subtype") == "chat_compression":
            message["kind"] = "compaction"

    def _bill(self, message: Message, native: str, figures: list[int]) -> None:
        """State what a record's figures add to those of an earlier record with its id."""
        before = self.billed[1] if native and self.billed[0] == native else [0, 0, 0, 0]
        highest = [max(pair) for pair in zip(figures, before, strict=True)]
        self.billed = [native, highest]
        if usage := usage_of([now - then for now, then in zip(highest, before, strict=True)]):
            message["usage"] = usage

    def _finish(self, message: Message, record: Record, native: str) -> None:
        role, parts = message["role"], message["parts"]
        if role == "assistant":
            if isinstance(record.get("model"), str) and record["model"]:
                message["model"] = record.pop("model")
            if isinstance(record.get("usageMetadata"), dict):
                self._bill(message, native, _figures(record["usageMetadata"]))
        elif role == "user":
            if record.get("subtype") == "notification":
                message["kind"] = "context"
            elif self.draft.title is None:
                texts = (part["content"] for part in parts if part["type"] == "text")
                self.draft.title = next((line for text in texts if (line := title_line(text))), None)
        result = record.get("toolCallResult")
        if isinstance(result, dict) and result.get("status") == "error":
            for part in parts:
                if part["type"] == "tool_call_response":
                    part["is_error"] = True
        if record:
            message["x"] = record


def _figures(tokens: Record) -> list[int]:
    """The figures of one record; its thoughts are beside the candidates' tokens or part of them: the total tells."""
    names = (
        "promptTokenCount",
        "candidatesTokenCount",
        "cachedContentTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
    )
    fresh, output, cached, thoughts, total = (count(tokens.get(name)) for name in names)
    beside = total == fresh + output + thoughts if total else thoughts > output
    return [fresh, output + thoughts if beside else output, cached, thoughts]

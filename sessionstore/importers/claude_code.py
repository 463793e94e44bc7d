"""Claude Code: transcripts of the terminal program, its desktop and web relatives.

Where: `projects/<slug>/<session id>.jsonl` under `~/.claude` (see `places`), sub-agents beside them as
`agent-<id>.jsonl` or under `<session id>/subagents/`. Files are append-only, one JSON record a line; a web session
is one document `{"loglines": [record, ...]}`. The slug cannot be turned back into a directory, so the working
directory comes from the records only.

How it is recognised: by a vote of the records, because any record type may come first.

What the records are and how they map: one record is one message, in record order. `user`, `assistant`, `system` with
text and prompts queued while a tool ran (`attachment`/`queued_command`) carry the conversation; every other record
becomes a message of kind `meta` that holds it verbatim, because others name it as their parent. `uuid`, `parentUuid`
and `timestamp` become id, parent and time; what stays the same in a session is told once, on the session; all other
fields stay in `x`. Nulls inside `message` say the same as absence and are left out. One response of the model is
written as several records which repeat its usage with growing figures: each carries only what it adds.

What it loses: tools and system prompt are not recorded; big tool outputs may lie in separate files. `issues` tells of
parents and tool results that the file does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar

import orjson

from sessionstore.importers.base import HEAD, Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import (
    Memory,
    Rank,
    Record,
    is_context,
    is_instant,
    naive_time,
    parts_of,
    title_line,
    typed,
)
from sessionstore.importers.parsing import Unparsable

_LEADING = 400
"""At most so many records are looked at before it is settled whose session the file is."""
_DOCUMENT = re.compile(rb'(\xef\xbb\xbf)?\s*\{(\s*"[^"\\]*"\s*:\s*("[^"\\]*"|[-\w.]+)\s*,)*\s*"loglines"\s*:\s*\[')
"""The beginning of a web session's document; a line of a transcript never has this field at its top level."""
_MARKS = {
    "system": "subtype",
    "progress": "data",
    "attachment": "attachment",
    "summary": "leafUuid",
    "file-history-snapshot": "snapshot",
    "queue-operation": "operation",
    "custom-title": "customTitle",
    "ai-title": "aiTitle",
    "agent-name": "agentName",
    "agent-setting": "agentSetting",
    "last-prompt": "lastPrompt",
    "permission-mode": "permissionMode",
    "mode": "mode",
    "pr-link": "prUrl",
    "frame-link": "frameUrl",
    "worktree-state": "worktreeSession",
    "relocated": "relocatedCwd",
}
"""Record types that no other known program writes, each with a field it always has."""
_ERRORS = frozenset({"api_error", "error", "api_refusal"})
_RENAMED = "<local-command-stdout>Session renamed to: "
_TITLES = {"custom-title": ("customTitle", Rank.CUSTOM), "ai-title": ("aiTitle", Rank.GENERATED)}
_SUMMARIES = 64
"""At most so many summaries wait for the message they are about."""
_STATE = 1 << 20
"""A state to go on from that would be larger than this many bytes is not worth keeping."""


class ClaudeCode(Importer):
    """Reads Claude Code transcripts, sub-agents' files and web session documents."""

    source: ClassVar[str] = "claude-code"
    title: ClassVar[str] = "Claude Code"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json")

    def places(self, machine: Machine) -> Iterable[Place]:
        """The projects directory (the configured one, else the usual ones), then those of the desktop program."""
        configured = machine.env.get("CLAUDE_CONFIG_DIR")
        home = machine.home
        yield Place((machine.cwd / configured if configured else home / ".claude") / "projects")
        yield Place(home / ".config" / "claude" / "projects")
        local = machine.cwd / machine.env.get("LOCALAPPDATA", home / "AppData" / "Local")
        roaming = machine.cwd / machine.env.get("APPDATA", home / "AppData" / "Roaming")
        packaged = local / "Packages" / "Claude_pzs8sxrjxfjjc" / "LocalCache" / "Roaming" / "Claude"
        macos = home / "Library" / "Application Support" / "Claude"
        for desktop in (macos, home / ".config" / "Claude", packaged, roaming / "Claude"):
            yield Place(desktop / "local-agent-mode-sessions")

    def recognise(self, head: Head) -> bool:
        """Whether more records speak for Claude Code than against it."""
        records: Any = head.records
        if _DOCUMENT.match(head.data):
            document = head.document
            found = document.get("loglines") if isinstance(document, dict) else None
            records = [line for line in found[:400] if isinstance(line, dict)] if isinstance(found, list) else []
        elif head.data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return False
        elif not records and b'"parentUuid"' in head.data and b'"sessionId"' in head.data:
            # The first record alone is larger than the head: a picture in the first prompt.
            records = Head(head.name, head.load().split(b"\n", 1)[0], True).records
        votes = [_vote(record) for record in records]
        return votes.count(1) > votes.count(-1)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record. A document is read as its log lines and cannot be resumed."""
        reader = Reader(source)
        if source.resumed is not None:
            reader.go_on(source.resumed)
            settled, records = True, source.records()
        else:
            document = _document(source)
            found = source.records() if document is None else _loglines(source, document)
            lead, settled = _leading(found, _stem(source.name))
            settled = settled and document is None
            reader.begin(lead, document or {})
            records = chain(lead, found)
        take = reader.take
        for record in records:
            yield take(record)
        for memory in reader.sessions.values():
            memory.report()
        # Before the first turn has been seen, what follows may still decide whose session this is: start over then.
        source.resume = reader.state() if settled else None


def _vote(record: Record) -> int:
    """1 when a record looks like Claude Code's, -1 when it looks like that of a similar format, else 0."""
    body, session = record.get("message"), record.get("sessionId")
    if "systemPayload" in record or (isinstance(body, dict) and "parts" in body):
        return -1  # qwen-code
    if isinstance(session, str) and session.startswith("session-"):
        return -1  # iflow
    if "payload" in record or "projectHash" in record:
        return -1  # codex, gemini-cli
    if "session_id" in record and session is None:
        return -1  # the stream of `claude --output-format stream-json`, which has no envelope
    if isinstance(session, str) and "uuid" in record and "parentUuid" in record:
        return 1
    kind = record.get("type")
    if not isinstance(kind, str):
        return 0
    if kind in ("user", "assistant"):
        return int(isinstance(body, dict) and ("content" in body or "role" in body))
    return int(kind in _MARKS and _MARKS[kind] in record)


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _leading(records: Iterator[Record], stem: str) -> tuple[list[Record], bool]:
    """The records that must be seen to know whose session the file is, and whether that is now settled: those up to
    the first turn and the first session id, which may be far from each other. A file with the name of its session
    needs no turn. The records are held back because they may have no session id of their own."""
    lead: list[Record] = []
    turn = named = False
    for record in islice(records, _LEADING):
        lead.append(record)
        turn = turn or record.get("type") in ("user", "assistant")
        sid = record.get("sessionId")
        named = named or (isinstance(sid, str) and sid != "")
        if (named and turn) or (stem and sid == stem):
            return lead, True
    return lead, len(lead) == _LEADING


def _document(source: Source) -> Record | None:
    """The whole source as a web session's document when it begins like one. Raises `Unparsable`."""
    blocks = iter(source.blocks)
    head = b""
    while len(head) < HEAD and (block := next(blocks, None)) is not None:
        head += block
    source.blocks = chain([head], blocks)
    if not _DOCUMENT.match(head):
        return None
    value = source.document()
    if not isinstance(value, dict) or not isinstance(value.get("loglines"), list):
        raise Unparsable("not a session document")
    return value


def _loglines(source: Source, document: Record) -> Iterator[Record]:
    for line in document.pop("loglines"):
        source.account.records += 1
        if isinstance(line, dict):
            yield line
        else:
            source.reject("not a JSON object")


class Reader:
    """Sorts the records of one file by session and turns each into one message of it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.agent: str | None = None
        self.sessions: dict[str, Memory] = {}
        self.sid = ""
        self.now: Memory
        self.summaries: dict[str, str] = {}
        """Summaries by the id of the message they are about, which has not been seen yet."""

    def begin(self, lead: list[Record], document: Record) -> None:
        """Settle whose file this is by its first records and open the first session."""
        if not lead:
            return
        turns = (record for record in lead if record.get("type") in ("user", "assistant"))
        self.agent = _agent(self.source.name, next(turns, {}))
        ids = (sid for record in lead if isinstance(sid := record.get("sessionId"), str) and sid)
        self._switch(next(ids, ""), document.get("id"))
        if isinstance(title := document.get("title"), str):
            self.now.entitle(Rank.CUSTOM, title)
        self.now.draft.x.update(document)

    def go_on(self, state: Record) -> None:
        """Take up where the reader that gave `state` stopped."""
        self.agent, self.summaries = state["agent"], dict(state["summaries"])
        for sid, memory in state["sessions"].items():
            self.sessions[sid] = memory = Memory.resumed(memory)
            self.source.drafts.append(memory.draft)
        self._switch(state["sid"])

    def state(self) -> Record | None:
        """Everything needed to go on, as plain JSON data that shares nothing with the reader; None when it has
        become too large (hundreds of thousands of messages, or one hostile record)."""
        if not self.sessions:
            return None
        state = {
            "agent": self.agent,
            "sid": self.sid,
            "summaries": self.summaries,
            "sessions": {sid: memory.state() for sid, memory in self.sessions.items()},
        }
        try:
            data = orjson.dumps(state)
        except TypeError:
            return None
        copy: Record | None = orjson.loads(data) if len(data) <= _STATE else None
        return copy

    def take(self, record: Record) -> tuple[Draft, Message]:
        """The message that `record` is. The record is taken apart: what is left of it becomes the message's `x`."""
        sid = record.pop("sessionId", None)
        if sid is not None and sid != self.sid:
            if type(sid) is str and sid:
                self._switch(sid)
            else:
                record["sessionId"] = sid
        memory = self.now
        message, native = self._frame(memory, record)
        sidechain = self._sidechain(record)
        if native is not None and not sidechain:
            memory.draft.active_leaf = message["id"]
        kind = record.get("type")
        if kind == "assistant":
            done = _assistant(memory, record, message, sidechain)
        elif kind == "user":
            done = _user(memory, record, message, sidechain)
        elif kind == "attachment":
            done = _queued(record, message, sidechain)
        elif kind == "system":
            done = _system(memory, record, message)
        else:
            self._titles(memory, record, kind)
            done = False
        if done:
            self.source.account.mapped += 1
            if record:
                message["x"] = record
        else:
            self.source.account.preserved += 1
            message["role"] = "system"
            message.setdefault("kind", "meta")
            message["parts"] = [{"type": "record", "record": record}]
        return memory.draft, message

    def _switch(self, sid: str, fallback: Any = None) -> None:
        memory = self.sessions.get(sid)
        if memory is None:
            native, parent = self._identity(sid, fallback)
            memory = self.sessions[sid] = Memory(self.source.draft(native))
            if parent is not None:
                memory.draft.forked_from = {"key": f"{ClaudeCode.source}:{parent}", "relation": "subagent"}
        self.sid, self.now = sid, memory

    def _identity(self, sid: str, fallback: Any) -> tuple[str, str | None]:
        """The native id of a session, and that of the session whose sub-agent it is."""
        path = self.source.name.split("/")
        if self.agent is None:
            other = fallback if isinstance(fallback, str) and fallback else _stem(path[-1])
            return sid or other or "session", None
        parent: str | None = sid
        if not sid or sid.startswith("agent-"):
            above = [path[n - 1] for n in range(1, len(path)) if path[n] == "subagents"]
            parent = above[-1] if above and above[-1] else None
        return f"{parent}/agent-{self.agent}" if parent else f"agent-{self.agent}", parent

    def _frame(self, memory: Memory, record: Record) -> tuple[Message, str | None]:
        """The message with its id, parent and time, and the record's own id; hoists what is constant."""
        native = record.pop("uuid", None)
        if native is not None and not (type(native) is str and native):
            record["uuid"], native = native, None
        before = memory.last
        message: Message = {"id": memory.name(native)}
        if native is not None:
            if self.summaries and native in self.summaries:
                memory.entitle(Rank.SUMMARY, self.summaries.pop(native))
            if not memory.linked:
                memory.linked = True
                self._link(memory, record)
        parent = record.pop("parentUuid", before)
        if parent is None:
            # A compaction is a root for the model only; the conversation goes on from what was compacted.
            logical = record.get("logicalParentUuid")
            if type(logical) is str and memory.knows(logical):
                parent = logical
        if parent != before:
            if parent is None or (type(parent) is str and parent):
                message["parent"] = parent
                if parent:
                    memory.refer(parent)
            else:
                record["parentUuid"] = parent
        time = record.pop("timestamp", None)
        if type(time) is str and is_instant(time):
            message["time"] = time
        elif time is not None:
            naive = naive_time(time) if type(time) is str and "time" not in record else None
            record["timestamp" if naive is None else "time"] = naive or time
        memory.hoist(record, native, self.agent is not None)
        return message, native

    def _link(self, memory: Memory, record: Record) -> None:
        """See whether the first record of a session continues an earlier session of the file. It is a root then, and
        `forked_from` says where it goes on."""
        parent = record.get("parentUuid")
        if type(parent) is not str or memory.draft.forked_from is not None:
            return
        for other in self.sessions.values():
            if other is not memory and other.knows(parent):
                key = f"{ClaudeCode.source}:{other.draft.native_id}"
                memory.draft.forked_from = {"key": key, "message": parent, "relation": "resume"}
                record["parentUuid"] = None
                return

    def _sidechain(self, record: Record) -> bool:
        """Whether the record belongs to a sub-agent told inside the main file; drops the flag where it is implied."""
        flag = record.get("isSidechain")
        implied = self.agent is not None
        if flag is implied:
            del record["isSidechain"]
        return flag is True and not implied

    def _titles(self, memory: Memory, record: Record, kind: Any) -> None:
        if kind == "summary":
            summary, leaf = record.get("summary"), record.get("leafUuid")
            if type(summary) is not str or type(leaf) is not str:
                return
            for other in self.sessions.values():
                if other.knows(leaf):
                    other.entitle(Rank.SUMMARY, summary)
                    return
            self.summaries.pop(leaf, None)
            self.summaries[leaf] = title_line(summary)
            if len(self.summaries) > _SUMMARIES:
                del self.summaries[next(iter(self.summaries))]
        elif type(kind) is str and kind in _TITLES:
            field, rank = _TITLES[kind]
            if type(title := record.get(field)) is str:
                memory.entitle(rank, title)


def _agent(name: str, turn: Record) -> str | None:
    """The sub-agent's id when the file is that of a sub-agent, by its name or its first turn."""
    agent, flag = turn.get("agentId"), turn.get("isSidechain")
    agent = agent if isinstance(agent, str) and agent else None
    base = _stem(name)
    if base.startswith("agent-") and len(base) > 6 and not (flag is False and agent is None):
        return base[6:]
    return agent if flag is True else None


def _assistant(memory: Memory, record: Record, message: Message, sidechain: bool) -> bool:
    body = record.get("message")
    if type(body) is not dict or (parts := parts_of(body.get("content"))) is None:
        return False
    del record["message"], record["type"], body["content"]
    message["role"] = "assistant"
    message["parts"] = parts
    memory.watch_calls(parts)
    if record.get("isApiErrorMessage") is True:
        message["kind"] = "error"
    elif sidechain:
        message["kind"] = "sidechain"
    model = body.pop("model", None)
    if type(model) is str and model != "<synthetic>":
        message["model"] = model
    elif model is not None:
        (body if "model" in record else record)["model"] = model
    reason = body.pop("stop_reason", None)
    if type(reason) is str:
        message["finish_reason"] = reason
    elif reason is not None:
        body["stop_reason"] = reason
    response, request = body.get("id"), record.get("requestId")
    if type(response) is str and "response_id" not in record:
        record["response_id"] = body.pop("id")
    if type(request) is str and "request_id" not in record:
        record["request_id"] = record.pop("requestId")
    usage = memory.bill(body, record, response, request)
    if usage:
        message["usage"] = usage
    _keep_rest(record, body, "assistant")
    return True


def _user(memory: Memory, record: Record, message: Message, sidechain: bool) -> bool:
    body = record.get("message")
    if type(body) is not dict or (parts := parts_of(body.get("content"))) is None:
        return False
    del record["message"], record["type"], body["content"]
    message["parts"] = parts
    role = "user"
    if len(parts) != 1 or parts[0]["type"] != "text":
        memory.watch_calls(parts)
        for part in parts:
            if part["type"] == "tool_call_response":
                role = "tool"
    message["role"] = role
    if record.get("isCompactSummary") is True:
        message["kind"] = "compaction"
    elif role == "user" and is_context(record, parts):
        message["kind"] = "context"
    elif sidechain:
        message["kind"] = "sidechain"
    elif role == "user" and not memory.rank:
        for part in parts:
            if part["type"] == "text" and (text := typed(part["content"]).strip()):
                memory.entitle(Rank.PROMPT, text)
                break
    _keep_rest(record, body, "user")
    return True


def _keep_rest(record: Record, body: Record, role: str) -> None:
    """Keep in `x` what the unified form does not say of a `message` object."""
    if body.get("role") == role:
        del body["role"]
    if body.get("type") == "message":
        del body["type"]
    rest = {name: value for name, value in body.items() if value is not None}
    if rest:
        record["message"] = rest


def _queued(record: Record, message: Message, sidechain: bool) -> bool:
    """A prompt that was typed, or a notice that came, while the model was at work."""
    queued = record.get("attachment")
    if type(queued) is not dict or queued.get("type") != "queued_command":
        return False
    parts = parts_of(queued.get("prompt"))
    if not parts:
        return False
    del record["type"], queued["prompt"]
    message["role"] = "user"
    message["parts"] = parts
    if queued.get("commandMode") == "task-notification" or is_context(queued, parts):
        message["kind"] = "context"
    elif sidechain:
        message["kind"] = "sidechain"
    return True


def _system(memory: Memory, record: Record, message: Message) -> bool:
    subtype = record.get("subtype")
    if subtype == "compact_boundary":
        message["kind"] = "compaction"
    elif type(subtype) is str and subtype in _ERRORS:
        message["kind"] = "error"
    text = record.get("content")
    if type(text) is not str or not text.strip():
        return False
    del record["type"], record["content"]
    message["role"] = "system"
    message["parts"] = [{"type": "text", "content": text}]
    message.setdefault("kind", "meta")
    if text.startswith(_RENAMED):
        memory.entitle(Rank.RENAMED, text[len(_RENAMED) :].removesuffix("</local-command-stdout>"))
    return True

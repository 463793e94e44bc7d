"""Claude Code's records, one after the other, as messages of the sessions they belong to."""

from __future__ import annotations

from typing import Any

import orjson

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.claude_code_memory import Memory, Rank
from sessionstore.importers.claude_code_parts import Record, is_context, parts_of, typed
from sessionstore.importers.common import is_instant, naive_time, stem, title_line

SOURCE = "claude-code"
_ERRORS = frozenset({"api_error", "error", "api_refusal"})
_RENAMED = "<local-command-stdout>Session renamed to: "
_TITLES = {"custom-title": ("customTitle", Rank.CUSTOM), "ai-title": ("aiTitle", Rank.GENERATED)}
_SUMMARIES = 64
"""At most so many summaries wait for the message they are about."""
_STATE = 1 << 20
"""A state to go on from that would be larger than this many bytes is not worth keeping."""


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
                memory.draft.forked_from = {"key": f"{SOURCE}:{parent}", "relation": "subagent"}
        self.sid, self.now = sid, memory

    def _identity(self, sid: str, fallback: Any) -> tuple[str, str | None]:
        """The native id of a session, and that of the session whose sub-agent it is."""
        path = self.source.name.split("/")
        if self.agent is None:
            other = fallback if isinstance(fallback, str) and fallback else stem(path[-1])
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
                key = f"{SOURCE}:{other.draft.native_id}"
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
    base = stem(name)
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

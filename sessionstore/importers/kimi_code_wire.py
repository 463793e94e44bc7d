"""Replays one agent's event log of kimi-code, `wire.jsonl`, into messages.

The log only grows; what was undone or cleared stays in it. Every message is kept in the order of the log, and the
active path follows from replaying: `context.undo` goes back to before the named number of the user's prompts,
`context.clear` begins anew without a parent, `context.apply_compaction` goes on with a summary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sessionstore import canonical
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.kimi_parts import (
    ROLES,
    Fetch,
    Json,
    content_part,
    content_parts,
    instant,
    meta,
    text_of,
    tool_call,
    usage_of,
)

_COUNTS = ("inputOther", "output", "inputCacheRead", "inputCacheCreation")
_GIT = "</git-context>"
"""What ends the description of the repository that subagents are told before their task."""
_BY_USER = frozenset({"skill_activation", "plugin_command"})


@dataclass(slots=True, eq=False)
class Node:
    """A message in the log's order."""

    message: Message
    parent: Node | None
    prompt: bool = False
    """whether it is a prompt of the user's that `context.undo` counts"""
    barrier: bool = False
    """whether undoing stops here"""
    mark: Node | None = None
    """the nearest one on its path, itself included, that is a prompt or a barrier"""
    dropped: bool = False
    """whether another record says the same"""


@dataclass(slots=True, eq=False)
class Step:
    """One request to the model and its answer."""

    node: Node
    usage: Any = None
    ended: bool = False
    billed: bool = False
    early: list[Node] = field(default_factory=list)
    """bills that came before the step's end"""


class Replay:
    """Reads the records of one log."""

    def __init__(self, source: Source, draft: Draft, agent: str, fetch: Fetch) -> None:
        """Count in this source's account; `fetch` gives media that lie in files of their own."""
        self._source = source
        self._draft = draft
        self._agent = agent
        self._fetch = fetch
        self._nodes: list[Node] = []
        self._leaf: Node | None = None
        self._ids: set[str] = set()
        self._line = 0
        self._steps: dict[str, Step] = {}
        self._step: Step | None = None
        self._prompts: dict[bytes, list[tuple[Node, Json]]] = {}
        self._system: str | None = None

    def take(self, record: Json) -> None:
        """Take the next record."""
        self._line += 1
        kind = record.get("type")
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None and handler(self, record):
            self._source.mapped()
        else:
            self._source.preserved()
            self._verbatim(record)

    def finish(self) -> list[Message]:
        """The messages in the order of the log."""
        self._open_prompts()
        draft, before = self._draft, None
        found: list[Message] = []
        branched = False
        for node in self._nodes:
            if node.dropped:
                continue
            message = node.message
            if message["role"] == "assistant" and not message["parts"]:
                message["kind"] = "meta"
            parent = _kept(node.parent)
            if parent is not before and found:
                message["parent"] = parent.message["id"] if parent else None
                branched = True
            before = node
            found.append(message)
            if draft.title is None and message["role"] == "user" and "kind" not in message:
                text = text_of(message["parts"])
                draft.title = title_line(text.partition(_GIT)[2] if text.startswith("<git-context>") else text) or None
        leaf = _kept(self._leaf)
        if leaf is not None and (branched or leaf is not before):
            draft.active_leaf = leaf.message["id"]
        return found

    def _add(self, message: Message, record: Json, name: Any = None) -> Node:
        wanted = name if isinstance(name, str) and name else f"m{self._line}"
        message_id, copy = wanted, 1
        while message_id in self._ids:
            copy += 1
            message_id = f"{wanted}~{self._line}" if copy == 2 else f"{wanted}~{self._line}.{copy}"
        self._ids.add(message_id)
        made: Message = {"id": message_id} | message
        if time := instant(record.get("time"), 1000):
            made["time"] = time
        node = Node(made, self._leaf, mark=self._leaf.mark if self._leaf else None)
        self._nodes.append(node)
        self._leaf = node
        return node

    def _verbatim(self, record: Json) -> Node:
        rest = {key: value for key, value in record.items() if key != "agentId" or value != self._agent}
        if instant(rest.get("time"), 1000):
            del rest["time"]
        return self._add(meta(rest), record)

    def _rest(self, record: Json, *used: str) -> Json:
        """The fields of a record besides its type, its time and those used."""
        known = {"type", *used} | ({"time"} if instant(record.get("time"), 1000) else set())
        return {
            key: value
            for key, value in record.items()
            if key not in known and (key != "agentId" or value != self._agent)
        }

    # -- the session ---------------------------------------------------------------------------------------------------

    def _metadata(self, record: Json) -> bool:
        if "wire" in self._draft.x:
            return False
        self._draft.x["wire"] = {key: value for key, value in record.items() if key != "type"}
        if self._draft.created_at is None:
            self._draft.created_at = instant(record.get("created_at"), 1000)
        return True

    def _configured(self, record: Json) -> bool:
        told = dict(record)
        disclosed = record.get("environmentDisclosure")
        cwd = record.get("cwd") or (disclosed.get("cwd") if isinstance(disclosed, dict) else None)
        if isinstance(cwd, str) and cwd and self._draft.cwd is None:
            self._draft.cwd = cwd
        prompt = record.get("systemPrompt")
        if isinstance(prompt, str) and prompt:
            if self._system is None:
                self._system = prompt
                self._draft.system = [{"type": "text", "content": prompt}]
            if prompt == self._system:
                del told["systemPrompt"]
        self._verbatim(told)
        return True

    def _tools(self, record: Json) -> bool:
        told, tools = dict(record), record.get("tools")
        if isinstance(tools, list) and not self._draft.tools:
            self._draft.tools = tools
            del told["tools"]
        self._verbatim(told)
        return True

    # -- prompts and messages ------------------------------------------------------------------------------------------

    def _prompted(self, record: Json) -> bool:
        if not isinstance(record.get("input"), list):
            return False
        message: Message = {"role": "user", "kind": "meta", "parts": content_parts(record["input"], self._fetch)}
        message["x"] = {"type": record["type"]} | self._rest(record, "input")
        node = self._add(message, record)
        rest = {key: value for key, value in record.items() if key not in ("type", "input", "agentId")}
        self._prompts.setdefault(canonical.dumps(record["input"]), []).append((node, rest))
        return True

    def _open_prompts(self) -> None:
        count = sum(map(len, self._prompts.values()))
        if count:
            self._draft.issue("prompt-without-message", "a prompt that never became part of the conversation", count)

    def _appended(self, record: Json) -> bool:
        inner = record.get("message")
        if not isinstance(inner, dict) or not isinstance(inner.get("role"), str) or inner["role"] not in ROLES:
            return False
        content, calls = inner.get("content"), inner.get("toolCalls")
        if not isinstance(content, str | list | None) or not isinstance(calls, list | None):
            return False
        used = {"role", "content", "toolCalls", "origin"}
        message: Message = {"role": inner["role"]}
        if inner["role"] == "tool":
            call_id = inner.get("toolCallId")
            used |= {"toolCallId"} if isinstance(call_id, str) else set()
            part: Json = {
                "type": "tool_call_response",
                "id": call_id if isinstance(call_id, str) else "",
                "response": content,
            }
            if inner.get("isError") is True:
                part["is_error"] = True
                used.add("isError")
            message["parts"] = [part]
        else:
            message["parts"] = [] if content == "" and calls else content_parts(content, self._fetch)
        message["parts"] += map(tool_call, calls or [])
        origin = inner.get("origin")
        if kind := _kind(inner["role"], origin):
            message["kind"] = kind
        extra = {key: value for key, value in inner.items() if key not in used} | self._rest(record, "message")
        if origin not in (None, {"kind": "user"}):
            extra["origin"] = origin
        waiting = self._prompts.get(canonical.dumps(content), []) if inner["role"] == "user" else []
        if waiting:
            told, rest = waiting.pop()
            told.dropped = True
            if rest.get("origin") == origin:
                rest.pop("origin", None)
            extra |= {"prompt": rest} if rest else {}
        if extra:
            message["x"] = extra
        node = self._add(message, record)
        node.prompt = inner["role"] == "user" and _is_prompt(origin)
        node.barrier = message.get("kind") == "compaction"
        if node.prompt or node.barrier:
            node.mark = node
        return True

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _loop(self, record: Json) -> bool:
        event = record.get("event")
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            return False
        handler = _EVENTS.get(event["type"])
        return handler is not None and bool(handler(self, record, event))

    def _begun(self, record: Json, event: Json) -> bool:
        name = event.get("uuid")
        if not isinstance(name, str) or name in self._steps:
            return False
        message: Message = {"role": "assistant", "parts": []}
        extra = {key: value for key, value in event.items() if key not in ("type", "uuid")}
        extra |= self._rest(record, "event")
        if extra:
            message["x"] = extra
        self._step = self._steps[name] = Step(self._add(message, record, name))
        return True

    def _of_step(self, event: Json) -> Step | None:
        name = event.get("stepUuid")
        return self._steps.get(name) if isinstance(name, str) else None

    def _part(self, record: Json, event: Json) -> bool:
        step = self._of_step(event)
        if step is None or "part" not in event or self._rest(record, "event"):
            return False
        step.node.message["parts"].append(content_part(event["part"], self._fetch))
        _later(step.node.message, record)
        return True

    def _called(self, record: Json, event: Json) -> bool:
        step = self._of_step(event)
        if step is None or not isinstance(event.get("toolCallId"), str) or not isinstance(event.get("name"), str):
            return False
        part = {"type": "tool_call", "id": event["toolCallId"], "name": event["name"], "arguments": event.get("args")}
        known = {"type", "uuid", "turnId", "step", "stepUuid", "toolCallId", "name", "args"}
        part |= {key: value for key, value in event.items() if key not in known and key not in part}
        if event.get("uuid") not in (None, event["toolCallId"]):
            part["uuid"] = event["uuid"]
        step.node.message["parts"].append(part)
        _later(step.node.message, record)
        return True

    def _result(self, record: Json, event: Json) -> bool:
        result, call_id = event.get("result"), event.get("toolCallId")
        if not isinstance(result, dict) or not isinstance(call_id, str):
            return False
        part = {"type": "tool_call_response", "id": call_id, "response": result.get("output")}
        extra = {key: value for key, value in result.items() if key != "output"} | self._rest(record, "event")
        if extra.get("isError") is True:
            part["is_error"] = extra.pop("isError")
        extra |= {
            key: value
            for key, value in event.items()
            if key not in ("type", "toolCallId", "result") and (key != "parentUuid" or value != call_id)
        }
        message: Message = {"role": "tool", "parts": [part]}
        if isinstance(result.get("output"), list):
            media = [content_part(item, self._fetch) for item in result["output"]]
            message["parts"] += [item for item in media if item["type"] == "blob" and "blobref" in item]
        if extra:
            message["x"] = extra
        self._add(message, record)
        return True

    def _ended(self, record: Json, event: Json) -> bool:
        name = event.get("uuid")
        step = self._steps.get(name) if isinstance(name, str) else None
        if step is None or step.ended:
            return False
        step.ended = True
        message = step.node.message
        _later(message, record)
        end = {key: value for key, value in event.items() if key not in ("type", "uuid", "turnId", "step")}
        if isinstance(event.get("finishReason"), str):
            message["finish_reason"] = end.pop("finishReason")
        if usage := usage_of(event.get("usage"), *_COUNTS):
            message["usage"] = usage
            step.usage = event["usage"]
            if event["usage"].keys() <= set(_COUNTS) and all(type(n) is int for n in event["usage"].values()):
                del end["usage"]
            for node in step.early:
                if not step.billed and node.message.get("usage") == usage:
                    self._paid(step, node.message["parts"][0]["record"])
                    node.dropped = True
        if end:
            message.setdefault("x", {})["end"] = end
        return True

    def _requested(self, record: Json) -> bool:
        if self._step is None or record.get("kind") != "loop" or self._step.usage is not None:
            return False
        message = self._step.node.message
        told = self._rest(record)
        for ours, theirs in (("model", "model"), ("provider", "provider")):
            if isinstance(told.get(theirs), str) and message.get(ours, told[theirs]) == told[theirs]:
                message[ours] = told.pop(theirs)
        message.setdefault("x", {}).setdefault("requests", []).append(told | {"time": record.get("time")})
        return True

    def _billed(self, record: Json) -> bool:
        usage = usage_of(record.get("usage"), *_COUNTS)
        step, whole = self._step, record.get("usageScope") == "session"
        if step is not None and not whole and not step.billed and step.usage == record.get("usage") and usage:
            self._paid(step, record)
            return True
        node = self._verbatim(record)
        if usage:
            node.message["usage"] = usage
            if isinstance(record.get("model"), str) and record["model"]:
                node.message["model"] = record["model"]
            if step is not None and not whole and step.usage is None:
                step.early.append(node)
        return True

    def _paid(self, step: Step, record: Json) -> None:
        step.billed = True
        message = step.node.message
        told = self._rest(record, "usage", "usageScope")
        if isinstance(told.get("model"), str) and "model" not in message:
            message["model"] = told.pop("model")
        if told:
            message.setdefault("x", {})["billed"] = told

    # -- the active path -----------------------------------------------------------------------------------------------

    def _cleared(self, record: Json) -> bool:
        self._verbatim(record)
        self._leaf = self._step = None
        return True

    def _compacted(self, record: Json) -> bool:
        texts = [name for name in ("contextSummary", "summary") if isinstance(record.get(name), str)]
        if not texts:
            return False
        extra = self._rest(record, texts[0])
        parts = [{"type": "text", "content": record[texts[0]]}]
        message: Message = {"role": "user", "kind": "compaction", "parts": parts}
        if extra:
            message["x"] = extra
        node = self._add(message, record)
        node.barrier, node.mark = True, node
        self._step = None
        return True

    def _undone(self, record: Json) -> bool:
        count = record.get("count")
        if type(count) is not int or count <= 0:
            return False
        mark, cut = self._leaf.mark if self._leaf else None, None
        self._verbatim(record)
        while mark is not None and count and not mark.barrier:
            count, cut = count - 1, mark
            mark = mark.parent.mark if mark.parent else None
        if count:
            self._draft.issue("undo-beyond-beginning", "more prompts were undone than there were")
        if cut is not None:
            self._leaf = _kept(cut.parent)
        self._step = None
        return True


def _kept(node: Node | None) -> Node | None:
    """The node itself or, when another record says the same, the nearest one before it that is kept."""
    chain = []
    while node is not None and node.dropped:
        chain.append(node)
        node = node.parent
    for dropped in chain:
        dropped.parent = node
    return node


def _later(message: Message, record: Json) -> None:
    """An answer's time is that of the last record of it."""
    if time := instant(record.get("time"), 1000):
        message["time"] = time


def _kind(role: str, origin: Any) -> str | None:
    """What a message is that the program wrote in the user's name."""
    if role == "system":
        return "context"
    kind = origin.get("kind") if isinstance(origin, dict) else None
    if kind == "compaction_summary":
        return "compaction"
    if role != "user" or not isinstance(kind, str) or _is_prompt(origin):
        return None
    return None if kind == "system_trigger" and origin.get("name") == "subagent" else "context"


def _is_prompt(origin: Any) -> bool:
    if origin is None:
        return True
    kind = origin.get("kind") if isinstance(origin, dict) else None
    return kind == "user" or (isinstance(kind, str) and kind in _BY_USER and origin.get("trigger") == "user-slash")


_HANDLERS: dict[str, Any] = {
    "metadata": Replay._metadata,
    "config.update": Replay._configured,
    "profile.bind": Replay._configured,
    "llm.tools_snapshot": Replay._tools,
    "turn.prompt": Replay._prompted,
    "turn.steer": Replay._prompted,
    "context.append_message": Replay._appended,
    "context.append_loop_event": Replay._loop,
    "context.clear": Replay._cleared,
    "context.undo": Replay._undone,
    "context.apply_compaction": Replay._compacted,
    "llm.request": Replay._requested,
    "usage.record": Replay._billed,
}
"""What makes something of a record; false when it is to be kept verbatim instead."""
_EVENTS: dict[str, Any] = {
    "step.begin": Replay._begun,
    "content.part": Replay._part,
    "tool.call": Replay._called,
    "tool.result": Replay._result,
    "step.end": Replay._ended,
}

"""Replays one agent's event log of kimi-code, `wire.jsonl`, into messages.

The log only grows; what was undone or cleared stays in it. Every message is kept in the order of the log, and the
active path follows from replaying: `context.undo` goes back to before the named number of the user's prompts,
`context.clear` begins anew without a parent, `context.apply_compaction` goes on with a summary.

A message is made of records that follow each other without any other between them, so that nothing that was read
once changes when the log grows: an answer whose tools were waited for is followed by its results and then by a record
with its bill, and a step that was interrupted by an approval is two messages.
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

    facts: Json
    """what the beginning of the step says of it"""
    usage: Any = None
    ended: bool = False
    billed: bool = False
    early: list[Any] = field(default_factory=list)
    """figures that were billed before the step's end"""


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
        self._open: tuple[Step, Message] | None = None
        """the step whose message the record before was of"""
        self._asked: tuple[bytes, Node, Json] | None = None
        """the prompt that the record before was"""
        self._prompts: dict[bytes, int] = {}
        """how often prompts were told that did not become messages yet"""
        self._model: Json = {}
        """the model and the provider of the latest request"""
        self._system: str | None = None

    def take(self, record: Json) -> None:
        """Take the next record."""
        self._line += 1
        kind = record.get("type")
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        asked = self._asked
        if handler is not None and handler(self, record):
            self._source.mapped()
        else:
            self._source.preserved()
            self._verbatim(record)
        if self._open is not None and self._nodes[-1].message is not self._open[1]:
            self._open = None
        if self._asked is asked:
            self._asked = None

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
            parent = _kept(node.parent)
            if parent is not before and found:
                message["parent"] = parent.message["id"] if parent else None
                branched = True
            before = node
            found.append(message)
            if draft.title is None and message["role"] == "user" and "kind" not in message:
                text = text_of(message["parts"])
                draft.title = title_line(text.partition(_GIT)[2] or text) or None
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
        told = canonical.dumps(record["input"])
        self._prompts[told] = self._prompts.get(told, 0) + 1
        self._asked = told, node, rest
        return True

    def _open_prompts(self) -> None:
        count = sum(self._prompts.values())
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
        told = canonical.dumps(content)
        if inner["role"] == "user" and self._prompts.get(told):
            self._prompts[told] -= 1
            if self._asked is not None and self._asked[0] == told:
                rest = self._asked[2]
                self._asked[1].dropped = True
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
        if not isinstance(name, str) or name in self._steps or self._rest(record, "event"):
            return False
        facts = {key: value for key, value in event.items() if key not in ("type", "uuid")}
        self._step = self._steps[name] = Step(facts)
        self._open = None
        return True

    def _message_of(self, record: Json, event: Json) -> Message | None:
        """The message that a part of an answer belongs to: the one that the record before was of, else a new one."""
        name = event.get("stepUuid")
        step = self._steps.get(name) if isinstance(name, str) else None
        if step is None or self._rest(record, "event"):
            return None
        if self._open is not None and self._open[0] is step:
            message = self._open[1]
            if time := instant(record.get("time"), 1000):
                message["time"] = time
            return message
        made: Message = {"role": "assistant", "parts": [], **self._model}
        if step.facts:
            made["x"] = dict(step.facts)
        message = self._add(made, record, name).message
        self._open = step, message
        return message

    def _part(self, record: Json, event: Json) -> bool:
        message = self._message_of(record, event) if "part" in event else None
        if message is None:
            return False
        message["parts"].append(content_part(event["part"], self._fetch))
        return True

    def _called(self, record: Json, event: Json) -> bool:
        if not isinstance(event.get("toolCallId"), str) or not isinstance(event.get("name"), str):
            return False
        message = self._message_of(record, event)
        if message is None:
            return False
        part = {"type": "tool_call", "id": event["toolCallId"], "name": event["name"], "arguments": event.get("args")}
        known = {"type", "uuid", "turnId", "step", "stepUuid", "toolCallId", "name", "args"}
        part |= {key: value for key, value in event.items() if key not in known and key not in part}
        if event.get("uuid") not in (None, event["toolCallId"]):
            part["uuid"] = event["uuid"]
        message["parts"].append(part)
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
        if step is None or step.ended or self._rest(record, "event"):
            return False
        step.ended = True
        if self._open is not None and self._open[0] is step:
            message = self._open[1]
            if time := instant(record.get("time"), 1000):
                message["time"] = time
            end = {key: value for key, value in event.items() if key not in ("type", "uuid", "turnId", "step")}
            message.setdefault("x", {})["end"] = end
        else:
            message = self._verbatim(record).message
            message |= self._model
            end = message["parts"][0]["record"]["event"] = dict(event)
            self._open = step, message
        if isinstance(event.get("finishReason"), str):
            message["finish_reason"] = end.pop("finishReason")
        if usage := usage_of(event.get("usage"), *_COUNTS):
            step.usage = event["usage"]
            step.billed = usage in step.early
            if not step.billed:
                message["usage"] = usage
                if event["usage"].keys() <= set(_COUNTS) and all(type(n) is int for n in event["usage"].values()):
                    del end["usage"]
        if not end:
            del message["x"]["end"]
            if not message["x"]:
                del message["x"]
        return True

    def _requested(self, record: Json) -> bool:
        if record.get("kind") == "loop":
            names = ("model", "provider")
            self._model = {name: record[name] for name in names if isinstance(record.get(name), str) and record[name]}
        self._verbatim(record)
        return True

    def _billed(self, record: Json) -> bool:
        usage = usage_of(record.get("usage"), *_COUNTS)
        step, whole = self._step, record.get("usageScope") == "session"
        told = usage is not None and step is not None and not whole and step.usage == record.get("usage")
        if told and step is not None and not step.billed:
            step.billed = True
            if self._open is not None and self._open[0] is step:
                self._paid(self._open[1], record)
            else:
                self._verbatim(record)
            return True
        node = self._verbatim(record)
        if usage:
            node.message["usage"] = usage
            if isinstance(record.get("model"), str) and record["model"]:
                node.message["model"] = record["model"]
            if step is not None and not whole and not step.ended:
                step.early.append(usage)
        return True

    def _paid(self, message: Message, record: Json) -> None:
        told = self._rest(record, "usage", "usageScope")
        if isinstance(told.get("model"), str) and told["model"] and "model" not in message:
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

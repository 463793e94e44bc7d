"""Claude Code's `--output-format stream-json` records, one after the other, as messages.

The log importer and the stored answers of mcp_coder share this. One record is one message. A response of the model
comes as several records with the same `message.id` that repeat its figures: each carries only what it adds. The
`result` at the end states the true bill; its message carries what the records before it did not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.claude_code_parts import (
    Figures,
    figures,
    is_context,
    micro_dollars,
    parts_of,
    typed,
    unified_usage,
    unstated_usage,
)
from sessionstore.importers.common import is_instant, title_line

Record = dict[str, Any]

_RESPONSES = 16
"""The figures of so many responses are remembered: records of one response are close together."""
_MODEL_FIGURES = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens")


def nothing() -> Figures:
    """Figures that are all zero."""
    return [0] * 6


def plus(one: Figures, other: Figures) -> Figures:
    """The sum of figures."""
    return [a + b for a, b in zip(one, other, strict=True)]


def beyond(one: Figures, other: Figures) -> Figures:
    """What `one` has more than `other`, never less than nothing."""
    return [max(0, a - b) for a, b in zip(one, other, strict=True)]


def bill_of(record: Record) -> Figures:
    """What a run has cost by its result: its `usage`, or `modelUsage` when that says no less of anything (it then
    counts sub-agents too), and the cost under whichever of its names."""
    cost = next((c for name in ("total_cost_usd", "cost_usd") if (c := micro_dollars(record.get(name)))), 0)
    usage, models = record.get("usage"), record.get("modelUsage")
    bill = figures(usage, cost) if isinstance(usage, dict) else [0, 0, 0, 0, 0, cost]
    if isinstance(models, dict):
        every = [model for model in models.values() if isinstance(model, dict)]
        summed = [sum(figures({"input_tokens": m.get(name)}, 0)[0] for m in every) for name in _MODEL_FIGURES]
        if all(a >= b for a, b in zip(summed, bill[:4], strict=True)):
            bill[:4] = summed
    return bill


def set_usage(message: Message, more: Figures) -> None:
    """Add figures to what a message has used already."""
    added = unified_usage(more)
    usage = message.get("usage", {})
    for name, count in added.items():
        usage[name] = usage.get(name, 0) + count
    if usage:
        message["usage"] = usage


class Stream:
    """Turns the records of one session into messages without an id (the record's own `uuid`, if any, is `id`)."""

    def __init__(self, draft: Draft, times: bool = False) -> None:
        """Tell this draft what the records say of the session. Without `times` a record's own `timestamp`, which only
        some have, stays in `x`: what tells the order of a session's turns then is a local time, and no zone is known
        by which the two could be compared."""
        self.draft = draft
        self.times = times
        self.counted = nothing()
        """What the messages since the last result carry."""
        self.results = 0
        self.sidechain = False
        self.texts: list[str] | None = None
        """The texts the model has written, collected only when this is a list."""
        self._responses: dict[str, tuple[Figures, Record]] = {}

    def state(self) -> Record:
        """Everything needed to go on later, as plain JSON data."""
        return {
            "draft": self.draft.state(),
            "counted": self.counted,
            "results": self.results,
            "sidechain": self.sidechain,
            "responses": [[name, *seen] for name, seen in self._responses.items()],
        }

    @classmethod
    def resumed(cls, state: Record, times: bool) -> Stream:
        """The stream that `state` was taken from."""
        stream = cls(Draft.resumed(state["draft"]), times)
        stream.counted, stream.results, stream.sidechain = list(state["counted"]), state["results"], state["sidechain"]
        stream._responses = {name: (list(seen), usage) for name, seen, usage in state["responses"]}
        return stream

    def take(self, record: Record) -> tuple[Message, bool]:
        """The message that a record is, and whether the record was understood."""
        record = dict(record)
        message: Message = {"role": "system"}
        uuid = record.get("uuid")
        if isinstance(uuid, str) and uuid:
            message["id"] = record.pop("uuid")
        if record.get("session_id") in (None, self.draft.native_id):
            record.pop("session_id", None)
        if self.times and is_instant(record.get("timestamp")):
            message["time"] = record.pop("timestamp")
        kind = record.get("type")
        if kind in ("assistant", "user"):
            done = self._turn(record, message, kind)
        elif kind == "result":
            self._result(record, message)
            return message, True
        else:
            done = False
        if done:
            if record:
                message["x"] = record
            return message, True
        init = kind == "system" and record.get("subtype") == "init"
        if init:
            self._init(record)
        boundary = record.get("subtype") == "compact_boundary"
        message |= {"kind": "compaction" if boundary else "meta", "parts": [{"type": "record", "record": record}]}
        return message, init

    def _init(self, record: Record) -> None:
        cwd, tools = record.get("cwd"), record.get("tools")
        if isinstance(cwd, str) and cwd and self.draft.cwd is None:
            self.draft.cwd = cwd
        if isinstance(tools, list) and not self.draft.tools:
            self.draft.tools = tools

    def _turn(self, record: Record, message: Message, kind: str) -> bool:
        body = record.get("message")
        if not isinstance(body, dict) or (parts := parts_of(body.get("content"))) is None:
            return False
        body = dict(body)
        del record["message"], record["type"], body["content"]
        message["parts"] = parts
        parent = record.get("parent_tool_use_id", ...)
        if parent is None:
            del record["parent_tool_use_id"]
        elif isinstance(parent, str):
            message["kind"] = "sidechain"
            self.sidechain = True
        if kind == "assistant":
            self._assistant(record, body, message)
        else:
            self._user(record, message)
        if body.get("role") == kind:
            del body["role"]
        if body.get("type") == "message":
            del body["type"]
        rest = {name: value for name, value in body.items() if value is not None}
        if rest:
            record["message"] = rest
        return True

    def _assistant(self, record: Record, body: Record, message: Message) -> None:
        message["role"] = "assistant"
        if isinstance(body.get("model"), str) and body["model"] != "<synthetic>":
            message["model"] = body.pop("model")
        if isinstance(body.get("stop_reason"), str):
            message["finish_reason"] = body.pop("stop_reason")
        if isinstance(record.get("error"), str):
            message["kind"] = "error"
        if self.texts is not None:
            self.texts += [part["content"] for part in message["parts"] if part["type"] == "text"]
        if isinstance(body.get("usage"), dict):
            self._count(body, message)

    def _count(self, body: Record, message: Message) -> None:
        usage, name = body.pop("usage"), body.get("id")
        now = figures(usage, 0)
        before, said = nothing(), None
        if isinstance(name, str):
            before, said = self._responses.pop(name, (before, None))
            highest = plus(before, beyond(now, before))
            self._responses[name] = (highest, usage)
            if len(self._responses) > _RESPONSES:
                del self._responses[next(iter(self._responses))]
        more = beyond(now, before)
        self.counted = plus(self.counted, more)
        set_usage(message, more)
        rest = {} if usage == said else unstated_usage(usage, plus(before, more))
        if rest:
            body["usage"] = rest

    def _user(self, record: Record, message: Message) -> None:
        parts = message["parts"]
        message["role"] = "tool" if any(part["type"] == "tool_call_response" for part in parts) else "user"
        if message["role"] == "tool" or "kind" in message:
            return
        if record.get("isSynthetic") is True or is_context(record, parts):
            message["kind"] = "context"
        elif self.draft.title is None:
            texts = (typed(part["content"]) for part in parts if part["type"] == "text")
            self.draft.title = next((title for text in texts if (title := title_line(text))), None)

    def _result(self, record: Record, message: Message) -> None:
        bill = bill_of(record)
        more = any(a > b for a, b in zip(self.counted[:4], bill[:4], strict=True))
        if more and any(bill[:4]) and not self.sidechain:
            self.draft.issue("usage-differs", "the answers together state more tokens than the result at the end")
        self.results += 1
        if self.results == 2:
            self.draft.issue("several-results", "the log states several results; each is taken as a bill of its own")
        set_usage(message, beyond(bill, self.counted))
        self.counted = nothing()
        subtype = record.get("subtype")
        failed = record.get("is_error") is True or (isinstance(subtype, str) and subtype.startswith("error"))
        message |= {"kind": "error" if failed else "meta", "parts": [{"type": "record", "record": record}]}


def joined(texts: Iterable[str]) -> tuple[str, ...]:
    """The ways in which the program writes several texts as one."""
    texts = list(texts)
    return tuple(way.strip() for way in ("".join(texts), "\n".join(texts), texts[-1] if texts else ""))

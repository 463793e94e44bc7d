"""Codex: a rollout that the program can resume.

Lies in `sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`. Every message becomes Responses items, and each text is told
again as the event that Codex shows when it resumes. The first system message becomes the base instructions; the model
stands in turn contexts, token counts in running totals, the title in an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.codex_items import Items
from sessionstore.exporters.native import Clock, began, file_time, safe_path, session_uuid
from sessionstore.exporters.report import Report

Record = dict[str, Any]
_SOURCE = "codex"
_COUNTERS = (
    ("input_tokens", "input_tokens"),
    ("cached_input_tokens", "cache_read_tokens"),
    ("cache_write_input_tokens", "cache_write_tokens"),
    ("output_tokens", "output_tokens"),
    ("reasoning_output_tokens", "reasoning_tokens"),
)
_HELD_KINDS = (None, "error", "meta")


def place(revision: Record) -> str:
    """`YYYY/MM/DD/rollout-<time>-<id>.jsonl`."""
    time = file_time(began(revision))
    return safe_path(f"{time[:4]}/{time[5:7]}/{time[8:10]}/rollout-{time}-{session_uuid(revision)}.jsonl")


def export(revision: Record, messages: Iterable[Record], report: Report) -> Iterator[str]:
    """The records, one a line."""
    writer = _Writer(revision, report)
    listed = iter(messages)
    first = next(listed, None)
    for record in writer.begin(first):
        yield _line(record)
    for message in [first] if first is not None and not writer.instructed else []:
        yield from map(_line, writer.take(message))
    for message in listed:
        yield from map(_line, writer.take(message))
    if revision.get("title"):
        told = {"type": "thread_name_updated", "thread_name": revision["title"]}
        yield _line(writer.event(told))


def _line(record: Record) -> str:
    return content.dumps(record, separators=(",", ":")) + "\n"


class _Writer:
    """Writes one message after the other as records of the rollout."""

    def __init__(self, revision: Record, report: Report) -> None:
        self.revision, self.report = revision, report
        self.own = revision.get("source") == _SOURCE
        self.clock = Clock(revision, report)
        self.items = Items(revision, report)
        self.model: str | None = None
        self.totals = dict.fromkeys((theirs for theirs, _ in _COUNTERS), 0)
        self.instructed = False
        """Whether the first message has become the base instructions."""

    def begin(self, first: Record | None) -> Iterator[Record]:
        """The session's own record."""
        facts = dict(self.revision.get("x") or {}) if self.own else {}
        facts.pop("created_at", None)
        time = facts.pop("timestamp", None)
        git = self.revision.get("git") or {}
        payload: Record = {
            "id": self._id(),
            "timestamp": self.clock.begin,
            "cwd": self.revision.get("cwd") or "",
            "originator": "sessionstore",
            "cli_version": "0.0.0",
            "source": "cli",
        }
        if texts := self._instructions(first):
            payload["base_instructions"] = {"text": texts[0]}
            if len(texts) > 1:
                payload["instructions"] = texts[1]
        named = (("commit_hash", "commit"), ("branch", "branch"), ("repository_url", "remote"))
        if known := {theirs: git[ours] for theirs, ours in named if git.get(ours)}:
            payload["git"] = known
        if self.revision.get("tools"):
            payload["dynamic_tools"] = self.revision["tools"]
        for name, value in facts.items():
            # What is left of an object whose better known part has a name of its own belongs beside that part again.
            both = isinstance(value, dict) and isinstance(payload.get(name), dict)
            payload[name] = {**payload[name], **value} if both else value
        yield {"timestamp": time or self.clock.begin, "type": "session_meta", "payload": payload}

    def _id(self) -> str:
        return str(self.revision["native_id"]) if self.own else session_uuid(self.revision)

    def _instructions(self, first: Record | None) -> list[str]:
        """The texts of the system prompt: the session's own, or those of a first system message without a time."""
        system = content.texts([part for part in self.revision.get("system") or () if isinstance(part, dict)])
        if system or first is None or first["role"] != "system" or first.get("kind") not in (None, "context"):
            self.report.count("system prompts after the second left out", len(system[2:]))
            return system[:2]
        parts, told = first["parts"], content.texts(first["parts"])
        if first.get("time") or not 1 <= len(told) <= 2 or len(parts) != len(told) or len({*told}) != len(told):
            return []
        self.instructed = True
        return told

    def take(self, message: Record) -> Iterator[Record]:
        """The records of the next message."""
        kind, role = message.get("kind"), message["role"]
        time = self.clock.of(message)
        model = message.get("model")
        if role == "assistant" and model and model != self.model:
            self.model = model
            yield self._turn_context(time)
        if role == "system" and kind == "error":
            told = content.texts(message["parts"])
            self.report.count("errors without a text left out", int(not told))
            yield from (self.event({"type": "error", "message": text}) for text in told)
        elif self.own and (kept := self._kept(message)):
            yield from ({"timestamp": time, **record} for record in kept)
        else:
            if kind not in _HELD_KINDS and not (role == "system" and kind == "context"):
                self.report.count(f"marks of kind {kind} left out")
            for item in self.items.of(message):
                yield {"timestamp": time, "type": "response_item", "payload": item}
                if (event := self.items.event(item, kind)) is not None:
                    yield self.event(event)
        if message.get("usage"):
            yield self._count(message["usage"])
        if message.get("finish_reason"):
            self.report.count("reasons why answers ended left out")

    def event(self, payload: Record) -> Record:
        """An event at the present time."""
        return {"timestamp": self.clock.now, "type": "event_msg", "payload": payload}

    def _kept(self, message: Record) -> list[Record]:
        """The records that a message of Codex's own holds verbatim, its texts put back."""
        if message.get("kind") not in ("meta", "compaction"):
            return []
        found = [dict(part["record"]) for part in message["parts"] if part.get("type") == "record"]
        found = [record for record in found if isinstance(record.get("payload"), dict)]
        if found and (told := content.texts(message["parts"])):
            found[0]["payload"] = {"message": told[0], **found[0]["payload"]}
        return found

    def _turn_context(self, time: str) -> Record:
        payload = {
            "cwd": self.revision.get("cwd") or "",
            "approval_policy": "on-request",
            "sandbox_policy": {"type": "read-only"},
            "model": self.model,
            "summary": "auto",
        }
        return {"timestamp": time, "type": "turn_context", "payload": payload}

    def _count(self, usage: Record) -> Record:
        """Token counts: the running total and what was added."""
        more = {theirs: usage.get(ours, 0) for theirs, ours in _COUNTERS}
        for name, amount in more.items():
            self.totals[name] += amount
        self.report.count("costs left out", int(bool(usage.get("cost_microusd"))))
        if usage.get("estimated"):
            self.report.count("estimated token counts look billed in this format")
        info = {"total_token_usage": _usage(self.totals), "last_token_usage": _usage(more)}
        return self.event({"type": "token_count", "info": info})


def _usage(counters: Record) -> Record:
    told = {name: amount for name, amount in counters.items() if amount or name != "cache_write_input_tokens"}
    return {**told, "total_tokens": counters["input_tokens"] + counters["output_tokens"]}

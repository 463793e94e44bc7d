"""Claude Code: a transcript that the program can resume, one record a message.

Lies in `projects/<directory>/<session id>.jsonl`. What came from Claude Code goes back with every field it had. Of
other programs' sessions: ids become UUIDs, system messages become notices (the format has no system prompt), a title
becomes a `custom-title` record, reasoning goes along where Anthropic has signed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.claude_code_blocks import Blocks
from sessionstore.exporters.native import Clock, is_uuid, safe_path, session_uuid, uuid_of
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import added

Record = dict[str, Any]
_SOURCE = "claude-code"
_VERSION = "0.0.0"
_HOISTED = ("version", "userType", "entrypoint", "slug", "session_id", "sessionKind")
_ORDINAL = re.compile(r"m\d+(~\d+)?")


def place(revision: Record) -> str:
    """`<directory>/<session id>.jsonl`, a sub-agent's below its session."""
    directory = re.sub(r"[^a-zA-Z0-9]", "-", str(revision.get("cwd") or "unknown"))
    session, agent = _identity(revision)
    name = f"{session}/subagents/agent-{agent}" if agent else session
    return safe_path(f"{directory}/{name}.jsonl")


def export(revision: Record, messages: Iterable[Record], report: Report) -> Iterator[str]:
    """The records, one a line."""
    writer = _Writer(revision, report)
    for message in messages:
        yield content.dumps(writer.record(message), separators=(",", ":")) + "\n"
    if revision.get("title"):
        title = {"type": "custom-title", "customTitle": revision["title"], "sessionId": writer.session}
        yield content.dumps(title, separators=(",", ":")) + "\n"


def _identity(revision: Record) -> tuple[str, str]:
    """The session's id, and the sub-agent's when it is one's."""
    native = str(revision.get("native_id") or "")
    if revision.get("source") != _SOURCE:
        return session_uuid(revision), ""
    session, found, agent = native.rpartition("/agent-") if "/agent-" in native else ("", "", "")
    if found:
        return session, agent
    if native.startswith("agent-"):
        return native, native.removeprefix("agent-")
    return native or session_uuid(revision), ""


class _Writer:
    """Writes one message after the other as a record of the session."""

    def __init__(self, revision: Record, report: Report) -> None:
        self.revision, self.report = revision, report
        self.own = revision.get("source") == _SOURCE
        self.session, self.agent = _identity(revision)
        self.clock = Clock(revision, report)
        self.blocks = Blocks(revision, report)
        self.before: str | None = None
        self.billed: dict[tuple[str, str], dict[str, int]] = {}
        self.named = False

    def record(self, message: Record) -> Record:
        """The record of the next message."""
        record = self._envelope(message)
        x = dict(message.get("x") or {}) if self.own else {}
        x.pop("time", None)
        role = message["role"]
        if self.own and role == "system" and (kept := _kept(message)) is not None:
            return {**record, **kept}
        if role == "system":
            self._notice(record, message, x)
        elif role == "assistant":
            self._assistant(record, message, x)
        else:
            self._user(record, message, x)
        return record

    def _envelope(self, message: Record) -> Record:
        record: Record = {"parentUuid": self._parent(message), "isSidechain": False}
        if message.get("kind") == "sidechain" or self.agent:
            record["isSidechain"] = True
        if self.agent:
            record["agentId"] = self.agent
        facts = (self.revision.get("x") or {}) if self.own else {}
        record |= {"userType": "external", "cwd": self.revision.get("cwd") or "", "sessionId": self.session}
        record["version"] = _VERSION
        record |= {name: facts[name] for name in _HOISTED if isinstance(facts.get(name), str)}
        record["gitBranch"] = (self.revision.get("git") or {}).get("branch", "")
        if self.own and _ORDINAL.fullmatch(message["id"]):
            # A record that never had an id; giving it one would make it part of the chain.
            del record["parentUuid"]
        else:
            self.before = record["uuid"] = self._uuid(message["id"])
        time = self.clock.of(message) if not self.own or message.get("time") or "uuid" in record else None
        if time:
            record["timestamp"] = time
        return record

    def _parent(self, message: Record) -> str | None:
        parent = message.get("parent", ...)
        if parent is ...:
            return self.before
        return self._uuid(parent) if parent else None

    def _uuid(self, ident: str) -> str:
        if is_uuid(ident):
            return ident
        if not self.own and not self.named:
            self.named = True
            self.report.tell("messages get new ids")
        return uuid_of(str(self.revision["key"]), ident)

    def _notice(self, record: Record, message: Record, x: Record) -> None:
        """A system message: shown by the program, not told to the model."""
        subtypes = {"error": "error"} if not self.own else {"error": "api_error", "compaction": "compact_boundary"}
        record["type"] = "system"
        record["subtype"] = subtypes.get(str(message.get("kind")), "informational")
        record["content"] = "\n\n".join(content.texts(message["parts"]))
        record["level"] = "info"
        if not self.own:
            self.report.count("system messages kept as notices of the program", int(message.get("kind") != "error"))
            others = sum(part["type"] != "text" for part in message["parts"])
            self.report.count("parts of system messages that are no text left out", others)
        record |= x

    def _user(self, record: Record, message: Record, x: Record) -> None:
        kind = message.get("kind")
        queued = x.pop("attachment", None)
        blocks = self.blocks.of(message)
        plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
        said = blocks[0]["text"] if plain else blocks
        if isinstance(queued, dict) and queued.get("type") == "queued_command":
            record |= {"type": "attachment", "attachment": {**queued, "prompt": said}, **x}
            return
        record["type"] = "user"
        record["message"] = {"role": "user", "content": said, **_dict(x.pop("message", None))}
        if kind == "compaction":
            record |= {"isCompactSummary": True, "isVisibleInTranscriptOnly": True}
        elif kind == "context" and not self.own:
            record["isMeta"] = True
        record |= x
        if message.get("usage"):
            self.report.count("token counts of what a user said left out")

    def _assistant(self, record: Record, message: Record, x: Record) -> None:
        response = str(x.pop("response_id", None) or f"msg_{uuid_of(str(self.revision['key']), message['id'])}")
        request = x.pop("request_id", None)
        model = message.get("model") or x.pop("model", None) or "<synthetic>"
        body: Record = {"id": response, "type": "message", "role": "assistant", "model": model}
        body["content"] = self.blocks.of(message)
        body["stop_reason"], body["stop_sequence"] = message.get("finish_reason"), None
        rest = x.pop("usage", None)
        usage, dollars = self._bill(message, response, str(request or ""))
        if usage or isinstance(rest, dict):
            body["usage"] = {**usage, **_dict(rest)}
        body |= _dict(x.pop("message", None))
        record["type"] = "assistant"
        record["message"] = body
        if request is not None:
            record["requestId"] = request
        if dollars:
            record["costUSD"] = dollars
        if message.get("kind") == "error":
            record["isApiErrorMessage"] = True
        record |= x

    def _bill(self, message: Record, response: str, request: str) -> tuple[Record, float]:
        """The usage of the response so far, as each of its records repeats it, and its cost."""
        own = message.get("usage") or {}
        if own.get("estimated"):
            self.report.count("estimated token counts look billed in this format")
        total = self.billed[response, request] = added(self.billed.get((response, request), {}), own)
        if not own:
            return {}, 0
        read, written = total.get("cache_read_tokens", 0), total.get("cache_write_tokens", 0)
        usage: Record = {
            "input_tokens": max(0, total.get("input_tokens", 0) - read - written),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": total.get("output_tokens", 0),
        }
        if total.get("reasoning_tokens"):
            usage["output_tokens_details"] = {"thinking_tokens": total["reasoning_tokens"]}
        return usage, total.get("cost_microusd", 0) / 1_000_000


def _kept(message: Record) -> Record | None:
    """The record that a bookkeeping message holds verbatim."""
    parts = message["parts"]
    if len(parts) != 1 or parts[0].get("type") != "record" or not isinstance(parts[0].get("record"), dict):
        return None
    return dict(parts[0]["record"])


def _dict(value: Any) -> Record:
    return value if isinstance(value, dict) else {}

"""What reading a Claude Code session has to remember of the records before."""

from __future__ import annotations

from base64 import b64decode, b64encode
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from sessionstore.importers.base import Draft
from sessionstore.importers.claude_code_parts import (
    Figures,
    Part,
    Record,
    figures,
    micro_dollars,
    unified_usage,
    unstated_usage,
)
from sessionstore.importers.common import title_line


def fingerprint(ident: str) -> bytes:
    """Six bytes that stand for a message id where many must be remembered in little space."""
    return blake2b(ident.encode(), digest_size=6).digest()


class Rank(IntEnum):
    """What a title comes from; a higher rank wins."""

    PROMPT = 1
    SUMMARY = 2
    GENERATED = 3
    RENAMED = 4
    CUSTOM = 5


_HOISTED = ("cwd", "version", "gitBranch", "userType", "entrypoint", "slug", "session_id", "sessionKind")
_RESPONSES = 64
_WATCHED = 256
_PRINT = 6
_REMEMBERED = 2048
"""So many message ids are remembered across a pause of reading: the state is written down with every growth of a
file, so it must stay small. A repetition of an older id, after a pause, goes unnoticed."""


class Memory:
    """What later records of one session refer back to, beside the session's draft."""

    __slots__ = (
        "billed", "calls", "draft", "forgotten", "hoisted", "last", "linked", "missing", "ordinal", "prints", "rank",
        "responses",
    )  # fmt: skip

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.ordinal = 0
        self.last: str | None = None
        """The id of the message before."""
        self.linked = False
        """Whether the first record with an id was seen."""
        self.rank = 0
        self.prints: dict[bytes, None] = {}
        """A fingerprint of every message id, to notice one that repeats."""
        self.forgotten = False
        """Whether older fingerprints were left behind in a pause."""
        self.hoisted: dict[str, str] = {}
        """The current value of every field that is told once."""
        self.missing: dict[str, None] = {}
        """Parents referred to and not seen yet, at most `_WATCHED`."""
        self.calls: dict[str, None] = {}
        """Tool calls without a result yet, at most `_WATCHED`."""
        self.responses: dict[tuple[str, str], Figures] = {}
        """The highest figures of the latest `_RESPONSES` responses."""
        self.billed: list[Any] = []
        """The response of the latest usage and the fields of it beyond the figures."""

    def state(self) -> Record:
        """The memory as plain JSON data."""
        state = {name: getattr(self, name) for name in self.__slots__}
        state["draft"] = self.draft.state()
        prints = list(self.prints)
        state["prints"] = b64encode(b"".join(prints[-_REMEMBERED:])).decode()
        state["forgotten"] = self.forgotten or len(prints) > _REMEMBERED
        state["responses"] = [[*key, *counted] for key, counted in self.responses.items()]
        return state

    @classmethod
    def resumed(cls, state: Record) -> Memory:
        """The memory that `state` was taken from."""
        memory = cls(Draft.resumed(state["draft"]))
        for name in ("forgotten", "ordinal", "last", "linked", "rank", "hoisted", "missing", "calls", "billed"):
            setattr(memory, name, state[name])
        prints = b64decode(state["prints"])
        memory.prints = {prints[at : at + _PRINT]: None for at in range(0, len(prints), _PRINT)}
        memory.responses = {(entry[0], entry[1]): entry[2:] for entry in state["responses"]}
        return memory

    def name(self, native: str | None) -> str:
        """The id of the session's next message, whose record calls itself `native`."""
        self.ordinal += 1
        ident = native or f"m{self.ordinal}"
        mark = fingerprint(ident)
        if mark in self.prints:
            ident = self._another(ident)
            mark = fingerprint(ident)
            self.draft.issue("repeated-message-id", "several records of the session have the same id")
        self.prints[mark] = None
        if self.missing:
            self.missing.pop(ident, None)
        self.last = ident
        return ident

    def _another(self, ident: str) -> str:
        # After that many repetitions counting them one by one would take ever longer; the ordinal is free anyway.
        for n in range(2, 100):
            if fingerprint(f"{ident}~{n}") not in self.prints:
                return f"{ident}~{n}"
        return f"{ident}~{self.ordinal}"

    def knows(self, ident: str) -> bool:
        """Whether a message of this id was seen."""
        return fingerprint(ident) in self.prints

    def refer(self, parent: str) -> None:
        """Note that a message names `parent`."""
        if not self.forgotten and len(self.missing) < _WATCHED and not self.knows(parent):
            self.missing[parent] = None

    def watch_calls(self, parts: list[Part]) -> None:
        """Note the tool calls made and answered."""
        calls = self.calls
        for part in parts:
            kind = part["type"]
            if kind == "tool_call":
                if part["id"] and len(calls) < _WATCHED:
                    calls[part["id"]] = None
            elif kind == "tool_call_response":
                calls.pop(part["id"], None)

    def report(self) -> None:
        """State in the draft's issues what is missing so far; what came since is taken back."""
        note = "a message answers one that the file does not hold"
        self._report("missing-parent", len(self.missing), note)
        self._report("dangling-tool-call", len(self.calls), "a tool call has no result")

    def _report(self, code: str, count: int, note: str) -> None:
        self.draft.issues.pop(code, None)
        if count:
            self.draft.issue(code, note, count)

    def entitle(self, rank: Rank, title: str) -> None:
        """Take over a title unless a better one is known; of equals the later one wins."""
        title = title_line(title)
        if title and rank >= self.rank:
            self.draft.title, self.rank = title, rank

    def hoist(self, record: Record, native: str | None, is_agent: bool) -> None:
        """Move the fields that are constant in a session to its draft; one that changes stays on the record."""
        known = self.hoisted
        for name in _HOISTED:
            value = record.pop(name, None)
            if value is not None and value != known.get(name):
                self._learn(record, name, value)
        if is_agent and (agent := record.pop("agentId", None)) is not None and agent != known.get("agentId"):
            self._learn(record, "agentId", agent)
        if "forkedFrom" in record:
            self._fork(record, native)

    def _learn(self, record: Record, name: str, value: Any) -> None:
        draft = self.draft
        if type(value) is not str or name in self.hoisted:
            record[name] = value
        elif not value:
            return  # as an empty branch says that the directory is no repository (yet)
        elif name == "cwd":
            draft.cwd = value
            draft.project = value.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or None
        elif name == "gitBranch":
            draft.git["branch"] = value
        else:
            draft.x[name] = value
        if type(value) is str:
            self.hoisted[name] = value

    def _fork(self, record: Record, native: str | None) -> None:
        """The records that `/branch` copies from another session say so, each on its own."""
        origin = record["forkedFrom"]
        if type(origin) is not dict or type(origin.get("sessionId")) is not str:
            return
        fork = {"key": f"claude-code:{origin['sessionId']}", "relation": "fork"}
        point = origin.get("messageUuid")
        if type(point) is str:
            fork["message"] = point
        known = self.draft.forked_from
        if known is None or (known["relation"] == "fork" and known["key"] == fork["key"]):
            self.draft.forked_from = fork
            if point == native and len(origin) == 2:
                del record["forkedFrom"]

    def bill(self, body: Record, record: Record, response: Any, request: Any) -> dict[str, int] | None:
        """What a record adds to the bill of its response, None for nothing. What the figures do not say of the raw
        usage moves to `record`, unless the record before of the same response has said the same."""
        usage, dollars = body.pop("usage", None), record.get("costUSD")
        if type(usage) is not dict:
            if usage is not None:
                body["usage"] = usage
            if dollars is None:
                return None
            usage = {}
        cost = micro_dollars(dollars)
        highest = counted = figures(usage, cost)
        # Only the response's own id makes it known again: without one every record is a response.
        key = (response, request if type(request) is str else "") if type(response) is str else None
        if key is not None:
            counted, highest = self._add(key, counted)
        if dollars is not None and cost == highest[5] and cost / 1_000_000 == dollars:
            del record["costUSD"]
        rest = unstated_usage(usage, highest)
        if key is None or self.billed != [*key, rest]:
            self.billed = [] if key is None else [*key, rest]
            if rest:
                (body if "usage" in record else record)["usage"] = rest
        return unified_usage(counted) if counted else None

    def _add(self, key: tuple[str, str], counted: Figures) -> tuple[Figures, Figures]:
        """What `counted` adds to the response's figures so far, and the highest of both."""
        responses = self.responses
        before = responses.get(key)
        if before is None:
            if len(responses) >= _RESPONSES:
                del responses[next(iter(responses))]
            responses[key] = counted
            return counted, counted
        if before == counted:
            return [], before
        highest = [max(pair) for pair in zip(before, counted, strict=True)]
        responses[key] = highest
        return [now - then for now, then in zip(highest, before, strict=True)], highest

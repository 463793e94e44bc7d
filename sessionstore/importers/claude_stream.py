"""Claude Code's stream-json output as files, as mcp_coder and many scripts keep it.

Where: `logs/claude-sessions/session_<local time>[_<branch>].ndjson` below the directory mcp_coder was started in;
elsewhere whatever `claude -p --output-format stream-json` was redirected to.

How it is recognised: by lines with `session_id` (not `sessionId`, which transcripts have) whose `type` is `system`,
`user`, `assistant`, `result`, `stream_event` or `rate_limit_event`.

What the records are and how they map: one line is one message. `user` and `assistant` carry the conversation, one
content block a line; everything else is kept verbatim as a message of kind `meta`. A response of the model repeats its
figures on each of its lines, they are counted once; the `result` carries what the lines before it did not state, and
the cost, so that the sum is the bill. What a sub-agent did (`parent_tool_use_id`) is of kind `sidechain`. The session
id is Claude Code's own, so it names the transcript (`claude-code`), this log and mcp_coder's stored answer alike. A
resumed session is logged in a file of its own: those files are the session's turns.

What the source has already lost: times, but for the local one in the name that mcp_coder gives a file; it stands on the
first message, without a zone, and puts the turns in order. The `timestamp` that newer versions write on some lines is
the message's time only where the name has none, because the two cannot be compared; else it stays in `x`. Also lost is
what was said before a session was resumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import naive_time, stem
from sessionstore.importers.mcp_coder_stream import Stream

Record = dict[str, Any]
_TYPES = frozenset({"system", "user", "assistant", "result", "stream_event", "rate_limit_event"})
_TURNS = frozenset({"user", "assistant"})
_NAME = re.compile(
    r"session_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_(?P<micro>\d{6}))?(?:_(?P<branch>[A-Za-z0-9_]{1,10}))?",
    re.ASCII,
)
_REMEMBERED = 400
"""A log with more messages than this is read anew when it has grown: their ids would be too much to remember."""
_STATE = 1 << 20
"""A state to go on from that would be larger than this many bytes is not worth keeping."""


class ClaudeStream(Importer):
    """Reader of logs of Claude Code's stream-json output."""

    source: ClassVar[str] = "claude-stream"
    title: ClassVar[str] = "Claude Code stream-json logs (mcp_coder)"
    versions: ClassVar[str] = "`--output-format stream-json` of all versions"
    suffixes: ClassVar[tuple[str, ...]] = (".ndjson", ".jsonl")
    turns: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """mcp_coder's log directory in the working directory and those above it."""
        for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents)):
            yield Place(directory / "logs" / "claude-sessions")

    def recognise(self, head: Head) -> bool:
        """Lines with `session_id` of the types that the stream has, and no sign of a transcript."""
        if b'"session_id"' not in head.data or not head.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return False
        records = head.records
        if not records:
            # The first line alone is larger than the head.
            records = Head(head.name, head.first_line(), True).records
        votes = [_vote(record) for record in records]
        return votes.count(1) > votes.count(-1)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every line."""
        reader = _Reader(source)
        if source.resumed is not None:
            reader.go_on(source.resumed)
        for record in source.records():
            yield reader.take(record)
        source.resume = reader.state()


def _vote(record: Record) -> int:
    """1 for a line of the stream, -1 for one of something else that looks like it."""
    kind = record.get("type")
    if "sessionId" in record or "parentUuid" in record or "payload" in record or "data" in record:
        return -1
    if not isinstance(kind, str) or kind not in _TYPES or not isinstance(record.get("session_id"), str):
        return -1
    if kind in _TURNS and not isinstance(record.get("message"), dict):
        return -1
    return -1 if kind == "system" and "subtype" not in record else 1


class _Reader:
    """Sorts the lines of one log by session."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.sessions: dict[str, Stream] = {}
        self.sid = ""
        self.ids: set[str] = set()
        self.number = 0
        self.name = stem(source.name)
        self.time = _time(self.name)

    def state(self) -> Record | None:
        """Everything needed to go on later; None when that would be too much."""
        if not self.sessions or self.number > _REMEMBERED:
            return None
        state: Record = {"sid": self.sid, "ids": sorted(self.ids), "number": self.number, "name": self.name}
        state["sessions"] = [[sid, stream.state()] for sid, stream in self.sessions.items()]
        # The copy shares nothing with the reader, which is not done with its drafts.
        data = canonical.dumps(state)
        copy: Record | None = canonical.loads(data) if len(data) <= _STATE else None
        return copy

    def go_on(self, state: Record) -> None:
        """Take up where the reader that gave `state` stopped."""
        self.sid, self.ids, self.number, self.name = state["sid"], set(state["ids"]), state["number"], state["name"]
        self.time = _time(self.name)
        for sid, kept in state["sessions"]:
            self.sessions[sid] = stream = Stream.resumed(kept, self.time is None)
            self.source.drafts.append(stream.draft)

    def take(self, record: Record) -> tuple[Draft, Message]:
        """The message that a line is."""
        sid = record.get("session_id")
        if isinstance(sid, str) and sid.strip():
            self.sid = sid
        self.number += 1
        stream = self.sessions.get(self.sid)
        first = stream is None
        if stream is None:
            stream = self.sessions[self.sid] = Stream(self._draft(), self.time is None)
        message, understood = stream.take(record)
        if understood:
            self.source.mapped()
        else:
            self.source.preserved()
        native = message.get("id")
        if native is None or native in self.ids:
            native = f"{native or self.name or 'line'}-{self.number}"
            while native in self.ids:
                native += "~"
        message["id"] = native
        self.ids.add(native)
        if first and self.time is not None:
            message["x"] = {"time": self.time} | message.get("x", {})
        return stream.draft, message

    def _draft(self) -> Draft:
        named = self.sid or self.name or "stream"
        draft = self.source.draft(named)
        if not self.sid:
            draft.issue("id-missing", "the first lines name no session; the file's name was taken")
        if (found := _NAME.fullmatch(self.name)) and found["branch"]:
            draft.x["branch_identifier"] = found["branch"]
        return draft


def _time(name: str) -> dict[str, str] | None:
    """The local time that a log's file name states."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()[:6]
    fraction = f".{found['micro']}" if found["micro"] else ""
    return naive_time(f"{year}-{month}-{day}T{hour}:{minute}:{second}{fraction}")

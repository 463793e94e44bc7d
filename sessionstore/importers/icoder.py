"""Event logs of icoder, the terminal program of mcp_coder.

Where: `logs/icoder_<UTC time>[-<n>].jsonl` below the directory it was started in. The chat text beside it
(`…_chat.txt`) is what the screen showed, and is not read.

How it is recognised: by lines `{"t": <seconds>, "event": <name>, ...}` with the names only this program writes.

What the records are and how they map: one line is one event. `input_received` is the user's message; `stream_event`s
that follow each other are one answer, with its tool calls; a tool's result is a tool message; `done` closes the answer
and states its bill. `llm_request_start` repeats the input, and is a message of its own only when it does not. What a
command printed (`output_emitted`) and all other events are of kind `meta`. A time is the time in the file's name plus
`t`; the log is named by its file, and the ids of the conversation it continues or begins are its aliases: they name the
stored answers (`mcp-coder`) and Claude's own transcript as well.

What the source has already lost: which call a tool's result belongs to, and the program's thinking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import stem, title_line
from sessionstore.importers.mcp_coder_events import Events, record_message

Record = dict[str, Any]
_EVENTS = frozenset(
    {"session_start", "input_received", "command_matched", "output_emitted", "llm_request_start", "llm_request_end"}
    | {"stream_event", "display_mode_changed", "session_reset"}
)
_NAME = re.compile(r"icoder_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)(?:-(\d{6}))?(?:-\d{1,5})?", re.ASCII)
_LONGEST = 366 * 86400
"""A log runs for less than these seconds; a later offset is not believed."""


class Icoder(Importer):
    """Reader of icoder's event logs."""

    source: ClassVar[str] = "icoder"
    title: ClassVar[str] = "icoder event logs (mcp_coder)"
    versions: ClassVar[str] = "all event logs"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    scoped: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """`logs` in the working directory and in those above it."""
        for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents)):
            yield Place(directory / "logs")

    def recognise(self, head: Head) -> bool:
        """Lines with a number `t` and an `event`, some of them of the names only this program writes."""
        if b'"event"' not in head.data or b'"t"' not in head.data:
            return False
        named = 0
        for record in head.records:
            offset, event = record.get("t"), record.get("event")
            if isinstance(offset, bool) or not isinstance(offset, int | float) or not isinstance(event, str):
                return False
            named += event in _EVENTS
        return named > 0

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the log's one session, in the order of the events that complete them."""
        log = _Log(source) if source.resumed is not None else None
        for record in source.records():
            log = log or _Log(source)
            yield from log.take(record)
        if log is not None:
            source.resume = log.state()
            yield from log.finish()


class _Log:
    """Turns events into messages of one session."""

    def __init__(self, source: Source) -> None:
        self.source = source
        state = source.resumed
        if state is not None:
            self.draft = Draft.resumed(state["draft"])
            source.drafts.append(self.draft)
            self.name, self.count, self.input = state["name"], state["count"], state["input"]
            self.langchain = state["langchain"]
        else:
            self.name, self.count, self.input, self.langchain = stem(source.name), 0, None, False
        self.start = _start(self.name)
        if state is None:
            self.draft = source.draft(self.name or "icoder")
            if self.start is None:
                note = "the file's name does not say when the log begins, so its times are only offsets"
                self.draft.issue("times-are-offsets", note)
        self.events = Events(self.draft, self.langchain)
        self.known = set(self.draft.aliases)

    def state(self) -> Record | None:
        """Everything needed to go on later; None while an answer is open."""
        if self.events.pending is not None:
            return None
        state = {"draft": self.draft.state(), "name": self.name, "count": self.count}
        state |= {"input": self.input, "langchain": self.langchain}
        # The copy shares nothing with the draft, which is not final yet.
        copy: Record = canonical.loads(canonical.dumps(state))
        return copy

    def finish(self) -> Iterator[tuple[Draft, Message]]:
        """The answer that the log breaks off in."""
        for message in self.events.close():
            self.draft.issue("answer-unfinished", "the log ends in the middle of an answer")
            yield self._numbered(message)

    def take(self, record: Record) -> Iterator[tuple[Draft, Message]]:
        """The messages that an event completes."""
        x: Record = {}
        offset = record.get("t")
        time = self._time(offset)
        if "t" in record:
            x["t"] = record.pop("t")
        event = record.pop("event", None)
        if event == "stream_event":
            done, understood = self._stream(record, x, time)
        else:
            own, understood = self._event(event, record, x)
            done = self.events.close()
            if own is not None:
                if time:
                    own["time"] = time
                done.append(own)
        if understood:
            self.source.mapped()
        else:
            self.source.preserved()
        for message in done:
            yield self._numbered(message)

    def _stream(self, record: Record, x: Record, time: str | None) -> tuple[list[Message], bool]:
        begun = self.events.pending
        done, understood = self.events.take(record, x if begun is None else {**x, "until": x.get("t")})
        new = [message for message in done if message is not begun]
        if self.events.pending is not None and self.events.pending is not begun:
            new.append(self.events.pending)
        for message in new:
            if time:
                message["time"] = time
            if "until" in message.get("x", {}):
                del message["x"]["until"]
        for session in self.events.sessions:
            self._alias(session)
        self.events.sessions.clear()
        return done, understood

    def _event(self, event: Any, record: Record, x: Record) -> tuple[Message | None, bool]:
        """The message that an event of the program itself is."""
        text = record.get("text")
        if event == "session_start":
            self._started(record)
            return record_message({"event": event} | record, x), True
        if event == "input_received" and isinstance(text, str):
            self.input = text
            if self.draft.title is None and not text.startswith("/"):
                self.draft.title = title_line(text) or None
            return _said("user", text, record, x), True
        if event == "llm_request_start" and isinstance(text, str):
            same = text.strip() == (self.input or "").strip()
            rest = {name: value for name, value in record.items() if name != "text"}
            if same:
                return record_message({"event": event} | rest, x), True
            return _said("user", text, record, x) | {"kind": "context"}, True
        if event == "output_emitted" and isinstance(text, str):
            return _said("system", text, record, x) | {"kind": "meta"}, True
        return record_message(({} if event is None else {"event": event}) | record, x), False

    def _started(self, record: Record) -> None:
        directory = record.get("project_dir")
        if isinstance(directory, str) and directory:
            self.draft.cwd = directory
        self.langchain = record.get("provider") == "langchain"
        self.events = Events(self.draft, self.langchain) if self.events.pending is None else self.events
        if isinstance(record.get("session_id"), str) and record["session_id"].strip():
            self._alias(record["session_id"])

    def _alias(self, session: str) -> None:
        if session not in self.known:
            self.known.add(session)
            self.draft.aliases.append(session)

    def _time(self, offset: Any) -> str | None:
        if self.start is None or isinstance(offset, bool) or not isinstance(offset, int | float):
            return None
        if not 0 <= offset < _LONGEST:
            return None
        time = self.start + timedelta(seconds=offset)
        return time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

    def _numbered(self, message: Message) -> tuple[Draft, Message]:
        self.count += 1
        message["id"] = f"m{self.count}"
        return self.draft, message


def _said(role: str, text: str, record: Record, x: Record) -> Message:
    rest = {name: value for name, value in record.items() if name != "text"}
    message: Message = {"role": role, "parts": [{"type": "text", "content": text}]}
    kept = x | ({"event": rest} if rest else {})
    if kept:
        message["x"] = kept
    return message


def _start(name: str) -> datetime | None:
    """The time that the file's name states, in UTC."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    day, hour, minute, second, micro = found.groups()
    try:
        start = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}.{micro or '000000'}")
    except ValueError:
        return None
    return start.replace(tzinfo=UTC) if 1970 <= start.year < 9000 else None

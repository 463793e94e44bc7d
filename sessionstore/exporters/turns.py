"""A session as the turns of a request: what every provider's interface asks for before it is written its way.

A request wants each tool call answered at once, under an id of its own. Sources do not care: results come late, twice
or never, ids repeat from turn to turn, one answer is recorded in several messages. Here all of that is put in order,
and whatever had to be changed is named in the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sessionstore.exporters.content import Part, contents, texts
from sessionstore.exporters.report import Report

Message = dict[str, Any]
T = TypeVar("T")
NO_RESULT = "No result of this tool call was recorded."
"""The result of a call that the source has no result of."""
ORPHAN = "Result of a tool call that this conversation does not hold:"
BEGINNING = "(The conversation begins here.)"
"""What a user says before an answer that nobody asked for, where a user has to begin."""
_NOTICES = frozenset({"error", "compaction", "switch"})
_SPEECH = frozenset({"text", "reasoning", "blob", "uri"})


@dataclass(slots=True, eq=False)
class Call:
    """A tool call with its result."""

    id: str
    name: str
    arguments: Any
    part: Part
    result: list[Part] = field(default_factory=list)
    response: Any = None
    """The result as the source has it."""
    is_error: bool = False
    answered: bool = False


@dataclass(slots=True, eq=False)
class Turn:
    """What one side says before the other's turn; calls stand among the assistant's parts."""

    role: str
    """ "system", "user" or "assistant" """
    parts: list[Part | Call]
    messages: list[Message]
    """Which message each part is of."""
    closed: bool = False
    """Whether a result has come, so that what the assistant says next is another turn."""

    @property
    def calls(self) -> list[Call]:
        """The tool calls of the turn."""
        return [part for part in self.parts if isinstance(part, Call)]

    @property
    def speech(self) -> list[Part]:
        """Everything but the tool calls."""
        return [part for part in self.parts if not isinstance(part, Call)]

    def add(self, part: Part | Call, message: Message) -> None:
        """Add a part of a message."""
        self.parts.append(part)
        self.messages.append(message)


class Ids:
    """Makes ids and names fit what a provider allows, each id used once."""

    def __init__(self, pattern: str, limit: int) -> None:
        """`pattern` is a character class of what is not allowed, "" when everything is."""
        self._forbidden = re.compile(pattern) if pattern else None
        self._limit = limit
        self._used: dict[str, int] = {}

    def fit(self, ident: str, instead: str) -> str:
        """The id or name without what is not allowed; `instead` when nothing is left."""
        fitting = self._forbidden.sub("_", ident) if self._forbidden else ident
        return fitting[: self._limit] or instead

    def unique(self, ident: str) -> str:
        """A fitting id that was not given before."""
        fitting = self.fit(ident, "call")
        n = self._used.get(fitting, 0) + 1
        self._used[fitting] = n
        if n == 1:
            return fitting
        while True:
            ending = f"_{n}"
            other = fitting[: self._limit - len(ending)] + ending
            if other not in self._used:
                self._used[other] = 1
                return other
            n += 1
            self._used[fitting] = n


class OpenCalls(Generic[T]):
    """The calls that wait for their result, when messages are written one after the other: what each was written with,
    by the id its source gave it."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[T]] = {}

    def add(self, ident: str, written: T) -> None:
        """Note a call."""
        self._waiting.setdefault(ident, []).append(written)

    def answer(self, ident: str) -> T | None:
        """The latest waiting call of that id, which waits no longer; without an id the first one of all."""
        ident = ident or next(iter(self._waiting), "")
        waiting = self._waiting.get(ident)
        if waiting is None:
            return None
        found = waiting.pop()
        if not waiting:
            del self._waiting[ident]
        return found


def turns(messages: Iterable[Message], report: Report, ids: Ids, *, merged: bool, answer: bool = True) -> list[Turn]:
    """The turns of a session, with every call answered, unless `answer` is false. With `merged` what a user says in
    several messages is one turn, as providers want it whose roles alternate."""
    walk = _Walk(report, merged)
    for message in messages:
        walk.take(message)
    walk.finish(ids, answer)
    return [turn for turn in walk.turns if turn.parts]


def split_system(revision: dict[str, Any], found: list[Turn], report: Report) -> tuple[list[str], list[Turn]]:
    """The texts of the system prompt, and the other turns, for a provider that keeps the two apart."""
    system = texts([part for part in revision.get("system") or () if isinstance(part, dict)])
    system += [str(part) for part in revision.get("system") or () if isinstance(part, str)]
    rest: list[Turn] = []
    known = dict.fromkeys(system)
    for turn in found:
        if turn.role == "system":
            said = texts(turn.speech)
            report.count("system messages moved to the front", int(bool(rest and said)))
            known |= dict.fromkeys(said)
        elif rest and rest[-1].role == turn.role == "user":
            rest[-1].parts += turn.parts
            rest[-1].messages += turn.messages
        else:
            rest.append(turn)
    return list(known), rest


class Dialogue:
    """The messages of a request whose roles alternate and whose first one is the user's."""

    def __init__(self, field: str) -> None:
        """`field` is where a message has its parts."""
        self._field = field
        self._said: list[dict[str, Any]] = []

    def say(self, role: str, parts: list[Part]) -> None:
        """Add what a side says; nothing for no parts."""
        if parts and self._said and self._said[-1]["role"] == role:
            self._said[-1][self._field] += parts
        elif parts:
            self._said.append({"role": role, self._field: parts})

    def finish(self, beginning: Part, report: Report) -> list[dict[str, Any]]:
        """The messages; when the other side has begun, the user says `beginning` first."""
        if self._said and self._said[0]["role"] != "user":
            report.tell(f"the conversation begins with an answer; {BEGINNING!r} was put before it")
            self._said.insert(0, {"role": "user", self._field: [beginning]})
        return self._said


class _Walk:
    """Goes through the messages once."""

    def __init__(self, report: Report, merged: bool) -> None:
        self.report = report
        self.merged = merged
        self.turns: list[Turn] = []
        self.calls: list[tuple[Call, Turn]] = []
        self._open: dict[str, list[tuple[Call, Turn]]] = {}
        self._unanswered = 0
        """Calls before this one in `calls` have a result."""

    def take(self, message: Message) -> None:
        """Take the next message."""
        role, kind = message["role"], message.get("kind")
        if role == "system" and kind in _NOTICES:
            self.report.count("notices of the program left out")
            return
        for part in message["parts"]:
            name = part.get("type")
            if name == "tool_call":
                self._call(part, message)
            elif name == "tool_call_response":
                self._answer(part, message)
            elif name in _SPEECH:
                self._turn("user" if role == "tool" else role).add(part, message)
            elif name == "record":
                self.report.count("records that were not understood left out")
            else:
                self.report.count(f"parts of type {name} left out")
        if not self.merged and role in ("user", "system") and self.turns:
            self.turns[-1].closed = True

    def _turn(self, role: str) -> Turn:
        if not self.turns or self.turns[-1].role != role or self.turns[-1].closed:
            self.turns.append(Turn(role, [], []))
        return self.turns[-1]

    def _call(self, part: Part, message: Message) -> None:
        call = Call(str(part.get("id") or ""), str(part.get("name") or ""), part.get("arguments"), part)
        turn = self._turn("assistant")
        turn.add(call, message)
        self.calls.append((call, turn))
        self._open.setdefault(call.id, []).append((call, turn))

    def _answer(self, part: Part, message: Message) -> None:
        found = self._find(str(part.get("id") or ""))
        if found is None:
            self.report.count("results without their call told as text")
            self._turn("user").add({"type": "text", "content": ORPHAN}, message)
            for item in contents(part.get("response")):
                self._turn("user").add(item, message)
            return
        call, turn = found
        call.answered = turn.closed = True
        call.response = part.get("response")
        call.result = contents(call.response)
        call.is_error = part.get("is_error") is True

    def _find(self, ident: str) -> tuple[Call, Turn] | None:
        """The latest unanswered call of that id; without an id the first unanswered one."""
        waiting = self._open.get(ident) if ident else None
        while waiting:
            found = waiting.pop()
            if not found[0].answered:
                return found
        while not ident and self._unanswered < len(self.calls):
            found = self.calls[self._unanswered]
            self._unanswered += 1
            if not found[0].answered:
                return found
        return None

    def finish(self, ids: Ids, answer: bool) -> None:
        """Answer what was never answered, and give every call an id and a name that fit."""
        for call, _ in self.calls:
            if answer and not call.answered:
                self.report.count("tool calls without a result: an error was put in its place")
                call.result = [{"type": "text", "content": NO_RESULT}]
                call.response, call.is_error = NO_RESULT, True
            call.id = ids.unique(call.id)
            name = ids.fit(call.name, "unnamed")
            self.report.count("names of tools changed to fit", int(name != call.name))
            call.name = name

"""Aider's chat history: the Markdown file that it writes in every repository it works in.

Where: `.aider.chat.history.md` in the root of a git repository (or where `--chat-history-file` says) on Linux, macOS
and Windows. No place is looked at unless it is named, because repositories may lie anywhere.

How it is recognised: a line `# aider chat started at <date> <time>`; it need not be the first one.

What the records are and how they map: such a line begins a session, one of many in the file, named by its time and,
when it is there twice, a number. The line is a record and so is each block below it: lines with `#### ` are what a
person typed, lines with `> ` are what the program said (kind `meta`), all others are the answer. The program ends lines
of the first two kinds with two blanks; in a chat where some do, others that begin alike are part of an answer. What
stands before the first chat goes to the `x` of that one. Answers have the model that the program has last named as its
(main) model, and the rounded figures that it tells after them: tokens and the price by its own list, so `estimated`.

What it loses: who has said what is told by these marks alone, which answers may contain too; the zone of the one time
there is (it stays in `x`), times of messages, tool calls, edits that were undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_lines import entitle
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import naive_time
from sessionstore.importers.exports import Ids, meta, utf8
from sessionstore.importers.parsing import Unparsable

HEADER = re.compile(r"# aider chat started at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\s*", re.ASCII)
_HEADER = re.compile(rb"^# aider chat started at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*$", re.MULTILINE)
PROMPT, NOTICE, ANSWER = "####", ">", ""
_MODEL = re.compile(r"(?:Main model|Models?): (?P<name>[!-+\--~]+)[^!-~]* with ")
_TOKENS = re.compile(r"Tokens: (?P<figures>[^$]*?received)\.?(?P<rest>.*)", re.DOTALL)
_FIGURE = re.compile(
    r"(?P<number>\d[\d,]*(?:\.\d+)?)(?P<thousands>k?) (?P<of>sent|cache write|cache hit|cached|received)"
)
_COST = re.compile(r"Cost: \$(?P<dollars>\d+(?:\.\d+)?) (?:message|request|send)")
_USAGE = {
    "sent": "input_tokens",
    "received": "output_tokens",
    "cache hit": "cache_read_tokens",
    "cached": "cache_read_tokens",
    "cache write": "cache_write_tokens",
}
_GOING_ON = ("Cost: $", "Costs do not reflect")
"""How the unmarked lines begin that go on with a notice about tokens, in some versions."""
_MOST = 10**12


class Aider(Importer):
    """Reader of Aider's chat history."""

    source: ClassVar[str] = "aider"
    title: ClassVar[str] = "Aider"
    versions: ClassVar[str] = "chat histories of all versions"
    suffixes: ClassVar[tuple[str, ...]] = (".md",)
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: repositories may lie anywhere."""
        return ()

    def recognise(self, head: Head) -> bool:
        """A line that says when a chat was started."""
        return b"# aider chat started at " in head.data and _HEADER.search(head.data) is not None

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all chats. Raises `Unparsable` when there is none."""
        data = b"".join(utf8(source, source.blocks))
        text = data.decode("utf-8", "replace")
        if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
            source.note("invalid-utf8")
        before, chats = _chats(text)
        if not chats:
            raise Unparsable("no chat in it")
        ids = Ids()
        for started, lines in chats:
            draft = source.draft(ids.take(started.replace(" ", "T")))
            source.account.records += 1
            source.mapped()
            draft.x["created_at"] = naive_time(started) or started
            if before:
                source.account.records += 1
                source.preserved()
                draft.x["before"] = before
                before = ""
            messages = _messages(draft, lines)
            source.account.records += len(messages)
            source.mapped(len(messages))
            if not messages:
                messages = [meta("m1", {"started": started})]
            for message in messages:
                yield draft, message


def _chats(text: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """What stands before the first chat, and of each chat when it was started and its lines."""
    chats: list[tuple[str, list[str]]] = []
    lines: list[str] = []
    before = lines
    for line in text.replace("\r\n", "\n").split("\n"):
        header = HEADER.fullmatch(line) if line.startswith("# aider") else None
        if header is None:
            lines.append(line)
        else:
            lines = []
            chats.append((header[1], lines))
    return "\n".join(before).strip("\n"), chats


def _messages(draft: Draft, lines: list[str]) -> list[Message]:
    """The messages of one chat."""
    ended = {mark: any(_marked(line, mark) and line.endswith("  ") for line in lines) for mark in (PROMPT, NOTICE)}
    found: list[Message] = []
    model: str | None = None
    answer: Message | None = None
    for mark, block in _blocks(lines, ended):
        text = "\n".join(block).strip("\n") if mark == ANSWER else "\n".join(block)
        message: Message = {
            "id": f"m{len(found) + 1}",
            "role": "assistant",
            "parts": [{"type": "text", "content": text}],
        }
        if mark == PROMPT:
            message["role"], answer = "user", None
            entitle(draft, message)
        elif mark == ANSWER:
            answer = message
            if model is not None:
                message["model"] = model
        else:
            message |= {"role": "system", "kind": "meta"}
            model = next((match["name"] for line in block if (match := _MODEL.match(line))), model)
            bearer = message if answer is None else answer
            for usage in map(_usage, block):
                if usage:
                    bearer["usage"] = _added(bearer.get("usage", {}), usage)
        found.append(message)
    if any(message["role"] == "assistant" for message in found):
        draft.issue("roles-by-marks", "who has said what is told by the marks at the beginning of lines")
    return found


def _blocks(lines: list[str], ended: dict[str, bool]) -> Iterator[tuple[str, list[str]]]:
    """Runs of lines of one kind, without their marks; blank lines end what was marked and are none by themselves."""
    kind, block = ANSWER, list[str]()
    for line in lines:
        if kind == NOTICE and line.startswith(_GOING_ON) and block[-1].startswith("Tokens: "):
            block[-1] += "\n" + line.removesuffix("  ")
            continue
        mark = next(
            (one for one in (PROMPT, NOTICE) if _marked(line, one) and not _is_quoted(line, ended[one])), ANSWER
        )
        if mark != kind:
            if _is_something(kind, block):
                yield kind, block
            kind, block = mark, []
        block.append(line[len(mark) + 1 :].removesuffix("  ") if mark else line)
    if _is_something(kind, block):
        yield kind, block


def _is_something(kind: str, block: list[str]) -> bool:
    return bool(block) and (kind != ANSWER or any(line.strip() for line in block))


def _marked(line: str, mark: str) -> bool:
    return line.startswith(mark) and (len(line) == len(mark) or line[len(mark)] == " ")


def _is_quoted(line: str, ended: bool) -> bool:
    """Whether a marked line is part of an answer: the program would have ended it with two blanks."""
    return ended and not line.endswith("  ") and not line.startswith("> Tokens: ")


def _added(usage: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {
        name: True if name == "estimated" else usage.get(name, 0) + more.get(name, 0)
        for name in dict.fromkeys((*usage, *more))
    }


def _usage(line: str) -> dict[str, Any]:
    """What the program says its answer has cost, when it says so in this line."""
    said = _TOKENS.match(line)
    if said is None:
        return {}
    usage: dict[str, Any] = {}
    for figure in _FIGURE.finditer(said["figures"]):
        number = float(figure["number"].replace(",", "")) * (1000 if figure["thousands"] else 1)
        if 0 < number < _MOST:
            usage[_USAGE[figure["of"]]] = round(number)
    if (cost := _COST.search(said["rest"])) and 0 < float(cost["dollars"]) < 1_000_000:
        usage["cost_microusd"] = round(float(cost["dollars"]) * 1_000_000)
    cached = usage.get("cache_read_tokens", 0) + usage.get("cache_write_tokens", 0)
    if cached > usage.get("input_tokens", 0):
        usage["input_tokens"] = cached
    usage = {name: value for name, value in usage.items() if value}
    return usage | {"estimated": True} if usage else {}

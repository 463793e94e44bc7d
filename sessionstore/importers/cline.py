"""Cline, Roo Code and Kilo Code: the tasks of the editor extensions.

Where: `tasks/<id>/` in `<user data>/User/globalStorage/` of the editor, below `saoudrizwan.claude-dev`,
`rooveterinaryinc.roo-cline` or `kilocode.kilo-code`, where user data is `~/.config/Code` on Linux,
`~/Library/Application Support/Code` on macOS and `%APPDATA%\\Code` on Windows; other editors have a name of their own.
A task is `ui_messages.json` (what the person saw) and `api_conversation_history.json` (what the model saw), with
descriptions beside them, all rewritten on every change.

How it is recognised: an array of objects with a number `ts` and a `type` of `ask` or `say`. A history without its
`ui_messages.json` has the form of Anthropic's API, which does not tell the program.

What the records are and how they map: the messages of the history are the conversation; rows of the other file say when
they were said, by which model, and what they have cost, by the number of the message that was the last at the time
(`conversationHistoryIndex`). Rows that show what the history says are counted as its repetition, others are kept
verbatim behind the message that they followed, as is a request whose answer cannot be told. Without a history the rows
themselves are the messages. Input tokens include those of the cache.

What it loses: times of messages that no row tells of; rows have no ids, their times are not unique. Old versions wrote
tool calls as XML in the text, where they stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import Record, companion_document, entitle, finished, is_verbatim, meta
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import beginning
from sessionstore.importers.claude_code_parts import parts_of
from sessionstore.importers.cline_rows import REQUEST, SHOWN, cost_of, is_row, row_message
from sessionstore.importers.common import stem
from sessionstore.importers.database_rows import Ids
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.parsing import Unparsable

_HISTORY = "api_conversation_history.json"
_ABOUT = ("task_metadata.json", "history_item.json", "context_history.json")
_EXTENSIONS = ("saoudrizwan.claude-dev", "rooveterinaryinc.roo-cline", "kilocode.kilo-code")
_EDITORS = ("Code", "Code - Insiders", "Cursor", "Windsurf", "VSCodium")


class Cline(Importer):
    """Reader of the tasks of Cline, Roo Code and Kilo Code."""

    source: ClassVar[str] = "cline"
    title: ClassVar[str] = "Cline, Roo Code, Kilo Code"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("ui_messages.json",)
    companions: ClassVar[tuple[str, ...]] = (_HISTORY, *_ABOUT)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The extensions' directories in the editors that are built on Visual Studio Code."""
        home = machine.home
        for data in (home / ".config", home / "Library" / "Application Support", home / "AppData" / "Roaming"):
            for editor in _EDITORS:
                for extension in _EXTENSIONS:
                    yield Place(data / editor / "User" / "globalStorage" / extension / "tasks")

    def recognise(self, head: Head) -> bool:
        """An array of rows that ask or say."""
        kind, values = beginning(head, (b'"ts"', b'"type"'))
        return kind == "array" and bool(values) and sum(map(is_row, values)) * 2 > len(values)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the task. Raises `Unparsable` for a document that is no array."""
        rows = source.document()
        if not isinstance(rows, list):
            raise Unparsable("not a list of what was asked and said")
        source.account.records += len(rows)
        above = source.name.split("/")[:-1]
        draft = source.draft((above[-1] if above else stem(source.name)) or "task")
        _describe(source, draft)
        history = companion_document(source, _HISTORY) if _HISTORY in source.companions else None
        if isinstance(history, list) and history:
            yield from _joined(source, draft, rows, history)
            return
        draft.issue("history-missing", "what the model saw is not there, only what was shown to the person")
        ids = Ids()
        for row in rows:
            message = row_message(row)
            _count(source, message, row)
            message = {"id": ids.take()} | message
            entitle(draft, message)
            yield draft, message


def _describe(source: Source, draft: Draft) -> None:
    for name in _ABOUT:
        if name not in source.companions:
            continue
        source.account.records += 1
        about = companion_document(source, name)
        if about is None:
            source.reject("a description that cannot be read")
            continue
        source.mapped()
        draft.x[stem(name)] = about
        if name == "history_item.json" and isinstance(about, dict):
            where = about.get("cwdOnTaskInitialization") or about.get("workspace")
            place(draft, where if isinstance(where, str) else None)
            if isinstance(about.get("parentTaskId"), str) and about["parentTaskId"]:
                draft.forked_from = {"key": f"{Cline.source}:{about['parentTaskId']}", "relation": "subagent"}


def _joined(source: Source, draft: Draft, rows: list[Any], history: list[Any]) -> Iterator[tuple[Draft, Message]]:
    """The history's messages, each followed by the rows that say something else."""
    source.account.records += len(history)
    after: dict[int, list[Any]] = {}
    for row in rows:
        index = row.get("conversationHistoryIndex") if isinstance(row, dict) else None
        at = index if type(index) is int and -1 <= index < len(history) else len(history) - 1
        after.setdefault(at, []).append(row)
    costs = _costs(rows, history)
    ids, asked, answered = Ids(), _first(rows, 1, "request"), _first(rows, 1, "answer")
    for index in range(-1, len(history)):
        if index >= 0:
            message = _message(history[index])
            _count(source, message, history[index])
            _complete(message, index, costs, answered if message["role"] == "assistant" else asked)
            message = {"id": ids.take()} | message
            entitle(draft, message)
            yield draft, message
        for row in after.get(index, ()):
            if _is_shown(row, costs):
                source.mapped()
                continue
            source.preserved()
            message = meta(row)
            if is_row(row) and row.get("say") == REQUEST:  # one whose answer is not in the history
                message["usage"] = cost_of(row)
            yield draft, {"id": ids.take()} | message


def _is_shown(row: Any, costs: dict[int, tuple[Record, Any]]) -> bool:
    """Whether a row says nothing that the history does not say, or that was not joined with it."""
    if not is_row(row):
        return False
    if row.get("say") == REQUEST and cost_of(row):
        index = row.get("conversationHistoryIndex")
        return type(index) is int and index + 2 in costs
    return row.get("say", row.get("ask")) in SHOWN


def _costs(rows: list[Any], history: list[Any]) -> dict[int, tuple[Record, Any]]:
    """What each request has cost, and the model it was sent to, by the index of its answer in the history."""
    found: dict[int, tuple[Record, Any]] = {}
    for row in rows:
        index = row.get("conversationHistoryIndex") if is_row(row) and row.get("say") == REQUEST else None
        if type(index) is not int or not -1 <= index < len(history) - 2:
            continue
        figures, answer = cost_of(row), history[index + 2]
        if figures and isinstance(answer, dict) and answer.get("role") == "assistant":
            known = found.get(index + 2, ({}, None))[0]
            total = {name: known.get(name, 0) + figures.get(name, 0) for name in {**known, **figures}}
            found[index + 2] = (total, row.get("modelInfo"))
    return found


def _first(rows: list[Any], step: int, which: str) -> dict[int, Any]:
    """When the first row appeared that shows a request or an answer, by the index of its message."""
    found: dict[int, Any] = {}
    for row in rows:
        index = row.get("conversationHistoryIndex") if isinstance(row, dict) else None
        if type(index) is not int:
            continue
        request = row.get("say") == REQUEST
        if request == (which == "request") and (request or row.get("say") in ("text", "reasoning", "tool", "command")):
            found.setdefault(index + step, row.get("ts"))
    return found


def _complete(message: Message, index: int, costs: dict[int, tuple[Record, Any]], times: dict[int, Any]) -> None:
    if "time" not in message and "kind" not in message and (time := millis(times.get(index))):
        message["time"] = time
    if message["role"] != "assistant" or index not in costs:
        return
    figures, model = costs[index]
    message["usage"] = figures
    if isinstance(model, dict):
        for theirs, ours in (("modelId", "model"), ("providerId", "provider")):
            if isinstance(model.get(theirs), str) and model[theirs]:
                message.setdefault(ours, model[theirs])


def _message(record: Any) -> Message:
    role = record.get("role") if isinstance(record, dict) else None
    parts = parts_of(record.get("content")) if role in ("user", "assistant") else None
    if parts is None:
        return meta(record)
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    message: Message = {"role": role, "parts": parts}
    x = {key: value for key, value in record.items() if key not in ("role", "content") and value is not None}
    if time := millis(x.get("ts")):
        message["time"] = time
        del x["ts"]
    if x.get("isSummary") is True:
        message["kind"] = "compaction"
    return finished(message, x)


def _count(source: Source, message: Message, record: Any) -> None:
    if is_verbatim(message, record):
        source.preserved()
    else:
        source.mapped()

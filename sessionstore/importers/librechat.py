"""LibreChat: conversations exported as JSON from the program's menu.

Where: the browser's download folder on Linux, macOS and Windows, one file for each conversation.

How it is recognised: an object with `conversationId`, `messages` and `exportAt` or `endpoint`.

What the records are and how they map: the envelope and each message, also those that hang below others (`children`, in
exports that were made "recursive"), parents first. Messages have ids and parents; all branches are kept, and the newest
message is where the conversation stands. `isCreatedByUser` tells the role. Newer messages have a list of content: text,
thoughts, tool calls with their output. The settings of the conversation stay in its `x`, as do `sender`, `tokenCount`
and other fields; what is null, and the marks `error`, `unfinished` and `isEdited` where they say no, are left out.

What it loses: in an export without branches all but the one that was shown; the date of the export; token figures of
requests; uploaded files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import Record, below, entitle, linked, said, take_text, take_time, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.exports import Ids, meta, record_part
from sessionstore.importers.parsing import Unparsable

_ROOTS = (None, "", "00000000-0000-0000-0000-000000000000")
_MARKS = ("error", "unfinished", "isEdited")


class LibreChat(Importer):
    """Reader of LibreChat's exported conversations."""

    source: ClassVar[str] = "librechat"
    title: ClassVar[str] = "LibreChat"
    versions: ClassVar[str] = "exports, flat and as trees"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """The download folder."""
        yield Place(machine.home / "Downloads")

    def recognise(self, head: Head) -> bool:
        """A conversation with its id, messages, and when it was exported or by which service it was held."""
        if not head.keys >= {"conversationId"} or not head.keys & {"exportAt", "endpoint"}:
            return False
        document = head.document
        return isinstance(document, dict) and isinstance(document.get("messages"), list)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the conversation. Raises `Unparsable` when there is none."""
        draft, rest = openai_chat.open_session(source, source.document(), "conversationId")
        draft.issues.clear()
        draft.aliases.clear()
        source.account.records += 1
        source.mapped()
        if not isinstance(rest.get("messages"), list):
            raise Unparsable("no list of messages")
        records = list(_flat(rest.pop("messages")))
        rest = said(rest)
        take_text(draft, "title", rest, "title")
        openai_chat.keep_rest(draft, rest)
        source.account.records += len(records)
        yield from _messages(source, draft, records)


def _flat(records: list[Any]) -> Iterator[Any]:
    """The messages and those below them, parents first."""
    waiting = list(reversed(records))
    while waiting:
        record = waiting.pop()
        children = record.get("children") if isinstance(record, dict) else None
        if isinstance(children, list):
            record = {key: value for key, value in record.items() if key != "children"}
            waiting += reversed(children)
        yield record


def _messages(source: Source, draft: Draft, records: list[Any]) -> Iterator[tuple[Draft, Message]]:
    ids = Ids()
    names: list[str] = []
    for number, record in enumerate(records, 1):
        own = record.get("messageId") if isinstance(record, dict) else None
        names.append(ids.take(own if isinstance(own, str) and own else f"m{number}"))
    stated = [
        (name, record.get("parentMessageId") if isinstance(record, dict) else None)
        for name, record in zip(names, records, strict=True)
    ]
    above = linked(stated, draft, _ROOTS)
    before, newest, latest = None, None, ""
    for name, record in zip(names, records, strict=True):
        message = _message(name, record, draft) if isinstance(record, dict) else None
        if message is None:
            source.preserved()
            message = meta(name, record)
        else:
            source.mapped()
        below(message, above[name], before)
        before = name
        if message.get("time", "") >= latest:
            newest, latest = name, message.get("time", "")
        entitle(draft, message)
        yield draft, message
    draft.active_leaf = newest


def _message(name: str, record: Record, draft: Draft) -> Message | None:
    x = said(record, "messageId", "parentMessageId")
    if x.get("conversationId") == draft.native_id:
        del x["conversationId"]
    for mark in _MARKS:
        if x.get(mark) is False:
            del x[mark]
    by, text, content = x.pop("isCreatedByUser", None), x.pop("text", None), x.get("content")
    if not isinstance(by, bool) or not isinstance(text, str | None):
        return None
    parts: list[dict[str, Any]] = []
    if text is not None and (text or not content):
        parts.append({"type": "text", "content": text})
    if isinstance(content, list):
        del x["content"]
        parts += [part for item in content for part in _parts(item)]
    message: Message = {"id": name, "role": "user" if by else "assistant", "parts": parts}
    if x.get("error") is True:
        message["kind"] = "error"
        del x["error"]
    if x.get("unfinished") is True:
        draft.issue("answer-unfinished", "an answer that was broken off")
    if not by:
        for field, key in (("model", "model"), ("finish_reason", "finish_reason")):
            if isinstance(x.get(key), str) and x[key]:
                message[field] = x.pop(key)
    take_time(message, x, "createdAt")
    if "updatedAt" in x and x["updatedAt"] == record.get("createdAt"):
        del x["updatedAt"]
    return with_rest(message, x)


def _parts(item: Any) -> list[dict[str, Any]]:
    """What a part of the content says: a tool call and its output stand in one."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind in ("text", "think") and item.keys() == {"type", kind}:
        text = item[kind]
        text = text.get("value") if isinstance(text, dict) and text.keys() <= {"value", "annotations"} else text
        if isinstance(text, str):
            return [{"type": "text" if kind == "text" else "reasoning", "content": text}]
    call = item.get("tool_call") if kind == "tool_call" else None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("id", ""), str):
        return [record_part(item)]
    rest = said(call, "id", "name", "args", "output", "type")
    if rest.keys() & {"arguments", "response", "is_error"}:
        return [record_part(item)]
    made = {"type": "tool_call", "id": call.get("id", ""), "name": call["name"], "arguments": call.get("args")} | rest
    if "output" not in call:
        return [made]
    return [made, {"type": "tool_call_response", "id": made["id"], "response": call["output"]}]

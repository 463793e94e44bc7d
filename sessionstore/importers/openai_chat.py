"""The OpenAI chat dialect that the two legacy stores share, and what each part of it means in the unified model.

A record is `{"role", "content", "tool_calls"?, "tool_call_id"?, ...}`; a session is one JSON document with a list of
them under `messages`. What the model has no name for goes to `x` under the source's own name. Tool calls and their
results are paired by position and never by id, because the ids (`name:0`) repeat from turn to turn.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from sessionstore.importers.base import Draft, Machine, Message, Place, Source
from sessionstore.importers.common import OWN_PARTS, is_instant, naive_time, title_line
from sessionstore.importers.parsing import Unparsable

ROLES = frozenset({"system", "user", "assistant", "tool"})

_DATA_URI = re.compile(r"data:(?P<modality>\w+)/(?P<subtype>[\w.+-]+);base64,", re.ASCII)


def places(machine: Machine, name: str) -> Iterator[Place]:
    """The directories called `name` in the working directory, above it and at home: both programs wrote to the
    directory they were started in."""
    for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents, machine.home)):
        yield Place(directory / name)


def open_session(source: Source, document: Any, id_key: str) -> tuple[Draft, dict[str, Any]]:
    """A draft for the session of a document, and the document's other fields. The id in the document wins over the
    file's name, which is then an alias. Raises `Unparsable` when there is neither."""
    if not isinstance(document, dict):
        raise Unparsable("not a JSON object")
    rest = dict(document)
    stem = PurePosixPath(source.name).stem
    native_id = rest.get(id_key)
    if isinstance(native_id, str) and native_id.strip():
        del rest[id_key]
        draft = source.draft(native_id)
        if stem and stem != re.split(r"[/\\]", native_id)[-1]:
            draft.aliases.append(stem)
            draft.issue("id-differs-from-file-name", "the id inside the file is not the file's name; the id counts")
        return draft, rest
    if not stem:
        raise Unparsable("no session id")
    draft = source.draft(stem)
    draft.issue("id-missing", "the file states no usable session id; its name was taken")
    return draft, rest


def conversation(
    source: Source, draft: Draft, rest: dict[str, Any], refine: Callable[[Message], None]
) -> Iterator[tuple[Draft, Message]]:
    """The messages of an opened session, each counted in the source's account together with the envelope.

    `refine` finishes a message in place by the rules of its format; `messages` is taken out of `rest`. The title and
    the issues of tool pairing are set on the draft when the iterator is exhausted."""
    records = rest.get("messages")
    source.account.records += 1
    source.mapped()
    if not isinstance(records, list):
        draft.issue("messages-missing", "the file has no list of messages")
        return
    del rest["messages"]
    source.account.records += len(records)
    pairs = ToolPairs(draft)
    for number, record in enumerate(records, 1):
        message = chat_message(record) if isinstance(record, dict) else None
        if message is None:
            source.preserved()
            yield draft, _preserved(number, record)
            continue
        source.mapped()
        message["id"] = f"m{number}"
        refine(message)
        if not message["x"]:
            del message["x"]
        pairs.see(message)
        if draft.title is None and message["role"] == "user":
            draft.title = title_line(text_of(message)) or None
        yield draft, message
    pairs.finish()


def chat_message(record: Mapping[str, Any]) -> Message | None:
    """A record as a message that still lacks its `id`; `x` holds the fields that the model has no name for and is
    always there. None when the record has not the shape of a chat message."""
    rest = dict(record)
    role, content, calls = rest.pop("role", None), rest.pop("content", None), rest.get("tool_calls")
    if not isinstance(role, str) or role not in ROLES:
        return None
    if calls is not None and not isinstance(calls, list):
        return None
    parts: list[dict[str, Any]] = []
    if isinstance(rest.get("reasoning_content"), str):
        parts.append({"type": "reasoning", "content": rest.pop("reasoning_content")})
    if role == "tool":
        call_id = rest.pop("tool_call_id") if isinstance(rest.get("tool_call_id"), str) else ""
        parts.append({"type": "tool_call_response", "id": call_id, "response": content})
    elif isinstance(content, str):
        if content or not calls:
            parts.append({"type": "text", "content": content})
    elif isinstance(content, list):
        parts += map(_part, content)
    elif content is not None:
        return None
    if calls:
        parts += map(_tool_call, rest.pop("tool_calls"))
    return {"role": role, "parts": parts, "x": rest}


def _preserved(number: int, record: Any) -> Message:
    return {"id": f"m{number}", "role": "system", "kind": "meta", "parts": [_record(record)]}


def _record(value: Any) -> dict[str, Any]:
    return {"type": "record", "record": value if isinstance(value, dict) else {"value": value}}


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if not isinstance(item, dict):
        return _record(item)
    kind = item.get("type")
    if kind == "text" and isinstance(item.get("text"), str) and "content" not in item:
        return {"type": "text", "content": item["text"]} | {k: v for k, v in item.items() if k != "text"}
    if kind == "image_url":
        return _image(item) or item
    return item if isinstance(kind, str) and kind not in OWN_PARTS else _record(item)


def _image(item: dict[str, Any]) -> dict[str, Any] | None:
    image = item.get("image_url")
    link = image.get("url") if isinstance(image, dict) else image
    if not isinstance(link, str) or set(item) != {"type", "image_url"}:
        return None
    extra = {k: v for k, v in image.items() if k != "url"} if isinstance(image, dict) else {}
    if {"type", "modality", "uri", "mime_type", "data"} & set(extra):
        return None
    head = _DATA_URI.match(link)
    if head is None or not _is_base64(link[head.end() :]):
        return {"type": "uri", "modality": "image", "uri": link} | extra
    mime_type = f"{head['modality']}/{head['subtype']}"
    return {"type": "blob", "modality": head["modality"], "mime_type": mime_type, "data": link[head.end() :]} | extra


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


def _tool_call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or "arguments" not in function:
        return _record(call)
    rest = {k: v for k, v in call.items() if k not in ("id", "type", "function")}
    other = {k: v for k, v in function.items() if k not in ("name", "arguments")}
    if not isinstance(call.get("id"), str) or call.get("type", "function") != "function":
        return _record(call)
    if {"name", "arguments"} & set(rest):
        return _record(call)
    if other:
        rest["function"] = other
    return {
        "type": "tool_call",
        "id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"],
    } | rest


def text_of(message: Message) -> str:
    """The text parts of a message, one after the other."""
    return "\n".join(part["content"] for part in message["parts"] if part["type"] == "text")


def take_session_time(draft: Draft, rest: dict[str, Any], key: str, field: str) -> None:
    """Move the session time `rest[key]` to the draft's `field` ("created_at" or "updated_at"): stated when it has an
    offset, else to `x`. What is no time stays where it is."""
    value = rest.get(key)
    if is_instant(value):
        setattr(draft, field, value)
    elif naive := naive_time(value):
        draft.x[field] = naive
    else:
        return
    del rest[key]


def keep_rest(draft: Draft, rest: Mapping[str, Any]) -> None:
    """Keep the fields that have no name in the model under their own names; under `record` when that is taken."""
    for key, value in rest.items():
        if key in draft.x:
            draft.x.setdefault("record", {})[key] = value
        else:
            draft.x[key] = value


class ToolPairs:
    """Pairs tool calls with results by position and reports what has no partner."""

    def __init__(self, draft: Draft) -> None:
        """Report to this draft."""
        self._draft = draft
        self._open: list[str] = []
        self._after_tool = False

    def see(self, message: Message) -> None:
        """Take the next message of the session."""
        role = message["role"]
        if role == "tool":
            self._answer(next(part["id"] for part in message["parts"] if part["type"] == "tool_call_response"))
        elif role != "system":
            if self._after_tool and role == "user":
                self._draft.issue("answer-after-tool-missing", "the answer to a tool result was never stored")
            self._close()
        self._after_tool = role == "tool" or (self._after_tool and role == "system")
        self._open += [part["id"] for part in message["parts"] if part["type"] == "tool_call"]

    def finish(self) -> None:
        """Report what is open at the end of the session."""
        self._close()
        if self._after_tool:
            self._draft.issue("history-ends-with-tool", "the answer to the last tool result was never stored")

    def _answer(self, call_id: str) -> None:
        if not call_id:
            self._draft.issue("tool-call-id-lost", "a tool result does not say which call it belongs to")
        if call_id in self._open:
            self._open.remove(call_id)
        elif not call_id and self._open:
            self._open.pop(0)
        else:
            self._draft.issue("orphan-tool-message", "a tool result whose call is not in the file")

    def _close(self) -> None:
        if self._open:
            self._draft.issue("dangling-tool-call", "a tool call whose result is not in the file", len(self._open))
            self._open = []

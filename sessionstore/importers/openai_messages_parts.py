"""The messages of OpenAI's chat interface as others write them down: which records are exactly of that shape, and what
those parts mean that `openai_chat` leaves verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import title_line
from sessionstore.importers.parsing import Unparsable, parse

ROLES = openai_chat.ROLES | {"developer", "function"}
_KEYS = """
    role content name tool_calls tool_call_id function_call refusal weight audio annotations
    reasoning reasoning_content images partial prefix
"""
MESSAGE_KEYS = frozenset(_KEYS.split())
_TYPES = "text image_url input_audio file refusal image video audio video_url audio_url reasoning tool_call"
PART_TYPES = frozenset(_TYPES.split())
FOREIGN_PART_KEYS = frozenset({"source", "citations", "cache_control", "tool_use_id", "id"})
"""Keys of content blocks of another provider that uses some of the same types."""

_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_LONG_ID = re.compile(r"[\w.:-]{16,200}", re.ASCII)


def is_message(value: Any) -> bool:
    """Whether a value is a chat message and can hardly be anything else: no key that the interface does not have."""
    if not isinstance(value, dict) or not value.keys() <= MESSAGE_KEYS:
        return False
    role, content = value.get("role"), value.get("content")
    if not isinstance(role, str) or role not in ROLES:
        return False
    if isinstance(content, list):
        return all(map(_is_part, content))
    return isinstance(content, str) or (content is None and bool(value.keys() & {"tool_calls", "function_call"}))


def _is_part(part: Any) -> bool:
    if not isinstance(part, dict) or part.keys() & FOREIGN_PART_KEYS:
        return False
    kind = part.get("type")
    return isinstance(kind, str) and kind in PART_TYPES


def is_bare_conversation(values: list[Any]) -> bool:
    """Whether values are the messages of one conversation. Lists of nothing but user and assistant messages made of
    text blocks are not: another provider's programs write such histories."""
    if not values or not all(map(is_message, values)):
        return False
    return any(
        isinstance(value["content"], str)
        or value["role"] not in ("user", "assistant")
        or any(part["type"] != "text" for part in value["content"])
        for value in values
        if value.get("content") is not None
    )


def chat_message(record: Mapping[str, Any]) -> Message | None:
    """A record as a message without its `id`, or None when it has not the shape of one. Beyond `openai_chat` this knows
    developers, functions (the tools of the first generation), sound, files, and calls without an id."""
    rest = dict(record)
    role = rest.get("role")
    if role == "developer":
        rest["role"] = "system"
    elif role == "function":
        rest["role"] = "tool"
    legacy = rest.pop("function_call") if isinstance(rest.get("function_call"), dict) else None
    message = openai_chat.chat_message(rest)
    if message is None:
        return None
    if role in ("developer", "function"):
        message["x"]["role"] = role
    if legacy is not None:
        call = _known({"type": "record", "record": legacy})
        if call["type"] == "tool_call":
            if message["parts"] == [{"type": "text", "content": ""}]:
                message["parts"] = []
            message["parts"].append(call)
        else:
            message["x"]["function_call"] = legacy
    widen(message)
    if not message["x"]:
        del message["x"]
    return message


def widen(message: Message) -> None:
    """Give the parts that `openai_chat` has kept verbatim their meaning, where they have one."""
    message["parts"] = [_known(part) for part in message["parts"]]


def _known(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "input_audio":
        return _sound(part) or part
    if part["type"] != "record":
        return part
    record = part["record"]
    kind = record.get("type")
    if kind in ("text", "reasoning"):
        return _text(record) or part
    if kind == "file":
        return _file(record) or part
    if kind == "tool_call" and isinstance(record.get("value"), str) and record.keys() <= {"type", "value"}:
        calls = tool_calls(record["value"])
        return calls[0] if len(calls) == 1 else part
    return _call(record) or part


def _text(record: dict[str, Any]) -> dict[str, Any] | None:
    rest = {key: value for key, value in record.items() if key != "value"}
    if not isinstance(record.get("value"), str) or {"content", "signature"} & rest.keys():
        return None
    return {"content": record["value"]} | rest


def _sound(part: dict[str, Any]) -> dict[str, Any] | None:
    sound = part.get("input_audio")
    if not isinstance(sound, dict) or part.keys() != {"type", "input_audio"} or sound.keys() != {"data", "format"}:
        return None
    data, form = sound["data"], sound["format"]
    if not isinstance(data, str) or not isinstance(form, str) or not openai_chat.is_base64(data):
        return None
    return {"type": "blob", "modality": "audio", "mime_type": f"audio/{form}", "data": data}


def _file(record: dict[str, Any]) -> dict[str, Any] | None:
    file = record.get("file")
    if not isinstance(file, dict) or record.keys() != {"type", "file"} or "type" in file:
        return None
    data = file.get("file_data")
    head = _DATA_URI.match(data) if isinstance(data, str) else None
    if head is None or not isinstance(data, str) or not openai_chat.is_base64(data[head.end() :]):
        return {"type": "file"} | file
    rest = {key: value for key, value in file.items() if key not in ("file_data", "object", "bytes", "modality")}
    if len(rest) != len(file) - 1 or {"data", "mime_type"} & rest.keys():
        return None
    modality = head["type"].partition("/")[0]
    return {"type": "blob", "modality": modality, "mime_type": head["type"], "data": data[head.end() :]} | rest


def tool_calls(text: str) -> list[dict[str, Any]]:
    """The calls that a text holds as JSON: `{"name", "arguments"}` or a list of such. None at all when it holds
    anything else, or something that could not be taken over exactly."""
    if text.lstrip()[:1] not in ("{", "["):
        return []
    try:
        value, flags = parse(text.encode("utf-8", "replace"))
    except Unparsable:
        return []
    found = [
        _call(item) if isinstance(item, dict) else None for item in (value if isinstance(value, list) else [value])
    ]
    calls = [call for call in found if call is not None]
    return calls if len(calls) == len(found) and not flags else []


def _call(record: dict[str, Any]) -> dict[str, Any] | None:
    """A call without an id, bare or within `function`. Its id stays empty: the source has none."""
    function = record.get("function")
    if not isinstance(function, dict):
        function = record
    elif not record.keys() <= {"type", "function", "id"} or record.get("type", "function") != "function":
        return None
    if record.get("id") or function.keys() != {"name", "arguments"} or not isinstance(function["name"], str):
        return None
    return {"type": "tool_call", "id": "", "name": function["name"], "arguments": function["arguments"]}


def take_tools(draft: Draft, rest: dict[str, Any]) -> None:
    """Move the tools that were offered to the draft: a list, or the list's JSON text. The functions of the first
    generation count when there are no tools."""
    for name in ("tools", "functions"):
        tools = rest.get(name)
        if isinstance(tools, str):
            try:
                tools, flags = parse(tools.encode("utf-8", "replace"))
            except Unparsable:
                continue
            if flags:
                continue
        if isinstance(tools, list) and not draft.tools:
            draft.tools = tools
            del rest[name]


def take_system(draft: Draft, rest: dict[str, Any]) -> None:
    """Move a system prompt that stands beside the messages to the draft."""
    for name in ("system", "system_prompt"):
        prompt = rest.get(name)
        if isinstance(prompt, str) and not draft.system:
            del rest[name]
            draft.system = [{"type": "text", "content": prompt}] if prompt else []


def take_id(draft: Draft, rest: dict[str, Any]) -> None:
    """Make a conversation's own id an alias, when it is long enough not to be met elsewhere; it stays in `x`."""
    own = rest.get("id")
    if isinstance(own, str) and _LONG_ID.fullmatch(own) and own != draft.native_id:
        draft.aliases.append(own)


class Conversation:
    """Numbers the messages of a session and finds its title."""

    def __init__(self, draft: Draft) -> None:
        """Begin a session."""
        self.draft = draft
        self._count = 0

    def add(self, record: Any, message: Message | None) -> Message:
        """The next message: `message`, or when that is None the record, verbatim."""
        self._count += 1
        number = f"m{self._count}"
        if message is None:
            kept = record if isinstance(record, dict) else {"value": record}
            part = {"type": "record", "record": kept}
            return {"id": number, "role": "system", "kind": "meta", "parts": [part]}
        if self.draft.title is None and message["role"] == "user":
            self.draft.title = title_line(openai_chat.text_of(message)) or None
        return {"id": number} | message

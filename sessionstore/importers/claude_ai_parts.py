"""What the messages, projects and memories of a Claude.ai export mean in the unified model: see `claude_ai`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import OWN_PARTS, is_instant, naive_time
from sessionstore.importers.exports import Ids, is_said, kept, modality_of, record_part

SENDERS = {"human": "user", "assistant": "assistant", "user": "user", "system": "system"}
NO_PARENT = "00000000-0000-4000-8000-000000000000"
"""What the first message names as its parent."""

Part = dict[str, Any]


class Messages:
    """Makes the messages of one conversation in the order of its list."""

    def __init__(self, draft: Draft, records: list[Any]) -> None:
        self._draft = draft
        self._ids = Ids()
        self._stated = {r["uuid"] for r in records if isinstance(r, dict) and isinstance(r.get("uuid"), str)}
        self._before: str | None = None

    def message(self, number: int, record: Any) -> Message | None:
        """The message of a record; None when it is none. Its id is taken either way: see `take_id`."""
        sender = record.get("sender") if isinstance(record, dict) else None
        role = SENDERS.get(sender) if isinstance(sender, str) else None
        if role is None:
            return None
        rest = dict(record)
        del rest["sender"]
        found: Message = {"id": self.take_id(number, rest.pop("uuid", None)), "role": role, "parts": []}
        take_time(found, rest)
        if isinstance(rest.get("model"), str) and rest["model"]:
            found["model"] = rest.pop("model")
        if isinstance(rest.get("stop_reason"), str) and rest["stop_reason"]:
            found["finish_reason"] = rest.pop("stop_reason")
        found["parts"] = self._content(rest) + self._files(rest)
        if rest.get("index") == number - 1:
            del rest["index"]
        if rest.get("truncated") is False:
            del rest["truncated"]
        self._take_parent(found, rest)
        if said := kept(rest):
            found["x"] = said | found.get("x", {})
        return found

    def take_id(self, number: int, stated: Any) -> str:
        """The id of the next message."""
        wanted = stated if isinstance(stated, str) and stated else f"m{number}"
        found = self._ids.take(wanted)
        if found != wanted:
            self._draft.issue("message-id-twice", "two messages have one id; the second was given another")
        return found

    def _take_parent(self, found: Message, rest: dict[str, Any]) -> None:
        before, self._before = self._before, found["id"]
        if "parent_message_uuid" not in rest:
            return
        stated = rest["parent_message_uuid"]
        parent = stated if isinstance(stated, str) and stated in self._stated and stated != found["id"] else None
        if stated is None or stated == NO_PARENT or parent is not None:
            del rest["parent_message_uuid"]
        else:
            self._draft.issue("parent-missing", "a message whose parent is not in the export")
        if parent != before:
            found["parent"] = parent

    def skip(self, message_id: str) -> None:
        """Say that a message stands here which was not made by `message`."""
        self._before = message_id

    def _content(self, rest: dict[str, Any]) -> list[Part]:
        """The parts of the content blocks, else of the plain text; of the two the blocks say more."""
        content, text = rest.get("content"), rest.get("text")
        if isinstance(content, list):
            del rest["content"]
            parts = [_block(block) for block in content]
            broken = sum(part["type"] == "record" for part in parts)
            if broken:
                self._draft.issue("block-malformed", "a content block that has not the shape of its type", broken)
        elif isinstance(content, str):
            del rest["content"]
            self._draft.issue("content-malformed", "content that is a plain text instead of a list of blocks")
            parts, broken = [{"type": "text", "content": content}], 0
        else:
            parts, broken = [], 0
            if "content" in rest:
                self._draft.issue("content-malformed", "content that is no list of blocks")
        if not isinstance(text, str):
            return parts
        if not text or text in _flattened(parts):
            del rest["text"]
        elif broken == len(parts):
            del rest["text"]
            parts.append({"type": "text", "content": text})
        return parts

    def _files(self, rest: dict[str, Any]) -> list[Part]:
        """Parts for attached texts and files. Of files the export holds only the name."""
        found: list[Part] = []
        if rest.get("files_v2") == rest.get("files"):
            rest.pop("files_v2", None)
        for name in ("attachments", "files"):
            items = rest.get(name)
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                continue
            del rest[name]
            for item in items:
                part = _attachment(item)
                if part["type"] == "file":
                    self._draft.issue("file-missing", "an attached file of which the export holds only the name")
                found.append(part)
        return found


def _flattened(parts: list[Part]) -> list[str]:
    """The texts that the service makes of the text blocks."""
    texts = [part["content"] for part in parts if part["type"] == "text"]
    return [glue.join(texts) for glue in ("", "\n", "\n\n")] if texts else []


def _attachment(item: Mapping[str, Any]) -> Part:
    rest = kept(item)
    text = rest.pop("extracted_content", None)
    name = rest.pop("file_name", None)
    named = {"name": name} if is_said(name) else {}
    if isinstance(text, str):
        return {"type": "text", "content": text} | named | {"attachment": rest}
    return _with({"type": "file"} | named, rest | ({"extracted_content": text} if text is not None else {}))


def _block(block: Any) -> Part:
    """The part of a content block; a record when it has not the shape of its type."""
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(kind, str) or not kind:
        return record_part(block)
    make = _BLOCKS.get(kind)
    if make is not None:
        return make({key: value for key, value in block.items() if key != "type"}) or record_part(block)
    return dict(block) if kind not in OWN_PARTS else record_part(block)


def _with(part: Part, rest: Mapping[str, Any]) -> Part:
    """A part with the other fields of its block; those whose name has a meaning in parts are set apart."""
    said = kept(rest)
    apart = {key: said.pop(key) for key in list(said) if key in part or key in _MEANT}
    return part | said | ({"block": apart} if apart else {})


_MEANT = frozenset(
    {"type", "content", "signature", "id", "arguments", "response", "is_error", "data", "object", "bytes"}
)


def _text(rest: Part) -> Part | None:
    text = rest.pop("text", None)
    return _with({"type": "text", "content": text}, rest) if isinstance(text, str) else None


def _voice_note(rest: Part) -> Part | None:
    part = _text(rest)
    return part | {"voice_note": True} if part is not None else None


def _thinking(rest: Part) -> Part | None:
    text = rest.pop("thinking", None)
    if not isinstance(text, str):
        return None
    part: Part = {"type": "reasoning", "content": text}
    if isinstance(rest.get("signature"), str) and rest["signature"]:
        part["signature"] = rest.pop("signature")
    return _with(part, {key: value for key, value in rest.items() if not (key == "cut_off" and value is False)})


def _tool_use(rest: Part) -> Part | None:
    name = rest.pop("name", None)
    if not isinstance(name, str) or "input" not in rest:
        return None
    call_id = rest.pop("id") if isinstance(rest.get("id"), str) else ""
    return _with({"type": "tool_call", "id": call_id, "name": name, "arguments": rest.pop("input")}, rest)


def _tool_result(rest: Part) -> Part | None:
    if "content" not in rest:
        return None
    call_id = rest.pop("tool_use_id") if isinstance(rest.get("tool_use_id"), str) else ""
    part: Part = {"type": "tool_call_response", "id": call_id, "response": rest.pop("content")}
    if isinstance(rest.get("is_error"), bool) and rest.pop("is_error"):
        part["is_error"] = True
    return _with(part, rest)


def _image(rest: Part) -> Part | None:
    source = rest.get("source")
    data = source.get("data") if isinstance(source, dict) else None
    mime = source.get("media_type") if isinstance(source, dict) else None
    if not isinstance(data, str) or not isinstance(mime, str) or not _is_base64(data):
        return None
    del rest["source"]
    return _with({"type": "blob", "modality": modality_of(mime), "mime_type": mime, "data": data}, rest)


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


_BLOCKS = {
    "text": _text,
    "voice_note": _voice_note,
    "thinking": _thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image": _image,
}


def take_time(found: Message, rest: dict[str, Any]) -> None:
    """Take the time of a record over: to `x` when nobody can tell which zone it is of."""
    made = rest.get("created_at")
    if rest.get("updated_at") == made:
        rest.pop("updated_at", None)
    if is_instant(made):
        found["time"] = rest.pop("created_at")
    elif (naive := naive_time(made)) is not None:
        del rest["created_at"]
        found["x"] = {"time": naive}


def take_session_times(draft: Draft, rest: dict[str, Any]) -> None:
    """Take the times of a conversation or a project over."""
    for name in ("created_at", "updated_at"):
        if is_instant(rest.get(name)):
            setattr(draft, name, rest.pop(name))
        elif (naive := naive_time(rest.get(name))) is not None:
            draft.x[name] = naive
            del rest[name]


def context(message_id: str, text: str, name: str) -> Message:
    """A text that stands behind conversations: instructions, knowledge, memory."""
    part = {"type": "text", "content": text, "name": name}
    return {"id": message_id, "role": "system", "kind": "context", "parts": [part]}


def project(draft: Draft, rest: dict[str, Any]) -> Iterator[tuple[Message, bool]]:
    """The messages of a project, and of each whether it is a record of its own. Takes them out of `rest`."""
    for name in ("description", "prompt_template"):
        if isinstance(rest.get(name), str) and rest[name]:
            yield context(name, rest.pop(name), name), False
    docs = rest.pop("docs") if isinstance(rest.get("docs"), list) else []
    ids = Ids(("description", "prompt_template"))
    for number, doc in enumerate(docs, 1):
        said = dict(doc) if isinstance(doc, dict) else {}
        text, name, stated = said.pop("content", None), said.pop("filename", None), said.pop("uuid", None)
        message_id = ids.take(stated if isinstance(stated, str) and stated else f"m{number}")
        if not isinstance(text, str):
            draft.issue("document-missing", "a document of a project whose content is not in the export")
            yield {"id": message_id, "role": "system", "kind": "meta", "parts": [record_part(doc)]}, True
            continue
        found = context(message_id, text, name if isinstance(name, str) else "")
        take_time(found, said)
        if not isinstance(name, str) and is_said(name):
            said["filename"] = name
        if others := kept(said):
            found["x"] = others | found.get("x", {})
        yield found, True


def memory(rest: dict[str, Any]) -> Iterator[Message]:
    """The messages of what the service remembers of an account. Takes them out of `rest`."""
    if isinstance(rest.get("conversations_memory"), str) and rest["conversations_memory"]:
        yield context("conversations_memory", rest.pop("conversations_memory"), "conversations_memory")
    by_project = rest.get("project_memories")
    if not isinstance(by_project, dict):
        return
    rest["project_memories"] = {}
    for name, text in by_project.items():
        if isinstance(text, str):
            yield context(f"project/{name}", text, name)
        else:
            rest["project_memories"][name] = text

"""What one message of a ChatGPT conversation means in the unified model: see `chatgpt` for the whole format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.common import OWN_PARTS
from sessionstore.importers.exports import Assets, instant, is_said, kept, micros, record_part

ROLES = frozenset({"system", "user", "assistant", "tool"})
USUAL: dict[str, Any] = {"status": "finished_successfully", "weight": 1.0, "recipient": "all"}
"""What most messages say of themselves; it is kept where a message says something else."""
NO_TOOLS = frozenset({"", "all", "assistant", "user"})
"""Recipients that are no tools."""
POINTER = ("file-service://", "sediment://")
"""How links to files of the export begin."""
CONTEXT = frozenset({"user_editable_context", "model_editable_context"})

Part = dict[str, Any]


class Messages:
    """Makes the messages of one conversation, in which results belong to the call above them."""

    def __init__(self, draft: Draft, assets: Assets) -> None:
        self._draft = draft
        self._assets = assets
        self._calls: dict[str, tuple[str, str]] = {}
        """of a call, and of each result below it: the call's id and the tool that was called"""

    def message(self, node_id: str, parent: str | None, record: Mapping[str, Any]) -> Message | None:
        """The message of a node, without its parent; None when it is none."""
        rest = dict(record)
        author, content = rest.pop("author", None), rest.pop("content", None)
        role = author.get("role") if isinstance(author, dict) else None
        if not isinstance(author, dict) or not isinstance(role, str) or role not in ROLES:
            return None
        if content is not None and not isinstance(content, dict):
            return None
        found: Message = {"id": node_id, "role": role, "parts": []}
        x = self._frame(found, rest, author)
        body = _Body(self._draft, self._assets, content or {})
        found["parts"] = self._parts(found, parent, body, author, record.get("recipient"), x)
        metadata = x.get("metadata")
        if role == "tool" and isinstance(metadata, dict):
            found["parts"] += body.pointers(metadata.get("aggregate_result"))
        found["parts"] += self._attachments(metadata, body)
        _classify(found, body, metadata)
        if body.kind != "text":
            x["content_type"] = body.kind
        if body.rest:
            x["content"] = body.rest
        if said := kept(x):
            found["x"] = said
        return found

    def _frame(self, found: Message, rest: dict[str, Any], author: Mapping[str, Any]) -> dict[str, Any]:
        """What stands around the content. Gives the fields for `x`."""
        if rest.get("id") == found["id"]:
            del rest["id"]
        elif "id" in rest:
            rest["message_id"] = rest.pop("id")
        time = micros(rest.get("create_time"))
        if time is not None:
            found["time"] = instant(time)
            del rest["create_time"]
        for name, value in USUAL.items():
            if name in rest and type(rest[name]) in (type(value), int) and rest[name] == value:
                del rest[name]
        if others := kept({key: value for key, value in author.items() if key != "role"}):
            rest["author"] = others
        metadata = rest.get("metadata")
        if isinstance(metadata, dict) and found["role"] == "assistant":
            rest["metadata"] = metadata = dict(metadata)
            if isinstance(metadata.get("model_slug"), str) and metadata["model_slug"]:
                found["model"] = metadata.pop("model_slug")
            _take_reason(found, metadata)
        return rest

    def _parts(
        self,
        found: Message,
        parent: str | None,
        body: _Body,
        author: Mapping[str, Any],
        recipient: Any,
        x: dict[str, Any],
    ) -> list[Part]:
        node_id, role = found["id"], found["role"]
        if role == "assistant" and isinstance(recipient, str) and recipient not in NO_TOOLS:
            arguments = body.arguments()
            if arguments is not None:
                self._calls[node_id] = (node_id, recipient)
                x.pop("recipient", None)
                extra = body.take("language")
                return [{"type": "tool_call", "id": node_id, "name": recipient, "arguments": arguments} | extra]
        if role != "tool":
            return body.parts()
        call = self._calls.get(parent) if parent is not None else None
        name = author.get("name")
        if call is not None and _is_same_tool(call[1], name):
            self._calls[node_id] = call
        response, others = body.response()
        part: Part = {"type": "tool_call_response", "id": self._calls.get(node_id, ("",))[0], "response": response}
        if isinstance(name, str) and name:
            part["name"] = name
        if body.kind == "system_error":
            part["is_error"] = True
        return [part, *others]

    def _attachments(self, metadata: Any, body: _Body) -> list[Part]:
        """Parts for the attached files that the content does not point at."""
        attachments = metadata.get("attachments") if isinstance(metadata, dict) else None
        found = []
        for item in attachments if isinstance(attachments, list) else ():
            ids = [item[key] for key in ("id", "file_id") if isinstance(item.get(key), str)] if _is_dict(item) else []
            if not ids or not body.pointed.isdisjoint(ids):
                continue
            stated = item.get("mime_type")
            asset_id = next((name for name in ids if self._assets.find(name)), ids[0])
            shown = {key: item[key] for key in ("name", "mime_type", "size") if is_said(item.get(key))}
            missing = {"type": "file", "file_id": ids[0]} | shown
            part = self._assets.part(self._draft, asset_id, stated, "", missing)
            found.append(part | {key: value for key, value in shown.items() if key == "name"})
        return found


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _take_reason(found: Message, metadata: dict[str, Any]) -> None:
    details = metadata.get("finish_details")
    if not isinstance(details, dict) or not isinstance(details.get("type"), str) or details["type"] in ("", "unknown"):
        return
    found["finish_reason"] = details["type"]
    metadata["finish_details"] = {key: value for key, value in details.items() if key != "type"}
    if not is_said(metadata["finish_details"]):
        del metadata["finish_details"]


def _is_same_tool(called: str, name: Any) -> bool:
    """Whether an answer is of the tool that was called: `browser.search` answers as itself or as `browser`."""
    return isinstance(name, str) and called.partition(".")[0] == name.partition(".")[0]


def _classify(found: Message, body: _Body, metadata: Any) -> None:
    hidden = isinstance(metadata, dict) and (
        metadata.get("is_visually_hidden_from_conversation") is True or metadata.get("is_user_system_message") is True
    )
    if body.kind == "system_error":
        found["kind"] = "error"
    elif body.kind in CONTEXT or (hidden and found["role"] in ("system", "user")):
        found["kind"] = "context"


class _Body:
    """The content of a message. What is taken out of it is gone from `rest`, which is kept."""

    def __init__(self, draft: Draft, assets: Assets, content: Mapping[str, Any]) -> None:
        self._draft = draft
        self._assets = assets
        self.rest = dict(content)
        kind = self.rest.pop("content_type", None)
        if kind is not None and not isinstance(kind, str):
            self.rest["content_type"] = kind
            kind = None
        self.kind: str = kind or "text"
        self.pointed: set[str] = set()
        """ids of the files that the content points at"""

    def take(self, name: str) -> dict[str, Any]:
        """A field that goes to a part under its own name, when it is there."""
        return {name: self.rest.pop(name)} if is_said(self.rest.get(name)) else {}

    def arguments(self) -> Any:
        """What a tool was called with; None when this is no plain call."""
        if self.kind == "code" and isinstance(self.rest.get("text"), str):
            return self.rest.pop("text")
        strings = self.rest.get("parts")
        if self.kind != "text" or not isinstance(strings, list) or not all(isinstance(text, str) for text in strings):
            return None
        del self.rest["parts"]
        return strings[0] if len(strings) == 1 else strings

    def parts(self) -> list[Part]:
        """The parts of a message that is neither a call nor a result."""
        if self.kind in ("text", "multimodal_text"):
            return self._listed()
        if self.kind in ("thoughts", "reasoning_recap"):
            return self._reasoning()
        if self.kind in ("code", "execution_output", "system_error") and isinstance(self.rest.get("text"), str):
            part = {"type": "text", "content": self.rest.pop("text")}
            return [part | self.take("language") | self.take("name")]
        if self.kind in CONTEXT:
            names = [name for name, value in self.rest.items() if isinstance(value, str) and value]
            return [{"type": "text", "content": self.rest.pop(name), "name": name} for name in names]
        return self._verbatim()

    def response(self) -> tuple[Any, list[Part]]:
        """What a tool gave back, and the parts beside it."""
        if self.kind in ("code", "execution_output", "system_error") and isinstance(self.rest.get("text"), str):
            return self.rest.pop("text"), []
        if self.kind in ("text", "multimodal_text") and isinstance(self.rest.get("parts"), list):
            parts = self._listed()
            texts = [part["content"] for part in parts if _is_plain(part)]
            others = [part for part in parts if not _is_plain(part)]
            return texts[0] if len(texts) == 1 else texts, others
        content, self.rest = self.rest, {}
        return content, self.pointers(content)

    def _listed(self) -> list[Part]:
        items = self.rest.get("parts")
        found: list[Part] = []
        if isinstance(items, list):
            del self.rest["parts"]
            for item in items:
                found += self._item(item)
        if isinstance(self.rest.get("text"), str):
            found.append({"type": "text", "content": self.rest.pop("text")})
        return found

    def _item(self, item: Any) -> list[Part]:
        if isinstance(item, str):
            return [{"type": "text", "content": item}]
        if not isinstance(item, dict):
            return [record_part(item)]
        kind = item.get("content_type")
        if isinstance(item.get("asset_pointer"), str):
            return [self._asset(item)]
        if kind == "audio_transcription" and isinstance(item.get("text"), str):
            others = {key: value for key, value in item.items() if key not in ("text", "content_type")}
            part: Part = {"type": "text", "content": item["text"], "content_type": kind}
            return [part | ({"transcription": others} if others else {})]
        return [_other(kind, item), *self.pointers(item)]

    def _reasoning(self) -> list[Part]:
        found: list[Part] = []
        thoughts = self.rest.get("thoughts")
        if isinstance(thoughts, list):
            del self.rest["thoughts"]
            for thought in thoughts:
                said = dict(thought) if isinstance(thought, dict) else {"content": thought}
                content = said.pop("content", None)
                if isinstance(content, str) and not {"type", "signature"} & said.keys():
                    found.append({"type": "reasoning", "content": content} | kept(said))
                else:
                    found.append(record_part(thought))
        if isinstance(self.rest.get("content"), str):
            found.append({"type": "reasoning", "content": self.rest.pop("content")})
        return found + [part | {"type": "reasoning"} if _is_plain(part) else part for part in self._listed()]

    def _verbatim(self) -> list[Part]:
        content, self.rest = self.rest, {}
        return [_other(self.kind, content), *self.pointers(content)]

    def pointers(self, value: Any) -> list[Part]:
        """Parts for the files that a value points at from inside, to a small depth."""
        found: list[Part] = []
        level = [value]
        for _ in range(4):
            below: list[Any] = []
            for item in level:
                if isinstance(item, dict) and isinstance(item.get("asset_pointer"), str):
                    found.append(self._asset(item))
                elif isinstance(item, str) and item.startswith(POINTER):
                    found.append(self._asset({"asset_pointer": item}))
                elif isinstance(item, dict | list):
                    below += item.values() if isinstance(item, dict) else item
            level = below
        return found

    def _asset(self, pointer: Mapping[str, Any]) -> Part:
        """A file that is pointed at: `file-service://file-…`, `sediment://file_…`."""
        link = pointer["asset_pointer"]
        kind = pointer.get("content_type")
        modality = next((name for name in ("image", "audio", "video") if isinstance(kind, str) and name in kind), "")
        ids = [piece for piece in link.rpartition("://")[2].split("#") if piece]
        self.pointed.update(ids)
        asset_id = next((piece for piece in ids if self._assets.find(piece)), ids[0] if ids else "")
        missing: Part = {"type": "uri", "uri": link}
        if modality:
            missing["modality"] = modality
        part = self._assets.part(self._draft, asset_id, _mime_of(pointer), modality, missing)
        return part | {"asset": dict(pointer)}


def _is_plain(part: Part) -> bool:
    """Whether a part is a text and nothing else."""
    return part["type"] == "text" and len(part) == 2


def _mime_of(pointer: Mapping[str, Any]) -> str | None:
    """The mime type of a sound, which states an ending only."""
    ending = pointer.get("format")
    return f"audio/{ending}" if isinstance(ending, str) and ending else None


def _other(kind: Any, content: Mapping[str, Any]) -> Part:
    """A part of a kind that the model has no name for, verbatim."""
    rest = {key: value for key, value in content.items() if key != "content_type"}
    if isinstance(kind, str) and kind and kind not in OWN_PARTS and "type" not in rest:
        return {"type": kind} | rest
    return record_part(dict(content) | ({"content_type": kind} if kind is not None else {}))

"""The parts of a message as Responses items of a Codex rollout, and the events that tell their texts again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.turns import Ids, OpenCalls

Item = dict[str, Any]
_ACTIONS = ("local_shell", "web_search")
"""Calls of Codex's own whose arguments are an object, under `action`."""
_KNOWN = frozenset({"type", "content", "modality", "mime_type", "data", "object", "bytes", "uri"})
_EVENTS = {"user": ("user_message", "message"), "assistant": ("agent_message", "message")}


class Items:
    """Turns the parts of one session's messages into items."""

    def __init__(self, revision: dict[str, Any], report: Report) -> None:
        self.revision, self.report = revision, report
        self.own = revision.get("source") == "codex"
        self._ids = Ids("", 1 << 20)
        self._open: OpenCalls[tuple[str, str]] = OpenCalls()
        """The id and the type that each call was written with."""

    def of(self, message: dict[str, Any]) -> Iterator[Item]:
        """The items of a message: what is said together is one item, each thought, call and result one of its own."""
        x = dict(message.get("x") or {}) if self.own else {}
        said: list[Item] = []
        role = self._role(message, x)
        for part in message["parts"]:
            kind = part["type"]
            piece = self._said(part, role)
            if piece is not None:
                said.append(piece)
                continue
            if said:
                yield self._message(message, role, said, x)
                said = []
            if kind == "reasoning":
                yield from self._reasoning(part, message)
            elif kind == "tool_call":
                yield self._call(part, x)
            elif kind == "tool_call_response":
                yield self._output(part, x)
            elif self.own and kind not in ("record", "blob", "uri", "file"):
                yield part
            else:
                self.report.count(f"parts of type {kind} left out")
        if said:
            yield self._message(message, role, said, x)

    def event(self, item: Item, kind: str | None) -> Item | None:
        """The event that tells an item's text again, so that the program shows it; None when it has none."""
        if item.get("type") == "reasoning" and item["summary"]:
            return {"type": "agent_reasoning", "text": item["summary"][0]["text"]}
        if item.get("type") != "message" or item["role"] not in _EVENTS or kind == "context":
            return None
        name, field = _EVENTS[item["role"]]
        text = "".join(piece.get("text", "") for piece in item["content"])
        if not text.strip():
            return None
        images = [piece["image_url"] for piece in item["content"] if piece["type"] == "input_image"]
        return {"type": name, field: text, **({"images": images} if item["role"] == "user" else {})}

    def _role(self, message: dict[str, Any], x: dict[str, Any]) -> str:
        role = message["role"]
        if role == "system":
            return str(x.pop("role", "developer"))
        return "user" if role == "tool" else str(role)

    def _message(self, message: dict[str, Any], role: str, said: list[Item], x: dict[str, Any]) -> Item:
        if x and role == "user" and message.get("kind") == "context":
            # What Codex itself puts into the user's mouth says nothing besides; another agent's word does.
            return {"type": "agent_message", **x, "content": said}
        return {"type": "message", "role": role, "content": said, **({"phase": x["phase"]} if "phase" in x else {})}

    def _said(self, part: dict[str, Any], role: str) -> Item | None:
        """Text, or an image that a user has shown, as a piece of a message item."""
        if part["type"] == "text":
            kind = "output_text" if role == "assistant" else "input_text"
            made: Item | None = {"type": kind, "text": content.plain_text(part)}
        else:
            made = _image(part) if role == "user" else None
        return {**self._rest(part), **made} if made else None

    def _rest(self, part: dict[str, Any]) -> dict[str, Any]:
        """What Codex itself has said of a piece besides."""
        return {name: value for name, value in part.items() if name not in _KNOWN} if self.own else {}

    def _reasoning(self, part: dict[str, Any], message: dict[str, Any]) -> Iterator[Item]:
        text, signature = content.plain_text(part), part.get("signature")
        if signature and content.maker_of(message, self.revision) != "openai":
            self.report.count("signatures of reasoning by another provider left out")
            signature = None
        if not text and not signature and not self.own:
            return
        yield {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}] if text else [],
            "content": None,
            "encrypted_content": signature,
        }

    def _call(self, part: dict[str, Any], x: dict[str, Any]) -> Item:
        raw, name, arguments = str(part.get("id") or ""), str(part.get("name") or ""), part.get("arguments")
        ident = raw if self.own else self._ids.unique(raw)
        rest = {field: value for field, value in x.items() if field in ("status", "namespace", "execution")}
        if self.own and name in _ACTIONS and isinstance(arguments, dict):
            kind, item = f"{name}_call", {"call_id": ident, "action": arguments}
        elif isinstance(arguments, str) and not _is_object(arguments):
            kind, item = "custom_tool_call", {"call_id": ident, "name": name, "input": arguments}
        else:
            told = content.arguments_string(arguments)
            kind, item = "function_call", {"name": name, "arguments": told, "call_id": ident}
        self._open.add(raw, (ident, kind))
        return {"type": kind, **item, **rest}

    def _output(self, part: dict[str, Any], x: dict[str, Any]) -> Item:
        raw = str(part.get("id") or "")
        ident, kind = self._open.answer(raw) or (raw or "call", "function_call")
        output = self._told(part)
        metadata = x.get("metadata")
        if isinstance(metadata, dict) and isinstance(output, str):
            output = content.dumps({"output": output, "metadata": metadata})
        elif part.get("is_error") is True and not self.own:
            self.report.count("failure marks of tool results left out")
        custom = kind == "custom_tool_call"
        return {"type": f"{kind if custom else 'function_call'}_output", "call_id": ident, "output": output}

    def _told(self, part: dict[str, Any]) -> str | list[Item]:
        response = part.get("response")
        if isinstance(response, str):
            return response
        pieces: list[Item] = []
        for item in content.contents(response):
            made = _image(item) if item["type"] != "text" else {"type": "input_text", "text": item["content"]}
            self.report.count("images in tool results left out", int(made is None))
            pieces += [] if made is None else [{**self._rest(item), **made}]
        if isinstance(response, list):
            return pieces
        return "\n".join(piece["text"] for piece in pieces if "text" in piece)


def _image(part: dict[str, Any]) -> Item | None:
    if part["type"] == "uri" and part.get("modality", "image") == "image" and content.is_link(part.get("uri")):
        return {"type": "input_image", "image_url": part["uri"]}
    found = content.blob(part) if part["type"] == "blob" else None
    if found is None or not found[0].startswith("image/"):
        return None
    return {"type": "input_image", "image_url": content.data_uri(*found)}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

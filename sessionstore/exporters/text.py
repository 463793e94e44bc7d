"""Parts of a message as readable text; shared by everything that shows conversations to people."""

from __future__ import annotations

import json
from typing import Any

import orjson


def arguments_text(arguments: Any) -> str:
    """A tool call's arguments as indented JSON; a JSON string is unfolded, any other string stays as it is."""
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except ValueError:
            return str(arguments)
    return json.dumps(arguments, indent=2, ensure_ascii=False)


def response_text(response: Any) -> str:
    """A tool's output as text: strings as they are, text parts of lists joined, anything else as JSON."""
    if isinstance(response, str):
        return response
    if isinstance(response, list):
        return "\n".join(filter(None, (_item_text(item) for item in response)))
    if isinstance(response, dict):
        for name in ("output", "text", "content"):
            if isinstance(response.get(name), str):
                return str(response[name])
    return "" if response is None else json.dumps(response, indent=2, ensure_ascii=False)


def _item_text(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        for name in ("text", "content", "output"):
            if isinstance(item.get(name), str):
                return str(item[name])
        if item.get("type") in ("image", "blob"):
            return "[image]"
    return json.dumps(item, ensure_ascii=False)


def blob_text(part: dict[str, Any]) -> str:
    """A one-line stand-in for an image or another blob."""
    name = part.get("object") or part.get("uri") or part.get("name") or ""
    words = (part.get("modality") or part["type"], part.get("mime_type"), str(name)[:80])
    return f"[{' '.join(str(word) for word in words if word)}]"

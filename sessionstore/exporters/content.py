"""Parts of a message in the shapes that providers ask for: tool arguments, tool outputs, images, signatures."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from sessionstore import canonical

Part = dict[str, Any]
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_MAKERS = (
    ("claude", "anthropic"),
    ("gpt", "openai"),
    ("chatgpt", "openai"),
    ("codex", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini", "google"),
    ("gemma", "google"),
    ("kimi", "moonshot"),
    ("moonshot", "moonshot"),
)
_SOURCES = {"claude-code": "anthropic", "codex": "openai", "gemini-cli": "google"}


def dumps(value: Any, **options: Any) -> str:
    """JSON for another program: keys in the order given, text as it is, nothing that JSON cannot hold."""
    return json.dumps(canonical.clean(value), ensure_ascii=False, **options)


def plain_text(part: Part) -> str:
    """The text of a text or reasoning part."""
    content = part.get("content")
    return content if isinstance(content, str) else ""


def texts(parts: list[Part]) -> list[str]:
    """The texts among some parts, blank ones left out."""
    found = (plain_text(part) for part in parts if part.get("type") == "text")
    return [text for text in found if text.strip()]


def maker_of(message: dict[str, Any], revision: dict[str, Any]) -> str:
    """Whose model has said a message: "anthropic", "openai", "google", "moonshot", or "" when nothing tells. What a
    model has signed or encrypted can be read by its maker only."""
    model = str(message.get("model") or "").lower().rpartition("/")[2]
    for begin, maker in _MAKERS:
        if model.startswith(begin):
            return maker
    return "" if model else _SOURCES.get(str(revision.get("source")), "")


# --- tools ---------------------------------------------------------------------------------------------------


def arguments_object(arguments: Any) -> tuple[dict[str, Any], bool]:
    """A tool call's arguments as an object, and whether they had to be wrapped because they are none."""
    value = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            value = arguments
    if isinstance(value, dict):
        return value, False
    return ({}, False) if value is None else ({"input": value}, True)


def arguments_string(arguments: Any) -> str:
    """A tool call's arguments as JSON text; what is text already stays as it is."""
    if isinstance(arguments, str):
        return arguments or "{}"
    return dumps({} if arguments is None else arguments)


def contents(response: Any) -> list[Part]:
    """A tool's output as text, blob and uri parts, whatever shape its source gave it."""
    if isinstance(response, str):
        return [{"type": "text", "content": response}] if response else []
    if isinstance(response, list):
        return [part for item in response if (part := _item(item)) is not None]
    if response is None:
        return []
    if isinstance(response, dict) and len(response) == 1:
        told = response.get("output", response.get("error"))
        if isinstance(told, str):
            return contents(told)
    return [{"type": "text", "content": dumps(response)}]


def _item(item: Any) -> Part | None:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if not isinstance(item, dict):
        return {"type": "text", "content": dumps(item)}
    kind = item.get("type")
    for name in ("content", "text"):
        if kind in ("text", "input_text", "output_text", None) and isinstance(item.get(name), str):
            return {"type": "text", "content": item[name]}
    if kind in ("blob", "uri"):
        return item
    return _picture(item) or {"type": "text", "content": dumps(item)}


def _picture(item: Part) -> Part | None:
    """An image as the providers' own blocks write it."""
    source, link = item.get("source"), item.get("image_url")
    if isinstance(link, dict):
        link = link.get("url")
    if isinstance(link, str):
        return from_uri(link)
    if not isinstance(source, dict):
        return None
    if isinstance(source.get("url"), str):
        return from_uri(source["url"])
    mime, data = source.get("media_type"), source.get("data")
    if isinstance(mime, str) and isinstance(data, str):
        return {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "data": data}
    return None


def from_uri(link: str) -> Part:
    """A link to an image as a part: a blob when the link holds the image itself."""
    head = _DATA_URI.match(link)
    if head is None:
        return {"type": "uri", "modality": "image", "uri": link}
    mime = head[1]
    return {"type": "blob", "modality": mime.partition("/")[0], "mime_type": mime, "data": link[head.end() :]}


# --- blobs ---------------------------------------------------------------------------------------------------


def blob(part: Part) -> tuple[str, str] | None:
    """(MIME type, base64) of a blob part; None when its data is not there or is damaged."""
    mime, data = part.get("mime_type"), part.get("data")
    if not isinstance(mime, str) or not isinstance(data, str) or not data or not is_base64(data):
        return None
    return mime, data


def is_base64(data: str) -> bool:
    """Whether a text is base64 without anything else."""
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def data_uri(mime: str, data: str) -> str:
    """Bytes as a link that holds them."""
    return f"data:{mime};base64,{data}"


def is_link(uri: Any) -> bool:
    """Whether something is a link that another program can follow."""
    return isinstance(uri, str) and uri.startswith(("http://", "https://"))

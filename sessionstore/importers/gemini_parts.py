"""The pieces of Gemini's API messages, which Gemini CLI and its forks write to disk: parts and token figures.

Everything takes parsed JSON of any shape. A part that says what its shape promises becomes a part of the unified form
and its further fields travel along in it; any other is kept verbatim in a `record` part.
"""

from __future__ import annotations

from typing import Any

from sessionstore.importers.common import OWN_PARTS

Part = dict[str, Any]
MOST_TOKENS = 1 << 53


def kept(value: Any) -> Part:
    """A value verbatim."""
    return {"type": "record", "record": value if isinstance(value, dict) else {"value": value}}


def extended(part: Part, source: Part, known: tuple[str, ...]) -> Part:
    """`part` with the fields of `source` that are not `known`; the source verbatim when they would collide."""
    rest = {name: value for name, value in source.items() if name not in known}
    return kept(source) if rest.keys() & part.keys() or "type" in rest else part | rest


def parts_of(content: Any) -> list[Part] | None:
    """The parts of a message's content: a text, a part, or a list of both. None when it is none of these."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if isinstance(content, dict):
        return [part_of(content)]
    if not isinstance(content, list):
        return None
    return [part_of(item) if isinstance(item, dict) else _text(item) for item in content]


def _text(item: Any) -> Part:
    return {"type": "text", "content": item} if isinstance(item, str) else kept(item)


def part_of(item: Part) -> Part:
    """One of Gemini's parts; those of other APIs that carry a `type` stay what they are."""
    kind = item.get("type")
    if isinstance(item.get("text"), str) and kind in (None, "text"):
        if item.get("thought") is True:
            return extended({"type": "reasoning", "content": item["text"]}, item, ("type", "text", "thought"))
        known = ("type", "text", "thought") if item.get("thought") is False else ("type", "text")
        return extended({"type": "text", "content": item["text"]}, item, known)
    for name, convert in _SHAPES.items():
        if isinstance(value := item.get(name), dict):
            part = convert(value)
            return kept(item) if part is None else _around(part, item, name)
    return item if isinstance(kind, str) and kind not in OWN_PARTS else kept(item)


def _around(part: Part, item: Part, name: str) -> Part:
    whole = extended(part, item, (name,))
    return kept(item) if whole["type"] == "record" else whole


def _call(value: Part) -> Part | None:
    ident = value.get("id", "")
    if not isinstance(value.get("name"), str) or not isinstance(ident, str):
        return None
    part = {"type": "tool_call", "id": ident, "name": value["name"], "arguments": value.get("args")}
    return _whole(part, value, ("id", "name", "args"))


def _response(value: Part) -> Part | None:
    ident = value.get("id", "")
    if not isinstance(ident, str) or "response" not in value:
        return None
    part = {"type": "tool_call_response", "id": ident, "response": value["response"]}
    return _whole(part, value, ("id", "response"))


def _inline(value: Part) -> Part | None:
    kind, data = value.get("mimeType"), value.get("data")
    if not isinstance(kind, str) or not isinstance(data, str):
        return None
    part = {"type": "blob", "modality": kind.partition("/")[0], "mime_type": kind, "data": data}
    return _whole(part, value, ("mimeType", "data"))


def _file(value: Part) -> Part | None:
    uri = value.get("fileUri")
    return _whole({"type": "uri", "uri": uri}, value, ("fileUri",)) if isinstance(uri, str) else None


def _whole(part: Part, value: Part, known: tuple[str, ...]) -> Part | None:
    whole = extended(part, value, known)
    return None if whole["type"] == "record" or {"object", "bytes", "modality"} & (value.keys() - set(known)) else whole


_SHAPES = {"functionCall": _call, "functionResponse": _response, "inlineData": _inline, "fileData": _file}


def count(value: Any) -> int:
    """A number of tokens; 0 when it is none that could be true."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else 0


def usage_of(figures: list[int]) -> dict[str, int]:
    """Figures (input with the cache, output with the thoughts, from the cache, thoughts) in the unified form."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    return {name: figure for name, figure in zip(names, figures, strict=True) if figure}

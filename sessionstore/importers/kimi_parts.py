"""What Moonshot's two programs, kimi-cli and kimi-code, write alike: times, content parts, tool calls, token counts.

Both use the same message library, kimi-cli with Python's names (`tool_calls`, `image_url`), kimi-code with those of
JavaScript (`toolCalls`, `imageUrl`). What the unified model has no name for is kept under the source's own name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sessionstore.importers.base import Message, Source
from sessionstore.importers.common import OWN_PARTS
from sessionstore.importers.material import Companion
from sessionstore.importers.parsing import Unparsable

Json = dict[str, Any]
Fetch = Callable[[str], str | None]
"""Gives the base64 text of media that a part names by a `blobref:` link, None when it is not there."""

ROLES = frozenset({"system", "user", "assistant", "tool"})
_MEDIA = re.compile(r"(image|audio|video)(_url|Url)?")
_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)(;[\w=.+-]+)*;base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253402300799


def instant(value: Any, per_second: int = 1) -> str | None:
    """A point in time given as a number of seconds (or thousandths) since 1970, as RFC 3339 in UTC; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST * per_second:
        return None
    moment = _EPOCH + timedelta(microseconds=round(value * (1_000_000 // per_second)))
    precision = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def record_part(value: Any) -> Json:
    """Anything verbatim, as a part."""
    return {"type": "record", "record": value if isinstance(value, dict) else {"value": value}}


def meta(record: Any) -> Message:
    """A record that is no conversation, as a message that still lacks its id."""
    return {"role": "system", "kind": "meta", "parts": [record_part(record)]}


def content_parts(content: Any, fetch: Fetch | None = None) -> list[Json]:
    """The parts of a message's content, which is a text or a list."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [content_part(item, fetch) for item in content] if isinstance(content, list) else [record_part(content)]


def content_part(item: Any, fetch: Fetch | None = None) -> Json:
    """One part of a message's content."""
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return record_part(item)
    kind = item["type"]
    if "content" in item or "signature" in item:
        return record_part(item) if kind in OWN_PARTS else item
    if kind == "text" and isinstance(item.get("text"), str):
        return {"type": "text", "content": item["text"]} | _without(item, "type", "text")
    if kind == "think" and isinstance(item.get("think"), str):
        rest = _without(item, "type", "think")
        part = {"type": "reasoning", "content": item["think"]}
        if isinstance(rest.get("encrypted"), str):
            part["signature"] = rest.pop("encrypted")
        elif rest.get("encrypted", ...) is None:
            del rest["encrypted"]
        return part | rest
    if media := _MEDIA.fullmatch(kind):
        return _media(item, kind, media[1], fetch) or item
    return record_part(item) if kind in OWN_PARTS else item


def _without(item: Mapping[str, Any], *names: str) -> Json:
    return {key: value for key, value in item.items() if key not in names}


def _media(item: Json, kind: str, modality: str, fetch: Fetch | None) -> Json | None:
    """An image, sound or film: `{"type": "image_url", "image_url": {"url", "id"}}`, once `{"type": "image", "url"}`."""
    name = next((name for name in (kind, f"{modality}Url") if name in item), kind)
    holder = item.get(name)
    link = holder if isinstance(holder, dict) else {"url": holder} if isinstance(holder, str) else item
    url = link.get("url")
    rest = _without(link, "url", "type") | (_without(item, "type", name) if link is not item else {})
    if not isinstance(url, str) or {"modality", "uri", "mime_type", "data", "object", "bytes"} & set(rest):
        return None
    rest = {key: value for key, value in rest.items() if value is not None}
    mime, data = None, None
    if url.startswith("blobref:"):
        mime, _, _ = url[len("blobref:") :].partition(";")
        data = fetch(url) if fetch else None
        rest["blobref"] = url
    elif head := _DATA_URI.match(url):
        mime, data = head["mime"], url[head.end() :]
    if mime and data is not None and len(data) % 4 == 0 and _BASE64.fullmatch(data):
        return {"type": "blob", "modality": modality, "mime_type": mime, "data": data} | rest
    return {"type": "uri", "modality": modality, "uri": url} | _without(rest, "blobref")


def tool_call(call: Any) -> Json:
    """One tool call: `{"type": "function", "id", "function": {"name", "arguments"}}`, or the same not nested."""
    if not isinstance(call, dict) or call.get("type", "function") != "function":
        return record_part(call)
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    rest = _without(call, "type", "id", "function" if inner is not call else "name")
    other = _without(inner, "name", "arguments") if inner is not call else {}
    if inner is call:
        rest.pop("arguments", None)
    if not isinstance(call.get("id"), str) or not isinstance(inner.get("name"), str):
        return record_part(call)
    if {"name", "arguments"} & set(rest):
        return record_part(call)
    if other:
        rest["function"] = other
    part = {"type": "tool_call", "id": call["id"], "name": inner["name"], "arguments": inner.get("arguments")}
    return part | {key: value for key, value in rest.items() if value is not None}


def usage_of(counts: Any, other: str, output: str, read: str, write: str) -> dict[str, int] | None:
    """What an answer has cost, from the source's four counts; None when there is no such thing."""
    if not isinstance(counts, dict):
        return None
    fresh, out, cached, made = (_count(counts.get(name)) for name in (other, output, read, write))
    usage = {
        "input_tokens": fresh + cached + made,
        "output_tokens": out,
        "cache_read_tokens": cached,
        "cache_write_tokens": made,
    }
    return {name: figure for name, figure in usage.items() if figure} or None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 60 else 0


def text_of(parts: Iterable[Mapping[str, Any]]) -> str:
    """The text parts, one after the other."""
    return "\n".join(part["content"] for part in parts if part["type"] == "text" and isinstance(part["content"], str))


def companion_records(source: Source, companion: Companion) -> list[Json]:
    """The records of a companion that has one on each line, counted in the source's account."""
    below = Source(companion.name, companion.blocks(), account=source.account)
    found = list(below.records())
    for code, (n, note) in below.file_issues.items():
        if code == "torn-last-line":
            code, note = "torn-line-in-companion", f"the last line of {companion.name} was unfinished"
        for _ in range(n):
            source.note(code, note)
    return found


def companion_document(source: Source, companion: Companion) -> Json | None:
    """A companion that is one JSON object, counted as one record; None and a rejection when it is none."""
    source.account.records += 1
    try:
        value, flags = companion.document()
    except Unparsable as error:
        source.reject(f"{companion.name}: {error}")
        source.note("companion-unreadable", "a file that belongs to the session could not be read")
        return None
    for flag in flags:
        source.note(flag)
    if isinstance(value, dict):
        source.mapped()
        return value
    source.reject(f"{companion.name}: not a JSON object")
    return None


def companion_text(source: Source, companion: Companion) -> str:
    """A companion that is a text, counted as one record."""
    source.account.records += 1
    try:
        text = companion.read().decode("utf-8", "replace")
    except Unparsable as error:
        source.reject(str(error))
        return ""
    source.mapped()
    if "\ufffd" in text:
        source.note("invalid-utf8")
    return text

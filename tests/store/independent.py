"""A second implementation of docs/format.md: the standard library and a zstd decoder, nothing of sessionstore.

It is written from the specification, plainly and without regard for speed. That it gives the same names and bytes as
the real one proves that the specification says enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

Json = dict[str, Any]
Put = Callable[[bytes, str], str]
"""Stores an object of a kind and returns its name."""


def sha256(data: bytes) -> str:
    """64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


# -- canonical JSON ----------------------------------------------------------------------------------------------------

_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def canonical(value: Any) -> bytes:
    """Form SS-1 of a value."""
    return _written(value).encode()


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value) if -(2**63) <= value < 2**64 else f'"{value}"'
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    pairs = sorted((_sound(key), item) for key, item in value.items())
    return f"{{{','.join(f'{_string(key)}:{_written(item)}' for key, item in pairs)}}}"


def _sound(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def _string(text: str) -> str:
    return '"' + "".join(_SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in _sound(text)) + '"'


def _number(value: float) -> str:
    if not math.isfinite(value):
        return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) - len(fraction) + len(digits)
    digits = digits.rstrip("0")
    if not -5 < point <= 16:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'+' if point > 1 else ''}{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"


# -- names -------------------------------------------------------------------------------------------------------------

_KEPT = "abcdefghijklmnopqrstuvwxyz0123456789._-"


def slug(key: str) -> str:
    """The file-name form of a session key."""
    plain = ""
    for c in key:
        lower = {"\u212a": "k", "\u0130": "i\u0307"}.get(c) or (c.lower() if c.isascii() else c)
        for letter in lower:
            if letter in _KEPT:
                plain += letter
                in_run = False
            elif not plain or not in_run:
                plain += "-"
                in_run = True
    plain = plain[:80] or "-"
    if re.fullmatch(r"con|prn|aux|nul|(com|lpt)[0-9]", plain.split(".")[0]):
        plain = ("_" + plain)[:80]
    return f"{plain}-{sha256(key.encode())[:8]}"


def fanout(key: str) -> str:
    """The directory of a key's documents."""
    return sha256(key.encode())[:2]


def document_name(key: str, data: bytes) -> str:
    """The place of a revision below sessions/, or of a note below notes/."""
    return f"{fanout(key)}/{slug(key)}.{sha256(data)}.json"


def session_key(source: str, native_id: str, root: str | None) -> str:
    """The key of a session, scoped by its root when there is one."""
    scope = f"{sha256(root.encode())[:8]}:" if root is not None else ""
    return f"{source}:{scope}{native_id}"


# -- cutting -----------------------------------------------------------------------------------------------------------


def cut_pages(lengths: list[int], system_first: bool) -> tuple[list[int], int]:
    """Rule P1: the number of messages in each page, and of those left over."""
    pages, messages, size = [], 0, 0
    for number, length in enumerate(lengths):
        messages, size = messages + 1, size + length
        if size >= 32768 or (number == 0 and system_first and length > 4096):
            pages.append(messages)
            messages, size = 0, 0
    return pages, messages


def cut_chunks(data: bytes, rule: str) -> Iterator[bytes]:
    """Rules L1, E1 and B1."""
    start = 0
    while start < len(data):
        end = start + (1 << 20) if rule == "B1" else _line_end(data, start, b"\n" if rule == "L1" else b"}")
        yield data[start:end]
        start = end


def _line_end(data: bytes, start: int, mark: bytes) -> int:
    line = start
    while (feed := data.find(mark, line)) >= 0 and feed - start < 8388608:
        size = feed + 1 - start
        if size >= 2097152 or (size >= 524288 and zlib.crc32(data[line:feed]) % 256 == 0):
            return feed + 1
        line = feed + 1
    return min(start + 8388608, len(data))


# -- sessions ----------------------------------------------------------------------------------------------------------


def compose(key: str, fields: Json, parents: Iterable[str], messages: Iterable[Json], put: Put) -> tuple[str, bytes]:
    """The file name and bytes of a revision."""
    blobs: dict[str, int] = {}

    def value(data: bytes) -> str:
        name = put(data, "bin")
        blobs[name] = len(data)
        return name

    def replaced(message: Json) -> Json:
        message = _escaped({**message, "parts": [_blob(part, value) for part in message["parts"]]})
        return {name: _outlined(it, value) if name in ("parts", "x") else it for name, it in message.items()}

    stored = [replaced(message) for message in messages]
    lines = [canonical(message) + b"\n" for message in stored]
    cuts, _tail = cut_pages(list(map(len, lines)), bool(stored) and stored[0]["role"] == "system")
    pages, position = [], 0
    for n in cuts:
        data = b"".join(lines[position : position + n])
        pages.append({"id": put(data, "jsonl"), "n": n, "bytes": len(data)})
        position += n
    revision: Json = {name: entry for name, entry in fields.items() if entry not in (None, "", [], {})}
    revision |= {"format": "sessionstore/session", "v": 1, "key": key, "pages": pages, "messages": stored[position:]}
    revision["counts"] = {"messages": len(lines), "bytes": sum(map(len, lines)), "by_role": _roles(stored)}
    derived = {
        "models": list(dict.fromkeys(message["model"] for message in stored if message.get("model"))),
        "usage": _usage(stored),
        "blobs": [{"id": name, "bytes": size} for name, size in sorted(blobs.items())],
        "parents": sorted(parents),
    }
    revision |= {name: entry for name, entry in derived.items() if entry}
    times = [message["time"] for message in stored if message.get("time")]
    if times:
        revision = {"created_at": times[0], "updated_at": times[-1], **revision}
    data = canonical(revision)
    return document_name(key, data), data


def _blob(part: Json, value: Callable[[bytes], str]) -> Json:
    if part.get("type") != "blob" or not isinstance(part.get("data"), str):
        return part
    try:
        raw = base64.b64decode(part["data"], validate=True)
    except binascii.Error:
        return part
    if not raw or base64.b64encode(raw).decode() != part["data"]:
        return part
    return {**{name: entry for name, entry in part.items() if name != "data"}, "object": value(raw), "bytes": len(raw)}


def _escaped(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_escaped(item) for item in entry]
    if not isinstance(entry, dict):
        return entry
    return {re.sub(r"^(?=\$+object$)", "$", key): _escaped(item) for key, item in entry.items()}


def _outlined(entry: Any, value: Callable[[bytes], str]) -> Any:
    if isinstance(entry, str):
        data = entry.encode()
        return {"$object": value(data), "bytes": len(data)} if len(data) > 262144 else entry
    if isinstance(entry, list):
        return [_outlined(item, value) for item in entry]
    return {key: _outlined(item, value) for key, item in entry.items()} if isinstance(entry, dict) else entry


def _roles(messages: list[Json]) -> dict[str, int]:
    roles = [message["role"] for message in messages]
    return {role: roles.count(role) for role in set(roles)}


def _usage(messages: list[Json]) -> Json:
    names = ("input", "output", "cache_read", "cache_write", "reasoning")
    totals: Json = {}
    for name in (*(f"{name}_tokens" for name in names), "cost_microusd"):
        total = sum(message.get("usage", {}).get(name, 0) for message in messages)
        if total:
            totals[name] = total
    if any(message.get("usage", {}).get("estimated") for message in messages):
        totals["estimated"] = True
    return totals


# -- heads -------------------------------------------------------------------------------------------------------------


def heads(revisions: dict[str, Json], lines: dict[str, list[bytes]]) -> list[str]:
    """The names of the heads among all revisions of one session (by file name), given their message lines."""
    parents = {parent for revision in revisions.values() for parent in revision.get("parents", ())}
    history = [name for name in revisions if name.split(".")[-2] in parents]

    def was_replaced(old: str) -> bool:
        return any(
            lines[new][: len(lines[old])] == lines[old]
            and set(revisions[new].get("parents", ())) == set(revisions[old].get("parents", ()))
            for new in history
        )

    left = [name for name in revisions if name not in history and not was_replaced(name)]

    def rank(name: str) -> tuple[str, str]:
        return revisions[name].get("updated_at", ""), name

    def covers(new: str, old: str) -> bool:
        ours, theirs = lines[new], lines[old]
        return ours[: len(theirs)] == theirs and (len(ours) > len(theirs) or rank(new) > rank(old))

    kept = [old for old in left if not any(covers(new, old) for new in left if new != old)]
    return sorted(kept, key=rank, reverse=True)


# -- reading a store ---------------------------------------------------------------------------------------------------


def read_object(root: Path, name: str, kind: str) -> bytes:
    """An object's bytes, checked against its name."""
    plain = root / "objects" / name[:2] / f"{name}.{kind}"
    packed = plain.with_name(plain.name + ".zst")
    data = plain.read_bytes() if plain.exists() else zstandard.ZstdDecompressor().decompress(packed.read_bytes())
    assert sha256(data) == name
    return data


def read_lines(root: Path, revision: Json) -> list[bytes]:
    """A revision's messages as lines, with references to large values in them."""
    paged = b"".join(read_object(root, page["id"], "jsonl") for page in revision["pages"])
    return paged.splitlines(keepends=True) + [canonical(message) + b"\n" for message in revision["messages"]]


def read_messages(root: Path, revision: Json) -> list[Json]:
    """A revision's messages, with large strings put back."""

    def inlined(entry: Any) -> Any:
        if isinstance(entry, dict):
            if "$object" in entry:
                return read_object(root, entry["$object"], "bin").decode()
            return {re.sub(r"^\$(?=\$+object$)", "", key): inlined(item) for key, item in entry.items()}
        return [inlined(item) for item in entry] if isinstance(entry, list) else entry

    return [inlined(json.loads(line)) for line in read_lines(root, revision)]


def read_original(root: Path, entry: Json) -> bytes:
    """The exact bytes of an imported file."""
    chunks = (
        json.loads(read_object(root, entry["chunks_object"], "bin")) if "chunks_object" in entry else entry["chunks"]
    )
    data = b"".join(read_object(root, chunk["id"], "raw") for chunk in chunks)
    assert sha256(data) == entry["sha256"]
    assert len(data) == entry["bytes"]
    return data

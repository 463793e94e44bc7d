"""Messages as rows: everything the index keeps of a message, worked out in worker processes.

A row is a plain tuple of `str`, `int` and None (its last item a tuple of such, or None), so it crosses to the writer
as cheaply as data can. Its items are the columns `ROW` of the table `messages`, then the links between tool calls
and their results.

What a person can read is kept: text, reasoning, tool names, tool input, tool output, strings inside records that no
importer understands. Base64, signatures and encrypted content are not. SQLite refuses lone surrogates and integers
beyond 64 bits and some of its functions stop at NUL, so none of these leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import orjson

from sessionstore import canonical
from sessionstore.index import unspaced

Row = tuple[Any, ...]

ROW = (
    "seq",
    "message_id",
    "role",
    "kind",
    "time",
    "model",
    "tools",
    "errors",
    "images",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_microusd",
    "digest",
    "text",
    "reasoning",
    "tool_input",
    "tool_output",
    "cjk",
)
"""Columns of `messages` in the order of a row's items. One more item follows: None or
``([(call id, tool name), …], [(id of the call answered, 1 when it failed else 0), …])`` as tuples."""
USAGE, DIGEST, TEXT, LINKS = 9, 15, 16, 21
"""Where the six usage columns, the digest, the five text columns and the links begin."""

_NO_USAGE = (None,) * 6
_TEXT_OR_NONE = (str, type(None))
_DEEPEST = 100
_UNREADABLE = {"signature", "encrypted_content", "thinkingSignature", "thought_signature", "$object", "object"}
_REPEATED = {"originalFile", "structuredPatch", "oldString", "newString", "oldTodos", "newTodos", "filePath", "type"}
"""Members of Claude Code's `toolUseResult` that say again what the call or an earlier result said."""
_DATA_URI = re.compile(r"(;base64,)[A-Za-z0-9+/=_-]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")


def encode(messages: Iterable[dict[str, Any]], start: int = 0) -> list[Row]:
    """The rows of `messages`, the first of them being number `start` (from 0) of its session. Pure; never raises,
    whatever is inside the messages."""
    rows = []
    for seq, message in enumerate(messages, start):
        try:
            rows.append(_row(message, seq))
        except (AttributeError, TypeError, KeyError, RecursionError):
            rows.append(_row(_tamed(message, seq), seq))
    return rows


def _tamed(message: Any, seq: int) -> dict[str, Any]:
    """A message that is not of the unified form, as a record to be searched."""
    given = message if isinstance(message, dict) else {}
    name, role = given.get("id"), given.get("role")
    return {
        "id": name if isinstance(name, str) else f"m{seq + 1}",
        "role": role if isinstance(role, str) else "system",
        "kind": "meta",
        "parts": [{"type": "record", "record": message}],
    }


def _row(message: dict[str, Any], seq: int) -> Row:
    get = message.get
    text: list[str] = []
    reasoning: list[str] = []
    tool_input: list[str] = []
    tool_output: list[str] = []
    calls: list[tuple[str, str]] = []
    results: list[tuple[str, int]] = []
    images = 0
    for part in message["parts"]:
        kind = part.get("type")
        if kind == "text":
            _add(part.get("content"), text)
        elif kind == "tool_call_response":
            _add_json(part.get("response"), tool_output)
            results.append((_name(part.get("id")), 1 if part.get("is_error") else 0))
        elif kind == "tool_call":
            calls.append((_name(part.get("id")), _name(part.get("name")) or "?"))
            tool_input.append(calls[-1][1])
            _add_json(part.get("arguments"), tool_input)
        elif kind == "reasoning":
            _add(part.get("content"), reasoning)
        elif kind == "blob":
            images += part.get("modality") == "image"
        else:
            rest = {name: item for name, item in part.items() if name != "type"}
            _walk(rest, tool_output if kind == "record" else text)
    x = get("x")
    if x and "toolUseResult" in x:
        _add_result(x["toolUseResult"], tool_output)
    usage = get("usage")
    facts = (
        seq,
        message["id"],
        message["role"],
        get("kind"),
        _time(get("time"), x),
        get("model"),
        orjson.dumps([name for _, name in calls]).decode() if calls else None,
        sum(failed for _, failed in results) or None if results else None,
        images or None,
        *(_usage(usage) if usage else _NO_USAGE),
    )
    if not all(type(facts[i]) is str for i in (1, 2)) or not all(type(item) in _TEXT_OR_NONE for item in facts[3:6]):
        raise TypeError
    links = (tuple(calls), tuple(results)) if calls or results else None
    return _finish(facts, "\n".join(text), "\n".join(reasoning), "\n".join(tool_input), "\n".join(tool_output), links)


def _finish(facts: Row, text: str, reasoning: str, tool_input: str, tool_output: str, links: Any) -> Row:
    """A row from its small columns and its texts: makes them fit for SQLite and adds what follows from them."""
    whole = _joined(facts, text, reasoning, tool_input, tool_output)
    try:
        data = whole.encode()
        clean = b"\0" not in data and b";base64," not in data
    except UnicodeEncodeError:
        clean = False
    if not clean:
        facts = tuple(fit(item) if isinstance(item, str) else item for item in facts)
        text, reasoning, tool_input, tool_output = map(fit, (text, reasoning, tool_input, tool_output))
        links = tuple(tuple((fit(a), fit(b) if isinstance(b, str) else b) for a, b in pairs) for pairs in links or ())
        whole = _joined(facts, text, reasoning, tool_input, tool_output)
        data = whole.encode()
    cjk = None
    if len(data) != len(whole) and unspaced.found_in(whole):
        cjk = unspaced.column((text, reasoning, tool_input, tool_output))
    digest = crc32(data) | (len(data) & 0xFFFFF) << 32
    texts = (text or None, reasoning or None, tool_input or None, tool_output or None, cjk)
    return (*facts, digest, *texts, links or None)


def _joined(facts: Row, text: str, reasoning: str, tool_input: str, tool_output: str) -> str:
    a, b, c, d, e, f, g, h, i, j, k, l, m, n, o = facts  # noqa: E741  (a formatted tuple would cost four times as much)
    return (
        f"{a}\x1f{b}\x1f{c}\x1f{d}\x1f{e}\x1f{f}\x1f{g}\x1f{h}\x1f{i}\x1f{j}\x1f{k}\x1f{l}\x1f{m}\x1f{n}\x1f{o}\x1f"
        f"{text}\x1f{reasoning}\x1f{tool_input}\x1f{tool_output}"
    )


def digest_of(row: Row) -> int:
    """The digest that `encode` would give to a row of the columns `ROW`, from its other columns."""
    text, reasoning, tool_input, tool_output = (item or "" for item in row[TEXT : TEXT + 4])
    data = _joined(row[:DIGEST], text, reasoning, tool_input, tool_output).encode()
    return crc32(data) | (len(data) & 0xFFFFF) << 32


def fit(text: str) -> str:
    """`text` without what SQLite or a search has no use for: half surrogate pairs, NULs, base64 data."""
    return _DATA_URI.sub(r"\1", canonical.clean_text(text).replace("\0", "\ufffd"))


def _name(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else canonical.dumps(value).decode()


def _usage(usage: dict[str, Any]) -> Row:
    found = map(usage.get, ROW[USAGE : USAGE + 6])
    return tuple(n if type(n) is int and -(2**63) <= n < 2**63 else None for n in found)


def _time(time: Any, x: Any) -> str | None:
    """A message's time in UTC; a local time without a zone is kept as it is, for want of a better order."""
    if time:
        return utc(time)
    if x and isinstance(raw := x.get("time"), dict):
        return _name(raw.get("raw")) or None
    return None


def utc(time: str) -> str:
    """An RFC 3339 time moved to UTC; a text that is not one stays as it is."""
    if time.endswith("Z"):
        return time
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            return time
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return time


def _add(content: Any, out: list[str]) -> None:
    if type(content) is str:
        if content:
            out.append(content)
    else:
        _walk(content, out)


def _add_json(value: Any, out: list[str]) -> None:
    """Add a tool's input or output. A string that is JSON itself is looked into, so that words after an escaped line
    feed are words; a cut-off one has its commonest escapes undone."""
    if type(value) is not str:
        _walk(value, out)
        return
    if value[:1] in ("{", "[") and "\\" in value:
        try:
            _walk(orjson.loads(value), out)
            return
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            value = value.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    if value:
        out.append(value)


def _add_result(result: Any, tool_output: list[str]) -> None:
    """Add what Claude Code's structured copy of a tool result says beyond the result itself."""
    found: list[str] = []
    _walk({k: v for k, v in result.items() if k not in _REPEATED} if isinstance(result, dict) else result, found)
    if found:
        shown = "\n".join(tool_output)
        tool_output += [text for text in found if text not in shown]


def _walk(value: Any, out: list[str], depth: int = 0) -> None:
    """Add the strings and numbers inside a JSON value, members in the order in which the store keeps them (by name),
    so that a message gives the same row before it is stored and after. Names of members are not added: they are the
    tool's words and the same in every call."""
    if type(value) is str:
        if value and not (len(value) >= 256 and _BASE64.fullmatch(value)):
            out.append(value)
    elif type(value) is dict:
        if depth < _DEEPEST:
            for name, item in sorted(value.items()):
                if name not in _UNREADABLE and not (name == "type" and depth):
                    _walk(item, out, depth + 1)
    elif type(value) is list:
        if depth < _DEEPEST:
            for item in value:
                _walk(item, out, depth + 1)
    elif value is not None and value is not True and value is not False:
        out.append(str(value))

"""Messages as rows: everything the index keeps of a message, worked out in worker processes.

A row is a plain tuple of `str`, `int` and None (its last item a tuple of such, or None), so it crosses to the writer
as cheaply as data can. Its items are the columns `ROW` of the table `messages`, then the links between tool calls
and their results.

What a person can read is kept: text, reasoning, tool names, tool input, tool output, strings inside records that no
importer understands, names of attachments. Base64, signatures and encrypted content are not. What a program put in by
itself (reminders, instruction files, its own records) is kept apart as `context`: it is found, but counts little.

SQLite refuses lone surrogates and integers
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
from sessionstore.index import touched, unspaced

Row = tuple[Any, ...]
Texts = tuple[str, ...]

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
    "same",
    "digest",
    "text",
    "reasoning",
    "tool_input",
    "tool_output",
    "context",
    "cjk",
)
"""Columns of `messages` in the order of a row's items. `same` is equal for messages that say the same. One more item
follows: None or ``([(call id, tool name), …], [(id of the call answered, 1 when it failed else 0), …],
[(path, what was done to it), …])`` as tuples."""
USAGE, SAME, DIGEST, TEXT, LINKS = 9, 15, 16, 17, 23
"""Where the six usage columns, the two digests, the six text columns and the links begin."""

_NO_USAGE = (None,) * 6
_TEXT_OR_NONE = (str, type(None))
_DEEPEST = 100
_UNREADABLE = {"encrypted_content", "thinkingSignature", "thought_signature", "$object"}
_OFTEN_UNREADABLE = {"signature", "object"}
"""Members that are left out when they hold one long word."""
_KNOWN = {"text": 2, "reasoning": 2, "tool_call": 4, "tool_call_response": 3}
"""How many members parts have when nothing is in them but what is read anyway."""
_READ = {"type", "content", "signature", "id", "name", "arguments", "response", "is_error", "cache_control"}
_BLOB = {"type", "modality", "mime_type", "data", "object", "bytes"}
_ASIDE = {"meta", "context"}
_NOTED = {"toolUseResult", "attachments", "files", "citations", "content_references"}
"""Members of a message's `x` that a person reads."""
_INJECTED = (
    "<system-reminder>",
    "<environment_context>",
    "<user_instructions>",
    "<permissions instructions>",
    "# AGENTS.md instructions",
    "Caveat: The messages below were generated",
)
"""How texts begin that a program puts into a person's mouth."""
_REMINDER = re.compile(r"<system-reminder>.*?(?:</system-reminder>|\Z)", re.DOTALL)
_REPEATED = {"originalFile", "structuredPatch", "oldString", "newString", "oldTodos", "newTodos", "filePath", "type"}
"""Members of Claude Code's `toolUseResult` that say again what the call or an earlier result said."""
_DATA_URI = re.compile(r"(;base64,)[A-Za-z0-9+/=_-]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{256,}={0,2}")
_ONE_LONG_WORD = re.compile(r"[A-Za-z0-9+/_=-]{40,}")


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
    context: list[str] = []
    text: list[str] = context if get("kind") in _ASIDE else []
    reasoning: list[str] = []
    tool_input: list[str] = []
    tool_output: list[str] = []
    calls: list[tuple[str, str]] = []
    results: list[tuple[str, int]] = []
    files: list[tuple[str, str]] = []
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
            files += touched.files(calls[-1][1], _add_json(part.get("arguments"), tool_input, parse=True))
        elif kind == "reasoning":
            _add(part.get("content"), reasoning)
        elif kind == "blob":
            images += part.get("modality") == "image"
            _walk({name: item for name, item in part.items() if name not in _BLOB}, text)
            continue
        else:
            rest = {name: item for name, item in part.items() if name != "type"}
            _walk(rest, context if kind == "record" else text)
            continue
        if len(part) > _KNOWN[kind]:
            _walk({name: item for name, item in part.items() if name not in _READ}, text)
    x = get("x")
    if x and not _NOTED.isdisjoint(x):
        _add_noted(x, text, tool_output)
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
    _, name, role, kind, time, model, *_ = facts
    if type(name) is not str or type(role) is not str:
        raise TypeError
    if type(kind) not in _TEXT_OR_NONE or type(time) not in _TEXT_OR_NONE or type(model) not in _TEXT_OR_NONE:
        raise TypeError
    links = (tuple(calls), tuple(results), tuple(files)) if calls or results else None
    said = "" if text is context else "\n".join(text)
    texts = (said, "\n".join(reasoning), "\n".join(tool_input), "\n".join(tool_output), "\n".join(context))
    return _finish(facts, texts, links)


def _finish(facts: Row, texts: Texts, links: Any) -> Row:
    """A row from its small columns and its texts: makes them fit for SQLite and adds what follows from them."""
    text, _, _, tool_output, _ = texts
    if "<system-reminder>" in tool_output or text.startswith(_INJECTED) or "<system-reminder>" in text:
        texts = _set_aside(texts)
    whole, small = "\x1f".join(texts), _joined(facts)
    try:
        data, known = whole.encode(), small.encode()
        clean = b"\0" not in data and b"\0" not in known and b";base64," not in data
    except UnicodeEncodeError:
        clean = False
    if not clean:
        facts = tuple(fit(item) if isinstance(item, str) else item for item in facts)
        texts = tuple(map(fit, texts))
        links = tuple(tuple((fit(a), fit(b) if isinstance(b, str) else b) for a, b in pairs) for pairs in links or ())
        whole, small = "\x1f".join(texts), _joined(facts)
        data, known = whole.encode(), small.encode()
    cjk = None
    if len(data) != len(whole) and unspaced.found_in(whole):
        cjk = unspaced.column(texts)
    same = crc32(data) | (len(data) & 0xFFFFF) << 32
    digest = crc32(known, same & 0xFFFFFFFF) | (len(data) + len(known) & 0xFFFFF) << 32
    said, thought, given, answer, context = texts
    return (
        *facts, same, digest, said or None, thought or None, given or None, answer or None, context or None, cjk,
        links or None,
    )  # fmt: skip


def _set_aside(texts: Texts) -> Texts:
    """The texts with what a program put into them by itself moved to the last of them."""
    text, reasoning, tool_input, tool_output, context = texts
    if text.startswith(_INJECTED[1:]):
        text, context = "", f"{context}\n{text}"
    moved = [*_REMINDER.findall(text), *_REMINDER.findall(tool_output)]
    text, tool_output = (_REMINDER.sub("", found).strip("\n") for found in (text, tool_output))
    return text, reasoning, tool_input, tool_output, "\n".join([context, *moved]).strip("\n")


def _joined(facts: Row) -> str:
    a, b, c, d, e, f, g, h, i, j, k, l, m, n, o = facts  # noqa: E741  (a formatted tuple would cost four times as much)
    return f"{a}\x1f{b}\x1f{c}\x1f{d}\x1f{e}\x1f{f}\x1f{g}\x1f{h}\x1f{i}\x1f{j}\x1f{k}\x1f{l}\x1f{m}\x1f{n}\x1f{o}"


def digest_of(row: Row) -> int:
    """The digest that `encode` would give to a row of the columns `ROW`, from its other columns; -1 when these
    contradict each other."""
    data = "\x1f".join([item or "" for item in row[TEXT : TEXT + 5]]).encode()
    if row[SAME] != crc32(data) | (len(data) & 0xFFFFF) << 32:
        return -1
    known = _joined(row[:SAME]).encode()
    return crc32(known, row[SAME] & 0xFFFFFFFF) | (len(data) + len(known) & 0xFFFFF) << 32


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


def _add_json(value: Any, out: list[str], *, parse: bool = False) -> Any:
    """Add a tool's input or output. A string that is JSON itself is looked into, so that words after an escaped line
    feed are words; a cut-off one has its commonest escapes undone. Returns the value, with `parse` out of its JSON."""
    if type(value) is not str:
        _walk(value, out)
        return value
    found: Any = value
    if value[:1] in ("{", "[") and (parse or "\\" in value):
        try:
            found = orjson.loads(value)
            if "\\" in value:
                _walk(found, out)
                return found
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            value = value.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    if value:
        out.append(value)
    return found


def _add_noted(x: dict[str, Any], text: list[str], tool_output: list[str]) -> None:
    """Add what stands in a message's further fields and a person reads."""
    for name in sorted(_NOTED.intersection(x)):
        if name == "toolUseResult":
            _add_result(x[name], tool_output)
        else:
            _walk(x[name], text, 1)


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
    tool's words and the same in every call. What is nested very deeply is added as JSON."""
    if type(value) is str:
        if value and not (len(value) >= 256 and _BASE64.fullmatch(value)):
            out.append(value)
    elif depth >= _DEEPEST and (type(value) is dict or type(value) is list):
        out.append(canonical.dumps(value).decode())
    elif type(value) is list:
        for item in value:
            _walk(item, out, depth + 1)
    elif type(value) is dict:
        for name, item in sorted(value.items()):
            if name in _UNREADABLE or (name == "type" and depth):
                continue
            if name in _OFTEN_UNREADABLE and type(item) is str and _ONE_LONG_WORD.fullmatch(item):
                continue
            _walk(item, out, depth + 1)
    elif value is not None and value is not True and value is not False:
        out.append(str(value))

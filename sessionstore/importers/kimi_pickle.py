"""Sessions of gmargetis/kimi-cli: `~/.kimi_sessions/<name>.pkl`, the same place on Linux, macOS and Windows.

Recognised by content: a Python pickle (protocol 2 to 5) that begins as a list and holds chat messages. A pickle is a
program, so it is never loaded: a small interpreter of our own builds nothing but numbers, texts, bytes, lists, tuples
and dictionaries, bounded in size and depth, and a file that asks for anything else (a class, a function, an
attribute) is refused with the name of the instruction. The program's other files are never read: `.kimi_config.json`
(it holds an API key), `.kimi_history.pkl` and `.kimi_index.pkl`.

Records are the elements of the list, in the OpenAI chat dialect (see `openai_chat`), without times, models or token
counts; the session's id is the file's name. What the file has already lost when it is read: everything before the
last 30 messages, the system prompt among them, and the partners of tool messages at the cut.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.kimi_parts import meta
from sessionstore.importers.parsing import Unparsable

WINDOW = 30
"""How many messages the program keeps, system messages included."""
MAX_PICKLE = 256 << 20
MAX_VALUES = 5_000_000
"""Values that one file may hold, counted each time they are named again."""
MAX_DEPTH = 150
MAX_TEXT = 1 << 30
"""Characters that all values together may hold, counted each time they are named again."""
MAX_BITS = 1 << 13
NEVER = frozenset({".kimi_history.pkl", ".kimi_index.pkl", ".kimi_config.json"})

_MARK = object()
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_PLAIN = _TEXTS | _BYTES | _NUMBERS | {"NONE", "NEWTRUE", "NEWFALSE"}
_CHANGED = {str: "lone-surrogate", int: "big-integer", float: "non-finite-number"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class KimiPickle(Importer):
    """Reader of `~/.kimi_sessions/*.pkl`."""

    source: ClassVar[str] = "kimi-pickle"
    title: ClassVar[str] = "kimi-cli of gmargetis"
    versions: ClassVar[str] = "pickle protocols 0 to 5"
    suffixes: ClassVar[tuple[str, ...]] = (".pkl",)
    scoped: ClassVar[bool] = True
    window: ClassVar[int | None] = WINDOW
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """`.kimi_sessions` at home."""
        yield Place(machine.home / ".kimi_sessions")

    def recognise(self, head: Head) -> bool:
        """A pickled list with the keys of chat messages."""
        data = head.data
        if len(data) < 3 or data[0] != 0x80 or not 2 <= data[1] <= 5 or PurePosixPath(head.name).name in NEVER:
            return False
        rest = data[11:] if data[2:3] == b"\x95" else data[2:]
        return rest[:1] == b"]" and b"role" in data and b"content" in data

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one session. Raises `Unparsable` for a pickle that holds more than plain data."""
        stem = PurePosixPath(source.name).stem
        if PurePosixPath(source.name).name in NEVER:
            raise Unparsable("a file of the program that is no session")
        records = plain(b"".join(source.blocks), source)
        if not isinstance(records, list):
            raise Unparsable("not a list of messages")
        if not stem:
            raise Unparsable("no session id")
        draft = source.draft(stem)
        source.account.records += len(records)
        pairs = openai_chat.ToolPairs(draft)
        for number, record in enumerate(records, 1):
            message = openai_chat.chat_message(record) if isinstance(record, dict) else None
            if message is None:
                source.preserved()
                yield draft, {"id": f"m{number}"} | meta(record)
                continue
            source.mapped()
            message["id"] = f"m{number}"
            if not message["x"]:
                del message["x"]
            pairs.see(message)
            if draft.title is None and message["role"] == "user":
                draft.title = title_line(openai_chat.text_of(message)) or None
            yield draft, message
        pairs.finish()
        if len(records) >= WINDOW:
            draft.issue(
                "window-truncated",
                f"the program keeps only the latest {WINDOW} messages and holds just as many; older ones may be lost",
            )


def plain(data: bytes, source: Source | None = None) -> Any:
    """The plain data that a pickle holds. Raises `Unparsable` when it holds anything else, or too much."""
    if len(data) > MAX_PICKLE:
        raise Unparsable(f"{len(data)} bytes are over the limit of {MAX_PICKLE} for a pickle")
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if machine.step(opcode.name, argument):
                break
        else:
            raise Unparsable("a pickle without an end")
    except Unparsable:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise Unparsable(f"a damaged pickle ({str(error)[:80] or type(error).__name__})") from None
    return _Plain(source).copy(machine.result, 0)


class _Machine:
    """Executes the instructions of a pickle that build plain data, and no others."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> bool:
        """Execute one instruction; True when it was the last. Raises `Unparsable`."""
        stack = self._stack
        if name in _PLAIN:
            if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                raise Unparsable(f"a number of {argument.bit_length()} bits")
            stack.append(_CONSTANTS.get(name, argument))
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "STOP":
            self.result = stack.pop()
            return True
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[len(self._memo) if name == "MEMOIZE" else int(argument)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[int(argument)])
        else:
            self._combine(name)
        return False

    def _combine(self, name: str) -> None:
        stack = self._stack
        if name in ("LIST", "TUPLE", "DICT", "APPENDS", "SETITEMS", "POP_MARK"):
            items = self._since_mark()
            if name == "APPENDS":
                _of(list, stack[-1]).extend(items)
            elif name == "SETITEMS":
                _set(stack[-1], items)
            elif name == "DICT":
                made: dict[Any, Any] = {}
                _set(made, items)
                stack.append(made)
            elif name != "POP_MARK":
                stack.append(items if name == "LIST" else tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            if len(stack) < size:
                raise Unparsable("a damaged pickle (stack underflow)")
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "APPEND":
            item = stack.pop()
            _of(list, stack[-1]).append(item)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _set(stack[-1], [key, value])
        elif name == "POP":
            stack.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            raise Unparsable(f"the pickle wants more than plain data ({name}); such instructions are never run")

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        items.reverse()
        return items


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Unparsable("a damaged pickle (an item for something that holds none)")
    return value


def _set(target: Any, items: list[Any]) -> None:
    _of(dict, target)
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int | float | bool | bytes | None):
            raise Unparsable("a dictionary whose key is no text and no number")
        target[key] = value


class _Plain:
    """Copies what a pickle holds into JSON data, bounded: pickles can name one value many times, or itself."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._values = 0
        self._text = 0

    def copy(self, value: Any, depth: int) -> Any:
        """`value` as JSON data. Raises `Unparsable`."""
        self._values += 1
        if self._values > MAX_VALUES or self._text > MAX_TEXT:
            raise Unparsable("the pickle holds far more than a conversation does")
        if depth > MAX_DEPTH:
            raise Unparsable("nested too deeply")
        if isinstance(value, dict):
            return {self._key(key): self.copy(child, depth + 1) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(child, depth + 1) for child in value]
        if isinstance(value, str | bytes):
            self._text += len(value)
        if isinstance(value, bytes):
            self._note("bytes-as-text", "bytes are kept as text, each one as the character of its number")
            return value.decode("latin-1")
        if value is _MARK:
            raise Unparsable("a damaged pickle (a mark that was left over)")
        clean = canonical.clean(value)
        if clean is not value and clean != value:
            self._note(_CHANGED[type(value)])
        return clean

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return str(self.copy(key, 0))
        self._note("key-not-text", "a dictionary's key was no text; it is kept as one")
        return str(self.copy(key, 0))

    def _note(self, code: str, note: str | None = None) -> None:
        if self._source is not None:
            self._source.note(code, note)

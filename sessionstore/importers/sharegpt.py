"""ShareGPT conversations, the form in which shared chats and fine-tuning sets are passed on.

Where: wherever somebody has put them, so no place is looked at unless it is named. Lines, one array, or one object.

Recognised by content: objects with `conversations` (also `conversation`, `items`), a list of `{"from", "value"}` with
the roles that this form knows. The aliases `role` and `content` (`text`) count as well, as long as no other program's
keys stand beside them.

A record is a line or an element of the array, or the one object: a conversation, named by its content (and the number
of the copy, when it is there twice); its own `id`, which is unique in its set at most, stays in `x`. human, gpt,
system, function_call and observation become user, assistant, system, an assistant's tool call and a tool's result;
other names of the same (bard, chatgpt, tool, ...) stay in `x` as `from`. Calls and results have no ids: they are
paired by position. `system` and `tools` (a list, or its JSON text) go to the session, all other fields to `x`.

What such a file has never had: times, tokens, ids of messages and of calls, mostly the model. Of a chat that was cut
into pieces (`<id>_0`, `<id>_1`) each piece is a session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import Names, beginning, kind_of
from sessionstore.importers.openai_messages_parts import Conversation, take_id, take_system, take_tools, tool_calls
from sessionstore.importers.parsing import Unparsable

LISTS = ("conversations", "conversation", "items")
FROM, VALUE = ("from", "role"), ("value", "content", "text")
USER, ASSISTANT, SYSTEM, CALL, TOOL = "user", "assistant", "system", "function_call", "tool"
MEANS = {
    "human": USER,
    "user": USER,
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "bard": ASSISTANT,
    "bing": ASSISTANT,
    "chatgpt": ASSISTANT,
    "claude": ASSISTANT,
    "model": ASSISTANT,
    "bot": ASSISTANT,
    "system": SYSTEM,
    "function_call": CALL,
    "tool_call": CALL,
    "observation": TOOL,
    "tool": TOOL,
    "function": TOOL,
    "function_response": TOOL,
    "tool_response": TOOL,
}
USUAL = frozenset({"human", "gpt", "system", "function_call", "observation", "user", "assistant"})
"""Names of roles that need not be kept, because the message says the same."""
FOREIGN = frozenset({"messages", "mapping", "session", "sessionId", "session_id", "uuid", "version", "type", "events"})
TURN_KEYS = frozenset({"from", "role", "value", "content", "text", "weight", "loss", "name", "markdown", "language"})
"""What a turn in the alias form may have; beside `from` and `value` anything may stand."""
_LOOKED_AT = 50


class Sharegpt(Importer):
    """Reader of ShareGPT `.json` and `.jsonl` files."""

    source: ClassVar[str] = "sharegpt"
    title: ClassVar[str] = "ShareGPT"
    versions: ClassVar[str] = "all common aliases of keys and roles"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: read where it is named."""
        return ()

    def recognise(self, head: Head) -> bool:
        """Objects with a list of turns `{"from", "value"}` under `conversations` or one of its other names."""
        if not any(b'"%s"' % name.encode() in head.data for name in LISTS):
            return False
        if b'"from"' not in head.data and b'"role"' not in head.data:
            return False
        _, values = beginning(head, ())
        fitting = sum(map(_is_conversation, values))
        return bool(values) and fitting * 4 >= len(values) * 3

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all conversations. Raises `Unparsable` when the one document is none."""
        names = Names()
        kind = kind_of(source)
        if kind == "document":
            document = source.document()
            values: Iterable[Any] = _counted(source, document if isinstance(document, list) else [document])
            if not isinstance(document, list) and _turns(document) is None:
                raise Unparsable("no list of turns")
        else:
            values = source.records() if kind == "lines" else source.elements()
        for value in values:
            name = _turns(value)
            if name is None:
                source.reject("no conversation in it")
                continue
            source.mapped()
            yield from _session(source.draft(names.of(value)), dict(value), name)


def _counted(source: Source, values: list[Any]) -> Iterator[Any]:
    for value in values:
        source.account.records += 1
        yield value


def _turns(value: Any) -> str | None:
    """Under which key an object has turns; None when it has none."""
    if not isinstance(value, dict):
        return None
    return next((name for name in LISTS if isinstance(value.get(name), list) and value[name]), None)


def _is_conversation(value: Any) -> bool:
    name = _turns(value)
    if name is None or value.keys() & FOREIGN:
        return False
    turns = value[name][:_LOOKED_AT]
    return all(map(_is_turn, turns)) or (name != "items" and all(map(_is_alias_turn, turns)))


def _is_turn(turn: Any) -> bool:
    if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
        return False
    who = turn.get("from")
    return isinstance(who, str) and who.lower() in MEANS


def _is_alias_turn(turn: Any) -> bool:
    if not isinstance(turn, dict) or not turn.keys() <= TURN_KEYS:
        return False
    who, value = turn.get("role", turn.get("from")), turn.get("content", turn.get("text", turn.get("value")))
    return isinstance(who, str) and who.lower() in MEANS and isinstance(value, str)


def _session(draft: Draft, rest: dict[str, Any], name: str) -> Iterator[tuple[Draft, Message]]:
    conversation = Conversation(draft)
    for turn in rest.pop(name):
        yield draft, conversation.add(turn, _message(turn) if isinstance(turn, dict) else None)
    take_system(draft, rest)
    take_tools(draft, rest)
    take_id(draft, rest)
    openai_chat.keep_rest(draft, rest)


def _message(turn: dict[str, Any]) -> Message | None:
    """A turn as a message without its id; None when nobody can tell who has said what."""
    x = dict(turn)
    by = next((key for key in FROM if isinstance(turn.get(key), str) and turn[key].lower() in MEANS), None)
    said = next((key for key in VALUE if isinstance(turn.get(key), str)), None)
    if by is None or said is None:
        return None
    who, value = str(x.pop(by)), str(x.pop(said))
    means = MEANS[who.lower()]
    parts: list[dict[str, Any]] = [{"type": "text", "content": value}]
    role = means
    if means == CALL:
        role, calls = ASSISTANT, tool_calls(value)
        parts = calls or parts
        if not calls:
            x[by] = who
    elif means == TOOL:
        parts = [{"type": "tool_call_response", "id": "", "response": value}]
    if who not in USUAL:
        x[by] = who
    message: Message = {"role": role, "parts": parts}
    return message | ({"x": x} if x else {})

"""Chat messages in OpenAI's form, as fine-tuning sets, homemade logs and many programs write them.

Where: wherever somebody has put them, so no place is looked at unless it is named. Three kinds of file: lines (or one
array) of conversations `{"messages": [...]}` with `tools`, `functions` and anything else beside; one such object; one
array of messages.

Recognised by content, and only where nothing more specific can be meant: every message has one of the interface's
roles and content of its types, no key the interface does not have (no id, no time), and the conversation none that
programs with sessions of their own write. An array of `{role, content}` is also what mcp-cli's `/save` wrote: it is
read here, as `mcp-cli` only when that is asked for by name. Lines that are single messages are written by several
programs that keep their identity beside the file: they are read here only when this format is asked for by name.

A record is a line, an element of the array, or of a single conversation its object and each of its messages. A
conversation in lines or an array is named by its content (and the number of the copy, when it is there twice): the
same one elsewhere is the same session, a changed one another. A single conversation has its own `id` or else the name
of its file. Developers become `system` and functions `tool`, with their own role in `x`; images and sound become
blobs, calls are paired with results by position; `weight`, `refusal` and every other field stay in `x`, those of the
conversation, such as `model`, in the session's.

What such a file has never had: times, models and tokens of its messages, often ids of calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import Names, beginning, kind_of
from sessionstore.importers.common import stem
from sessionstore.importers.openai_messages_parts import (
    Conversation,
    chat_message,
    is_bare_conversation,
    is_message,
    take_id,
    take_system,
    take_tools,
)
from sessionstore.importers.parsing import Unparsable

MARKS = (b'"role"', b'"content"')
_FOREIGN = """
    agent agentId agent_id chat_messages conversationId conversation_id conversations createdAt created_at cwd
    current_node events exportAt exported_at history items kind last_accessed lastUpdated mapping message_count
    models_used payload prompt_tokens response_data sessionId session_id startTime timestamp token_summary
    token_usage trajectory type updatedAt updated_at uuid version $set
"""
FOREIGN = frozenset(_FOREIGN.split())
"""Keys of programs that have sessions, which these conversations have not."""
_REQUEST = """
    audio audios frequency_penalty function_call functions id images logit_bias logprobs max_completion_tokens
    max_tokens messages modalities model n parallel_tool_calls presence_penalty prompt_cache_key reasoning_effort
    response_format seed service_tier stop store stream stream_options temperature title tool_choice tools
    top_logprobs top_p user verbosity videos weight
"""
DOCUMENT_KEYS = frozenset(_REQUEST.split())
"""What a file that is one conversation may have: the request's own fields and a name."""
_LOOKED_AT = 50


class OpenaiMessages(Importer):
    """Reader of OpenAI chat messages in `.jsonl` and `.json` files."""

    source: ClassVar[str] = "openai-messages"
    title: ClassVar[str] = "OpenAI chat messages"
    versions: ClassVar[str] = "chat and fine-tuning files, legacy functions, content parts"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json")
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: read where it is named."""
        return ()

    def recognise(self, head: Head) -> bool:
        """Conversations `{"messages": [...]}`, or an array of messages, with no key but those of the interface."""
        kind, values = beginning(head, MARKS)
        if not values:
            return False
        if kind == "document":
            return _is_conversation(values[0]) and values[0].keys() <= DOCUMENT_KEYS
        if kind == "array" and is_message(values[0]):
            return is_bare_conversation(values)
        fitting = sum(map(_is_conversation, values))
        return fitting * 4 >= len(values) * 3

    def accepts(self, head: Head) -> bool:
        """As `recognise`; when this format was asked for, also lines that are single messages."""
        if self.recognise(head):
            return True
        kind, values = beginning(head, MARKS)
        return kind == "lines" and all(map(is_message, values))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all conversations. Raises `Unparsable` when there is no list of messages at all."""
        reader = _Reader(source)
        kind = kind_of(source)
        if kind != "document":
            for value in source.records() if kind == "lines" else source.elements():
                yield from reader.take(value)
            reader.finish()
            return
        document = source.document()
        if isinstance(document, list):
            for value in document:
                source.account.records += 1
                yield from reader.take(value)
            reader.finish()
        elif isinstance(document, dict) and isinstance(document.get("messages"), list):
            yield from reader.single(document)
        else:
            raise Unparsable("no list of messages")


def _is_conversation(value: Any) -> bool:
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages or value.keys() & FOREIGN:
        return False
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and metadata.keys() & FOREIGN:
        return False
    return all(map(is_message, messages[:_LOOKED_AT]))


class _Reader:
    """Makes sessions of conversations, and one of all messages that stand alone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = Names()
        self._alone: _Turns | None = None

    def take(self, value: Any) -> Iterator[tuple[Draft, Message]]:
        """The messages of one counted record."""
        messages = value.get("messages") if isinstance(value, dict) else None
        if isinstance(messages, list) and messages:
            self._source.mapped()
            yield from self._conversation(value, self._names.of(value))
        elif isinstance(value, dict) and "role" in value:
            if self._alone is None:
                name = stem(self._source.name).strip() or self._names.of(value)
                self._alone = _Turns(self._source.draft(name))
            message, known = self._alone.add(value)
            if known:
                self._source.mapped()
            else:
                self._source.preserved()
            yield self._alone.draft, message
        else:
            self._source.reject("neither a conversation nor a message")

    def single(self, document: dict[str, Any]) -> Iterator[tuple[Draft, Message]]:
        """The messages of a file that is one conversation: its object is a record and so is each message."""
        source, own = self._source, document.get("id")
        file = stem(source.name).strip()
        named = isinstance(own, str) and own.strip() != ""
        source.account.records += 1 + len(document["messages"])
        source.mapped()
        for draft, message in self._conversation(document, str(own) if named else file or self._names.of(document)):
            if message.get("kind") == "meta":
                source.preserved()
            else:
                source.mapped()
            yield draft, message
        draft = source.drafts[-1]
        if named:
            draft.x.pop("id", None)
            draft.aliases = [file] if file and file != own else []

    def _conversation(self, value: dict[str, Any], name: str) -> Iterator[tuple[Draft, Message]]:
        rest = dict(value)
        draft = self._source.draft(name)
        turns = _Turns(draft)
        for record in rest.pop("messages"):
            yield draft, turns.add(record)[0]
        turns.finish()
        take_system(draft, rest)
        take_tools(draft, rest)
        take_id(draft, rest)
        if isinstance(rest.get("title"), str) and rest["title"].strip():
            draft.title = rest.pop("title")
        openai_chat.keep_rest(draft, rest)

    def finish(self) -> None:
        """Report what the messages that stand alone have left open."""
        if self._alone is not None:
            self._alone.finish()


class _Turns:
    """The messages of one session, their calls paired with results."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._conversation = Conversation(draft)
        self._pairs = openai_chat.ToolPairs(draft)

    def add(self, record: Any) -> tuple[Message, bool]:
        """The next message, and whether it was understood."""
        message = chat_message(record) if isinstance(record, dict) else None
        if message is not None:
            self._pairs.see(message)
        return self._conversation.add(record, message), message is not None

    def finish(self) -> None:
        """Report calls and results without a partner."""
        self._pairs.finish()

"""Chatbot UI: the data that the program exports from its settings.

Where: the browser's download folder on Linux, macOS and Windows, one file with all conversations.

How it is recognised: an object with `version`, `history` and `folders`, whose history is conversations with messages.

What the records are and how they map: the envelope, each conversation and each of its messages. A conversation's
`prompt` is its system prompt, its name the title; its model, temperature and folder (by name as well) stay in its `x`.
Folders and prompts are no conversations: each is a record that is preserved in the original.

What it loses: all times, ids of messages, token figures, and which model gave which answer: the conversation knows the
one that was set last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import entitle, said, take_text
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.exports import Ids, meta
from sessionstore.importers.openai_messages_parts import take_system
from sessionstore.importers.parsing import Unparsable

_KEYS = frozenset({"version", "history", "folders"})


class ChatbotUi(Importer):
    """Reader of Chatbot UI's exported data."""

    source: ClassVar[str] = "chatbot-ui"
    title: ClassVar[str] = "Chatbot UI"
    versions: ClassVar[str] = "exports of version 4"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The download folder."""
        yield Place(machine.home / "Downloads")

    def recognise(self, head: Head) -> bool:
        """An object with a version, a history of conversations and folders."""
        if not {"version", "history"} <= head.keys or b'"messages"' not in head.data:
            return False
        document = head.document
        if not isinstance(document, dict) or not document.keys() >= _KEYS or not isinstance(document["history"], list):
            return False
        history = document["history"]
        return bool(history) and all(isinstance(one, dict) and isinstance(one.get("messages"), list) for one in history)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all conversations. Raises `Unparsable` when there are none."""
        document = source.document()
        history = document.get("history") if isinstance(document, dict) else None
        if not isinstance(history, list):
            raise Unparsable("no list of conversations")
        source.account.records += 1
        source.mapped()
        folders: dict[str, str] = {}
        for name in ("folders", "prompts"):
            entries = document.get(name)
            for entry in entries if isinstance(entries, list) else ():
                source.account.records += 1
                source.preserved()
                if isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("name"), str):
                    folders[entry["id"]] = entry["name"]
        ids = Ids()
        for number, item in enumerate(history, 1):
            source.account.records += 1
            if not isinstance(item, dict) or not isinstance(item.get("messages"), list):
                source.reject("not a conversation")
                continue
            source.mapped()
            own = item.get("id")
            own = str(own) if type(own) in (int, str) and str(own).strip() else f"conversation-{number}"
            yield from _conversation(source, source.draft(ids.take(own)), said(item, "id"), folders)


def _conversation(
    source: Source, draft: Draft, rest: dict[str, Any], folders: dict[str, str]
) -> Iterator[tuple[Draft, Message]]:
    records = rest.pop("messages")
    take_text(draft, "title", rest, "name")
    if isinstance(rest.get("prompt"), str):
        rest["system"] = rest.pop("prompt")
        take_system(draft, rest)
    folder = rest.get("folderId")
    if isinstance(folder, str) and folder in folders:
        rest["folder"] = folders[folder]
    openai_chat.keep_rest(draft, rest)
    source.account.records += len(records)
    for number, record in enumerate(records, 1):
        message = openai_chat.chat_message(record) if isinstance(record, dict) else None
        if message is None:
            source.preserved()
            message = meta(f"m{number}", record)
        else:
            source.mapped()
            x = message.pop("x")
            if x.get("type") == "text":
                del x["type"]
            message = {"id": f"m{number}"} | message | ({"x": x} if x else {})
        entitle(draft, message)
        yield draft, message

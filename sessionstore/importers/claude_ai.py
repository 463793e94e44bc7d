"""Claude.ai data exports: the zip file of "Export data", its unpacked folder, or one conversation on its own.

The export comes by e-mail as `data-….zip` and lies where the browser put it: `~/Downloads` on Linux and macOS,
`%USERPROFILE%\\Downloads` on Windows; large ones come in several batches. It holds `conversations.json`, a list, and
beside it `users.json`, `projects.json` or `projects/….json`, and `memories.json`. A conversation document alone is what
the website's own interface answers; it has `current_leaf_message_uuid` and its messages name their parents.

Recognised by content: conversations are objects with `uuid` and `chat_messages`; a zip file by a member that holds
conversations, projects or memories. Names decide nothing.

Records are the conversations, the elements of `chat_messages`, the projects with their documents, the memories, and
each other file of the export. Content blocks become parts: text, thinking, tool calls and their results as they stand
in the message, unknown ones verbatim. The plain `text` is taken where there are no usable blocks, and kept in
`x.text` where it says something else than they do. Text that was extracted from attachments is a text part under the
file's name. A project is a session of its own (`project-<uuid>`) whose description, instructions and documents are
messages of kind `context`; what the service remembers of an account is one too (`memory-<uuid>`). `users.json`, with
name and e-mail address, is preserved in the original and not made into messages. Fields that are null or empty say
nothing and are left out, as are `truncated` when false and `updated_at` when it is `created_at`.

What the source has already lost: token counts, the files themselves (only extracted text and names are there), the
model of each answer, in older exports the ids of tool calls and which message answers which, and of a few conversations
the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers import exports
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_ai_parts import Messages, memory, project, take_session_times
from sessionstore.importers.common import title_line
from sessionstore.importers.material import ZIP
from sessionstore.importers.openai_chat import text_of
from sessionstore.importers.parsing import Unparsable

CONVERSATIONS, PROJECTS, MEMORIES, OTHER = "conversations", "projects", "memories", "other"
LISTS = re.compile(r"(?:^|/)(conversations|projects|memories)(?:-\d+)?(?:\.json|/[^/]+\.json)$", re.ASCII)
SIGNS = frozenset({"uuid", "chat_messages", "name"})
"""An object with none of these is no conversation at all."""


class ClaudeAi(Importer):
    """Reader of Claude.ai data exports."""

    source: ClassVar[str] = "claude-ai"
    title: ClassVar[str] = "Claude.ai data export"
    versions: ClassVar[str] = "exports of 2023 to 2026, zip or list; API captures with branches"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".zip")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True
    leads: ClassVar[tuple[str, ...]] = ("conversations.json", "conversations-*.json")
    companions: ClassVar[tuple[str, ...]] = (
        "conversations-*.json",
        "design_chats.json",
        "design_chats/*.json",
        "memories.json",
        "memories/*.json",
        "projects.json",
        "projects/*.json",
        "users.json",
    )

    def places(self, machine: Machine) -> Iterable[Place]:
        """The download folder."""
        return [Place(machine.home / "Downloads")]

    def recognise(self, head: Head) -> bool:
        """Conversations with `uuid` and `chat_messages`, in the file or in a member of the zip file."""
        if not head.data.startswith(ZIP):
            return _kind(head.data) == CONVERSATIONS
        try:
            lists = [name for name in head.members if LISTS.search(name)]
            return any(_kind(head.member(name).data) != OTHER for name in lists[:4])
        except Unparsable:
            return False

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all conversations, projects and memories. Raises `Unparsable` when there are none, or a list
        of conversations is cut off."""
        with exports.opened(source) as files:
            yield from _Export(source, files).read()
        exports.refuse_when_empty(source)


def _kind(data: bytes) -> str:
    """What a list of an export holds, by the fields of its first elements."""
    for keys in exports.outline(data, "chat_messages", "prompt_template", "docs", "conversations_memory"):
        if {"uuid", "chat_messages"} <= keys:
            return CONVERSATIONS
        if {"uuid", "prompt_template"} <= keys or {"uuid", "docs"} <= keys:
            return PROJECTS
        if "conversations_memory" in keys:
            return MEMORIES
    return OTHER


class _Export:
    """One export: its conversations, and the projects, memories and other files beside them."""

    def __init__(self, source: Source, files: exports.Files) -> None:
        self._source = source
        self._files = files
        self._ids = exports.Ids()
        self._told: set[tuple[str, str]] = set()
        """id and digest of each conversation: the parts of an export may overlap"""
        self._projects: dict[str, str] = {}
        """name of each project"""

    def read(self) -> Iterator[tuple[Draft, Message]]:
        found: dict[str, list[str]] = {CONVERSATIONS: [], PROJECTS: [], MEMORIES: [], OTHER: []}
        for name in sorted(self._files.names):
            match = LISTS.search(name)
            found[CONVERSATIONS if name == self._files.lead else match[1] if match else OTHER].append(name)
        if not any(found[kind] for kind in (CONVERSATIONS, PROJECTS, MEMORIES)):
            raise Unparsable("no conversations in the archive")
        self._source.account.records += len(found[OTHER])
        self._source.preserved(len(found[OTHER]))
        for name in found[PROJECTS]:
            yield from self._beside(name, {"docs", "prompt_template"}, self._project)
        for name in found[MEMORIES]:
            yield from self._beside(name, {"conversations_memory", "project_memories"}, self._memory)
        for name in found[CONVERSATIONS]:
            for item in exports.elements(self._source, self._files, name):
                yield from self._conversation(item)

    def _beside(
        self, name: str, signs: set[str], read: Callable[[dict[str, Any]], Iterator[tuple[Draft, Message]]]
    ) -> Iterator[tuple[Draft, Message]]:
        """Read a list beside the conversations, whose damage does not take them along. What has none of the `signs` is
        something else, and stays in the original."""
        try:
            for item in exports.elements(self._source, self._files, name):
                if isinstance(item, dict) and item.keys() & signs:
                    yield from read(item)
                else:
                    self._source.preserved()
        except Unparsable as error:
            self._source.note("unreadable-file", f"{exports.base_name(name)} could not be read: {error}")

    def _open(self, item: dict[str, Any], stated: str, prefix: str = "") -> Draft | None:
        """The session of an element; None when it was told before."""
        wanted = prefix + (stated or "content-" + canonical.digest(canonical.dumps(item))[:32])
        told = (wanted, canonical.digest(canonical.dumps(item)))
        if told in self._told:
            return None
        self._told.add(told)
        native_id = self._ids.take(wanted)
        draft = self._source.draft(native_id)
        if native_id != wanted:
            draft.issue("conversation-twice", "the export holds this conversation in several states")
        if not stated:
            draft.issue("id-missing", "no id is stated; one was made from the content")
        return draft

    def _project(self, item: dict[str, Any]) -> Iterator[tuple[Draft, Message]]:
        stated = item["uuid"] if isinstance(item.get("uuid"), str) else ""
        draft = self._open(item, stated, "project-")
        self._source.mapped()
        if draft is None:
            return
        rest = {key: value for key, value in item.items() if key != "uuid" or not stated}
        if isinstance(rest.get("name"), str) and rest["name"].strip():
            draft.title = draft.project = rest.pop("name")
            self._projects[stated] = draft.project
        take_session_times(draft, rest)
        for message, counts in project(draft, rest):
            if counts:
                self._source.account.records += 1
                (self._source.preserved if message["kind"] == "meta" else self._source.mapped)()
            yield draft, message
        draft.x |= exports.kept(rest)

    def _memory(self, item: dict[str, Any]) -> Iterator[tuple[Draft, Message]]:
        stated = item["account_uuid"] if isinstance(item.get("account_uuid"), str) else ""
        draft = self._open(item, stated, "memory-")
        self._source.mapped()
        if draft is None:
            return
        rest = dict(item)
        for message in memory(rest):
            yield draft, message
        draft.x |= exports.kept(rest)

    def _conversation(self, item: Any) -> Iterator[tuple[Draft, Message]]:
        source = self._source
        if not isinstance(item, dict) or not item.keys() & SIGNS:
            source.reject("not a conversation" if isinstance(item, dict) else "not a JSON object")
            return
        ids = [item[k] for k in ("uuid", "conversation_id") if isinstance(item.get(k), str) and item[k].strip()]
        draft = self._open(item, ids[0] if ids else "")
        if draft is None:
            source.mapped()
            return
        draft.aliases += [other for other in ids[1:] if other != ids[0]]
        records = item.get("chat_messages")
        rest = {k: v for k, v in item.items() if k not in ("uuid", "conversation_id") or not isinstance(v, str)}
        self._describe(draft, rest)
        if not isinstance(records, list):
            draft.issue("messages-missing", "the export names this conversation but does not hold its messages")
            draft.x |= exports.kept(rest)
            source.preserved()
            yield draft, exports.meta("m1", item)
            return
        source.mapped()
        del rest["chat_messages"]
        yield from self._messages(draft, records)
        _take_leaf(draft, rest, records)
        draft.x |= exports.kept(rest)

    def _describe(self, draft: Draft, rest: dict[str, Any]) -> None:
        if isinstance(rest.get("name"), str) and rest["name"].strip():
            draft.title = rest.pop("name")
        take_session_times(draft, rest)
        inside, stated = rest.get("project"), rest.get("project_uuid")
        name = inside.get("name") if isinstance(inside, dict) else None
        if isinstance(stated, str) and not isinstance(name, str):
            name = self._projects.get(stated)
        if isinstance(name, str) and name.strip():
            draft.project = name

    def _messages(self, draft: Draft, records: list[Any]) -> Iterator[tuple[Draft, Message]]:
        source = self._source
        source.account.records += len(records)
        made = Messages(draft, records)
        for number, record in enumerate(records, 1):
            message = made.message(number, record)
            if message is None:
                source.preserved()
                stated = record.get("uuid") if isinstance(record, dict) else None
                message = exports.meta(made.take_id(number, stated), record)
                made.skip(message["id"])
            else:
                source.mapped()
            if draft.title is None and message["role"] == "user":
                draft.title = title_line(text_of(message)) or None
            yield draft, message


def _take_leaf(draft: Draft, rest: dict[str, Any], records: list[Any]) -> None:
    """Say where the conversation stands, when the source does."""
    leaf = rest.get("current_leaf_message_uuid")
    if leaf is None:
        return
    if isinstance(leaf, str) and any(isinstance(record, dict) and record.get("uuid") == leaf for record in records):
        draft.active_leaf = leaf
        del rest["current_leaf_message_uuid"]
    else:
        draft.issue("current-leaf-missing", "the message at which the conversation stands is not in the export")

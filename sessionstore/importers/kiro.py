"""Kiro: the sessions of the terminal program, in three generations, and the chats of the editor.

Where: of the terminal program `~/.kiro/sessions/cli/<id>.jsonl` with `<id>.json` beside it, and
`~/.local/share/kiro-cli/data.sqlite3` (`~/Library/Application Support/kiro-cli/` on macOS); of the editor
`<user data>/globalStorage/kiro.kiroagent/<workspace>/<id>.chat`. A conversation of the database also occurs as a file
of its own when somebody has saved it.

How it is recognised: lines with a `kind` of `Prompt`, `AssistantMessage` or `ToolResults` and `data`; a database with a
table `conversations_v2` (or, older, `conversations`) with `key` and `value`; a document with `conversation_id` and a
`history` of objects with `user` and `assistant`; a document with `executionId` and `chat`.

What the records are and how they map: a line is a message. An entry of `history` is a prompt and its answer, so it is
two messages; the environment that goes with a prompt stays in its `x`. A document's envelope is a record as well. The
table's `key` is the working directory. In the editor's chats `human` is the user and `bot` the model; its instructions
stand among the prompts and are kept as they are.

What it loses: models and tokens; in lines the times as well. When a conversation is in the database under several
directories, each row is a session of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import Record, companion_document, entitle, is_verbatim
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.database_rows import Ids, from_json, stated
from sessionstore.importers.editor_parts import place
from sessionstore.importers.epoch import millis
from sessionstore.importers.kiro_parts import chat_turn, line_message, turn_messages
from sessionstore.importers.material import SQLITE
from sessionstore.importers.parsing import Unparsable

KINDS = frozenset({"Prompt", "AssistantMessage", "ToolResults"})
TABLES = ("conversations_v2", "conversations")
_HISTORY = "history"


class Kiro(Importer):
    """Reader of Kiro's logs, databases and chats."""

    source: ClassVar[str] = "kiro"
    title: ClassVar[str] = "Kiro"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json", ".sqlite3", ".chat")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True
    companions: ClassVar[tuple[str, ...]] = ("{stem}.json",)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The directories of the terminal program and of the editor."""
        home = machine.home
        yield Place(home / ".kiro" / "sessions")
        yield Place(home / ".local" / "share" / "kiro-cli")
        yield Place(home / "Library" / "Application Support" / "kiro-cli")
        for data in (home / ".config", home / "Library" / "Application Support", home / "AppData" / "Roaming"):
            yield Place(data / "Kiro" / "User" / "globalStorage" / "kiro.kiroagent")

    def recognise(self, head: Head) -> bool:
        """The lines, the table or one of the two documents."""
        if head.data.startswith(SQLITE):
            return any(_is_table(head.tables, name) for name in TABLES)
        if {"conversation_id", _HISTORY} <= head.keys or {"executionId", "chat"} <= head.keys:
            return _is_document(head.document)
        if b'"kind"' not in head.data or not any(kind.encode() in head.data for kind in KINDS):
            return False
        return sum(map(_is_line, head.records)) * 2 > len(head.records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every conversation. Raises `Unparsable` for what is no database or document."""
        name = source.name.lower()
        if name.endswith(".jsonl"):
            yield from _lines(source)
        elif name.endswith(".sqlite3"):
            yield from _database(source)
        else:
            document = source.document()
            source.account.records += 1
            if not _is_document(document):
                raise Unparsable("not a conversation of Kiro")
            source.mapped()
            yield from _conversation(source, document, stem(source.name))


def _is_table(tables: dict[str, frozenset[str]], name: str) -> bool:
    return tables.get(name, frozenset()) >= {"key", "value"}


def _is_line(record: Record) -> bool:
    kind = record.get("kind")
    return isinstance(kind, str) and kind in KINDS and isinstance(record.get("data"), dict)


def _is_document(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("executionId"), str) and isinstance(document.get("chat"), list):
        return True
    turns = document.get(_HISTORY)
    if not isinstance(document.get("conversation_id"), str) or not isinstance(turns, list):
        return False
    return all(isinstance(turn, dict) and "user" in turn and "assistant" in turn for turn in turns[:20])


def _lines(source: Source) -> Iterator[tuple[Draft, Message]]:
    name, ids = stem(source.name), Ids()
    beside = companion_document(source, f"{name}.json") if f"{name}.json" in source.companions else None
    about = beside if isinstance(beside, dict) else {}
    ident = about.get("session_id")
    draft = source.draft(ident if isinstance(ident, str) and ident else name or "session")
    if name and name != draft.native_id:
        draft.aliases.append(name)
    if about:
        source.account.records += 1
        source.mapped()
        _describe(draft, about)
    for record in source.records():
        message = line_message(record)
        _count(source, message, record)
        data = record.get("data")
        wanted = data.get("message_id") if isinstance(data, dict) else None
        message = {"id": ids.take(wanted)} | message
        entitle(draft, message)
        yield draft, message


def _describe(draft: Draft, about: Record) -> None:
    x = {key: value for key, value in about.items() if key != "session_id" and value is not None}
    if isinstance(x.get("title"), str) and x["title"].strip():
        draft.title = x.pop("title")
    if isinstance(x.get("cwd"), str):
        place(draft, x.pop("cwd"))
    for name in ("created_at", "updated_at"):
        if is_instant(x.get(name)):
            setattr(draft, name, x.pop(name))
    draft.x |= x


def _database(source: Source) -> Iterator[tuple[Draft, Message]]:
    with source.database() as database:
        tables = [name for name in TABLES if _is_table(database.tables, name)]
        if not tables:
            raise Unparsable("not a database of Kiro")
        known: set[str] = set()
        for table in tables:
            for row in database.rows(table, order="created_at, rowid"):
                source.account.records += 1
                document = from_json(source, row.pop("value"))
                if not isinstance(document, dict):
                    source.reject("a conversation that is no JSON object")
                    continue
                source.mapped()
                given, key = row.get("conversation_id"), row.get("key")
                stated_id = document.get("conversation_id")
                found = next((one for one in (given, stated_id) if isinstance(one, str) and one), None)
                name = found or f"{table}-{source.account.records}"
                while name in known:
                    name = f"{name}@{key}" if isinstance(key, str) and not name.endswith(str(key)) else f"{name}~"
                known.add(name)
                yield from _conversation(source, document, name, row, native_id=name)


def _conversation(
    source: Source, document: Record, name: str, row: Record | None = None, native_id: str | None = None
) -> Iterator[tuple[Draft, Message]]:
    """The messages of a conversation; its own fields are the session's."""
    editor = "chat" in document and _HISTORY not in document
    ident = document.get("executionId" if editor else "conversation_id")
    draft = source.draft(native_id or (ident if isinstance(ident, str) and ident else name or "session"))
    if name and name != draft.native_id:
        draft.aliases.append(name)
    entries = document.get("chat" if editor else _HISTORY)
    known = ("chat", "executionId") if editor else (_HISTORY, "conversation_id")
    draft.x |= {key: value for key, value in document.items() if key not in known and value is not None}
    if row:
        _placed(draft, row)
    if editor:
        _editor(draft, document.get("metadata"))
    ids = Ids()
    if not isinstance(entries, list):
        draft.issue("history-missing", "the conversation has no list of messages")
        entries = []
    for entry in entries:
        source.account.records += 1
        made = [chat_turn(entry, draft.x.get("metadata"))] if editor else turn_messages(entry, draft)
        _count(source, made[0], entry if isinstance(entry, dict) else {"value": entry})
        for message in made:
            message = {"id": ids.take(message.pop("id", None))} | message
            entitle(draft, message)
            yield draft, message


def _placed(draft: Draft, row: Record) -> None:
    rest = stated(row)
    if isinstance(rest.get("key"), str):
        place(draft, rest["key"])
    for name in ("created_at", "updated_at"):
        if time := millis(rest.get(name)):
            setattr(draft, name, time)
            del rest[name]
    if rest := {key: value for key, value in rest.items() if key not in ("key", "conversation_id")}:
        draft.x["row"] = rest


def _editor(draft: Draft, about: Any) -> None:
    if isinstance(about, dict):
        draft.created_at, draft.updated_at = millis(about.get("startTime")), millis(about.get("endTime"))


def _count(source: Source, message: Message, record: Record) -> None:
    if is_verbatim(message, record):
        source.preserved()
    else:
        source.mapped()

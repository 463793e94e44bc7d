"""Cursor: the chats of the editor, in its state databases.

Where: `state.vscdb` (SQLite) in `globalStorage/` and in each `workspaceStorage/<hash>/` below `~/.config/Cursor/User`
on Linux, `~/Library/Application Support/Cursor/User` on macOS and `%APPDATA%\\Cursor\\User` on Windows. The
workspace's folder is in `workspace.json` beside its database.

How it is recognised: a database with the table `cursorDiskKV`, or with `ItemTable` and the names of Cursor's chat keys
in it. Only those keys are ever read: the same table holds the editor's sign-in.

What the records are and how they map: three generations. (1) `ItemTable`'s
`workbench.panel.aichat.view.aichat.chatdata` has tabs with bubbles; (2) its `composer.composerData` has composers with
their `conversation`; (3) `cursorDiskKV` has a row `composerData:<id>` for each composer and `bubbleId:<id>:<bubble>`
for each bubble, newer releases a table `composerHeaders` besides. A record is a row that is read, or a bubble, tab or
composer inside one. A tab or composer is a session, a bubble a message in the order of the composer's own list; a
tool's result is a message of role tool (`<id>:results`). Bubbles that the list does not name are kept beside the
conversation, behind it. The log of prompts (`aiService.prompts`) is a session of its own, whose `x` keeps the
composers that have no conversation here.

What it loses: which workspace a chat of the global database belongs to, unless the composer says so; bubbles whose row
is empty; what a session has cost is told per model and not per answer, so it stays in `x`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.cursor_parts import Record, describe, kept, messages_of
from sessionstore.importers.editor_parts import folder_of, place, workspace
from sessionstore.importers.material import Database
from sessionstore.importers.parsing import Unparsable

TABS = "workbench.panel.aichat.view.aichat.chatdata"
COMPOSERS = "composer.composerData"
PROMPTS = "aiService.prompts"
KEYS = (TABS, COMPOSERS, PROMPTS)
_COLUMNS = frozenset({"key", "value"})
_BESIDE = "workspace.json"
_CONVERSATION = ("conversation", "fullConversationHeadersOnly", "conversationMap")
_MISSING = object()


class Cursor(Importer):
    """Reader of Cursor's `state.vscdb`."""

    source: ClassVar[str] = "cursor"
    title: ClassVar[str] = "Cursor"
    versions: ClassVar[str] = "three generations of state.vscdb"
    suffixes: ClassVar[tuple[str, ...]] = (".vscdb",)
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True
    companions: ClassVar[tuple[str, ...]] = (_BESIDE,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The user directory of Cursor on each system."""
        roaming = machine.cwd / machine.env.get("APPDATA", machine.home / "AppData" / "Roaming")
        configured = machine.cwd / machine.env.get("XDG_CONFIG_HOME", machine.home / ".config")
        support = machine.home / "Library" / "Application Support"
        for directory in dict.fromkeys((configured, machine.home / ".config", support, roaming)):
            yield Place(directory / "Cursor" / "User")

    def recognise(self, head: Head) -> bool:
        """The table `cursorDiskKV`, or `ItemTable` with one of Cursor's chat keys."""
        if not head.data.startswith(b"SQLite format 3\0"):
            return False
        if head.tables.get("cursorDiskKV", frozenset()) >= _COLUMNS:
            return True
        return head.tables.get("ItemTable", frozenset()) >= _COLUMNS and _mentions(head)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every chat in the database. Raises `Unparsable` for a damaged one."""
        with source.database() as database:
            if not {"cursorDiskKV", "ItemTable"} & database.tables.keys():
                raise Unparsable("not a state database")
            yield from _Reader(source, database).everything()


def _mentions(head: Head) -> bool:
    marks = [key.encode() for key in KEYS]
    rest = b""
    for block in head.blocks():
        text = rest + block
        if any(mark in text for mark in marks):
            return True
        rest = text[-64:]
    return False


class _Reader:
    """Reads the allowed rows of one database."""

    def __init__(self, source: Source, database: Database) -> None:
        self.source = source
        self.database = database
        self.about = workspace(source, _BESIDE)
        self.folder = folder_of(self.about.get("folder"))
        self.taken: set[str] = set()
        self.other: _Session | None = None

    def everything(self) -> Iterator[tuple[Draft, Message]]:
        headers = self._headers()
        composers: set[str] = set()
        for row in self._rows("cursorDiskKV", "composerData:%"):
            ident = row["key"].removeprefix("composerData:")
            value = self._value(row)
            composers.add(ident)
            if value is _MISSING:
                continue
            yield from self._composer(ident, value, headers.pop(ident, {}))
        yield from self._orphans(composers, headers)
        for ident, fields in headers.items():
            self._keep({"key": f"composerHeaders:{ident}", "value": fields})
        yield from self._items()

    def _rows(self, table: str, pattern: str, columns: tuple[str, ...] = ("key", "value")) -> Iterator[Record]:
        for row in self.database.rows(table, columns, where={"key": pattern}):
            if isinstance(row.get("key"), str):
                yield row

    def _value(self, row: Record) -> Any:
        """The JSON value of a row, counted; `_MISSING` when it cannot be read and was rejected."""
        self.source.account.records += 1
        raw = row.get("value")
        if raw is None:
            return None
        if not isinstance(raw, str | bytes):
            self.source.reject("neither text nor bytes")
            return _MISSING
        try:
            return self.source.parsed(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw)
        except Unparsable as error:
            self.source.reject(str(error))
            self.source.note("unparsable-record", f"a record could not be read: {error}")
            return _MISSING

    def _headers(self) -> dict[str, Record]:
        """What newer releases say of each composer in a table of its own."""
        found: dict[str, Record] = {}
        columns = ("composerId", "workspaceId", "createdAt", "lastUpdatedAt", "value")
        for row in self.database.rows("composerHeaders", columns):
            value = self._value(row)
            if value is _MISSING:
                continue
            self.source.mapped()
            fields = {name: row[name] for name in columns[1:4] if isinstance(row.get(name), str | int)}
            fields |= value if isinstance(value, dict) else {"value": value}
            found[str(row.get("composerId"))] = fields
        return found

    def _session(self, ident: str) -> _Session:
        name = ident or "session"
        number = 2
        while name in self.taken:
            name = f"{ident}~{number}"
            number += 1
        self.taken.add(name)
        session = _Session(self.source, self.source.draft(name))
        if name != ident:
            session.draft.issue("repeated-session-id", "the database holds several sessions with this id")
        if self.about:
            session.draft.x["workspace"] = self.about
        return session

    def _composer(self, ident: str, value: Any, header: Record) -> Iterator[tuple[Draft, Message]]:
        bubbles = self._bubbles(ident)
        (self.source.mapped if isinstance(value, dict) else self.source.preserved)()
        if not bubbles and not (isinstance(value, dict) and any(value.get(name) for name in _CONVERSATION)):
            self._keep({"key": f"composerData:{ident}", "value": value} | ({"header": header} if header else {}))
            return
        session = self._session(ident)
        if not isinstance(value, dict):
            session.draft.x["record"] = {"value": value}
            value = {}
        yield from self._conversation(session, value, header, bubbles)

    def _bubbles(self, ident: str) -> dict[str, Any]:
        """The bubbles of a composer by the end of their key, in the order they were written."""
        prefix = f"bubbleId:{ident}:"
        found = (
            (row["key"].removeprefix(prefix), self._value(row)) for row in self._rows("cursorDiskKV", prefix + "%")
        )
        return {name: value for name, value in found if value is not _MISSING}

    def _conversation(
        self, session: _Session, value: Record, header: Record, bubbles: dict[str, Any]
    ) -> Iterator[tuple[Draft, Message]]:
        """The bubbles of a composer: those inside it, those its list names, then the others."""
        fields = dict(value)
        inside, listed, by_id = (fields.pop(name, None) for name in _CONVERSATION)
        odd = {"conversation": inside, "fullConversationHeadersOnly": listed}
        fields |= {name: one for name, one in odd.items() if one is not None and not isinstance(one, list)}
        known = dict(by_id) if isinstance(by_id, dict) else {}
        if by_id is not None and not isinstance(by_id, dict):
            fields["conversationMap"] = by_id
        inside = inside if isinstance(inside, list) else []
        self.source.account.records += len(inside) + len(known)
        describe(session.draft, fields)
        describe(session.draft, header)
        place(session.draft, self.folder)
        for bubble in inside:
            yield from session.take(bubble)
        inner = {
            value["bubbleId"]: name
            for name, value in bubbles.items()
            if isinstance(value, dict) and isinstance(value.get("bubbleId"), str)
        }
        for one in listed if isinstance(listed, list) else []:
            name = one.get("bubbleId") if isinstance(one, dict) else None
            if not isinstance(name, str):
                continue
            found = name if name in bubbles else inner.get(name, name)
            if found in bubbles:
                yield from session.take(bubbles.pop(found), found)
            elif name in known:
                yield from session.take(known.pop(name), name)
            elif name not in session.names:
                session.draft.issue("bubble-missing", "the composer lists a bubble that the database does not hold")
        rest = [*known.items(), *bubbles.items()]
        session.leave = bool(session.names) and bool(rest)
        for name, bubble in rest:
            yield from session.take(bubble, name)
        session.finish()

    def _orphans(self, composers: set[str], headers: dict[str, Record]) -> Iterator[tuple[Draft, Message]]:
        """Bubbles whose composer has no row."""
        found: dict[str, None] = {}
        for row in self._rows("cursorDiskKV", "bubbleId:%", ("key",)):
            ident = row["key"].removeprefix("bubbleId:").partition(":")[0]
            if ident not in composers:
                found[ident] = None
        for ident in found:
            session = self._session(ident)
            session.draft.issue("composer-missing", "the database has bubbles of this composer and not the composer")
            yield from self._conversation(session, {}, headers.pop(ident, {}), self._bubbles(ident))

    def _items(self) -> Iterator[tuple[Draft, Message]]:
        """The chats of the older generations, and what is no chat."""
        for key in KEYS:
            for row in self.database.rows("ItemTable", ("key", "value"), where={"key": key}):
                value = self._value(row)
                if value is _MISSING:
                    continue
                name = {TABS: "tabs", COMPOSERS: "allComposers"}.get(key, "")
                found = value.get(name) if isinstance(value, dict) else value
                if not isinstance(found, list) or (name and not isinstance(value, dict)):
                    self.source.preserved()
                    self._keep({"key": key, "value": value})
                    continue
                self.source.mapped()
                self.source.account.records += len(found)
                if name and (rest := {other: one for other, one in value.items() if other != name}):
                    self._keep({"key": key, "value": rest})
                for one in found:
                    yield from self._item(key, one)

    def _item(self, key: str, one: Any) -> Iterator[tuple[Draft, Message]]:
        if key == TABS and isinstance(one, dict) and isinstance(one.get("bubbles"), list):
            yield from self._tab(one)
        elif key == COMPOSERS and isinstance(one, dict) and (one.get("conversation") or "conversationMap" in one):
            ident = one.get("composerId")
            self.source.mapped()
            yield from self._conversation(self._session(ident if isinstance(ident, str) else ""), one, {}, {})
        elif key == PROMPTS and isinstance(one, dict) and isinstance(one.get("text"), str):
            self.source.mapped()
            message: Message = {"role": "user", "parts": [{"type": "text", "content": one["text"]}]}
            if rest := {name: value for name, value in one.items() if name != "text"}:
                message["x"] = rest
            other = self._beside()
            yield other.draft, other.named(message, "")
        else:
            self.source.preserved()
            self._keep({"key": key, "value": one})

    def _tab(self, tab: Record) -> Iterator[tuple[Draft, Message]]:
        ident = tab.get("tabId")
        session = self._session(ident if isinstance(ident, str) else "")
        self.source.mapped()
        self.source.account.records += len(tab["bubbles"])
        describe(session.draft, {name: value for name, value in tab.items() if name != "bubbles"})
        place(session.draft, self.folder)
        for bubble in tab["bubbles"]:
            yield from session.take(bubble)
        session.finish()

    def _keep(self, record: Record) -> None:
        """Keep what is no message of any chat, such as a composer that is only named here; it was counted before."""
        self._beside().draft.x.setdefault("records", []).append(record)

    def _beside(self) -> _Session:
        """The session for what belongs to no chat."""
        if self.other is None:
            path = self.source.name.split("/")
            self.other = self._session(f"prompts-{path[-2]}" if len(path) > 1 and path[-2] else "prompts")
            place(self.other.draft, self.folder)
        return self.other


class _Session:
    """Names the messages of one session."""

    def __init__(self, source: Source, draft: Draft) -> None:
        self.source = source
        self.draft = draft
        self.names: set[str] = set()
        self.count = 0
        self.leave = False
        """Whether the next message is beside the conversation."""
        self.leaf: str | None = None
        self.last: str | None = None

    def take(self, bubble: Any, key: str = "") -> Iterator[tuple[Draft, Message]]:
        """The messages of a bubble, which was counted as a record."""
        made = messages_of(bubble) if isinstance(bubble, dict) else None
        if made is None:
            self.source.preserved()
            if bubble is None:
                self.draft.issue("bubble-empty", "a bubble has no content any more")
            made = [kept(bubble if isinstance(bubble, dict) else {"bubble": key, "value": bubble})]
        else:
            self.source.mapped()
        native = next((bubble[name] for name in ("bubbleId", "id") if _has_id(bubble, name)), key)
        if self.leave:
            if self.leaf is None:
                self.leaf = self.last
                self.draft.issue("unlisted-bubble", "bubbles that the composer's list does not name stand beside it")
            made[0]["parent"] = None
        for message in made:
            if message is not made[0]:
                native = f"{made[0]['id']}:results"
            yield self.draft, self.named(message, native)

    def named(self, message: Message, native: str) -> Message:
        self.count += 1
        name, number = native or f"m{self.count}", 2
        while name in self.names:
            name = f"{native or 'm'}~{number if number < 100 else self.count}"
            number += 1
            if number > 101:
                native += "'"
        self.names.add(name)
        self.last = message["id"] = name
        if self.draft.title is None and message["role"] == "user":
            for part in message["parts"]:
                if part["type"] == "text" and (line := title_line(part["content"])):
                    self.draft.title = line
                    break
        return message

    def finish(self) -> None:
        self.draft.active_leaf = self.leaf


def _has_id(bubble: Any, name: str = "bubbleId") -> bool:
    return isinstance(bubble, dict) and isinstance(bubble.get(name), str) and bubble[name] != ""

"""GitHub Copilot Chat (and other chat participants) in VS Code: the editor's own chat sessions.

Where: `chatSessions/<id>.json` or `.jsonl` in `workspaceStorage/<hash>/` (whose `workspace.json` names the folder),
and `emptyWindowChatSessions/` and `transferredChatSessions/` in `globalStorage/`, below `~/.config/Code/User` on
Linux, `~/Library/Application Support/Code/User` on macOS and `%APPDATA%\\Code\\User` on Windows; the same below `Code
- Insiders`, `VSCodium` and `Positron`. What "Export Chat" writes is read too.

How it is recognised: an object with `requests` and `responderUsername`, or with `requests`, `sessionId` and `version`;
a log that begins with the whole of such an object as `{"kind": 0, "v": ...}`.

What the records are and how they map: of a document the envelope and each request; of a log each line, which is an
operation on the document (0 whole, 1 set, 2 cut off and append, 3 delete) and is replayed. A request gives the user's
message and the answer: text, thinking as reasoning, tool invocations as calls, their results as messages of role tool
between the parts of the answer, references to files as links; all other parts are kept verbatim, all other fields in
`x`. Requests that a log has taken back stay as branches; other values that were replaced and not merely continued are
in `x.superseded` of the session. Token figures of the latest call only are marked as estimated.

What it loses: what a compacted log had forgotten before; when an answer was given; arguments of tools that the editor
does not show; the figures of earlier calls in one answer. An exported chat has no id, so it gets that of its first
request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

from sessionstore.importers.base import HEAD, Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import stem, title_line
from sessionstore.importers.copilot_chat_log import Log
from sessionstore.importers.copilot_chat_parts import Record, answered, asked
from sessionstore.importers.editor_parts import folder_of, place, workspace
from sessionstore.importers.epoch import millis
from sessionstore.importers.gemini_parts import kept
from sessionstore.importers.parsing import Unparsable

_BESIDE = "../workspace.json"
_OPERATION = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(kind"\s*:\s*[0-3]\s*,\s*"[kv]"|[kv]"\s*:)')
_EDITORS = ("Code", "Code - Insiders", "VSCodium", "Positron")
_TIMES = {"creationDate": "created_at", "lastMessageDate": "updated_at"}


class CopilotChat(Importer):
    """Reader of VS Code's chat sessions, logs and exports."""

    source: ClassVar[str] = "copilot-chat"
    title: ClassVar[str] = "VS Code Copilot Chat"
    versions: ClassVar[str] = "chatSessions 1 to 3 as JSON, operation logs since 2026, exports"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    by_line: ClassVar[bool] = False
    companions: ClassVar[tuple[str, ...]] = (_BESIDE,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The workspaces' and the global storage of each editor of the family."""
        roaming = machine.cwd / machine.env.get("APPDATA", machine.home / "AppData" / "Roaming")
        configured = machine.cwd / machine.env.get("XDG_CONFIG_HOME", machine.home / ".config")
        support = machine.home / "Library" / "Application Support"
        for directory in dict.fromkeys((configured, machine.home / ".config", support, roaming)):
            for editor in _EDITORS:
                yield Place(directory / editor / "User" / "workspaceStorage")
                for name in ("emptyWindowChatSessions", "transferredChatSessions"):
                    yield Place(directory / editor / "User" / "globalStorage" / name)

    def recognise(self, head: Head) -> bool:
        """A document with `requests` and what only this program writes beside, or a log that begins with one."""
        if _OPERATION.match(head.data):
            records = head.records or Head(head.name, head.first_line(), True).records
            first = records[0] if records else {}
            return first.get("kind") == 0 and isinstance(first.get("v"), dict) and _is_chat(first["v"])
        if (
            b'"requests"' not in head.data
            and b'"responderUsername"' not in head.data
            and b'"requesterU' not in head.data
        ):
            return False
        document = head.document
        return isinstance(document, dict) and _is_chat(document)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the chat. Raises `Unparsable` for a document that is none."""
        blocks = iter(source.blocks)
        head = b""
        while len(head) < HEAD and (block := next(blocks, None)) is not None:
            head += block
        source.blocks = chain([head], blocks)
        log = Log()
        odd: list[Any] = []
        # The name is asked only when the first member of the first line is none that the program writes there.
        replayed = _OPERATION.match(head) is not None or source.name.lower().endswith(".jsonl")
        if replayed:
            for record in source.records():
                if log.apply(record):
                    source.mapped()
                else:
                    source.preserved()
                    odd.append(record)
            if not log.state and not odd:
                raise Unparsable("no operation on a chat")
        else:
            document = source.document()
            if not isinstance(document, dict):
                raise Unparsable("not a JSON object")
            log.apply({"kind": 0, "v": document})
            log.order = list(log.requests())
            source.account.records += 1 + len(log.requests())
            source.mapped()
        chat = _Chat(source, log, odd)
        for message in chat.messages(replayed):
            yield chat.draft, message


def _is_chat(document: Record) -> bool:
    if not isinstance(document.get("requests"), list):
        return False
    keys = document.keys()
    return bool({"responderUsername", "requesterUsername"} & keys) or {"sessionId", "version"} <= keys


def _meta(value: Any) -> Message:
    return {"role": "system", "kind": "meta", "parts": [kept(value)]}


class _Chat:
    """Gives the messages of a replayed chat."""

    def __init__(self, source: Source, log: Log, odd: list[Any]) -> None:
        self.source = source
        self.log = log
        self.state = dict(log.state)
        ident, name = self.state.get("sessionId"), stem(source.name)
        if isinstance(ident, str) and ident:
            del self.state["sessionId"]
            self.draft = source.draft(ident)
            if name and name != ident:
                self.draft.aliases.append(name)
        else:
            first = next((one.get("requestId") for one in log.order if isinstance(one, dict)), None)
            self.draft = source.draft(first if isinstance(first, str) and first else name or "chat")
            self.draft.issue(
                "id-missing", "the file states no session id; its first request's, else its name, was taken"
            )
        self.names: set[str] = set()
        self.count = 0
        self.last: str | None = None
        self.ends: dict[int, str | None] = {}
        """The last message of a request, by the identity of the request."""
        if odd:
            self.draft.x["operations"] = odd
            self.draft.issue("operation-unknown", "an operation of the log does not fit what it works on", len(odd))

    def messages(self, replayed: bool) -> Iterator[Message]:
        self._describe()
        requests = self.log.requests()
        current = {id(request): number for number, request in enumerate(requests)}
        for number, request in enumerate(self.log.order):
            position = current.get(id(request))
            if position is not None:
                before = requests[position - 1] if position else None
            else:
                before = self.log.gone.get(number)
            follows = self.ends.get(id(before)) if before is not None else None
            if not replayed:
                (self.source.mapped if isinstance(request, dict) else self.source.preserved)()
            yield from self._request(request, follows)
            self.ends[id(request)] = self.last
        leaf = self.ends.get(id(requests[-1])) if requests else None
        if leaf != self.last:
            self.draft.active_leaf = leaf

    def _request(self, request: Any, follows: str | None) -> Iterator[Message]:
        made = [asked(request), *answered(request)] if isinstance(request, dict) else [_meta(request)]
        for number, message in enumerate(made):
            yield self._named(message, self._name(request, number), follows)
            follows = self.last

    def _name(self, request: Any, number: int) -> str:
        if not isinstance(request, dict):
            return ""
        asked_id, answer_id = request.get("requestId"), request.get("responseId")
        name = asked_id if isinstance(asked_id, str) else ""
        if number == 0 or not name:
            return name
        base = answer_id if isinstance(answer_id, str) and answer_id else f"{name}:answer"
        return base if number == 1 else f"{base}:{number}"

    def _named(self, message: Message, native: str, follows: str | None) -> Message:
        self.count += 1
        name, number = native or f"m{self.count}", 2
        while name in self.names:
            name = f"{native or 'm'}~{number if number < 100 else f'm{self.count}'}"
            native += "'" if number >= 100 else ""
            number += 1
        self.names.add(name)
        message["id"] = name
        if follows != self.last:
            message["parent"] = follows
        self.last = name
        if self.draft.title is None and message["role"] == "user":
            text = next((part["content"] for part in message["parts"] if part["type"] == "text"), "")
            self.draft.title = title_line(text) or None
        return message

    def _describe(self) -> None:
        """Take over what the document says of the session."""
        draft = self.draft
        if isinstance(self.state.get("requests"), list):
            del self.state["requests"]
        title = self.state.get("customTitle")
        if isinstance(title, str) and title_line(title):
            draft.title = title_line(title)
        for name, value in self.state.items():
            if name in _TIMES and (time := millis(value)):
                setattr(draft, _TIMES[name], time)
            elif value is not None and not (name == "customTitle" and value == draft.title):
                draft.x[name] = value
        if self.log.superseded:
            draft.x["superseded"] = self.log.superseded
        about = workspace(self.source, _BESIDE)
        if about:
            draft.x["workspace"] = about
        place(draft, folder_of(about.get("folder")))

"""opencode's tree of files: which file of a message, a part or a change of files belongs to which session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.importers.agent_parts import Record
from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import stem
from sessionstore.importers.opencode_parts import Found, Session, created_of, is_session
from sessionstore.importers.parsing import Unparsable


class Tree:
    """Joins the files of a tree. `lead` is the parsed file that stands for it, `root` the way to the tree's root."""

    def __init__(self, source: Source, lead: Record, root: str) -> None:
        self.source = source
        self.lead = lead
        self.files: dict[str, dict[str, list[str]]] = {}
        """names of companions by the kind of file and the directory they lie in, "" for none"""
        for name in sorted(source.companions):
            kind, _, rest = name.removeprefix(root).partition("/")
            above, _, _ = rest.rpartition("/")
            self.files.setdefault(kind, {}).setdefault(above, []).append(name)
        self.loose: dict[str, list[tuple[str, Any]]] = {}
        """parts that lie in no directory of their message, by the message's id"""
        self.messages: dict[str, list[tuple[str, Record]]] = {}

    def read(self) -> Iterator[tuple[Draft, Message]]:
        """The messages of all sessions."""
        sessions = self._sessions()
        for name in self.files.pop("part", {}).pop("", []) if "" in self.files.get("part", {}) else []:
            self._keep_loose(name)
        parts = self.files.get("part", {})
        self._directories(sessions)
        for name in self.messages:
            if name not in sessions:
                sessions[name] = Session(self.source, name)
                sessions[name].draft.issue("session-file-missing", "the session's own file is not there")
        for name, session in sessions.items():
            for ident, record in self.messages.pop(name, []):
                found: list[Found] = [
                    (stem(one), value, {}) for one in parts.pop(ident, []) if (value := self._document(one)) is not None
                ]
                found += [(one, value, {}) for one, value in self.loose.pop(ident, [])]
                for message in session.messages(ident, record, found, {}):
                    yield session.draft, message
        self._rest(parts)

    def _sessions(self) -> dict[str, Session]:
        projects: dict[str, Record] = {}
        for name in self.files.pop("project", {}).get("", []):
            project = self._document(name)
            if isinstance(project, dict):
                self.source.mapped()
                projects[stem(name)] = project
            elif project is not None:
                self.source.reject("a project that is no object")
        found: list[Record] = [self.lead]
        self.source.mapped()
        for names in self.files.pop("session", {}).values():
            for name in names:
                info = self._document(name)
                if is_session(info):
                    self.source.mapped()
                    found.append(info)
                elif info is not None:
                    self.source.reject("a session that is none")
        sessions: dict[str, Session] = {}
        for info in sorted(found, key=lambda info: (created_of(info), info["id"])):
            name = info["id"]
            if name in sessions:
                self.source.note("session-twice", "two files describe the same session; the later one counts")
            else:
                sessions[name] = Session(self.source, name)
            sessions[name].describe(info, projects.get(info.get("projectID", "")))
        self._diffs(sessions)
        return sessions

    def _diffs(self, sessions: dict[str, Session]) -> None:
        for name in self.files.pop("session_diff", {}).get("", []):
            diff, session = self._document(name), sessions.get(stem(name))
            if diff is None:
                continue
            if session is None:
                self.source.reject("the changes of a session that is gone")
                continue
            self.source.mapped()
            if diff:
                session.draft.x["diff"] = diff
        for name in self.files.pop("migration", {}).get("", []):
            if self._document(name) is not None:
                self.source.mapped()  # the version of the tree's layout

    def _keep_loose(self, name: str) -> None:
        part = self._document(name)
        if part is not None:
            ident = part.get("messageID") if isinstance(part, dict) else None
            self.loose.setdefault(ident if isinstance(ident, str) else "", []).append((stem(name), part))

    def _directories(self, sessions: dict[str, Session]) -> None:
        """Read the messages of every session."""
        for above, names in self.files.pop("message", {}).items():
            for name in names:
                record = self._document(name)
                if record is None:
                    continue
                if not isinstance(record, dict):
                    self.source.reject("a message that is no object")
                    continue
                stated, ident = record.get("sessionID"), record.get("id")
                session = above if above in sessions or not isinstance(stated, str) or not stated else stated
                ident = ident if isinstance(ident, str) and ident else stem(name)
                self.messages.setdefault(session or "without-session-id", []).append((ident, record))
        for found in self.messages.values():
            found.sort(key=lambda one: created_of(one[1]))

    def _rest(self, parts: dict[str, list[str]]) -> None:
        """Parts of messages that are not there."""
        for names in parts.values():
            for name in names:
                if self._document(name) is not None:
                    self.source.reject("a part of a message that is gone")
        for left in self.loose.values():
            for _ in left:
                self.source.reject("a part of a message that is gone")

    def _document(self, name: str) -> Any:
        """What a file says; None, and rejected, when it cannot be read. Counted as a record."""
        self.source.account.records += 1
        try:
            value, flags = self.source.companions[name].document()
        except Unparsable as error:
            self.source.reject(f"a file that cannot be read: {error}")
            self.source.note("companion-unreadable", f"a file of the tree could not be read: {error}")
            return None
        for flag in flags:
            self.source.note(flag)
        if value is None:
            self.source.reject("a file that says nothing")
        return value

"""opencode: the sessions of the terminal program (by SST, later Anomaly) and of its forks.

Where: `~/.local/share/opencode` on Linux, macOS and Windows (`$XDG_DATA_HOME/opencode` when that is set): since early
2026 `opencode.db` (SQLite), before that a tree of small JSON files in `storage/`. Both may be there, with the same
sessions.

How it is recognised: a database with the tables `session`, `message` and `part`, the latter two with `data`; in the
tree the files of sessions, which have `id`, `projectID`, `directory` and `time`. A whole tree is one source, because
its files hold one message or one part of a message each.

What the records are and how they map: a record is a row or a file. A message is put together from its own record and
those of its parts, in the order of their ids. Texts, reasoning, files and the calls of tools are parts of it; what the
tools gave back is a message of role tool of its own (`<id>:results`). Steps, snapshots, patches and parts of unknown
types are kept verbatim. The tokens of a message are counted, those of its steps repeat them. Summaries of what was said
before are of kind `compaction`, failures without an answer of kind `error`. Changes that a session has made to files
(`session_diff`) and lists of tasks (`todo`) are in `x` of the session. The database's log of events and its
`session_message` repeat the three tables and are not read, nor are accounts and credentials.

What it loses: states of a part before its last; sessions, messages and parts that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_parts import Record
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.database_rows import from_json, stated
from sessionstore.importers.material import SQLITE, Database
from sessionstore.importers.opencode_parts import Found, Session, is_session
from sessionstore.importers.opencode_tree import Tree
from sessionstore.importers.parsing import Unparsable

SESSION = frozenset({"id", "title"})
MESSAGE = frozenset({"id", "session_id", "data"})
PART = frozenset({"id", "message_id", "session_id", "data"})
_ROOT = "../../"


class OpenCode(Importer):
    """Reader of opencode's database and of its older tree of files."""

    source: ClassVar[str] = "opencode"
    title: ClassVar[str] = "opencode"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".json")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True
    leads: ClassVar[tuple[str, ...]] = ("session/*/*.json",)
    companions: ClassVar[tuple[str, ...]] = (
        "session/*/*.json",
        "message/*/*.json",
        "part/*/*.json",
        "part/*.json",
        "project/*.json",
        "session_diff/*.json",
        "migration",
    )

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of data."""
        configured = machine.env.get("XDG_DATA_HOME")
        yield Place((machine.cwd / configured if configured else machine.home / ".local" / "share") / "opencode")

    def recognise(self, head: Head) -> bool:
        """The three tables, or the file of a session."""
        if head.data.startswith(SQLITE):
            return _is_layout(head.tables)
        return {"id", "projectID", "directory", "time"} <= head.keys and is_session(head.document)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of every session. Raises `Unparsable` for what is no database or session."""
        if source.name.lower().endswith(".db"):
            with source.database() as database:
                if not _is_layout(database.tables):
                    raise Unparsable("not a database of opencode")
                yield from _rows(source, database)
            return
        source.account.records += 1
        lead = source.document()
        if not is_session(lead):
            raise Unparsable("not a session of opencode")
        yield from Tree(source, lead, _ROOT).read()


def _is_layout(tables: dict[str, frozenset[str]]) -> bool:
    wanted = {"session": SESSION, "message": MESSAGE, "part": PART}
    return all(tables.get(name, frozenset()) >= columns for name, columns in wanted.items())


def _rows(source: Source, database: Database) -> Iterator[tuple[Draft, Message]]:
    projects: dict[Any, Record] = {}
    for row in database.rows("project"):
        source.account.records += 1
        source.mapped()
        projects[row.get("id")] = stated(row)
    sessions: dict[str, Session] = {}
    for row in database.rows("session", order="time_created, id"):
        source.account.records += 1
        name = row["id"]
        if not isinstance(name, str) or not name or name in sessions:
            source.reject("a session without an id of its own")
            continue
        source.mapped()
        sessions[name] = Session(source, name)
        sessions[name].describe(_info(source, row), projects.get(row.get("project_id")))
    for row in database.rows("todo", order="session_id, position, rowid"):
        source.account.records += 1
        if (session := sessions.get(row.get("session_id", ""))) is None:
            source.reject("a task of a session that is gone")
            continue
        source.mapped()
        del row["session_id"]
        session.draft.x.setdefault("todo", []).append(stated(row))
    yield from _messages(source, database, sessions)
    orphans = database.count("part") - sum(session.parts for session in sessions.values())
    for _ in range(max(0, orphans)):
        source.account.records += 1
        source.reject("a part of a message that is gone")


def _messages(source: Source, database: Database, sessions: dict[str, Session]) -> Iterator[tuple[Draft, Message]]:
    owners = dict.fromkeys(row["session_id"] for row in database.rows("message", ("session_id",), "session_id"))
    for given in owners:
        name = given if isinstance(given, str) and given else "without-session-id"
        if name not in sessions:
            sessions[name] = Session(source, name)
            sessions[name].draft.issue("session-row-missing", "the session's own row is not in the file")
        parts: dict[Any, list[Found]] = {}
        for found in _of(database, "part", "id", given):
            around = (found["id"], from_json(source, found["data"]), stated(found))
            parts.setdefault(found["message_id"], []).append(around)
        for row in list(_of(database, "message", "time_created, id", given)):
            said = parts.pop(row["id"], [])
            source.account.records += 1 + len(said)
            sessions[name].parts += len(said)
            for message in sessions[name].messages(row["id"], from_json(source, row["data"]), said, stated(row)):
                yield sessions[name].draft, message


def _of(database: Database, table: str, order: str, session: Any) -> Iterator[Record]:
    """The rows of one session; a name that ends with `%` would fit others' as well."""
    rows = database.rows(table, order=order, where={"session_id": session})
    return (row for row in rows if row["session_id"] == session)


def _info(source: Source, row: Record) -> Record:
    """A session's row under the names that its file has."""
    info = stated(row)
    for theirs, ours in (("parent_id", "parentID"), ("project_id", "projectID")):
        if theirs in info:
            info[ours] = info.pop(theirs)
    info["time"] = {
        name.removeprefix("time_"): info.pop(name) for name in [name for name in info if name.startswith("time_")]
    }
    for name in ("model", "revert", "permission", "summary_diffs"):
        if (value := from_json(source, info.get(name))) is not None:
            info[name] = value
    return {name: value for name, value in info.items() if value not in ("", 0)}

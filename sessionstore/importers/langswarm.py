"""LangSwarm sessions: `langswarm_sessions.db` in the directory the program was started in, or wherever it was told to
(`/var/lib/langswarm/sessions.db` in its production preset), on Linux, macOS and Windows alike; and dumps of the
document stores that version 1 could write to (`.json`, `.jsonl`).

Recognised by content, because two versions write different tables into a file of one name: a `sessions` table with a
`history` column is version 1, one with a `context_data` column is version 2. A dump has documents with a `key`
(`session:…`, `conversation:…`, `message:…`), a `text` and `metadata`, or event rows with `event_id`, `event_type` and
`session_data`. Credentials are in none of them.

Records of version 1 are the rows of `sessions` and each element of `history.messages` (OpenAI chat dialect). Of version
2 they are the rows of `sessions`, `session_messages` and `session_metrics`; messages come in the order of their row
number, which is the true one, and the number itself is given anew with every save and is not kept. Of a dump every
document or event is a record, and each message inside. The session documents are complete; `conversation:` and
`message:` documents, made for searching, give only what no session document holds. Of several states of one session
the latest counts, by `event_timestamp`, then by position. A session's model and provider are given to its answers.

Where a file contradicts itself, the verdict is: the row's key is the session's id, before the ids inside the JSON,
which become aliases; everything else is as the JSON says, because the program reads nothing but the JSON, and the
column's value is kept in `x.columns`. Every contradiction is an issue. A version 1 file that version 2 has written to
keeps the old table (`create table if not exists`), so nothing it was told was saved: an issue of the file. Messages and
metrics whose session row was deleted are sessions of their own, with an issue.

Times have no offset. Those of version 1 are local; those of version 2's messages come from whoever made the message.
They are kept as written, in `x`. Only `updated_at` of version 2, when it has the form of SQLite's `CURRENT_TIMESTAMP`,
is UTC by definition; `created_at` is reset with every save and is no time of creation. `total_tokens` of version 1
counts words, `token_count` of version 2 means different things per provider: neither is usage.

What the source has already lost: messages before a truncation (version 2 keeps the last 100), tool calls and their ids
in version 2 unless an application put them into `metadata`, the status of version 2 sessions, system and tool messages
in search documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from sessionstore.importers import langswarm_documents, langswarm_tables
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.material import SQLITE

WINDOW = 100
"""How many messages version 2 keeps unless it is told otherwise."""


class LangSwarm(Importer):
    """Reader of `langswarm_sessions.db` and of dumps of LangSwarm's session documents."""

    source: ClassVar[str] = "langswarm"
    title: ClassVar[str] = "LangSwarm"
    versions: ClassVar[str] = "L1 and L3 SQLite, L2 documents, BigQuery events"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".sqlite", ".sqlite3", ".json", ".jsonl")
    scoped: ClassVar[bool] = True
    window: ClassVar[int | None] = WINDOW
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The database in the working directory and above it, and where the production preset has it."""
        for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents, machine.home)):
            yield Place(directory / "langswarm_sessions.db")
        yield Place(machine.home / "/var/lib/langswarm")

    def recognise(self, head: Head) -> bool:
        """A `sessions` table with the columns of version 1 or 2, or documents or event rows of its session store."""
        if head.data.startswith(SQLITE):
            return langswarm_tables.version(head.tables) > 0
        return langswarm_documents.recognise(head)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all sessions. Raises `Unparsable` for a damaged database or a dump that is none."""
        start = langswarm_documents.beginning(source)
        if start.startswith(SQLITE):
            with source.database() as database:
                yield from langswarm_tables.read(source, database)
        else:
            yield from langswarm_documents.read(source, start)

"""llm, Simon Willison's command line program and library: the database `logs.db`.

Where: `$LLM_USER_PATH/logs.db`; else `~/.config/io.datasette.llm/` on Linux, `~/Library/Application Support/
io.datasette.llm/` on macOS, `%APPDATA%` or `%LOCALAPPDATA%\\io.datasette.llm\\` on Windows; before 0.4 `~/.llm/log.db`.

Recognised by tables and columns: `conversations` with `responses`, `threads` with `turns`, or a `logs` or `log` table
with the columns of the first versions. Every table that has rows is read: one file holds up to three generations, and a
new one keeps the old tables, often empty.

Records are rows. First generation (`log`, `logs`, up to 0.4): one row is a prompt and its answer; rows are one session
when they have one `chat_id`, which is the first row's number, and the session is called after the first row's time,
because every such file counts from 1. Second (`conversations` and `responses`, 0.5 to 0.35): one row
is a system prompt, the results of tools, a prompt and the answer, joined with attachments, fragments (a text part
each), tools, calls, results and schemas; a response without a conversation is a session of its own. Third (`threads`,
`turns`, `messages`, `parts`, since 0.36): messages are stored once and named by a hash over themselves and what came
before; every thread gets the messages of all its turns, in the order of the turns, and the thread's tip is the active
leaf. A turn is one call: its time is that of the answer and of the messages asked right before it, its tokens count
once, in its own thread. Two calls with the same answer are two messages. A conversation that went on in the new tables
repeats its history there; what is the same is not repeated in the session. Attachments are blobs, links or paths.

Other rows (tools, fragments, attachments, schemas, toolbox instances) count as records when a conversation uses them;
what none uses is no record, nor are the search tables and the names of fragments. Rows that belong to a response that
is gone are sessions of their own, with an issue. Columns `datetime_utc` and `timestamp` are UTC by the program's own
writing, also where they have no offset. `model` is the name that was asked for, `resolved_model` (in `x`) the one that
answered. Token details of OpenAI, Anthropic and Gemini are understood: cache and reasoning; all are kept in `x`.

What the source has already lost: the bytes of attachments given by path or link, the times of messages that were sent
as history, token counts in the oldest files, deleted rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from sessionstore.importers import llm_logs
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.llm_responses import Responses
from sessionstore.importers.llm_rows import Library
from sessionstore.importers.llm_threads import Threads
from sessionstore.importers.material import SQLITE

FOLDER = "io.datasette.llm"


class Llm(Importer):
    """Reader of `logs.db`."""

    source: ClassVar[str] = "llm"
    title: ClassVar[str] = "llm"
    versions: ClassVar[str] = "0.1 to 0.4, 0.5 to 0.3x, 0.36 and later, mixed in one file"
    suffixes: ClassVar[tuple[str, ...]] = (".db", ".sqlite", ".sqlite3")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The configured directory, else the usual ones; then the one of the first versions."""
        roots = [
            machine.home / ".config" / FOLDER,
            machine.home / "Library" / "Application Support" / FOLDER,
            machine.home / "AppData" / "Roaming" / FOLDER,
            machine.home / "AppData" / "Local" / FOLDER,
        ]
        if configured := machine.env.get("XDG_CONFIG_HOME"):
            roots.insert(0, machine.home / configured / FOLDER)
        if configured := machine.env.get("LLM_USER_PATH"):
            roots.insert(0, machine.home / configured)
        for root in dict.fromkeys(roots):
            yield Place(root / "logs.db")
        yield Place(machine.home / ".llm" / "log.db")

    def recognise(self, head: Head) -> bool:
        """The tables of any generation, by their columns."""
        if not head.data.startswith(SQLITE):
            return False
        tables = head.tables
        if "_llm_migrations" in tables and ({"conversations", "responses"} <= tables.keys() or "threads" in tables):
            return True
        return any(llm_logs.is_log(name, tables[name]) for name in tables)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all generations. Raises `Unparsable` for a damaged database."""
        with source.database() as database:
            yield from llm_logs.read(source, database)
            library = Library(source, database)
            threads = Threads(library)
            responses = Responses(library)
            for session in responses.sessions():
                yield from responses.read(session)
                yield from threads.read(session)
            yield from threads.rest()
            yield from responses.orphans()

"""The only writer of the index.

What is applied becomes visible to readers with `commit` (which `apply` also does by itself after every batch of
sessions). A kill between two commits leaves the index as it was at the first, and the next sync finds by set
difference what is missing: nothing here has to be durable, only consistent.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from sessionstore.index import content, entry, schema
from sessionstore.index.files import Turn, explain, lock_path, remove_files, waited_for
from sessionstore.index.rows import Row

BATCH_SESSIONS = 500
BATCH_BYTES = 64 << 20


class IndexWriter:
    """The index of one store, opened for writing under its lock. A context manager.

    A file that cannot be gone on with (garbage, another store's, a newer program's) is replaced by an empty index,
    which `sync` fills. Leaving the block commits, or rolls back when an exception leaves it.
    Raises `Busy`, `LocksUnavailable`, `StorageError` and, when SQLite finds the file damaged, `DamageError`.
    """

    connection: sqlite3.Connection

    def __init__(
        self, path: str | os.PathLike[str], store_id: str, *, lock: str | None = "", timeout: float = 60
    ) -> None:
        """`lock` is the lock file, by default ``locks/index.lock`` beside the index; None when the caller holds it."""
        self.path = os.path.realpath(path)
        self.store_id = store_id
        self._lock_path = lock_path(self.path) if lock == "" else lock
        self._timeout = timeout
        self._lock: Turn | None = None
        self._is_open = self._writing = False
        self._next_session = self._digest = self._change_seq = self._segments = 0
        self._sessions = self._bytes = 0

    def __enter__(self) -> IndexWriter:
        if self._lock_path is not None:
            self._lock = Turn(self._lock_path, self._timeout).__enter__()
        try:
            self.reopen()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
            else:
                self._roll_back()
        finally:
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
            self._release()

    def _release(self) -> None:
        self._is_open = False
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def reopen(self) -> None:
        """Open the file anew, for instance because it was deleted under the writer (see `lost`)."""
        if self._is_open:
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()
        with self._explained():
            if not os.path.exists(self.path):
                remove_files(self.path)
            try:
                self.connection = schema.connect_writer(self.path, self.store_id)
            except sqlite3.OperationalError:
                raise
            except (schema.Unusable, sqlite3.DatabaseError):
                remove_files(self.path)
                self.connection = schema.connect_writer(self.path, self.store_id)
            self._is_open = True
            self._inode = os.stat(self.path).st_ino
            self._recall()

    @property
    def waited_for(self) -> bool:
        """Whether another process waits for its turn to write."""
        return self._lock_path is not None and waited_for(self._lock_path)

    @property
    def lost(self) -> bool:
        """Whether the file was deleted or replaced since it was opened."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except OSError:
            return True

    # -- what is there ----------------------------------------------------------------------------------------------

    def applied(self) -> set[str]:
        """The names of all revisions that the index knows, heads and superseded ones."""
        return {name for (name,) in self.connection.execute("SELECT name FROM revisions")}

    def applied_notes(self) -> set[str]:
        """The names of all notes that the index knows."""
        return {name for (name,) in self.connection.execute("SELECT name FROM notes")}

    def session_of(self, name: str) -> int | None:
        """The number of the session that a revision is shown as, or None."""
        row = self.connection.execute("SELECT session_id FROM revisions WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def notes_of(self, key: str) -> dict[str, Any]:
        """The notes in force for a session, by field."""
        return content.notes_of(self.connection, key)

    # -- sessions ---------------------------------------------------------------------------------------------------

    def apply(
        self,
        name: str,
        revision: Mapping[str, Any],
        rows_batches: Iterable[Sequence[Row]],
        *,
        extends: str | None = None,
    ) -> bool:
        """Show a head: `revision`, stored as `name`, whose messages' rows (from `rows.encode`) are `rows_batches`.

        With `extends`, the name of an indexed head whose messages are a prefix, the rows may begin where that one
        ends (earlier ones are passed over), and it is replaced. The revision's `parents` are no longer shown.
        Returns False when it is not shown by this: it is already, a tombstone is in force, or the rows begin too
        late because `extends` is not indexed (then the next sync shows it).
        Raises `RevisionCorrupt` when the rows are not as many as the revision states, and whatever `rows_batches`
        raises; then nothing of this session has changed.
        """
        with self._explained():
            if self.session_of(name) is not None:
                return False
            self._begin()
            notes = self.notes_of(revision["key"])
            if notes.get("tombstone"):
                self._know(name, None)
                return False
            values, tags, aliases = entry.columns(revision, name, notes), entry.tags(notes), entry.aliases(revision)
            parents = entry.parents(name, revision)
            old = self.session_of(extends) if extends else None
            session, start, digests, size = self._next_session, 0, 0, 0
            if old is not None:
                query = "SELECT id, messages, content, bytes FROM sessions WHERE id = ?"
                session, start, digests, size = self.connection.execute(query, (old,)).fetchone()
            count = revision["counts"]["messages"]
            added = content.add_messages(self.connection, session, start, rows_batches, count, name)
            if added is None:
                return False
            self._next_session = max(self._next_session, session + 1)
            self._supersede(parents, extends if old is not None else None)
            values["content"] = (digests + added) % entry.MODULUS
            self._put_session(session, values, tags, aliases)
            self._know(name, session)
            content.add_source(self.connection, values["source"], revision.get("importer"))
            self._count(entry.number(values["bytes"]) - entry.number(size))
            return True

    def hide(self, name: str) -> None:
        """Know a revision without showing it, because another supersedes it or a tombstone is in force."""
        with self._explained():
            self._begin()
            self._drop(self.session_of(name))
            self._know(name, None)

    def forget(self, name: str) -> bool:
        """Remove a revision that is no longer in the store; False when it was not shown."""
        with self._explained():
            self._begin()
            session = self.session_of(name)
            self._drop(session)
            self.connection.execute("DELETE FROM revisions WHERE name = ?", (name,))
            return session is not None

    def _supersede(self, parents: set[str], extends: str | None) -> None:
        for parent in parents - {extends}:
            if (session := self.session_of(parent)) is not None:
                self._drop(session)
                self._know(parent, None)
        if extends in parents:
            self._know(extends, None)
        elif extends:
            self.connection.execute("DELETE FROM revisions WHERE name = ?", (extends,))

    def _drop(self, session: int | None) -> None:
        if session is not None:
            content.drop_messages(self.connection, session)
            self._digest = (self._digest - content.drop_session(self.connection, session)) % entry.MODULUS

    def _put_session(self, session: int, values: dict[str, Any], tags: Sequence[str], aliases: Sequence[str]) -> None:
        old = content.drop_session(self.connection, session)
        new = content.add_session(self.connection, session, values, tags, aliases, self._change_seq + 1)
        self._digest = (self._digest - old + new) % entry.MODULUS

    def _know(self, name: str, session: int | None) -> None:
        content.add_name(self.connection, name, session)

    # -- notes ------------------------------------------------------------------------------------------------------

    def apply_note(self, name: str, note: Mapping[str, Any]) -> str:
        """Take in a note, stored as `name`; returns the session key, whose row `settle_notes` brings up to date."""
        with self._explained():
            self._begin()
            content.add_note(self.connection, name, note)
            return str(note["key"])

    def forget_note(self, name: str) -> str | None:
        """Remove a note that is no longer in the store; returns the key of its session."""
        with self._explained():
            self._begin()
            return content.drop_note(self.connection, name)

    def settle_notes(self, key: str) -> None:
        """Bring the rows of a session in line with its notes, and hide it when a tombstone is in force."""
        with self._explained():
            self._begin()
            notes = self.notes_of(key)
            for session, values, aliases in content.sessions_of(self.connection, key):
                if notes.get("tombstone"):
                    self.hide(values["revision"])
                else:
                    self._put_session(session, entry.annotated(values, notes), entry.tags(notes), aliases)

    def count_from(self, change_seq: int) -> None:
        """Go on counting changes from where an index that this one replaces had come to."""
        self._change_seq = max(self._change_seq, change_seq)

    def note_sign(self, sign: str) -> None:
        """Remember a sign of the store as the index shows it (see `fresh`)."""
        with self._explained():
            self._begin()
            schema.put(self.connection, "sign", sign)

    # -- transactions -----------------------------------------------------------------------------------------------

    def _recall(self) -> None:
        """Take the counters from what is committed."""
        newest = self.connection.execute("SELECT max(id) FROM sessions").fetchone()[0]
        self._next_session = (newest or 0) + 1
        self._digest = int(schema.get(self.connection, "digest"), 16)
        self._change_seq = int(schema.get(self.connection, "change_seq"))
        self._segments = int(schema.get(self.connection, "segments"))
        self._sessions = self._bytes = 0
        self._writing = False

    def _begin(self) -> None:
        if not self._writing:
            self.connection.execute("BEGIN IMMEDIATE")
            self._writing = True

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._recall()

    def _count(self, size: int) -> None:
        self._sessions += 1
        self._bytes += size
        if self._sessions >= BATCH_SESSIONS or self._bytes >= BATCH_BYTES:
            self.commit()

    def commit(self) -> None:
        """Make everything applied so far visible to readers."""
        if not self._writing:
            return
        with self._explained():
            self._change_seq += 1
            self._segments += 1 + self._bytes // content.SEGMENT_BYTES
            schema.put(self.connection, "digest", f"{self._digest:016x}")
            schema.put(self.connection, "change_seq", self._change_seq)
            schema.put(self.connection, "segments", self._segments)
            self.connection.execute("COMMIT")
            self._writing = False
            self._sessions = self._bytes = 0
            self._segments = content.merge(self.connection, self._segments)

    def erase(self) -> None:
        """Make sure that nothing of what was forgotten is left in the file: rewrite it whole."""
        self.commit()
        with self._explained():
            content.rewrite(self.connection)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._is_open:
                self._roll_back()
            raise explain(error, self.path) from error

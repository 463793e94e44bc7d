"""Which of Datasette's databases is an index, where its store is, and who may look.

Both versions of Datasette are served: what differs between them is in this module and in `tables`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sessionstore import errors
from sessionstore.index import schema

if TYPE_CHECKING:
    from sessionstore.store import Store

PLUGIN = "sessionstore"
SECONDS = 8.0
"""A question to the index that takes longer is given up."""
_STEPS = 20_000
"""SQLite instructions between two looks at the clock."""

Answer = TypeVar("Answer")


class TooSlow(errors.SessionstoreError):
    """the search took too long; make it narrower, for instance with after: or source:"""


class Site:
    """One index that a Datasette serves, with its store if that can be found: `database` is its name there, `path`
    its file, `store` None when only the index is there."""

    def __init__(self, database: str, path: str, store: Store | None) -> None:
        self.database, self.path, self.store = database, path, store

    async def ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Put a question to the index, in a thread with a connection of its own.
        Raises what `question` raises, `TooSlow`, `DamageError`."""
        return await asyncio.to_thread(self.ask_now, question)

    def ask_now(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """`ask` for a caller that is in a thread already."""
        try:
            connection = schema.connect_reader(self.path)
        except sqlite3.Error as error:
            raise errors.DamageError(reason=f"the index cannot be read ({error}); run `sessionstore index`") from error
        try:
            end = time.monotonic() + SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            return question(connection)
        except sqlite3.OperationalError as error:
            if "interrupt" in str(error):
                raise TooSlow from None
            raise errors.DamageError(reason=f"the index cannot be read ({error})") from error
        except sqlite3.DatabaseError as error:
            raise errors.DamageError(reason=f"the index is damaged ({error}); run `sessionstore index rebuild`") from (
                error
            )
        finally:
            connection.close()

    def blob(self, name: str) -> bytes:
        """The bytes of a value that a message refers to. Raises `DamageError`, `NotFound`."""
        from sessionstore import layout, objects

        if self.store is None or not layout.is_sha256(name):
            raise errors.NotFound(name=name)
        return self.store.objects.get(name, objects.VALUE, check=True)


def indexes(datasette: Any) -> dict[str, str]:
    """The path of every index that a Datasette serves, by the name of the database. Told by the headers of the files,
    which are looked into once."""
    known: dict[tuple[str, str], bool] = datasette.__dict__.setdefault("_sessionstore_indexes", {})
    found = {}
    for name, database in list(datasette.databases.items()):
        path = str(getattr(database, "path", None) or "")
        if path and not known.get((name, path)):
            known[name, path] = _is_index(path)
        if path and known[name, path]:
            found[name] = path
    return found


def sites(datasette: Any) -> list[Site]:
    """All indexes that a Datasette serves, with their stores."""
    known: dict[tuple[str, str], Site] = datasette.__dict__.setdefault("_sessionstore_sites", {})
    found = []
    for name, path in indexes(datasette).items():
        site = known.get((name, path))
        if site is None or site.store is None:
            site = known[name, path] = _site(name, path, config(datasette))
        found.append(site)
    return found


def config(datasette: Any) -> Mapping[str, Any]:
    """What Datasette's configuration says under `plugins: sessionstore:`: `store` (a directory), `hosts` (the names
    under which this server may be addressed), `read_only` (refuse whatever is no question)."""
    found = datasette.plugin_config(PLUGIN)
    return found if isinstance(found, dict) else {}


def _is_index(path: str) -> bool:
    """Whether the file's header carries the index's application id."""
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head[:15] == b"SQLite format 3" and int.from_bytes(head[68:72], "big") == schema.APPLICATION_ID


def _site(name: str, path: str, settings: Mapping[str, Any]) -> Site:
    from sessionstore.store import Store

    place = settings.get("store") or os.path.dirname(os.path.realpath(path))
    try:
        store: Store | None = Store(str(place))
    except errors.SessionstoreError:
        store = None
    if store is not None:
        try:
            connection = schema.connect_reader(path)
            try:
                mirrored = schema.get(connection, "store_id")
            finally:
                connection.close()
        except sqlite3.Error:
            mirrored = None
        if mirrored not in (None, store.id):
            store = None
    return Site(name, os.path.realpath(path), store)


async def may_look(datasette: Any, actor: Any, database: str) -> bool:
    """Whether Datasette's permissions let `actor` see the database, and so the conversations in it."""
    if hasattr(datasette, "permission_allowed"):  # 0.65
        for action, resource in (("view-instance", None), ("view-database", database)):
            if not await datasette.permission_allowed(actor, action, resource=resource, default=True):
                return False
        return True
    from datasette.resources import DatabaseResource

    return bool(await datasette.allowed(action="view-database", resource=DatabaseResource(database), actor=actor))

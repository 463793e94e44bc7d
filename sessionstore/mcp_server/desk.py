"""Where a tool's work is done: in a thread of its own, stopped when the client gives up, its failures in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError

from sessionstore import errors, fsio
from sessionstore.adapters.base import Adapter, Settings
from sessionstore.archive.asking import Archive
from sessionstore.archive.work import SECONDS, Work

T = TypeVar("T")
Reach = Callable[[type[Adapter]], Settings]
"""How to reach the provider of an adapter."""
AT_ONCE = 4
"""So many questions are worked on at once; others wait."""


class Desk:
    """What all tools share: the archive, and how it is asked. `seconds` is how long one question may take, `reach` how
    to reach the providers, for tools that talk with models."""

    def __init__(self, archive: Archive, seconds: float = SECONDS, reach: Reach | None = None) -> None:
        self.archive = archive
        self.seconds = seconds
        self.reach = reach
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def answer(self, question: Callable[[Work], T]) -> T:
        """Run a question that reads. When the request is cancelled its work stops. Raises `ToolError`."""
        work = Work(self.seconds)
        try:
            return await anyio.to_thread.run_sync(
                lambda: told(lambda: question(work)), abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            work.stop()

    async def write(self, deed: Callable[[], T]) -> T:
        """Run something that writes; once begun it is finished, also when the request is cancelled.
        Raises `ToolError`."""
        return await anyio.to_thread.run_sync(lambda: told(deed), limiter=self._limiter)


def told(deed: Callable[[], T]) -> T:
    """Do it, with every expected failure as one line for the model."""
    try:
        return deed()
    except errors.SessionstoreError as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(str(fsio.failure(error, error.filename or "a file"))) from error
    except sqlite3.Error as error:
        raise ToolError(f"the index cannot be read ({error}); run `sessionstore index rebuild`") from error
    except RecursionError as error:
        raise ToolError("the session is nested too deeply to be read") from error

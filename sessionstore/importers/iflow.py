"""iFlow CLI: a fork of Gemini CLI that writes Claude Code's transcripts.

Where: `~/.iflow/projects/<slug>/session-<uuid>.jsonl` on Linux, macOS and Windows, one JSON record a line, only ever
appended to.

How it is recognised: records with `uuid`, `parentUuid` and a `sessionId` that begins with `session-`.

What the records are and how they map: as Claude Code's, by the same code: one record is one message, in record order,
with its id, parent and time. What a tool gave back is the program's own object (`callId`, `responseParts`,
`resultDisplay`) and stays as it is.

What it loses: token figures (they are written and always 0); a tool call is repeated in the records of those after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from sessionstore.importers.base import Head, Machine, Place
from sessionstore.importers.claude_code import ClaudeCode

PREFIX = "session-"


class IFlow(ClaudeCode):
    """Reader of iFlow CLI's transcripts."""

    source: ClassVar[str] = "iflow"
    title: ClassVar[str] = "iFlow CLI"
    versions: ClassVar[str] = "session logs of 2025 and 2026"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of projects."""
        yield Place(machine.home / ".iflow" / "projects")

    def recognise(self, head: Head) -> bool:
        """Whether most records have Claude Code's frame and a session id that begins with `session-`."""
        if b'"parentUuid"' not in head.data or b'"session-' not in head.data:
            return False
        votes = [_is_own(record) for record in head.records or Head(head.name, head.first_line(), True).records]
        return sum(votes) * 2 > len(votes)


def _is_own(record: dict[str, Any]) -> bool:
    session, body = record.get("sessionId"), record.get("message")
    if not isinstance(session, str) or not session.startswith(PREFIX) or "systemPayload" in record:
        return False
    return {"uuid", "parentUuid"} <= record.keys() and not (isinstance(body, dict) and "parts" in body)

"""Kimi sessions of llm-mcp-server: `.kimi_sessions/<id>.json` in the directory the server was started in.

Recognised by content: one JSON object with `session_id` and `messages` and the fields only this program writes
(`last_accessed`, `topics`, or `message_count` beside `created` and `metadata`). Records are the envelope and each
element of `messages`, in the OpenAI chat dialect (see `openai_chat`), without times, models or token counts.

The file keeps system messages and the last 50 others, and is rewritten in place on every save. What it has already
lost when it is read: older messages, the answer that follows a tool result, and the zone of its times. Of a pre-filled
answer (`partial`) it holds the beginning twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source

WINDOW = 50
"""How many messages besides the system ones the program keeps."""


class Kimi(Importer):
    """Reader of `.kimi_sessions/*.json`."""

    source: ClassVar[str] = "kimi"
    title: ClassVar[str] = "Kimi sessions of llm-mcp-server"
    versions: ClassVar[str] = "K1, all versions of the server"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    scoped: ClassVar[bool] = True
    window: ClassVar[int | None] = WINDOW
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """`.kimi_sessions` in the working directory, in those above it and at home."""
        return openai_chat.places(machine, ".kimi_sessions")

    def recognise(self, head: Head) -> bool:
        """An object with `session_id`, `messages` and the fields only this program writes."""
        if head.keys.isdisjoint(("session_id", "messages")):
            return False
        document = head.document
        if not isinstance(document, dict) or not {"session_id", "messages"} <= document.keys():
            return False
        keys = document.keys()
        return "last_accessed" in keys or "topics" in keys or {"message_count", "created", "metadata"} <= keys

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one session. Raises `Unparsable` when it is no JSON object or has no id."""
        draft, rest = openai_chat.open_session(source, source.document(), "session_id")
        draft.aliases.append(f"migrated_{PurePosixPath(source.name).stem or draft.native_id}")
        _report_contradictions(draft, rest)
        window = _Window(draft)
        yield from openai_chat.conversation(source, draft, rest, window.see)
        window.finish()
        openai_chat.take_session_time(draft, rest, "created", "created_at")
        openai_chat.take_session_time(draft, rest, "last_accessed", "updated_at")
        openai_chat.keep_rest(draft, rest)


def _report_contradictions(draft: Draft, rest: dict[str, Any]) -> None:
    records, count, metadata = rest.get("messages"), rest.get("message_count"), rest.get("metadata")
    if isinstance(records, list) and isinstance(count, int) and count != len(records):
        draft.issue("message-count-differs", f"message_count is {count}, the file holds {len(records)} messages")
    created = metadata.get("created") if isinstance(metadata, dict) else None
    if isinstance(created, str) and isinstance(rest.get("created"), str) and created != rest["created"]:
        draft.issue("creation-time-contradiction", "created and metadata.created differ; created counts")


class _Window:
    """Marks pre-filled beginnings and counts what the program's window counts."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._kept = 0
        self._prefix = ""

    def see(self, message: Message) -> None:
        """Take the next message, which may be marked as a pre-filled beginning."""
        self._kept += message["role"] != "system"
        if message["role"] != "assistant":
            self._prefix = ""
            return
        text = openai_chat.text_of(message)
        if self._prefix and text.startswith(self._prefix):
            self._draft.issue("prefill-repeated", "an answer repeats the pre-filled beginning stored before it")
        self._prefix = ""
        if message["x"].get("partial") is True:
            del message["x"]["partial"]
            message["kind"] = "prefill"
            self._prefix = text

    def finish(self) -> None:
        """Report a full window."""
        if self._kept == WINDOW:
            self._draft.issue(
                "window-truncated",
                f"the program keeps only the latest {WINDOW} messages and holds just as many; older ones may be lost",
            )

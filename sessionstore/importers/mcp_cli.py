"""mcp-cli: its saved sessions, its JSON exports, and the bare message lists of its first `/save`.

Where: `~/.mcp-cli/sessions/<agent>/<session id>.json`, before March 2026 without the agent's directory (a session that
is loaded moves there); exports (`/export json`) and the lists of `/save <file>` lie wherever the person was. The same
on Linux, macOS and Windows.

Recognised by content: an object of `metadata` (with `session_id`, `created_at` and `message_count`), `messages` and
`token_usage` and nothing else; an export has `version` and `exported_at`. The bare list of 2025 is a JSON array of
`{role, content}` like anybody's: `openai-messages` takes those, and this reader only when it is asked for by name.

Records are the envelope (or the list itself) and each message, in the OpenAI chat dialect (see `openai_chat`).
Everything in `metadata` stays in the session's `x`; the model and the provider there are those of the moment of saving,
so no message claims them. `token_usage` is a total over the session that no message can be charged with; it stays in
`x` as well.

What the file has already lost: all but about the last 200 messages; when the session began, because every save writes
a new `created_at`; which session a loaded one was continued from, because it goes on in the file of another; pictures
of reloaded messages, which became Python text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import beginning
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.openai_messages_parts import is_message, widen
from sessionstore.importers.parsing import Unparsable

WINDOW = 200
"""How many messages the program keeps by default."""
SESSION_KEYS = frozenset({"metadata", "messages", "token_usage"})
EXPORT_KEYS = SESSION_KEYS | {"version", "exported_at"}
EXPORT_VERSION = "1.0"
_SAVING = 1.0
"""A session that is at most this many seconds old when it is saved has the age of the save."""


class McpCli(Importer):
    """Reader of mcp-cli's session files, JSON exports and saved message lists."""

    source: ClassVar[str] = "mcp-cli"
    title: ClassVar[str] = "mcp-cli"
    versions: ClassVar[str] = "M0 (with --from), M1, M2, M3"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    scoped: ClassVar[bool] = True
    window: ClassVar[int | None] = WINDOW
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """`~/.mcp-cli/sessions`."""
        yield Place(machine.home / ".mcp-cli" / "sessions")

    def recognise(self, head: Head) -> bool:
        """An object of exactly `metadata`, `messages` and `token_usage`, or an export of them."""
        if not head.keys or not head.keys <= EXPORT_KEYS:
            return False
        kind, values = beginning(head, ())
        return kind == "document" and bool(values) and (_is_session(values[0]) or _is_export(values[0]))

    def accepts(self, head: Head) -> bool:
        """As `recognise`; when this format was asked for, also a bare list of messages."""
        if self.recognise(head):
            return True
        kind, values = beginning(head, (b'"role"',))
        return kind == "array" and bool(values) and all(map(is_message, values))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one session. Raises `Unparsable` when there is no list of them, or no name."""
        document = source.document()
        rest = {"messages": document} if isinstance(document, list) else document
        if not isinstance(rest, dict) or not isinstance(rest.get("messages"), list):
            raise Unparsable("no list of messages")
        rest = dict(rest)
        metadata = rest.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        draft = _open(source, metadata)
        yield from openai_chat.conversation(source, draft, rest, widen)
        _report(draft, document, metadata)
        _take_times(draft, metadata)
        if isinstance(rest.get("metadata"), dict):
            rest["metadata"] = metadata
        openai_chat.keep_rest(draft, {key: value for key, value in rest.items() if value not in (None, {})})


def _is_session(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= SESSION_KEYS or not isinstance(value.get("messages"), list):
        return False
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and {"session_id", "created_at", "message_count"} <= metadata.keys()


def _is_export(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= EXPORT_KEYS or not isinstance(value.get("messages"), list):
        return False
    return value.get("version") == EXPORT_VERSION and isinstance(value.get("exported_at"), str)


def _open(source: Source, metadata: dict[str, Any]) -> Draft:
    """A draft by the session's own id, else by the file's name."""
    file, own = stem(source.name).strip(), metadata.get("session_id")
    if not isinstance(own, str) or not own.strip():
        if not file:
            raise Unparsable("no session id")
        draft = source.draft(file)
        draft.issue("id-missing", "the file states no usable session id; its name was taken")
        return draft
    draft = source.draft(own)
    del metadata["session_id"]
    if file not in ("", own):
        draft.aliases.append(file)
        if file == _file_name(own):
            draft.issue("file-name-shared", "the session's file name is one that other session ids give as well")
        elif file != f"chat-{own}":
            draft.issue("id-differs-from-file-name", "the id inside the file is not the file's name; the id counts")
    return draft


def _file_name(session_id: str) -> str:
    """What the program makes of an id when it names a file."""
    return session_id.replace("/", "_").replace("\\", "_").replace("..", "_")


def _report(draft: Draft, document: Any, metadata: dict[str, Any]) -> None:
    records = document if isinstance(document, list) else document["messages"]
    count = metadata.get("message_count")
    if isinstance(count, int) and not isinstance(count, bool) and count != len(records):
        draft.issue("message-count-differs", f"message_count is {count}, the file holds {len(records)} messages")
    kept = sum(not isinstance(record, dict) or record.get("role") != "system" for record in records)
    if kept >= WINDOW and not isinstance(document, list):
        draft.issue(
            "window-truncated",
            f"the program keeps about the latest {WINDOW} messages and holds {kept}; older ones may be lost",
        )


def _take_times(draft: Draft, metadata: dict[str, Any]) -> None:
    """Move the session's times to the draft. A beginning that is that of the save stays in `metadata`."""
    created, updated = metadata.get("created_at"), metadata.get("updated_at")
    if is_instant(updated):
        draft.updated_at = metadata.pop("updated_at")
    if not is_instant(created):
        return
    if draft.updated_at is not None and _seconds_between(str(created), draft.updated_at) <= _SAVING:
        draft.issue("creation-time-is-of-saving", "created_at is written anew by every save; when it began is lost")
        return
    draft.created_at = metadata.pop("created_at")


def _seconds_between(first: str, second: str) -> float:
    return abs((datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds())

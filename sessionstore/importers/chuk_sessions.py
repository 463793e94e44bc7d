"""Sessions of chuk-ai-session-manager, as its file store wrote them and as chuk-sessions holds them.

Where: the file store (June 2025) wrote `<session id>.json` into a directory that the program chose; since then
chuk-sessions holds them in memory or in Redis under `session:<session id>`, so that a file of it is one that somebody
has written out. No place is looked at unless it is named.

Recognised by content: an object with `id`, `metadata`, `events` and `token_summary` (or `child_ids`, `task_ids` and
`runs`), or the envelope of chuk-sessions, whose `custom_metadata.ai_session_data` is the JSON text of such an object.

Records are the envelope (with the session in it) and each event. Messages keep their event's id and time. Events of
user, llm and system with text become user, assistant and system messages; a tool's use becomes two messages, the call
and `<event id>:result`; a message that mcp-cli has injected is read in its own dialect; a summary is of kind
`compaction`. References, traces and everything else are preserved as `meta`. A session that continues another, because
that had grown too long, names it by `parent_id`: it is linked as its resumption.

Tokens are counted by the program, not by the provider, and costs are guessed from a table of eight prices: all usage
is marked `estimated`. What a person wrote is counted for a model that was not necessarily the one that answered.

What the source has already lost: chuk-sessions never updates what it holds of a session after the first save, so that
most of them have no events; it drops them after a day. The zone of the times in `metadata` of answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import beginning
from sessionstore.importers.chuk_sessions_parts import Events
from sessionstore.importers.common import is_instant, stem
from sessionstore.importers.parsing import Unparsable

SOURCE = "chuk-sessions"


class ChukSessions(Importer):
    """Reader of chuk-ai-session-manager's sessions, bare or in the envelope of chuk-sessions."""

    source: ClassVar[str] = SOURCE
    title: ClassVar[str] = "chuk-ai-session-manager"
    versions: ClassVar[str] = "0.1 to 0.11: file store and chuk-sessions envelope"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: read where it is named."""
        return ()

    def recognise(self, head: Head) -> bool:
        """A session with `events` and `token_summary`, or an envelope with `ai_session_data`."""
        if "custom_metadata" not in head.keys and not {"id", "metadata"} <= head.keys:
            return False
        kind, values = beginning(head, ())
        return kind == "document" and bool(values) and (_is_session(values[0]) or _inner(values[0]) is not None)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one session. Raises `Unparsable` when there is none."""
        document = source.document()
        if not isinstance(document, dict):
            raise Unparsable("not a JSON object")
        session, envelope = document, {}
        if (text := _inner(document)) is not None:
            session, envelope = _unwrapped(source, text), document
        draft, rest = _open(source, session, envelope)
        source.account.records += 1
        source.mapped()
        events = rest.get("events")
        if not isinstance(events, list):
            draft.issue("events-missing", "the session has no list of events")
            events = []
        else:
            del rest["events"]
            if not events:
                note = "the list of events is empty: the program never updates a session after it is first saved"
                draft.issue("events-empty", note)
        reader = Events(source, draft)
        for event in events:
            source.account.records += 1
            for message in reader.take(event):
                yield draft, message
        _finish(draft, rest, envelope, len(events))


def _is_session(value: Any) -> bool:
    if not isinstance(value, dict) or not {"id", "metadata", "events"} <= value.keys():
        return False
    return "token_summary" in value or {"child_ids", "task_ids", "runs"} <= value.keys()


def _inner(value: Any) -> str | None:
    """The session's JSON text in an envelope of chuk-sessions."""
    custom = value.get("custom_metadata") if isinstance(value, dict) else None
    text = custom.get("ai_session_data") if isinstance(custom, dict) else None
    return text if isinstance(text, str) else None


def _unwrapped(source: Source, text: str) -> dict[str, Any]:
    session = source.parsed(text.encode("utf-8", "replace"))
    if not isinstance(session, dict):
        raise Unparsable("ai_session_data holds no session")
    return session


def _open(source: Source, session: dict[str, Any], envelope: dict[str, Any]) -> tuple[Draft, dict[str, Any]]:
    """A draft by the id in the session, else the envelope's, else the file's name. The envelope's other id and the name
    that chuk-sessions knows the session by are aliases."""
    rest = dict(session)
    outer = envelope.get("session_id")
    names = [name for name in (rest.get("id"), outer) if isinstance(name, str) and name.strip()]
    if not names and stem(source.name).strip():
        names = [stem(source.name).strip()]
    if not names:
        raise Unparsable("no session id")
    draft = source.draft(names[0])
    if rest.get("id") == names[0]:
        del rest["id"]
    else:
        draft.issue("id-missing", "the session states no usable id; the envelope's or the file's name was taken")
    draft.aliases = [name for name in dict.fromkeys((*names[1:], f"session:{names[0]}")) if name != names[0]]
    if isinstance(outer, str) and outer != names[0]:
        draft.issue("id-contradiction", "the envelope and the session in it have different ids; the session's counts")
    return draft, rest


def _finish(draft: Draft, rest: dict[str, Any], envelope: dict[str, Any], events: int) -> None:
    metadata = rest.get("metadata")
    if isinstance(metadata, dict):
        metadata = rest["metadata"] = dict(metadata)
        for key in ("created_at", "updated_at"):
            if is_instant(metadata.get(key)):
                setattr(draft, key, metadata.pop(key))
        _take_prompt(draft, metadata)
        if not metadata:
            del rest["metadata"]
    parent = rest.get("parent_id")
    if isinstance(parent, str) and parent and parent != draft.native_id:
        draft.forked_from = {"key": f"{SOURCE}:{rest.pop('parent_id')}", "relation": "resume"}
    if envelope:
        outer = dict(envelope)
        custom = {key: value for key, value in outer.pop("custom_metadata").items() if key != "ai_session_data"}
        count = custom.get("event_count")
        if isinstance(count, int) and not isinstance(count, bool) and count != events:
            draft.issue("event-count-differs", f"event_count is {count}, the session holds {events} events")
        rest["chuk_sessions"] = outer | {"custom_metadata": custom}
    openai_chat.keep_rest(draft, {key: value for key, value in rest.items() if value not in (None, [], {})})


def _take_prompt(draft: Draft, metadata: dict[str, Any]) -> None:
    properties = metadata.get("properties")
    if not isinstance(properties, dict):
        return
    properties = dict(properties)
    prompt = properties.get("system_prompt")
    if isinstance(prompt, str):
        del properties["system_prompt"]
        if prompt:
            draft.system = [{"type": "text", "content": prompt}]
    if properties:
        metadata["properties"] = properties
    else:
        del metadata["properties"]

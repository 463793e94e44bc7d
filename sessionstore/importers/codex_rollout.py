"""Reading one Codex rollout, record after record: the order of things and what a session remembers meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from sessionstore import canonical
from sessionstore.importers import codex_items as items
from sessionstore.importers import codex_parts as parts
from sessionstore.importers.base import Message, Source
from sessionstore.importers.codex_echo import ASSISTANT, REASONING, USER, Echoes, Said, Told
from sessionstore.importers.codex_parts import Json
from sessionstore.importers.codex_transcript import MAX_IDS, Transcript
from sessionstore.importers.codex_usage import Meter

_TEXT_EVENTS = {
    "user_message": (USER, "message"),
    "agent_message": (ASSISTANT, "message"),
    "agent_reasoning": (REASONING, "text"),
    "agent_reasoning_raw_content": (REASONING, "text"),
}
_TEXT_ITEMS = {"UserMessage": USER, "AgentMessage": ASSISTANT, "Reasoning": REASONING}
_NOTHING: tuple[Any, ...] = (None, [], {}, "")


class Rollout(Transcript):
    """Turns records, one after the other, into the messages of one session, in `out`."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        state = source.resumed or {}
        self.known = bool(state.get("known"))
        """Whether the session's own facts have been read."""
        self.context: str | None = state.get("context")
        """Digest of the latest turn context."""
        self.meter = Meter(state.get("meter", {}))
        self.echoes = Echoes(state.get("said", ()))

    # --- records ---

    def take(self, record: Json) -> None:
        """Map one record and count it."""
        kind = record.get("type")
        payload = record.get("payload")
        time = record.get("timestamp")
        if not isinstance(payload, dict) or not isinstance(kind, str):
            self.origin = (time, {})
            self._take_bare(record)
            return
        aside = {}
        if len(record) > 3:
            aside = {name: value for name, value in record.items() if name not in ("timestamp", "type", "payload")}
        self.origin = (time, aside)
        take = _TAKE.get(kind)
        if take is None:
            self.preserve(kind, payload)
        else:
            take(self, payload)

    def finish(self) -> None:
        """End of the source: say what is still held back, and remember where to go on."""
        if self.is_empty:
            return
        draft = self.draft
        if not self.known and "no-session-meta" not in draft.issues:
            draft.issue("no-session-meta", "the session's own facts are missing; it is named after its file")
        # An event that no item has repeated yet is told as it is; but the item it announces may be the next thing
        # appended and then takes its place, so the next read has to start over.
        if self.echoes.held:
            self._release(self.echoes.all())
        elif len(self.ids) <= MAX_IDS:
            self.source.resume = self.state()

    def state(self) -> Json:
        """What to go on from, as plain JSON data."""
        state = {
            **super().state(),
            "known": self.known,
            "context": self.context,
            "meter": self.meter.state(),
            "said": [said.state() for said in self.echoes.said],
        }
        return {name: value for name, value in state.items() if value}

    def _take_bare(self, record: Json) -> None:
        """A record without an envelope: a mid-2025 one, or something unknown."""
        if parts.is_header(record):
            self._session_meta(record)
            return
        message = None if "payload" in record else items.item_message(record)
        if message is not None:
            self._say(message, record)
        else:
            self.keep({name: value for name, value in record.items() if name != "timestamp"})

    # --- the session ---

    def begin(self, facts: Json, aside: Json) -> None:
        """Take the session's facts over; its instructions become the first message."""
        draft = self.draft
        self.known = True
        draft.issues.pop("no-session-meta", None)
        native = next((facts[name] for name in ("id", "session_id") if _is_name(facts.get(name))), None)
        if native is None:
            draft.issue("no-session-id", "the session has no id of its own; it is named after its file")
        else:
            draft.native_id = native
        texts = parts.describe(draft, facts, aside)
        if _is_name(facts.get("model_provider")):
            self.provider = facts["model_provider"]
        if texts:
            # Without a time, so that the same instructions are the same bytes in every session.
            content = [{"type": "text", "content": text} for text in texts]
            self.emit({"role": "system", "kind": "context", "parts": content}, origin=(None, {}))

    def _session_meta(self, payload: Json) -> None:
        self._release(self.echoes.all())
        time, aside = self.origin
        if not self.known:
            self.begin(payload, aside)
            if time is not None and time != payload.get("timestamp"):
                self.draft.x.setdefault("timestamp", time)
            self.source.mapped()
            return
        if _is_name(payload.get("id")) and payload["id"] != self.draft.native_id:
            note = "the file repeats lines of the session it was forked from, with new times"
            self.draft.issue("copied-history", note)
        self.preserve("session_meta", payload)

    def _turn_context(self, payload: Json) -> None:
        self._release(self.echoes.answers())
        if _is_name(payload.get("model")):
            self.model = payload["model"]
        if _is_name(payload.get("model_provider")):
            self.provider = payload["model_provider"]
        if self.draft.cwd is None and _is_name(payload.get("cwd")):
            self.place(payload["cwd"])
        context = canonical.digest(canonical.dumps({**payload, "turn_id": None}))
        if context == self.context:
            self.source.mapped()
            return
        self.context = context
        self.preserve("turn_context", payload)

    def _compacted(self, payload: Json) -> None:
        self._release(self.echoes.all())
        text = payload.get("message")
        stated = isinstance(text, str) and text != ""
        rest = {name: value for name, value in payload.items() if not stated or name != "message"}
        message = parts.meta({"type": "compacted", "payload": rest})
        message["kind"] = "compaction"
        if stated:
            message["parts"].insert(0, {"type": "text", "content": text})
        self.emit(message)
        self.source.preserved()

    # --- the conversation ---

    def _item(self, payload: Json) -> None:
        message = items.item_message(payload)
        if message is not None:
            self._say(message, payload)
        elif payload.get("type") == "ghost_snapshot":
            self.preserve("response_item", payload)
        else:
            self.emit({"role": "system", "kind": "meta", "parts": [parts.verbatim(payload)]}, payload.get("id"))
            self.source.preserved()

    def _say(self, message: Message, payload: Json) -> None:
        """Add the message that an item is, after what must come before it."""
        role, native, x = message["role"], payload.get("id"), message.get("x")
        time = self.origin[0]
        if x is not None and "timestamp" in x and (time is None or x["timestamp"] is time):
            # A bare item, or a writer that puts the time inside.
            self.origin = (x.pop("timestamp"), self.origin[1])
            if not x:
                del message["x"]
        if native is not None and not isinstance(native, str):
            message.setdefault("x", {})["id"] = native
        stream, texts = items.spoken(message, payload)
        if role == "assistant":
            self.sign(message)
            if self.echoes.held:
                self._release(self.echoes.prompts())
        answered = self.echoes.awaited(stream, texts) if self.echoes.held else []
        if role == "user":
            if not answered:
                self._release(self.echoes.answers())
            self.hear(message)
        self.emit(message, native)
        self._call_ids(message)
        if texts:
            self._remember(stream, texts, payload, answered)
        self.source.mapped()

    def _remember(self, stream: str, texts: list[str], payload: Json, answered: list[Said]) -> None:
        urls = parts.image_urls(payload.get("content"))
        phase, images = payload.get("phase") is not None, parts.fingerprint_all(urls) if urls else ""
        self.echoes.remember(stream, texts, phase, images, answered)
        for said in answered:
            said.phase, said.images = phase, images
            for told in said.told:
                self._tell(said, told)

    def _call_ids(self, message: Message) -> None:
        # A call or output without any id answers to the message's.
        for part in message["parts"]:
            if "id" in part and part["id"] is None:
                part["id"] = message["id"]

    # --- events ---

    def _event(self, payload: Json) -> None:
        kind = payload.get("type")
        if not isinstance(kind, str):
            self.preserve("event_msg", payload)
            return
        take = _EVENTS.get(kind)
        if take is None or not take(self, kind, payload):
            self.preserve("event_msg", payload)
        else:
            self.source.mapped()

    def _text_event(self, kind: str, payload: Json) -> bool:
        stream, name = _TEXT_EVENTS[kind]
        text = payload.get(name)
        if not isinstance(text, str):
            return False
        extras = {key: value for key, value in payload.items() if value not in _NOTHING}
        del extras["type"]
        extras.pop(name, None)
        if extras.get("kind") == "plain":
            del extras["kind"]
        self._echo(kind, stream, text, extras)
        return True

    def _item_completed(self, kind: str, payload: Json) -> bool:
        item = payload.get("item")
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            return False
        stream = _TEXT_ITEMS.get(item["type"])
        content = items.completed_content(item) if stream else None
        if stream is None or content is None:
            return False
        text, extras = content
        self._echo(kind, stream, text, extras, item.get("id"))
        return True

    def _echo(self, event: str, stream: str, text: str, extras: Json, native: Any = None) -> None:
        """An event says a text: tell only what is new about it, or hold it until its item comes."""
        name = parts.fingerprint(text)
        said = self.echoes.find(event, stream, name)
        told = Told(event, extras, self.origin)
        if said is None:
            if not extras and not text.strip():
                return
            if stream == USER:
                self._release(self.echoes.answers())
            said = Said(stream, name, [event], message=self._would_be(stream, text, extras), native=native, told=[told])
            self.echoes.held.append(said)
        elif said.message:
            said.told.append(told)
        else:
            self._tell(said, told)

    def _would_be(self, stream: str, text: str, extras: Json) -> Message:
        """The message that an event without an item becomes."""
        message: Message = {"role": USER if stream == USER else ASSISTANT}
        message["parts"] = [{"type": "reasoning" if stream == REASONING else "text", "content": text}]
        if stream != USER:
            self.sign(message)
        elif parts.is_injected([text]) or extras.get("kind") in ("user_instructions", "environment_context"):
            message["kind"] = "context"
        return message

    def _tell(self, said: Said, told: Told) -> None:
        """Keep what an event says beyond the item that it repeats."""
        extras = told.extras
        if said.phase:
            extras.pop("phase", None)
        images = extras.get("images")
        if said.images and isinstance(images, list) and parts.fingerprint_all(images) == said.images:
            del extras["images"]
        if extras:
            record = {"type": "event_msg", "payload": {"type": told.event, **extras}}
            self.emit(parts.meta(record), origin=told.origin)

    def _release(self, released: list[Said]) -> None:
        """Events whose item never came become messages themselves."""
        for said in released:
            message = said.message
            x: Json = {}
            for told in said.told:
                x = {**told.extras, **x}
            if x:
                message["x"] = x
            if said.stream == USER:
                self.hear(message)
            self.emit(message, said.native, said.told[0].origin)
            said.message, said.told = {}, []
            self.echoes.said.append(said)

    def _turn_completed(self, kind: str, payload: Json) -> bool:
        self._release(self.echoes.all())
        return self._count(kind, payload)

    def _count(self, kind: str, payload: Json) -> bool:
        counted = self.meter.count(kind, payload)
        if counted is None:
            return False
        usage, x = counted
        if usage or x:
            message: Message = {"role": "system", "kind": "meta", "parts": []}
            if usage:
                message["usage"] = usage
                self.sign(message)
            if x:
                message["x"] = x
            self.emit(message)
        return True

    def _error(self, kind: str, payload: Json) -> bool:
        rest = {name: value for name, value in payload.items() if name != "type" or kind != "error"}
        text = rest.pop("message", None)
        error = rest.get("error")
        if text is None and isinstance(error, dict):
            text = error.get("message")
            rest["error"] = {name: value for name, value in error.items() if name != "message"}
        if not isinstance(text, str):
            return False
        message: Message = {"role": "system", "kind": "error", "parts": [{"type": "text", "content": text}]}
        if rest:
            message["x"] = rest
        self.emit(message)
        return True

    def _turn_start(self, kind: str, payload: Json) -> bool:
        self._release(self.echoes.answers())
        return False

    def _turn_end(self, kind: str, payload: Json) -> bool:
        self._release(self.echoes.all())
        return False

    def _named(self, kind: str, payload: Json) -> bool:
        if _is_name(payload.get("thread_name")):
            self.draft.title = payload["thread_name"]
        return False


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


_TAKE: dict[str, Callable[[Rollout, Json], None]] = {
    "response_item": Rollout._item,
    "event_msg": Rollout._event,
    "turn_context": Rollout._turn_context,
    "session_meta": Rollout._session_meta,
    "compacted": Rollout._compacted,
}
_EVENTS: dict[str, Callable[[Rollout, str, Json], bool]] = {
    **dict.fromkeys(_TEXT_EVENTS, Rollout._text_event),
    "item_completed": Rollout._item_completed,
    "token_count": Rollout._count,
    "turn.completed": Rollout._turn_completed,
    "error": Rollout._error,
    "stream_error": Rollout._error,
    "task_started": Rollout._turn_start,
    "turn_started": Rollout._turn_start,
    "task_complete": Rollout._turn_end,
    "turn_complete": Rollout._turn_end,
    "turn_aborted": Rollout._turn_end,
    "thread_name_updated": Rollout._named,
}
"""How an event is taken; True when that says all of it, False when it is to be preserved as well."""

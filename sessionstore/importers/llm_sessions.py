"""Unified sessions of llm-mcp-server: `.llm_sessions/sessions/<id>.json` in the directory the server was started in.

Recognised by content: one JSON object with `id`, `version` "1.0", `models_used` and `messages` (the caller has
already unpacked the files that are gzip under the same name). Records are the envelope and each element of `messages`,
in the OpenAI chat dialect (see `openai_chat`) with the metadata of a reply flattened into it: `timestamp` is local
text on what people and the program wrote and epoch seconds on what a model answered.

What the file has already lost or contradicts itself about: which model the session has (a switch is not saved, so it
is repeated: the model of the last answer counts, then the last switch, then `model`); the times, tool call ids and
pre-fills of sessions migrated from Kimi; a system prompt stored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, naive_time

MIGRATED = "migrated_"
"""What the program puts before the id of a session it has taken over from `.kimi_sessions`."""
MAX_COUNT = 2**53 - 1
"""Token counts and costs above this are not believed; they stay in `x`."""
_LAST_SECOND = 253402300799


class LlmSessions(Importer):
    """Reader of `.llm_sessions/sessions/*.json`."""

    source: ClassVar[str] = "llm-sessions"
    title: ClassVar[str] = "Unified sessions of llm-mcp-server"
    versions: ClassVar[str] = "U1, plain and gzip"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    scoped: ClassVar[bool] = True
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """`.llm_sessions` in the working directory, in those above it and at home."""
        return openai_chat.places(machine, ".llm_sessions")

    def recognise(self, head: Head) -> bool:
        """An object with `id`, `version` "1.0", `models_used` and `messages`."""
        if head.keys.isdisjoint(("models_used", "messages")):
            return False
        document = head.document
        if not isinstance(document, dict) or document.get("version") != "1.0":
            return False
        return {"id", "models_used", "messages"} <= document.keys()

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one session. Raises `Unparsable` when it is no JSON object or has no id."""
        draft, rest = openai_chat.open_session(source, source.document(), "id")
        if draft.native_id.startswith(MIGRATED) and draft.native_id != MIGRATED:
            draft.aliases.append(draft.native_id.removeprefix(MIGRATED))
        reader = _Reader(draft)
        yield from openai_chat.conversation(source, draft, rest, reader.see)
        openai_chat.take_session_time(draft, rest, "created_at", "created_at")
        openai_chat.take_session_time(draft, rest, "updated_at", "updated_at")
        metadata = rest.pop("metadata", None)
        if isinstance(metadata, dict):
            metadata = _metadata(draft, metadata, reader)
        _report_models(draft, rest.get("model"), reader.model)
        openai_chat.keep_rest(draft, rest | ({} if metadata is None else {"metadata": metadata}))


class _Reader:
    """Finishes messages one after the other and remembers what later ones repeat."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._switch = ""
        self.model: str | None = None
        """The model of the last answer that names one."""
        self.prompts: set[str] = set()
        """The texts of all system messages so far."""

    def see(self, message: Message) -> None:
        """Take the next message: times, usage, model and kind come out of its `x`."""
        x = message["x"]
        _take_timestamp(message, x)
        _take_usage(message, x)
        for field in ("model", "finish_reason"):
            if isinstance(x.get(field), str) and x[field]:
                message[field] = x.pop(field)
        if message["role"] == "assistant":
            self.model = message.get("model", self.model)
        if message["role"] == "system":
            self._system(message, x)

    def _system(self, message: Message, x: dict[str, Any]) -> None:
        text = openai_chat.text_of(message)
        if x.get("model_switch") is True:
            del x["model_switch"]
            message["kind"] = "switch"
            text = text.split(". Reason:")[0]
            if text == self._switch:
                note = "the same change of model is recorded again, because the file kept the old model"
                self._draft.issue("model-switch-repeated", note)
            self._switch = text
        elif text in self.prompts:
            self._draft.issue("system-prompt-repeated", "the same system prompt is stored twice")
        else:
            self.prompts.add(text)


def _take_timestamp(message: Message, x: dict[str, Any]) -> None:
    value = x.get("timestamp")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value < _LAST_SECOND:
            time = datetime.fromtimestamp(value, UTC).isoformat(timespec="microseconds")
            message["time"] = time.removesuffix("+00:00") + "Z"
        return
    if is_instant(value):
        message["time"] = value
        del x["timestamp"]
    elif "time" not in x and (naive := naive_time(value)):
        x["time"] = naive
        del x["timestamp"]


def _take_usage(message: Message, x: dict[str, Any]) -> None:
    usage: dict[str, Any] = {}
    tokens = x.get("tokens")
    if isinstance(tokens, dict):
        usage = {f"{name}_tokens": n for name in ("input", "output") if (n := _count(tokens.get(name)))}
        if tokens.keys() <= {"input", "output", "total"} and _restated(tokens, usage):
            del x["tokens"]
    elif _count(tokens):
        usage["output_tokens" if message["role"] == "assistant" else "input_tokens"] = tokens
        usage["estimated"] = True
        del x["tokens"]
    cost = _microdollars(x)
    if cost:
        usage["cost_microusd"] = cost
    if usage:
        message["usage"] = usage


def _microdollars(x: dict[str, Any]) -> int:
    cost, currency = x.get("cost"), x.get("cost_currency", "USD")
    if not isinstance(currency, str) or not currency.startswith("USD"):
        return 0
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 < cost < MAX_COUNT / 1_000_000:
        return 0
    return round(cost * 1_000_000)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT else 0


def _restated(tokens: dict[str, Any], usage: dict[str, Any]) -> bool:
    """Whether `usage` says everything that `tokens` does, so that the latter need not be kept."""
    given = (tokens.get("input", 0), tokens.get("output", 0))
    taken = (usage.get("input_tokens", 0), usage.get("output_tokens", 0))
    return bool(usage) and given == taken and tokens.get("total", sum(taken)) == sum(taken)


def _metadata(draft: Draft, metadata: dict[str, Any], reader: _Reader) -> dict[str, Any] | None:
    """Hoist what the session model has a name for; returns the rest, or None when nothing is left of it."""
    rest = dict(metadata)
    prompt = rest.get("system_prompt")
    if isinstance(prompt, str) and prompt and prompt not in reader.prompts:
        draft.system = [{"type": "text", "content": rest.pop("system_prompt")}]
    for name in ("tags", "model_switches"):
        if isinstance(rest.get(name), list) and rest[name]:
            draft.x[name] = rest.pop(name)
    _restore_creation(draft, rest)
    return rest or None


def _restore_creation(draft: Draft, metadata: dict[str, Any]) -> None:
    """A migrated session's own times are those of the migration; the true one is kept beside them."""
    if "original_created_at" not in metadata:
        return
    draft.issue(
        "times-are-of-migration",
        "created_at and the message times are those of the program's own migration; original_created_at counts",
    )
    value = metadata["original_created_at"]
    naive = naive_time(value)
    if not is_instant(value) and not naive:
        return
    migrated_at = draft.created_at or draft.x.pop("created_at", None)
    if migrated_at:
        draft.x["migrated_at"] = migrated_at
    draft.created_at = None if naive else value
    if naive:
        draft.x["created_at"] = naive
    del metadata["original_created_at"]


def _report_models(draft: Draft, model: Any, answered: str | None) -> None:
    switches = draft.x.get("model_switches") or [None]
    last = switches[-1] if isinstance(switches[-1], dict) else {}
    named = {
        "last_answer": answered,
        "last_switch": last.get("to_model", last.get("to")),
        "file": model,
    }
    values = {name: value for name, value in named.items() if isinstance(value, str) and value}
    if len(set(values.values())) > 1:
        draft.x["model_contradiction"] = values | {"verdict": next(iter(values.values()))}
        draft.issue("model-contradiction", "the last answer, the last switch and the file name different models")

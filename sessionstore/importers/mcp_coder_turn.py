"""One turn of mcp_coder: a prompt and what came back, in any of the shapes in which the program stored it.

The shapes of an answer, by what they hold: SDK messages as Python text (`raw_messages`), stream-json records or
LangChain messages (`raw_response.messages`), stream events (`raw_response.events`), or the text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.claude_code_parts import Figures, unstated_usage
from sessionstore.importers.common import is_instant, naive_time, title_line
from sessionstore.importers.mcp_coder_events import Events, inclusive_bill, record_message
from sessionstore.importers.mcp_coder_langchain import langchain_message
from sessionstore.importers.mcp_coder_repr import sdk_record
from sessionstore.importers.mcp_coder_stream import Stream, beyond, bill_of, joined, nothing, plus, set_usage

Record = dict[str, Any]
_ID_PATHS = (
    ("response_data", "session_id"),
    ("response_data", "session_info", "session_id"),
    ("session_id",),
    ("metadata", "session_id"),
    ("response_data", "raw_response", "session_id"),
    ("response_data", "raw_response", "session_info", "session_id"),
    ("response_data", "raw_response", "sessionId"),
    ("response_data", "raw_response", "system", "session_id"),
)
"""Where a file may name its session, the most reliable first."""
_LISTS = ("raw_messages", "messages", "events")


def session_ids(envelope: Record) -> list[str]:
    """Every session id that a file states, in the order of reliability, each once."""
    found = []
    for path in _ID_PATHS:
        value: Any = envelope
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        found.append(value)
    response = _dict(envelope.get("response_data"))
    raw = _dict(response.get("raw_response"))
    for holder in (response, raw):
        for name in _LISTS:
            items = holder.get(name)
            for item in (items[:1] + items[-1:]) if isinstance(items, list) else ():
                record = sdk_record(item) or _dict(item)
                found += [record.get("session_id"), record.get("sessionId")]
    return list(dict.fromkeys(value for value in found if isinstance(value, str) and value.strip()))


def _dict(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


class Turn:
    """Collects the messages of one turn. Every record (the prompt, the answer, each message or event stored with it,
    the rest of the file) is counted in the source's account."""

    def __init__(self, source: Source, draft: Draft, time: Any) -> None:
        """A turn of that session; `time` is what the source says of when it was stored."""
        self.source = source
        self.draft = draft
        self.time = time
        self.messages: list[Message] = []
        self._prompt: str | None = None
        self._texts: list[str] = []
        self._counted = nothing()
        self._settled = False
        """Whether the stored messages state the whole bill."""

    def finished(self, base: str) -> Iterator[tuple[Draft, Message]]:
        """The messages in order. Their ids begin with `base`, so that they stay apart from those of other turns; the
        first one always has the turn's time, by which turns are joined."""
        if self.messages:
            _set_time(self.messages[0], _time(self.time))
        for number, message in enumerate(self.messages, 1):
            yield self.draft, {**message, "id": f"{base}-{number}"}

    def prompt(self, prompt: Any) -> None:
        """The turn's prompt: a text, or something else that is kept."""
        self.source.account.records += 1
        if not isinstance(prompt, str):
            self.source.preserved()
            self.messages.append(record_message({"prompt": prompt}))
            return
        self.source.mapped()
        self._prompt = prompt
        self.draft.title = self.draft.title or title_line(prompt) or None
        self.messages.append({"role": "user", "parts": [{"type": "text", "content": prompt}]})

    def envelope(self, rest: Record) -> None:
        """What else the file says."""
        if rest:
            self.source.account.records += 1
            self.source.mapped()
            self.messages.append(record_message(rest))

    def answer(self, response: Any) -> None:
        """The stored answer, in whichever shape."""
        self.source.account.records += 1
        if not isinstance(response, dict):
            self.source.preserved()
            self.messages.append(record_message({"response_data": response}))
            return
        self.source.mapped()
        rest = dict(response)
        own = rest.get("timestamp")
        time = _time(own)
        if time is not None:
            del rest["timestamp"]
        raw = dict(rest["raw_response"]) if isinstance(rest.get("raw_response"), dict) else None
        if raw is not None:
            rest["raw_response"] = raw
        first = len(self.messages)
        for holder in (rest, raw or {}):
            self._stored_messages(holder, rest)
        text = rest.pop("text") if isinstance(rest.get("text"), str) else None
        self._close(first, text, rest, raw)
        for message in self.messages[first:]:
            _set_time(message, time)

    def _stored_messages(self, holder: Record, response: Record) -> None:
        readers: dict[str, Callable[[list[Any], Record], None]] = {
            "raw_messages": self._sdk,
            "messages": self._langchain if response.get("provider") == "langchain" else self._sdk,
            "events": self._events,
        }
        for name in _LISTS:
            items = holder.get(name)
            if isinstance(items, list):
                del holder[name]
                _drop_repetitions(holder, items)
                self.source.account.records += len(items)
                readers[name](items, response)

    def _close(self, first: int, text: str | None, rest: Record, raw: Record | None) -> None:
        """Add what the stored messages do not say: the text, the bill and the fields of the answer itself."""
        answers = [message for message in self.messages[first:] if message["role"] == "assistant"]
        if text is not None and (not answers or text.strip() not in joined(self._texts)):
            if answers and text.strip():
                note = "the stored answer is not the text of the messages stored with it; both are kept"
                self.draft.issue("answer-differs", note)
            if not answers or text.strip():
                own: Message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
                if raw is not None and raw.get("is_error") is True:
                    own["kind"] = "error"
                answers.append(own)
                self.messages.append(own)
        last = answers[-1] if answers else record_message({})
        if not answers:
            self.messages.append(last)
        self._bill(last, rest, raw)
        model = _model(rest, raw)
        if model and answers and "model" not in last:
            last["model"] = model
        for name in ("result", "response_content"):
            if raw and text is not None and raw.get(name) == text:
                del raw[name]
        kept = {name: value for name, value in rest.items() if value is not None and value != {}}
        if kept.get("session_id") == self.draft.native_id:
            del kept["session_id"]
        if kept:
            last.setdefault("x", {})["response"] = kept

    def _bill(self, last: Message, rest: Record, raw: Record | None) -> None:
        """Put on the last answer what the stored messages have not accounted for yet."""
        if self._settled:
            return
        inclusive = rest.get("provider") == "langchain"
        for holder in (raw, rest):
            for about in (holder, _dict(holder.get("result_info")) if holder else None):
                bill = _billed(about, inclusive) if about else nothing()
                if any(bill):
                    if any(bill[:4]) and any(a > b for a, b in zip(self._counted[:4], bill[:4], strict=True)):
                        self.draft.issue("usage-differs", "the stored messages and the answer state different figures")
                    set_usage(last, beyond(bill, self._counted))
                    return

    def _sdk(self, items: list[Any], response: Record) -> None:
        """SDK messages, stream-json records, or plain chat messages."""
        stream = Stream(self.draft)
        stream.texts = self._texts
        for item in items:
            record = sdk_record(item)
            if record is None and isinstance(item, dict):
                if self._chat(item):
                    continue
                record = item
            if record is None:
                self.source.preserved()
                if isinstance(item, str):
                    self.draft.issue("unreadable-repr", "a message was stored as Python text that cannot be read back")
                self.messages.append(record_message({"message": item}))
                continue
            message, understood = stream.take(record)
            native = message.pop("id", None)
            if native is not None:
                message.setdefault("x", {})["uuid"] = native
            if understood:
                self.source.mapped()
            else:
                self.source.preserved()
            if message["role"] == "user" and _texts(message) == self._prompt is not None:
                continue  # the prompt again
            self._counted = plus(self._counted, _figures(message))
            self.messages.append(message)
        self._settled = stream.results > 0 and any(self._counted)

    def _chat(self, item: Record) -> bool:
        """Take a message of the form `{"role", "content", "tool_calls"?}`. False when it is none."""
        role, content, calls = item.get("role"), item.get("content"), item.get("tool_calls") or []
        if not (isinstance(role, str) and role in ("user", "assistant") and isinstance(content, str)):
            return False
        if not isinstance(calls, list) or "type" in item:
            return False
        if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
            return False
        self.source.mapped()
        if role == "user" and content == self._prompt:
            return True
        message: Message = {"role": role, "parts": [{"type": "text", "content": content}]}
        for call in calls:
            ident = call.get("id")
            part = {"type": "tool_call", "id": ident if isinstance(ident, str) else "", "name": call["name"]}
            part["arguments"] = call.get("parameters")
            rest = {name: value for name, value in call.items() if name not in ("id", "name", "parameters")}
            message["parts"].append(part | ({"call": rest} if rest else {}))
        rest = {name: value for name, value in item.items() if name not in ("role", "content", "tool_calls")}
        if rest:
            message["x"] = rest
        if role == "assistant":
            self._texts.append(content)
        self.messages.append(message)
        return True

    def _langchain(self, items: list[Any], response: Record) -> None:
        """The whole history up to this turn: what was before its prompt belongs to earlier turns and is kept apart."""
        messages = [langchain_message(item) for item in items]
        start = 0
        for number, message in enumerate(messages):
            if message is not None and message["role"] == "user" and _texts(message) == self._prompt is not None:
                start = number + 1
        self.source.preserved(max(0, start - 1))
        self.source.mapped(min(1, start))
        if start > 1:
            earlier = record_message({"history": items[: start - 1]})
            earlier["kind"] = "context"
            self.messages.append(earlier)
        for item, message in zip(items[start:], messages[start:], strict=True):
            if message is None:
                self.source.preserved()
                self.messages.append(record_message({"message": item}))
                continue
            self.source.mapped()
            native = message.pop("id", None)
            if native is not None:
                message.setdefault("x", {})["id"] = native
            if message["role"] == "assistant":
                self._texts += [part["content"] for part in message["parts"] if part["type"] == "text"]
            self._counted = plus(self._counted, _figures(message))
            self.messages.append(message)

    def _events(self, items: list[Any], response: Record) -> None:
        events = Events(self.draft, response.get("provider") == "langchain")
        for item in items:
            if not isinstance(item, dict):
                self.source.preserved()
                self.messages += [*events.close(), record_message({"event": item})]
                continue
            done, understood = events.take(item)
            self.messages += done
            if understood:
                self.source.mapped()
            else:
                self.source.preserved()
        self.messages += events.close()
        self._texts += events.texts
        self._counted = plus(self._counted, events.counted)


def _drop_repetitions(holder: Record, items: list[Any]) -> None:
    """Take out of an answer what only repeats records that are stored with it: its tool events and its first record."""
    trace = [item for item in items if isinstance(item, dict) and item.get("type") in ("tool_use_start", "tool_result")]
    if trace and holder.get("tool_trace") == trace:
        del holder["tool_trace"]
    system = holder.get("system")
    if isinstance(system, dict) and system:
        whole = {"type": "system", "data": system}
        if any(item in (system, whole) for item in items):
            del holder["system"]


def _figures(message: Message) -> Figures:
    """The figures that a message's usage was made from."""
    usage = message.get("usage", {})
    names = ("input", "cache_read", "cache_write", "output", "reasoning")
    total, read, written, output, reasoning = (usage.get(f"{name}_tokens", 0) for name in names)
    return [total - read - written, read, written, output, reasoning, usage.get("cost_microusd", 0)]


def _billed(about: Record, inclusive: bool) -> Figures:
    """The bill that an object states; what is told of it exactly is taken out of the object."""
    bill = inclusive_bill(about) if inclusive else bill_of(about)
    usage = about.get("usage")
    if any(bill) and isinstance(usage, dict):
        rest = unstated_usage(usage, bill_of({"usage": usage}))
        if not rest:
            del about["usage"]
    return bill


def _model(rest: Record, raw: Record | None) -> str | None:
    """The model of an answer that states none itself. The program writes `claude` where it does not know."""
    for about in (_dict(rest.get("session_info")), _dict((raw or {}).get("session_info")), raw or {}):
        model = about.get("model")
        if isinstance(model, str) and model and model != "claude":
            return model
    models = _dict((raw or {}).get("modelUsage"))
    return next(iter(models)) if len(models) == 1 else None


def _texts(message: Message) -> str:
    return "".join(part["content"] for part in message["parts"] if part["type"] == "text")


def _time(value: Any) -> str | Record | None:
    """A point in time, or a local time for `x`. A trailing Z is the program's mistake: it wrote local time."""
    if not isinstance(value, str):
        return None
    if value.endswith("Z"):
        naive = naive_time(value[:-1])
        return None if naive is None else {**naive, "written": value}
    return value if is_instant(value) else naive_time(value)


def _set_time(message: Message, time: str | Record | None) -> None:
    if time is None or "time" in message:
        return
    if isinstance(time, str):
        message["time"] = time
    elif "time" not in message.get("x", {}):
        message["x"] = {**message.get("x", {}), "time": time}

"""The stream events of mcp_coder, which its stored answers and the event logs of icoder hold, as messages.

What follows each other of one answer (`text_delta`, `tool_use_start`) becomes one message with text and tool calls;
`tool_result` becomes a tool message, `done` closes the answer and states its bill, everything else is kept verbatim.
"""

from __future__ import annotations

from typing import Any

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.claude_code_parts import Figures, figures, unstated_usage
from sessionstore.importers.mcp_coder_stream import bill_of, nothing, plus, set_usage

Record = dict[str, Any]


def inclusive_bill(record: Record) -> Figures:
    """The bill of a record whose `input_tokens` include what was read from and written to the cache, as LangChain
    counts them (Claude does not)."""
    bill = bill_of(record)
    bill[0] = max(0, bill[0] - bill[1] - bill[2])
    return bill


class Events:
    """Turns stream events into messages without an id. A message is handed out when it is complete."""

    def __init__(self, draft: Draft, inclusive: bool = False) -> None:
        """Tell this draft what the events say of the session; `inclusive` is how the provider counts tokens."""
        self.draft = draft
        self.bill = inclusive_bill if inclusive else bill_of
        self.counted = nothing()
        self.texts: list[str] = []
        """The texts of the messages so far."""
        self.sessions: dict[str, None] = {}
        """The session ids that were stated, in order."""
        self.pending: Message | None = None
        """The answer that is not complete yet."""
        self._pieces: list[str] = []
        """The text of its last part, which is joined when the part is complete."""

    def take(self, event: Record, x: Record | None = None) -> tuple[list[Message], bool]:
        """The messages that an event completes, and whether it was understood. `x` is kept with the message."""
        kind = event.get("type")
        if kind == "text_delta" and isinstance(event.get("text"), str):
            self._text(event, x)
            return [], True
        if kind == "tool_use_start" and isinstance(event.get("name"), str):
            self._call(event, x)
            return [], True
        if kind == "tool_result" and "output" in event:
            return [*self.close(), self._result(event, x)], True
        if kind == "done":
            return self._done(event, x), True
        if kind == "error" and isinstance(event.get("message"), str):
            rest = {name: value for name, value in event.items() if name not in ("type", "message")}
            return [*self.close(), _message("system", [_text(event["message"])], x, rest) | {"kind": "error"}], True
        return [*self.close(), record_message(event, x)], False

    def close(self) -> list[Message]:
        """The answer that was being collected, if any: what comes next does not belong to it."""
        message = self.pending
        if message is None:
            return []
        self._join()
        self.pending = None
        self.texts += [part["content"] for part in message["parts"] if part["type"] == "text"]
        return [message]

    def _answer(self, x: Record | None) -> Message:
        if self.pending is None:
            self.pending = _message("assistant", [], x, {})
        elif x and "until" in x:
            self.pending.setdefault("x", {})["until"] = x["until"]
        return self.pending

    def _text(self, event: Record, x: Record | None) -> None:
        parts = self._answer(x)["parts"]
        rest = {name: value for name, value in event.items() if name not in ("type", "text", "content")}
        if not (self._pieces and not rest and parts[-1].keys() == {"type", "content"}):
            self._join()
            parts.append({"type": "text", "content": ""} | rest)
        self._pieces.append(event["text"])

    def _join(self) -> None:
        if self.pending and self._pieces:
            self.pending["parts"][-1]["content"] = "".join(self._pieces)
        self._pieces = []

    def _call(self, event: Record, x: Record | None) -> None:
        known = ("type", "name", "args", "tool_call_id", "id", "arguments")
        rest = {name: value for name, value in event.items() if name not in known and value is not None}
        part = {"type": "tool_call", "id": _call_id(event), "name": event["name"], "arguments": event.get("args")}
        if "arguments" in event:
            rest["event"] = {"arguments": event["arguments"]}
        parts = self._answer(x)["parts"]
        self._join()
        parts.append(part | rest)

    def _result(self, event: Record, x: Record | None) -> Message:
        known = ("type", "output", "is_error", "tool_call_id", "id", "response")
        rest = {name: value for name, value in event.items() if name not in known and value is not None}
        part = {"type": "tool_call_response", "id": _call_id(event), "response": event["output"]}
        if event.get("is_error") is True:
            part["is_error"] = True
        if not part["id"]:
            self.draft.issue("tool-call-id-lost", "the events do not say which call a tool result belongs to")
        if "response" in event:
            rest["event"] = {"response": event["response"]}
        return _message("tool", [part | rest], x, {})

    def _done(self, event: Record, x: Record | None) -> list[Message]:
        session = event.get("session_id")
        if isinstance(session, str) and session.strip():
            self.sessions[session] = None
        bill = self.bill(event)
        self.counted = plus(self.counted, bill)
        rest = {name: value for name, value in event.items() if name not in ("type", "usage") and value is not None}
        if rest.get("session_id") == self.draft.native_id:
            del rest["session_id"]
        usage = event.get("usage")
        if isinstance(usage, dict):
            if unsaid := unstated_usage(usage, figures(usage, 0)):
                rest["usage"] = unsaid
        elif usage is not None:
            rest["usage"] = usage
        if self.pending is None:
            message = record_message({"type": "done"} | rest, x)
        else:
            message = self._answer(x)
            self.close()
            result, last = rest.get("result"), message["parts"][-1]
            if isinstance(result, str) and last["type"] == "text" and result.strip() == last["content"].strip():
                del rest["result"]
            if rest:
                message.setdefault("x", {})["done"] = rest
        set_usage(message, bill)
        return [message]


def _call_id(event: Record) -> str:
    return next((value for name in ("tool_call_id", "id") if isinstance(value := event.get(name), str)), "")


def _text(content: str) -> Record:
    return {"type": "text", "content": content}


def _message(role: str, parts: list[Record], x: Record | None, rest: Record) -> Message:
    message: Message = {"role": role, "parts": parts}
    kept = {**(x or {}), **({"event": rest} if rest else {})}
    if kept:
        message["x"] = kept
    return message


def record_message(record: Record, x: Record | None = None) -> Message:
    """A record that is no conversation, kept verbatim."""
    message = _message("system", [{"type": "record", "record": record}], x, {})
    message["kind"] = "meta"
    return message

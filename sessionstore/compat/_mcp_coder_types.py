"""The values of mcp_coder's language model interface: responses, stream events, and how events become a response."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

SUPPORTED_PROVIDERS: frozenset[str] = frozenset({"claude", "langchain", "copilot"})
LLM_RESPONSE_VERSION = "1.0"


class UsageInfo(TypedDict, total=False):
    """Tokens of a response; a field is there when the provider has told it."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int


class LLMResponseDict(TypedDict):
    """A response as it is passed around and stored. `timestamp` is local time (ISO, without a zone), `session_id` what
    goes on with the conversation, `raw_response` what the provider has sent or the events that came."""

    version: str
    timestamp: str
    text: str
    session_id: str | None
    provider: str
    raw_response: dict[str, object]


StreamEvent = dict[str, object]
"""An event of a stream, told apart by its "type": text_delta (text), tool_use_start (name, args, tool_call_id),
tool_result (name, output, is_error, tool_call_id), error (message, reason), done (session_id, usage, result), raw_line
(line), stream_file (path), system (data). The last one states the "timestamp" under which the turn is stored."""


class ResponseAssembler:
    """Puts the events of a stream together to a response."""

    def __init__(self, provider: str) -> None:
        """Begin a response of that provider."""
        self._provider = provider
        self._pieces: list[str] = []
        self._result: str | None = None
        self._session_id: str | None = None
        self._usage: dict[str, object] = {}
        self._events: list[StreamEvent] = []
        self._tools: list[StreamEvent] = []
        self._error: str | None = None
        self._stream_file: str | None = None
        self._system: object = None
        self._timestamp: str | None = None

    def add(self, event: StreamEvent) -> None:
        """Take the next event. Lines that only repeat what the events say are not kept."""
        kind = event.get("type")
        if kind != "raw_line":
            self._events.append(event)
        if isinstance(timestamp := event.get("timestamp"), str):
            self._timestamp = timestamp
        if kind == "text_delta":
            text = event.get("text", "")
            self._pieces.append(text if isinstance(text, str) else "")
        elif kind == "done":
            self._done(event)
        elif kind in ("tool_use_start", "tool_result"):
            self._tools.append(event)
        elif kind == "error" and isinstance(message := event.get("message"), str):
            self._error = message
        elif kind == "stream_file" and isinstance(path := event.get("path"), str):
            self._stream_file = path
        elif kind == "system":
            self._init(event.get("data"))

    def _done(self, event: StreamEvent) -> None:
        if isinstance(usage := event.get("usage"), dict):
            self._usage = usage
        if isinstance(session_id := event.get("session_id"), str):
            self._session_id = session_id
        if isinstance(result := event.get("result"), str):
            self._result = result

    def _init(self, data: object) -> None:
        """What the program says of itself: its first word counts, later ones tell only of its progress."""
        if self._system is None or (isinstance(data, dict) and data.get("subtype") == "init"):
            self._system = data

    @property
    def has_error(self) -> bool:
        """Whether an error has come."""
        return self._error is not None

    def result(self) -> LLMResponseDict:
        """The response as far as it has come. Its text is that of the pieces; the final text counts when there were
        none."""
        known = {
            "events": list(self._events),
            "stream_file": self._stream_file,
            "system": self._system,
            "usage": self._usage or None,
            "tool_trace": list(self._tools) or None,
            "error": self._error,
        }
        raw: dict[str, object] = {name: value for name, value in known.items() if value is not None}
        text = "".join(self._pieces) if self._pieces or self._result is None else self._result
        return LLMResponseDict(
            version=LLM_RESPONSE_VERSION,
            timestamp=self._timestamp or datetime.now().isoformat(),
            text=text.strip(),
            session_id=self._session_id,
            provider=self._provider,
            raw_response=raw,
        )

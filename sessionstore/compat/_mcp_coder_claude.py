"""Claude Code as mcp_coder asks it: by its command line, its records as stream events."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from sessionstore import errors
from sessionstore.adapters.base import Ask, Settings
from sessionstore.adapters.claude_code import ClaudeCode
from sessionstore.compat._mcp_coder_files import here
from sessionstore.compat._mcp_coder_turn import Turn
from sessionstore.compat._mcp_coder_types import LLMResponseDict, ResponseAssembler, StreamEvent
from sessionstore.exporters.report import Report

Json = dict[str, Any]
TIMED_OUT, FAILED = "inactivity_timeout", "nonzero_exit"


class LLMTimeoutError(TimeoutError):
    """A model has said nothing for as long as the caller would wait. What was asked stays in the session
    `session_id`."""

    session_id: str | None = None


class Conversation:
    """One question to Claude Code: iterate over its events, then `response` is the whole."""

    def __init__(
        self,
        question: str,
        session_id: str | None,
        timeout: float,
        env_vars: dict[str, str] | None,
        execution_dir: str | None,
        mcp_config: str | None,
        settings_file: str | None,
        branch_name: str | None,
        project_dir: str | None,
    ) -> None:
        if session_id is not None and not session_id.strip():
            raise ValueError("session_id cannot be empty string")
        if execution_dir is not None and not os.path.isdir(execution_dir):
            raise FileNotFoundError(f"the directory {execution_dir} does not exist")
        self.timeout = timeout
        self.turn = Turn(here(), question, session_id, execution_dir, branch_name, project_dir)
        arguments = [] if session_id else ["--session-id", self.turn.asked_id]
        if mcp_config:
            arguments += ["--mcp-config", mcp_config, "--strict-mcp-config"]
        if settings_file:
            arguments += ["--settings", settings_file]
        environment = {name: value for name, value in os.environ.items() if name != "CLAUDECODE"}
        self._adapter = ClaudeCode(
            Settings(
                timeout=timeout,
                command=os.environ.get("SESSIONSTORE_CLAUDE") or "claude",
                directory=execution_dir,
                environment={**environment, **(env_vars or {})},
            )
        )
        said: list[Json] = [{"id": "q", "role": "user", "parts": [{"type": "text", "content": question}]}]
        if session_id:
            before = {"id": "a", "role": "assistant", "parts": [], "provider": ClaudeCode.provider}
            said.insert(0, {**before, "x": {"session_id": session_id}})
        self._body = self._adapter.request(Ask("", said, extra={"arguments": arguments}), Report())
        self._assembler = ResponseAssembler("claude")
        self.failure: errors.ProviderError | None = None

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events as they come. The question is durable before the first one, the turn before the last one."""
        self.turn.ask()
        whole = False
        try:
            for event in self._events():
                self._assembler.add(event)
                if event["type"] in ("done", "error"):
                    whole = True
                    self._keep()
                yield event
        finally:
            if not whole:
                self._keep()

    @property
    def response(self) -> LLMResponseDict:
        """The response as far as it has come."""
        return {**self._assembler.result(), "timestamp": self.turn.timestamp}

    def _keep(self) -> None:
        """Keep what has come, unless that is nothing."""
        response = self.response
        if response["text"] or response["raw_response"].get("tool_trace") or response["session_id"]:
            self.turn.answered(response)

    def _events(self) -> Iterator[StreamEvent]:
        records = Records()
        try:
            for record in self._adapter.open(self._body):
                yield {"type": "raw_line", "line": json.dumps(record, ensure_ascii=False)}
                for event in records.take(record) if isinstance(record, dict) else ():
                    yield self._stamped(event) if event["type"] == "done" else event
        except errors.ProviderError as error:
            self.failure = error
            if isinstance(error, errors.ProviderUnreachable) and not error.fields.get("timed_out"):
                raise FileNotFoundError(f"Claude Code CLI not found: {error}") from error
            yield self._stamped(self._failed(error))
            return
        except json.JSONDecodeError as error:
            raise ValueError(f"Failed to parse CLI JSON: {error}") from error
        if not records.done:
            message = "Claude Code has ended without a result"
            yield self._stamped({"type": "error", "reason": "no_result", "message": message})

    def _failed(self, error: errors.ProviderError) -> StreamEvent:
        if error.fields.get("timed_out"):
            message = (
                f"LLM inactivity timeout (claude): no output for {self.timeout}s. "
                "Process terminated. You can retry, or use --timeout to increase the limit."
            )
            return {"type": "error", "reason": TIMED_OUT, "timeout": self.timeout, "message": message}
        code = error.fields.get("returned")
        message = f"CLI failed with code {code}: {error}"
        return {"type": "error", "reason": FAILED, "return_code": code, "message": message}

    def _stamped(self, event: StreamEvent) -> StreamEvent:
        """The last event says under which time the turn is kept, so that a response put together from the events is
        the same turn."""
        return {**event, "timestamp": self.turn.timestamp}

    def raised(self) -> BaseException | None:
        """What a caller who waits for the whole response is told of a failure."""
        error = self.failure
        if error is None:
            return None
        if error.fields.get("timed_out"):
            made = LLMTimeoutError(self._failed(error)["message"])
            made.session_id = self.turn.asked_id
            return made
        command = [self._adapter.settings.command, *self._body["arguments"]]
        output = self.response["text"]
        return subprocess.CalledProcessError(int(error.fields.get("returned") or 1), command, output, str(error))


class Records:
    """Turns the records that Claude Code prints into stream events."""

    def __init__(self) -> None:
        self.done = False
        """Whether the result has come."""
        self._message: str | None = None
        self._streamed: set[str | None] = set()
        """The messages whose text has come in pieces."""
        self._tools: dict[str, str] = {}
        self._told_of_itself = False

    def take(self, record: Json) -> Iterator[StreamEvent]:
        """The events of the next record."""
        kind = record.get("type")
        if kind == "system":
            if record.get("subtype") == "init" or not self._told_of_itself:
                self._told_of_itself = True
                yield {"type": "system", "data": dict(record)}
        elif kind == "stream_event":
            yield from self._piece(_object(record.get("event")))
        elif kind == "assistant":
            yield from self._answer(_object(record.get("message")))
        elif kind == "user":
            yield from self._results(_object(record.get("message")))
        elif kind == "result":
            self.done = True
            event = {"type": "done", "session_id": record.get("session_id"), "usage": record.get("usage") or {}}
            event |= {"cost_usd": record.get("total_cost_usd"), "result": record.get("result")}
            yield event | ({"is_error": True} if record.get("is_error") else {})

    def _piece(self, event: Json) -> Iterator[StreamEvent]:
        if event.get("type") == "message_start":
            self._message = _object(event.get("message")).get("id")
        delta = _object(event.get("delta"))
        if event.get("type") == "content_block_delta" and isinstance(delta.get("text"), str):
            self._streamed.add(self._message)
            yield {"type": "text_delta", "text": delta["text"]}

    def _answer(self, message: Json) -> Iterator[StreamEvent]:
        for block in _blocks(message):
            if block.get("type") == "text" and message.get("id") not in self._streamed:
                yield {"type": "text_delta", "text": block.get("text", "")}
            elif block.get("type") == "tool_use":
                ident, name = str(block.get("id") or ""), str(block.get("name") or "")
                self._tools[ident] = name
                yield {"type": "tool_use_start", "name": name, "args": block.get("input", {}), "tool_call_id": ident}

    def _results(self, message: Json) -> Iterator[StreamEvent]:
        for block in _blocks(message):
            if block.get("type") == "tool_result":
                ident = str(block.get("tool_use_id") or "")
                event = {"type": "tool_result", "name": self._tools.get(ident, ""), "output": block.get("content", "")}
                yield {**event, "is_error": bool(block.get("is_error")), "tool_call_id": ident}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []

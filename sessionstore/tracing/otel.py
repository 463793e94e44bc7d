"""Operations as spans of OpenTelemetry, with the names of its GenAI conventions where they have one.

Loaded only when wanted. Spans go to whatever the program has set up; without that they cost little and go nowhere.
"""

from __future__ import annotations

import json
from typing import Any

from sessionstore import errors, tracing

PROVIDERS = {"google": "gcp.gemini"}
"""Providers whose name in the conventions is another than ours."""
_REQUEST = {
    "model": "gen_ai.request.model",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "stop": "gen_ai.request.stop_sequences",
    "stream": "gen_ai.request.stream",
    "reasoning": "gen_ai.request.reasoning.level",
    "address": "server.address",
    "port": "server.port",
}
_RESPONSE = {
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "first_seconds": "gen_ai.response.time_to_first_chunk",
}
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
_TOOL = {"tool": "gen_ai.tool.name", "call_id": "gen_ai.tool.call.id"}
_CONTENT = {
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "system": "gen_ai.system_instructions",
    "arguments": "gen_ai.tool.call.arguments",
    "result": "gen_ai.tool.call.result",
}
"""Attributes with what was said: only when that is asked for."""


def load() -> Any:
    """OpenTelemetry's interface for tracing. Raises `LibraryMissing`."""
    try:
        from opentelemetry import trace
    except ImportError:
        raise errors.LibraryMissing(provider="OpenTelemetry", library="opentelemetry-api", extra="otel") from None
    return trace


def begin(operation: tracing.Operation) -> Span | None:
    """A span without content; None when nobody records it."""
    return Spans(content=False).begin(operation)


class Spans:
    """Makes spans."""

    def __init__(self, *, content: bool) -> None:
        self._trace = load()
        self._content = content

    def begin(self, operation: tracing.Operation) -> Span | None:
        """A span for an operation; None when nobody records it."""
        from sessionstore import __version__

        trace = self._trace
        facts, kind, name = operation.facts, trace.SpanKind.INTERNAL, f"sessionstore {operation.name}"
        attributes: dict[str, Any] = {}
        if operation.category == "provider" and operation.name == "chat":
            kind = trace.SpanKind.CLIENT
            does = "generate_content" if facts.get("provider") == "google" else "chat"
            name = f"{does} {facts.get('model')}".rstrip()
            provider = str(facts.get("provider"))
            attributes = {"gen_ai.operation.name": does, "gen_ai.provider.name": PROVIDERS.get(provider, provider)}
            attributes |= _named(facts, _REQUEST)
        elif operation.category == "provider" and operation.name == "execute_tool":
            name = f"execute_tool {facts.get('tool')}"
            attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.type": "function"}
            attributes |= _named(facts, _TOOL)
        if operation.session:
            attributes["gen_ai.conversation.id"] = operation.session
        tracer = trace.get_tracer("sessionstore", __version__)
        span = tracer.start_span(name, kind=kind, attributes=attributes)
        return Span(trace, span, operation.detached, self._content) if span.is_recording() else None


class Span:
    """A span that goes on. What happens meanwhile is below it, unless the operation is detached."""

    def __init__(self, trace: Any, span: Any, detached: bool, content: bool) -> None:
        self._trace, self._span, self._content = trace, span, content
        self._token = None
        if not detached:
            from opentelemetry import context

            self._token = context.attach(trace.set_span_in_context(span))

    def end(self, operation: tracing.Operation) -> None:
        """End it, with what has come of it."""
        facts, span = operation.facts, self._span
        for name, value in (_named(facts, _RESPONSE) | _named(facts.get("usage") or {}, _USAGE)).items():
            span.set_attribute(name, value)
        if facts.get("finish_reason"):
            span.set_attribute("gen_ai.response.finish_reasons", [str(facts["finish_reason"])])
        if operation.category == "persistence":
            span.set_attribute("sessionstore.bytes_written", operation.bytes_written)
            span.set_attribute("sessionstore.fsyncs", operation.fsyncs)
        if self._content:
            for name, attribute in _CONTENT.items():
                if callable(facts.get(name)):
                    span.set_attribute(attribute, json.dumps(facts[name](), ensure_ascii=False, default=str))
        if operation.error is not None:
            status = getattr(operation.error, "fields", {}).get("status")
            span.set_attribute("error.type", str(status or type(operation.error).__qualname__))
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        if self._token is not None:
            from opentelemetry import context

            context.detach(self._token)
        span.end()


def _named(facts: Any, names: dict[str, str]) -> dict[str, Any]:
    return {attribute: facts[name] for name, attribute in names.items() if facts.get(name) not in (None, (), [], "")}

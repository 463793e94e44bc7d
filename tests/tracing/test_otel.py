"""Spans, as OpenTelemetry's own library records them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
if {configured!r}:
    trace.set_tracer_provider(provider)
from sessionstore import tracing, errors
from sessionstore.chat import Chat, AsyncChat
from sessionstore.manager import SessionManager
def tool(**_):
    with trace.get_tracer("mine").start_as_current_span("inside the tool"):
        return 7
TOOL = {{"name": "seven", "parameters": {{}}}}
sessions = SessionManager({store!r}, index=False)
{body}
def told(span):
    return {{"name": span.name, "kind": span.kind.name, "attributes": dict(span.attributes),
        "status": span.status.status_code.name, "parent": span.parent.span_id if span.parent else None,
        "id": span.context.span_id, "trace": span.context.trace_id}}
print(json.dumps([told(span) for span in exporter.get_finished_spans()]))
"""


def spans(tmp_path: Path, body: str, *, configured: bool = True) -> list[dict[str, Any]]:
    """What a program of its own records: the tracer provider of a process can be set only once."""
    code = PROGRAM.format(store=str(tmp_path / "store"), body=body, configured=configured)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def named(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [one for one in found if one["name"] == name]


TURN = """
with trace.get_tracer("mine").start_as_current_span("my program"):
    options = {"tools": [TOOL], "toolbox": {"seven": tool}, "max_tokens": 9, "temperature": 0.5}
    Chat(sessions).ask("the owl flies", "simulated/tool,echo", "s", **options)
"""


def test_a_turn_is_spans_of_the_conventions_once_the_program_has_set_them_up(tmp_path: Path) -> None:
    found = spans(tmp_path, TURN)
    [mine] = named(found, "my program")
    first, second = named(found, "chat tool,echo")
    for span in (first, second):
        assert span["kind"] == "CLIENT" and span["parent"] == mine["id"] and span["trace"] == mine["trace"]
        facts = span["attributes"]
        assert facts["gen_ai.operation.name"] == "chat" and facts["gen_ai.provider.name"] == "simulated"
        assert facts["gen_ai.conversation.id"] == "native:s" and facts["gen_ai.request.model"] == "tool,echo"
        assert facts["gen_ai.request.max_tokens"] == 9 and facts["gen_ai.request.temperature"] == 0.5
        assert facts["gen_ai.response.model"] == "simulated/tool,echo" and facts["gen_ai.response.id"]
        assert facts["gen_ai.usage.input_tokens"] > 0 and facts["gen_ai.usage.output_tokens"] > 0
    assert first["attributes"]["gen_ai.response.finish_reasons"] == ["tool_calls"]
    [tool] = named(found, "execute_tool seven")
    assert tool["kind"] == "INTERNAL" and tool["attributes"]["gen_ai.operation.name"] == "execute_tool"
    assert tool["attributes"]["gen_ai.tool.name"] == "seven" and tool["attributes"]["gen_ai.tool.call.id"]
    assert named(found, "inside the tool")[0]["parent"] == tool["id"]
    assert "owl" not in json.dumps(found)
    assert len(found) == 5


def test_a_failure_has_its_type_and_a_stream_its_first_chunk(tmp_path: Path) -> None:
    body = """
chat = Chat(sessions)
for model, call in (("simulated/400", chat.ask), ("simulated/cut", lambda *a: list(chat.stream(*a)))):
    try: call("x y z", model)
    except errors.ProviderError: pass
list(Chat(sessions).stream("one two", "simulated/echo"))
"""
    found = spans(tmp_path, body)
    refused, cut, streamed = found
    assert refused["status"] == cut["status"] == "ERROR" and streamed["status"] == "UNSET"
    assert refused["attributes"]["error.type"] == "400" and cut["attributes"]["error.type"] == "AnswerCut"
    assert streamed["attributes"]["gen_ai.request.stream"] is True
    assert streamed["attributes"]["gen_ai.response.time_to_first_chunk"] >= 0


def test_everything_is_spans_and_content_is_in_them_when_a_trace_wants_that(tmp_path: Path) -> None:
    body = f"with tracing.configure('ERROR', otel=True, content=True):{TURN.replace(chr(10), chr(10) + '    ')}"
    found = spans(tmp_path, body)
    [first, second] = named(found, "chat tool,echo")
    asked = json.loads(second["attributes"]["gen_ai.input.messages"])
    assert [one["role"] for one in asked] == ["user", "assistant", "tool"]
    assert asked[0]["parts"] == [{"type": "text", "content": "the owl flies"}]
    assert json.loads(first["attributes"]["gen_ai.output.messages"])[0]["parts"][0]["type"] == "tool_call"
    [tool] = named(found, "execute_tool seven")
    assert json.loads(tool["attributes"]["gen_ai.tool.call.result"]) == 7
    appends = named(found, "sessionstore append")
    assert len(appends) == 4 and all(one["attributes"]["sessionstore.fsyncs"] >= 2 for one in appends)
    written = named(found, "sessionstore write")
    assert {one["parent"] for one in written} >= {one["id"] for one in appends}


def test_conversations_in_an_event_loop_have_spans_of_their_own(tmp_path: Path) -> None:
    body = """
async def one(chat, number):
    with trace.get_tracer("mine").start_as_current_span(f"task {number}"):
        await chat.ask("Hello", "simulated/slow:0.05", f"s{number}")
        async for _ in await chat.stream("More", session_id=f"s{number}"): pass
async def main():
    async with AsyncChat(sessions) as chat:
        await asyncio.gather(*(one(chat, number) for number in range(5)))
asyncio.run(main())
"""
    found = spans(tmp_path, body)
    for number in range(5):
        [task] = named(found, f"task {number}")
        mine = [one for one in found if one["parent"] == task["id"]]
        assert [one["name"] for one in mine] == ["chat slow:0.05"] * 2
        assert {one["attributes"]["gen_ai.conversation.id"] for one in mine} == {f"native:s{number}"}


def test_nothing_is_made_without_a_provider_or_when_it_is_not_wanted(tmp_path: Path) -> None:
    assert spans(tmp_path / "a", TURN, configured=False) == []
    found = spans(tmp_path / "b", f"tracing.spans(False)\n{TURN}")
    assert {one["name"] for one in found} == {"my program", "inside the tool"}

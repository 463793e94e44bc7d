"""ShareGPT: a line `{"id", "conversations": [{"from", "value"}], "tools"?}` for each session, as trainers of models
read it. Calls are `function_call` turns with JSON in `value`, each followed by its `observation`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.exporters.tools import definitions
from sessionstore.exporters.turns import Ids, Turn, split_system, turns


def export(revision: dict[str, Any], messages: Iterable[dict[str, Any]], report: Report) -> Iterator[str]:
    """One line."""
    system, rest = split_system(revision, turns(messages, report, Ids("", 1 << 20), merged=True), report)
    said = [{"from": "system", "value": "\n\n".join(system)}] if system else []
    for turn in rest:
        said += _turn(turn, report)
    line: dict[str, Any] = {"id": revision["key"], "conversations": said}
    if tools := definitions(revision, report):
        listed = [{"name": tool.name, "description": tool.description, "parameters": tool.schema} for tool in tools]
        line["tools"] = content.dumps(listed)
    yield content.dumps(line) + "\n"


def _turn(turn: Turn, report: Report) -> Iterator[dict[str, str]]:
    for part in turn.speech:
        if part["type"] == "reasoning":
            report.count("reasoning left out")
        elif part["type"] != "text":
            report.count("images and files left out")
    text = "\n\n".join(content.texts(turn.speech))
    if text:
        yield {"from": "human" if turn.role == "user" else "gpt", "value": text}
    for call in turn.calls:
        arguments, wrapped = content.arguments_object(call.arguments)
        report.count("tool arguments that are no object wrapped in one", int(wrapped))
        yield {"from": "function_call", "value": content.dumps({"name": call.name, "arguments": arguments})}
        report.count("images and files left out", sum(part["type"] != "text" for part in call.result))
        report.count("failure marks of tool results left out", int(call.is_error and call.answered))
        yield {"from": "observation", "value": "\n".join(content.texts(call.result))}

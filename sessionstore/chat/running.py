"""Running the tools that a model has called."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sessionstore import tracing

Message = dict[str, Any]
Toolbox = Mapping[str, Callable[..., Any]]
"""The tools a program runs itself: name -> function, called with the arguments by name."""


def run(calls: Sequence[Message], toolbox: Toolbox | None, session: str | None = None) -> list[Message] | None:
    """The results of tool calls; None when there are none, or none of them is in the toolbox."""
    if not wanted(calls, toolbox):
        return None
    assert toolbox is not None
    return [{"role": "tool", "parts": [_ran(call, toolbox, session) for call in calls]}]


def wanted(calls: Sequence[Message], toolbox: Toolbox | None) -> bool:
    """Whether the program runs any of these calls."""
    return bool(toolbox) and any(call["name"] in (toolbox or ()) for call in calls)


def _ran(call: Message, toolbox: Toolbox, session: str | None) -> Message:
    try:
        with watched(call, session) as work:
            function, given = called(call, toolbox)
            response = function(**given)
            work.told(result=lambda: response)
    except Exception as error:
        return failed(call, error)
    return gave(call, response)


def watched(call: Message, session: str | None, *, cpu: bool = True) -> tracing.Operation | tracing.Nothing:
    """The run of a tool, for whoever traces it."""
    facts = {"tool": call["name"], "call_id": call["id"], "arguments": lambda: call["arguments"]}
    return tracing.operation("provider", "execute_tool", session, cpu=cpu, **facts)


def called(call: Message, toolbox: Toolbox) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of a call and its arguments. Raises `LookupError`, `TypeError`, `ValueError`."""
    arguments = call["arguments"]
    given = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    if call["name"] not in toolbox:
        raise LookupError(f"there is no tool {call['name']}")
    if not isinstance(given, dict):
        raise TypeError("the arguments are no JSON object")
    return toolbox[call["name"]], given


def gave(call: Message, response: Any) -> Message:
    """What a tool gave back, as the model is told."""
    return {"type": "tool_call_response", "id": call["id"], "response": response}


def failed(call: Message, error: Exception) -> Message:
    """That a tool has failed, as the model is told."""
    told = f"{type(error).__name__}: {error}"
    return {"type": "tool_call_response", "id": call["id"], "response": told, "is_error": True}

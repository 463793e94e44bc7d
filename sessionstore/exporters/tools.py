"""Definitions of tools, from whatever shape a source has them in to the one a provider asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sessionstore.exporters.report import Report

_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema")
_LISTS = ("functionDeclarations", "function_declarations")


class Tool(NamedTuple):
    """A tool as a model is told of it."""

    name: str
    description: str
    schema: dict[str, Any]


def definitions(revision: dict[str, Any], report: Report) -> list[Tool]:
    """The tools that the session's model knew, as far as their definitions were recorded."""
    found = []
    for tool in _flat(revision.get("tools") or ()):
        taken = _definition(tool)
        if taken is None:
            report.count("tool definitions of another shape left out")
        else:
            found.append(taken)
    return found


def _flat(tools: Any) -> Iterator[Any]:
    for tool in tools:
        inner = next((tool[name] for name in _LISTS if isinstance(tool.get(name), list)), None) if _is(tool) else None
        if inner is None:
            yield tool
        else:
            yield from inner


def _definition(tool: Any) -> Tool | None:
    if not _is(tool):
        return None
    inner = tool["function"] if _is(tool.get("function")) else tool
    name, description = inner.get("name"), inner.get("description")
    if not isinstance(name, str) or not name:
        return None
    schema: dict[str, Any] = next((inner[field] for field in _SCHEMAS if _is(inner.get(field))), {})
    return Tool(name, description if isinstance(description, str) else "", {"type": "object", **schema})


def _is(value: Any) -> bool:
    return isinstance(value, dict)

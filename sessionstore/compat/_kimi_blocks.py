"""Answers of the tools, in the shapes of the Model Context Protocol."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class TextContent:
    """A block of text: what `mcp.types.TextContent` is, for programs that do not use that library."""

    type: str
    text: str
    annotations: Any = None

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The block as a dictionary."""
        return asdict(self)


@dataclass
class Tool:
    """A tool: what `mcp.types.Tool` is, for programs that do not use that library."""

    name: str
    description: str
    inputSchema: dict[str, Any]

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The tool as a dictionary."""
        return asdict(self)


def block(text: str) -> Any:
    """A block of text; of the library's own class in a program that has loaded it."""
    return _kind("TextContent", TextContent)(type="text", text=text)


def tool(name: str, description: str, schema: dict[str, Any]) -> Any:
    """A tool; of the library's own class in a program that has loaded it."""
    return _kind("Tool", Tool)(name=name, description=description, inputSchema=schema)


def _kind(name: str, own: type) -> Any:
    return getattr(sys.modules.get("mcp.types"), name, own)


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


_PROMPT = _text("What to ask. {file:PATH}, {file:PATH:10-20} and {files:PATTERN} become what is in the files.")
_SESSION = _text("The session to go on with, or to make.")


def _schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "analyze_with_gemini": (
        "Let Gemini 2.5 Pro read much at once and say what it finds.",
        _schema(
            "prompt",
            prompt=_PROMPT,
            files={"type": "array", "items": {"type": "string"}, "description": "Paths and patterns of files."},
            context=_text("A text to go along."),
            session_id=_SESSION,
        ),
    ),
    "quick_gpt": (
        "A short answer of a small model of OpenAI's.",
        _schema("prompt", prompt=_PROMPT, temperature={"type": "number", "default": 0.3}, session_id=_SESSION),
    ),
    "balanced_llm": (
        "An answer of Gemini 2.5 Flash or GPT-4.1 mini.",
        _schema(
            "prompt",
            prompt=_PROMPT,
            model={"type": "string", "enum": ["gemini-flash", "gpt-mini"], "default": "gemini-flash"},
            max_tokens={"type": "integer", "default": 1000},
        ),
    ),
    "route_to_best_model": (
        "Let the task decide which model is asked.",
        _schema(
            "prompt",
            prompt=_PROMPT,
            task_type={"type": "string", "enum": ["analysis", "generation", "simple", "auto"], "default": "auto"},
        ),
    ),
    "kimi_chat": (
        "Talk with Kimi, in sessions that are kept.",
        _schema(
            prompt=_PROMPT,
            messages={"type": "array", "items": {"type": "object"}, "description": "A whole conversation."},
            system=_text("Instructions for a new conversation."),
            partial_response=_text("How the answer shall begin."),
            model={"type": "string", "default": "kimi-k2-0711-preview"},
            temperature={"type": "number", "default": 0.6},
            max_tokens={"type": "integer", "default": 4096},
            available_tools={"type": "array", "items": {"type": "string"}, "description": "Built-in tools."},
            dynamic_tools={
                "type": "array",
                "items": _schema(
                    "name", "command", "schema", name=_text("Name"), command=_text("Command"), schema={"type": "object"}
                ),
            },
            session_id=_text(
                "The session to go on with; keywords begin a new one. @last: the latest one; @list: a list of all;"
                " @clear:ID: forget one."
            ),
            return_conversation={"type": "boolean", "default": False},
        ),
    ),
    "check_costs": ("What the models have cost since the start.", _schema()),
}
"""The tools: name -> description and schema of the arguments."""

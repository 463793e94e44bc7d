"""The tools that Kimi may use: the built-in ones, and commands that the calling program brings.

A built-in tool is a function of this module. A command is the calling program's; its arguments are the model's, so it
is run without a shell, each argument is one word, and a word that would be an option is refused.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
TIMEOUT = 30
"""Seconds a command may run."""
MOST_TEXT = 100_000
"""Characters of what a tool says that are passed on."""
_PATH = "/usr/bin:/bin:/usr/local/bin"
_REFUSED = frozenset(
    """
    rm rmdir del format fdisk dd mkfs shred shutdown reboot poweroff halt init passwd useradd userdel groupadd usermod
    groupmod chmod chown chgrp umask kill pkill killall nice renice systemctl service iptables ufw apt apt-get yum dnf
    pacman brew npm pip eval exec source sudo su doas nohup
    """.split()  # noqa: SIM905 - read more easily
)
_SHELL = re.compile(r"[><|&;`\n]|\$[({]")
_SECRETS = re.compile(r"\.\.|~/\.(ssh|aws)|/etc/(passwd|shadow)|\.env|id_(rsa|dsa|ecdsa|ed25519)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def _schema(name: str, description: str, **properties: Any) -> Schema:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _time(**_: Any) -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")


def _add(a: Any = 0, b: Any = 0, **_: Any) -> str:
    return str(float(a) + float(b))


def _list(**_: Any) -> str:
    names = sorted(os.listdir("."))
    lines = [f"{name}/" if os.path.isdir(name) else f"{name}  {os.lstat(name).st_size}" for name in names]
    return "\n".join(lines) or "(No files)"


BUILTIN_TOOLS: dict[str, dict[str, Any]] = {
    "get_current_time": {"run": _time, "schema": _schema("get_current_time", "The date and time now.")},
    "add_numbers": {
        "run": _add,
        "schema": _schema("add_numbers", "The sum of two numbers.", a={"type": "number"}, b={"type": "number"}),
    },
    "list_files": {"run": _list, "schema": _schema("list_files", "The files in the working directory.")},
}
"""Tools that can be named in `available_tools`: "schema", and "run" or, for one that a program adds, "command"."""


class Unknown(Exception):
    """A tool was named that there is none of."""


class Toolbox(dict[str, Callable[..., str]]):
    """Functions by the names of tools. A model that calls another one is told that there is none."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Callable[..., str]:
        return lambda **_: f"Error: Unknown tool '{name}'"


def tools_of(
    available: Sequence[str] | None, dynamic: Iterable[Mapping[str, Any]] | None
) -> tuple[list[Schema], Toolbox]:
    """The definitions of the tools that a call allows, and what runs them. Raises `Unknown`."""
    schemas: dict[str, Schema] = {}
    box = Toolbox()
    for name in available or ():
        if name not in BUILTIN_TOOLS:
            raise Unknown(f"Error: Unknown tool '{name}'. Available tools: {list(BUILTIN_TOOLS)}")
        tool = BUILTIN_TOOLS[name]
        schemas[name] = tool["schema"]
        box[name] = _guarded(name, tool["run"]) if "run" in tool else _runner(name, str(tool["command"]))
    for brought in dynamic or ():
        name, command = str(brought["name"]), str(brought["command"])
        schemas[name], box[name] = _definition(name, brought["schema"]), _runner(name, command)
    return list(schemas.values()), box


def _definition(name: str, schema: Mapping[str, Any]) -> Schema:
    """A tool's definition; one that is only the schema of its parameters is completed."""
    if isinstance(schema.get("function"), Mapping):
        return dict(schema)
    about = {"name": name, "description": str(schema.get("description") or name), "parameters": dict(schema)}
    return {"type": "function", "function": about}


def _guarded(name: str, run: Callable[..., str]) -> Callable[..., str]:
    def guarded(**given: Any) -> str:
        try:
            return run(**given)[:MOST_TEXT]
        except Exception as error:
            return f"Error executing {name}: {error}"

    return guarded


def _runner(name: str, command: str) -> Callable[..., str]:
    return lambda **given: execute_cli_tool(name, command, given)


def is_command_safe(command: str) -> tuple[bool, str]:
    """Whether a command may be run, and why not."""
    words = command.split()
    first = Path(words[0]).name.lower() if words else ""
    if first in _REFUSED:
        return False, f"Command '{first}' is not allowed for safety reasons"
    found = _SHELL.search(command) or _SECRETS.search(command)
    if found:
        return False, f"Pattern '{found[0]}' is not allowed in commands"
    return True, "Command appears safe"


def execute_cli_tool(tool_name: str, command: str, arguments: dict[str, Any]) -> str:
    """Run a command, followed by the values of the arguments; what it says, or one line that says what went wrong."""
    words = [value if isinstance(value, str) else _word(value) for value in arguments.values()]
    if any((word.startswith("-") and not _NUMBER.fullmatch(word)) or set(word) & set("'\"$`\\\0") for word in words):
        return "Error: Invalid characters in arguments"
    fine, why = is_command_safe(" ".join([command, *words]))
    if not fine:
        return f"Safety Error: {why}"
    try:
        run = subprocess.run(
            [*shlex.split(command), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            env={**os.environ, "PATH": _PATH},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Error: Tool '{tool_name}' timed out after {TIMEOUT} seconds"
    except (OSError, ValueError, IndexError) as error:
        return f"Error executing {tool_name}: {error}"
    if run.returncode:
        return f"Error: {run.stderr.strip()[:MOST_TEXT] or f'Exit code {run.returncode}'}"
    return run.stdout.strip()[:MOST_TEXT] or "(No output)"


def _word(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else json.dumps(value)


def told_of(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each call of a tool in some messages, with what it gave back."""
    calls: list[tuple[str, str, str]] = []
    results: dict[str, list[str]] = {}
    for message in messages:
        for part in message["parts"]:
            if part["type"] == "tool_call":
                given = part.get("arguments")
                text = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
                calls.append((str(part["id"]), str(part["name"]), text))
            elif part["type"] == "tool_call_response":
                results.setdefault(str(part["id"]), []).append(str(part.get("response")))
    lines = []
    for ident, name, given in calls:
        waiting = results.get(ident)
        lines.append(f"🔧 {name}({given}) → {waiting.pop(0) if waiting else '(no result)'}")
    return lines

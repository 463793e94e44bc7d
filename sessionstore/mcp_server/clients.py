"""The configuration that common clients need to start, or to find, this server. Nothing is written: it is printed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "sessionstore"


@dataclass(frozen=True, slots=True)
class Target:
    """What a client is to use: a command to start, or the address of a running server and a header it asks for."""

    command: Sequence[str] = ()
    url: str = ""
    needs_token: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The header with the token's place."""
        return {"Authorization": "Bearer TOKEN"} if self.needs_token else {}


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its name for people, where its configuration is, and what goes there."""

    title: str
    place: str
    text: Callable[[Target], str]


def _json(outer: str, entry: Callable[[Target], dict[str, Any]]) -> Callable[[Target], str]:
    return lambda target: json.dumps({outer: {NAME: entry(target)}}, indent=2, ensure_ascii=False)


def _entry(kind: bool = False, address: str = "url") -> Callable[[Target], dict[str, Any]]:
    """The entry as most clients want it; `kind` when it says of which type it is."""

    def made(target: Target) -> dict[str, Any]:
        if target.url:
            headers = {"headers": target.headers} if target.headers else {}
            return {**({"type": "http"} if kind else {}), address: target.url, **headers}
        command, *arguments = target.command
        return {**({"type": "stdio"} if kind else {}), "command": command, "args": arguments}

    return made


def _claude_code(target: Target) -> str:
    if target.url:
        header = f" --header {shlex.quote('Authorization: Bearer TOKEN')}" if target.needs_token else ""
        return f"claude mcp add --scope user --transport http {NAME} {target.url}{header}"
    return f"claude mcp add --scope user {NAME} -- {shlex.join(target.command)}"


def _claude_desktop(target: Target) -> str:
    if target.url:
        return "Claude Desktop starts its servers itself; leave --http out."
    return _json("mcpServers", _entry())(target)


def _codex(target: Target) -> str:
    lines = [f"[mcp_servers.{NAME}]"]
    if target.url:
        lines.append(f"url = {_toml(target.url)}")
        if target.needs_token:
            lines.append('bearer_token_env_var = "SESSIONSTORE_TOKEN"')
    else:
        lines.append(f"command = {_toml(target.command[0])}")
        lines.append(f"args = [{', '.join(map(_toml, target.command[1:]))}]")
    return "\n".join(lines)


def _toml(text: str) -> str:
    """A basic string; TOML takes JSON's escapes."""
    return json.dumps(text, ensure_ascii=True)


CLIENTS: dict[str, Client] = {
    "claude-desktop": Client(
        "Claude Desktop",
        "claude_desktop_config.json (Settings, Developer, Edit Config)",
        _claude_desktop,
    ),
    "claude-code": Client("Claude Code", "run this command", _claude_code),
    "cursor": Client("Cursor", "~/.cursor/mcp.json", _json("mcpServers", _entry())),
    "vscode": Client("VS Code", ".vscode/mcp.json, or `MCP: Open User Configuration`", _json("servers", _entry(True))),
    "codex": Client("Codex", "~/.codex/config.toml", _codex),
    "gemini": Client("Gemini CLI", "~/.gemini/settings.json", _json("mcpServers", _entry(address="httpUrl"))),
}
"""The clients by the name that --install takes."""


def told(name: str, target: Target) -> str:
    """What goes into one client's configuration."""
    return CLIENTS[name].text(target)


def all_told(target: Target) -> str:
    """The configuration of every client, each under its name."""
    return "\n\n".join(f"# {client.title}: {client.place}\n\n{client.text(target)}" for client in CLIENTS.values())

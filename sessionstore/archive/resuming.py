"""The commands that go on with a session: in the program it came from, and in any model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

COMMANDS: dict[str, tuple[str, ...]] = {
    "amp": ("amp", "threads", "continue"),
    "claude-code": ("claude", "--resume"),
    "codex": ("codex", "resume"),
    "copilot-cli": ("copilot", "--resume"),
    "cursor-agent": ("cursor-agent", "--resume"),
    "gemini": ("gemini", "--resume"),
    "gemini-cli": ("gemini", "--resume"),
    "llm": ("llm", "--cid"),
    "opencode": ("opencode", "--session"),
    "qwen-code": ("qwen", "--resume"),
}
"""By source, the command that a session's id is put after."""


def command_of(revision: Mapping[str, Any]) -> list[str] | None:
    """The command that goes on with a session, or None when its program is not known to have one."""
    known = COMMANDS.get(str(revision.get("source")))
    return [*known, str(revision["native_id"])] if known and revision.get("native_id") else None


def line_of(revision: Mapping[str, Any]) -> str | None:
    """The same as a line for a shell, in the session's directory; None for the session of a subagent too, which only
    its parent can go on with."""
    command = command_of(revision)
    if command is None or (revision.get("forked_from") or {}).get("relation") == "subagent":
        return None
    where = revision.get("cwd")
    line = shlex.join(command)
    return f"cd {shlex.quote(where)} && {line}" if isinstance(where, str) and where else line


def lines_of(revision: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All ways to go on with a session: where, and the line for a shell."""
    name = shlex.quote(str(revision["key"]))
    own = line_of(revision)
    return [
        *([(str(revision.get("source")), own)] if own else []),
        ("any model", f"sessionstore chat --session {name}"),
        ("llm", f"llm sessions continue {name}"),
    ]

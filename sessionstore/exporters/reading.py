"""What the forms for people have in common: what they say of a session and of each message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessionstore.exporters.content import contents

ROLES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
"""What people call the roles."""


def facts(revision: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, value) of everything worth saying of a session before it begins."""
    yield "Session", str(revision["key"])
    for name, label in (("created_at", "Started"), ("updated_at", "Last message"), ("cwd", "Directory")):
        if revision.get(name):
            yield label, str(revision[name])
    if revision.get("models"):
        yield "Models", ", ".join(revision["models"])
    if "counts" in revision:
        yield "Messages", str(revision["counts"]["messages"])


def told_of(message: dict[str, Any]) -> list[str]:
    """When and by which model a message was said, what kind it is, and which message it answers when that is not the
    one before it."""
    found = [str(message[name]) for name in ("time", "model", "kind") if message.get(name)]
    if "parent" in message:
        found.append(f"answers {message['parent']}" if message["parent"] else "a new beginning")
    return found


def attached(response: Any) -> int:
    """How many images a tool's output has."""
    return sum(part["type"] == "blob" for part in contents(response)) if isinstance(response, list) else 0

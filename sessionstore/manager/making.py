"""Messages as a program gives them, made whole and checked before they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sessionstore import canonical, errors, layout
from sessionstore.journal import now

Message = dict[str, Any]
Content = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""What a message says: a text, a part, or several of them."""
_NO_ID = re.compile(r"[\x00-\x1f\x7f#]|^@|^\s|\s$")
LONGEST = 500


def parts(content: Content) -> list[dict[str, Any]]:
    """The parts of a message."""
    given = [content] if isinstance(content, str | Mapping) else content
    return [{"type": "text", "content": one} if isinstance(one, str) else dict(one) for one in given]


def complete(messages: Iterable[Mapping[str, Any]], *, timed: bool = True) -> list[Message]:
    """Messages with an id (a ULID) and, when `timed`, a time (the present, UTC) where they have none, cleaned and
    checked. A message that has `content` instead of `parts` is a text. Raises `UsageError`."""
    found = []
    for number, given in enumerate(messages, 1):
        message = {name: value for name, value in given.items() if value is not None or name == "parent"}
        if "parts" not in message and "content" in message:
            message["parts"] = parts(message.pop("content"))
        message.setdefault("id", layout.ulid())
        if timed:
            message.setdefault("time", now())
        cleaned: Message = canonical.clean(message)
        check(cleaned, f"message {number}")
        found.append(cleaned)
    return found


def check(message: Message, what: str) -> None:
    """Raise `UsageError` when a message has not the unified shape."""
    from pydantic import ValidationError

    from sessionstore.models import Message as Model

    try:
        Model.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise errors.UsageError(reason=f"{what} is not valid: {place or 'it'}: {first['msg'].lower()}") from None


def session_key(session_id: str | None) -> str:
    """The key of a session of this store's own; a new ULID without an id. Raises `UsageError` for what cannot be one:
    the beginning @ and the character # mean something else on the command line."""
    native = layout.ulid() if session_id is None else canonical.clean_text(session_id).removeprefix("native:")
    if not native or len(native) > LONGEST or _NO_ID.search(native):
        raise errors.UsageError(
            reason=f"{session_id!r} cannot be a session's id: 1 to {LONGEST} characters, no # or control characters,"
            " no space at either end, no @ at its beginning"
        )
    return f"native:{native}"


def tool_call(call_id: str | None, name: str, arguments: Any) -> dict[str, Any]:
    """A part that asks for a tool."""
    return {"type": "tool_call", "id": call_id or f"call_{layout.ulid()}", "name": name, "arguments": arguments}


def tool_result(call_id: str, response: Any, is_error: bool) -> dict[str, Any]:
    """A part that answers a call."""
    part = {"type": "tool_call_response", "id": call_id, "response": response}
    return {**part, "is_error": True} if is_error else part


def settings(revision: Mapping[str, Any]) -> dict[str, Any]:
    """What the manager itself keeps in a session's fields: model, provider, metadata, agents, summaries."""
    kept = (revision.get("x") or {}).get("manager")
    return kept if isinstance(kept, dict) else {}


def with_settings(revision: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The field `x` of a session with some of that changed; None takes one away."""
    kept = {**settings(revision), **changes}
    kept = {name: value for name, value in kept.items() if value not in (None, {}, [])}
    return {**(revision.get("x") or {}), "manager": kept}

"""Going on with another model: allowed, asked for, warned about, recorded.

Four guards: it happens only with consent; what the new model cannot take is said before; the switch is kept in the
session's fields and in a message of its own; and that message tells the new model what happened. What is stored of the
conversation does not change, so going back and forth loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore import canonical, errors
from sessionstore.exporters.content import maker_of
from sessionstore.journal import now
from sessionstore.manager import lifecycle, making, tokens
from sessionstore.manager.capabilities import Capabilities, capabilities_of

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager
    from sessionstore.manager.session import Session

Message = dict[str, Any]
Consent = bool | Callable[[list[str]], bool]
"""True, or what asks a person: it is given the warnings and says yes or no."""


class Switch(NamedTuple):
    """What a switch did. `message` is the id of the message that records it, None when there was nothing to do."""

    old: str | None
    new: str
    warnings: list[str]
    message: str | None


def switch(
    manager: SessionManager,
    session: Session,
    model: str,
    reason: str | None,
    consent: Consent,
    provider: str | None,
) -> Switch:
    """Let `model` answer from now on. Raises `NoConsent`, `UsageError`."""
    if not model.strip():
        raise errors.UsageError(reason="name the model to switch to")
    old = session.model
    if old == model and provider in (None, session.provider):
        return Switch(old, model, [], None)
    able = capabilities_of(model)
    warnings = compatibility(session, model, able)
    agreed = consent(warnings) if callable(consent) else consent
    if agreed is not True:
        listed = "".join(f"; {warning}" for warning in warnings)
        raise errors.NoConsent(key=session.key, model=model, warnings=listed)
    facts = {"from": old, "to": model, "reason": reason, "warnings": warnings, "provider": provider or able.provider}
    facts |= {"consent": "asked" if callable(consent) else "given"}
    record = _message(facts)
    with manager.held(session.key):
        live = manager.live(session.key)
        head = live.head()
        lifecycle.check_open(lifecycle.state_of(head, live.notes()), session.key)
        chosen = making.with_settings(head, model=model, provider=provider or able.provider or None)
        live.extend(making.complete([record]), canonical.clean({"x": chosen}))
        message = str(live.head()["counts"]["messages"] - 1)
    manager.changed(session.key)
    return Switch(old, model, warnings, session.messages(int(message))[0]["id"])


def _message(facts: dict[str, Any]) -> Message:
    said = f"The model was switched from {facts['from'] or 'none'} to {facts['to']}."
    if facts["reason"]:
        said += f" Reason: {facts['reason']}"
    kept = {name: value for name, value in facts.items() if value not in (None, "", [])}
    parts = [{"type": "text", "content": said}]
    return {"role": "system", "kind": "switch", "parts": parts, "time": now(), "x": {"switch": kept}}


def compatibility(session: Session, model: str, able: Capabilities | None = None) -> list[str]:
    """What of a session another model cannot take, in plain sentences."""
    able = able or capabilities_of(model)
    path = session.history()
    found = [] if able.known else [f"nothing is known about {model}, so it is treated as a model of text and tools"]
    size = tokens.of_context(path).tokens
    if able.context and size > able.context - able.output // 4:
        found.append(f"the conversation has about {size} tokens and {model} takes {able.context}: it sees the end only")
    found += _of_parts(path, model, able, bool(session.tools))
    if not able.system and any(message["role"] == "system" for message in path):
        found.append(f"{model} knows no system role: instructions are told as the user's")
    chosen = session.metadata.get("parameters")
    unknown = sorted(set(chosen) - able.parameters) if able.known and isinstance(chosen, dict) else []
    if unknown:
        found.append(f"{model} does not know the parameters {', '.join(unknown)}")
    waiting = session.pending()
    if waiting and waiting["calls"]:
        found.append(f"{len(waiting['calls'])} tool calls have no result yet: {model} is told that they failed")
    return found


def _of_parts(path: list[Message], model: str, able: Capabilities, has_tools: bool) -> list[str]:
    counted = {"blob": 0, "uri": 0, "tool_call": 0}
    foreign = 0
    for message in path:
        maker = maker_of(message, {})
        for part in message["parts"]:
            kind = part.get("type")
            if kind in ("blob", "uri"):
                counted[kind] += part.get("modality") in (None, "image")
            elif kind in counted:
                counted[kind] += 1
            foreign += kind == "reasoning" and bool(part.get("signature")) and maker not in ("", able.provider)
    images, calls = counted["blob"] + counted["uri"], counted["tool_call"]
    found = []
    if images and not able.images:
        found.append(f"{model} cannot see images: {images} are left out")
    if (calls or has_tools) and not able.tools:
        found.append(f"{model} cannot use tools: {calls} calls are told as text")
    if foreign:
        found.append(f"{foreign} signed pieces of reasoning are another maker's: {model} does not see them")
    return found


def switches(session: Session) -> list[dict[str, Any]]:
    """All switches of a session, in order: {"from", "to", "reason", "warnings", "consent", "time", "message"}."""
    return [
        {**message["x"]["switch"], "time": message.get("time"), "message": message["id"]}
        for message in session.messages()
        if message.get("kind") == "switch" and isinstance((message.get("x") or {}).get("switch"), dict)
    ]

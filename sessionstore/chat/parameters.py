"""Wishes that hold for a whole session. They are in its metadata under `parameters`: temperature, top_p, max_tokens,
stop and safety_settings. Safety settings that a question brings are kept there for the next ones; the others are a
program's to set. What the model does not know is not sent to it."""

from __future__ import annotations

from typing import Any

from sessionstore.chat.sessions import Session
from sessionstore.manager.capabilities import capabilities_of

NAME = "parameters"
SAFETY = "safety_settings"
_OPTIONS = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "stop": "stop"}
_OPTIONS[SAFETY] = "safety"
"""The name of a parameter -> the field of `Ask` it is."""


def kept(session: Session) -> dict[str, Any]:
    """The parameters of a session, by name."""
    found = session.metadata.get(NAME)
    return dict(found) if isinstance(found, dict) else {}


def remember(session: Session, options: dict[str, Any]) -> None:
    """Keep the safety settings of a question."""
    if "safety" in options:
        before, wanted = kept(session), [dict(one) for one in options["safety"] or ()]
        if before.get(SAFETY, []) != wanted:
            session.set_metadata(**{NAME: {**before, SAFETY: wanted}})


def with_kept(session: Session, model: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a question with what holds for the session; what the question says itself wins."""
    able = capabilities_of(model)
    known = {name: value for name, value in kept(session).items() if name in _OPTIONS and name in able.parameters}
    return {**{_OPTIONS[name]: value for name, value in known.items() if value is not None}, **options}

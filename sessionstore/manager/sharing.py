"""Several agents in one session, each with its own view of it.

To an agent its own answers are the assistant's; what other agents say is told as a user's, under their name. A message
may be meant for some agents only. What an agent may do and see is kept in the session's fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, errors
from sessionstore.journal import now
from sessionstore.manager import making
from sessionstore.manager.view import fitted

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager
    from sessionstore.manager.session import Session

Message = dict[str, Any]
ACCESS = ("read", "write")


class Agent:
    """One agent's side of a session. `access` is "read" or "write"; `since` is the id of the first message it sees;
    with `tools` it sees what other agents did with their tools; `roles` are those of the messages it sees."""

    def __init__(
        self,
        session: Session,
        name: str,
        *,
        access: str = "write",
        since: str | None = None,
        tools: bool = False,
        roles: Iterable[str] | None = None,
    ) -> None:
        if access not in ACCESS:
            raise errors.UsageError(reason=f"an agent may {' or '.join(ACCESS)}, not {access!r}")
        self.session, self.name, self.access, self.since, self.tools = session, name, access, since, tools
        self.roles = sorted(roles) if roles is not None else None

    def options(self) -> dict[str, Any]:
        """What is kept of it."""
        found = {"access": self.access, "since": self.since, "tools": self.tools, "roles": self.roles}
        return {name: value for name, value in found.items() if value not in (None, False)}

    def messages(self, for_model: str | None = None) -> list[Message]:
        """The conversation as the agent sees it."""
        seen = self.since is None
        found: list[Message] = []
        for message in self.session.history():
            seen = seen or message["id"] == self.since
            if (seen or message["role"] == "system") and (shown := self._shown(message)) is not None:
                found.append(shown)
        return found if for_model is None else fitted(found, for_model)

    def _shown(self, message: Message) -> Message | None:
        told = message.get("x") or {}
        speaker, meant_for = told.get("agent"), told.get("visible_to")
        if speaker == self.name:
            return message
        if isinstance(meant_for, list) and self.name not in meant_for:
            return None
        if self.roles is not None and message["role"] not in self.roles:
            return None
        if not isinstance(speaker, str) or message["role"] not in ("assistant", "tool"):
            return message
        if message["role"] == "tool" and not self.tools:
            return None
        parts = [part for part in map(self._told, message["parts"]) if part is not None]
        if not parts:
            return None
        return {**message, "role": "user", "parts": [{"type": "text", "content": f"[{speaker}]"}, *parts]}

    def _told(self, part: dict[str, Any]) -> dict[str, Any] | None:
        from sessionstore.exporters.text import arguments_text, response_text

        kind = part.get("type")
        if kind == "tool_call":
            text = f"(uses {part.get('name')}: {arguments_text(part.get('arguments'))})"
            return {"type": "text", "content": text} if self.tools else None
        if kind == "tool_call_response":
            return {"type": "text", "content": f"(result: {response_text(part.get('response'))})"}
        return None if kind == "reasoning" else part

    def append(
        self, messages: Mapping[str, Any] | Iterable[Mapping[str, Any]], *, visible_to: Iterable[str] | None = None
    ) -> list[str]:
        """Add what the agent says, durable when this returns the ids. `visible_to` are the agents it is meant for.
        Raises `UsageError` for an agent that may only read."""
        if self.access != "write":
            raise errors.UsageError(reason=f"the agent {self.name} may only read {self.session.key}")
        given = [messages] if isinstance(messages, Mapping) else list(messages)
        mark: dict[str, Any] = {"agent": self.name}
        if visible_to is not None:
            mark["visible_to"] = sorted(visible_to)
        return self.session.append([{**one, "x": {**(one.get("x") or {}), **mark}} for one in given])


def share(manager: SessionManager, session: Session, name: str, options: Mapping[str, Any]) -> Agent:
    """Let an agent take part, or change what it may. Raises `UsageError`."""
    if not name.strip():
        raise errors.UsageError(reason="name the agent")
    agent = Agent(session, name, **options)
    with manager.held(session.key):
        live = manager.live(session.key)
        agents = {**(making.settings(live.head()).get("agents") or {}), name: agent.options()}
        fields = {"x": making.with_settings(live.head(), agents=agents), "updated_at": now()}
        live.extend((), canonical.clean(fields))
    manager.changed(session.key)
    return agent


def agent_of(manager: SessionManager, session: Session, name: str) -> Agent:
    """The side of an agent that takes part. Raises `NotFound`."""
    agents = making.settings(session.revision).get("agents") or {}
    if name not in agents:
        raise errors.NotFound(name=f"{session.key} agent {name}")
    return Agent(session, name, **agents[name])

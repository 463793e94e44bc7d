"""A live session as a program holds it. It is a handle: every look at it says what the store says now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sessionstore.exporters.report import Report
from sessionstore.exporters.view import LEFT_OUT, chosen
from sessionstore.manager import making
from sessionstore.manager.lines import Messages
from sessionstore.store import Revision

if TYPE_CHECKING:
    from sessionstore.manager.context import Context
    from sessionstore.manager.core import SessionManager
    from sessionstore.manager.switching import Consent, Switch

Message = dict[str, Any]


class Session:
    """One session of a manager: cheap to make, safe to share between threads. `key` names it for good."""

    def __init__(self, manager: SessionManager, key: str) -> None:
        self.manager, self.key = manager, key

    def __repr__(self) -> str:
        return f"<Session {self.key}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and (self.key, self.manager.store.root) == (
            other.key,
            other.manager.store.root,
        )

    def __hash__(self) -> int:
        return hash(self.key)

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> Revision:
        """The head as it is stored; not to be changed. Raises `NotFound` when the session is gone."""
        return self.manager.live(self.key).head()

    @property
    def id(self) -> str:
        """The id without its source."""
        return str(self.revision["native_id"])

    @property
    def model(self) -> str | None:
        """The model that is to answer next: the one last chosen, else the one that answered last."""
        revision = self.revision
        model = making.settings(revision).get("model") or (revision.get("models") or [None])[-1]
        return str(model) if model else None

    @property
    def provider(self) -> str | None:
        """The provider that was last chosen."""
        return making.settings(self.revision).get("provider")

    @property
    def metadata(self) -> dict[str, Any]:
        """What the program keeps about the session, a copy."""
        return dict(making.settings(self.revision).get("metadata") or {})

    @property
    def title(self) -> str | None:
        """The title: the user's, else the program's."""
        title = self.manager.live(self.key).notes().get("title") or self.revision.get("title")
        return str(title) if title else None

    @property
    def tags(self) -> list[str]:
        """The session's tags."""
        return list(self.manager.live(self.key).notes().get("tags") or ())

    @property
    def tools(self) -> list[Any]:
        """The definitions of the tools the model may use."""
        return list(self.revision.get("tools") or ())

    @property
    def state(self) -> str:
        """created, active, paused, completed, archived, retrieved or expired."""
        return self.manager.state(self)

    @property
    def count(self) -> int:
        """How many messages it has."""
        return int(self.revision["counts"]["messages"])

    # -- reading ---------------------------------------------------------------------------------------------------

    def messages(self, start: int = 0) -> Messages:
        """All stored messages from ordinal `start` (0-based) on, as a sequence that reads what is looked at."""
        return Messages(self.manager.pages, self.revision, start)

    def history(self, for_model: str | None = None) -> list[Message]:
        """The messages of the active path, in order. With `for_model` as that model can take them: calls without a
        result closed, ids it accepts, nothing it cannot read. What is stored never changes by that."""
        found = self.messages()
        revision = self.revision
        path = list(found) if found.straight else list(chosen(revision, lambda: found, Report()))
        if for_model is None:
            return path
        from sessionstore.manager.view import fitted

        return fitted(path, for_model)

    def pending(self) -> dict[str, Any] | None:
        """What still waits for an answer: {"message", "role", "time", "calls"}, or None. `role` is "user" for a
        question and "tool" for results the model has not seen; "assistant" when `calls` (their ids) wait for one."""
        answered: set[str] = set()
        last: Message | None = None
        order = self.messages() if self.revision.get("active_leaf") is None else self.history()
        for message in reversed(order):
            if message.get("kind") in LEFT_OUT | {"switch", "error", "compaction", "context"}:
                continue
            if message["role"] == "tool":
                answered |= {str(one["id"]) for one in _parts(message, "tool_call_response")}
                last = last or message
            elif message["role"] == "assistant":
                waiting = [one["id"] for one in _parts(message, "tool_call") if one["id"] not in answered]
                return _waiting(message, waiting) if waiting else last and _waiting(last, [])
            elif message["role"] == "user":
                return _waiting(last or message, [])
        return None

    def context(self, /, **options: Any) -> Context:
        """The session as a model's context: tokens, segments, the view that fits. Options are those of `Context`."""
        from sessionstore.manager.context import Context

        return Context(self, **options)

    def stats(self) -> dict[str, Any]:
        """Counts, tokens, cost, tools, segments and figures of each model."""
        return self.manager.get_stats(self)

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, messages: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[str]:
        """Add one or several messages at once, all or none; durable when this returns their ids."""
        return self.manager.append(self, messages)

    def add_user(self, /, content: making.Content, **fields: Any) -> str:
        """Add what a person says; returns the message's id."""
        return self._add("user", making.parts(content), fields)

    def add_system(self, /, content: making.Content, **fields: Any) -> str:
        """Add an instruction; returns the message's id."""
        return self._add("system", making.parts(content), fields)

    def add_assistant(
        self,
        /,
        content: making.Content = (),
        *,
        model: str | None = None,
        usage: Mapping[str, Any] | None = None,
        finish_reason: str | None = None,
        tool_calls: Iterable[Mapping[str, Any]] = (),
        **fields: Any,
    ) -> str:
        """Add what a model answers; returns the message's id. `tool_calls` are {"id", "name", "arguments"}. Without
        `model` it is the session's."""
        calls = [making.tool_call(call.get("id"), call["name"], call.get("arguments", {})) for call in tool_calls]
        given = {"model": model or self.model, "usage": dict(usage) if usage else None, "finish_reason": finish_reason}
        return self._add("assistant", making.parts(content) + calls, {**given, **fields})

    def add_tool_call(self, /, name: str, arguments: Any = None, *, call_id: str | None = None, **fields: Any) -> str:
        """Add a model's wish to use a tool; returns the call's id."""
        part = making.tool_call(call_id, name, {} if arguments is None else arguments)
        self._add("assistant", [part], {"model": self.model, **fields})
        return str(part["id"])

    def add_tool_result(self, /, call_id: str, response: Any, is_error: bool = False, **fields: Any) -> str:
        """Add what a tool gave back; returns the message's id."""
        return self._add("tool", [making.tool_result(call_id, response, is_error)], fields)

    def _add(self, role: str, parts: list[dict[str, Any]], fields: Mapping[str, Any]) -> str:
        return self.append({"role": role, "parts": parts, **fields})[0]

    def edit(self, /, message: str | int, content: making.Content | None = None, **fields: Any) -> None:
        """Change a message; how it was stays in the session's history."""
        self.manager.edit(self, message, content, **fields)

    def delete_message(self, message: str | int) -> None:
        """Take a message out; how it was stays in the session's history."""
        self.manager.delete_message(self, message)

    def branch(self, /, at: str | int | None = None, session_id: str | None = None, **fields: Any) -> Session:
        """A new session that begins with this one's messages up to and with `at`."""
        return self.manager.branch(self, at, session_id, **fields)

    def switch_model(
        self, new_model: str, reason: str | None = None, *, consent: Consent = False, provider: str | None = None
    ) -> Switch:
        """Let another model answer from now on."""
        return self.manager.switch_model(self, new_model, reason, consent=consent, provider=provider)

    def set_metadata(self, /, **changes: Any) -> dict[str, Any]:
        """Change what the program keeps about the session; None takes a name away. Returns all of it."""
        return self.manager.set_metadata(self, changes)

    def set_state(self, state: str) -> None:
        """Move on in the session's life."""
        self.manager.set_state(self, state)


def _parts(message: Message, kind: str) -> list[dict[str, Any]]:
    return [part for part in message["parts"] if part.get("type") == kind]


def _waiting(message: Message, calls: list[str]) -> dict[str, Any]:
    return {"message": message["id"], "role": message["role"], "time": message.get("time"), "calls": calls}

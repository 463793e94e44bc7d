"""Branches: a session that begins as another, two put together, and what differs between them.

A branch shares every full page of the common beginning with where it came from, so it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, errors, layout
from sessionstore.exporters.report import Report
from sessionstore.exporters.view import chosen
from sessionstore.journal import now
from sessionstore.manager import lifecycle, making
from sessionstore.manager.editing import position_of
from sessionstore.manager.live import common
from sessionstore.store import Revision

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager
    from sessionstore.manager.session import Session

Message = dict[str, Any]
_TAKEN_OVER = ("title", "cwd", "project", "git", "system", "tools", "x")
ORDERS = ("append", "time")


def branch(
    manager: SessionManager,
    session: Session,
    at: str | int | None,
    session_id: str | None,
    fields: Mapping[str, Any],
) -> Session:
    """A new session with the messages up to and with `at`; in a session that branches inside, those on the way
    there."""
    head = session.revision
    messages = list(manager.store.messages(head))
    if at is not None or head.get("active_leaf") is not None:
        leaf = messages[position_of(messages, at, session.key)]["id"] if at is not None else head["active_leaf"]
        messages = _up_to(manager, head, messages, leaf)
    fork = {"key": session.key, "relation": "fork"}
    if messages:
        fork["message"] = messages[-1]["id"]
    given = {name: head[name] for name in _TAKEN_OVER if name in head}
    later = next((one for one in manager.store.messages(head, len(messages)) if one.get("kind") == "switch"), None)
    if later is not None and at is not None:
        before = ((later.get("x") or {}).get("switch") or {}).get("from")
        given["x"] = making.with_settings(head, model=before, provider=None)
    return manager.make(making.session_key(session_id), messages, {**given, "forked_from": fork, **fields})


def _up_to(manager: SessionManager, head: Revision, messages: list[Message], leaf: str) -> list[Message]:
    position = position_of(messages, leaf, head["key"])
    before = messages[: position + 1]
    if all("parent" not in message for message in before):
        return before
    return list(chosen({**head, "active_leaf": leaf}, lambda: before, Report(), kinds=("prefill", "meta")))


def merge(manager: SessionManager, session: Session, other: Session | None, order: str) -> Session:
    """Put `other`'s messages after the common beginning into `session`, behind its own or by time. What is taken over
    says where it is from. With `other` None the heads of the session itself become one."""
    if order not in ORDERS:
        raise errors.UsageError(reason=f"messages are merged in the order {' or '.join(ORDERS)}, not {order!r}")
    if other is None:
        _join_heads(manager, session, order)
        return session
    if other.key == session.key:
        raise errors.UsageError(reason=f"{session.key} cannot be merged with itself; name another session")
    with manager.held(session.key, other.key):
        live = manager.live(session.key)
        head, theirs = live.head(), other.revision
        lifecycle.check_open(lifecycle.state_of(head, live.notes()), session.key)
        shared = common(manager.store, head, theirs)
        taken = [_marked(message, other.key) for message in manager.store.messages(theirs, shared)]
        mine = list(manager.store.messages(head, shared))
        held = {canonical.line(_origin(message)) for message in mine}
        taken = [message for message in taken if canonical.line(_origin(message)) not in held]
        if order == "append":
            known = {message["id"] for message in manager.store.messages(head)}
            live.extend(_renamed(taken, known))
        elif taken:
            merged = _by_time(mine, taken)
            beginning = list(manager.store.messages(head))[:shared]
            known = {message["id"] for message in beginning}
            live.replace(lambda _: [*beginning, *_renamed(merged, known)], {"updated_at": now()})
    manager.changed(session.key)
    return session


def _join_heads(manager: SessionManager, session: Session, order: str) -> None:
    with manager.held(session.key):
        live = manager.live(session.key)
        first, *others = manager.store.heads(session.key)
        if not others:
            return
        messages = list(manager.store.messages(first))
        for head in others:
            shared = common(manager.store, first, head)
            held = {canonical.line(message) for message in messages[shared:]}
            taken = [one for one in manager.store.messages(head, shared) if canonical.line(one) not in held]
            tail = messages[shared:]
            messages[shared:] = _by_time(tail, taken) if order == "time" else [*tail, *taken]
        parents = [layout.split_name(head["_name"])[1] for head in others]
        live.replace(lambda _: _renamed(messages, set()), {"updated_at": now()}, parents)
    manager.changed(session.key)


def _marked(message: Message, key: str) -> Message:
    origin = {"key": key, "message": message["id"]}
    kept = {name: value for name, value in message.items() if name != "parent"}
    return {**kept, "x": {**(message.get("x") or {}), "merged_from": origin}}


def _origin(message: Message) -> Any:
    """Where a merged message is from, else its whole content: what must not be taken over twice."""
    return (message.get("x") or {}).get("merged_from") or message


def _by_time(mine: list[Message], theirs: list[Message]) -> list[Message]:
    """Both in one row by time; a message without a time stays behind the one before it."""
    ranked: list[tuple[str, int, int, Message]] = []
    for side, messages in enumerate((mine, theirs)):
        latest = ""
        for number, message in enumerate(messages):
            latest = max(latest, message.get("time") or "")
            ranked.append((latest, side, number, message))
    return [message for *_, message in sorted(ranked, key=lambda one: one[:3])]


def _renamed(messages: Iterable[Message], known: set[str]) -> list[Message]:
    """The messages, each with an id that is not known yet."""
    found = []
    for message in messages:
        if message["id"] in known:
            message = {**message, "id": layout.ulid()}
        known.add(message["id"])
        found.append(message)
    return found


def compare(manager: SessionManager, one: Session, other: Session) -> dict[str, Any]:
    """{"common": how many messages both begin with, "only": the ids each has beyond, "fields": name to both values,
    "same", "forked_from"}"""
    mine, theirs = one.revision, other.revision
    shared = common(manager.store, mine, theirs)
    only = [[message["id"] for message in manager.store.messages(head, shared)] for head in (mine, theirs)]
    names = ("title", "cwd", "project", "models", "tools", "usage", "created_at", "updated_at")
    fields = {name: [mine.get(name), theirs.get(name)] for name in names if mine.get(name) != theirs.get(name)}
    return {
        "sessions": [one.key, other.key],
        "common": shared,
        "only": only,
        "same": not any(only),
        "fields": fields,
        "forked_from": [mine.get("forked_from"), theirs.get("forked_from")],
    }

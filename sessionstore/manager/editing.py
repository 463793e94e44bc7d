"""Changing and taking out messages. The revision before stays in the store as history (`log`, `show KEY@REV`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, errors
from sessionstore.journal import now
from sessionstore.manager import lifecycle, making
from sessionstore.store import Revision

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

Message = dict[str, Any]


def position_of(messages: list[Message], wanted: str | int, key: str) -> int:
    """The ordinal (0-based) of a message given by id or ordinal; of several with that id the last. Raises
    `NotFound`."""
    if isinstance(wanted, int):
        position = wanted + len(messages) if wanted < 0 else wanted
        if 0 <= position < len(messages):
            return position
    else:
        for position in range(len(messages) - 1, -1, -1):
            if messages[position]["id"] == wanted:
                return position
    raise errors.NotFound(name=f"{key}#{wanted}")


def edit(
    manager: SessionManager,
    key: str,
    message: str | int,
    content: making.Content | None,
    fields: Mapping[str, Any],
) -> None:
    """Change a message: what it says, or other fields of it; a field that is None goes."""

    def change(head: Revision) -> list[Message]:
        found = list(manager.store.messages(head))
        position = position_of(found, message, key)
        edited = {**found[position], **fields}
        if content is not None:
            edited["parts"] = making.parts(content)
        edited["x"] = {**(edited.get("x") or {}), "edited_at": now()}
        edited = {name: value for name, value in edited.items() if value is not None or name == "parent"}
        found[position] = canonical.clean(edited)
        making.check(found[position], f"message {position + 1}")
        return found

    _replace(manager, key, change)


def delete(manager: SessionManager, key: str, message: str | int) -> None:
    """Take a message out; those that followed it follow the one before it."""

    def change(head: Revision) -> list[Message]:
        found = list(manager.store.messages(head))
        gone = found.pop(position_of(found, message, key))
        return [_followed(one, gone) for one in found]

    _replace(manager, key, change)


def _followed(message: Message, gone: Message) -> Message:
    if message.get("parent") != gone["id"]:
        return message
    kept = {name: value for name, value in message.items() if name != "parent"}
    return {**kept, "parent": gone["parent"]} if "parent" in gone else kept


def _replace(manager: SessionManager, key: str, change: Any) -> None:
    with manager.held(key):
        live = manager.live(key)
        lifecycle.check_open(lifecycle.state_of(live.head(), live.notes()), key)
        leaf = live.head().get("active_leaf")
        messages = change(live.head())
        lost = leaf is not None and all(message["id"] != leaf for message in messages)
        fields: dict[str, Any] = {"updated_at": now()}
        live.replace(lambda _: messages, {**fields, "active_leaf": None} if lost else fields)
    manager.changed(key)

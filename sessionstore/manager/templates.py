"""Templates: what sessions are made from. A template is a session of the source `template`, archived so that lists
leave it out; so it is backed up, verified and kept in all its versions like everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sessionstore import canonical, errors, fsio, layout
from sessionstore.journal import now
from sessionstore.manager import making

if TYPE_CHECKING:
    from sessionstore.manager.core import SessionManager

Message = dict[str, Any]
KEPT = ("model", "provider", "system", "tools", "title", "cwd", "project", "metadata")


def _key(name: str) -> str:
    return making.session_key(name).replace("native:", "template:", 1)


def save(manager: SessionManager, name: str, messages: list[Message], given: Mapping[str, Any]) -> None:
    """Keep a template, in the place of one of that name, which stays as history. Raises `UsageError`."""
    if unknown := set(given) - set(KEPT):
        raise errors.UsageError(reason=f"a template has no {sorted(unknown)[0]}, only {', '.join(KEPT)} and messages")
    key = _key(name)
    fields = canonical.clean({"title": name, "x": {"template": dict(given)}, "updated_at": now()})
    with manager.held(key):
        live = manager.live(key)
        if manager.store.heads(key):
            live.replace(lambda _: messages, fields)
        else:
            live.begin(messages, {**fields, "created_at": fields["updated_at"]})
            live.say("archived", True)
    manager.changed(key)


def read(manager: SessionManager, name: str) -> dict[str, Any]:
    """What a template says, with its "messages". Raises `NotFound`."""
    head = manager.live(_key(name)).head()
    return {**(head.get("x") or {}).get("template", {}), "messages": list(manager.store.messages(head))}


def all_of(manager: SessionManager) -> dict[str, dict[str, Any]]:
    """All templates, by name."""
    names = set()
    for path in fsio.walk(f"{manager.store.root}/sessions", 1):
        if layout.is_document_name(path) and path[3:].startswith("template-"):
            try:
                names.add(manager.store.load_revision(path)["key"])
            except (errors.NotFound, errors.DamageError, errors.FormatTooNew):
                continue
    plain = sorted(key.partition(":")[2] for key in names if key.startswith("template:"))
    return {name: read(manager, name) for name in plain}


def filled(manager: SessionManager, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `create` was given, with the rest from a template; metadata of both together."""
    kept = read(manager, name)
    found = {**kept, **{field: value for field, value in given.items() if value is not None}}
    found["metadata"] = {**(kept.get("metadata") or {}), **(given.get("metadata") or {})}
    return found


def beginning(given: Mapping[str, Any]) -> list[Message]:
    """The first messages of a new session: its instructions and what a template begins with, under new ids."""
    first = [{"role": "system", "content": given["system"]}] if given.get("system") else []
    rest = [{**message, "id": layout.ulid(), "time": now()} for message in given.get("messages") or ()]
    return making.complete([*first, *rest])

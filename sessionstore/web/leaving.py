"""What is asked before a session is given away as a file: whether the secrets in it are to be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sessionstore.exporters.report import Report
from sessionstore.exporters.view import chosen
from sessionstore.secrets.check import Check, check

if TYPE_CHECKING:
    from sessionstore.store import Store

Message = dict[str, Any]
_SHOWN = 50


def found(store: Store, revision: Message, whole: bool) -> Check:
    """The secrets in what an export gives of a session: all of it, or the conversation."""

    def given(revision: Message) -> Iterable[Message]:
        return store.messages(revision) if whole else chosen(revision, lambda: store.messages(revision), Report())

    return check(store, [revision], given)


def without(
    secrets: Check, revision: Message, read: Callable[[Message], Iterable[Message]]
) -> tuple[Message, Callable[[Message], Iterable[Message]]]:
    """The revision, and what gives its messages, with the secrets replaced."""
    redactor = secrets.redactor()

    def messages(revision: Message) -> Iterable[Message]:
        return (redactor.message(revision["key"], message) for message in read(revision))

    return redactor.revision(revision), messages


def context(secrets: Check, address: str, form: str) -> dict[str, Any]:
    """What the page says that asks."""
    listed = [
        {"told": one, "address": f"{address}?message={quote(one.message)}" if one.message else address}
        for one in secrets.findings[:_SHOWN]
    ]
    return {"secrets": secrets, "listed": listed, "address": address, "file": f"{address}/export/{form}"}

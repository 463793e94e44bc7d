"""Open Assistant: the conversation trees of its data sets.

Where: wherever somebody has put them, so no place is looked at unless it is named. Lines, one array, or one object.

How it is recognised: messages with `message_id`, `text` and the role `prompter` or `assistant`, or trees of them
(`message_tree_id`, `prompt`).

What the records are and how they map: a record is a line or an element: a tree, a message with all `replies` below it,
or, in the flat form, a single message. A tree is a session, named by `message_tree_id` or its first message; its
messages come parents first, with their own ids and parents. `prompter` is the user. All branches are kept; where the
answers are ranked, the path of the best ones is the active one. Language, rank, labels, reviews and all other fields
that say anything stay in `x`.

What it loses: times, in most sets; the models of answers that people have not written, in some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore.importers.agent_lines import Record, below, entitle, said, take_time, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.beginnings import beginning, kind_of
from sessionstore.importers.exports import Ids, meta
from sessionstore.importers.parsing import Unparsable

_ROLES = {"prompter": "user", "assistant": "assistant"}
_MARKS = (b'"message_id"', b'"text"', b'"role"')


class Oasst(Importer):
    """Reader of Open Assistant's trees and messages."""

    source: ClassVar[str] = "oasst"
    title: ClassVar[str] = "Open Assistant"
    versions: ClassVar[str] = "flat messages and trees"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: read where it is named."""
        return ()

    def recognise(self, head: Head) -> bool:
        """Trees, or messages of one."""
        if b'"prompter"' not in head.data:
            return False
        _, values = beginning(head, _MARKS)
        return bool(values) and sum(_top(value) is not None for value in values) * 4 >= len(values) * 3

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of all trees. Raises `Unparsable` when the one document is none."""
        trees = _Trees(source)
        kind = kind_of(source)
        if kind == "document":
            document = source.document()
            if _top(document) is None:
                raise Unparsable("no messages of a tree")
            source.account.records += 1
            values: Iterable[Any] = [document]
        else:
            values = source.records() if kind == "lines" else source.elements()
        for value in values:
            top = _top(value)
            if top is None:
                source.reject("neither a tree nor a message of one")
                continue
            source.mapped()
            yield from trees.take(value, top)
        trees.finish()


def _top(value: Any) -> Record | None:
    """The uppermost message of a record; None when it is none."""
    if not isinstance(value, dict):
        return None
    top = value.get("prompt") if "message_tree_id" in value and "prompt" in value else value
    return top if isinstance(top, dict) and _is_message(top) else None


def _is_message(value: Record) -> bool:
    return (
        isinstance(value.get("message_id"), str)
        and value["message_id"] != ""
        and isinstance(value.get("text"), str)
        and isinstance(value.get("role"), str)
        and value["role"] in _ROLES
    )


class _Tree:
    """A session, the ids of its messages, and the best ranked reply below each."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.ids = Ids()
        self.names: set[str] = set()
        self.before: str | None = None
        self.best: dict[str | None, tuple[float, str]] = {}


class _Trees:
    """Makes sessions of trees, whole ones and those whose messages come one by one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ids = Ids()
        self._flat: dict[str, _Tree] = {}
        """the trees whose messages come one by one; another message of one may come at any time"""

    def take(self, value: Record, top: Record) -> Iterator[tuple[Draft, Message]]:
        """The messages of one record."""
        own = value.get("message_tree_id")
        name = own if isinstance(own, str) and own.strip() else top["message_id"]
        if value is top and isinstance(own, str) and own.strip() and "replies" not in value:
            tree = self._flat.get(name)
            if tree is None:
                tree = self._flat[name] = _Tree(self._source.draft(self._ids.take(name)))
        else:
            tree = _Tree(self._source.draft(self._ids.take(name)))
        if value is not top:
            tree.draft.x |= said(value, "message_tree_id", "prompt")
        waiting: list[tuple[Any, str | None]] = [(top, None)]
        while waiting:
            record, above = waiting.pop()
            message, replies = _add(tree, record, above)
            waiting += [(reply, message["id"]) for reply in reversed(replies)]
            entitle(tree.draft, message)
            yield tree.draft, message
        if tree.draft.native_id not in self._flat:
            _settle(tree)

    def finish(self) -> None:
        """Say where the trees stand whose messages came one by one."""
        for tree in self._flat.values():
            _settle(tree)


def _add(tree: _Tree, record: Any, above: str | None) -> tuple[Message, list[Any]]:
    """The message of a record and the records of its replies."""
    if not isinstance(record, dict) or not _is_message(record):
        name = tree.ids.take("-")
        message = meta(name, record)
        replies: Any = None
    else:
        name = tree.ids.take(record["message_id"])
        x = said(record, "message_id", "parent_id", "message_tree_id", "text", "role")
        replies = x.pop("replies", None)
        message = {"id": name, "role": _ROLES[record["role"]], "parts": [{"type": "text", "content": record["text"]}]}
        take_time(message, x, "created_date")
        if message["role"] == "assistant" and isinstance(x.get("model_name"), str) and x["model_name"]:
            message["model"] = x.pop("model_name")
        with_rest(message, {key: item for key, item in x.items() if item != {} and item != []})
        stated = record.get("parent_id")
        if above is None and isinstance(stated, str) and stated:
            if stated in tree.names:
                above = stated
            else:
                tree.draft.issue("parent-missing", "a message whose parent is not before it in the file")
        rank: Any = record.get("rank")
        place = (float(rank) if type(rank) in (int, float) else float("inf"), name)
        if above not in tree.best or place[0] < tree.best[above][0]:
            tree.best[above] = place
    tree.names.add(name)
    below(message, above, tree.before)
    tree.before = name
    return message, replies if isinstance(replies, list) else []


def _settle(tree: _Tree) -> None:
    """Follow the best ranked replies to the end; among equals the first."""
    leaf: str | None = None
    while leaf in tree.best:
        leaf = tree.best[leaf][1]
    tree.draft.active_leaf = leaf

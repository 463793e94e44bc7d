"""Which messages of a session an export shows: the path to its active leaf, or all branches.

A session is a tree (forks, rewinds, sub-agents told inside the file). The path is followed from the active leaf to the
root, and then completed by what belongs to it although it hangs beside it: the other pieces of a response that was
recorded in several messages, and the results of parallel tool calls. Bookkeeping, pre-filled beginnings and sub-agents'
talk are left out unless asked for; token counts that a bookkeeping record states go to the answer before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from sessionstore.exporters.report import Report

Message = dict[str, Any]
Read = Callable[[], Iterable[Message]]
"""Gives the session's messages in record order, each time anew."""

LEFT_OUT = frozenset({"meta", "prefill", "sidechain"})
"""Kinds of messages that an export leaves out unless they are asked for."""
_BEHIND = 1 / 1024
_NAMED = {"prefill": "pre-filled beginnings left out", "sidechain": "messages of sub-agents left out"}


def chosen(
    revision: Message, read: Read, report: Report, *, branches: bool = False, kinds: Iterable[str] = ()
) -> Iterator[Message]:
    """The messages to show, in order. With `branches` those of all branches; `parent` is then that of the nearest
    message that is shown, and absent on a single path."""
    wanted = frozenset(kinds)
    hidden = LEFT_OUT - wanted
    tree = _Tree(read(), revision.get("active_leaf"))
    if branches:
        return _with_usage(_linked(read(), tree, hidden, report))
    path = tree.path()
    ranked = _on_path(read(), path, hidden, wanted & LEFT_OUT, report)
    if not path.is_straight:
        ranked = iter(sorted(ranked, key=lambda pair: pair[0]))
    return _with_usage(message for _, message in ranked)


class _Path:
    """The positions of the shown messages, and where each stands."""

    def __init__(self, positions: list[int]) -> None:
        self.place: dict[int, float] = {position: n for n, position in enumerate(positions)}
        self.is_straight = all(a < b for a, b in pairwise(positions))

    def add_behind(self, position: int, parent: int) -> None:
        """Show one more message, right behind its parent."""
        self.place[position] = self.place[parent] + _BEHIND


class _Tree:
    """What must be known of every message to follow the path; the messages themselves are not kept."""

    def __init__(self, messages: Iterable[Message], leaf: str | None) -> None:
        self.ids: list[str] = []
        self.parents: list[Any] = []
        self.kinds: list[str | None] = []
        self._calls: dict[int, set[str]] = {}
        self._answers: dict[int, set[str]] = {}
        self._responses: dict[int, str] = {}
        for position, message in enumerate(messages):
            self._take(position, message)
        self._positions = {name: position for position, name in enumerate(self.ids)}
        self._leaf = self._positions.get(leaf, -1) if leaf is not None else -1
        if self._leaf < 0:
            shown = (n for n in range(len(self.ids) - 1, -1, -1) if self.kinds[n] not in LEFT_OUT)
            self._leaf = next(shown, len(self.ids) - 1)

    def _take(self, position: int, message: Message) -> None:
        self.ids.append(message["id"])
        self.parents.append(message.get("parent", ...))
        self.kinds.append(message.get("kind"))
        for part in message["parts"]:
            if part.get("type") == "tool_call":
                self._calls.setdefault(position, set()).add(str(part.get("id")))
            elif part.get("type") == "tool_call_response":
                self._answers.setdefault(position, set()).add(str(part.get("id")))
        response = message.get("x", {}).get("response_id")
        if isinstance(response, str) and message["role"] == "assistant":
            self._responses[position] = response

    def parent(self, position: int) -> int:
        """The position of a message's parent, -1 for none. A parent that the session does not hold is replaced by the
        message before, so that nothing before it disappears."""
        parent = self.parents[position]
        if parent is None:
            return -1
        if parent is not ... and parent in self._positions:
            return self._positions[parent]
        before = position - 1
        while parent is not ... and before >= 0 and self.kinds[before] == "sidechain":
            before -= 1
        return before

    def path(self) -> _Path:
        """The path to the active leaf, with what belongs to it."""
        positions: list[int] = []
        seen: set[int] = set()
        position = self._leaf
        while position >= 0 and position not in seen:
            positions.append(position)
            seen.add(position)
            position = self.parent(position)
        path = _Path(positions[::-1])
        responses = {self._responses[n] for n in path.place if n in self._responses}
        for position, response in self._responses.items():
            if response in responses:
                self._complete(path, position)
        calls = {call for n in path.place for call in self._calls.get(n, ())}
        open_calls = calls - {answer for n in path.place for answer in self._answers.get(n, ())}
        for position, answers in self._answers.items():
            if not answers.isdisjoint(open_calls):
                self._complete(path, position)
        return path

    def _complete(self, path: _Path, position: int) -> None:
        parent = self.parent(position)
        if position not in path.place and parent in path.place and self.kinds[position] not in LEFT_OUT:
            path.add_behind(position, parent)


def _on_path(
    messages: Iterable[Message], path: _Path, hidden: frozenset[str], asked: frozenset[str], report: Report
) -> Iterator[tuple[float, Message]]:
    """The messages of the path, each with its rank on it; those that were asked for keep behind the one before."""
    rank = -1.0
    for position, message in enumerate(messages):
        kind = message.get("kind")
        shown = position in path.place
        rank = path.place.get(position, rank)
        if shown and _is_usage(message) and kind in hidden:
            yield rank, message
        elif kind in hidden:
            report.count(_NAMED.get(kind, ""), int(kind in _NAMED))
        elif shown or kind in asked:
            yield rank, {name: value for name, value in message.items() if name != "parent"}
        else:
            report.count("messages on other branches left out")


def _linked(messages: Iterable[Message], tree: _Tree, hidden: frozenset[str], report: Report) -> Iterator[Message]:
    """All messages but the hidden ones, each with the nearest shown ancestor as its parent."""
    before = -1
    known: dict[int, int] = {}
    for position, message in enumerate(messages):
        kind = message.get("kind")
        if kind in hidden:
            report.count(_NAMED.get(kind, ""), int(kind in _NAMED))
            if _is_usage(message):
                yield message
            continue
        linked = {name: value for name, value in message.items() if name != "parent"}
        parent = _shown(tree, tree.parent(position), hidden, known)
        if parent != before:
            linked["parent"] = tree.ids[parent] if parent >= 0 else None
        before = position
        yield linked


def _shown(tree: _Tree, position: int, hidden: frozenset[str], known: dict[int, int]) -> int:
    """The nearest shown message at or above a position, -1 for none. What was found out is remembered in `known`."""
    climbed: list[int] = []
    while position >= 0 and tree.kinds[position] in hidden and position not in known:
        known[position] = -1  # so that a circle ends
        climbed.append(position)
        position = tree.parent(position)
    found = known.get(position, position)
    known.update(dict.fromkeys(climbed, found))
    return found


def _is_usage(message: Message) -> bool:
    """Whether a message is nothing but a count of tokens."""
    return message.get("kind") == "meta" and not message["parts"] and "usage" in message


def _with_usage(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, where those that only count tokens give their figures to the answer before them."""
    waiting: list[Message] = []
    for message in messages:
        if _is_usage(message) and waiting:
            waiting[0] = {**waiting[0], "usage": added(waiting[0].get("usage", {}), message["usage"])}
        elif _is_usage(message):
            continue
        elif message["role"] == "assistant":
            yield from waiting
            waiting = [message]
        elif waiting and message["role"] == "tool":
            waiting.append(message)
        else:
            yield from waiting
            waiting = []
            yield message
    yield from waiting


def added(usage: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Two usages together."""
    total = dict(usage)
    for name, amount in more.items():
        total[name] = True if name == "estimated" else total.get(name, 0) + amount
    return total

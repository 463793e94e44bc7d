"""The order of the nodes of a ChatGPT conversation, which is a tree in a mapping that has no order of its own.

Nodes come by time, a parent always before its children, so that a later export of the same conversation only adds at
the end. A node without a time counts as old as its parent. Nothing here recurses: the tree may be as deep as it likes.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sessionstore.importers.base import Draft
from sessionstore.importers.exports import micros


@dataclass(slots=True)
class Node:
    """One node of a conversation. `parent` is None when it has none, or none that could be followed."""

    id: str
    record: Any
    place: int
    parent: str | None = None
    broken: bool = False
    """whether the record states a parent that cannot be followed"""
    children: list[str] = field(default_factory=list)
    """in the order that the record states, then in that of the mapping"""

    @property
    def message(self) -> Any:
        """What the node holds; None for a root and for what is no node."""
        return self.record.get("message") if isinstance(self.record, dict) else None

    @property
    def time(self) -> int | None:
        """When the message was made, in millionths of a second."""
        message = self.message
        return micros(message.get("create_time")) if isinstance(message, dict) else None


def ordered(mapping: Mapping[str, Any], draft: Draft) -> list[Node]:
    """All nodes in the order in which they are told."""
    nodes = {name: Node(name, record, place) for place, (name, record) in enumerate(mapping.items())}
    _link(nodes, draft)
    _sort_children(nodes)
    roots = [node for node in nodes.values() if node.parent is None]
    found: list[Node] = []
    told: set[str] = set()
    _tell(nodes, roots, found, told)
    for node in nodes.values():
        if node.id not in told:
            draft.issue("parent-cycle", "messages that are each other's parents; the circle was cut open")
            node.parent, node.broken = None, True
            _tell(nodes, [node], found, told)
    return found


def _link(nodes: Mapping[str, Node], draft: Draft) -> None:
    claimed: dict[str, str] = {}
    for node in nodes.values():
        for child in _stated_children(node):
            claimed.setdefault(child, node.id)
    for node in nodes.values():
        stated = node.record.get("parent", claimed.get(node.id)) if isinstance(node.record, dict) else None
        if stated is None:
            continue
        if isinstance(stated, str) and stated in nodes and stated != node.id:
            node.parent = stated
        else:
            node.broken = True
            draft.issue("parent-missing", "a message whose parent is not in the export")


def _stated_children(node: Node) -> list[str]:
    children = node.record.get("children") if isinstance(node.record, dict) else None
    return [child for child in children if isinstance(child, str)] if isinstance(children, list) else []


def _sort_children(nodes: Mapping[str, Node]) -> None:
    own: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.parent is not None:
            own.setdefault(node.parent, []).append(node.id)
    for name, children in own.items():
        parent = nodes[name]
        mine = set(children)
        parent.children = list(dict.fromkeys(child for child in _stated_children(parent) if child in mine))
        listed = set(parent.children)
        parent.children += [child for child in children if child not in listed]


def _tell(nodes: Mapping[str, Node], roots: list[Node], found: list[Node], told: set[str]) -> None:
    heap = [(root.time or 0, 0, root.place, root.id) for root in roots]
    heapq.heapify(heap)
    while heap:
        time, _, _, name = heapq.heappop(heap)
        if name in told:
            continue
        told.add(name)
        node = nodes[name]
        found.append(node)
        for number, child in enumerate(node.children):
            below = nodes[child]
            if child not in told:
                heapq.heappush(heap, (below.time or time, number, below.place, child))


def odd_children(nodes: list[Node]) -> dict[str, list[Any]]:
    """Of the nodes whose list of children says more than the order of the messages does: that list."""
    told: dict[str, list[str]] = {}
    for node in nodes:
        if node.parent is not None:
            told.setdefault(node.parent, []).append(node.id)
    odd = {}
    for node in nodes:
        children = node.record.get("children") if isinstance(node.record, dict) else None
        if isinstance(children, list) and children != told.get(node.id, []):
            odd[node.id] = children
    return odd


def last_leaf(nodes: list[Node]) -> str | None:
    """The leaf at the end of the last branch: where a conversation is that does not say so itself."""
    if not nodes:
        return None
    by_id = {node.id: node for node in nodes}
    place = next(node for node in reversed(nodes) if node.parent is None)
    told: set[str] = set()
    while place.children and place.id not in told:
        told.add(place.id)
        place = by_id[place.children[-1]]
    return place.id

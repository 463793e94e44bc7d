"""The conversation page: which messages it shows, and everything around them."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from sessionstore.archive.resuming import lines_of
from sessionstore.exporters import NAMES
from sessionstore.index.schema import get
from sessionstore.web import reading
from sessionstore.web.reading import Conversation
from sessionstore.web.rendering import Place, message_html, usage_text
from sessionstore.web.site import Site

PAGE, SMALLEST, LARGEST = 200, 10, 1000
"""Messages on a page, and what `?size=` may make of it."""
_BYTES_REMEMBERED = 48 << 20


class Span(NamedTuple):
    """Messages from ordinal `start` up to `end`, and the page's number (from 1) among `pages` of `size` messages."""

    start: int
    end: int
    page: int
    pages: int
    size: int


def span(count: int, asked: Mapping[str, str], at: int | None) -> Span:
    """The messages of the page that `asked` for: by number, or as the one that holds message `at`."""
    size = min(LARGEST, max(SMALLEST, int(asked["size"][:5]))) if asked.get("size", "").isdecimal() else PAGE
    pages = max(1, -(-count // size))
    page = 1
    if at is not None:
        page = at // size + 1
    elif asked.get("page") == "last":
        page = pages
    elif asked.get("page", "").isdecimal():
        page = int(asked["page"][:9])
    page = min(max(page, 1), pages)
    return Span((page - 1) * size, min(count, page * size), page, pages, size)


def context(site: Site, found: Conversation, asked: Mapping[str, str], address: Callable[[str], str]) -> dict[str, Any]:
    """What the page shows; the messages come separately, from `pieces`. `address` gives the address of a session."""
    at = _asked_place(site, found, asked)
    shown = span(found.count, asked, at)
    turns, questions = site.ask_now(
        lambda connection: reading.turns(connection, found, shown.start, shown.end, shown.size)
    )
    parent = found.revision.get("forked_from") or {}
    own = address(found.key)
    query = _query(found, shown)
    newest = found.sha == reading.sha(found.heads[0])
    return {
        "found": found,
        "key": found.key,
        "title": found.notes.get("title") or found.revision.get("title") or found.key,
        "address": own,
        "span": shown,
        "at": at,
        "links": page_links(shown),
        "page_address": lambda page: f"{own}?{query}page={page}",
        "message_address": lambda number: f"{own}?{query}at={number}#m-{number}",
        "larger": f"{own}?{'' if newest else query}size=1000&at={shown.start}" if shown.size < LARGEST else "",
        "newest": newest,
        "turns": [{"seq": seq, "text": text, "here": shown.start <= seq < shown.end} for seq, text in turns],
        "questions": questions,
        "heads": _heads(found) if len(found.heads) > 1 else [],
        "parent": {**parent, "address": _parent_address(parent, address)} if parent.get("key") else None,
        "children": [{**child, "address": address(child["key"])} for child in children(site, found.key)],
        "usage": usage_text(found.revision.get("usage")),
        "resume": lines_of(found.revision),
        "exports": NAMES,
        "originals": found.revision.get("originals") or [] if site.store else [],
        "indexed_only": site.store is None,
    }


def _parent_address(parent: Mapping[str, Any], address: Callable[[str], str]) -> str:
    spot = f"?message={quote(str(parent['message']))}" if parent.get("message") else ""
    return address(parent["key"]) + spot


def _query(found: Conversation, shown: Span) -> str:
    """What the addresses of the other pages have in common: an older head, another size."""
    head = "" if found.sha == reading.sha(found.heads[0]) else f"head={found.sha[:12]}&"
    return head + ("" if shown.size == PAGE else f"size={shown.size}&")


def _asked_place(site: Site, found: Conversation, asked: Mapping[str, str]) -> int | None:
    if asked.get("at", "").isdecimal() and found.count:
        return min(int(asked["at"][:9]), found.count - 1)
    return reading.place_of(site, found, asked["message"][:1000]) if asked.get("message") else None


def page_links(shown: Span) -> list[int | None]:
    """Page numbers to link to: the ends, the neighbours; None stands for a gap."""
    near = {1, 2, shown.pages - 1, shown.pages, *range(shown.page - 2, shown.page + 3)}
    links: list[int | None] = []
    for page in sorted(page for page in near if 1 <= page <= shown.pages):
        if links and links[-1] is not None and page > links[-1] + 1:
            links.append(None)
        links.append(page)
    return links


def _heads(found: Conversation) -> list[dict[str, Any]]:
    return [
        {
            "sha": reading.sha(head)[:12],
            "messages": head["counts"]["messages"],
            "updated_at": head.get("updated_at"),
            "here": head is found.revision,
        }
        for head in found.heads
    ]


_families: dict[str, tuple[Any, dict[str, list[dict[str, Any]]]]] = {}


def children(site: Site, key: str) -> list[dict[str, Any]]:
    """The forks and subagents of a session: key, title, relation, messages."""

    def ask(connection: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
        state = (get(connection, "change_seq"), get(connection, "digest"))
        known = _families.get(site.path)
        if known is None or known[0] != state:
            sql = (
                "SELECT forked_from, key, title, relation, messages FROM sessions WHERE forked_from IS NOT NULL"
                " ORDER BY sorted_at"
            )
            by_parent: dict[str, list[dict[str, Any]]] = {}
            for parent, child, title, relation, messages in connection.execute(sql):
                entry = {"key": child, "title": title or child, "relation": relation or "fork", "messages": messages}
                by_parent.setdefault(parent, []).append(entry)
            known = _families[site.path] = (state, by_parent)
        return known[1]

    return site.ask_now(ask).get(key, [])[:200]


class _Remembered:
    """Rendered messages by what they are made of, the least lately used ones dropped beyond a number of bytes."""

    def __init__(self, most: int) -> None:
        self.most, self.size = most, 0
        self.known: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> str | None:
        """What was put under `key`, if it is still there."""
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
            return self.known.get(key)

    def put(self, key: tuple[Any, ...], html: str) -> None:
        """Remember `html`."""
        with self.lock:
            if key not in self.known:
                self.known[key] = html
                self.size += 2 * len(html) + 200
            while self.size > self.most:
                _, gone = self.known.popitem(last=False)
                self.size -= 2 * len(gone) + 200


_rendered = _Remembered(_BYTES_REMEMBERED)


Calls = dict[str, tuple[int, str]]
"""By the id of a call: the number of the message that made it, and the tool."""


def pieces(
    site: Site, found: Conversation, start: int, end: int, address: str, calls: Calls | None = None
) -> list[Markup]:
    """The messages from ordinal `start` up to `end` as HTML, one piece each. Damaged ones say so. `calls` are those
    of earlier messages; the ones that are met are added."""
    off = reading.other_branches(site, found)
    calls = {} if calls is None else calls
    made = []
    for line in reading.lines(site, found, start, end - start):
        if line.message is None:
            made.append(Markup(DAMAGED.format(number=line.number, shown=line.number + 1)))
            continue
        note_calls(line.message, line.number, calls)
        asked = tuple(calls.get(str(name)) for name in _answered(line.message))
        key = (address, line.digest, line.number, line.number in off, asked)
        html = _rendered.get(key)
        if html is None:
            html = message_html(line.message, line.number, Place(address, calls, off))
            _rendered.put(key, html)
        made.append(Markup(html))
    return made


DAMAGED = (
    '<article class="message damaged" id="m-{number}" tabindex="-1"><p class="note">Message {shown} cannot be read: '
    "its bytes in the store are damaged or missing. <code>sessionstore verify</code> tells more.</p></article>\n"
)


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = message.get("parts")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def note_calls(message: Mapping[str, Any], number: int, calls: Calls) -> None:
    """Add the calls that message `number` makes."""
    for part in _parts(message):
        if part.get("type") == "tool_call" and part.get("id"):
            calls[str(part["id"])] = (number, str(part.get("name") or "?"))


def _answered(message: Mapping[str, Any]) -> list[Any]:
    return [part.get("id") for part in _parts(message) if part.get("type") == "tool_call_response"]

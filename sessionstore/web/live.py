"""New messages of a session that is open in a browser: what the page's script asks for every few seconds.

The answer comes from the store itself, so it does not wait for the index.
"""

from __future__ import annotations

from typing import Any

from sessionstore.web import conversation, reading
from sessionstore.web.reading import Conversation
from sessionstore.web.site import Site

MOST = 50
"""Messages in one answer; the script asks again at once for more."""


def mark(site: Site, found: Conversation, number: int) -> str:
    """What message `number` is recognised by; nothing when there is no such message or it is damaged."""
    if number < 0:
        return ""
    return next((line.digest for line in reading.lines(site, found, number, 1)), "")


def news(site: Site, found: Conversation, after: int, last: str, address: str) -> dict[str, Any]:
    """The messages from ordinal `after` on as HTML. `last` is the mark of the message before them as the page has it:
    when that is another one now, the session was rewritten, and the page has to be loaded again."""
    if after > found.count or (last and mark(site, found, after - 1) != last):
        return {"count": found.count, "changed": True, "html": [], "next": after, "last": last}
    end = min(found.count, after + MOST)
    html = [str(piece) for piece in conversation.pieces(site, found, after, end, address)] if end > after else []
    return {
        "count": found.count,
        "changed": False,
        "html": html,
        "next": end,
        "last": mark(site, found, end - 1) if html else last,
        "more": end < found.count,
    }

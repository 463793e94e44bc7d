"""Reading a session page by page, every message as text, within a number of characters.

A page shows the path to the active leaf, as every reading does, or with `everything` each stored record in its order.
A message that is too long for its page is cut, and `message` gives the rest. So nothing is out of reach, and no answer
is larger than asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from sessionstore import errors
from sessionstore.archive.asking import LABEL, TITLE, Archive, clip
from sessionstore.archive.work import Work
from sessionstore.exporters.report import Report
from sessionstore.exporters.text import arguments_text, blob_text, response_text
from sessionstore.exporters.view import chosen

Message = dict[str, Any]
_BEFORE = 2
"""Messages shown before the one that was asked for."""


def page(
    archive: Archive,
    name: str,
    *,
    start: int = 0,
    around: str | None = None,
    limit: int = 30,
    characters: int = 20_000,
    everything: bool = False,
    work: Work | None = None,
) -> dict[str, Any]:
    """A page of a session: its messages from number `start` on, or around the message of id `around`. With a negative
    `start` the last ones.

    Members: session (see `about`), total (messages that can be read so), messages (each with n, its number, and id,
    role, kind, model, time, text, characters, cut), next_start (None at the end), left_out (sentences).
    Raises `NotFound`, `Ambiguous`.
    """
    work = work or Work()
    name, _, spot = name.partition("#")
    around = around or spot or None
    revision = archive.find_revision(name, work)
    report = Report()
    shown = messages(archive, revision, report, everything=everything, work=work)
    first, window, total = _window(shown, start, around, limit)
    if around and first is None and not everything:
        shown = messages(archive, revision, report := Report(), everything=True, work=work)
        first, window, total = _window(shown, start, around, limit)
        report.tell("this message is not on the active path; all records are shown as they were stored")
    if first is None:
        raise errors.NotFound(name=f"{name}#{around}")
    told = _fitting(window, first, characters)
    after = first + len(told)
    return {
        "session": about(revision),
        "total": total,
        "messages": told,
        "next_start": after if after < total else None,
        "left_out": report.lines,
    }


def message(
    archive: Archive, name: str, ident: str, *, offset: int = 0, characters: int = 20_000, work: Work | None = None
) -> dict[str, Any]:
    """One message's text from character `offset` on. Members as of a page's message, and offset, next_offset (None at
    the end). Raises `NotFound`, `Ambiguous`."""
    work = work or Work()
    revision = archive.find_revision(name, work)
    for n, one in enumerate(work.each(archive.store.messages(revision))):
        if one["id"] == ident:
            text = text_of(one)
            told = _told(one, n, text[offset : offset + characters], len(text))
            end = offset + characters
            return {**told, "offset": offset, "next_offset": end if end < len(text) else None}
    raise errors.NotFound(name=f"{name}#{ident}")


def messages(
    archive: Archive, revision: Message, report: Report, *, everything: bool = False, work: Work | None = None
) -> Iterator[Message]:
    """A session's messages as they are read. What is left out is named in the report."""
    work = work or Work()

    def read() -> Iterable[Message]:
        return work.each(archive.store.messages(revision))

    return iter(read()) if everything else chosen(revision, read, report)


def about(revision: Message) -> dict[str, Any]:
    """What is said of a session before its messages."""
    return {
        "key": revision["key"],
        "title": clip(revision.get("title"), TITLE),
        "source": revision["source"],
        "project": clip(revision.get("project")),
        "cwd": clip(revision.get("cwd"), 300),
        "models": [str(clip(model)) for model in revision.get("models", ())[:5]],
        "created_at": revision.get("created_at"),
        "updated_at": revision.get("updated_at"),
        "forked_from": (revision.get("forked_from") or {}).get("key"),
        "issues": [str(clip(issue.get("note") or issue["code"], 300)) for issue in revision.get("issues", ())[:10]],
    }


def text_of(message: Message) -> str:
    """A message as text: what was said, thought, called and given back."""
    return "\n\n".join(filter(None, map(_part, message["parts"])))


def _part(part: Message) -> str:
    kind = part.get("type")
    if kind == "text":
        return str(part.get("content") or "")
    if kind == "reasoning":
        return f"[reasoning]\n{part['content']}" if part.get("content") else ""
    if kind == "tool_call":
        return f"[tool call: {part.get('name')}]\n{arguments_text(part.get('arguments'))}"
    if kind == "tool_call_response":
        failed = ", failed" if part.get("is_error") else ""
        return f"[tool result{failed}]\n{response_text(part.get('response'))}"
    if kind in ("blob", "uri", "file"):
        return blob_text(part)
    return f"[{clip(kind)}]\n{arguments_text(part)}"


def _window(
    shown: Iterable[Message], start: int, around: str | None, limit: int
) -> tuple[int | None, list[Message], int]:
    """(the number of the first message, the messages, how many there are altogether); no number when the message that
    was asked for is not among them."""
    last: deque[Message] = deque(maxlen=_BEFORE if around else max(-start, 1))
    first: int | None = None
    window: list[Message] = []
    total = 0
    for one in shown:
        if first is None and (one["id"] == around if around else total == start):
            first = total - len(last) if around else total
            window = list(last) if around else []
        if first is not None and len(window) < limit:
            window.append(one)
        last.append(one)
        total += 1
    if first is None and not around:
        tail = list(last)[:limit] if start < 0 else []
        return max(total + start, 0) if start < 0 else total, tail, total
    return first, window, total


def _fitting(window: list[Message], first: int, characters: int) -> list[Message]:
    """As many messages as there is room for, one at least; a long one gets a quarter of the room."""
    most = characters if len(window) == 1 else max(characters // 4, 200)
    told: list[Message] = []
    left = characters
    for n, one in enumerate(window, first):
        text = text_of(one)
        if told and min(len(text), most) > left:
            break
        told.append(_told(one, n, text[:most], len(text)))
        left -= min(len(text), most)
    return told


def _told(message: Message, n: int, text: str, characters: int) -> Message:
    return {
        "n": n,
        "id": message["id"],
        "role": message["role"],
        "kind": message.get("kind"),
        "model": clip(message.get("model"), LABEL),
        "time": message.get("time"),
        "text": text,
        "characters": characters,
        "cut": len(text) < characters,
    }

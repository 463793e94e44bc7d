"""One message as HTML. Everything foreign in it is escaped or sanitised and cut to a readable size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from sessionstore.exporters.text import arguments_text, blob_text, response_text
from sessionstore.index.rows import utc
from sessionstore.web import images, terminal, tools
from sessionstore.web.markup import markdown, plain

_ROLES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_KINDS = {
    "prefill": "prefilled",
    "compaction": "summary of what came before",
    "meta": "bookkeeping",
    "sidechain": "side conversation",
    "switch": "change of model",
    "error": "error",
    "context": "context",
}
FOLDED = frozenset({"meta", "context", "sidechain", "compaction"})
"""Kinds of messages that are shown folded."""
_MARKS = re.compile(r"\*\*|__|`+|^[#>]+ ", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where a message is shown: the address of its session and what is known of the calls around it (by call id: the
    number of the message that made the call, and the tool)."""

    address: str
    calls: Mapping[str, tuple[int, str]]
    other_branch: frozenset[int] = frozenset()

    def of(self, number: int) -> str:
        """The address of a message."""
        return f"{self.address}?at={number}#m-{number}"

    def whole(self, number: int) -> str:
        """The address of a message's whole text."""
        return f"{self.address}/{number}.txt"

    def image(self, number: int, count: int, image: images.Image) -> str:
        """The address of a message's image; nothing when it is not shown."""
        return f"{self.address}/{number}/image/{count}"


def message_html(message: dict[str, Any], number: int, place: Place) -> str:
    """The message with ordinal `number` (from 0) as one `<article>`. Never raises for what is inside it."""
    try:
        body = "".join(_parts(message, number, place))
    except (AttributeError, TypeError, KeyError, ValueError, RecursionError):
        body = f'<p class="note">This message is not of the usual form.</p>{tools.call("", _tamed(message))}'
    role = str(message.get("role") or "unknown")
    kind = message["kind"] if isinstance(message.get("kind"), str) else None
    off = number in place.other_branch
    if not body and message.get("x"):
        body = tools.call("", message["x"])
    if kind in FOLDED or off or role == "system":
        told = "on another branch" if off else _KINDS.get(kind or "", "instructions")
        body = f"<details><summary>{escape(told)}: {escape(_preview(message))}</summary>{body}</details>"
    marks = [f"role-{role}"] if role in _ROLES else []
    classes = " ".join(["message", *marks, *(["off-path"] if off else []), *(["slim"] if kind == "meta" else [])])
    return (
        f'<article class="{classes}" id="m-{number}" tabindex="-1" aria-labelledby="h-{number}">\n'
        f"{_head(message, number, role, kind, place)}\n{body or EMPTY}\n</article>\n"
    )


EMPTY = '<p class="note">(nothing to read)</p>'


def _tamed(message: Any) -> Any:
    return {str(name)[:80]: str(value)[:2000] for name, value in message.items()} if isinstance(message, dict) else None


def _head(message: dict[str, Any], number: int, role: str, kind: str | None, place: Place) -> str:
    facts = []
    if kind:
        facts.append(f'<span class="kind">{escape(_KINDS.get(kind, kind))}</span>')
    if isinstance(model := message.get("model"), str):
        facts.append(f'<span class="model">{escape(model[:80])}</span>')
    if isinstance(time := message.get("time"), str):
        facts.append(f'<time datetime="{escape(time[:40])}">{escape(short_time(time))}</time>')
    elif raw := _raw_time(message):
        facts.append(f"<span>{escape(raw)} (local time, zone unknown)</span>")
    if usage := usage_text(message.get("usage")):
        facts.append(f'<span class="usage">{escape(usage)}</span>')
    return (
        f'<header><h2 id="h-{number}">{escape(_ROLES.get(role, role[:40]))}</h2> {" ".join(facts)} '
        f'<a class="permalink" href="{place.of(number)}" '
        f'aria-label="Link to message {number + 1}">#{number + 1}</a></header>'
    )


def short_time(time: str) -> str:
    """`2026-01-31T12:11:12.5+02:00` as `2026-01-31 10:11:12`: in UTC."""
    return utc(time)[:19].replace("T", " ")


def _raw_time(message: dict[str, Any]) -> str:
    """A local time of which the source did not say where."""
    x = message.get("x")
    given = x.get("time") if isinstance(x, dict) else None
    raw = given.get("raw") if isinstance(given, dict) else None
    return raw[:40] if isinstance(raw, str) else ""


def usage_text(usage: Any) -> str:
    """Tokens and cost of a message or session in words; nothing when unknown."""
    if not isinstance(usage, dict):
        return ""
    names = (("input_tokens", "in"), ("output_tokens", "out"), ("cache_read_tokens", "cached"))
    told = [f"{usage[name]:,} {word}" for name, word in names if isinstance(usage.get(name), int)]
    if isinstance(cost := usage.get("cost_microusd"), int):
        told.append(f"${cost / 1e6:,.4f}")
    if told and usage.get("estimated"):
        told.append("estimated")
    return " · ".join(told)


def _preview(message: dict[str, Any]) -> str:
    """The beginning of what a message says, on one line."""
    for part in message.get("parts") or ():
        if isinstance(part, dict):
            text = part.get("content") or _named(part) or response_text(part.get("response"))[:400]
            if isinstance(text, str) and text.strip():
                return terminal.one_line(text, 100)
    x = message.get("x")
    return ", ".join(str(name)[:40] for name in list(x)[:4]) if isinstance(x, dict) and x else "no words"


def _named(part: dict[str, Any]) -> Any:
    """What a part calls itself: the tool of a call, the type of a record."""
    record = part.get("record")
    if not isinstance(record, dict):
        return part.get("name")
    inner = record.get("payload")
    return (inner.get("type") if isinstance(inner, dict) else None) or record.get("type") or record.get("record_type")


def _parts(message: dict[str, Any], number: int, place: Place) -> Iterator[str]:
    count = 0
    for part in message["parts"]:
        shown = [image for image in images.found_in(part) if image.shown]
        yield _part(part, number, place)
        for image in shown:
            if source := place.image(number, count, image):
                words = f"image {count + 1} of message {number + 1}"
                yield (f'<figure><a href="{source}"><img src="{source}" alt="{words}" loading="lazy"></a></figure>\n')
            count += 1


def _part(part: dict[str, Any], number: int, place: Place) -> str:
    kind = part.get("type")
    if kind == "text":
        return _text(part.get("content"), number, place)
    if kind == "reasoning":
        return _reasoning(part, number, place)
    if kind == "tool_call":
        return _call(part, number, place)
    if kind == "tool_call_response":
        return _result(part, number, place)
    if kind in ("blob", "uri", "file"):
        told = "" if kind == "blob" and any(images.found_in(part)) else blob_text(part)
        return f'<p class="note">{escape(told)}</p>' if told else ""
    return f'<details class="record"><summary>{escape(str(kind)[:40])}</summary>{tools.call("", part)}</details>'


def _text(content: Any, number: int, place: Place) -> str:
    if not isinstance(content, str):
        return tools.call("", content)
    if len(content) > 4 * tools.MOST_SHOWN:
        return plain(content[: tools.MOST_SHOWN]) + _rest(content, number, place)
    return f'<div class="prose">{markdown(content)}</div>'


def _rest(text: str, number: int, place: Place) -> str:
    """Where the whole of a text that was cut can be read."""
    if len(text) <= tools.MOST_SHOWN:
        return ""
    return (
        f'<p class="note">The first {tools.MOST_SHOWN:,} of {len(text):,} characters. '
        f'<a href="{place.whole(number)}">Read all of message {number + 1}</a></p>'
    )


def _plain_line(text: str) -> str:
    """The beginning of a text on one line, without Markdown's marks."""
    return terminal.one_line(_MARKS.sub("", text[:1000]), 80)


def _reasoning(part: dict[str, Any], number: int, place: Place) -> str:
    content = part.get("content")
    if not isinstance(content, str) or not content.strip():
        return '<p class="note">(reasoning that the provider has hidden)</p>' if part.get("signature") else ""
    return (
        f'<details class="reasoning"><summary>Reasoning: {escape(_plain_line(content))}</summary>'
        f"{_text(content, number, place)}</details>"
    )


def _call(part: dict[str, Any], number: int, place: Place) -> str:
    name, arguments = str(part.get("name") or "?"), tools.loaded(part.get("arguments"))
    about = tools.summary(arguments)
    size = len(str(arguments)) if arguments is not None else 0
    more = _rest("x" * size, number, place) if size > tools.MOST_SHOWN else ""
    return (
        f'<details class="call"><summary><span class="tool">{escape(name[:80])}</span> '
        f"<span>{escape(about)}</span></summary>{tools.call(name, arguments)}{more}</details>\n"
    )


def _result(part: dict[str, Any], number: int, place: Place) -> str:
    text = response_text(part.get("response"))
    maker = place.calls.get(str(part.get("id") or ""))
    failed = bool(part.get("is_error"))
    words = terminal.one_line(text, 90)
    link = f'<p class="note"><a href="{place.of(maker[0])}">the call</a></p>' if maker else ""
    title = f"{'Error' if failed else 'Result'}{f' of {maker[1][:80]}' if maker else ''}"
    return (
        f'<details class="result{" failed" if failed else ""}"><summary><span class="tool">{escape(title)}</span> '
        f"<span>{escape(words)}</span></summary>{link}{tools.result(part.get('response'))}"
        f"{_rest(text, number, place)}</details>\n"
    )


def message_text(message: dict[str, Any]) -> str:
    """All that a message says as plain text, one part after the other."""
    told = []
    for part in message.get("parts") or ():
        if part.get("type") == "tool_call":
            told.append(f"{part.get('name')} {arguments_text(part.get('arguments'))}")
        elif part.get("type") == "tool_call_response":
            told.append(response_text(part.get("response")))
        else:
            content = part.get("content")
            told.append(content if isinstance(content, str) else arguments_text(part))
    return "\n\n".join(told)

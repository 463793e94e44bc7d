"""The HTML form of Google's "My Activity", cut into its records: see `gemini_takeout` for the whole format.

A record is a `div` of class `outer-cell`. Inside it `header-cell` names the product, the first `content-cell` holds the
prompt, the time and the answer, each divided from the next by `<br>`, and the other cells hold what is said about them.
The page is cut at the `outer-cell`s and parsed piece by piece, so that its size does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape

from sessionstore.importers.parsing import Unparsable

CELL = b'<div class="outer-cell'
END = b"</html>"
MAX_CELL = 64 << 20

_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_BLOCKS = frozenset(
    {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
_MARK = re.compile(
    r"""<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)(?:(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>|[^<>]*+>)|<!--|<[!?][^<>]*+>"""
)
"""A tag, or the beginning of a comment. No step looks beyond the next `<`."""
_CLASS = re.compile(r"""\bclass\s*=\s*["']([^"'<>]*)""")
_SPACE = re.compile(r"[ \t\r\n]+")
_BLANK = re.compile(r"\n{3,}")
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}[:.]\d{2}")
_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")
_LINK = re.compile(r"""\b(?:src|href)\s*=\s*(?:"([^"<>:#/][^"<>:]{0,400})"|'([^'<>:#/][^'<>:]{0,400})')""")
_ENGLISH = re.compile(
    r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4}), (\d{1,2}):(\d{2}):(\d{2})\s*([AP]M)(?:\s+([A-Z]{1,5}))?", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(slots=True)
class Record:
    """One activity. All but the texts is HTML as it stands in the page."""

    product: str = ""
    prompt: str = ""
    time: str = ""
    """as the page shows it, in the language of the account; empty when no line looks like a time"""
    answer: str = ""
    others: list[str] = field(default_factory=list)
    """the cells that say something about the record"""

    @property
    def links(self) -> list[str]:
        """What the record points at inside the export."""
        found = (double or single for double, single in _LINK.findall(self.prompt + self.answer))
        return list(dict.fromkeys(unescape(link) for link in found))


def records(blocks: Iterable[bytes]) -> Iterator[Record | None]:
    """The records of a page; the last thing is None when the page is cut off. Raises `Unparsable` when it has no record
    at all."""
    rest = bytearray()
    begun, seen, tail = False, 0, b""
    for block in blocks:
        rest += block
        tail = (tail + block)[-256:]
        while (place := rest.find(CELL, seen)) >= 0:
            if begun:
                yield _record(bytes(rest[:place]))
            begun, seen = True, len(CELL)
            del rest[:place]
        seen = max(seen, len(rest) - len(CELL)) if begun else max(0, len(rest) - len(CELL))
        if not begun:
            del rest[:seen]
            seen = 0
        if len(rest) > MAX_CELL:
            raise Unparsable(f"a record is over the limit of {MAX_CELL} bytes")
    if not begun:
        raise Unparsable("no activity records in the page")
    yield _record(bytes(rest))
    if END not in tail.lower():
        yield None


def _record(raw: bytes) -> Record:
    found = Record()
    body: str | None = None
    for kind, text in _cells(raw.decode("utf-8", "replace")):
        if "header-cell" in kind:
            found.product = plain(text)
        elif body is None and "content-cell" in kind:
            body = text
        elif plain(text):
            found.others.append(text)
    _divide(found, body or "")
    return found


def _divide(found: Record, body: str) -> None:
    """Tell prompt, time and answer apart: the time is the first line that looks like one."""
    lines = _lines(body)
    for number, line in enumerate(lines):
        if number and _is_time(line):
            found.prompt, found.time = "<br>".join(lines[:number]), plain(line)
            found.answer = "<br>".join(lines[number + 1 :])
            return
    found.prompt = body


def _is_time(line: str) -> bool:
    if len(line) > 200 or "<" in line:
        return False
    text = unescape(line)
    return bool(_CLOCK.search(text) and _YEAR.search(text))


def _tokens(html: str) -> Iterator[tuple[str, str, str]]:
    """The tags and texts of HTML as (raw, name of the tag in lower case, "/" for an end tag); a text has no name.
    Unlike the standard library's parser it needs no more time for markup that never ends than for any other."""
    place, has_end = 0, True
    while (match := _MARK.search(html, place)) is not None:
        if match.start() > place:
            yield html[place : match.start()], "", ""
        place = match.end()
        if match[0] == "<!--":
            end = html.find("-->", place) if has_end else -1
            has_end = end >= 0
            place = end + 3 if has_end else place
        elif match[2]:
            yield match[0], match[2].lower(), match[1]
    if place < len(html):
        yield html[place:], "", ""


def _cells(html: str) -> list[tuple[str, str]]:
    """The header and content cells of a record: (class, inner HTML)."""
    cells: list[tuple[str, list[str]]] = []
    depth = 0
    for raw, name, end in _tokens(html):
        if not depth:
            kind = _CLASS.search(raw) if name == "div" and not end else None
            if kind is not None and ("header-cell" in kind[1] or "content-cell" in kind[1]):
                cells.append((kind[1], []))
                depth = 1
            continue
        if name == "div":
            depth += -1 if end else 1
        if depth:
            cells[-1][1].append(raw)
    return [(kind, "".join(inner)) for kind, inner in cells]


def _lines(html: str) -> list[str]:
    """HTML cut at the `<br>` that stand in no other element."""
    lines: list[list[str]] = [[]]
    depth = 0
    for raw, name, end in _tokens(html):
        if name == "br" and not depth:
            lines.append([])
            continue
        lines[-1].append(raw)
        if name and name not in _VOID:
            depth = max(0, depth + (-1 if end else 1))
    return ["".join(line) for line in lines]


def plain(html: str) -> str:
    """HTML as text: blocks on lines of their own, no more than one blank line between them."""
    found: list[str] = []
    inside = dict.fromkeys(("pre", "script", "style"), 0)
    for raw, name, end in _tokens(html):
        if not name:
            if not inside["script"] and not inside["style"]:
                text = unescape(raw)
                found.append(text if inside["pre"] else _SPACE.sub(" ", text))
            continue
        if name in inside:
            inside[name] = max(0, inside[name] + (-1 if end else 1))
        if name == "br" or name in _BLOCKS:
            found.append("\n")
        elif not end:
            found.append({"li": "\n- ", "td": "\t", "th": "\t"}.get(name, ""))
    lines = [line.rstrip() if line.strip() else "" for line in "".join(found).split("\n")]
    return _BLANK.sub("\n\n", "\n".join(lines)).strip()


def local_time(shown: str) -> tuple[str, bool] | None:
    """A time as an English page shows it, as `YYYY-MM-DDTHH:MM:SS`, and whether it is in UTC; None for any other."""
    match = _ENGLISH.fullmatch(re.sub(r"\s+", " ", shown))
    if match is None or match[1] not in _MONTHS:
        return None
    hour = int(match[4]) % 12 + (12 if match[7] == "PM" else 0)
    try:
        moment = datetime(int(match[3]), _MONTHS.index(match[1]) + 1, int(match[2]), hour, int(match[5]), int(match[6]))
    except ValueError:
        return None
    return moment.isoformat(), match[8] in ("UTC", "GMT", "Z")

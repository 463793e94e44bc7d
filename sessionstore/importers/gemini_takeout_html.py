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
from html.parser import HTMLParser

from sessionstore.importers.parsing import Unparsable

CELL = b'<div class="outer-cell'
END = b"</html>"
MAX_CELL = 64 << 20

_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_BLOCKS = frozenset(
    {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
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
    parser = _Cells()
    parser.feed(raw.decode("utf-8", "replace"))
    parser.close()
    found = Record()
    body: str | None = None
    for kind, text in parser.cells:
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
    lines = _Lines()
    lines.feed(body)
    lines.close()
    pieces = lines.pieces
    for number, piece in enumerate(pieces):
        if number and _is_time(piece):
            found.prompt, found.time = "<br>".join(pieces[:number]), plain(piece)
            found.answer = "<br>".join(pieces[number + 1 :])
            return
    found.prompt = body


def _is_time(piece: str) -> bool:
    text = unescape(piece).strip()
    return len(text) < 80 and "<" not in piece and bool(_CLOCK.search(text) and _YEAR.search(text))


class _Raw(HTMLParser):
    """Gives every piece of the source to `add` as it stands."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)

    def add(self, raw: str) -> None:
        raise NotImplementedError

    def handle_data(self, data: str) -> None:
        self.add(data)

    def handle_entityref(self, name: str) -> None:
        self.add(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.add(f"&#{name};")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.add(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            self.add(f"</{tag}>")


class _Cells(_Raw):
    """Collects the header and content cells of a record: (class, inner HTML)."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[tuple[str, str]] = []
        self._kind = ""
        self._depth = 0
        """how many `div`s are open inside the cell, itself included; 0 outside"""
        self._found: list[str] = []

    def add(self, raw: str) -> None:
        if self._depth:
            self._found.append(raw)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class") or ""
        if not self._depth:
            if tag == "div" and ("header-cell" in kind or "content-cell" in kind):
                self._depth, self._kind = 1, kind
            return
        super().handle_starttag(tag, attrs)
        self._depth += tag == "div"

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag == "div":
            self._depth -= 1
            if not self._depth:
                self._finish()
                return
        super().handle_endtag(tag)

    def close(self) -> None:
        super().close()
        if self._depth:
            self._finish()

    def _finish(self) -> None:
        self.cells.append((self._kind, "".join(self._found)))
        self._found, self._depth = [], 0


class _Lines(_Raw):
    """Cuts HTML at the `<br>` that stand in no other element."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[list[str]] = [[]]
        self._depth = 0

    @property
    def pieces(self) -> list[str]:
        """The HTML between the cuts."""
        return ["".join(piece) for piece in self._found]

    def add(self, raw: str) -> None:
        self._found[-1].append(raw)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br" and not self._depth:
            self._found.append([])
            return
        super().handle_starttag(tag, attrs)
        self._depth += tag not in _VOID

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        if tag not in _VOID:
            self._depth = max(0, self._depth - 1)


class _Text(HTMLParser):
    """The text of HTML as a person reads it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0
        self._pre = 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data if self._pre else re.sub(r"[ \t\r\n]+", " ", data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        self._pre += tag == "pre"
        if tag == "br" or tag in _BLOCKS:
            self.found.append("\n")
        elif tag == "li":
            self.found.append("\n- ")
        elif tag in ("td", "th"):
            self.found.append("\t")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in ("script", "style")))
        self._pre = max(0, self._pre - (tag == "pre"))
        if tag in _BLOCKS:
            self.found.append("\n")


def plain(html: str) -> str:
    """HTML as text: blocks on lines of their own, no more than one blank line between them."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = [line.strip(" \t") if not line.strip() else line.rstrip() for line in "".join(parser.found).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


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

"""`search -i`: a list of hits that follows what is typed, with a preview, which ends in showing, exporting or resuming.

Only the standard library's curses is used. What the keys do is `Picker.press`, what is on the screen `Picker.draw`.
"""

from __future__ import annotations

import curses
import os
import sqlite3
import sys
from typing import Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, note
from sessionstore.cli.output import age, one_line, when
from sessionstore.cli.search_commands import cells, one_line_keep
from sessionstore.index.hit import around
from sessionstore.index.language import LONGEST
from sessionstore.index.schema import SHIFT
from sessionstore.index.search import SORTS, search

HELP = "Enter show  ^E export  ^R resume  ^S sort  ^U clear  Esc leave"
LIMIT = 50
_PAUSE = 120
"""Milliseconds without a key after which the search is asked."""
_FORGIVEN = 3
"""A last word of so many letters stands for any word that begins so."""
_ESCAPE, _ENTER, _DELETE = "\x1b", ("\n", "\r"), ("\x7f", "\b")
_ENDINGS = {"\n": "show", "\r": "show", "\x05": "export", "\x12": "resume"}


class Picker:
    """What is typed, what was found, and which of it is chosen."""

    def __init__(self, connection: sqlite3.Connection, query: str, sort: str) -> None:
        self.connection, self.query, self.sort = connection, query[:LONGEST], sort
        self.hits: list[dict[str, Any]] = []
        self.chosen = self.top = 0
        self.message = ""
        self.stale = True
        self.action: str | None = None
        self._previewed: tuple[str, list[str]] = ("", [])

    @property
    def hit(self) -> dict[str, Any] | None:
        """The chosen hit."""
        return self.hits[self.chosen] if self.hits else None

    def ask(self) -> None:
        """Search for what is typed. A query that makes no sense yet leaves the hits as they are."""
        self.stale, self.message = False, ""
        if not self.query.strip():
            self.hits = []
            return
        try:
            self.hits = self._found()
        except errors.UsageError as error:
            self.message = str(error)
            return
        self.chosen = self.top = 0
        if not self.hits:
            self.message = "nothing found"

    def _found(self) -> list[dict[str, Any]]:
        last = self.query.split()[-1]
        if self.query[-1].isalnum() and last.isalnum() and len(last) >= _FORGIVEN:
            return search(self.connection, f"{self.query}*", LIMIT, sort=self.sort)
        return search(self.connection, self.query, LIMIT, sort=self.sort)

    def press(self, key: str | int, page: int) -> bool:
        """Take in a key; whether to go on."""
        steps: dict[str | int, int] = {"\x10": -1, "\x0e": 1, curses.KEY_UP: -1, curses.KEY_DOWN: 1}
        steps |= {curses.KEY_PPAGE: -page, curses.KEY_NPAGE: page}
        if key == _ESCAPE or key == "\x03":
            return False
        if key == curses.KEY_ENTER or key in _ENDINGS:
            if self.stale:
                self.ask()
            if self.hit is not None:
                self.action = _ENDINGS.get(str(key), "show")
                return False
        elif key in steps:
            self.chosen = max(0, min(len(self.hits) - 1, self.chosen + steps[key]))
        elif key in _DELETE or key == curses.KEY_BACKSPACE:
            self._type(self.query[:-1])
        elif key == "\x15":
            self._type("")
        elif key == "\x17":
            self._type(self.query.rstrip().rpartition(" ")[0])
        elif key == "\x13":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
            self.stale = True
        elif isinstance(key, str) and key.isprintable():
            self._type((self.query + key)[:LONGEST])
        return True

    def _type(self, query: str) -> None:
        self.query, self.stale = query, True

    # -- the screen -------------------------------------------------------------------------------------------------

    def draw(self, screen: curses.window) -> None:
        """Show everything."""
        height, columns = screen.getmaxyx()
        screen.erase()
        shown = self.query
        while cells(shown) > columns - 4 and shown:
            shown = shown[1:]
        listed = page_of(height)
        if self.chosen < self.top:
            self.top = self.chosen
        self.top = max(self.top, self.chosen - listed + 1)
        for row, hit in enumerate(self.hits[self.top : self.top + listed], 1):
            self._line(screen, row, hit, self.top + row - 1 == self.chosen, columns)
        self._preview(screen, listed + 1, height, columns)
        count = f"{len(self.hits)}{'+' if len(self.hits) == LIMIT else ''} hits"
        put(screen, height - 1, 0, f" {self.message or count}  ·  {self.sort}  ·  {HELP}", columns - 1, curses.A_DIM)
        put(screen, 0, 0, f"> {shown}", columns - 1, curses.A_BOLD)
        if height > 0 and columns > 3:
            screen.move(0, min(2 + cells(shown), columns - 1))
        screen.refresh()

    def _line(self, screen: curses.window, row: int, hit: dict[str, Any], chosen: bool, columns: int) -> None:
        look = curses.A_REVERSE if chosen else curses.A_NORMAL
        title = one_line(hit["title"] or hit["key"], max(10, columns // 4))
        begin = f"{when(hit['time'])[:10]:10} {one_line(hit['project'] or hit['source'], 14):14} {title}  "
        put(screen, row, 0, begin.ljust(columns) if chosen else begin, columns - 1, look)
        at, position = cells(begin), 0
        for start, end in [*hit["marks"], [len(hit["snippet"])] * 2]:
            for text, bold in ((hit["snippet"][position:start], 0), (hit["snippet"][start:end], curses.A_BOLD)):
                put(screen, row, at, text, columns - 1 - at, look | bold)
                at += cells(one_line_keep(text))
            position = end

    def _preview(self, screen: curses.window, row: int, height: int, columns: int) -> None:
        if self.hit is None or row >= height - 2:
            return
        put(screen, row, 0, "─" * columns, columns - 1, curses.A_DIM)
        for offset, line in enumerate(self._lines(self.hit, columns - 1)[: height - row - 2], 1):
            put(screen, row + offset, 0, line, columns - 1, curses.A_NORMAL)

    def _lines(self, hit: dict[str, Any], columns: int) -> list[str]:
        """The preview of a hit: where it is from, what was said, and what was said around it."""
        name = f"{hit['link']} {columns}"
        if self._previewed[0] != name:
            facts = [hit["key"], hit["project"], ", ".join(hit["models"]), when(hit["time"]), age(hit["time"])]
            lines = ["  ".join(one_line(str(fact), columns) for fact in facts if fact)]
            if hit["also_in"]:
                lines.append(f"also in {', '.join(hit['also_in'])}")
            self._previewed = name, [*lines, "", *self._conversation(hit, columns)]
        return self._previewed[1]

    def _conversation(self, hit: dict[str, Any], columns: int) -> list[str]:
        if hit["seq"] is None:
            return []
        sql = "SELECT id FROM sessions WHERE revision = ?"
        row = self.connection.execute(sql, (hit["revision"],)).fetchone()
        if row is None:
            return []
        beside = around(self.connection, row[0] << SHIFT | hit["seq"], 2)
        told = [*beside["before"], {"role": f"▶ {hit['role']}", "text": hit["snippet"]}, *beside["after"]]
        lines: list[str] = []
        for message in told:
            lines += wrapped(f"{message['role']}: {message['text']}", columns, 6)
        return lines


def page_of(height: int) -> int:
    """How many hits are listed on a screen of so many rows."""
    return max(1, (height - 3) * 3 // 5)


def wrapped(text: str, columns: int, most: int) -> list[str]:
    """Text in lines of at most `columns` cells, at most so many."""
    lines, line, taken = [], "", 0
    for character in one_line_keep(text):
        size = cells(character)
        if taken + size > max(1, columns):
            lines.append(line)
            line, taken = "", 0
        line, taken = line + character, taken + size
    return [*lines, line][:most]


def put(screen: curses.window, row: int, at: int, text: str, most: int, look: int) -> None:
    """Write text that fits into `most` cells, without control characters."""
    shown, taken = [], 0
    for character in one_line_keep(text):
        taken += cells(character)
        if taken > most:
            break
        shown.append(character)
    if shown:
        try:
            screen.addstr(row, at, "".join(shown), look)
        except curses.error:
            return  # The terminal has become smaller meanwhile.


def pick(app: App, query: str, sort: str) -> None:
    """Let a person choose a hit, and do with it what they say."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise errors.UsageError(reason="search -i needs a terminal; without -i the hits are printed")
    from sessionstore.cli.reading import reader

    store = app.store()
    os.environ.setdefault("ESCDELAY", "25")
    with reader(store) as connection:
        picker = Picker(connection, query, sort)
        try:
            curses.wrapper(_run, picker)
        except curses.error as error:
            raise errors.UsageError(reason=f"search -i cannot use this terminal ({error})") from None
    if picker.action is None or picker.hit is None:
        return
    revision = store.load_revision(picker.hit["revision"])
    _ENDED[picker.action](store, revision, picker.hit)


def _run(screen: curses.window, picker: Picker) -> None:
    curses.raw()
    curses.use_default_colors()
    picker.ask()
    while True:
        picker.draw(screen)
        screen.timeout(_PAUSE if picker.stale else -1)
        try:
            key = screen.get_wch()
        except curses.error:  # Nothing was typed for a while.
            picker.ask()
            continue
        if not picker.press(key, page_of(screen.getmaxyx()[0])):
            return


def _show(store: Any, revision: dict[str, Any], hit: dict[str, Any]) -> None:
    from sessionstore.cli.conversation import render
    from sessionstore.cli.read_commands import around_spot

    messages = store.messages(revision)
    spot = hit["message"] or ""
    if spot:
        messages = around_spot(messages, spot, 3, hit["key"])
    for piece in render(revision, messages, everything=bool(spot), spot=spot):
        click.echo(piece)
    note(f"all of it: sessionstore show {hit['key']}")


def _export(store: Any, revision: dict[str, Any], hit: dict[str, Any]) -> None:
    from sessionstore.cli.exporting import Request, export
    from sessionstore.exporters import form
    from sessionstore.layout import slug

    place = f"{slug(hit['key'])}{form('markdown').suffix}"
    export(store, [revision], Request("markdown", place))
    note(f"wrote {place}")


def _resume(_: Any, revision: dict[str, Any], __: dict[str, Any]) -> None:
    from sessionstore.cli.resume import resume

    resume(revision)


_ENDED = {"show": _show, "export": _export, "resume": _resume}

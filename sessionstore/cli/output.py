"""How things look on a terminal: sizes, times, numbers, tables, progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click


def size(number: float) -> str:
    """Bytes in a readable unit, decimal: 1.2 kB, 34 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError


def number(value: int) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}"


def when(time_text: str | None) -> str:
    """A time for a list: date and minutes, or a dash when it is unknown."""
    return time_text[:16].replace("T", " ") if time_text else "-"


def age(time_text: str | None, now: datetime | None = None) -> str:
    """How long ago a time was, roughly: 5 minutes ago, 3 days ago; "" when that cannot be told."""
    try:
        then = datetime.fromisoformat(time_text or "")
    except ValueError:
        return ""
    if then.tzinfo is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 60:
        return "just now" if seconds > -60 else ""
    for unit, length in (("year", 365), ("month", 30), ("week", 7), ("day", 1), ("hour", 1 / 24), ("minute", 1 / 1440)):
        if (count := int(seconds / 86400 / length)) >= 1:
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return ""


def one_line(text: str | None, width: int) -> str:
    """Text on one line of at most `width` characters, without control characters."""
    plain = " ".join((text or "").split())
    plain = "".join(character if character.isprintable() else "�" for character in plain)
    return plain if len(plain) <= width else plain[: max(0, width - 1)] + "…"


def safe(text: str) -> str:
    """Text for a terminal: control characters but for line feed and tab are shown, not obeyed."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def width() -> int:
    """Columns of the terminal."""
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def table(rows: Iterable[Sequence[str]], heads: Sequence[str], right: Iterable[int] = ()) -> None:
    """Aligned columns with a heading; the columns numbered in `right` are right-aligned. The last one is cut to the
    terminal's width."""
    listed = [list(row) for row in rows]
    if not listed:
        return
    widths = [max(len(row[i]) for row in [list(heads), *listed]) for i in range(len(heads))]
    last = max(20, width() - sum(widths[:-1]) - 2 * (len(widths) - 1))
    rights = set(right)

    def shown(row: Sequence[str]) -> str:
        cells = [
            one_line(cell, last)
            if i == len(row) - 1
            else cell.rjust(widths[i])
            if i in rights
            else cell.ljust(widths[i])
            for i, cell in enumerate(row)
        ]
        return "  ".join(cells).rstrip()

    click.secho(shown(heads), bold=True)
    for row in listed:
        click.echo(shown(row))


class Progress:
    """A progress bar on stderr with rate and remaining time, when stderr is a terminal; else nothing."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.active = sys.stderr.isatty()
        self.files = self.done_files = self.size = self.done = 0
        self.began = time.monotonic()

    def waiting(self) -> None:
        """Say that another process has to finish first."""
        click.echo(f"sessionstore: waiting for another {self.label} of this store to finish", err=True)

    def start(self, files: int, size_total: int) -> None:
        """So much will be done."""
        self.files, self.size, self.began = files, size_total, time.monotonic()
        self._draw()

    def advance(self, files: int, size_done: int) -> None:
        """So much more has been done."""
        self.done_files += files
        self.done += size_done
        self._draw()

    def _draw(self) -> None:
        if not self.active or not self.files:
            return
        share = self.done / self.size if self.size else 1.0
        elapsed = max(time.monotonic() - self.began, 1e-6)
        rate = self.done / elapsed
        left = (self.size - self.done) / rate if rate else 0
        bar = ("█" * round(share * 24)).ljust(24, "·")
        eta = f"{int(left) // 60}:{int(left) % 60:02d} left" if self.done else "starting"
        text = f"{self.label} {bar} {share:4.0%}  {self.done_files}/{self.files} files  {size(rate)}/s  {eta}"
        click.echo(f"\r\x1b[K{text[: width() - 1]}", nl=False, err=True)

    def finish(self) -> None:
        """Remove the bar."""
        if self.active and self.files:
            click.echo("\r\x1b[K", nl=False, err=True)

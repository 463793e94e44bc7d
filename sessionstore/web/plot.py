"""Activity over time as a bar chart: inline SVG, without styles or scripts of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 140
_MOST_BARS = 120


class Bar(NamedTuple):
    """One bar: its label, the first day and the day after the last, sessions and messages."""

    label: str
    first: str
    end: str
    sessions: int
    messages: int


def bars(days: Mapping[str, tuple[int, int]]) -> list[Bar]:
    """Bars for `days` (``YYYY-MM-DD`` to sessions and messages): by day, week, month or year, so that there are at
    most `_MOST_BARS`. Days that are no dates are left out."""
    known: dict[date, tuple[int, int]] = {}
    for text, pair in days.items():
        try:
            known[date.fromisoformat(text)] = pair
        except ValueError:
            continue
    if not known:
        return []
    first, last = min(known), max(known)
    span = (last - first).days
    step = "day" if span < 45 else "week" if span < 7 * 80 else "month" if span < 31 * _MOST_BARS else "year"
    sums: dict[date, list[int]] = {}
    at = _start(first, step)
    while at <= last and len(sums) < 4 * _MOST_BARS:
        sums[at] = [0, 0]
        at = _next(at, step)
    for day, (sessions, messages) in known.items():
        total = sums.setdefault(_start(day, step), [0, 0])
        total[0] += sessions
        total[1] += messages
    return [
        Bar(_label(start, step), start.isoformat(), _next(start, step).isoformat(), *pair)
        for start, pair in sorted(sums.items())
    ]


def _start(day: date, step: str) -> date:
    if step == "week":
        return day - timedelta(days=day.weekday()) if day.toordinal() > 7 else day
    if step == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if step == "year" else day


def _next(day: date, step: str) -> date:
    try:
        if step in ("day", "week"):
            return day + timedelta(days=1 if step == "day" else 7)
        if step == "month":
            return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)
        return day.replace(year=day.year + 1)
    except (OverflowError, ValueError):
        return date.max


def _label(day: date, step: str) -> str:
    if step == "month":
        return day.isoformat()[:7]
    return f"{day.year}" if step == "year" else f"week of {day}" if step == "week" else day.isoformat()


def svg(found: list[Bar], search: str) -> str:
    """The chart; each bar links to a search (`search` is its address) for what was said in its time."""
    if not found:
        return ""
    highest = max(bar.messages for bar in found) or 1
    width = WIDTH / len(found)
    pieces = []
    for number, bar in enumerate(found):
        height = max(2.0 if bar.messages else 0.0, bar.messages / highest * (HEIGHT - 10))
        words = f"{bar.label}: {bar.messages:,} messages, {bar.sessions:,} sessions"
        if not bar.messages:
            continue
        pieces.append(
            f'<a href="{escape(search)}?q=after%3A{bar.first}+before%3A{bar.end}" aria-label="{escape(words)}">'
            f"<title>{escape(words)}</title>"
            f'<rect class="back" x="{number * width:.1f}" y="0" width="{width:.1f}" height="{HEIGHT}"/>'
            f'<rect class="bar" x="{number * width + width * 0.1:.1f}" y="{HEIGHT - height:.1f}"'
            f' width="{max(1.0, width * 0.8):.1f}" height="{height:.1f}"/></a>'
        )
    pieces.append(f'<line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>')
    ends = [found[0].label] if len(found) == 1 else [found[0].label, found[-1].label]
    labels = "".join(f"<span>{escape(label)}</span>" for label in ends)
    top = f'<p class="ends"><span>{highest:,} messages</span></p>'
    return top + (
        f'<svg class="activity" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="group" '
        f'aria-label="Messages over time">{"".join(pieces)}</svg><p class="ends">{labels}</p>'
    )

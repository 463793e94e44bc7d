"""Dates as they are typed in a search: `2026`, `2026-01`, `2026-01-31`, `2026-01-31T10:30`, `today`, `yesterday`,
and spans back from now: `12h`, `7d`, `2w`, `3m`, `1y`. Two with dots between are all from the first to the second,
both included: `2026-01..2026-03`; one of them may be left out.

A day is a day of the person who asks. What comes back is in UTC, as texts that compare with the index's times.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[t ](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?")
_SPAN = re.compile(r"(\d{1,6})([hdwmy])")
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


EARLIEST, LATEST = "0000", "9999-12-31T23:59:59"


def span(typed: str, now: datetime | None = None) -> tuple[str, str]:
    """When what is typed begins and when it is over. A span back from now begins then and lasts until now.
    `now` tells the time zone as well; by default it is the local time. Raises `ValueError`."""
    moment = now or datetime.now().astimezone()
    if ".." in typed:
        return _range(typed, moment)
    try:
        first, last = _local(typed.strip().lower(), moment)
        return _utc(first), _utc(last)
    except (OverflowError, OSError):
        raise ValueError(f"{typed!r} is out of range") from None


def _range(typed: str, now: datetime) -> tuple[str, str]:
    begin, _, end = typed.partition("..")
    if not begin.strip() and not end.strip():
        raise ValueError(f"{typed!r} is not a range of dates; try 2026-01..2026-03")
    first = span(begin, now)[0] if begin.strip() else EARLIEST
    last = span(end, now)[1] if end.strip() else LATEST
    if last <= first:
        raise ValueError(f"{typed!r} ends before it begins")
    return first, last


def _local(typed: str, now: datetime) -> tuple[datetime, datetime]:
    if back := _SPAN.fullmatch(typed):
        number, unit = int(back[1]), back[2]
        return now - (timedelta(hours=number) if unit == "h" else timedelta(days=number * _DAYS[unit])), now
    if typed in ("today", "yesterday"):
        day = now.date() - timedelta(days=typed == "yesterday")
        return _start(now, day.year, day.month, day.day), _next_day(now, day)
    found = _DATE.fullmatch(typed)
    if not found:
        raise ValueError(f"{typed!r} is not a date; try 2026-01, 2026-01-31, 7d or yesterday")
    year, month, day_, hour, minute, second = (int(part) if part else None for part in found.groups())
    first = _start(now, year or 0, month or 1, day_ or 1, hour or 0, minute or 0, second or 0)
    if hour is not None:
        return first, first + timedelta(seconds=60 if second is None else 1)
    if day_ is not None:
        return first, _next_day(now, first.date())
    if month is not None:
        return first, _start(now, first.year + month // 12, month % 12 + 1, 1)
    return first, _start(now, first.year + 1, 1, 1)


def _next_day(now: datetime, day: date) -> datetime:
    following = day + timedelta(days=1)
    return _start(now, following.year, following.month, following.day)


def _start(now: datetime, *parts: int) -> datetime:
    """A local time in the zone of `now`; the machine's own zone is asked anew, as its offset changes with the date."""
    if now.tzinfo is not None and now.tzinfo != now.astimezone().tzinfo:
        return datetime(*parts, tzinfo=now.tzinfo)  # type: ignore[misc,arg-type]
    return datetime(*parts).astimezone()  # type: ignore[arg-type]


def _utc(moment: datetime) -> str:
    """Without a closing "Z", so that it sorts before every time of the same second, with or without a fraction."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")

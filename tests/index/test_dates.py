"""Dates as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.index.dates import span

NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("2026", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-02", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        ("2026-01-31", "2026-01-31T00:00:00", "2026-02-01T00:00:00"),
        ("2026-01-31T10:30", "2026-01-31T10:30:00", "2026-01-31T10:31:00"),
        ("2026-01-31T10:30:05", "2026-01-31T10:30:05", "2026-01-31T10:30:06"),
        ("today", "2026-03-15T00:00:00", "2026-03-16T00:00:00"),
        ("Yesterday", "2026-03-14T00:00:00", "2026-03-15T00:00:00"),
        ("7d", "2026-03-08T12:30:00", "2026-03-15T12:30:00"),
        ("12h", "2026-03-15T00:30:00", "2026-03-15T12:30:00"),
        ("2w", "2026-03-01T12:30:00", "2026-03-15T12:30:00"),
    ],
)
def test_a_date_is_the_time_from_its_beginning_to_its_end(typed: str, first: str, last: str) -> None:
    assert span(typed, NOW) == (first, last)


@pytest.mark.parametrize(
    "typed", ["", "x", "2026-13", "2026-02-30", "20260131", "d7", "9999999d", "999999d", "0000", "7"]
)
def test_what_is_no_date_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        span(typed, NOW)


def test_a_day_is_a_day_where_the_person_is() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert span("2026-01-31", east)[0] == "2026-01-30T15:00:00"


def test_a_day_has_23_hours_when_the_clock_is_put_forward() -> None:
    first, last = span("2026-03-29", NOW.astimezone(ZoneInfo("Europe/Berlin")))
    assert (first, last) == ("2026-03-28T23:00:00", "2026-03-29T22:00:00")


def test_times_of_the_same_second_come_after_its_beginning() -> None:
    first, _ = span("2026-01-31", NOW)
    assert first < "2026-01-31T00:00:00.000Z"
    assert first < "2026-01-31T00:00:00Z"


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,7}[hdwmy-]{0,2}[0-9]{0,3}", fullmatch=True))
def test_anything_typed_is_a_date_or_refused(typed: str) -> None:
    try:
        first, last = span(typed, NOW)
    except ValueError:
        return
    assert first <= last


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2026-01..2026-03", ("2026-01-01T00:00:00", "2026-04-01T00:00:00")),
        ("2026-01-05..2026-01-05", ("2026-01-05T00:00:00", "2026-01-06T00:00:00")),
        ("2025..", ("2025-01-01T00:00:00", "9999-12-31T23:59:59")),
        ("..2025", ("0000", "2026-01-01T00:00:00")),
        ("7d..yesterday", ("2026-03-08T12:00:00", "2026-03-15T00:00:00")),
    ],
)
def test_a_range_lasts_from_the_beginning_of_one_to_the_end_of_the_other(typed: str, expected: tuple[str, str]) -> None:
    assert span(typed, datetime(2026, 3, 15, 12, tzinfo=UTC)) == expected


@pytest.mark.parametrize("typed", ["..", "2026..2025", "2026..soon", "1..2..3"])
def test_a_range_that_makes_no_sense_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        span(typed, datetime(2026, 3, 15, 12, tzinfo=UTC))

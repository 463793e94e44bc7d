"""Times that programs write as a number since 1970, as RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_START = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253402300800_000
"""The first millisecond that has no four-digit year."""


def millis(value: Any) -> str | None:
    """Milliseconds since 1970 as a time in UTC; None for what is no such number (or 0, which programs write for
    "unknown")."""
    if type(value) not in (int, float) or not 0 < value < _LAST:
        return None
    time = _START + timedelta(milliseconds=int(value))
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"

"""Trying again: what may succeed later is asked again, never before the provider wants it, and not for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sessionstore.errors import ProviderError

T = TypeVar("T")
FIRST, LONGEST = 0.5, 8.0
"""Seconds before the first try after a failure, and at most, when the provider says nothing; doubled each time."""


def insist(
    call: Callable[[], T],
    retries: int,
    patience: float,
    sleep: Callable[[float], None],
    tell: Callable[[ProviderError, float], None],
) -> T:
    """What `call` gives, asked again at most `retries` times. Raises its last `ProviderError`, at once when the
    provider wants a longer wait than `patience` seconds."""
    for attempt in range(retries + 1):
        try:
            return call()
        except ProviderError as error:
            seconds = wait(error, attempt)
            if not error.again or attempt == retries or seconds > patience:
                raise
            tell(error, seconds)
        sleep(seconds)
    raise AssertionError("unreachable")


async def insist_async(
    call: Callable[[], Awaitable[T]],
    retries: int,
    patience: float,
    tell: Callable[[ProviderError, float], None],
) -> T:
    """The same in an event loop."""
    for attempt in range(retries + 1):
        try:
            return await call()
        except ProviderError as error:
            seconds = wait(error, attempt)
            if not error.again or attempt == retries or seconds > patience:
                raise
            tell(error, seconds)
        await asyncio.sleep(seconds)
    raise AssertionError("unreachable")


def wait(error: ProviderError, attempt: int) -> float:
    """Seconds to wait after failure number `attempt` (0-based): what the provider says, else longer each time, with a
    little chance in it so that many clients do not come back together."""
    if error.retry_after is not None:
        return error.retry_after + random.uniform(0.01, 0.05)
    return min(FIRST * 2.0**attempt, LONGEST) * random.uniform(0.75, 1.0)

"""The servers that the adapters are tested against: one that others wrote and one that says exactly what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.mocked import Mocked
from tests.adapters.server import Server


@pytest.fixture(scope="session")
def mocked_server() -> Iterator[Mocked]:
    """LLMock, which speaks the interfaces of all providers and can break them."""
    with Mocked() as running:
        yield running


@pytest.fixture
def mocked(mocked_server: Mocked) -> Iterator[Mocked]:
    """LLMock without anything from the test before."""
    yield mocked_server
    mocked_server.reset()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that gives the replies it is told to."""
    running = Server()
    yield running
    running.close()

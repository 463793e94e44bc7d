"""No trace outlives a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionstore import tracing
from tests.chat.conftest import mocked as mocked
from tests.chat.conftest import mocked_server as mocked_server
from tests.chat.conftest import sessions as sessions
from tests.chat.conftest import talk as talk


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    assert not tracing.active()

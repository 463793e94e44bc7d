"""Sessions and providers for tests of the chat core: a real store, and the servers of the adapters' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.chat import Chat
from sessionstore.manager import SessionManager
from tests.adapters.conftest import mocked as mocked
from tests.adapters.conftest import mocked_server as mocked_server
from tests.adapters.conftest import server as server
from tests.adapters.mocked import MODELS, Mocked


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[SessionManager]:
    """The sessions of a new store."""
    with SessionManager(tmp_path / "store") as manager:
        yield manager


@pytest.fixture
def talk(sessions: SessionManager, mocked: Mocked) -> Iterator[Chat]:
    """A chat whose providers are LLMock."""
    with Chat(sessions, {name: mocked.settings(name) for name in MODELS}) as made:
        yield made


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[str], list[dict[str, object]]]:
    """What another process would see of a session: its messages, from the files."""

    def read(key: str) -> list[dict[str, object]]:
        with SessionManager(tmp_path / "store", index=False) as manager:
            return list(manager.get(key).messages())

    return read

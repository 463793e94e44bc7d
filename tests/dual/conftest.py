"""Stores with legacy files beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.dual import Legacy, mirrors
from sessionstore.flags import FORMATS, Flags, Place
from sessionstore.manager import SessionManager

DUAL, LEADS = Flags(dual_write=True), Flags(legacy=True)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone that is not UTC, so that local times show."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Pair:
    """A manager and the legacy files beside it."""

    def __init__(self, root: Path, format: str, flags: Flags) -> None:
        self.root, self.format, self.flags = root, format, flags
        self.place = Place(format, str(root / FORMATS[format]))
        self.legacy = Legacy(self.place, flags)
        self.manager = SessionManager(root / "store", mirrors=mirrors(flags, [self.place]))

    def path(self, ident: str) -> Path:
        return Path(self.legacy.path_of(ident))

    def again(self, flags: Flags | None = None) -> Pair:
        """Another process's view of the same."""
        self.manager.close()
        return Pair(self.root, self.format, flags or self.flags)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Makes pairs: `pair("kimi")`, `pair("llm-sessions", flags)`."""
    made: list[Pair] = []

    def make(format: str, flags: Flags = DUAL) -> Pair:
        made.append(Pair(tmp_path, format, flags))
        return made[-1]

    yield make
    for one in made:
        one.manager.close()

"""Stores for tests of the command line: one is imported once and copied, so that a test costs only what it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.running import LEGACY, Program, ok


def _program(place: Path) -> Program:
    home, cwd = place / "home", place / "home" / "work"
    cwd.mkdir(parents=True)
    return Program(home, cwd, place / "store")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program where nothing is yet."""
    return _program(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program with the fixtures imported, for tests that only read."""
    place = tmp_path_factory.mktemp("shared")
    shutil.copytree(LEGACY, place / "legacy", symlinks=True)
    made = _program(place)
    ok(made("migrate", place / "legacy"))
    return made


@pytest.fixture
def imported(shared: Program, program: Program) -> Program:
    """The program with the fixtures imported into a store of its own."""
    assert shared.store is not None
    assert program.store is not None
    shutil.copytree(shared.store, program.store, symlinks=True)
    return program

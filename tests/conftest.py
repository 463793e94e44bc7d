"""What all tests share: the real samples where they are, --all, small stores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from sessionstore.store import Store
from tests.faults import crashpoints, disks
from tests.web import serving

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the long matrices whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without samples on this machine, the tests that read them do not exist here; with them, all run."""
    if not os.environ.get("SESSIONSTORE_SAMPLES"):
        _deselect(config, items, [item for item in items if item.get_closest_marker("samples")])
    if not config.getoption("--all"):
        _deselect(config, items, [item for item in items if item.get_closest_marker("slow")])
    checks = (("strace", crashpoints.strace_works), ("mount", disks.mounts_work), ("browser", serving.browser_works))
    for marker, works in checks:
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not works():
            _deselect(config, items, marked)


def _deselect(config: pytest.Config, items: list[pytest.Item], unwanted: Sequence[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=list(unwanted))
    items[:] = [item for item in items if item not in set(unwanted)]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The directory of real captured files of foreign formats."""
    return Path(os.environ["SESSIONSTORE_SAMPLES"]).resolve()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new, empty store."""
    return Store.init(tmp_path / "store")

"""What other packages offer is found wherever Python finds packages, and costs nothing when there is nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sessionstore import plugins

GROUP = "sessionstore.testing"
ENTRIES = f"[console_scripts]\nship = ship:main\n\n[{GROUP}]\nship = ship:Ship\n"


def offered() -> list[tuple[str, str]]:
    return [(point.name, point.value) for point in plugins.offered(GROUP)]


@pytest.mark.parametrize("described", ["ship-1.0.dist-info", "ship.egg-info"])
def test_packages_in_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert offered() == []
    metadata = tmp_path / described
    metadata.mkdir()
    assert offered() == []
    (metadata / ("PKG-INFO" if described.endswith("egg-info") else "METADATA")).write_text("Name: ship\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRIES.replace(GROUP, "another.group"))
    assert offered() == []
    (metadata / "entry_points.txt").write_text(ENTRIES)
    assert offered() == [("ship", "ship:Ship")]


def test_packages_in_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "ship.zip", "w") as archive:
        archive.writestr("ship-1.0.dist-info/METADATA", "Name: ship\nVersion: 1.0\n")
        archive.writestr("ship-1.0.dist-info/entry_points.txt", ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path / "ship.zip"))
    assert offered() == [("ship", "ship:Ship")]


def test_packages_that_another_finder_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import Distribution, DistributionFinder

    class Described(Distribution):
        def read_text(self, filename: str) -> str | None:
            return {"METADATA": "Name: ship\nVersion: 1.0\n", "entry_points.txt": ENTRIES}.get(filename)

        def locate_file(self, path: object) -> Path:
            return Path(str(path))

    class Finder(DistributionFinder):
        def find_spec(self, *_: object) -> None:
            return None

        def find_distributions(self, *_: object) -> list[Distribution]:  # type: ignore[override]
            return [Described()]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert offered() == [("ship", "ship:Ship")]


def test_where_nobody_offers_anything_nothing_is_loaded() -> None:
    code = (
        "import sys; from sessionstore.plugins import offered\n"
        "print(list(offered('no.such.group')), 'importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"

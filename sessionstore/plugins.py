"""What other packages bring: importers and adapters, by entry point.

`importlib.metadata` takes longer to load than all importers together, so it is asked only where an installed package
states that it has something to bring.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_METADATA = (".dist-info", ".egg-info")
"""Endings of the directories in which installed packages are described (PyPA, core metadata: recording installed
projects)."""


def offered(group: str) -> Iterator[EntryPoint]:
    """The entry points of a group."""
    if _is_stated(group):
        from importlib.metadata import entry_points

        yield from entry_points(group=group)


def _is_stated(group: str) -> bool:
    """Whether an installed package may have entry points of a group: one that lies in a directory has a file that names
    it. What lies in archives, or is found by finders of other programs, cannot be told from here."""
    if any(finder is not PathFinder and hasattr(finder, "find_distributions") for finder in sys.meta_path):
        return True
    for place in sys.path:
        if os.path.isfile(place):
            return True
        try:
            with os.scandir(place or ".") as entries:
                described = [entry.path for entry in entries if entry.name.endswith(_METADATA)]
        except OSError:
            continue
        for directory in described:
            try:
                with open(f"{directory}/entry_points.txt", "rb") as file:
                    if group.encode() in file.read():
                        return True
            except OSError:
                continue
    return False

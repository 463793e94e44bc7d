"""The style sheet and the script that come with the pages, under names that change with their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@lru_cache(maxsize=1)
def all_assets() -> dict[str, tuple[bytes, str, str]]:
    """Content, media type and digest of every asset, by file name."""
    found = {}
    for entry in files("sessionstore.web").joinpath("static").iterdir():
        ending = entry.name.rpartition(".")[2]
        if ending in _KINDS:
            data = entry.read_bytes()
            found[entry.name] = (data, _KINDS[ending], hashlib.sha256(data).hexdigest()[:12])
    return found


def version(name: str) -> str:
    """The digest that stands in an asset's address."""
    return all_assets()[name][2]

"""Writing a session in another form. An exporter is a pure function of the revision and its messages.

    exporter(revision, messages) -> pieces of text

`NAMES` are the values of `export --to`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from sessionstore import errors

Exporter = Callable[[dict[str, Any], Iterable[dict[str, Any]]], Iterator[str]]

_MODULES = {"jsonl": "sessionstore.exporters.jsonl", "markdown": "sessionstore.exporters.markdown"}
NAMES = tuple(_MODULES)


def exporter(name: str) -> Exporter:
    """The exporter of that name. Raises `UsageError`."""
    if name not in _MODULES:
        raise errors.UsageError(reason=f"cannot export to {name!r}; known: {', '.join(NAMES)}")
    export: Exporter = import_module(_MODULES[name]).export
    return export


def suffix(name: str) -> str:
    """The file-name ending of what an exporter writes."""
    return {"markdown": ".md"}.get(name, f".{name}")

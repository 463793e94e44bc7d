"""What the importers of editors share: the folder of a workspace from the URI that the editor knows it by."""

from __future__ import annotations

import re
from typing import Any

from sessionstore.importers.base import Draft, Source
from sessionstore.importers.parsing import Unparsable

_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>/[^?#]*)", re.IGNORECASE)
_ESCAPED = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)
_DRIVE = re.compile(r"/[a-z]:(/|$)", re.IGNORECASE)
_LOCAL = ("file", "vscode-remote")


def folder_of(uri: Any) -> str | None:
    """The directory that a `file:` or `vscode-remote:` URI names, as its own machine writes it."""
    match = _URI.fullmatch(uri) if isinstance(uri, str) else None
    if match is None or match["scheme"].lower() not in _LOCAL:
        return None
    path = _ESCAPED.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "replace"), match["path"])
    if _DRIVE.match(path):
        return path[1:]
    host = _ESCAPED.sub("", match["host"])
    return f"//{host}{path}" if host and match["scheme"].lower() == "file" else path


def place(draft: Draft, folder: str | None) -> None:
    """State where a session took place, unless that is known already."""
    if folder and draft.cwd is None:
        draft.cwd = folder
        draft.project = folder.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or None


def workspace(source: Source, name: str) -> dict[str, Any]:
    """The editor's description of the workspace that a source belongs to, {} without one that can be read."""
    beside = source.companions.get(name)
    if beside is None:
        return {}
    try:
        value = beside.document()[0]
    except Unparsable:
        return {}
    return value if isinstance(value, dict) else {}

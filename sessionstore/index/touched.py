"""Which files a tool call touches, and what it does to them: read, write, edit, delete or search. Pure.

Every coding agent names the argument that holds a path in its own way, and the tools; both are told by a few words.
A patch in the form of `apply_patch` names its files itself.
"""

from __future__ import annotations

import re
from typing import Any

_PATHS = {
    "file_path", "filepath", "filePath", "path", "paths", "file", "files", "filename", "fileName", "notebook_path",
    "target_file", "targetFile", "TargetFile", "AbsolutePath", "absolute_path", "relative_path",
    "relative_workspace_path", "old_path", "new_path",
}  # fmt: skip
_MOST, _LONGEST = 100, 1000
_PATCH = "*** Begin Patch"
_PATCHED = re.compile(r"^\*\*\* (Add|Update|Delete|Move to)(?: File)?: (.+?)\r?$", re.MULTILINE)
_DONE = {"Add": "write", "Update": "edit", "Delete": "delete", "Move to": "write"}
_VERBS = (
    ("search", ("grep", "glob", "search", "find", "list", "ls", "tree")),
    ("delete", ("delete", "remove", "unlink")),
    ("edit", ("edit", "replace", "patch", "update", "insert", "modify", "append")),
    ("write", ("write", "create", "save", "move", "rename", "copy", "upload")),
    ("read", ("read", "view", "open", "cat", "show", "load", "get", "fetch", "download")),
)


def files(tool: str, arguments: Any) -> list[tuple[str, str]]:
    """The paths in a tool's arguments, each once, with what is done to it ("" when the tool's name does not tell)."""
    if type(arguments) is dict:
        if not _PATHS.isdisjoint(arguments):
            return _named(tool, arguments)
        for _, value in sorted(arguments.items()):
            if type(value) is str:
                if _PATCH in value:
                    return _patched(value)
            elif type(value) is list:
                for item in value:
                    if type(item) is str and _PATCH in item:
                        return _patched(item)
    elif type(arguments) is str and _PATCH in arguments:
        return _patched(arguments)
    return []


def _named(tool: str, arguments: dict[Any, Any]) -> list[tuple[str, str]]:
    found: dict[str, None] = {}
    for name in sorted(_PATHS.intersection(arguments)):
        value = arguments[name]
        for item in value if type(value) is list else [value]:
            path = item.get("path") or item.get("file_path") if type(item) is dict else item
            if type(path) is str and path and len(path) <= _LONGEST and "\n" not in path:
                found[path] = None
    action = _action(tool, arguments) if found else ""
    return [(path, action) for path in list(found)[:_MOST]]


def _action(tool: str, arguments: dict[Any, Any]) -> str:
    command = arguments.get("command")  # text editors that are one tool: view, create, str_replace
    for name in (command.lower() if type(command) is str and " " not in command else "", tool.lower()):
        for action, words in _VERBS:
            if any(word in name for word in words):
                return action
    return ""


def _patched(text: str) -> list[tuple[str, str]]:
    found = {path.strip()[:_LONGEST]: _DONE[verb] for verb, path in _PATCHED.findall(text)}
    return list(found.items())[:_MOST]

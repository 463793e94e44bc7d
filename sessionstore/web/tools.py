"""What a tool was asked and what it answered, for reading: commands, edits as differences, JSON, terminal output."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from html import escape
from typing import Any

import orjson

from sessionstore.exporters.text import arguments_text, response_text
from sessionstore.web import terminal
from sessionstore.web.markup import code

MOST_SHOWN = 20_000
"""Characters of one part that stand in a page; the rest is a link away."""
_COMPARED = 50_000
"""Longer texts are not compared line by line."""
_DIFF = re.compile(r"^(?:diff --git |--- [^\n]*\n\+\+\+ |@@ -\d|\*\*\* (?:Begin Patch|Update File))", re.MULTILINE)
_PATCHED = re.compile(r"^(?:\*\*\* (Add|Update|Delete) File: |\+\+\+ b/)(\S[^\n\t]{0,300})", re.MULTILINE)
"""What a patch does to which file."""
_LANGUAGES = {
    "py": "python",
    "js": "javascript",
    "ts": "typescript",
    "tsx": "tsx",
    "jsx": "jsx",
    "rs": "rust",
    "go": "go",
    "md": "markdown",
    "json": "json",
    "toml": "toml",
    "yaml": "yaml",
    "yml": "yaml",
    "sh": "bash",
    "html": "html",
    "css": "css",
    "sql": "sql",
    "c": "c",
    "h": "c",
    "cpp": "cpp",
    "java": "java",
    "rb": "ruby",
    "swift": "swift",
}
_SUMMARISED = ("description", "command", "cmd", "file_path", "path", "pattern", "query", "url", "prompt", "name")


def loaded(arguments: Any) -> Any:
    """A call's arguments; a string that is JSON as what it says."""
    if isinstance(arguments, str):
        try:
            return orjson.loads(arguments)
        except ValueError:
            return arguments
    return arguments


def summary(arguments: Any) -> str:
    """What a call is about, on one line of at most 100 characters."""
    if isinstance(arguments, dict):
        told = next((arguments[name] for name in _SUMMARISED if arguments.get(name)), "")
        if isinstance(told, list):
            told = _words(told)
    else:
        told = arguments if isinstance(arguments, str) else ""
    if isinstance(told, str) and (files := _PATCHED.findall(told[:20_000])):
        told = ", ".join(f"{(what or 'Edit').lower()} {path}" for what, path in dict.fromkeys(files))
    return terminal.one_line(str(told), 100)


def _words(command: list[Any]) -> str:
    """A command's words; of ``bash -lc LINE`` the line."""
    if len(command) == 3 and command[1] in ("-c", "-lc"):
        return str(command[2])
    return " ".join(map(str, command))


def call(name: str, arguments: Any) -> str:
    """A call's arguments as HTML."""
    if isinstance(arguments, dict):
        for shape in (_command, _edit, _edits, _written):
            if (found := shape(arguments)) is not None:
                rest, html = found
                return html + (_json(rest) if rest else "")
        if len(arguments) == 1 and isinstance(text := next(iter(arguments.values())), str) and _DIFF.search(text):
            return _difference_lines(text)
    if isinstance(arguments, str):
        return _difference_lines(arguments) if _DIFF.search(arguments) else _text(arguments)
    return _json(arguments)


def result(response: Any) -> str:
    """What a tool gave back, as HTML. Text of more than `MOST_SHOWN` characters is cut."""
    text = response_text(response)
    shown = text[:MOST_SHOWN]
    if _DIFF.search(shown[:4000]):
        return _difference_lines(shown)
    start = shown.lstrip()[:1]
    if start in ("{", "[") and len(text) <= MOST_SHOWN:
        try:
            return _json(orjson.loads(text))
        except ValueError:
            pass
    return f'<pre class="output">{terminal.html(shown)}</pre>'


def _json(value: Any) -> str:
    text = arguments_text(value)
    return code(text[:MOST_SHOWN], "json" if len(text) <= MOST_SHOWN else "")


def _text(text: str) -> str:
    return f'<pre class="output">{terminal.html(text[:MOST_SHOWN])}</pre>'


def _command(arguments: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """`{"command": "pytest -q"}`, also as a list of words."""
    name = next((name for name in ("command", "cmd") if name in arguments), None)
    value = arguments.get(name) if name else None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        value = _words(value)
    if not isinstance(value, str):
        return None
    rest = {key: item for key, item in arguments.items() if key not in (name, "description")}
    if _DIFF.search(value):
        return rest, _difference_lines(value)
    return rest, code(value[:MOST_SHOWN], "bash")


def _edit(arguments: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """`{"file_path": …, "old_string": …, "new_string": …}`"""
    old, new = (arguments.get(name) for name in ("old_string", "new_string"))
    if not isinstance(old, str) or not isinstance(new, str):
        return None
    rest = {key: item for key, item in arguments.items() if key not in ("old_string", "new_string", "file_path")}
    return rest, _heading(arguments) + _difference(old, new)


def _edits(arguments: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """`{"file_path": …, "edits": [{"old_string", "new_string"}, …]}`"""
    edits = arguments.get("edits")
    if not isinstance(edits, list) or not edits:
        return None
    made = [_edit(edit) if isinstance(edit, dict) else None for edit in edits]
    if None in made:
        return None
    rest = {key: item for key, item in arguments.items() if key not in ("edits", "file_path")}
    return rest, _heading(arguments) + "".join(one[1] for one in made if one)


def _written(arguments: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """`{"file_path": …, "content": …}`"""
    content, path = arguments.get("content"), arguments.get("file_path") or arguments.get("path")
    if not isinstance(content, str) or not isinstance(path, str):
        return None
    rest = {key: item for key, item in arguments.items() if key not in ("content", "file_path", "path")}
    return rest, _heading(arguments) + code(content[:MOST_SHOWN], _LANGUAGES.get(path.rpartition(".")[2].lower(), ""))


def _heading(arguments: dict[str, Any]) -> str:
    path = arguments.get("file_path") or arguments.get("path")
    return f'<p class="path"><code>{escape(str(path))}</code></p>' if path else ""


def _difference(old: str, new: str) -> str:
    if len(old) + len(new) > _COMPARED:
        lines = [*(f"-{line}" for line in old.splitlines()), *(f"+{line}" for line in new.splitlines())]
    else:
        lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm=""))[2:]
    return _difference_lines("\n".join(lines))


def _difference_lines(text: str) -> str:
    return f'<pre class="diff">{"".join(_marked_lines(text[:MOST_SHOWN].rstrip()))}</pre>'


def _marked_lines(text: str) -> Iterator[str]:
    """Lines of a difference; added and removed ones are marked up as such, not only coloured."""
    for line in text.split("\n"):
        shown = escape(line, quote=False)
        if line.startswith(("+++", "---", "diff ", "index ", "*** ")):
            yield f'<span class="dh">{shown}</span>\n'
        elif line.startswith("+"):
            yield f"<ins>{shown}\n</ins>"
        elif line.startswith("-"):
            yield f"<del>{shown}\n</del>"
        elif line.startswith("@@"):
            yield f'<span class="dh">{shown}</span>\n'
        else:
            yield f"{shown}\n"

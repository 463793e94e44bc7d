"""References from messages to objects: how a large string is written, and how text that looks like one is told apart.

A string that is kept as an object stands in its message as ``{"$object": <sha256>, "bytes": <n>}``. A key of the
source's own that is called `$object` (or that with more dollars before it) is written with one more `$`, and read
with one less, so nothing a conversation holds can be taken for a reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessionstore import canonical

LARGE = 256 << 10
"""A single string of more UTF-8 bytes than this is kept as an object of its own."""
MARK = b'$object"'
"""A line without these bytes holds no reference and nothing that looks like one."""
_NAME = "$object"


def escape(value: Any) -> Any:
    """A copy of a message in which nothing looks like a reference."""
    return _renamed(value, lambda key: f"${key}" if key.endswith(_NAME) and key.strip("$") == _NAME[1:] else key)


def _renamed(value: Any, name: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name(key): _renamed(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, name) for item in value]
    return value


def outline(value: Any, put: Callable[[bytes], str]) -> Any:
    """A copy of `value` with every large string replaced by a reference; `put` stores its UTF-8 bytes and names
    them."""
    if isinstance(value, str):
        if len(value) * 4 <= LARGE:
            return value
        data = canonical.clean_text(value).encode()
        return {_NAME: put(data), "bytes": len(data)} if len(data) > LARGE else value
    if isinstance(value, dict):
        return {key: outline(item, put) for key, item in value.items()}
    if isinstance(value, list):
        return [outline(item, put) for item in value]
    return value


def resolve(value: Any, get: Callable[[str], str]) -> Any:
    """The message as it was before `escape` and `outline`; `get` gives the text of an object."""
    if isinstance(value, dict):
        if _NAME in value:
            return get(value[_NAME])
        return {_plain(key): resolve(item, get) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, get) for item in value]
    return value


def _plain(key: str) -> str:
    return key[1:] if key.startswith("$$") and key.strip("$") == _NAME[1:] else key

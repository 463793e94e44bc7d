"""Hypothesis strategies and tiny importers that the store's tests share."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source

Json = dict[str, Any]

any_text = st.text(st.characters(codec=None, categories=None), max_size=12)
"""Text with everything Python allows in a string, lone surrogates too."""
sound_text = st.text(max_size=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([2**63, -(2**63), 2**64, 2**70])
    | any_text
)
keys = any_text | st.integers() | st.none() | st.booleans()
loose_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
"""Python values that a program may take for JSON: NaN, huge integers, tuples, keys that are no strings."""
sound_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | sound_text
)
sound_json = st.recursive(
    sound_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(sound_text, inner, max_size=4),
    max_leaves=10,
)
"""Values that JSON holds exactly."""

roles = st.sampled_from(["system", "user", "assistant", "tool"])
times = st.sampled_from(["2026-01-05T08:00:00.000Z", "2026-01-05T08:00:01+02:00", "2026-01-06T00:00:00Z"])
sizes = st.sampled_from([0, 1, 100, 3900, 4000, 4100, 16000, 32500, 32700, 33000]) | st.integers(0, 40000)
"""Lengths of text on both sides of every limit of the page rule."""
large_texts = st.builds(
    lambda unit, more: unit * (262144 // len(unit.encode()) + more), st.sampled_from("aé😀"), st.integers(-2, 3)
)
"""Strings around the size from which they become objects."""


@st.composite
def parts(draw: st.DrawFn, text: st.SearchStrategy[str] = sound_text) -> Json:
    """One part of a message, of any kind."""
    kind = draw(st.sampled_from(["text", "reasoning", "tool_call", "tool_call_response", "blob", "uri", "other"]))
    if kind in ("text", "reasoning"):
        return {"type": kind, "content": draw(text)}
    if kind == "tool_call":
        return {"type": kind, "id": draw(sound_text), "name": "run", "arguments": draw(sound_json | text)}
    if kind == "tool_call_response":
        return {"type": kind, "id": draw(sound_text), "response": draw(sound_json | text)}
    if kind == "blob":
        data = draw(st.binary(max_size=64).map(lambda raw: base64.b64encode(raw).decode()) | st.just("no base64!"))
        return {"type": kind, "modality": "image", "mime_type": "image/png", "data": data}
    if kind == "uri":
        return {"type": kind, "uri": draw(sound_text)}
    return {"type": "of-the-source", "what": draw(sound_json)}


@st.composite
def messages(draw: st.DrawFn, text: st.SearchStrategy[str] = sound_text, most: int = 8) -> list[Json]:
    """The messages of a session, in order, with ids of their own."""
    found = []
    for number in range(1, draw(st.integers(0, most)) + 1):
        message: Json = {"id": f"m{number}", "role": draw(roles), "parts": draw(st.lists(parts(text), max_size=3))}
        optional: Json = {
            "time": draw(st.none() | times),
            "model": draw(st.sampled_from([None, "model-a", "model-b"])),
            "usage": draw(st.none() | st.builds(lambda n: {"input_tokens": n, "output_tokens": 1}, st.integers(1, 9))),
            "x": draw(st.none() | st.dictionaries(sound_text, sound_json, max_size=2)),
        }
        found.append({**message, **{name: value for name, value in optional.items() if value is not None}})
    return found


@st.composite
def sized_messages(draw: st.DrawFn) -> list[Json]:
    """Messages whose lengths lie around the limits of the page rule."""
    return [say(number, draw(roles), "x" * size) for number, size in enumerate(draw(st.lists(sizes, max_size=9)), 1)]


def say(number: int, role: str, content: str, **fields: Any) -> Json:
    """A message with one text part."""
    return {"id": f"m{number}", "role": role, "parts": [{"type": "text", "content": content}], **fields}


def talk(text: str) -> list[Json]:
    """A conversation of one-letter messages, one for each letter."""
    return [say(number, "user", letter) for number, letter in enumerate(text, 1)]


class _Bytes(Importer):
    """Takes any file for one session; its records are its lines, or the file."""

    title: ClassVar[str] = "Any bytes"

    def places(self, machine: Machine) -> Iterable[Place]:
        return []

    def recognise(self, head: Head) -> bool:
        return True

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        draft = source.draft(Path(source.name).stem)
        for line in source.lines():
            source.account.records += 1
            source.mapped()
            yield draft, say(source.account.records, "user", f"a line of {len(line)} bytes")


class Lines(_Bytes):
    """Any file whose name ends with .lines, cut by rule L1."""

    source: ClassVar[str] = "lines"
    suffixes: ClassVar[tuple[str, ...]] = (".lines",)


class Blocks(_Bytes):
    """Any file whose name ends with .blocks, cut by rule B1."""

    source: ClassVar[str] = "blocks"
    suffixes: ClassVar[tuple[str, ...]] = (".blocks",)
    by_line: ClassVar[bool] = False

"""Sessions to export, and what of a session must be the same after it was exported and imported again."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from sessionstore import exporters
from sessionstore.exporters import content
from sessionstore.exporters.report import Report
from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft
from sessionstore.importers.base import Message as Message
from tests.importers.support import imported

ROOT = Path(__file__).resolve().parents[2]
LEGACY = ROOT / "fixtures" / "legacy"
Json = dict[str, Any]
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    + b"\x00\x00\x00\x0cIDAT"
    + zlib.compress(b"\0\0\0\0")
    + b"\x00\x00\x00\x00IEND\xaeB`\x82"
).decode()


# --- sessions ------------------------------------------------------------------------------------------------


def revision_of(source: str, draft: Draft, messages: list[Message]) -> Json:
    """The session fields of what an importer has read."""
    fields = {name: value for name, value in draft.state().items() if name not in ("issues", "x")}
    models = dict.fromkeys(message["model"] for message in messages if message.get("model"))
    return {
        "key": f"{source}:{draft.native_id}",
        "source": source,
        "x": draft.x,
        "models": list(models),
        "counts": {"messages": len(messages), "bytes": 0, "by_role": {}},
        **fields,
    }


def session(messages: list[Message], **fields: Any) -> Json:
    """The fields of a session that a program has made."""
    return {
        "key": "native:a",
        "source": "native",
        "native_id": "a",
        "counts": {"messages": len(messages), "bytes": 0, "by_role": {}},
        **fields,
    }


def fixtures() -> Iterator[tuple[str, Json, list[Message]]]:
    """(name, revision, messages) of every session in the fixtures of the legacy formats."""
    for source, pattern in (
        ("claude-code", "home/.claude/**/*.jsonl"),
        ("codex", "home/.codex/**/rollout*.json*"),
        ("kimi", "project/.kimi_sessions/*.json"),
        ("llm-sessions", "project/.llm_sessions/sessions/*.json"),
    ):
        for path in sorted(LEGACY.glob(pattern)):
            if path.suffix == ".zst" or path.read_bytes()[:2] == b"\x1f\x8b":
                continue
            read = imported(all_importers()[source], path, companions={})
            for native_id, messages in read.sessions.items():
                yield f"{path.name}:{native_id}", revision_of(source, read.drafts[native_id], messages), messages


FIXTURES = list(fixtures())


def say(number: int, role: str, *parts: Json | str, **fields: Any) -> Message:
    """A message; strings are text parts."""
    made = [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts]
    return {"id": f"m{number}", "role": role, "parts": made, **fields}


def call(ident: str, name: str = "run", arguments: Any = None) -> Json:
    """A tool call."""
    return {"type": "tool_call", "id": ident, "name": name, "arguments": {} if arguments is None else arguments}


def answer(ident: str, response: Any = "done", **fields: Any) -> Json:
    """A tool's result."""
    return {"type": "tool_call_response", "id": ident, "response": response, **fields}


def image() -> Json:
    """A picture."""
    return {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}


# --- made up by hypothesis -----------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_characters="<#"), min_size=1, max_size=40).filter(str.strip)
arguments = st.dictionaries(words, st.integers(0, 9) | words | st.lists(words, max_size=2), max_size=3)
usages = st.fixed_dictionaries(
    {"input_tokens": st.integers(20, 99), "output_tokens": st.integers(10, 50)},
    optional={"cache_read_tokens": st.integers(1, 10), "reasoning_tokens": st.integers(1, 10)},
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A sound conversation: every call has an id of its own and, most of them, a result right behind it."""
    said: list[Message] = []
    clock = 0

    def add(role: str, parts: list[Json], **fields: Any) -> None:
        nonlocal clock
        clock += 1
        time = f"2026-02-03T04:{clock // 60:02}:{clock % 60:02}.000Z"
        said.append({"id": f"m{len(said) + 1}", "role": role, "time": time, "parts": parts, **fields})

    def text() -> Json:
        return {"type": "text", "content": draw(words)}

    if draw(st.booleans()):
        add("system", [text()])
    for turn in range(draw(st.integers(1, 4))):
        add("user", [text(), *([image()] if draw(st.booleans()) else [])])
        model = draw(st.sampled_from(["claude-sonnet-4-5", "gpt-5.1", "kimi-k2"]))
        for step in range(draw(st.integers(1, 3))):
            parts: list[Json] = []
            if draw(st.booleans()):
                parts.append({"type": "reasoning", "content": draw(words), "signature": "c2lnbmVk"})
            if draw(st.booleans()) or not parts:
                parts.append(text())
            calls = [
                call(f"call_{turn}_{step}_{n}", draw(st.sampled_from(["run", "read_file"])), draw(arguments))
                for n in range(draw(st.integers(0, 2)))
            ]
            add("assistant", [*parts, *calls], model=model, usage=draw(usages))
            results = [answer(one["id"], draw(words), **_failed(draw)) for one in calls]
            if draw(st.integers(0, 9)) == 0:
                results = results[:-1]
            if draw(st.booleans()):
                for result in results:
                    add("tool", [result])
            elif results:
                add("tool", results)
    return said


def _failed(draw: st.DrawFn) -> Json:
    return {"is_error": True} if draw(st.integers(0, 4)) == 0 else {}


# --- there and back ------------------------------------------------------------------------------------------


def exported(
    form: str, revision: Json, messages: list[Message], *, branches: bool = False, kinds: Iterable[str] = ()
) -> tuple[bytes, Report]:
    """A session in another form, and what was said of it."""
    report = Report()
    pieces = exporters.write(form, revision, lambda: iter(messages), report, branches=branches, kinds=kinds)
    return b"".join(pieces), report


def returned(form: str, data: bytes, revision: Json) -> tuple[Draft, list[Message]]:
    """What the importer of a native form makes of an export, read under the name its program would give it."""
    return imported(all_importers()[form], data, exporters.place(form, revision), {}).one()


def texts(messages: Iterable[Message], *roles: str) -> list[tuple[str, str]]:
    """(role, text) of everything said; what stands beside a tool's result was said by the user."""
    return [
        (role, part["content"])
        for message in messages
        if (role := "user" if message["role"] == "tool" else message["role"]) in (roles or ("user", "assistant"))
        for part in message["parts"]
        if part["type"] == "text" and part["content"].strip()
    ]


def calls(messages: Iterable[Message]) -> list[tuple[str, Any]]:
    """(name, arguments) of every call."""
    return [
        (part["name"], content.arguments_object(part["arguments"])[0])
        for message in messages
        for part in message["parts"]
        if part["type"] == "tool_call"
    ]


def results(messages: Iterable[Message]) -> dict[int, str]:
    """The text of every result, by the number of the call it answers (negative: of none)."""
    found: dict[int, str] = {}
    waiting: dict[str, list[int]] = {}
    number = 0
    for message in messages:
        for part in message["parts"]:
            if part["type"] == "tool_call":
                waiting.setdefault(part["id"], []).append(number)
                number += 1
            elif part["type"] == "tool_call_response":
                open_calls = waiting.get(part["id"]) or [-1 - len(found)]
                found[open_calls.pop()] = "\n".join(content.texts(content.contents(part["response"])))
    return found


def failures(messages: Iterable[Message]) -> list[bool]:
    """Whether each result says that its call has failed."""
    return [
        part.get("is_error") is True
        for message in messages
        for part in message["parts"]
        if part["type"] == "tool_call_response"
    ]


def images(messages: Iterable[Message]) -> list[str]:
    """The pictures shown."""
    return [part["data"] for message in messages for part in message["parts"] if part["type"] == "blob"]


def reasoning(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """(text, signature) of every thought."""
    return [
        (part["content"], part.get("signature", ""))
        for message in messages
        for part in message["parts"]
        if part["type"] == "reasoning"
    ]


def total(messages: Iterable[Message]) -> Json:
    """The usage of all messages together."""
    found: Json = {}
    for message in messages:
        for name, amount in message.get("usage", {}).items():
            found[name] = True if name == "estimated" else found.get(name, 0) + amount
    return found


def shown(messages: Iterable[Message]) -> list[Message]:
    """The messages that are conversation."""
    return [message for message in messages if message.get("kind") not in ("meta", "prefill", "sidechain")]


def lines(data: bytes) -> list[Any]:
    """The JSON of every line."""
    return [json.loads(line) for line in data.splitlines() if line]

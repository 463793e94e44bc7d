"""Stores to look at: a realistic one, a long one, a hostile one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from sessionstore import canonical
from sessionstore.compose import Composer
from sessionstore.index.sync import sync
from sessionstore.index.writer import IndexWriter
from sessionstore.store import Store

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAIElEQVR42mNk+M9AEmAiTTnDqIZRDUNBAwMjI+OohlENxGgAAA9FAR8h"
    "3H1pAAAAAElFTkSuQmCC"
)
"""A picture in base64."""
SENTENCE = "the store keeps every message of a session byte for byte and the index mirrors what stands in it"
WORDS = SENTENCE.split()
PYTHON = 'def greet(name: str) -> str:\n    """Say hello."""\n    return f"Hello, {name}!"  # politely'


def stamp(number: int) -> str:
    """A time, `number` steps after the first."""
    return (
        f"2026-01-{1 + number // 5760 % 28:02d}T{number // 240 % 24:02d}:{number // 4 % 60:02d}:{number % 4 * 15:02d}Z"
    )


def said(number: int, role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message."""
    return {"id": f"m{number + 1}", "role": role, "time": stamp(number), "parts": list(parts), **more}


def text(content: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "content": content}


def agent_session(count: int) -> list[dict[str, Any]]:
    """A session as coding agents have them: questions, reasoning, commands, edits, outputs, answers with code."""
    rng = random.Random(count)

    def prose(n: int) -> str:
        return " ".join(rng.choices(WORDS, k=n)).capitalize() + "."

    made: list[dict[str, Any]] = []
    while len(made) < count:
        n = len(made)
        if n % 10 == 0:
            made.append(said(n, "user", text(f"Question {n}: {prose(20)}\n\nPlease look at `src/part_{n}.py`.")))
        elif n % 10 == 9:
            answer = (
                f"## Done\n\n{prose(40)}\n\n- **first** {prose(8)}\n- second {prose(8)}\n\n```python\n{PYTHON}\n```\n"
            )
            usage = {"input_tokens": 1200 + n, "output_tokens": 300, "cost_microusd": 1234}
            made.append(said(n, "assistant", text(answer), model="claude-sonnet-4-5", usage=usage))
        elif n % 2:
            call = {"type": "tool_call", "id": f"c{n}", "name": "Bash", "arguments": {"command": f"pytest -q {n}"}}
            if n % 4 == 3:
                edit = {
                    "file_path": f"/src/part_{n}.py",
                    "old_string": PYTHON,
                    "new_string": PYTHON.replace("Hello", "Hi"),
                }
                call = {"type": "tool_call", "id": f"c{n}", "name": "Edit", "arguments": edit}
            thought = {"type": "reasoning", "content": prose(30)}
            made.append(said(n, "assistant", thought, text(prose(25)), call, model="claude-sonnet-4-5"))
        else:
            lines = "\n".join(f"\x1b[32msrc/{rng.choice(WORDS)}.py:{i}\x1b[0m {prose(8)}" for i in range(12))
            answer = {"type": "tool_call_response", "id": f"c{n - 1}", "response": lines}
            made.append(said(n, "tool", answer if n % 8 else {**answer, "is_error": True}))
    return made


SCRIPTS = (
    "<script>window.pwned = 1</script>",
    '<img src=x onerror="window.pwned = 1">',
    '<svg onload="window.pwned = 1"></svg>',
    "[click](javascript:window.pwned=1)",
    "[click](JaVaScRiPt:window.pwned=1) [data](data:text/html,<script>window.pwned=1</script>)",
    "![pixel](https://tracker.example/pixel.png)",
    '<iframe src="https://tracker.example/"></iframe><style>body{display:none}</style>',
    '"><script>window.pwned = 1</script>',
    "</article></main><h1>escaped</h1>",
    "<a href='vbscript:x'>x</a><form action='https://tracker.example'><input name=a></form>",
    "```html\n</code></pre><script>window.pwned = 1</script>\n```",
    '````"><img src=x onerror=window.pwned=1>\nx\n````',
    "| a | b |\n|---|---|\n| <script>window.pwned=1</script> | `</td><script>window.pwned=1</script>` |",
    "https://example.com/<script>window.pwned=1</script>",
    "\x00\x01\x02 \ufffe \u202e right to left \u2066 \ud83d broken",
    "a\u0301" * 200,
    "> " * 300 + "deep",
    "*" * 3000 + "[" * 3000,
    "\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[2J\x1b]8;;https://tracker.example\x07link\x1b]8;;\x07",
)
LONG_LINE = "x" * (5 << 20)


def hostile_session() -> list[dict[str, Any]]:
    """Everything that a conversation could hold to harm its reader, in every kind of part."""
    made: list[dict[str, Any]] = []
    for one in SCRIPTS:
        n = len(made)
        made.append(said(n, "user" if n % 2 else "assistant", text(one), model=one))
        call = {"type": "tool_call", "id": one, "name": one, "arguments": {"command": one, one: one}}
        made.append(said(n + 1, "assistant", {"type": "reasoning", "content": one}, call))
        made.append(said(n + 2, "tool", {"type": "tool_call_response", "id": one, "response": one}))
        made.append(said(n + 3, "tool", {"type": "tool_call_response", "id": one, "response": {one: [one]}}))
        made.append(said(n + 4, "system", {"type": one, one: one}, {"type": "uri", "uri": f"javascript:{one}"}))
    n = len(made)
    made.append(said(n, "user", text(LONG_LINE)))
    made.append(said(n + 1, "tool", {"type": "tool_call_response", "id": "x", "response": LONG_LINE}))
    svg = {"type": "blob", "modality": "image", "mime_type": "image/svg+xml", "data": "PHN2Zz48L3N2Zz4="}
    fake = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "PHNjcmlwdD4="}
    made.append(said(n + 2, "user", svg, fake, {"type": "text", "content": {"not": "text"}}))
    made.append(
        said(n + 3, "user", {"type": "tool_call", "id": "y", "name": "Edit", "arguments": {"edits": [1, None]}})
    )
    return made


def picture_session() -> list[dict[str, Any]]:
    """A session with images: as a part, and inside a tool's answer."""
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": PNG}
    nested = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]
    answer = {"type": "tool_call_response", "id": "c", "response": nested}
    return [said(0, "user", text("What is this?"), blob), said(1, "tool", answer)]


def as_found(store: Store, key: str, messages: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """Write a session as another program might have, with messages that this one would refuse."""
    composer = Composer(store.objects)
    for message in messages:
        composer.add(canonical.clean(message))
    given = {"source": "native", "native_id": key.partition(":")[2], **fields}
    store.write_revision(*store.name_of(composer.finish(key, canonical.clean(given))))


def fill(store: Store) -> None:
    """Put all of them into a store."""
    store.put(
        "native:agent", agent_session(1000), {"title": "A thousand messages", "project": "shop", "cwd": "/src/my shop"}
    )
    store.put("native:long", agent_session(10_000), {"title": "Ten thousand messages", "project": "shop"})
    as_found(store, "native:hostile", hostile_session(), {"title": SCRIPTS[0] + SCRIPTS[7], "project": SCRIPTS[1]})
    store.put("native:pictures", picture_session(), {"title": "Pictures"})
    store.put("native:short", agent_session(20), {"title": "A short one", "project": "garden"})
    fork = {"key": "native:agent", "message": "m10", "relation": "subagent"}
    store.put("native:child", agent_session(30)[:4], {"title": "The helper", "forked_from": fork})


def mirror(store: Store) -> None:
    """Bring the index up to date."""
    with IndexWriter(f"{store.root}/index.sqlite", store.id) as writer:
        sync(store, writer)


def main(place: str) -> None:
    """Make such a store by hand, for measuring."""
    store = Store.init(Path(place))
    fill(store)
    mirror(store)


if __name__ == "__main__":
    import sys

    main(sys.argv[1])

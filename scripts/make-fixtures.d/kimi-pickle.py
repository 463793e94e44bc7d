"""Writes the pickles that gmargetis/kimi-cli would: `pickle.dump(messages[-30:], file)` below `~/.kimi_sessions`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any


def make(target: Path) -> None:
    """Write the fixtures below `target`."""
    place = target / ".kimi_sessions"
    place.mkdir(parents=True, exist_ok=True)
    for name, messages, protocol in (("default", short(), 4), ("long-talk", long(), 5), ("old", short(), 2)):
        (place / f"{name}.pkl").write_bytes(pickle.dumps(messages, protocol))
    (target / "beside").mkdir(exist_ok=True)
    (target / "beside" / ".kimi_history.pkl").write_bytes(pickle.dumps(short(), 4))


def short() -> list[dict[str, Any]]:
    """A session with a tool call and a picture."""
    call = {"id": "read_file:0", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    return [
        {"role": "system", "content": "You are a helpful coding assistant."},
        {"role": "user", "content": "Read a, please. 你好"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "read_file:0", "content": "alpha"},
        {"role": "assistant", "content": "It says alpha."},
        {"role": "user", "content": [{"type": "text", "text": "And this?"}, picture]},
        {"role": "assistant", "content": "A picture."},
    ]


def long() -> list[dict[str, Any]]:
    """The last thirty messages of a longer session; its beginning was cut off with the system prompt."""
    talk = [{"role": "tool", "tool_call_id": "read_file:7", "content": "the end of something"}]
    for number in range(14):
        talk += [
            {"role": "user", "content": f"Question {number}"},
            {"role": "assistant", "content": f"Answer {number}"},
        ]
    return [*talk, {"role": "user", "content": "Last question"}]


if __name__ == "__main__":
    make(Path(__file__).parents[2] / "fixtures" / "formats" / "kimi-pickle")

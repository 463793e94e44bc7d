"""gptme: the conversations of the terminal agent.

Where: `<data directory>/gptme/logs/<date>-<name>/conversation.jsonl` (`$GPTME_LOGS_HOME` when that is set): below
`~/.local/share` on Linux, `~/Library/Application Support` on macOS, `%LOCALAPPDATA%\\gptme` on Windows. The other
branches of a conversation lie in `branches/<name>.jsonl` beside it.

How it is recognised: every record has a role, a text and a timestamp and no key but gptme's; since others write such
lines too, one of the keys that only gptme has must be there, or the file have gptme's name.

What the records are and how they map: a record is a message. What a tool gave back is a message of role `system` (in
newer logs `tool`), as gptme writes it; `call_id` stays in `x`, as do `pinned`, `hide`, `files` and the rest. `metadata`
gives the model, the tokens (input without the cache) and the price by gptme's own list. A branch holds the whole
conversation as it was there and is a session `<name>/<branch>` of its own.

What it loses: the zone of times (they stay in `x`), tool calls as such: they are code blocks in the text. The working
directory stands in a file beside the log that is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import Growing, Record, count, entitle, take_time
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import micro_dollars
from sessionstore.importers.common import is_instant, naive_time, stem

_OWN = frozenset({"pinned", "hide", "files", "file_hashes", "call_id", "metadata", "ui_only", "ephemeral_ttl"})
_KEYS = _OWN | {"role", "content", "timestamp", "quiet"}
_LOG = "conversation.jsonl"
_USAGE = {
    "input_tokens": 0,
    "output_tokens": 1,
    "cache_read_tokens": 2,
    "cache_creation_tokens": 3,
    "reasoning_tokens": 4,
}


class Gptme(Importer):
    """Reader of gptme's conversations and their branches."""

    source: ClassVar[str] = "gptme"
    title: ClassVar[str] = "gptme"
    versions: ClassVar[str] = "conversation logs with branches"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def places(self, machine: Machine) -> Iterable[Place]:
        """The program's directory of logs."""
        configured = machine.env.get("GPTME_LOGS_HOME")
        if configured:
            yield Place(machine.cwd / configured)
            return
        shared, local = machine.env.get("XDG_DATA_HOME"), machine.env.get("LOCALAPPDATA")
        data = Path(shared) if shared and Path(shared).is_absolute() else machine.home / ".local" / "share"
        windows = Path(local) if local and Path(local).is_absolute() else machine.home / "AppData" / "Local"
        for root in (data, machine.home / "Library" / "Application Support", windows / "gptme"):
            yield Place(root / "gptme" / "logs")

    def recognise(self, head: Head) -> bool:
        """Chat messages with a timestamp and no key but gptme's."""
        if b'"role"' not in head.data or b'"timestamp"' not in head.data:
            return False
        records = head.records or Head(head.name, head.first_line(), True).records
        if not records or not all(map(_is_message, records)):
            return False
        return any(_OWN & record.keys() for record in records) or _is_named(head.name)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record."""
        log = Growing(source, _begin)
        for draft, record in log.records():
            message = log.message(record, _message(record))
            entitle(draft, message)
            yield draft, message


def _is_message(record: Record) -> bool:
    if not record.keys() <= _KEYS or not isinstance(record.get("content"), str):
        return False
    time = record.get("timestamp")
    return record.get("role") in ("system", "user", "assistant", "tool") and (
        naive_time(time) is not None or is_instant(time)
    )


def _is_named(name: str) -> bool:
    steps = name.split("/")
    return steps[-1] == _LOG or steps[-2:-1] == ["branches"]


def _begin(source: Source, record: Record) -> Draft:
    """The session, named after its directory; a branch after that and itself."""
    steps = source.name.split("/")
    if steps[-1] == _LOG and len(steps) > 1 and steps[-2]:
        return source.draft(steps[-2])
    if steps[-2:-1] == ["branches"] and len(steps) > 2 and steps[-3]:
        draft = source.draft(f"{steps[-3]}/{stem(source.name)}")
        draft.forked_from = {"key": f"gptme:{steps[-3]}", "relation": "fork"}
        return draft
    return source.draft(stem(source.name) or "session")


def _message(record: Record) -> Message | None:
    message = openai_chat.chat_message(record)
    if message is None:
        return None
    x = message.pop("x")
    take_time(message, x, "timestamp")
    about = x.get("metadata")
    if isinstance(about, dict) and message["role"] == "assistant":
        if rest := _told(message, dict(about)):
            x["metadata"] = rest
        else:
            del x["metadata"]
    return message | ({"x": x} if x else {})


def _told(message: Message, about: Record) -> Record:
    """State a message's model, tokens and price; the rest of what is known about it."""
    if isinstance(about.get("model"), str) and about["model"]:
        message["model"] = about.pop("model")
    flat = not isinstance(about.get("usage"), dict)
    counts: Any = about if flat else about["usage"]
    fresh, output, read, written, reasoning = (count(counts.get(name)) for name in _USAGE)
    exact = all(type(counts[name]) is int and counts[name] == count(counts[name]) for name in _USAGE if name in counts)
    usage: dict[str, Any] = {
        "input_tokens": fresh + read + written,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoning,
        "cost_microusd": micro_dollars(about.get("cost")),
    }
    if usage := {name: value for name, value in usage.items() if value}:
        message["usage"] = usage
    if exact:
        for name in _USAGE:
            counts = {key: value for key, value in counts.items() if key != name}
        if flat:
            about = counts
        elif counts:
            about["usage"] = counts
        else:
            del about["usage"]
    if "cost_microusd" in usage and round(about["cost"] * 1_000_000) == about["cost"] * 1_000_000:
        del about["cost"]
    return about

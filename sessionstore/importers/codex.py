"""OpenAI Codex (CLI, editor extension, desktop; TRAE CLI writes the same): rollout files.

Where. `$CODEX_HOME` or `~/.codex`, in `sessions/YYYY/MM/DD/rollout-<local time>-<uuid>.jsonl` and flat in
`archived_sessions/`, cold ones compressed to `.jsonl.zst`; TRAE in `~/.trae/cli/sessions`. Not ours:
`history.jsonl` (a log of prompts), `session_index.jsonl`, the state databases, `auth.json`.

Generations. (a) spring 2025: one `.json` document `{session, items}`; (b) mid-2025: a header line
`{id, timestamp, instructions, git}`, then bare Responses items and `{"record_type":"state"}`; (c) since September
2025: lines `{timestamp, type, payload}`; (d) 2026: the same with `ordinal`, `world_state`, `item_completed`. A file
resumed by a newer release changes generation half-way, so every record is looked at by itself.

How it maps. `response_item` is the conversation. The events `user_message`, `agent_message`, `agent_reasoning` and
`item_completed` say the same again, a few lines earlier or later, and add no message when they do (see `_echo`).
`token_count` carries running totals, often twice: each growth of the total becomes a message without parts that
holds the usage (what was yielded before cannot be changed, as growth is an append). Everything else is preserved as
a `meta` message.

What the source has lost: where its own history begins. A forked or subagent file begins with a copy of its parent's
lines under new times; the copy's tokens count again here (`copied-history`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.codex_parts import Json, is_header
from sessionstore.importers.codex_rollout import Rollout
from sessionstore.importers.parsing import Unparsable

_ENVELOPES = frozenset(("session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state"))
_BARE = frozenset(("message", "reasoning", "function_call", "function_call_output", "local_shell_call"))
_DOCUMENT = re.compile(rb'\s*\{\s*"(?:session"\s*:\s*\{|items"\s*:\s*\[)')


class Codex(Importer):
    """Reads Codex rollouts of every generation."""

    source = "codex"
    title = "Codex"
    versions = "all generations: 2025 documents, bare items, envelopes, 2026 ordinals; compressed files"
    suffixes = (".jsonl", ".jsonl.zst", ".json")

    def places(self, machine: Machine) -> Iterable[Place]:
        """`sessions` and `archived_sessions` of `$CODEX_HOME` (else `~/.codex`), and TRAE's sessions."""
        stated = machine.env.get("CODEX_HOME")
        home = machine.cwd / stated if stated else machine.home / ".codex"
        yield Place(home / "sessions")
        yield Place(home / "archived_sessions")
        yield Place(machine.home / ".trae" / "cli" / "sessions")

    def recognise(self, head: Head) -> bool:
        """Most records are envelopes (or bare items below a header), or it is a `{session, items}` document."""
        if _DOCUMENT.match(head.data.removeprefix(b"\xef\xbb\xbf")):
            document = head.document
            return isinstance(document, dict) and _is_document(document)
        records = head.records
        if not records:
            # The first line alone, with its instructions and tools, may be longer than the head.
            return not head.whole and b'"session_meta"' in head.data[:200] and b'"payload"' in head.data[:250]
        bare = any(is_header(record) for record in records[:3])
        votes = sum(_is_envelope(record) or (bare and _is_bare(record)) for record in records)
        return votes * 2 > len(records)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the one session of a rollout. Raises `Unparsable` for a broken document."""
        if source.resumed is None and _begins_document(source):
            yield from _read_document(source)
            return
        rollout = Rollout(source)
        out = rollout.out
        for record in source.records():
            rollout.take(record)
            if out:
                draft = rollout.draft
                for message in out:
                    yield draft, message
                out.clear()
        rollout.finish()
        for message in out:
            yield rollout.draft, message


def _is_envelope(record: Json) -> bool:
    kind = record.get("type")
    return isinstance(kind, str) and kind in _ENVELOPES and isinstance(record.get("payload"), dict)


def _is_bare(record: Json) -> bool:
    kind = record.get("type")
    return record.get("record_type") == "state" or (isinstance(kind, str) and kind in _BARE) or is_header(record)


def _is_document(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("session"), dict) and isinstance(value.get("items"), list)


def _begins_document(source: Source) -> bool:
    """Whether the source is a document of the first generation; looks at its first bytes and puts them back."""
    blocks = iter(source.blocks)
    begin = b""
    for block in blocks:
        begin += block
        if len(begin) >= 256:
            break
    source.blocks = chain((begin,), blocks)
    return _DOCUMENT.match(begin.removeprefix(b"\xef\xbb\xbf")) is not None


def _read_document(source: Source) -> Iterator[tuple[Draft, Message]]:
    document = source.document()
    if not _is_document(document):
        raise Unparsable("neither rollout lines nor a document of a session and its items")
    rollout = Rollout(source)
    account = source.account
    account.records += 1
    aside = {name: value for name, value in document.items() if name not in ("session", "items")}
    rollout.begin(document["session"], aside)
    source.mapped()
    for item in document["items"]:
        account.records += 1
        if isinstance(item, dict):
            rollout.take(item)
        else:
            source.reject("not a JSON object")
    rollout.finish()
    # The document is written anew each time, so there is no place to go on from.
    source.resume = None
    for message in rollout.out:
        yield rollout.draft, message

"""Claude Code: transcripts of the terminal program, its desktop and web relatives.

Where: `projects/<slug>/<session id>.jsonl` under `~/.claude` (see `places`), sub-agents beside them as
`agent-<id>.jsonl` or under `<session id>/subagents/`. Files are append-only, one JSON record a line; a web session
is one document `{"loglines": [record, ...]}`. The slug cannot be turned back into a directory, so the working
directory comes from the records only.

How it is recognised: by a vote of the records, because any record type may come first.

What the records are and how they map: one record is one message, in record order. `user`, `assistant`, `system` with
text and prompts queued while a tool ran (`attachment`/`queued_command`) carry the conversation; every other record
becomes a message of kind `meta` that holds it verbatim, because others name it as their parent. `uuid`, `parentUuid`
and `timestamp` become id, parent and time; what stays the same in a session is told once, on the session; all other
fields stay in `x`. Nulls inside `message` say the same as absence and are left out. One response of the model is
written as several records which repeat its usage with growing figures: each carries only what it adds.

What it loses: tools and system prompt are not recorded; big tool outputs may lie in separate files. `issues` tells of
parents and tool results that the file does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar

from sessionstore.importers.base import HEAD, Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import Record
from sessionstore.importers.claude_code_reader import SOURCE, Reader
from sessionstore.importers.common import stem
from sessionstore.importers.parsing import Unparsable

_LEADING = 400
"""At most so many records are looked at before it is settled whose session the file is."""
_DOCUMENT = re.compile(rb'(\xef\xbb\xbf)?\s*\{(\s*"[^"\\]*"\s*:\s*("[^"\\]*"|[-\w.]+)\s*,)*\s*"loglines"\s*:\s*\[')
"""The beginning of a web session's document; a line of a transcript never has this field at its top level."""
_MARKS = {
    "system": "subtype",
    "progress": "data",
    "attachment": "attachment",
    "summary": "leafUuid",
    "file-history-snapshot": "snapshot",
    "queue-operation": "operation",
    "custom-title": "customTitle",
    "ai-title": "aiTitle",
    "agent-name": "agentName",
    "agent-setting": "agentSetting",
    "last-prompt": "lastPrompt",
    "permission-mode": "permissionMode",
    "mode": "mode",
    "pr-link": "prUrl",
    "frame-link": "frameUrl",
    "worktree-state": "worktreeSession",
    "relocated": "relocatedCwd",
}
"""Record types that no other known program writes, each with a field it always has."""


class ClaudeCode(Importer):
    """Reads Claude Code transcripts, sub-agents' files and web session documents."""

    source: ClassVar[str] = SOURCE
    title: ClassVar[str] = "Claude Code"
    versions: ClassVar[str] = "1.0 to 2.x, desktop and web; sub-agents of both layouts"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json")

    def places(self, machine: Machine) -> Iterable[Place]:
        """The projects directory (the configured one, else the usual ones), then those of the desktop program."""
        configured = machine.env.get("CLAUDE_CONFIG_DIR")
        home = machine.home
        yield Place((machine.cwd / configured if configured else home / ".claude") / "projects")
        yield Place(home / ".config" / "claude" / "projects")
        local = machine.cwd / machine.env.get("LOCALAPPDATA", home / "AppData" / "Local")
        roaming = machine.cwd / machine.env.get("APPDATA", home / "AppData" / "Roaming")
        packaged = local / "Packages" / "Claude_pzs8sxrjxfjjc" / "LocalCache" / "Roaming" / "Claude"
        macos = home / "Library" / "Application Support" / "Claude"
        for desktop in (macos, home / ".config" / "Claude", packaged, roaming / "Claude"):
            yield Place(desktop / "local-agent-mode-sessions")

    def recognise(self, head: Head) -> bool:
        """Whether more records speak for Claude Code than against it."""
        records: Any = head.records
        if _DOCUMENT.match(head.data):
            document = head.document
            found = document.get("loglines") if isinstance(document, dict) else None
            records = [line for line in found[:400] if isinstance(line, dict)] if isinstance(found, list) else []
        elif head.data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return False
        elif not records and b'"parentUuid"' in head.data and b'"sessionId"' in head.data:
            # The first record alone is larger than the head: a picture in the first prompt.
            records = Head(head.name, head.first_line(), True).records
        votes = [_vote(record) for record in records]
        return votes.count(1) > votes.count(-1)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """One message for every record. A document is read as its log lines and cannot be resumed."""
        reader = Reader(source)
        if source.resumed is not None:
            reader.go_on(source.resumed)
            settled, records = True, source.records()
        else:
            document = _document(source)
            found = source.records() if document is None else _loglines(source, document)
            lead, settled = _leading(found, stem(source.name))
            settled = settled and document is None
            reader.begin(lead, document or {})
            records = chain(lead, found)
        take = reader.take
        for record in records:
            yield take(record)
        for memory in reader.sessions.values():
            memory.report()
        # Before the first turn has been seen, what follows may still decide whose session this is: start over then.
        source.resume = reader.state() if settled else None


def _vote(record: Record) -> int:
    """1 when a record looks like Claude Code's, -1 when it looks like that of a similar format, else 0."""
    body, session = record.get("message"), record.get("sessionId")
    if "systemPayload" in record or (isinstance(body, dict) and "parts" in body):
        return -1  # qwen-code
    if isinstance(session, str) and session.startswith("session-"):
        return -1  # iflow
    if "payload" in record or "projectHash" in record:
        return -1  # codex, gemini-cli
    if "session_id" in record and session is None:
        return -1  # the stream of `claude --output-format stream-json`, which has no envelope
    if isinstance(session, str) and "uuid" in record and "parentUuid" in record:
        return 1
    kind = record.get("type")
    if not isinstance(kind, str):
        return 0
    if kind in ("user", "assistant"):
        return int(isinstance(body, dict) and ("content" in body or "role" in body))
    return int(kind in _MARKS and _MARKS[kind] in record)


def _leading(records: Iterator[Record], stem: str) -> tuple[list[Record], bool]:
    """The records that must be seen to know whose session the file is, and whether that is now settled: those up to
    the first turn and the first session id, which may be far from each other. A file with the name of its session
    needs no turn. The records are held back because they may have no session id of their own."""
    lead: list[Record] = []
    turn = named = False
    for record in islice(records, _LEADING):
        lead.append(record)
        turn = turn or record.get("type") in ("user", "assistant")
        sid = record.get("sessionId")
        named = named or (isinstance(sid, str) and sid != "")
        if (named and turn) or (stem and sid == stem):
            return lead, True
    return lead, len(lead) == _LEADING


def _document(source: Source) -> Record | None:
    """The whole source as a web session's document when it begins like one. Raises `Unparsable`."""
    blocks = iter(source.blocks)
    head = b""
    while len(head) < HEAD and (block := next(blocks, None)) is not None:
        head += block
    source.blocks = chain([head], blocks)
    if not _DOCUMENT.match(head):
        return None
    value = source.document()
    if not isinstance(value, dict) or not isinstance(value.get("loglines"), list):
        raise Unparsable("not a session document")
    return value


def _loglines(source: Source, document: Record) -> Iterator[Record]:
    for line in document.pop("loglines"):
        source.account.records += 1
        if isinstance(line, dict):
            yield line
        else:
            source.reject("not a JSON object")

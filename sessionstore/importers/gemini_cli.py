"""Gemini CLI: the sessions of Google's terminal program.

Where: `~/.gemini/tmp/<project>/chats/` on Linux, macOS and Windows (`$GEMINI_CLI_HOME/.gemini` when that is set), where
`<project>` is a name or the SHA-256 of the project's directory. Until about release 0.38 a session is one document,
`session-<time>-<id>.json`, rewritten on every turn; since then a log, `session-<time>-<id>.jsonl`, that only grows. A
sub-agent's log lies one level deeper, in a directory with its parent's id.

How it is recognised: a document has `sessionId`, `messages` and `startTime`, `lastUpdated` or `projectHash`; a log has
a header with `sessionId` and `projectHash`, `$set` or `$rewindTo` lines, or records of type `gemini`.

What the records are and how they map: the document's envelope and each of its messages; each line of a log. Thoughts
become reasoning, `toolCalls` tool calls, and their results a message of role tool of its own (`<id>:results`); notices
(`info`, `warning`, `error`) are system messages. A log is a replay: a record with a known id replaces the earlier one,
`$rewindTo` takes messages back, `$set` changes the session, and a `$set` with `messages` states all of them anew. All
versions are kept: a newer one (`<id>~2`) is a branch beside the older, `active_leaf` says which branch counts, and only
the tokens it has more than the older are counted again. `$set` lines that say no more than that time has passed give no
message. Input tokens include those from the cache; thoughts count as output.

What it loses: the working directory, unless the file `.project_root` beside the chats fits the project's hash; the
branch; tool output over the program's own limits. The older document has forgotten what was rewound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

from sessionstore.importers.base import HEAD, Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.gemini_cli_reader import ROOT, SOURCE, Reader
from sessionstore.importers.parsing import Unparsable, parse

_MARKS = (b'"startTime"', b'"lastUpdated"', b'"projectHash"')


class GeminiCli(Importer):
    """Reader of Gemini CLI's session documents and logs."""

    source: ClassVar[str] = SOURCE
    title: ClassVar[str] = "Gemini CLI"
    versions: ClassVar[str] = "JSON documents to 0.38, JSONL logs since"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json")
    companions: ClassVar[tuple[str, ...]] = (ROOT,)

    def places(self, machine: Machine) -> Iterable[Place]:
        """`.gemini/tmp` in the configured home of the program, else in the user's."""
        configured = machine.env.get("GEMINI_CLI_HOME")
        yield Place((machine.cwd / configured if configured else machine.home) / ".gemini" / "tmp")

    def recognise(self, head: Head) -> bool:
        """A document with `sessionId`, `messages` and its times, or a log with more records of this program than
        others."""
        if _is_document(head.data):
            if b'"messages"' not in head.data or not any(mark in head.data for mark in _MARKS):
                return False
            document = head.document
            return isinstance(document, dict) and _is_session(document)
        votes = [_vote(record) for record in head.records]
        return votes.count(1) > votes.count(-1)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's session. Raises `Unparsable` for a document that is none."""
        reader = Reader(source)
        if source.resumed is not None:
            reader.go_on(source.resumed)
        else:
            blocks = iter(source.blocks)
            head = b""
            while len(head) < HEAD and (block := next(blocks, None)) is not None:
                head += block
            source.blocks = chain([head], blocks)
            if _is_document(head):
                yield from _document(source, reader)
                return
        begun = source.resumed is not None
        for record in source.records():
            if not begun:
                reader.begin(record)
                begun = True
            for message in reader.take(record):
                yield reader.draft, message
        if begun:
            reader.finish()
            source.resume = reader.state()


def _is_document(data: bytes) -> bool:
    """Whether the text is one JSON document rather than a log."""
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    line = text.split(b"\n", 1)[0].strip()
    if line[:1] != b"{":
        return False
    try:
        value, _ = parse(line)
    except Unparsable:
        return line == b"{" or b'"messages"' in line
    return isinstance(value, dict) and isinstance(value.get("messages"), list)


def _is_session(document: dict[str, Any]) -> bool:
    messages = document.get("messages")
    if not isinstance(document.get("sessionId"), str) or not isinstance(messages, list):
        return False
    if "projectHash" not in document and not {"startTime", "lastUpdated"} <= document.keys():
        return False
    turns = [one for one in messages[:20] if isinstance(one, dict)]
    return not messages or any("type" in one and "role" not in one for one in turns)


def _vote(record: dict[str, Any]) -> int:
    """1 when a record looks like Gemini CLI's, -1 when it looks like that of another program, else 0."""
    if "uuid" in record or "parentUuid" in record or "payload" in record or "message" in record:
        return -1
    if {"sessionId", "projectHash"} <= record.keys() or isinstance(record.get("$set"), dict) or "$rewindTo" in record:
        return 1
    return int(record.get("type") == "gemini" and "content" in record)


def _document(source: Source, reader: Reader) -> Iterator[tuple[Draft, Message]]:
    document = source.document()
    if not isinstance(document, dict):
        raise Unparsable("not a JSON object")
    source.account.records += 1
    source.mapped()
    reader.begin(document)
    messages = document.get("messages")
    reader.describe({name: value for name, value in document.items() if name != "messages"})
    if not isinstance(messages, list):
        reader.draft.issue("messages-missing", "the file has no list of messages")
        if "messages" in document:
            reader.draft.x["messages"] = messages
        messages = []
    source.account.records += len(messages)
    for record in messages:
        if isinstance(record, dict):
            made = reader.add(record, upsert=False)
        else:
            source.preserved()
            made = reader.take_other(record)
        for message in made:
            yield reader.draft, message
    reader.finish()

"""Transcripts that mcp_coder's workflow writes for people: `pr_info/.conversations/step_<n>[_<type>][_<n>].md`.

Where: in the repository the workflow works on, on every system.

How it is recognised: a Markdown file with a title and a section `## Prompt Sent to LLM:`.

What the records are and how they map: the title with what comes before the prompt, the prompt, and the answer are one
record each; the first becomes a message of kind `meta`. Line ends are taken as line feeds.

What the source has already lost: the session, the model, the tools and the bill; the time at its end is local and
stands in `x`. Transcripts of continuous-integration analyses hold an answer without a prompt and nothing that tells
what they are: they are not recognised. The same exchange may be stored as `mcp-coder` too, with its session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers.base import MAX_DOCUMENT, Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import naive_time, stem, title_line
from sessionstore.importers.mcp_coder_events import record_message
from sessionstore.importers.mcp_coder_markdown import PROMPT, exchange
from sessionstore.importers.parsing import Unparsable

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r+\n")


class McpCoderTranscript(Importer):
    """Reader of the workflow's Markdown transcripts."""

    source: ClassVar[str] = "mcp-coder-transcript"
    title: ClassVar[str] = "Workflow transcripts of mcp_coder"
    versions: ClassVar[str] = "P1 as Markdown"
    suffixes: ClassVar[tuple[str, ...]] = (".md",)
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """`pr_info/.conversations` in the working directory and in those above it."""
        for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents)):
            yield Place(directory / "pr_info" / ".conversations")

    def recognise(self, head: Head) -> bool:
        """A title in the first line and the heading of the prompt."""
        start = head.data.removeprefix(_BOM)
        return start.startswith(b"# ") and PROMPT.encode() in start.replace(b"\r", b"")

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the transcript's one exchange. Raises `Unparsable` when it has no prompt."""
        data = b"".join(source.blocks)
        if len(data) > MAX_DOCUMENT:
            raise Unparsable(f"{len(data)} bytes are over the limit of {MAX_DOCUMENT} for one document")
        text = _decoded(source, data)
        found = exchange(text)
        if found is None:
            raise Unparsable("no prompt")
        name, digest = stem(source.name), canonical.digest(text.encode())[:8]
        draft = source.draft(f"{name or 'transcript'}-{digest}")
        if name:
            draft.aliases.append(name)
        title = found.heading.removeprefix("# ")
        draft.title = title_line(title) or None
        draft.issue("id-missing", "the transcript names no session; it is a session of its own, named by its file")
        if found.ambiguous:
            draft.issue("ambiguous-transcript", "the heading of the answer occurs more than once; the first one counts")
        time = naive_time(found.time)
        x: dict[str, Any] = {"time": time} if time else {}
        for number, message in enumerate(_messages(found.heading, found.prompt, found.answer, x), 1):
            source.account.records += 1
            source.mapped()
            yield draft, message | {"id": f"{digest}-{number}"}
        if found.answer is None:
            draft.issue("answer-missing", "the transcript holds a prompt without an answer")


def _messages(heading: str, prompt: str, answer: str | None, x: dict[str, Any]) -> Iterator[Message]:
    kept = {"x": dict(x)} if x else {}
    yield record_message({"heading": heading}, x)
    yield {"role": "user", "parts": [{"type": "text", "content": prompt}]} | kept
    if answer is not None:
        yield {"role": "assistant", "parts": [{"type": "text", "content": answer}]} | kept


def _decoded(source: Source, data: bytes) -> str:
    if data.startswith(_BOM):
        source.note("byte-order-mark", "the file begins with a byte order mark")
    data = data.removeprefix(_BOM)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        source.note("invalid-utf8")
    return _LINE_END.sub("\n", text)

"""Stored answers of mcp_coder: one JSON document for each turn of a session.

Where: `.mcp-coder/responses/response_<local time>.json` and, for steps of a workflow, `<local time>_<step>.json` beside
it or in `.mcp-coder/<workflow>_sessions/`, below the directory the program was started in;
`pr_info/.conversations/step_*_comprehensive.json` of a repository; `conversation_data/step_<n>_conversation.json`
among the artifacts of an MLflow run; and whatever file a program has given to `serialize_llm_response`.

How it is recognised: by the fields. `prompt`, `response_data` and `metadata`; or a `version` "1.x" with `text` and
`raw_response`; or `conversation_markdown` with `llm_response_data`.

What the records are and how they map: the prompt, the answer, each message or event stored with the answer, and the
rest of the file are a record each. The messages stored with an answer become messages: text of the Claude SDK's objects
(read without running it), stream-json records, LangChain messages of this turn, stream events. An answer without any is
one message. Files that name the same session are its turns: they are joined by time. The bill stands on the last
answer, as far as the messages before do not carry it.

What the source has already lost: `metadata.timestamp` is local time with a false Z, so the times are kept in `x` and
never taken for UTC; the prompt's time is that of the answer. Answers stored in text mode between October 2025 and
February 2026 name no session: each is a session of its own, named by its file. Two answers stored within one second
overwrote each other. SDK objects are Python text, tool results of stream events do not name their call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import naive_time, stem
from sessionstore.importers.mcp_coder_markdown import exchange
from sessionstore.importers.mcp_coder_turn import Turn, session_ids
from sessionstore.importers.parsing import Unparsable

Record = dict[str, Any]
_MARKS = (
    (b'"prompt"', b'"response_data"'),
    (b'"version"', b'"raw_response"'),
    (b'"response_data"', b'"metadata"'),
    (b'"conversation_markdown"',),
)
"""Names of which one set must be in the head of a file before it is parsed."""
_FIRST = re.compile(rb'\{\s*"(prompt|step|version)"\s*:')
_STAMP = re.compile(r"\D")


class McpCoder(Importer):
    """Reader of the answers that mcp_coder stores, one turn of a session each."""

    source: ClassVar[str] = "mcp-coder"
    title: ClassVar[str] = "Stored answers of mcp_coder"
    versions: ClassVar[str] = "R0a, R0b, R1, S1, P1, MLflow artifacts"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    turns: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The stores in the working directory, in those above it and at home, and the runs of MLflow."""
        for directory in dict.fromkeys((machine.cwd, *machine.cwd.parents, machine.home)):
            yield Place(directory / ".mcp-coder")
            yield Place(directory / "pr_info" / ".conversations")
        yield Place(machine.cwd / "mlruns")

    def recognise(self, head: Head) -> bool:
        """A document with the fields of one of the three envelopes."""
        start = head.data.lstrip(b"\xef\xbb\xbf \t\r\n")
        marked = any(all(mark in start for mark in marks) for marks in _MARKS)
        # A prompt longer than the head comes before the names that tell: then the whole file is looked at.
        if not start.startswith(b"{") or not (marked or (not head.whole and _FIRST.match(start))):
            return False
        return _kind(head.document) is not None

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the file's one turn. Raises `Unparsable` when it has none of the envelopes."""
        document = source.document()
        kind = _kind(document)
        if kind is None:
            raise Unparsable("not an answer of mcp_coder")
        envelope = _envelope(document, kind)
        ids = session_ids(envelope)
        name = stem(source.name)
        draft = source.draft(ids[0] if ids else f"{name or 'turn'}-{canonical.digest(canonical.dumps(document))[:8]}")
        if not ids:
            draft.issue("id-missing", "the file names no session; it is a session of its own, named by its file")
            if name:
                draft.aliases.append(name)
        if len(ids) > 1:
            draft.aliases += ids[1:]
            draft.issue("session-id-contradiction", "the file states several session ids; the answer's own counts")
        turn = Turn(source, draft, _stored_at(draft, envelope))
        if "prompt" in envelope:
            turn.prompt(envelope.pop("prompt"))
        else:
            draft.issue("prompt-missing", "the file holds an answer without its prompt")
        base = _base(envelope, document)
        _take_metadata(draft, envelope)
        turn.answer(envelope.pop("response_data"))
        turn.envelope({name: value for name, value in envelope.items() if value is not None})
        yield from turn.finished(base)


def _kind(document: Any) -> str | None:
    """Which of the three envelopes a document is."""
    if not isinstance(document, dict):
        return None
    keys = document.keys()
    if {"prompt", "response_data"} <= keys and isinstance(document["response_data"], dict | str | None):
        return "turn" if "metadata" in keys or isinstance(document["response_data"], dict) else None
    if {"conversation_markdown", "llm_response_data"} <= keys:
        return "workflow"
    version = document.get("version")
    if isinstance(version, str) and version.startswith("1.") and {"text", "raw_response"} <= keys:
        return "answer"
    return None


def _envelope(document: Record, kind: str) -> Record:
    """The document in the form of a stored turn."""
    if kind == "answer":
        return {"response_data": document}
    if kind == "turn":
        return dict(document)
    rest = {name: value for name, value in document.items() if name != "llm_response_data"}
    envelope: Record = {"response_data": document["llm_response_data"]}
    markdown = rest.get("conversation_markdown")
    told = exchange(markdown) if isinstance(markdown, str) else None
    if told is not None:
        envelope["prompt"] = told.prompt
        response = document["llm_response_data"]
        if isinstance(response, dict) and response.get("text") == told.answer:
            rest["conversation_markdown"] = {"heading": told.heading, "time": told.time}
    return envelope | rest


def _stored_at(draft: Draft, envelope: Record) -> Any:
    """When the turn was stored: the answer's own time, then the file's."""
    response, metadata = envelope.get("response_data"), envelope.get("metadata")
    places = (response, metadata, envelope)
    times = [place.get("timestamp") if isinstance(place, dict) else None for place in places]
    if isinstance(times[1], str) and times[1].endswith("Z") and naive_time(times[1][:-1]):
        draft.issue("false-utc", "metadata.timestamp is local time with a Z; the zone is unknown")
    return next((time for time in times if isinstance(time, str) and time), None)


def _base(envelope: Record, document: Any) -> str:
    """What the ids of the turn's messages begin with: the digits of its time, else of its content."""
    response, metadata = envelope.get("response_data"), envelope.get("metadata")
    for place in (response, metadata, envelope):
        time = place.get("timestamp") if isinstance(place, dict) else None
        if isinstance(time, str) and len(time) < 40 and naive_time(time.removesuffix("Z")[:26]):
            return _STAMP.sub("", time)
    return canonical.digest(canonical.dumps(document))[:12]


def _take_metadata(draft: Draft, envelope: Record) -> None:
    """Where the program ran, and on which branch."""
    metadata = envelope.get("metadata")
    response = envelope.get("response_data")
    info = response.get("session_info") if isinstance(response, dict) else None
    for about, name in ((metadata, "working_directory"), (info, "cwd")):
        value = about.get(name) if isinstance(about, dict) else None
        if isinstance(value, str) and value and draft.cwd is None:
            draft.cwd = value
    branch = metadata.get("branch_name") if isinstance(metadata, dict) else None
    if isinstance(branch, str) and branch:
        draft.git["branch"] = branch

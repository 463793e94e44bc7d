"""Sessions of kimi-cli, Moonshot's Python program: below `~/.kimi/sessions` (`$KIMI_SHARE_DIR/sessions`) on Linux,
macOS and Windows, below `~/.local/share/kimi/sessions` until October 2025.

Every generation is read: `<name>/history.jsonl`, `<md5 of the work directory>/<id>.jsonl`, and the directory
`<md5>/<id>/` of today, which is one source: `context.jsonl` (what the model sees), `context_1.jsonl`, ... (what it saw
before a compaction, a clearing or a way back), `wire.jsonl` (what was shown, with times and billed tokens),
`state.json`, `metadata.json`, `subagents/<agent>/...` and `context.tmp`, which a crash leaves.

Recognised by content: records with the roles `_system_prompt`, `_checkpoint` or `_usage`; events
`{"timestamp", "message": {"type", "payload"}}`; content parts of type `think`; plain chat records only below a
directory of the program.

Records of the context file are messages in the OpenAI chat dialect; `_checkpoint` and `_usage` (the size of the
context, no bill) are kept as they are, `_system_prompt` is the session's system prompt. Rotated files are joined as
`kimi_cli_context` says: all are kept, nothing twice, what was undone is a side branch. Messages that the program wrote
in the user's name are of kind `context`, `compaction` or `meta`. The log gives messages their times and usage (see
`kimi_cli_wire`); approvals, notices and questions stand verbatim where they happened; what only the log has becomes a
message of its own, of a turn that is still going on only when it has ended (until then it waits in `x["unfinished"]`).
Subagents are sessions `<id>/<agent>`. A directory's name is a digest of the work directory, so `cwd` is known of
subagents only.

What the source has already lost when it is read: all times, models and bills of sessions from before the log, the
work directory, and the history before a rotation when the rotated file was deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import title_line
from sessionstore.importers.kimi_cli_context import Contexts, is_control, is_message, to_message
from sessionstore.importers.kimi_cli_wire import Item, Wire, is_event, joined
from sessionstore.importers.kimi_parts import (
    Json,
    companion_document,
    companion_records,
    companion_text,
    instant,
    meta,
    text_of,
)
from sessionstore.importers.parsing import Unparsable

_CONTEXT = re.compile(r"context(_(?P<number>\d+))?\.jsonl", re.ASCII)
_ROTATED = re.compile(r"(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})_\d+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_WORK = re.compile(r"([\w.+-]+_)?[0-9a-f]{32}", re.ASCII)
_OWN_PLACE = re.compile(r"(^|/)\.?kimi/sessions/[^/]+/([^/]+/)?[^/]+\.jsonl$")
_DESCRIBING = {"state.json": "custom_title", "metadata.json": "title", "meta.json": "description"}
"""The files that describe a session, and the field of its title."""
_SUB = "context_sub"
"""What the names of subagents' contexts began with while they lay beside the session's own."""
_STARTS = (b'{"role": "_system_prompt"', b'{"role":"_system_prompt"')


class KimiCli(Importer):
    """Reader of kimi-cli's session directories and of the single files before them."""

    source: ClassVar[str] = "kimi-cli"
    title: ClassVar[str] = "Kimi CLI"
    versions: ClassVar[str] = "all layouts from September 2025, wire protocol 1.1 to 1.10"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("context.jsonl", "wire.jsonl")
    companions: ClassVar[tuple[str, ...]] = (
        "context_*.jsonl",
        "wire.jsonl",
        "state.json",
        "metadata.json",
        "subagents/*/*.json*",
        "subagents/*/prompt.txt",
        "context.tmp",
    )

    def places(self, machine: Machine) -> Iterable[Place]:
        """`sessions` in the program's directory, in the one of its first weeks and in the one that is set."""
        share = machine.env.get("KIMI_SHARE_DIR")
        roots = [Path(share)] if share and Path(share).is_absolute() else []
        for root in dict.fromkeys((*roots, machine.home / ".kimi", machine.home / ".local" / "share" / "kimi")):
            yield Place(root / "sessions")

    def recognise(self, head: Head) -> bool:
        """Control records, events of the log, or the program's own content parts."""
        if head.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_STARTS):
            return True
        records = head.records
        if any(is_control(record) or is_event(record) for record in records):
            return True
        if len(records) == 1 and head.whole and records[0].keys() == {"type", "protocol_version"}:
            return bool(records[0]["type"] == "metadata")
        talk = records and all(map(is_message, records))
        return bool(talk) and (any(map(_thinks, records)) or _OWN_PLACE.search(head.name) is not None)

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of a session and of its subagents."""
        native_id, alias = _id_of(source.name)
        draft = source.draft(native_id)
        if alias:
            draft.aliases.append(alias)
        if native_id in ("context", "wire", "session"):
            draft.issue("id-missing", "the file does not lie in a session's directory; its name was taken")
        parent = native_id.rpartition("/")[0] if "/subagents/" in source.name else ""
        rotated = _ROTATED.fullmatch(native_id)
        if rotated:
            draft.forked_from = {"key": f"{self.source}:{rotated['id']}", "relation": "resume"}
        elif parent:
            draft.forked_from = {"key": f"{self.source}:{parent}", "relation": "subagent"}
        files = _Files(source)
        main = _Session(source, draft, {n: f for n, f in files.of("").items() if not n.startswith(_SUB)})
        yield from main.read(files.lead)
        yield from _subagents(source, draft, files, main.below)


class _Files:
    """The companions of a source by the directory they lie in."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.lead = PurePosixPath(source.name).name
        self._by_directory: dict[str, dict[str, Any]] = {}
        for name in sorted(source.companions):
            directory, _, base = name.rpartition("/")
            self._by_directory.setdefault(directory, {})[base] = source.companions[name]

    def of(self, directory: str) -> dict[str, Any]:
        """The files of a directory, by their names."""
        return self._by_directory.get(directory, {})

    def agents(self) -> Iterator[str]:
        """The subagents that have files."""
        for directory in self._by_directory:
            if directory.startswith("subagents/"):
                yield directory.removeprefix("subagents/")


class _Session:
    """Reads the files of one directory into one session."""

    def __init__(self, source: Source, draft: Draft, files: dict[str, Any], events: Iterable[Json] = ()) -> None:
        self._source = source
        self._draft = draft
        self._files = files
        self._events = events
        self._turn: Item | None = None
        self.below: dict[str, list[Json]] = {}
        """the events of subagents, by the agent's id or the call that has started it"""

    def read(self, lead: str = "") -> Iterator[tuple[Draft, Message]]:
        """The session's messages; `lead` is the name of the source's own file when it lies in this directory."""
        source, draft = self._source, self._draft
        contexts = Contexts(source, draft)
        log: list[Json] = []
        current: list[Json] = []
        rotated: list[tuple[int, str, list[Json]]] = []
        others: dict[str, list[Json]] = {}
        remains: list[Json] = []
        for name, file in self._files.items():
            match = _CONTEXT.fullmatch(name)
            if not (match or name.endswith((".jsonl", ".tmp"))):
                continue
            records = file if isinstance(file, list) else companion_records(source, file)
            if name == "wire.jsonl":
                log = records
            elif match and match["number"]:
                rotated.append((int(match["number"]), name, records))
            elif match:
                current = records
            elif name == "context.tmp":
                remains = records
            else:
                others[name] = records
        if lead:
            own = list(source.records())
            if any(map(is_event, own)) or (len(own) == 1 and own[0].get("type") == "metadata"):
                log = log + own
            else:
                current = own
        for _, _, records in sorted(rotated, key=lambda entry: entry[:2]):
            contexts.add(records)
        contexts.add(current)
        contexts.leftover(remains, "context.tmp")
        self._documents()
        yield from self._told(contexts.messages, self._log(log), bool(log))
        for name, records in others.items():
            for number, record in enumerate(records, 1):
                source.preserved()
                yield draft, {"id": f"{name}:{number}"} | meta(record)

    def _log(self, records: list[Json]) -> list[Item]:
        wire = Wire(self._source, self._draft)
        for record in records:
            wire.take(record)
        self.below = wire.below
        if not records:
            wire = Wire(Source("", []), self._draft)
            for event in self._events:
                wire.take({"timestamp": event["timestamp"], "message": event["message"]})
        self._turn = wire.turn
        return wire.finish()

    def _told(self, talk: list[Message], items: list[Item], logged: bool) -> Iterator[tuple[Draft, Message]]:
        draft = self._draft
        if talk and not items:
            draft.issue("times-missing", "the context file states no times and no bill, and there is no event log")
        merged = joined(draft, talk, items, self._turn) if talk else [item.message for item in items]
        if not talk:
            for number, message in enumerate(merged, 1):
                message["id"] = f"w{number}"
            if items and logged:
                draft.issue("context-missing", "there is no context file; the event log shows what was on the screen")
        before: str | None = None
        branched = False
        for message in merged:
            if "parent" in message and (message["parent"] == before or before is None):
                del message["parent"]
            branched = branched or "parent" in message
            before = message["id"]
            if draft.title is None and message["role"] == "user" and "kind" not in message:
                draft.title = title_line(text_of(message["parts"])) or None
            yield draft, message
        if branched:
            draft.active_leaf = before

    def _documents(self) -> None:
        draft, source = self._draft, self._source
        for name, companion in self._files.items():
            if name == "prompt.txt":
                if text := companion_text(source, companion):
                    draft.x["prompt"] = text
            elif name.endswith(".json"):
                document = companion_document(source, companion)
                if document:
                    draft.x[name.removesuffix(".json") if name in _DESCRIBING else name] = document
                    self._facts(document, name)

    def _facts(self, document: Json, name: str) -> None:
        draft = self._draft
        title = document.get(_DESCRIBING.get(name, ""))
        if isinstance(title, str) and title.strip() and (draft.title is None or name == "state.json"):
            draft.title = title_line(title)
        if name == "meta.json":
            draft.created_at = instant(document.get("created_at")) or draft.created_at
            draft.updated_at = instant(document.get("updated_at")) or draft.updated_at
            spec = document.get("launch_spec")
            work = spec.get("work_dir") if isinstance(spec, dict) else None
            if isinstance(work, str) and work:
                draft.cwd = work


def _subagents(
    source: Source, draft: Draft, files: _Files, below: dict[str, list[Json]]
) -> Iterator[tuple[Draft, Message]]:
    """The subagents of a session: those with files, then those of which only the log tells."""
    link = {"key": f"{KimiCli.source}:{draft.native_id}", "relation": "subagent"}
    pending: list[tuple[str, dict[str, Any], list[Json]]] = [
        (agent, files.of(f"subagents/{agent}"), below.pop(agent, [])) for agent in sorted(files.agents())
    ]
    loose = [name for name in files.of("") if name.startswith(_SUB)]
    shown = {agent: {text for event in below[agent] for text in _shown(event["message"])} for agent in below if loose}
    for name in loose:
        records = companion_records(source, files.of("")[name])
        agent = _agent_of(records, shown)
        pending.append((PurePosixPath(name).stem, {"context.jsonl": records}, below.pop(agent, [])))
        shown.pop(agent, None)
    pending += [(agent, {}, events) for agent, events in below.items()]
    for agent, own, events in pending:
        child = source.draft(f"{draft.native_id}/{agent}")
        child.forked_from = dict(link)
        if events and events[0]["agent"]:
            child.x["started"] = events[0]["agent"]
        yield from _Session(source, child, own, events).read()


def _agent_of(records: list[Json], shown: dict[str, set[str]]) -> str:
    """The subagent that a context file is of, the one whose events it has most in common with; "" for none."""
    told: set[str] = set()
    for record in filter(is_message, records):
        parts = to_message(record)["parts"]
        told |= {part["id"] for part in parts if part["type"] == "tool_call"} | {text_of(parts).strip()}
    told.discard("")
    best = max(shown, key=lambda agent: len(told & shown[agent]), default="")
    return best if best and told & shown[best] else ""


def _shown(event: Json) -> Iterator[str]:
    payload = event.get("payload")
    if isinstance(payload, dict):
        inner = payload.get("part")
        part = inner if isinstance(inner, dict) else payload
        yield from (value.strip() for value in (payload.get("id"), part.get("text")) if isinstance(value, str))


def _thinks(record: Json) -> bool:
    content = record.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "think" and isinstance(part.get("think"), str)
        for part in content
    )


def _id_of(name: str) -> tuple[str, str | None]:
    """A session's id by the path of its file, and another id by which people know it."""
    path = PurePosixPath(name)
    base = path.name
    if not (_CONTEXT.fullmatch(base) or base in ("wire.jsonl", "history.jsonl")):
        if not path.stem:
            raise Unparsable("no session id")
        return path.stem, None
    if len(path.parts) > 3 and path.parts[-3] == "subagents":
        above, alias = _id_of(str(path.parents[2] / "context.jsonl"))
        return f"{above}/{path.parts[-2]}", f"{alias}/{path.parts[-2]}" if alias else None
    session = path.parent.name
    if not session:
        return path.stem, None
    work = path.parent.parent.name
    if _UUID.fullmatch(session) is None and _WORK.fullmatch(work):
        return f"{work}/{session}", session
    return session, None

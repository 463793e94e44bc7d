"""Sessions of kimi-code, Moonshot's TypeScript program: below `~/.kimi-code/sessions` (`$KIMI_CODE_HOME/sessions`) on
Linux, macOS and Windows.

A session is the directory `wd_<name>_<digest>/session_<uuid>/` and one source: `state.json`, an event log
`agents/<main|agent-N>/wire.jsonl` for every agent, plans, and media in `blobs/`. A log alone is read as well.

Recognised by content: an object with `createdAt` and the `agents` of a session; a log by its first record
`{"type": "metadata", "protocol_version", "created_at"}` (kimi-cli's log has no `created_at`) or by its
`context.append_message` and `context.append_loop_event` records.

The logs are replayed (see `kimi_code_wire`). The parts of an answer that follow each other (thought, text, tool calls,
the step's end and its bill) are one message with the step's id; when an approval or a tool came between, the answer
goes on in another message and the bill stands behind the tools' results, so that a log that grows only adds messages. A
tool result is one message; a prompt, which the log tells twice (`turn.prompt`, then `context.append_message`), is one,
and a prompt that never reached the conversation is of kind `meta`. A bill is counted once, on its step, else (for a
compaction) on the record itself. Messages that the program wrote in the user's name are of kind `context` or
`compaction`. Everything undone or cleared is kept as a branch;
`active_leaf` is where the session stands. All other records stand verbatim in their place, without the system prompt
and the tools that the session holds. Subagents are sessions `<id>/<agent>`. Of a session that kimi-code took over from
kimi-cli (`ses_<id>`), the old id is an alias.

What the source has already lost when it is read: of sessions taken over from kimi-cli all times, checkpoints and
subagents; media whose file is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, title_line
from sessionstore.importers.kimi_code_wire import Replay
from sessionstore.importers.kimi_parts import (
    Json,
    companion_records,
    companion_text,
    instant,
    meta,
)
from sessionstore.importers.parsing import Unparsable

_HOME = re.compile(r"[/\\](?P<session>[^/\\]+)[/\\]agents[/\\][^/\\]+[/\\]?$")
_ID = re.compile(r"(session|ses)_(?P<old>.+)", re.DOTALL)
_AGENT = re.compile(r"agents/(?P<agent>[^/]+)/(?P<rest>.+)", re.DOTALL)
_BLOB = re.compile(r"(agents/[^/]+/)?blobs/(?P<hash>[^/]+)")
_MAIN = "main"
MAX_MEDIA = 2 << 30
"""As many characters of media are put into the messages of one session, each counted each time it is named."""


class KimiCode(Importer):
    """Reader of kimi-code's session directories and of single event logs."""

    source: ClassVar[str] = "kimi-code"
    title: ClassVar[str] = "Kimi Code"
    versions: ClassVar[str] = "wire protocols 1.0 to 1.5, sessions taken over from kimi-cli"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".jsonl")
    by_line: ClassVar[bool] = False
    leads: ClassVar[tuple[str, ...]] = ("state.json",)
    companions: ClassVar[tuple[str, ...]] = (
        "agents/*/wire.jsonl",
        "agents/*/plans/*.md",
        "agents/*/blobs/*",
        "blobs/*",
    )

    def places(self, machine: Machine) -> Iterable[Place]:
        """`sessions` in the program's directory and in the one that is set."""
        home = machine.env.get("KIMI_CODE_HOME")
        roots = [Path(home)] if home and Path(home).is_absolute() else []
        for root in dict.fromkeys((*roots, machine.home / ".kimi-code")):
            yield Place(root / "sessions")

    def recognise(self, head: Head) -> bool:
        """The state of a session with its agents, or an event log of one."""
        data = head.data
        if b'"createdAt"' in data and b'"agents"' in data and _is_state(head.document):
            return True
        if b'"type"' not in data:
            return False
        return any(map(_is_log_record, head.records))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of a session's agents, the main one first. Raises `Unparsable` for a state that is no object."""
        if PurePosixPath(source.name).suffix.lower() == ".jsonl":
            yield from self._read_log(source)
            return
        source.account.records += 1
        state = source.document()
        if not isinstance(state, dict):
            raise Unparsable("not a JSON object")
        source.mapped()
        logs: dict[str, Any] = {}
        for name in sorted(source.companions):
            match = _AGENT.fullmatch(name)
            if match and match["rest"] == "wire.jsonl":
                logs[match["agent"]] = source.companions[name]
        draft = source.draft(_id_of(source.name, state))
        _describe(draft, state)
        media = _Media(source)
        for agent in sorted({_MAIN, *logs}, key=lambda name: (name != _MAIN, len(name), name)):
            child = draft if agent == _MAIN else source.draft(f"{draft.native_id}/{agent}")
            if child is not draft:
                _describe_agent(child, draft, agent, state)
            _plans(source, child, agent)
            if agent in logs:
                yield from _replayed(source, child, agent, companion_records(source, logs[agent]), media)
        if not logs:
            draft.issue("conversation-missing", "the session's state is there, the log of its conversation is not")
            yield draft, {"id": "state"} | meta(state)
        media.finish()

    def _read_log(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        path = PurePosixPath(source.name)
        agent, native_id = _MAIN, path.stem
        if path.name == "wire.jsonl" and len(path.parts) > 3 and path.parts[-3] == "agents":
            agent, native_id = path.parts[-2], path.parts[-4]
        draft = source.draft(native_id if agent == _MAIN else f"{native_id}/{agent}")
        if agent != _MAIN:
            draft.forked_from = {"key": f"{self.source}:{native_id}", "relation": "subagent"}
        elif match := _ID.fullmatch(native_id):
            draft.aliases.append(match["old"])
        draft.issue("state-missing", "the event log stands alone; title, place and relations are in the state.json")
        yield from _replayed(source, draft, agent, source.records(), _Media(source))


def _is_state(document: Any) -> bool:
    if not isinstance(document, dict) or "createdAt" not in document or not isinstance(document.get("agents"), dict):
        return False
    agents = document["agents"].values()
    return bool(agents) and all(isinstance(agent, dict) and {"homedir", "type"} & agent.keys() for agent in agents)


def _is_log_record(record: Json) -> bool:
    kind = record.get("type")
    if kind == "metadata":
        return isinstance(record.get("protocol_version"), str) and isinstance(record.get("created_at"), int | float)
    if kind == "context.append_message":
        return isinstance(record.get("message"), dict)
    return kind == "context.append_loop_event" and isinstance(record.get("event"), dict)


def _id_of(name: str, state: Json) -> str:
    """A session's id: its directory's name, else the one that the state names as its agents' home."""
    directory = PurePosixPath(name).parent.name
    if _ID.fullmatch(directory):
        return directory
    agents = state.get("agents")
    homes = (
        [agent.get("homedir") for agent in agents.values() if isinstance(agent, dict)]
        if isinstance(agents, dict)
        else []
    )
    for home in homes:
        if isinstance(home, str) and (match := _HOME.search(home)):
            return match["session"]
    if not (directory or PurePosixPath(name).stem):
        raise Unparsable("no session id")
    return directory or PurePosixPath(name).stem


def _describe(draft: Draft, state: Json) -> None:
    """What the state says of the session."""
    rest = dict(state)
    if match := _ID.fullmatch(draft.native_id):
        draft.aliases.append(match["old"])
    title = rest.get("title")
    if isinstance(title, str) and title.strip():
        draft.title = title_line(title)
        if draft.title == title:
            del rest["title"]
    for key, field in (("createdAt", "created_at"), ("updatedAt", "updated_at")):
        value = rest.get(key)
        time = value if is_instant(value) else instant(value, 1000)
        if time:
            setattr(draft, field, time)
            del rest[key]
    if isinstance(rest.get("workDir"), str) and rest["workDir"]:
        draft.cwd = rest.pop("workDir")
    parent = rest.get("forkedFrom")
    if isinstance(parent, str) and parent:
        draft.forked_from = {"key": f"{KimiCode.source}:{parent}", "relation": "fork"}
        del rest["forkedFrom"]
    if rest:
        draft.x["state"] = rest


def _describe_agent(child: Draft, draft: Draft, agent: str, state: Json) -> None:
    agents = state.get("agents")
    told = agents.get(agent) if isinstance(agents, dict) else None
    above = told.get("parentAgentId") if isinstance(told, dict) else None
    key = f"{KimiCode.source}:{draft.native_id}"
    if isinstance(above, str) and above not in ("", _MAIN, agent):
        key += f"/{above}"
    child.forked_from = {"key": key, "relation": "subagent"}
    child.cwd = draft.cwd
    child.aliases = [f"{alias}/{agent}" for alias in draft.aliases]
    if isinstance(told, dict):
        child.x["agent"] = told


def _plans(source: Source, draft: Draft, agent: str) -> None:
    for name in sorted(source.companions):
        match = _AGENT.fullmatch(name)
        if match and match["agent"] == agent and match["rest"].startswith("plans/"):
            draft.x.setdefault("plans", {})[match["rest"].removeprefix("plans/")] = companion_text(
                source, source.companions[name]
            )


def _replayed(
    source: Source, draft: Draft, agent: str, records: Iterable[Json], media: _Media
) -> Iterator[tuple[Draft, Message]]:
    replay = Replay(source, draft, agent, lambda url: media.fetch(draft, agent, url))
    for record in records:
        replay.take(record)
    for message in replay.finish():
        yield draft, message


class _Media:
    """The files that hold media which were too long for the log: base64 text, named by digests."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files = [name for name in sorted(source.companions) if _BLOB.fullmatch(name)]
        self._known = set(self._files)
        self._read: dict[str, str] = {}
        self._given = 0

    def fetch(self, draft: Draft, agent: str, url: str) -> str | None:
        """The text of the file that a link names."""
        digest = url.rpartition(";")[2]
        for name in (f"agents/{agent}/blobs/{digest}", f"agents/{_MAIN}/blobs/{digest}", f"blobs/{digest}"):
            if name not in self._known:
                continue
            if name not in self._read:
                try:
                    found = self._source.companions[name].read().decode("utf-8", "replace").strip()
                except Unparsable:
                    continue
                self._read[name] = found
                self._source.account.records += 1
                self._source.mapped()
            self._given += len(self._read[name])
            if self._given <= MAX_MEDIA:
                return self._read[name]
            draft.issue("media-left-out", "media that are named over and over are shown by their links only")
            return None
        draft.issue("media-missing", "the file of an image, sound or film is gone")
        return None

    def finish(self) -> None:
        """Account for the files that no record names."""
        for name in self._files:
            if name not in self._read:
                self._source.account.records += 1
                self._source.reject(f"{name}: media that no record names")

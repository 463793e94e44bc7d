"""Small sources of every format, and the questions that tests of migration ask of a store."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sessionstore import canonical, closure
from sessionstore.importers.base import Machine
from sessionstore.journal import Journals, Line
from sessionstore.migrate.run import Report, Request, migrate
from sessionstore.store import Store

LEGACY = Path(__file__).parents[2] / "fixtures" / "legacy"
NOWHERE = Machine(Path("/nonexistent/home"), Path("/nonexistent/here"))
CLAUDE = "4f0c1d2e-0000-4a4a-9b9b-0000000000{:02d}"
CODEX = "019cae2b-7777-7abc-9def-0000000000{:02d}"
Tree = dict[str, bytes | None]


def run(store: Store, *paths: Path, **options: Any) -> Report:
    """Migrate these paths in this process, unless `jobs` says otherwise."""
    request = Request(tuple(map(str, paths)), **{"jobs": 1, **options})
    return migrate(store, request, NOWHERE)


def rest() -> None:
    """Wait until files written so far are old enough for a change to show in their time stamps."""
    time.sleep(0.12)


def tree(directory: str | Path) -> Tree:
    """Everything below a directory: path to bytes, directories to None."""
    found: Tree = {}
    for root, directories, files in os.walk(directory):
        found.update({os.path.relpath(os.path.join(root, name), directory): None for name in directories})
        for name in files:
            path = os.path.join(root, name)
            found[os.path.relpath(path, directory)] = Path(path).read_bytes()
    return found


def parts(store: Store, *names: str) -> dict[str, Tree]:
    """Some top-level directories of a store, whole."""
    return {name: tree(f"{store.root}/{name}") for name in names or ("sessions", "objects")}


def needed(store: Store) -> dict[str, Any]:
    """All sessions and whatever they need, whole. What else there is depends on which sources were read first: objects
    of sessions that were there already, earlier states in the trash."""
    revisions = map(store.load_revision, store.revision_names())
    references = sorted({reference for one in revisions for reference in closure.objects_of(store, one)})
    return {"sessions": tree(f"{store.root}/sessions"), "objects": {ref: store.objects.get(*ref) for ref in references}}


def keys(store: Store) -> list[str]:
    """The keys of all sessions."""
    return sorted({store.load_revision(name)["key"] for name in store.revision_names()})


def heads(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All sessions with their heads."""
    return {key: store.heads(key) for key in keys(store)}


def only_head(store: Store) -> dict[str, Any]:
    """The one head of the one session."""
    [[head]] = heads(store).values()
    return head


def texts(store: Store, revision: dict[str, Any]) -> list[str]:
    """What a revision's messages say, one string each."""
    return [
        "".join(part.get("content", "") for part in message["parts"] if part["type"] == "text")
        for message in store.messages(revision)
    ]


def live_lines(store: Store) -> list[Line]:
    """The source lines of all batches that took effect, oldest first."""
    return [line for batch in Journals(store.root).all() for line in batch.live]


def original(store: Store, entry: dict[str, Any]) -> bytes:
    """An original's bytes, with its hash checked."""
    return b"".join(store.original(entry))


def originals(store: Store) -> dict[str, bytes]:
    """Every original that a stored revision, superseded ones included, refers to: SHA-256 to bytes."""
    found = [store.load_revision(name) for name in store.revision_names()]
    for folder in os.listdir(f"{store.root}/trash"):
        found += [revision for _, revision in closure.trashed_revisions(store, folder)]
    entries = {entry["sha256"]: entry for revision in found for entry in revision.get("originals", ())}
    return {sha256: original(store, entry) for sha256, entry in entries.items()}


def assert_closed(store: Store) -> None:
    """Every visible revision is sound and has all its objects, each holding the bytes it is named for; nobody's
    head is missing a page."""
    for name in store.revision_names():
        revision = store.load_revision(name)
        for reference in closure.objects_of(store, revision):
            store.objects.get(*reference, check=True)
        assert sum(1 for _ in store.lines(revision)) == revision["counts"]["messages"]


def leftovers(store: Store) -> list[str]:
    """Names in the store's directory for temp files."""
    return os.listdir(f"{store.root}/tmp")


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return canonical.digest(data)


def lines_of(records: Iterable[dict[str, Any]]) -> bytes:
    """Records as a JSONL file."""
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def claude(number: int, count: int, start: int = 0, filler: str = "") -> bytes:
    """Lines `start` to `count` of a Claude Code transcript: turns of a person and the program."""
    return lines_of(_claude(number, count, start, filler))


def _claude(number: int, count: int, start: int, filler: str) -> Iterator[dict[str, Any]]:
    session = CLAUDE.format(number)
    for n in range(start, count):
        said = f"{number}: line {n} {filler}"
        turn: dict[str, Any] = {
            "parentUuid": f"{session}-{n - 1}" if n else None,
            "isSidechain": False,
            "userType": "external",
            "cwd": "/home/ada/src/tinyshop",
            "sessionId": session,
            "version": "1.0.6",
            "type": "assistant" if n % 2 else "user",
            "message": {"role": "user", "content": said},
            "uuid": f"{session}-{n}",
            "timestamp": f"2025-06-14T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}.000Z",
        }
        if n % 2:
            turn["message"] = {
                "model": "claude-sonnet-4-20250514",
                "id": f"msg_{number}_{n}",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": said}],
                "usage": {"input_tokens": 10 + n, "output_tokens": n},
            }
        yield turn


def claude_path(root: Path, number: int) -> Path:
    """Where Claude Code would keep a transcript."""
    return root / ".claude" / "projects" / "-home-ada-src-tinyshop" / f"{CLAUDE.format(number)}.jsonl"


def codex(number: int, count: int, start: int = 0) -> bytes:
    """Lines `start` to `count` of a Codex rollout: its header, then messages in turn."""
    return lines_of(list(_codex(number, count))[start:])


def _codex(number: int, count: int) -> Iterator[dict[str, Any]]:
    session = CODEX.format(number)
    begin = "2026-03-02T14:00:00.000Z"
    header = {"id": session, "timestamp": begin, "cwd": "/home/mara/src/tidepool", "originator": "codex_cli_rs"}
    yield {"timestamp": begin, "type": "session_meta", "payload": {**header, "cli_version": "0.46.0", "source": "cli"}}
    for n in range(1, count):
        role, kind = ("assistant", "output_text") if n % 2 == 0 else ("user", "input_text")
        payload = {"type": "message", "role": role, "content": [{"type": kind, "text": f"{number}: tide {n}"}]}
        stamp = f"2026-03-02T14:{n // 60:02d}:{n % 60:02d}.000Z"
        yield {"timestamp": stamp, "type": "response_item", "payload": payload}


def codex_path(root: Path, number: int) -> Path:
    """Where Codex would keep a rollout."""
    name = f"rollout-2026-03-02T14-00-00-{CODEX.format(number)}.jsonl"
    return root / ".codex" / "sessions" / "2026" / "03" / "02" / name


def kimi(messages: Iterable[str], session: str = "tides_20250712_2100", created: str = "2025-07-12T21:00:00") -> bytes:
    """A Kimi session document; turns of a person and the program."""
    said = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(messages)]
    document = {
        "session_id": session,
        "messages": said,
        "metadata": {"created": created, "topics": ["tides"]},
        "created": created,
        "last_accessed": "2025-07-12T21:05:11.713738",
        "message_count": len(said),
        "topics": ["tides"],
    }
    return json.dumps(document, indent=2).encode()


def kimi_path(root: Path, session: str = "tides_20250712_2100") -> Path:
    """Where the Kimi server would keep a session."""
    return root / ".kimi_sessions" / f"{session}.json"


def write(path: Path, data: bytes) -> Path:
    """Put bytes at a path, making its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def grow(path: Path, data: bytes) -> None:
    """Append to a file, as the program that owns it does."""
    with path.open("ab") as file:
        file.write(data)

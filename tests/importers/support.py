"""Reading sources in tests the way the program does, with every general promise checked on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionstore import canonical, models
from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft, Head, Importer, Message, Source
from sessionstore.migrate.finding import Roots, candidates

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ROOT / "fixtures" / "formats"
"""Fixtures by format: everything below `fixtures/formats/<source>/` is for the importer of that name."""
HEAD = 64 << 10


@dataclass
class Imported:
    """What an importer made of a source."""

    source: Source
    sessions: dict[str, list[Message]]
    """messages by native id, in the order of the sessions"""

    @property
    def drafts(self) -> dict[str, Draft]:
        """The sessions by native id."""
        return {draft.native_id: draft for draft in self.source.drafts}

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """(records, mapped, preserved, rejected)"""
        account = self.source.account
        return account.records, account.mapped, account.preserved, len(account.rejected)

    def one(self) -> tuple[Draft, list[Message]]:
        """The only session."""
        assert len(self.source.drafts) == 1, list(self.drafts)
        return self.source.drafts[0], self.sessions[self.source.drafts[0].native_id]


def imported(
    importer: Importer,
    data: bytes | Path,
    name: str | None = None,
    companions: Mapping[str, bytes | Path] | Iterable[Path] = (),
) -> Imported:
    """Read a source (bytes, or a file). Companions by name, or as files below the source's directory."""
    path = data if isinstance(data, Path) else None
    content = data.read_bytes() if isinstance(data, Path) else data
    if not isinstance(companions, Mapping):
        companions = tuple(companions)
        assert path is not None or not companions
        companions = {other.relative_to(path.parent).as_posix(): other for other in companions}
    beside = {key: value.read_bytes() if isinstance(value, Path) else value for key, value in companions.items()}
    source = Source.of(content, name if name is not None else str(path or ""), beside)
    ids: dict[Draft, set[str]] = {}
    lines: dict[Draft, list[Message]] = {}
    for draft, message in importer.read(source):
        models.Message.model_validate(message)
        line = canonical.line(message)
        assert canonical.line(canonical.loads(line)) == line
        assert message["id"] not in ids.setdefault(draft, set()), message["id"]
        ids[draft].add(message["id"])
        lines.setdefault(draft, []).append(message)
    source.settle()
    assert source.account.adds_up, source.account
    assert len({draft.native_id for draft in source.drafts}) == len(source.drafts)
    return Imported(source, {draft.native_id: lines.get(draft, []) for draft in source.drafts})


def recognised(importer: Importer, data: bytes | Path, name: str = "") -> bool:
    """Whether an importer takes a file (or bytes that are no database or archive) for its own, by content."""
    if isinstance(data, Path):
        content = data.read_bytes()
        return importer.recognise(
            Head(str(data), content[:HEAD], len(content) <= HEAD, lambda: [content], content[:4], str(data))
        )
    return importer.recognise(Head(name, data[:HEAD], len(data) <= HEAD, lambda: [data], data[:4]))


def everything(importer: Importer, folder: Path) -> dict[str, Imported]:
    """What an importer makes of every source below a directory that it takes for its own, by path relative to it: each
    with its companions, and none of them taken by another importer."""
    found = {}
    roots = Roots([str(folder)], tuple({suffix for other in all_importers().values() for suffix in other.suffixes}))
    for candidate in candidates(roots, all_importers(), {}, on_error=lambda path, reason: None):
        path = Path(candidate.path)
        owners = [name for name, other in all_importers().items() if recognised(other, path)]
        assert owners in ([], [importer.source]), (path, owners)
        if owners:
            beside: dict[str, bytes | Path] = {member.name: Path(member.path) for member in candidate.members}
            found[path.relative_to(folder).as_posix()] = imported(importer, path, companions=beside)
    return found


def lines(*values: Any) -> bytes:
    """Values as JSON, one a line."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def text(message: Message) -> str:
    """The text parts of a message."""
    return "\n".join(part["content"] for part in message["parts"] if part["type"] == "text")


def roles(messages: Iterable[Message]) -> list[Any]:
    """The roles of messages."""
    return [message["role"] for message in messages]

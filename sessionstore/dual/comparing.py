"""What a session and its legacy file have to do with each other, told from what both say: no record is kept of what was
written when, so a kill between the two writes shows like any other difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sessionstore.dual.rendering import WINDOW, Rendered

Record = dict[str, Any]
Kind = Literal[
    "same", "fields", "behind", "ahead", "differs", "unwritten", "unknown", "unreadable", "shadowed", "cleared"
]
KINDS: dict[Kind, str] = {
    "same": "store and file say the same",
    "fields": "the messages are the same, something else is not",
    "behind": "the file lacks what was said last",
    "ahead": "the older program has gone on since",
    "differs": "store and file say different things",
    "unwritten": "the session has no file",
    "unknown": "the file's session is not in the store",
    "unreadable": "the file cannot be read",
    "cleared": "the session was cleared or deleted, its file is still there",
    "shadowed": "the file of that name is another session's",
}
"""What may be found, and what it means."""
_TIMES = frozenset({"messages", "created", "created_at", "last_accessed", "updated_at", "message_count"})


class Match(NamedTuple):
    """How the records of a file stand to those of a session. `lacking`: how many records the file lacks at its end.
    `news`: the ordinals of the file's records that the session lacks, to be put behind the session's record `after`
    (an ordinal, -1 for none). `at`: where the two begin to differ, in the file. All ordinals are 0-based."""

    kind: Kind
    lacking: int = 0
    news: Sequence[int] = ()
    after: int = -1
    at: int = 0


def match(stored: Rendered, marks: Sequence[bytes], roles: Sequence[str], format: str) -> Match:
    """Compare a file, given by its records' signatures and roles, with a session."""
    if format == "kimi":
        return _match_window(stored, marks, roles)
    return _match_row(stored.signatures, marks)


def _match_row(known: Sequence[frozenset[bytes]], marks: Sequence[bytes]) -> Match:
    shared = _shared(known, marks)
    if shared == len(marks):
        return Match("behind", len(known) - shared) if shared < len(known) else Match("same")
    kind: Kind = "ahead" if shared == len(known) else "differs"
    return Match(kind, news=range(shared, len(marks)), after=shared - 1, at=shared)


def _shared(known: Sequence[frozenset[bytes]], marks: Sequence[bytes]) -> int:
    for number, (names, mark) in enumerate(zip(known, marks, strict=False)):
        if mark not in names:
            return number
    return min(len(known), len(marks))


def _match_window(stored: Rendered, marks: Sequence[bytes], roles: Sequence[str]) -> Match:
    """The same where the file keeps the system's messages and the latest others only."""
    is_system = [record.get("role") == "system" for record in stored.records]
    inner = [number for number, system in enumerate(is_system) if not system]
    known = [stored.signatures[number] for number in inner]
    places = [number for number, role in enumerate(roles) if role != "system"]
    instructions = [number for number, role in enumerate(roles) if role == "system"]
    said = [marks[number] for number in places]
    system = _match_row(
        [names for names, system in zip(stored.signatures, is_system, strict=True) if system],
        [marks[number] for number in instructions],
    )
    if system.kind == "differs":
        return Match("differs", news=range(len(marks)), at=instructions[system.at])
    news = [instructions[number] for number in system.news]
    full = len(said) >= WINDOW
    last = len(stored.records) - 1
    for start in range(len(known) - len(said), -1, -1) if full else (0,):
        if _shared(known[start:], said) == len(said):
            lacking = len(known) - start - len(said) + system.lacking
            if news:
                return Match("ahead", lacking, news, last)
            return Match("behind" if lacking else "same", lacking)
    for start in range(max(0, len(known) - len(said)), len(known) + 1) if full else (0,):
        overlap = len(known) - start
        if overlap <= len(said) and _shared(known[start:], said) == overlap and (overlap or not known):
            return Match("ahead", news=[*news, *places[overlap:]], after=last, at=[*places, len(marks)][overlap])
    shared = 0 if full else _shared(known, said)
    if not shared:
        return Match("differs", news=range(len(marks)), at=places[0])
    return Match("differs", news=[*news, *places[shared:]], after=inner[shared - 1], at=places[shared])


def differing_fields(stored: Record, file: Record) -> list[str]:
    """The names of what a document says beside the messages, where the two are not the same. Times are not compared."""
    return [name for name in {**stored, **file} if name not in _TIMES and stored.get(name, ...) != file.get(name, ...)]

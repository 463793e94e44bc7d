"""Candidates by session: in which order sessions are shown, and what is shown once though several sessions hold it.

A fork or a resumed session repeats the history it began with, and the same long text may be put into hundreds of
sessions. Each is shown in the best session only, which says in which others it stands.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from sessionstore.index.candidates import Candidate
from sessionstore.index.schema import SEQ, SHIFT

_RECENT, _HALF_LIFE = 0.2, 90.0
"""The newest session counts a fifth more, one `_HALF_LIFE` days older a tenth."""
MOST = 1 + _RECENT
"""By how much a session's score can be above that of its best message."""
SHOWN = 10
"""So many messages of a session are compared with those of others."""
_OTHERS = 500
"""So many further sessions are asked whether they hold what is shown."""
_LONG = 160
"""A text of so many bytes in two sessions is the same text, whenever it was said."""


class Group:
    """A session with its hits. `named` says that the query is its id."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.messages: list[Candidate] = []
        self.score = 0.0
        self.titled = self.named = False
        self.also: dict[int, set[str]] = {}
        """By message, the keys of the other sessions that hold it."""
        self.matches: int | None = None
        """How many messages match, when that is known."""


Fill = Callable[[list[Group]], None]
"""Gives groups, of which only the best message is known, all their messages, the best first."""


class _Facts(NamedTuple):
    key: str
    root: str
    """The session that this one's history goes back to."""


def arranged(
    connection: sqlite3.Connection,
    found: Sequence[Candidate],
    titles: Mapping[int, float],
    named: Sequence[int],
    wanted: int,
    fill: Fill | None = None,
) -> list[Group]:
    """Candidates by session, the best session first: by its best message or its title, recent ones slightly up. What
    several sessions hold is shown once among the `wanted` first. With `fill` the candidates are the best of every
    session, and those sessions that come first are given all their messages."""
    wanted = max(1, wanted)
    groups = _grouped(found)
    for session, score in titles.items():
        group = groups.setdefault(session, Group(session))
        group.score, group.titled = max(group.score, score), True
    most = max((group.score for group in groups.values()), default=0.0)
    for session in named:
        group = groups.setdefault(session, Group(session))
        group.score, group.named = most + 1, True
    listed = sorted(groups.values(), key=lambda group: -group.score)
    contenders = _contenders(listed, 2 * wanted) if fill else listed
    days = _days(connection, [group.session for group in contenders])
    newest = _day(connection.execute("SELECT max(sorted_at) FROM sessions").fetchone()[0])
    for group in contenders:
        age = max(0, newest - days[group.session])
        group.score *= 1 + _RECENT * 0.5 ** (age / _HALF_LIFE)
    best = sorted(contenders, key=lambda group: (-group.score, -days[group.session], -group.session))
    if fill:
        best = best[: 8 * wanted + _OTHERS]
    kept = _once(connection, best, _facts(connection, [group.session for group in best]), wanted, fill)
    if len(kept) < wanted and len(best) < len(listed):  # so much is said twice that those do not suffice
        return arranged(connection, found, titles, named, 8 * wanted, fill)
    return kept


def _contenders(listed: list[Group], wanted: int) -> list[Group]:
    """Those of some groups, the best first, that can be among the `wanted` best once their age has been counted."""
    if len(listed) <= wanted:
        return listed
    least = listed[wanted - 1].score / MOST
    return listed[: bisect_right(listed, -least, key=lambda group: -group.score)]


def in_order(connection: sqlite3.Connection, found: Iterable[Candidate], wanted: int) -> list[Group]:
    """Candidates by session, in the order in which they come."""
    groups = _grouped(found)
    return _once(connection, list(groups.values()), _facts(connection, list(groups)), max(1, wanted))


def _grouped(found: Iterable[Candidate]) -> dict[int, Group]:
    groups: dict[int, Group] = {}
    for number, score in found:
        group = groups.setdefault(number >> SHIFT, Group(number >> SHIFT))
        group.messages.append((number, score))
        group.score = max(group.score, score)
    return groups


class _Once:
    """Passes groups without the messages that a better one has, and without those that have nothing else."""

    def __init__(self, connection: sqlite3.Connection, facts: Mapping[int, _Facts]) -> None:
        self.connection, self.facts = connection, facts
        self.shown: dict[object, tuple[Group, int]] = {}
        self.keys: set[str] = set()
        self.kept: list[Group] = []

    def take(self, groups: list[Group], scores: set[float] | None) -> None:
        """Pass groups, of which only the messages with one of `scores` may be repeated; None: any of the first."""
        if scores is None:
            numbers = [number for group in groups for number, _ in group.messages[:SHOWN]]
        else:
            numbers = [number for group in groups for number, score in group.messages if score in scores]
        signs = self._signs(numbers) if numbers else {}
        for group in groups:
            key, messages = self.facts[group.session].key, []
            for number, score in group.messages:
                mine = signs.get(number, ())
                first = next((self.shown[sign] for sign in mine if sign in self.shown), None)
                if first and first[0] is not group:
                    if key != self.facts[first[0].session].key:
                        first[0].also.setdefault(first[1], set()).add(key)
                    continue
                messages.append((number, score))
                for sign in mine:
                    self.shown.setdefault(sign, (group, number))
            group.messages = messages
            if messages or ((group.titled or group.named) and key not in self.keys):
                self.kept.append(group)
            self.keys.add(key)

    def _signs(self, numbers: list[int]) -> dict[int, list[object]]:
        """What messages are recognised by in other sessions: what they say if that is long, else that with its time,
        or with the session that both go back to."""
        sql = (
            "SELECT j.value, m.same, m.time FROM json_each(?) j CROSS JOIN messages m INDEXED BY messages_facts"
            f" ON m.session_id = j.value >> {SHIFT} AND m.seq = j.value & {SEQ}"
        )
        found: dict[int, list[object]] = {}
        for number, same, time in self.connection.execute(sql, (orjson.dumps(numbers).decode(),)):
            signs: list[object] = [(same, self.facts[number >> SHIFT].root)]
            if same >> 32 >= _LONG:
                signs.append(same)
            elif time:
                signs.append((same, time))
            found[number] = signs
        return found


def _once(
    connection: sqlite3.Connection,
    groups: list[Group],
    facts: Mapping[int, _Facts],
    wanted: int,
    fill: Fill | None = None,
) -> list[Group]:
    """What is shown of `groups`: every message once, as far as the `wanted` first of them go. Messages that say the
    same have the same score, so of the others only those are looked at that share one."""
    once, at, size = _Once(connection, facts), 0, wanted
    shared = None if fill else _shared(groups)
    while at < len(groups) and len(once.kept) < wanted:
        portion = groups[at : at + size]
        if fill:
            fill(portion)
        once.take(portion, shared)
        at, size = at + size, 2 * size
    scores = {score for group in once.kept for _, score in group.messages[:SHOWN]}
    once.take(groups[at:], scores if shared is None else shared & scores)
    return once.kept


def _shared(groups: list[Group]) -> set[float]:
    """The scores that messages of several groups have."""
    first: dict[float, Group] = {}
    return {score for group in groups for _, score in group.messages if first.setdefault(score, group) is not group}


def _facts(connection: sqlite3.Connection, sessions: list[int]) -> dict[int, _Facts]:
    """Key and root of sessions."""
    sql = "SELECT id, key, forked_from, relation FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
    rows = connection.execute(sql, (orjson.dumps(sessions).decode(),)).fetchall()
    parents = {key: parent for _, key, parent, relation in rows if parent and relation != "subagent"}
    return {number: _Facts(key, _root(key, parents)) for number, key, _, _ in rows}


def _days(connection: sqlite3.Connection, sessions: list[int]) -> dict[int, int]:
    """About on which day sessions changed last."""
    sql = "SELECT id, substr(sorted_at, 1, 10) FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
    return {number: _day(time) for number, time in connection.execute(sql, (orjson.dumps(sessions).decode(),))}


def _root(key: str, parents: Mapping[str, str]) -> str:
    seen = {key}
    while (parent := parents.get(key)) and parent not in seen:
        seen.add(key := parent)
    return key


@lru_cache(maxsize=1024)
def _day(time: str | None) -> int:
    """About which day a time is in: good enough for how recent something is."""
    year, month, day = (time or "")[:4], (time or "")[5:7], (time or "")[8:10]
    return int(year) * 365 + int(month) * 30 + int(day) if (year + month + day).isdecimal() else 0

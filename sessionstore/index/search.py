"""Answering a search: the best sessions first, and in each the messages that match best.

Candidates are ranked inside SQLite, from the full-text index alone: BM25 with text above reasoning above tool input
above tool output, and what programs put in by themselves last. Text is read only of what is shown, and of candidates
that have to be compared letter by letter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from sessionstore import errors
from sessionstore.index import candidates, groups, hit
from sessionstore.index.candidates import Candidate, Question
from sessionstore.index.groups import Group
from sessionstore.index.hit import Hit
from sessionstore.index.language import FIELDS, And, Field, Node, parse, wrong
from sessionstore.index.pattern import Matcher
from sessionstore.index.plan import loosened, make
from sessionstore.index.schema import SHIFT, snapshot
from sessionstore.index.snippet import Highlighter

if TYPE_CHECKING:
    from datetime import datetime

SORTS = ("best", "recent", "oldest")
TOGETHER = 60
"""At least so many sessions are found before they are put in order, where messages have to be read for that."""


def search(
    connection: sqlite3.Connection,
    query: str,
    limit: int = 20,
    offset: int = 0,
    *,
    per_session: int = 3,
    fields: Mapping[str, str] | None = None,
    sort: str = "best",
    context: int = 0,
    stem: str | None = None,
    now: datetime | None = None,
) -> list[Hit]:
    """The `limit` best hits of a query after the first `offset`, session by session, at most `per_session` of each.
    `fields` are further filters by field name; with them the query may be empty. `sort` is one of `SORTS`; a query
    without words is sorted by time anyway. With `context` each hit has so many messages before and after it. `stem`
    names a language whose inflected forms are found as well. `now` is what dates are reckoned from.

    Each hit has: key, revision, title, title_marks, source, project, branch, models, session_time,
    and of the message:
    message (its id), seq (from 0), role, kind, model, time, part (text, reasoning, tool_input, tool_output, context,
    title or id), snippet, marks ([[start, end), …] in the snippet), link, score, matches (how many messages of the
    session match; None when that was not counted), also_in (keys of other sessions that hold the same message). A hit
    in nothing but the title or the id has message and seq None.
    Raises `SearchSyntax`; never an `sqlite3.OperationalError` for anything typed.
    """
    if sort not in SORTS:
        raise errors.UsageError(reason=f"hits are sorted by one of {', '.join(SORTS)}, not by {sort!r}")
    tree = tree_of(query, fields or {})
    with snapshot(connection):
        for attempt in _attempts(connection, tree, stem):
            with asked(connection, attempt, now) as question:
                if hits := _answer(question, limit, offset, per_session, sort, context):
                    return hits
    return []


def _answer(question: Question, limit: int, offset: int, per_session: int, sort: str, context: int) -> list[Hit]:
    wanted = offset + limit
    found = _best(question, wanted) if sort == "best" and question.plan.match else None
    if found is None:
        found = _by_time(question, wanted, per_session, oldest=sort == "oldest")
    order: list[tuple[Group, Candidate | None]] = []
    for group in found:
        order += [(group, candidate) for candidate in group.messages[:per_session]] or [(group, None)]
    return hits_of(question, order[offset:wanted], context)


def count(
    connection: sqlite3.Connection,
    query: str,
    *,
    fields: Mapping[str, str] | None = None,
    stem: str | None = None,
    now: datetime | None = None,
) -> dict[str, int]:
    """How many messages, and how many sessions, a query finds. Raises `SearchSyntax`."""
    messages, sessions = _counted(connection, tree_of(query, fields or {}), stem, now)
    return {"messages": messages, "sessions": len(sessions)}


def sessions_with(connection: sqlite3.Connection, query: str, now: datetime | None = None) -> set[int]:
    """The numbers of the sessions in which a query finds something. Raises `SearchSyntax`."""
    return _counted(connection, tree_of(query, {}), None, now)[1]


def _counted(
    connection: sqlite3.Connection, tree: Node, stem: str | None, now: datetime | None
) -> tuple[int, set[int]]:
    found, sessions = dict[int, int](), set[int]()
    with snapshot(connection):
        for attempt in _attempts(connection, tree, stem):
            with asked(connection, attempt, now) as question:
                found = {} if question.plan.titles_only else candidates.counts(question)
                sessions = {*found, *candidates.titles(question), *candidates.named(question)}
            if sessions:
                break
    return sum(found.values()), sessions


def _attempts(connection: sqlite3.Connection, tree: Node, stem: str | None) -> Iterator[Node]:
    """The trees to try until one finds something: what was typed, then with code inside longer words."""
    if stem:
        from sessionstore.index.stemming import stemmed

        tree = stemmed(connection, tree, stem)
    yield tree
    if (loose := loosened(tree)) != tree:
        yield loose


@contextmanager
def asked(connection: sqlite3.Connection, tree: Node, now: datetime | None) -> Iterator[Question]:
    """A query's tree made ready to be answered. Raises `SearchSyntax`."""
    plan = make(tree, now)
    with Matcher(connection, plan.patterns, plan.columns) as matcher:
        yield Question(connection, plan, matcher)


def tree_of(query: str, fields: Mapping[str, str]) -> Node:
    """The tree of a query with further filters. Raises `SearchSyntax`."""
    filters = []
    for name, value in fields.items():
        if name not in FIELDS:
            raise wrong(f"there is no field {name}:", 0)
        filters.append(Field(name, value, 0))
    if filters and not query.strip():
        return And(tuple(filters))
    tree = parse(query)
    nodes = tree.nodes if isinstance(tree, And) else (tree,)
    return And((*nodes, *filters)) if filters else tree


def _best(question: Question, wanted: int) -> list[Group]:
    """The sessions with the best hits, at least `wanted` if there are so many."""
    connection = question.connection
    titles, named = candidates.titles(question), candidates.named(question)
    if question.plan.titles_only:
        return groups.arranged(connection, [], titles, named, wanted)
    if question.plan.checks:
        return _best_of_checked(question, titles, named, wanted)
    near = candidates.nearest(question)
    if near and _nth(near.best, wanted) >= (least := groups.MOST * near.bound):
        found = groups.arranged(connection, near.best, titles, named, wanted, _fill(question, near.scores))
        if len(found) >= wanted and found[wanted - 1].score >= least:
            return found
    every = candidates.best_of_sessions(question)
    return groups.arranged(connection, every, titles, named, wanted, _fill(question, None))


def _nth(found: Sequence[Candidate], wanted: int) -> float:
    """The score of the `wanted`-th best session among candidates, the best first; 0 when there are fewer."""
    sessions: set[int] = set()
    for number, score in found:
        sessions.add(number >> SHIFT)
        if len(sessions) >= wanted:
            return score
    return 0.0


def _fill(question: Question, known: Mapping[int, float] | None) -> groups.Fill:
    def fill(portion: list[Group]) -> None:
        if sessions := [group.session for group in portion if group.messages]:
            found = candidates.inside(question, sessions, known)
            for group in portion:
                group.messages = found.get(group.session, [])
                group.matches = len(group.messages)

    return fill


def _best_of_checked(question: Question, titles: Mapping[int, float], named: Sequence[int], wanted: int) -> list[Group]:
    """As `_best`, where candidates have to be read: only until there are enough. That is decided for many pages at a
    time, so that these follow on one another."""
    found: list[Candidate] = []
    sessions: set[int] = set()
    enough = TOGETHER
    while enough < wanted:
        enough *= 4
    for portion in candidates.ranked(question):
        found += portion
        sessions.update(number >> SHIFT for number, _ in portion)
        if len(sessions) > enough:
            arranged = groups.arranged(question.connection, found, titles, named, wanted)
            if len(arranged) >= wanted:
                return arranged
            enough = 2 * len(sessions)
    return groups.arranged(question.connection, found, titles, named, wanted)


def _by_time(question: Question, wanted: int, per_session: int, *, oldest: bool) -> list[Group]:
    """Sessions with hits in the order of time."""
    titles = {*candidates.titles(question), *candidates.named(question)}
    if question.plan.titles_only:
        found = groups.arranged(question.connection, [], dict.fromkeys(titles, 1.0), [], wanted)
        return found[::-1] if oldest else found
    listed: list[Candidate] = []
    enough, sessions = wanted, set[int]()
    for session, numbers in candidates.by_time(question, oldest=oldest):
        taken = list(islice(numbers, per_session))
        listed += [(number, 0.0) for number in taken]
        if taken:
            sessions.add(session)
        if len(sessions) >= enough:
            arranged = groups.in_order(question.connection, listed, wanted)
            if len(arranged) >= wanted:
                return _with_titles(question, arranged, titles, oldest)
            enough = 2 * len(sessions)
    return _with_titles(question, groups.in_order(question.connection, listed, wanted), titles, oldest)


def _with_titles(question: Question, found: list[Group], titles: set[int], oldest: bool) -> list[Group]:
    """The groups with those sessions put in whose title alone matches, in the order of time."""
    missing = titles - {group.session for group in found}
    if not missing:
        return found
    rows = question.connection.execute("SELECT id FROM sessions ORDER BY sorted_at, id").fetchall()
    place = {session: number for number, (session,) in enumerate(rows)}
    whole = [*found, *(Group(session) for session in missing)]
    return sorted(whole, key=lambda group: place[group.session] if oldest else -place[group.session])


def hits_of(question: Question, order: Sequence[tuple[Group, Candidate | None]], context: int) -> list[Hit]:
    """The data of hits; those of one session stand together."""
    connection, highlighter = question.connection, Highlighter(question.plan.marks)
    hits: list[Hit] = []
    current: Group | None = None
    session: Hit = {}
    uncounted = list({group.session for group, candidate in order if candidate and group.matches is None})
    matches = candidates.counts_in(question, uncounted)
    for group, candidate in order:
        if group is not current:
            current, session = group, hit.session(connection, group.session, highlighter)
        if candidate is None:
            found = hit.of_title(session, group.score, "id" if group.named else "title")
        else:
            spots = [spots[candidate[0]] for spots in question.matcher.spots if candidate[0] in spots]
            found = hit.of_message(connection, session, *candidate, highlighter, spots, question.plan.columns)
            found["matches"] = matches[group.session] if group.matches is None else group.matches
            found["also_in"] = sorted(group.also.get(candidate[0], ()))
            if context:
                found |= hit.around(connection, candidate[0], context)
        hits.append(found)
    return hits

"""Searching by meaning: what is near a text, or near a session, by the vectors of what was said.

Nothing here runs unless it is asked for by name. Numbers are compared with all there are, without an approximate index:
a million vectors take a tenth of a second.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from sessionstore import errors
from sessionstore.index import groups, search
from sessionstore.index.candidates import Candidate, Question, checked
from sessionstore.index.hit import Hit
from sessionstore.index.language import And, Field, Node, Not, Or, Regex
from sessionstore.index.schema import snapshot
from sessionstore.index.similar import Candidate as Alike
from sessionstore.index.similar import Found, best, numbers_of
from sessionstore.index.terms import Term
from sessionstore.index.vectors import SAID, Vectors, load

if TYPE_CHECKING:
    from datetime import datetime

    import numpy

    from sessionstore.index.embedding import Embedder

LEAST = 0.2
"""What is less alike than this is not shown."""
_NEAREST = 4000
_SLICE = 1 << 16
_FEW = 20
"""Of so few sessions, what they have in common may well be what they are about."""


def near(
    connection: sqlite3.Connection,
    index: str,
    embedder: Embedder,
    query: str,
    limit: int = 20,
    offset: int = 0,
    *,
    per_session: int = 3,
    fields: Mapping[str, str] | None = None,
    context: int = 0,
    now: datetime | None = None,
) -> list[Hit]:
    """Messages that mean about what the words of a query say, of those that fulfil its fields; as `search` gives them,
    but that `matches` is None. `index` is the path of the index, whose vectors are current. Raises `SearchSyntax`,
    and `UsageError` for a query without words."""
    tree = search.tree_of(query, fields or {})
    nodes = tree.nodes if isinstance(tree, And) else (tree,)
    said = " ".join(_words([node for node in nodes if not isinstance(node, Field)]))
    if not said:
        raise errors.UsageError(reason="say in words what to look for")
    filters = And(tuple(node for node in nodes if isinstance(node, Field)))
    alike = _nearest(load(index), embedder.embed([said])[0])
    wanted = offset + limit
    with snapshot(connection), search.asked(connection, filters, now) as question:
        found = list(_fulfilling(question, _numbered(connection, alike)))
        order = [
            (group, candidate)
            for group in groups.arranged(connection, found, {}, [], wanted)
            for candidate in group.messages[:per_session]
        ]
        shown = question._replace(plan=question.plan._replace(marks=_marks(nodes)))
        return search.hits_of(shown, order[offset:wanted], context)


def like(
    connection: sqlite3.Connection, index: str, key: str, limit: int, within: Collection[int] | None = None
) -> list[Found]:
    """The sessions (of those with the numbers `within`) in which about the same was meant as in the session `key`, with
    scores from 0 to 1; the vectors of the index at `index` must be current."""
    with snapshot(connection):
        scores = _alike(connection, index, numbers_of(connection, key))
        return best(connection, {number: Alike(score) for number, score in scores.items()}, limit, within)


def _alike(connection: sqlite3.Connection, index: str, own: Collection[int]) -> dict[int, float]:
    """How alike other sessions are to the sessions numbered `own`, by number, what all sessions have in common left
    out. Empty when nothing was said in `own`."""
    import numpy

    vectors = load(index)
    rows = connection.execute(f"SELECT m.session_id, m.same FROM messages m WHERE {SAID}").fetchall()
    if not rows or not len(vectors.owners):
        return {}
    sessions, at = numpy.unique([session for session, _ in rows], return_inverse=True)
    owners, first = numpy.unique(vectors.owners, return_index=True)
    sums = numpy.add.reduceat(vectors.array.astype(numpy.float32), first, axis=0)
    place = numpy.searchsorted(owners, [same for _, same in rows]).clip(max=len(owners) - 1)
    there = owners[place] == numpy.array([same for _, same in rows])
    means = numpy.zeros((len(sessions), vectors.array.shape[1]), dtype=numpy.float32)
    numpy.add.at(means, at[there], sums[place[there]])
    means = _unit(means)
    means = _unit(means - means.mean(axis=0) * (len(means) / (len(means) + _FEW)))
    mine = numpy.isin(sessions, list(own))
    if not mine.any():
        return {}
    scores = means @ _unit(means[mine].mean(axis=0, keepdims=True))[0]
    return {int(n): float(s) for n, s, is_own in zip(sessions, scores, mine, strict=True) if not is_own and s > 0}


def _words(nodes: Collection[Node]) -> list[str]:
    """The words of a query as they were typed; what is excluded says nothing of what is meant."""
    found: list[str] = []
    for node in nodes:
        if isinstance(node, Term):
            found.append(node.typed)
        elif isinstance(node, And | Or):
            found += _words(node.nodes)
        elif isinstance(node, Regex | Not):
            raise errors.UsageError(reason="a search by meaning takes words and fields, no exclusions or patterns")
    return found


def _marks(nodes: Collection[Node]) -> tuple[str, ...]:
    return tuple(node.mark for node in nodes if isinstance(node, Term))


def _nearest(vectors: Vectors, wanted: numpy.ndarray[Any, Any]) -> dict[int, float]:
    """The messages nearest to a vector: `same` to how alike they are, by their best window."""
    import numpy

    found: dict[int, float] = {}
    for start in range(0, len(vectors.owners), _SLICE):
        scores = vectors.array[start : start + _SLICE].astype(numpy.float32) @ wanted
        for row in numpy.argsort(-scores)[:_NEAREST]:
            if scores[row] < LEAST:
                break
            owner = int(vectors.owners[start + row])
            found[owner] = max(found.get(owner, 0.0), float(scores[row]))
    return found


def _numbered(connection: sqlite3.Connection, alike: Mapping[int, float]) -> list[Candidate]:
    """The messages, the nearest first."""
    listed = orjson.dumps(list(alike)).decode()
    sql = f"SELECT m.id, m.same FROM messages m WHERE {SAID} AND m.same IN (SELECT value FROM json_each(?))"
    found = [(number, alike[same]) for number, same in connection.execute(sql, (listed,))]
    return sorted(found, key=lambda candidate: (-candidate[1], candidate[0]))


def _fulfilling(question: Question, found: list[Candidate]) -> list[Candidate]:
    plan = question.plan
    if not plan.facts and not plan.checks:
        return found
    strict = question._replace(plan=plan._replace(facts=(), checks=(*plan.facts, *plan.checks)))
    return [candidate for portion in checked(strict, found) for candidate in portion]


def _unit(rows: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    import numpy

    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return rows / numpy.where(lengths > 0, lengths, 1)

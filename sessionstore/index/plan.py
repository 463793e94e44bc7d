"""From the tree of a query to SQL: what the full-text index is asked for, and what else must hold.

A query is answered in two steps. `match` and `facts` (conditions on sessions and on the narrow index
`messages_facts`) give ranked candidates without reading any text. `checks` are conditions that have to read a
message; they are put to the candidates in the order of their rank, and only until enough have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore.index.language import And, Field, Node, Not, Or, Regex, wrong
from sessionstore.index.terms import Term

if TYPE_CHECKING:
    from datetime import datetime

    from sessionstore.index.pattern import Pattern

_COLUMNS = {
    "text": ("text",),
    "reasoning": ("reasoning",),
    "tools": ("tool_input", "tool_output"),
    "context": ("context",),
}
EVERYWHERE = ("text", "reasoning", "tool_input", "tool_output", "context")
"""The columns of `messages` that hold what a person reads."""
_FEW = 6
_NAME = 6
_HAS = {
    "tool": ("m.tools IS NOT NULL", 2),
    "error": ("(m.errors > 0 OR m.kind = 'error')", 1),
    "image": ("m.images > 0", 1),
    "reasoning": ("m.reasoning IS NOT NULL", 2),
    "code": ("m.text LIKE '%```%'", 2),
}
NUMBERS, SESSIONS = "{numbers}", "{sessions}"
"""Stand in a condition for the bounds of `rowid` and of `session_id` that hold of the messages it is put to."""
_MATCHES = f"m.id IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?{NUMBERS})"


class Condition(NamedTuple):
    """An SQL condition on `m` (messages) and `s` (sessions). `reads` is 0 when it needs the session only, 1 when it
    needs columns that `messages_facts` has, 2 when it needs to read the message."""

    sql: str
    values: tuple[Any, ...]
    reads: int


class Plan(NamedTuple):
    """How a query is answered."""

    match: str | None
    """The FTS5 expression that every hit fulfils, None when there is none (then the newest messages come first)."""
    close: tuple[str, str] | None
    """Expressions for the plain words near each other, which counts more, and one after the other, which counts more
    still; None unless there are a few."""
    facts: tuple[Condition, ...]
    checks: tuple[Condition, ...]
    titles: bool
    """Whether a title can be a hit; then `title` is the FTS5 expression for it, None when `title_checks` say all."""
    title: str | None
    title_checks: tuple[Condition, ...]
    titles_only: bool
    columns: tuple[str, ...]
    """The columns of `messages` that are searched."""
    patterns: tuple[Pattern, ...]
    """The regular expressions, by the numbers under which conditions name them."""
    marks: tuple[str, ...]
    """Regular expressions for what to highlight."""
    name: str | None
    """What may be the beginning of a session's id, when the query is nothing else."""


def make(tree: Node, now: datetime | None = None) -> Plan:
    """The plan for a query's tree. Raises `SearchSyntax` for field values that make no sense."""
    return _Planner(tree, now).plan()


class _Planner:
    def __init__(self, tree: Node, now: datetime | None) -> None:
        self.now = now
        given = list(tree.nodes) if isinstance(tree, And) else [tree]
        self.parts = [node for node in given if not _is_scope(node)]
        self.scope = {_place(node) for node in given if isinstance(node, Field) and node.name == "in"}
        self.columns = tuple(name for place in sorted(self.scope) for name in _COLUMNS.get(place, ())) or EVERYWHERE
        self.patterns: list[Pattern] = []

    def plan(self) -> Plan:
        required: list[str] = []
        excluded: list[str] = []
        conditions: list[Condition] = []
        for node in self.parts:
            if isinstance(node, Term):
                if node.match:
                    required.append(node.match)
                if like := node.like or (node.within if self.scope else None):
                    conditions.append(self._literally(like))
            elif exact := _exact(node):
                required.append(exact)
            elif isinstance(node, Not) and (exact := _exact(node.node)):
                excluded.append(exact)
            else:
                required += [implied] if (implied := _implied(node)) else []
                conditions.append(self.condition(node))
        if excluded and not required:
            conditions += [Condition(f"NOT {_MATCHES}", (self._scoped(exact),), 2) for exact in excluded]
        match = _joined(required, excluded) if required else None
        close = self._close()
        titles, checks = self._titles()
        return Plan(
            self._scoped(match) if match else None,
            (self._scoped(close[0]), self._scoped(close[1])) if close else None,
            tuple(condition for condition in conditions if condition.reads < 2),
            tuple(condition for condition in conditions if condition.reads == 2),
            titles,
            match,
            checks,
            self.scope == {"title"},
            self.columns,
            tuple(self.patterns),
            tuple(_marks(self.parts)),
            self._name(),
        )

    def _titles(self) -> tuple[bool, tuple[Condition, ...]]:
        """Whether a title can be a hit, and the conditions on `s` besides the words."""
        checks: list[Condition] = []
        for node in self.parts:
            if isinstance(node, Term):
                if node.like:
                    checks.append(Condition("s.title LIKE ? ESCAPE '\\'", (node.like,), 0))
            elif isinstance(node, Regex):
                checks.append(Condition(f"titled({self.patterns.index(node.pattern)}, s.id)", (), 0))
            elif not _exact(node) and not (isinstance(node, Not) and _exact(node.node)):
                condition = self.condition(node)
                if condition.reads:
                    return False, ()
                checks.append(condition)
        if self.scope and "title" not in self.scope:
            return False, ()
        return any(isinstance(node, Term | Regex) or _exact(node) for node in self.parts), tuple(checks)

    def _close(self) -> tuple[str, str] | None:
        """For a few plain words: they near each other, and as a phrase."""
        plain = [node.match for node in self.parts if isinstance(node, Term) and node.plain and node.match]
        plain = [match for match in plain if not match.startswith("(")]
        if not 2 <= len(plain) <= _FEW:
            return None
        return f"(NEAR({' '.join(plain)}, {4 * len(plain)}))", f"({' + '.join(plain)})"

    def _name(self) -> str | None:
        only = self.parts[0] if len(self.parts) == 1 and not self.scope else None
        typed = only.typed if isinstance(only, Term) else ""
        return typed if len(typed) >= _NAME and not any(c.isspace() for c in typed) else None

    def _scoped(self, match: str) -> str:
        if self.columns is EVERYWHERE:
            return match
        return f"{{{' '.join(self.columns)} cjk}} : ({match})"

    def condition(self, node: Node) -> Condition:
        """The condition that a message fulfils exactly when it is found by `node`."""
        if isinstance(node, Field):
            return self._field(node)
        if isinstance(node, Regex):
            if node.pattern not in self.patterns:
                self.patterns.append(node.pattern)
            return Condition(f"matched({self.patterns.index(node.pattern)}, m.id)", (), 2)
        if exact := _exact(node):
            return Condition(_MATCHES, (self._scoped(exact),), 2)
        if isinstance(node, Not):
            inner = self.condition(node.node)
            return Condition(f"NOT coalesce({inner.sql}, 0)", inner.values, inner.reads)
        if isinstance(node, Term):
            assert node.like is not None
            found = [self._literally(node.like)]
            if node.match:
                found.insert(0, Condition(_MATCHES, (self._scoped(node.match),), 2))
            return _combined(found, " AND ")
        found = [self.condition(child) for child in node.nodes]
        return _combined(found, " AND " if isinstance(node, And) else " OR ")

    def _literally(self, like: str) -> Condition:
        tests = " OR ".join(f"m.{column} LIKE ? ESCAPE '\\'" for column in self.columns)
        return Condition(f"({tests})", (like,) * len(self.columns), 2)

    def _field(self, field: Field) -> Condition:
        if not field.value.strip():
            raise wrong(f"{field.name}: needs a value", field.position)
        if field.name in ("before", "after", "on"):
            return self._dated(field)
        if field.name == "has":
            if field.value not in _HAS:
                raise wrong(f"has: is one of {', '.join(_HAS)}", field.position)
            sql, reads = _HAS[field.value]
            return Condition(sql, (), reads)
        if field.name == "in":
            raise wrong("in: stands for the whole search, outside brackets", field.position)
        return named(field.name, field.value)

    def _dated(self, field: Field) -> Condition:
        from sessionstore.index.dates import span

        try:
            first, last = span(field.value, self.now)
        except ValueError as error:
            raise wrong(str(error), field.position) from None
        if ".." in field.value and field.name != "on":
            raise wrong(f"{field.name}: takes one date; on: takes a range", field.position)
        time = "coalesce(m.time, s.sorted_at)"
        if field.name == "before":
            return Condition(f"({time} <> '' AND {time} < ?)", (first,), 1)
        if field.name == "after":
            return Condition(f"{time} >= ?", (first,), 1)
        return Condition(f"({time} >= ? AND {time} < ?)", (first, last), 1)


def loosened(node: Node) -> Node:
    """The tree with code that is typed found inside longer words as well: `3.14` in `v3.14`."""
    if isinstance(node, Term):
        return node._replace(match=node.loose) if node.loose else node
    if isinstance(node, Not):
        return Not(loosened(node.node))
    if isinstance(node, And):
        return And(tuple(map(loosened, node.nodes)))
    if isinstance(node, Or):
        return Or(tuple(map(loosened, node.nodes)))
    return node


def named(name: str, value: str) -> Condition:
    """The condition of a field that takes a name: whole or, where names are long, any part of it."""
    part = f"%{like_escaped(value)}%"
    if name == "role":
        return Condition("m.role = ?", (value.lower(),), 1)
    if name == "source":
        return Condition("(s.source = ? OR s.source LIKE ? ESCAPE '\\')", (value, f"{like_escaped(value)}-%"), 0)
    if name == "model":
        sql = "(CASE WHEN m.model IS NULL THEN s.models ELSE m.model END) LIKE ? ESCAPE '\\'"
        return Condition(sql, (part,), 1)
    if name == "project":
        return Condition(f"s.{'cwd' if '/' in value else 'project'} LIKE ? ESCAPE '\\'", (part,), 0)
    if name == "tag":
        sql = "EXISTS (SELECT 1 FROM tags WHERE tags.session_id = s.id AND tag = ? COLLATE NOCASE)"
        return Condition(sql, (value,), 0)
    if name == "tool":
        sql = (
            f"m.id IN (SELECT message_id FROM tool_calls WHERE name = ? COLLATE NOCASE{SESSIONS}"
            f" UNION ALL SELECT result_id FROM tool_calls WHERE name = ? COLLATE NOCASE{SESSIONS})"
        )
        return Condition(sql, (value, value), 1)
    if name == "file":
        sql = f"m.id IN (SELECT message_id FROM files_touched WHERE path LIKE ? ESCAPE '\\'{SESSIONS})"
        return Condition(sql, (part,), 1)
    if name == "session":
        start = f"{like_escaped(value)}%"
        sql = (
            "(s.key = ? OR s.native_id = ?"
            " OR EXISTS (SELECT 1 FROM aliases WHERE aliases.session_id = s.id AND alias = ?)"
            " OR (length(?) >= 6 AND (s.key LIKE ? ESCAPE '\\' OR s.native_id LIKE ? ESCAPE '\\')))"
        )
        return Condition(sql, (value, value, value, value, start, start), 0)
    column = {"branch": "s.branch", "title": "s.title"}[name]
    return Condition(f"{column} LIKE ? ESCAPE '\\'", (part,), 0)


def like_escaped(text: str) -> str:
    """`text` as a part of a LIKE pattern with ESCAPE '\\'."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _is_scope(node: Node) -> bool:
    return isinstance(node, Field) and node.name == "in"


def _place(field: Field) -> str:
    if field.value not in (*_COLUMNS, "title"):
        raise wrong(f"in: is one of {', '.join(_COLUMNS)}, title", field.position)
    return field.value


def _exact(node: Node) -> str | None:
    """The FTS5 expression that says the same as `node`, or None when FTS5 cannot say it."""
    if isinstance(node, Term):
        return f"({node.match})" if node.match and not node.like else None
    if isinstance(node, Or):
        found = [_exact(child) for child in node.nodes]
        return None if None in found else f"({' OR '.join(part for part in found if part)})"
    if isinstance(node, And):
        required, excluded = [], []
        for child in node.nodes:
            if isinstance(child, Not) and (exact := _exact(child.node)):
                excluded.append(exact)
            elif exact := _exact(child):
                required.append(exact)
            else:
                return None
        return _joined(required, excluded) if required else None
    return None


def _implied(node: Node) -> str | None:
    """An FTS5 expression that holds wherever `node` does, or None when there is none."""
    if isinstance(node, Term | Regex):
        return f"({node.match})" if node.match else None
    if isinstance(node, Or):
        found = [_implied(child) for child in node.nodes]
        return None if None in found else f"({' OR '.join(part for part in found if part)})"
    if isinstance(node, And):
        parts = [part for child in node.nodes if (part := _implied(child))]
        return f"({' AND '.join(parts)})" if parts else None
    return None


def _joined(required: list[str], excluded: list[str]) -> str:
    joined = " AND ".join(part if part.startswith("(") else f"({part})" for part in required)
    return f"(({joined}) NOT ({' OR '.join(excluded)}))" if excluded else f"({joined})"


def _combined(conditions: list[Condition], operator: str) -> Condition:
    sql = operator.join(condition.sql for condition in conditions)
    values = tuple(value for condition in conditions for value in condition.values)
    return Condition(f"({sql})", values, max(condition.reads for condition in conditions))


def _marks(nodes: list[Node] | tuple[Node, ...]) -> list[str]:
    """What to highlight: every term that is wanted, negated ones left out."""
    found: list[str] = []
    for node in nodes:
        if isinstance(node, Term):
            found.append(node.mark)
        elif isinstance(node, And | Or):
            found += _marks(node.nodes)
    return found

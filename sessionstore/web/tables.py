"""The index's tables as Datasette shows them: what they are called, how they are divided, how a cell looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from datasette.utils import tilde_encode
from markupsafe import Markup

from sessionstore.index.schema import SEQ, SHIFT

_CUT = 400
"""Characters of a text shown in a cell."""

FIRST: dict[str, tuple[str, ...]] = {
    "sessions": ("title", "source", "project", "models", "sorted_at", "messages", "output_tokens", "cost_microusd"),
    "messages": ("session_id", "seq", "role", "time", "model", "text", "tools", "tool_output"),
}
"""The columns that a table's page shows unless others are asked for. `_all=1` asks for all of them."""
_ALL = ' <a href="?_all=1">Show all columns</a>'
_TIMES = {"time", "sorted_at", "created_at", "updated_at"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_INNER = ("aliases", "revisions", "notes", "meta", "_sqlite_migrations")
_OWN_CHOICE = {"_all", "_col", "_nocol", "_format"}
_WORDS = ("title", "description", "description_html")
_TABLES: dict[str, dict[str, Any]] = {
    "sessions": {
        "title": "Sessions",
        "description_html": "One row for each head of each conversation. The title opens the conversation." + _ALL,
        "label_column": "title",
        "sort_desc": "sorted_at",
        "size": 50,
        "facets": ["source", "project"],
        "fts_table": "sessions_fts",
        "columns": {
            "title": "Yours if you gave one, else the source's. Opens the conversation.",
            "key": "Source and native id: the name of the session everywhere.",
            "source": "The program or format it came from.",
            "native_id": "The id that program gave it.",
            "revision": "The file below sessions/ in the store that this row mirrors.",
            "project": "The project or repository it was about.",
            "cwd": "The directory it ran in.",
            "models": "The models that answered.",
            "sorted_at": "The last change, in UTC, else the beginning; what lists are sorted by.",
            "messages": "How many messages.",
            "input_tokens": "Tokens read, cache included.",
            "output_tokens": "Tokens written, reasoning included.",
            "cost_microusd": "Cost in millionths of a US dollar, where the source tells it.",
            "estimated": "1 when tokens or cost were not billed by the source.",
            "forked_from": "The session it branched off.",
            "relation": "How: fork, subagent or resume.",
            "issues": "What the source had already lost before it was imported.",
            "starred": "1 when you gave it a star.",
            "archived": "1 when you put it away.",
        },
    },
    "messages": {
        "title": "Messages",
        "description_html": "One row for each message. The number in <code>seq</code> opens it in its conversation."
        + _ALL,
        "sort_desc": "id",
        "label_column": "message_id",
        "size": 25,
        "facets": ["role"],
        "fts_table": "messages_fts",
        "columns": {
            "session_id": "The session it belongs to.",
            "seq": "Its place in the session, from 0. Opens it in the conversation.",
            "role": "Who said it: user, assistant, tool or system.",
            "kind": "Empty for ordinary turns; compaction, meta, sidechain, …",
            "time": "When, in UTC.",
            "model": "The model that answered.",
            "tools": "The tools it calls.",
            "errors": "How many tool results in it are errors.",
            "text": "What was said.",
            "reasoning": "What the model thought.",
            "tool_input": "What tools were asked.",
            "tool_output": "What tools gave back.",
        },
    },
    "tool_calls": {
        "title": "Tool calls",
        "description": "One row for each use of a tool, with the message that asked and the one that answers.",
        "label_column": "name",
        "facets": ["name", "is_error"],
        "columns": {
            "session_id": "The session.",
            "message_id": "The message that calls the tool.",
            "result_id": "The message with the result.",
            "is_error": "1 when the tool failed.",
        },
    },
    "files_touched": {
        "title": "Files touched",
        "description": "One row for each path in the arguments of a tool call: what was read, written, edited, when.",
        "label_column": "path",
        "facets": ["action"],
        "columns": {
            "session_id": "The session.",
            "message_id": "The message that calls the tool.",
            "path": "As the call has it.",
            "action": "read, write, edit, delete or search; empty when the tool's name does not tell.",
        },
    },
    "tags": {"title": "Tags", "description": "Your tags, one row for each session.", "facets": ["tag"]},
    "sources": {"title": "Sources", "description": "The formats that sessions came from.", "label_column": "name"},
    **{name: {"hidden": True} for name in (*_INNER, "messages_fts", "sessions_fts")},
}

QUERIES: dict[str, dict[str, Any]] = {
    "in_session": {
        "title": "Messages of one session",
        "description": "The words of a session in order; give its key.",
        "sql": "select m.seq, m.role, m.time, m.model, m.text, m.tools from messages m join sessions s"
        " on s.id = m.session_id where s.key = :key order by m.id limit 1000",
    },
    "tool_errors": {
        "title": "Failed tool calls",
        "description": "The latest tool calls that ended in an error.",
        "sql": "select t.name, s.key, r.seq, r.time, substr(r.tool_output, 1, 400) as output from tool_calls t"
        " join sessions s on s.id = t.session_id join messages r on r.id = t.result_id"
        " where t.is_error = 1 order by s.sorted_at desc limit 200",
    },
    "tools_used": {
        "title": "Tools by use",
        "description": "How often each tool was called, in how many sessions, and how often it failed.",
        "sql": "select name, count(*) as calls, count(distinct session_id) as sessions,"
        " coalesce(sum(is_error), 0) as errors from tool_calls group by name order by calls desc",
    },
    "tokens_by_month": {
        "title": "Tokens and cost by month",
        "description": "Sums over sessions by the month of their last change. Forks count what they share twice;"
        " `sessionstore stats` does not.",
        "sql": "select substr(sorted_at, 1, 7) as month, count(*) as sessions, sum(messages) as messages,"
        " sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,"
        " sum(cost_microusd) as cost_microusd from sessions group by 1 order by 1 desc",
    },
    "longest_sessions": {
        "title": "Longest sessions",
        "description": "The sessions with most messages.",
        "sql": "select key, title, source, project, messages, sorted_at from sessions order by messages desc limit 100",
    },
}


def metadata() -> dict[str, Any]:
    """What Datasette is told about an index."""
    return {
        "title": "Conversations",
        "description": "The index of a store of conversations: a mirror, which may be deleted and made anew.",
        "tables": {name: dict(entry) for name, entry in _TABLES.items()},
    }


def columns_first(app: Callable[..., Any], names: Callable[[], Iterable[str]], base: str) -> Callable[..., Any]:
    """An ASGI application around Datasette's `app` in which the page of a table shows the columns in `FIRST`. `names`
    gives the databases that this is for. Data in other forms than pages is left as it is."""

    async def chosen(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            database, _, table = scope["path"].removeprefix(base).partition("/")
            asked = {name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)}
            if table in FIRST and database in names() and not asked & _OWN_CHOICE:
                wanted = urlencode([("_col", column) for column in FIRST[table]]).encode()
                scope = {**scope, "query_string": b"&".join(filter(None, (wanted, scope["query_string"])))}
        await app(scope, receive, send)

    return chosen


async def configure(datasette: Any, database: str) -> None:
    """The same for Datasette 1.0: settings of tables, descriptions and queries. What the user has configured stays."""
    if datasette.config is None:
        datasette.config = {}
    own = datasette.config.setdefault("databases", {}).setdefault(database, {})
    given = own.get("tables") or {}
    own["tables"] = {**given, **{name: {**entry, **given.get(name, {})} for name, entry in _settings().items()}}
    for name in ("title", "description"):
        await datasette.set_database_metadata(database, name, metadata()[name])
    for table, entry in _TABLES.items():
        for name in _WORDS:
            if name in entry:
                await datasette.set_resource_metadata(database, table, name, entry[name])
        for column, words in entry.get("columns", {}).items():
            await datasette.set_column_metadata(database, table, column, "description", words)
    for name, query in QUERIES.items():
        await datasette.add_query(
            database, name, query["sql"], title=query["title"], description=query["description"], source="plugin"
        )


def _settings() -> dict[str, dict[str, Any]]:
    words = (*_WORDS, "columns")
    return {
        table: {name: value for name, value in entry.items() if name not in words} for table, entry in _TABLES.items()
    }


def cell(row: Any, value: Any, column: str, table: str | None, datasette: Any) -> Any:
    """A cell of a table or query as HTML, or None where Datasette's own way is right."""
    if column == "title" and table == "sessions":
        number = _column(row, "id")
        key = _column(row, "key") or (f"row-{number}" if number is not None else None)
        return _link(datasette, str(key), str(value or "untitled")[:_CUT]) if key else None
    if value is None:
        return None
    if column in ("key", "forked_from") and isinstance(value, str):
        return _link(datasette, value, value)
    if column in _TIMES and isinstance(value, str) and _TIME.match(value):
        return Markup('<span title="{}">{} {}</span>').format(value, value[:10], value[11:19])
    if table == "messages" and column == "seq":
        return _spot(datasette, _column(row, "id"), value)
    if column == "cost_microusd" and isinstance(value, int):
        return Markup("${:,.4f}").format(value / 1e6)
    if column in ("models", "tools", "issues") and isinstance(value, str):
        return _chips(value)
    if isinstance(value, str) and len(value) > _CUT:
        return Markup("{}… <small>({:,} characters)</small>").format(value[:_CUT], len(value))
    return None


def _link(datasette: Any, key: str, words: str) -> Markup:
    address = datasette.urls.path(f"/-/conversation/{tilde_encode(key)}")
    return Markup('<a href="{}">{}</a>').format(str(address), words)


def _spot(datasette: Any, number: Any, seq: Any) -> Markup | None:
    """A link to a message in its conversation, by the number of its row."""
    if not isinstance(number, int) or not isinstance(seq, int):
        return None
    address = datasette.urls.path(f"/-/conversation/row-{number >> SHIFT}")
    return Markup('<a href="{}?at={}#m-{}">{}</a>').format(str(address), seq, number & SEQ, seq)


def _column(row: Any, name: str) -> Any:
    try:
        return row[name]
    except (KeyError, IndexError, TypeError):
        return None


def _chips(value: str) -> Markup | None:
    try:
        listed = orjson.loads(value)
    except ValueError:
        return None
    if not isinstance(listed, list):
        return None
    told = [entry.get("note") or entry.get("code") if isinstance(entry, dict) else entry for entry in listed]
    return Markup(", ".join(escape(str(one)[:120]) for one in told))

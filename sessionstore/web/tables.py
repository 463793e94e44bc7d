"""The index's tables as Datasette shows them: what they are called, how they are divided, how a cell looks."""

from __future__ import annotations

from html import escape
from typing import Any

import orjson
from datasette.utils import tilde_encode
from markupsafe import Markup

from sessionstore.index.schema import SEQ, SHIFT

_CUT = 400
"""Characters of a text shown in a cell."""

_INNER = {
    "cjk": "For the index itself: words of scripts without spaces.",
    "digest": "For the index itself: what the row is checked by.",
}
_TABLES: dict[str, dict[str, Any]] = {
    "sessions": {
        "title": "Sessions",
        "description": "One row for each head of each conversation. The title opens the conversation.",
        "label_column": "title",
        "sort_desc": "sorted_at",
        "size": 50,
        "facets": ["source", "project"],
        "fts_table": "sessions_fts",
        "columns": {
            "key": "Source and native id: the name of the session everywhere.",
            "source": "The program or format it came from.",
            "revision": "The file below sessions/ in the store that this row mirrors.",
            "title": "Yours if you gave one, else the source's.",
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
            **_INNER,
        },
    },
    "messages": {
        "title": "Messages",
        "description": "One row for each message; the words of its parts in columns of their own.",
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
            **_INNER,
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
    "tags": {"title": "Tags", "description": "Your tags, one row for each session.", "facets": ["tag"]},
    "sources": {"title": "Sources", "description": "The formats that sessions came from.", "label_column": "name"},
    "batches": {"title": "Batches", "description": "Migrations.", "label_column": "name", "sort_desc": "started_at"},
    **{
        name: {"hidden": True}
        for name in ("aliases", "revisions", "notes", "meta", "_sqlite_migrations", "messages_fts", "sessions_fts")
    },
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
        for name in ("title", "description"):
            if name in entry:
                await datasette.set_resource_metadata(database, table, name, entry[name])
        for column, words in entry.get("columns", {}).items():
            await datasette.set_column_metadata(database, table, column, "description", words)
    for name, query in QUERIES.items():
        await datasette.add_query(
            database, name, query["sql"], title=query["title"], description=query["description"], source="plugin"
        )


def _settings() -> dict[str, dict[str, Any]]:
    words = ("title", "description", "columns")
    return {
        table: {name: value for name, value in entry.items() if name not in words} for table, entry in _TABLES.items()
    }


def cell(row: Any, value: Any, column: str, table: str | None, datasette: Any) -> Any:
    """A cell of a table or query as HTML, or None where Datasette's own way is right."""
    if value is None:
        return None
    if column in ("key", "forked_from") and isinstance(value, str):
        return _link(datasette, value, value)
    if column == "title" and table == "sessions":
        key = _column(row, "key")
        return _link(datasette, str(key), str(value)[:_CUT]) if key else None
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

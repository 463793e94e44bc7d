"""The search page: the whole search language, filters to click, hits with what was found marked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from sessionstore import errors
from sessionstore.index import facets
from sessionstore.index.query import list_sessions
from sessionstore.index.search import search
from sessionstore.web.terminal import visible

PAGE = 30
_PER_SESSION = 3
_DEEPEST = 3000
FIELDS = {"source": "source", "project": "project", "model": "model", "role": "role", "tool": "tool", "month": "on"}
"""The filters of the page, by their name in its address, with the field of the search language each stands for."""
LONGEST = 4096


def context(connection: sqlite3.Connection, asked: Mapping[str, str], address: Callable[[str], str]) -> dict[str, Any]:
    """What the page shows for the parameters `asked`; `address` gives the address of a session by key. A query that
    makes no sense is answered with what is wrong with it, under `problem`."""
    query = asked.get("q", "")[: LONGEST + 1]
    chosen = {name: value for name in FIELDS if (value := asked.get(name, "").strip()[:300])}
    offset = min(_DEEPEST, int(asked["offset"][:6])) if asked.get("offset", "").isdecimal() else 0
    shown: dict[str, Any] = {"query": query, "chosen": chosen, "offset": offset, "groups": [], "problem": ""}
    fields = {FIELDS[name]: value for name, value in chosen.items()}
    try:
        if query.strip() or fields:
            hits = search(connection, query, PAGE + 1, offset, per_session=_PER_SESSION, fields=fields)
            shown["groups"] = _grouped(hits[:PAGE], address)
        else:
            hits = list_sessions(connection, limit=PAGE + 1, offset=offset)
            shown["sessions"] = hits[:PAGE]
        found = facets.facets(connection, query, fields)
    except errors.SearchSyntax as error:
        return {**shown, "problem": str(error)}
    shown["facets"] = _facets(found, query, chosen)
    shown["complete"] = found.complete
    shown["next"] = _link(query, chosen, offset + PAGE) if len(hits) > PAGE and offset < _DEEPEST else ""
    shown["previous"] = _link(query, chosen, max(0, offset - PAGE)) if offset else ""
    shown["removals"] = [
        (name, value, _link(query, {key: item for key, item in chosen.items() if key != name}))
        for name, value in chosen.items()
    ]
    return shown


def _link(query: str, chosen: Mapping[str, str], offset: int = 0) -> str:
    """The query part of the page's address."""
    given = {**({"q": query} if query else {}), **chosen, **({"offset": str(offset)} if offset else {})}
    return f"?{urlencode(given, errors='replace')}"


def _facets(found: facets.Facets, query: str, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "values": [
                {"value": value, "count": count, "link": _link(query, {**chosen, name: value})}
                for value, count in found.by_name[name]
            ],
        }
        for name in facets.NAMES
        if name not in chosen and found.by_name[name]
    ]


def _grouped(hits: list[dict[str, Any]], address: Callable[[str], str]) -> list[dict[str, Any]]:
    """Hits session by session."""
    groups: list[dict[str, Any]] = []
    for hit in hits:
        if not groups or groups[-1]["key"] != hit["key"]:
            groups.append({**hit, "address": address(hit["key"]), "hits": []})
            groups[-1]["title_html"] = marked(hit["title"] or hit["key"], hit["title_marks"] if hit["title"] else [])
        if hit["seq"] is not None:
            link = f"{groups[-1]['address']}?at={hit['seq']}#m-{hit['seq']}"
            groups[-1]["hits"].append({**hit, "link": link, "html": marked(hit["snippet"], hit["marks"])})
    return groups


def marked(text: str, marks: list[list[int]]) -> Markup:
    """Text as HTML with its ranges [start, end) marked."""
    pieces, position, text = [], 0, visible(text)
    for start, end in marks:
        pieces += [escape(text[position:start]), "<mark>", escape(text[start:end]), "</mark>"]
        position = end
    return Markup("".join([*pieces, escape(text[position:])]))

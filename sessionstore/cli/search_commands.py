"""The command that finds: search, with its picker."""

from __future__ import annotations

import sqlite3
import unicodedata
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import INDEX, App, command, json_option, note, print_json
from sessionstore.cli.output import age, number, one_line, safe, when, width

if TYPE_CHECKING:
    from sessionstore.index.embedding import Embedder

_MARGIN = " " * 11
_MANY = 5000


@command("search", example="sessionstore search '\"connection reset\" role:tool after:30d'")
@click.argument("query", nargs=-1)
@click.option(
    "--sort", type=click.Choice(("best", "recent", "oldest")), default="best", show_default=True, help="Order."
)
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="At most so many hits.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the first so many hits.")
@click.option("--sessions", is_flag=True, help="Only the best hit of each session.")
@click.option("--count", "counted", is_flag=True, help="Only say how many messages and sessions there are.")
@click.option("--context", "-C", type=click.IntRange(0, 100), default=0, help="Show so many messages around each hit.")
@click.option("--stem", metavar="LANGUAGE", help="Find inflected forms as well (english, german, …).")
@click.option("--semantic", is_flag=True, help="Find what means about the same (the extra `semantic`; offline).")
@click.option("--like", metavar="SESSION", help="Sessions about the same as this one, of those that QUERY finds.")
@click.option("--interactive", "-i", is_flag=True, help="Pick a hit while typing, then show, export or resume it.")
@json_option
def search_command(
    app: App,
    query: tuple[str, ...],
    sort: str,
    limit: int,
    offset: int,
    sessions: bool,
    counted: bool,
    context: int,
    stem: str | None,
    semantic: bool,
    like: str | None,
    interactive: bool,
    as_json: bool,
) -> None:
    """Find messages in all sessions.

    Words must all occur in one message; "a phrase", OR, NOT or -word, ( ), prefix*, NEAR(a b, 5), /regular
    expression/i. Fields: role: source: model: project: branch: tool: file: session: tag: title: before: after: on:
    (also on:2026-01..2026-03), has:(tool|error|image|reasoning|code), in:(text|reasoning|tools|context|title). Code is
    matched literally: foo.bar( c++ a/b.py:12. Text, reasoning, tool calls and tool outputs are all searched, in any
    language. Put -- before a query that begins with a dash.
    """
    from sessionstore.cli.reading import reader
    from sessionstore.index.search import count, search

    typed = " ".join(query)
    if interactive:
        from sessionstore.cli.picker import pick

        pick(app, typed, sort)
        return
    if not query and like is None:
        raise errors.UsageError(reason="say what to look for, or use -i to look while typing")
    if semantic and (counted or stem or sort != "best"):
        raise errors.UsageError(reason="with --semantic there is no --count, --stem or --sort")
    with reader(app.store()) as connection:
        try:
            if like is not None:
                _print_alike(_alike(app, connection, like, typed, limit, semantic), as_json)
                return
            if counted:
                _print_count(count(connection, typed, stem=stem), as_json)
                return
            each = 1 if sessions else 3
            if semantic:
                from sessionstore.index.meaning import near

                embedder, index = _meaning(app, connection)
                hits = near(connection, index, embedder, typed, limit, offset, per_session=each, context=context)
            else:
                hits = search(connection, typed, limit, offset, per_session=each, sort=sort, context=context, stem=stem)
        except errors.SearchSyntax as error:
            _point(typed, error)
            raise click.exceptions.Exit(error.exit_code) from None
        if as_json:
            print_json(hits)
        elif hits:
            _print_hits(hits, sessions=sessions)
        else:
            _nothing(connection, typed, offset)


def _meaning(app: App, connection: sqlite3.Connection) -> tuple[Embedder, str]:
    """The model and the path of the index, whose vectors are brought up to date first."""
    from sessionstore.index import vectors
    from sessionstore.index.embedding import Embedder

    def begin(messages: int) -> None:
        if messages > _MANY:
            note(f"reading {number(messages)} messages for their meaning; the next time only new ones")

    embedder, index = Embedder(), f"{app.store().root}/{INDEX}"
    vectors.current(connection, index, embedder, begin)
    return embedder, index


def _alike(
    app: App, connection: sqlite3.Connection, name: str, query: str, limit: int, semantic: bool
) -> list[dict[str, Any]]:
    from sessionstore.index.query import find
    from sessionstore.index.search import sessions_with

    key = find(connection, name)[0]["key"]
    within = sessions_with(connection, query) if query else None
    if semantic:
        from sessionstore.index.meaning import like

        found = like(connection, _meaning(app, connection)[1], key, limit, within)
    else:
        from sessionstore.index.similar import similar

        found = similar(connection, key, "", limit, lambda: None, within).sessions
    return [{**one.session, "score": one.score, "shared": one.shared} for one in found]


def _print_alike(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for session in found:
        click.echo(heading(session))
        shared = f"  {', '.join(session['shared'])}" if session["shared"] else ""
        click.echo(f"{session['score']:>9.2f}  {click.style(safe(session['key'] + shared), dim=True)}")
    if not found:
        note("nothing alike")


def _point(query: str, error: errors.SearchSyntax) -> None:
    """Say what is wrong with a query, with a caret under the place."""
    note(str(error))
    at = max(0, min(int(error.fields["position"]) - 1, len(query)))
    begin = max(0, at - width() // 2)
    shown = "".join(c if c.isprintable() else " " for c in query[begin : begin + width() - 4])
    if shown.strip():
        click.echo(f"  {shown}", err=True)
        click.echo(f"  {' ' * cells(shown[: at - begin])}^", err=True)


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _print_count(found: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    messages, sessions = found["messages"], found["sessions"]
    click.echo(
        f"{number(messages)} message{'s' * (messages != 1)} in {number(sessions)} session{'s' * (sessions != 1)}"
    )


def _nothing(connection: sqlite3.Connection, query: str, offset: int) -> None:
    from sessionstore.index.suggest import suggestion

    better = None if offset else suggestion(connection, query)
    note(f"nothing found; did you mean: {safe(better)}" if better else "nothing found")


def _print_hits(hits: list[dict[str, Any]], *, sessions: bool) -> None:
    shown = None
    for hit in hits:
        if hit["key"] != shown:
            shown = hit["key"]
            click.echo(heading(hit))
        for message in hit.get("before", ()):
            click.echo(_beside(message))
        role = click.style(f"{hit['role'] or hit['part']:>9}", fg="yellow")
        click.echo(f"{role}  {_marked(hit)}")
        for message in hit.get("after", ()):
            click.echo(_beside(message))
        facts = [safe(hit["link"])]
        if sessions and hit["matches"]:
            facts.append(f"{number(hit['matches'])} messages match")
        if hit["also_in"]:
            more = len(hit["also_in"]) - 3
            listed = ", ".join(hit["also_in"][:3]) + (f" and {number(more)} more" if more > 0 else "")
            facts.append(f"also in {safe(listed)}")
        click.echo(f"{_MARGIN}{click.style('  '.join(facts), dim=True)}")


def heading(hit: dict[str, Any]) -> str:
    """A session on one line: its title, project, source, models and when it was."""
    title = click.style(one_line(hit.get("title") or hit["key"], 80), bold=True)
    models = ", ".join(hit["models"][:2]) + (", …" if len(hit["models"]) > 2 else "")
    time = hit.get("time")
    date = f"{when(time)} ({age(time)})" if time and age(time) else when(time)
    facts = "  ".join(one_line(str(f), 60) for f in (hit.get("project"), hit.get("source"), models, date) if f)
    return f"{title}  {click.style(facts, fg='cyan')}"


def _beside(message: dict[str, Any]) -> str:
    return click.style(f"{message['role']:>9}  {one_line(message['text'], max(20, width() - 12))}", dim=True)


def _marked(hit: dict[str, Any]) -> str:
    text, pieces, position = hit["snippet"], [], 0
    for start, end in hit.get("marks", []):
        pieces += [
            one_line_keep(text[position:start]),
            click.style(one_line_keep(text[start:end]), fg="red", bold=True),
        ]
        position = end
    return "".join([*pieces, one_line_keep(text[position:])])


def one_line_keep(text: str) -> str:
    """Text on one line, its outer spaces kept, without control characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)

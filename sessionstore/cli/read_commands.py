"""Commands that read: list, show, log, export, stats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.completion import session_names
from sessionstore.cli.output import number, one_line, table, when
from sessionstore.exporters import NAMES
from sessionstore.exporters.view import LEFT_OUT


def filters(function: Any) -> Any:
    """Options that choose sessions."""
    for option in (
        click.option("--tag", help="Only sessions with this tag (see `note`)."),
        click.option("--source", help="Only sessions of this format (claude-code, codex, kimi, …)."),
        click.option("--model", help="Only sessions that used a model with this in its name."),
        click.option("--project", help="Only sessions with this in the project's name (or, with a slash, its path)."),
        click.option("--before", metavar="DATE", help="Only sessions before this date (2026-01-31, 7d, yesterday)."),
        click.option("--after", metavar="DATE", help="Only sessions from this date on."),
    ):
        function = option(function)
    return function


@command("list", example="sessionstore list --project webshop --after 2026-01")
@filters
@click.option("--starred", is_flag=True, help="Only sessions with a star.")
@click.option("--archived", is_flag=True, help="Only archived sessions, which are left out otherwise.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many sessions.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the first so many sessions.")
@json_option
def list_command(
    app: App, starred: bool, archived: bool, limit: int, offset: int, as_json: bool, **filters: str | None
) -> None:
    """List sessions, newest first."""
    from sessionstore.cli.reading import reader
    from sessionstore.index.query import list_sessions

    chosen = {name: value for name, value in filters.items() if value}
    with reader(app.store()) as connection:
        sessions = list_sessions(
            connection, chosen, limit=limit, offset=offset, starred=starred or None, archived=archived
        )
    if as_json:
        print_json(sessions)
        return
    rows = [
        (
            when(session.get("updated_at") or session.get("created_at")),
            session["source"],
            one_line(session.get("project") or "-", 20),
            number(session["messages"]),
            one_line(session["key"].partition(":")[2], 40),
            session.get("title") or "-",
        )
        for session in sessions
    ]
    table(rows, ("last message", "source", "project", "messages", "id", "title"), right=(3,))


@command("show", example="sessionstore show @last")
@click.argument("name", shell_complete=session_names)
@click.option("--all", "everything", is_flag=True, help="Show bookkeeping records as well.")
@click.option(
    "--context", "-C", type=click.IntRange(0), default=3, show_default=True, help="Messages around a link's spot."
)
@json_option
def show_command(app: App, name: str, everything: bool, context: int, as_json: bool) -> None:
    """Show a session, or one message in it.

    NAME is a key, an id, an old id, the beginning of one (6 characters or more), @last, NAME@REVISION, or a link from
    `search` (KEY#MESSAGE): then the messages around that spot.
    """
    from sessionstore.cli.names import find_revision

    store = app.store()
    session, _, spot = name.partition("#")
    revision = find_revision(store, session)
    messages: Iterable[dict[str, Any]] = store.messages(revision)
    if spot:
        messages = around_spot(messages, spot, context, session)
    if as_json:
        fields = {field: value for field, value in revision.items() if field not in ("_name", "pages", "messages")}
        print_json({**fields, "revision": revision["_name"], "messages": list(messages)})
        return
    heads = store.heads(revision["key"])
    if len(heads) > 1:
        note(f"this session has {len(heads)} branches; `sessionstore log {revision['key']}` lists them")
    from sessionstore.cli.conversation import render

    for piece in render(revision, messages, everything=everything or bool(spot), spot=spot):
        click.echo(piece)


def around_spot(messages: Iterable[dict[str, Any]], spot: str, context: int, session: str) -> list[dict[str, Any]]:
    """The message with id `spot`, with `context` messages before and after it. Raises `NotFound`."""
    listed = list(messages)
    for position, message in enumerate(listed):
        if message["id"] == spot:
            return listed[max(0, position - context) : position + context + 1]
    raise errors.NotFound(name=f"{session}#{spot}")


@command("log", example="sessionstore log @last")
@click.argument("name", shell_complete=session_names)
@json_option
def log_command(app: App, name: str, as_json: bool) -> None:
    """Show the stored revisions of a session.

    Heads are what `show` gives; the others are history that an edit or a newer importer has replaced.
    """
    from sessionstore.cli.names import find_key
    from sessionstore.layout import split_name

    store = app.store()
    key = find_key(store, name)
    revisions = store.revisions_of(key)
    heads = {head["_name"] for head in store.heads_of(revisions)}
    listed = [
        {
            "key": key,
            "revision": split_name(revision["_name"])[1],
            "head": revision["_name"] in heads,
            "messages": revision["counts"]["messages"],
            "updated_at": revision.get("updated_at"),
            "parents": revision.get("parents", []),
        }
        for revision in sorted(revisions, key=lambda r: (r.get("updated_at") or "", r["_name"]), reverse=True)
    ]
    if as_json:
        print_json(listed)
        return
    rows = [
        (entry["revision"][:12], "head" if entry["head"] else "", number(entry["messages"]), when(entry["updated_at"]))
        for entry in listed
    ]
    table(rows, ("revision", "", "messages", "last message"), right=(2,))


@command("export", example="sessionstore export @last --to html -o conversation.html")
@click.argument("names", nargs=-1, shell_complete=session_names)
@click.option(
    "--to",
    "form",
    type=click.Choice((*NAMES, "site")),
    default="markdown",
    show_default=True,
    help="The form to write.",
)
@click.option("--output", "-o", metavar="PATH", help="A file, or - for stdout; with several sessions a directory.")
@click.option("--out", "directory", metavar="DIR", help="A directory; every session gets a file of its own in it.")
@click.option("--all-branches", is_flag=True, help="All branches of a session, not only the active one.")
@click.option(
    "--with", "kinds", type=click.Choice(sorted(LEFT_OUT)), multiple=True, help="Take these messages along as well."
)
@click.option("--search", "query", metavar="QUERY", help="The sessions that `search` finds.")
@click.option("--all", "every", is_flag=True, help="All sessions.")
@click.option("--redact", "secrets", flag_value="redact", help="Replace keys, tokens and passwords.")
@click.option("--allow-secrets", "secrets", flag_value="allow", help="Do not look for keys, tokens and passwords.")
@click.option("--force", is_flag=True, help="Write over files that are there, or a site made before.")
@filters
@json_option
def export_command(
    app: App,
    names: tuple[str, ...],
    form: str,
    output: str | None,
    directory: str | None,
    all_branches: bool,
    kinds: tuple[str, ...],
    query: str | None,
    every: bool,
    secrets: str | None,
    force: bool,
    as_json: bool,
    **filters: str | None,
) -> None:
    """Write sessions in another form.

    NAMES are sessions as in `show`; without any, those that --search or the filters choose. For reading: markdown,
    text, html, and `site` for a directory of pages with search, which needs no server. For providers: openai,
    anthropic, gemini, sharegpt. For the programs that can go on with them: claude-code, codex, gemini-cli, kimi,
    llm-sessions. `jsonl` holds everything the store knows of a session.

    Before anything is written it is looked through for keys, tokens and passwords. If there are any, they are listed
    (masked), and nothing is written without --redact or --allow-secrets.

    What a form cannot hold is named on stderr. The conversation is the active path, without bookkeeping, pre-filled
    beginnings and sub-agents. With --json and a file, what was written and left out is printed; without a file, unified
    JSONL whatever --to says.
    """
    from sessionstore.cli.exporting import Request, choose, export

    if output and directory:
        raise errors.UsageError(reason="give --output or --out, not both")
    store = app.store()
    to_files = directory or (output and output != "-") or form == "site"
    name = form if to_files or not as_json else "jsonl"
    chosen = choose(store, names, {name: value for name, value in filters.items() if value}, query, every=every)
    request = Request(name, output if output != "-" else None, directory, all_branches, kinds, force, secrets or "ask")
    if name == "site":
        from sessionstore.cli.sites import make

        told = make(store, chosen, request)
        if as_json:
            print_json(told)
        return
    written = export(store, chosen, request)
    if as_json and to_files:
        print_json(written)


@command("stats", example="sessionstore stats --source claude-code")
@filters
@json_option
def stats_command(app: App, as_json: bool, **filters: str | None) -> None:
    """Count sessions, messages, tokens and cost."""
    from sessionstore.cli.reading import reader
    from sessionstore.index.stats import stats

    with reader(app.store()) as connection:
        found = stats(connection, {name: value for name, value in filters.items() if value})
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, bool):
            click.echo(f"{name.replace('_', ' '):<20} {'yes' if value else 'no'}")
        elif isinstance(value, int | float | str):
            click.echo(f"{name.replace('_', ' '):<20} {number(value) if isinstance(value, int) else value}")
    for name, value in found.items():
        if isinstance(value, list) and value:
            click.echo()
            columns = [column for column in value[0] if not isinstance(value[0][column], list | dict)]
            rows = [
                [number(v) if isinstance(v := row.get(c), int) else str(v or "-") for c in columns]
                for row in value[:20]
            ]
            table(rows, [name.removeprefix("by_"), *columns[1:]], right=range(1, len(columns)))

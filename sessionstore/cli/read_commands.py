"""Commands that read: list, show, log, export, stats."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.output import number, one_line, table, when
from sessionstore.exporters import NAMES


def _filters(function: Any) -> Any:
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
@_filters
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
@click.argument("name")
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
@click.argument("name")
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


@command("export", example="sessionstore export @last --to markdown > conversation.md")
@click.argument("names", nargs=-1)
@click.option(
    "--to", "form", type=click.Choice(NAMES), default="markdown", show_default=True, help="The form to write."
)
@click.option("--output", "-o", metavar="PATH", help="A file; with several sessions a directory, one file each.")
@_filters
@json_option
def export_command(
    app: App, names: tuple[str, ...], form: str, output: str | None, as_json: bool, **filters: str | None
) -> None:
    """Write sessions in another form.

    NAMES are sessions as in `show`; without any, those that the filters choose. `jsonl` holds everything the store
    knows of a session, `markdown` is for reading. --json prints unified JSONL whatever --to says.
    """
    from sessionstore.exporters import exporter, suffix
    from sessionstore.layout import slug

    store = app.store()
    form = "jsonl" if as_json else form
    export = exporter(form)
    revisions = list(_chosen(store, names, {name: value for name, value in filters.items() if value}))
    if len(revisions) > 1 and output:
        from pathlib import Path

        for revision in revisions:
            place = Path(output) / f"{slug(revision['key'])}{suffix(form)}"
            _write(place, export(revision, store.messages(revision)))
        note(f"wrote {len(revisions)} files to {output}")
        return
    for revision in revisions:
        pieces = export(revision, store.messages(revision))
        if output:
            from pathlib import Path

            _write(Path(output), pieces)
        else:
            for piece in pieces:
                sys.stdout.buffer.write(piece.encode("utf-8", "replace"))


def _write(place: Any, pieces: Iterator[str]) -> None:
    from sessionstore import fsio

    fsio.restore_file(place, (piece.encode("utf-8", "replace") for piece in pieces))


def _chosen(store: Any, names: tuple[str, ...], filters: dict[str, str]) -> Iterator[dict[str, Any]]:
    from sessionstore.cli.names import find_revision

    if names:
        for name in names:
            yield find_revision(store, name)
        return
    if not filters:
        raise errors.UsageError(reason="name the sessions to export, or choose them with --source, --project, …")
    from sessionstore.cli.reading import reader
    from sessionstore.index.query import list_sessions

    with reader(store) as connection:
        found = list_sessions(connection, filters, limit=1_000_000, offset=0, archived=None)
    for session in found:
        yield store.load_revision(session["revision"])


@command("stats", example="sessionstore stats --source claude-code")
@_filters
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

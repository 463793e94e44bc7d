"""Commands that look after the search index."""

from __future__ import annotations

import os
from typing import Any

import click

from sessionstore.cli.app import INDEX, App, json_option, print_json, store_option
from sessionstore.cli.output import number, size

EPILOG = "\b\nExample:\n  sessionstore index {}"


@click.group("index", epilog=EPILOG.format("status"), short_help="Look after the search index.")
@store_option
def index_command() -> None:
    """Look after the search index.

    The index mirrors the store. It may be deleted at any time: the next search makes it anew.
    """


@index_command.command("status", epilog=EPILOG.format("status --json"))
@json_option
@store_option
@click.pass_obj
def status_command(app: App, as_json: bool) -> None:
    """Say whether the index is there, sound and up to date."""
    from sessionstore import errors
    from sessionstore.index.health import check

    store = app.store()
    path = f"{store.root}/{INDEX}"
    state: dict[str, Any] = {"path": path, "exists": os.path.exists(path), "healthy": False, "behind": None}
    if state["exists"]:
        state["bytes"] = sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))
        try:
            problems = check(path)
        except errors.StorageError:
            problems = glance(path)  # where nothing can be written, not even a lock
        state.update(healthy=not problems, problems=problems)
        if not problems:
            state.update(_difference(store, path))
    if as_json:
        print_json(state)
        return
    if not state["exists"]:
        click.echo("no index yet; the next search makes it")
        return
    click.echo(f"{path}  {size(state['bytes'])}")
    click.echo("sound" if state["healthy"] else "damaged: " + "; ".join(state["problems"]))
    if state["behind"] is not None:
        click.echo(f"{number(state['sessions'])} sessions, {number(state['messages'])} messages")
        click.echo("up to date" if not state["behind"] else f"{number(state['behind'])} changes behind the store")


def glance(path: str) -> list[str]:
    """What is wrong with an index, as far as that can be told without writing."""
    import sqlite3
    from contextlib import closing

    from sessionstore.index import schema

    try:
        with closing(schema.connect_reader(path)) as connection:
            schema.check_identity(connection, schema.get(connection, "store_id"))
            return [f"SQLite says: {row[0]}" for row in connection.execute("PRAGMA quick_check") if row[0] != "ok"]
    except sqlite3.Error as error:
        return [f"it is not a readable database ({error})"]
    except schema.Unusable as error:
        return [f"it is not an index of this store: {error}"]


def _difference(store: Any, path: str) -> dict[str, Any]:
    from contextlib import closing

    from sessionstore.index import schema
    from sessionstore.index.difference import difference

    with closing(schema.connect_reader(path)) as connection:
        behind = sum(map(len, difference(store, connection)))
        sessions = connection.execute("SELECT count(*), coalesce(sum(messages), 0) FROM sessions").fetchone()
    return {"behind": behind, "sessions": sessions[0], "messages": sessions[1]}


@index_command.command("sync", epilog=EPILOG.format("sync"))
@json_option
@store_option
@click.pass_obj
def sync_command(app: App, as_json: bool) -> None:
    """Bring the index to the store's state, by set difference."""
    from sessionstore.index.sync import sync
    from sessionstore.index.writer import IndexWriter

    store = app.store()
    with IndexWriter(f"{store.root}/{INDEX}", store.id) as writer:
        counts = sync(store, writer)
    _print_counts(counts, as_json)


@index_command.command("rebuild", epilog=EPILOG.format("rebuild"), short_help="Build the index anew.")
@json_option
@store_option
@click.pass_obj
def rebuild_command(app: App, as_json: bool) -> None:
    """Build the index anew beside the old one and move it in; searches go on meanwhile."""
    from sessionstore.index.sync import rebuild

    store = app.store()
    counts = rebuild(store, f"{store.root}/{INDEX}")
    _print_counts(counts, as_json)


def _print_counts(counts: Any, as_json: bool) -> None:
    plain = counts.as_dict()
    if as_json:
        print_json(plain)
        return
    for name, value in plain.items():
        if value:
            click.echo(f"{name.replace('_', ' ')}: {number(value) if isinstance(value, int) else value}")
    if not any(plain.values()):
        click.echo("up to date")

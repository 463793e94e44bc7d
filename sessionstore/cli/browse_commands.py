"""The command that opens the store in a browser."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

import click

from sessionstore import errors
from sessionstore.cli.app import INDEX, App, command, note

if TYPE_CHECKING:
    from sessionstore.store import Store

CHECK_SECONDS = 2.0
"""How often the index is compared with the store, which costs next to nothing while nothing changes."""


@command("browse", example="sessionstore browse --open")
@click.option("--port", type=click.IntRange(0, 65535), default=8017, show_default=True, help="The port; 0 finds one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@click.option("--watch", "watching", is_flag=True, help="Follow the store and all sources meanwhile, like `watch`.")
def browse_command(app: App, port: int, host: str, open_browser: bool, watching: bool) -> None:
    """Read and search conversations in a browser.

    Starts a web server (Datasette) that only this machine can reach and prints its address; it ends with Ctrl-C.
    Nothing can be changed through it, and no page loads anything from elsewhere. Needs `pip install
    'sessionstore[browse]'`.
    """
    try:
        from sessionstore.web import server
    except ImportError as error:
        missing = error.name or "a package"
        advice = "install it with: pip install 'sessionstore[browse]'"
        raise errors.UsageError(reason=f"browsing needs {missing.partition('.')[0]}; {advice}") from None
    from sessionstore.cli.reading import reader

    store = app.store()
    with reader(store):
        pass
    made = server.Server(store, f"{store.root}/{INDEX}", host, port)
    if not made.loopback:
        note(f"warning: everybody who can reach {host} can read all conversations")
    with _watched(app, store) if watching else _kept_current(store):
        click.echo(made.address)
        if open_browser:
            click.launch(made.address)
        made.run()


@contextmanager
def _beside(work: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Let `work` run in a thread meanwhile; `stop` makes it end."""
    thread = threading.Thread(target=work, daemon=True, name="follow")
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(timeout=30)


def _watched(app: App, store: Store) -> AbstractContextManager[None]:
    """Follow the store and the sources meanwhile."""
    from sessionstore.cli.sink import IndexSink
    from sessionstore.watch import Watcher

    watcher = Watcher(store, app.machine(), lambda: IndexSink(store), lambda *_: None)

    def work() -> None:
        try:
            watcher.run()
        except errors.SessionstoreError as error:
            note(f"not watching: {error}")

    return _beside(work, watcher.stop)


def _kept_current(store: Store) -> AbstractContextManager[None]:
    """Take into the index meanwhile what other programs put into the store."""
    from sessionstore.index.fresh import behind
    from sessionstore.index.health import open_for_reading
    from sessionstore.index.sync import sync
    from sessionstore.index.writer import IndexWriter

    path, ending = f"{store.root}/{INDEX}", threading.Event()

    def look() -> None:
        connection = open_for_reading(store, path)
        try:
            changed = not behind(store, connection, path).empty
        finally:
            connection.close()
        if changed:
            with IndexWriter(path, store.id, timeout=0) as writer:
                sync(store, writer)

    def work() -> None:
        while not ending.wait(CHECK_SECONDS):
            with suppress(errors.SessionstoreError, sqlite3.Error):  # another process writes, the disk is full: later
                look()

    return _beside(work, ending.set)

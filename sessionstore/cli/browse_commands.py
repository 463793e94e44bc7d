"""The command that opens the store in a browser."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from sessionstore import errors
from sessionstore.cli.app import INDEX, App, command, note

if TYPE_CHECKING:
    from sessionstore.store import Store


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
    if watching:
        _watch(app, store)
    made = server.Server(store, f"{store.root}/{INDEX}", host, port)
    if not made.loopback:
        note(f"warning: everybody who can reach {host} can read all conversations")
    click.echo(made.address)
    if open_browser:
        click.launch(made.address)
    made.run()


def _watch(app: App, store: Store) -> None:
    """Follow the store and the sources in a thread that ends with the program."""
    from sessionstore.cli.sink import IndexSink
    from sessionstore.watch import Watcher

    def run() -> None:
        try:
            Watcher(store, app.machine(), lambda: IndexSink(store), lambda *_: None).run()
        except errors.SessionstoreError as error:
            note(f"not watching: {error}")

    threading.Thread(target=run, daemon=True, name="watch").start()

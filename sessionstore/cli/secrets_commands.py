"""The command that says where secrets are."""

from __future__ import annotations

import click

from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.completion import session_names
from sessionstore.cli.read_commands import filters as session_filters
from sessionstore.notes import notes_of


@command("secrets", example="sessionstore secrets --project webshop")
@click.argument("names", nargs=-1, shell_complete=session_names)
@click.option("--search", "query", metavar="QUERY", help="The sessions that `search` finds.")
@session_filters
@json_option
def secrets_command(app: App, names: tuple[str, ...], query: str | None, as_json: bool, **filters: str | None) -> None:
    """List keys, tokens and passwords in sessions, masked.

    NAMES are sessions as in `show`; without any, those that --search or the filters choose, else all. Every line has
    the kind, a link that `show` opens, and the surroundings; a secret itself is never shown. Messages, tool calls and
    their outputs, titles and attached texts are looked through. `pip install 'sessionstore[redact]'` adds a thousand
    rules to the built-in ones.
    """
    from sessionstore.cli.clearing import lines, told
    from sessionstore.cli.exporting import choose
    from sessionstore.secrets.check import check

    store = app.store()
    chosen = choose(store, names, {name: value for name, value in filters.items() if value}, query, every=True)
    found = check(store, chosen, besides=lambda revision: notes_of(store, revision["key"]))
    if as_json:
        print_json([finding.as_json() for finding in found.findings])
        return
    for line in lines(found):
        click.echo(line)
    rules = "Kingfisher's rules and the built-in ones" if found.detector.library else "the built-in rules"
    note(f"{told(found) if found.findings else 'no secrets'}; looked through {len(chosen):,} sessions with {rules}")

"""What the shell offers for the name of a session: native ids, or keys once a colon has been typed, with titles.

It runs at every press of a key, so it asks the index as it is and makes nothing; any trouble means no offer.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

from sessionstore import errors

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

MOST = 50


def session_names(context: click.Context, _parameter: click.Parameter, beginning: str) -> list[CompletionItem]:
    """The sessions whose name begins so, the latest first."""
    import sqlite3

    from click.shell_completion import CompletionItem

    from sessionstore.cli.app import INDEX, App
    from sessionstore.index import schema

    offers = [CompletionItem("@last", help="the one changed last")] if "@last".startswith(beginning) else []
    column = "key" if ":" in beginning else "native_id"
    end = beginning + "\U0010ffff"
    sql = (
        f"SELECT {column}, max(title) FROM sessions WHERE {column} BETWEEN ? AND ? GROUP BY {column}"
        " ORDER BY max(sorted_at) DESC LIMIT ?"
    )
    with suppress(errors.SessionstoreError, sqlite3.Error, OSError, schema.Unusable):
        place = (context.find_object(App) or App()).place()
        with closing(schema.connect_reader(str((place / INDEX).resolve()))) as connection:
            for name, title in connection.execute(sql, (beginning, end, MOST)):
                offers.append(CompletionItem(name, help=" ".join((title or "").split())[:60]))
    return offers

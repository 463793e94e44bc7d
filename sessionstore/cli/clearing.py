"""What becomes of the secrets in what is to leave: shown masked, then replaced, let out, or nothing is written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessionstore import errors
from sessionstore.cli.app import note
from sessionstore.cli.output import number, one_line

if TYPE_CHECKING:
    from sessionstore.secrets.check import Check
    from sessionstore.secrets.redact import Redactor

_SHOWN = 20
"""So many findings are shown before an export; `secrets` shows all."""


def decide(found: Check, wish: str) -> Redactor | None:
    """What replaces the secrets, or None when there are none or they may leave. `wish` is "redact", or "ask": then a
    terminal is asked. Raises `SecretsFound`."""
    if not found.findings:
        return None
    if wish == "redact":
        note(f"replaced {told(found)}")
        return found.redactor()
    for line in lines(found)[:_SHOWN]:
        click.echo(f"  {line}", err=True)
    if len(found.findings) > _SHOWN:
        click.echo(f"  and {number(len(found.findings) - _SHOWN)} more; `sessionstore secrets` lists them", err=True)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise errors.SecretsFound(what=told(found))
    note(f"{told(found)} would leave")
    answer = click.prompt(
        "Replace them (r), let them out (a), or stop (s)?",
        type=click.Choice(("r", "a", "s")),
        default="s",
        err=True,
        show_choices=False,
    )
    if answer == "s":
        raise errors.SecretsFound(what=told(found))
    return found.redactor() if answer == "r" else None


def told(found: Check) -> str:
    """How much was found, in words."""
    secrets, sessions = found.different, found.sessions
    places = len(found.findings)
    many = f"{number(secrets)} secret{'s' * (secrets != 1)}"
    where = f" at {number(places)} places" if places > secrets else ""
    return f"{many}{where} in {number(sessions)} session{'s' * (sessions != 1)}"


def lines(found: Check) -> list[str]:
    """Every finding on a line: its kind, a link to the message, its surroundings with the secret masked."""
    width = max((len(one.kind) for one in found.findings), default=0)
    return [
        f"{one.kind.ljust(width)}  {one_line(one.link, 100)}  {one_line(one.excerpt, 100)}" for one in found.findings
    ]

"""How a session is gone on with in the program that it came from."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from typing import Any

import click

from sessionstore import errors
from sessionstore.archive.resuming import command_of
from sessionstore.cli.app import note


def resume(revision: Mapping[str, Any]) -> None:
    """Go on with a session: this process becomes its program, in the directory where the session was. When the
    program is not installed here the command is printed. Raises `UsageError` when there is none."""
    command = command_of(revision)
    if command is None:
        raise errors.UsageError(reason=f"sessions of {revision.get('source')} cannot be resumed from here")
    place = str(revision.get("cwd") or "")
    line = shlex.join(command)
    if place and not os.path.isdir(place):
        note(f"the directory {place} is not here; the command is")
    elif shutil.which(command[0]) is None:
        note(f"{command[0]} is not installed here; the command is")
        line = f"cd {shlex.quote(place)} && {line}" if place else line
    else:
        if place:
            os.chdir(place)
        note(line)
        os.execvp(command[0], command)
    click.echo(line)

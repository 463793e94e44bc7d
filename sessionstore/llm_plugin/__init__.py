"""A plugin for the program `llm`: archived sessions as fragments and tools, and going on with one in any model.

    llm -f session:ID                a session, or with session:ID#MESSAGE what was said around a message
    llm -T Sessions                  tools with which a model searches, lists and reads
    llm sessions continue ID         go on with an archived session
    llm sessions import              take llm's own logs into the store

It is a guest in another program's command line, so like that it finds the store in the environment, by way of `cli`.
Nothing of the store is loaded before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llm


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., None]) -> None:
    """The prefix ``session:``."""
    from sessionstore.llm_plugin.fragments import load

    register("session", load)


@llm.hookimpl
def register_tools(register: Callable[..., None]) -> None:
    """The toolbox `Sessions`."""
    from sessionstore.llm_plugin.tools import Sessions

    register(Sessions)


@llm.hookimpl
def register_commands(cli: Any) -> None:
    """The commands ``llm sessions …``."""
    from sessionstore.llm_plugin.commands import sessions

    cli.add_command(sessions)

"""The templates, in an environment of their own: everything is escaped unless it was made as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader

from sessionstore import __version__
from sessionstore.web import plot
from sessionstore.web.rendering import short_time


def render(name: str, context: Mapping[str, Any]) -> str:
    """A page, or a piece of one, as HTML."""
    return _environment().get_template(name).render(context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sessionstore.web", "templates/sessionstore"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(number=lambda value: f"{value:,}", when=_when, day=lambda time: (time or "")[:10])
    environment.filters["money"] = lambda microusd: f"${microusd / 1e6:,.2f}"
    environment.globals.update(version=__version__, activity=plot.svg)
    return environment


def _when(time: Any) -> str:
    return short_time(time)[:16] if isinstance(time, str) and time else "time unknown"

"""The hooks that Datasette calls. They do nothing unless one of its databases is the index of a store."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from datasette import hookimpl

from sessionstore.web import assets, guard, site, tables
from sessionstore.web.site import config


@lru_cache(maxsize=1)
def _complete() -> bool:
    """Whether the extra `browse` is installed whole. Without it a Datasette in the same environment is left alone."""
    return all(find_spec(name) for name in ("markdown_it", "nh3", "pygments"))


def indexes(datasette: Any) -> dict[str, str]:
    """The indexes that a Datasette serves and this plugin can show."""
    return site.indexes(datasette) if _complete() else {}


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """The pages of conversations."""
    if not _complete():
        return []
    from sessionstore.web.routes import routes

    return routes()


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[..., Any]:
    """Content security policy, names of the server, and the first page."""
    settings = config(datasette)
    rules = guard.Rules(
        frozenset(str(host).lower() for host in settings.get("hosts") or ()),
        datasette.setting("base_url") or "/",
        bool(settings.get("read_only")),
    )

    def wrap(app: Callable[..., Any]) -> Callable[..., Any]:
        app = tables.columns_first(app, lambda: indexes(datasette), rules.base)
        return guard.wrapped(app, lambda: bool(indexes(datasette)), rules)

    return wrap


@hookimpl
def prepare_jinja2_environment(env: Any) -> None:
    """Nonces for the scripts of Datasette's own templates."""
    env.globals["sessionstore_nonce"] = guard.current_nonce
    env.add_extension(guard.Nonces)


@hookimpl
def extra_css_urls(datasette: Any) -> list[str]:
    """What makes Datasette's own pages easier to read."""
    name = f"/-/conversations/static/tables.css?{assets.version('tables.css')}"
    return [datasette.urls.path(name)] if indexes(datasette) else []


@hookimpl
def menu_links(datasette: Any) -> list[dict[str, str]]:
    """Ways back from Datasette's own pages."""
    if not indexes(datasette):
        return []
    urls = datasette.urls
    return [
        {"href": urls.path("/-/conversations"), "label": "Conversations"},
        {"href": urls.path("/-/conversations/search"), "label": "Search"},
    ]


@hookimpl
def render_cell(row: Any, value: Any, column: str, table: str | None, database: str, datasette: Any) -> Any:
    """Cells for people."""
    if database in indexes(datasette):
        return tables.cell(row, value, column, table, datasette)
    return None


@hookimpl(optionalhook=True)
def get_metadata(datasette: Any, database: str | None) -> dict[str, Any]:
    """Titles, descriptions, facets and labels of the tables, for Datasette 0.65."""
    return {"databases": {name: tables.metadata() for name in indexes(datasette)}}


@hookimpl(optionalhook=True)
def canned_queries(datasette: Any, database: str) -> dict[str, Any]:
    """Ready-made questions, for Datasette 0.65."""
    return tables.QUERIES if database in indexes(datasette) else {}


@hookimpl
def startup(datasette: Any) -> Any:
    """The same for Datasette 1.0, which keeps them elsewhere."""
    if not hasattr(datasette, "set_resource_metadata"):
        return None

    async def inner() -> None:
        for name in indexes(datasette):
            await tables.configure(datasette, name)

    return inner

"""Datasette with everything set for one store, on a socket that is bound before anything is said about it."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import uvicorn
from datasette import __version__ as datasette_version
from datasette.app import Datasette
from datasette.plugins import pm

from sessionstore import errors
from sessionstore.store import Store
from sessionstore.web import plugin
from sessionstore.web.site import PLUGIN

DATABASE = "conversations"
"""What Datasette calls the index."""
_SETTINGS = {
    "default_page_size": 50,
    "default_facet_size": 12,
    "sql_time_limit_ms": 3000,
    "facet_time_limit_ms": 1000,
    "suggest_facets": False,
    "allow_download": False,
}


class Server:
    """A server for the store and its index, bound to `host` and `port`; `address` is what to open, `loopback` whether
    only this machine can reach it. Raises `UsageError` when the port is taken or the host is none of this machine."""

    def __init__(self, store: Store, index: str, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self.loopback = _is_loopback(host)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}/"
        hosts = ["localhost", "127.0.0.1", "[::1]", shown.lower()] if self.loopback else []
        self.datasette = datasette(index, {"store": store.root, "hosts": hosts, "read_only": True})

    def run(self) -> None:
        """Serve until the program is told to end."""
        config = uvicorn.Config(
            self.datasette.app(), log_level="warning", lifespan="on", access_log=False, server_header=False
        )
        uvicorn.Server(config).run(sockets=[self._socket])


def datasette(index: str, settings: dict[str, Any]) -> Any:
    """A Datasette of version 0.65 or 1.0 that serves an index read-only; `settings` are the plugin's."""
    if not any(known is plugin for known in pm.get_plugins()):
        pm.register(plugin, name="sessionstore")
    plugins = {"plugins": {PLUGIN: settings}}
    given = {"metadata": plugins} if datasette_version.startswith("0.") else {"config": plugins}
    made = Datasette([], settings=_SETTINGS, **given)
    from datasette.database import Database

    made.add_database(Database(made, path=index, is_mutable=True), name=DATABASE)
    return made


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError as error:
        reason = f"cannot listen on {host} port {port} ({error.strerror or error}); give another --port"
        raise errors.UsageError(reason=reason) from None
    return made


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

"""The streamable HTTP transport: for the machine itself unless told otherwise, for known host names only, and beyond
the machine only with a token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from sessionstore import errors

PATH = "/mcp"
BODY = 1 << 20
"""Bytes of a request, at most."""
CONNECTIONS = 200
"""At once, at most; further ones are told to come later."""
TOKEN = 16
"""Characters of a token, at least."""


class Guard:
    """Lets requests through that carry the token."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 401 to any request without the token."""
        if scope["type"] == "lifespan" or self._fits(scope["headers"]):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"a token is needed: Authorization: Bearer ...\n"})

    def _fits(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(host: str, names: Sequence[str], token: str | None) -> None:
    """Raises `UsageError` for a combination that would be unsafe."""
    if not is_loopback(host) and token is None:
        raise errors.UsageError(reason=f"{host} is reachable from other machines; give a token with --token-file")
    if not is_loopback(host) and not names:
        raise errors.UsageError(reason=f"name with --allow-host how clients call {host}, for instance its host name")
    if token is not None and (len(token) < TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise errors.UsageError(reason=f"a token is one line of {TOKEN} or more letters, digits and signs")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any. Raises `UsageError` when the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        reason = error.strerror or str(error)
        raise errors.UsageError(reason=f"cannot listen on {host} port {port}: {reason}; try another") from None


def allowed(listener: socket.socket, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The Host and Origin headers that are let through: the machine's own names, and `names`, each with the port."""
    port = listener.getsockname()[1]
    own = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(listener.getsockname()[0]) else []
    hosts = [name if _has_port(name) else f"{name}:{port}" for name in (*own, *names)]
    bare = [name for name in names if not _has_port(name)]
    return [*hosts, *bare], [f"{scheme}://{host}" for host in (*hosts, *bare) for scheme in ("http", "https")]


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and (not name.startswith("[") or "]:" in name)


def serve(
    server: Any, listener: socket.socket, names: Sequence[str], token: str | None, ready: Callable[[str], None]
) -> None:
    """Serve until interrupted. `ready` is told the address when it is open."""
    import anyio
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings

    hosts, origins = allowed(listener, names)
    app: Any = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=BODY,
        max_sessions=CONNECTIONS,
        transport_security=TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins),
    )
    if token is not None:
        app = Guard(app, token)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    name, port = listener.getsockname()[:2]
    ready(f"http://{f'[{name}]' if ':' in name else name}:{port}{PATH}")
    anyio.run(lambda: uvicorn.Server(config).serve(sockets=[listener]))

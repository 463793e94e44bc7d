"""What protects a reader from what conversations hold, and conversations from other web sites.

Every HTML page carries a content security policy without inline scripts: the pages made here use none, and those of
Datasette get a nonce where their templates (not their data) have a script. A server that was told its names answers
to no other, so that a web site whose name is made to point to this machine cannot read along.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from jinja2.ext import Extension

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
"""For the pages made here."""
_OTHER = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
"""For Datasette's own pages, whose templates hold scripts."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_nonce: ContextVar[str] = ContextVar("sessionstore_nonce", default="")
_SCRIPT = re.compile(r"<script(?=[\s>])")


def current_nonce() -> str:
    """The nonce of the answer that is being made."""
    return _nonce.get()


class Nonces(Extension):
    """Puts a nonce on the scripts that stand in the source of a template."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The source with nonces."""
        return _SCRIPT.sub('<script nonce="{{ sessionstore_nonce() }}"', source)


class Rules(NamedTuple):
    """What a server holds to: the names it answers to (any, when there are none), the root of the site, and whether
    it refuses everything that could change something."""

    hosts: frozenset[str]
    base: str
    read_only: bool


def wrapped(app: Callable[..., Any], active: Callable[[], bool], rules: Rules) -> Callable[..., Any]:
    """An ASGI application around `app` that guards it while `active`; the root of the site is the page of
    conversations."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not active():
            await app(scope, receive, send)
            return
        if rules.hosts and _host(scope) not in rules.hosts:
            await _refuse(send, 421, b"this server does not answer to that name\n")
            return
        if rules.read_only and scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, b"nothing can be changed here\n")
            return
        nonce = secrets.token_urlsafe(16)
        _nonce.set(nonce)

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _headers(message.get("headers") or (), nonce)}
            await send(message)

        if scope["path"] == rules.base and scope["method"] in ("GET", "HEAD"):
            path = f"{rules.base}-/conversations"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, answer)

    return guarded


def _headers(given: Any, nonce: str) -> list[tuple[bytes, bytes]]:
    headers = [(bytes(name), bytes(value)) for name, value in given]
    names = {name.lower() for name, _ in headers}
    added = dict(HEADERS)
    if b"content-security-policy" not in names:
        added["content-security-policy"] = _OTHER.format(nonce=nonce)
    return headers + [(name.encode(), value.encode()) for name, value in added.items() if name.encode() not in names]


def _host(scope: Any) -> str:
    """The name in the request's Host header, without the port."""
    value = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    return value.partition("]")[0] + "]" if value.startswith("[") else value.partition(":")[0]


async def _refuse(send: Any, status: int, words: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words})

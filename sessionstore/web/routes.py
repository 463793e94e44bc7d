"""The addresses of the pages, and what each answers. All are below `/-/`, beside Datasette's own.

/-/conversations                          the first page; also what `/` shows
/-/conversations/search?q=…&source=…      search
/-/conversation/KEY?page=N|last           a session, a page of its messages; ?at=N shows the page that has message N
    …/news?after=N&last=MARK              new messages, as JSON for the page's script
    …/N.txt, …/N.json                     one message whole
    …/N/image/M                           one of its images
    …/export/FORM, …/original/N           the session as a file, the bytes that were imported; a session with secrets is
                                          given with ?secrets=redact or ?secrets=allow only
/-/conversations/static/NAME              style sheet and script

KEY is tilde-encoded, as everywhere in Datasette. Of several indexes that are served, the first is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import orjson
from datasette.utils import tilde_decode, tilde_encode
from datasette.utils.asgi import Response

from sessionstore import errors
from sessionstore.exporters import form, write
from sessionstore.exporters.report import Report
from sessionstore.layout import slug
from sessionstore.web import assets, conversation, guard, home, images, leaving, live, pages, reading, searching
from sessionstore.web.rendering import message_text
from sessionstore.web.site import Site, may_look, sites

KEY = r"/-/conversation/(?P<key>[^/]+)"
_PRIVATE = {"cache-control": "private, no-store"}
_SANDBOX = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, no-store"}


def routes() -> list[tuple[str, Callable[..., Any]]]:
    """Patterns and views, for Datasette."""
    return [
        (r"/-/conversations$", home_page),
        (r"/-/conversations/search$", search_page),
        (r"/-/conversations/static/(?P<name>[a-z0-9.-]+)$", static_file),
        (rf"{KEY}$", conversation_page),
        (rf"{KEY}/news$", news),
        (rf"{KEY}/(?P<number>\d{{1,9}})\.(?P<form>txt|json)$", one_message),
        (rf"{KEY}/(?P<number>\d{{1,9}})/image/(?P<image>\d{{1,4}})$", image),
        (rf"{KEY}/export/(?P<form>[a-z-]+)$", export),
        (rf"{KEY}/original/(?P<number>\d{{1,4}})$", original),
    ]


class Refused(Exception):
    """There is nothing to show, or nothing for this visitor; carries the status and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Visit:
    """One request: the index it is about, its parameters, the addresses of things."""

    def __init__(self, datasette: Any, request: Any, site: Site) -> None:
        self.datasette, self.request, self.site = datasette, request, site
        self.asked: dict[str, str] = {name: request.args.get(name) or "" for name in request.args}

    def address(self, key: str) -> str:
        """The address of a session."""
        return str(self.datasette.urls.path(f"/-/conversation/{tilde_encode(key)}"))

    def frame(self) -> dict[str, Any]:
        """What every page's frame needs."""
        urls = self.datasette.urls
        return {
            "home": urls.path("/"),
            "search": urls.path("/-/conversations/search"),
            "tables": urls.database(self.site.database),
            "address_of": self.address,
            "static": {
                name: f"{urls.path(f'/-/conversations/static/{name}')}?{assets.version(name)}"
                for name in assets.all_assets()
            },
        }

    def key(self) -> str:
        """The session's name in the address."""
        return str(tilde_decode(self.request.url_vars["key"]))

    async def find(self) -> reading.Conversation:
        """The session that the address names. Raises `NotFound`, `Ambiguous`."""
        return await asyncio.to_thread(reading.find, self.site, self.key(), self.asked.get("head", "")[:64])


async def _visit(datasette: Any, request: Any) -> Visit:
    """Raises `Refused`."""
    if request.method not in ("GET", "HEAD"):
        raise Refused(405, "Nothing can be changed here.")
    for site in sites(datasette):
        if not await may_look(datasette, getattr(request, "actor", None), site.database):
            raise Refused(403, "You may not look at these conversations.")
        return Visit(datasette, request, site)
    raise Refused(404, "No index of a store is served here; `sessionstore browse` serves one.")


def page(view: Callable[[Visit], Any]) -> Callable[..., Any]:
    """Make a view of a function of a `Visit`: finds the index, asks for permission, turns errors into pages."""

    async def answer(request: Any, datasette: Any, send: Any) -> Any:
        try:
            return await view(await _visit(datasette, request))
        except Refused as refusal:
            return _problem(refusal.status, refusal.sentence)
        except errors.NotFound as error:
            return _problem(404, str(error))
        except errors.UsageError as error:
            return _problem(400, str(error))
        except errors.SessionstoreError as error:
            return _problem(500, str(error))

    answer.__name__ = view.__name__
    answer.__doc__ = view.__doc__
    return answer


def _problem(status: int, sentence: str) -> Any:
    return _html(pages.render("problem.html", {"sentence": sentence, "status": status, "title": "Not shown"}), status)


def _html(body: str, status: int = 200) -> Any:
    headers = {**_PRIVATE, "content-security-policy": guard.STRICT, **guard.HEADERS}
    return Response.html(body, status=status, headers=headers)


@page
async def home_page(visit: Visit) -> Any:
    """What there is and what was said last."""
    found = await visit.site.ask(lambda connection: home.context(connection, visit.site.path))
    return _html(pages.render("home.html", {**visit.frame(), **found}))


@page
async def search_page(visit: Visit) -> Any:
    """Search."""
    found = await visit.site.ask(lambda connection: searching.context(connection, visit.asked, visit.address))
    return _html(pages.render("search.html", {**visit.frame(), **found}))


@page
async def conversation_page(visit: Visit) -> Any:
    """A session. Its head is sent at once, the messages as they are made."""
    found = await visit.find()
    shown = await asyncio.to_thread(conversation.context, visit.site, found, visit.asked, visit.address)
    headers = {**_PRIVATE, "content-security-policy": guard.STRICT, **guard.HEADERS}
    headers["content-type"] = "text/html; charset=utf-8"
    return await Stream.begun(visit, headers, _page_pieces(visit, shown))


_TOGETHER = 20
"""Messages that are rendered before they are sent."""


async def _page_pieces(visit: Visit, shown: dict[str, Any]) -> AsyncIterator[str | bytes]:
    span, found = shown["span"], shown["found"]
    frame = {**visit.frame(), **shown}
    frame["mark"] = await asyncio.to_thread(live.mark, visit.site, found, span.end - 1)
    yield pages.render("conversation_head.html", frame)
    calls: conversation.Calls = {}
    for start in range(span.start, span.end, _TOGETHER):
        end = min(span.end, start + _TOGETHER)
        made = await asyncio.to_thread(conversation.pieces, visit.site, found, start, end, shown["address"], calls)
        yield "".join(made)
    yield pages.render("conversation_foot.html", frame)


class Stream:
    """An answer that is sent in pieces. Datasette needs nothing of an answer but `asgi_send`."""

    def __init__(self, headers: dict[str, str], pieces: AsyncIterator[str | bytes]) -> None:
        self.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.pieces = pieces

    @classmethod
    async def begun(cls, visit: Visit, headers: dict[str, str], pieces: AsyncIterator[str | bytes]) -> Stream:
        """An answer whose first piece is there: what fails before that can still be answered otherwise."""
        first = await anext(pieces, b"")

        async def all_of_them() -> AsyncIterator[str | bytes]:
            if visit.request.method != "HEAD":
                yield first
                async for piece in pieces:
                    yield piece

        return cls(headers, all_of_them())

    async def asgi_send(self, send: Any) -> None:
        """Send it. A failure ends the connection, so that the other side sees that it has not got everything."""
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        async for piece in self.pieces:
            data = piece.encode("utf-8", "replace") if isinstance(piece, str) else piece
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@page
async def news(visit: Visit) -> Any:
    """New messages of an open page."""
    found = await visit.find()
    after = visit.asked.get("after", "")
    if not after.isdecimal() or len(after) > 9:
        raise Refused(400, "after= is a number.")
    last = visit.asked.get("last", "")[:100]
    told = await asyncio.to_thread(live.news, visit.site, found, int(after), last, visit.address(found.key))
    return Response(
        orjson.dumps(told), headers={**_PRIVATE, **guard.HEADERS}, content_type="application/json; charset=utf-8"
    )


async def _message(visit: Visit) -> tuple[int, dict[str, Any]]:
    found = await visit.find()
    number = int(visit.request.url_vars["number"])
    lines = await asyncio.to_thread(lambda: list(reading.lines(visit.site, found, number, 1)))
    if not lines or lines[0].message is None:
        raise Refused(404, f"There is no readable message {number + 1} in this session.")
    return number, lines[0].message


@page
async def one_message(visit: Visit) -> Any:
    """A message whole, as plain text or as it is stored."""
    _, message = await _message(visit)
    headers = {**_SANDBOX, **guard.HEADERS}
    if visit.request.url_vars["form"] == "json":
        body = orjson.dumps(message, option=orjson.OPT_INDENT_2)
        return Response(body, headers=headers, content_type="application/json; charset=utf-8")
    return Response(
        message_text(message).encode("utf-8", "replace"), headers=headers, content_type="text/plain; charset=utf-8"
    )


@page
async def image(visit: Visit) -> Any:
    """An image of a message, if its bytes are those of a picture."""
    number, message = await _message(visit)
    found = images.in_message(message)
    place = int(visit.request.url_vars["image"])
    if place >= len(found):
        raise Refused(404, f"Message {number + 1} has no image {place + 1}.")
    told = await asyncio.to_thread(images.content, found[place], visit.site.blob)
    if told is None:
        raise Refused(415, "These bytes are no image that is shown here.")
    return Response(told[0], headers={**_SANDBOX, **guard.HEADERS}, content_type=told[1])


@page
async def export(visit: Visit) -> Any:
    """A session as a file."""
    found, store = await visit.find(), visit.site.store
    if store is None:
        raise Refused(404, "Only the index is served here; exporting needs the store.")
    target = form(visit.request.url_vars["form"])
    read: Callable[[dict[str, Any]], Iterable[dict[str, Any]]] = store.messages if target.whole else store.embedded
    revision, wish = found.revision, visit.asked.get("secrets")
    if wish != "allow":
        secrets = await asyncio.to_thread(leaving.found, store, revision, target.whole)
        if secrets.findings and wish != "redact":
            context = {**visit.frame(), **leaving.context(secrets, visit.address(found.key), target.name)}
            return _html(pages.render("secrets.html", context), 409)
        if secrets.findings:
            revision, read = leaving.without(secrets, revision, read)
    pieces = write(target.name, revision, partial(read, revision), Report())
    return await _file(visit, pieces, f"{slug(found.key)}{target.suffix}")


@page
async def original(visit: Visit) -> Any:
    """The exact bytes that a session was imported from."""
    found, store = await visit.find(), visit.site.store
    listed = found.revision.get("originals") or []
    number = int(visit.request.url_vars["number"])
    if store is None or number >= len(listed):
        raise Refused(404, "There is no such original.")
    return await _file(visit, store.original(listed[number]), f"{slug(found.key)}.original")


async def _file(visit: Visit, pieces: Iterator[str | bytes], name: str) -> Stream:
    """An answer that a browser saves. The pieces are made in threads, some at a time."""

    async def gathered() -> AsyncIterator[str | bytes]:
        while some := await asyncio.to_thread(lambda: list(islice(pieces, _PIECES))):
            for piece in some:
                yield piece

    headers = {**_SANDBOX, **guard.HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    headers["content-type"] = "application/octet-stream"
    return await Stream.begun(visit, headers, gathered())


_PIECES = 16


async def static_file(request: Any, datasette: Any) -> Any:
    """Style sheet and script."""
    found = assets.all_assets().get(request.url_vars["name"])
    if found is None:
        return _problem(404, "There is no such file.")
    data, kind, digest = found
    age = "public, max-age=31536000, immutable" if request.query_string == digest else "no-cache"
    return Response(data, headers={"cache-control": age, **guard.HEADERS}, content_type=kind)

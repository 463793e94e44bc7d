"""The pages of one session: the same as `browse` shows, in files of 200 messages each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sessionstore import canonical
from sessionstore.exporters.report import Report
from sessionstore.index.rows import utc
from sessionstore.publish.frame import SESSIONS, frame
from sessionstore.web import images, pages
from sessionstore.web.conversation import PAGE, Span, note_calls, page_links
from sessionstore.web.rendering import Place, message_html, message_text, usage_text
from sessionstore.web.terminal import one_line

Message = dict[str, Any]
Write = Callable[[str, bytes], None]
"""Puts a file into the site: its path below the root, and what it holds."""
_TURNS = 500
"""So many of a user's messages stand in a table of contents."""


@dataclass
class Session:
    """A session of a site: its file names begin with `slug`; `read` gives the messages that are shown, each time
    anew, and names in its report what is left out."""

    slug: str
    revision: Message
    notes: Mapping[str, Any]
    read: Callable[[Report], Iterable[Message]]
    count: int = 0
    questions: int = 0
    turns: list[tuple[int, str]] = field(default_factory=list)
    """The questions with their ordinals; of very many, the later ones that are the first of their page."""
    on_path: frozenset[str] | None = None
    """The ids on the active path where other branches are shown as well."""

    @property
    def key(self) -> str:
        """The session's key."""
        return str(self.revision["key"])

    @property
    def title(self) -> str:
        """What it is called."""
        return " ".join(str(self.notes.get("title") or self.revision.get("title") or self.key).split())

    @property
    def time(self) -> str:
        """When something was last said, in UTC; "" when that is not known."""
        return utc(str(self.revision.get("updated_at") or self.revision.get("created_at") or ""))

    def row(self) -> dict[str, Any]:
        """The session in a list."""
        return {
            "key": self.key,
            "title": self.title,
            "source": self.revision["source"],
            "project": self.revision.get("project"),
            "time": self.time,
            "messages": self.count,
            "models": self.revision.get("models") or [],
            "heads": 1,
            "tags": self.notes.get("tags") or [],
            "starred": bool(self.notes.get("star")),
        }

    def meet(self, number: int, message: Message) -> None:
        """Take in a message before the pages are made."""
        self.count = number + 1
        if message.get("role") == "user" and not message.get("kind"):
            text = next((part.get("content") for part in message["parts"] if part.get("type") == "text"), None)
            if isinstance(text, str):
                self.questions += 1
                if len(self.turns) < _TURNS or number // PAGE > self.turns[-1][0] // PAGE:
                    self.turns.append((number, one_line(text, 160)))

    def file(self, page: int) -> str:
        """The name of the file with that page."""
        return f"{self.slug}.html" if page == 1 else f"{self.slug}-{page}.html"

    def of(self, number: int) -> str:
        """Where a message stands, from another session's page."""
        return f"{self.file(number // PAGE + 1)}#m-{number}"


@dataclass(frozen=True)
class FilePlace(Place):
    """Addresses of files beside the page. What lies in a file of its own is written when it is asked for."""

    session: Session | None = None
    message: Message | None = None
    write: Write | None = None
    blob: Callable[[str], bytes] | None = None

    def of(self, number: int) -> str:
        """The address of a message."""
        assert self.session is not None
        return self.session.of(number)

    def whole(self, number: int) -> str:
        """The address of a message's whole text."""
        assert self.session is not None and self.message is not None and self.write is not None
        name = f"{self.session.slug}.{number}.txt"
        text = message_text(self.message).encode("utf-8", "replace")
        self.write(f"texts/{name}", b"\xef\xbb\xbf" + text)
        return f"../texts/{name}"

    def image(self, number: int, count: int, image: images.Image) -> str:
        """The address of an image; nothing when its bytes are none that is shown."""
        assert self.write is not None and self.blob is not None
        found = images.content(image, self.blob)
        if found is None:
            return ""
        data, kind = found
        name = f"{canonical.digest(data)[:32]}.{kind.partition('/')[2]}"
        self.write(f"images/{name}", data)
        return f"../images/{name}"


def write_pages(
    session: Session,
    family: Mapping[str, Any],
    write: Write,
    blob: Callable[[str], bytes],
    known: Mapping[str, Session],
) -> None:
    """Write the pages of a session. `family` has `parent` and `children` as its page shows them; `known` are the
    site's sessions by key."""
    messages = enumerate(session.read(Report()))
    calls: dict[str, tuple[int, str]] = {}
    last = max(1, -(-session.count // PAGE))
    base = frame(1, lambda key: known[key].file(1) if key in known else "")
    for page in range(1, last + 1):
        shown = Span((page - 1) * PAGE, min(session.count, page * PAGE), page, last, PAGE)
        context = {**base, **family, **_context(session, shown)}
        made = [pages.render("conversation_head.html", context)]
        for number, message in _some(messages, shown.end - shown.start):
            note_calls(message, number, calls)
            off = session.on_path is not None and message["id"] not in session.on_path
            place = FilePlace("", calls, frozenset({number} if off else ()), session, message, write, blob)
            made.append(message_html(message, number, place))
        made.append(pages.render("conversation_foot.html", context))
        write(f"{SESSIONS}/{session.file(page)}", "".join(made).encode("utf-8", "replace"))


def _some(messages: Iterator[tuple[int, Message]], count: int) -> Iterator[tuple[int, Message]]:
    for _ in range(count):
        found = next(messages, None)
        if found is None:
            return
        yield found


def _context(session: Session, shown: Span) -> dict[str, Any]:
    return {
        "found": SimpleNamespace(revision=session.revision, notes=session.notes, count=session.count),
        "key": session.key,
        "title": session.title,
        "address": "",
        "span": shown,
        "links": page_links(shown),
        "page_address": session.file,
        "message_address": session.of,
        "larger": "",
        "newest": False,
        "mark": "",
        "still": session.slug,
        "turns": [{"seq": seq, "text": text, "here": shown.start <= seq < shown.end} for seq, text in session.turns],
        "questions": session.questions,
        "heads": [],
        "usage": usage_text(session.revision.get("usage")),
        "resume": [],
        "exports": (),
        "originals": [],
        "indexed_only": False,
    }

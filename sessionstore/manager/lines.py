"""The messages of a session, read when they are looked at.

Pages never change, so a page that was read once needs no check against the disk ever again: `Pages` keeps the ones used
last, whatever sessions share them. `Messages` is a sequence over one state of a session; each look at an element gives
a fresh dictionary, so nothing a caller does to it reaches the cache.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, overload

from sessionstore import canonical, references
from sessionstore.manager.kept import Kept
from sessionstore.store import Revision, Store

Message = dict[str, Any]
BUDGET = 64 << 20
"""So many bytes of pages are kept in memory."""
_BRANCHING = (b'"parent":', b'"kind":"error"', b'"kind":"meta"', b'"kind":"prefill"', b'"kind":"sidechain"')
"""A line without these follows the one before it and is shown."""
COUNTED = 4096
"""Of so many pages it is remembered what was counted."""


class Page(NamedTuple):
    """The lines of a page, and whether all of them are shown, one after the other."""

    lines: list[bytes]
    straight: bool


def page_of(lines: list[bytes]) -> Page:
    """A page of these lines."""
    return Page(lines, not any(mark in line for line in lines for mark in _BRANCHING))


class Pages:
    """The pages of a store, those used last in memory. Safe for threads."""

    def __init__(self, store: Store, budget: int = BUDGET) -> None:
        self.store = store
        self._budget = budget
        self._held: OrderedDict[str, tuple[Page, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.counted: Kept[tuple[str, Any], Any] = Kept(COUNTED)
        """What was counted of a page, by its name and who counted."""

    def get(self, name: str) -> Page:
        """A page by name. Raises `ObjectMissing`, `ObjectCorrupt`."""
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name][0]
        data = self.store.page(name)
        page = page_of(data.splitlines(keepends=True))
        with self._lock:
            if name not in self._held:
                self._held[name] = page, len(data)
                self._bytes += len(data)
            while self._bytes > self._budget and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1]
        return page

    def parse(self, line: bytes) -> Message:
        """The message of a line, large strings in their places."""
        message: Message = canonical.loads(line)
        return references.resolve(message, self._large) if references.MARK in line else message

    def _large(self, name: str) -> str:
        from sessionstore.objects import VALUE

        return self.store.objects.get(name, VALUE, check=True).decode("utf-8", "replace")


class Messages(Sequence[Message]):
    """The messages of one state of a session, from ordinal `start` (0-based) on. Raises `ObjectMissing`,
    `ObjectCorrupt` where one is looked at that cannot be read."""

    def __init__(self, pages: Pages, revision: Revision, start: int = 0) -> None:
        self._pages, self._revision = pages, revision
        self._first = max(0, start)
        self._ends = list(accumulate(page["n"] for page in revision["pages"]))
        self._count: int = (self._ends[-1] if self._ends else 0) + len(revision["messages"])
        self._tail: Page | None = None

    def __len__(self) -> int:
        return max(0, self._count - self._first)

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...

    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        return self._pages.parse(self._line(self._first + position))

    def _line(self, position: int) -> bytes:
        number = bisect_right(self._ends, position)
        start = self._ends[number - 1] if number else 0
        return self._page(number).lines[position - start]

    def _page(self, number: int) -> Page:
        pages = self._revision["pages"]
        if number < len(pages):
            return self._pages.get(pages[number]["id"])
        return self.tail

    @property
    def tail(self) -> Page:
        """The messages that are in no page yet."""
        if self._tail is None:
            self._tail = page_of([canonical.line(message) for message in self._revision["messages"]])
        return self._tail

    @property
    def page_names(self) -> list[str]:
        """The names of the session's pages."""
        return [page["id"] for page in self._revision["pages"]]

    def __iter__(self) -> Iterator[Message]:
        return map(self._pages.parse, self.lines())

    def lines(self) -> Iterator[bytes]:
        """The messages as they are stored."""
        number = bisect_right(self._ends, self._first)
        start = self._first - (self._ends[number - 1] if number else 0)
        for later in range(number, len(self._ends) + 1):
            yield from self._page(later).lines[start:]
            start = 0

    @property
    def straight(self) -> bool:
        """Whether they all follow one another and are shown, so that the active path is all of them."""
        if self._revision.get("active_leaf") is not None:
            return False
        return all(self._page(number).straight for number in range(len(self._ends) + 1))

"""What the importers of agents' session files share: times of any kind, fields that have no name in the model, parents
in trees, numbered messages, and files of one record a line that only grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sessionstore.importers.base import Draft, Message, Source
from sessionstore.importers.common import is_instant, naive_time, title_line
from sessionstore.importers.epoch import millis
from sessionstore.importers.exports import Ids, meta
from sessionstore.importers.openai_chat import text_of

Record = dict[str, Any]
Part = dict[str, Any]

MOST_TOKENS = 1 << 53
_REMEMBERED = 400
"""A file with more ids than this is read anew when it has grown: they would be too much to remember."""


def without(record: Mapping[str, Any], *names: str) -> Record:
    """The fields of a record but for some."""
    return {key: value for key, value in record.items() if key not in names}


def said(record: Mapping[str, Any], *names: str) -> Record:
    """The fields of a record that are not null, but for some."""
    return {key: value for key, value in record.items() if key not in names and value is not None}


def with_rest(message: Message, x: Record) -> Message:
    """A message with the fields that have no name in the model; without `x` when there are none."""
    if x:
        message["x"] = x
    return message


def take_time(message: Message, x: Record, name: str) -> None:
    """Make the field `name` of `x` the message's time: a point in time, or thousandths of a second since 1970. A local
    time goes to `x["time"]`; what is no time stays where it is."""
    value = x.get(name)
    time = value if is_instant(value) else millis(value)
    if time is not None:
        message["time"] = time
    elif (naive := naive_time(value)) and ("time" not in x or name == "time"):
        del x[name]
        x["time"] = naive
        return
    else:
        return
    del x[name]


def take_text(draft: Draft, field: str, rest: Record, name: str) -> None:
    """Move a text that is not blank from `rest` to a field of the session, which stays as it is when it has one."""
    value = rest.get(name)
    if isinstance(value, str) and value.strip() and not getattr(draft, field):
        setattr(draft, field, value)
        del rest[name]


def count(value: Any) -> int:
    """A number of tokens; 0 when it is none that could be true."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else 0


def entitle(draft: Draft, message: Message, text: str | None = None) -> None:
    """Take the title from the first message that a person has written."""
    if draft.title is None and message["role"] == "user" and "kind" not in message:
        draft.title = title_line(text_of(message) if text is None else text) or None


def is_record(message: Message) -> bool:
    """Whether a message holds a record that was not understood, verbatim."""
    return message.get("kind") == "meta" and [part["type"] for part in message["parts"]] == ["record"]


def tell(source: Source, message: Message) -> None:
    """Count the record of a message: preserved when it stands there verbatim, else mapped."""
    if is_record(message):
        source.preserved()
    else:
        source.mapped()


def below(message: Message, parent: str | None, before: str | None) -> None:
    """State a message's parent, unless that is the message before it anyway."""
    if parent != before:
        message["parent"] = parent


def linked(stated: Iterable[tuple[str, Any]], draft: Draft, roots: Iterable[Any] = (None,)) -> dict[str, str | None]:
    """The parent of each (id, stated parent), None for one that is not there. Circles are cut open. Parents in `roots`
    stand for none."""
    above = dict(stated)
    roots = tuple(roots)
    for name, parent in above.items():
        if parent in roots:
            above[name] = None
        elif not isinstance(parent, str) or parent not in above or parent == name:
            draft.issue("parent-missing", "a message whose parent is not in the file")
            above[name] = None
    sound: set[str] = set()
    for name in above:
        trail: dict[str, None] = {}
        step: str | None = name
        while step is not None and step not in sound and step not in trail:
            trail[step] = None
            step = above[step]
        if step is not None and step in trail:
            draft.issue("parent-cycle", "messages that are each other's parents; the circle was cut open")
            above[step] = None
        sound.update(trail)
    return above


class Growing:
    """A session in a file of one record a line that only grows: its draft, its numbers and ids, and how to go on."""

    def __init__(self, source: Source, begin: Callable[[Source, Record], Draft], *, named: bool = False) -> None:
        """`begin` makes the session from the first record. `named`: records may have ids of their own, so all ids must
        be remembered."""
        state = source.resumed
        self._source = source
        self._begin = begin
        self._named = named
        self.draft: Draft | None = None
        self.state: dict[str, Any] = {}
        """what else must be known to go on"""
        self._number = 0
        self._names: dict[str, None] = {}
        if state is not None:
            self.draft = Draft.resumed(state["draft"])
            self.state, self._number = state["state"], state["count"]
            self._names = dict.fromkeys(state["ids"])
            source.drafts.append(self.draft)
        self._ids = Ids(self._names)

    def records(self) -> Iterator[tuple[Draft, Record]]:
        """The session and each record; at the end, what is needed to go on is left in the source."""
        for record in self._source.records():
            if self.draft is None:
                self.draft = self._begin(self._source, record)
            yield self.draft, record
        if self.draft is not None and len(self._names) <= _REMEMBERED:
            self._source.resume = {
                "draft": self.draft.state(),
                "count": self._number,
                "ids": list(self._names),
                "state": self.state,
            }

    def message(self, record: Record, message: Message | None, name: Any = None) -> Message:
        """The next message, counted in the account: `message`, or when that is None the record verbatim. Its id is
        `name`, when that is a text, or else its number."""
        self._number += 1
        wanted = f"m{self._number}"
        if self._named:
            wanted = self._ids.take(name if isinstance(name, str) and name else wanted)
            self._names[wanted] = None
        found = {"id": wanted} | message if message is not None else meta(wanted, record)
        tell(self._source, found)
        return found

    def knows(self, name: str) -> bool:
        """Whether a message has this id."""
        return name in self._names

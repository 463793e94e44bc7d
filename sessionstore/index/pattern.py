"""Regular expressions in a search: `/…/`.

Python's `re` cannot be stopped from inside, and a pattern such as `(a+)+b` may take longer than the universe lasts. So
matching is done in a process of its own, which is ended when it takes too long over a portion of text. Of a pattern
the words that must stand in every match are worked out, so that the full-text index can be asked first.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore import errors

if TYPE_CHECKING:
    from types import TracebackType

FLAGS = {"i": re.IGNORECASE, "s": re.DOTALL, "m": re.MULTILINE}
SECONDS = 1.5
"""How long one portion of text may take."""
_PORTION = 1 << 19
_UNKNOWN, _BREAK = "\0", "\n"
_ESCAPED = {"n": "\n", "t": "\t", "r": "\n", "f": "\n", "v": "\n", "b": _BREAK, "s": _BREAK, "W": _BREAK}
_WORD = re.compile(r"[A-Za-z0-9]+")
_WORKER = """
import marshal, re, sys
read, write = sys.stdin.buffer, sys.stdout.buffer
patterns = [re.compile(*given) for given in marshal.load(read)]
while True:
    try:
        texts = marshal.load(read)
    except EOFError:
        break
    spans = [[(found.span() if (found := pattern.search(text)) else None) for text in texts] for pattern in patterns]
    write.write(marshal.dumps(spans))
    write.flush()
"""

Span = tuple[int, int]


class Pattern(NamedTuple):
    """A regular expression as `re.compile` takes it."""

    source: str
    flags: int


class Spot(NamedTuple):
    """Where a pattern was found first: in which of the texts, from where to where."""

    text: int
    start: int
    end: int


def compiled(source: str, letters: str) -> Pattern:
    """A pattern with its flag letters; `^` and `$` mean the beginning and the end of a line. Raises `re.error`."""
    flags = re.MULTILINE
    for letter in letters:
        flags |= FLAGS[letter]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(source, flags)
    except (OverflowError, RecursionError) as error:
        raise re.error(str(error) or "too large", source, 0) from None
    return Pattern(source, int(flags))


def words(source: str) -> str | None:
    """An FTS5 expression that holds for every text with a match, or None when the pattern tells nothing."""
    if not source.isascii():
        return None
    found = []
    shape = _shape(source)
    for word in _WORD.finditer(shape):
        before, after = shape[word.start() - 1], shape[word.end()]
        if before != _UNKNOWN and (after != _UNKNOWN or len(word[0]) > 2):
            found.append(f'"{word[0]}"{"*" if after == _UNKNOWN else ""}')
    return " AND ".join(dict.fromkeys(found)) or None


def _shape(source: str) -> str:
    """The characters that stand next to each other in every match, with `_UNKNOWN` where something else may stand."""
    out = [_UNKNOWN]
    at = 0
    while at < len(source):
        character, step = source[at], 1
        if character == "|" or source.startswith("(?", at):
            return _UNKNOWN
        if character == "\\":
            escaped = source[at + 1 : at + 2]
            known = _ESCAPED.get(escaped, _UNKNOWN if escaped.isalnum() else escaped)
            out.append(known)
            step = 2 if escaped not in "xuUN0123456789" else len(source)
        elif character == "[":
            out.append(_UNKNOWN)
            step = _class_end(source, at) - at
        elif character == "(":
            out.append(_UNKNOWN)
            step = _group_end(source, at) - at
        elif character in "*?{":
            out[-1] = _UNKNOWN
            step = max(1, source.find("}", at) - at + 1) if character == "{" else 1
        elif character in ".+":
            out.append(_UNKNOWN)
        elif character in "^$":
            out.append(_BREAK)
        else:
            out.append(character)
        at += step
    return "".join([*out, _UNKNOWN])


def _class_end(source: str, at: int) -> int:
    at += 2 if source.startswith("[^", at) else 1
    end = source.find("]", at + 1)
    while end > 0 and (end - len(source[:end].rstrip("\\"))) % 2:
        end = source.find("]", end + 1)
    return end + 1 if end > 0 else len(source)


def _group_end(source: str, at: int) -> int:
    depth = 0
    while at < len(source):
        if source[at] == "\\":
            at += 1
        elif source[at] == "[":
            at = _class_end(source, at) - 1
        elif source[at] in "()":
            depth += 1 if source[at] == "(" else -1
            if not depth:
                return at + 1
        at += 1
    return at


class Matcher:
    """Finds patterns in messages, for the SQL function ``matched(pattern, message)``. A context manager; the process
    is started with the first text."""

    def __init__(self, connection: sqlite3.Connection, patterns: Sequence[Pattern], columns: Sequence[str]) -> None:
        self.connection, self.patterns, self.columns = connection, patterns, columns
        self.spots: list[dict[int, Spot]] = [{} for _ in patterns]
        self.titles: list[set[int]] = [set() for _ in patterns]
        self._process: Any = None
        if patterns:
            connection.create_function("matched", 2, lambda number, row: row in self.spots[number])
            connection.create_function("titled", 2, lambda number, row: row in self.titles[number])

    def __enter__(self) -> Matcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def look(self, rows: Iterable[int]) -> None:
        """Find the patterns in messages, by row number."""
        numbers = list(rows)
        for start in range(0, len(numbers), 500) if self.patterns else ():
            chunk = numbers[start : start + 500]
            places = ", ".join("?" * len(chunk))
            sql = f"SELECT id, {', '.join(self.columns)} FROM messages WHERE id IN ({places})"
            texts = (
                (number, place, text)
                for number, *found in self.connection.execute(sql, chunk)
                for place, text in enumerate(found)
                if text
            )
            for number, place, spans in self._found(texts):
                for pattern, span in enumerate(spans):
                    if span and number not in self.spots[pattern]:
                        self.spots[pattern][number] = Spot(place, *span)

    def look_at_titles(self) -> None:
        """Find the patterns in the titles of all sessions."""
        sql = "SELECT id, title FROM sessions WHERE title IS NOT NULL"
        for number, _, spans in self._found((number, 0, title) for number, title in self.connection.execute(sql)):
            for pattern, span in enumerate(spans):
                if span:
                    self.titles[pattern].add(number)

    def _found(self, texts: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, list[Span | None]]]:
        portion: list[tuple[int, int, str]] = []
        size = 0
        for item in texts:
            portion.append(item)
            size += len(item[2])
            if size >= _PORTION:
                yield from self._portion(portion)
                portion, size = [], 0
        if portion:
            yield from self._portion(portion)

    def _portion(self, portion: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, list[Span | None]]]:
        import marshal
        from threading import Timer

        process = self._process or self._started()
        watchdog = Timer(SECONDS, process.kill)
        watchdog.start()
        try:
            process.stdin.write(marshal.dumps([text for _, _, text in portion]))
            process.stdin.flush()
            answer = marshal.load(process.stdout)
        except (EOFError, OSError, ValueError, TypeError):
            shown = " or ".join(f"/{pattern.source}/" for pattern in self.patterns)
            raise errors.UsageError(reason=f"the pattern {shown} takes too long; make it simpler") from None
        finally:
            watchdog.cancel()
        for (number, place, _), *spans in zip(portion, *answer, strict=True):
            yield number, place, spans

    def _started(self) -> Any:
        import marshal
        import subprocess

        command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _WORKER]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        marshal.dump([tuple(pattern) for pattern in self.patterns], self._process.stdin)
        return self._process

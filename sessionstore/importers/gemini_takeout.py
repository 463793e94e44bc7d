"""Gemini Apps in Google Takeout: `MyActivity.json` or `MyActivity.html`, alone or in the zip file of the download.

Takeout is downloaded to where the browser puts it: `~/Downloads` on Linux and macOS, `%USERPROFILE%\\Downloads` on
Windows. Inside, the file is `Takeout/My Activity/Gemini Apps/MyActivity.json`, with all of these names in the language
of the account; HTML is what Takeout offers first. Attached pictures and files lie beside it.

Recognised by content: a list of activities with `header`, `title` and `time`, or a page of `outer-cell`s, of the
product Gemini or Bard. In a zip file the members are looked at whose path names the product.

Records are the activities. Takeout knows no conversations, so every prompt is a session of its own, with one turn: the
prompt (`title` without the English "Prompted", in full in `x.title`) and the answers, several when they were generated
again. Answers are HTML; a part's text is what a person reads, `html` is what it was made from. The session's id is a
hash of the time and the title, so a later export finds the same sessions. Activities that are no prompts
("Created …", "Used …") are sessions of one record. Attachments become blobs when they are in the zip file.

What the source has already lost: which prompts belong to one conversation (`details` sometimes link to it), the model,
token counts, the markup that the answer was written in, and in the HTML form the zone of most times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers import exports
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.common import is_instant, naive_time, title_line
from sessionstore.importers.gemini_takeout_html import END, Record, local_time, plain, records
from sessionstore.importers.material import BOM, ZIP
from sessionstore.importers.parsing import Unparsable

PRODUCT = re.compile(r"gemini|bard", re.IGNORECASE)
PROMPTED = re.compile(r"Prompted[ \u00a0:]\s*(?=\S)")
"""What an English account writes before a prompt."""
FIELDS = frozenset({"header", "title", "time"})
ATTACHMENTS = ("attachedFiles", "imageFile", "audioFiles")

_JSON_PRODUCT = re.compile(rb'"header"\s*:\s*"[^"]{0,60}(gemini|bard)', re.IGNORECASE)
_HTML_PRODUCT = re.compile(rb'mdl-typography--title"\s*>[^<]{0,60}(gemini|bard)', re.IGNORECASE)
_PAGE = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)


class GeminiTakeout(Importer):
    """Reader of Gemini Apps in Google Takeout."""

    source: ClassVar[str] = "gemini-takeout"
    title: ClassVar[str] = "Gemini Apps in Google Takeout"
    versions: ClassVar[str] = "MyActivity as JSON or HTML, in any language, alone or zipped"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".html", ".zip")
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """The download folder."""
        return [Place(machine.home / "Downloads")]

    def recognise(self, head: Head) -> bool:
        """Activities of the product Gemini or Bard, in the file or in a member of the zip file."""
        if not head.data.startswith(ZIP):
            return _is_activity(head)
        try:
            return any(_is_activity(head.member(name)) for name in _candidates(head.members)[:8])
        except Unparsable:
            return False

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """A session for every activity. Raises `Unparsable` when there is none or the list is cut off."""
        with exports.opened(source) as files:
            yield from _Takeout(source, files).read()
        exports.refuse_when_empty(source)


def _candidates(names: Iterable[str]) -> list[str]:
    """The members of a zip file that may hold the activities: Takeout holds everything else a person has as well."""
    endings = (".json", ".html")
    return [name for name in names if name.lower().endswith(endings) and PRODUCT.search(name)]


def _is_activity(head: Head) -> bool:
    data = head.data
    if _PAGE.match(data.removeprefix(BOM)):
        return b"mdl-" in data and _HTML_PRODUCT.search(data if head.whole else b"".join(head.blocks())) is not None
    if data.startswith(exports.UTF_16):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    return any(keys >= FIELDS for keys in exports.outline(data, "header")) and _JSON_PRODUCT.search(data) is not None


class _Takeout:
    """The activities of one file or of all such files in an archive, and what they have attached."""

    def __init__(self, source: Source, files: exports.Files) -> None:
        self._source = source
        self._files = files
        self._ids = exports.Ids()
        self._told: set[str] = set()
        self._folder = ""
        self._packed = frozenset(files.names if files.lead is None else ())
        self._assets = exports.Assets(files, ())

    def read(self) -> Iterator[tuple[Draft, Message]]:
        lists = [self._files.lead] if self._files.lead is not None else sorted(_candidates(self._files.names))
        if not lists:
            raise Unparsable("no Gemini activity in the archive")
        for name in lists:
            self._folder = name.rpartition("/")[0]
            head, blocks = exports.begin(exports.utf8(self._source, self._files.blocks(name)), 1024)
            if _PAGE.match(head):
                yield from self._page(blocks)
            else:
                yield from self._list(blocks)

    def _list(self, blocks: Iterable[bytes]) -> Iterator[tuple[Draft, Message]]:
        for item in self._source.elements(blocks):
            if not isinstance(item, dict) or not item.keys() & FIELDS:
                self._source.reject("no activity" if isinstance(item, dict) else "not a JSON object")
                continue
            draft = self._open([item.get("time"), item.get("title")], item)
            if draft is None:
                self._source.mapped()
                continue
            for message in self._activity(draft, dict(item)):
                yield draft, message

    def _page(self, blocks: Iterable[bytes]) -> Iterator[tuple[Draft, Message]]:
        for record in records(blocks):
            if record is None:
                self._source.note("page-cut-off", f"the page does not end with {END.decode()}")
                continue
            self._source.account.records += 1
            said = [record.product, record.prompt, record.time, record.answer, record.others]
            draft = self._open([record.time, record.prompt], said)
            if draft is None:
                self._source.mapped()
                continue
            for message in self._shown(draft, record):
                yield draft, message

    def _open(self, told: list[Any], record: Any) -> Draft | None:
        """The session of an activity; None when the same activity was told before."""
        whole = canonical.digest(canonical.dumps(record))
        if whole in self._told:
            return None
        self._told.add(whole)
        return self._source.draft(self._ids.take(canonical.digest(canonical.dumps(told))[:32]))

    def _activity(self, draft: Draft, rest: dict[str, Any]) -> Iterator[Message]:
        """The messages of an activity in the JSON form."""
        title, time = rest.get("title"), rest.get("time")
        answers = _answers(rest.get("safeHtmlItem"))
        prompt = PROMPTED.match(title) if isinstance(title, str) else None
        if not isinstance(title, str) or not title or (not answers and prompt is None):
            self._source.preserved()
            draft.title = title_line(title) or None if isinstance(title, str) else None
            found = exports.meta("m1", rest)
            _take_time(found, {"time": time})
            yield found
            return
        self._source.mapped()
        text = title[prompt.end() :] if prompt is not None else title
        found = {"id": "m1", "role": "user", "parts": [{"type": "text", "content": text}]}
        _take_time(found, rest)
        if prompt is None:
            del rest["title"]
        if answers:
            del rest["safeHtmlItem"]
        else:
            draft.issue("answer-missing", "a prompt whose answer is not in the export")
        found["parts"] += self._attached(draft, rest)
        draft.title = title_line(text) or None
        if said := exports.kept(rest):
            found["x"] = said | found.get("x", {})
        yield found
        yield from _told(answers)

    def _shown(self, draft: Draft, record: Record) -> Iterator[Message]:
        """The messages of an activity in the HTML form."""
        title = plain(record.prompt)
        prompt = PROMPTED.match(title)
        text = title[prompt.end() :] if prompt is not None else title
        x: dict[str, Any] = {"header": record.product, "cells": record.others, "title": title if prompt else ""}
        if "<" in record.prompt.replace("<br>", ""):
            x["html"] = record.prompt
        local = local_time(record.time)
        if local is None or not local[1]:
            x["shown_time"] = record.time
        time = {"time": (local[0] + "Z" if local[1] else local[0]) if local is not None else None}
        if prompt is None and not plain(record.answer):
            self._source.preserved()
            said = exports.kept(x | {"title": title, "shown_time": record.time, "answer": record.answer})
            found = exports.meta("m1", said)
        else:
            self._source.mapped()
            found = {"id": "m1", "role": "user", "parts": [{"type": "text", "content": text}]}
            found["parts"] += [self._part(draft, link) for link in record.links]
            if said := exports.kept(x):
                found["x"] = said
        _take_time(found, time)
        draft.title = title_line(text) or None
        yield found
        if found.get("kind") is None and record.answer.strip():
            yield from _told([{"html": record.answer}])
        elif found.get("kind") is None:
            draft.issue("answer-missing", "a prompt whose answer is not in the export")

    def _attached(self, draft: Draft, rest: dict[str, Any]) -> list[Message]:
        """Parts for attached files, taken out of `rest`."""
        found = []
        for field in ATTACHMENTS:
            value = rest.get(field)
            items = value if isinstance(value, list) else [value]
            names = [name for name in items if isinstance(name, str) and name]
            if names and len(names) == len(items):
                del rest[field]
                found += [self._part(draft, name) for name in names]
        return found

    def _part(self, draft: Draft, link: str) -> Message:
        """The part of an attached file, which lies beside the list that names it."""
        path = f"{self._folder}/{link}" if self._folder else link
        missing = {"type": "file", "name": link}
        return {"name": link} | self._assets.blob(draft, path if path in self._packed else None, None, "", missing)


def _answers(items: Any) -> list[dict[str, Any]]:
    """The answers of an activity; none when one of them is no HTML."""
    if not isinstance(items, list):
        return []
    good = all(isinstance(item, dict) and isinstance(item.get("html"), str) for item in items)
    return items if good else []


def _told(answers: list[dict[str, Any]]) -> Iterator[Message]:
    """The answers to a prompt. All of them answer it, also those that were generated again."""
    for number, item in enumerate(answers, 2):
        part = {"type": "text", "content": plain(item["html"]), "html": item["html"]}
        found: Message = {"id": f"m{number}", "role": "assistant", "parts": [part]}
        if number > 2:
            found["parent"] = "m1"
        if others := exports.kept({key: value for key, value in item.items() if key != "html"}):
            found["x"] = others
        yield found


def _take_time(found: Message, rest: dict[str, Any]) -> None:
    time = rest.get("time")
    if is_instant(time):
        found["time"] = rest.pop("time")
    elif (naive := naive_time(time)) is not None:
        del rest["time"]
        found["x"] = found.get("x", {}) | {"time": naive}

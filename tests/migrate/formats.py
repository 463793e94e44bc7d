"""Two small formats for tests: an export of many sessions, and a log of turns whose sessions lie in several files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import pytest

from sessionstore.importers import all_importers
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.migrate import reimport, workers


class Export(Importer):
    """Reader of a JSON document of sessions: {"export": {id: [text, ...]}, "titles": {id: title}}."""

    source: ClassVar[str] = "export"
    title: ClassVar[str] = "Export"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    container: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """Nowhere."""
        return ()

    def recognise(self, head: Head) -> bool:
        """By its key."""
        return head.data.startswith(b'{"export"')

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """Every session's texts."""
        document = source.document()
        for name, texts in document["export"].items():
            draft = source.draft(name)
            draft.title = document.get("titles", {}).get(name)
            for number, text in enumerate(texts, 1):
                source.account.records += 1
                source.mapped()
                yield draft, {"id": f"m{number}", "role": "user", "parts": [{"type": "text", "content": text}]}


class Turns(Importer):
    """Reader of a JSON document with some turns of one session: {"turns": id, "messages": [...], "title"?}."""

    source: ClassVar[str] = "turns"
    title: ClassVar[str] = "Turns"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    by_line: ClassVar[bool] = False
    turns: ClassVar[bool] = True

    def places(self, machine: Machine) -> Iterable[Place]:
        """Nowhere."""
        return ()

    def recognise(self, head: Head) -> bool:
        """By its key."""
        return head.data.startswith(b'{"turns"')

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages as they are."""
        document = source.document()
        draft = source.draft(document["turns"])
        draft.title = document.get("title")
        for message in document["messages"]:
            source.account.records += 1
            source.mapped()
            yield draft, message


def install(patch: pytest.MonkeyPatch) -> None:
    """Make these formats known."""
    known = {**all_importers(), "export": Export(), "turns": Turns()}
    patch.setattr(workers, "all_importers", lambda: known)
    patch.setattr(reimport, "all_importers", lambda: known)


def export(sessions: dict[str, list[str]], **more: Any) -> bytes:
    """An export."""
    return json.dumps({"export": sessions, **more}).encode()


def turns(session: str, *messages: dict[str, Any], **more: Any) -> bytes:
    """A file of turns."""
    return json.dumps({"turns": session, "messages": messages, **more}).encode()


def said(name: str, role: str, text: str, time: str | None = None) -> dict[str, Any]:
    """A message."""
    stated = {"time": time} if time else {}
    return {"id": name, "role": role, **stated, "parts": [{"type": "text", "content": text}]}

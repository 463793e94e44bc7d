"""Sessions as fragments of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llm

if TYPE_CHECKING:
    from sessionstore.archive.asking import Archive

_AROUND = 8
"""Messages of a fragment that asks for one."""
_MOST = 1_000_000
"""Characters of such a fragment."""


def archive(place: str | None = None) -> Archive:
    """The archive at a place, else the one that the command line would use. Raises `NoStore`."""
    from sessionstore.archive.asking import Archive
    from sessionstore.cli.app import App, note

    app = App()
    app.store_option = place
    return Archive(app.store(), note)


def load(name: str) -> llm.Fragment:
    """Load a session from the sessionstore archive: session:ID, session:@last, or session:ID#MESSAGE for the messages
    around one"""
    from sessionstore import exporters
    from sessionstore.archive import UNTRUSTED, transcript
    from sessionstore.exporters.report import Report

    asked = archive()
    head = f"> {UNTRUSTED}\n\n"
    if "#" in name:
        found = transcript.page(asked, name, limit=_AROUND, characters=_MOST)
        told = (f"## {message['role']} ({message['id']})\n\n{message['text']}\n" for message in found["messages"])
        return llm.Fragment(head + "\n".join(told), f"session:{found['session']['key']}#{name.partition('#')[2]}")
    revision = asked.find_revision(name)
    pieces = exporters.write("markdown", revision, lambda: asked.store.messages(revision), Report())
    return llm.Fragment(head + b"".join(pieces).decode(), f"session:{revision['key']}")

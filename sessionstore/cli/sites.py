"""`export --to site`: sessions as a directory of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sessionstore import errors
from sessionstore.cli.app import note
from sessionstore.cli.exporting import Request, Revision, cleared
from sessionstore.cli.output import number, size
from sessionstore.store import Store


def make(store: Store, revisions: list[Revision], request: Request) -> dict[str, Any]:
    """Make the site; returns what was written. Raises `UsageError`, `SecretsFound`, `WriteFailed`."""
    place = request.directory or request.output
    if place is None:
        raise errors.UsageError(reason="a site is a directory; name it with --out DIR")
    if not revisions:
        raise errors.UsageError(reason="there is no session to make a site of")
    try:
        from sessionstore.publish import site
    except ImportError as error:
        missing = (error.name or "a package").partition(".")[0]
        raise errors.UsageError(
            reason=f"a site needs {missing}; install it with: pip install 'sessionstore[browse]'"
        ) from None
    from sessionstore.notes import notes_of

    site.refuse_foreign(Path(place), request.force)
    redactor = cleared(store, revisions, request, lambda revision: notes_of(store, revision["key"]))
    choice = site.Choice(request.branches, request.kinds, redactor)
    told = site.publish(store, revisions, Path(place), choice, force=request.force)
    if choice.report.lines:
        note("; ".join(choice.report.lines))
    note(
        f"wrote {number(told['sessions'])} sessions with {number(told['messages'])} messages to {told['path']}"
        f" ({number(told['files'])} files, {size(told['bytes'])}); open {told['path']}/index.html"
    )
    return {"form": "site", **told, "left_out": choice.report.as_json()}

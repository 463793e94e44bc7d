"""Taking sessions out of the store in another form: which ones, to which files, and what is told of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionstore import errors, exporters, fsio, layout
from sessionstore.cli.app import note
from sessionstore.exporters import view
from sessionstore.exporters.report import Report
from sessionstore.store import Store

if TYPE_CHECKING:
    from sessionstore.secrets.redact import Redactor

Revision = dict[str, Any]
_FEW = 3
"""Of so many sessions each is told of by itself; of more the sums."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `export` was asked for. Without `output` and `directory` everything goes to stdout."""

    form: str
    output: str | None = None
    directory: str | None = None
    branches: bool = False
    kinds: tuple[str, ...] = ()
    force: bool = False
    secrets: str = "ask"
    """What becomes of secrets: `ask` on a terminal and else refuse, `redact` or `allow`."""


def choose(
    store: Store, names: tuple[str, ...], filters: dict[str, str], query: str | None, *, every: bool = False
) -> list[Revision]:
    """The sessions of these names; without names those of the filters, or that a search finds, the best first; with
    `every` all there are. Raises `UsageError` when nothing is chosen."""
    from sessionstore.cli.names import find_revision

    if names:
        return [find_revision(store, name) for name in names]
    if not filters and query is None:
        if every:
            return all_heads(store)
        raise errors.UsageError(
            reason="name the sessions, or choose them with --search, --source, --project, … or --all"
        )
    from sessionstore.cli.reading import reader
    from sessionstore.index.query import list_sessions
    from sessionstore.index.search import search

    with reader(store) as connection:
        found = list_sessions(connection, filters, limit=1_000_000, offset=0, archived=None) if filters else None
        hits = None if query is None else search(connection, query, limit=1_000_000, per_session=1)
    if found is None:
        keys = dict.fromkeys(str(hit["key"]) for hit in hits or ())
        return [heads[0] for key in keys if (heads := store.heads(key))]
    wanted = None if hits is None else {hit["key"] for hit in hits}
    return [store.load_revision(one["revision"]) for one in found if wanted is None or one["key"] in wanted]


def all_heads(store: Store) -> list[Revision]:
    """The current state of every session, by key."""
    keys = {str(store.load_revision(name)["key"]) for name in store.revision_names()}
    return [heads[0] for key in sorted(keys) if (heads := store.heads(key))]


def export(store: Store, revisions: list[Revision], request: Request) -> list[dict[str, Any]]:
    """Write the sessions; returns what was written and left out of each. Raises `SecretsFound`, and `WriteFailed` for
    a file that is there already."""
    redactor = cleared(store, revisions, request)
    several = request.directory is not None or (len(revisions) > 1 and request.output is not None)
    where = Path(request.directory or request.output or ".")
    used: set[str] = set()
    told = []
    for revision in revisions:
        report = Report()
        pieces = exporters.write(
            request.form,
            redactor.revision(revision) if redactor else revision,
            lambda revision=revision: _messages(store, revision, request.form, redactor),  # type: ignore[misc]
            report,
            branches=request.branches,
            kinds=request.kinds,
        )
        place: Path | None = None
        if several or request.output is not None:
            place = where / _name(request.form, revision, used) if several else where
            fsio.restore_file(place, pieces, force=request.force)
        else:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
        told.append(
            {
                "key": revision["key"],
                "form": request.form,
                "path": str(place) if place else None,
                "messages": report.messages,
                "left_out": report.as_json(),
            }
        )
    if not several:
        sys.stdout.buffer.flush()
    _tell(told, where if several else None)
    return told


def cleared(
    store: Store, revisions: list[Revision], request: Request, besides: Callable[[Revision], Any] | None = None
) -> Redactor | None:
    """Look for secrets in what is to leave, and ask what is to become of them; returns what replaces them, if they are
    to be replaced. `besides` gives what leaves of a session beside its own fields. Raises `SecretsFound`."""
    if request.secrets == "allow":
        return None
    from sessionstore.cli.clearing import decide
    from sessionstore.secrets.check import check

    whole = request.form in exporters.NAMES and exporters.form(request.form).whole

    def leaving(revision: Revision) -> Iterable[dict[str, Any]]:
        if whole:
            return store.messages(revision)
        return view.chosen(
            revision, lambda: store.messages(revision), Report(), branches=request.branches, kinds=request.kinds
        )

    return decide(check(store, revisions, leaving, besides=besides), request.secrets)


def _messages(store: Store, revision: Revision, form: str, redactor: Redactor | None) -> Iterator[dict[str, Any]]:
    """What an exporter is given: of forms that are not whole, blobs with their data."""
    found = store.messages(revision) if exporters.form(form).whole else store.embedded(revision)
    return (redactor.message(revision["key"], message) for message in found) if redactor else found


def _name(form: str, revision: Revision, used: set[str]) -> str:
    """The file of a session below a directory: where the program of the form looks for it, else a name made of the key.
    Every file gets another one."""
    target, slug = exporters.form(form), layout.slug(revision["key"])
    name = exporters.place(form, revision) if target.native else f"{slug}{target.suffix}"
    if name.casefold() in used:
        name = f"{name.removesuffix(target.suffix)}-{slug[-8:]}{target.suffix}"
    used.add(name.casefold())
    return name


def _tell(written: list[dict[str, Any]], directory: Path | None) -> None:
    """Say on stderr what was written and what it does not hold."""
    if len(written) <= _FEW:
        for one in written:
            if one["left_out"]:
                note(f"{one['key']}: {'; '.join(_lines(one['left_out']))}")
    else:
        totals = Report()
        for entry in (entry for one in written for entry in one["left_out"]):
            totals.count(entry["what"], entry["n"]) if "n" in entry else totals.tell(entry["what"])
        if totals.lines:
            note(f"{len(written)} sessions: {'; '.join(totals.lines)}")
    if directory is not None:
        note(f"wrote {len(written)} file{'' if len(written) == 1 else 's'} to {directory}")


def _lines(entries: Iterable[dict[str, Any]]) -> list[str]:
    return [f"{entry['what']} ({entry['n']})" if "n" in entry else entry["what"] for entry in entries]

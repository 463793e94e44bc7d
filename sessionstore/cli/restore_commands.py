"""The command that puts imported files back where their programs look for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.output import number

Revision = dict[str, Any]


@command("restore", example="sessionstore restore @last --to ~/.claude/projects")
@click.argument("names", nargs=-1, required=True)
@click.option("--to", "target", metavar="PATH", help="A directory, or a file for a single one; - for stdout.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def restore_command(app: App, names: tuple[str, ...], target: str | None, force: bool, as_json: bool) -> None:
    """Put the imported file of a session back.

    NAMES are sessions as in `show`. Byte for byte the file that was imported last, its SHA-256 checked, with its mode
    and time: in its old place, or below the directory --to by the name and path its program expects there (so name the
    directory that the program keeps its sessions in). A session that was changed since is in the store only; `export`
    writes it in its program's form.
    """
    from sessionstore.cli.names import find_revision

    store = app.store()
    found = [_File(path=path, **facts) for name in names for path, facts in _files(store, find_revision(store, name))]
    if target == "-":
        if len(found) != 1:
            raise errors.UsageError(reason=f"{number(len(found))} files do not go to stdout; give a directory")
        for block in store.original(found[0].entry):
            sys.stdout.buffer.write(block)
        return
    single = target is not None and len(found) == 1 and not (target.endswith(("/", os.sep)) or os.path.isdir(target))
    told = []
    for file in found:
        place = Path(file.path) if target is None else Path(target) if single else Path(target) / file.relative
        written = file.put(store, place, force)
        told.append({**file.as_json(), "path": str(place), "written": written})
        if file.changed:
            note(f"{file.key} was changed after it was imported; `export --to {file.source}` writes it as it is now")
        if not as_json:
            note(f"{'wrote' if written else 'nothing to do:'} {place}, SHA-256 equal")
    if as_json:
        print_json(told)


class _File:
    """One file to put back: where it lay, where its program expects it, its bytes in the store."""

    def __init__(
        self, path: str, relative: str, entry: dict[str, Any], stat: list[int] | None, revision: Revision, changed: bool
    ) -> None:
        self.path, self.relative, self.entry, self.stat = path, relative, entry, stat
        self.key, self.source, self.changed = revision["key"], revision["source"], changed

    def put(self, store: Any, place: Path, force: bool) -> bool:
        """Write the file unless it is there already with the same bytes. Raises `WriteFailed` for another one."""
        from sessionstore import fsio

        if _is_same(place, self.entry):
            return False
        mode, mtime = (self.stat[5], self.stat[3]) if self.stat else (None, None)
        fsio.restore_file(place, store.original(self.entry), mode, mtime, force=force)
        return True

    def as_json(self) -> dict[str, Any]:
        """The file for programs."""
        return {
            "key": self.key,
            "bytes": self.entry["bytes"],
            "sha256": self.entry["sha256"],
            "changed": self.changed,
        }


def _is_same(place: Path, entry: dict[str, Any]) -> bool:
    import hashlib

    try:
        if not place.is_file() or place.stat().st_size != entry["bytes"]:
            return False
        with place.open("rb") as file:
            digest: str = hashlib.file_digest(file, "sha256").hexdigest()
            return bool(digest == entry["sha256"])
    except OSError:
        return False


def _files(store: Any, revision: Revision) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files that a session was imported from last: (path, the other facts of `_File`)."""
    from sessionstore.exporters.native import safe_path
    from sessionstore.journal import files_of

    line = _last_line(store, revision)
    if line is None:
        raise errors.UsageError(reason=f"{revision['key']} was not imported, so there is no file; try `export`")
    read = {session["revision"] for session in line["sessions"] if session["key"] == revision["key"]}
    lead = _expected(line)
    for file in files_of(line):
        below = lead if file is line else f"{os.path.dirname(lead)}/{file['name']}"
        yield (
            file["path"],
            {
                "relative": safe_path(os.path.normpath(below)),
                "entry": file["original"],
                "stat": file.get("stat"),
                "revision": revision,
                "changed": revision["_name"] not in read,
            },
        )


def _last_line(store: Any, revision: Revision) -> dict[str, Any] | None:
    """The journal's last word on a revision, else on its session."""
    from sessionstore.journal import Journals

    latest = None
    for batch in reversed(Journals(store.root).all()):
        for line in reversed(batch.live):
            for session in line["sessions"]:
                if session["revision"] == revision["_name"]:
                    return line
                if session["key"] == revision["key"]:
                    latest = latest or line
    return latest


def _expected(line: dict[str, Any]) -> str:
    """A source's path below the directory that its program keeps sessions in; its name alone when it lay elsewhere."""
    from sessionstore.importers import all_importers
    from sessionstore.importers.base import Machine

    importer = all_importers().get(line["source"])
    steps = line["path"].split(os.sep)
    best: tuple[int, int] = (0, len(steps) - 1)
    home = Path(os.sep) / "home"
    for place in importer.places(Machine(home, home)) if importer else ():
        if not place.root.is_relative_to(home):
            continue
        wanted = list(place.root.relative_to(home).parts)
        for at in range(len(steps) - len(wanted)):
            if wanted and steps[at : at + len(wanted)] == wanted:
                best = max(best, (len(wanted), at + len(wanted)))
    return "/".join(steps[best[1] :])

"""Commands about legacy files that are written beside the store. The work is `sessionstore.dual`'s."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sessionstore.cli.app import App, json_option, note, print_json, store_option
from sessionstore.cli.output import number, safe

if TYPE_CHECKING:
    from sessionstore.dual import Legacy
    from sessionstore.dual.way import Difference, Moved
    from sessionstore.manager import SessionManager
    from sessionstore.manager.mirrors import Mirror
    from sessionstore.store import Store

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def managed(app: App, *, create: bool = False) -> Iterator[SessionManager]:
    """The sessions of the store, with the legacy files beside it that the environment asks for. What could not be
    written to them is told at the end."""
    from sessionstore.flags import Flags
    from sessionstore.manager import SessionManager

    flags = Flags.read(os.environ)
    written: list[Mirror] = []
    if flags.files_written:
        from sessionstore.dual import mirrors

        written += mirrors(flags, flags.where(Path.cwd()))
    store = app.store(create=create)
    with SessionManager(store, index=not flags.index_off, cache_size=flags.cache_size, mirrors=written) as manager:
        try:
            yield manager
        finally:
            for (mirror, key), reason in manager.mirrors.failed.items():
                note(f"{safe(key)} is in the store, but not in {safe(mirror)}: {safe(reason)}")


def beside(given: Sequence[str], found: Sequence[Legacy]) -> Sequence[Legacy]:
    """Places of which each session has its file in one: those that nobody named, but programs write to."""
    from sessionstore.flags import Flags

    flags = Flags.read(os.environ)
    return () if given or flags.places or flags.files_written else found


def legacies(store: Store, given: Sequence[str] = ()) -> list[Legacy]:
    """The legacy files meant: those named, else those of the environment; else, of the directories in the working
    directory and beside the store, those that the store has written to."""
    from sessionstore.dual import Legacy, pairing
    from sessionstore.flags import FORMATS, Flags, Place, places

    flags = Flags.read(os.environ)
    if given:
        named = [place for text in given for place in places(text)]
        flags = Flags.read({**os.environ, "SESSIONSTORE_LEGACY_FILES": ""})
        absolute = [Place(one.format, os.path.abspath(Path(one.directory).expanduser())) for one in named]
        return [Legacy(place, flags) for place in absolute]
    if flags.places or flags.files_written:
        return [Legacy(place, flags) for place in flags.where(Path.cwd())]
    found = []
    near = [Path.cwd() / directory for directory in FORMATS.values()] + [Path(store.root).parent]
    for directory in dict.fromkeys(map(os.path.abspath, near)):
        for format in FORMATS:
            legacy = Legacy(Place(format, directory), flags)
            known = pairing.read(legacy.folder) if os.path.isdir(legacy.folder) else None
            if known is not None and known["store"] == store.id:
                found.append(legacy)
    return found


def _files_option(function: F) -> F:
    return click.option(
        "--files",
        "given",
        multiple=True,
        metavar="FORMAT[=DIR]",
        help="The legacy files: kimi=DIR or llm-sessions=DIR (else $SESSIONSTORE_LEGACY_FILES, .kimi_sessions here).",
    )(function)


def _declare(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def declare(function: Callable[..., Any]) -> click.Command:
        made = click.pass_obj(store_option(_files_option(json_option(function))))
        return dual_command.command(name, epilog=f"\b\nExample:\n  {example}")(made)

    return declare


@click.group("dual", epilog="\b\nExample:\n  sessionstore dual status")
@store_option
def dual_command() -> None:
    """Compare legacy files with the store; go forward or back.

    With LLM_DUAL_WRITE=1 every turn is written to the store and then to the files of an older program, `.kimi_sessions`
    or `.llm_sessions`. These commands say where the two differ and bring one to the other. Nothing is ever removed.
    """


@_declare("status", "sessionstore dual status --files kimi=.kimi_sessions")
@click.option("--all", "everything", is_flag=True, help="Also sessions that other programs have made.")
def status_command(app: App, given: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Show where store and legacy files differ.

    Exit code 1 when they do.
    """
    from sessionstore.dual import way

    store = app.store()
    places = _some(store, given)
    others = beside(given, places)
    found = {legacy: way.status(store, legacy, everything=everything, beside=others) for legacy in places}
    if as_json:
        print_json(
            [
                {"format": legacy.format, "directory": legacy.folder, "sums": way.summary(listed)}
                | {"differences": [one.as_json() for one in listed if one.kind != "same"]}
                for legacy, listed in found.items()
            ]
        )
    else:
        for legacy, listed in found.items():
            _tell_status(legacy, listed)
    return 1 if any(one.kind not in way.AT_REST for listed in found.values() for one in listed) else 0


def _tell_status(legacy: Legacy, listed: list[Difference]) -> None:
    same = sum(one.kind == "same" for one in listed)
    click.echo(f"{safe(legacy.folder)} ({legacy.format}): {number(same)} of {number(len(listed))} the same")
    for one in listed:
        if one.kind != "same":
            click.echo(f"  {one.kind.ljust(10)}  {safe(one.what)}")


@_declare("forward", "sessionstore dual forward --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def forward_command(app: App, given: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Take the legacy files' news into the store, and end writing them.

    The files stay as they are, but are not written any more, whatever LLM_DUAL_WRITE says. Where a file and its
    session say different things, the file's messages become another branch of the session. Exit code 5 when a file
    could not be taken in; then the writing goes on.
    """
    from sessionstore.dual import way

    return _move(app, given, dry_run, as_json, way.forward)


@_declare("back", "sessionstore dual back --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--all", "everything", is_flag=True, help="Also sessions that other programs have made.")
def back_command(app: App, given: tuple[str, ...], dry_run: bool, everything: bool, as_json: bool) -> int:
    """Write all sessions to legacy files, for the older program to go on.

    What the files say and the store does not is taken in first. Of a file that is replaced by something else a copy is
    kept beside it. Exit code 5 when a file could not be written.
    """
    from sessionstore.dual import way

    def move(manager: SessionManager, legacy: Legacy, *, dry_run: bool) -> Moved:
        return way.back(manager, legacy, dry_run=dry_run, everything=everything)

    return _move(app, given, dry_run, as_json, move)


def _some(store: Store, given: Sequence[str]) -> list[Legacy]:
    from sessionstore import errors

    found = legacies(store, given)
    if not found:
        raise errors.UsageError(
            reason="the store writes no legacy files here; name them with --files kimi=DIR or --files llm-sessions=DIR"
        )
    return found


def _move(app: App, given: tuple[str, ...], dry_run: bool, as_json: bool, move: Callable[..., Moved]) -> int:
    from sessionstore.manager import SessionManager

    with SessionManager(app.store()) as manager:
        done = [move(manager, legacy, dry_run=dry_run) for legacy in _some(manager.store, given)]
    if as_json:
        print_json([one.as_json() for one in done])
    else:
        for one in done:
            _tell_moved(one)
    return 5 if any(one.failed for one in done) else 0


def _tell_moved(one: Moved) -> None:
    would = "would be " if one.dry_run else ""
    sums = []
    if one.taken:
        sums.append(f"{number(sum(one.taken.values()))} messages {would}taken into {number(len(one.taken))} sessions")
    if one.imported:
        sums.append(f"{number(len(one.imported))} sessions {would}imported")
    if one.written:
        sums.append(f"{number(len(one.written))} files {would}written")
    if one.copies:
        sums.append(f"{number(len(one.copies))} files kept as copies")
    click.echo(f"{safe(one.directory)}: {', '.join(sums) or 'nothing to do'}")
    if one.direction == "forward" and not one.dry_run and not one.failed:
        click.echo("From now on these files are not written any more; `sessionstore dual back` begins again.")
    for path, reason in one.failed.items():
        note(f"{safe(path)}: {safe(reason)}")

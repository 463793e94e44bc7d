"""Commands that bring legacy sessions in, and give them back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.completion import session_names
from sessionstore.cli.output import Progress, number, size, table, when

if TYPE_CHECKING:
    from sessionstore.journal import Batch
    from sessionstore.migrate.originals import Restored

PATHS = click.Path(path_type=str)
LEAST = 6
"""A beginning of a batch's id must have at least this many characters: a slip must not undo a batch."""


@command("sources", example="sessionstore sources ~/backup/laptop")
@click.argument("paths", nargs=-1, type=PATHS)
@click.option("--from", "only", metavar="FORMAT", help="Look for one format only.")
@json_option
def sources_command(app: App, paths: tuple[str, ...], only: str | None, as_json: bool) -> None:
    """Show which conversations lie on this machine, by format.

    Looks at the places where the known programs keep their sessions, or at PATHS. Formats are told by content, never
    by name alone; nothing is changed and no store is needed.
    """
    from sessionstore.migrate.finding import roots, survey
    from sessionstore.migrate.workers import chosen_importers

    importers = chosen_importers(only)
    found, others = survey(roots(paths, importers.values(), app.machine()), importers)
    if as_json:
        print_json({"sources": found, "other": [{"path": path, "reason": reason} for path, reason in others]})
        return
    if not found:
        click.echo(
            "No sessions found." if paths else "No sessions found in the usual places; name a directory to look in."
        )
    rows = [
        (
            entry["source"],
            number(entry["files"]),
            number(entry["sessions"]),
            size(entry["bytes"]),
            ", ".join(entry["paths"]),
        )
        for entry in found
    ]
    table(rows, ("format", "files", "sessions", "size", "where"), right=(1, 2, 3))
    if others:
        click.echo(f"{number(len(others))} other files are no sessions (--json lists them with the reasons).")


@command("migrate", example="sessionstore migrate ~/.claude/projects --dry-run")
@click.argument("paths", nargs=-1, type=PATHS)
@click.option("--from", "only", metavar="FORMAT", help="Import as this format; leave everything else alone.")
@click.option("--dry-run", is_flag=True, help="Read everything and report, write nothing.")
@click.option("--retire", is_flag=True, help="Remove each source file once it is verified in the store.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Processes that read (default: one a core, at most 4).")
@json_option
@click.pass_context
def migrate_command(
    ctx: click.Context,
    app: App,
    paths: tuple[str, ...],
    only: str | None,
    dry_run: bool,
    retire: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Import legacy sessions in one safe batch.

    Reads PATHS, or the places where the known programs keep their sessions. Every file's bytes are kept exactly,
    verified by reading back, and searchable afterwards; the files themselves are not touched (but for --retire). A run
    that is killed goes on where it was when it is started again; `rollback` undoes a batch exactly. Running it again
    costs nothing and changes nothing; files that have grown are read from where they ended.

    Exit code 5: some sources could not be imported; they are named, everything else is done.
    """
    from sessionstore.migrate.run import Request, migrate

    request = Request(paths, only, retire, dry_run, jobs or 0)
    bar = Progress("migrate")
    if dry_run and not (app.place() / "STORE.json").exists():
        report = _rehearse_without_store(app, request)
    else:
        from sessionstore.cli.sink import index_sink

        store = app.store(create=True)
        with index_sink(store, enabled=not dry_run) as sink:
            try:
                report = migrate(store, request, app.machine(), sink, bar)
            finally:
                bar.finish()
    if as_json:
        print_json(report.as_json())
    else:
        _tell(report)
    return errors.PartialError.exit_code if report.failed else 0


def _rehearse_without_store(app: App, request: Any) -> Any:
    """A dry run on a machine that has no store yet: nothing is made."""
    from sessionstore.migrate import finding
    from sessionstore.migrate.run import Report, rehearse
    from sessionstore.migrate.workers import chosen_importers

    importers = chosen_importers(request.only)
    report = Report(dry_run=True)

    def unreadable(path: str, reason: str) -> None:
        report.failed.append({"path": path, "reason": reason})

    where = finding.roots(request.paths, importers.values(), app.machine())
    files = list(finding.candidates(where, importers, {}, on_error=unreadable))
    report.found, report.bytes = len(files), sum(candidate.size for candidate in files)
    rehearse(files, importers, report, {os.path.realpath(path) for path in request.paths})
    return report


def _tell(report: Any) -> None:
    """The report at the end: found, moved, left, already lost by the source."""
    formats = ", ".join(f"{count} {source}" for source, count in sorted(report.by_source.items()))
    unchanged = f"; {number(report.skipped)} unchanged since an earlier batch" if report.skipped else ""
    click.echo(f"found      {number(report.found)} files, {size(report.bytes)}{unchanged}")
    verb = "would read" if report.dry_run else "imported"
    click.echo(f"{verb:<10} {number(report.sources)} sources{f' ({formats})' if formats else ''}")
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.sessions.items()))
    click.echo(f"sessions   {number(sum(report.sessions.values()))}{f' ({outcomes})' if outcomes else ''}")
    total = report.mapped + report.preserved + report.rejected
    click.echo(
        f"records    {number(total)}: {number(report.mapped)} mapped, {number(report.preserved)} preserved, "
        f"{number(report.rejected)} rejected"
    )
    if report.retired:
        click.echo(f"retired    {number(report.retired)} source files removed; `rollback` gives them back")
    if report.purged:
        click.echo(f"purged     {number(report.purged)} sources left alone: their sessions were erased for good")
    if report.issues:
        click.echo("already lost or odd in the sources (sessions):")
        for code, count in sorted(report.issues.items()):
            click.echo(f"           {number(count):>6}  {code}")
    if report.unrecognised:
        click.echo(f"left       {number(len(report.unrecognised))} files that are no sessions (--json lists them)")
    for failure in report.failed:
        click.secho(f"failed     {failure['path']}: {failure['reason']}", fg="red")
    if report.batch:
        resumed = " (an interrupted batch, now complete)" if report.resumed else ""
        click.echo(f"batch      {report.batch}{resumed}; undo it with `sessionstore rollback {report.batch}`")
    elif not report.dry_run and not report.failed:
        click.echo("nothing new; nothing was changed")


@command("batches", example="sessionstore batches --json")
@json_option
def batches_command(app: App, as_json: bool) -> None:
    """List the migrations, newest first."""
    listed: list[dict[str, Any]] = []
    for batch in reversed(_migrations(app)):
        lines = list(batch.sources.values()) if batch.undo or batch.undone else batch.live
        sessions = {session["key"] for line in lines for session in line["sessions"] if session["created"]}
        listed.append(
            {
                "id": batch.id,
                "state": batch.state,
                "started_at": batch.begin.get("time"),
                "sources": len(lines),
                "sessions": len(sessions),
                "failed": len(batch.failed),
                "retired": len(batch.retire),
            }
        )
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("No migrations yet.")
    rows = [
        (entry["id"], when(entry["started_at"]), number(entry["sources"]), number(entry["sessions"]), entry["state"])
        for entry in listed
    ]
    table(rows, ("batch", "started", "sources", "sessions", "state"), right=(2, 3))


def _migrations(app: App) -> list[Batch]:
    """The batches that are migrations, oldest first: a purge keeps a journal too, but cannot be undone."""
    from sessionstore.journal import Journals

    return [batch for batch in Journals(app.store().root).all() if "purge" not in batch.begin.get("request", {})]


def find_batch(app: App, name: str) -> str:
    """A batch id from the id, a unique beginning of it (6 characters or more), or @last (the newest that took
    effect)."""
    batches = _migrations(app)
    if name == "@last":
        effective = [batch.id for batch in batches if not batch.undone]
        if not effective:
            raise errors.NotFound(name=name)
        return effective[-1]
    found = [batch.id for batch in batches if len(name) >= LEAST and batch.id.startswith(name.upper())]
    if not found:
        raise errors.NotFound(name=name)
    if len(found) > 1:
        raise errors.Ambiguous(name=name, candidates=" or ".join(found[:4]))
    return found[0]


@command("rollback", example="sessionstore rollback @last")
@click.argument("batch")
@json_option
def rollback_command(app: App, batch: str, as_json: bool) -> None:
    """Undo a migration exactly.

    BATCH is an id from `batches`, the beginning of one, or @last. The sessions become what they were before it, byte
    for byte; source files that --retire removed come back with bytes, mode and time. Refused, with the reason, when a
    session of the batch was changed since.
    """
    from sessionstore.cli.sink import sync_quietly
    from sessionstore.migrate.rollback import rollback

    store = app.store()
    undone = rollback(store, find_batch(app, batch))
    sync_quietly(store)
    if as_json:
        print_json(undone.as_json())
        return
    click.echo(
        f"batch {undone.batch} undone: {number(undone.removed)} revisions removed, {number(undone.restored)} restored, "
        f"{number(undone.returned)} source files given back"
    )


@command("original", example="sessionstore original @batch --to ./sources")
@click.argument("name", shell_complete=session_names)
@click.option("--to", "target", type=PATHS, help="Write here: a file, or a directory for all files of a source.")
@click.option("--revision", metavar="REV", help="The originals of this revision instead of the latest.")
def original_command(app: App, name: str, target: str | None, revision: str | None) -> int:
    """Give back the exact bytes of an imported file or batch.

    NAME is a session (its file goes to stdout, to --to FILE, or with all that belongs to it into --to DIR), a source
    path, or a batch (an id from `batches`, or @batch for the newest): then --to DIR rebuilds the tree of source files.
    Every byte is checked against its SHA-256 on the way out; existing files are never overwritten.

    Exit code 5: some files could not be given back; they are named, the others are there.
    """
    from sessionstore.cli.originals import batch_originals, session_original
    from sessionstore.layout import is_ulid

    store = app.store()
    restored: Restored | None
    if name == "@batch" or is_ulid(name.upper()):
        restored = batch_originals(store, find_batch(app, name if name != "@batch" else "@last"), target)
    else:
        restored = session_original(store, name, target, revision)
    if restored is None:
        if target:
            note(f"wrote {target}, SHA-256 equal")
        return 0
    sizes = restored.written.values()
    note(f"{number(len(sizes))} files, {size(sum(sizes))} written to {target}, SHA-256 equal")
    for failure in restored.failed:
        note(f"not written: {failure['path']}: {failure['reason']}")
    return errors.PartialError.exit_code if restored.failed else 0

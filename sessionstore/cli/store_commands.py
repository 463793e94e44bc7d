"""Commands that make, check and tidy the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import INDEX, App, command, json_option, print_json
from sessionstore.cli.completion import session_names
from sessionstore.cli.output import Progress, number, one_line, size

if TYPE_CHECKING:
    from sessionstore.doctor import Finding


@command("init", example="sessionstore --store ~/sessions init")
@click.argument("directory", required=False, type=click.Path(path_type=str))
@json_option
def init_command(app: App, directory: str | None, as_json: bool) -> None:
    """Make a store.

    In DIRECTORY, or where --store, $SESSIONSTORE_DIR or the user data directory say. Doing it again changes nothing.
    """
    app.store_option = directory or app.store_option
    place = app.place()
    existed = os.path.exists(place / "STORE.json")
    store = app.store() if existed else app.store(create=True, quiet=True)
    if as_json:
        print_json({"path": store.root, "id": store.id, "created": not existed})
    else:
        click.echo(f"{'already a store' if existed else 'made a store'}: {store.root}")


@command("verify", example="sessionstore verify --deep")
@click.option("--deep", is_flag=True, help="Also import every original again and compare.")
@click.option("--quick", is_flag=True, help="Compare sizes and references, do not read the objects.")
@click.option(
    "--sample", type=click.FloatRange(0, 100), metavar="PERCENT", help="Read only so many objects, at random."
)
@click.option("--index/--no-index", "with_index", default=False, help="Also compare the index with a rebuilt one.")
@click.option("--repair", "mend", is_flag=True, help="Move damaged files to quarantine; restore what can be restored.")
@json_option
def verify_command(
    app: App, deep: bool, quick: bool, sample: float | None, with_index: bool, mend: bool, as_json: bool
) -> int:
    """Check every byte of the store.

    Sizes, hashes of every file, that everything referred to is there, that counts add up; with --deep that originals
    import to the same sessions again, with --index that the index says what the store says. Damage is named with the
    sessions it touches. Nothing is changed but with --repair, which never deletes. Exit code 3: damage was found.
    """
    from sessionstore.migrate.reimport import Reimporter
    from sessionstore.verify import verify

    store = app.store()
    bar = Progress("verify")
    try:
        report = verify(
            store,
            read_data=not quick,
            deep=deep,
            sample=None if sample is None else sample / 100,
            progress=bar,
            index_digest=(lambda: _index_digests(store)) if with_index or deep else None,
            reimport=Reimporter(store) if deep else None,
        )
    finally:
        bar.finish()
    result = report.as_json()
    if mend and not report.ok:
        from sessionstore.repair import repair

        result["repair"] = repair(store, report, Reimporter(store).rebuild).as_json()
    if as_json:
        print_json(result)
    else:
        _tell_verified(result)
    return 0 if report.ok else errors.DamageError.exit_code


def _index_digests(store: Any) -> tuple[str, str] | None:
    """The digest of the index as it is and of one built anew; None without an index or while it is behind."""
    from contextlib import closing
    from tempfile import TemporaryDirectory

    from sessionstore.index import schema
    from sessionstore.index.difference import difference
    from sessionstore.index.sync import digest, sync
    from sessionstore.index.writer import IndexWriter

    path = f"{store.root}/{INDEX}"
    if not os.path.exists(path):
        return None
    with closing(schema.connect_reader(path)) as connection:
        if not difference(store, connection).empty:
            return None
        present = digest(connection)
    with TemporaryDirectory() as place, IndexWriter(f"{place}/{INDEX}", store.id, lock=None) as writer:
        sync(store, writer)
        return present, digest(writer.connection)


def _tell_verified(result: dict[str, Any]) -> None:
    counts = result["counts"]
    counted = ", ".join(f"{number(counts[name])} {name}" for name in ("revisions", "objects", "originals", "batches"))
    click.echo(f"checked {counted}; {size(counts['bytes'])} read")
    for warning in result.get("warnings", []):
        click.echo(f"warning: {warning}")
    for damage in result["damage"]:
        sessions = ", ".join(damage["sessions"]) or "no session"
        click.secho(f"{damage['kind']}: {damage['path']} (touches {sessions})", fg="red")
    repaired = result.get("repair")
    if repaired:
        for entry in repaired["restored"]:
            click.echo(f"restored {entry['path']} from {entry['from']}")
        if repaired["moved"]:
            click.echo(f"moved {len(repaired['moved'])} files to quarantine/{repaired['quarantine']}")
        for entry in repaired["missing"]:
            click.echo(f"lost for now: {entry['path']} (touches {', '.join(entry['sessions'])})")
    click.echo("no damage" if result["ok"] else f"{len(result['damage'])} damaged")


@command("gc", example="sessionstore gc --dry-run")
@click.option("--dry-run", is_flag=True, help="Say what would be swept.")
@click.option(
    "--grace-days", type=click.FloatRange(0), default=14, show_default=True, help="How long the trash is kept."
)
@click.option(
    "--superseded-originals", is_flag=True, help="Give up the bytes that sources had before they were imported last."
)
@json_option
def gc_command(app: App, dry_run: bool, grace_days: float, superseded_originals: bool, as_json: bool) -> None:
    """Sweep what nothing refers to into the trash.

    Objects that no session, no migration and no superseded revision in the trash needs are moved to trash/; what has
    been there longer than the grace is removed for good. Every migration can give back its sources as they were; with
    --superseded-originals only the last state of each source is kept, where that is whole in the store.
    """
    from sessionstore.gc import gc

    result = gc(
        app.store(), dry_run=dry_run, grace_days=grace_days, superseded_originals=superseded_originals
    ).as_json()
    if as_json:
        print_json(result)
        return
    would = "would be " if dry_run else ""
    if superseded_originals:
        click.echo(f"{number(result['given_up'])} earlier states of sources {would}given up")
    click.echo(f"{number(result['swept'])} objects ({size(result['bytes'])}) {would}moved to the trash")
    click.echo(f"{number(result['expired'])} trash folders {would}removed for good, {result['kept_in_trash']} kept")


@command("compact", example="sessionstore compact")
@json_option
def compact_command(app: App, as_json: bool) -> None:
    """Compress the store.

    Pages and chunks are written again, smaller, and compared before the old file goes. Sessions, names and hashes stay
    what they are.
    """
    from sessionstore.compact import compact

    bar = Progress("compact")
    try:
        result = compact(app.store(), progress=bar).as_json()
    finally:
        bar.finish()
    if as_json:
        print_json(result)
        return
    click.echo(f"{number(result['objects'])} objects: {size(result['before'])} are now {size(result['after'])}")


@command("purge", example="sessionstore purge claude-code:3f0c2a --yes")
@click.argument("name", shell_complete=session_names)
@click.option("--reason", help="Why, for the tombstone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def purge_command(app: App, name: str, reason: str | None, yes: bool, as_json: bool) -> None:
    """Erase a session for good.

    Its revisions, notes, pages, originals and index rows are removed, also from the trash; what it shares with other
    sessions stays, and is said. A tombstone without content keeps imports from bringing it back. This cannot be undone.
    """
    from sessionstore.cli.names import find_key
    from sessionstore.purge import purge

    store = app.store()
    key = find_key(store, name)
    if not yes:
        click.confirm(f"Erase {key} and its original for good?", abort=True, err=True)
    result = purge(store, key, reason=reason).as_json()
    _erase_from_index(store)
    if as_json:
        print_json(result)
        return
    click.echo(f"{key} erased: {number(result['revisions'])} revisions, {number(result['objects'])} objects")
    if result["shared"]:
        click.echo(f"{len(result['shared'])} objects stay because other sessions need them (--json names them)")
    for file in result["files"]:
        others = f"{len(file['sessions'])} other session{'s' if len(file['sessions']) > 1 else ''}"
        click.echo(f"the bytes of {file['path']}, which held it, stay: {others} came from it")


def _erase_from_index(store: Any) -> None:
    from sessionstore.index import vectors
    from sessionstore.index.sync import sync
    from sessionstore.index.writer import IndexWriter

    path = f"{store.root}/{INDEX}"
    if os.path.exists(path):
        with IndexWriter(path, store.id) as writer:
            sync(store, writer)
            writer.erase()
    vectors.forget(path)


@command("note", example="sessionstore note tag @last billing urgent")
@click.argument("field", type=click.Choice(["title", "tag", "untag", "star", "unstar", "archive", "unarchive"]))
@click.argument("name", shell_complete=session_names)
@click.argument("values", nargs=-1)
@json_option
def note_command(app: App, field: str, name: str, values: tuple[str, ...], as_json: bool) -> None:
    """Set a session's title, tags, star or archived mark.

    NAME is a session as in `show`. `title NAME ""` takes a title back. Notes are kept in the store, not in the index.
    """
    from sessionstore.cli.names import find_key
    from sessionstore.cli.sink import sync_quietly
    from sessionstore.notes import notes_of, set_note

    store = app.store()
    key = find_key(store, name)
    if field in ("title", "tag", "untag") and not values:
        raise errors.UsageError(reason=f"`note {field}` needs a value")
    if field == "title":
        set_note(store, key, "title", " ".join(values) or None)
    elif field in ("tag", "untag"):
        tags = set(notes_of(store, key).get("tags", []))
        tags = tags | set(values) if field == "tag" else tags - set(values)
        set_note(store, key, "tags", sorted(tags) or None)
    else:
        name_of_mark = "star" if field.endswith("star") else "archived"
        set_note(store, key, name_of_mark, None if field.startswith("un") else True)
    sync_quietly(store)
    if as_json:
        print_json({"key": key, **notes_of(store, key)})
    else:
        told = ", ".join(_told(name, value) for name, value in sorted(notes_of(store, key).items()))
        click.echo(f"{key}  {told or 'no notes'}")


def _told(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name}: {' '.join(value) if isinstance(value, list) else one_line(str(value), 80)}"


@command("views", example="sessionstore views")
@json_option
def views_command(app: App, as_json: bool) -> None:
    """Rebuild the browsable links under views/.

    views/by-model, by-date, by-source and by-tag hold links to the sessions' latest revisions. They are derived: remove
    or rebuild them at will.
    """
    from sessionstore.views import views

    result = views(app.store()).as_json()
    if as_json:
        print_json(result)
        return
    click.echo(f"{number(result['links'])} links to {number(result['sessions'])} sessions ({result['kind']})")


@command("doctor", example="sessionstore doctor")
@json_option
def doctor_command(app: App, as_json: bool) -> int:
    """Check that this machine and store are in order.

    Exit code 1 when something needs attention.
    """
    from sessionstore.doctor import doctor

    findings = [*doctor(app.place()), *_of_legacy_files(app)]
    if as_json:
        print_json(findings)
    else:
        colours = {"ok": "green", "warning": "yellow", "error": "red"}
        for finding in findings:
            advice = f"\n         {finding['advice']}" if finding.get("advice") else ""
            click.echo(
                f"{click.style(finding['level'].ljust(7), fg=colours[finding['level']])}  {finding['what']}{advice}"
            )
    return 1 if any(finding["level"] == "error" for finding in findings) else 0


def _of_legacy_files(app: App) -> list[Finding]:
    """Where the store and the legacy files beside it differ, when there are any."""
    from sessionstore.cli.dual_commands import beside, legacies
    from sessionstore.dual.findings import findings
    from sessionstore.store import Store

    try:
        store = Store(app.place())
    except errors.SessionstoreError:
        return []  # doctor has said it
    places = legacies(store)
    return [one for legacy in places for one in findings(store, legacy, beside((), places))]

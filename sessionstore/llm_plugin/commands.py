"""The commands ``llm sessions …``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import llm

STORE = click.option("--store", metavar="DIR", help="The store to use, if not the usual one.")


@click.group()
def sessions() -> None:
    """Archived sessions: go on with one, or archive llm's own logs"""


@sessions.command(name="import")
@STORE
@click.option(
    "-d", "--database", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="llm's log database."
)
def import_logs(store: str | None, database: Path | None) -> None:
    """Take llm's logs into the archive

    The same as `sessionstore migrate --from llm`: verified, free when nothing has changed, undone by
    `sessionstore rollback`.
    """
    from sessionstore.cli.app import run

    place = database or llm.user_dir() / "logs.db"
    if not place.exists():
        raise click.ClickException(f"{place} is not there; llm has logged nothing yet")
    arguments = ["migrate", "--from", "llm", str(place)]
    code = run(["--store", store, *arguments] if store else arguments)
    click.get_current_context().exit(code)


@sessions.command(name="continue")
@click.argument("session")
@click.argument("prompt", required=False)
@click.option("-m", "--model", "model_id", help="The model to go on with; llm's default otherwise.")
@click.option("-s", "--system", help="A system prompt instead of the archived one.")
@click.option("-o", "--option", "options", type=(str, str), multiple=True, help="key/value options for the model.")
@click.option("--key", help="API key to use.")
@click.option("--last", type=click.IntRange(1), help="Take only the last so many messages along.")
@click.option("--tool-parts", is_flag=True, help="Hand over tool calls as such instead of telling them in words.")
@click.option("--no-stream", is_flag=True, help="Do not stream output.")
@click.option("-n", "--no-log", is_flag=True, help="Don't log to database.")
@STORE
def continue_session(session: str, prompt: str | None, model_id: str | None, store: str | None, **given: Any) -> None:
    """Go on with an archived session in any model

    SESSION is a key, an id, the beginning of one, or @last. PROMPT is what you say next, from stdin when it is not
    given. The answer and the whole history become a conversation of llm: `llm -c` and `llm chat -c` go on with it,
    `llm sessions import` archives it. The archived session itself is not changed.
    """
    from sessionstore.errors import SessionstoreError

    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    if not (prompt or "").strip():
        raise click.UsageError("say what comes next, as PROMPT or on stdin")
    try:
        model = llm.get_model(model_id)
        history = _history(session, store, model, given["last"], given["tool_parts"])
    except llm.UnknownModelError as error:
        raise click.ClickException(str(error.args[0])) from error
    except SessionstoreError as error:
        raise click.ClickException(str(error)) from error
    _ask(model, prompt, history, **given)


def _history(session: str, store: str | None, model: Any, last: int | None, tool_parts: bool) -> tuple[str, list[Any]]:
    """(the system prompt, the messages) of a session for a model; what stays behind is said on stderr."""
    from sessionstore.archive import transcript
    from sessionstore.exporters.report import Report
    from sessionstore.llm_plugin.fragments import archive
    from sessionstore.llm_plugin.history import History
    from sessionstore.objects import VALUE

    asked, report = archive(store), Report()
    revision = asked.find_revision(session)
    messages = list(transcript.messages(asked, revision, report))
    make = History(
        lambda name: asked.store.objects.get(name, VALUE, check=True), model.attachment_types, tool_parts=tool_parts
    )
    system, history = make.make(revision, messages[-last:] if last else messages, report)
    for line in report.lines:
        click.echo(f"not taken along: {line}", err=True)
    return system, history


def _ask(model: Any, prompt: str | None, history: tuple[str, list[Any]], **given: Any) -> None:
    """Ask the model, show its answer, and log it as a conversation."""
    archived, messages = history
    system = given["system"] or archived or None
    if system:
        messages = [llm.Message(role="system", parts=[llm.parts.TextPart(text=system)]), *messages]
    extra: dict[str, Any] = {"options": _options(model, given["options"])}
    if isinstance(model, llm.KeyModel):
        extra["key"] = given["key"]
    conversation = model.conversation()
    try:
        response = conversation.prompt(
            prompt, messages=messages, system=system, stream=model.can_stream and not given["no_stream"], **extra
        )
        for piece in response:
            click.echo(piece, nl=False)
        click.echo()
    except Exception as error:
        raise click.ClickException(str(error)) from error
    _log(response, conversation, given["no_log"])


def _options(model: Any, given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The options as the model takes them."""
    from pydantic import ValidationError

    try:
        return {name: value for name, value in model.Options(**dict(given)) if value is not None}
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise click.ClickException(f"the model does not take these options: {told}") from error


def _log(response: Any, conversation: Any, no_log: bool) -> None:
    """Keep the conversation in llm's database, as llm itself would."""
    from llm.cli import logs_on
    from llm.migrations import migrate
    from sqlite_utils import Database

    if no_log or not logs_on():
        return
    database = Database(llm.user_dir() / "logs.db")
    try:
        migrate(database)
        response.log_to_db(database)
    finally:
        database.close()
    click.echo(f"conversation {conversation.id}: go on with `llm -c`, archive it with `llm sessions import`", err=True)

"""Commands that change conversations: branch, merge, edit, switch-model. The work is `SessionManager`'s."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.output import number, safe

if TYPE_CHECKING:
    from sessionstore.manager import Session, SessionManager


@contextmanager
def _manager(app: App) -> Iterator[SessionManager]:
    from sessionstore.cli.dual_commands import managed

    with managed(app) as manager:
        yield manager


def _session(manager: SessionManager, name: str) -> Session:
    from sessionstore.cli.names import find_key

    return manager.get(find_key(manager.store, name))


def _told(session: Session) -> dict[str, Any]:
    return {"key": session.key, "revision": session.revision["_name"], "messages": session.count}


@command("branch", example="sessionstore branch '@last#m12' --id second-try")
@click.argument("name")
@click.option("--at", "at", metavar="MESSAGE", help="The last message to take, by its id.")
@click.option("--id", "session_id", metavar="ID", help="The new session's id, else a new one is made up.")
@click.option("--title", help="The new session's title.")
@json_option
def branch_command(
    app: App, name: str, at: str | None, session_id: str | None, title: str | None, as_json: bool
) -> None:
    """Begin a new session with another's messages.

    NAME is a session as in `show`, or a link to a message in it (KEY#MESSAGE), which is then the last one taken. The
    two share what they have in common.
    """
    name, _, spot = name.partition("#")
    with _manager(app) as manager:
        fields = {"title": title} if title else {}
        made = manager.branch(_session(manager, name), at or spot or None, session_id, **fields)
        told = {**_told(made), "forked_from": made.revision["forked_from"]}
    if as_json:
        print_json(told)
    else:
        click.echo(f"{safe(made.key)}: {number(told['messages'])} messages of {safe(told['forked_from']['key'])}")


@command("merge", example="sessionstore merge first-try second-try --order time")
@click.argument("name")
@click.argument("other", required=False)
@click.option(
    "--order",
    type=click.Choice(["append", "time"]),
    default="append",
    show_default=True,
    help="Put the other's messages behind, or between by time.",
)
@json_option
def merge_command(app: App, name: str, other: str | None, order: str, as_json: bool) -> None:
    """Take what another session has beyond the common beginning.

    The other session stays as it is. Without OTHER the branches (heads) of the session itself become one.
    """
    with _manager(app) as manager:
        session = _session(manager, name)
        before = session.count
        manager.merge(session, None if other is None else _session(manager, other), order=order)
        told = {**_told(session), "added": session.count - before}
    if as_json:
        print_json(told)
    else:
        click.echo(f"{safe(session.key)}: {number(told['added'])} messages added")


@command("edit", example="sessionstore edit '@last#m12' --text 'What I meant'")
@click.argument("link")
@click.option("--text", help="What the message says from now on; - for stdin. Without it an editor opens.")
@click.option("--delete", is_flag=True, help="Take the message out.")
@json_option
def edit_command(app: App, link: str, text: str | None, delete: bool, as_json: bool) -> None:
    """Change a message, or take it out.

    LINK is KEY#MESSAGE, as `search` prints it. Only the text is changed; images and tool calls stay. How the session
    was stays in its history (`log`, `show KEY@REV`).
    """
    name, _, message = link.partition("#")
    if not message or (delete and text is not None):
        raise errors.UsageError(reason="name a message as KEY#MESSAGE, and give it a --text or --delete it")
    with _manager(app) as manager:
        session = _session(manager, name)
        if delete:
            session.delete_message(message)
        else:
            session.edit(message, _edited(session, message, text))
        told = _told(session)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{safe(session.key)}: message {safe(message)} {'taken out' if delete else 'changed'}")


def _edited(session: Session, message: str, text: str | None) -> list[dict[str, Any]]:
    """The parts of a message with another text: in the place of its first text, other texts gone."""
    from sessionstore.manager.editing import position_of

    messages = list(session.messages())
    parts = messages[position_of(messages, message, session.key)]["parts"]
    if text is None:
        said = "\n\n".join(str(part["content"]) for part in parts if part.get("type") == "text")
        text = click.edit(said)
        if text is None:
            raise errors.UsageError(reason="the message was not changed")
        text = text if said.endswith("\n") else text.removesuffix("\n")
    elif text == "-":
        text = sys.stdin.read()
    place = next((n for n, part in enumerate(parts) if part.get("type") == "text"), 0)
    kept = [part for part in parts if part.get("type") != "text"]
    place -= sum(1 for part in parts[:place] if part.get("type") == "text")
    return [*kept[:place], {"type": "text", "content": text}, *kept[place:]]


@command("switch-model", example="sessionstore switch-model @last claude-sonnet-4-5 --reason 'longer context'")
@click.argument("name")
@click.argument("model")
@click.option("--reason", help="Why; it is recorded, and the new model is told.")
@click.option("--provider", help="Who runs the model, when its name does not say.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def switch_model_command(
    app: App, name: str, model: str, reason: str | None, provider: str | None, yes: bool, as_json: bool
) -> None:
    """Let another model answer from now on.

    What the new model cannot take is said before, and the switch is made only with consent. Nothing of the conversation
    is changed, so switching back loses nothing.
    """

    def ask(warnings: list[str]) -> bool:
        for warning in warnings:
            note(safe(warning))
        return yes or click.confirm(f"Go on with {safe(model)}?", err=True)

    with _manager(app) as manager:
        session = _session(manager, name)
        done = manager.switch_model(session, model, reason, consent=ask, provider=provider)
        facts = {"from": done.old, "to": done.new, "warnings": done.warnings, "message": done.message}
        told = {**_told(session), **facts}
    if as_json:
        print_json(told)
    elif done.message is None:
        click.echo(f"{safe(session.key)}: {safe(model)} answers already")
    else:
        click.echo(f"{safe(session.key)}: {safe(model)} answers from now on")

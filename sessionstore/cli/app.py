"""The command table, and what all commands share: where the store is, how errors end, where output goes.

Commands are loaded when they are used, so that `--help`, completion and `search` start quickly. Their one-line
summaries therefore stand here; a test compares them with the commands' own help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sessionstore import __version__, errors

if TYPE_CHECKING:
    from sessionstore.importers.base import Machine
    from sessionstore.store import Store

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("store", "Make a store."),
    "sources": ("migrate", "Show which conversations lie on this machine, by format."),
    "migrate": ("migrate", "Import legacy sessions in one safe batch."),
    "batches": ("migrate", "List the migrations, newest first."),
    "rollback": ("migrate", "Undo a migration exactly."),
    "original": ("migrate", "Give back the exact bytes of an imported file or batch."),
    "search": ("search", "Find messages in all sessions."),
    "list": ("read", "List sessions, newest first."),
    "show": ("read", "Show a session, or one message in it."),
    "log": ("read", "Show the stored revisions of a session."),
    "export": ("read", "Write sessions in another form."),
    "secrets": ("secrets", "List keys, tokens and passwords in sessions, masked."),
    "restore": ("restore", "Put the imported file of a session back."),
    "stats": ("read", "Count sessions, messages, tokens and cost."),
    "sql": ("sql", "Ask the index in SQL."),
    "index": ("index", "Look after the search index."),
    "browse": ("browse", "Read and search conversations in a browser."),
    "watch": ("watch", "Follow the store and all sources live."),
    "verify": ("store", "Check every byte of the store."),
    "gc": ("store", "Sweep what nothing refers to into the trash."),
    "compact": ("store", "Compress the store."),
    "purge": ("store", "Erase a session for good."),
    "chat": ("chat", "Talk with a model, and keep what is said."),
    "branch": ("session", "Begin a new session with another's messages."),
    "merge": ("session", "Take what another session has beyond the common beginning."),
    "edit": ("session", "Change a message, or take it out."),
    "switch-model": ("session", "Let another model answer from now on."),
    "note": ("store", "Set a session's title, tags, star or archived mark."),
    "views": ("store", "Rebuild the browsable links under views/."),
    "mcp": ("mcp", "Serve the store to models (MCP)."),
    "dual": ("dual", "Compare legacy files with the store; go forward or back."),
    "doctor": ("store", "Check that this machine and store are in order."),
    "debug": ("debug", "Find out what is wrong."),
}

INDEX = "index.sqlite"
"""Where the index lies in a store."""

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """What the commands of one run share; click's context object."""

    def __init__(self) -> None:
        self.store_option: str | None = None

    def place(self) -> Path:
        """Where the store is, or would be."""
        from sessionstore.layout import find_store

        return find_store(self.store_option, os.environ, Path.cwd())

    def store(self, *, create: bool = False, quiet: bool = False) -> Store:
        """The store. With `create` a missing one is made, and said so unless `quiet`. Raises `NoStore`."""
        from sessionstore.store import Store

        place = self.place()
        if create and not os.path.exists(place / "STORE.json"):
            if place.is_dir() and any(place.iterdir()) and self.store_option:
                _refuse_foreign(place)
            store = Store.init(place)
            if not quiet:
                note(f"made a store at {store.root}")
            return store
        return Store(place)

    def machine(self) -> Machine:
        """Where a person's files are on this machine."""
        from sessionstore.importers.base import Machine

        return Machine(Path.home(), Path.cwd(), dict(os.environ))


def _refuse_foreign(place: Path) -> None:
    from sessionstore.layout import DIRECTORIES

    foreign = sorted(entry.name for entry in place.iterdir() if entry.name not in DIRECTORIES)
    if foreign:
        raise errors.UsageError(reason=f"{place} is not empty ({foreign[0]}, …) and is no store; give another place")


def note(sentence: str) -> None:
    """Tell the user something on stderr."""
    click.echo(f"sessionstore: {sentence}", err=True)


class Commands(click.Group):
    """A group that loads its commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a day's work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"sessionstore.cli.{COMMANDS[cmd_name][0]}_commands")
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The summaries of the table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _remember_store(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(App).store_option = value


def store_option(function: F) -> F:
    """`--store DIR`, before or after the command."""
    option = click.option(
        "--store",
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=_remember_store,
        help="The store to use (else $SESSIONSTORE_DIR, the nearest .llm_sessions/ upwards, the user data directory).",
    )
    return option(function)


def json_option(function: F) -> F:
    """`--json`: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def command(name: str, *, example: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a command: its name, an example for its help, and `--store`. Its first argument is the `App`."""

    def declare(function: Callable[..., Any]) -> click.Command:
        decorated = click.pass_obj(store_option(function))
        epilog = f"\b\nExample:\n  {example}"
        short = COMMANDS.get(name, ("", None))[1]
        return click.command(name, cls=click.Command, epilog=epilog, short_help=short, **settings)(decorated)

    return declare


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sessionstore")
@store_option
@click.option(
    "--trace",
    metavar="SPEC",
    help="Tell what happens: LEVEL[,CATEGORY…][:FILE], as in DEBUG,provider:trace.jsonl (else $SESSIONSTORE_TRACE).",
)
@click.pass_context
def cli(ctx: click.Context, trace: str | None) -> None:
    """Git for conversations: every LLM conversation kept byte for byte, searchable, reversible."""
    ctx.ensure_object(App)
    if wanted := trace or os.environ.get("SESSIONSTORE_TRACE"):
        _trace(ctx, wanted)


def _trace(ctx: click.Context, wanted: str) -> None:
    """Trace the command; its last event says what took the time."""
    from sessionstore import tracing

    made = tracing.wanted(wanted)
    assert made is not None

    def end() -> None:
        summary = made.summary()
        facts = {name: summary[name] for name in ("seconds", "cpu_seconds", "max_rss_kib", "bottlenecks", "models")}
        tracing.event(tracing.INFO, "lifecycle", "summary", None, command=ctx.invoked_subcommand, **facts)
        made.close()

    ctx.call_on_close(end)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    from sessionstore import fsio

    try:
        code = cli.main(list(arguments), prog_name="sessionstore", standalone_mode=False, obj=App())
        result = code if isinstance(code, int) else 0
    except errors.SessionstoreError as error:
        note(str(error))
        result = error.exit_code
    except click.exceptions.Exit as error:
        result = error.exit_code
    except click.ClickException as error:
        _show(error)
        result = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        note("interrupted; nothing is lost, run the same command again to go on")
        result = 130
    except (BrokenPipeError, SystemExit):  # click exits by itself only when the reader of stdout has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        result = 0
    except RecursionError:
        note("the input is nested too deeply to be handled")
        result = 1
    except MemoryError:
        note("not enough memory; nothing is lost")
        result = 1
    except OSError as error:
        failure = fsio.failure(error, error.filename or "a file")
        note(str(failure))
        result = failure.exit_code
    except Exception as error:
        if os.environ.get("SESSIONSTORE_DEBUG"):
            raise
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        note(f"internal error ({detail}); nothing is lost; SESSIONSTORE_DEBUG=1 shows where, please report it")
        result = 1
    for warning in fsio.warnings:
        note(f"warning: {warning}")
    return result


def _show(error: click.ClickException) -> None:
    """A usage error on one line, with where to read on. A group that was given no command shows its help instead."""
    message = error.format_message()
    if message.startswith("Usage: "):
        click.echo(message, err=True)
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    advice = f" (see `{context.command_path} --help`)" if context else ""
    note(" ".join(message.split()).rstrip(".") + advice)


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented on a terminal."""
    import orjson

    from sessionstore import canonical

    option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    click.echo(orjson.dumps(canonical.clean(value), option=option).decode())

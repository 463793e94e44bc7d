"""The command that follows the store and the legacy sources."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import escape

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, print_json
from sessionstore.cli.output import number, one_line, safe

UNITS = ("systemd", "launchd")


@command("watch", example="sessionstore watch --print systemd > ~/.config/systemd/user/sessionstore.service")
@click.argument("paths", nargs=-1, type=click.Path(path_type=str))
@click.option("--from", "only", metavar="FORMAT", help="Follow one format only.")
@click.option("--once", is_flag=True, help="Look at everything once and end, for cron.")
@click.option("--print", "unit", type=click.Choice(UNITS), help="Print a service file that starts the watcher.")
@json_option
def watch_command(
    app: App, paths: tuple[str, ...], only: str | None, once: bool, unit: str | None, as_json: bool
) -> None:
    """Follow the store and all sources live.

    Sessions that grow in PATHS, or in the places where the known programs keep them, are imported as they are written,
    and so is whatever another program puts into the store: searchable within a second. The sources are never changed.
    One watcher for each store; it ends with Ctrl-C. The imports of one day are one batch, which `rollback` undoes.

    With --json one object a line: what happened, when, and the facts.
    """
    if unit:
        click.echo(_unit(unit, app, paths, only))
        return
    from sessionstore.cli.sink import IndexSink
    from sessionstore.watch import Watcher

    for path in paths:
        if not os.path.exists(path):
            raise errors.ReadFailed(path=path, reason="no such file or directory")
    store = app.store(create=True)
    watcher = Watcher(store, app.machine(), lambda: IndexSink(store), _teller(as_json), paths=paths, only=only)
    if once:
        watcher.once()
        return
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: watcher.stop())
    watcher.run()


def _teller(as_json: bool) -> Any:
    def tell(what: str, facts: dict[str, Any]) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if as_json:
            print_json({"time": moment, "event": what, **facts})
        elif sentence := _sentence(what, facts):
            click.echo(f"{moment[11:19]}  {sentence}", err=what in ("trouble", "failed"))
        with suppress(OSError, ValueError):
            sys.stdout.flush()

    return tell


def _sentence(what: str, facts: dict[str, Any]) -> str:
    if what == "started":
        way = "looking every few seconds at" if facts["polling"] else "watching"
        return f"{way} {number(len(facts['roots']))} places; everything is up to date"
    if what == "imported":
        title = one_line(facts["title"], 60) if facts["title"] else ""
        return f"{safe(facts['key'])}  +{number(facts['new'])} messages  {title}".rstrip()
    if what == "indexed" and "sources" not in facts:
        counted = ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, int))
        return f"index: {counted}" if counted else ""
    if what == "failed":
        return f"failed  {safe(facts['path'])}: {facts['reason']}"
    if what == "trouble":
        return f"trouble: {facts['reason']}"
    return f"looking at everything: {facts['why']}" if what == "doubt" and facts["why"] != "the start" else ""


SYSTEMD = """[Unit]
Description=sessionstore: follow conversations live

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=10
Nice=10

[Install]
WantedBy=default.target"""

LAUNCHD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>sessionstore.watch</string>
  <key>ProgramArguments</key>
  <array>
{arguments}
  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ProcessType</key><string>Background</string>
</dict>
</plist>"""


def _unit(kind: str, app: App, paths: tuple[str, ...], only: str | None) -> str:
    """A service file that starts the same watcher."""
    arguments = [sys.executable, "-P", "-m", "sessionstore", "watch", "--store", str(app.place().absolute())]
    arguments += ["--from", only] if only else []
    arguments += map(os.path.abspath, paths)
    if kind == "systemd":
        return SYSTEMD.format(command=" ".join(map(_systemd_quoted, arguments)))
    return LAUNCHD.format(arguments="\n".join(f"    <string>{escape(argument)}</string>" for argument in arguments))


def _systemd_quoted(argument: str) -> str:
    """One argument as a unit file's command line takes it: no specifier, no variable, no blank is read into it."""
    plain = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if plain != argument or any(c.isspace() for c in argument) else argument

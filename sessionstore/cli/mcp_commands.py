"""The command that serves the store to models."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from sessionstore import errors
from sessionstore.adapters.environment import settings_from
from sessionstore.cli.app import App, command, note

CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode", "codex", "gemini")
PORT = 8642


@command("mcp", example="sessionstore mcp --install claude-code")
@click.option("--write", is_flag=True, help="Also offer tools that append, annotate, and talk with other models.")
@click.option(
    "--no-chat", is_flag=True, help="With --write, leave out the tools that talk with models: they cost money."
)
@click.option("--http", is_flag=True, help="Serve streamable HTTP instead of stdin and stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on, with --http.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="The port, with --http; 0: any."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Answer requests to this host name too, with --http. May be given several times.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="A file whose first line is a token that requests must carry, with --http.",
)
@click.option(
    "--install",
    type=click.Choice([*CLIENTS, "all"]),
    is_flag=False,
    flag_value="all",
    help="Print the configuration for a client, or for all, and end.",
)
def mcp_command(
    app: App,
    write: bool,
    no_chat: bool,
    http: bool,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    token_file: Path | None,
    install: str | None,
) -> None:
    """Serve the store to models (MCP).

    Clients such as Claude Code, Cursor or Codex start it themselves; --install prints what they need for that. Models
    can search, list, read, find similar sessions and count; they cannot change anything unless --write is given, and
    never remove anything. Transcripts are given as untrusted data, in pages of bounded size. With --write they can also
    talk with other models, at your cost, where the environment has a key (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    GEMINI_API_KEY, MOONSHOT_API_KEY); --no-chat takes that away.
    """
    token = _token(token_file)
    if install:
        options = [name for name, given in (("--write", write), ("--no-chat", no_chat)) if given]
        click.echo(_configuration(app, install, options, http, host, port, token is not None))
        return
    if no_chat and not write:
        raise errors.UsageError(reason="--no-chat belongs to --write; without it no tool talks with models")
    if not http and (hosts or token_file):
        raise errors.UsageError(reason="--allow-host and --token-file belong to --http")
    _require_sdk()
    store = app.store()
    from sessionstore.archive.asking import Archive
    from sessionstore.mcp_server.server import READ_ONLY, make_server

    toolsets = (*READ_ONLY, *(["write"] if write else []), *(["chat"] if write and not no_chat else []))
    server = make_server(Archive(store, note), toolsets, reach=lambda kind: settings_from(os.environ, kind))
    if http:
        _serve_http(server, host, port, hosts, token, "chat" in toolsets)
        return
    if sys.stdin.isatty():
        note("waiting for a client on stdin; `sessionstore mcp --install` prints what clients need. Ctrl-C ends")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the thread that waits for stdin would hold up anything gentler
    server.run("stdio")


def _serve_http(server: Any, host: str, port: int, hosts: tuple[str, ...], token: str | None, talks: bool) -> None:
    from contextlib import suppress

    from sessionstore.mcp_server import http

    http.check(host, hosts, token)
    listener = http.listen(host, port)

    def ready(url: str) -> None:
        note(f"serving {url}; Ctrl-C ends")
        if talks and token is None:
            note("every program on this machine can now talk with models at your cost; give --token-file or --no-chat")

    with suppress(KeyboardInterrupt):
        http.serve(server, listener, hosts, token, ready)


def _token(path: Path | None) -> str | None:
    """The token, or None when none is asked for."""
    if path is None:
        return None
    try:
        lines = path.expanduser().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise errors.ReadFailed(path=path, reason=(error.strerror or str(error)).lower()) from None
    return lines[0].strip() if lines else ""


def _require_sdk() -> None:
    """Raises `UsageError` when the MCP SDK is not installed, or is of the generation before."""
    if find_spec("mcp") is None or find_spec("mcp_types") is None:
        raise errors.UsageError(reason="this needs the MCP SDK 2; install it with: pip install 'sessionstore[mcp]'")


def _configuration(app: App, client: str, options: list[str], http: bool, host: str, port: int, token: bool) -> str:
    from sessionstore.mcp_server.clients import Target, all_told, told

    if http:
        target = Target(url=f"http://{f'[{host}]' if ':' in host else host}:{port}/mcp", needs_token=token)
    else:
        # -P: nothing is imported from the directory that the client happens to be in
        arguments = ["-P", "-m", "sessionstore", "mcp", "--store", str(app.place().absolute()), *options]
        target = Target([os.path.abspath(sys.executable), *arguments])
    return all_told(target) if client == "all" else told(client, target)

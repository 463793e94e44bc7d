"""The command that talks with a model. The work is the chat core's; keys and addresses come from the environment."""

from __future__ import annotations

import mimetypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, command, json_option, note, print_json
from sessionstore.cli.output import safe

if TYPE_CHECKING:
    from sessionstore.chat import Answer, Chat, Streaming

LARGEST = 20_000_000
"""Bytes of a file that can be attached; no provider takes more."""
_TEXT = ("text/", "application/json", "application/xml", "application/yaml", "application/toml")


@command("chat", example='sessionstore chat --model gpt-5 "What is a monad?"')
@click.argument("prompt", required=False)
@click.option("--model", "-m", metavar="MODEL", help="Who answers: gpt-5, claude-opus-4-6, PROVIDER/MODEL, …")
@click.option("--session", "-s", "session_id", metavar="NAME", help="Go on with this session, or make it.")
@click.option("--continue", "-c", "go_on", is_flag=True, help="Go on with the latest session.")
@click.option("--system", metavar="TEXT", help="Instructions for the model.")
@click.option("--attach", "-a", "files", multiple=True, type=click.Path(path_type=Path), help="Send a file along.")
@click.option("--max-tokens", type=click.IntRange(1), help="The longest answer, in tokens.")
@click.option("--temperature", type=float, help="How freely to answer.")
@click.option("--reasoning", metavar="MUCH", help="How much to think: low, medium, high or a number of tokens.")
@click.option("--base-url", metavar="URL", help="Ask this server instead of the provider's own.")
@click.option("--yes", is_flag=True, help="Agree that another model goes on with the session.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@json_option
def chat_command(
    app: App,
    prompt: str | None,
    session_id: str | None,
    go_on: bool,
    base_url: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Talk with a model, and keep what is said.

    Without PROMPT it is read from stdin; on a terminal a conversation begins: a line is a question, an empty line or
    Ctrl-D ends it. What is said is in the store before the model is asked. A question that was not answered (no
    network, a crash) is answered by `chat --continue` without a prompt. Keys are read from OPENAI_API_KEY,
    ANTHROPIC_API_KEY, GEMINI_API_KEY and MOONSHOT_API_KEY; `claude-code` runs the program `claude`.
    """
    from sessionstore.adapters.environment import settings_from
    from sessionstore.chat import Chat
    from sessionstore.cli.dual_commands import managed

    if go_on and session_id:
        raise errors.UsageError(reason="--continue and --session cannot be used together")
    _tell_waits()
    with managed(app, create=True) as sessions:
        name = "@last" if go_on else session_id
        with Chat(sessions, lambda kind: settings_from(os.environ, kind, base_url)) as talk:
            said = _Said(talk, name, as_json, given)
            waiting = name is not None and said.waits()
            if prompt is None and sys.stdin.isatty():
                said.converse(waiting)
                return
            text = "\n\n".join(filter(None, (prompt, None if sys.stdin.isatty() else _piped(prompt))))
            if not text and not waiting:
                raise errors.UsageError(reason="there is nothing to ask; give a prompt")
            said.ask(text)


def _tell_waits() -> None:
    """Say on stderr when a provider is asked again, since that takes its time."""
    import logging

    from sessionstore.adapters.base import AGAIN

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(record.getMessage())

    logging.getLogger(AGAIN).addHandler(Tell())


class _Said:
    """What one run of the command says."""

    def __init__(self, talk: Chat, name: str | None, as_json: bool, given: dict[str, Any]) -> None:
        self._talk, self._name, self._json, self._given = talk, name, as_json, given
        self._parts = [_part(path) for path in given["files"]]
        self._options = {name: given[name] for name in ("max_tokens", "temperature") if given[name] is not None}
        if (much := given["reasoning"]) is not None:
            self._options["reasoning"] = int(much) if much.isdigit() else much
        if given["system"]:
            self._options["system"] = given["system"]

    def waits(self) -> bool:
        """Whether the session has a turn without an answer."""
        from sessionstore.chat import thread

        session = thread.find(self._talk.sessions, self._name)
        return session is not None and thread.unanswered(session.history()) is not None

    def ask(self, text: str) -> None:
        """One question and its answer."""
        said = [{"type": "text", "content": text}] if text else []
        parts, self._parts = [*self._parts, *said], []
        messages = [{"role": "user", "parts": parts}] if parts else []
        model, consent = self._given["model"], self._given["yes"]
        call = self._talk.ask if self._given["no_stream"] or self._json else self._talk.stream
        answer: Any = call(messages, model, self._name, consent=consent, **self._options)
        self._options.pop("system", None)
        if call == self._talk.stream:
            answer = _show(answer)
        elif self._json:
            print_json(_told(answer))
        else:
            click.echo(safe(answer.text))
        self._name = answer.session.key
        for line in answer.notes:
            note(line)
        for call_ in answer.tool_calls:
            note(f"the model wants to use the tool {safe(call_['name'])}, which the command line does not run")

    def converse(self, waiting: bool) -> None:
        """Question and answer until an empty line."""
        if waiting:
            self.ask("")
        for text in _lines():
            try:
                self.ask(text)
            except (errors.ProviderError, errors.NoConsent) as error:
                note(str(error))
        if self._name:
            note(f"kept as {self._name}; `sessionstore chat --session {self._name}` goes on")


def _lines() -> Iterator[str]:
    while True:
        try:
            text = input("> ")
        except EOFError:
            click.echo()
            return
        if not text.strip():
            return
        yield text


def _show(stream: Streaming) -> Answer:
    """Print an answer while it comes."""
    written = False
    try:
        for piece in stream:
            if piece.kind == "text":
                click.echo(safe(piece.text), nl=False)
                sys.stdout.flush()
                written = True
    except KeyboardInterrupt:
        stream.close()
        raise
    finally:
        if written:
            click.echo()
    return stream.answer


def _told(answer: Answer) -> dict[str, Any]:
    return {
        "session": answer.session.key,
        "text": answer.text,
        "finish": answer.finish,
        "message": answer.message,
        "notes": answer.notes,
    }


def _piped(prompt: str | None) -> str:
    """What is piped in. With a prompt nothing has to be."""
    if prompt is not None and not _has_input():
        return ""
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip()


def _has_input() -> bool:
    import select
    import stat

    mode = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISREG(mode):
        return True
    return bool(select.select([sys.stdin], [], [], 0)[0]) if stat.S_ISFIFO(mode) else False


def _part(path: Path) -> dict[str, Any]:
    """A file as a part of a message: text as text, anything else as bytes."""
    from sessionstore.chat.incoming import attached

    try:
        if path.stat().st_size > LARGEST:
            raise errors.UsageError(reason=f"{path} is larger than {LARGEST // 1_000_000} MB, which no provider takes")
        data = path.read_bytes()
    except OSError as error:
        raise errors.ReadFailed(path=path, reason=error.strerror or "cannot be read") from error
    mime = mimetypes.guess_type(path.name)[0] or ""
    if not mime or mime.startswith(_TEXT):
        try:
            return {"type": "text", "content": f"{path.name}:\n\n```\n{data.decode('utf-8')}\n```"}
        except UnicodeDecodeError:
            mime = mime or "application/octet-stream"
    return attached(data, mime, path.name)

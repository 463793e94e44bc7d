"""Commands for finding out what is wrong: the state and the history of a session, a dump, a dry run, a provider."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessionstore import errors
from sessionstore.cli.app import App, json_option, note, print_json, store_option
from sessionstore.cli.completion import session_names
from sessionstore.cli.output import number, safe, size, table, when

if TYPE_CHECKING:
    from sessionstore.adapters.base import Adapter
    from sessionstore.manager import SessionManager

Json = dict[str, Any]
EPILOG = "\b\nExample:\n  sessionstore debug {}"


@click.group("debug", epilog=EPILOG.format("session @last"), short_help="Find out what is wrong.")
@store_option
def debug_command() -> None:
    """Find out what is wrong.

    What happens while a command runs is told by `sessionstore --trace DEBUG COMMAND` or SESSIONSTORE_TRACE=DEBUG.
    """


def _below(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a command of the group; its first argument is the `App`."""

    def declare(function: Callable[..., Any]) -> click.Command:
        decorated = json_option(store_option(click.pass_obj(function)))
        made: click.Command = debug_command.command(name, epilog=EPILOG.format(example))(decorated)
        return made

    return declare


@contextmanager
def _looking(app: App, name: str) -> Iterator[tuple[SessionManager, str]]:
    """The sessions of the store, and the key that is meant; also of a session that was purged or is damaged."""
    from sessionstore import notes
    from sessionstore.cli.names import find_key
    from sessionstore.manager import SessionManager

    with SessionManager(app.store(), index=False) as manager:
        for key in (name, f"native:{name}"):
            if notes.is_purged(manager.store, key):
                yield manager, key
                return
        yield manager, find_key(manager.store, name)


@_below("session", "session @last")
@click.argument("name", shell_complete=session_names)
def session_command(app: App, name: str, as_json: bool) -> None:
    """Show the state of a session: heads, models, what waits, sizes, files, index."""
    from sessionstore.manager import inspection

    with _looking(app, name) as (manager, key):
        state = inspection.state(manager, key)
    if as_json:
        print_json(state)
        return
    for label, value in _described(state):
        if value:
            click.echo(f"{label:14} {safe(value)}")


def _described(state: Json) -> Iterator[tuple[str, str]]:
    """The lines of a state: (label, text); an empty text is left out."""
    yield "session", state["key"]
    yield "state", state["state"]
    if tombstone := state["notes"].get("tombstone"):
        yield "tombstone", f"purged {when(tombstone['time'])} {tombstone.get('reason') or ''}".rstrip()
    if state["state"] == "purged":
        return
    roles = ", ".join(f"{number(count)} {role}" for role, count in sorted(state["counts"].get("by_role", {}).items()))
    yield "title", state["title"] or ""
    yield "damage", state.get("damage", "")
    yield "times", f"{when(state['created_at'])} to {when(state['updated_at'])}"
    yield "messages", f"{number(state['counts']['messages'])} ({roles}); {number(state.get('path', 0))} on the path"
    for head in state["heads"]:
        yield "head", f"{head['revision'][:12]}  {number(head['messages'])} messages  {when(head['updated_at'])}"
    yield "history", f"{number(state['history'])} older revisions" if state["history"] else ""
    yield "model", f"{state.get('model') or '-'} ({state.get('provider') or 'no provider'})"
    yield "models", ", ".join(state["models"])
    for switch in state.get("switches", ()):
        yield "switch", f"{when(switch.get('time'))}  {switch.get('from')} -> {switch.get('to')}"
    if waiting := state.get("pending"):
        calls = f", calls {', '.join(waiting['calls'])}" if waiting["calls"] else ""
        yield "waits", f"{waiting['role']} message {waiting['message']} has no answer{calls}"
    yield "dangling", ", ".join(state.get("dangling_calls", ()))
    unfinished = state.get("unfinished_answers")
    yield "unfinished", f"{unfinished} answers were cut off" if unfinished else ""
    yield from _stored(state)


def _stored(state: Json) -> Iterator[tuple[str, str]]:
    sizes, kept, index = state["sizes"], state["persistence"], state["index"]
    kinds = [
        f"{number(sizes[kind]['count'])} {kind} ({size(sizes[kind]['stored'])})"
        for kind in ("pages", "values", "chunks")
        if sizes[kind]["count"]
    ]
    revision = f"revision {size(sizes['revision_bytes'])} with {number(sizes['inline_messages'])} messages inside"
    yield "stored", "; ".join([revision, *kinds])
    yield "complete", "yes" if kept["complete"] else f"NO, missing: {', '.join(kept['missing'])}"
    yield "left behind", f"{kept['left_behind']} files of killed writers in tmp/" if kept["left_behind"] else ""
    known = "has it as it is" if index["current"] else index.get("problem") or "is behind; the next search catches up"
    yield "index", known if index["exists"] else "not made yet"
    yield "lost before", f"{number(len(state['issues']))} issues" if state["issues"] else ""
    for path in (*state["files"]["revisions"], *state["files"]["notes"]):
        yield "file", path


@_below("history", "history @last")
@click.argument("name", shell_complete=session_names)
def history_command(app: App, name: str, as_json: bool) -> None:
    """Show what became of a session: revisions, edits, deletions, migrations."""
    from sessionstore.manager import inspection

    with _looking(app, name) as (manager, key):
        found = inspection.history(manager.store, key)
    if as_json:
        print_json(found)
        return
    rows = [_row(one) for one in found["revisions"]]
    table(rows, ("revision", "", "messages", "last message", "what changed"), right=(2,))
    for batch in found["batches"]:
        click.echo(f"batch {batch['batch']}  {batch['state']}  {when(batch['time'])}  {safe(str(batch['path']))}")
    if found["tombstone"]:
        click.echo(safe(f"purged {when(found['tombstone']['time'])} {found['tombstone'].get('reason') or ''}".rstrip()))


def _row(one: Json) -> tuple[str, ...]:
    head = "head" if one["head"] else ""
    return one["revision"][:12], head, number(one["messages"]), when(one["updated_at"]), _what(one)


def _what(one: Json) -> str:
    told = [f"{number(one['added'])} added"] if one["added"] else []
    told += [_named(word, one[word]) for word in ("edited", "deleted") if one[word]]
    if one["fields"] and one["parents"]:
        told.append(f"fields {', '.join(one['fields'])}")
    return "; ".join([*told, *([one["damage"]] if one.get("damage") else [])]) or "-"


def _named(word: str, names: list[str]) -> str:
    return f"{word} {', '.join(map(safe, names[:5]))}{', …' if len(names) > 5 else ''}"


@_below("dump", "dump @last --redact-content -o report.json")
@click.argument("name", shell_complete=session_names)
@click.option("--output", "-o", metavar="FILE", type=click.Path(path_type=Path), help="A file, else stdout.")
@click.option("--redact-content", "redact", is_flag=True, help="Leave out what was said, titles and paths.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def dump_command(app: App, name: str, output: Path | None, redact: bool, force: bool, as_json: bool) -> None:
    """Write all that is known of a session as one JSON document, for a report."""
    import orjson

    from sessionstore.manager import inspection

    with _looking(app, name) as (manager, key):
        dumped = inspection.dump(manager, key, redact=redact)
    data = orjson.dumps(dumped, option=orjson.OPT_INDENT_2)
    if output is None:
        click.echo(data.decode())
        return
    if output.exists() and not force:
        raise errors.UsageError(reason=f"{output} is there already; choose another name or give --force")
    try:
        with open(output, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data + b"\n")
    except OSError as error:
        raise errors.WriteFailed(path=output, reason=error.strerror or "cannot be written") from None
    told: Json = {"file": str(output), "bytes": len(data) + 1, "redacted": redact}
    if as_json:
        print_json(told)
    else:
        said = "nothing of what was said is in it" if redact else "it holds the whole conversation"
        click.echo(f"{safe(str(output))}: {size(told['bytes'])}; {said}")


@_below("simulate", "simulate --model simulated/429,tool,echo 'Hello'")
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option("--model", "-m", default="simulated", show_default=True, help="What happens: simulated/429,cut,echo, …")
@click.option("--level", default="DEBUG", show_default=True, help="How much of it is told: TRACE, DEBUG, INFO, …")
@click.option("--no-stream", is_flag=True, help="Take the answers whole.")
def simulate_command(
    app: App, prompts: tuple[str, ...], model: str, level: str, no_stream: bool, as_json: bool
) -> None:
    """Rehearse a conversation without a network and without a trace in the store.

    The steps of the model's name are taken one by one: echo, tool, cut, malformed, slow, long and statuses such as 429
    or 500. What happens inside is told on stderr, the figures on stdout. `sessionstore chat --model simulated` talks
    with the same model and keeps what is said.
    """
    import tempfile

    from sessionstore import tracing

    if not model.startswith("simulated"):
        raise errors.UsageError(reason=f"{model} is a real model; take simulated or simulated/STEP,STEP")
    with tempfile.TemporaryDirectory(prefix="sessionstore-simulate-") as place:
        with tracing.configure(level, console=not as_json or sys.stderr.isatty()) as trace:
            turns = _rehearsed(f"{place}/store", prompts or ("Hello",), model, stream=not no_stream)
        told: Json = {"turns": turns, "summary": trace.summary()}
    if as_json:
        print_json(told)
        return
    for turn in turns:
        click.echo(f"{safe(turn['asked'])} -> {safe(turn.get('answer') or turn.get('error') or '')}")
    _show_figures(told["summary"])


TOOL = {
    "name": "now",
    "description": "What time it is.",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
}


def _rehearsed(place: str, prompts: tuple[str, ...], model: str, *, stream: bool) -> list[Json]:
    from sessionstore.chat import Chat
    from sessionstore.manager import SessionManager

    told: list[Json] = []
    with SessionManager(place) as sessions, Chat(sessions) as talk:
        for prompt in prompts:
            call = talk.stream if stream else talk.ask
            try:
                answer: Any = call(prompt, model, "rehearsal", tools=[TOOL], toolbox={"now": lambda zone: "12:00"})
                answer = answer.answer if stream else answer
                told.append({"asked": prompt, "answer": answer.text, "finish": answer.finish})
            except errors.ProviderError as error:
                told.append({"asked": prompt, "error": f"{type(error).__name__}: {error}"})
    return told


def _show_figures(summary: Json) -> None:
    rows = []
    for name, one in summary["operations"].items():
        times = (f"{one[f'{part}_ms']:.1f}" for part in ("total", "p50", "p95"))
        rows.append((name, number(one["count"]), number(one["errors"]), *times))
    click.echo()
    table(rows, ("operation", "times", "failed", "total ms", "p50 ms", "p95 ms"), right=(1, 2, 3, 4, 5))


@_below("provider", "provider openai")
@click.argument("name")
@click.option("--send", is_flag=True, help="Ask one tiny question; it may cost a fraction of a cent.")
@click.option("--model", "-m", metavar="MODEL", help="The model to ask with --send.")
@click.option("--base-url", metavar="URL", help="Ask this server instead of the provider's own.")
def provider_command(app: App, name: str, send: bool, model: str | None, base_url: str | None, as_json: bool) -> None:
    """Check that a provider can be used: its library, its key, its address.

    NAME is a provider (openai, openai-responses, anthropic, gemini, kimi, claude-code, simulated) or a model. Without
    --send nothing is sent. Keys are never printed.
    """
    from sessionstore import adapters
    from sessionstore.adapters.environment import settings_from

    try:
        kind, named = adapters.named(name), None
    except errors.UnknownModel:
        kind, named = adapters.find(name)
    settings = settings_from(os.environ, kind, base_url, timeout=30)
    adapter = kind(settings)
    checks = list(_checked(adapter, bool(base_url)))
    if send and all(one["ok"] for one in checks):
        checks.append(_asked(adapter, model or named or CHEAP.get(kind.name)))
    told = {"provider": kind.name, "ok": all(one["ok"] for one in checks), "sent": send, "checks": checks}
    if as_json:
        print_json(told)
    else:
        for one in checks:
            click.echo(f"{'ok ' if one['ok'] else 'NO '} {one['what']:9} {safe(one['told'])}")
    if not told["ok"]:
        note(f"{kind.title} cannot be used like this")
        raise click.exceptions.Exit(1)


CHEAP = {
    "openai": "gpt-5-nano",
    "openai-responses": "gpt-5-nano",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash-lite",
    "kimi": "kimi-k2-0711-preview",
    "simulated": "",
    "claude-code": "",
}
"""A cheap model of each provider, for one tiny question."""


def _checked(adapter: Adapter, given: bool) -> Iterator[Json]:
    """{"what", "ok", "told"} for the library, the key and the address; nothing is sent."""
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    if adapter.library:
        try:
            yield {"what": "library", "ok": True, "told": f"{adapter.library} {version(adapter.library)}"}
        except PackageNotFoundError:
            advice = f"pip install 'sessionstore[{adapter.extra}]'"
            yield {"what": "library", "ok": False, "told": f"{adapter.library} is not installed; {advice}"}
    if adapter.name == "claude-code":
        found = shutil.which(adapter.settings.command)
        yield {"what": "program", "ok": bool(found), "told": found or f"there is no program {adapter.settings.command}"}
    if adapter.keys:
        names = [name for name in adapter.keys if os.environ.get(name)]
        own = bool(adapter.settings.base_url)
        told = f"{names[0]} is set" if names else f"none of {', '.join(adapter.keys)} is set"
        told += "; a server of one's own may do without" if own and not names else ""
        yield {"what": "key", "ok": bool(names) or own, "told": told}
    if adapter.url:
        where = next((name for name in adapter.url_names if os.environ.get(name)), None)
        place = adapter.place()
        source = "--base-url" if given else where or "the provider's own"
        told = f"{place.get('address')}:{place.get('port')} ({source})" if place else "it is no address"
        yield {"what": "address", "ok": bool(place), "told": told}


def _asked(adapter: Adapter, model: str | None) -> Json:
    """Whether one tiny question is answered."""
    import time

    from sessionstore.adapters.base import Ask

    said = [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": "Say ok."}]}]
    began = time.monotonic()
    try:
        message = adapter.answer(Ask(model or "", said, max_tokens=16 if adapter.library else None))
    except errors.SessionstoreError as error:
        return {"what": "answer", "ok": False, "told": f"{type(error).__name__}: {error}"}
    finally:
        adapter.close()
    spent = round(1000 * (time.monotonic() - began))
    usage = message.get("usage") or {}
    tokens = f"{usage.get('input_tokens', 0)} tokens in, {usage.get('output_tokens', 0)} out"
    return {"what": "answer", "ok": True, "told": f"{message.get('model') or model} answered in {spent} ms; {tokens}"}

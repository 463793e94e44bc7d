"""Every command is there, documented, and quick to start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sessionstore.cli.app import COMMANDS, cli
from tests.cli.running import ROOT, Program, ok

DOCUMENTED = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
HEAVY = ("pydantic", "sqlite_utils", "zstandard", "sqlite3", "importlib.metadata")
PLANNED = {"init", "sources", "migrate", "batches", "rollback", "original", "search", "list", "show", "log", "export"}
PLANNED |= {"restore", "stats", "sql", "index", "watch", "verify", "gc", "compact", "purge", "note", "views", "doctor"}
PLANNED |= {"branch", "merge", "edit", "switch-model", "chat", "mcp", "browse", "secrets", "dual", "debug"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """(name, command) of all commands and subcommands."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", found) for below, found in command.commands.items())


ALL = dict(commands())
each_command = pytest.mark.parametrize("name", ALL)


def test_the_commands_are_those_that_were_meant() -> None:
    assert set(COMMANDS) == PLANNED
    below = {"index": {"status", "sync", "rebuild"}, "dual": {"status", "forward", "back"}}
    below["debug"] = {"session", "history", "dump", "simulate", "provider"}
    expected = {f"{group} {name}" for group, names in below.items() for name in names}
    assert {name for name in ALL if " " in name} == expected


@each_command
def test_every_command_has_help_and_an_example_that_uses_it(name: str) -> None:
    command = ALL[name]
    assert command.help
    assert command.help.splitlines()[0].endswith(".")
    epilog = command.epilog or ""
    example = epilog[epilog.index("Example:") :].splitlines()[1].strip()
    assert re.search(rf"^sessionstore .*\b{name.partition(' ')[0]}\b", example)
    assert understood(example)


@each_command
def test_every_option_says_what_it_is_for(name: str) -> None:
    options = [param for param in ALL[name].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert "store" in [option.name for option in options]


@each_command
def test_every_command_has_a_place_in_the_documents(name: str) -> None:
    assert re.search(rf"^##+ sessionstore {name}$", DOCUMENTED, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_table_is_the_first_line_of_the_help(name: str) -> None:
    assert COMMANDS[name][1] == (ALL[name].help or "").splitlines()[0]


READING = {
    "sql",
    "sources",
    "migrate",
    "batches",
    "rollback",
    "search",
    "list",
    "show",
    "log",
    "stats",
    "verify",
    "doctor",
    "secrets",
}


@pytest.mark.parametrize(
    "name",
    sorted(
        READING
        | {"branch", "merge", "edit", "switch-model", "export", "gc", "compact", "purge", "note", "views", "init"}
    ),
)
def test_whatever_tells_something_tells_it_to_programs_too(name: str) -> None:
    assert "as_json" in [param.name for param in ALL[name].params]


def understood(line: str) -> bool:
    """Whether the program takes the options and arguments of a command line as it is written in a document."""
    words = shlex.split(line.partition(" | ")[0], comments=True)[1:]
    for mark in (">", "||"):
        words = words[: words.index(mark)] if mark in words else words
    if words[0] in ("--store", "--trace", "--version"):
        words = words[2:]
    context, command = click.Context(cli, info_name="sessionstore"), click.Command("sessionstore")
    found: click.Command | None = cli
    while words and isinstance(found, click.Group):
        found = found.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    return command.make_context(command.name, words, parent=context).command is command


def written_lines() -> Iterator[tuple[str, str]]:
    """(document, command line) of every example in the guides."""
    for path in sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"(?:\$ |[\d*]+ \* \* \* \*  )?(sessionstore .+)", line):
                yield path.name, found[1]


LINES = [pytest.param(line, id=f"{name}-{n}") for n, (name, line) in enumerate(written_lines())]


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_in_the_documents_is_one_the_program_understands(line: str) -> None:
    assert understood(line)


def test_help_and_completion_load_nothing_heavy(program: Program) -> None:
    program.env["PYTHONPROFILEIMPORTTIME"] = "1"
    imported = {line.rpartition("|")[2].strip() for line in ok(program("--help")).err.splitlines()}
    assert "sessionstore.cli.app" in imported
    assert imported.isdisjoint(HEAVY)
    program.env["_SESSIONSTORE_COMPLETE"] = "bash_complete"
    program.env |= {"COMP_WORDS": "sessionstore mig", "COMP_CWORD": "1"}
    completed = ok(program())
    assert completed.out.split() == ["plain,migrate"]
    assert {line.rpartition("|")[2].strip() for line in completed.err.splitlines()}.isdisjoint(HEAVY)


def test_the_version_is_the_packages(program: Program) -> None:
    from sessionstore import __version__

    assert ok(program("--version")).out == f"sessionstore, version {__version__}\n"


def test_the_store_option_may_stand_before_or_after_the_command(shared: Program, program: Program) -> None:
    expected = ok(shared("list", "--json")).json
    assert len(expected) == 25
    assert shared.store is not None
    assert ok(program("--store", shared.store, "list", "--json")).json == expected
    assert ok(program("list", "--json", "--store", shared.store)).json == expected
    assert ok(program("index", "--store", shared.store, "status", "--json")).json["sessions"] == 25


def test_the_option_counts_more_than_the_environment_and_that_more_than_the_nearest_store(
    program: Program, tmp_path: Path
) -> None:
    nearest = program.cwd / ".llm_sessions"
    other = tmp_path / "other"
    for place in (nearest, other):
        ok(program("init", place))
    assert ok(program("--store", other, "init", "--json")).json["path"] == str(other)
    made = ok(program("init", "--json")).json
    assert made["path"] == str(program.store)
    assert made["created"] is True
    program.store = None
    assert ok(program("init", "--json")).json == {**ok(program("init", nearest, "--json")).json, "created": False}
    assert ok(program("init", "--json")).json["path"] == str(nearest)


def test_a_program_finds_the_store_of_the_project_it_is_started_in(program: Program) -> None:
    program.store = None
    store = program.cwd / ".llm_sessions"
    ok(program("init", store))
    program.cwd = program.cwd / "deep" / "inside"
    program.cwd.mkdir(parents=True)
    assert ok(program("init", "--json")).json["path"] == str(store)


def test_a_legacy_directory_of_that_name_is_no_store(program: Program) -> None:
    program.store = None
    (program.cwd / ".llm_sessions" / "sessions").mkdir(parents=True)
    program.env["XDG_DATA_HOME"] = str(program.home / "data")
    made = ok(program("init", "--json")).json
    assert Path(made["path"]).parts[: len(program.home.parts)] == program.home.parts
    assert ".llm_sessions" not in made["path"]
    assert list((program.cwd / ".llm_sessions").iterdir()) == [program.cwd / ".llm_sessions" / "sessions"]


def test_a_store_is_not_made_among_other_files(program: Program, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mum.txt").write_text("Dear Mum")
    refused = program("--store", tmp_path / "letters", "migrate", tmp_path / "letters")
    assert refused.code == 2
    assert "is not empty (mum.txt, …)" in refused.err
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["mum.txt"]

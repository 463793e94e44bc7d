"""What the shell is offered for the name of a session."""

from __future__ import annotations

from pathlib import Path

import click

from sessionstore.cli.app import App
from sessionstore.cli.completion import session_names
from sessionstore.cli.read_commands import show_command
from tests.cli.running import Program, ok


def offered(store: Path, beginning: str) -> list[str]:
    """The names offered for a beginning."""
    app = App()
    app.store_option = str(store)
    context = click.Context(show_command, obj=app)
    return [offer.value for offer in session_names(context, show_command.params[0], beginning)]


def test_native_ids_and_keys_are_offered(shared: Program) -> None:
    assert shared.store is not None
    ok(shared("list"))
    assert offered(shared.store, "5b0c2f") == ["5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"]
    assert offered(shared.store, "codex:5b0c") == ["codex:5b0c2f4e-3f6f-4a86-9b3d-0c7a51d2e901"]
    assert offered(shared.store, "@")[0] == "@last"
    assert offered(shared.store, "nothing") == []


def test_without_a_store_or_an_index_nothing_is_offered_and_nothing_made(tmp_path: Path) -> None:
    assert offered(tmp_path / "none", "5b0c2f") == []
    assert list(tmp_path.iterdir()) == []

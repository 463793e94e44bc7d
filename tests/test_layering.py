"""The arrows between the layers point one way, and a module stays small enough to be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sessionstore"

LAYERS = (
    {"errors", "tracing", "models", "canonical", "fsio", "locks", "flags", "plugins"},
    {"layout", "objects", "pages", "chunks", "references"},
    {"compose", "lineage", "journal"},
    {"store"},
    {"closure", "notes"},
    {"checks", "verify", "gc", "purge", "compact", "views", "doctor", "repair"},
    {"importers", "exporters"},
    {"secrets"},
    {"migrate"},
    {"index"},
    {"archive"},
    {"watch"},
    {"manager"},
    {"dual"},
    {"adapters"},
    {"chat"},
    {"wrappers"},
    {"compat"},
    {"mcp_server"},
    {"web"},
    {"publish"},
    {"cli"},
    {"llm_plugin"},
)
"""From the bottom up. A module may import from its own layer and the ones before it."""

PURE = {"importers": {"importers", "canonical", "errors", "plugins"}, "exporters": {"exporters", "canonical", "errors"}}
PURE["adapters"] = {"adapters", "importers", "exporters", "canonical", "errors", "tracing", "plugins"}
"""Formats know nothing of the store."""

ON_DEMAND = {"compat", "mcp_server", "llm_plugin"}
"""Packages that nothing else imports before they are used."""

EXTRAS = {"mcp", "mcp_types", "llm"}
"""What they need."""

OPERATING_SYSTEM = {"fsync", "rename", "replace", "link", "unlink", "symlink", "rmdir", "mkdir", "truncate"}
"""Calls into `os` that change what is on disk: only `fsio` makes them."""


def modules() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def unit(path: Path) -> str:
    """The layer's name for a module: its first part below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """What a module imports of the package, also inside functions; first parts only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sessionstore"):
            parts = (node.module or "").split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("sessionstore."))


def test_every_module_has_a_layer() -> None:
    known = set().union(*LAYERS) | {"__init__", "__main__"}
    assert {unit(path) for path in modules()} <= known


@pytest.mark.parametrize("path", [p for p in modules() if not unit(p).startswith("__")], ids=lambda p: p.stem)
def test_arrows_point_up_the_list_only(path: Path) -> None:
    for name in set(imported(path)) - {"__version__"}:
        assert layer(name) <= layer(unit(path)), f"{path.name} imports {name}"


@pytest.mark.parametrize("folder", sorted(PURE))
def test_formats_know_nothing_of_the_store(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert set(imported(path)) <= PURE[folder], path.name


def test_only_fsio_changes_what_is_on_disk() -> None:
    for path in modules():
        if path.name == "fsio.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr not in OPERATING_SYSTEM, f"{path.name}:{node.lineno} os.{node.attr}"


def test_only_the_command_line_reads_the_environment() -> None:
    for path in modules():
        if unit(path) in ("cli", "compat"):  # the older modules read it themselves
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr not in ("environ", "getenv"), f"{path.name}:{node.lineno}"


def test_nothing_on_the_way_to_a_search_imports_pydantic_or_sqlite_utils() -> None:
    for path in modules():
        if path.name in ("models.py",) or unit(path) in ON_DEMAND:
            continue
        tree = ast.parse(path.read_text())
        for node in tree.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"pydantic", "sqlite_utils", "watchdog"}, path.name


def test_what_needs_an_extra_is_imported_only_when_it_is_used() -> None:
    for path in modules():
        if unit(path) in ON_DEMAND:
            continue
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.removeprefix("sessionstore.").split(".")[0] for n in names} & {*ON_DEMAND, *EXTRAS}, path.name


def test_the_package_holds_its_own_files_only() -> None:
    """What lies in the package is shipped with it, so a stray file would be too."""
    kinds = {".py", ".typed", ".html", ".css", ".js", ".svg", ".pyc", ".sql"}
    strays = [path for path in PACKAGE.rglob("*") if path.is_file() and (path.suffix or path.name) not in kinds]
    shown = [path.relative_to(PACKAGE) for path in strays]
    assert not [path for path in shown if not any(part.startswith(".") for part in path.parts[:-1])]  # tools' caches


def test_no_module_is_longer_than_a_few_screens() -> None:
    long = {path.name: n for path in modules() if (n := len(path.read_text().splitlines())) > 500}
    assert not long

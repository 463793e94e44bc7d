"""The documents are current, lead somewhere, and their examples do what they say."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.importers.base import Account, Importer, Machine, Source
from sessionstore.importers.parsing import Unparsable
from tests.cli.running import Program, ok

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PROSE = [*DOCS, ROOT / "README.md", ROOT / "CHANGELOG.md"]
EXAMPLE = ROOT / "fixtures" / "example-importer"
MACHINE_PATHS = re.compile(r"(?<![\w~.])(?:/work/|/tmp/|/root/|/mnt/|/home/(?!ada\b|mara\b)|C:\\Users\\(?!Ada))")
UNFINISHED = re.compile(r"(?<!`)\b(TODO|FIXME|XXX|TBD|lorem ipsum)\b(?!`)", re.IGNORECASE)


def prose(path: Path) -> str:
    """A document's text."""
    return path.read_text(encoding="utf-8")


def links(path: Path) -> Iterator[str]:
    """The targets of a document's links, code left out."""
    text = re.sub(r"```.*?```", "", prose(path), flags=re.DOTALL)
    yield from re.findall(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)", text)


def anchors(path: Path) -> set[str]:
    """The names that a document's headings can be reached by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", prose(path), flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", prose(path), re.MULTILINE | re.DOTALL)


each_document = pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)


def test_what_is_generated_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make-docs", "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_not_current_is_noticed_and_written_anew(tmp_path: Path) -> None:
    for part in ("docs", "scripts", "sessionstore", "fixtures", "migrations"):
        kept_out = shutil.ignore_patterns("__pycache__", ".mypy_cache", "format-v1", "*.sqlite")
        shutil.copytree(ROOT / part, tmp_path / part, symlinks=True, ignore=kept_out)
    command = [sys.executable, "-B", str(tmp_path / "scripts" / "make-docs")]
    (tmp_path / "docs" / "formats.md").unlink()
    for name in ("commands.md", "troubleshooting.md"):
        path = tmp_path / "docs" / name
        path.write_text(prose(path).replace("| 7 |", "| 8 |"), encoding="utf-8")
    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, timeout=60)
    assert stale.returncode == 1
    assert stale.stderr.count("is not current: run scripts/make-docs\n") == 3
    assert subprocess.run(command, timeout=60).returncode == 0
    for name in ("commands.md", "formats.md", "troubleshooting.md"):
        assert prose(tmp_path / "docs" / name) == prose(ROOT / "docs" / name)
    assert subprocess.run([*command, "--chekc"], capture_output=True, timeout=60).returncode == 2


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in links(path):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{path.name} links to {target}"
        assert found.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(found), f"{path.name} links to {target}"


def test_the_readme_names_every_document() -> None:
    named = {target.partition("#")[0] for target in links(ROOT / "README.md")}
    assert {f"docs/{path.name}" for path in DOCS} <= named


@each_document
def test_no_document_names_a_place_of_one_machine_or_is_unfinished(path: Path) -> None:
    assert MACHINE_PATHS.findall(prose(path)) == []
    assert UNFINISHED.findall(prose(path)) == []


@each_document
def test_code_is_fenced_and_lines_end_cleanly(path: Path) -> None:
    text = prose(path)
    assert text.count("```") % 2 == 0
    assert text.endswith("\n")
    assert not re.search(r"[ \t]\n", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_every_error_is_explained() -> None:
    explained = prose(ROOT / "docs" / "troubleshooting.md").partition("### What to do")[2]
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.SessionstoreError) and kind.__doc__ != "{reason}":
            assert re.search(rf"\b{name}\b", explained), name


def test_every_outcome_and_state_of_a_migration_is_explained() -> None:
    from sessionstore.migrate import decide

    guide = prose(ROOT / "docs" / "migration.md")
    outcomes = re.findall(r"^(\w+)  +", (decide.__doc__ or ""), re.MULTILINE)
    assert {"new", "same", "extended", "branched"} <= set(outcomes)
    for word in (*outcomes, "done", "partly", "interrupted", "undoing", "rolled-back"):
        assert re.search(rf"^\| [^|]*\b{word}\b", guide, re.MULTILINE), word


def test_every_field_of_the_search_language_is_explained() -> None:
    from sessionstore.index.language import FIELDS
    from sessionstore.index.plan import _HAS

    guide = prose(ROOT / "docs" / "user-guide.md")
    for name in FIELDS:
        assert f"`{name}:" in guide, name
    for name in _HAS:
        assert f"`{name}`" in guide, name


def test_the_example_of_the_library_guide_prints_what_it_says(tmp_path: Path) -> None:
    guide = ROOT / "docs" / "library.md"
    [program, talk], [printed, talked, _] = blocks(guide, "python"), blocks(guide, "text")
    for text, expected in ((program, printed), (talk, talked)):
        script = tmp_path / "example.py"
        script.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stderr, done.stdout) == ("", expected)
    found = Program(tmp_path, tmp_path, tmp_path / "chats")("search", "anybody", "--json")
    assert [hit["key"] for hit in ok(found).json] == ["native:hello"]


# -- the importer of the extending guide -----------------------------------------------------------------------------


@pytest.fixture
def with_importer(tmp_path: Path) -> Program:
    """The program with the example package installed: metadata and module in a directory on the path, as pip does."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, entries)] = project["entry-points"].items()
    lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    shutil.copy(EXAMPLE / "sessionstore_pocketchat.py", metadata.parent)
    cwd = tmp_path / "home"
    cwd.mkdir()
    path = os.pathsep.join([str(ROOT), str(metadata.parent)])
    return Program(cwd, cwd, tmp_path / "store", {"PYTHONPATH": path})


def test_an_importer_of_another_package_works_like_our_own(with_importer: Program) -> None:
    log = with_importer.home / ".pocketchat" / "logs" / "hills.jsonl"
    log.parent.mkdir(parents=True)
    shutil.copy(EXAMPLE / "example.jsonl", log)
    assert [entry["source"] for entry in ok(with_importer("sources", "--json")).json["sources"]] == ["pocketchat"]
    told = ok(with_importer("migrate", "--json")).json
    assert told["records"] == {"mapped": 4, "preserved": 1, "rejected": 0}
    assert told["issues"] == {"sender-missing": 1}
    [hit] = ok(with_importer("search", "dry socks", "--json")).json
    assert (hit["link"], hit["title"], hit["model"]) == ("pocketchat:c-2026-0042#m2", "Packing list", "pocket-1")
    shown = ok(with_importer("show", "c-2026-0042", "--json")).json
    assert shown["x"] == {"client": "phone"}
    assert shown["usage"] == {"input_tokens": 31, "output_tokens": 12}
    assert shown["messages"][3]["x"] == {"edited": True}
    assert ok(with_importer("original", "c-2026-0042")).raw == log.read_bytes()
    with log.open("a", encoding="utf-8") as file:
        file.write('{"from":"bot","text":"A bowl.","at":"2026-05-01T09:01:02Z"}\n')
    assert ok(with_importer("migrate", "--json")).json["outcomes"] == {"extended": 1}
    ok(with_importer("verify", "--deep"))


@pytest.mark.parametrize(
    "broken", ["raise RuntimeError('half installed')", "Pocketchat = 5", "", "class Pocketchat: pass"]
)
def test_a_broken_importer_of_another_package_is_told_and_keeps_nobody_from_working(
    with_importer: Program, broken: str
) -> None:
    site = with_importer.env["PYTHONPATH"].split(os.pathsep)[1]
    Path(site, "sessionstore_pocketchat.py").write_text(broken + "\n")
    legacy = ROOT / "fixtures" / "legacy"
    found = with_importer("migrate", legacy)
    assert found.code == 0
    assert found.err.count("the importer pocketchat of another package cannot be used") == 1


def test_without_the_package_its_format_is_unknown(tmp_path: Path) -> None:
    program = Program(tmp_path, tmp_path, tmp_path / "store")
    assert program("migrate", "--from", "pocketchat", EXAMPLE / "example.jsonl").code == 2


def test_what_the_extending_guide_shows_is_what_the_package_holds() -> None:
    guide = ROOT / "docs" / "extending.md"
    module = (EXAMPLE / "sessionstore_pocketchat.py").read_text(encoding="utf-8")
    [shown] = blocks(guide, "python")
    for line in shown.splitlines():
        wanted = line.partition("  #")[0].strip()
        for name in ("machine: Machine", "head: Head", "source: Source"):
            wanted = wanted.replace(f"(self, {name.partition(':')[0]}):", f"(self, {name})")
        assert wanted in module or wanted == "...", line
    [entry] = blocks(guide, "toml")
    assert entry in (EXAMPLE / "pyproject.toml").read_text()
    log = (EXAMPLE / "example.jsonl").read_text(encoding="utf-8")
    assert all(line in log for line in blocks(guide, "json")[0].splitlines())


def pocketchat() -> Importer:
    """The example's importer."""
    spec = importlib.util.spec_from_file_location("pocketchat", EXAMPLE / "sessionstore_pocketchat.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    importer = module.Pocketchat()
    assert isinstance(importer, Importer)
    return importer


def test_the_example_importer_reads_a_grown_log_as_if_read_at_once() -> None:
    importer, data = pocketchat(), (EXAMPLE / "example.jsonl").read_bytes()
    whole = Source.of(data)
    messages = [message for _, message in importer.read(whole)]
    lines = data.splitlines(keepends=True)
    for cut in range(1, len(lines)):
        first = Source.of(b"".join(lines[:cut]))
        begun = [message for _, message in importer.read(first)]
        state = json.loads(json.dumps(first.resume))
        account = Account(first.account.records, first.account.mapped, first.account.preserved)
        second = Source("", [b"".join(lines[cut:])], account=account, resumed=state)
        assert begun + [message for _, message in importer.read(second)] == messages
        assert second.drafts[0].state() == whole.drafts[0].state()
        assert second.account == whole.account


@pytest.mark.parametrize("value", ["null", "5", "[]", "{}", '"x"', "true", "[1,2]", "1e999", '"\\ud800"'])
def test_the_example_importer_survives_values_of_any_type(value: str) -> None:
    importer, data = pocketchat(), (EXAMPLE / "example.jsonl").read_text(encoding="utf-8")
    for name in ("app", "chat", "topic", "from", "text", "at", "bot", "tokens", "reaction"):
        pieces = re.split(rf'(?<="{name}":)(?:"[^"]*"|\[[^\]]*\])', data)
        source = Source.of(value.join(pieces).encode())
        assert len(pieces) > 1
        try:
            for _, message in importer.read(source):
                assert message["parts"]
        except Unparsable:
            continue
        assert source.account.adds_up
        assert source.account.records == 5


def test_the_example_importer_looks_in_the_home_directory_only() -> None:
    [place] = pocketchat().places(Machine(Path("/home/ada"), Path("/home/ada/src")))
    assert place.root == Path("/home/ada/.pocketchat/logs")

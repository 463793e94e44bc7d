"""The real `llm`, with this plugin found by its entry point as in an installation, and a model that tells what it was
given."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.running import LEGACY, Program, Result, ok

ROOT = Path(__file__).resolve().parents[2]
WITNESS = '''
import json
import llm


@llm.hookimpl
def register_models(register):
    register(Witness("witness", ()))
    register(Witness("seeing", ("image/png",)))


class Witness(llm.Model):
    """Answers with what it was given."""

    can_stream = True

    class Options(llm.Options):
        temperature: float | None = None

    def __init__(self, name, types):
        self.model_id, self.attachment_types = name, set(types)

    def execute(self, prompt, stream, response, conversation=None):
        if prompt.prompt == "fail":
            raise RuntimeError("the model is not at home")
        given = {"messages": [message.to_dict() for message in prompt.messages], "system": prompt.system}
        given["temperature"] = prompt.options.temperature
        yield from ("GIVEN ", json.dumps(given))
'''


@dataclass
class Llm:
    """The program `llm` in a home of its own."""

    home: Path
    plugins: Path
    store: Path

    @property
    def logs(self) -> Path:
        """Its log database."""
        return self.home / "user" / "logs.db"

    def __call__(self, *arguments: str | Path, typed: str = "", **env: str) -> Result:
        """Run one command to its end."""
        known = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        known |= {"HOME": str(self.home), "LLM_USER_PATH": str(self.home / "user"), "PYTHONUTF8": "1"}
        known |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{self.plugins}", "SESSIONSTORE_DIR": str(self.store)}
        done = subprocess.run(
            [sys.executable, "-m", "llm", *map(str, arguments)],
            env=known | {"PYTHONDONTWRITEBYTECODE": "1"} | env,
            cwd=self.home,
            input=typed.encode(),
            capture_output=True,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with the fixtures; only read."""
    place = tmp_path_factory.mktemp("archive")
    (place / "home").mkdir()
    program = Program(place / "home", place / "home", place / "store")
    ok(program("migrate", LEGACY))
    return program


@pytest.fixture
def llm(archive: Program, tmp_path: Path) -> Llm:
    """`llm` with the plugin, whose entry point is the one of the project."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["llm"]
    info = tmp_path / "plugins" / "plugins_under_test-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins-under-test\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in {**entries, "witness": "witness"}.items()]
    (info / "entry_points.txt").write_text("\n".join(["[llm]", *lines, ""]))
    (tmp_path / "plugins" / "witness.py").write_text(WITNESS)
    (tmp_path / "home" / "user").mkdir(parents=True)
    assert archive.store is not None
    return Llm(tmp_path / "home", tmp_path / "plugins", archive.store)

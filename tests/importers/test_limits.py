"""Sources made to exhaust a machine: every importer reads or refuses them in bounded memory and time."""

from __future__ import annotations

import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sessionstore.importers import all_importers
from tests.importers.support import ROOT
from tests.importers.test_contract import JSON, unpacked, with_member

LONG = 50 << 20
MEMORY = 1500 << 20
"""Bytes of address space that reading a 50 MB line may take."""
READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
from sessionstore.importers import all_importers
from sessionstore.importers.base import Source
from sessionstore.importers.parsing import Unparsable
from sessionstore.migrate import reading
importer, path = all_importers()[sys.argv[1]], sys.argv[2]
descriptor, stat = reading.open_file(path)
try:
    importer.recognise(reading.head(descriptor, path, stat))
except Unparsable:
    pass
blocks = reading.blocks(descriptor, path, 0, stat.size)
source = Source(path, blocks, size=stat.size)
try:
    for _ in importer.read(source):
        pass
    assert source.account.adds_up
    print("read", source.account.records, len(source.account.rejected))
except Unparsable as error:
    print("refused", error)
"""


def read(name: str, path: Path) -> str:
    """What becomes of a file in a process of limited memory."""
    done = subprocess.run(
        [sys.executable, "-c", READ.format(memory=MEMORY), name, path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


FEW = ("claude-code", "codex", "chatgpt", "openai-messages")
"""Tried always; the others with --all."""
NAMED = {str(case.values[0]): Path(str(case.values[1])) for case in reversed(JSON)}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else [pytest.mark.slow]) for name in sorted(NAMED)]
)
def test_a_line_of_fifty_megabytes_does_not_eat_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / NAMED[name].name.removesuffix(".zst")
    path.write_bytes(with_member(unpacked(NAMED[name]), b'"zz":"' + b"x" * LONG + b'"'))
    assert read(name, path).startswith(("read", "refused"))


ZIPS = sorted(name for name, one in all_importers().items() if ".zip" in one.suffixes)
CHAT = b'[{"mapping":{"a":"' + b"x" * 9000 + b'"}},'
BOMBS = [(name, b"\0", "zeros", False) for name in ZIPS]
BOMBS += [(name, CHAT, "conversations", name != "chatgpt") for name in ZIPS]


@pytest.mark.parametrize(
    ("name", "filler"),
    [
        pytest.param(name, filler, id=f"{name}-{kind}", marks=[pytest.mark.slow] if slow else [])
        for name, filler, kind, slow in BOMBS
    ],
)
def test_a_zip_bomb_is_refused(name: str, filler: bytes, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    member = "Takeout/My Activity/Gemini Apps/MyActivity.json" if name == "gemini-takeout" else "conversations.json"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        block = filler * ((1 << 20) // len(filler))
        for _ in range(700):
            file.write(block)
    assert read(name, path).startswith("refused")


def test_the_limit_is_one() -> None:
    """The processes above are really held: one that wants more is stopped."""
    script = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); bytes({MEMORY})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert b"MemoryError" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY

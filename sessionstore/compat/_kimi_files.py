"""Files named in a prompt: `{file:PATH}`, `{file:PATH:10-20}` and `{files:PATTERN}` become what is in them.

What is expanded is sent to a provider and kept in the store for good. So only files inside the base directory are read
unless more is allowed, none that usually hold secrets, and never more than the limits below. What is not read is
replaced by a line that says why, as in the older program.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

MOST_BYTES = 1_000_000
"""The largest file that is read."""
MOST_TOGETHER = 4_000_000
"""So many bytes are read for one prompt."""
MOST_FILES = 200
"""So many files may fit a pattern."""
_PLACE = re.compile(r"\{(files?):([^{}]+)\}")
_SECRET_NAMES = re.compile(
    r"\.env(\..*)?|\.netrc|_netrc|\.npmrc|\.pypirc|\.pgpass|\.git-credentials|\.htpasswd|\.?credentials(\..*)?"
    r"|secrets?\.(json|ya?ml|toml|ini|env)|id_(rsa|dsa|ecdsa|ed25519)(_sk)?|.*\.(pem|key|p12|pfx|jks|keystore|kdbx)",
    re.IGNORECASE,
)
_EXAMPLES = re.compile(r"\.env\.(example|sample|template|dist)", re.IGNORECASE)
_SECRET_DIRECTORIES = {".ssh", ".aws", ".gnupg", ".git", ".kube", ".docker", ".azure", ".gcloud"}


def construct_prompt(
    template: str, base_path: str | os.PathLike[str] | None = None, *, allowed: Iterable[str | os.PathLike[str]] = ()
) -> str:
    """A prompt with the files it names in their places. Relative paths start from `base_path` (None: the working
    directory); files outside it, or that look like secrets, are read only when they, or a directory they are in, are
    among the `allowed`."""
    reader = _Reader(Path(base_path) if base_path is not None else Path.cwd(), allowed)

    def put(found: re.Match[str]) -> str:
        return reader.several(found[2]) if found[1] == "files" else reader.one(found[2])

    return _PLACE.sub(put, template)


def along(patterns: Iterable[str], *, allowed: Iterable[str | os.PathLike[str]] = ()) -> str:
    """The files that fit some patterns, one after the other; empty when there are none. The same limits hold."""
    reader = _Reader(Path.cwd(), allowed)
    told = [reader.named(name) for pattern in patterns for name in islice(reader.fitting(pattern), MOST_FILES)]
    return "\n".join(told) + "\n" if told else ""


class _Refused(Exception):
    """Why a file is not read."""


class _Reader:
    """Reads the files of one prompt."""

    def __init__(self, base: Path, allowed: Iterable[str | os.PathLike[str]]) -> None:
        self._base = base
        self._inside = Path(os.path.realpath(base))
        self._allowed = [Path(os.path.realpath(Path(one).expanduser())) for one in allowed]
        self._left = MOST_TOGETHER

    def one(self, wanted: str) -> str:
        """A file, or some of its lines when `wanted` ends like `:10-20`."""
        path, first, last = _lines_of(wanted)
        try:
            text = self._read(self._base / path)
        except _Refused as refused:
            return f"\n=== Error reading {path}: {refused} ===\n"
        if first is None or last is None:
            return f"\n=== {path} ===\n{text}\n=== end {path} ===\n"
        lines = text.splitlines(keepends=True)
        start, end = max(0, first - 1), min(len(lines), last)
        shown = "".join(lines[start:end])
        return f"\n=== {path} (lines {start + 1}-{end}) ===\n{shown}\n=== end {path} ===\n"

    def several(self, pattern: str) -> str:
        """All files that fit a pattern."""
        found = sorted(islice(self.fitting(pattern), MOST_FILES + 1))
        if not found:
            return f"\n=== No files matched pattern: {pattern} ===\n"
        told = []
        for name in found[:MOST_FILES]:
            try:
                told.append(f"\n=== {name} ===\n{self._read(self._base / name)}")
            except _Refused as refused:
                told.append(f"\n=== Error reading {name}: {refused} ===")
        if len(found) > MOST_FILES:
            told.append(f"\n=== More than {MOST_FILES} files match {pattern}; the others are left out ===")
        return "\n".join(told) + "\n"

    def named(self, name: str) -> str:
        """A file under its name."""
        try:
            return f"=== {name} ===\n{self._read(self._base / name)}\n"
        except _Refused as refused:
            return f"=== {name} ===\nError reading: {refused}\n"

    def fitting(self, pattern: str) -> Iterator[str]:
        """The files that fit a pattern. What is elsewhere is not even named."""
        for name in glob.iglob(pattern, root_dir=self._base, recursive=True):
            path = self._base / name
            if not path.is_dir() and self._is_near(Path(os.path.realpath(path))):
                yield name

    def _read(self, path: Path) -> str:
        """The text of a file. Raises `_Refused`."""
        real = Path(os.path.realpath(path))
        self._check(path, real)
        try:
            with open(real, "rb", opener=_opened) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise _Refused("it is no regular file")
                most = min(MOST_BYTES, self._left)
                data = file.read(most + 1)
        except OSError as error:
            raise _Refused((error.strerror or "it cannot be read").lower()) from None
        if len(data) > most:
            limit = MOST_BYTES if most == MOST_BYTES else MOST_TOGETHER
            what = "it is larger" if most == MOST_BYTES else "the files of one prompt are larger together"
            raise _Refused(f"{what} than {limit} bytes; name some of its lines or send less")
        self._left -= len(data)
        try:
            return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            raise _Refused("it is no UTF-8 text") from None

    def _is_allowed(self, real: Path) -> bool:
        return any(real == one or one in real.parents for one in self._allowed)

    def _is_near(self, real: Path) -> bool:
        return self._inside in real.parents or self._is_allowed(real)

    def _check(self, path: Path, real: Path) -> None:
        if self._is_allowed(real):
            return
        if not self._is_near(real):
            raise _Refused("it is outside the working directory; see FILES_ALLOWED")
        inside = real.relative_to(self._inside)
        if any(_is_secret(name) for name in (path.name, real.name)) or _SECRET_DIRECTORIES & set(inside.parts[:-1]):
            raise _Refused("it usually holds secrets, and prompts are kept; see FILES_ALLOWED")


def _opened(path: str, flags: int) -> int:
    careful = ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC")
    return os.open(path, flags | sum(getattr(os, name, 0) for name in careful))


def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.fullmatch(name) is not None and _EXAMPLES.fullmatch(name) is None


def _lines_of(wanted: str) -> tuple[str, int | None, int | None]:
    """A path, and the first and last line (1-based, inclusive) when it names some."""
    found = re.fullmatch(r"(.+):\s*(\d{1,9})\s*-\s*(\d{1,9})\s*", wanted, re.DOTALL)
    return (found[1], int(found[2]), int(found[3])) if found else (wanted, None, None)

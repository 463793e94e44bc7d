"""The switches of the older programs, read from a mapping of environment variables. What each does is in
`docs/dual-write.md`.

A switch is on when its value is 1, true or yes, in any case of letters; a number that is none counts as not given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sessionstore import errors

FORMATS = {"kimi": ".kimi_sessions", "llm-sessions": ".llm_sessions"}
"""The formats that older programs keep sessions in, each with the directory they use in the working directory."""
PLACES = "SESSIONSTORE_LEGACY_FILES"
"""The variable that says which legacy files are written: FORMAT or FORMAT=DIR, several with commas between them."""
COMPRESSION_THRESHOLD, CACHE_SIZE, BATCH_SIZE = 10240, 50, 50
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Place(NamedTuple):
    """Legacy files: their format, a name in `FORMATS`, and the directory that the older program keeps them in."""

    format: str
    directory: str


@dataclass(frozen=True, slots=True)
class Flags:
    """What the switches say."""

    unified: bool = False
    """LLM_UNIFIED, unless LLM_LEGACY is on"""
    unified_off: bool = False
    """LLM_UNIFIED is given and not on"""
    legacy: bool = False
    """LLM_LEGACY"""
    dual_write: bool = False
    """LLM_DUAL_WRITE"""
    compress: bool = False
    """LLM_SESSION_COMPRESS"""
    compression_threshold: int = COMPRESSION_THRESHOLD
    """LLM_COMPRESSION_THRESHOLD, in characters"""
    cache_size: int = CACHE_SIZE
    """LLM_SESSION_CACHE_SIZE, in sessions"""
    index: bool = False
    """LLM_SESSION_INDEX"""
    index_off: bool = False
    """LLM_SESSION_INDEX is given and not on"""
    batch_size: int = BATCH_SIZE
    """LLM_MIGRATION_BATCH_SIZE, in files"""
    log_level: str = "INFO"
    """LLM_LOG_LEVEL"""
    log_format: str = "json"
    """LLM_LOG_FORMAT: "json" or "text" """
    places: tuple[Place, ...] = ()
    """SESSIONSTORE_LEGACY_FILES"""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Flags:
        """What the variables say. Raises `UsageError` for legacy files of an unknown format."""
        legacy = on(environment.get("LLM_LEGACY"))
        level = environment.get("LLM_LOG_LEVEL", "").strip().upper()
        return cls(
            unified=not legacy and on(environment.get("LLM_UNIFIED")),
            unified_off=_off(environment.get("LLM_UNIFIED")),
            legacy=legacy,
            dual_write=on(environment.get("LLM_DUAL_WRITE")),
            compress=on(environment.get("LLM_SESSION_COMPRESS")),
            compression_threshold=_number(environment.get("LLM_COMPRESSION_THRESHOLD"), COMPRESSION_THRESHOLD, 0),
            cache_size=_number(environment.get("LLM_SESSION_CACHE_SIZE"), CACHE_SIZE, 1),
            index=on(environment.get("LLM_SESSION_INDEX")),
            index_off=_off(environment.get("LLM_SESSION_INDEX")),
            batch_size=_number(environment.get("LLM_MIGRATION_BATCH_SIZE"), BATCH_SIZE, 1),
            log_level=level if level in LEVELS else "INFO",
            log_format="text" if environment.get("LLM_LOG_FORMAT", "").strip().lower() == "text" else "json",
            places=tuple(places(environment.get(PLACES, ""))),
        )

    @property
    def files_lead(self) -> bool:
        """Whether callers are to see what the legacy files say: LLM_LEGACY is on, or LLM_UNIFIED is given and off."""
        return self.legacy or (self.unified_off and not self.unified)

    @property
    def files_written(self) -> bool:
        """Whether every turn is to be in the legacy files too."""
        return self.files_lead or self.dual_write

    def where(self, cwd: str | os.PathLike[str]) -> tuple[Place, ...]:
        """The legacy files, by absolute directory: those that were named, else those of `kimi` in `cwd`."""
        named = self.places or (Place("kimi", FORMATS["kimi"]),)
        return tuple(Place(one.format, os.path.abspath(Path(cwd, Path(one.directory).expanduser()))) for one in named)


def on(value: str | None) -> bool:
    """Whether a switch is on."""
    return (value or "").strip().lower() in ("1", "true", "yes")


def _off(value: str | None) -> bool:
    return bool((value or "").strip()) and not on(value)


def _number(value: str | None, usual: int, least: int) -> int:
    try:
        found = int((value or "").strip())
    except ValueError:
        return usual
    return found if found >= least else usual


def places(text: str) -> Iterable[Place]:
    """The legacy files that a text names: FORMAT or FORMAT=DIR, with commas between them. Raises `UsageError`."""
    for one in filter(None, map(str.strip, text.split(","))):
        name, _, directory = one.partition("=")
        if name not in FORMATS:
            raise errors.UsageError(reason=f"legacy files of the format {name!r} are not known; {' or '.join(FORMATS)}")
        yield Place(name, directory or FORMATS[name])

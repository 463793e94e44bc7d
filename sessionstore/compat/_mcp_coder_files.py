"""The files of mcp_coder: stored responses, and how they are found again.

Each function keeps the turn in the store first, durable, and then writes the file, whole or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PureWindowsPath
from typing import Any

from sessionstore import fsio
from sessionstore.compat import _mcp_coder_store as kept
from sessionstore.compat._home import home
from sessionstore.compat._mcp_coder_json import encoded, from_json_string, plain, to_json_string
from sessionstore.compat._mcp_coder_types import LLMResponseDict
from sessionstore.importers.mcp_coder_turn import session_ids
from sessionstore.manager.core import SessionManager

logger = logging.getLogger("sessionstore.compat.mcp_coder")
RESPONSES = ".mcp-coder/responses"
_STORED = re.compile(r"response_(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})\.json", re.ASCII)
_NO_NAME = re.compile(r"[/\\\x00-\x1f]")


def here() -> SessionManager:
    """The manager of the store in which all turns are kept. What lies in the working directory is imported first."""
    manager = kept.manager_of(home())
    kept.first_use(manager, [".mcp-coder"], kept.TURN)
    return manager


def serialize_llm_response(response: LLMResponseDict, filepath: Path | str) -> None:
    """Write a response to a file, which is made or overwritten, and keep it in the store."""
    path = Path(filepath)
    data = encoded(to_json_string(response))
    _keep(here(), data, str(path))
    kept.write_file(path, data)


def deserialize_llm_response(filepath: Path | str) -> LLMResponseDict:
    """The response in a file. Raises `FileNotFoundError`, and as `from_json_string` does."""
    return from_json_string(Path(filepath).read_text(encoding="utf-8"))


def store_session(
    response_data: LLMResponseDict,
    prompt: str,
    store_path: str | None = None,
    step_name: str | None = None,
    branch_name: str | None = None,
    log_file_path: str | None = None,
) -> str:
    """Keep a turn in the store and write it to a file of its own in `store_path` (`.mcp-coder/responses`); returns the
    file's path. The file is named by the local second, or by the next one that is still free."""
    directory = RESPONSES if store_path is None else store_path
    metadata = _metadata(response_data, branch_name, step_name, log_file_path)
    document = {"prompt": prompt, "response_data": response_data, "metadata": metadata}
    data = json.dumps(document, indent=2, default=plain).encode()
    manager = here()
    kept.first_use(manager, [directory], kept.TURN)
    os.makedirs(directory, exist_ok=True)
    path = _reserved(directory, step_name)
    try:
        _keep(manager, data, path)
        kept.write_file(path, data)
    except BaseException:
        if not os.path.getsize(path):
            fsio.remove(os.path.abspath(path))
        raise
    return path


def _metadata(
    response: Any, branch_name: str | None, step_name: str | None, log_file_path: str | None
) -> dict[str, Any]:
    raw = response.get("raw_response")
    info = raw.get("session_info") if isinstance(raw, dict) else None
    model = info.get("model") if isinstance(info, dict) else None
    metadata = {
        "timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat() + "Z",
        "working_directory": os.getcwd(),
        "model": model or response.get("provider", "unknown"),
    }
    told = {"branch_name": branch_name, "step_name": step_name, "log_file_path": log_file_path}
    return metadata | {name: value for name, value in told.items() if value is not None}


def _reserved(directory: str, step_name: str | None) -> str:
    """A new, empty file: the first of the names by the second, from now on, that nobody has taken."""
    for name in _names(step_name):
        path = os.path.join(directory, name)
        try:
            with open(path, "xb"):
                return path
        except FileExistsError:
            continue
    raise AssertionError("unreachable")


def _names(step_name: str | None) -> Iterator[str]:
    second = datetime.now().replace(microsecond=0)
    while True:
        stamp = second.strftime("%Y-%m-%dT%H-%M-%S")
        yield f"{stamp}_{_NO_NAME.sub('-', step_name)}.json" if step_name else f"response_{stamp}.json"
        second += timedelta(seconds=1)


def _keep(manager: SessionManager, data: bytes, path: str) -> None:
    found = kept.found_in(kept.TURN, data, os.path.realpath(path))
    if found is not None:
        with manager.held(found.key):
            kept.keep(manager, found, kept.as_turn, data)


def extract_session_id(file_path: str) -> str | None:
    """The session id in a stored response, at whichever of its places; None when there is none or no such file."""
    try:
        stored = json.loads(Path(file_path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        logger.warning("Response file not found: %s", file_path)
    except (OSError, ValueError, RecursionError) as error:
        logger.error("Error reading session file %s: %s", file_path, error)
    else:
        for session_id in session_ids(stored) if isinstance(stored, dict) else ():
            return session_id
        logger.warning("No session_id found in file: %s", file_path)
    return None


def extract_langchain_session_id(file_path: str) -> str:
    """The session id of a LangChain history: the file's name without its ending."""
    return PureWindowsPath(file_path).stem


def find_latest_session(responses_dir: str = ".mcp-coder/responses", provider: str = "claude") -> str | None:
    """The file of the latest stored response in a directory, by its name; of the provider "langchain" the history that
    was written last. None when there is none. Says on stdout what it has found."""
    if provider == "langchain":
        from sessionstore.compat._mcp_coder_history import histories

        written = sorted(histories(), key=lambda path: path.stat().st_mtime)
        return _told([str(path) for path in written], "langchain sessions")
    try:
        names = sorted(name for name in os.listdir(responses_dir) if _is_stored(name))
    except OSError:
        return None
    return _told([os.path.join(responses_dir, name) for name in names], "sessions")


def _told(paths: list[str], what: str) -> str | None:
    if not paths:
        return None
    print(f"Found {len(paths)} previous {what}, continuing from: {os.path.basename(paths[-1])}")
    return paths[-1]


def _is_stored(name: str) -> bool:
    found = _STORED.fullmatch(name)
    try:
        return found is not None and bool(datetime.strptime(found[1], "%Y-%m-%dT%H-%M-%S"))
    except ValueError:
        return False

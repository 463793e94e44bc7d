"""What `original` prints and where it writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sessionstore import errors
from sessionstore.migrate import originals
from sessionstore.store import Store


def batch_originals(store: Store, batch: str, target: str | None) -> originals.Restored:
    """Rebuild the source tree of a batch below a directory. Raises `UsageError` without one."""
    if not target:
        raise errors.UsageError(reason="a batch has many files; say where they go with --to DIR")
    return originals.restore_all(store, originals.of_batch(store, batch), target)


def session_original(store: Store, name: str, target: str | None, revision: str | None) -> originals.Restored | None:
    """Write the original of one session, or of one source path, to stdout or a file; all its files to a directory,
    and then say what was written."""
    pieces = originals.of_path(store, os.path.abspath(name))
    if not pieces:
        from sessionstore.cli.names import find_revision

        pieces = originals.of_session(store, find_revision(store, name, revision))
    if target and (os.path.isdir(target) or target.endswith(("/", os.sep))):
        return originals.restore_all(store, pieces, target)
    if target:
        originals.restore(store, pieces[0], Path(target))
        return None
    for block in originals.blocks(store, pieces[0]):
        sys.stdout.buffer.write(block)
    return None

"""The command line: the only layer that reads the environment, prints, or exits."""

from __future__ import annotations

import gc
import os
import sys

GARBAGE = 100_000
"""So many new objects before the collector looks for cycles: Python's own 700 have it look thirty times before a short
command has begun."""


def main() -> None:
    """Entry point of `sessionstore`. Every failure is one line on stderr and an exit code by class."""
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
    from sessionstore.cli.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gc.freeze()  # the process ends: to go through everything once more for cycles would only take time
    sys.exit(code)

"""The command line: the only layer that reads the environment, prints, or exits."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point of `sessionstore`. Every failure is one line on stderr and an exit code by class."""
    from sessionstore.cli.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)

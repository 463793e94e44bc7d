"""A program that talks in several sessions at once, and notes what was acknowledged. Run by `test_concurrency`.

    python talker.py STORE NOTES WORKER THREADS SECONDS

NOTES gets a line of JSON for each acknowledged append: [key, speaker, number, message id].
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from sessionstore.manager import SessionManager

SHARED = 3


def main() -> None:
    """Talk until the time is over."""
    store, notes, worker, threads, seconds = sys.argv[1:]
    manager = SessionManager(store)
    end = time.monotonic() + float(seconds)
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def talk(thread: int) -> None:
        speaker = f"{worker}-{thread}"
        sessions = [manager.create(f"own-{speaker}"), *(manager.get(f"native:shared-{n}") for n in range(SHARED))]
        number = 0
        while time.monotonic() < end:
            session = sessions[(number * 7 + thread) % len(sessions)]
            [message] = session.append(
                {"role": "user", "content": "x" * (number * 37 % 3000), "x": {"speaker": speaker, "number": number}}
            )
            os.write(descriptor, json.dumps([session.key, speaker, number, message]).encode() + b"\n")
            number += 1

    running = [threading.Thread(target=talk, args=(thread,)) for thread in range(int(threads))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    manager.close()


if __name__ == "__main__":
    main()

"""Writing every turn twice: to the store, and then to the files that an older program reads and writes.

How a program gets it:

    from sessionstore.dual import mirrors
    from sessionstore.flags import Flags, Place

    flags = Flags.read(os.environ)
    place = Place("kimi", "/abs/dir/.kimi_sessions")            # or Place("llm-sessions", "/abs/dir/.llm_sessions")
    manager = SessionManager(store, mirrors=mirrors(flags, [place]), cache_size=flags.cache_size)

`mirrors` is an empty list unless the flags ask for legacy files, so it can always be passed. From then on everything
that is written through the manager (also by the chat core) is in the store first and then in `<directory>/<id>.json`;
`manager.mirrors.failed` says what could not be written there. With LLM_LEGACY what the files say is taken into the
store whenever sessions are looked up (`manager.get`, `list`, `search`, `append`), so that callers see it; a face that
wants the file itself takes `Legacy(place).load(id)`.

`Legacy` are the legacy files of one place; `status`, `forward` and `back` compare and move between them and the store.
"""

from __future__ import annotations

from collections.abc import Iterable

from sessionstore.dual.legacy import Legacy
from sessionstore.dual.mirror import LegacyMirror
from sessionstore.flags import Flags, Place

__all__ = ["Legacy", "LegacyMirror", "mirrors"]


def mirrors(flags: Flags, places: Iterable[Place]) -> list[LegacyMirror]:
    """The mirrors that a manager has to have by the flags: one for the legacy files of each place, none when the flags
    do not ask for any."""
    if not flags.files_written:
        return []
    return [LegacyMirror(Legacy(place, flags), leads=flags.files_lead) for place in places]

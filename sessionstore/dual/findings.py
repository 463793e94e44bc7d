"""What `doctor` says of legacy files: one finding for each session and file that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessionstore import errors
from sessionstore.doctor import Finding, Level
from sessionstore.dual import pairing, way
from sessionstore.dual.comparing import Kind
from sessionstore.dual.legacy import Legacy
from sessionstore.store import Store

FORWARD = "run `sessionstore dual forward` to take it into the store, or `dual back` to have both the same"
BACK = "run `sessionstore dual back` to write it"
ADVICE: dict[Kind, tuple[Level, str]] = {
    "fields": ("warning", BACK),
    "behind": ("warning", BACK),
    "unwritten": ("warning", BACK),
    "ahead": ("warning", FORWARD),
    "unknown": ("warning", FORWARD),
    "differs": ("warning", FORWARD),
    "cleared": ("warning", "remove the file if it is not wanted; the store has all of it"),
    "shadowed": ("warning", "give one of the two another id (`sessionstore branch --id`)"),
    "unreadable": ("error", "`sessionstore dual back` writes the session anew and keeps a copy of the file"),
}


def findings(store: Store, legacy: Legacy, beside: Iterable[Legacy] = ()) -> Iterator[Finding]:
    """What differs between a store and its legacy files; `beside` as in `way.status`."""
    where = f"legacy files in {legacy.folder}"
    try:
        note = pairing.check(store, legacy.folder)
        if note and note.get("ended"):
            what = f"{where} are not written any more since {note['ended']} (`dual forward`)"
            yield {"level": "ok", "what": what, "advice": ""}
            return
        found = way.status(store, legacy, beside=beside)
    except errors.SessionstoreError as error:
        yield {"level": "error", "what": str(error), "advice": "see `sessionstore dual status`"}
        return
    same = sum(one.kind == "same" for one in found)
    yield {"level": "ok", "what": f"{where}: {same} of {len(found)} say the same as the store", "advice": ""}
    for one in found:
        if one.kind != "same":
            level, advice = ADVICE[one.kind]
            if one.kind == "unreadable" and one.key is None:
                advice = "move it out of the directory, or mend it"
            yield {"level": level, "what": one.what, "advice": BACK if one.held and advice == FORWARD else advice}

"""SHA-256 that can be put down and taken up again, so that a file that grew need not be hashed from its beginning.

hashlib's objects cannot be written down, but OpenSSL's own SHA256_CTX is plain memory (FIPS 180-4 state, counter and
pending block), and the library that hashlib itself uses still exports its functions. Where it does not, or where it
gives a wrong digest for a known text, hashing works as always and there is no state: the file is hashed anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
from functools import lru_cache
from typing import Any, Protocol

_STATE = 112
"""Bytes of SHA256_CTX: eight words of state, two of length, sixteen of pending data, two of bookkeeping."""
_ORDER = sys.byteorder


class Hash(Protocol):
    """What both kinds of hash can do."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far."""


class Resumable:
    """A SHA-256 over everything given to `update`, with a `state` to go on from."""

    def __init__(self, library: Any, state: bytes | None = None) -> None:
        self._library = library
        self._context = ctypes.create_string_buffer(state or b"", _STATE + 64)
        if state is None:
            library.SHA256_Init(self._context)

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""
        self._library.SHA256_Update(self._context, data, ctypes.c_size_t(len(data)))

    def hexdigest(self) -> str:
        """The digest of all bytes so far; more may follow."""
        copy, digest = (
            ctypes.create_string_buffer(self._context.raw, len(self._context)),
            ctypes.create_string_buffer(32),
        )
        self._library.SHA256_Final(digest, copy)
        return digest.raw.hex()

    @property
    def state(self) -> str:
        """What `resumed` goes on from, on a machine of the same byte order."""
        return f"{_ORDER}:{self._context.raw[:_STATE].hex()}"


@lru_cache(maxsize=1)
def _library() -> Any | None:
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)
        probe = Resumable(library)
        probe.update(b"x" * 100)
        again = Resumable(library, bytes.fromhex(probe.state.partition(":")[2]))
        again.update(b"y")
    except (ImportError, OSError, AttributeError):
        return None
    return library if again.hexdigest() == hashlib.sha256(b"x" * 100 + b"y").hexdigest() else None


def start() -> Hash:
    """A new hash, resumable where that works."""
    library = _library()
    return Resumable(library) if library is not None else hashlib.sha256()


def resumed(state: object) -> Hash | None:
    """The hash that `state` was taken from, or None when it cannot be gone on with here."""
    library = _library()
    if library is None or not isinstance(state, str):
        return None
    order, _, memory = state.partition(":")
    if order != _ORDER or len(memory) != 2 * _STATE or not all(c in "0123456789abcdef" for c in memory):
        return None
    return Resumable(library, bytes.fromhex(memory))


def state_of(hashed: Hash) -> str | None:
    """The state of a hash, or None when it has none to give."""
    return hashed.state if isinstance(hashed, Resumable) else None

"""Texts as vectors: near each other when the texts mean about the same.

The model is WordLlama's, 128 of its dimensions; it comes inside the package of that name (the extra `semantic`), so
nothing is ever fetched. Words get a vector each, a text the mean of its words': no order, no negation, but fast on any
machine. It knows English best.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sessionstore import errors

if TYPE_CHECKING:
    import numpy

NAME = "wordllama l2_supercat 128"
"""What vectors are comparable with: only those of the same name."""
DIMENSIONS = 128
WINDOW = 1000
"""Characters of a text that share a vector."""


class Embedder:
    """The model, loaded; raises `UsageError` when the extra is missing."""

    def __init__(self) -> None:
        try:
            import wordllama
        except ImportError:
            raise errors.UsageError(
                reason="searching by meaning needs the extra `semantic`: pip install 'sessionstore[semantic]'"
            ) from None
        # The package looks for its own files in a cache directory; told that this is its own, it finds them there.
        own = os.path.dirname(wordllama.__file__)
        self._model: Any = wordllama.WordLlama.load(trunc_dim=DIMENSIONS, cache_dir=own, disable_download=True)

    def embed(self, texts: Sequence[str]) -> numpy.ndarray[Any, Any]:
        """Vectors of length one as the rows of a float32 array (texts, `DIMENSIONS`); zeros for a text without
        words."""
        import numpy

        if not texts:
            return numpy.zeros((0, DIMENSIONS), dtype=numpy.float32)
        found = numpy.nan_to_num(numpy.asarray(self._model.embed(list(texts)), dtype=numpy.float32))
        lengths = numpy.linalg.norm(found, axis=1, keepdims=True)
        return found / numpy.where(lengths > 0, lengths, 1)


def windows(text: str) -> list[str]:
    """A text in pieces of at most `WINDOW` characters, cut at the end of a line or a word where there is one."""
    found, start = [], 0
    while start < len(text):
        end = start + WINDOW
        if end < len(text):
            half = start + WINDOW // 2
            cut = max(text.rfind("\n", half, end), text.rfind(" ", half, end) if "\n" not in text[half:end] else -1)
            end = cut + 1 if cut > 0 else end
        if piece := text[start:end].strip():
            found.append(piece)
        start = end
    return found

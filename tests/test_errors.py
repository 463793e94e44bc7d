"""Every error: its message, its exit code, and that it crosses the borders of processes whole."""

from __future__ import annotations

import pickle
import re

import pytest

from sessionstore import errors

CLASSES = [
    found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, errors.SessionstoreError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[errors.SessionstoreError]) -> None:
    template = (kind.__doc__ or "").splitlines()[0]
    fields = {name: f"the {name}" for name in re.findall(r"\{(\w+)", template)}
    error = kind(**fields)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.fields, again.exit_code) == (str(error), fields, error.exit_code)
    assert all(value in str(error) for value in fields.values())

"""What programs may import: chosen, and changed only on purpose."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sessionstore
from sessionstore import errors

ROOT = Path(__file__).resolve().parent.parent
METHODS = {
    "append",
    "embedded",
    "exclusively",
    "extends",
    "heads",
    "heads_of",
    "init",
    "lines",
    "load_note",
    "load_revision",
    "messages",
    "name_of",
    "names_of",
    "note_names",
    "original",
    "page",
    "put",
    "revision_names",
    "revisions_of",
    "sessions_locked",
    "write_revision",
    "writing",
}
ERRORS = {
    "SessionstoreError": ("Exception", 1),
    "UsageError": ("SessionstoreError", 2),
    "NotFound": ("UsageError", 2),
    "Ambiguous": ("UsageError", 2),
    "NoStore": ("UsageError", 2),
    "SearchSyntax": ("UsageError", 2),
    "NoConsent": ("UsageError", 2),
    "SecretsFound": ("UsageError", 2),
    "UnknownModel": ("UsageError", 2),
    "NoCredentials": ("UsageError", 2),
    "LibraryMissing": ("UsageError", 2),
    "DamageError": ("SessionstoreError", 3),
    "ObjectMissing": ("DamageError", 3),
    "ObjectCorrupt": ("DamageError", 3),
    "RevisionCorrupt": ("DamageError", 3),
    "StoreMarkerCorrupt": ("DamageError", 3),
    "JournalCorrupt": ("DamageError", 3),
    "LockedError": ("SessionstoreError", 4),
    "Busy": ("LockedError", 4),
    "LocksUnavailable": ("LockedError", 4),
    "PartialError": ("SessionstoreError", 5),
    "StorageError": ("SessionstoreError", 6),
    "NoSpace": ("StorageError", 6),
    "WriteFailed": ("StorageError", 6),
    "ReadFailed": ("StorageError", 6),
    "ReadOnly": ("StorageError", 6),
    "FormatTooNew": ("SessionstoreError", 7),
    "ForeignError": ("SessionstoreError", 1),
    "Unrecognised": ("ForeignError", 1),
    "SourceInvalid": ("ForeignError", 1),
    "SourceChanged": ("ForeignError", 1),
    "Purged": ("ForeignError", 1),
    "GivenUp": ("ForeignError", 1),
    "Drifted": ("ForeignError", 1),
    "VerificationFailed": ("ForeignError", 1),
    "RollbackRefused": ("ForeignError", 1),
    "NoFTS5": ("ForeignError", 1),
    "ProviderError": ("SessionstoreError", 1),
    "ProviderRefused": ("ProviderError", 1),
    "ContextTooLong": ("ProviderRefused", 1),
    "ProviderDenied": ("ProviderError", 1),
    "RateLimited": ("ProviderError", 1),
    "ProviderDown": ("ProviderError", 1),
    "ProviderUnreachable": ("ProviderError", 1),
    "AnswerCut": ("ProviderError", 1),
    "AnswerInvalid": ("ProviderError", 1),
}


def test_the_public_names_are_those_that_were_meant() -> None:
    assert sorted(sessionstore.__all__) == ["SessionManager", "SessionstoreError", "Store", "__version__"]
    for name in sessionstore.__all__:
        assert getattr(sessionstore, name) is not None
    assert sessionstore.SessionstoreError is errors.SessionstoreError


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Stoer'"):
        getattr(sessionstore, "Stoer")  # noqa: B009


def test_the_store_has_the_methods_that_were_meant() -> None:
    assert {name for name in vars(sessionstore.Store) if not name.startswith("_")} == METHODS


def test_the_errors_and_their_exit_codes_are_those_that_were_meant() -> None:
    kinds = {
        name: (kind.__bases__[0].__name__, kind.exit_code)
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SessionstoreError)
    }
    assert kinds == ERRORS


@pytest.mark.parametrize("name", ERRORS)
def test_an_errors_message_is_its_docstring_with_the_fields_filled_in(name: str) -> None:
    kind = getattr(errors, name)
    template = (kind.__doc__ or "").splitlines()[0]
    fields = dict.fromkeys(("reason", "name", "candidates", "path", "position", "line", "what", "holder"), "x")
    fields |= dict.fromkeys(("version", "known", "source", "batch", "time", "key", "model", "warnings"), "x")
    fields |= dict.fromkeys(("provider", "providers", "advice", "library", "extra"), "x")
    error = kind(**fields)
    assert str(error) == template.format(**fields)
    assert "\n" not in str(error)
    assert error.fields == fields


def test_importing_the_package_loads_nothing_else() -> None:
    script = (
        "import sys, sessionstore; foreign = ('pydantic', 'orjson', 'sqlite3', 'zstandard', 'click', 'pathlib')\n"
        "print([name for name in sys.modules if name.startswith('sessionstore.') or name in foreign])\n"
        "sessionstore.Store; print('sessionstore.store' in sys.modules, 'pydantic' in sys.modules)"
    )
    command = [sys.executable, "-S", "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["[]", "True False"], done.stderr


def test_the_types_are_shipped() -> None:
    assert (ROOT / "sessionstore" / "py.typed").is_file()

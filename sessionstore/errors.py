"""Every failure a user can meet, one class each.

The first line of a class's docstring is its message (fields in braces are filled in), and the class carries
its exit code, so text, code and raise site cannot drift. The command line catches the root class only.

    SessionstoreError (1)
    ├── UsageError (2)            NotFound, Ambiguous, NoStore, SearchSyntax, NoConsent, UnknownModel,
    │                             NoCredentials, LibraryMissing, SecretsFound
    ├── DamageError (3)           ObjectMissing, ObjectCorrupt, RevisionCorrupt, StoreMarkerCorrupt, JournalCorrupt
    ├── LockedError (4)           Busy, LocksUnavailable
    ├── PartialError (5)
    ├── StorageError (6)          NoSpace, WriteFailed, ReadFailed, ReadOnly
    ├── FormatTooNew (7)
    ├── ForeignError (1)          Unrecognised, SourceInvalid, SourceChanged, VerificationFailed, RollbackRefused,
    │                             Purged, GivenUp, NoFTS5, Drifted
    └── ProviderError (1)         ProviderRefused (ContextTooLong), ProviderDenied, RateLimited, ProviderDown,
                                  ProviderUnreachable, AnswerCut, AnswerInvalid
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class SessionstoreError(Exception):
    """{reason}"""

    exit_code: ClassVar[int] = 1

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        template = (type(self).__doc__ or "{reason}").splitlines()[0]
        super().__init__(template.format(**fields))

    def __reduce__(self) -> tuple[Callable[..., SessionstoreError], tuple[Any, ...]]:
        """Errors cross the borders of processes whole."""
        return _again, (type(self), self.fields)


def _again(kind: type[SessionstoreError], fields: dict[str, Any]) -> SessionstoreError:
    return kind(**fields)


class UsageError(SessionstoreError):
    """{reason}"""

    exit_code = 2


class NotFound(UsageError):
    """no session, batch or message is called {name!r}"""


class Ambiguous(UsageError):
    """{name!r} could mean {candidates}; give more of it"""


class NoStore(UsageError):
    """no store at {path}; make one with `sessionstore init` or name one with --store"""


class UnknownModel(UsageError):
    """no provider is known for the model {model!r}; write PROVIDER/{model}, with one of {providers}"""


class NoCredentials(UsageError):
    """there is no API key for {provider}; {advice}"""


class LibraryMissing(UsageError):
    """talking to {provider} needs the package {library}; install it with `pip install 'sessionstore[{extra}]'`"""


class SearchSyntax(UsageError):
    """{reason} in the search, at character {position}"""


class NoConsent(UsageError):
    """{key} goes on with {model} only with consent (--yes; in a program consent=True){warnings}"""


class SecretsFound(UsageError):
    """{what} would leave, so nothing was written; --redact replaces them, --allow-secrets lets them out"""


class DamageError(SessionstoreError):
    """{reason}"""

    exit_code = 3


class ObjectMissing(DamageError):
    """object {name} is missing from the store; run `sessionstore verify`"""


class ObjectCorrupt(DamageError):
    """object {name} does not hold the bytes it is named for; run `sessionstore verify --repair`"""


class RevisionCorrupt(DamageError):
    """revision {name} is damaged ({reason}); run `sessionstore verify --repair`"""


class StoreMarkerCorrupt(DamageError):
    """{path} is not a readable STORE.json ({reason}); restore it from a copy of the store"""


class JournalCorrupt(DamageError):
    """the journal {path} is damaged at line {line}; nothing was changed"""


class LockedError(SessionstoreError):
    """{reason}"""

    exit_code = 4


class Busy(LockedError):
    """{what} is in use by another process{holder}; try again when it has finished"""


class LocksUnavailable(LockedError):
    """the file system of {path} has no working locks, so {what} is refused"""


class PartialError(SessionstoreError):
    """{reason}"""

    exit_code = 5


class StorageError(SessionstoreError):
    """{reason}"""

    exit_code = 6


class NoSpace(StorageError):
    """no space left for {path} ({what}); free some and run the same command again"""


class WriteFailed(StorageError):
    """cannot write {path}: {reason}"""


class ReadFailed(StorageError):
    """cannot read {path}: {reason}"""


class ReadOnly(StorageError):
    """{path} is read-only, so nothing was written"""


class FormatTooNew(SessionstoreError):
    """{path} has format version {version}, this program knows up to {known}; upgrade sessionstore"""

    exit_code = 7


class ForeignError(SessionstoreError):
    """{reason}"""


class Unrecognised(ForeignError):
    """{path}: {reason}"""


class SourceInvalid(ForeignError):
    """{path}: not a valid {source} file: {reason}"""


class SourceChanged(ForeignError):
    """{path} changed while it was read; run the migration again"""


class Purged(ForeignError):
    """{path} holds only sessions that were purged; it was left alone"""


class GivenUp(ForeignError):
    """the bytes {path} had then were given up by `gc --superseded-originals` on {time}; later ones are kept"""


class VerificationFailed(ForeignError):
    """{path}: what was written differs from what was read ({reason}); nothing of it was kept"""


class RollbackRefused(ForeignError):
    """batch {batch} cannot be rolled back: {reason}"""


class Drifted(ForeignError):
    """{path} was left as it is: {reason}; see `sessionstore dual status`"""


class NoFTS5(ForeignError):
    """this Python's SQLite {version} has no FTS5; install a Python whose SQLite has it"""


class ProviderError(SessionstoreError):
    """{provider}: {reason}"""

    @property
    def status(self) -> int | None:
        """The HTTP status, when there was one."""
        return self.fields.get("status")

    @property
    def retry_after(self) -> float | None:
        """After how many seconds the provider wants to be asked again, when it has said so."""
        return self.fields.get("retry_after")

    @property
    def request_id(self) -> str | None:
        """What the provider calls the request, for its support."""
        return self.fields.get("request_id")

    @property
    def again(self) -> bool:
        """Whether the same request may succeed later."""
        return bool(self.fields.get("again"))


class ProviderRefused(ProviderError):
    """{provider} refused the request: {reason}"""


class ContextTooLong(ProviderRefused):
    """the conversation is too long for {model}: {reason}"""


class ProviderDenied(ProviderError):
    """{provider} does not accept the API key or this use of it: {reason}"""


class RateLimited(ProviderError):
    """{provider} takes no more requests for now: {reason}"""


class ProviderDown(ProviderError):
    """{provider} is not working just now: {reason}"""


class ProviderUnreachable(ProviderError):
    """cannot reach {provider}: {reason}"""


class AnswerCut(ProviderError):
    """the answer of {provider} was cut off: {reason}"""


class AnswerInvalid(ProviderError):
    """{provider} has sent something that is no answer: {reason}"""

"""What the providers' libraries raise, as our errors: by status and by what the provider itself calls it.

The libraries do not agree: one raises its own class for a lost connection, another that of the HTTP library beneath,
a third a bare ValueError for JSON that is none. So the kind is told from attributes and names, not from classes, and
no library has to be imported for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from sessionstore import errors

LONGEST = 300
"""So many characters of a provider's explanation are told."""
_SECRETS = re.compile(
    r"(?i)\b(?:sk|pk|rk)-[\w*-]{6,}|\bAIza[\w-]{10,}|\bya29\.[\w.-]+|(?<=bearer )[\w.~+/=-]{8,}"
    r"|(?<=key=)[^\s&\"']{6,}|(?<=api[-_]key: )\S{6,}|(?<=://)[^/\s@]+(?=@)"
)
_TOO_LONG = re.compile(
    r"context[_ ](?:length|window)|prompt is too long|too many (?:input )?tokens|input token count"
    r"|maximum context|exceeds the (?:maximum|token)",
    re.IGNORECASE,
)
_LOST = re.compile(r"Connect|Timeout|Protocol|ReadError|WriteError|CloseError|Network|ProxyError|IncompleteRead")
_NONSENSE = re.compile(r"JSONDecode|ValidationError|UnknownApiResponse|DecodingError|UnicodeDecode")
_KINDS: dict[str, int] = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "request_too_large": 413,
}
"""What an error that comes inside a stream, where there is no status, would have had."""
_AGAIN = frozenset({408, 409, 425, 429})


def failure(title: str, error: Exception, *, model: str = "", secrets: Iterable[str] = ()) -> errors.SessionstoreError:
    """Our error for what a library has raised. `title` is the provider's name, `secrets` must never be told."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    details = _details(error)
    status = _status(error, details)
    fields: dict[str, Any] = {
        "provider": title,
        "model": model,
        "status": status,
        "reason": told(details.get("message") or str(error) or type(error).__name__, secrets),
        "request_id": getattr(error, "request_id", None) or header(headers, "x-request-id", "request-id"),
        "retry_after": retry_after(headers, details),
    }
    if status is None:
        return _without_status(error, fields)
    kind = kind_of(status, details, fields["reason"])
    spent = "insufficient_quota" in (details.get("code"), details.get("type"))
    wish = header(headers, "x-should-retry")
    fields["again"] = (status in _AGAIN or status >= 500) and not spent
    if wish in ("true", "false"):
        fields["again"] = wish == "true"
    if kind not in (errors.ContextTooLong, errors.ProviderError):
        fields["reason"] = f"{fields['reason']} (HTTP {status})"
    return kind(**fields)


def told(text: str, secrets: Iterable[str] = ()) -> str:
    """A provider's explanation on one line, short, without secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    for secret in filter(lambda secret: len(secret) > 3, secrets):
        line = line.replace(secret, "***")
    line = _SECRETS.sub("***", line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def header(headers: Mapping[str, Any], *names: str) -> str | None:
    """The first of these headers that is there; names in any case."""
    try:
        found = {str(name).lower(): str(value) for name, value in headers.items()}
    except (AttributeError, TypeError):
        return None
    return next((found[name] for name in names if name in found), None)


def retry_after(headers: Mapping[str, Any], details: Mapping[str, Any]) -> float | None:
    """Seconds until the provider wants to be asked again, as its headers or its explanation say."""
    millis, plain = header(headers, "retry-after-ms"), header(headers, "retry-after")
    for text, unit in ((millis, 1000.0), (plain, 1.0)):
        try:
            if text is not None and 0 <= float(text) < 1e9:
                return float(text) / unit
        except ValueError:
            pass
    if plain is not None:
        try:
            return max(0.0, (parsedate_to_datetime(plain) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            pass
    for one in details.get("details") or () if isinstance(details.get("details"), list) else ():
        delay = one.get("retryDelay") if isinstance(one, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"\d+(\.\d+)?s", delay):
            return float(delay[:-1])
    return None


def _details(error: Exception) -> dict[str, Any]:
    """What the provider itself says of the error: {"message", "type", "code", …}."""
    body = getattr(error, "body", None)
    if body is None:
        body = getattr(error, "details", None)
    if isinstance(body, list) and body:
        body = body[0]
    while isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    found = dict(body) if isinstance(body, dict) else {}
    if not isinstance(found.get("message"), str):
        message = getattr(error, "message", None)
        found["message"] = message if isinstance(message, str) else None
    return found


def _status(error: Exception, details: Mapping[str, Any]) -> int | None:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        status = getattr(error, "code", None)
    if isinstance(status, int) and 400 <= status < 600:
        return status
    for name in ("type", "code", "status"):
        if details.get(name) in _KINDS:
            return _KINDS[str(details[name])]
    return None


def kind_of(status: int, details: Mapping[str, Any], reason: str) -> type[errors.ProviderError]:
    """Our error for an HTTP status, what the provider says of it, and the explanation for people."""
    if status in (400, 413, 422) and (details.get("code") == "context_length_exceeded" or _TOO_LONG.search(reason)):
        return errors.ContextTooLong
    if status in (401, 402, 403):
        return errors.ProviderDenied
    if status == 429:
        return errors.RateLimited
    return errors.ProviderDown if status >= 500 or status in _AGAIN else errors.ProviderRefused


def _without_status(error: Exception, fields: dict[str, Any]) -> errors.ProviderError:
    names = " ".join(kind.__name__ for kind in type(error).__mro__[:-2])
    if _NONSENSE.search(names) or isinstance(error, UnicodeError):
        return errors.AnswerInvalid(**{**fields, "reason": f"it is not the JSON it should be ({type(error).__name__})"})
    if _LOST.search(names) or isinstance(error, OSError):
        return errors.ProviderUnreachable(**fields, again=True)
    return errors.ProviderError(**{**fields, "reason": f"{type(error).__name__}: {fields['reason']}"})

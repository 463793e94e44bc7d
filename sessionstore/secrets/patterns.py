"""The patterns that are always looked for, whatever else is installed: keys of the common providers, private keys,
passwords in addresses and in assignments.

Each is tried only where one of its words stands, because looking for words is a hundred times faster. What cannot be a
secret (placeholders, examples, variables) is told apart by `is_plausible`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple


class Pattern(NamedTuple):
    """A kind of secret: words with one of which it begins (lower case when `folded`), or that come at most `back`
    characters after its beginning; the expression (its group `secret` is the secret, else all of it), and whether the
    secret must look random."""

    kind: str
    words: tuple[str, ...]
    expression: re.Pattern[str]
    random: bool = False
    folded: bool = False
    back: int = 0

    def narrowed(self, words: Collection[str]) -> Pattern:
        """The same with those of its words that are among `words`."""
        return self._replace(words=tuple(word for word in self.words if word in words))

    def matches(self, text: str, within: str) -> Iterator[re.Match[str]]:
        """What the expression matches in `text`; `within` is the text, in lower case when the pattern is folded."""
        for word in self.words:
            at, end = within.find(word), 0
            while at >= 0:
                match = self._at(text, at, end)
                if match is not None:
                    yield match
                    end = match.end()
                at = within.find(word, max(at + 1, end))

    def _at(self, text: str, at: int, end: int) -> re.Match[str] | None:
        if not self.back:
            return self.expression.match(text, at)
        for start in range(max(at - self.back, end), at + 1):
            match = self.expression.match(text, start)
            if match is not None:
                return match
        return None


def _pattern(
    kind: str, words: str, expression: str, *, random: bool = False, folded: bool = False, back: int = 0
) -> Pattern:
    flags = re.ASCII | re.MULTILINE | (re.IGNORECASE if folded else 0)
    return Pattern(kind, tuple(words.split()), re.compile(expression, flags), random, folded, back)


_NAMED = (
    r"(?:passw(?:or)?d|passphrase|secret(?:[_-]?(?:access)?[_-]?key)?|api[_-]?key|(?:access|auth|bearer|refresh)[_-]?token"
    r"|client[_-]?secret|private[_-]?key|encryption[_-]?key)"
)
_NAMES = "passw passphrase secret api_key apikey api-key access auth bearer refresh client private encryption"

PATTERNS: tuple[Pattern, ...] = (
    _pattern(
        "private-key",
        "-----BEGIN",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?P<secret>(?:[A-Za-z0-9+/=\s\\:,.()]|-(?!-)){60,20000})(?:-----END|\Z)",
    ),
    _pattern("aws-access-key", "AKIA ASIA ABIA ACCA", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", random=True),
    _pattern(
        "aws-secret-key",
        "aws",
        r"aws[\w.-]{0,20}(?:secret|key)[\w.-]{0,20}['\"\s:=>\\]{1,8}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        random=True,
        folded=True,
    ),
    _pattern("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b", random=True),
    _pattern("github-token", "github_pat_", r"\bgithub_pat_\w{22,255}\b", random=True),
    _pattern("gitlab-token", "glpat-", r"\bglpat-[\w-]{20,300}", random=True),
    _pattern("slack-token", "xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,300}", random=True),
    _pattern(
        "slack-webhook", "hooks.slack.com", r"hooks\.slack\.com/services/(?P<secret>T\w{6,20}/B\w{6,20}/\w{16,40})"
    ),
    _pattern("anthropic-key", "sk-ant-", r"\bsk-ant-[\w-]{20,300}", random=True),
    _pattern("openrouter-key", "sk-or-", r"\bsk-or-(?:v1-)?[0-9a-f]{32,128}\b", random=True),
    _pattern("openai-key", "sk-", r"\bsk-(?!ant-|or-)(?:(?:proj|svcacct|admin|None)-)?[\w-]{20,300}", random=True),
    _pattern("google-key", "AIza", r"\bAIza[\w-]{35}(?![\w-])", random=True),
    _pattern("google-token", "GOCSPX- ya29.", r"\b(?:GOCSPX-[\w-]{24,40}|ya29\.[\w-]{30,500})", random=True),
    _pattern("stripe-key", "sk_live_ rk_live_", r"\b[rs]k_live_[0-9A-Za-z]{16,200}\b", random=True),
    _pattern("huggingface-token", "hf_", r"\bhf_[A-Za-z0-9]{30,60}\b", random=True),
    _pattern("npm-token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b", random=True),
    _pattern("pypi-token", "pypi-AgE", r"\bpypi-AgE[\w-]{50,500}", random=True),
    _pattern("sendgrid-key", "SG.", r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}", random=True),
    _pattern("telegram-token", ":AA", r"\b\d{8,10}:AA[\w-]{33}(?![\w-])", random=True, back=10),
    _pattern("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    _pattern("groq-key", "gsk_", r"\bgsk_[A-Za-z0-9]{40,80}\b", random=True),
    _pattern("xai-key", "xai-", r"\bxai-[A-Za-z0-9]{60,120}\b", random=True),
    _pattern("jwt", "eyJ", r"(?<![\w-])eyJ[\w-]{10,4000}\.eyJ[\w-]{10,8000}\.[\w-]{10,4000}"),
    _pattern(
        "url-password",
        "://",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@'\"`<>\\(){}]{0,100}:(?P<secret>[^\s/@'\"`<>\\(){}]{3,200})@[\w\[]",
        back=21,
    ),
    _pattern(
        "authorization",
        "authorization",
        r"authorization['\"\\]{0,3}\s{0,4}[:=]\s{0,4}['\"\\]{0,3}(?:bearer|basic|token)\s{1,4}(?P<secret>[\w.~+/=-]{16,4000})",
        random=True,
        folded=True,
    ),
    _pattern(
        "password",
        _NAMES,
        rf"{_NAMED}\w{{0,20}}\\?['\"]?\s{{0,4}}(?:=>|:=|=|:)\s{{0,4}}\\?(?P<q>['\"`])(?P<secret>[^\s'\"`\\]{{8,200}})\\?(?P=q)",
        random=True,
        folded=True,
    ),
    _pattern(
        "password",
        "passw secret token apikey api_key",
        r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)(?:_\w{1,20})?=(?P<secret>[^\s'\"`$\\;<>(){}|&,]{8,200})(?=[\s&;\\'\"]|\Z)",
        random=True,
        folded=True,
    ),
)

GENERIC = frozenset({"password", "authorization", "jwt", "url-password"})
"""Kinds that say less than any other pattern that finds the same."""

_PLACEHOLDER = re.compile(
    r"example|placeholder|changeme|change[_-]me|redacted|dummy|sample|your[_-]|my[_-]?(?:secret|password|token|key)|xxxx|\*\*\*"
    r"|\.\.\.|…|insert|replace|<|>|\$\{|\{\{|\$\(|%\(|%s|todo|not[_-]?a[_-]?real|0000000|1234567890?$|^test[_-]?|process\.env"
    r"|os\.(?:environ|getenv)|undefined|^null|^none$|^true$|^false$|^\$",
    re.IGNORECASE,
)
_WELL_KNOWN = frozenset({"password", "passwd", "pass", "secret", "token", "user", "username", "pwd", "port", "host"})
_IDENTIFIER = re.compile(r"[A-Za-z_][a-z_]*(?:[.:][A-Za-z_][A-Za-z_]*|[A-Z][a-z]+)*(?:\(.*\)|\[.*\])?[,;]?")
"""What a program's own words look like: `user.password`, `getToken()`."""
_RANDOM_ENOUGH = 2.8
"""Bits for each character; words of a language are below, keys above."""


def is_plausible(secret: str, kind: str, *, random: bool) -> bool:
    """Whether what a pattern has found can be a secret, and is no placeholder, example or name of a variable."""
    if _PLACEHOLDER.search(secret) or secret.lower() in _WELL_KNOWN:
        return False
    if kind == "url-password":
        return not secret.isdecimal() and len(set(secret)) > 2
    if not random:
        return True
    if kind in GENERIC and (_IDENTIFIER.fullmatch(secret) or "/" in secret[:1]):
        return False
    tail = secret[4:]
    digits = sum(c.isdigit() for c in tail)
    if kind == "openai-key" and not (digits >= 2 and any(c.isupper() for c in tail)):
        return False  # names in a program's text may begin the same: sk-fading-circle
    return digits > 0 and entropy(tail) >= (_RANDOM_ENOUGH if len(tail) >= 12 else 2.0)


def entropy(text: str) -> float:
    """Shannon's entropy in bits for each character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if total else 0.0

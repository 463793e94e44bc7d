"""Secrets are found, shown masked, and replaced the same everywhere; what only looks like one is left alone."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sessionstore.secrets.check import check
from sessionstore.secrets.detector import Detector, library_installed
from sessionstore.secrets.documents import Document, rewritten
from sessionstore.store import Store
from tests.cli.conftest import program as program
from tests.cli.running import Program, files, ok

RNG = random.Random(11)
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def made(count: int, letters: str = LETTERS) -> str:
    return "".join(RNG.choice(letters) for _ in range(count))


BASE32 = string.ascii_uppercase + "234567"
GITHUB = f"ghp_{made(36)}"
PASSWORD = "Tr0ub4dor&3x"
PEM = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *(made(64) for _ in range(12)), "-----END RSA PRIVATE KEY-----"])
SECRETS = {
    "aws-access-key": f"AKIA{made(15, BASE32)}7",
    "aws-secret-key": f"AWS_SECRET_ACCESS_KEY={made(40)}",
    "github-token": GITHUB,
    "gitlab-token": f"glpat-{made(20)}",
    "slack-token": f"xoxb-{made(12, string.digits)}-{made(12, string.digits)}-{made(24)}",
    "slack-webhook": f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{made(24)}",
    "anthropic-key": f"sk-ant-api03-{made(93)}AA",
    "openai-key": f"sk-proj-{made(60)}T3BlbkFJ{made(60)}",
    "openrouter-key": f"sk-or-v1-{made(64, HEX)}",
    "google-key": f"AIza{made(35)}",
    "google-token": f"GOCSPX-{made(28)}",
    "stripe-key": f"sk_live_{made(24)}",
    "huggingface-token": f"hf_{made(34)}",
    "npm-token": f"npm_{made(36)}",
    "pypi-token": f"pypi-AgEIcHlwaS5vcmc{made(120)}",
    "sendgrid-key": f"SG.{made(22)}.{made(43)}",
    "telegram-token": f"bot 123456789:AA{made(33)}",
    "digitalocean-token": f"dop_v1_{made(64, HEX)}",
    "groq-key": f"gsk_{made(52)}",
    "xai-key": f"xai-{made(80)}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJ{made(40)}.{made(43)}",
    "url-password": f"postgres://shop:{PASSWORD}@db.internal:5432/shop",
    "authorization": f"Authorization: Bearer {made(40)}",
    "password": 'password = "hunt3r2-Tr0ub4dor"',
    "private-key": PEM,
}
HARMLESS = [
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "550e8400-e29b-41d4-a716-446655440000",
    f"sha256:{made(64, HEX)}",
    "password: <your password>",
    "api_key=os.environ['OPENAI_API_KEY']",
    "export OPENAI_API_KEY=sk-...",
    "https://user:password@example.com/",
    "password = getPassword()",
    "class='sk-fading-circle-spinner-element-long'",
    'token = "abc"',
    "secret_key: ${SECRET}",
    f"integrity sha512-{made(86)}==",
    "http://localhost:8080/@scope/package",
    "password='********'",
    "input_tokens: 12345678, api_key=None",
    "const token = req.headers.authorization",
    f"data:image/png;base64,{made(4000)}",
    "AKIAIOSFODNN7EXAMPLE",
    "Authorization: Bearer ${token}",
    "-----BEGIN PRIVATE KEY----- is how it begins",
    "in src/passwords.py:12 the function check_password(user, password) is called",
]
DETECTORS = [Detector(built_in_only=True), *([Detector()] if library_installed() else [])]
each_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.library or "built-in")


@each_detector
@pytest.mark.parametrize("kind", SECRETS)
def test_every_kind_is_found_in_prose_code_and_json(detector: Detector, kind: str) -> None:
    text = SECRETS[kind]
    for around in (f"See {text} there", f"1\t{text}\n2\tx", text, f"é 日本 {text}\n"):
        hits = detector.find(around)
        assert len(hits) == 1, (around, hits)
        assert hits[0].kind == kind or detector.library
    escaped = json.dumps({"text": text})
    assert detector.find(escaped), escaped


@each_detector
@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: text[:30])
def test_what_only_looks_like_a_secret_is_left_alone(detector: Detector, text: str) -> None:
    assert detector.find(text) == []
    assert Document({"id": "m", "parts": [{"type": "text", "content": text}]}).find(detector) == {}


@each_detector
def test_a_name_tells_what_a_value_is(detector: Detector) -> None:
    call = {"type": "tool_call", "id": "c", "name": "login", "arguments": {"user": "ana", "password": PASSWORD}}
    document = {"id": "m1", "role": "assistant", "parts": [call]}
    found = Document(document).find(detector)
    assert [document_text(document, number) for number in found] == [PASSWORD]


def document_text(document: Any, number: int) -> str:
    return Document(document).texts[number]


def test_rewriting_with_nothing_gives_the_same_document() -> None:
    document = {
        "id": "m1",
        "role": "tool",
        "x": {"deep": [[{"a key of some length": None, "n": 1.5, "b": True}]]},
        "parts": [
            {"type": "tool_call_response", "id": "c", "response": [{"type": "text", "text": "é"}, 3]},
            {"type": "blob", "mime_type": "image/png", "modality": "image", "data": "AAAA"},
            {"type": "blob", "mime_type": "text/plain", "data": base64.b64encode(b"hello").decode()},
            {"type": "reasoning", "content": "x", "signature": GITHUB},
            {"type": "reasoning", "content": {"not": "text"}},
        ],
    }
    assert rewritten(document, lambda text, number: text) == document
    assert GITHUB not in Document(document).text


@each_detector
def test_the_same_secret_gets_the_same_placeholder_everywhere(detector: Detector, tmp_path: Path) -> None:
    store = Store.init(tmp_path / "store")
    data = base64.b64encode(f"token {GITHUB}".encode()).decode()
    attached = {"type": "blob", "mime_type": "text/plain", "modality": "file", "data": data, "name": "a.txt"}
    result = {"type": "tool_call_response", "id": "c", "response": {"output": f"DB={SECRETS['url-password']}"}}
    messages = [
        {"id": "m1", "role": "user", "parts": [{"type": "text", "content": f"Use {GITHUB}, please."}]},
        {"id": "m2", "role": "tool", "parts": [result, {"type": "text", "content": f"{PASSWORD} again"}]},
        {"id": "m3", "role": "user", "parts": [attached]},
        {"id": "m4", "role": "user", "parts": [{"type": "text", "content": "harmless"}]},
    ]
    name = store.put("native:a", messages, {"title": f"About {GITHUB}", "cwd": "/src"})
    revision = store.load_revision(name)
    found = check(store, [revision], detector=detector)
    assert {(one.message, one.placeholder[-2:-1]) for one in found.findings} == {
        (None, "1"),
        ("m1", "1"),
        ("m2", "1"),
        ("m3", "1"),
    }
    assert (found.different, found.sessions, found.messages) == (2, 1, 4)
    told = json.dumps([one.as_json() for one in found.findings])
    assert GITHUB not in told
    assert PASSWORD not in told
    redactor = found.redactor()
    shown = [redactor.message("native:a", message) for message in store.embedded(revision)]
    everything = json.dumps([redactor.revision(revision)["title"], shown])
    assert GITHUB not in everything
    assert PASSWORD not in everything, "a long secret goes wherever it stands"
    assert base64.b64encode(GITHUB.encode())[4:20].decode() not in everything
    assert shown[0]["parts"][0]["content"] == f"Use {found.findings[0].placeholder}, please."
    assert shown[3] == messages[3] | {"id": "m4"}
    assert redactor.revision(revision)["pages"] == revision["pages"]


def test_an_excerpt_never_shows_a_secret_of_any_kind(tmp_path: Path) -> None:
    store = Store.init(tmp_path / "store")
    text = " ".join(SECRETS.values())
    revision = store.load_revision(
        store.put("native:a", [{"id": "m1", "role": "user", "parts": [{"type": "text", "content": text}]}])
    )
    found = check(store, [revision])
    assert len(found.findings) >= len(SECRETS) - 2
    for hit in Detector().find(text):
        secret = text[hit.start + 4 : hit.end]
        for piece in (secret[start : start + 8] for start in range(max(1, len(secret) - 8))):
            assert not [finding for finding in found.findings if piece in finding.excerpt]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----" * 100_000,
        "eyJ-" * 1_000_000,
        "a://" * 1_000_000,
        "password=" * 400_000,
        "sk-" * 1_000_000,
        "x" * 5_000_000,
        "Authorization: Bearer " * 200_000,
        "A" * 2_000_000 + "://" + "a" * 2_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_text_takes_seconds_at_most(text: str) -> None:
    began = time.monotonic()
    Detector(built_in_only=True).find(text)
    assert time.monotonic() - began < 20


# --- the command line ------------------------------------------------------------------------------------------


@pytest.fixture
def leaky(program: Program) -> Program:
    """A store with a secret in two of its three sessions."""
    assert program.store is not None
    store = Store.init(program.store)
    for key, text in (("native:a", f"Use {GITHUB}."), ("native:b", f"{GITHUB} & {PASSWORD}"), ("native:c", "Nothing.")):
        call = {"type": "tool_call", "id": "c1", "name": "login", "arguments": {"password": PASSWORD}}
        parts = [{"type": "text", "content": text}, *([call] if key == "native:b" else [])]
        store.put(key, [{"id": "m1", "role": "user", "parts": parts}], {"title": f"Session {key[-1]}"})
    return program


@pytest.mark.parametrize("form", ["markdown", "html", "jsonl", "openai", "claude-code", "site"])
def test_an_export_with_secrets_stops_and_shows_where(leaky: Program, tmp_path: Path, form: str) -> None:
    result = leaky("export", "--all", "--to", form, "-o", tmp_path / "out")
    assert (result.code, result.raw) == (2, b"")
    assert GITHUB not in result.err
    assert PASSWORD not in result.err
    assert "native:a#m1  " in result.err
    assert result.err.splitlines()[-1].startswith(
        "sessionstore: 2 secrets at 3 places in 2 sessions would leave, so no"
    )
    assert not (tmp_path / "out").exists()
    assert leaky("export", "native:a", "--to", "markdown").code == 2
    assert ok(leaky("export", "native:c", "--to", "markdown")).err == ""


@pytest.mark.parametrize("form", ["markdown", "html", "jsonl", "openai", "claude-code", "site"])
def test_redact_replaces_and_allow_lets_out(leaky: Program, tmp_path: Path, form: str) -> None:
    result = ok(leaky("export", "--all", "--to", form, "-o", tmp_path / "redacted", "--redact"))
    assert "replaced 2 secrets at 3 places in 2 sessions" in result.err
    written = b"".join(files(tmp_path / "redacted").values())
    assert GITHUB.encode() not in written
    assert PASSWORD.encode() not in written
    assert PASSWORD.replace("&", "&amp;").encode() not in written
    assert b"[redacted:github-token#1]" in written
    ok(leaky("export", "--all", "--to", form, "-o", tmp_path / "allowed", "--allow-secrets"))
    assert GITHUB.encode() in b"".join(files(tmp_path / "allowed").values())


def test_the_secrets_command_lists_links_and_nothing_else(leaky: Program) -> None:
    result = ok(leaky("secrets"))
    assert GITHUB not in result.out + result.err
    assert PASSWORD not in result.out + result.err
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["github-token", "native:a#m1"],
        ["github-token", "native:b#m1"],
        ["password", "native:b#m1"],
    ]
    assert "2 secrets at 3 places in 2 sessions; looked through 3 sessions" in result.err
    told = ok(leaky("secrets", "native:a", "--json")).json
    assert [(one["kind"], one["link"], one["placeholder"]) for one in told] == [
        ("github-token", "native:a#m1", "[redacted:github-token#1]")
    ]
    assert ok(leaky("secrets", "native:c", "--json")).json == []
    assert ok(leaky("show", told[0]["link"])).code == 0


def test_the_original_is_not_changed(leaky: Program) -> None:
    assert GITHUB in ok(leaky("show", "native:a")).out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("answer", "code"), [("", 2), ("s", 2), ("r", 0), ("a", 0)])
def test_a_terminal_is_asked(leaky: Program, tmp_path: Path, answer: str, code: int) -> None:
    import pty

    main, terminal = pty.openpty()
    place = tmp_path / "out.md"
    started = subprocess.Popen(
        leaky.command("export", "native:a", "-o", place),
        cwd=leaky.cwd,
        env=leaky.environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = b""
    while b"or stop (s)?" not in said:
        said += os.read(main, 4096)
    os.write(main, f"{answer}\n".encode())
    assert started.wait(30) == code
    os.close(main)
    assert GITHUB.encode() not in said
    written = place.read_text() if place.exists() else ""
    assert (GITHUB in written, "[redacted:" in written) == (answer == "a", answer == "r")

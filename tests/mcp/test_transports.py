"""Both transports, driven by the official client and by hand: whatever comes, the server answers and goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import stdio_client

from sessionstore.cli.mcp_commands import CLIENTS
from sessionstore.mcp_server import clients
from sessionstore.store import Store
from tests.cli.running import Program, ok, says
from tests.mcp.conftest import LONG
from tests.mcp.serving import MODES, SLOW, connected, environment, error, http, run, stdio

TRANSPORTS = ("stdio", "http")
READING = {
    "search_sessions",
    "list_sessions",
    "find_similar_sessions",
    "session_stats",
    "read_session",
    "read_message",
}
WRITING = {"append_messages", "annotate_session", "chat", "kimi_chat", "quick_gpt", "analyze_with_gemini"}
TOKEN = "0123456789abcdef-token"

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_mode = pytest.mark.parametrize("mode", MODES)


@each_transport
@each_mode
def test_a_client_searches_reads_and_is_refused(archive: Path, transport: str, mode: str) -> None:
    async def test() -> None:
        async with connected(transport, archive, mode=mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == READING
            found = await client.call_tool("search_sessions", {"query": "tide", "limit": 3})
            assert found.structured_content is not None
            assert found.structured_content["sessions"]
            assert "limit" in error(await client.call_tool("search_sessions", {"query": "x", "limit": -1}))
            assert "Unknown tool" in error(await client.call_tool("append_messages", {"messages": []}))
            listed = (await client.list_resources()).resources
            assert len(listed) == 28
            for resource in listed:
                (content,) = (await client.read_resource(resource.uri)).contents
                assert content.text.startswith("> Archived conversation data, quoted.")
                assert len(content.text) < 201_000
            with pytest.raises(MCPError, match="nobody"):
                await client.read_resource("session://nobody")

    run(test)


@each_transport
def test_writing_is_offered_only_when_asked_for(own: Path, transport: str) -> None:
    async def test() -> dict[str, Any]:
        async with connected(transport, own, "--write") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert tools.keys() == READING | WRITING
            assert all(tools[name].annotations.read_only_hint for name in READING)
            assert not any(tools[name].annotations.read_only_hint for name in tools.keys() - READING)
            made = await client.call_tool("append_messages", {"messages": [{"role": "user", "text": "kept"}]})
            return dict(made.structured_content or {})

    made = run(test)
    (head,) = Store(own).heads(made["key"])
    assert [message["id"] for message in Store(own).messages(head)] == made["ids"]


def test_resources_are_messages_too_and_their_names_are_completed(archive: Path) -> None:
    async def test() -> None:
        async with connected("stdio", archive) as client:
            (content,) = (await client.read_resource("session://native%3Along/m2")).contents
            assert 200_000 < len(content.text) < 201_000
            assert content.text.endswith("[cut; the tool read_message gives the rest]")
            (template, _) = (await client.list_resource_templates()).resource_templates
            from mcp_types import ResourceTemplateReference

            reference = ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
            done = await client.complete(reference, {"name": "session", "value": "native:l"})
            assert done.completion.values == ["native:long"]

    run(test)


@each_transport
@each_mode
def test_a_cancelled_question_stops_and_the_server_goes_on(archive: Path, transport: str, mode: str) -> None:
    """The question counts for ever in SQLite: that it ends shows that it was interrupted."""

    async def cancelled(client: Client) -> None:
        with anyio.move_on_after(1.5) as scope:
            await client.call_tool("session_stats", {})
        assert scope.cancelled_caught
        found = await client.call_tool("list_sessions", {"limit": 1})
        assert not found.is_error

    async def over_http() -> None:
        with http(archive, "600", slow=True) as (url, process):
            async with Client(url, mode=mode) as client:
                await cancelled(client)
            assert [process.stderr.readline() for _ in range(2)] == ["sessionstore: begun\n", "sessionstore: ended\n"]

    async def over_stdio() -> None:
        parameters = stdio(archive, "600", "stdio", program=("-c", SLOW))
        read, write = os.pipe()
        with os.fdopen(write, "w") as log, os.fdopen(read) as told:
            async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
                await cancelled(client)
            log.close()
            assert told.read().splitlines() == ["sessionstore: begun", "sessionstore: ended"]

    run(over_http if transport == "http" else over_stdio)


def test_a_question_that_takes_too_long_is_answered_so(archive: Path) -> None:
    async def test() -> str:
        async with Client(stdio(archive, "0.5", "stdio", program=("-c", SLOW))) as client:
            return error(await client.call_tool("session_stats", {}))

    assert "takes longer than 0.5 seconds" in run(test)


def test_questions_are_answered_beside_each_other(archive: Path) -> None:
    async def test() -> None:
        async with connected("http", archive) as client, anyio.create_task_group() as group:

            async def ask(number: int) -> None:
                found = await client.call_tool("search_sessions", {"query": f'"turn {number} of"'})
                assert found.structured_content is not None
                assert found.structured_content["sessions"][0]["hits"][0]["message"] == f"m{number}"

            for number in range(100, 140):
                group.start_soon(ask, number)

    run(test)


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
HUNG_UP = 0
"""Instead of a status: the server has closed the connection in the middle of the request."""
JUNK = [
    b"not json\n",
    b"{\n",
    b"[]\n",
    b"null\n",
    b"\xff\xfe\x00\n",
    b'{"jsonrpc":"2.0","id":2}\n',
    b'{"jsonrpc":"1.0","id":3,"method":"tools/list"}\n',
    b'{"jsonrpc":"2.0","id":4,"method":"tools/call","params":[]}\n',
    b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":7}}\n',
    b'{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"read_session","arguments":"x"}}\n',
    b'{"jsonrpc":"2.0","id":7,"method":"no/such","params":{}}\n',
    b'{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"search_sessions",'
    b'"arguments":{"query":"\\ud800"}}}\n',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody"}}\n',
    b"[" * 100_000 + b"\n",
    b'{"jsonrpc":"2.0","id":9,"method":"resources/read","params":{"uri":"session://%00"}}\n',
    b'{"jsonrpc":"2.0","id":10,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}\n',
    b'{"jsonrpc":"2.0","id":11,"method":"resources/read","params":{"uri":"session://..%2F..%2Fetc%2Fpasswd"}}\n',
]


def test_whatever_comes_on_stdin_stdout_holds_messages_only_and_the_server_goes_on(archive: Path) -> None:
    command = [sys.executable, "-m", "sessionstore", "mcp", "--store", str(archive)]
    last = {"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": {"name": "list_sessions", "arguments": {}}}
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    sent = b"".join([_line(HELLO), _line(begun), *JUNK, _line(last)])
    process = subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(sent)
        process.stdin.flush()
        answers = {}
        while not {5, 6, 7, 9, 10, 11, 99} <= answers.keys():
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
        assert answers[99]["result"]["structuredContent"]["sessions"]
        for number in (5, 6, 7, 9, 10, 11):
            assert "error" in answers[number], number  # what is no message at all gets no answer
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read().decode()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def ask(url: str, data: bytes = b"", **headers: str) -> tuple[int, str]:
    """The status and the text of one HTTP request."""
    standard = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data or _line(HELLO), {**standard, **named}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            try:
                return refused.code, refused.read().decode()
            except ConnectionResetError:
                return HUNG_UP, ""
    except urllib.error.URLError as refused:
        assert isinstance(refused.reason, BrokenPipeError | ConnectionResetError)
        return HUNG_UP, ""


def test_only_known_names_of_the_machine_are_answered(archive: Path) -> None:
    with http(archive) as (url, _):
        port = re.search(r":(\d+)/", url)
        assert port
        assert url.startswith("http://127.0.0.1:")
        for host in (f"127.0.0.1:{port[1]}", f"localhost:{port[1]}", f"[::1]:{port[1]}"):
            assert ask(url, Host=host)[0] == 200
            assert ask(url, Host=host, Origin=f"http://{host}")[0] == 200
        for host in ("evil.example", f"evil.example:{port[1]}", "127.0.0.1:1", f"127.0.0.1.evil.example:{port[1]}"):
            assert ask(url, Host=host)[0] == 421, host
        for origin in ("http://evil.example", "null", f"http://localhost.evil.example:{port[1]}"):
            assert ask(url, Origin=origin)[0] == 403, origin


def test_a_further_name_is_answered_when_it_is_allowed(archive: Path) -> None:
    with http(archive, "--allow-host", "box.example", "--allow-host", "proxy.example:443") as (url, _):
        port = url.rpartition(":")[2].partition("/")[0]
        assert ask(url, Host=f"box.example:{port}")[0] == 200
        assert ask(url, Host="proxy.example:443")[0] == 200
        assert ask(url, Host="proxy.example:1")[0] == 421


def test_malformed_requests_are_refused_and_the_server_goes_on(archive: Path) -> None:
    with http(archive) as (url, process):
        for junk in JUNK:
            status, _ = ask(url, junk)
            assert 200 <= status < 500, junk[:80]
        assert ask(url, b"x" * (2 << 20))[0] in (413, HUNG_UP)
        assert ask(url, Content_Type="text/plain")[0] == 400
        assert ask(url.replace("/mcp", "/other"))[0] == 404
        assert ask(url)[0] == 200
        assert process.poll() is None


def test_a_token_is_asked_for_when_there_is_one(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with http(archive, token=tmp_path / "token") as (url, _):
        assert ask(url)[0] == 401
        assert ask(url, Authorization="Bearer wrong")[0] == 401
        assert ask(url, Authorization=f"Basic {TOKEN}")[0] == 401
        assert ask(url, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_long_message_is_as_small_over_the_wire_as_asked_for(archive: Path) -> None:
    with http(archive) as (url, _):
        call = {"name": "read_message", "arguments": {"session": "native:long", "message": "m2", "characters": 60_000}}
        headers = {"MCP_Protocol_Version": "2025-06-18"}
        request = urllib.request.Request(
            url,
            _line(HELLO),
            {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            headers["Mcp_Session_Id"] = response.headers["mcp-session-id"]
        ask(url, _line({"jsonrpc": "2.0", "method": "notifications/initialized"}), **headers)
        began = time.monotonic()
        status, text = ask(url, _line({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}), **headers)
        assert status == 200
        assert len(text) < 130_000 < LONG
        assert time.monotonic() - began < 10


def test_the_program_says_in_one_line_what_stops_it(program: Program, archive: Path, tmp_path: Path) -> None:
    says(program("mcp"), 2, "no store at")
    program.store = archive
    says(program("mcp", "--http", "--host", "0.0.0.0"), 2, "reachable from other machines; give a token")
    says(program("mcp", "--http", "--token-file", tmp_path / "nothing"), 6, "cannot read")
    (tmp_path / "token").write_text("short")
    says(program("mcp", "--http", "--token-file", tmp_path / "token"), 2, "a token is one line of 16 or more")
    (tmp_path / "token").write_text(TOKEN)
    host = ("--host", "0.0.0.0", "--token-file", tmp_path / "token")
    says(program("mcp", "--http", *host), 2, "--allow-host")
    says(program("mcp", "--token-file", tmp_path / "token"), 2, "belong to --http")
    says(program("mcp", "--http", "--host", "198.51.100.1", "--allow-host", "x", *host[2:]), 2, "cannot listen")
    with http(archive) as (url, _):
        port = url.rpartition(":")[2].partition("/")[0]
        says(program("mcp", "--http", "--port", port), 2, f"cannot listen on 127.0.0.1 port {port}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@each_transport
def test_ctrl_c_ends_it_at_once_and_silently(archive: Path, transport: str) -> None:
    import pty

    controlling, terminal = pty.openpty()
    options = ["--http", "--port", "0"] if transport == "http" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "sessionstore", "mcp", "--store", str(archive), *options],
        env=environment(),
        stdin=terminal,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        assert b"Ctrl-C ends" in process.stderr.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (out, err) == (b"", b"")
        assert process.returncode == (0 if transport == "http" else -signal.SIGINT)
    finally:
        process.kill()
        process.wait()
        os.close(controlling)
        os.close(terminal)


def test_without_the_sdk_the_program_says_how_to_get_it(program: Program, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name.startswith('mcp') else real(name, *a)\n"
    )
    program.store = archive
    program.env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    says(program("mcp"), 2, "pip install 'sessionstore[mcp]'")


# -- the configuration of clients ----------------------------------------------------------------------------------


def test_the_command_knows_every_client() -> None:
    assert tuple(clients.CLIENTS) == CLIENTS


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_printed_for_a_client_starts_the_server(program: Program, archive: Path, name: str) -> None:
    """What stands there is read as the client reads it, and then really connected to."""
    program.store = archive
    told = ok(program("mcp", "--install", name, "--write")).out
    command = _command(name, told)
    assert command[1:] == ["-P", "-m", "sessionstore", "mcp", "--store", str(archive), "--write"]

    async def test() -> int:
        parameters = stdio(archive).model_copy(update={"command": command[0], "args": command[1:]})
        async with Client(parameters) as client:
            return len((await client.list_tools()).tools)

    if name == "codex":
        assert run(test) == len(READING | WRITING)


def test_a_hostile_directory_is_not_imported_from(program: Program, archive: Path) -> None:
    """A client starts servers in whatever directory it works on."""
    program.store = archive
    command = _command("codex", ok(program("mcp", "--install", "codex")).out)
    for name in ("sessionstore", "click", "json"):
        (program.cwd / f"{name}.py").write_text("print('imported')\nraise SystemExit(7)\n")
    ended = subprocess.run(
        command, cwd=program.cwd, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, b"")


def _command(name: str, told: str) -> list[str]:
    if name == "claude-code":
        import shlex

        words = shlex.split(told)
        assert words[:6] == ["claude", "mcp", "add", "--scope", "user", "sessionstore"]
        return words[words.index("--") + 1 :]
    if name == "codex":
        import tomllib

        entry = tomllib.loads(told)["mcp_servers"]["sessionstore"]
    else:
        outer = "servers" if name == "vscode" else "mcpServers"
        entry = json.loads(told)[outer]["sessionstore"]
    return [entry["command"], *entry["args"]]


def test_the_configuration_for_a_running_server_names_its_address(program: Program, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    told = ok(program("mcp", "--install", "--http", "--port", "9000", "--token-file", tmp_path / "token")).out
    assert told.count("http://127.0.0.1:9000/mcp") == 5
    assert TOKEN not in told
    assert all(client.title in told for client in clients.CLIENTS.values())

"""Writes the fixtures of the formats of coding agents that are text: pi, Copilot CLI, Cline and Cline's SDK. What is
made below the given directory is named as the formats are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START = 1_770_000_000_000
WHERE = "/home/ann/shelf-app"
TIME = "2026-02-02T02:40:0{}.000Z"


def lines(path: Path, records: list[Any]) -> None:
    """Write one record a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def document(path: Path, value: Any) -> None:
    """Write one document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))


def entry(kind: str, number: int, parent: int | None, **fields: Any) -> dict[str, Any]:
    """An entry of pi's log, with an id unless the parent is 0."""
    ids = {} if parent == 0 else {"id": f"e{number}", "parentId": None if parent is None else f"e{parent}"}
    return {"type": kind, **ids, "timestamp": TIME.format(number % 10), **fields}


def pi(place: Path) -> None:
    """A tree of version 3, a list of version 1, and a log of OpenClaw."""
    cost = {"input": 0.001, "output": 0.002, "total": 0.003}
    usage = {"input": 2, "output": 30, "cacheRead": 100, "cacheWrite": 10, "totalTokens": 142, "cost": cost}
    thinking = {"type": "thinking", "thinking": "Count.", "thinkingSignature": "c2ln"}
    call = {"type": "toolCall", "id": "t1", "name": "bash", "arguments": {"command": "wc"}}
    picture = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    said = {"role": "assistant", "api": "messages", "provider": "anthropic", "model": "large-1"}
    result = {"role": "toolResult", "toolCallId": "t1", "toolName": "bash", "isError": True}
    asked = {"role": "user", "content": [{"type": "text", "text": "How many books? 书"}, picture]}
    ran = {"role": "bashExecution", "command": "ls", "output": "shelf.txt", "exitCode": 0}
    header = {"type": "session", "version": 3, "id": "pi-1", "timestamp": TIME.format(0), "cwd": WHERE}
    sessions = place / ".pi" / "agent" / "sessions" / "--home-ann-shelf-app--"
    text = [{"type": "text", "text": "two"}]
    lines(
        sessions / "2026-02-02T02-40-00-000Z_pi-1.jsonl",
        [
            header,
            entry("model_change", 1, None, provider="anthropic", modelId="large-1"),
            entry("thinking_level_change", 2, 1, thinkingLevel="high"),
            entry("message", 3, 2, message={**asked, "timestamp": START + 3000}),
            entry(
                "message", 4, 3, message={**said, "content": [thinking, call], "usage": usage, "stopReason": "toolUse"}
            ),
            entry("message", 5, 4, message={**result, "content": text}),
            entry("message", 6, 4, message={**result, "content": "three", "isError": False, "timestamp": START}),
            entry("message", 7, 6, message=ran),
            entry("compaction", 8, 7, summary="Books were counted.", firstKeptEntryId="e3", tokensBefore=9),
            entry("branch_summary", 9, 8, fromId="e5", summary="Another count."),
            entry("custom_message", 10, 9, customType="x", content="Be brief.", display=False),
            entry("custom", 11, 10, customType="ui", data={"a": 1}),
            entry("session_info", 12, 11, name="Books"),
            entry("message", 13, 99, message={**said, "content": [{"type": "text", "text": "Two."}], "usage": usage}),
            entry("hologram", 14, 13),
        ],
    )
    old = {key: value for key, value in header.items() if key != "version"} | {"id": "pi-2", "thinkingLevel": "off"}
    old["branchedFrom"] = "/home/ann/.pi/agent/sessions/--home-ann--/2026-02-02T02-40-00-000Z_pi-1.jsonl"
    lines(
        sessions / "2026-02-02T02-41-00-000Z_pi-2.jsonl",
        [
            old,
            entry("message", 1, 0, message={"role": "user", "content": "How many lamps?"}),
            entry("message", 2, 0, message={**said, "content": [], "stopReason": "aborted", "errorMessage": "stopped"}),
        ],
    )
    claw = {**header, "id": "claw-1"}
    lines(
        place / ".openclaw" / "agents" / "main" / "sessions" / "claw-1.jsonl",
        [
            claw,
            {**entry("message", 1, None, message={"role": "user", "content": text}), "parentId": "claw-1"},
            entry("message", 2, 1, message={"role": "assistant", "content": [call]}),
            {**entry("message", 3, 2, message={**result, "content": "two\n"}), "parentId": "t1"},
        ],
    )


def event(kind: str, number: int, parent: int | None, **data: Any) -> dict[str, Any]:
    """An event of Copilot CLI."""
    above = None if parent is None else f"v{parent}"
    return {"type": kind, "data": data, "id": f"v{number}", "timestamp": TIME.format(number % 10), "parentId": above}


def copilot(place: Path) -> None:
    """A session with all there is, and one of an early version."""
    context = {"cwd": WHERE, "branch": "main", "headCommit": "abc", "repository": "ann/shelf", "gitRoot": WHERE}
    start = {"sessionId": "c-1", "version": 1, "startTime": TIME.format(0), "context": context}
    call = {"toolCallId": "t1", "name": "bash", "arguments": {"command": "wc"}, "type": "function"}
    usage = {"inputTokens": 1000, "outputTokens": 50, "cacheReadTokens": 800, "cacheWriteTokens": 0}
    picture = {"type": "file", "path": "/home/ann/a.png", "displayName": "a.png"}
    seen = {"content": "How many books? 书", "transformedContent": "<now/> How many books? 书"}
    lines(
        place / ".copilot" / "session-state" / "c-1" / "events.jsonl",
        [
            event("session.start", 0, None, **start),
            event("session.model_change", 1, 0, newModel="large-1"),
            event("system.message", 2, 1, content="Be brief."),
            event("user.message", 3, 2, **seen, attachments=[picture]),
            event("assistant.turn_start", 4, 3, turnId="0"),
            event(
                "assistant.message",
                5,
                4,
                messageId="m",
                content="Counting.",
                toolRequests=[call],
                outputTokens=12,
                reasoningText="Count.",
                reasoningOpaque="b3A=",
                model="large-1",
            ),
            event("tool.execution_start", 6, 5, toolCallId="t1", toolName="bash"),
            event("tool.execution_complete", 7, 5, toolCallId="t1", success=False, result={"content": "2\n"}),
            event("assistant.message", 8, 7, content="Sub.", toolRequests=[], parentToolCallId="t1"),
            event("session.error", 9, 8, errorType="query", message="too busy"),
            event("assistant.message", 10, 9, content="Two.", toolRequests=[], outputTokens=8),
            event("session.compaction_complete", 11, 10, summaryContent="Books were counted."),
            event("session.shutdown", 12, 11, modelMetrics={"large-1": {"usage": usage}}),
            event("session.resume", 13, 12, eventCount=12),
            event("hologram", 14, 13, of="a book"),
        ],
    )
    lines(
        place / ".copilot" / "session-state" / "c-0.jsonl",
        [
            {"session_id": "c-0", "cwd": WHERE, "type": "userpromptsubmitted", "prompt": "Hello", "timestamp": START},
            {"session_id": "c-0", "type": "assistantresponse", "result": "Hi.", "timestamp": START + 1},
        ],
    )


def cline_sdk(place: Path) -> None:
    """A session with a shortened copy."""
    sessions = place / ".cline" / "data" / "sessions" / "1770000000000_abcde"
    envelope = {"version": 1, "updated_at": TIME.format(9), "agent": "lead", "sessionId": "1770000000000_abcde"}
    envelope["system_prompt"] = "You are helpful."
    model = {"id": "large-1", "provider": "anthropic", "family": "large"}
    metrics = {"inputTokens": 112, "outputTokens": 30, "cacheReadTokens": 100, "cacheWriteTokens": 10, "cost": 0.0125}
    text = {"type": "text", "text": "How many books? 书"}
    call = {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "shelf.txt"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "2"}], "name": "read"}
    file = {"type": "file", "path": "/home/ann/shelf.txt", "content": "two"}
    said = {"role": "assistant", "modelInfo": model, "metrics": metrics}
    last = {"id": "c4", **said, "ts": START + 4, "content": [{"type": "text", "text": "Two."}]}
    messages = [
        {"id": "c1", "role": "user", "content": [text, file], "ts": START + 1},
        {"id": "c2", **said, "ts": START + 2, "content": [{"type": "thinking", "thinking": "Read."}, call]},
        {"id": "c3", "role": "user", "content": [result], "ts": START + 3},
        last,
    ]
    document(sessions / "1770000000000_abcde.messages.json", {**envelope, "messages": messages})
    about = {"kind": "compaction_summary", "summary": "Books were counted.", "tokensBefore": 9}
    summary = {"role": "user", "content": [{"type": "text", "text": "Books were counted."}], "metadata": about}
    changed = {**messages[0], "content": [text], "id": "c1"}
    document(sessions / "basic.compaction.json", {**envelope, "messages": [summary, changed, last]})
    fork = {"forkedFromSessionId": "1760000000000_zzzzz", "forkedAt": TIME.format(0)}
    session = {"version": 1, "session_id": envelope["sessionId"], "started_at": TIME.format(0), "cwd": WHERE}
    document(sessions / "session.json", {**session, "metadata": {"title": "Books", "fork": fork}, "messages_path": "x"})


def row(at: int, index: int, **fields: Any) -> dict[str, Any]:
    """A row of what Cline showed."""
    kind = "say" if "say" in fields else "ask"
    return {"ts": START + at, "type": kind, "conversationHistoryIndex": index, **fields}


def cline(place: Path) -> None:
    """A task with its history, and one without."""
    tasks = place / ".config" / "Code" / "User" / "globalStorage" / "saoudrizwan.claude-dev" / "tasks"
    figures = {"request": "…", "tokensIn": 2, "tokensOut": 30, "cacheWrites": 10, "cacheReads": 100, "cost": 0.0125}
    model = {"providerId": "anthropic", "modelId": "large-1", "mode": "act"}
    rows = [
        row(0, -1, say="task", text="How many books? 书", images=["data:image/png;base64,iVBORw0KGgo="]),
        row(1, -1, say="api_req_started", text=json.dumps(figures), modelInfo=model),
        row(2, 0, say="text", text="Counting.", partial=False),
        row(2, 0, say="tool", text='{"tool":"readFile"}'),
        row(3, 1, say="checkpoint_created", lastCheckpointHash="abc"),
        row(4, 1, say="api_req_started", text='{"tokensIn": 5, "tokensOut": 1}', modelInfo=model),
        row(5, 2, say="completion_result", text="Two."),
        row(6, 3, say="error", text="too busy"),
        row(7, 3, ask="completion_result", text=""),
    ]
    call = {"type": "tool_use", "id": "t1", "name": "read_file", "input": {"path": "shelf.txt"}}
    history = [
        {"role": "user", "content": [{"type": "text", "text": "<task>How many books? 书</task>"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Counting."}, call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "2"}], "ts": START + 3},
        {"role": "assistant", "content": "Two."},
    ]
    document(tasks / "1770000000000" / "ui_messages.json", rows)
    document(tasks / "1770000000000" / "api_conversation_history.json", history)
    item = {"id": "1770000000000", "ts": START, "task": "How many books?", "cwdOnTaskInitialization": WHERE}
    document(tasks / "1770000000000" / "history_item.json", item | {"parentTaskId": "1760000000000"})
    document(tasks / "1770000000001" / "ui_messages.json", rows)


def make(target: Path) -> None:
    """Write the fixtures below a directory, each format's in a directory of its name."""
    pi(target / "pi")
    copilot(target / "copilot-cli")
    cline_sdk(target / "cline-sdk")
    cline(target / "cline")

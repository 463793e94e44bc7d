"""A program that answers as `claude -p` does, for tests: it remembers each session in a file beside it.

A resumed session gets a new id, as older releases do it; with FAKE_CLAUDE=present it keeps its own, as new ones do."""

import json
import os
import sys
import time
import uuid
from pathlib import Path

arguments, said = sys.argv[1:], sys.stdin.read()
home = Path(__file__).with_name("sessions")
if "break" in said:
    print("Invalid API key · sk-ant-0123456789abcdef", file=sys.stderr)
    sys.exit(1)
resumed = arguments[arguments.index("--resume") + 1] if "--resume" in arguments else None
if resumed is not None and not (home / resumed).exists():
    print(f"No conversation found with session ID: {resumed}", file=sys.stderr)
    sys.exit(1)
if "garbage" in said:
    print('{"type": "result", "resu')
    sys.exit(0)
style = os.environ.get("FAKE_CLAUDE", "")
ident = str(uuid.uuid4())
if "--session-id" in arguments and style != "old":
    ident = arguments[arguments.index("--session-id") + 1]
if resumed is not None and style == "present":
    ident = resumed
heard = [*(json.loads((home / resumed).read_text()) if resumed else []), said]
home.mkdir(exist_ok=True)
(home / ident).write_text(json.dumps(heard))
text = f"I have heard {len(heard)} times: {said[-40:]}"
result = {
    "type": "result",
    "subtype": "success",
    "is_error": "refuse" in said,
    "result": text,
    "session_id": ident,
    "total_cost_usd": 0.0123456,
    "duration_ms": 12,
    "num_turns": 1,
    "usage": {"input_tokens": 4, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 6, "output_tokens": 7},
    "modelUsage": {"claude-opus-4-6": {"inputTokens": 4}},
    "arguments": arguments,
    "directory": os.getcwd(),
    "environment": {name: value for name, value in os.environ.items() if name.startswith(("FAKE_", "CLAUDECODE"))},
}
if "fail: " in said:
    result |= {"is_error": True, "result": said.partition("fail: ")[2].strip()}
if "stream-json" not in arguments:
    print(json.dumps(result))
    sys.exit(0)
print(json.dumps({"type": "system", "subtype": "init", "session_id": ident, "model": "claude-opus-4-6"}), flush=True)
if "tool" in said:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.txt"}}
    done = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "hello"}
    for role, block in (("assistant", call), ("user", done)):
        message = {"id": "msg_0", "role": role, "content": [block]}
        print(json.dumps({"type": role, "session_id": ident, "message": message}), flush=True)
    progress = {"type": "system", "subtype": "thinking_tokens", "session_id": ident}
    print(json.dumps(progress), flush=True)
begun = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-opus-4-6"}
told = [
    {"type": "message_start", "message": begun},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word + " "}}
        for word in text.split()
    ),
]
for event in told:
    print(json.dumps({"type": "stream_event", "session_id": ident, "event": event}), flush=True)
if "die" in said:
    sys.exit(3)
if "hang" in said:
    time.sleep(30)
print(json.dumps(result))

"""A program written for llm-mcp-server's session manager; only its import was changed.

python unified_sessions.py          prints what it saw, as JSON, one line a step
"""

import json
import threading

from sessionstore.compat.llm_sessions import FeatureFlags, SessionManager


def show(step, value):
    print(json.dumps([step, value], ensure_ascii=False, sort_keys=True))


manager = SessionManager()
session = manager.create_session(
    "gpt-4.1-mini", system_prompt="Be brief.", metadata={"tags": ["review"], "customer": 7}
)
sid = session["id"]
show("id", [sid.startswith("unified_"), len(sid.split("_"))])
manager.add_message(sid, "user", "héllo 😀")
answer = {"timestamp": 1752394535.2, "tokens": {"input": 9, "output": 2, "total": 11}, "cost": 3.6e-05}
session = manager.add_message(sid, "assistant", "Hi.", {**answer, "finish_reason": "stop", "model": "gpt-4.1-mini"})
show("roles", [message["role"] for message in session["messages"]])
show("answer", session["messages"][-1])
session = manager.switch_model(sid, "gemini-2.5-pro", reason="second opinion")
show("model", [session["model"], session["models_used"], session["messages"][-1]["content"]])
show("switch", {k: v for k, v in session["metadata"]["model_switches"][0].items() if k != "timestamp"})
session = manager.switch_model(sid, "gpt-4.1-mini")
show("back", [manager.load_session(sid)["model"], session["messages"][-1]["content"]])
session["metadata"]["customer"] = 8
session["messages"].append(
    {"role": "user", "content": "by hand", "timestamp": "2025-07-13T10:15:30.120977", "mine": [1]}
)
manager.save_session(session)
loaded = manager.load_session(sid)
show(
    "saved",
    [loaded == session | {"updated_at": loaded["updated_at"]}, loaded["messages"][-1], loaded["metadata"]["customer"]],
)
loaded["messages"].clear()
show("a copy", len(manager.load_session(sid)["messages"]))
threads = [threading.Thread(target=manager.add_message, args=(sid, "user", f"from {n}")) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
show("threads", len(manager.load_session(sid)["messages"]))
for n in range(3):
    manager.create_session("kimi-k2", session_id=f"kimi-{n}")
show("list", [one["id"] for one in manager.list_sessions(model="kimi-k2", limit=2)])
show("page", [one["id"] for one in manager.list_sessions(model="kimi-k2", limit=2, offset=2)])
show("tag", [sorted(one) for one in manager.list_sessions(tag="review")])
show("deleted", [manager.delete_session("kimi-1"), manager.delete_session("kimi-1"), manager.load_session("kimi-1")])
try:
    manager.add_message("nobody", "user", "hi")
except ValueError as error:
    show("missing", str(error))
show("flags", FeatureFlags.get_active_features())

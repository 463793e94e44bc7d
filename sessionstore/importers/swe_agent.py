"""SWE-agent: the trajectories of runs of Princeton's software agent.

Where: `trajectories/<user>/<run>/<instance>/<instance>.traj` below the directory it was started in; as data sets
anywhere, so no place is looked at unless it is named.

How it is recognised: a document with a `history` whose messages have an `agent`, mostly with `trajectory` beside it.

What the records are and how they map: the envelope, each message of the history and each step of the trajectory. The
history is chat messages in OpenAI's dialect; messages of the demonstration are of kind `context`; `tool_call_ids` says
which call a result belongs to. A step tells of one answer once more: what it has beyond that (time, state, the bare
observation where the next message does not hold it) goes to `x["step"]` of that answer; its copy of the whole request
(`query`) stays in the original only. Steps without an answer in the history are kept verbatim. What a run has produced
and cost (`info`) is a last message of kind `meta`; its prices are the program's own, so `estimated`.

A run is named by its file and its beginning, because every run of an instance has a file of the same name. Without a
history its steps are the messages.

What it loses: times, the model of each message, and what each answer has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

from sessionstore import canonical
from sessionstore.importers import openai_chat
from sessionstore.importers.agent_lines import Record, count, said, tell, with_rest
from sessionstore.importers.base import Draft, Head, Importer, Machine, Message, Place, Source
from sessionstore.importers.claude_code_parts import micro_dollars
from sessionstore.importers.common import stem, title_line
from sessionstore.importers.exports import meta
from sessionstore.importers.parsing import Unparsable


class SweAgent(Importer):
    """Reader of SWE-agent's trajectories."""

    source: ClassVar[str] = "swe-agent"
    title: ClassVar[str] = "SWE-agent"
    versions: ClassVar[str] = "trajectories of all versions"
    suffixes: ClassVar[tuple[str, ...]] = (".traj",)
    by_line: ClassVar[bool] = False

    def places(self, machine: Machine) -> Iterable[Place]:
        """No place of its own: read where it is named."""
        return ()

    def recognise(self, head: Head) -> bool:
        """A document with a history of an agent's messages, or with a trajectory of steps."""
        if head.keys.isdisjoint(("history", "trajectory")):
            return False
        document = head.document
        if not isinstance(document, dict):
            return False
        history, steps = document.get("history"), document.get("trajectory")
        if isinstance(history, list) and history:
            return all(isinstance(one, dict) and "role" in one for one in history) and "agent" in history[0]
        return isinstance(steps, list) and bool(steps) and all(map(_is_step, steps))

    def read(self, source: Source) -> Iterator[tuple[Draft, Message]]:
        """The messages of the run. Raises `Unparsable` when the document has none."""
        document = source.document()
        if not isinstance(document, dict):
            raise Unparsable("not a JSON object")
        history, steps = document.get("history"), document.get("trajectory")
        if not isinstance(history, list) and not isinstance(steps, list):
            raise Unparsable("neither a history nor a trajectory")
        history, steps = (one if isinstance(one, list) else [] for one in (history, steps))
        draft = source.draft(_id_of(source.name, history or steps))
        source.account.records += 1 + len(history) + len(steps)
        source.mapped()
        rest = said(document, *(("history",) if history else ()), *(("trajectory",) if steps else ()), "info")
        draft.title = _title(rest) or stem(source.name) or None
        openai_chat.keep_rest(draft, rest)
        messages = chain(_told(source, history, steps), _outcome(document.get("info")))
        for number, message in enumerate(messages, 1):
            yield draft, {"id": f"m{number}"} | message


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and {"action", "observation"} <= step.keys()


def _id_of(name: str, records: list[Any]) -> str:
    """A run's name: its file's, and what tells of everything up to its first own answer."""
    length = next((number for number, record in enumerate(records, 1) if _is_answer(record)), len(records))
    return f"{stem(name) or 'run'}-{canonical.digest(canonical.dumps(records[:length]))[:8]}"


def _is_answer(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and ("role" not in record or record["role"] == "assistant")
        and not record.get("is_demo")
    )


def _title(rest: Record) -> str | None:
    """The first line of the task, where the file has it."""
    place: Any = rest
    for name in ("replay_config", "problem_statement", "text"):
        place = place.get(name) if isinstance(place, dict) else None
    return title_line(place) or None if isinstance(place, str) else None


def _told(source: Source, history: list[Any], steps: list[Any]) -> Iterator[Message]:
    """The messages of the history with what the steps add to them; then the steps that are not in it."""
    left = list(reversed(steps))
    for number, record in enumerate(history):
        message = _message(record) if isinstance(record, dict) else None
        if message is None:
            source.preserved()
            yield _kept(record)
            continue
        step = left[-1] if left and message["role"] == "assistant" and message.get("kind") is None else None
        if isinstance(step, dict) and "action" in step and step["action"] == record.get("action", step["action"]):
            left.pop()
            source.mapped()
            after = history[number + 1] if number + 1 < len(history) else None
            if more := _beyond(step, record, after):
                message.setdefault("x", {})["step"] = more
        source.mapped()
        yield message
    for step in reversed(left):
        made = list(_step(step)) if not history else [_kept(step)]
        tell(source, made[0])
        yield from made


def _kept(value: Any) -> Message:
    message = meta("", value)
    del message["id"]
    return message


def _message(record: Record) -> Message | None:
    calls = record.get("tool_call_ids")
    if isinstance(calls, list) and len(calls) == 1 and record.get("role") == "tool" and "tool_call_id" not in record:
        record = {key: value for key, value in record.items() if key != "tool_call_ids"} | {"tool_call_id": calls[0]}
    message = openai_chat.chat_message(record)
    if message is None:
        return None
    x = said(message.pop("x"))
    if x.get("thought") == record.get("content"):
        x.pop("thought", None)
    if x.get("is_demo") is True:
        message["kind"] = "context"
    return with_rest(message, x)


def _beyond(step: Record, record: Record, after: Any) -> Record:
    """What a step says that neither its answer nor the message after it says."""
    rest = said(step, "action", "query")
    for name in ("thought", "response"):
        if rest.get(name) in (record.get("thought"), record.get("content")):
            rest.pop(name, None)
    seen = after.get("content") if isinstance(after, dict) else None
    if isinstance(seen, str) and isinstance(rest.get("observation"), str) and rest["observation"] in seen:
        del rest["observation"]
    return rest


def _step(step: Any) -> Iterator[Message]:
    """The messages of a step of a file that has no history: the answer and what was seen then."""
    if not _is_step(step) or not isinstance(step.get("response"), str):
        yield _kept(step)
        return
    x = said(step, "response", "observation", "query")
    if x.get("thought") == step["response"]:
        del x["thought"]
    yield with_rest({"role": "assistant", "parts": [{"type": "text", "content": step["response"]}]}, x)
    yield {"role": "tool", "parts": [{"type": "tool_call_response", "id": "", "response": step["observation"]}]}


def _outcome(info: Any) -> Iterator[Message]:
    """What a run has produced and cost."""
    if not isinstance(info, dict) or not info:
        return
    message = _kept(info)
    stats = info.get("model_stats")
    if isinstance(stats, dict):
        usage: dict[str, Any] = {
            "input_tokens": count(stats.get("tokens_sent")),
            "output_tokens": count(stats.get("tokens_received")),
            "cost_microusd": micro_dollars(stats.get("instance_cost")),
        }
        if usage := {name: figure for name, figure in usage.items() if figure}:
            message["usage"] = usage | {"estimated": True}
    yield message

"""The unified chat core: finds or makes the session, asks the model by its adapter, and keeps both sides.

One turn, step by step, and what a kill between two steps leaves:
  1. what is said is appended to the session, durable      a session with an unanswered turn: `resume` answers it
  2. the model is asked; a failure raises                  the same
  3. the answer is appended, durable                       a whole turn
A stream that is cut off has its pieces appended as an unfinished answer (kind `error`) beside the path: the turn still
counts as unanswered, and the next answer to it is another branch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Any

from sessionstore import adapters, errors, objects, tracing
from sessionstore.adapters.base import Adapter, Ask, Delta, Message, Settings, Stream
from sessionstore.chat import incoming, parameters, running, thread
from sessionstore.chat import window as windows
from sessionstore.chat.sessions import Session, Sessions
from sessionstore.exporters.content import texts
from sessionstore.exporters.report import Report

Toolbox = running.Toolbox
Talk = tracing.Operation | tracing.Nothing
View = Callable[[list[Message]], list[Message]]
"""What of a conversation a model is told, given all of it; the session itself is never changed."""
ROUNDS = 20
"""So often a model may call tools before it has to answer."""
_log = logging.getLogger("sessionstore.chat")
_log.addHandler(logging.NullHandler())
_OPTIONS = {one.name for one in fields(Ask)} - {"model", "messages", "session"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model has answered, as it is stored."""

    session: Session
    message: Message
    notes: list[str] = field(default_factory=list)
    """What of the session could not be sent to this model, one line each."""

    @property
    def text(self) -> str:
        """What it says."""
        return "\n\n".join(texts(self.message["parts"]))

    @property
    def tool_calls(self) -> list[Message]:
        """The tools it wants to use: {"id", "name", "arguments"}."""
        return [part for part in self.message["parts"] if part["type"] == "tool_call"]

    @property
    def usage(self) -> dict[str, Any]:
        """What it has cost."""
        return dict(self.message.get("usage") or {})

    @property
    def finish(self) -> str:
        """Why it ends: "stop", "length", "tool_calls", "filter" or "other"; the provider's own word is
        `message["finish_reason"]`."""
        return "tool_calls" if self.tool_calls else thread.ending(self.message.get("finish_reason"))


class Chat:
    """Conversations with any model, kept by `sessions` (a `SessionManager`). Safe to share between threads.

    `settings` says how to reach the providers: adapter name -> `Settings`, or a function of the adapter's class.
    `window` says how a long conversation is told; None tells it whole, whatever its length. A `view` of a program's
    own, which chooses what of a conversation is told, takes its place.
    """

    def __init__(
        self,
        sessions: Sessions,
        settings: Mapping[str, Settings] | Callable[[type[Adapter]], Settings] | None = None,
        *,
        window: windows.Window | None = windows.USUAL,
        view: View | None = None,
    ) -> None:
        self.sessions, self.window, self._view = sessions, window, view
        self._settings = settings or {}
        self._adapters: dict[str, Adapter] = {}
        tracing.spans()

    def __enter__(self) -> Chat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the providers."""
        for adapter in self._adapters.values():
            adapter.close()

    def ask(
        self,
        messages: incoming.Said = (),
        model: str | None = None,
        session_id: str | None = None,
        *,
        tools: Sequence[Any] | None = None,
        toolbox: Toolbox | None = None,
        consent: bool = False,
        **options: Any,
    ) -> Answer:
        """Say something and get the answer. Without `session_id` a new session begins; one that is not there is made.
        Without `model` the session's goes on; another than that needs `consent`. `tools` are definitions in any
        provider's shape; those in the `toolbox` are run, until the model answers in words. `options` are the fields of
        `adapters.base.Ask`: max_tokens, temperature, reasoning, safety (kept for the next questions), … Raises
        `ProviderError`, `UsageError`; what was said is in the session even then."""
        turn = self.begin(messages, model, session_id, tools, consent, options)
        for _ in range(ROUNDS):
            answer = turn.answered()
            results = running.run(answer.tool_calls, toolbox, answer.session.key)
            if results is None:
                return answer
            turn.say(results)
        raise too_many_calls(turn.session.key)

    def stream(
        self,
        messages: incoming.Said = (),
        model: str | None = None,
        session_id: str | None = None,
        *,
        tools: Sequence[Any] | None = None,
        toolbox: Toolbox | None = None,
        consent: bool = False,
        **options: Any,
    ) -> Streaming:
        """Like `ask`, but the answer comes piece by piece: iterate over it. What was said is durable when this
        returns, the answer when the iteration ends."""
        return Streaming(self.begin(messages, model, session_id, tools, consent, options), toolbox)

    def resume(self, session_id: str, model: str | None = None, **options: Any) -> Answer:
        """Answer the turn of a session that has none, after a crash or an error. Raises `UsageError` when nothing
        waits for an answer."""
        return self.ask((), model, session_id, **options)

    @property
    def adapters(self) -> list[Adapter]:
        """The adapters that were used so far."""
        return list(self._adapters.values())

    def adapter(self, model: str) -> tuple[Adapter, str]:
        """The adapter for a model, and the model's name there. Raises `UnknownModel`."""
        kind, name = adapters.find(model)
        if kind.name not in self._adapters:
            given = self._settings(kind) if callable(self._settings) else self._settings.get(kind.name)
            self._adapters[kind.name] = kind(given)
        return self._adapters[kind.name], name

    def begin(
        self,
        said: incoming.Said,
        model: str | None,
        session_id: str | None,
        tools: Sequence[Any] | None,
        consent: bool,
        options: dict[str, Any],
    ) -> Turn:
        """Find or make the session and keep what is said: the first half of `ask` and `stream`."""
        system = options.pop("system", None)
        if unknown := options.keys() - _OPTIONS:
            raise errors.UsageError(reason=f"there is no option {', '.join(sorted(unknown))}; see docs/chat.md")
        given = incoming.messages(said)
        session = thread.find(self.sessions, session_id)
        wanted = model or (session.model if session else None)
        if not wanted:
            raise errors.UsageError(reason="name a model: the session has none yet")
        adapter, name = self.adapter(wanted)
        if session is None:
            told, given = incoming.split_system(given)
            if thread.unanswered(given) is None:
                raise errors.UsageError(reason="there is nothing to ask; give a prompt")
            prompt = "\n\n".join(filter(None, (system, told))) or None
            session = self.sessions.create(
                session_id, model=wanted, provider=adapter.provider, system=prompt, tools=tools
            )
            _log_step("session created", session)
        else:
            if system:
                given = [{"role": "system", "parts": [{"type": "text", "content": system}]}, *given]
            if incoming.may_repeat(given):
                given = incoming.tail(given, session.history(), session.revision.get("system") or ())
            if session.model and wanted != session.model:
                self.sessions.switch_model(session, wanted, consent=consent)
        parameters.remember(session, options)
        options = parameters.with_kept(session, wanted, options)
        given_tools = list(tools) if tools is not None else None
        turn = Turn(self.sessions, session, adapter, name, options, given_tools, self._shown)
        turn.view = self._view
        turn.say(given)
        if thread.unanswered(turn.history()) is None:
            raise errors.UsageError(reason=f"{session.key} has no turn that waits for an answer; say something")
        return turn

    def _shown(self, session: Session, model: str, history: Sequence[Message], report: Report) -> Sequence[Message]:
        if self.window is None or self._view is not None:
            return history
        return windows.shown(self.window, session, model, history, report, self.once)

    def once(self, prompt: str, model: str) -> str:
        """What a model says to one prompt; nothing of it is kept. Raises `ProviderError`."""
        adapter, name = self.adapter(model)
        said = [{"id": "prompt", **incoming.messages(prompt)[0]}]
        return "\n\n".join(texts(adapter.answer(Ask(name, said), Report())["parts"]))


class Turn:
    """One turn of a session: what was said, asked and answered."""

    def __init__(
        self,
        sessions: Sessions,
        session: Session,
        adapter: Adapter,
        model: str,
        options: dict[str, Any],
        tools: list[Any] | None,
        shown: Callable[[Session, str, Sequence[Message], Report], Sequence[Message]],
    ) -> None:
        self.sessions, self.session, self.adapter = sessions, session, adapter
        self._model, self._options, self._tools, self._shown = model, options, tools, shown
        self._asked: Message | None = None
        self._again = False
        """Whether an unfinished answer already follows what was asked."""
        self._began = 0.0
        self._read: tuple[Any, Sequence[Message]] | None = None
        self.report = Report()
        self.view: View | None = None

    def say(self, messages: Sequence[Message]) -> None:
        """Keep what is said."""
        if messages:
            self.session.append([thread.stamped(message) for message in messages])
            _log_step("said", self.session, messages=len(messages))

    def history(self) -> Sequence[Message]:
        """The session's active path as it is now; not to be changed."""
        name = self.session.revision.get("_name")
        if self._read is None or name is None or self._read[0] != name:
            self._read = name, self.session.history()
        return self._read[1]

    def answered(self) -> Answer:
        """Ask, and keep the answer."""
        ask = self.asked()
        with self.watched(ask) as talk:
            try:
                message = self.adapter.answer(ask, self.report)
            except errors.SessionstoreError as error:
                self.failed(error, talk)
                raise
            self.heard(talk, message)
        return self.keep(message)

    def keep(self, message: Message, error: BaseException | None = None) -> Answer:
        """Keep an answer, or what there is of one because of an error."""
        made = thread.stamped({"model": self._model, **message} if self._model else message)
        prefill = self._options.get("prefill")
        if prefill and error is None:
            made = thread.begun(made, prefill)
        if error is not None:
            made["x"] = {**made.get("x", {}), "unfinished": thread.told(error)}
        if self._asked is not None and self._again:
            made["parent"] = self._asked["id"]
        self.session.append([made])
        _log_step("answered" if error is None else "kept an unfinished answer", self.session, **self._facts(made))
        return Answer(self.session, made, self.report.lines)

    def asked(self) -> Ask:
        """The question to the model: the session so far, and the wishes of the caller."""
        session, history = self.session, self.history()
        asked = thread.unanswered(history)
        self._asked = history[asked] if asked is not None else None
        later = history[len(history) if asked is None else asked + 1 :]
        unfinished = [message for message in later if message["role"] == "assistant"]
        self._again = bool(unfinished)
        self.report, self._began = Report(), time.monotonic()
        seen = self._shown(session, self._model or self.adapter.name, history, self.report)
        path = thread.told_of(message for message in seen if message not in unfinished)
        if self.view is not None:
            path = self.view(path)
        about = dict(session.revision)
        about = {name: about[name] for name in ("system", "tools", "source", "models") if about.get(name)}
        if self._tools is not None:
            about["tools"] = self._tools
        _log_step("asking", session, model=self._model, provider=self.adapter.provider, messages=len(path))
        return Ask(self._model, thread.with_bytes(path, self._bytes, self.report), about, **self._options)

    def cut_off(self, error: BaseException, talk: Talk, stream: Stream | None) -> None:
        """Keep what has come of an answer, if any, and tell why there is no more."""
        if isinstance(error, errors.SessionstoreError):
            self.failed(error, talk)
        partial = stream.partial() if stream is not None else None
        if partial is not None:
            self.keep(partial, error)

    def _bytes(self, name: str) -> bytes:
        data: bytes = self.sessions.store.objects.get(name, objects.VALUE, check=True)
        return data

    def watched(self, ask: Ask, *, stream: bool = False, cpu: bool = True) -> Talk:
        """The talk with the provider, for whoever traces it; it has to be entered."""
        if not tracing.listening("provider"):
            return tracing.operation("provider", "chat")
        names = ("max_tokens", "temperature", "top_p", "stop", "reasoning")
        facts = {name: value for name in names if (value := getattr(ask, name)) not in (None, ())}
        facts |= self.adapter.place()
        return tracing.operation(
            "provider",
            "chat",
            self.session.key,
            level=tracing.INFO,
            detached=stream,
            cpu=cpu,
            model=self._model or self.adapter.name,
            provider=self.adapter.provider,
            stream=stream or None,
            messages=len(ask.messages),
            input_messages=lambda: thread.spoken(ask.messages),
            system=lambda: list(ask.session.get("system") or ()),
            **facts,
        )

    def heard(self, talk: Talk, message: Message) -> None:
        """Tell a trace what came back."""
        x = message.get("x") or {}
        talk.told(
            response_model=message.get("model"),
            response_id=x.get("response_id"),
            request_id=x.get("request_id"),
            usage=message.get("usage"),
            finish_reason=message.get("finish_reason"),
            length=sum(len(text) for text in texts(message["parts"])),
            output_messages=lambda: thread.spoken([message]),
        )

    def failed(self, error: errors.SessionstoreError, talk: Talk) -> None:
        """Tell that there is no answer."""
        if tracing.active():
            talk.told(state=getattr(self.session, "state", None), conversation=len(self.session.history()))
        facts = {"status": error.fields.get("status"), "request_id": error.fields.get("request_id")}
        _log_step(f"not answered: {error}", self.session, logging.WARNING, **facts, **self._facts({}))

    def _facts(self, message: Message) -> dict[str, Any]:
        spent = round(1000 * (time.monotonic() - self._began))
        facts = {"model": self._model, "provider": self.adapter.provider, "ms": spent}
        return facts | {"usage": message.get("usage"), "finish_reason": message.get("finish_reason")}


class Streaming:
    """An answer that comes piece by piece. Iterate over it, or take `answer`, which reads it to its end. When it is
    cut off or left, what has come is kept in the session as unfinished."""

    def __init__(self, turn: Turn, toolbox: Toolbox | None) -> None:
        self._turn, self._toolbox = turn, toolbox
        self._answer: Answer | None = None
        self._pieces: Generator[Delta, None, None] = self._read()
        self.session = turn.session

    def __iter__(self) -> Iterator[Delta]:
        return self._pieces

    def close(self) -> None:
        """Stop; what has come is kept."""
        self._pieces.close()

    @property
    def answer(self) -> Answer:
        """The whole answer. Raises what the iteration raises."""
        for _ in self._pieces:
            pass
        if self._answer is None:
            raise errors.UsageError(reason=f"{self.session.key}: the answer was not read to its end")
        return self._answer

    def _read(self) -> Generator[Delta, None, None]:
        for _ in range(ROUNDS):
            answer = yield from self._round()
            results = running.run(answer.tool_calls, self._toolbox, answer.session.key)
            if results is None:
                self._answer = answer
                return
            self._turn.say(results)
        raise too_many_calls(self.session.key)

    def _round(self) -> Generator[Delta, None, Answer]:
        turn = self._turn
        ask = turn.asked()
        with turn.watched(ask, stream=True) as talk:
            stream: Stream | None = None
            try:
                with tracing.within(talk):
                    stream = turn.adapter.stream(ask, turn.report)
                yield from first_told(stream, talk)
                message = stream.message()
                turn.heard(talk, message)
            except BaseException as error:
                turn.cut_off(error, talk, stream)
                raise
            finally:
                if stream is not None:
                    stream.close()
        return turn.keep(message)


def chat(
    messages: incoming.Said,
    model: str | None = None,
    session_id: str | None = None,
    *,
    sessions: Sessions,
    settings: Mapping[str, Settings] | Callable[[type[Adapter]], Settings] | None = None,
    window: windows.Window | None = windows.USUAL,
    **options: Any,
) -> Answer:
    """Say something to a model and get its answer, both kept in a session: `Chat(sessions, settings).ask(…)`."""
    with Chat(sessions, settings, window=window) as made:
        return made.ask(messages, model, session_id, **options)


def too_many_calls(key: str) -> errors.UsageError:
    """What to raise when a model does nothing but call tools."""
    return errors.UsageError(reason=f"{key}: the model has called tools {ROUNDS} times; ask it to go on")


def first_told(pieces: Iterable[Delta], talk: Talk) -> Iterator[Delta]:
    """The pieces; a trace learns when the first one came."""
    first = True
    for piece in pieces:
        if first:
            first = False
            talk.told(first_seconds=talk.milliseconds / 1e3)
        yield piece


def _log_step(what: str, session: Session, level: int = logging.INFO, **facts: Any) -> None:
    extra = {"session": session.key, "facts": facts}
    _log.log(level, "%s: %s", session.key, what, extra=extra)

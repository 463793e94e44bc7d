"""One turn with Claude Code in the store: the question before it is asked, then the answer.

1. the question is appended to the session, durable       a session with an unanswered question
2. the program is asked                                   the same
3. the whole turn is kept, durable                        the same messages that `store_session` writes to a file
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import datetime
from typing import Any

from sessionstore.compat import _mcp_coder_store as kept
from sessionstore.compat._mcp_coder_json import plain
from sessionstore.compat._mcp_coder_types import LLM_RESPONSE_VERSION, LLMResponseDict
from sessionstore.manager.core import SessionManager


class Turn:
    """A question to Claude Code. `session_id` is the conversation it goes on with; without one a new one begins, and
    `asked_id` is what it shall be called."""

    def __init__(
        self,
        manager: SessionManager,
        question: str,
        session_id: str | None,
        execution_dir: str | None,
        branch_name: str | None,
        project_dir: str | None,
    ) -> None:
        self.manager, self.question, self.resumed = manager, question, session_id
        self.asked_id = session_id or str(uuid.uuid4())
        self.timestamp = datetime.now().isoformat()
        self._more: dict[str, Any] = {"cwd": os.path.abspath(execution_dir or os.getcwd())}
        if branch_name:
            self._more["git"] = {"branch": branch_name}
        if project_dir:
            self._more["project"] = os.path.abspath(project_dir)
        self._question_id: str | None = None

    def ask(self) -> None:
        """Keep the question."""
        found = self._found(self._response("", self.asked_id, {}))
        found.messages[1:] = []
        with self.manager.held(found.key):
            before = self._ids(found.key)
            if kept.keep(self.manager, found, kept.as_turn, **self._more):
                self._question_id = next(iter(self._ids(found.key) - before), None)

    def answered(self, response: LLMResponseDict) -> None:
        """Keep the whole turn, under the session that the answer names."""
        told = response["session_id"] or self.asked_id
        found = self._found({**response, "session_id": told})
        more = dict(self._more)
        key = kept.found_key(self.asked_id)
        if found.key != key and self.resumed:
            more["forked_from"] = {"key": key, "relation": "resume"}
        with self.manager.held(found.key):
            kept.keep(self.manager, found, kept.as_turn, **more)
        if found.key != key:
            self._withdraw(key)

    def _withdraw(self, key: str) -> None:
        """Take the question out of the session where it was asked: the program has gone on in one of its own."""
        if self._question_id is None:
            return
        session = self.manager.get(key)
        session.delete_message(self._question_id)
        if not session.count:
            self.manager.archive(session)

    def _response(self, text: str, session_id: str, raw: dict[str, object]) -> LLMResponseDict:
        return LLMResponseDict(
            version=LLM_RESPONSE_VERSION,
            timestamp=self.timestamp,
            text=text,
            session_id=session_id,
            provider="claude",
            raw_response=raw,
        )

    def _found(self, response: LLMResponseDict) -> kept.Found:
        data = json.dumps({"prompt": self.question, "response_data": response}, default=plain).encode()
        found = kept.found_in(kept.TURN, data, "")
        assert found is not None
        return found

    def _ids(self, key: str) -> set[str]:
        heads = self.manager.store.heads(key)
        return {message["id"] for message in self.manager.store.messages(heads[0])} if heads else set()

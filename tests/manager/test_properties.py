"""Whatever two programs do with some sessions, each sees at once what a simple model of it says."""

from __future__ import annotations

import shutil
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sessionstore.index.health import is_current
from sessionstore.manager import SessionManager
from sessionstore.store import Store
from sessionstore.verify import verify

SIZES = st.sampled_from([0, 40, 5_000, 40_000])
WHO = st.integers(0, 2)
"""Two managers, and a plain store."""


class TwoPrograms(RuleBasedStateMachine):
    """The model is a list of texts for each session."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.managers = [SessionManager(f"{self.folder}/store", cache_size=size, index=size > 1) for size in (1, 4)]
        self.model: dict[str, list[str]] = {}
        self.metadata: dict[str, dict[str, int]] = {}
        self.count = 0

    def teardown(self) -> None:
        store = self.managers[0].store
        for manager in self.managers:
            manager.close()
        assert verify(store).ok
        whole = Store.init(f"{self.folder}/whole")
        for key in self.model:
            head = store.heads(key)[0]
            whole.put(key, list(store.messages(head)))
            assert whole.heads(key)[0]["pages"] == head["pages"]
            assert whole.heads(key)[0]["counts"] == head["counts"]
        if self.model:
            self.managers[1].search("text")
            assert is_current(store, self.managers[1].keeper.path)
        shutil.rmtree(self.folder)

    def text(self, size: int) -> str:
        self.count += 1
        return f"text{self.count} {'x' * size}"

    def key(self, choice: int) -> str:
        return sorted(self.model)[choice % len(self.model)]

    @rule(who=WHO)
    def create(self, who: int) -> None:
        name = f"s{len(self.model)}"
        self.managers[who % 2].create(name)
        self.model[f"native:{name}"] = []
        self.metadata[f"native:{name}"] = {}

    @precondition(lambda self: self.model)
    @rule(who=WHO, choice=st.integers(0, 9), size=SIZES, times=st.integers(1, 3))
    def append(self, who: int, choice: int, size: int, times: int) -> None:
        key, texts = self.key(choice), [self.text(size) for _ in range(times)]
        parts = [[{"type": "text", "content": text}] for text in texts]
        if who == 2:
            made = [{"id": f"p{self.count}-{n}", "role": "user", "parts": one} for n, one in enumerate(parts)]
            self.managers[0].store.append(key, made)
        else:
            self.managers[who].append(key, [{"role": "user", "parts": one} for one in parts])
        self.model[key] += texts

    @precondition(lambda self: any(self.model.values()))
    @rule(who=WHO, choice=st.integers(0, 9), place=st.integers(0, 99), size=SIZES)
    def edit(self, who: int, choice: int, place: int, size: int) -> None:
        key = self.key(choice)
        if self.model[key]:
            place %= len(self.model[key])
            self.model[key][place] = self.text(size)
            self.managers[who % 2].edit(key, place, self.model[key][place])

    @precondition(lambda self: any(self.model.values()))
    @rule(who=WHO, choice=st.integers(0, 9), place=st.integers(0, 99))
    def delete(self, who: int, choice: int, place: int) -> None:
        key = self.key(choice)
        if self.model[key]:
            place %= len(self.model[key])
            del self.model[key][place]
            self.managers[who % 2].delete_message(key, place)

    @precondition(lambda self: any(self.model.values()))
    @rule(who=WHO, choice=st.integers(0, 9), place=st.integers(0, 99))
    def branch(self, who: int, choice: int, place: int) -> None:
        key = self.key(choice)
        if self.model[key]:
            place %= len(self.model[key])
            made = self.managers[who % 2].branch(key, place, f"s{len(self.model)}")
            self.model[made.key] = self.model[key][: place + 1]
            self.metadata[made.key] = dict(self.metadata[key])

    @precondition(lambda self: self.model)
    @rule(who=WHO, choice=st.integers(0, 9), value=st.integers(0, 9))
    def annotate(self, who: int, choice: int, value: int) -> None:
        key = self.key(choice)
        self.metadata[key]["v"] = value
        self.managers[who % 2].set_metadata(key, {"v": value})

    @invariant()
    def both_see_what_the_model_says(self) -> None:
        for manager in self.managers:
            for key, texts in self.model.items():
                session = manager.get(key)
                assert [one["parts"][0]["content"] for one in session.messages()] == texts
                assert session.metadata == self.metadata[key]
                assert manager.live(key).heads == 1


TestTwoPrograms = TwoPrograms.TestCase
TestTwoPrograms.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)

"""SWE-agent's trajectories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionstore.importers.parsing import Unparsable
from sessionstore.importers.swe_agent import SweAgent
from tests.importers.support import FORMATS, everything, imported, recognised, roles

IMPORTER = SweAgent()
RUN = next((FORMATS / "swe-agent" / "trajectories").rglob("*.traj"))
STEPS, HISTORY = (FORMATS / "swe-agent" / "demonstrations" / f"{name}-only.traj" for name in ("steps", "history"))


def test_a_run() -> None:
    read = imported(IMPORTER, RUN)
    draft, messages = read.one()
    assert read.counts == (10, 9, 1, 0)
    assert draft.title == "The gate squeaks" and draft.native_id.startswith("gate-1-")
    assert roles(messages) == ["system", "assistant", "user", "assistant", "tool", "assistant", "system", "system"]
    assert messages[1]["kind"] == "context"
    assert messages[4]["parts"][0]["id"] == messages[3]["parts"][1]["id"] == "call_1"


def test_a_step_adds_to_its_answer_what_only_it_says() -> None:
    messages = imported(IMPORTER, RUN).one()[1]
    assert messages[3]["x"]["step"] == {"execution_time": 0.25, "state": {"working_dir": "/work"}}
    assert messages[5]["x"]["thought"] == "Finished"
    assert "thought" not in messages[3]["x"]
    assert messages[6]["parts"][0]["record"]["action"] == "exit"


def test_the_outcome_bears_the_bill() -> None:
    last = imported(IMPORTER, RUN).one()[1][-1]
    assert last["usage"] == {
        "input_tokens": 52861,
        "output_tokens": 326,
        "cost_microusd": 538390,
        "estimated": True,
    }
    assert last["parts"][0]["record"]["submission"] == "diff"


def test_two_runs_of_an_instance_are_two_sessions_and_a_growing_run_one() -> None:
    document = json.loads(RUN.read_bytes())
    names = []
    for change in (lambda: None, lambda: document["history"].pop(), lambda: document["history"][3].update(content="x")):
        change()
        names.append(imported(IMPORTER, json.dumps(document).encode(), str(RUN)).one()[0].native_id)
    assert names[0] == names[1] != names[2]


def test_steps_without_a_history_are_the_messages() -> None:
    read = imported(IMPORTER, STEPS)
    assert read.counts == (2, 2, 0, 0) and roles(read.one()[1]) == ["assistant", "tool"]


def test_a_history_alone() -> None:
    read = imported(IMPORTER, HISTORY)
    assert read.counts == (3, 3, 0, 0) and read.one()[0].title == "history-only"


def test_what_is_somebody_elses() -> None:
    assert not recognised(IMPORTER, b'{"history": [{"role": "user", "content": "x"}]}')
    assert not recognised(IMPORTER, b'{"history": [], "sessionId": "x"}')
    assert not recognised(IMPORTER, b'{"trajectory": [{"action": "x"}]}')
    with pytest.raises(Unparsable):
        imported(IMPORTER, b"{}", "x.traj")


@pytest.mark.samples
def test_samples_are_recognised_and_accounted_for(samples: Path) -> None:
    found = everything(IMPORTER, samples / "swe-agent")
    assert len(found) == 2 and all(read.counts[0] == read.counts[1] for read in found.values())

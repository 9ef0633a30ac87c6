"""The learner when the session ends at the worst moment."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from theoros.db.records import ScoreRecord
from theoros.models.twins.unseen import Score
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.learner import Learner, version_record
from theoros.orchestrator.agents.messages import ModelUpdated, Notice, Started
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers.modelling import FitReport

REPORT = FitReport("gp", 3, frozenset({1, 2, 3}), False, "", {}, (), 0.1)


class Listener(Agent):
    handles = (ModelUpdated,)


class SlowDatabase:
    """No labels but the three that are known; storing a version takes two steps."""

    def __init__(self):
        self.ledger = Ledger([], 0.0, {}, "truth")
        self.writing, self.written, self.stored = asyncio.Event(), asyncio.Event(), []

    def reader(self):
        return SimpleNamespace(new=self._no_labels)

    async def _no_labels(self):
        return []

    async def add_model_version(self, version):
        self.writing.set()
        await self.written.wait()
        self.stored.append(version.number)


class Trainer:
    async def train(self, *_):
        return "a model", REPORT


def test_a_version_that_is_being_stored_when_the_session_ends_is_told():
    async def scenario():
        bus, database = Bus(), SlowDatabase()
        listener = Listener(bus)
        plan = SimpleNamespace(
            acquisition="log_ei",
            strict=False,
            first_fit=3,
            spec=SimpleNamespace(train_once=False, seed=0),
            problem=SimpleNamespace(goal="optimize", objective=SimpleNamespace(output="y"), target="truth"),
        )
        learner = Learner(bus, database, plan, Trainer(), [], 0, None)
        learner._known, learner._n_labels, learner._newest = {1: True, 2: True, 3: True}, 3, 3
        learner.deliver(Started())
        task = asyncio.create_task(learner.run())
        await asyncio.wait_for(database.writing.wait(), 10)
        task.cancel()
        await asyncio.sleep(0)
        database.written.set()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert [message.version for message in listener.inbox] == database.stored == [1]

    asyncio.run(scenario())


def test_a_level_that_is_dropped_is_told_once():
    async def scenario():
        bus = Bus()

        class Ears(Agent):
            handles = (Notice,)

        ears, database = Ears(bus), SlowDatabase()
        database.written.set()
        plan = SimpleNamespace(
            spec=SimpleNamespace(seed=0),
            acquisition="random",
            problem=SimpleNamespace(goal="optimize", objective=SimpleNamespace(output="y")),
        )
        learner = Learner(bus, database, plan, Trainer(), [], 0, None)
        report = replace(REPORT, dropped={"cheap": "cheap is no longer asked"})
        for _ in range(2):
            await learner._keep(report, seed=0, reached=3)
        assert [(notice.kind, notice.message) for notice in ears.inbox] == [
            ("level_dropped", "cheap is no longer asked")
        ]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("acquisition", "question", "learns"),
    [
        ("random", {"minimize": "value"}, False),
        ("random", {"learn": "value"}, True),
        ("std", {"learn": "value"}, True),
        ("log_ei", {"minimize": "value"}, True),
    ],
)
def test_labels_by_chance_are_learned_where_the_model_is_the_question(acquisition, question, learns):
    spec = {
        "campaign": "c",
        "question": question,
        "oracle": {"synthetic": {"function": "Branin"}},
        "budget": {"labels": 9},
        "acquisition": acquisition,
    }
    assert resolve(spec_from_dict(spec), Path()).learns == learns


def test_what_a_twin_drew_of_new_labels_is_scored_and_kept_with_its_version():
    films = np.ones((4, 2))
    report = replace(REPORT, scores=(Score("y", "crps", 0.5, 2),), arrays={"films": films})
    rmse = ScoreRecord("y", "rmse", 1.0, 3)
    record = version_record(report, 2, 0, [rmse], [])
    assert record.scores == [rmse, ScoreRecord("y", "crps", 0.5, 2)]
    assert record.arrays["films"].read() is films
    plain = version_record(REPORT, 2, 0, [], [])
    assert (plain.scores, plain.arrays) == ([], {})

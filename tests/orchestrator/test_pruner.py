"""When the pruner gives a running evaluation up, and when it is let go on."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from theoros.orchestrator.agents import pruner as module
from theoros.orchestrator.agents.beliefs import to_record
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import EvaluationEnded, EvaluationStarted, ModelUpdated, Useless
from theoros.orchestrator.agents.pruner import Pruner
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.load import spec_from_dict

SPEC = {
    "campaign": "c",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 16},
    "workers": {"slots": 2, "cancel_hopeless": 0.1},
}
PLAN = resolve(spec_from_dict(SPEC), Path())
#: The first evaluation after the initial design, and what an evaluation takes.
NUMBER, TAKES = PLAN.initial_decisions + 1, 10.0


class Ears(Agent):
    handles = (Useless,)


@pytest.fixture
def given_up(monkeypatch):
    """What is given up of one evaluation, by its chance, how long it ran before, and how long the model takes."""

    def run(chance: float, before: float, model_takes: float = 0.0) -> list[Useless]:
        now = SimpleNamespace(time=0.0)
        monkeypatch.setattr(module.time, "monotonic", lambda: now.time)
        candidate = to_record(PLAN.problem.space.candidate({"x1": 0.0, "x2": 0.0}))
        one = SimpleNamespace(sequence=NUMBER, fidelity=PLAN.problem.target, candidate=candidate)
        gateway = SimpleNamespace(ledger=SimpleNamespace(running=lambda: [one]))

        async def chances(belief, points):
            now.time += model_takes
            return [chance]

        async def watch() -> list[Useless]:
            bus = Bus()
            ears = Ears(bus)
            pruner = Pruner(bus, gateway, PLAN, SimpleNamespace(chances=chances))
            await pruner.on(EvaluationEnded(1, seconds=TAKES))
            await pruner.on(EvaluationStarted(NUMBER))
            now.time += before
            await pruner.on(ModelUpdated(1, 1, object(), frozenset(), 0.0))
            return list(ears.inbox)

        return asyncio.run(watch())

    return run


def test_what_has_no_chance_is_given_up_and_charged_for_what_it_had(given_up):
    (useless,) = given_up(chance=0.01, before=3.0)
    assert (useless.sequence, useless.share) == (NUMBER, pytest.approx(0.3))
    assert "chance of 0.01" in useless.reason


@pytest.mark.parametrize(
    ("chance", "before", "model_takes"),
    [(0.2, 3.0, 0.0), (0.01, 6.0, 0.0), (0.01, 3.0, 4.0)],
    ids=["it has a chance", "it is half done", "it is half done when the model has answered"],
)
def test_what_is_worth_its_end_is_let_go_on(given_up, chance, before, model_takes):
    assert given_up(chance, before, model_takes) == []

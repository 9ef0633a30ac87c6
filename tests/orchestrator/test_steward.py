"""When the steward believes that a campaign has reached its end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from theoros.db.records import Progress
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import BudgetFreed, EvaluationEnded, Exhausted, StopRequested
from theoros.orchestrator.agents.steward import Steward
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.load import spec_from_dict

COMMITTED = Exhausted("the budget of 16 labels is committed", by_budget=True)
ALL_ASKED = Exhausted("every candidate has been asked", by_budget=False)


SPEC = {
    "campaign": "c",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 16},
}
PLAN = resolve(spec_from_dict(SPEC), Path())


class Ears(Agent):
    handles = (StopRequested, BudgetFreed)


class Gateway:
    """A ledger with so many labels, and so many evaluations that run."""

    def __init__(self, done: int, running: int) -> None:
        charged = {PLAN.problem.target: done + running}
        self.ledger = SimpleNamespace(open=running, progress=lambda: Progress({}, charged, 0.0, 0.0, 0.0))


def told(gateway: Gateway, *messages: object) -> list[object]:
    bus = Bus()
    ears = Ears(bus)
    steward = Steward(bus, gateway, PLAN, list)
    for message in messages:
        asyncio.run(steward.on(message))
    return list(ears.inbox)


def test_a_committed_budget_ends_the_campaign_with_its_last_evaluation():
    assert told(Gateway(done=15, running=1), COMMITTED) == []
    assert told(Gateway(done=16, running=0), COMMITTED) == [StopRequested(COMMITTED.reason)]
    assert told(Gateway(done=16, running=0), COMMITTED, EvaluationEnded(16, None)) == [StopRequested(COMMITTED.reason)]


def test_what_was_given_up_while_it_ran_leaves_its_place_to_another():
    """The others are gone from the ledger already, and their ends are told when their workers are free."""
    assert told(Gateway(done=14, running=0), COMMITTED) == [BudgetFreed()]
    assert told(Gateway(done=14, running=0), COMMITTED, EvaluationEnded(15, "cancelled")) == [BudgetFreed()]


@pytest.mark.parametrize("done", [3, 15])
def test_a_space_that_has_been_asked_whole_ends_the_campaign_with_budget_left(done):
    assert told(Gateway(done=done, running=0), ALL_ASKED) == [StopRequested(ALL_ASKED.reason)]

"""Model workers on a cluster: they wait for their place and say so, and are replaced when they die."""

from __future__ import annotations

import asyncio

import pytest
import ray

from theoros.models.data import Objective, Problem
from theoros.oracles import Parameters, Real
from theoros.oracles.resources import Resources
from theoros.workers import model_worker
from theoros.workers.model_worker import ModelWorkerLost, SupervisedModelWorker
from theoros.workers.modelling import ModelPlan

PROBLEM = Problem("optimize", Parameters(x=Real(0, 1)), ("y",), (Objective("y", "maximize"),), ("only",), (1.0,))
PLAN = ModelPlan(PROBLEM, "gp", "random", ("random",), "random")


@ray.remote(num_cpus=4)
class Occupant:
    """Takes all processors of the tests' cluster."""

    def there(self) -> bool:
        return True


@pytest.fixture
def crowded(local_ray):
    occupant = Occupant.remote()
    assert ray.get(occupant.there.remote())
    yield occupant
    ray.kill(occupant)


def supervised(told: list[str]) -> SupervisedModelWorker:
    return SupervisedModelWorker("decider", PLAN, Resources(num_cpus=4), 60.0, told.append)


async def proposals(worker: SupervisedModelWorker) -> int:
    return len(await worker.propose([], None, [], 3, 0))


def test_who_waits_for_a_place_says_once_what_it_needs_and_goes_on_when_it_has_it(crowded, monkeypatch):
    monkeypatch.setattr(model_worker, "STARVED_AFTER", 0.5)
    told: list[str] = []

    async def work() -> list[int]:
        worker = supervised(told)
        both = asyncio.gather(proposals(worker), proposals(worker))
        while not told:
            await asyncio.sleep(0.05)
        ray.kill(crowded)
        found = await both
        worker.close()
        return found

    assert asyncio.run(work()) == [3, 3]
    assert len(told) == 1
    assert told[0].startswith("The decider has waited 0.5 s for a place")
    assert "The decider needs CPU 4; the cluster has" in told[0]


def test_who_never_has_a_place_is_given_up(crowded, monkeypatch):
    monkeypatch.setattr(model_worker, "START_DEADLINE", 0.2)
    monkeypatch.setattr(model_worker, "STARVED_AFTER", 0.1)

    async def work() -> None:
        worker = supervised([])
        try:
            await proposals(worker)
        finally:
            worker.close()

    with pytest.raises(ModelWorkerLost, match="died or hung"):
        asyncio.run(work())


def test_a_worker_that_died_is_replaced(local_ray):
    async def work() -> tuple[int, int]:
        worker = supervised([])
        first = await proposals(worker)
        ray.kill(worker._actor)
        second = await proposals(worker)
        worker.close()
        return first, second

    assert asyncio.run(work()) == (3, 3)

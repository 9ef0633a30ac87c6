"""The model workers: Ray actors that train and decide, so that neither ever blocks the orchestrator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import ray

from theoros.models.contract import Dataset, Point, Proposal
from theoros.oracles.resources import Resources
from theoros.workers import modelling
from theoros.workers.modelling import Belief, Decided, FitReport, ModelPlan


class ModelWorker:
    """Trains surrogates or makes decisions for one campaign.

    It keeps nothing between calls that could not be computed again: beliefs come in as arguments, by reference
    through Ray's object store, once per version.
    """

    def __init__(self, plan: ModelPlan, threads: int) -> None:
        import torch

        from theoros.models import registry

        torch.set_num_threads(threads)
        self._plan = plan
        # Imports take seconds: have them behind us when the first labels come.
        if plan.acquisition != "random":
            registry.surrogate(plan.surrogate)
        for name in (plan.initial_proposer, *plan.proposers):
            registry.proposer(name)
        registry.acquisition(plan.acquisition)

    def train(
        self, dataset: Dataset, sequences: Sequence[int], seed: int, previous: Belief | None
    ) -> tuple[Belief, FitReport]:
        """See `theoros.workers.modelling.train`."""
        return modelling.train(self._plan, dataset, sequences, seed=seed, previous=previous)

    def propose(
        self, belief: Belief | None, pending: Sequence[Point], seen: frozenset[str], n: int, seed: int
    ) -> list[Proposal]:
        """See `theoros.workers.modelling.propose`."""
        return modelling.propose(self._plan, belief, pending, seen, n=n, seed=seed)

    def select(
        self,
        belief: Belief,
        proposals: Sequence[Proposal],
        pending: Sequence[Point],
        seen: frozenset[tuple[str, str]],
        fidelities: Sequence[str],
        n: int,
        seed: int,
    ) -> Decided:
        """See `theoros.workers.modelling.select`."""
        return modelling.select(self._plan, belief, proposals, pending, seen, fidelities, n=n, seed=seed)


#: How often a call is made before its model worker is said to be lost.
_TRIES = 4


class ModelWorkerLost(RuntimeError):
    """A model worker died again and again right after it had been replaced."""


class SupervisedModelWorker:
    """A model worker that is replaced when it dies, and whose calls all have a deadline (seconds)."""

    def __init__(self, plan: ModelPlan, resources: Resources, deadline: float) -> None:
        self._plan, self._resources, self._deadline = plan, resources, deadline
        self._actor = self._start()

    def _start(self) -> Any:
        options: dict[str, Any] = {
            "num_cpus": self._resources.num_cpus,
            "num_gpus": self._resources.num_gpus,
            "resources": dict(self._resources.custom),
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(self._resources.threads)}},
        }
        if self._resources.memory:
            options["memory"] = self._resources.memory
        return ray.remote(ModelWorker).options(**options).remote(self._plan, self._resources.threads)

    async def train(
        self, dataset: Dataset, sequences: Sequence[int], seed: int, previous: Any
    ) -> tuple[Any, FitReport]:
        """Train; returns a Ray reference to the belief, which stays in the object store, and the report."""
        trained: tuple[Any, FitReport] = await self._call("train", dataset, sequences, seed, previous, returns=2)
        return trained

    async def propose(self, *arguments: Any) -> list[Proposal]:
        """See `ModelWorker.propose`."""
        proposals: list[Proposal] = await self._call("propose", *arguments)
        return proposals

    async def select(self, *arguments: Any) -> Decided:
        """See `ModelWorker.select`."""
        decided: Decided = await self._call("select", *arguments)
        return decided

    async def _call(self, method: str, *arguments: Any, returns: int = 1) -> Any:
        for _ in range(_TRIES):
            actor = self._actor
            try:
                references = getattr(actor, method).options(num_returns=returns).remote(*arguments)
                if returns == 1:
                    return await asyncio.wait_for(references, self._deadline)
                return references[0], await asyncio.wait_for(references[-1], self._deadline)
            except (ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError, TimeoutError) as error:
                last = error
                if self._actor is actor:  # another call that it failed may have replaced it already
                    self.close()
                    self._actor = self._start()
        raise ModelWorkerLost(f"The model worker died or hung {_TRIES} times in {method!r}: {last}")

    def close(self) -> None:
        """Give the worker back to the cluster."""
        ray.kill(self._actor)

"""The model workers: Ray actors that train and decide, so that neither ever blocks the orchestrator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import ray

from theoros.models.data import Point, Proposal
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate
from theoros.oracles.registry import look_in
from theoros.oracles.resources import Resources
from theoros.oracles.spaces.gates.gatekeeper import Counts
from theoros.workers import cluster, modelling
from theoros.workers.memory import Ask, Asked, Labelled, Labels, News
from theoros.workers.modelling import Belief, Decided, FitReport, ModelPlan


@dataclass(frozen=True)
class Held:
    """A belief in the object store, by reference, so that a worker fetches each version once and not at every call."""

    reference: Any


class ModelWorker:
    """Trains surrogates or makes decisions for one campaign.

    It keeps nothing between calls that could not be had again: beliefs come in as arguments, by reference through Ray's
    object store, once per version, and of the labels and of what was asked it is told what is new.
    """

    def __init__(self, plan: ModelPlan, threads: int) -> None:
        from theoros.models import registry

        if plan.search_path is not None:  # before a belief comes, which may hold the user's own laws
            look_in(Path(plan.search_path))
        self._plan = plan
        self._labels = Labels(plan.problem.columns)
        self._asked = Asked(plan.problem.target)
        self._held: tuple[Held, Belief] | None = None
        # Imports take seconds: have them behind us when the first labels come.
        if plan.acquisition != "random":  # which needs neither a surrogate nor torch
            import torch

            torch.set_num_threads(threads)
            registry.surrogate(plan.surrogate)
        for name in (plan.initial_proposer, *plan.proposers):
            registry.proposer(name, plan.proposer_options.get(name))
        registry.acquisition(plan.acquisition)

    def train(
        self,
        news: News[Labelled],
        last: int | None,
        seed: int,
        previous: Held | None,
        widening: Widening,
        drawn: Sequence[Mapping[str, Any]],
    ) -> tuple[Belief, FitReport]:
        """Fit to all labels of evaluations up to number `last`; see `theoros.workers.modelling.train`."""
        self._labels.learn(news)
        dataset, sequences = self._labels.dataset(last)
        belief = self._fetch(previous)
        return modelling.train(
            self._plan, dataset, sequences, seed=seed, previous=belief, widening=widening, drawn=drawn
        )

    def propose(
        self, news: News[Ask], belief: Held | None, pending: Sequence[Point], n: int, seed: int
    ) -> list[Proposal]:
        """See `theoros.workers.modelling.propose`."""
        self._asked.learn(news)
        return modelling.propose(self._plan, self._fetch(belief), pending, self._asked.candidates, n=n, seed=seed)

    def select(
        self,
        news: News[Ask],
        belief: Held,
        proposals: Sequence[Proposal],
        pending: Sequence[Point],
        fidelities: Sequence[str],
        n: int,
        seed: int,
    ) -> Decided:
        """See `theoros.workers.modelling.select`."""
        self._asked.learn(news)
        return modelling.select(
            self._plan, self._fetch(belief), proposals, pending, self._asked.points, fidelities, n=n, seed=seed
        )

    def stale(
        self,
        news: News[Ask],
        belief: Held,
        waiting: Sequence[Point],
        pending: Sequence[Point],
        seed: int,
    ) -> list[int]:
        """See `theoros.workers.modelling.stale`."""
        self._asked.learn(news)
        return modelling.stale(self._plan, self._fetch(belief), waiting, pending, self._asked.candidates, seed=seed)

    def chances(self, belief: Held, points: Sequence[Point]) -> list[float]:
        """See `theoros.workers.modelling.chances`."""
        return modelling.chances(self._plan, self._fetch(belief), points)

    def turned_away(self) -> tuple[Counts, list[Candidate]]:
        """What the campaign's gates have turned away here since this was last asked, and what of it slow ones have."""
        gates = self._plan.gates
        return (gates.take_counts(), gates.take_unfit()) if gates is not None else ({}, [])

    @overload
    def _fetch(self, held: Held) -> Belief: ...

    @overload
    def _fetch(self, held: None) -> None: ...

    def _fetch(self, held: Held | None) -> Belief | None:
        if held is None:
            return None
        if self._held is None or self._held[0] != held:
            self._held = None  # let the old one go before the new one comes
            self._held = (held, ray.get(held.reference))
        return self._held[1]


#: How often a call is made before its model worker is said to be lost.
_TRIES = 4
#: Seconds in which a worker has to have found a place on the cluster and loaded what it needs.
START_DEADLINE = 600.0
#: Seconds after which it is told that one has not begun: what it loads takes long on a busy machine.
STARVED_AFTER = 60.0


class ModelWorkerLost(RuntimeError):
    """A model worker died again and again right after it had been replaced."""


class SupervisedModelWorker:
    """A model worker that is replaced when it dies, and whose calls all have a deadline (seconds).

    `name` is the worker's in a campaign file; `starved` is told, in words, when it has long waited to begin.
    """

    def __init__(
        self, name: str, plan: ModelPlan, resources: Resources, deadline: float, starved: Callable[[str], None]
    ) -> None:
        self._name, self._plan, self._resources, self._deadline = name, plan, resources, deadline
        self._tell_starved = starved
        self._actor = self._start()
        self._beginning: asyncio.Future[None] | None = None
        self._sent = 0  # entries of its log that the worker has had

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
        self,
        labels: Sequence[Labelled],
        last: int | None,
        seed: int,
        previous: Held | None,
        widening: Widening,
        drawn: Sequence[Mapping[str, Any]],
    ) -> tuple[Held, FitReport]:
        """Train; returns where the belief is held, in the object store, and the report.

        `labels` is the whole log of them, of which the worker is sent what it does not have. `widening` and
        `drawn` count where there is no `previous` belief, which has its own.
        """
        trained: tuple[Held, FitReport] = await self._call(
            "train", labels, last, seed, previous, widening, drawn, returns=2
        )
        return trained

    async def propose(self, asked: Sequence[Ask], *arguments: Any) -> list[Proposal]:
        """See `ModelWorker.propose`; `asked` is the whole log of what was asked."""
        proposals: list[Proposal] = await self._call("propose", asked, *arguments)
        return proposals

    async def select(self, asked: Sequence[Ask], *arguments: Any) -> Decided:
        """See `ModelWorker.select`; `asked` is the whole log of what was asked."""
        decided: Decided = await self._call("select", asked, *arguments)
        return decided

    async def stale(self, asked: Sequence[Ask], *arguments: Any) -> list[int]:
        """See `ModelWorker.stale`; `asked` is the whole log of what was asked."""
        stale: list[int] = await self._call("stale", asked, *arguments)
        return stale

    async def chances(self, *arguments: Any) -> list[float]:
        """See `ModelWorker.chances`."""
        chances: list[float] = await self._call("chances", None, *arguments)
        return chances

    async def turned_away(self) -> tuple[Counts, list[Candidate]]:
        """See `ModelWorker.turned_away`; a worker that was replaced has forgotten its own."""
        told: tuple[Counts, list[Candidate]] = await self._call("turned_away", None)
        return told

    async def _call(self, method: str, log: Sequence[Any] | None, *arguments: Any, returns: int = 1) -> Any:
        """Call the worker; of a `log` it is sent what it has not had, and all of it when it has been replaced."""
        for _ in range(_TRIES):
            actor = self._actor
            given: tuple[Any, ...] = arguments
            try:
                await self._begun()
                if log is not None:
                    end = len(log)
                    given = (News(self._sent, list(log[self._sent : end])), *arguments)
                references = getattr(actor, method).options(num_returns=returns).remote(*given)
                result = references if returns == 1 else references[-1]
                answer = await asyncio.wait_for(result, self._deadline)
                if log is not None and actor is self._actor:
                    self._sent = max(self._sent, end)
                return answer if returns == 1 else (Held(references[0]), answer)
            except (ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError, TimeoutError) as error:
                last = error
                if self._actor is actor:  # another call that it failed may have replaced it already
                    self.close()
                    self._actor, self._beginning, self._sent = self._start(), None, 0
        raise ModelWorkerLost(f"The model worker died or hung {_TRIES} times in {method!r}: {last}")

    async def _begun(self) -> None:
        """Wait until the worker has begun; those who wait for the same one wait together.

        Raises TimeoutError where it has no place on the cluster, or can't start there.
        """
        if self._beginning is None:
            self._beginning = asyncio.ensure_future(self._begin(self._actor))
        await asyncio.shield(self._beginning)

    async def _begin(self, actor: Any) -> None:
        ready = asyncio.wrap_future(actor.__ray_ready__.remote().future())
        if not (await asyncio.wait({ready}, timeout=STARVED_AFTER))[0]:
            self._tell_starved(await asyncio.to_thread(self._starved))
        await asyncio.wait_for(ready, START_DEADLINE)

    def _starved(self) -> str:
        who = f"The {self._name}"
        return (
            f"{who} has waited {STARVED_AFTER:g} s for a place on the cluster, or for its process to start. "
            f"{cluster.needs_and_has(cluster.live_nodes(), self._resources, who)} Free now: {cluster.free_now()}."
        )

    def close(self) -> None:
        """Give the worker back to the cluster."""
        if self._beginning is not None:
            self._beginning.cancel()
        ray.kill(self._actor)

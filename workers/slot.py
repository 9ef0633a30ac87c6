"""A slot: the Ray actor that runs one evaluation at a time in its sandbox."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ray

from theoros.oracles.resources import Resources
from theoros.workers import spool
from theoros.workers.messages import EvaluationRequest, Outcome, without_answer
from theoros.workers.sandbox import OracleDidNotStart, Sandbox


class OracleSlot:
    """Holds a warm oracle. Ray never retries for it: the database decides what is tried again.

    It runs with some threads: one evaluates, another group of evaluations may wait for it, and `cancel` has to get in.
    """

    def __init__(self, oracle: Mapping[str, Any], resources: Mapping[str, Any], spool_folder: str) -> None:
        self._spool = Path(spool_folder)
        self._sandbox = Sandbox(oracle, Resources(**resources), self._spool)
        self._current: str | None = None
        self._cancelled: set[str] = set()
        self._turn = threading.Lock()

    def place(self) -> tuple[str, str, int]:
        """Where the slot is: Ray's id of its node, host and process. Answers as soon as the slot has found a place."""
        return ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid()

    def start(self) -> None:
        """Build the oracle. Raises OracleDidNotStart."""
        self._sandbox.start()

    def evaluate(self, requests: list[EvaluationRequest], forget: list[str]) -> list[Outcome]:
        """Run evaluations one after the other; each answer is on this node's disk before the next one begins.

        `forget` are answers of earlier calls, which are in the database now. What was cancelled before it began has
        the outcome ``cancelled``, and so has what follows an evaluation whose oracle could not be started again.
        """
        self.discard(forget)
        with self._turn:
            return self._evaluate_all(requests)

    def _evaluate_all(self, requests: list[EvaluationRequest]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            if request.token in self._cancelled:
                outcomes.append(without_answer(request, "cancelled", "cancelled before it began"))
                continue
            outcomes.append(self._evaluate(request))
            if outcomes[-1].failure_class == "infrastructure":
                break
        self._cancelled -= {request.token for request in requests}
        skipped = requests[len(outcomes) :]
        return outcomes + [without_answer(request, "cancelled", "its worker can't work") for request in skipped]

    def _evaluate(self, request: EvaluationRequest) -> Outcome:
        self._current = request.token
        try:
            return self._sandbox.evaluate(request)
        except (OracleDidNotStart, OSError) as error:  # OSError: no room for a scratch folder or a process
            return without_answer(request, "infrastructure", str(error))
        finally:
            self._current = None

    def cancel(self, tokens: list[str]) -> None:
        """Kill the evaluation that is running here if it is one of these, and begin none of them."""
        self._cancelled |= set(tokens)
        if self._current in self._cancelled:
            self._sandbox.cancel()

    def orphans(self) -> list[Outcome]:
        """Answers that lie on this node's disk and have not been stored."""
        return [outcome for outcome in spool.read_all(self._spool) if outcome.token != self._current]

    def discard(self, tokens: list[str]) -> None:
        """Forget spooled answers: they are in the database now."""
        for token in tokens:
            spool.discard(self._spool, token)


class SlotActor(Protocol):
    """A slot as its orchestrator reaches it. Every answer may fail with a RayError: then the slot is lost."""

    def place(self) -> Awaitable[tuple[str, str, int]]:
        """See `OracleSlot.place`."""
        ...

    def start(self) -> Awaitable[None]:
        """See `OracleSlot.start`."""
        ...

    def evaluate(self, requests: list[EvaluationRequest], forget: list[str]) -> Awaitable[list[Outcome]]:
        """See `OracleSlot.evaluate`."""
        ...

    def orphans(self) -> Awaitable[list[Outcome]]:
        """See `OracleSlot.orphans`."""
        ...

    def discard(self, tokens: list[str]) -> Awaitable[None]:
        """See `OracleSlot.discard`."""
        ...

    def cancel(self, tokens: list[str]) -> None:
        """See `OracleSlot.cancel`; nobody waits for it."""
        ...

    def kill(self) -> None:
        """End the slot, whatever it does."""
        ...


class RemoteSlot:
    """An `OracleSlot` in a Ray actor, anywhere on the cluster."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def place(self) -> Awaitable[tuple[str, str, int]]:
        """See `OracleSlot.place`."""
        return _answer(self._actor.place.remote())

    def start(self) -> Awaitable[None]:
        """See `OracleSlot.start`."""
        return _answer(self._actor.start.remote())

    def evaluate(self, requests: list[EvaluationRequest], forget: list[str]) -> Awaitable[list[Outcome]]:
        """See `OracleSlot.evaluate`."""
        return _answer(self._actor.evaluate.remote(requests, forget))

    def orphans(self) -> Awaitable[list[Outcome]]:
        """See `OracleSlot.orphans`."""
        return _answer(self._actor.orphans.remote())

    def discard(self, tokens: list[str]) -> Awaitable[None]:
        """See `OracleSlot.discard`."""
        return _answer(self._actor.discard.remote(tokens))

    def cancel(self, tokens: list[str]) -> None:
        """See `OracleSlot.cancel`."""
        self._actor.cancel.remote(tokens)

    def kill(self) -> None:
        """End the actor."""
        ray.kill(self._actor)


def _answer(reference: Any) -> Awaitable[Any]:
    """What a reference will hold. Who stops waiting for it does not cancel the call: a slot is killed, never asked."""
    return asyncio.wrap_future(reference.future())


def start_slot(oracle: Mapping[str, Any], resources: Resources, spool_folder: Path) -> SlotActor:
    """Start a slot on the cluster (it is pending until the cluster has room)."""
    options: dict[str, Any] = {
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus,
        "resources": dict(resources.custom),
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": 4,
    }
    if resources.memory:
        options["memory"] = resources.memory
    actor = ray.remote(OracleSlot).options(**options).remote(oracle, resources.model_dump(), str(spool_folder))
    return RemoteSlot(actor)

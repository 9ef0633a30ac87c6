"""A session: one run of a campaign by its owner, from taking it over to giving it back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from theoros.db import Store
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.dispatcher import Dispatcher
from theoros.orchestrator.agents.learner import Learner
from theoros.orchestrator.agents.messages import Started, StopRequested
from theoros.orchestrator.agents.policy import History, max_losses
from theoros.orchestrator.agents.proposer import Proposer
from theoros.orchestrator.agents.selector import Selector
from theoros.orchestrator.agents.steward import Steward
from theoros.orchestrator.answers import spool_folder, take_in_orphans
from theoros.orchestrator.asktell import CLIENT
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers import spool
from theoros.workers.modelling import Check, ModelPlan

#: A decision or a fit that takes longer than this (seconds) has hung, and its worker is replaced.
MODEL_DEADLINE = 3600.0

#: Builds a further agent, such as the live display, for a session.
Companion = Callable[[Bus, Gateway, Plan], Agent]


@dataclass(frozen=True)
class Ending:
    """How a session ended: `finished` means that the campaign has come to its end, otherwise it can be resumed."""

    reason: str
    finished: bool


def run_session(plan: Plan, store: Store, n_slots: int, *, companions: tuple[Companion, ...] = ()) -> Ending:
    """Run a stored campaign on the cluster that this process has joined, until it ends or is stopped.

    Everything computed is in the database afterwards. Raises CampaignOwned when somebody else runs the campaign.
    """
    name = plan.spec.campaign
    with owned(store, name) as owner:
        folder = spool_folder(store, name)
        take_in_orphans(store, plan, spool.read_all(folder), folder)
        lost = [claim.token for claim in store.claims_of(name) if not claim.worker.startswith(CLIENT)]
        # What a person was asked for stays his.
        store.reconcile(name, owner=owner, lost_tokens=lost, max_losses=max_losses(plan.spec.retries))
        store.clear_stop(name)
        store.set_state(name, "running", owner=owner)
        store.add_event(name, "session_started", f"{n_slots} slots, on {socket.gethostname()}")
        ending = Ending("the session failed", finished=False)
        try:
            ending = asyncio.run(_run(plan, store, owner, n_slots, companions))
            take_in_orphans(store, plan, spool.read_all(folder), folder)  # of workers that died as they reported
        except BaseException as error:
            ending = Ending(f"{type(error).__name__}: {error}", finished=False)
            raise
        finally:
            store.set_state(name, "finished" if ending.finished else "paused", ending.reason, owner=owner)
            store.add_event(name, "session_ended", ending.reason)
            store.create_labels_wide(name)
        return ending


@contextlib.contextmanager
def owned(store: Store, name: str) -> Iterator[str]:
    """Own the campaign for the length of a block; yields the owner's token."""
    token = store.acquire(name, host=socket.gethostname(), pid=os.getpid(), pid_is_dead=is_dead_here)
    try:
        yield token
    finally:
        store.release(name, token)


def is_dead_here(host: str, pid: int) -> bool:
    """True when `pid` was a process of this host and is no more: then nobody has to wait for its lease to run out."""
    return host == socket.gethostname() and not psutil.pid_exists(pid)


async def _run(plan: Plan, store: Store, owner: str, n_slots: int, companions: tuple[Companion, ...]) -> Ending:
    """Assemble the agents, let them work, and take them down in order."""
    from theoros.workers.model_worker import SupervisedModelWorker
    from theoros.workers.slot import start_slot

    bus, gateway = Bus(), Gateway(store, plan.spec.campaign, owner)
    models = ModelPlan(plan.problem, plan.surrogate, plan.acquisition, plan.proposers, plan.initial_proposer)
    trainer = SupervisedModelWorker(models, plan.spec.workers.trainer, MODEL_DEADLINE)
    decider = SupervisedModelWorker(models, plan.spec.workers.decider, MODEL_DEADLINE)
    folder = spool_folder(store, plan.spec.campaign)
    history = await asyncio.to_thread(History.of, store, plan.spec.campaign)
    dispatcher = Dispatcher(
        bus, gateway, plan, lambda resources: start_slot(plan.oracle.to_dict(), resources, folder), n_slots, history
    )
    steward = Steward(bus, gateway, plan, lambda: dispatcher.tokens)
    checks, version = await gateway.earlier_models()
    agents: list[Agent] = [
        dispatcher,
        Learner(bus, gateway, plan, trainer, [Check(*check) for check in checks], version),
        Proposer(bus, gateway, plan, decider),
        Selector(bus, gateway, plan, decider, n_slots),
        steward,
        *(companion(bus, gateway, plan) for companion in companions),
    ]
    stop = _StopListener(bus)
    tasks = [asyncio.create_task(agent.run(), name=type(agent).__name__) for agent in (*agents, stop)]
    tasks.append(asyncio.create_task(steward.watch(), name="Steward.watch"))
    with _signals(bus):
        bus.publish(Started())
        try:
            ending = await _until_stopped(bus, stop, tasks)
            await dispatcher.drain()
            await asyncio.sleep(0)  # let the last messages be heard
            if stop.message is not None and stop.message.finished:
                await gateway.cancel_queued()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            dispatcher.close()
            trainer.close()
            decider.close()
            gateway.close()
    return ending


class _StopListener(Agent):
    """Waits for the first request to stop."""

    handles = (StopRequested,)

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.message: StopRequested | None = None
        self.heard = asyncio.Event()

    async def on(self, message: Any) -> None:
        self.message = self.message or message
        self.heard.set()


async def _until_stopped(bus: Bus, stop: _StopListener, tasks: list[asyncio.Task[None]]) -> Ending:
    """Wait for a stop; an agent that dies is one, and its exception is the session's."""
    heard = asyncio.create_task(stop.heard.wait())
    await asyncio.wait([heard, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            heard.cancel()
            bus.publish(StopRequested(f"{task.get_name()} failed", cancel=True, finished=False))
            await asyncio.sleep(0)
            raise error
    assert stop.message is not None
    return Ending(stop.message.reason, stop.message.finished)


@contextlib.contextmanager
def _signals(bus: Bus) -> Iterator[None]:
    """The first interrupt lets running evaluations end; the second cancels them."""
    loop, count = asyncio.get_running_loop(), 0

    def interrupted() -> None:
        nonlocal count
        count += 1
        bus.publish(StopRequested("interrupted", cancel=count > 1, finished=False))

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted)
    except (ValueError, RuntimeError):  # not the main thread: signals are somebody else's business
        yield
        return
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

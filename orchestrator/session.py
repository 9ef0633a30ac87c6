"""A session: one run of a campaign by its owner, from taking it over to giving it back.

A database that is away is waited for at every step, and a person is told once. Who does not want to wait interrupts
twice: then the session ends with `DatabaseUnreachable`, and what was computed is taken in by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theoros.db import Store
from theoros.db.errors import DatabaseBusy, DatabaseUnreachable
from theoros.models.widening import Widening
from theoros.oracles.resources import Resources
from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.dispatcher import Dispatcher
from theoros.orchestrator.agents.learner import Learner
from theoros.orchestrator.agents.messages import Notice, Started, StopRequested
from theoros.orchestrator.agents.policy import History, max_losses
from theoros.orchestrator.agents.proposer import Proposer
from theoros.orchestrator.agents.pruner import Pruner
from theoros.orchestrator.agents.selector import Selector
from theoros.orchestrator.agents.steward import Steward
from theoros.orchestrator.answers import spool_folder, take_in_orphans
from theoros.orchestrator.asktell import CLIENT
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.owner import Owner, owned
from theoros.orchestrator.plan import Plan
from theoros.workers import spool
from theoros.workers.modelling import WIDENING, Check

if TYPE_CHECKING:
    from theoros.workers.slot import SlotActor

#: A decision or a fit that takes longer than this (seconds) has hung, and its worker is replaced.
MODEL_DEADLINE = 3600.0
#: Seconds that evaluations which were told to stop may take, once nobody waits for the database any more.
GRACE = 30.0

#: Builds a further agent, such as the live display, for a session.
Companion = Callable[[Bus, Gateway, Plan], Agent]
#: Starts the actor of a slot that takes these resources; see `theoros.workers.slot.start_slot`.
StartSlot = Callable[[Resources], "SlotActor"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a session ended: `finished` means that the campaign has come to its end, otherwise it can be resumed."""

    reason: str
    finished: bool


@dataclass(frozen=True)
class _Session:
    """What the parts of a session share; `history` is what earlier sessions tried in vain."""

    plan: Plan
    owner: Owner
    folder: Path
    n_slots: int
    companions: tuple[Companion, ...]
    start_slot: StartSlot
    history: History


def run_session(
    plan: Plan,
    store: Store,
    n_slots: int,
    *,
    companions: tuple[Companion, ...] = (),
    start_slot: StartSlot | None = None,
) -> Ending:
    """Run a stored campaign on the cluster that this process has joined, until it ends or is stopped.

    Everything computed is in the database afterwards. `start_slot` starts slots other than real ones, for simulated
    clusters. Raises CampaignOwned when somebody else runs the campaign, and DatabaseUnreachable when a person gave up
    waiting for the database.
    """
    with owned(store, plan.spec.campaign) as owner:
        folder = spool_folder(store, plan.spec.campaign)
        history = _begin(plan, owner, folder, n_slots)
        start = start_slot or _starter(plan, folder)
        session = _Session(plan, owner, folder, n_slots, companions, start, history)
        ending = Ending("the session failed", finished=False)
        try:
            ending = asyncio.run(_run(session))
        except BaseException as error:
            ending = Ending(f"{type(error).__name__}: {error}", finished=False)
            raise
        finally:
            _end(plan, owner, folder, ending)
        return ending


def _begin(plan: Plan, owner: Owner, folder: Path, n_slots: int) -> History:
    """Put in order what an earlier session left."""
    store, name = owner.store, plan.spec.campaign
    take_in_orphans(store, plan, spool.read_all(folder), folder, patiently=owner)
    # What a person was asked for stays his.
    lost = [claim.token for claim in owner(lambda: store.claims_of(name)) if not claim.worker.startswith(CLIENT)]
    most = max_losses(plan.spec.retries)
    owner(lambda: store.reconcile(name, owner=owner.token, lost_tokens=lost, max_losses=most))
    owner(lambda: store.clear_stop(name))
    owner(lambda: store.set_state(name, "running", owner=owner.token))
    owner(lambda: store.add_event(name, "session_started", f"{n_slots} slots, on {socket.gethostname()}"))
    return owner(lambda: History.of(store, name))


def _end(plan: Plan, owner: Owner, folder: Path, ending: Ending) -> None:
    """Keep what workers computed and could not report, and how the session ended."""
    store, name = owner.store, plan.spec.campaign
    try:
        take_in_orphans(store, plan, spool.read_all(folder), folder, patiently=owner)
        state = "finished" if ending.finished else "paused"
        owner(lambda: store.set_state(name, state, ending.reason, owner=owner.token))
        owner(lambda: store.add_event(name, "session_ended", ending.reason))
        owner(lambda: store.create_labels_wide(name))
    except (DatabaseUnreachable, DatabaseBusy) as error:
        raise DatabaseUnreachable(
            f"The session of '{name}' ended ({ending.reason}) while its database was away, which holds nothing of the "
            f"end. {error} What was computed meanwhile is kept on the workers' disks. When the database is back: "
            f"theoros resume {name}"
        ) from error


def _starter(plan: Plan, folder: Path) -> StartSlot:
    from theoros.workers.slot import start_slot

    return lambda resources: start_slot(plan.oracle.to_dict(), resources, folder)


async def _run(session: _Session) -> Ending:
    """Let the agents work between an open and a closed gateway."""
    bus, given_up, companions = Bus(), asyncio.Event(), list[Agent]()
    stop = _StopListener(bus)
    owner = session.owner
    gateway = Gateway(owner.store, owner.campaign, owner.token, notice=lambda text: _tell(companions, text))

    def give_up() -> None:
        gateway.give_up()
        owner.give_up()
        given_up.set()

    try:
        with _signals(bus, give_up):
            return await _work(session, bus, gateway, stop, companions, given_up)
    finally:
        gateway.close()


async def _work(
    session: _Session,
    bus: Bus,
    gateway: Gateway,
    stop: _StopListener,
    companions: list[Agent],
    given_up: asyncio.Event,
) -> Ending:
    """Assemble the agents, let them work, and take them down in order."""
    from theoros.workers.model_worker import SupervisedModelWorker

    plan, n_slots = session.plan, session.n_slots
    await gateway.open(plan.cost_table, plan.problem.target)
    checks, version, hyperparameters, drawn = await gateway.earlier_models()
    widening = Widening.recorded(hyperparameters.get(WIDENING))

    def supervised(name: str) -> SupervisedModelWorker:
        def starved(text: str) -> None:
            bus.publish(Notice("starved", text))

        return SupervisedModelWorker(name, plan.models, plan.model_workers[name], MODEL_DEADLINE, starved)

    decider = supervised("decider")
    dispatcher = Dispatcher(bus, gateway, plan, session.start_slot, n_slots, session.history)
    model_workers, learners = [decider], list[Agent]()
    if plan.learns:
        trainer = supervised("trainer")
        model_workers.append(trainer)
        earlier = [Check(*check) for check in checks]
        learners.append(Learner(bus, gateway, plan, trainer, earlier, version, widening, drawn))
    steward = Steward(bus, gateway, plan, lambda: dispatcher.tokens)
    companions += [companion(bus, gateway, plan) for companion in session.companions]
    agents: list[Agent] = [
        dispatcher,
        *learners,
        Proposer(bus, gateway, plan, decider),
        Selector(bus, gateway, plan, decider, n_slots),
        Pruner(bus, gateway, plan, decider),
        steward,
        *companions,
    ]
    tasks = [asyncio.create_task(agent.run(), name=type(agent).__name__) for agent in (*agents, stop)]
    listeners = tasks[len(agents) - len(companions) : len(agents)]
    tasks.append(asyncio.create_task(steward.watch(), name="Steward.watch"))
    bus.publish(Started() if stop.message is None else stop.message)  # it may have come before there was an agent
    try:
        ending = await _until_stopped(bus, stop, tasks)
        await _drain(dispatcher, given_up)
        await asyncio.sleep(0)  # let the last messages be heard
        if stop.message is not None and stop.message.finished:
            await gateway.cancel_queued()
    finally:
        await _cancelled([task for task in tasks if task not in listeners])
        await asyncio.sleep(0)  # what was told while the others ended is heard as well
        await _cancelled(listeners)
        dispatcher.close()
        for model_worker in model_workers:
            model_worker.close()
    return ending


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(dispatcher: Dispatcher, given_up: asyncio.Event) -> None:
    """Wait for the evaluations that run: to their ends, or for a moment once nobody waits for the database."""
    draining, giving_up = asyncio.create_task(dispatcher.drain()), asyncio.create_task(given_up.wait())
    await asyncio.wait({draining, giving_up}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({draining}, timeout=GRACE)
    for task in (draining, giving_up):
        task.cancel()


def _tell(companions: Sequence[Agent], text: str) -> None:
    """Say that the database is away, or back, to whoever shows notices to a person.

    The steward is left out: it would write the notice to the very database that is away, and the gateway keeps it as an
    event by itself when the database is back.
    """
    notice = Notice("database_away", text)
    listeners = [companion for companion in companions if isinstance(notice, companion.handles)]
    for listener in listeners:
        listener.deliver(notice)
    if not listeners:
        _log.warning(text)


class _StopListener(Agent):
    """Waits for the first request to stop."""

    handles = (StopRequested,)

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.message: StopRequested | None = None
        self.heard = asyncio.Event()

    def deliver(self, message: Any) -> None:
        """Take note at once: a stop may come before any agent runs."""
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
def _signals(bus: Bus, give_up: Callable[[], None]) -> Iterator[None]:
    """The first interrupt lets running evaluations end; the second cancels them, and no longer waits for a database."""
    loop, count = asyncio.get_running_loop(), 0

    def interrupted() -> None:
        nonlocal count
        count += 1
        bus.publish(StopRequested("interrupted", cancel=count > 1, finished=False))
        if count > 1:
            give_up()

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

"""The crew: the slots of a campaign, started, replaced when they die, and as many as the cluster holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from theoros.db.records import Claim
from theoros.oracles.resources import Resources
from theoros.orchestrator.agents.bus import Bus
from theoros.orchestrator.agents.messages import Notice, StopRequested
from theoros.workers import cluster
from theoros.workers.losses import reason

if TYPE_CHECKING:
    from theoros.workers.slot import SlotActor

#: A slot that has to be replaced this often without ever answering is given up.
MOST_STARTS = 3
#: Seconds that a slot may take to build its oracle, and that a campaign waits without a single slot that has a place.
START_DEADLINE = 600.0
#: A slot that has not started for so long (seconds) is reported: from here a full cluster and a slow one look alike.
STARVED_AFTER = 10.0
#: A large slot that has no place so long (seconds) after all others have gone is given up. An actor that has its place
#: says so only when its process runs, which takes long on a busy machine: this is to be much longer.
ROOMLESS_AFTER = 60.0
#: Seconds between two looks at what the cluster has.
LOOK_EVERY = 10.0
_GLANCE = 0.2


@dataclass(eq=False)
class Slot:
    """A slot as the orchestrator sees it: its actor, where that is, and the attempts it works on.

    It works on its `groups` of claims one after the other. While it is `alone` it gets no further one, and `asked`
    counts the groups that its actor has now. `done` are tokens whose answers the database has, so that the slot may
    remove them from its node's disk.
    """

    name: str
    resources: Resources
    actor: SlotActor | None = None
    groups: list[tuple[Claim, ...]] = field(default_factory=list)
    alone: bool = False
    asked: int = 0
    done: list[str] = field(default_factory=list)
    starts: int = 0
    node: str | None = None
    ready: bool = False
    retired: bool = False
    opening: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def claims(self) -> list[Claim]:
        """Everything that it has been given."""
        return [claim for group in self.groups for claim in group]

    @property
    def free(self) -> bool:
        """Whether it could begin an evaluation now."""
        return self.ready and not self.groups

    def takes(self, groups: int) -> bool:
        """Whether it may be given a group of claims when none shall have more than so many."""
        return self.ready and not self.alone and len(self.groups) < groups


class Crew:
    """Owns the slots' actors.

    Args:
        bus: where starvation, losses and the loss of the last slot are told.
        resources: what an ordinary slot takes.
        start_slot: starts an actor that takes the resources it is given.
        n_slots: how many to begin with.
        grows: whether slots follow the cluster: more when nodes join, fewer when they leave.
        prepared: called with a slot and its actor, whose oracle has been built, before it takes part.
        joined: called when a slot is ready for work.
        spawn: runs something beside, so that its failure is not lost.
    """

    def __init__(
        self,
        bus: Bus,
        resources: Resources,
        start_slot: Callable[[Resources], SlotActor],
        n_slots: int,
        *,
        grows: bool,
        prepared: Callable[[Slot, SlotActor], Awaitable[None]],
        joined: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._bus, self._resources, self._start_slot, self._grows = bus, resources, start_slot, grows
        self._prepared, self._joined, self._spawn = prepared, joined, spawn
        self._names = 0
        self._placed_at = time.monotonic()
        self._closed = False
        self._given_up = 0
        self.making_room = 0
        self.slots: list[Slot] = []
        self._add(n_slots)

    def __len__(self) -> int:
        """How many slots there are, ready or not."""
        return sum(not slot.retired for slot in self.slots)

    def start(self) -> None:
        """Start every slot, and follow the cluster."""
        for slot in self.slots:
            self.open(slot)
        if self._grows:
            self._spawn(self._follow())

    def stop_opening(self) -> None:
        """No slot is opened from now on; those at work go on."""
        self._closed = True
        for slot in self.slots:
            if slot.opening is not None:
                slot.opening.cancel()

    def close(self) -> None:
        """Give the slots back to the cluster."""
        self.stop_opening()
        for slot in self.slots:
            self._end(slot)

    # -- one slot ---------------------------------------------------------------------------------------------------

    def open(self, slot: Slot, resources: Resources | None = None) -> None:
        """Start the slot's actor (instead of the one that it has) and build its oracle, beside everything else."""
        if self._closed:
            return
        if slot.opening is not None and slot.opening is not asyncio.current_task():
            slot.opening.cancel()
        self._end(slot)
        slot.resources = resources or slot.resources
        slot.opening = self._spawn(self._open(slot))

    async def _open(self, slot: Slot) -> None:
        import ray

        actor = self._start_slot(slot.resources)
        slot.starts, slot.actor = slot.starts + 1, actor
        try:
            slot.node = await self._place(slot, actor)
            await asyncio.wait_for(actor.start(), START_DEADLINE)
            await self._prepared(slot, actor)
        except (ray.exceptions.RayError, TimeoutError) as error:
            self.replace(slot, reason(error))
            return
        slot.ready = True
        await self._joined()

    async def _place(self, slot: Slot, actor: SlotActor) -> str:
        """Wait for a place; returns the node. Raises TimeoutError when no slot of the campaign has had one for long."""
        answer: asyncio.Future[tuple[str, str, int]] = asyncio.ensure_future(actor.place())
        told = False
        try:
            while not (await asyncio.wait({answer}, timeout=STARVED_AFTER))[0]:
                if not told:
                    told = True
                    self._bus.publish(Notice("starved", await asyncio.to_thread(self._starved, slot)))
                if any(other.node is not None for other in self.slots):
                    self._placed_at = time.monotonic()
                elif time.monotonic() - self._placed_at > START_DEADLINE:
                    raise TimeoutError(f"no slot has found a place on the cluster for {START_DEADLINE:g} s")
        finally:
            answer.cancel()
        self._placed_at = time.monotonic()
        return answer.result()[0]

    def _starved(self, slot: Slot) -> str:
        return (
            f"{slot.name} has waited {STARVED_AFTER:g} s for a place on the cluster, or for its process to start. "
            f"{cluster.needs_and_has(cluster.live_nodes(), slot.resources)} Free now: {cluster.free_now()}."
        )

    def replace(self, slot: Slot, why: str) -> None:
        """Put another actor in the place of a dead one; a slot that never answers is given up after some tries."""
        self._bus.publish(Notice("worker_lost", f"{slot.name}: {why}"))
        self._end(slot)
        if slot.starts < MOST_STARTS:
            self.open(slot)
            return
        slot.retired = True
        self._given_up += 1
        self._bus.publish(Notice("worker_retired", f"{slot.name} died {MOST_STARTS} times in a row and is given up."))
        if len(self) == 0:
            self._bus.publish(StopRequested(f"no worker is left; the last one: {why}", finished=False))

    def _end(self, slot: Slot) -> None:
        slot.ready, slot.node = False, None
        if slot.actor is not None:
            slot.actor.kill()
            slot.actor = None

    # -- as many as fit ---------------------------------------------------------------------------------------------

    def _add(self, n: int) -> list[Slot]:
        added = [Slot(f"slot-{self._names + i}", self._resources) for i in range(n)]
        self._names += n
        self.slots += added
        return added

    async def _follow(self) -> None:
        """Look at the cluster every now and then; add slots that fit, and give up waiting for those that do not."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            nodes = await asyncio.to_thread(cluster.live_nodes)
            fit = sum(cluster.slots_on(node, self._resources) for node in nodes) - self._given_up
            if fit > len(self):
                added = self._add(fit - len(self))
                self._bus.publish(Notice("slots_added", f"the cluster has grown: {len(self)} slots"))
                for slot in added:
                    self.open(slot)
            elif surplus := self._waiting()[: len(self) - max(fit, 1)]:
                for slot in surplus:
                    slot.retired = True
                    if slot.opening is not None:
                        slot.opening.cancel()
                    self._end(slot)
                self._bus.publish(Notice("slots_removed", f"the cluster has shrunk: {len(self)} slots"))

    def _waiting(self) -> list[Slot]:
        """Slots without a place, the last first."""
        return [s for s in reversed(self.slots) if s.node is None and not s.claims and not s.retired]

    # -- a larger one -----------------------------------------------------------------------------------------------

    async def enlarge(self, slot: Slot, resources: Resources, stopped: Callable[[], bool]) -> bool:
        """Open the slot, which has claims, anew with larger `resources`; returns whether it is ready.

        If it finds no place at once, `making_room` says that nobody shall be given work, and other slots go as they
        become free; they come back, and find a place when the large one has gone. It is given up where they have all
        gone and there still is no place: then somebody else has what it needs, a model worker or another campaign.
        """
        self.open(slot, resources)
        asleep: list[Slot] = []
        began, hurried = time.monotonic(), False
        alone_since = began
        try:
            while not slot.ready:
                if stopped() or slot.retired:
                    return False
                await asyncio.sleep(_GLANCE)
                if any(other.node is not None for other in self.slots):  # itself included: it is being built
                    alone_since = time.monotonic()
                if slot.node is None and time.monotonic() - began > STARVED_AFTER:
                    if time.monotonic() - alone_since > ROOMLESS_AFTER:
                        return False
                    self.making_room += not hurried
                    hurried = True
                    if idle := next((other for other in self.slots if other.free), None):
                        self._end(idle)
                        asleep.append(idle)
                        await asyncio.sleep(1.0)  # for Ray to see the room
            return True
        finally:
            self.making_room -= hurried
            for other in asleep:
                if not other.retired:  # the cluster may have shrunk meanwhile
                    other.starts = 0
                    self.open(other)
            await self._joined()

    def restore(self, slot: Slot) -> None:
        """Make an enlarged slot an ordinary one again."""
        if slot.resources != self._resources and not slot.retired:
            slot.starts = 0
            self.open(slot, self._resources)

    def fits(self, resources: Resources) -> bool:
        """Whether some node could hold a slot of that size if it did nothing else. Asks the cluster: takes a moment."""
        return any(cluster.slots_on(node, resources) for node in cluster.live_nodes())

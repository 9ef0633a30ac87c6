"""One in-process asyncio bus: messages go to every agent that handles their type."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, ClassVar


class Agent:
    """One duty of the orchestrator. Subclasses name the messages they handle and say what they do on each.

    An agent keeps its state to itself; others learn of it by messages and by what it wrote to the store. Messages are
    handled one at a time, in the order in which they came.
    """

    handles: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.inbox: deque[Any] = deque()
        self._arrived = asyncio.Event()
        bus.join(self)

    def deliver(self, message: Any) -> None:
        """Put a message into the inbox."""
        self.inbox.append(message)
        self._arrived.set()

    async def on(self, message: Any) -> None:
        """Handle one message."""
        raise TypeError(f"{type(self).__name__} does not handle {type(message).__name__}")

    async def run(self) -> None:
        """Handle messages until cancelled. An exception ends the agent, and its supervisor the campaign's run."""
        while True:
            while self.inbox:
                await self.on(self.inbox.popleft())
            self._arrived.clear()
            await self._arrived.wait()


class Bus:
    """Carries messages between agents of one event loop."""

    def __init__(self) -> None:
        self._agents: list[Agent] = []

    def join(self, agent: Agent) -> None:
        """Let an agent hear what it handles."""
        self._agents.append(agent)

    def publish(self, message: Any) -> None:
        """Deliver a message to all who handle its type; returns at once."""
        for agent in self._agents:
            if isinstance(message, agent.handles):
                agent.deliver(message)

"""A campaign in Colmena, as its own examples write one: a thinker that submits a task whenever a slot is free.

Answers are kept as its users keep them, appended to a file of JSON lines (which is flushed to the disk only where that
is asked for). Colmena's own executor runs the tasks, in threads or in processes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from colmena.models import Result
from colmena.queue import PipeQueues
from colmena.task_server.local import LocalTaskServer
from colmena.thinker import BaseThinker, ResourceCounter, agent, result_processor, task_submitter

from benchmarks import probes

#: Seconds that a whole campaign may take.
DEADLINE = 3600.0


class Policy(Protocol):
    """Who chooses."""

    def choose(self) -> Sequence[Sequence[float]]:
        """One point, in a list."""
        ...

    def learn(self, x: Sequence[float], value: float | None) -> None:
        """What it gave; None for a failure."""
        ...

    def refit(self) -> bool:
        """Fit a model; False when there is nothing new."""
        ...


class Queues(PipeQueues):
    """Colmena 0.7.2 sends a task before it counts it as active, so that the count of fast ones never returns to 0.

    Its agents would wait for that for ever. Ours say themselves when all is done.
    """

    @property
    def active_count(self) -> int:
        """0."""
        return 0


class Thinker(BaseThinker):
    """Submits `n` points, one for each slot that is free, and `ahead` more, which wait in the executor's queue.

    With `beside`, an agent of its own fits the model all the time.
    """

    def __init__(
        self, queues: Queues, policy: Policy, n: int, slots: int, task: tuple[str, str], file: Path,
        *, ahead: int = 0, beside: bool = False, flush: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(queues, ResourceCounter(slots + ahead, ["oracle"]))
        self.rec.reallocate(None, "oracle", "all")
        self._policy, self._n, self._task, self._file, self._beside = policy, n, task, file, beside
        self._flush, self._sent, self.stored, self.finished = flush, 0, 0, 0.0
        self._news = threading.Event()

    @task_submitter(task_type="oracle")
    def submit(self) -> None:
        """A slot is free."""
        if self._sent < self._n:
            (x,) = self._policy.choose()
            self._sent += 1
            self.queues.send_inputs(*self._task, tuple(x), method="ask")

    @result_processor
    def keep(self, result: Result) -> None:
        """Learn from a task that has ended, free its slot, and write it down."""
        self._policy.learn(result.args[2], result.value if result.success else None)
        self._news.set()
        self.rec.release("oracle")
        with self._file.open("a") as file:
            print(result.json(exclude={"inputs"}), file=file)
            if self._flush:
                file.flush()
                os.fsync(file.fileno())
        self.finished, self.stored = time.time(), self.stored + 1
        if self.stored == self._n:
            self.done.set()

    @agent(startup=True)
    def fit(self) -> None:
        """Keep the model current."""
        while self._beside and not self.done.is_set():
            if self._news.wait(1.0):
                self._news.clear()
                self._policy.refit()


def run(
    make_policy: Callable[[], Policy], n: int, slots: int, task: tuple[str, str], folder: Path,
    *, threads: bool = True, ahead: int = 0, beside: bool = False, flush: bool = False,
) -> Thinker:  # fmt: skip
    """Run a campaign of `n` evaluations of `task` (a probe and its options) to its end.

    The task server is a fork of this process, so it is started before the policy, which may have threads.
    """
    queues = Queues()
    server = LocalTaskServer(queues, [probes.ask], threads=threads, num_workers=slots)
    server.start()
    try:
        file = folder / "results.json"
        thinker = Thinker(queues, make_policy(), n, slots, task, file, ahead=ahead, beside=beside, flush=flush)
        thinker.start()
        thinker.join(DEADLINE)  # it would wait for ever for a task server that has died
    finally:
        queues.send_kill_signal()
        server.join(30)
    if thinker.stored != n:
        raise RuntimeError(f"Colmena stored {thinker.stored} of {n} answers; its log says why")
    return thinker

"""Waiting, and how long work takes where tests hold one piece of it against another: none is held against a clock."""

import time
from collections.abc import Callable

#: Seconds after which what a test waits for is taken to hang. It measures nothing: busy machines may take long.
HANGS = 600.0


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is true; raises AssertionError when it takes so long that something hangs."""
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def processor_seconds(work: Callable[[], object], *, runs: int = 3) -> float:
    """The least processor time (s) of some runs of `work`: what a busy machine adds to the others is left out."""
    took = []
    for _ in range(runs):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)

"""How long work takes, for tests that hold one piece of work against another: none holds it against a clock."""

import time
from collections.abc import Callable


def processor_seconds(work: Callable[[], object], *, runs: int = 3) -> float:
    """The least processor time (s) of some runs of `work`: what a busy machine adds to the others is left out."""
    took = []
    for _ in range(runs):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)

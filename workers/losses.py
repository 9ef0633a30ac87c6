"""Why a Ray actor was lost: from Ray's errors to the classes of failure."""

from __future__ import annotations

from theoros.oracles.failures import MemoryExceeded, OracleFailure, WorkerLost

#: What Ray says of a worker that its memory monitor has killed.
_OUT_OF_MEMORY = ("running low on memory", "OutOfMemory", "out of memory", "(OOM)")


def loss(error: BaseException) -> OracleFailure:
    """The failure that an actor's death is for the evaluation that it worked on.

    A slot runs no code of the oracle's, which has a process of its own: so a slot's death says nothing about the
    candidate, unless Ray killed it for want of memory.
    """
    text = str(error)
    if any(sign in text for sign in _OUT_OF_MEMORY):
        return MemoryExceeded(f"Ray ended the worker because its node ran out of memory: {reason(error)}")
    return WorkerLost(f"The worker was lost: {reason(error)}")


def reason(error: BaseException) -> str:
    """The line of an error that says what happened: the last one of Ray's long reports."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

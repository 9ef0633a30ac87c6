"""The child process in which an oracle runs, so that it can be killed whatever it does.

Started by `theoros.workers.sandbox` as ``python -m theoros.workers.child FD``: `FD` is a socket that carries one JSON
object a line. The first line it receives says which oracle to build; every later one is an evaluation.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from theoros.workers.messages import Outcome

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it dies, however that happens (Linux).

    Orphans of what the oracle starts become children of this process, so that whoever kills the family finds them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def mapped_memory() -> int:
    """Bytes of address space that are mapped now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limit_memory(mapped: int, extra: int | None) -> None:
    """Let the address space grow by `extra` bytes beyond the `mapped` ones, those of libraries; None: without limit."""
    limit = resource.RLIM_INFINITY if extra is None else mapped + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def peak_memory(*, reset: bool = False) -> int:
    """Peak resident memory in bytes since the last reset."""
    if reset:
        with contextlib.suppress(OSError):  # a container may mount /proc read-only: then it is the peak since the start
            Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds() -> float:
    """Processor seconds of this process and of the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def evaluate(oracle: Any, request: dict[str, Any], spool: Path, largest: int) -> dict[str, Any]:
    """Ask the oracle, hold the answer against its declaration and its `largest` size (bytes), and spool it.

    Never raises.
    """
    from theoros.oracles.candidate import Candidate
    from theoros.oracles.contract import checked_values
    from theoros.oracles.failures import BadAnswer, MemoryExceeded, OracleFailure
    from theoros.workers.messages import Outcome

    peak_memory(reset=True)
    wall, cpu = time.perf_counter(), cpu_seconds()
    result: dict[str, Any]
    try:
        answer = oracle.evaluate(Candidate(request["kind"], request["data"]), request["fidelity"])
        values = checked_values(oracle.outputs, answer)
        result = {"values": {name: value.tolist() for name, value in values.items()}, "details": dict(answer.details)}
        # Details that are not JSON are the oracle's mistake, and so is too large an answer: say so before it is kept.
        if len(json.dumps(result, allow_nan=False)) > largest:
            raise BadAnswer(f"The answer is larger than {largest // 2**20} MiB.")
    except OracleFailure as failure:
        result = {"failure_class": failure.failure_class, "message": str(failure)}
    except MemoryError as error:
        result = {"failure_class": MemoryExceeded.failure_class, "message": f"out of memory: {error}"}
    except BaseException as error:
        traceback.print_exc()
        result = {"failure_class": OracleFailure.failure_class, "message": f"{type(error).__name__}: {error}"}
    outcome = Outcome(
        token=request["token"],
        fidelity=request["fidelity"],
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=cpu_seconds() - cpu,
        max_rss=peak_memory(),
        host=socket.gethostname(),
        pid=os.getpid(),
        **result,
    )
    return _spooled(spool, outcome).to_dict()


def _spooled(spool: Path, outcome: Outcome) -> Outcome:
    """The outcome, on disk if it is an answer. With a full disk it is reported all the same, and says so."""
    from theoros.workers import spool as spooled

    if outcome.ok:
        try:
            spooled.write(spool, outcome)
        except OSError as error:
            return replace(outcome, unspooled=f"{socket.gethostname()}: {error}")
    return outcome


def _lines(channel: socket.socket) -> Any:
    """Yield the requests. A thread reads them, so that the parent's end is noticed while native code runs."""
    received: list[str] = []
    ready = threading.Condition()

    def read() -> None:
        reader: TextIO = channel.makefile("r")
        for line in reader:
            with ready:
                received.append(line)
                ready.notify()
        os.killpg(0, signal.SIGKILL)  # the parent is gone: so are we, and whatever we started

    threading.Thread(target=read, daemon=True).start()
    while True:
        with ready:
            ready.wait_for(lambda: bool(received))
            line = received.pop(0)
        yield json.loads(line)


def main(descriptor: int) -> None:
    """Build the oracle, then answer requests until the parent hangs up."""
    die_with_parent()
    channel = socket.socket(fileno=descriptor)
    requests = _lines(channel)

    def send(message: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        channel.sendall(json.dumps(message).encode() + b"\n")

    setup = next(requests)
    try:
        from theoros.oracles.reference import OracleReference

        oracle = OracleReference.from_dict(setup["oracle"]).load()
    except BaseException as error:
        traceback.print_exc()
        send({"ready": False, "message": f"{type(error).__name__}: {error}"})
        return
    mapped = mapped_memory()
    send({"ready": True, "pid": os.getpid()})
    for request in requests:
        limit_memory(mapped, request["memory"] or setup["memory"])
        os.chdir(request["scratch"])
        outcome = evaluate(oracle, request, Path(setup["spool"]), setup["largest"])
        os.chdir("/")
        send(outcome)


if __name__ == "__main__":
    main(int(sys.argv[1]))

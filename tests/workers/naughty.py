"""An oracle that misbehaves on demand, for tests of the sandbox."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from theoros.oracles import Answer, Categorical, Fidelity, Parameters, Quantity, Resources
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.workers.sandbox import LARGEST_ANSWER

BEHAVIOURS = (
    "answer",
    "pid",
    "invalid",
    "not_converged",
    "raise",
    "nan",
    "missing",
    "extra",
    "shape",
    "hang",
    "hang_in_c",
    "eat_memory",
    "print",
    "kill_itself",
    "segfault",
    "exit",
    "fork",
    "scratch",
    "escape",
    "bad_details",
    "huge",
    "disk_full",
    "hungry",
)


class Naughty:
    name = "naughty"
    cache_version = "1"
    deterministic = True
    outputs: ClassVar = {"value": Quantity("eV")}
    fidelities = (Fidelity("only"),)
    resources = Resources(num_cpus=1, timeout=20)
    space = Parameters(behaviour=Categorical(*BEHAVIOURS), note=Categorical("", *"abcdefgh"))

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        return getattr(self, f"_{candidate.data['behaviour']}")(candidate.data.get("note", ""))

    def _answer(self, note: str) -> Answer:
        print("hello from the oracle")
        print("a warning", file=sys.stderr)
        return Answer({"value": 1.5}, {"note": note})

    def _pid(self, note: str) -> Answer:
        return Answer({"value": float(os.getpid())})

    def _invalid(self, note: str) -> Answer:
        raise InvalidCandidate("no such thing")

    def _not_converged(self, note: str) -> Answer:
        raise NotConverged("50 cycles, last change 1e-3")

    def _raise(self, note: str) -> Answer:
        raise ZeroDivisionError("a bug")

    def _nan(self, note: str) -> Answer:
        return Answer({"value": float("nan")})

    def _missing(self, note: str) -> Answer:
        return Answer({})

    def _extra(self, note: str) -> Answer:
        return Answer({"value": 1.0, "other": 2.0})

    def _shape(self, note: str) -> Answer:
        return Answer({"value": np.zeros(3)})

    def _bad_details(self, note: str) -> Answer:
        return Answer({"value": 1.0}, {"object": object()})

    def _hang(self, note: str) -> Answer:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)

    def _hang_in_c(self, note: str) -> Answer:
        ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter's lock: no Python signal handler can run
        raise AssertionError

    def _eat_memory(self, note: str) -> Answer:
        hoard: list[Any] = []
        while True:
            hoard.append(np.ones(2**23))  # 64 MiB, touched
            time.sleep(0.02)

    def _print(self, note: str) -> Answer:
        for _ in range(200):
            sys.stdout.write("x" * 2**20)
        print("the end")
        return Answer({"value": 2.0})

    def _kill_itself(self, note: str) -> Answer:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def _segfault(self, note: str) -> Answer:
        ctypes.string_at(0)
        raise AssertionError

    def _exit(self, note: str) -> Answer:
        os._exit(7)

    def _fork(self, note: str) -> Answer:
        """Start a grandchild in this process group and hang."""
        child = subprocess.Popen(["sleep", "600"])
        Path(os.environ.get("NAUGHTY_PIDS", os.devnull)).write_text(str(child.pid))
        time.sleep(600)
        raise AssertionError

    def _escape(self, note: str) -> Answer:
        """Start a grandchild that leaves the process group and hang."""
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(os.environ.get("NAUGHTY_PIDS", os.devnull)).write_text(str(child.pid))
        time.sleep(600)
        raise AssertionError

    def _scratch(self, note: str) -> Answer:
        Path("litter.txt").write_text("x")
        return Answer({"value": 1.0}, {"folder": str(Path.cwd())})

    def _huge(self, note: str) -> Answer:
        return Answer({"value": 1.0}, {"text": "x" * (LARGEST_ANSWER + 1)})

    def _disk_full(self, note: str) -> Answer:
        """Answer while the disk is full: what is written can't be flushed."""
        flush = os.fsync

        def full(descriptor: int) -> None:
            os.fsync = flush
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        os.fsync = full
        return Answer({"value": 3.0})

    def _hungry(self, note: str) -> Answer:
        """Needs 700 MiB, and is content with them."""
        hoard = [np.ones(2**17) for _ in range(700)]
        time.sleep(1.0)  # long enough to be looked at
        return Answer({"value": float(len(hoard))})

"""A killable home for an oracle: a child process with a deadline, a memory limit and captured output."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil

from theoros.oracles.failures import BadAnswer, DeadlineExceeded, MemoryExceeded, OracleCrashed, OracleFailure
from theoros.oracles.resources import Resources
from theoros.workers.messages import EvaluationRequest, Outcome

#: How much of an attempt's standard output and error is kept, in bytes each.
OUTPUT_TAIL = 16 * 1024
#: The largest answer that a child may send, in bytes.
LARGEST_ANSWER = 256 * 2**20
_POLL = 0.25
_START_TIMEOUT = 300.0


#: What an oracle's process has no use for, and need not know: the way into the results database.
_SECRETS = frozenset({"THEOROS_DATABASE", "PGPASSWORD", "PGPASSFILE"})


class OracleDidNotStart(RuntimeError):
    """The oracle could not be built in its child process; the message is the child's own."""


class _Tail:
    """Drains a stream and keeps its end, so that a child that prints a gigabyte fills neither disk nor memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._chunks: deque[bytes] = deque()
        self._kept = 0
        self._lock = threading.Lock()
        os.set_blocking(stream.fileno(), False)
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        waiting = select.poll()
        waiting.register(self._stream.fileno(), select.POLLIN)
        open_ended = True
        while open_ended:
            waiting.poll()
            with self._lock:
                open_ended = self._read() is not None

    def _read(self) -> bool | None:
        """Keep what there is now; False when there is nothing, None at the end of the stream."""
        try:
            chunk = os.read(self._stream.fileno(), 65536)
        except BlockingIOError:
            return False
        if not chunk:
            return None
        self._chunks.append(chunk)
        self._kept += len(chunk)
        while self._kept - len(self._chunks[0]) >= OUTPUT_TAIL:
            self._kept -= len(self._chunks.popleft())
        return True

    def take(self) -> str:
        """What was written until now since the last call, at most `OUTPUT_TAIL` bytes of it.

        The child writes before it answers, and its answer can be here before the thread has got to what it wrote.
        """
        with self._lock:
            while self._read():
                pass
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._kept = 0
        return data[-OUTPUT_TAIL:].decode(errors="replace")


class Sandbox:
    """Runs evaluations of one oracle in a child process, one at a time.

    The child is kept warm between evaluations unless `resources.isolate` asks for a fresh one each time, and is
    replaced after it was killed. `kill` may be called from another thread while `evaluate` runs; nothing else may.
    """

    def __init__(self, oracle: Mapping[str, Any], resources: Resources, spool: Path) -> None:
        self._setup = {
            "oracle": dict(oracle),
            "memory": resources.memory,
            "spool": str(spool),
            "largest": LARGEST_ANSWER,
        }
        self._resources = resources
        self._child: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    # -- life of the child ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the child and build the oracle in it. Raises OracleDidNotStart with the reason."""
        self.kill()
        ours, theirs = socket.socketpair()
        threads = str(self._resources.threads)
        kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        environment = kept | dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), threads
        )
        self._child = subprocess.Popen(
            [sys.executable, "-m", "theoros.workers.child", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._stdout, self._stderr = _Tail(self._child.stdout), _Tail(self._child.stderr)
        self._channel, self._buffer = ours, bytearray()
        self._send(self._setup)
        message = self._receive(time.monotonic() + _START_TIMEOUT, memory=None)
        if not isinstance(message, dict) or not message.get("ready"):
            reason = message["message"] if isinstance(message, dict) else str(message or "its process died")
            output = self._stderr.take()[-2000:]
            self.kill()
            raise OracleDidNotStart(f"The oracle could not be built in its worker process: {reason}\n{output}".strip())

    @property
    def running(self) -> bool:
        """Whether there is a live child."""
        return self._child is not None and self._child.poll() is None

    def kill(self) -> None:
        """Kill the child, its process group, and whatever it started that left the group."""
        child, self._child = self._child, None
        if child is None:
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(child.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()
        self._channel.close()

    def cancel(self) -> None:
        """Kill the running evaluation from another thread; `evaluate` then returns the outcome ``cancelled``."""
        self._cancelled = True
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)

    # -- evaluations ----------------------------------------------------------------------------------------------

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        """Run one evaluation to its end, its deadline or its death. Raises OracleDidNotStart, and nothing else."""
        self._cancelled = False
        if not self.running:
            self.start()
        assert self._child is not None
        started, pid = time.perf_counter(), self._child.pid
        self._stdout.take(), self._stderr.take()
        with tempfile.TemporaryDirectory(prefix="theoros-", ignore_cleanup_errors=True) as scratch:
            try:
                self._send(request.to_dict() | {"scratch": scratch})
                memory = request.memory or self._resources.memory
                message = self._receive(time.monotonic() + self._resources.timeout, memory)
            except OSError:
                message = None
            outcome = self._outcome(request, message)
            if not isinstance(message, dict) or self._resources.isolate:
                self.kill()
        if not isinstance(message, dict):
            outcome = replace(outcome, wall_seconds=time.perf_counter() - started, pid=pid, host=socket.gethostname())
        return replace(outcome, stdout=self._stdout.take(), stderr=self._stderr.take())

    def _outcome(self, request: EvaluationRequest, message: dict[str, Any] | OracleFailure | None) -> Outcome:
        if isinstance(message, dict):
            return Outcome(**message)
        if self._cancelled:
            return Outcome(
                request.token, request.fidelity, failure_class="cancelled", message="cancelled while running"
            )
        if message is None:
            message = OracleCrashed(self._epitaph())
        return Outcome(request.token, request.fidelity, failure_class=message.failure_class, message=str(message))

    def _epitaph(self) -> str:
        assert self._child is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5)
        code = self._child.poll()
        if code is not None and code < 0:
            return f"The oracle's process was killed by {signal.Signals(-code).name}."
        return f"The oracle's process ended with exit code {code} before it answered."

    # -- the channel ----------------------------------------------------------------------------------------------

    def _send(self, message: Mapping[str, Any]) -> None:
        self._channel.settimeout(60)
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self, deadline: float, memory: int | None) -> dict[str, Any] | OracleFailure | None:
        """The child's next message; a failure when a limit (seconds, bytes) was passed; None when the child died."""
        self._channel.settimeout(_POLL)
        next_look, searched = time.monotonic() + _POLL, 0
        while True:
            end = self._buffer.find(b"\n", searched)
            searched = len(self._buffer)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                message: dict[str, Any] = json.loads(line)
                return message
            if len(self._buffer) > 2 * LARGEST_ANSWER:  # the child keeps the limit; this is for one that does not
                return BadAnswer(f"The answer is larger than {LARGEST_ANSWER // 2**20} MiB.")
            try:
                chunk = self._channel.recv(2**20)
                if not chunk:
                    return None
                self._buffer += chunk
            except TimeoutError:
                pass  # nothing came: look at the clock and the memory
            except OSError:
                return None
            now = time.monotonic()
            if now > deadline:
                return DeadlineExceeded(f"The evaluation ran past its deadline of {self._resources.timeout:g} s.")
            if memory is not None and now > next_look:
                next_look = now + _POLL
                if (used := self._resident_bytes()) > memory:
                    return MemoryExceeded(
                        f"The evaluation used {used / 2**20:.0f} MiB; {memory / 2**20:.0f} MiB were granted."
                    )

    def _resident_bytes(self) -> int:
        """Resident memory of the child and all that it started."""
        assert self._child is not None
        try:
            parent = psutil.Process(self._child.pid)
            family = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        total = 0
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
        return total

"""Real Ray clusters for tests: their own folder, token and ports, and not a process left of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.timing import wait_for

BIN = Path(sys.executable).parent
RUNTIME_ENV = Path(__file__).parents[2] / "docs" / "cluster" / "runtime-env.yaml"


class Family:
    """Processes that share an environment of their own, by which they are found and ended, and nobody else is."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.temporary = tempfile.mkdtemp(prefix="ray-")  # short: Ray's sockets lie in it
        self._mark, self.token = secrets.token_hex(8), secrets.token_hex(32)
        (folder / "token").write_text(self.token)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_TMPDIR": self.temporary,
            "THEOROS_TEST_FAMILY": self._mark,
            **environment,
        }

    def lives(self) -> bool:
        """Whether any of them does."""
        return any(self._processes())

    def kill(self) -> None:
        """kill -9 of all of them at once: they are stopped first, so that none has time to note another one's death."""
        while family := list(self._processes()):
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=5)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("THEOROS_TEST_FAMILY") == self._mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    yield process


def head_options() -> dict[str, str]:
    """Options of ``ray start --head`` that keep it to the loopback and off the ports of other clusters."""
    dashboard, client = free_ports(2)
    return {
        "--dashboard-host": "127.0.0.1",
        "--dashboard-port": str(dashboard),
        "--ray-client-server-port": str(client),
        "--dashboard-agent-listen-port": "0",
        "--min-worker-port": "0",
        "--max-worker-port": "0",
    }


class JobServer(Family):
    """A cluster that takes jobs."""

    def start(self) -> None:
        """Start it, and wait until it takes jobs."""
        options = head_options() | {"--port": "0", "--num-cpus": "3"}
        self._url = f"http://127.0.0.1:{options['--dashboard-port']}"
        command = [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
        command += itertools.chain(*options.items())
        log = Path(self.temporary) / "head.log"
        with log.open("w") as file:
            head = subprocess.Popen(command, env=self.environment, stdout=file, stderr=subprocess.STDOUT)

        def ready() -> bool:
            assert head.poll() is None, log.read_text()
            return self._answers()

        wait_for(ready)

    def _answers(self) -> bool:
        """Whether jobs may be submitted."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self._url}/api/jobs/", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return isinstance(json.load(response), list)
        except OSError:
            return False

    def job(self, verb: str, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        """``ray job VERB``; returns its exit code and what it printed."""
        done = subprocess.run(
            [BIN / "ray", "job", verb, "--address", self._url, *arguments],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    def submit(self, folder: Path, submission_id: str, *options: str) -> tuple[int, str]:
        """Submit the campaign of a folder as the documentation says."""
        return self.job(
            "submit", *options, "--submission-id", submission_id, "--entrypoint-num-cpus", "1",
            "--runtime-env", str(RUNTIME_ENV), "--", "theoros", "run", "campaign.yaml",
            cwd=folder,
        )  # fmt: skip


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

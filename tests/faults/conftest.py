from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.faults.postgres import Server
from tests.faults.said import said
from tests.timing import HANGS
from theoros.db import CampaignNotFound, Store, patience
from theoros.db.errors import DatabaseNotFound

HERE = Path(__file__).parent
THEOROS = Path(sys.executable).parent / "theoros"
# Oracles of these tests are modules in this folder, as a person's own are in his.
sys.path[:0] = [str(HERE), str(HERE.parent / "workers")]


class Home:
    """A folder with a campaign, and whoever runs it."""

    def __init__(self, folder: Path, spec: dict[str, Any], address: str) -> None:
        self.folder, self.name, self.address = folder, spec["campaign"], address
        self.database = folder / "t.db"
        self.spool = folder / ".theoros-spool" / self.name
        (folder / "c.yaml").write_text(yaml.safe_dump(spec))
        shutil.copy(HERE / "wave.py", folder)
        self.drivers: list[subprocess.Popen[str]] = []

    def start(self, *verb: str) -> subprocess.Popen[str]:
        """Start an orchestrator: ``run`` or ``resume``."""
        what = verb or ("run", "c.yaml")
        command = [THEOROS, *what, "--database", "t.db", "--address", self.address]
        driver = subprocess.Popen(command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.drivers.append(driver)
        return driver

    def resume(self) -> None:
        """Go on to the end."""
        driver = self.start("resume", self.name)
        output = said(driver)
        assert driver.returncode == 0, output

    def read(self) -> Store:
        return Store(self.database, read_only=True)

    def done(self) -> int:
        try:
            with self.read() as store:
                return len(store.evaluations(self.name, ["done"]))
        except (DatabaseNotFound, CampaignNotFound):
            return 0

    def told(self, kind: str) -> list[str]:
        """What a person was told of that kind."""
        with self.read() as store:
            return [event.message for event in store.events(self.name, 1000, kinds=[kind])]

    def wait_for(self, condition: Callable[[], Any], seconds: float = HANGS) -> None:
        """Wait as long as a busy machine may need: the limit guards against a hang, and measures nothing."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            assert self.drivers[-1].poll() is None, self.drivers[-1].communicate()[0]
            time.sleep(0.1)

    def close(self) -> None:
        for driver in self.drivers:
            driver.kill()
            driver.communicate()


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[[dict[str, Any], str], Home]]:
    made: list[Home] = []

    def make(spec: dict[str, Any], address: str) -> Home:
        made.append(Home(tmp_path, spec, address))
        return made[-1]

    yield make
    for home in made:
        home.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A database server for the tests of one file."""
    with tempfile.TemporaryDirectory(prefix="theoros-away-", ignore_cleanup_errors=True) as folder:
        running = Server(folder)
        yield running
        running.close()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a database looks again soon."""
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(patience, "WORTH_TELLING", 0.5)


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A database of its own on that server, with a campaign."""
    name = f"d{abs(hash(request.node.nodeid))}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with Store(server.url.replace("/postgres?", f"/{name}?"), artifacts="unused") as opened:
        opened.create_campaign("reactor", goal="optimize", spec={}, seed=7)
        yield opened

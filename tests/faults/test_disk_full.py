"""A database whose disk is full stalls its campaign: answers wait on their workers' disks, and none is asked again."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from wave import truth

import psutil
import pytest
import yaml
from sqlalchemy import event

from tests.faults.invariants import violations
from tests.timing import HANGS, wait_for
from theoros.db import CampaignNotFound, Store, patience
from theoros.db.errors import DatabaseNotFound
from theoros.orchestrator.agents.bus import Agent
from theoros.orchestrator.agents.messages import Notice
from theoros.orchestrator.campaign import Campaign
from theoros.workers import spool

HERE = Path(__file__).parent
THEOROS = Path(sys.executable).parent / "theoros"
LABELS = 16
SPEC = {
    "campaign": "full",
    "question": {"maximize": "height"},
    "oracle": {"loud:Loud": {"seconds": 0.3}},
    "acquisition": "random",
    "budget": {"labels": LABELS},
    "workers": {"slots": 2, "lookahead": 8},
    "seed": 6,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("wave.py", "loud.py"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path


def done(home: Path) -> int:
    try:
        with Store(home / "t.db", read_only=True) as store:
            return store.count("full", ["done"])
    except (DatabaseNotFound, CampaignNotFound):
        return 0


def waiting(home: Path) -> int:
    """How many answers are on the workers' disk and not in the database."""
    return len(spool.read_all(home / ".theoros-spool" / "full"))


def require_nothing_lost(home: Path) -> None:
    with Store(home / "t.db", read_only=True) as store:
        folder = home / ".theoros-spool" / "full"
        assert violations(store, "full", budget=LABELS, spool=folder, truth=truth) == []
        assert store.attempts("full")["state"].tolist() == ["done"] * LABELS, "nothing was computed twice"


class Disk:
    """The disk of a SQLite database, which can be made as full as it is."""

    def __init__(self, store: Store) -> None:
        self.full = False
        event.listen(store._engine, "begin", self._begins)

    def _begins(self, connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one() if self.full else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.5)
    return []


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_waits_for_room_on_its_databases_disk_and_ends_as_planned(home, told):
    class Listener(Agent):
        handles = (Notice,)

        def deliver(self, message: Notice) -> None:
            if message.kind == "database_away":  # a busy machine has other things to tell
                told.append(message.message)

    with Store(home / "t.db") as store:
        disk = Disk(store)
        campaign = Campaign(SPEC, store, base=home)

        def fills_up() -> None:
            wait_for(lambda: done(home) >= 4)
            disk.full = True
            try:
                wait_for(lambda: told and waiting(home) >= 2)
            finally:
                disk.full = False

        filling = threading.Thread(target=fills_up)
        filling.start()
        ending = campaign.run(companions=(lambda bus, gateway, plan: Listener(bus),))
        filling.join()
    assert ending.finished, ending.reason
    assert "is full" in told[0]
    assert "Make room there" in told[0]
    assert told[-1].startswith("the database is back after")
    require_nothing_lost(home)


def test_who_does_not_wait_for_room_loses_nothing_either(home, ray_address):
    command = [THEOROS, "run", "c.yaml", "--database", "t.db", "--address", ray_address]
    driver = subprocess.Popen(command, cwd=home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: done(home) >= 4)
        # No file of the orchestrator's can grow: as with a quota that is used up. Its workers' files can.
        psutil.Process(driver.pid).rlimit(psutil.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        wait_for(lambda: waiting(home) >= 2)
        time.sleep(3.0)
        driver.send_signal(signal.SIGINT)
        time.sleep(1.0)
        driver.send_signal(signal.SIGINT)
        output, errors = driver.communicate(timeout=HANGS)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 1, output + errors
    assert "is full, or a quota on it is used up" in output
    assert "theoros resume full" in errors
    assert "Traceback" not in errors
    assert waiting(home) >= 2, "what was computed is kept"

    again = [THEOROS, "resume", "full", "--database", "t.db", "--address", ray_address]
    resumed = subprocess.run(again, cwd=home, capture_output=True, text=True, timeout=HANGS, check=False)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    require_nothing_lost(home)

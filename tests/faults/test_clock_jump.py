"""Clocks that jump by an hour: leases go by the database's clock, deadlines by none that can jump."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from wave import truth

import pytest
import yaml
from sqlalchemy import event

from tests.faults.invariants import violations
from tests.timing import HANGS
from theoros.db import CampaignOwned, Store
from theoros.orchestrator.campaign import Campaign
from theoros.workers import spool

HERE = Path(__file__).parent
THEOROS = Path(sys.executable).parent / "theoros"
LABELS = 14
SPEC = {
    "campaign": "hours",
    "question": {"maximize": "height"},
    "oracle": {"wave:Wave": {"seconds": 0.5}},
    "acquisition": "random",
    "budget": {"labels": LABELS},
    "workers": {"slots": 2},
    "seed": 6,
}
#: Loaded by every Python process that starts with it on its path: the time of day jumps when a file says by how much.
SITECUSTOMIZE = """
import os, pathlib, time
_now, _file = time.time, pathlib.Path(os.environ["JUMP_FILE"])
def _jumped():
    try:
        return _now() + float(_file.read_text())
    except FileNotFoundError:
        return _now()
time.time = _jumped
"""


def wait_for_labels(store: Store, n: int) -> None:
    deadline = time.monotonic() + HANGS
    while store.count("hours", ["done"]) < n:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def require_nothing_lost(store: Store, home: Path) -> None:
    folder = home / ".theoros-spool" / "hours"
    assert violations(store, "hours", budget=LABELS, spool=folder, truth=truth) == []
    assert spool.read_all(folder) == []
    attempts = store.attempts("hours")
    assert attempts["state"].tolist() == ["done"] * LABELS, "no lease was lost, and nothing was computed twice"
    assert attempts["wall_seconds"].between(0.4, 30).all()


@pytest.mark.parametrize("jump", [3600.0, -3600.0], ids=["ahead", "back"])
def test_an_orchestrator_and_workers_whose_clocks_jump_keep_their_leases(postgres_url, tmp_path, jump):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SPEC))
    path = os.pathsep.join([str(tmp_path), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {
        "PYTHONPATH": path,
        "JUMP_FILE": str(tmp_path / "jump"),
    }
    command = [THEOROS, "run", "c.yaml", "--database", postgres_url]
    with Store(postgres_url) as store:
        driver = subprocess.Popen(command, cwd=tmp_path, env=environment)
        try:
            while not any(campaign.name == "hours" for campaign in store.campaigns()):
                assert driver.poll() is None
                time.sleep(0.1)
            wait_for_labels(store, 3)
            (tmp_path / "jump").write_text(str(jump))
            wait_for_labels(store, 5)
            with pytest.raises(CampaignOwned) as owned:
                store.acquire("hours", host="other", pid=1)
            assert 0 <= owned.value.heartbeat_age < 30
            assert driver.wait(timeout=HANGS) == 0
        finally:
            driver.kill()
            driver.wait()
        require_nothing_lost(store, tmp_path)


class Clock:
    """The clock of a SQLite database, which is that of its machine, made to jump."""

    def __init__(self, store: Store) -> None:
        self.jump = 0.0
        event.listen(store._engine, "connect", self._connected)
        store.close()  # connections that are open have the old clock

    def _connected(self, connection, _record) -> None:
        connection.create_function("strftime", 3, self._strftime)

    def _strftime(self, _format: str, _now: str, offset: str) -> str:
        seconds = float(offset.removesuffix(" seconds"))
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.jump + seconds)
        return at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("jump", [3600.0, -3600.0], ids=["ahead", "back"])
def test_a_database_whose_clock_jumps_ends_no_lease_of_a_living_owner(tmp_path, jump):
    (tmp_path / "wave.py").write_text((HERE / "wave.py").read_text())
    with Store(tmp_path / "t.db") as store:
        clock = Clock(store)
        campaign = Campaign(SPEC, store, base=tmp_path)
        campaign.save()
        before = store.campaign("hours").created_at

        def jumps() -> None:
            wait_for_labels(store, 4)
            clock.jump = jump

        jumping = threading.Thread(target=jumps)
        jumping.start()
        assert campaign.run().finished
        jumping.join()
        assert abs((store.events("hours")[-1].at - before).total_seconds() - jump) < 300, "the clock did jump"
        require_nothing_lost(store, tmp_path)


@pytest.mark.usefixtures("local_ray")
def test_a_retry_whose_time_an_earlier_session_has_set_is_made_when_it_is_due(tmp_path):
    for name in ("wave.py", "fickle.py"):
        (tmp_path / name).write_text((HERE / name).read_text())
    spec = SPEC | {
        "oracle": {"fickle:Fickle": {"folder": str(tmp_path)}},
        "budget": {"labels": 1},
        "retries": {"not_converged": 1, "backoff": "8 s"},
    }
    campaign = Campaign(spec, tmp_path / "t.db", base=tmp_path)
    campaign.save()

    def stops() -> None:
        deadline = time.monotonic() + HANGS
        while campaign.store.count("hours", ["failed"]) == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        campaign.store.request_stop("hours", "drain")

    stopping = threading.Thread(target=stops)
    stopping.start()
    assert not campaign.run().finished
    stopping.join()
    assert campaign.store.count("hours", ["failed"]) == 1, "it waits for its next try"
    assert campaign.run().finished
    assert campaign.store.attempts("hours")["state"].tolist() == ["failed", "done"]
    campaign.close()

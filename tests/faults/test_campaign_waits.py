"""A campaign whose database goes away waits for it, as does a session that begins or ends, unless a person says no."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.timing import HANGS
from theoros.db import OwnershipLost, Store
from theoros.db.errors import DatabaseUnreachable
from theoros.orchestrator.agents.bus import Agent
from theoros.orchestrator.agents.messages import Notice
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.owner import owned

pytestmark = pytest.mark.usefixtures("short_pauses")

SPEC = {
    "campaign": "branin",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin", "delay": "0.2 s"}},
    "acquisition": "random",
    "budget": {"labels": 20},
    "workers": {"slots": 2},
    "seed": 4,
}


@pytest.fixture
def campaign(store, tmp_path, monkeypatch, request) -> Campaign:
    monkeypatch.chdir(tmp_path)
    made = Campaign(SPEC | getattr(request, "param", {}), store)
    made.save()
    return made


def require_all_labels_once(store: Store) -> None:
    assert store.campaign("branin").state == "finished"
    assert [e.state for e in store.evaluations("branin") if e.state != "cancelled"] == ["done"] * 20
    answered = store.attempts("branin").query("state == 'done'")
    assert len(answered) == answered["evaluation_id"].nunique() == 20


@pytest.mark.usefixtures("local_ray")
def test_a_campaign_stalls_while_its_database_is_away_and_ends_as_planned(server, store, campaign):
    heard: list[str] = []

    class Listener(Agent):
        handles = (Notice,)

        def deliver(self, message: Notice) -> None:
            heard.append(message.message)

    def disturb() -> None:
        deadline = time.monotonic() + HANGS
        while store.count("branin", ["done"]) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        server.away(server.kill, 2.0)

    trouble = threading.Thread(target=disturb)
    trouble.start()
    ending = campaign.run(companions=(lambda bus, gateway, plan: Listener(bus),))
    trouble.join()
    assert ending.finished, ending.reason
    require_all_labels_once(store)
    assert store.attempts("branin")["state"].tolist() == ["done"] * 20
    (event,) = store.events("branin", kinds=["database_away"])
    away, back = heard
    assert away.startswith("the database has been away for")
    assert back == event.message


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("moment", ["begins", "ends"])
def test_a_database_that_is_away_when_a_session_begins_or_ends_is_waited_for(server, store, campaign, moment, caplog):
    comes_back = threading.Timer(1.5, server.start)

    def goes_away() -> None:
        server.kill()
        comes_back.start()

    class LastToLeave(Agent):
        handles = ()

        async def run(self) -> None:
            try:
                await super().run()
            finally:
                if moment == "ends":
                    goes_away()

    if moment == "begins":
        goes_away()
    ending = campaign.run(companions=(lambda bus, gateway, plan: LastToLeave(bus),))
    comes_back.join()
    assert ending.finished, ending.reason
    require_all_labels_once(store)
    assert store.events("branin", 1)[0].kind == "session_ended"
    with pytest.raises(OwnershipLost):
        store.heartbeat("branin", "nobody")
    store.acquire("branin", host="other", pid=1)  # it was given back
    away, back = [record.getMessage() for record in caplog.records if record.name.startswith("theoros")]
    assert away.startswith("the database has been away for")
    assert back.startswith("the database is back after")


SLOW = {"oracle": {"synthetic": {"function": "Branin", "delay": "1 s"}}}


@pytest.mark.parametrize("campaign", [SLOW], indirect=True, ids=["slots at work"])
def test_who_interrupts_twice_need_not_wait_for_the_database_and_loses_nothing(
    server, store, campaign, ray_address, tmp_path
):
    theoros = Path(sys.executable).parent / "theoros"
    command = [theoros, "resume", "branin", "--database", store.url, "--address", ray_address]
    driver = subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + HANGS
        while store.count("branin", ["done"]) < 5 or store.count("branin", ["running"]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.kill()
        time.sleep(3.5)
        driver.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            driver.wait(2.0)
        driver.send_signal(signal.SIGINT)
        output, errors = driver.communicate(timeout=HANGS)
    finally:
        driver.kill()
        server.start()
    assert driver.returncode == 1, output + errors
    assert output.count("the database has been away for") == 1
    assert "theoros resume branin" in errors
    assert "Traceback" not in errors
    assert len(list((tmp_path / ".theoros-spool" / "branin").glob("*.json"))) == 2, "they were computed meanwhile"

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    require_all_labels_once(store)
    assert store.attempts("branin")["state"].tolist() == ["done"] * 20, "nothing was computed twice"


def test_an_interrupt_ends_the_wait_of_a_session_that_begins_or_ends_and_says_why(server, store):
    with owned(store, "reactor") as owner:
        server.stop()
        try:
            threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(DatabaseUnreachable, match="is away, and waiting for it was interrupted"):
                owner(lambda: store.set_state("reactor", "paused", owner=owner.token))
            owner.give_up()
            with pytest.raises(DatabaseUnreachable):
                owner(lambda: store.campaign("reactor"))
        finally:
            server.start()
    with pytest.raises(OwnershipLost):
        store.heartbeat("reactor", owner.token)

"""Late, duplicate and foreign answers, and two orchestrators: whatever arrives is counted once, and by one owner."""

from __future__ import annotations

import os
import signal
import time
from wave import truth

import pytest

from tests.faults.invariants import violations
from tests.faults.said import said
from theoros.db import Store
from theoros.db.records import Claim
from theoros.orchestrator.answers import take_in_orphans
from theoros.orchestrator.campaign import Campaign
from theoros.workers import spool
from theoros.workers.messages import Outcome

LABELS = 12
SPEC = {
    "campaign": "late",
    "question": {"maximize": "height"},
    # Long enough for workers to be gone, with the orchestrator that was killed, before they could answer.
    "oracle": {"wave:Wave": {"seconds": 3.0}},
    "budget": {"labels": LABELS},
    "workers": {"slots": 3},
    "acquisition": "random",
    "seed": 5,
}


def answer(token: str, values: dict[str, float]) -> Outcome:
    return Outcome(token, "only", values=values, host="elsewhere", pid=1)


@pytest.fixture
def home(make_home, ray_address):
    return make_home(SPEC, ray_address)


def running(home) -> list[Claim]:
    if home.done() == 0:
        return []
    with home.read() as store:
        return store.claims_of("late")


def test_a_late_answer_counts_once_and_a_duplicate_or_foreign_one_never(home):
    driver = home.start()
    home.wait_for(lambda: home.done() >= 3 and len(running(home)) >= 2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    with home.read() as store:
        late, retried = store.claims_of("late")[:2]
        (done,) = store.query("SELECT token FROM attempts WHERE state = 'done' LIMIT 1")["token"]
    spool.write(home.spool, answer(late.token, truth(late.candidate.data)))  # computed, and nobody was left to hear it
    spool.write(home.spool, answer(done, {"height": -99.0}))  # delivered twice
    spool.write(home.spool, answer("0" * 32, {"height": -99.0}))  # of another database
    home.resume()

    assert [path.stem for path in home.spool.glob("*.json")] == ["0" * 32], "what is not ours is left"
    spool.discard(home.spool, "0" * 32)
    with home.read() as store:
        assert violations(store, "late", budget=LABELS, spool=home.spool, truth=truth) == []
        attempts = store.attempts("late")
    assert attempts[attempts["sequence"] == late.sequence]["host"].tolist() == ["elsewhere"], "it was not asked again"
    assert attempts[attempts["sequence"] == retried.sequence]["state"].tolist() == ["lost", "done"]

    campaign = Campaign.open("late", home.database)
    spool.write(home.spool, answer(retried.token, {"height": -99.0}))  # the first worker was only slow
    assert take_in_orphans(campaign.store, campaign.plan, spool.read_all(home.spool), home.spool) == 0
    assert violations(campaign.store, "late", budget=LABELS, spool=home.spool, truth=truth) == []
    campaign.close()


def test_an_orchestrator_that_was_replaced_stops_and_writes_nothing_more(home):
    driver = home.start()
    home.wait_for(lambda: home.done() >= 2)
    with Store(home.database) as store:
        token = store.acquire("late", host="other", pid=1, pid_is_dead=lambda *_: True)
        said(driver)
        assert driver.returncode != 0
        evaluations, attempts = store.evaluations("late"), len(store.attempts("late"))
        time.sleep(2)
        assert store.evaluations("late") == evaluations
        assert len(store.attempts("late")) == attempts
        store.release("late", token)
    home.resume()
    with home.read() as store:
        assert violations(store, "late", budget=LABELS, spool=home.spool, truth=truth) == []

"""One orchestrator per campaign."""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from theoros.db import CampaignOwned, ModelVersionRecord, OwnershipLost


def acquire(store, campaign, pid=1, **fields):
    return store.acquire(campaign, host="laptop", pid=pid, **fields)


def test_a_second_orchestrator_is_refused_with_the_name_of_the_first(store, campaign):
    acquire(store, campaign, 41)
    with pytest.raises(CampaignOwned, match="process 41 on laptop") as caught:
        acquire(store, campaign, 42)
    assert (caught.value.host, caught.value.pid) == ("laptop", 41)
    assert 0 <= caught.value.heartbeat_age < 30


def test_one_of_many_that_race_becomes_the_owner(store, campaign):
    def attempt(pid):
        try:
            return acquire(store, campaign, pid)
        except CampaignOwned:
            return None

    with ThreadPoolExecutor(6) as pool:
        tokens = [token for token in pool.map(attempt, range(6)) if token]
    assert len(tokens) == 1


def test_an_expired_lease_is_taken_over_and_the_old_owner_finds_out(store, work, make):
    old = acquire(store, work.name, lease_seconds=-1)
    new = acquire(store, work.name, 2)
    for write in (
        lambda: store.heartbeat(work.name, old),
        lambda: store.enqueue(work.name, [make.decision(1)], required_outputs=[], owner=old),
        lambda: store.claim(work.name, worker="w", owner=old),
        lambda: store.cancel(work.name, owner=old),
        lambda: store.reconcile(work.name, owner=old),
        lambda: store.set_state(work.name, "running", owner=old),
        lambda: store.add_event(work.name, "note", "still here", owner=old),
        lambda: store.add_model_version(work.name, ModelVersionRecord(1, "gp", 0, 0, 0.0), owner=old),
    ):
        with pytest.raises(OwnershipLost):
            write()
    assert store.evaluations(work.name) == []
    store.heartbeat(work.name, new)


def test_an_expired_lease_that_nobody_took_is_still_its_owners(store, campaign):
    token = acquire(store, campaign, lease_seconds=-1)
    store.heartbeat(campaign, token)
    with pytest.raises(CampaignOwned):
        acquire(store, campaign, 2)


def test_a_dead_process_is_taken_over_before_its_lease_runs_out(store, campaign):
    acquire(store, campaign, 41, lease_seconds=600)
    asked = []

    def is_dead(host, pid):
        asked.append((host, pid))
        return True

    acquire(store, campaign, 42, pid_is_dead=is_dead)
    assert asked == [("laptop", 41)]


def test_a_released_campaign_is_free(store, campaign):
    token = acquire(store, campaign)
    store.release(campaign, token)
    store.release(campaign, token)
    with pytest.raises(OwnershipLost):
        store.heartbeat(campaign, token)
    acquire(store, campaign, 2)


def test_a_heartbeat_keeps_attempts_alive_and_names_those_that_are_not_current(store, work):
    token = acquire(store, work.name)
    work.ask(1, 2)
    kept, lost = store.claim(work.name, worker="w", limit=2, lease_seconds=-1, owner=token)
    store.reconcile(work.name, lost_tokens=[lost.token])
    assert store.heartbeat(work.name, token, attempt_tokens=[kept.token, lost.token]) == [lost.token]
    assert store.reconcile(work.name, owner=token) == []


def test_a_new_owner_puts_all_running_work_back_into_the_queue(store, work):
    work.ask(1, 2)
    old = acquire(store, work.name, lease_seconds=-1)
    store.claim(work.name, worker="w", limit=2, lease_seconds=600, owner=old)
    new = acquire(store, work.name, 2)
    assert len(store.reconcile(work.name, owner=new, lost_tokens="all")) == 2
    assert store.progress(work.name, {"high": 1}).total("queued") == 2


def test_active_seconds_count_runs_and_not_the_pauses_between(store, campaign):
    first = acquire(store, campaign)
    time.sleep(0.2)
    store.release(campaign, first)
    after_first = store.progress(campaign, {}).active_seconds
    assert 0.15 < after_first < 5
    time.sleep(0.3)
    assert store.progress(campaign, {}).active_seconds == pytest.approx(after_first, abs=1e-3)
    acquire(store, campaign)
    time.sleep(0.1)
    assert store.progress(campaign, {}).active_seconds > after_first + 0.05


def test_errors_travel_between_processes():
    owned = copy.copy(CampaignOwned("reactor", "laptop", 41, 3.0))  # by what a pickle in transit would carry
    assert (owned.host, owned.pid, owned.heartbeat_age) == ("laptop", 41, 3.0)
    assert str(copy.copy(OwnershipLost("reactor"))) == str(OwnershipLost("reactor"))

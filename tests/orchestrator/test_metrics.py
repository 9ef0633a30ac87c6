"""A campaign's metrics as Prometheus finds them at the endpoint of Ray's agent, beside what the database says."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.util.metrics import Counter

from tests.timing import HANGS, processor_seconds
from theoros.orchestrator.agents.bus import Bus
from theoros.orchestrator.agents.messages import EvaluationEnded, EvaluationStarted, ModelUpdated, Notice, QueueShort
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.metrics import Meter, endpoints

SPEC: dict[str, Any] = {
    "campaign": "metered",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin", "failure_rate": 0.3, "delay": {"median": 0.05, "sigma": 1.0}}},
    "budget": {"labels": 16},
    "workers": {"slots": 2},
    "retries": {"not_converged": 1, "backoff": 0.1},
    "seed": 4,
}
SAMPLE = re.compile(r"ray_theoros_(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')

pytestmark = pytest.mark.usefixtures("local_ray")


def scrape(campaign: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What the endpoint says of a campaign: name without prefix, labels, value."""
    for url in endpoints():
        with urllib.request.urlopen(url, timeout=10) as page:
            for found in map(SAMPLE.fullmatch, page.read().decode().splitlines()):
                if found and (labels := dict(LABEL.findall(found[2]))).get("campaign") == campaign:
                    yield found[1], labels, float(found[3])


def values(campaign: str) -> dict[str, float]:
    """Samples by name and, where there is one, outcome or kind."""
    named = {}
    for name, labels, value in scrape(campaign):
        if not name.endswith("_bucket"):
            named[" ".join([name, *(labels[key] for key in ("outcome", "kind") if key in labels)])] = value
    return named


def wait_for(campaign: str, name: str, value: float) -> dict[str, float]:
    deadline = time.monotonic() + HANGS  # Ray is told every ten seconds
    while (found := values(campaign)).get(name) != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


def meter(name: str) -> Meter:
    plan: Any = SimpleNamespace(spec=SimpleNamespace(campaign=name))
    gateway: Any = SimpleNamespace(ledger=Ledger([], 0.0, {}, ""))
    return Meter(Bus(), gateway, plan)


@pytest.fixture(scope="module")
def quiet(local_ray) -> Iterator[float]:
    """A campaign in which nothing happens, beside everything else here; since when."""
    loop = asyncio.new_event_loop()
    running = loop.create_task(meter("quiet").run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait({running})))
    thread.start()
    yield time.monotonic()
    loop.call_soon_threadsafe(running.cancel)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def told(local_ray) -> str:
    """A campaign whose oracle has names of its own for its failures."""
    ours = meter("told")
    for kind in ("starved", "worker_lost", "worker_lost"):
        ours.deliver(Notice(kind, "why"))
    ours.deliver(EvaluationEnded(1, 'Überhitzung "500 K"\n'))
    return "told"


@pytest.fixture(scope="module")
def metered(tmp_path_factory, local_ray, quiet, told) -> SimpleNamespace:
    """A finished campaign, some of whose evaluations failed for good, and its metrics."""
    campaign = Campaign(SPEC, tmp_path_factory.mktemp("metrics") / "t.db")
    began = time.monotonic()
    assert campaign.run(companions=(Meter,)).finished
    seconds = time.monotonic() - began

    def number(sql: str) -> float:
        return float(campaign.store.query(sql).iloc[0, 0] or 0)

    wait_for("metered", "slots", 0)
    n = len(campaign.store.evaluations("metered"))
    found = wait_for("metered", "evaluation_seconds_count", n)  # Ray's agent takes histograms by themselves
    return SimpleNamespace(campaign=campaign, found=found, number=number, seconds=seconds)


def test_evaluations_are_counted_as_the_database_counts_them(metered):
    found, evaluations = metered.found, metered.campaign.store.evaluations("metered")
    failed = [e for e in evaluations if e.state == "abandoned"]
    assert failed
    assert found["evaluations_decided_total"] == len(evaluations)
    assert found["evaluations_started_total"] == metered.number("SELECT COUNT(*) FROM attempts") > len(evaluations)
    assert found["evaluations_ended_total done"] == found["labels"] == len(metered.campaign.labels())
    assert found["evaluations_ended_total not_converged"] == len(failed)


def test_models_are_counted_and_timed(metered):
    versions = metered.campaign.store.model_versions("metered")
    assert metered.found["model_fits_total"] == len(versions) == metered.found["model_version"] > 0
    assert metered.found["fit_seconds_count"] == len(versions)
    assert metered.found["fitting_seconds_total"] == pytest.approx(sum(v.fit_seconds for v in versions))
    errors = [s.value for s in versions[-1].scores if s.metric == "rmse"]
    assert metered.found["model_error"] == pytest.approx(errors[0])


def test_times_of_evaluations_are_those_of_the_attempts_that_ended_them(metered):
    last = "FROM attempts a JOIN evaluations e ON e.id = a.evaluation_id WHERE a.number = e.attempts"
    times = metered.campaign.store.query(f"SELECT a.wall_seconds AS seconds {last}")["seconds"]
    assert metered.found["evaluation_seconds_count"] == len(times)
    every = metered.campaign.store.query("SELECT wall_seconds AS seconds FROM attempts")["seconds"]
    assert metered.found["busy_seconds_total"] == pytest.approx(every.sum())
    buckets = {
        float(labels["le"]): count for name, labels, count in scrape("metered") if name == "evaluation_seconds_bucket"
    }
    assert len({*buckets.values()}) > 3
    assert buckets == {bound: (times <= bound).sum() for bound in buckets}


def test_slots_are_idle_between_evaluations_and_for_no_longer_than_the_session(metered):
    assert 0 < metered.found["idle_seconds_count"] < metered.found["evaluations_started_total"]
    assert 0 < metered.found["idle_seconds_sum"] < metered.seconds * SPEC["workers"]["slots"]


def test_after_the_end_nothing_runs_and_nothing_waits(metered):
    for name in ("running", "queued"):
        assert metered.found[name] == 0
    assert metered.found["cost"] == pytest.approx(metered.number("SELECT SUM(cost) FROM attempts"))


def test_the_manual_names_every_metric(metered):
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for sample in metered.found:
        name = sample.split()[0].removesuffix("_count").removesuffix("_sum")
        assert f"`{name}`" in manual, name


def test_notices_and_failures_are_counted_whatever_an_oracle_calls_them(told):
    found = wait_for(told, "notices_total worker_lost", 2)
    assert found["notices_total starved"] == 1
    assert [name for name in found if "berhitzung" in name]


def test_a_message_costs_a_few_counts_of_rays_own():
    ours, n = meter("cheap"), 500
    counter = Counter("cheap_too", tag_keys=("campaign",))

    def deliver():
        for i in range(n):
            ours.deliver(QueueShort(1, 1, 2))
            ours.deliver(EvaluationStarted(i, i, "slot-0"))
            ours.deliver(EvaluationEnded(i, None, i, 0.1))
            ours.deliver(ModelUpdated(i, i, None, frozenset(), 0.1))

    def count():
        for _ in range(n):
            counter.inc(1, {"campaign": "cheap"})

    assert processor_seconds(deliver) < 4 * 8 * processor_seconds(count)  # 2 each on an idle core


def test_gauges_of_a_campaign_in_which_nothing_happens_stay(quiet):
    time.sleep(max(0.0, quiet + 40 - time.monotonic()))  # a gauge that nobody sets is gone after 36 s at most
    assert values("quiet") == {"running": 0, "queued": 0, "labels": 0, "cost": 0}

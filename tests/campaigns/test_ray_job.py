"""A campaign as a Ray job, as docs/cluster.md says: submitted once, stopped gently, gone on with on another cluster."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.campaigns.clusters import JobServer
from tests.faults.invariants import violations
from tests.timing import wait_for
from theoros.db import CampaignNotFound, Store
from theoros.db.errors import DatabaseNotFound
from theoros.workers import spool
from theoros.workers.messages import Outcome

FAULTS = Path(__file__).parents[1] / "faults"
sys.path.insert(0, str(FAULTS))

from wave import truth  # noqa: E402


def spec(name: str, labels: int, seconds: float) -> dict[str, Any]:
    """The oracle is a module beside the campaign file: it has to reach the workers."""
    return {
        "campaign": name,
        "question": {"maximize": "height"},
        "oracle": {"wave:Wave": {"seconds": seconds, "resources": {"num_cpus": 1}}},
        "budget": {"labels": labels},
        "workers": {"slots": 2},
        "seed": 5,
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all nodes see."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def environment(new_postgres_database: Callable[[], str], shared: Path) -> dict[str, str]:
    """What the nodes of a cluster have in their environment."""
    return {
        "THEOROS_DATABASE": new_postgres_database(),
        "THEOROS_SPOOL": str(shared / "spool"),
        "THEOROS_ARTIFACTS": str(shared / "artifacts"),
    }


@pytest.fixture(scope="module")
def living_cluster(shared: Path, environment: dict[str, str]) -> Iterator[Callable[[], JobServer]]:
    """The cluster that runs; another one where that was killed."""
    started: list[JobServer] = []

    def living() -> JobServer:
        if not started or not started[-1].lives():
            started.append(JobServer(shared, environment))
            started[-1].start()
        return started[-1]

    yield living
    for cluster in started:
        cluster.kill()


@pytest.fixture
def campaign(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def make(content: dict[str, Any]) -> Path:
        folder = tmp_path / content["campaign"]
        folder.mkdir()
        shutil.copy(FAULTS / "wave.py", folder)
        (folder / "campaign.yaml").write_text(yaml.safe_dump(content))
        return folder

    return make


def labels(url: str, campaign: str) -> dict[int, dict[str, float]]:
    """The labels of a campaign by the number of their evaluation."""
    try:
        with Store(url, read_only=True) as store:
            return {one.sequence: {k: float(v) for k, v in one.values.items()} for one in store.label_records(campaign)}
    except (DatabaseNotFound, CampaignNotFound):
        return {}


def at_work(url: str) -> pd.DataFrame:
    """The attempts that run."""
    with Store(url, read_only=True) as store:
        return store.query("SELECT token, evaluation_id FROM attempts WHERE state = 'running'")


def test_a_campaign_is_run_once_however_often_it_is_submitted(living_cluster, campaign, environment, shared):
    folder, url = campaign(spec("once", labels=6, seconds=0.1)), environment["THEOROS_DATABASE"]
    (folder / "theoros.db").write_text("data that stays at home")
    cluster = living_cluster()
    code, output = cluster.submit(folder, "once")
    assert code == 0, output
    found = labels(url, "once")
    assert len(found) == 6
    with Store(url, read_only=True) as store:
        assert violations(store, "once", budget=6, spool=shared / "spool" / "once", truth=truth) == []
        base = Path(store.campaign("once").spec["base"])
    assert sorted(path.name for path in base.glob("*.*")) == ["campaign.yaml", "wave.py"], "databases stay at home"

    code, output = cluster.submit(folder, "once")
    assert code != 0
    assert "already exists" in output

    (folder / "notes.txt").write_text("another file: Ray gives the job another folder")
    code, output = cluster.submit(folder, "once-more")
    assert code == 0, output
    assert "finished already" in output
    assert labels(url, "once") == found


def test_a_stopped_job_and_one_whose_head_is_killed_are_gone_on_with(living_cluster, campaign, environment, shared):
    folder, url = campaign(spec("long", labels=10, seconds=2.0)), environment["THEOROS_DATABASE"]
    answers = shared / "spool" / "long"
    cluster = living_cluster()
    cluster.submit(folder, "long", "--no-wait")
    wait_for(lambda: len(labels(url, "long")) >= 2)
    code, output = cluster.job("stop", "long")
    assert code == 0, output
    with Store(url, read_only=True) as store:
        assert store.campaign("long").state == "paused"
        assert set(store.attempts("long")["state"]) == {"done"}, "what ran was let end"
    stopped = labels(url, "long")

    cluster.submit(folder, "long-2", "--no-wait")
    wait_for(lambda: len(labels(url, "long")) >= len(stopped) + 2 and len(at_work(url)))
    cluster.kill()
    killed = labels(url, "long")
    running = at_work(url).iloc[0]
    with Store(url, read_only=True) as store:
        (evaluation,) = (e for e in store.evaluations("long") if e.evaluation_id == running["evaluation_id"])
    answer = truth(evaluation.candidate.data)
    spool.write(answers, Outcome(running["token"], "only", values=answer, host="lost", pid=1))

    code, output = living_cluster().submit(folder, "long-3")
    assert code == 0, output
    ended = labels(url, "long")
    assert stopped.items() <= killed.items() <= ended.items(), "a label was lost or changed"
    with Store(url, read_only=True) as store:
        assert violations(store, "long", budget=10, spool=answers, truth=truth) == []
        attempts = store.attempts("long")
    assert attempts[attempts["sequence"] == evaluation.sequence]["state"].tolist() == ["done"], "it was on the disk"
    assert set(attempts[attempts["state"] != "done"]["cost"]) <= {0.0}, "what died with the head is not charged"

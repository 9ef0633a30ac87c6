"""kill -9 of whoever runs a campaign, at any moment: nothing computed is lost, nothing is counted twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.said import said
from tests.timing import HANGS, wait_for
from theoros.db import CampaignNotFound, Store
from theoros.db.errors import DatabaseNotFound

THEOROS = Path(sys.executable).parent / "theoros"
SPEC = {
    "campaign": "victim",
    "question": {"maximize": "height"},
    "oracle": {"wave:Wave": {"seconds": 0.3}},
    "budget": {"labels": 24},
    "workers": {"slots": 3},
    "seed": 2,
}
#: Never used up, so that the campaign is still running however late a busy machine gets round to asking.
ENDLESS = {"budget": {"labels": 10_000}, "acquisition": "random"}


def done(database: Path) -> int:
    try:
        with Store(database, read_only=True) as store:
            return sum(e.state == "done" for e in store.evaluations("victim"))
    except (DatabaseNotFound, CampaignNotFound):
        return 0  # it is just being made


def write(folder: Path, spec: dict[str, Any]) -> None:
    """A campaign file beside its oracle."""
    (folder / "c.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(Path(__file__).with_name("wave.py"), folder)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [THEOROS, *arguments], cwd=cwd, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def joins(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orchestrators join a cluster; without it each starts a local Ray, which dies with it."""
    monkeypatch.setenv("RAY_ADDRESS", ray_address)


@pytest.mark.parametrize(("kill_at", "cluster"), [(1, "joins"), (11, None)], ids=["on a cluster", "with its own Ray"])
def test_a_campaign_killed_anywhere_resumes_with_the_same_labels(tmp_path, kill_at, cluster, request):
    if cluster is not None:
        request.getfixturevalue(cluster)
    write(tmp_path, SPEC)
    database = tmp_path / "t.db"
    driver = start("run", "c.yaml", "--database", "t.db", cwd=tmp_path)
    try:
        wait_for(lambda: done(database) >= kill_at)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    with Store(database, read_only=True) as store:
        before = {
            label.sequence: (label.candidate.hash, float(label.values["height"]))
            for label in store.label_records("victim")
        }
        decided = [(e.sequence, e.candidate.hash) for e in store.evaluations("victim")]
    assert len(before) >= kill_at

    resumed = subprocess.Popen(
        [THEOROS, "resume", "victim", "--database", "t.db"],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = said(resumed)
    assert resumed.returncode == 0, output

    with Store(database, read_only=True) as store:
        labels = store.label_records("victim")
        after = {label.sequence: (label.candidate.hash, float(label.values["height"])) for label in labels}
        evaluations = store.evaluations("victim")
        assert store.campaign("victim").state == "finished"
        attempts = store.attempts("victim")
    assert before.items() <= after.items(), "a finished label was lost or changed"
    assert [(e.sequence, e.candidate.hash) for e in evaluations][: len(decided)] == decided, "a decision was lost"
    states = [e.state for e in evaluations if e.state != "cancelled"]  # the model took back what nobody had begun
    assert states == ["done"] * 24, "the budget is exact and nothing is left running"
    assert len(labels) == len({label.evaluation_id for label in labels}) == 24
    answered = attempts[attempts["state"] == "done"]
    assert len(answered) == answered["evaluation_id"].nunique() == 24, "an answer was counted twice"
    assert not list((tmp_path / ".theoros-spool" / "victim").glob("*.json")), "an answer was left unread"


@pytest.mark.usefixtures("joins")
def test_an_interrupt_lets_running_evaluations_end_and_the_campaign_can_be_resumed(tmp_path):
    write(tmp_path, SPEC | ENDLESS)
    driver = start("run", "c.yaml", "--database", "t.db", cwd=tmp_path)
    wait_for(lambda: done(tmp_path / "t.db") >= 4)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=HANGS) == 3
    with Store(tmp_path / "t.db", read_only=True) as store:
        states = {e.state for e in store.evaluations("victim")}
        assert store.campaign("victim").state == "paused"
        assert not states & {"running", "abandoned"}
        assert set(store.attempts("victim")["state"]) == {"done"}


@pytest.mark.usefixtures("joins")
def test_a_second_orchestrator_is_refused_with_the_owner_named(tmp_path):
    write(tmp_path, SPEC | ENDLESS)
    driver = start("run", "c.yaml", "--database", "t.db", cwd=tmp_path)
    try:
        wait_for(lambda: done(tmp_path / "t.db") >= 1)
        second = subprocess.run(
            [THEOROS, "resume", "victim", "--database", "t.db"], cwd=tmp_path, capture_output=True, text=True
        )
        assert second.returncode == 1
        assert str(driver.pid) in second.stderr
        stop = subprocess.run(
            [THEOROS, "stop", "victim", "--database", "t.db"], cwd=tmp_path, capture_output=True, text=True
        )
        assert "will stop" in stop.stdout
        assert driver.wait(timeout=HANGS) == 3
    finally:
        if driver.poll() is None:
            driver.kill()

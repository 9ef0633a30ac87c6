"""On a full cluster, an evaluation that needs more memory gets it: the other slots make room, and come back."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from tests.faults.conftest import Home
from tests.faults.invariants import violations
from tests.faults.said import said
from tests.ray_cluster import start_cluster

MIB = 2**20
#: The command line, with an orchestrator that waits 4 s, not 10, before it makes room, and gives up after 20, not 60.
IMPATIENT = """
from theoros.orchestrator.agents import crew
from theoros.orchestrator.cli import main

crew.STARVED_AFTER, crew.ROOMLESS_AFTER = 4.0, 20.0
main()
"""
#: An oracle over guests. The first ones to come are hungry: they need 700 MiB, more than a slot is granted at first.
MODULE = """
import time
from pathlib import Path

import numpy as np

from theoros.oracles import Answer, Categorical, Parameters, Fidelity, Quantity, Resources


def is_hungry(guest):
    for place in range(HUNGRY):
        path = Path(__file__).with_name(f"hungry-{place}")
        try:
            with path.open("x") as file:
                file.write(guest)
            return True
        except FileExistsError:
            if path.read_text() == guest:
                return True
    return False


class Table:
    name = "table"
    cache_version = "1"
    deterministic = True
    outputs = {"number": Quantity("")}
    fidelities = (Fidelity("only"),)
    resources = Resources(num_cpus=1, timeout=60)
    space = Parameters(guest=Categorical(*GUESTS))

    def evaluate(self, candidate, fidelity):
        guest = candidate.data["guest"]
        hoard = [np.ones(2**17) for _ in range(700 if is_hungry(guest) else 1)]
        time.sleep(0.7)
        return Answer({"number": float(guest.split()[1]) if hoard else 0.0})
"""


def truth(data: dict[str, Any]) -> dict[str, float]:
    return {"number": float(data["guest"].split()[1])}


def spec(guests: int, **workers: Any) -> dict[str, Any]:
    return {
        "campaign": "table",
        "question": {"maximize": "number"},
        "oracle": {"table:Table": {"resources": {"num_cpus": 1, "memory": "600 MiB"}}},
        "acquisition": "random",
        "budget": {"labels": guests},
        "retries": {"memory": 1, "backoff": "0.1 s"},
        "workers": workers,
    }


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    """Clusters whose nodes have so much memory to give, in MiB."""
    made: list[Cluster] = []

    def make(*memory: int) -> Cluster:
        cluster = start_cluster(num_cpus=4, memory=memory[0] * MIB)
        made.append(cluster)
        for more in memory[1:]:
            cluster.add_node(num_cpus=4, memory=more * MIB)
        cluster.wait_for_nodes()
        return cluster

    yield make
    for cluster in made:
        cluster.shutdown()


@pytest.fixture
def dine(make_home: Callable[[dict[str, Any], str], Home]) -> Callable[..., tuple[Home, pd.DataFrame]]:
    """Runs a campaign to its end; returns its attempts with when each began to run, and whether it was hungry."""

    def run(cluster: Cluster, *, guests: int, hungry: int, **workers: Any) -> tuple[Home, pd.DataFrame]:
        home = make_home(spec(guests, **workers), cluster.address)
        names = tuple(f"guest {i}" for i in range(guests))
        (home.folder / "table.py").write_text(f"GUESTS = {names!r}\nHUNGRY = {hungry}\n{MODULE}")
        command = [sys.executable, "-c", IMPATIENT, "run", "c.yaml", "--database", "t.db", "--address", home.address]
        home.drivers.append(
            subprocess.Popen(command, cwd=home.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
        output = said(home.drivers[-1])
        assert home.drivers[-1].returncode == 0, output
        with home.read() as store:
            assert violations(store, "table", budget=guests, spool=home.spool, truth=truth) == []
            guest = {e.sequence: e.candidate.data["guest"] for e in store.evaluations("table")}
            attempts = store.attempts("table")
        came_first = {path.read_text() for path in home.folder.glob("hungry-*")}
        began = attempts["ended_at"] - pd.to_timedelta(attempts["wall_seconds"], unit="s")
        return home, attempts.assign(hungry=attempts["sequence"].map(guest).isin(came_first), began=began)

    return run


def large(attempts: pd.DataFrame) -> pd.DataFrame:
    """The second tries of those who were hungry, in the order in which they ran."""
    hungry = attempts[attempts["hungry"]]
    for _, own in hungry.groupby("sequence"):
        assert own["state"].tolist() == ["failed", "done"]
        assert own["exit_class"].tolist() == ["memory", "ok"]
    return hungry[hungry["attempt"] == 2].sort_values("began")


def test_an_evaluation_that_needs_the_whole_node_gets_it_and_the_others_come_back(make_cluster, dine):
    # So many guests that room is made before all are gone.
    home, attempts = dine(make_cluster(1300), guests=40, hungry=1, slots=2)
    (big,) = large(attempts).itertuples()
    rest = attempts[~attempts["hungry"]]
    together = rest[(rest["began"] < big.ended_at) & (rest["ended_at"] > big.began)]
    assert together.empty, "there is memory for it alone"
    assert set(rest[rest["began"] > big.ended_at]["worker"]) == {"slot-0", "slot-1"}
    assert any("A slot needs CPU 1, memory 1.2 GiB" in text for text in home.told("starved"))
    assert not home.told("worker_lost"), "nobody was lost for it"


def test_those_that_need_it_at_the_same_time_take_turns(make_cluster, dine):
    _, attempts = dine(make_cluster(1300), guests=4, hungry=4, slots=2)
    tries = list(large(attempts).itertuples())
    assert len(tries) == 4
    for one, next_one in itertools.pairwise(tries):
        assert one.ended_at <= next_one.began


def test_room_is_made_on_the_one_node_that_has_enough(make_cluster, dine):
    _, attempts = dine(make_cluster(700, 1300), guests=60, hungry=2, slots="auto")
    tries = large(attempts)
    assert len(tries) == 2
    afterwards = attempts[attempts["began"] > tries["ended_at"].max()]
    assert set(afterwards["worker"]) == {"slot-0", "slot-1", "slot-2"}


def test_nobody_waits_for_ever_for_room_that_somebody_else_has(make_cluster, dine):
    """The node could hold it, if there were not the model worker."""
    decider = {"num_cpus": 0, "memory": "300 MiB"}
    home, attempts = dine(make_cluster(1300), guests=8, hungry=1, slots=1, decider=decider)
    hungry = attempts[attempts["hungry"]]
    assert hungry["exit_class"].tolist() == ["memory", "memory"]
    assert "No node of the cluster" in hungry["message"].iloc[-1]
    with home.read() as store:
        assert len(store.label_records("table")) == 7

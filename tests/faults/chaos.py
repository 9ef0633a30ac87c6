"""Kill what runs campaigns, at random, many times, and hold what is left against the invariants.

    python tests/faults/chaos.py --folder build/chaos --kills 200 --seed 1

Campaigns run on a Ray cluster of two nodes, one after another. Oracle processes, slots, model workers, orchestrators
and whole nodes are killed (SIGKILL) at random moments. What was done is kept in the folder; the same command goes on
where it stopped. Ends with a table, and with exit code 1 when an invariant was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from wave import truth  # noqa: E402

from invariants import violations  # noqa: E402

from theoros.db import CampaignNotFound, Store  # noqa: E402
from theoros.db.errors import DatabaseNotFound  # noqa: E402

THEOROS = Path(sys.executable).parent / "theoros"
#: What is killed, how often relative to the rest, and how its process is told (by its command line).
TARGETS = {
    "oracle process": (6, "theoros.workers.child"),
    "slot": (4, "ray::OracleSlot"),
    "model worker": (2, "ray::ModelWorker"),
    "orchestrator": (2, "theoros"),
    "node": (1, "raylet"),
}
LABELS = 40


def spec(number: int, seed: int) -> dict[str, Any]:
    """A campaign of quick evaluations. Random kills hit the innocent, so losses are forgiven more often than usual."""
    return {
        "campaign": f"chaos-{number}",
        "question": {"maximize": "height"},
        "oracle": {"wave:Wave": {"seconds": 0.6, "resources": {"num_cpus": 1}}},
        "budget": {"labels": LABELS},
        "retries": {"infrastructure": 50, "crash": 50, "backoff": "0.2 s"},
        "workers": {"slots": "auto"},
        "seed": seed + number,
    }


class Chaos:
    """One run: a cluster, a database, the orchestrator of the moment, and a log of what was killed."""

    def __init__(self, folder: Path, seed: int, gap: float) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self.seed, self.gap = folder, seed, gap
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "kills.jsonl"
        self.kills = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.dice = random.Random(f"{seed}/{len(self.kills)}")
        self.database = folder / "chaos.db"
        bare = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=bare | {"num_cpus": 1})
        self.node = self.cluster.add_node(num_cpus=2)
        self.driver: subprocess.Popen[bytes] | None = None
        self.broken: list[str] = []

    # -- killing ------------------------------------------------------------------------------------------------------

    def processes(self, mark: str) -> Iterator[psutil.Process]:
        """This run's processes that show `mark`: descendants of this process, the oldest first."""
        for process in psutil.Process().children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if any(mark in word for word in line):
                yield process

    def strike(self, campaign: str) -> None:
        """Kill one thing."""
        targets = list(TARGETS)
        target = self.dice.choices(targets, [TARGETS[t][0] for t in targets])[0]
        if target == "orchestrator":
            assert self.driver is not None
            os.kill(self.driver.pid, signal.SIGKILL)
            self.driver.wait()
        elif target == "node":
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = self.cluster.add_node(num_cpus=2)
        else:
            victims = list(self.processes(TARGETS[target][1]))
            if not victims:
                return
            try:
                self.dice.choice(victims).kill()
            except psutil.NoSuchProcess:
                return
        self.kills.append({"target": target, "campaign": campaign})
        with self.log.open("a") as log:
            log.write(json.dumps(self.kills[-1]) + "\n")

    # -- campaigns ----------------------------------------------------------------------------------------------------

    def state(self, campaign: str) -> str:
        """The campaign's state; "absent" before it is made."""
        try:
            with Store(self.database, read_only=True) as store:
                return store.campaign(campaign).state
        except (DatabaseNotFound, CampaignNotFound):
            return "absent"

    def launch(self, number: int) -> None:
        """Start an orchestrator: `run` the first time, `resume` afterwards."""
        name, address = f"chaos-{number}", ["--database", str(self.database), "--address", self.cluster.address]
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(spec(number, self.seed)))
        (self.folder / "wave.py").write_text((HERE / "wave.py").read_text())
        verb = ["run", str(file)] if self.state(name) == "absent" else ["resume", name]
        with (self.folder / "orchestrators.log").open("ab") as log:
            self.driver = subprocess.Popen(
                [THEOROS, *verb, *address], cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, number: int, until: int) -> None:
        """Run one campaign to its end while things die; after `until` kills nothing does any more."""
        name, deadline = f"chaos-{number}", time.monotonic() + 1800
        self.driver = None
        while True:
            if self.driver is None or self.driver.poll() is not None:
                if self.state(name) == "finished":
                    break
                self.launch(number)
            time.sleep(self.dice.expovariate(1 / self.gap))
            if len(self.kills) < until and self.driver is not None and self.driver.poll() is None:
                self.strike(name)
            if time.monotonic() > deadline:
                self.broken.append(f"{name} did not end within half an hour")
                break
        with Store(self.database, read_only=True) as store:
            spool = self.folder / ".theoros-spool" / name
            found = violations(store, name, budget=LABELS, spool=spool, truth=truth)
        self.broken += [f"{name}: {sentence}" for sentence in found]
        print(f"{name}: {len(self.kills)} kills so far, {len(found)} invariants broken", *found, sep="\n  ", flush=True)

    def summary(self) -> str:
        """What was killed, what the attempts say, and what was broken."""
        import pandas as pd

        killed = Counter(kill["target"] for kill in self.kills)
        with Store(self.database, read_only=True) as store:
            names = [c.name for c in store.campaigns() if c.state == "finished"]
            attempts = pd.concat([store.attempts(name) for name in names]) if names else pd.DataFrame()
            labels = sum(len(store.label_records(name)) for name in names)
        lines = ["killed                  times", *(f"{t:20} {killed[t]:8}" for t in TARGETS)]
        lines += [f"{'altogether':20} {len(self.kills):8}", "", "attempts ended as       times"]
        if len(attempts):
            ends = attempts.groupby(["state", attempts["exit_class"].fillna("")]).size()
            lines += [f"{state + ' ' + exit_class:20} {n:8}" for (state, exit_class), n in ends.items()]
        lines += ["", f"campaigns {len(names)}, labels {labels} of {LABELS * len(names)}"]
        lines += [f"invariants broken: {len(self.broken)}", *self.broken]
        return "\n".join(lines)

    def close(self) -> None:
        """End everything."""
        if self.driver is not None and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
        self.cluster.shutdown()


def main() -> int:
    """Kill until there have been enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--gap", type=float, default=2.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chaos = Chaos(options.folder.resolve(), options.seed, options.gap)
    try:
        number = 1
        while len(chaos.kills) < options.kills or chaos.state(f"chaos-{number}") not in {"absent", "finished"}:
            if chaos.state(f"chaos-{number}") != "finished":
                chaos.run(number, options.kills)
            number += 1
        text = chaos.summary()
        (chaos.folder / "summary.txt").write_text(text + "\n")
        print(text)
    finally:
        chaos.close()
    return 1 if chaos.broken else 0


if __name__ == "__main__":
    sys.exit(main())

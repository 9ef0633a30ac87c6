"""The demo's question against random choice, over seeds: how many labels until random's final best is reached?

    python -m benchmarks.polarizability --seeds 5

The ladder is the demo's with a smaller basis (PBE/def2-SVP), 30 labels at DFT; the random control gets the same
cost. Both start from the same ten molecules. Labels are counted at DFT; `cost` adds the cheap ones.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table import Table, column, spread
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.control import make_control
from theoros.orchestrator.report.best import scorecard

LEVEL = {"name": "dft", "method": "pbe", "basis": "def2-svp", "density_fit": True, "grid_level": 0,
         "conv_tol": 1e-6, "response_tol": 1e-3}  # fmt: skip
SPEC = {
    "campaign": "polarizability",
    "question": {"maximize": "polarizability_per_heavy_atom", "subject to": ["sa_score <= 4"]},
    "space": {"molecules": {"elements": ["C", "N", "O", "F", "S"], "heavy_atoms": "2..9"}},
    "oracle": {"pyscf": {"fidelities": [{"name": "xtb", "method": "gfn2", "cost": 0.016}, LEVEL]}},
    "budget": {"dft": 30},
    "initial": 10,
}
TABLE = Table("polarizability", keys=("seed",))


def measure(seed: int) -> None:
    """One seed: the campaign and its random control, in a database of their own."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(SPEC | {"seed": seed}, Path(folder) / "t.db")
        campaign.run()
        control = make_control(campaign, "random")
        control.run()
        card, store = scorecard(campaign.store, campaign.name), campaign.store
        own, other = (np.array(card.best_so_far(store.label_records(c.name))) for c in (campaign, control))
        reached = int(np.argmax(own >= other[-1])) + 1 if (own >= other[-1]).any() else ""
        progress = store.progress(campaign.name, card.cost_table)
        TABLE.append(
            ("pyscf", "tblite", "botorch", "rdkit"),
            seed=seed,
            labels=len(own),
            cost=round(progress.cost, 3),
            random_labels=len(other),
            best=round(float(own[-1]), 4),
            random_best=round(float(other[-1]), 4),
            labels_to_random_best=reached,
            ratio=round(reached / len(other), 4) if reached else "",
            seconds=round(progress.active_seconds, 1),
            random_seconds=round(store.progress(control.name, card.cost_table).active_seconds, 1),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    for seed in range(parser.parse_known_args()[0].seeds):
        if not TABLE.has(seed=seed):
            measure(seed)
    rows = TABLE.rows()
    print("best             ", spread(column(rows, "best")))
    print("random's best    ", spread(column(rows, "random_best")))
    print("labels to random's best", spread(column(rows, "labels_to_random_best")))
    print("as share of random's labels", spread(column(rows, "ratio")))


if __name__ == "__main__":
    main()

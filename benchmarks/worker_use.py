"""Idle time: four slots of a one-second oracle, 60 labels. Worker use after the first batch, and seconds per decision.

    python -m benchmarks.worker_use --seeds 3

Both are read from the database, as anybody can: busy seconds of all attempts that began after the first four had ended,
over slots times the time from there to the last end. The peer is the same campaign without the engine: BoTorch's
suggestions asked for one at a time by four threads that wait for them (a common way to write the loop).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

from benchmarks.table import Table, column, spread
from theoros.orchestrator.campaign import Campaign

SLOTS, LABELS = 4, 60
SPEC = {
    "campaign": "idle",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Hartmann", "delay": "1 s", "resources": {"num_cpus": 0.5}}},
    "budget": {"labels": LABELS},
    "workers": {"slots": SLOTS},
}
TABLE = Table("worker_use", keys=("method", "seed"))


def use_after_first_batch(ended: pd.Series, seconds: pd.Series) -> float:
    """Busy over available time from the moment when the first batch had ended. Times in seconds."""
    began = ended - seconds
    since = ended.nsmallest(SLOTS).max()
    busy = (ended - began.clip(lower=since)).clip(lower=0).sum()
    return float(busy / (SLOTS * (ended.max() - since)))


def by_theoros(seed: int) -> dict[str, float]:
    """The engine."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(SPEC | {"seed": seed}, Path(folder) / "t.db")
        campaign.run()
        attempts = campaign.store.attempts("idle")
        decisions = campaign.store.decisions("idle").drop_duplicates("sequence")
        guided = decisions[decisions["model_version"].notna()]
        ended = (attempts["ended_at"] - attempts["ended_at"].min()).dt.total_seconds()
        return {
            "worker_use": use_after_first_batch(ended, attempts["wall_seconds"]),
            "seconds_per_decision": float(guided["seconds"].median()),
            "fit_seconds": float(pd.Series([v.fit_seconds for v in campaign.store.model_versions("idle")]).median()),
        }


def by_threads(seed: int) -> dict[str, float]:
    """Four threads around BoTorch: fit and choose under a lock, then one second of oracle."""
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from botorch.test_functions import Hartmann
    from botorch.utils.sampling import draw_sobol_samples
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    function, box = Hartmann(dim=6, dtype=torch.double), torch.tensor([[0.0] * 6, [1.0] * 6], dtype=torch.double)
    design = list(draw_sobol_samples(box, 12, 1, seed=seed).squeeze(1))
    x_done: list[torch.Tensor] = []
    pending: list[torch.Tensor] = []
    times: list[tuple[float, float]] = []
    choosing: list[float] = []
    lock, asked = threading.Lock(), 0

    def choose() -> torch.Tensor:
        if design:
            return design.pop()
        started = time.perf_counter()
        X = torch.stack(x_done)
        Y = -function(X).unsqueeze(-1)
        model = SingleTaskGP(X, Y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        waiting = torch.stack(pending) if pending else None
        acquisition = qLogNoisyExpectedImprovement(model, X, X_pending=waiting)
        x, _ = optimize_acqf(acquisition, box, q=1, num_restarts=5, raw_samples=128)
        choosing.append(time.perf_counter() - started)
        return x.squeeze(0)

    def work() -> None:
        nonlocal asked
        while True:
            with lock:
                if asked == LABELS:
                    return
                asked += 1
                x = choose()
                pending.append(x)
            started = time.monotonic()
            time.sleep(1.0)
            with lock:
                times.append((time.monotonic(), time.monotonic() - started))
                pending[:] = [p for p in pending if p is not x]
                x_done.append(x)

    threads = [threading.Thread(target=work) for _ in range(SLOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frame = pd.DataFrame(times, columns=["ended", "seconds"])
    return {
        "worker_use": use_after_first_batch(frame["ended"], frame["seconds"]),
        "seconds_per_decision": float(pd.Series(choosing).median()),
        "fit_seconds": float("nan"),
    }


METHODS = {"theoros": by_theoros, "botorch in threads": by_threads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    for seed in range(parser.parse_known_args()[0].seeds):
        for method, run in METHODS.items():
            if not TABLE.has(method=method, seed=seed):
                figures = {name: round(value, 4) for name, value in run(seed).items()}
                TABLE.append(("botorch", "ray"), method=method, seed=seed, slots=SLOTS, labels=LABELS, **figures)
    rows = TABLE.rows()
    for method in METHODS:
        print(
            f"{method:20} worker use {spread(column(rows, 'worker_use', method=method))}; "
            f"seconds per decision {spread(column(rows, 'seconds_per_decision', method=method))}"
        )


if __name__ == "__main__":
    main()

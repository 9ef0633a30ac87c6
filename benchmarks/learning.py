"""Which acquisition teaches a model soonest? The angle of Coulomb scattering, which is tame but for a narrow ridge.

    python -m benchmarks.learning --seeds 10

A particle of energy E meets a fixed charge at the impact parameter b, and leaves under ``theta = 2 atan(1 / (2 E b))``
(in units of the charges' product; Rutherford 1911). Of E from 0.1 to 10 on a logarithmic scale and b from -3 to 3 a
Gaussian process (`gp`, Matérn-5/2) learns cos(theta) and sin(theta), without noise. Where E is large all happens within
a twentieth of the range of b.

A run starts with twelve Sobol points and goes on in batches of four, chosen by `theoros.models.decide.select` among 512
random candidates, with a new model for each; `random` and `sobol` take points as they come, and are fitted where they
are examined. `rmse_*` is the root mean square error over both outputs at 2,048 points, after so many labels; `labels_*`
is the first multiple of eight at which it is below 0.1 or 0.05, empty where 160 are not enough.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from benchmarks.surroundings import apart
from benchmarks.table import Table, column
from theoros.models import registry
from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Point, Problem, Proposal
from theoros.models.decide import select
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Parameters, Real

START, BATCH, POOL, MOST, EVERY = 12, 4, 512, 160, 8
SHOWN, TARGETS = (40, 80, 120, 160), (0.1, 0.05)
DESIGNS = ("random", "sobol")
METHODS = (*DESIGNS, "std", "integrated_variance", "loo_variance")
SPACE = Parameters({"energy": Real(0.1, 10, log=True), "impact": Real(-3, 3)})
OUTPUTS = ("cos", "sin")
PROBLEM = Problem("learn", SPACE, OUTPUTS, tuple(Objective(output) for output in OUTPUTS), ("truth",), (1.0,))
TABLE = Table("learning", keys=("method", "seed"))


def at(unit: Array) -> list[Candidate]:
    """Candidates at points ``n x 2`` of the unit square."""
    return [SPACE.candidate({"energy": float(0.1 * 100**e), "impact": float(6 * b - 3)}) for e, b in unit]


def truth(candidates: Sequence[Candidate]) -> Array:
    """The cosines and sines of the angles, ``n x 2``."""
    angles = [2 * math.atan2(1.0, 2 * c.data["energy"] * c.data["impact"]) for c in candidates]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def labelled(candidates: Sequence[Candidate]) -> Dataset:
    return Dataset(tuple(Point(c, "truth") for c in candidates), OUTPUTS, truth(candidates))


def curve(method: str, seed: int) -> dict[int, float]:
    """The errors of a run by how many labels there were."""
    exam = at(unit_quasirandom(2048, 2, derived_seed(0, "exam")))
    known, design = truth(exam), unit_quasirandom(MOST, 2, derived_seed(seed, "design"))
    if method == "random":
        design[START:] = np.random.default_rng(derived_seed(seed, "random")).random((MOST - START, 2))
    asked, errors = at(design[:START]), dict[int, float]()
    model: FittedSurrogate | None = None
    while True:
        n = len(asked)
        examined = n % EVERY == 0
        if examined or method not in DESIGNS:
            model = GaussianProcess(kernel="matern").fit(PROBLEM, labelled(asked), seed=seed, previous=model)
        if examined and model is not None:
            missed = model.predict([Point(candidate, "truth") for candidate in exam]).mean - known
            errors[n] = float(np.sqrt(np.mean(missed**2)))
        if n >= MOST:
            return errors
        asked += at(design[n : n + BATCH]) if method in DESIGNS else chosen(method, model, asked, seed)


def chosen(method: str, model: FittedSurrogate | None, asked: Sequence[Candidate], seed: int) -> list[Candidate]:
    """The next batch: the best of a random pool by the acquisition `method`."""
    pool = at(np.random.default_rng(derived_seed(seed, "pool", len(asked))).random((POOL, 2)))
    proposals = [Proposal(candidate, "pool") for candidate in pool]
    number = derived_seed(seed, "select", len(asked))
    choices = select(PROBLEM, proposals, labelled(asked), model, registry.acquisition(method), [], set(), BATCH, number)
    return [choice.point.candidate for choice in choices]


def measure(method: str, seed: int) -> Mapping[str, object]:
    """One run: what a row of the table holds."""
    torch.set_num_threads(1)
    started = time.process_time()
    errors = curve(method, seed)
    reached = {target: next((n for n, error in errors.items() if error < target), "") for target in TARGETS}
    return {
        "method": method,
        "seed": seed,
        **{f"rmse_{n}": round(errors[n], 5) for n in SHOWN},
        **{f"labels_{target:g}": n for target, n in reached.items()},
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def report(methods: Sequence[str]) -> None:
    """Print medians, how many reached the targets, and the paired ratio of labels to Sobol's with its 95 % interval."""
    rows = TABLE.rows()
    for method in methods:
        texts = [f"rmse_{n} {np.median(column(rows, f'rmse_{n}', method=method)):.3f}" for n in SHOWN]
        for target in TARGETS:
            reached = column(rows, f"labels_{target:g}", method=method)
            n = sum(row["method"] == method for row in rows)
            # A run that never got there took more than all: the median is of what was seen, or beyond.
            sorted_ = [*sorted(reached), *[math.inf] * (n - len(reached))]
            texts.append(f"labels to {target:g}: {np.median(sorted_):.0f} ({len(reached)} of {n})")
        print(f"{method:20} {'  '.join(texts)}  {paired(rows, method)}")


def paired(rows: Sequence[Mapping[str, str]], method: str) -> str:
    """Labels to the first target over Sobol's with the same seed: the geometric mean, and bootstrapped bounds."""
    found = {
        (r["method"], r["seed"]): float(r[f"labels_{TARGETS[0]:g}"] or MOST + EVERY)
        for r in rows
        if r["method"] in (method, "sobol")
    }
    seeds = [seed for name, seed in found if name == method and ("sobol", seed) in found]
    if method == "sobol" or len(seeds) < 2:
        return ""
    logs = np.log([found[method, seed] / found["sobol", seed] for seed in seeds])
    draws = np.random.default_rng(0).choice(logs, size=(10_000, len(logs))).mean(1)
    low, high = np.exp(np.quantile(draws, [0.025, 0.975]))
    return f"labels to {TARGETS[0]:g} over Sobol's: {np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}] (n = {len(logs)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    chosen_ = parser.parse_args()
    for seed in range(chosen_.seeds):
        for method in chosen_.methods:
            if not TABLE.has(method=method, seed=seed):
                TABLE.append(("torch", "botorch", "gpytorch"), **apart(measure, method, seed))
    report(chosen_.methods)


if __name__ == "__main__":
    main()

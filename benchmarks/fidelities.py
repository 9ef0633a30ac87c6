"""What a cheap level saves: one campaign with two levels against the same campaign at the truth alone.

    python -m benchmarks.fidelities --seeds 5 --methods theoros,single,random

Every method spends the same cost, in units of a label at the truth; cheap labels of the initial design count too.
`ratio` is what a method had spent when it was as good as the campaign at the truth alone at its end, over what that one
had spent to be so good; infinite where it never was. As good is within a hundredth of the spread between the median
random candidate and that end, and within a thousandth for `ratio_tight`, where the last digits of a minimum count.
`value` is the best label at the truth. Decisions are those of `theoros simulate`, and so of a campaign. ``mfkg`` is
BoTorch's multi-fidelity knowledge gradient (slow); it hardly asks the truth, so the value at what it holds to be the
best counts after every label, and costs it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import budgets
from benchmarks.fidelity_problems import LADDERS, LadderOracle
from benchmarks.surroundings import apart
from benchmarks.table import Table
from theoros.orchestrator.simulate_methods import Method

TABLE = Table("fidelities", keys=("problem", "method", "seed"))
METHODS = ("single", "theoros", "random")
#: As good as another: within these shares of the spread between the median random candidate and the other.
AS_GOOD = {"ratio": 1e-2, "ratio_tight": 1e-3}


def competitor(problem: str, name: str, seed: int) -> Method:
    """A method on a ladder, with the campaign's own defaults."""
    options = {"problem": problem, "seed": seed, "cheap": name not in ("single", "random")}
    method = budgets.campaign(
        "random" if name == "random" else "theoros",
        budget=LADDERS[problem].budget,
        campaign="ladder",
        question={"minimize": "value"},
        oracle={"benchmarks.fidelity_problems:LadderOracle": options},
    )
    if name != "mfkg":
        return method
    from benchmarks.peer_mfkg import KnowledgeGradientChooser

    return replace(method, name=name, start=KnowledgeGradientChooser)


def measure(problem: str, name: str, seed: int) -> dict[str, Any]:
    """The best at the truth after every evaluation, with what had been spent by then; in one thread."""
    steps, chooser, oracle = budgets.spend(competitor(problem, name, seed), seed)
    at_truth = np.array([np.isfinite(step.value) for step in steps])
    values = np.array([step.value if true else np.inf for step, true in zip(steps, at_truth, strict=True)])
    for i, place in enumerate(getattr(chooser, "recommended", [])):  # what it would hand over counts, for nothing
        if place is not None:
            values[i] = min(values[i], float(oracle.evaluate(place, "truth").values["value"]))
    return {
        "costs": np.array([step.cost for step in steps]),
        "best": np.minimum.accumulate(values),
        "labels": int(at_truth.sum()),
        "cheap": int((~at_truth).sum()),
        "seconds": float(np.median([step.decision_seconds for step in steps])),
    }


def typical(problem: str, seed: int) -> float:
    """The median of the truth over random candidates."""
    oracle = LadderOracle(problem=problem, seed=seed)
    candidates = oracle.space.sample(500, np.random.default_rng(0))
    return float(np.median([oracle.evaluate(candidate, "truth").values["value"] for candidate in candidates]))


def spent_until(found: dict[str, Any], good: float) -> float:
    """What had been spent when the best was first at most `good`; infinite if it never was."""
    return budgets.spent_until(found["costs"], -found["best"], -good)


def compare(problem: str, names: Sequence[str], seed: int) -> None:
    """One seed of one problem: a row for each method that has none yet."""
    single = apart(measure, problem, "single", seed)
    end = float(single["best"][-1])
    goals = {key: end + share * (typical(problem, seed) - end) for key, share in AS_GOOD.items()}
    for name in names:
        if TABLE.has(problem=problem, method=name, seed=seed) or (name == "mfkg" and problem == "gaps"):
            continue
        found = single if name == "single" else apart(measure, problem, name, seed)
        ratios = {key: round(spent_until(found, good) / spent_until(single, good), 4) for key, good in goals.items()}
        TABLE.append(
            ("botorch", "torch"),
            problem=problem,
            method=name,
            seed=seed,
            budget=LADDERS[problem].budget,
            value=f"{found['best'][-1]:.6g}",
            **ratios,
            labels=found["labels"],
            cheap=found["cheap"],
            seconds_per_decision=f"{found['seconds']:.3g}",
        )


def main() -> None:
    """Add the rows that the table lacks."""
    budgets.complete(TABLE, __doc__, list(LADDERS), METHODS, compare, ("ratio", "value"))


if __name__ == "__main__":
    main()

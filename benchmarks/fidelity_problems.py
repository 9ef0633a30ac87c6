"""Ladders of two levels as oracles: a cheap level that is biased, and the truth. All are to be minimised.

The domains of Branin and Hartmann are translated by the seed as in `benchmarks.synthetic_problems`; the borehole's
flow grows or falls along every coordinate, so that its optimum is a corner, and coordinates are mirrored at random
instead. ``gaps`` are orbital gaps of molecules, read from the table that `benchmarks.gap_table` computes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from botorch.test_functions import Hartmann
from botorch.test_functions.multi_fidelity import AugmentedBranin, AugmentedHartmann

from benchmarks.synthetic_problems import FARTHEST, MARGIN
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Library, Parameters, Real, Space

#: A candidate's data and whether the truth is asked, to the value.
Levels = Callable[[Mapping[str, Any], bool], float]
#: The same over a point of the unit cube (d,).
CubeLevels = Callable[[np.ndarray, bool], float]
GAPS = Path(__file__).with_name("gaps.csv")


@dataclass(frozen=True)
class Ladder:
    """Two levels of one function: `budget` is in units of a label at the truth, `cost` is the cheap level's."""

    space: Callable[[], Space]
    budget: int
    cost: float
    build: Callable[[np.random.Generator], Levels]


class LadderOracle:
    """One of `LADDERS`, moved by `seed`; ``cheap=False`` leaves the truth alone."""

    resources = Resources(num_cpus=1, timeout=600)
    outputs: ClassVar[Mapping[str, Quantity]] = {"value": Quantity("")}
    deterministic = True
    cache_version = "1"

    def __init__(self, *, problem: str, seed: int, cheap: bool = True) -> None:
        ladder = LADDERS[problem]
        self.name, self.space = f"ladder:{problem}", ladder.space()
        settings = {"problem": problem, "seed": seed}
        truth = Fidelity("truth", settings=settings)
        lower = Fidelity("cheap", ladder.cost, settings=settings | {"cheap": True})
        self.fidelities = (lower, truth) if cheap else (truth,)
        self._levels = ladder.build(np.random.default_rng([seed, 20]))

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """The function's value."""
        level = fidelity_of(self, fidelity)
        return Answer({"value": self._levels(self.space.candidate(candidate.data).data, level.name == "truth")})


def _cube(dim: int, budget: int, cost: float, build: Callable[[np.random.Generator], CubeLevels]) -> Ladder:
    names = [f"x{i}" for i in range(dim)]

    def over_data(rng: np.random.Generator) -> Levels:
        value = build(rng)
        return lambda data, truth: value(np.array([float(data[name]) for name in names]), truth)

    return Ladder(lambda: Parameters({name: Real(0, 1) for name in names}), budget, cost, over_data)


def _translated(function: Any, optimum: np.ndarray, cheap: float) -> Callable[[np.random.Generator], CubeLevels]:
    """An augmented function of BoTorch, whose last coordinate is `cheap` below the truth."""

    def build(rng: np.random.Generator) -> CubeLevels:
        problem = function()
        low, high = problem.bounds[:, :-1].numpy().astype(float)
        best = (optimum - low) / (high - low)
        place = np.clip(best + rng.uniform(-FARTHEST, FARTHEST, len(low)), MARGIN, 1 - MARGIN)

        def value(u: np.ndarray, truth: bool) -> float:
            x = low + (high - low) * (u + best - place)
            # Straight to the formula, which holds beyond the box that BoTorch guards.
            return float(problem._evaluate_true(torch.tensor([[*x, 1.0 if truth else cheap]])))

        return value

    return build


def _unrelated(build: Callable[[np.random.Generator], CubeLevels]) -> Callable[[np.random.Generator], CubeLevels]:
    """The cheap level is the truth upside down, moved otherwise and with its coordinates swapped: of no use."""

    def both(rng: np.random.Generator) -> CubeLevels:
        truth, other = build(rng), build(rng)

        def value(u: np.ndarray, true: bool) -> float:
            return truth(u, True) if true else -other(u[::-1], True)

        return value

    return both


#: Radius of the borehole (m), radius of influence (m), transmissivity (m^2/yr) and potentiometric head (m) of the upper
#: aquifer and of the lower one, length (m), hydraulic conductivity (m/yr): Harper & Gupta, ONWI-516 (1983).
_BOREHOLE = np.array(
    [(0.05, 0.15), (100, 50_000), (63_070, 115_600), (990, 1110), (63.1, 116), (700, 820), (1120, 1680), (9855, 12_045)]
)


def _borehole(rng: np.random.Generator) -> CubeLevels:
    """The flow (m^3/yr) and its cheap level, of Xiong et al., J. Mech. Des. 135, 111006 (2013)."""
    mirrored = rng.integers(0, 2, len(_BOREHOLE)).astype(bool)
    low, high = _BOREHOLE.T

    def value(u: np.ndarray, truth: bool) -> float:
        rw, r, tu, hu, tl, hl, length, kw = low + (high - low) * np.where(mirrored, 1 - u, u)
        spread = math.log(r / rw)
        leak = 2 * length * tu / (spread * rw**2 * kw)
        factor, start = (2 * math.pi, 1.0) if truth else (5.0, 1.5)
        return float(factor * tu * (hu - hl) / (spread * (start + leak + tu / tl)))

    return value


def _gaps(rng: np.random.Generator) -> Levels:
    """Orbital gaps (eV) by GFN2-xTB and by B3LYP/def2-SVP; nothing is moved."""
    with GAPS.open(newline="") as file:
        table = {row["smiles"]: (float(row["xtb"]), float(row["dft"])) for row in csv.DictReader(file) if row["dft"]}
    return lambda data, truth: table[str(data["smiles"])][truth]


_HARTMANN = np.asarray(Hartmann(dim=6).optimizers[0], dtype=float)
_BRANIN = _translated(AugmentedBranin, np.array([math.pi, 2.275]), 0.0)

LADDERS: dict[str, Ladder] = {
    "branin": _cube(2, 20, 0.1, _BRANIN),
    "branin_unrelated": _cube(2, 20, 0.1, _unrelated(_BRANIN)),
    "hartmann6": _cube(6, 40, 0.1, _translated(AugmentedHartmann, _HARTMANN, 0.0)),
    # Without the first of the four bells.
    "hartmann6_biased": _cube(6, 40, 0.1, _translated(AugmentedHartmann, _HARTMANN, -9.0)),
    "borehole": _cube(8, 30, 0.1, _borehole),
    "gaps": Ladder(
        lambda: Library(str(GAPS), smiles="smiles", exclude=("xtb", "dft", "xtb_seconds", "dft_seconds")),
        40,
        0.012,  # the ratio of the medians of the seconds in the table
        _gaps,
    ),
}

"""Families of related functions over the unit cube, some that are related to nothing, and related reactions.

A member of a family has its own coefficients, its own amplitude and level, and its domain is translated by up to a
tenth of the box in every coordinate: what an earlier campaign found is near the optimum here, and not there. Optima are
found by L-BFGS-B from the best of many points.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from botorch.test_functions.synthetic import Hartmann
from numpy.typing import NDArray
from scipy.optimize import minimize

from theoros.models.objective import Objective
from theoros.models.sampling import unit_quasirandom
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Library, Parameters, Real
from theoros.oracles.spaces.base import Space

Array = NDArray[np.float64]
Function = Callable[[Array], float]
#: Draws a function.
Draw = Callable[[np.random.Generator], Function]
Answer = Callable[[Candidate], float]
#: The largest translation, in widths of the box.
FARTHEST = 0.1


@dataclass(frozen=True)
class Question:
    """What a campaign is asked after others.

    `target` answers it, `earlier` answered theirs, and `best` is the best answer that there is. `initial` candidates
    begin a campaign that learns from none.
    """

    space: Space
    objective: Objective
    target: Answer
    earlier: tuple[Answer, ...]
    best: float
    initial: int


@dataclass(frozen=True)
class Family:
    """Functions to be minimised over the unit cube: how many `sources`, and what draws them and the target."""

    dim: int
    sources: int
    earlier: Draw
    target: Draw


def branin(rng: np.random.Generator) -> Function:
    """Branin's function with b and c changed by up to a tenth."""
    b, c = 5.1 / (4 * math.pi**2) * rng.uniform(0.9, 1.1), 5 / math.pi * rng.uniform(0.9, 1.1)
    move, amplitude, level = rng.uniform(-FARTHEST, FARTHEST, 2), rng.uniform(0.7, 1.3), rng.uniform(-10, 10)

    def value(u: Array) -> float:
        x, y = 15 * (u + move) - np.array([5.0, 0.0])
        valley = (y - b * x**2 + c * x - 6) ** 2
        return float(level + amplitude * (valley + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10))

    return value


def hartmann6(rng: np.random.Generator) -> Function:
    """Hartmann's function with the heights of its four bells changed by up to three tenths."""
    function = Hartmann(dim=6)
    heights = function.ALPHA * torch.from_numpy(rng.uniform(0.7, 1.3, 4))
    move, amplitude, level = rng.uniform(-FARTHEST, FARTHEST, 6), rng.uniform(0.7, 1.3), rng.uniform(-0.5, 0.5)
    A, P = function.A.numpy(), function.P.numpy() * 1e-4  # BoTorch keeps the integers of the definition

    def value(u: Array) -> float:
        bells = np.exp(-(A * (u + move - P) ** 2).sum(1))
        return float(level - amplitude * (heights.numpy() * bells).sum())

    return value


def waves(dim: int, size: float) -> Draw:
    """A draw of a smooth process with length scale 0.3: related to nothing (Rahimi & Recht, NeurIPS 2007)."""

    def draw(rng: np.random.Generator) -> Function:
        frequency, phase = rng.normal(0, 1 / (0.3 * math.sqrt(dim / 2)), (256, dim)), rng.uniform(0, 2 * math.pi, 256)
        height = size * rng.normal(size=256) * math.sqrt(2 / 256)
        return lambda u: float(height @ np.cos(frequency @ u + phase))

    return draw


def minimum(function: Function, dim: int) -> float:
    """The least value over the unit cube."""
    points = unit_quasirandom(4096, dim, 0)
    values = np.array([function(u) for u in points])
    starts = points[np.argsort(values)[:20]]
    found = [minimize(function, u, bounds=[(0.0, 1.0)] * dim, method="L-BFGS-B") for u in starts]
    return float(min(values.min(), *(one.fun for one in found)))


def over_cube(family: Family, seed: int) -> Question:
    """The question of `seed`."""
    rng = np.random.default_rng([seed, 31])
    target = family.target(rng)
    earlier = tuple(_asked(family.earlier(rng)) for _ in range(family.sources))
    names = [f"x{i}" for i in range(family.dim)]
    space = Parameters({name: Real(0, 1) for name in names})
    goal = Objective("value", "minimize")
    return Question(space, goal, _asked(target), earlier, minimum(target, family.dim), max(5, min(2 * family.dim, 15)))


def _asked(function: Function) -> Answer:
    return lambda candidate: function(np.array([candidate.data[name] for name in sorted(candidate.data)]))


#: Doyle's couplings by their halide, of which one is the target and the others were measured before.
HALIDES = {"chloride": "Cl", "bromide": "Br", "iodide": "I"}


def couplings(data: Path, target: str, folder: Path) -> Question:
    """Yields (%) of 264 Buchwald-Hartwig couplings of one aryl halide, after those of the two others.

    Additive, base and ligand are molecules (Ahneman et al., Science 360, 186 (2018), as kept in Olympus).
    """
    source = data / "reactions/buchwald_a/data.csv"
    if not source.is_file():
        sys.exit(f"there is no {source}. --data names the folder that has reactions/buchwald_a/data.csv.")
    tables: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in HALIDES}
    with source.open(newline="", encoding="utf-8") as file:
        for halide, additive, base, ligand, measured in csv.reader(file):
            name = next(name for name, atom in HALIDES.items() if f"({atom})" in halide)
            tables[name][additive, base, ligand] = float(measured)
    listed = folder / "couplings.csv"
    with listed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COUPLED, *tables[target]])
    space = Library(str(listed), molecules=COUPLED)
    others = tuple(_looked_up(table) for name, table in tables.items() if name != target)
    best = max(tables[target].values())
    return Question(space, Objective("value", "maximize"), _looked_up(tables[target]), others, best, 10)


COUPLED = ("additive", "base", "ligand")


def _looked_up(table: dict[tuple[str, ...], float]) -> Answer:
    return lambda candidate: table[tuple(str(candidate.data[name]) for name in COUPLED)]


FAMILIES: dict[str, Family] = {
    "branin": Family(2, 3, branin, branin),
    "branin_unrelated": Family(2, 1, waves(2, 50.0), branin),
    "hartmann6": Family(6, 3, hartmann6, hartmann6),
    "hartmann6_unrelated": Family(6, 1, waves(6, 0.5), hartmann6),
}

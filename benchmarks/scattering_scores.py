"""What a twin of a scattering experiment is held against, and by which measures; see `benchmarks.scattering`.

Truth is the simulator without the detector's noise. Test events fill the space by a Sobol sequence, and each is
observed several times with the noise that the twin is to learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Point, Problem
from theoros.models.objective import Objective
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.models.twins.contract import FittedTwin
from theoros.models.twins.scoring import crps, gaussian_crps, pooled
from theoros.models.twins.scoring_calibration import LEVELS, central_coverage, coverage_by_bin, pit
from theoros.models.twins.scoring_process import noise_ratio
from theoros.oracles.physics.scattering import ScatteringOracle, default_space
from theoros.oracles.physics.scattering_events import free_time
from theoros.oracles.physics.scattering_motion import fly
from theoros.oracles.physics.scattering_setup import TIME_UNIT, Events, events
from theoros.oracles.spaces import Parameters, Real

Array = NDArray[np.float64]

OUTPUTS = ("x", "y", "delay")
#: Standard deviations of the detector: 5 angstrom of a rim at 100 (0.05 rad), and 5 fs of delays of up to 157.
POSITION, TIME, RADIUS = 5.0, 5.0, 100.0
NOISE = np.array([POSITION, POSITION, TIME])
TESTS, REPEATS, DRAWS = 2048, 4, 256
#: Bins in which intervals have to be honest: of the energy's logarithm, and of the impact parameter's size.
ENERGY_EDGES = np.log10(1.44) + np.array([0.0, 2 / 3, 4 / 3, 2.0])
IMPACT_EDGES = np.array([0.0, 0.3, 1.0, 2.0, 3.0])
#: The same where they are conditions: of the charge (attraction, little of either, repulsion) and of the screening.
CHARGE_EDGES = np.array([-1.0, -1 / 3, 1 / 3, 1.0])
SCREENING_EDGES = np.array([0.0, 1 / 3, 2 / 3, 1.0])
#: What goes back: the polar angle in degrees.
BACK = 150.0


def _triangle(size: float) -> list[list[float]]:
    """Three equal centres `size` angstrom from their middle, one of them at the top."""
    return [[size * math.cos(a), size * math.sin(a), 1 / 3] for a in np.radians([90, 210, 330])]


#: Four conditions. A Yukawa potential bends in an orbit only below 0.038 times its strength over its length, which at a
#: charge of -1 and a screening of 1 / angstrom is 0.55 eV: no particle is caught.
FOUR = Parameters(**default_space().parameters, charge=Real(-1.0, 1.0), screening=Real(0.0, 1.0, unit="1/angstrom"))
#: The experiments: one repulsive centre; three attractive ones, which no formula knows and which are chaotic; and one
#: whose charge, of either sign, and Yukawa screening are conditions too.
CASES: Mapping[str, Mapping[str, Any]] = {
    "coulomb": {"charge": 1.0},
    "three centres": {"charge": -1.0, "centres": _triangle(1.5)},
    "charge and screening": {"space": FOUR},
}


def oracle_of(case: str, seed: int) -> ScatteringOracle:
    """The experiment with its detector; `seed` decides the noise."""
    noise = {"position": POSITION, "time": TIME}
    return ScatteringOracle(radius=RADIUS, noise=noise, outputs=OUTPUTS, seed=seed, **CASES[case])


def problem_of(oracle: ScatteringOracle) -> Problem:
    """Learn where the detector sees the particle, and its delay."""
    objectives = tuple(Objective(output) for output in OUTPUTS)
    return Problem("learn", oracle.space, OUTPUTS, objectives, ("full",), (1.0,), deterministic=False)


def placed(u: Array, low: float = 1.44, high: float = 144.0, charge: float = 1.0) -> Events:
    """Places ``n x d`` of a unit cube as events: by the energy's logarithm, the impact parameter and, with d of 4, the
    charge and the screening; with d of 2 the charge is `charge` and there is no screening.
    """
    more = (charge,) if u.shape[1] == 2 else (2 * u[:, 2] - 1, u[:, 3])
    return events(low * (high / low) ** u[:, 0], 6 * u[:, 1] - 3, *more)


def spread_events(oracle: ScatteringOracle, n: int, seed: int, low: float = 1.44, high: float = 144.0) -> Events:
    """A Sobol sequence over energies (logarithmic) and the other conditions of the oracle's space."""
    return placed(unit_quasirandom(n, len(oracle.space.parameters), seed), low, high, oracle.options.charge)


def data_of(space: Parameters, shot: Events) -> list[dict[str, float]]:
    """Events as candidates' data: what the space asks for."""
    columns = {name: getattr(shot, name).tolist() for name in space.parameters}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def points_of(space: Parameters, shot: Events) -> list[Point]:
    """Events as points of a problem in `space`, those beyond its energies too."""
    wide = Parameters(**space.parameters | {"energy": Real(1e-3, 1e6, log=True, unit="eV")})
    return [Point(wide.candidate(data), "full") for data in data_of(space, shot)]


def truth_of(oracle: ScatteringOracle, shot: Events) -> Array:
    """x, y and delay without noise, ``p x 3``; NaN for a particle that does not leave."""
    flights = fly(oracle.setup, shot)
    return np.stack([flights.x, flights.y, flights.time - free_time(oracle.setup, shot) * TIME_UNIT], axis=1)


@dataclass(frozen=True)
class Exam:
    """Test events (p), their true answers ``p x 3`` and observations ``repeats x p x 3``."""

    shot: Events
    points: list[Point]
    truth: Array
    observed: Array

    @classmethod
    def of(cls, oracle: ScatteringOracle, shot: Events, seed: int = 10_007) -> Exam:
        """Events whose particle leaves, observed with noise of its own."""
        truth = truth_of(oracle, shot)
        known = np.isfinite(truth).all(axis=1)
        shot, truth = Events(*(column[known] for column in shot)), truth[known]
        noise = np.random.default_rng(seed).standard_normal((REPEATS, *truth.shape)) * NOISE
        return cls(shot, points_of(oracle.space, shot), truth, truth + noise)

    @property
    def polar(self) -> Array:
        """The true polar angles (p) in rad."""
        return np.asarray(np.arctan2(self.truth[:, 1], self.truth[:, 0]))


def draws_of(model: FittedSurrogate, points: Sequence[Point], n: int, seed: int) -> Array:
    """``members x n x p x 3`` draws: a twin's own, or normal ones around what another surrogate predicts."""
    if hasattr(model, "sample"):
        twin = cast(FittedTwin, model)
        columns = [twin.outputs.index(output) for output in OUTPUTS]
        return np.asarray(twin.sample(points, max(2, n // twin.members), seed=seed)[..., columns])
    found = model.predict(points)
    columns = [found.outputs.index(output) for output in OUTPUTS]
    mean, std, noise = (values[:, columns] for values in (found.mean, found.std, found.noise))
    rng, members = np.random.default_rng(seed), 8
    centres = mean + std * rng.standard_normal((members, 1, *mean.shape))
    return np.asarray(centres + noise * rng.standard_normal((members, n // members, *mean.shape)))


def scores(model: FittedSurrogate, exam: Exam, seed: int) -> dict[str, float | str]:
    """How a model stands at the test events: all of them, bin by bin, and what goes back apart."""
    samples = draws_of(model, exam.points, DRAWS, derived_seed(seed, "exam"))
    drawn = pooled(samples)
    got = np.stack([crps(drawn, seen) for seen in exam.observed])
    ideal = np.stack([gaussian_crps(exam.truth, NOISE, seen) for seen in exam.observed])
    relative = (got.mean(0) - ideal.mean(0)) / (
        NOISE / math.sqrt(math.pi)
    ) + 1  # p x 3: the chance of the noise cancels
    pits = np.stack([pit(drawn, seen) for seen in exam.observed])
    bins = coverage_in_bins(pits, exam)
    wrong, back = directions(samples, exam), np.degrees(np.abs(exam.polar)) > BACK
    found = {
        "crps_ratio": relative.mean(),
        **{f"ratio_{output}": relative[:, i].mean() for i, output in enumerate(OUTPUTS)},
        **{f"coverage_{100 * level:.0f}": central_coverage(pits, level) for level in LEVELS},
        **worst_bins(bins),
        "noise_position": noise_ratio(samples, NOISE)[:2].mean(),
        "noise_delay": noise_ratio(samples, NOISE)[2],
        "direction": math.sqrt(np.mean(wrong**2)),
        "direction_median": np.median(np.abs(wrong)),
        "back_ratio": relative[back].mean(),
        "back_direction": math.sqrt(np.mean(wrong[back] ** 2)),
        "back_coverage_90": central_coverage(pits[:, back], 0.9),
    }
    told: dict[str, float | str] = {name: round(float(value), 4) for name, value in found.items()}
    return told | {"bins_90": " ".join(f"{share:.3f}" for share in bins[:, LEVELS.index(0.9)])}


def directions(samples: Array, exam: Exam) -> Array:
    """By how much the direction (p) of the mean place on the rim is wrong, in rad."""
    mean = samples.mean((0, 1))
    wrong = np.arctan2(mean[:, 1], mean[:, 0]) - exam.polar
    return np.asarray((wrong + np.pi) % (2 * np.pi) - np.pi)


def coverage_in_bins(pits: Array, exam: Exam) -> Array:
    """The coverage of central intervals in every bin of energy, then of impact parameter and, where they are
    conditions, of charge and screening, each for x, y and delay: ``bins x levels``.
    """
    inputs = [(np.log10(exam.shot.energy), ENERGY_EDGES), (np.abs(exam.shot.impact_parameter), IMPACT_EDGES)]
    if np.ptp(exam.shot.screening) > 0:
        inputs += [(exam.shot.charge, CHARGE_EDGES), (exam.shot.screening, SCREENING_EDGES)]
    found = []
    for values, edges in inputs:
        repeated = np.clip(np.tile(values, len(pits)), edges[0], edges[-1])
        for i in range(len(OUTPUTS)):
            found += [one.coverage for one in coverage_by_bin(pits[..., i].ravel(), repeated, edges)]
    return np.array(found)


def worst_bins(bins: Array) -> dict[str, float]:
    """For each level how far the coverage is off in the worst bin."""
    off = np.abs(bins - np.array(LEVELS)).max(0)
    return {f"worst_{100 * level:.0f}": float(value) for level, value in zip(LEVELS, off, strict=True)}


def collapse(model: FittedSurrogate, oracle: ScatteringOracle, seed: int) -> float:
    """How far directions at the same E b, and so at the same angle far away, differ, in units of the detector's noise.

    The true directions on the rim, which differ a little too, are taken off first. Root mean square over 128 products.
    """
    rng = np.random.default_rng(derived_seed(0, "collapse"))
    product = np.exp(rng.uniform(math.log(0.5), math.log(40.0), 128))[:, None]
    energy = np.maximum(product / 3, 1.44) * 4 ** np.linspace(0, 1, 6)
    energy = np.minimum(energy, 144.0)
    shot = events(energy.ravel(), (product / energy).ravel())
    exam = Exam.of(oracle, shot)
    wrong = directions(draws_of(model, exam.points, DRAWS, derived_seed(seed, "collapse")), exam).reshape(energy.shape)
    return round(float(math.sqrt(wrong.var(axis=1).mean()) / (POSITION / RADIUS)), 4)


def beyond(model: FittedSurrogate, oracle: ScatteringOracle, seed: int) -> dict[str, float]:
    """Whether the model knows that it does not know energies up to twice the largest, or down to half the least.

    `flag` is its standard deviation there over that in the neighbouring half of an octave inside, both root mean square
    in units of the noise; `coverage` that of its central 90 % intervals.
    """
    found = {}
    for name, outside, inside in (("above", (144.0, 288.0), (101.8, 144.0)), ("below", (0.72, 1.44), (1.44, 2.04))):
        stds = []
        for low, high in (outside, inside):
            exam = Exam.of(oracle, spread_events(oracle, 256, 5, low, high))
            prediction = model.predict(exam.points)
            columns = [prediction.outputs.index(output) for output in OUTPUTS]
            stds.append(math.sqrt(((prediction.std[:, columns] / NOISE) ** 2).mean()))
            if (low, high) == outside:
                drawn = pooled(draws_of(model, exam.points, DRAWS, derived_seed(seed, name)))
                covered = central_coverage(np.stack([pit(drawn, seen) for seen in exam.observed]), 0.9)
                found[f"{name}_coverage_90"] = round(covered, 4)
        found[f"{name}_flag"] = round(stds[0] / max(stds[1], 1e-12), 3)
    return found


def test_events(case: str) -> Events:
    """The test events of a case."""
    return spread_events(oracle_of(case, 0), TESTS, 424_243)


def default_candidates(oracle: ScatteringOracle, n: int, seed: int) -> list[dict[str, float]]:
    """A Sobol sequence of candidates' data."""
    return data_of(oracle.space, spread_events(oracle, n, seed))

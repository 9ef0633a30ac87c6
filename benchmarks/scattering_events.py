"""Do the events that a twin of scattering draws look like the simulator's? See `benchmarks.scattering`, ``--events``.

A twin is trained on 256 and 512 Sobol events of the case coulomb. Then whole events (the energy's logarithm, impact
parameter, x, y, delay) are compared, `EXAM` of each kind, at conditions drawn at random and apart for each, so that
chance is the same in both: `mmd` is the squared maximum mean discrepancy, `c2st` how often a classifier tells twin from
simulator (1/2: it can not), each with `_p`, and `_simulator` is the same of two samples of the simulator. (The
classifier's p-value takes its answers to be independent, and is now and then too small: of 30 pairs of samples of the
simulator, of 500 events each, two had one below 0.01. The discrepancy's one wide kernel sees less than the classifier.)

`rutherford` is chi-square per degree of freedom (there are `len(EDGES) - 2`) of the angles of `BEAM` events that the
twin draws of a beam of 14.4 eV with impact parameters uniform in b^2, against the exact expectation (`angle_shares`);
`rutherford_simulator` that of as many simulated events of the same beam, about 1; `beyond_90` the share of the twin's
events beyond 90 degrees over what is expected there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from benchmarks import scattering_scores as measures
from benchmarks.table import Table, spread
from theoros.models.contract import FittedSurrogate
from theoros.models.sampling import derived_seed
from theoros.models.twins.scoring_two_samples import classifier_two_sample, maximum_mean_discrepancy
from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics.scattering import ScatteringOracle
from theoros.oracles.physics.scattering_events import uniform_beam
from theoros.oracles.physics.scattering_setup import Events, Setup, events

Array = NDArray[np.float64]

CASE = "coulomb"
#: Numbers of Sobol events that a twin is trained on, of events of each kind that are compared, and of those of a beam.
BUDGETS, EXAM, BEAM = (256, 512), 2000, 10_000
#: The beam's energy (eV), its charge and its radius (angstrom).
ENERGY, CHARGE, REACH = 14.4, 1.0, 3.0
#: Between these angles events of the beam are counted: its edge is bent by 19 degrees, and every bin expects ten.
EDGES = np.radians([0, 14, 17, 20, 23, 26, 30, 35, 40, 50, 60, 75, 90, 120, 180])
#: Impact parameters over which expectations are averaged.
NODES = 20_000
TABLE = Table("scattering_events", keys=("twin", "events", "seed"))


def angle_shares(edges: ArrayLike, setup: Setup, energy: float, charge: float, reach: float, noise: float) -> Array:
    """Which share of a beam that fills a disc of radius `reach` is seen between `edges`, ascending in [0, pi] rad.

    The polar angle, whatever its sign, of the place on the chamber's rim as it is measured with errors of deviation
    `noise` (angstrom) in x and in y. Where a particle meets the rim is known in closed form (`scattering_exact`); far
    away and without noise this is Rutherford's cross-section. Seen from the chamber's middle, errors put a particle at
    most delta ahead of its own angle with the probability Phi(R sin(delta) / noise), for |delta| <= pi / 2; errors as
    large as the rim's radius are left out. Shape (edges - 1,).
    """
    # The middles of equal parts of b^2.
    shot = events(energy, reach * np.sqrt((np.arange(NODES) + 0.5) / NODES), charge)
    x, y = exact.on_the_rim(setup, shot, outgoing=True)[:, :2].T
    own = np.arctan2(y, x)

    def below(angle: float) -> Array:
        """How likely each particle's angle, between `own` - pi and `own` + pi, is below `angle`."""
        return np.asarray(norm.cdf(setup.radius * np.sin(np.clip(angle - own, -np.pi / 2, np.pi / 2)) / noise))

    # Angles of either sign, and turns: an angle is in (-a, a) wherever it lies in it modulo 2 pi.
    within = [
        np.mean(sum(below(turn + edge) - below(turn - edge) for turn in (-2 * np.pi, 0.0, 2 * np.pi)))
        for edge in np.asarray(edges, dtype=np.float64)
    ]
    return np.diff(within)


def chi_square(angles: ArrayLike, edges: ArrayLike, shares: ArrayLike) -> float:
    """Pearson's chi-square per degree of freedom of angles (n) whose `shares` between `edges` are expected to be these
    (they sum to one); about 1 when they are. NaN among the angles counts as an event that no bin holds.
    """
    seen, expected = np.asarray(angles, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    counts = np.histogram(seen, np.asarray(edges))[0]
    return float(((counts - len(seen) * expected) ** 2 / (len(seen) * expected)).sum() / (len(expected) - 1))


def one_each(samples: Array, rng: np.random.Generator) -> Array:
    """One answer at each point, of the mixture of all members: of ``members x n x p x m`` draws ``p x m``."""
    drawn = samples.reshape(-1, *samples.shape[2:])
    return np.asarray(drawn[rng.integers(len(drawn), size=drawn.shape[1]), np.arange(drawn.shape[1])])


def drawn(model: FittedSurrogate, oracle: ScatteringOracle, shot: Events, seed: int) -> Array:
    """One answer x, y, delay of the model at each event, ``p x 3``."""
    samples = measures.draws_of(model, measures.points_of(oracle.space, shot), 16, derived_seed(seed, "drawn"))
    return one_each(samples, np.random.default_rng(derived_seed(seed, "one")))


def simulated(oracle: ScatteringOracle, shot: Events, seed: int) -> Array:
    """One answer x, y, delay of the simulator and its detector at each event, ``p x 3``."""
    noise = np.random.default_rng(derived_seed(seed, "detector")).standard_normal((len(shot.energy), 3))
    return np.asarray(measures.truth_of(oracle, shot) + noise * measures.NOISE)


def figures(model: FittedSurrogate, oracle: ScatteringOracle, seed: int, exam: int = EXAM) -> dict[str, float]:
    """What `model` drew beside the simulator: the columns of the table, `exam` events of each kind."""
    rng = np.random.default_rng(derived_seed(seed, "exam"))
    shots = [measures.placed(rng.random((exam, 2)), charge=oracle.options.charge) for _ in range(3)]
    answers = [
        simulated(oracle, shots[0], derived_seed(seed, "first")),
        simulated(oracle, shots[1], derived_seed(seed, "second")),
        drawn(model, oracle, shots[2], seed),
    ]
    one, other, mine = (
        np.column_stack([np.log(shot.energy), shot.impact_parameter, own])
        for shot, own in zip(shots, answers, strict=True)
    )
    found = {}
    for name, sample in (("", mine), ("_simulator", other)):
        mmd = maximum_mean_discrepancy(one, sample, np.random.default_rng(derived_seed(seed, "mmd")))
        c2st = classifier_two_sample(one, sample, seed=derived_seed(seed, "c2st") % 2**32)
        found |= {f"mmd{name}": mmd.statistic, f"mmd_p{name}": mmd.p_value}
        found |= {f"c2st{name}": c2st.statistic, f"c2st_p{name}": c2st.p_value}
    beam = uniform_beam(BEAM, ENERGY, CHARGE, REACH, np.random.default_rng(derived_seed(seed, "beam")))
    shares = angle_shares(EDGES, oracle.setup, ENERGY, CHARGE, REACH, measures.POSITION)
    mine, theirs = (_polar(answer) for answer in (drawn(model, oracle, beam, seed), simulated(oracle, beam, seed)))
    back = np.pi / 2
    found |= {
        "rutherford": chi_square(mine, EDGES, shares),
        "rutherford_simulator": chi_square(theirs, EDGES, shares),
        "beyond_90": float((mine > back).mean() / shares[EDGES[:-1] >= back - 1e-9].sum()),
    }
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def _polar(answers: Array) -> Array:
    """The sizes of the polar angles of places on the rim, in rad."""
    return np.abs(np.arctan2(answers[:, 1], answers[:, 0]))


def report(twin: str) -> None:
    """Median, least and largest of every figure for each number of events."""
    rows = [row for row in TABLE.rows() if row["twin"] == twin]
    for n in sorted({int(row["events"]) for row in rows}):
        for name in ("mmd", "c2st", "rutherford"):
            own = [row for row in rows if int(row["events"]) == n]
            texts = [spread([float(row[f"{name}{of}"]) for row in own]) for of in ("", "_simulator")]
            print(f"{twin:18} {n:5} {name:12} {texts[0]}; of the simulator itself {texts[1]}")

"""The data that pass between surrogates, acquisitions and proposers: what is asked, known, believed and decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from theoros.models.desirability import Desirability
from theoros.models.diversity import Quota
from theoros.models.forecast import Forecast
from theoros.models.objective import Objective
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space

Array = NDArray[np.float64]

#: The output that is the logarithm of an evaluation's run time in seconds.
RUN_TIME = "log_seconds"


@dataclass(frozen=True)
class Point:
    """What is asked: a candidate at a fidelity."""

    candidate: Candidate
    fidelity: str


class Offer(NamedTuple):
    """What one proposer brought to the pool from which a decision was made.

    It made `proposals`, which took `seconds` of a processor. `share` is what part of the pool it might fill and
    `promise` what its proposals are worth by their acquisition values (0 to 1, `theoros.models.credit.promises`); both
    None where there was no other proposer to be held against, or no model.
    """

    proposer: str
    proposals: int
    seconds: float
    share: float | None = None
    promise: float | None = None


class Origin(NamedTuple):
    """Who chose a point: the names of the proposer and of the acquisition, ``""`` where there was none.

    `offers` are what all proposers brought to the pool it was chosen from, and `seconds` is how long its oracle took,
    None where nobody measured it.
    """

    proposer: str
    acquisition: str
    offers: tuple[Offer, ...] = ()
    seconds: float | None = None


class Structure(Protocol):
    """An output of a label that is an array: read when it is needed, not before."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    def read(self) -> Array:
        """The array."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Labels as a surrogate sees them.

    `values` is ``n x m``, one column per scalar of `outputs`, NaN where a label lacks that output. Rows are in the
    order in which they were decided. `origins` (n) say who chose each, None where that is not known; they are empty
    where it is known of none. `structures` are the arrays that `Problem.structures` names, n each, None where a label
    lacks it. The last `unasked` rows are no decisions: slow gates turned their candidates away.
    """

    points: tuple[Point, ...]
    outputs: tuple[str, ...]
    values: Array
    origins: tuple[Origin | None, ...] = ()
    structures: Mapping[str, tuple[Structure | None, ...]] = field(default_factory=dict)
    unasked: int = 0

    def __len__(self) -> int:
        return len(self.points)

    @property
    def decided(self) -> int:
        """How many rows are decisions; they come first."""
        return len(self.points) - self.unasked


@dataclass(frozen=True)
class Prediction:
    """Means and standard deviations of the outputs' noise-free values, ``n x m``, in the outputs' units.

    `noise`, ``n x m`` too, is the standard deviation with which a label scatters about that value, as the model
    believes it: the oracle's own noise, and what the model's features can't tell apart.
    """

    outputs: tuple[str, ...]
    mean: Array
    std: Array
    noise: Array

    @property
    def label_std(self) -> Array:
        """Standard deviations of labels rather than of noise-free values: what observations are held against."""
        return np.sqrt(self.std**2 + self.noise**2)


@dataclass(frozen=True)
class OutcomeConstraint:
    """An output that must not pass a bound: ``"<="`` or ``">="``, in the output's own unit."""

    output: str
    op: str
    bound: float

    def satisfied(self, value: float) -> bool:
        """Whether an observed value keeps the constraint."""
        return value <= self.bound if self.op == "<=" else value >= self.bound


@dataclass(frozen=True)
class Earlier:
    """What an earlier campaign learned: labels at its target fidelity, of outputs in this campaign's units.

    They are no labels of this campaign: they tell a surrogate what to expect, and count for nothing else. Candidates
    may lie outside this campaign's space, as long as they can be encoded.
    """

    campaign: str
    dataset: Dataset


@dataclass(frozen=True)
class LabelNoise:
    """How far an output's labels scatter: `std` is their standard deviation in its unit, or names the output that gives
    each label's own standard error.
    """

    output: str
    std: float | str


@dataclass(frozen=True)
class Problem:
    """All that a model or a decision needs to know of a campaign, and nothing else of it.

    `goal` is ``"optimize"`` or ``"learn"``. `outputs` are the scalars to be modelled; `objectives` say which of them
    are to be large, small or near a target, several of them in the sense of Pareto (for ``learn``: what is to be known
    well, every one of them). `fidelities` go from cheapest to the truth, with `costs` relative to the last. `feasible`
    tells if a candidate keeps the constraints that need no oracle (a synthesizability bound); it is cheap and vetoes a
    candidate before it is scored. `earlier` campaigns asked similar questions (`theoros.models.surrogates.transfer`).
    `noise` is what is known of the labels' errors. With a `desirability` that one number is to be large, and the
    `objectives` are the wishes of which it is made. If it is `timed`, run times are learned as well
    (`theoros.models.run_time`). `structures` are outputs that are arrays and that the surrogate reads. `constants` are
    what the oracle's options say of every candidate alike, by names that might be parameters. `diversity` is how many
    near copies of one molecule may be asked together.
    """

    goal: str
    space: Space
    outputs: tuple[str, ...]
    objectives: tuple[Objective, ...]
    fidelities: tuple[str, ...]
    costs: tuple[float, ...]
    constraints: tuple[OutcomeConstraint, ...] = ()
    deterministic: bool = True
    feasible: Callable[[Candidate], bool] | None = None
    earlier: tuple[Earlier, ...] = ()
    noise: tuple[LabelNoise, ...] = ()
    desirability: Desirability | None = None
    timed: bool = False
    structures: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict, hash=False)
    diversity: Quota | None = None

    @property
    def objective(self) -> Objective:
        """The first objective; there are more where a front is sought, several are learned, or one is desirable."""
        return self.objectives[0]

    @property
    def aim(self) -> str:
        """What an acquisition has to be able to do: ``"optimize"``, ``"match"``, ``"pareto"``, ``"desirability"`` or
        ``"learn"``.
        """
        if self.goal != "optimize":
            return self.goal
        if self.desirability is not None:
            return "desirability"
        if len(self.objectives) > 1:
            return "pareto"
        return "match" if self.objective.sense == "match" else "optimize"

    @property
    def judged(self) -> tuple[str, ...]:
        """The outputs that decide how good a candidate is: objectives and constrained ones, each once."""
        names = [*(goal.output for goal in self.objectives), *(constraint.output for constraint in self.constraints)]
        return tuple(dict.fromkeys(names))

    @property
    def columns(self) -> tuple[str, ...]:
        """What is kept of labels: the outputs to be modelled, their standard errors, and run times where asked for."""
        errors = [noise.std for noise in self.noise if isinstance(noise.std, str)]
        return tuple(dict.fromkeys([*self.outputs, *errors, *([RUN_TIME] if self.timed else [])]))

    @property
    def target(self) -> str:
        """The fidelity that the user really wants."""
        return self.fidelities[-1]


class Descent(NamedTuple):
    """Of which `parents` a `child` was made: canonical texts of candidates, SMILES for molecules."""

    child: str
    parents: tuple[str, ...]


class Bred(NamedTuple):
    """A candidate with its descent: first its own parents, then those of the parents that were bred with it."""

    candidate: Candidate
    descent: tuple[Descent, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A candidate with the name of the proposer that made it.

    `acquisition` is the one under which it was sought where several take turns, `share` what part of the proposals its
    proposer might make where there are several. `descent` is known of what was bred (`Breeder`), and `offers` are those
    of all proposers that were asked together with its own.
    """

    candidate: Candidate
    proposer: str
    acquisition: str = ""
    share: float | None = None
    descent: tuple[Descent, ...] = ()
    offers: tuple[Offer, ...] = field(default=(), compare=False)  # holds times, which no two runs share


class Pick(NamedTuple):
    """One of a list of candidates, by its place in the list, and the acquisition value for which it was taken."""

    place: int
    value: float


@dataclass(frozen=True)
class Choice:
    """A decision as the models make it: what to ask next and why.

    `value` is the acquisition value, None where there was no model; `predictions` maps an output to what is
    foreseen of its label at `point`. `descent` is that of the proposal. `offers` are what the proposers brought to the
    pool, at the first of the choices that are made from one pool; the others have none, so that each counts once.
    """

    point: Point
    proposer: str
    acquisition: str
    value: float | None
    predictions: Mapping[str, Forecast] = field(default_factory=dict)
    reason: str = ""
    descent: tuple[Descent, ...] = ()
    offers: tuple[Offer, ...] = field(default=(), compare=False)  # holds times, which no two runs share

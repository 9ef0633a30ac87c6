"""The foam's twin (``foam_twin``): generators that roll a coarsening foam out, frame after frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Dataset, Point, Prediction, Problem, Structure
from theoros.models.feasibility import SUCCEEDS
from theoros.models.options import OptionError, checked
from theoros.models.sampling import derived_seed
from theoros.models.twins.foam_frames import Generator
from theoros.models.twins.foam_laws import rehearse, violated
from theoros.models.twins.foam_rollout import windows_rolled_out
from theoros.models.twins.foam_scores import LAWS, SUMMARIES, Rollout, summary, violations
from theoros.models.twins.foam_training import Schedule, Trained, Weights, Window, mean_terms, train_generator
from theoros.models.twins.options import Members, Steps, residuals_of
from theoros.models.twins.physics import Residual
from theoros.models.twins.unseen_behaviour import RolledOut
from theoros.models.twins.unseen_foam import window_rolled_out
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import NotConverged
from theoros.oracles.physics.foam import K0, Foam, equilibrate, voronoi
from theoros.oracles.physics.foam.films import foams_of
from theoros.oracles.spaces.parameters import Parameters

#: The array from which the twin learns: all films of a window's frames (`theoros.oracles.physics.foam.films`).
FILMS = "films"
#: What it tells of a window: once candidates have failed, also whether the foam outlives it.
TELLS = (*SUMMARIES, SUCCEEDS)
#: What a candidate says of its window, or else the oracle's options.
START = ("bubbles", "disorder", "age", "seed")
#: The options that a campaign file may give, and what they may be.
KINDS = {"members": Members, "steps": Steps, "physics": Annotated[bool, Field(strict=True)], "residuals": Any}
#: So many windows that were read from the artifact store are kept in memory: some MB each.
MOST_KEPT = 256
#: So many foams are rolled out at once.
BATCH = 48
#: A member's own scatter is taken over so many roll-outs.
DRAWS = 2


@dataclass(frozen=True, kw_only=True)
class FittedFoamTwin:
    """Generators that were trained on the same windows from different starts: a committee.

    A window is rolled out from the foam's own start, which costs an equilibrium and no simulation. `constants` are what
    candidates do not say of it, since it is the same for all.
    """

    name: str
    n_labels: int
    outputs: tuple[str, ...]
    generators: tuple[Generator, ...]
    terms: tuple[Mapping[str, float], ...]
    frames: int
    interval: float
    seed: int
    laws: tuple[Residual, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    fell_back: bool = False
    message: str = ""
    _known: dict[tuple[str, int, int], Array] = field(default_factory=dict, repr=False, compare=False)

    #: So many draws of each member are held against a label that it has not seen; see `RollsOut`.
    draws: ClassVar[int] = 4

    @property
    def members(self) -> int:
        """How many generators there are."""
        return len(self.generators)

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Means over the committee's roll-outs; the members' spread about it, and how far a member's own scatter."""
        return self.predict_at([point.candidate for point in points], "")

    def predict_at(self, candidates: Sequence[Candidate], fidelity: str) -> Prediction:
        """`predict` of many candidates, which are told alike at every fidelity: the twin learns the truth alone."""
        del fidelity
        draws = self._drawn(candidates, DRAWS, self.seed)
        means = draws.mean(1)
        noise = np.sqrt(draws.var(1, ddof=1).mean(0))
        spread = means.std(0, ddof=1) if self.members > 1 else np.zeros_like(means[0])
        return Prediction(self.outputs, means.mean(0), np.maximum(spread, 1e-9), noise)

    def sample(self, points: Sequence[Point], n: int, *, seed: int) -> Array:
        """See `theoros.models.twins.contract.FittedTwin`: ``members x n x p x outputs``."""
        return self._drawn([point.candidate for point in points], n, seed)

    def log_prob(self, points: Sequence[Point], values: Array) -> Array | None:
        """None: a generator has no density."""
        del points, values
        return None

    def violations(self, candidates: Sequence[Candidate], *, seed: int) -> dict[str, Array]:
        """How far one roll-out of each member is from what holds of any foam, and from the user's own laws, for each
        law ``members x n``.

        The acquisition ``violation`` asks for it; see `theoros.models.twins.foam_scores.violations` and `foam_laws`.
        """
        told = [
            [self._broken(window) for window in self.rollouts(candidates, member, seed=seed)]
            for member in range(self.members)
        ]
        names = (*LAWS, *(law.name for law in self.laws))
        return {law: np.array([[row[law] for row in own] for own in told]) for law in names}

    def roll_out(self, point: Point, *, seed: int) -> RolledOut:
        """What the first member makes of a window, as `theoros.models.twins.unseen_behaviour.RollsOut` has it."""
        (window,) = self.rollouts([point.candidate], 0, seed=seed)
        return window_rolled_out(window, self._broken(window))

    def rollouts(self, candidates: Sequence[Candidate], member: int, *, seed: int) -> list[Rollout]:
        """The windows of `candidates`, which may repeat, as one member sees them; `BATCH` at a time."""
        made: list[Rollout] = []
        for start in range(0, len(candidates), BATCH):
            part = [{**self.constants, **candidate.data} for candidate in candidates[start : start + BATCH]]
            foams, first = [start_of(data) for data in part], [first_bubbles(data) for data in part]
            own = derived_seed(seed, member, start)
            made += windows_rolled_out(self.generators[member], foams, first, self.frames, self.interval, seed=own)
        return made

    def hyperparameters(self) -> Mapping[str, Any]:
        """The members, and the mean over them of each term of the loss at the end of training."""
        return {
            "members": self.members,
            "frames": self.frames,
            "interval": self.interval,
            "loss": mean_terms(self.terms),
        }

    def _broken(self, window: Rollout) -> dict[str, float]:
        return violations(window) | violated(self.laws, window)

    def _drawn(self, candidates: Sequence[Candidate], n: int, seed: int) -> Array:
        """Summaries of roll-outs, ``members x n x p x outputs``; what was rolled out before is remembered."""
        asked = {(candidate.hash, draw): candidate for candidate in candidates for draw in range(n)}
        new = {key: candidate for key, candidate in asked.items() if (*key, seed) not in self._known}
        for member in range(self.members) if new else ():
            for key, window in zip(new, self.rollouts(list(new.values()), member, seed=seed), strict=True):
                known = self._known.setdefault((*key, seed), np.empty((self.members, len(self.outputs))))
                told = summary(window) | {SUCCEEDS: float(len(window.frames) == self.frames)}
                known[member] = [told[output] for output in self.outputs]
        drawn = [[self._known[candidate.hash, draw, seed] for candidate in candidates] for draw in range(n)]
        return np.array(drawn).reshape(n, len(candidates), self.members, len(self.outputs)).transpose(2, 0, 1, 3)


@dataclass(frozen=True)
class FoamTwin:
    """A committee of generators of next frames, trained on the windows that were simulated.

    `steps` of training where a member starts from nothing, `more` where it goes on from the model before. `laws` are
    further ones of single bubbles (`theoros.models.twins.foam_laws`). Labels of cheaper fidelities carry no films and
    are not learned from.
    """

    members: int = 3
    steps: int = 100
    more: int = 30
    weights: Weights = field(default_factory=Weights)
    laws: tuple[Residual, ...] = ()

    name: ClassVar[str] = "foam_twin"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "generative"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})
    reads: ClassVar[tuple[str, ...]] = (FILMS,)
    parameters: ClassVar[tuple[str, ...]] = START

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The twin that a campaign file asks for; raises OptionError.

        ``members`` is a number of three or more, ``steps`` the most steps of training, and with ``physics: false`` the
        laws are left out of the loss. Gas is conserved all the same, by how frames are made. ``residuals`` is a list of
        ``module:name`` of further laws.
        """
        plain, values = cls(), checked("The foam twin", KINDS, options)
        steps = values.get("steps", plain.steps)
        return cls(
            members=values.get("members", plain.members),
            steps=steps,
            more=min(plain.more, steps),
            weights=plain.weights if values.get("physics", True) else plain.weights.without_physics(),
            laws=residuals_of(values.get("residuals", ())),
        )

    def check(self, problem: Problem) -> None:
        """Raise OptionError, at no cost, for `laws` that could not be taught."""
        del problem
        own = {term.name for term in fields(Weights)}
        for i, law in enumerate(self.laws):
            if law.name in own:
                told = f"The foam twin has a term {law.name!r} of its own. Give the law another name, or leave it out."
                raise OptionError(told, ("residuals", i))
        rehearse(self.laws)

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedFoamTwin:
        """Train on all windows among the labels, from `previous` on, which is returned when training goes astray.

        Raises ValueError for outputs that a roll-out does not tell, and for a space that does not say how foams start.
        """
        if unknown := [output for output in problem.outputs if output not in TELLS]:
            raise ValueError(f"foam_twin tells {', '.join(SUMMARIES)} of a window, and not {unknown[0]!r}")
        known = {**(problem.space.parameters if isinstance(problem.space, Parameters) else {}), **problem.constants}
        if lacking := [name for name in START if name not in known]:
            raise ValueError(f"foam_twin rolls foams out from their start: the space has to say {', '.join(lacking)}")
        last = previous if isinstance(previous, FittedFoamTwin) else None
        windows, lost = _readable(dataset)
        try:
            trained = [
                self._member(windows, member, derived_seed(seed, member), last) for member in range(self.members)
            ]
        except (ArithmeticError, RuntimeError, ValueError) as error:
            told = "; ".join(text for text in (f"training failed ({error})", lost) if text)
            if last is not None:
                own = replace(last, outputs=problem.outputs, _known={})  # failures bring an output that it did not have
                return replace(own, fell_back=True, message=told, n_labels=len(dataset))
            trained = [Trained(Generator(), {}) for _ in range(self.members)]
            return self._fitted(problem, dataset, trained, windows, seed, told)
        return replace(self._fitted(problem, dataset, trained, windows, seed, ""), message=lost)

    def _member(self, windows: Sequence[Window], member: int, seed: int, last: FittedFoamTwin | None) -> Trained:
        if not windows:
            raise ValueError("no label has films")
        start = last.generators[member] if last is not None and member < last.members and not last.fell_back else None
        schedule = Schedule(steps=self.steps if start is None else self.more)
        return train_generator(windows, seed=seed, weights=self.weights, schedule=schedule, start=start, laws=self.laws)

    def _fitted(
        self,
        problem: Problem,
        dataset: Dataset,
        trained: Sequence[Trained],
        windows: Sequence[Window],
        seed: int,
        message: str,
    ) -> FittedFoamTwin:
        frames = max((len(window.frames) for window in windows), default=2)
        interval = windows[0].interval * K0 / windows[0].frames[0].mean_area if windows else 0.02
        return FittedFoamTwin(
            name=self.name,
            n_labels=len(dataset),
            outputs=problem.outputs,
            generators=tuple(one.generator for one in trained),
            terms=tuple(one.terms for one in trained),
            frames=frames,
            interval=interval,
            seed=derived_seed(seed, "predict"),
            laws=self.laws,
            constants=problem.constants,
            fell_back=bool(message),
            message=message,
        )


def start_of(data: Mapping[str, Any]) -> Foam:
    """The foam with which a candidate's life begins, in equilibrium where one is found."""
    return _start(int(data["bubbles"]), float(data["disorder"]), int(data["seed"]))


@lru_cache(maxsize=1024)
def _start(bubbles: int, disorder: float, seed: int) -> Foam:
    foam = voronoi(bubbles, disorder, seed)
    try:
        return equilibrate(foam)
    except NotConverged:
        return foam  # the generator relaxes it, as well as it can


def first_bubbles(data: Mapping[str, Any]) -> int:
    """How many bubbles are left when a candidate's window begins: half for each half-life of its age."""
    return math.ceil(int(data["bubbles"]) * math.exp2(-float(data["age"])))


def _readable(dataset: Dataset) -> tuple[list[Window], str]:
    """The windows of all labels whose films can be read, and how many can't."""
    found, lost = [], 0
    for structure in dataset.structures.get(FILMS, ()):
        if structure is None:
            continue
        try:
            window = _window(structure)
        except Exception:  # the store's own, which this room does not know: a lost artifact is a missing outcome
            lost += 1
            continue
        if len(window.frames) > 1:
            found.append(window)
    return found, f"{lost} of {len(dataset)} labels have films that can't be read" if lost else ""


def _window(structure: Structure) -> Window:
    try:
        return _windows[structure]
    except TypeError:  # it is the array itself, and not where one is stored
        return Window(foams_of(structure.read()))


class _Windows(dict[Structure, Window]):
    """Windows that were read, by where they are stored: a fit to one more reads one more."""

    def __missing__(self, structure: Structure) -> Window:
        if len(self) >= MOST_KEPT:
            del self[next(iter(self))]
        self[structure] = Window(foams_of(structure.read()))
        return self[structure]


_windows = _Windows()

"""The seams of this room: what a surrogate, an acquisition and a proposer are.

What passes between them is in `theoros.models.data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from theoros.models.data import Array, Bred, Dataset, Pick, Point, Prediction, Problem
from theoros.oracles.candidate import Candidate


class FittedSurrogate(Protocol):
    """A surrogate that has seen labels. Immutable; safe to send to another process."""

    @property
    def name(self) -> str:
        """The surrogate's name."""
        ...

    @property
    def n_labels(self) -> int:
        """How many labels it was fitted to."""
        ...

    @property
    def fell_back(self) -> bool:
        """Whether the fit failed and something older or simpler stands in."""
        ...

    @property
    def message(self) -> str:
        """What a person should know of the fit; empty when all went well."""
        ...

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Predict the noise-free outputs at `points`, in their order."""
        ...

    def hyperparameters(self) -> Mapping[str, Any]:
        """JSON data that a person can read: length scales, noise, ..."""
        ...


@runtime_checkable
class Remembering(FittedSurrogate, Protocol):
    """A fitted surrogate that can believe other labels than those it was fitted to."""

    def remembering(self, problem: Problem, dataset: Dataset) -> FittedSurrogate:
        """What it has learned of how labels hang together, with the labels of `dataset` alone."""
        ...


#: Several functions at once: candidates (b) to their values, ``n x b``.
Paths = Callable[[Sequence[Candidate]], Array]


class SamplePaths(Protocol):
    """What ``"samples"`` in a surrogate's `provides` means: a fitted form that can draw whole functions."""

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions of a candidate jointly: noise-free values of `output` at `fidelity`, in its unit.

        A path is one function: it answers a candidate alike however often, and beside whichever others, it is asked.
        """
        ...


class Surrogate(Protocol):
    """A model of the oracle with uncertainty.

    `provides` names what its fitted form offers an acquisition (``"mean"``, ``"variance"``; ``"samples"``: joint draws,
    `SamplePaths`; ``"posterior"``: joint Gaussian beliefs over encoded features,
    `theoros.models.acquisition.base.GaussianBelief`; ``"gradient"``: they are differentiable in the features); `kinds`
    which candidates it reads.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def provides(self) -> frozenset[str]:
        """What its fitted form offers."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of candidate that it reads."""
        ...

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedSurrogate:
        """Fit to all labels of `dataset`.

        Never raises for numerical reasons: a fit that fails is tried again from other starts and with more jitter,
        and then `previous` (with its `fell_back` and `message` set) is returned; only with no `previous` a model
        with prior hyperparameters is.
        """
        ...


Score = Callable[[Sequence[Candidate]], Array]


def unheard(reason: str) -> None:
    """Nobody counts what is refused."""


@dataclass(frozen=True)
class ProposalRequest:
    """What a proposer may know.

    `score` gives acquisition values (larger is better) at the target fidelity for candidates (n,), None before there
    is a model; `model` is the fitted surrogate for proposers that optimise over encoded features themselves.
    `labelled` holds the best-first labelled candidates at the target fidelity; `seen` the hashes already asked or
    decided, which a proposer need not return again. `pending` are points decided and not yet answered; `dataset` are
    the labels, for proposers that build an acquisition over features. `has_room` is False of molecules that a quota of
    diversity keeps out for now (`theoros.models.diversity`): a search may pass through them, and returns none.
    `refused` is told why a thing that the proposer made is no candidate of the space, each time (`Molecules.reading`
    tells it); what it does with that changes nothing here.
    """

    problem: Problem
    n: int
    seed: int
    seen: Set[str]
    labelled: tuple[Candidate, ...] = ()
    pending: tuple[Point, ...] = ()
    model: FittedSurrogate | None = None
    acquisition: Acquisition | None = None
    score: Score | None = None
    dataset: Dataset | None = None
    has_room: Callable[[Candidate], bool] | None = None
    refused: Callable[[str], None] = unheard

    @property
    def admits(self) -> Callable[[Candidate], bool] | None:
        """Whether a candidate may be returned, by the problem's own constraint and the quota; None where all may."""
        feasible, has_room = self.problem.feasible, self.has_room
        if feasible is None or has_room is None:
            return feasible or has_room
        return lambda candidate: feasible(candidate) and has_room(candidate)


class Proposer(Protocol):
    """Generates candidates. Sees acquisition values, never the oracle.

    `kinds` names the kinds of candidate it can make; `needs_model` whether it works only after the first fit.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of candidate that it makes."""
        ...

    @property
    def needs_model(self) -> bool:
        """Whether it works only after the first fit."""
        ...

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Return up to `request.n` distinct valid candidates that are feasible and not in `request.seen`."""
        ...


class Breeder(Protocol):
    """A proposer that makes candidates of other candidates, and can say of which."""

    def bred(self, request: ProposalRequest) -> list[Bred]:
        """What `propose` would return, each with its descent."""
        ...


class Acquisition(Protocol):
    """Scores candidates under a surrogate, aware of pending points. `needs` is a subset of a surrogate's `provides`.

    One that can be had as a function over features may also offer ``build(problem, model, dataset, pending, *, seed)``,
    which returns a BoTorch AcquisitionFunction of one point (``b x 1 x d`` to ``b``); gradient-based proposers use it.
    One that can choose many at once may offer ``batch`` (`BatchAcquisition`), and then no scorer is built for each.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What it asks of a fitted surrogate."""
        ...

    @property
    def goals(self) -> frozenset[str]:
        """Goals that it serves."""
        ...

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """Return a function from candidates (n) to acquisition values (n,), larger is better.

        Pending points count as already asked: the value of a candidate beside one of them is what remains.
        """
        ...


class BatchAcquisition(Acquisition, Protocol):
    """An acquisition that chooses hundreds of candidates in one go."""

    def batch(
        self,
        problem: Problem,
        model: FittedSurrogate,
        dataset: Dataset,
        pending: Sequence[Point],
        candidates: Sequence[Candidate],
        n: int,
        *,
        seed: int,
    ) -> list[Pick] | None:
        """Choose `n` distinct of `candidates` (all of them when there are fewer), in the order of asking.

        None when it has no better way with this model than one scorer after another.
        """
        ...

"""What makes a fitted surrogate a twin: it draws whole answers, member by member, and may say how likely one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Point


class FittedTwin(FittedSurrogate, Protocol):
    """An ensemble of conditional generative models of an oracle's answers.

    What ``"generative"`` means in a surrogate's `provides`. Two kinds of uncertainty are told apart: within a member
    answers scatter as the process does (`Prediction.noise`), and members differ where labels are few
    (`Prediction.std`). All members together, equally weighted, are the twin's predictive distribution.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that are drawn, in the order of the last axis of `sample`."""
        ...

    @property
    def members(self) -> int:
        """How many generative models there are."""
        ...

    def sample(self, points: Sequence[Point], n: int, *, seed: int) -> Array:
        """Draw `n` answers at each of `points` (p) from every member: ``members x n x p x outputs``, in their units.

        The outputs of one draw belong together. The same seed gives the same draws; all twins but ``foam_twin``, whose
        foams are rolled out together, draw alike at a point whichever others are asked beside it.
        """
        ...

    def log_prob(self, points: Sequence[Point], values: Array) -> Array | None:
        """Natural log density of answers ``p x outputs``, in the outputs' units, at `points`: ``members x p``.

        A lower bound where only that can be had; None where the models have no density.
        """
        ...


@runtime_checkable
class DrawsArrays(FittedTwin, Protocol):
    """A twin whose answers have outputs that are arrays too.

    It draws with the same seed the same answers, whichever of the methods is asked: scalars of `sample` and arrays of
    `sample_arrays` in the same place belong together. Arrays are told by a few numbers each, their components.
    """

    @property
    def arrays(self) -> tuple[str, ...]:
        """The outputs that are arrays and that were learned; empty where there is none."""
        ...

    @property
    def reduced(self) -> int:
        """How many numbers tell of all arrays of an answer, none where no array was learned."""
        ...

    def sample_arrays(self, points: Sequence[Point], n: int, *, seed: int) -> Mapping[str, Array]:
        """Draw `n` whole arrays at each of `points` (p): ``members x n x p x *shape`` by name, in their units."""
        ...

    def sample_reduced(self, points: Sequence[Point], n: int, *, seed: int) -> Array:
        """What an acquisition looks at: ``members x n x p x (outputs + reduced)``.

        First what `sample` draws; then the numbers that tell of arrays, divided by the root of the variance that all
        cells of the labels' array have together: one array weighs as one output in units of its labels' spread.
        """
        ...

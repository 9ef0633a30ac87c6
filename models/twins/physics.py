"""Laws that a twin is taught: named residuals of its outcomes, in natural units, which training draws towards zero.

A conservation law is five lines:

    @residual("energy", weight=10.0)
    def energy(situation):
        \"\"\"Elastic scattering: the direction of the outgoing velocity is a unit vector.\"\"\"
        x, y = situation.outcomes["x"], situation.outcomes["y"]
        return x**2 + y**2 - 1
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

#: Steps after which balanced weights are found anew, and how much of the old weight stays.
EVERY, KEPT = 20, 0.9

#: Outcomes ``M x b`` by name at conditions that differ in what is given.
Elsewhere = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Situation:
    """What a law may look at: conditions (b) and outcomes (``M x b``) by name, in the units of the oracle.

    A category is the number of its choice.
    """

    conditions: Mapping[str, Tensor]
    outcomes: Mapping[str, Tensor]
    elsewhere: Elsewhere | None = None

    def at(self, **changed: Tensor) -> Mapping[str, Tensor]:
        """Mean outcomes where some conditions are others: what a symmetry compares with.

        Raises TypeError in a law on draws, whose noise is another one elsewhere, and ValueError for a condition that
        there is not.
        """
        if self.elsewhere is None:
            raise TypeError("only a law on means can ask for outcomes at other conditions")
        if unknown := sorted(set(changed) - set(self.conditions)):
            raise ValueError(f"there is no condition {unknown[0]!r}")
        return self.elsewhere({**self.conditions, **changed})


Law = Callable[[Situation], Tensor]


@dataclass(frozen=True)
class Residual:
    """A named law: zero (``M x b``, or ``M x b x k``) where it holds; the mean of its square is a term of the loss.

    `weight` multiplies the term. If it is `balanced`, it does so after the term's gradient has been brought to the
    length of the likelihood's (Wang, Teng & Perdikaris, SIAM J. Sci. Comput. 43, A3055 (2021), arXiv:2001.04536).
    A law `on` ``"means"`` holds of the noise-free outcome, one on ``"draws"`` of every outcome that is drawn. It is
    taught at conditions from all over the space, labelled or not.

    Raises ValueError for a weight that is negative or not finite, and for another word than these two.
    """

    name: str
    law: Law
    weight: float = 1.0
    balanced: bool = False
    on: Literal["means", "draws"] = "means"

    def __post_init__(self) -> None:
        weight: object = self.weight
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(f"The residual {self.name!r} has the weight {weight!r}. Give a number from zero on.")
        if self.on not in ("means", "draws"):
            raise ValueError(f"The residual {self.name!r} is on {self.on!r}. Write 'means' or 'draws'.")

    def __reduce__(self) -> tuple[Any, ...]:
        """By its name, if its name now means the residual rather than the function: pickle would miss the function."""
        module, name = self.law.__module__, self.law.__qualname__
        if getattr(sys.modules.get(module), name, None) is self:
            return _imported, (module, name)
        return Residual, (self.name, self.law, self.weight, self.balanced, self.on)

    def violation(self, situation: Situation) -> Tensor:
        """Root mean square of the residual over its last axes at each condition, ``M x b``; raises ValueError."""
        value: object = self.law(situation)
        if not isinstance(value, Tensor):
            raise ValueError(f"The residual {self.name!r} gives a {type(value).__name__}. Return a tensor.")
        shape = next(iter(situation.outcomes.values())).shape
        if value.shape[:2] != shape:
            raise ValueError(
                f"The residual {self.name!r} gives the shape {tuple(value.shape)} for outcomes {tuple(shape)}. "
                f"Return one number for each outcome, or several along a last axis."
            )
        # A root has no gradient at zero: the smallest number keeps it finite, and is far below any rounding.
        numbers = math.prod(value.shape[2:])  # of each outcome; told, since there may be no outcome
        return (value.square().reshape(*shape, numbers).mean(-1) + 1e-30).sqrt()


def _imported(module: str, name: str) -> Residual:
    return cast(Residual, getattr(importlib.import_module(module), name))


def residual(
    name: str, *, weight: float = 1.0, balanced: bool = False, on: Literal["means", "draws"] = "means"
) -> Callable[[Law], Residual]:
    """Make a `Residual` of the function below."""
    return lambda law: Residual(name, law, weight, balanced, on)


#: Situations for the laws on ``"means"`` or ``"draws"``: at a few places drawn from all over the space, or at all.
Situations = Callable[[Literal["few", "all"]], Situation]


@dataclass
class Penalties:
    """Adds the `laws` of a module to its loss; keeps the balanced weights of each, and its latest `terms` before they
    are weighed, one for every member (M), which are the first axis of all parameters if there are several.

    Mutable, and alive only while the module is trained.
    """

    laws: Sequence[Residual]
    module: nn.Module
    situations: Situations
    weights: dict[str, Tensor] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)
    calls: int = 0

    def added(self, loss: Tensor) -> Tensor:
        """The members' `loss` (M) with that of the laws."""
        if not self.laws:
            return loss
        situation, total = self.situations("few"), loss
        anew = self.calls % EVERY == 0
        for law in self.laws:
            term = self.terms[law.name] = law.violation(situation).square().mean(1)
            if law.balanced and anew:
                self._balance(law.name, loss, term)
            total = total + law.weight * self.weights.get(law.name, 1.0) * term
        self.calls += 1
        return total

    def judged(self, score: Tensor) -> Tensor:
        """The members' `score` (M) with what they violate everywhere: a state is not best that forgot the laws."""
        if not self.laws:
            return score
        situation = self.situations("all")
        for law in self.laws:
            term = law.violation(situation).square().mean(1)
            score = score + law.weight * self.weights.get(law.name, 1.0) * term
        return score

    def _balance(self, name: str, loss: Tensor, term: Tensor) -> None:
        wanted = self._slopes(loss) / self._slopes(term).clamp_min(1e-12)
        # A law that holds already has no slope: its weight stays bounded.
        wanted = wanted.clamp_max(1e4)
        known = self.weights.get(name)
        self.weights[name] = wanted if known is None else KEPT * known + (1 - KEPT) * wanted

    def _slopes(self, values: Tensor) -> Tensor:
        """The length of each member's gradient (M)."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        slopes = torch.autograd.grad(values.sum(), parameters, retain_graph=True, allow_unused=True)
        squares = [slope.square().reshape(len(values), -1).sum(1) for slope in slopes if slope is not None]
        return torch.stack(squares).sum(0).sqrt().detach()

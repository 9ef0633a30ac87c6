"""Several acquisitions that take turns, the more often the better what they chose turned out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from theoros.models import registry
from theoros.models.acquisition.predicted import offers_posterior
from theoros.models.contract import Acquisition, FittedSurrogate, Score
from theoros.models.credit import shares
from theoros.models.data import Dataset, Point, Problem

#: Who takes turns beside a surrogate with a joint posterior, and beside one of means, variances and draws.
GAUSSIAN = ("log_ei", "ucb", "mes")
MOMENTS = ("ei", "ucb", "thompson")


class Nominee(NamedTuple):
    """The acquisition whose turn it is, and the share of turns that each had at that time."""

    acquisition: Acquisition
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Portfolio:
    """A portfolio in the manner of GP-Hedge, whose credit comes from labels alone.

    Hoffman, Brochu & de Freitas (UAI 2011, arXiv:1009.5419) let several acquisitions nominate and pay all of them with
    the posterior mean at what they nominated. Here only the one whose turn it is nominates, which costs no more than
    one acquisition, and is paid with the label that came of it (`theoros.models.credit`): who chose a label stands in
    the database, so credit survives a restart and repeats exactly. A decision names the acquisition that made it.
    """

    members: tuple[str, ...] = ()

    name: ClassVar[str] = "portfolio"
    needs: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples"})
    goals: ClassVar[frozenset[str]] = frozenset({"optimize"})

    def nominate(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, *, seed: int, name: str = ""
    ) -> Nominee:
        """The acquisition that decides: `name`, or one that `seed` draws by the members' shares."""
        members = self.members or (GAUSSIAN if offers_posterior(model) else MOMENTS)
        found = shares(problem, dataset, "acquisition", members)
        if name not in members:
            name = members[int(np.random.default_rng(seed).choice(len(members), p=list(found.values())))]
        return Nominee(registry.acquisition(name), found)

    def scorer(
        self, problem: Problem, model: FittedSurrogate, dataset: Dataset, pending: Sequence[Point], *, seed: int
    ) -> Score:
        """The values of the acquisition that `seed` draws."""
        chosen = self.nominate(problem, model, dataset, seed=seed).acquisition
        return chosen.scorer(problem, model, dataset, pending, seed=seed)


@dataclass(frozen=True)
class MolecularPortfolio(Portfolio):
    """The two that serve open spaces of molecules, each where the other fails.

    `sceptical_ucb` stays near what is good, and finds what a few fragments decide; `log_ei` believes that molecules are
    like the average of the labels, and finds what needs several properties at once (`benchmarks/pmo.py`).
    """

    members: tuple[str, ...] = ("sceptical_ucb", "log_ei")

    name: ClassVar[str] = "molecular_portfolio"
    needs: ClassVar[frozenset[str]] = frozenset({"posterior"})

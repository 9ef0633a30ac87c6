"""A plan: a campaign's specification with everything looked up, checked, and ready to run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from theoros.models.data import Problem
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Fidelity, Quantity, cache_key
from theoros.oracles.reference import OracleReference
from theoros.oracles.registry import BUILT_IN
from theoros.oracles.resources import Resources
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper
from theoros.orchestrator.scorecard import Scorecard
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.workers.modelling import ModelPlan


@dataclass(frozen=True)
class Plan:
    """What agents need to know of a campaign. Built by `theoros.orchestrator.resolve.resolve`; immutable.

    `initial` candidates come from `initial_proposer` before there is a model. `rivals` are the surrogates among which
    ``surrogate: auto`` chooses, `surrogate` being the first; there are none where the file names one. `gates` are what
    molecules have to pass, which may be nothing, with the counts of what did not; the quick ones are the problem's veto
    as well.
    """

    spec: CampaignSpec
    oracle: OracleReference
    oracle_name: str
    oracle_version: str
    outputs: Mapping[str, Quantity]
    fidelities: tuple[Fidelity, ...]
    resources: Resources
    problem: Problem
    surrogate: str
    acquisition: str
    proposers: tuple[str, ...]
    initial_proposer: str
    initial: int
    rivals: tuple[str, ...] = ()
    gates: Gatekeeper | None = None

    @property
    def models(self) -> ModelPlan:
        """What the model workers are told of it; a surrogate that is none of the rivals was chosen for good."""
        rivals = self.rivals if self.surrogate in self.rivals else ()
        return ModelPlan(
            self.problem,
            self.surrogate,
            self.acquisition,
            self.proposers,
            self.initial_proposer,
            rivals,
            self.gates,
            self.spec.credit == "per_second",
            self.spec.surrogate_options,
            self.oracle_name,
            self.oracle.search_path if self.spec.has_own_models else None,
            self.spec.proposer_options,
        )

    @property
    def learns(self) -> bool:
        """Whether models are trained: random choice has no use for one, unless the model is the question."""
        return self.acquisition != "random" or self.problem.goal == "learn"

    @property
    def model_workers(self) -> dict[str, Resources]:
        """What the model workers that the campaign needs take of the cluster, by their names in its file."""
        workers = self.spec.workers
        return {"decider": workers.decider} | ({"trainer": workers.trainer} if self.learns else {})

    @property
    def strict(self) -> bool:
        """Whether decisions follow a fixed schedule, so that the campaign repeats exactly: with one slot they do."""
        return self.spec.workers.slots == 1

    @property
    def lookahead(self) -> int | None:
        """Decisions that wait beside the running ones; None where the pace decides, which a fixed schedule can't."""
        given = self.spec.workers.lookahead
        return given if isinstance(given, int) else 1 if self.strict else None

    @property
    def initial_decisions(self) -> int:
        """Decisions of the initial design: every one of its candidates is asked at every fidelity."""
        return self.initial * len(self.problem.fidelities)

    @property
    def first_fit(self) -> int:
        """Labels needed for a first model: half the initial design, so that its fit overlaps with the other half."""
        return max(2, math.ceil(self.initial_decisions / 2))

    @property
    def scorecard(self) -> Scorecard:
        """How labels are judged."""
        return Scorecard.of(self.problem, self.outputs)

    @property
    def cost_table(self) -> dict[str, float]:
        """Cost of one evaluation by fidelity."""
        return self.scorecard.cost_table

    @property
    def required(self) -> tuple[str, ...]:
        """Outputs that an answer from the cache must have to be of use: all that the oracle is asked for."""
        return tuple(self.outputs)

    @property
    def exhausted(self) -> str:
        """What is said when the proposers find nothing to ask."""
        return "no candidate is left that has not been asked" + (" and passes the gates" if self.spec.gates else "")

    def cost(self, fidelity: str) -> float:
        """The cost of one evaluation, in units of the target fidelity's."""
        return self.cost_table[fidelity]

    def cache_key(self, candidate: Candidate, fidelity: str) -> str:
        """The key under which an answer is shared between the campaigns of one database."""
        level = next(f for f in self.fidelities if f.name == fidelity)
        return cache_key(self.oracle_name, self.oracle_version, candidate, level, self._options())

    def _options(self) -> dict[str, object]:
        """What may change the answers of an oracle that is not ours without standing in its settings: its options, and
        the units that it declares.

        Sharing an answer wrongly is worse than computing it twice. Built-in oracles keep their settings complete.
        """
        if self.oracle.reference in BUILT_IN:
            return {}
        own = {name: value for name, value in self.oracle.options.items() if name != "resources"}
        return {"options": own, "units": {name: quantity.unit for name, quantity in self.outputs.items()}}

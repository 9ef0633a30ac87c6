"""A language model of SMILES as a proposer: it learns, within one decision, to write what the acquisition values."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from theoros.models.contract import ProposalRequest
from theoros.models.generators.language_model import Sizes
from theoros.models.generators.language_model_search import Judged, Reinforcement, search
from theoros.models.generators.language_model_training import Training, prior_of
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse, open_space
from theoros.models.proposers.options import configured
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class LanguageModelProposer:
    """Reinforcement learning of a SMILES model on the acquisition's values; it never asks the oracle.

    The prior (of these `sizes`) is trained once on the molecules with which the space begins (`training`) and kept on
    disk. Each decision starts from it anew: a copy is drawn towards what the acquisition values, the best labelled
    molecules among it (`reinforcement`). Rewards are ranks, so that the acquisition's unit does not matter. Texts that
    are no molecule of the space earn nothing. No step begins after `seconds` (a guard: a campaign that meets it no
    longer repeats exactly); training, in the first decision, is not counted.
    """

    reinforcement: Reinforcement = field(default_factory=Reinforcement)
    training: Training = field(default_factory=Training)
    sizes: Sizes = field(default_factory=Sizes)
    seconds: float = 30.0

    name: ClassVar[str] = "language_model"
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The proposer that a campaign file asks for (`theoros.models.proposers.options`); raises ValueError."""
        return configured(cls(), cls.name, options)

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike.

        Raises ValueError in another space, before the first fit, and where the space begins with too few molecules.
        """
        space = open_space(request, self.name)
        prior = prior_of(space, self.training, self.sizes)
        scored = ScoredMolecules(request)

        def judge(texts: Sequence[str]) -> list[Judged | None]:
            molecules = [space.reading(text, request.refused) for text in texts]
            scored.add([molecule for molecule in molecules if molecule is not None])
            return [_judged(scored, molecule) for molecule in molecules]

        known = [str(candidate.data["smiles"]) for candidate in request.labelled[: self.reinforcement.memory]]
        search(
            prior.model,
            known,
            judge,
            self.reinforcement,
            seed=derived_seed(request.seed, self.name),
            deadline=time.monotonic() + self.seconds,
        )
        return diverse(admissible(request, scored.best(None)), request.n)


def _judged(scored: ScoredMolecules, molecule: Candidate | None) -> Judged | None:
    value = None if molecule is None else scored.value(molecule)
    return None if molecule is None or value is None else Judged(str(molecule.data["smiles"]), value)

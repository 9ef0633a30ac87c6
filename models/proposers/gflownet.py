"""The generative flow network: samples molecules in proportion to a reward that grows with the acquisition value."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from rdkit import Chem

from theoros.models.contract import ProposalRequest, unheard
from theoros.models.data import Array
from theoros.models.generators.gflownet_training import Balance, Corpus, balance, flow_network
from theoros.models.proposers.molecule_pool import ScoredMolecules, diverse, open_space
from theoros.models.proposers.options import configured
from theoros.models.proposers.screening import admissible
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.refusals import Refusal, reason
from theoros.oracles.spaces.stability import HYPERVALENT_HYDRIDE, is_hypervalent_hydride

#: Proposals more alike than this (MinMax similarity) are one idea: variety is what this proposer is for.
ALIKE = 0.4
#: The lowest standardised acquisition value that is told apart, and that of a molecule outside the space or vetoed.
LOWEST, OUTSIDE = -2.0, -3.0
#: The highest. An expected improvement may be as good as nothing for the usual molecules, and many powers of ten more
#: for a few, which single precision does not hold.
HIGHEST = 1e3
#: How far apart the quartiles of a normal distribution are, in standard deviations.
_QUARTILES = 1.349


@dataclass(frozen=True)
class GFlowNetProposer:
    """A generative flow network trained anew for every decision, from one that builds the space's own molecules.

    Molecules are grown from fragments (`theoros.models.generators.gflownet_environment`) with a probability that
    trajectory balance brings towards exp(`sharpness` z) / Z, where z is the acquisition value, standardised by median
    and quartiles of molecules with which the space begins, from `LOWEST` to `HIGHEST` (Bengio et al., NeurIPS 2021,
    arXiv:2106.04399; Malkin et al., NeurIPS 2022, arXiv:2201.13259). So it looks at many good places and not at the
    best alone; what a decision's training reaches is nearer to that law than its start, and not the law itself. Of all
    molecules met the best are returned, few of them alike. The network of a corpus of `molecules` is trained once and
    kept on disk. No batch begins after `seconds` (a guard: a campaign that meets it no longer repeats exactly).
    """

    corpus: Corpus = field(default_factory=Corpus)
    training: Balance = field(default_factory=Balance)
    molecules: int = 4_000
    sharpness: float = 4.0
    seconds: float = 20.0

    name: ClassVar[str] = "gflownet"
    kinds: ClassVar[frozenset[str]] = frozenset({"molecule"})
    needs_model: ClassVar[bool] = True

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> Self:
        """The proposer that a campaign file asks for (`theoros.models.proposers.options`); raises ValueError."""
        return configured(cls(), cls.name, options)

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """The best `request.n` distinct molecules met, few of them alike; raises ValueError in another space."""
        space = open_space(request, self.name)
        # The corpus does not depend on the decision, so that its network is found again.
        start = space.sample(self.molecules, np.random.default_rng(0))
        network = flow_network(
            [str(candidate.data["smiles"]) for candidate in start], space.heavy_atoms[1], self.corpus, 0
        )
        rng = np.random.default_rng(derived_seed(request.seed, "gflownet"))
        scored = ScoredMolecules(request)
        usual = [start[i] for i in rng.permutation(len(start))[: 4 * self.training.batch]]
        scored.add([*usual, *request.labelled])
        values = [value for candidate in usual if (value := scored.value(candidate)) is not None]
        reward = _Reward(space, scored, np.array(values), self.sharpness, request.refused)
        balance(
            network,
            reward,
            self.training,
            request.seed,
            known=[str(candidate.data["smiles"]) for candidate in [*request.labelled, *usual]],
            deadline=time.monotonic() + self.seconds,
        )
        return diverse(admissible(request, scored.best(None)), request.n, ALIKE)


class _Reward:
    """Logarithms of rewards: acquisition values, standardised by `usual` ones and bounded."""

    def __init__(
        self,
        space: Molecules,
        scored: ScoredMolecules,
        usual: Array,
        sharpness: float,
        refused: Callable[[str], None] = unheard,
    ) -> None:
        self._space, self._scored, self._sharpness, self._refused = space, scored, sharpness, refused
        # Quartiles, because the logarithm of an improvement has a tail to the left that would hide all else.
        finite = usual[np.isfinite(usual)]
        quartiles = np.quantile(finite, [0.25, 0.5, 0.75]).tolist() if finite.size else [0.0, 0.0, 0.0]
        self._middle: float = quartiles[1]
        self._scale: float = (quartiles[2] - quartiles[0]) / _QUARTILES or 1.0

    def __call__(self, smiles: Sequence[str]) -> list[float]:
        candidates = [self._candidate(text) for text in smiles]
        self._scored.add([candidate for candidate in candidates if candidate is not None])
        return [self._sharpness * self._standardised(candidate) for candidate in candidates]

    def _standardised(self, candidate: Candidate | None) -> float:
        value = None if candidate is None else self._scored.value(candidate)
        if value is None:
            return OUTSIDE
        return min(max((value - self._middle) / self._scale, LOWEST), HIGHEST)

    def _candidate(self, smiles: str) -> Candidate | None:
        # A sulfoxide's fragment has hydrogen on sulfur(IV) until both of its sides are bonded.
        if not self._space.alerts and is_hypervalent_hydride(Chem.MolFromSmiles(smiles)):
            self._refused(reason(Refusal.STABILITY, HYPERVALENT_HYDRIDE))
            return None
        return self._space.reading(smiles, self._refused)

"""Sample paths of a Gaussian process, revealed where they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.sampling import derived_seed
from theoros.oracles.candidate import Candidate

if TYPE_CHECKING:
    from theoros.models.surrogates.output_model import OutputModel

#: Values of a path that later ones are conditioned on; what lies further back in one path's life may be drawn anew.
REMEMBERED = 1_500
#: Candidates that are drawn jointly: the Cholesky factor of their covariance takes the cube of it.
BLOCK = 500


class Encodes(Protocol):
    """Anything that turns candidates into features."""

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``b x d``."""
        ...


class GaussianPaths:
    """`n` sample paths of one output: values drawn earlier are conditioned on, so each path is one function.

    All paths share the Cholesky factors, as their data differ and the places do not. `fidelity` is the place in the
    ladder. Values are in the output's unit.
    """

    def __init__(self, encoder: Encodes, model: OutputModel, fidelity: int, n: int, seed: int) -> None:
        self._encoder, self._model, self._fidelity = encoder, model, fidelity
        self._n, self._seed, self._calls = n, seed, 0
        self._known: dict[str, Array] = {}

    def at(self, candidates: Sequence[Candidate]) -> Array:
        """Values ``n x b`` of `b` candidates."""
        new = list({c.hash: c for c in candidates if c.hash not in self._known}.values())
        for start in range(0, len(new), BLOCK):
            self._reveal(new[start : start + BLOCK])
        if not candidates:
            return np.zeros((self._n, 0))
        standardised = np.stack([self._known[candidate.hash] for candidate in candidates], axis=1)
        return self._model.natural(standardised, self._fidelity)

    def _reveal(self, candidates: Sequence[Candidate]) -> None:
        features = self._encoder.encode(candidates)
        inputs = self._model.inputs(features, self._fidelity)
        self._calls += 1
        drawn = self._model.posterior.sample(inputs, self._n, seed=derived_seed(self._seed, self._calls))
        if len(self._known) + len(candidates) <= REMEMBERED:
            with torch.no_grad():
                self._model = self._model.conditioned(features, [self._fidelity] * len(candidates), drawn)
        self._known.update(zip((c.hash for c in candidates), drawn.numpy(), strict=True))

"""The posterior of a sparse process's hyperparameters in coordinates in which it can be sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theoros.models.data import Array
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.closed_form import MOST_NUGGET
from theoros.models.surrogates.fitting import NOISE_FLOORS
from theoros.models.surrogates.marginal import CATEGORY, OUTPUT, Hyperparameters, MarginalPosterior
from theoros.models.surrogates.outcome import Warp
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.structure import NOISE_PRIORS

#: Scale of the half-Cauchy prior of tau.
GLOBAL_SCALE = 0.1


@dataclass(frozen=True)
class SaasPosterior:
    """Inverse squared length scales ``tau * beta_k``, with half-Cauchy priors of beta (1) and tau (`GLOBAL_SCALE`).

    Eriksson & Jankowiak, UAI 2021 (arXiv:2103.00349). A place is the vector of the logarithms of all beta, the
    categories' length scales, the noise variance, the output scale, and tau: there densities have heavy tails and no
    ends. Beyond the box of `marginal` the likelihood is what it is on its border.
    """

    marginal: MarginalPosterior
    start: Array

    @classmethod
    def of(cls, model: OutputModel) -> SaasPosterior:
        """That of a fitted process with an `ArdKernel`, which is where it starts."""
        posterior, structure = model.posterior, model.structure
        kernel, learned = posterior.kernel, float(model.hyperparameters["noise_variance"])
        assert isinstance(kernel, ArdKernel)
        X, y = posterior.X.numpy(), posterior.Y[:, 0].numpy()
        marginal = MarginalPosterior(
            kernel.family,
            X[:, list(kernel.numeric)],
            X[:, list(kernel.categorical)],
            y,
            Warp(),
            NOISE_PRIORS[structure.noise],
            NOISE_FLOORS[0],
            MOST_NUGGET if structure.noise == "smooth" else 10.0,
            fixed=np.maximum(posterior.noise.numpy() - learned, 0.0),
        )
        tau = math.log(GLOBAL_SCALE)
        start = np.concatenate(
            [
                -2 * np.log(kernel.length_scales.numpy()) - tau,
                np.log(kernel.category_scales.numpy()),
                [math.log(max(learned, 2 * NOISE_FLOORS[0])), math.log(float(kernel.output_scale)), tau],
            ]
        )
        return cls(marginal, start)

    def potential(self, place: Array) -> tuple[float, Array]:
        """Minus the logarithm of the posterior density at `place`, but for a constant, and its gradient."""
        d, c = self.marginal.X.shape[1], self.marginal.C.shape[1]
        theta, inside = self._theta(place)
        value, by_theta = self.marginal.likelihood(theta)
        by_theta = np.where(inside, by_theta, 0.0)
        gradient = np.concatenate([-0.5 * by_theta[:d], by_theta[d:], [-0.5 * by_theta[:d].sum()]])
        for part, scale in ((slice(0, d), 1.0), (slice(len(place) - 1, None), GLOBAL_SCALE)):
            ratio = np.exp(2 * np.clip(place[part] - math.log(scale), -300, 300))
            value += float((np.log1p(ratio) - place[part]).sum())
            gradient[part] += 2 * ratio / (1 + ratio) - 1
        location, width = (np.full(c + 2, 0.0) for _ in range(2))
        location[:c], width[:c] = CATEGORY
        (location[c], width[c]), (location[c + 1], width[c + 1]) = self.marginal.noise_prior, OUTPUT
        away = (place[d:-1] - location) / width
        gradient[d:-1] += away / width
        return value + 0.5 * float(away @ away), gradient

    def read(self, place: Array) -> Hyperparameters:
        """What a place says."""
        return self.marginal.read(self._theta(place)[0])

    def _theta(self, place: Array) -> tuple[Array, Array]:
        """The hyperparameters within their box, and which were there."""
        d = self.marginal.X.shape[1]
        theta = np.concatenate([-0.5 * (place[:d] + place[-1]), place[d:-1]])
        low, high = np.array(self.marginal.bounds()).T
        return np.clip(theta, low, high), (theta >= low) & (theta <= high)

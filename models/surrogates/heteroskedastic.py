"""A Gaussian process whose labels scatter more in some places than in others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from theoros.models.data import Array
from theoros.models.encoders import Encoder
from theoros.models.surrogates.closed_form import fit_closed_form
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.labels import Labels
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.scatter import LearnedScatter
from theoros.models.surrogates.structure import Structure

#: Fewer labels can't tell noise that varies from noise that does not.
LEAST = 20
#: How often values and noise are fitted in turn.
ROUNDS = 4
#: Mean and variance of the logarithm of a squared standard normal number: digamma(1/2) + log 2, and pi² / 2.
LOG_SQUARE_MEAN, LOG_SQUARE_VARIANCE = -1.2703628454614782, math.pi**2 / 2
#: Of a residual's variance this share is noise at least: where noise is once taken for too small it would else be taken
#: for smaller still in the next round.
LEAST_SHARE = 0.5
#: Squared residuals, relative to the labels' variance, below which a logarithm says nothing more.
SMALLEST = 1e-8


@dataclass(frozen=True)
class HeteroskedasticGaussianProcess(GaussianProcess):
    """``gp`` with a second process for the logarithm of the noise variance.

    The most likely heteroskedastic process of Kersting, Plagemann, Pfaff & Burgard (ICML 2007,
    doi:10.1145/1273496.1273546): values and noise are fitted in turn. What the second process is fitted to are the
    labels' leave-one-out residuals, whose squares are, as far as noise explains them, that variance times a squared
    standard normal number; so the mean and variance of its logarithm are known. Outputs whose standard errors are
    known, several fidelities, very few labels and very many are treated as by ``gp``.
    """

    name: ClassVar[str] = "heteroskedastic_gp"

    def _closed_form(
        self,
        structure: Structure,
        encoder: Encoder,
        labels: Labels,
        families: Sequence[str],
        good_side: int,
        start: OutputModel | None,
    ) -> tuple[OutputModel, str]:
        """Fit values with noise that is alike everywhere, then noise and values in turn; raises FitFailed."""
        if structure.noise == "smooth":
            structure = replace(structure, noise="noisy")
        model, message = fit_closed_form(structure, encoder, labels, families, 0, start)
        if structure.noise != "noisy" or len(labels.y) < LEAST:
            return model, message
        variance = np.full(len(labels.y), model.noise)
        known = replace(structure, noise="known")
        for _ in range(ROUNDS):
            scatter = _scatter(known, encoder, labels, model.posterior, variance)
            variance = scatter.variance(labels.features)
            weighed = replace(labels, errors=np.sqrt(variance) * labels.scale[labels.fidelity])
            model, message = fit_closed_form(known, encoder, weighed, families, 0, model)
        scatter = replace(scatter, rest=float(model.hyperparameters["noise_variance"]))
        usual = float(scatter.variance(labels.features).mean())
        told = {**model.hyperparameters, "usual_noise_variance": usual}
        return replace(model, scatter=scatter, noise=usual, hyperparameters=told), message


def _scatter(
    structure: Structure, encoder: Encoder, labels: Labels, posterior: Posterior, variance: Array
) -> LearnedScatter:
    """The process of the logarithm of the noise variance; `variance` (n) is what noise was taken for before."""
    precision = torch.cholesky_inverse(posterior.factor).diagonal().numpy()
    residual = posterior.weights[:, 0].numpy() / precision  # from what all other labels predict
    share = variance * precision  # of the residual's variance that is noise
    logs = np.log(np.maximum(np.square(residual) * np.clip(share, LEAST_SHARE, 1.0), SMALLEST)) - LOG_SQUARE_MEAN
    believed = np.ones(len(logs), dtype=bool) if labels.doubted is None else ~labels.doubted
    centre, width = float(logs[believed].mean()), float(logs[believed].std())
    width = width if width > 0 else 1.0
    seen = replace(
        labels,
        features=labels.features[torch.from_numpy(believed)],
        fidelity=labels.fidelity[believed],
        y=logs[believed],
        offset=np.array([centre]),
        scale=np.array([width]),
        errors=np.full(int(believed.sum()), math.sqrt(LOG_SQUARE_VARIANCE)),
        fences=None,
        doubted=None,
    )
    model, _ = fit_closed_form(structure, encoder, seen, ("rbf",), 0, None)
    return LearnedScatter(model.posterior, centre, width)

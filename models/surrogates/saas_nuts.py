"""A Gaussian process for many parameters of which few matter, averaged over what the labels leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from theoros.models.contract import FittedSurrogate, Paths
from theoros.models.data import Dataset, Point, Prediction, Problem
from theoros.models.sampling import derived_seed
from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.gaussian_process import FittedGaussianProcess
from theoros.models.surrogates.marginal import MEAN_VARIANCE, Hyperparameters
from theoros.models.surrogates.nuts import SamplingFailed, sampled
from theoros.models.surrogates.output_model import OutputModel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.saas import SparseGaussianProcess
from theoros.models.surrogates.saas_posterior import SaasPosterior
from theoros.models.surrogates.scatter import KnownScatter
from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class FittedMixture:
    """Gaussian processes with different hyperparameters that count alike; `mode` is the likeliest one.

    Each of `draws` models all outputs. The mixture is no Gaussian belief: it has a mean, a variance and sample paths.
    """

    name: str
    mode: FittedGaussianProcess
    draws: tuple[FittedGaussianProcess, ...]
    fell_back: bool = False
    message: str = ""

    @property
    def n_labels(self) -> int:
        """How many labels it was fitted to."""
        return self.mode.n_labels

    def predict(self, points: Sequence[Point]) -> Prediction:
        """Means and standard deviations ``n x m`` of the mixture: the draws' own variance and that between them."""
        parts = [draw.predict(points) for draw in self.draws]
        means = np.stack([part.mean for part in parts])
        within = np.mean([part.std**2 for part in parts], axis=0)
        noise = np.sqrt(np.mean([part.noise**2 for part in parts], axis=0))
        return Prediction(self.mode.outputs, means.mean(0), np.sqrt(within + means.var(0)), noise)

    def paths(self, output: str, fidelity: str, n: int, *, seed: int) -> Paths:
        """Draw `n` functions, each of one of the processes in turn; see `theoros.models.contract.SamplePaths`."""
        count = len(self.draws)
        shares = [len(range(k, n, count)) for k in range(count)]
        parts = [
            (k, draw.paths(output, fidelity, share, seed=derived_seed(seed, k)))
            for k, (draw, share) in enumerate(zip(self.draws, shares, strict=True))
            if share
        ]

        def at(candidates: Sequence[Candidate]) -> np.ndarray[Any, np.dtype[np.float64]]:
            values = np.empty((n, len(candidates)))
            for k, path in parts:
                values[k::count] = path(candidates)
            return values

        return at

    def hyperparameters(self) -> Mapping[str, Any]:
        """Those of the mode, with the draws' medians and quartiles of length scales in place of its own."""
        told: dict[str, Any] = {}
        each = [draw.hyperparameters() for draw in self.draws]
        for output, own in self.mode.hyperparameters().items():
            names = list(own.get("length_scales", {}))
            scales = np.array([[one[output]["length_scales"][name] for name in names] for one in each])
            quartiles = np.quantile(scales, [0.25, 0.5, 0.75], axis=0)
            told[output] = {
                **own,
                "draws": len(self.draws),
                "length_scales": dict(zip(names, quartiles[1].tolist(), strict=True)),
                "length_scale_quartiles": dict(zip(names, quartiles[[0, 2]].T.tolist(), strict=True)),
                "noise_variance": float(np.median([one[output]["noise_variance"] for one in each])),
            }
        return told


@dataclass(frozen=True)
class SparseMixture:
    """``saas_gp`` averaged over its hyperparameters by the no-U-turn sampler, for oracles that take hours.

    Eriksson & Jankowiak, UAI 2021 (arXiv:2103.00349), as they do it: Hamiltonian Monte Carlo over all length scales and
    their global scale (`theoros.models.surrogates.saas_posterior`), `draws` of which are kept. It begins at the mode,
    and a transform of the outcome stays the mode's. `seconds` bound the sampling of one output: draws that have come by
    then are kept, and without one the mode stands in and the model says so. Several fidelities, and more labels than
    ``gp`` treats in closed form, are not sampled.
    """

    draws: int = 16
    warmup: int = 192
    samples: int = 192
    seconds: float = 120.0

    name: ClassVar[str] = "saas_nuts"
    provides: ClassVar[frozenset[str]] = frozenset({"mean", "variance", "samples"})
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})

    def fit(
        self, problem: Problem, dataset: Dataset, *, seed: int, previous: FittedSurrogate | None = None
    ) -> FittedMixture:
        """Find the mode, and sample about it; raises MissingDependency where Pyro is not installed."""
        last = previous.mode if isinstance(previous, FittedMixture) else None
        mode = SparseGaussianProcess().fit(problem, dataset, seed=seed, previous=last)
        columns: list[list[OutputModel]] = []
        messages, failed = [mode.message] if mode.message else [], mode.fell_back
        for output, model in zip(mode.outputs, mode.models, strict=True):
            try:
                columns.append(self._sampled(model, derived_seed(seed, output, "nuts")))
            except SamplingFailed as failure:
                columns.append([model] * self.draws)
                messages.append(f"{output}: the mode stands for all draws ({failure})")
                failed = True
        rows = [
            replace(mode, models=tuple(column[k % len(column)] for column in columns))
            for k in range(max(map(len, columns), default=1))
        ]
        return FittedMixture(self.name, mode, tuple(rows), failed, "; ".join(messages))

    def _sampled(self, model: OutputModel, seed: int) -> list[OutputModel]:
        """The process of one output with each draw of hyperparameters; only itself where it can't be sampled."""
        kernel, posterior = model.posterior.kernel, model.posterior
        if not isinstance(kernel, ArdKernel) or len(posterior.X) < 2:
            return [model]
        target = SaasPosterior.of(model)
        found = sampled(
            target.potential, target.start, warmup=self.warmup, samples=self.samples, seconds=self.seconds, seed=seed
        )
        places = np.linspace(0, len(found) - 1, min(self.draws, len(found))).round().astype(int)
        drawn = [_with(model, target.read(found[place])) for place in places]
        kept = [one for one in drawn if one is not None]
        if not kept:
            raise SamplingFailed("no draw's matrix is positive definite")
        return kept


def _with(model: OutputModel, found: Hyperparameters) -> OutputModel | None:
    """The process of `model` with other hyperparameters; None where its matrix is singular."""
    old, told = model.posterior, model.hyperparameters
    kernel = ArdKernel(
        old.kernel.family,
        old.kernel.numeric,
        torch.from_numpy(found.length_scales),
        old.kernel.categorical,
        torch.from_numpy(found.category_scales),
        found.output_scale,
        MEAN_VARIANCE,
    )
    more = found.noise - float(told["noise_variance"])  # what all labels have beside their own errors
    try:
        posterior = Posterior.of(kernel, old.mean, old.X, old.Y, old.noise + more)
    except (RuntimeError, ValueError):  # NotPSDError and NanError are RuntimeErrors
        return None
    scatter = model.scatter
    if isinstance(scatter, KnownScatter):
        scatter = KnownScatter(scatter.variances + more)
    scales = np.concatenate([found.length_scales, found.category_scales]).tolist()
    kept = {
        **told,
        "noise_variance": found.noise,
        "output_scales": [found.output_scale],
        "length_scales": dict(zip(told["length_scales"], scales, strict=True)),
    }
    return replace(model, posterior=posterior, noise=model.noise + more, scatter=scatter, hyperparameters=kept)

"""The maximiser of an acquisition function over parameters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.optim import optimize_acqf, optimize_acqf_mixed_alternating
from botorch.utils.sampling import manual_seed
from torch import Tensor

from theoros.models.acquisition.ucb import UpperConfidenceBound
from theoros.models.contract import ProposalRequest
from theoros.models.data import Array
from theoros.models.encoders import LinearRow, ParameterEncoder
from theoros.models.proposers.feature_search import FeatureSearch, evaluate, spread_out
from theoros.models.proposers.local_search import local_search, neighbours
from theoros.models.proposers.screening import admissible, best_first
from theoros.models.sampling import derived_seed, unit_quasirandom
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.parameters import Parameters

logger = logging.getLogger(__name__)


#: Proposals closer than this in every coordinate of the unit cube are one idea.
NEIGHBOURS = 0.01
#: Climbs to the optimum of the posterior mean, which has fewer hills than an acquisition.
MEAN_CLIMBS = 3


@dataclass(frozen=True)
class AcquisitionOptimizer:
    """Local optima of the acquisition over the unit cube, and the optimum of the posterior mean.

    The best of `raw` quasi-random points and of perturbed labelled ones start `restarts` climbs: L-BFGS-B on
    continuous spaces, SLSQP under linear constraints, BoTorch's alternating search with grids and categories
    (Daulton et al., NeurIPS 2022, for mixed spaces). A derivative-free local search always runs as well, so an
    optimiser that fails, an acquisition without gradients, or a constraint that can't be written over features costs
    quality and not the decision. `seconds` bounds one gradient climb. Spaces without constraints are searched as
    matrices, ten times faster (`theoros.models.proposers.feature_search`).
    """

    raw: int = 512
    restarts: int = 8
    seconds: float = 10.0

    name: ClassVar[str] = "acquisition_optimizer"
    kinds: ClassVar[frozenset[str]] = frozenset({"parameters"})
    needs_model: ClassVar[bool] = True

    def propose(self, request: ProposalRequest) -> list[Candidate]:
        """Up to `request.n` candidates, no neighbours, the best first; raises ValueError without a score or a cube."""
        space, score = request.problem.space, request.score
        if not isinstance(space, Parameters):
            raise ValueError(
                "The proposer 'acquisition_optimizer' searches a space of parameters, and this space is not one. "
                "Use 'library' for a finite library or 'genetic' for molecules."
            )
        if score is None:
            raise ValueError("The proposer 'acquisition_optimizer' works after the first fit. Use 'sobol' before it.")
        encoder = ParameterEncoder.of(space)
        rng = np.random.default_rng(derived_seed(request.seed, "starts"))
        functions = self._functions(request)
        if functions and not space.constraints and hasattr(request.acquisition, "build"):
            return self._over_features(request, encoder, functions, rng)
        pool = self._pool(request, encoder, rng)
        scores = score(pool)
        starts = best_first(pool, scores)[: 4 * self.restarts]
        found = {c.hash: (c, float(s)) for c, s in zip(pool, scores, strict=True)}
        for function in functions:
            climbed = self._climb(request, encoder, function, _spread(encoder, starts, self.restarts))
            known = [candidate for candidate in climbed if candidate is not None and candidate.hash not in found]
            found.update({c.hash: (c, float(s)) for c, s in zip(known, score(known), strict=True)})
        best = [c for c, _ in sorted(found.values(), key=lambda pair: -pair[1])[: self.restarts]]
        found.update(local_search(encoder, cast("Callable[[list[Candidate]], Array]", score), best, rng))
        ranked = [c for c, _ in sorted(found.values(), key=lambda pair: -pair[1])]
        return _distinct(encoder, admissible(request, ranked), request.n)

    def _over_features(
        self,
        request: ProposalRequest,
        encoder: ParameterEncoder,
        functions: list[AcquisitionFunction],
        rng: np.random.Generator,
    ) -> list[Candidate]:
        """Where every point of the cube is allowed, only the best points are made into candidates."""
        search = FeatureSearch(encoder)
        points = encoder.from_unit(unit_quasirandom(self.raw, encoder.dimension, derived_seed(request.seed, "raw")))
        batches = [points]
        if request.labelled:
            best = encoder.encode(request.labelled[:5]).numpy()
            batches += [neighbours(encoder, best.repeat(16, axis=0), width, rng) for width in (0.1, 0.01, 0.001)]
            batches.append(best)
        pool = search.allowed(np.concatenate(batches))
        climbs = [self.restarts, *[MEAN_CLIMBS] * (len(functions) - 1)]
        ends = [search.maximise(f, pool, n, rng) for f, n in zip(functions, climbs, strict=True)]
        rest = spread_out(pool, evaluate(functions[0], pool), 2 * self.restarts)
        made = [candidate for candidate in encoder.decode(np.concatenate([*ends, rest])) if candidate is not None]
        found = admissible(request, made)
        score = cast("Callable[[list[Candidate]], Array]", request.score)
        return _distinct(encoder, best_first(found, score(found)), request.n)

    def _pool(self, request: ProposalRequest, encoder: ParameterEncoder, rng: np.random.Generator) -> list[Candidate]:
        """Valid candidates to start from: quasi-random ones, and ever closer neighbours of the best labelled ones."""
        points = encoder.from_unit(unit_quasirandom(self.raw, encoder.dimension, derived_seed(request.seed, "raw")))
        batches = [points]
        if request.labelled:
            best = encoder.encode(request.labelled[:5]).numpy().repeat(16, axis=0)
            batches.extend(neighbours(encoder, best, width, rng) for width in (0.1, 0.01))
        valid = [candidate for candidate in encoder.decode(np.concatenate(batches)) if candidate is not None]
        if len(valid) < self.raw // 8:  # tight constraints: let the space sample itself
            valid.extend(request.problem.space.sample(self.raw // 4, rng))
        return list({candidate.hash: candidate for candidate in valid}.values())

    def _functions(self, request: ProposalRequest) -> list[AcquisitionFunction]:
        """The acquisition, and the posterior mean: what is best by present belief gives a campaign its last digits."""
        model, acquisition, dataset = request.model, request.acquisition, request.dataset
        if model is None or dataset is None or not hasattr(model, "encode"):
            return []
        functions: list[AcquisitionFunction] = []
        build = getattr(acquisition, "build", None)
        if build is not None:
            seed = derived_seed(request.seed, "acquisition")
            functions.append(build(request.problem, model, dataset, request.pending, seed=seed))
        if request.problem.goal == "optimize":
            greedy = UpperConfidenceBound(beta=0.0)
            functions.append(greedy.build(request.problem, model, dataset, request.pending, seed=request.seed))
        return functions

    def _climb(
        self, request: ProposalRequest, encoder: ParameterEncoder, function: AcquisitionFunction, starts: Tensor
    ) -> list[Candidate | None]:
        constraints = encoder.linear_constraints()
        if constraints is None:
            return []
        # The optimisers give up with errors of many classes; the local search that follows replaces them.
        try:
            with manual_seed(derived_seed(request.seed, "climb")), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if any(column.kind != "continuous" for column in encoder.columns):
                    features = _mixed(encoder, function, *constraints)
                else:
                    features = self._continuous(encoder, function, starts, *constraints)
        except (RuntimeError, ValueError, ArithmeticError, NotImplementedError) as error:
            logger.info("gradient search failed, local search goes on: %s: %s", type(error).__name__, error)
            return []
        return encoder.decode(torch.nan_to_num(features, nan=0.5))

    def _continuous(
        self,
        encoder: ParameterEncoder,
        function: AcquisitionFunction,
        starts: Tensor,
        inequalities: list[LinearRow],
        equalities: list[LinearRow],
    ) -> Tensor:
        features, _ = optimize_acqf(
            function,
            bounds=_bounds(encoder),
            q=1,
            num_restarts=len(starts),
            batch_initial_conditions=starts.unsqueeze(-2),
            inequality_constraints=inequalities or None,
            equality_constraints=equalities or None,
            return_best_only=False,
            options={"maxiter": 60},
            timeout_sec=self.seconds,
            retry_on_optimization_warning=False,
        )
        return cast(Tensor, features.reshape(-1, encoder.dimension))


def _mixed(
    encoder: ParameterEncoder, function: AcquisitionFunction, inequalities: list[LinearRow], equalities: list[LinearRow]
) -> Tensor:
    grids: dict[int, Any] = {
        i: column.grid() for i, column in enumerate(encoder.columns) if column.kind != "continuous"
    }
    features, _ = optimize_acqf_mixed_alternating(
        function,
        bounds=_bounds(encoder),
        discrete_dims={i: g for i, g in grids.items() if g and encoder.columns[i].kind == "grid"},
        cat_dims={i: g for i, g in grids.items() if encoder.columns[i].kind == "categorical"},
        q=1,
        raw_samples=128,
        num_restarts=4,
        options={"maxiter_alternating": 6, "maxiter_discrete": 4, "maxiter_continuous": 8},
        inequality_constraints=inequalities or None,
        equality_constraints=equalities or None,
    )
    return cast(Tensor, features.reshape(-1, encoder.dimension))


def _bounds(encoder: ParameterEncoder) -> Tensor:
    upper = [float(len(c.choices) - 1) if c.kind == "categorical" else 1.0 for c in encoder.columns]
    return torch.tensor([[0.0] * len(upper), upper], dtype=torch.float64)


def _distinct(encoder: ParameterEncoder, ranked: list[Candidate], n: int) -> list[Candidate]:
    """The first `n` of `ranked` that are no neighbours of a better one: climbs end beside each other, and a batch made
    of them would ask one question several times.
    """
    if not ranked:
        return []
    features = encoder.encode(ranked)
    chosen: list[int] = []
    for index in range(len(features)):
        if len(chosen) == n:
            break
        if not chosen or float((features[chosen] - features[index]).abs().amax(1).min()) > NEIGHBOURS:
            chosen.append(index)
    return [ranked[index] for index in chosen]


def _spread(encoder: ParameterEncoder, ranked: list[Candidate], n: int) -> Tensor:
    """Features of the first of `ranked` and of others that keep some distance, filled up by rank: ``<= n x d``."""
    features = encoder.encode(ranked)
    chosen: list[int] = []
    for index in range(len(features)):
        if len(chosen) < n and (not chosen or float((features[chosen] - features[index]).abs().amax(1).min()) > 0.05):
            chosen.append(index)
    chosen += [index for index in range(len(features)) if index not in chosen][: max(0, n - len(chosen))]
    return features[chosen]

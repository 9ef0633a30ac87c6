"""The laws of this room's seams, as checks that anyone can run on a surrogate, acquisition or proposer of their own.

Each returns the laws that were broken, in words; an empty list means that the contract is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from theoros.models import registry
from theoros.models.contract import Acquisition, FittedSurrogate, ProposalRequest, Proposer, SamplePaths, Surrogate
from theoros.models.data import Dataset, Point, Problem
from theoros.models.decide import propose, select
from theoros.models.twins.contract import FittedTwin
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate


def check_surrogate(surrogate: Surrogate, problem: Problem, dataset: Dataset) -> list[str]:
    """Fit to `dataset` (two labels or more) and to damaged copies of it, and hold what comes against the contract."""
    broken: list[str] = []
    if problem.space.kind not in surrogate.kinds:
        return [f"it does not read candidates of kind {problem.space.kind!r}"]
    before = dataset.values.copy()
    model = surrogate.fit(problem, dataset, seed=1)
    if not np.array_equal(before, dataset.values, equal_nan=True):
        broken.append("fitting changed the labels")
    if model.name != surrogate.name:
        broken.append(f"the fitted model is named {model.name!r}, the surrogate {surrogate.name!r}")
    if model.n_labels != len(dataset):
        broken.append(f"it says that it saw {model.n_labels} labels, and there were {len(dataset)}")
    broken += _prediction_laws(model, problem, dataset.points)
    if "samples" in surrogate.provides:
        broken += _path_laws(model, problem, dataset.points)
    if "generative" in surrogate.provides:
        broken += _twin_laws(cast(FittedTwin, model), problem, dataset.points)
    again = surrogate.fit(problem, dataset, seed=1).predict(dataset.points)
    if not np.array_equal(model.predict(dataset.points).mean, again.mean):
        broken.append("two fits with the same seed predict differently")
    try:
        json.dumps(model.hyperparameters(), allow_nan=False)
    except (TypeError, ValueError) as error:
        broken.append(f"its hyperparameters are not JSON data: {error}")
    for name, bad in damaged(dataset).items():
        try:
            fitted = surrogate.fit(problem, bad, seed=1, previous=model)
            broken += [f"{law}, with {name}" for law in _prediction_laws(fitted, problem, dataset.points)]
            if "samples" in surrogate.provides:
                broken += [f"{law}, with {name}" for law in _path_laws(fitted, problem, dataset.points)]
            if "generative" in surrogate.provides:
                twin = cast(FittedTwin, fitted)
                broken += [f"{law}, with {name}" for law in _twin_laws(twin, problem, dataset.points)]
        except Exception as error:
            broken.append(f"fit raised {type(error).__name__} with {name}: {error}")
    return broken


def check_decision(surrogate: Surrogate, problem: Problem, dataset: Dataset, *, seed: int = 1) -> list[str]:
    """Fit to `dataset`, however bad it is, and let the defaults decide with what comes.

    `surrogate` is a built-in one, or one that is known by its own ``module:Class``.
    """
    name = surrogate.name if surrogate.name in registry.SURROGATES else _path(surrogate)
    acquisition = registry.acquisition(registry.default_acquisition(problem, name))
    proposers = [registry.proposer(known) for known in registry.default_proposers(problem)]
    try:
        model = surrogate.fit(problem, dataset, seed=seed)
        broken = _prediction_laws(model, problem, dataset.points)
        seen = {point.candidate.hash for point in dataset.points}
        found = propose(problem, proposers, dataset, model, acquisition, [], seen, 1, seed)
        choices = select(problem, found, dataset, model, acquisition, [], set(), 1, seed)
        if len(choices) != 1:
            return [*broken, f"{len(found)} proposals came, and {len(choices)} decisions"]
        problem.space.check(choices[0].point.candidate)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    if choices[0].point.candidate.hash in seen:
        broken.append(f"{choices[0].point.candidate.text} is asked again")
    if not np.isfinite([number for told in choices[0].predictions.values() for number in told[:2]]).all():
        broken.append("what is predicted of the choice is not finite")
    return broken


def check_acquisition(
    acquisition: Acquisition,
    problem: Problem,
    model: FittedSurrogate,
    dataset: Dataset,
    candidates: Sequence[Candidate],
) -> list[str]:
    """Score two or more `candidates` with and without pending points."""
    broken: list[str] = []
    pending = [Point(candidates[0], problem.target)]
    for waiting in ([], pending):
        score = acquisition.scorer(problem, model, dataset, waiting, seed=1)
        values = score(candidates)
        if values.shape != (len(candidates),):
            broken.append(f"{len(candidates)} candidates get scores of shape {values.shape}")
        if np.isnan(values).any() or np.isposinf(values).any():
            broken.append("a score is not a number, or infinite")
        again = acquisition.scorer(problem, model, dataset, waiting, seed=1)(candidates)
        if not np.array_equal(values, again):
            broken.append("two scorers with the same seed differ")
        if not np.allclose(score(candidates[:1]), values[:1], rtol=1e-6, atol=1e-6):
            broken.append("a candidate's score depends on which others are scored with it")
        if score([]).shape != (0,):
            broken.append("no candidates get scores")
        broken += _batch_laws(acquisition, problem, model, dataset, waiting, candidates)
    return broken


def check_proposer(proposer: Proposer, problem: Problem, request: ProposalRequest | None = None) -> list[str]:
    """Ask for candidates thrice: plainly, with the first answers seen, and with half of them vetoed.

    `request` gives a proposer that needs a model what it needs; by default one without a model is made.
    """
    if problem.space.kind not in proposer.kinds:
        return [f"it does not make candidates of kind {problem.space.kind!r}"]
    request = request or ProposalRequest(problem, 8, 1, frozenset())
    labelled = [(candidate.hash, dict(candidate.data)) for candidate in request.labelled]
    first = proposer.propose(request)
    broken = _proposal_laws(first, request)
    if [c.hash for c in proposer.propose(request)] != [c.hash for c in first]:
        broken.append("two proposals with the same seed differ")
    after = replace(request, seen=request.seen | {candidate.hash for candidate in first})
    broken += _proposal_laws(proposer.propose(after), after)
    veto: Callable[[Candidate], bool] = lambda candidate: int(candidate.hash[0], 16) % 2 == 0  # noqa: E731
    vetoed = replace(request, problem=replace(problem, feasible=veto))
    broken += _proposal_laws(proposer.propose(vetoed), vetoed)
    if [(candidate.hash, dict(candidate.data)) for candidate in request.labelled] != labelled:
        broken.append("proposing changed the labelled candidates")
    return broken


def _path(surrogate: Surrogate) -> str:
    return f"{type(surrogate).__module__}:{type(surrogate).__qualname__}"


def _prediction_laws(model: FittedSurrogate, problem: Problem, points: Sequence[Point]) -> list[str]:
    broken: list[str] = []
    prediction = model.predict(points)
    shape = (len(points), len(problem.outputs))
    if prediction.outputs != problem.outputs:
        broken.append(f"it predicts {prediction.outputs}, and the problem has {problem.outputs}")
    if prediction.mean.shape != shape or prediction.std.shape != shape:
        return [*broken, f"predictions have shapes {prediction.mean.shape}, {prediction.std.shape}, not {shape}"]
    if not (np.isfinite(prediction.mean).all() and np.isfinite(prediction.std).all()):
        broken.append("a prediction is not finite")
    if (prediction.std < 0).any():
        broken.append("a standard deviation is negative")
    turned = model.predict(list(reversed(points)))
    if not np.allclose(turned.mean[::-1], prediction.mean, rtol=1e-6, atol=1e-9 * (1 + np.abs(prediction.mean).max())):
        broken.append("predictions depend on the order in which they are asked")
    if model.predict([]).mean.shape != (0, len(problem.outputs)):
        broken.append("no points get predictions")
    return broken


def _batch_laws(
    acquisition: Acquisition,
    problem: Problem,
    model: FittedSurrogate,
    dataset: Dataset,
    waiting: Sequence[Point],
    candidates: Sequence[Candidate],
) -> list[str]:
    broken: list[str] = []
    batch = getattr(acquisition, "batch", None)
    if batch is None:
        return broken
    for n in (0, 1, len(candidates), len(candidates) + 3):
        picks = batch(problem, model, dataset, waiting, candidates, n, seed=1)
        if picks is None:
            continue
        places = [pick.place for pick in picks]
        if len(set(places)) < len(places):
            broken.append("a batch holds a candidate twice")
        if len(places) != min(n, len(candidates)) or not set(places) <= set(range(len(candidates))):
            broken.append(f"a batch of {n} of {len(candidates)} candidates has the places {places}")
        if picks != batch(problem, model, dataset, waiting, candidates, n, seed=1):
            broken.append("two batches with the same seed differ")
    return broken


def _path_laws(model: FittedSurrogate, problem: Problem, points: Sequence[Point]) -> list[str]:
    candidates = [point.candidate for point in points]
    broken: list[str] = []
    for output in problem.outputs:
        paths = cast(SamplePaths, model).paths(output, problem.target, 3, seed=1)
        values = paths(candidates)
        tolerance = 1e-6 * (1 + np.abs(values).max(initial=0.0))
        if values.shape != (3, len(candidates)):
            broken.append(f"3 paths at {len(candidates)} candidates have the shape {values.shape}")
        elif not np.isfinite(values).all():
            broken.append("a path is not finite")
        elif not np.allclose(paths(candidates[:1])[:, 0], values[:, 0], atol=tolerance):
            broken.append("a path is not one function: it answers a candidate differently when it is asked again")
        if not np.allclose(
            cast(SamplePaths, model).paths(output, problem.target, 3, seed=1)(candidates), values, atol=tolerance
        ):
            broken.append("two draws of paths with the same seed differ")
    return broken


def _twin_laws(model: FittedTwin, problem: Problem, points: Sequence[Point], draws: int = 3) -> list[str]:
    broken: list[str] = []
    drawn = model.sample(points, draws, seed=1)
    shape = (model.members, draws, len(points), len(problem.outputs))
    if model.outputs != problem.outputs:
        broken.append(f"it draws {model.outputs}, and the problem has {problem.outputs}")
    if drawn.shape != shape:
        return [*broken, f"{draws} draws at {len(points)} points have the shape {drawn.shape}, not {shape}"]
    if not np.isfinite(drawn).all():
        broken.append("a draw is not finite")
    if not np.array_equal(model.sample(points, draws, seed=1), drawn):
        broken.append("two draws with the same seed differ")
    if model.sample([], draws, seed=1).shape != (model.members, draws, 0, len(problem.outputs)):
        broken.append("no points get draws")
    density = model.log_prob(points, drawn[0, 0])
    if density is not None and density.shape != (model.members, len(points)):
        broken.append(f"log densities at {len(points)} points have the shape {density.shape}")
    elif density is not None and (np.isnan(density).any() or np.isposinf(density).any()):
        broken.append("a log density of a draw is not a number, or infinite")
    return broken


def damaged(dataset: Dataset) -> dict[str, Dataset]:
    """What laboratories produce, made of `dataset` (two labels or more): by what is wrong with it."""
    constant, huge, both, third = (dataset.values.copy() for _ in range(4))
    constant[:] = 3.0
    huge[0] = 1e12
    both[0], both[-1] = 1e6, -1e6
    third[::3] = np.nan
    return {
        "no label": Dataset((), dataset.outputs, dataset.values[:0]),
        "one label": Dataset(dataset.points[:1], dataset.outputs, dataset.values[:1]),
        "a third of the labels missing": replace(dataset, values=third),
        "nothing but missing outputs": replace(dataset, values=np.full_like(third, np.nan)),
        "constant outputs": replace(dataset, values=constant),
        "an absurd outlier": replace(dataset, values=huge),
        "outliers at both ends": replace(dataset, values=both),
        "labels that contradict each other": Dataset(
            dataset.points * 2, dataset.outputs, np.concatenate([dataset.values, 1 - dataset.values])
        ),
    }


def _proposal_laws(candidates: Sequence[Candidate], request: ProposalRequest) -> list[str]:
    broken: list[str] = []
    if len(candidates) > request.n:
        broken.append(f"{len(candidates)} candidates came where {request.n} were asked")
    if len({candidate.hash for candidate in candidates}) < len(candidates):
        broken.append("a candidate came twice")
    for candidate in candidates:
        try:
            request.problem.space.check(candidate)
        except InvalidCandidate as error:
            broken.append(f"a candidate is not in the space: {error}")
        if candidate.hash in request.seen:
            broken.append(f"{candidate.text} had been seen")
        if request.problem.feasible is not None and not request.problem.feasible(candidate):
            broken.append(f"{candidate.text} is not feasible")
    return broken

"""How a twin's members differ at a candidate: what tells two candidates that ask the same from two that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from theoros.models.acquisition.predicted import spread
from theoros.models.acquisition.several import wanted
from theoros.models.data import Array, Dataset, Pick, Point, Problem
from theoros.models.sampling import derived_seed
from theoros.models.twins.contract import DrawsArrays, FittedTwin
from theoros.oracles.candidate import Candidate

#: Draws (over members, repetitions and candidates) that are held at once.
MOST_DRAWS = 400_000


def width(problem: Problem, twin: FittedTwin) -> int:
    """How many numbers of an answer are looked at: the outputs that are to be learned, and what tells of arrays."""
    return len(wanted(problem)) + (twin.reduced if isinstance(twin, DrawsArrays) else 0)


def drawn(
    problem: Problem, twin: FittedTwin, dataset: Dataset, candidates: Sequence[Candidate], n: int, seed: int
) -> Iterator[tuple[Sequence[Candidate], Array]]:
    """Some candidates (b) at a time, and `n` answers of every member to each, ``members x n x b x m``.

    Of the outputs that are to be learned, in units of their labels' spread, and of arrays that the twin learned beside
    them, as `DrawsArrays.sample_reduced` tells of them.
    """
    outputs, sample = wanted(problem), twin.sample_reduced if isinstance(twin, DrawsArrays) else twin.sample
    further = range(len(twin.outputs), len(twin.outputs) + width(problem, twin) - len(outputs))
    columns = [*(twin.outputs.index(output) for output in outputs), *further]
    unit = np.array([*(spread(problem, dataset, output) for output in outputs), *(1.0 for _ in further)])
    size = max(1, MOST_DRAWS // (twin.members * n))
    for start in range(0, len(candidates), size):
        chunk = candidates[start : start + size]
        points = [Point(candidate, problem.target) for candidate in chunk]
        yield chunk, sample(points, n, seed=derived_seed(seed, "draws"))[..., columns] / unit


def patterns(samples: Array) -> Array:
    """The members' mean answers, less the mean over members, of ``members x n x b x m`` draws: ``b x members * m``."""
    means = samples.mean(1)
    return np.asarray(np.moveaxis(means - means.mean(0), 0, 1).reshape(samples.shape[2], -1), dtype=np.float64)


def patterns_of(
    problem: Problem, twin: FittedTwin, dataset: Dataset, candidates: Sequence[Candidate], n: int, seed: int
) -> Array:
    """`patterns` of candidates (b), from `n` draws of each member."""
    own = [np.zeros((0, twin.members * width(problem, twin)))]
    own += [patterns(samples) for _, samples in drawn(problem, twin, dataset, candidates, n, seed)]
    return np.concatenate(own)


def unsettled(own: Array, asked: Array) -> Array:
    """What is left (b) of candidates with patterns `own`, ``b x f``, when labels come where the patterns ``a x f`` are.

    One less the squared correlation with each: members that differ in the same way here and there are told apart by
    either label.
    """
    lengths = np.linalg.norm(own, axis=1)[:, None] * np.linalg.norm(asked, axis=1)
    alike = np.divide(own @ asked.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return np.asarray(np.prod(1.0 - np.minimum(alike**2, 1.0), axis=1), dtype=np.float64)


def less_settled(values: Array, own: Array, asked: Array) -> Array:
    """The `values` (b) of candidates with patterns `own` times what is `unsettled`; those without one stay at -inf."""
    left = values.copy()
    np.multiply(values, unsettled(own, asked), out=left, where=np.isfinite(values))
    return left


def one_after_another(values: Array, own: Array, n: int) -> list[Pick]:
    """Up to `n` of candidates with `values` (b) and patterns `own`, each settled before the next is taken.

    Those without a value (-inf) come last.
    """
    picks: list[Pick] = []
    rest = np.arange(len(values))
    while len(picks) < min(n, len(values)):
        place = int(np.argmax(values[rest]))
        best = int(rest[place])
        picks.append(Pick(best, float(values[best])))
        rest = np.delete(rest, place)
        values = less_settled(values, own, own[[best]])
    return picks

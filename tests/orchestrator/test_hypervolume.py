"""The volume that labels cover, followed label by label."""

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume

from theoros.orchestrator.report.hypervolume import volumes


def utilities(n, m, seed=0):
    """Of `n` labels on different scales, most of which are good at something: ``n x m``."""
    points = np.abs(np.random.default_rng(seed).standard_normal((n, m)))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * 10.0 ** np.arange(m)


@pytest.mark.parametrize(("objectives", "error"), [(2, 1e-12), (3, 1e-12), (4, 0.01), (5, 0.01)])
def test_after_each_label_it_is_what_botorch_says(objectives, error):
    told = utilities(12, objectives)
    start = np.full(objectives, -0.2)
    counter = Hypervolume(torch.from_numpy(start))
    expected = [counter.compute(torch.from_numpy(told[: n + 1])) for n in range(len(told))]
    assert volumes([(row, True) for row in told], start) == pytest.approx(expected, rel=error)


@pytest.mark.parametrize("objectives", [2, 6])
def test_labels_that_break_a_constraint_or_are_below_the_start_add_nothing(objectives):
    start = np.zeros(objectives)
    judged = [(-np.ones(objectives), True), (np.ones(objectives), False), (2 * np.ones(objectives), True)]
    assert volumes(judged, start)[:2] == [0.0, 0.0]
    assert volumes(judged, start)[2] == pytest.approx(2.0**objectives, rel=0.01)
    assert volumes(judged[:2], start) == [0.0, 0.0]


def test_hundreds_of_labels_with_eight_objectives_are_followed_and_it_never_falls():
    series = volumes([(row, True) for row in utilities(300, 8)], np.zeros(8))
    assert (np.diff(series) >= 0).all()
    assert series[-1] > 2 * series[0] > 0

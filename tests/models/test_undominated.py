"""What a candidate may win of the space that a front leaves, by boxes that fill it and by places that stand for it."""

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume

from theoros.models.acquisition import undominated as module
from theoros.models.acquisition.improvement import Utility
from theoros.models.acquisition.undominated import PLACES, undominated
from theoros.models.objective import Objective
from theoros.models.surrogates.outcome import IDENTITY

REFERENCE = -0.1


def sphere(rng, n, m):
    """Points ``n x m`` of a concave front, none of which dominates another."""
    points = np.abs(rng.standard_normal((n, m)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def left_by(front, seed=0):
    """What a front ``n x m`` leaves, where nothing is uncertain about it."""
    utilities = torch.from_numpy(front).unsqueeze(1)
    reference = torch.full((front.shape[1],), REFERENCE, dtype=torch.float64)
    return undominated(utilities, torch.ones(utilities.shape[:2], dtype=torch.bool), reference, seed)


def expected_gain(left, mean, std):
    """Expected volume (b) that independent normal utilities, means and deviations ``b x m``, gain."""
    beliefs = [
        Utility(Objective("y", "maximize"), IDENTITY, *(torch.from_numpy(part)[:, None, None] for part in (own, width)))
        for own, width in zip(mean.T, std.T, strict=True)
    ]
    return left.log_gain(beliefs)[:, 0].exp().numpy()


@pytest.mark.parametrize(("objectives", "error"), [(2, 0.01), (3, 0.01), (4, 0.15), (5, 0.15)])
def test_what_a_candidate_gains_for_certain_is_the_difference_of_two_hypervolumes(objectives, error):
    rng = np.random.default_rng(objectives)
    front, new = sphere(rng, 8, objectives), 1.3 * sphere(rng, 6, objectives)
    volume = Hypervolume(torch.full((objectives,), REFERENCE, dtype=torch.float64)).compute
    before = volume(torch.from_numpy(front))
    expected = np.array([volume(torch.from_numpy(np.vstack([front, one]))) for one in new]) - before
    found = expected_gain(left_by(front), new, np.full(new.shape, 1e-3))
    assert np.abs(found - expected).max() < error * expected.max()


@pytest.mark.parametrize("std", [0.05, 0.2])
@pytest.mark.parametrize("objectives", [4, 5])
def test_places_stand_for_what_boxes_fill(objectives, std, monkeypatch):
    rng = np.random.default_rng(7)
    front, new = sphere(rng, 12, objectives), rng.uniform(0.9, 1.3, (60, 1)) * sphere(rng, 60, objectives)
    stds = std * rng.uniform(0.5, 1.5, new.shape)
    found = expected_gain(left_by(front), new, stds)
    monkeypatch.setattr(module, "FEW", objectives)
    exact = expected_gain(left_by(front), new, stds)
    large = exact > 0.01 * exact.max()
    assert large.sum() > 10
    assert np.median(np.abs(found / exact - 1)[large]) < 0.15
    assert exact[found.argmax()] > 0.9 * exact.max()


def test_the_places_are_as_many_however_large_the_front_and_however_often_it_is_drawn():
    rng = np.random.default_rng(3)
    draws = np.stack([sphere(rng, 200, 7) for _ in range(16)], axis=1)
    places = undominated(
        torch.from_numpy(draws), torch.ones(draws.shape[:2], dtype=torch.bool), torch.zeros(7).double(), seed=0
    )
    assert places.at.shape == (16, PLACES // 16, 7)
    assert places.log_volume.isfinite().all()


def test_where_nothing_is_better_than_the_reference_all_above_it_can_be_won():
    left = left_by(np.full((3, 4), REFERENCE - 1))
    found = expected_gain(left, np.full((1, 4), REFERENCE + 1.0), np.full((1, 4), 0.01))
    assert found == pytest.approx(1.0, rel=0.15)

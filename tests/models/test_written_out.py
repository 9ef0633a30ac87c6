"""Acquisitions written out over arrays have the values and the gradients that torch finds for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import _log_ei_helper

from theoros.models.acquisition.base import FeatureAcquisition, WrittenOut
from theoros.models.acquisition.log_ei import LogExpectedImprovement
from theoros.models.acquisition.ucb import UpperConfidenceBound
from theoros.models.acquisition.written_out import log_excess
from theoros.models.data import Dataset, OutcomeConstraint, Point, Problem
from theoros.models.objective import Objective
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Parameters, Real

SPACE = Parameters({"a": Real(0, 1), "b": Real(-2, 2), "c": Real(1, 100, log=True)})


def test_the_excess_is_botorchs_and_its_slope_that_of_finite_differences() -> None:
    z = np.concatenate([np.linspace(-40, 8, 97), [-1.0, -1e3, -5e4, -1e6]])
    value, slope = log_excess(z)
    inputs = torch.from_numpy(z).requires_grad_(True)
    expected = _log_ei_helper(inputs)
    (by_torch,) = torch.autograd.grad(expected.sum(), inputs)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(slope, by_torch.numpy(), rtol=1e-6)


def _built(sense: str, bounds: Sequence[OutcomeConstraint], pending: int, name: str) -> FeatureAcquisition:
    rng = np.random.default_rng(7)
    candidates = SPACE.sample(14 + pending, rng)
    x = np.array([[c.data["a"], c.data["b"], np.log(c.data["c"])] for c in candidates])
    values = np.stack([np.sin(3 * x[:, 0]) + x[:, 1], x[:, 2] - x[:, 0]], axis=1)
    points = tuple(Point(candidate, "full") for candidate in candidates)
    dataset = Dataset(points[:14], ("y", "z"), values[:14])
    problem = Problem(
        "optimize",
        SPACE,
        ("y", "z"),
        (Objective("y", sense, 0.3),),
        ("full",),
        (1.0,),
        tuple(bounds),  # type: ignore[arg-type]
    )
    model = GaussianProcess().fit(problem, dataset, seed=0)
    acquisition = LogExpectedImprovement() if name == "log_ei" else UpperConfidenceBound(beta=2.0)
    return acquisition.build(problem, model, dataset, points[14:], seed=1)


@pytest.mark.parametrize("name", ["log_ei", "ucb"])
@pytest.mark.parametrize("sense", ["maximize", "minimize", "match"])
@pytest.mark.parametrize("pending", [0, 2])
@pytest.mark.parametrize("bounds", [(), (OutcomeConstraint("z", "<=", 2.0), OutcomeConstraint("y", ">=", -1.0))])
def test_with_a_gradient_they_are_what_torch_finds(
    name: str, sense: str, pending: int, bounds: tuple[OutcomeConstraint, ...]
) -> None:
    function = _built(sense, bounds, pending, name)
    assert isinstance(function, WrittenOut)
    features = np.random.default_rng(2).random((6, 3))
    values, gradients = function.with_gradient(features)
    expected, by_torch = FeatureAcquisition.with_gradient(function, features)
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(gradients, by_torch, rtol=1e-5, atol=1e-7)

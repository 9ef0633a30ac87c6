"""The moments written out in one node are those of the process, and so is their gradient."""

from __future__ import annotations

import pytest
import torch

from theoros.models.surrogates.ard import ArdKernel
from theoros.models.surrogates.posterior import Posterior
from theoros.models.surrogates.structure import TaskMean


def _process(family: str, draws: int = 1) -> Posterior:
    """Four numeric columns and a categorical one, twelve labels, `draws` data vectors."""
    generator = torch.Generator().manual_seed(3)
    X = torch.rand(12, 5, generator=generator, dtype=torch.float64)
    X[:, 2] = (3 * X[:, 2]).floor()
    lengths = torch.tensor([0.3, 0.7, 1.5, 0.2], dtype=torch.float64)
    kernel = ArdKernel(family, (0, 1, 3, 4), lengths, (2,), torch.tensor([0.8]).double(), 1.7, 0.09)
    Y = torch.randn(12, draws, generator=generator, dtype=torch.float64)
    mean = TaskMean(1, priors=False).requires_grad_(False)
    return Posterior.of(kernel, mean, X, Y, torch.full((12,), 1e-4, dtype=torch.float64))


def _places(process: Posterior) -> torch.Tensor:
    x = torch.rand(7, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x[:, 2] = process.X[:7, 2]
    return x


@pytest.mark.parametrize("family", ["rbf", "matern"])
@pytest.mark.parametrize("draws", [1, 3])
def test_they_are_the_moments_that_the_kernel_gives(family: str, draws: int) -> None:
    process = _process(family, draws)
    x = _places(process)
    with torch.no_grad():
        mean, variance = process.moments(x)  # without a gradient: node by node
    assert process.written_out is not None
    found = process.written_out.at(x.numpy())
    torch.testing.assert_close(torch.from_numpy(found[0]), mean, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.from_numpy(found[1]), variance, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("family", ["rbf", "matern"])
def test_their_gradient_is_that_of_finite_differences(family: str) -> None:
    process = _process(family, 2)
    x = _places(process)

    def score(numbers: torch.Tensor) -> torch.Tensor:
        full = torch.cat([numbers[:, :2], x[:, 2:3], numbers[:, 2:]], dim=1)
        mean, variance = process.moments(full)
        return mean.sin().sum(1) + variance.log()

    numbers = x[:, [0, 1, 3, 4]].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(score, (numbers,), eps=1e-6, atol=1e-5)


def test_a_labelled_point_without_noise_has_no_slope_of_its_variance() -> None:
    process = _process("rbf")
    exact = Posterior.of(process.kernel, process.mean, process.X, process.Y, torch.zeros(12, dtype=torch.float64))
    x = process.X.clone().requires_grad_(True)
    _, variance = exact.moments(x)
    (slope,) = torch.autograd.grad(variance.sum(), x)
    assert float(slope.abs().max()) < 1e-5

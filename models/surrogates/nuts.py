"""The no-U-turn sampler on a density that is written out, within a limit of time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from botorch.utils.sampling import manual_seed
from torch import Tensor

from theoros.models.data import Array
from theoros.oracles.failures import MissingDependency

#: A place to minus the logarithm of its density and the gradient of that.
Potential = Callable[[Array], tuple[float, Array]]
#: Trajectories have up to two to this power steps.
DEPTH = 6


class SamplingFailed(Exception):  # named as theoros.oracles.failures names its own
    """Not a single draw came; the message says why."""


class _Node(torch.autograd.Function):
    """A potential as one node of torch's graph."""

    @staticmethod
    def forward(ctx: Any, place: Tensor, potential: Potential) -> Tensor:
        """The value at `place` (k)."""
        value, gradient = potential(place.detach().numpy())
        ctx.gradient = torch.from_numpy(gradient)
        return torch.tensor(value, dtype=place.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """By the place."""
        return gradients[0] * ctx.gradient, None


def sampled(potential: Potential, start: Array, *, warmup: int, samples: int, seconds: float, seed: int) -> list[Array]:
    """Up to `samples` places (k) from `start` (k) on, after `warmup` steps that adapt the step and its metric.

    Hoffman & Gelman, JMLR 15, 1593 (2014), as Pyro has it. After `seconds` what has come is returned. Raises
    SamplingFailed without a single draw, and MissingDependency without Pyro.
    """
    try:
        from pyro.infer.mcmc import MCMC, NUTS
    except ImportError as error:
        raise MissingDependency(
            "The surrogate 'saas_nuts' samples with Pyro, which is not installed. "
            "Install it with: pip install 'theoros[nuts]'"
        ) from error

    end, found = time.monotonic() + seconds, list[Array]()

    def value(at: dict[str, Tensor]) -> Tensor:
        if time.monotonic() > end:
            raise TimeoutError(f"no draw within {seconds:g} s")
        return cast(Tensor, cast(Any, _Node).apply(at["place"], potential))

    def keep(kernel: object, at: dict[str, Tensor], stage: str, step: int) -> None:
        if stage.lower().startswith("sample"):
            found.append(at["place"].detach().numpy().copy())

    try:
        with warnings.catch_warnings(), manual_seed(seed % 2**31):
            warnings.simplefilter("ignore")
            chain = MCMC(
                NUTS(potential_fn=value, max_tree_depth=DEPTH),
                num_samples=samples,
                warmup_steps=warmup,
                initial_params={"place": torch.from_numpy(start.copy())},
                hook_fn=keep,
                disable_progbar=True,
            )
            chain.run()
    except TimeoutError as error:
        if not found:
            raise SamplingFailed(str(error)) from error
    except (RuntimeError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        if not found:
            raise SamplingFailed(f"{type(error).__name__}: {error}") from error
    return found

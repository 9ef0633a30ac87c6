"""Finding hyperparameters: maximum a posteriori from several starts, and what is done when that fails."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from botorch.models import SingleTaskGP
from botorch.optim.fit import fit_gpytorch_mll_scipy
from botorch.optim.utils import sample_all_priors
from botorch.utils.sampling import manual_seed
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

State = dict[str, Tensor]
ModelFactory = Callable[[float], SingleTaskGP]

#: Smallest noise variances (relative to the outputs' variance) that are tried in turn.
NOISE_FLOORS = (1e-8, 1e-6, 1e-4, 1e-2)
#: For L-BFGS-B on the negative log posterior per label: steps that gain less say nothing about the data, and flat
#: directions (the length scale of an idle parameter) would else be followed for long.
OPTIONS = {"maxiter": 150, "ftol": 1e-7, "gtol": 1e-4}


class FitFailed(Exception):  # named as theoros.oracles.failures names its own
    """No start led to a finite likelihood; the message lists why."""


@dataclass(frozen=True)
class Fit:
    """The best state found, its negative log posterior per label, and the noise floor under which it was found."""

    state: State
    loss: float
    floor: float
    message: str = ""


def fit_hyperparameters(
    build: ModelFactory, starts: Sequence[State | None], *, seed: int, seconds: float, prior_starts: int = 2
) -> Fit:
    """Maximise the marginal posterior of the model that `build(noise floor)` makes.

    A start is a state, or None for the model's own initial values; the best end is kept. When all fail under a noise
    floor, samples of the priors are tried, and then the next floor, whose larger nugget mends ill-conditioned
    matrices. `seconds` bounds one optimisation. Raises FitFailed with every reason when nothing worked.
    """
    reasons: list[str] = []
    deadline = time.monotonic() + 4 * seconds
    for level, floor in enumerate(NOISE_FLOORS):
        fits = [_attempt(build, floor, start, seconds, reasons) for start in starts]
        if not any(fits):
            for index in range(prior_starts):
                if time.monotonic() > deadline:
                    break
                with manual_seed(seed + 97 * level + index):
                    fits.append(_attempt(build, floor, "prior", seconds, reasons))
        if found := [fit for fit in fits if fit]:
            best = min(found, key=lambda fit: fit.loss)
            message = (
                "" if level == 0 and not reasons else f"fitted after {len(reasons)} failed attempts: {reasons[-1]}"
            )
            return Fit(best.state, best.loss, floor, message)
    raise FitFailed("; ".join(dict.fromkeys(reasons)))


def _attempt(
    build: ModelFactory, floor: float, start: State | str | None, seconds: float, reasons: list[str]
) -> Fit | None:
    # Anything numerical may surface from LAPACK, SciPy, GPyTorch or BoTorch, each with classes of its own.
    try:
        model = build(floor)
        if isinstance(start, str):
            sample_all_priors(model)
        elif start is not None:
            load_state(model, start)
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        likelihood.train()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fit_gpytorch_mll_scipy(likelihood, options=OPTIONS, timeout_sec=seconds)
        state = {name: value.detach().cpu().clone() for name, value in parameters_of(model).items()}
        loss = float(result.fval)
        if not math.isfinite(loss) or not all(bool(value.isfinite().all()) for value in state.values()):
            reasons.append("the likelihood is not finite")
            return None
        return Fit(state, loss, floor)
    except (RuntimeError, ValueError, ArithmeticError, AssertionError) as error:
        reasons.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        return None


def parameters_of(model: torch.nn.Module) -> Mapping[str, Tensor]:
    """The trainable parameters by name: what is kept of a fit and what a warm start loads."""
    return dict(model.named_parameters())


def load_state(model: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set the parameters that `model` shares with `state`; others, and those of another shape, stay as they are."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in state and state[name].shape == parameter.shape:
                parameter.copy_(state[name].to(parameter))

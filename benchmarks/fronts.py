"""Hypervolume with several objectives, and seconds per decision, against peers with the same initial design.

    python -m benchmarks.fronts --seeds 10

BoTorch's problems in their usual forms (nobody looks at a centre first, as all begin with the same Sobol points), 80
evaluations, four at a time. `missing` is the share of the hypervolume of the true front that is not covered, counted
from the problem's reference point, which every method that can use one is told. `seconds` is the median of choosing a
batch over its four points, with all that is learned before, on the wall, and `cpu_seconds` those of the process.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread

TABLE = Table("fronts", keys=("problem", "method", "seed"))
BUDGET, BATCH = 80, 4


def problems() -> dict[str, Callable[[], Any]]:
    """The problems, to be maximised."""
    from botorch.test_functions.multi_objective import C2DTLZ2, DTLZ2, BraninCurrin, VehicleSafety

    return {
        "branin_currin": lambda: BraninCurrin(negate=True),
        "c2dtlz2": lambda: C2DTLZ2(dim=12, num_objectives=2, negate=True),
        "vehicle_safety": lambda: VehicleSafety(negate=True),
        "dtlz2_five": lambda: DTLZ2(dim=8, num_objectives=5, negate=True),
    }


class Method(Protocol):
    """Maximises several values over the unit cube."""

    def ask(self, X: np.ndarray, Y: np.ndarray, slacks: np.ndarray, n: int) -> np.ndarray:
        """The next points ``n x d``, given all labels: ``N x d``, ``N x m`` and ``N x c`` (kept where not negative)."""
        ...


class Theoros:
    """What a campaign decides with its defaults, without its database and its workers."""

    def __init__(self, problem: Any, seed: int) -> None:
        from theoros.models import registry
        from theoros.models.data import OutcomeConstraint, Problem
        from theoros.models.objective import Objective
        from theoros.oracles.spaces import Parameters, Real

        self.names = [f"x{i:02d}" for i in range(problem.dim)]
        values = [f"value{i}" for i in range(problem.num_objectives)]
        slacks = [f"slack{i}" for i in range(constraints_of(problem))]
        self.problem = Problem(
            "optimize",
            Parameters({name: Real(0, 1) for name in self.names}),
            (*values, *slacks),
            tuple(
                Objective(name, "maximize", worst=float(worst))
                for name, worst in zip(values, problem.ref_point, strict=True)
            ),
            ("full",),
            (1.0,),
            constraints=tuple(OutcomeConstraint(name, ">=", 0.0) for name in slacks),
        )
        self.surrogate = registry.surrogate(registry.default_surrogate(self.problem))
        self.acquisition = registry.acquisition(registry.default_acquisition(self.problem))
        self.proposers = [registry.proposer(name) for name in registry.default_proposers(self.problem)]
        self.model: Any = None
        self.seed = seed

    def ask(self, X: np.ndarray, Y: np.ndarray, slacks: np.ndarray, n: int) -> np.ndarray:
        """See `Method`."""
        from theoros.models import decide
        from theoros.models.data import Dataset, Point

        problem, seed = self.problem, 1000 * self.seed + len(X)
        candidates = [problem.space.candidate(dict(zip(self.names, map(float, x), strict=True))) for x in X]
        dataset = Dataset(tuple(Point(c, "full") for c in candidates), problem.outputs, np.hstack([Y, slacks]))
        self.model = self.surrogate.fit(problem, dataset, seed=seed, previous=self.model)
        seen = frozenset(c.hash for c in candidates)
        found = decide.propose(problem, self.proposers, dataset, self.model, self.acquisition, [], seen, n, seed)
        asked = frozenset((c.hash, "full") for c in candidates)
        choices = decide.select(problem, found, dataset, self.model, self.acquisition, [], asked, n, seed)
        return np.array([[c.point.candidate.data[name] for name in self.names] for c in choices])


class BoTorch:
    """`qLogNoisyExpectedHypervolumeImprovement` on one `SingleTaskGP` for each output, as in BoTorch's tutorials."""

    def __init__(self, problem: Any, seed: int) -> None:
        torch.manual_seed(seed)
        self.problem = problem

    def ask(self, X: np.ndarray, Y: np.ndarray, slacks: np.ndarray, n: int) -> np.ndarray:
        """See `Method`."""
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf
        from botorch.sampling.normal import SobolQMCNormalSampler
        from gpytorch.mlls import SumMarginalLogLikelihood

        x, outputs = torch.from_numpy(X), torch.from_numpy(np.hstack([Y, slacks]))
        model = ModelListGP(
            *(SingleTaskGP(x, y.unsqueeze(-1), outcome_transform=Standardize(m=1)) for y in outputs.unbind(-1))
        )
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        m, c = Y.shape[1], slacks.shape[1]
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=self.problem.ref_point.tolist(),
            X_baseline=x,
            prune_baseline=True,
            sampler=SobolQMCNormalSampler(torch.Size([128])),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(m)), num_outcomes=m + c),
            constraints=[lambda Z, i=i: -Z[..., m + i] for i in range(c)] or None,
        )
        box = torch.tensor([[0.0] * X.shape[1], [1.0] * X.shape[1]], dtype=torch.double)
        found, _ = optimize_acqf(
            acquisition,
            box,
            q=n,
            num_restarts=10,
            raw_samples=512,
            options={"batch_limit": 5, "maxiter": 200},
            sequential=True,
        )
        return np.asarray(found.numpy())


class Optuna:
    """A sampler of Optuna that is asked for batches."""

    def __init__(self, problem: Any, seed: int, make: Callable[..., Any]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.dim, self.known = problem.dim, 0
        has_constraints = constraints_of(problem) > 0
        more = {"constraints_func": lambda trial: trial.user_attrs["over"]} if has_constraints else {}
        self.study = optuna.create_study(directions=["maximize"] * problem.num_objectives, sampler=make(seed, more))
        self.distributions = {f"x{i:02d}": optuna.distributions.FloatDistribution(0, 1) for i in range(self.dim)}

    def ask(self, X: np.ndarray, Y: np.ndarray, slacks: np.ndarray, n: int) -> np.ndarray:
        """See `Method`."""
        import optuna

        for x, y, slack in zip(X[self.known :], Y[self.known :], slacks[self.known :], strict=True):
            self.study.add_trial(
                optuna.trial.create_trial(
                    params=dict(zip(self.distributions, map(float, x), strict=True)),
                    distributions=dict(self.distributions),
                    values=[float(v) for v in y],
                    user_attrs={"over": [-float(s) for s in slack]},
                    system_attrs={"constraints": [-float(s) for s in slack]} if len(slack) else {},
                )
            )
        self.known = len(X)
        trials = [self.study.ask(self.distributions) for _ in range(n)]
        points = [[trial.params[name] for name in self.distributions] for trial in trials]
        for trial in trials:  # their labels come as trials of their own
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return np.array(points)


def optuna_tpe(problem: Any, seed: int) -> Optuna:
    """Tree-structured Parzen estimators."""
    import optuna

    return Optuna(
        problem,
        seed,
        lambda s, more: optuna.samplers.TPESampler(seed=s, multivariate=True, n_startup_trials=10, **more),
    )


def optuna_gp(problem: Any, seed: int) -> Optuna:
    """Optuna's own Gaussian process."""
    import optuna

    return Optuna(problem, seed, lambda s, more: optuna.samplers.GPSampler(seed=s, n_startup_trials=10, **more))


class Sobol:
    """Scrambled Sobol points."""

    def __init__(self, problem: Any, seed: int) -> None:
        self.points = design(problem, BUDGET, seed)

    def ask(self, X: np.ndarray, Y: np.ndarray, slacks: np.ndarray, n: int) -> np.ndarray:
        """See `Method`."""
        return self.points[len(X) : len(X) + n]


METHODS: dict[str, tuple[Callable[[Any, int], Method], tuple[str, ...]]] = {
    "theoros": (Theoros, ("botorch", "torch")),
    "botorch": (BoTorch, ("botorch", "torch")),
    "optuna_tpe": (optuna_tpe, ("optuna",)),
    "optuna_gp": (optuna_gp, ("optuna",)),
    "sobol": (Sobol, ("scipy",)),
}


def constraints_of(problem: Any) -> int:
    """How many outcome constraints there are."""
    return int(getattr(problem, "num_constraints", 0) or 0)


def design(problem: Any, n: int, seed: int) -> np.ndarray:
    """The first `n` Sobol points of `seed`."""
    from theoros.models.sampling import unit_quasirandom

    return unit_quasirandom(n, problem.dim, seed)


def initial(problem: Any) -> int:
    """Points of the design: what a campaign of Theoros begins with."""
    return max(5, min(2 * problem.dim, 20))


def measure(name: str, method_name: str, seed: int) -> dict[str, float]:
    """One run, in this process and in one thread."""
    from botorch.utils.multi_objective.hypervolume import Hypervolume
    from botorch.utils.multi_objective.pareto import is_non_dominated

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    problem = problems()[name]().double()
    method = METHODS[method_name][0](problem, seed)
    low, width = problem.bounds[0], problem.bounds[1] - problem.bounds[0]
    X = design(problem, initial(problem), seed)
    Y, slacks = _values(problem, low, width, X)
    seconds, cpu = [], []
    while len(X) < BUDGET:
        n = min(BATCH, BUDGET - len(X))
        wall, own = time.perf_counter(), time.process_time()
        new = method.ask(X, Y, slacks, n)
        seconds.append((time.perf_counter() - wall) / n)
        cpu.append((time.process_time() - own) / n)
        values, more = _values(problem, low, width, new)
        X, Y, slacks = np.vstack([X, new]), np.vstack([Y, values]), np.vstack([slacks, more])
    kept = torch.from_numpy(Y[(slacks >= 0).all(1)])
    volume = Hypervolume(problem.ref_point).compute(kept[is_non_dominated(kept)]) if len(kept) else 0.0
    return {
        "n": len(X),
        "missing": round(1 - volume / problem.max_hv, 5),
        "seconds": round(float(np.median(seconds)), 4),
        "cpu_seconds": round(float(np.median(cpu)), 4),
    }


def _values(problem: Any, low: torch.Tensor, width: torch.Tensor, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = low + width * torch.from_numpy(X)
    slacks = problem.evaluate_slack(points).numpy() if constraints_of(problem) else np.zeros((len(X), 0))
    return problem(points).numpy(), slacks


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--problems", nargs="*", default=list(problems()))
    options = parser.parse_known_args(arguments)[0]
    for seed in range(options.seeds):
        for problem in options.problems:
            for method in options.methods:
                if not TABLE.has(problem=problem, method=method, seed=seed):
                    figures = apart(measure, problem, method, seed)
                    load = round(os.getloadavg()[0], 1)
                    TABLE.append(METHODS[method][1], problem=problem, method=method, seed=seed, **figures, load=load)
    for problem in options.problems:
        for method in options.methods:
            where = {"problem": problem, "method": method}
            print(
                f"{problem:15} {method:11} missing {spread(column(TABLE.rows(), 'missing', **where)):36} "
                f"{spread(column(TABLE.rows(), 'cpu_seconds', **where))} s"
            )


if __name__ == "__main__":
    main()

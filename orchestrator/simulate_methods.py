"""The methods that a simulation compares, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from theoros.models import registry
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.simulate import Chooser
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError

#: The name of the campaign as its file says it.
OWN = "theoros"
#: Samplers of Optuna, and the names of their classes.
OPTUNA = {"tpe": "TPESampler", "gp": "GPSampler", "nsga2": "NSGAIISampler"}
_CONTROLS = ("random", "sobol", "train-once")
_AT_RANDOM: dict[str, Any] = {"acquisition": "random", "proposers": ("random",), "diversity": None}


@dataclass(frozen=True)
class Method:
    """A way to decide: the plan that it follows and, from a plan with a seed of its own, its chooser."""

    name: str
    plan: Plan
    start: Callable[[Plan], Chooser]


def parse_methods(text: str) -> list[str]:
    """Read ``"random,sobol,tpe"``; the campaign itself comes first. Raises SpecError for anything else.

    ``random``, ``sobol`` and ``train-once`` are controls, ``tpe``, ``gp`` and ``nsga2`` Optuna's samplers; the name of
    an acquisition, or of a surrogate other than ``gp``, stands for the campaign with that one.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = [*_CONTROLS, *OPTUNA, *_surrogates(), *_acquisitions()]
    for name in names:
        if name not in known and name != OWN:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
            raise SpecError(f"there is no method {name!r} to compare with. {hint}", ("--against",))
    return [OWN, *(name for name in names if name != OWN)]


def methods(spec: CampaignSpec, base: Path, names: list[str], *, slots: int, file: str = "") -> list[Method]:
    """The methods called `names` on a campaign with `slots` slots.

    Raises SpecError for what does not fit the campaign, and for samplers of Optuna where it is not installed.
    """
    if spec.question.goal == "learn" and (searching := [name for name in names if name in OPTUNA]):
        raise SpecError(
            f"{' and '.join(searching)} of Optuna look for the best label, and this campaign learns. Leave them out.",
            ("--against",),
            file,
        )
    if spec.learn_from:
        raise SpecError(
            "a simulation has no database, and so no earlier campaigns to learn from. Leave it out.",
            ("learn from",),
            file,
        )
    spec = spec.model_copy(update={"workers": spec.workers.model_copy(update={"slots": slots})})
    return [_method(spec, base, name, file) for name in names]


def target_of(plan: Plan) -> float | None:
    """The value of the file's stop rules to which labels are counted: an error where a model is learned. None where
    there is no such rule.
    """
    stop, goal = plan.spec.stop, plan.scorecard.objective
    if plan.problem.goal == "learn":
        return stop.error
    if stop.target is None or goal.sense != "match":
        return stop.target
    return goal.target + stop.target  # the rule tells a distance, which any value so far away has


def with_seed(plan: Plan, seed: int) -> Plan:
    """The plan of the same campaign with another seed."""
    return replace(plan, spec=plan.spec.model_copy(update={"seed": seed}))


def labels_of(plan: Plan) -> int:
    """How many labels at the target fidelity the budget allows at most; raises SpecError when none of its limits says.

    Wall time is no limit here: simulated evaluations take none.
    """
    budget, target = plan.spec.budget, plan.problem.target
    limits = [limit for limit in (budget.labels, budget.fidelities.get(target), budget.cost) if limit is not None]
    if not limits:
        raise SpecError("a simulation takes no wall time, so it needs a limit of 'labels' or 'cost'.", ("budget",))
    return max(1, int(min(limits)))


def _method(spec: CampaignSpec, base: Path, name: str, file: str) -> Method:
    from theoros.orchestrator.simulate_engine import EngineChooser

    own = resolve(spec, base, file=file)
    if name == OWN:
        return Method(name, own, EngineChooser)
    if name in OPTUNA:
        from theoros.orchestrator.simulate_optuna import optuna_chooser

        plan = resolve(spec.model_copy(update=_AT_RANDOM), base, file=file)
        return Method(name, plan, optuna_chooser(OPTUNA[name], plan))
    changes = _changes(name, labels_of(own))
    if changes.get("surrogate", spec.surrogate) != spec.surrogate:
        changes["surrogate_options"] = {}  # they are another's
    return Method(name, resolve(spec.model_copy(update=changes), base, file=file), EngineChooser)


def _changes(name: str, labels: int) -> dict[str, Any]:
    if name == "random":
        return _AT_RANDOM
    if name == "sobol":  # one design of all labels: points of one sequence, and not of many
        return {**_AT_RANDOM, "proposers": ("sobol",), "initial": labels}
    if name == "train-once":
        return {"train_once": True}
    if name in _surrogates():
        return {"surrogate": name, "acquisition": "auto"}
    return {"acquisition": name}


def _surrogates() -> list[str]:
    return [name for name in registry.SURROGATES if name not in OPTUNA]


def _acquisitions() -> list[str]:
    return [name for name in registry.ACQUISITIONS if name != "random"]

"""From a specification to a plan: look everything up, check that it fits together, before anything expensive starts."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from pathlib import Path

from theoros.models.contract import OutcomeConstraint, Problem
from theoros.models.objective import Objective
from theoros.oracles.contract import Oracle, Quantity
from theoros.oracles.failures import MissingDependency, OracleFailure
from theoros.oracles.reference import OracleOptionError, OracleReference
from theoros.oracles.registry import OracleNotFoundError
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.library import Library
from theoros.oracles.spaces.molecule_properties import PROPERTIES
from theoros.oracles.spaces.parse import space_from_dict
from theoros.orchestrator.constraints import CandidateConstraints
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.question import Bound


def resolve(spec: CampaignSpec, base: Path, *, file: str = "") -> Plan:
    """Build the plan of a campaign whose relative paths start at the folder `base`.

    Raises SpecError, naming the field, for anything that could not run.
    """
    try:
        return _resolve(spec, base)
    except SpecError as error:
        raise SpecError(error.message, error.field, file) from error
    except SpaceError as error:  # a library says only when it is opened that its file is not there
        inner = ("library",) if "library" in (spec.space or {}) and error.field[:1] != ("library",) else ()
        raise SpecError(error.message, ("space", *inner, *error.field), file) from error


def _resolve(spec: CampaignSpec, base: Path) -> Plan:
    space = _space(spec, base)
    reference, oracle = _oracle(spec, space, base)
    space = space or oracle.space
    if space is None:
        raise SpecError(
            f"the oracle {spec.oracle.reference!r} has no design space of its own. Add a space, for example "
            "'space: {molecules: {elements: [C, N, O], heavy_atoms: 1..9}}'.",
            ("space",),
        )
    # Random choice has no use for cheaper fidelities: it knows nothing that they could tell it.
    levels = tuple(oracle.fidelities[-1:] if spec.acquisition == "random" else oracle.fidelities)
    names = tuple(fidelity.name for fidelity in levels)
    own, outcome = _split_bounds(spec, oracle, space)
    objectives = _objectives(spec, oracle)
    outputs = tuple(dict.fromkeys([*(goal.output for goal in objectives), *(bound.output for bound in outcome)]))
    for output in outputs:
        if oracle.outputs[output].shape != ():
            raise SpecError(
                f"output {output!r} is an array of shape {oracle.outputs[output].shape}; a goal or a "
                "constraint needs a single number.",
                ("question",),
            )
    if spec.workers.cancel_hopeless is not None and spec.question.goal != "optimize":
        raise SpecError(
            f"no label is hopeless where the goal is to {spec.question.goal}: each teaches the model something. "
            "Leave it out.",
            ("workers", "cancel_hopeless"),
        )
    if len(objectives) > 1:
        _check_several(spec)
    _check_budget(spec, tuple(fidelity.name for fidelity in oracle.fidelities))
    problem = Problem(
        goal=spec.question.goal,
        space=space,
        outputs=outputs,
        objectives=objectives,
        fidelities=names,
        costs=tuple(fidelity.cost for fidelity in levels),
        constraints=outcome,
        deterministic=oracle.deterministic,
        feasible=CandidateConstraints(own) if own else None,
    )
    surrogate, acquisition, proposers, initial_proposer = _models(spec, problem)
    return Plan(
        spec=spec,
        oracle=reference,
        oracle_name=oracle.name,
        oracle_version=oracle.cache_version,
        outputs=dict(oracle.outputs),
        fidelities=levels,
        resources=oracle.resources,
        problem=problem,
        surrogate=surrogate,
        acquisition=acquisition,
        proposers=proposers,
        initial_proposer=initial_proposer,
        initial=spec.initial or _default_initial(spec, space),
    )


def _space(spec: CampaignSpec, base: Path) -> Space | None:
    if spec.space is None:
        return None
    space = space_from_dict(spec.space, base)
    if isinstance(space, Library):  # it reads its file when it is asked: find out now whether all columns can be read
        _ = space.molecule_columns
    return space


def _oracle(spec: CampaignSpec, space: Space | None, base: Path) -> tuple[OracleReference, Oracle]:
    question = spec.question
    asked = [
        *(wish.output for wish in question.wishes),
        *(b.name for b in question.bounds if b.name not in PROPERTIES),
        *question.record,
    ]
    reference = OracleReference(
        reference=spec.oracle.reference,
        options=dict(spec.oracle.options),
        space=space.to_dict() if space is not None else None,
        outputs=tuple(dict.fromkeys(asked)),
        search_path=str(base),
    )
    field = ("oracle", spec.oracle.reference)
    try:
        oracle = reference.load()
    except OracleNotFoundError as error:
        raise SpecError(str(error), ("oracle",)) from error
    except OracleOptionError as error:
        message = error.message
        named = [name for name in asked if error.field[:1] == ("outputs",) and repr(name) in message]
        first = min(named, key=lambda name: message.index(repr(name)), default=None)  # later ones are hints
        raise SpecError(message, _asked_at(spec, first) if first else (*field, *error.field)) from error
    except SpaceError:
        raise
    except MissingDependency as error:
        raise SpecError(str(error), field) from error
    except (OracleFailure, ValueError, TypeError, OSError, ImportError) as error:
        raise SpecError(f"the oracle could not be built: {error}", field) from error
    for name in asked:
        if name not in oracle.outputs:
            close = difflib.get_close_matches(name, [*oracle.outputs, *PROPERTIES], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise SpecError(
                f"the oracle {oracle.name!r} has no output {name!r}.{hint} It has {', '.join(oracle.outputs)}.",
                _asked_at(spec, name),
            )
    return reference, oracle


def _asked_at(spec: CampaignSpec, output: str) -> tuple[str | int, ...]:
    """Where in the file an output is asked for."""
    question = spec.question
    if question.learn == output:
        return ("question", "learn")
    for wish in question.wishes:
        if wish.output == output:
            return ("question", wish.sense)
    for i, bound in enumerate(question.bounds):
        if bound.name == output:
            return ("question", "subject to", i)
    return ("question", "record")


def _objectives(spec: CampaignSpec, oracle: Oracle) -> tuple[Objective, ...]:
    """What is wanted, in the outputs' units."""

    def in_unit(bound: Bound, field: str) -> float:
        return converted(bound, oracle.outputs[bound.name], ("question", field, bound.name))

    return tuple(
        Objective(
            wish.output,
            wish.sense,
            in_unit(wish.target, "match") if wish.target else 0.0,
            in_unit(wish.worst, "worst") if wish.worst else None,
        )
        for wish in spec.question.wishes
    )


def _check_several(spec: CampaignSpec) -> None:
    """Refuse what has a meaning for one objective only."""
    if spec.stop.target is not None:
        raise SpecError(
            "a target is the value of one objective, and there are several. Use stagnation, or leave it out.",
            ("stop", "target"),
        )
    if spec.workers.cancel_hopeless is not None:
        raise SpecError(
            "with several objectives there is no single best label to beat. Leave it out.",
            ("workers", "cancel_hopeless"),
        )


def _split_bounds(
    spec: CampaignSpec, oracle: Oracle, space: Space
) -> tuple[tuple[Bound, ...], tuple[OutcomeConstraint, ...]]:
    """Bounds on candidates (no oracle needed), and bounds on outputs converted to the outputs' units."""
    own: list[Bound] = []
    outcome: list[OutcomeConstraint] = []
    for i, bound in enumerate(spec.question.bounds):
        field = ("question", "subject to", i)
        if bound.name in oracle.outputs:
            value = converted(bound, oracle.outputs[bound.name], field)
            outcome.append(OutcomeConstraint(bound.name, bound.op, value))
        elif space.kind != "molecule":
            raise SpecError(f"{bound.name!r} is a property of molecules, and this space holds {space.kind}.", field)
        else:
            known = PROPERTIES[bound.name]
            own.append(Bound(bound.name, bound.op, converted(bound, Quantity(known.unit), field), known.unit))
    return tuple(own), tuple(outcome)


def converted(bound: Bound, quantity: Quantity, field: Sequence[str | int]) -> float:
    """The bound's value in the quantity's unit; a bound without a unit is in that unit already."""
    if not bound.unit or bound.unit == quantity.unit:
        return bound.value
    import pint

    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    try:
        return float(registry.Quantity(bound.value, bound.unit).to(quantity.unit or "dimensionless").magnitude)
    except (pint.errors.PintError, AttributeError, ValueError) as error:
        raise SpecError(
            f"{bound.unit!r} can't be converted to the unit of {bound.name!r}, {quantity.unit!r}: {error}. "
            f"Write the bound in {quantity.unit or 'no unit'}.",
            field,
        ) from None


def _check_budget(spec: CampaignSpec, fidelities: tuple[str, ...]) -> None:
    for name in spec.budget.fidelities:
        if name not in fidelities:
            known = ["labels", "cost", "wall_time", *fidelities]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The limits here are {', '.join(known)}."
            raise SpecError(f"there is no limit or fidelity {name!r}. {hint}", ("budget", name))
    bounded = (
        spec.budget.labels or spec.budget.cost or spec.budget.wall_time or fidelities[-1] in spec.budget.fidelities
    )
    if not bounded:
        raise SpecError(
            f"nothing limits the target fidelity {fidelities[-1]!r}, so the campaign would never end. "
            f"Add 'labels', 'cost', 'wall_time' or {fidelities[-1]!r}.",
            ("budget",),
        )


def _models(spec: CampaignSpec, problem: Problem) -> tuple[str, str, tuple[str, ...], str]:
    """Names of surrogate, acquisition, proposers and the initial design's proposer, checked to work together."""
    from theoros.models import registry

    try:
        surrogate = registry.default_surrogate(problem) if spec.surrogate == "auto" else spec.surrogate
        registry.check_surrogate_name(surrogate, problem)
    except ValueError as error:
        raise SpecError(str(error), ("surrogate",)) from error
    try:
        acquisition = (
            registry.default_acquisition(problem, surrogate) if spec.acquisition == "auto" else spec.acquisition
        )
        registry.compatible(surrogate, acquisition, problem.aim)
    except ValueError as error:
        raise SpecError(str(error), ("acquisition",)) from error
    proposers = spec.proposers or registry.default_proposers(problem)
    for i, name in enumerate(proposers):
        try:
            registry.check_proposer_name(name, problem)
        except ValueError as error:
            raise SpecError(str(error), ("proposers", i)) from error
    initial = proposers[0] if acquisition == "random" else registry.initial_proposer(problem)
    return surrogate, acquisition, tuple(proposers), initial


def _default_initial(spec: CampaignSpec, space: Space) -> int:
    """Two points per parameter, at least five, or ten for molecules and libraries; never over half the label budget."""
    parameters = getattr(space, "parameters", None)
    wanted = max(5, min(2 * len(parameters), 20)) if parameters else 10
    limits = [n for n in (spec.budget.labels, *spec.budget.fidelities.values()) if n is not None]
    return max(1, min(wanted, math.ceil(min(limits) / 2))) if limits else wanted

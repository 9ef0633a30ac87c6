"""From a specification to a plan: look everything up, check that it fits together, before anything expensive starts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from theoros.models.data import LabelNoise, OutcomeConstraint, Problem
from theoros.models.desirability import Desirability, Desirable
from theoros.models.diversity import Quota
from theoros.models.objective import Objective
from theoros.oracles.contract import Oracle, Quantity
from theoros.oracles.failures import MissingDependency, OracleFailure
from theoros.oracles.reference import OracleOptionError, OracleReference
from theoros.oracles.registry import OracleNotFoundError, look_in
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.fit import check_fit
from theoros.oracles.spaces.library import Library
from theoros.oracles.spaces.molecule_properties import PROPERTIES
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.parse import space_from_dict
from theoros.oracles.spaces.table import read_through
from theoros.orchestrator.constraints import gatekeeper
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.resolve_models import resolve_models
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.question import Bound, parse_amount


def resolve(spec: CampaignSpec, base: Path, *, file: str = "", begun: bool = False) -> Plan:
    """Build the plan of a campaign whose relative paths start at the folder `base`.

    Where a campaign has `begun`, its file of molecules has proved to hold some of the space, and is not tried again.

    Raises SpecError, naming the field, for anything that could not run.
    """
    try:
        plan = _resolve(spec, base)
        if isinstance(plan.problem.space, Molecules) and not begun:
            check_fit(plan.problem.space)
        return plan
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
    desirability = _desirability(spec, oracle)
    objectives = tuple(wish.objective for wish in desirability.wishes) if desirability else _objectives(spec, oracle)
    outputs = tuple(dict.fromkeys([*(goal.output for goal in objectives), *(bound.output for bound in outcome)]))
    _check_question(spec, oracle, outputs)
    if desirability is not None:
        _check_desirability(spec)
    elif len(objectives) > 1:
        _check_several(spec)
    noise = _noise(spec, oracle, outputs)
    _check_budget(spec, tuple(fidelity.name for fidelity in oracle.fidelities))
    gates = gatekeeper(spec, space.kind, own, base)
    problem = Problem(
        goal=spec.question.goal,
        space=space,
        outputs=outputs,
        objectives=objectives,
        fidelities=names,
        costs=tuple(fidelity.cost for fidelity in levels),
        constraints=outcome,
        deterministic=oracle.deterministic and not noise,
        feasible=gates if gates is not None and gates.gates else None,
        desirability=desirability,
        noise=noise,
        constants=dict(getattr(oracle, "constants", {})),
        diversity=_diversity(spec, space),
    )
    if spec.has_own_models:
        look_in(base)
    problem, models = resolve_models(spec, problem, oracle)
    return Plan(
        spec=spec,
        oracle=reference,
        oracle_name=oracle.name,
        oracle_version=oracle.cache_version,
        outputs=dict(oracle.outputs),
        fidelities=levels,
        resources=oracle.resources,
        problem=problem,
        surrogate=models.surrogate,
        acquisition=models.acquisition,
        proposers=models.proposers,
        initial_proposer=models.initial_proposer,
        initial=models.initial,
        rivals=models.rivals,
        gates=gates,
    )


def _space(spec: CampaignSpec, base: Path) -> Space | None:
    if spec.space is None:
        return None
    space = space_from_dict(spec.space, base)
    if isinstance(space, Library):  # it reads its file when it is asked: find out now whether all columns can be read
        _ = space.molecule_columns
        read_through(space.file, space.inputs)
    return space


def _oracle(spec: CampaignSpec, space: Space | None, base: Path) -> tuple[OracleReference, Oracle]:
    question = spec.question
    asked = [
        *(wish.output for wish in question.wishes),
        *(b.name for b in question.bounds if b.name not in PROPERTIES),
        *question.record,
        *question.error_outputs.values(),
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
    if output in question.learn:
        return ("question", "learn")
    for wish in question.wishes:
        if wish.output == output:
            return ("question", wish.sense)
    for i, bound in enumerate(question.bounds):
        if bound.name == output:
            return ("question", "subject to", i)
    for name, error in question.error_outputs.items():
        if error == output and output not in question.record:
            return ("question", "noise", name)
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
        if wish.sense != "desirability"
    )


def _noise(spec: CampaignSpec, oracle: Oracle, outputs: Sequence[str]) -> tuple[LabelNoise, ...]:
    """What is known of the labels' errors, in the outputs' units."""
    found: list[LabelNoise] = []
    errors = spec.question.error_outputs
    if spec.question.noise and spec.learn_from:
        raise SpecError(
            "the surrogate that learns from earlier campaigns can't be told how far labels scatter. "
            "Leave out 'learn from' or 'noise'.",
            ("question", "noise"),
        )
    for output, told in spec.question.noise.items():
        field = ("question", "noise", output)
        if output not in outputs:
            raise SpecError(
                f"no objective or constraint reads {output!r}, so nothing would use its noise. It can be told of "
                f"{', '.join(outputs)}.",
                field,
            )
        if output not in errors:
            bound = Bound(output, "<=", *parse_amount(told))
            found.append(LabelNoise(output, converted(bound, oracle.outputs[output], field)))
            continue
        mine, theirs = oracle.outputs[errors[output]], oracle.outputs[output]
        if errors[output] == output or mine.shape != ():
            raise SpecError(
                f"{errors[output]!r} can't be the standard error of {output!r}: it is "
                f"{'that output itself' if errors[output] == output else f'an array of shape {mine.shape}'}. "
                "Name an output that is a single number.",
                field,
            )
        if mine.unit != theirs.unit:
            raise SpecError(
                f"the standard error {errors[output]!r} is in {mine.unit or 'no unit'}, and {output!r} is in "
                f"{theirs.unit or 'no unit'}. Let the oracle give both in the same unit.",
                field,
            )
        found.append(LabelNoise(output, errors[output]))
    return tuple(found)


def _diversity(spec: CampaignSpec, space: Space) -> Quota | None:
    """How many near copies of one molecule may be asked together; None where nothing is said."""
    told = spec.diversity
    if told is None:
        return None
    if space.kind != "molecule":
        raise SpecError(
            f"near copies are told by the fingerprints of molecules, and this space holds {space.kind}. Leave it out.",
            ("diversity",),
        )
    if spec.acquisition == "random":
        raise SpecError(
            "random choice takes what comes, and keeps no quota. Leave it out, or use another acquisition.",
            ("diversity",),
        )
    return Quota(told.similarity, told.at_most, told.remember)


def _desirability(spec: CampaignSpec, oracle: Oracle) -> Desirability | None:
    """What is desirable, in the outputs' units; None where the question does not say."""
    wishes = []
    for name, desired in spec.question.desirability.items():
        field = ("question", "desirability", name)
        low, high, target = (
            None if amount is None else converted(amount, oracle.outputs[name], (*field, limit))
            for limit in ("low", "high", "target")
            for amount in [desired.amount(name, limit)]
        )
        assert low is not None
        assert high is not None
        try:
            wishes.append(Desirable(name, low, high, target, desired.weight))
        except ValueError as error:
            raise SpecError(f"{error} Write where it is of no use (low) and where it is best (high).", field) from error
    return Desirability(tuple(wishes)) if wishes else None


def _check_question(spec: CampaignSpec, oracle: Oracle, outputs: Sequence[str]) -> None:
    """Refuse to pursue an array, and to call labels hopeless that teach something."""
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


def _check_desirability(spec: CampaignSpec) -> None:
    """Refuse what a desirability can't reach, and what is decided by one output."""
    if spec.stop.target is not None and not 0 < spec.stop.target <= 1:
        raise SpecError(
            f"a desirability lies between 0 and 1, and {spec.stop.target:g} does not. Give a share such as 0.9.",
            ("stop", "target"),
        )
    if spec.workers.cancel_hopeless is not None:
        raise SpecError(
            "the chance of a running evaluation is not known for a desirability. Leave it out.",
            ("workers", "cancel_hopeless"),
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

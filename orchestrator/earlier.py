"""What a campaign learns from earlier ones of its database: chosen once, when it is new, and the same ever after.

The choice is stored with the campaign as numbers of evaluations, so that it learns from the same labels after every
resume, although an earlier campaign may have grown in the meantime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theoros.db import CampaignNotFound, Store
from theoros.db.records import LabelRecord
from theoros.models.data import Array, Dataset, Earlier, Point, Problem
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.agents.beliefs import to_candidate
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.scorecard import Scorecard
from theoros.orchestrator.spec.errors import SpecError

#: The surrogate that learns from earlier campaigns, and the proposer of their best candidates.
SURROGATE, PROPOSER = "transfer_gp", "earlier_best"
#: The key of a stored specification under which the choice stands.
KEY = "earlier"
#: So many labels of one campaign are learned from; of more, the best half and every so many of the others.
MOST_LABELS = 200
#: Fewer labels say nothing of a function.
LEAST_LABELS = 2
FIELD = "learn from"


@dataclass(frozen=True)
class Lesson:
    """What is learned from one earlier campaign: the numbers of its evaluations, and how many labels it has in all.

    `left_out` of them have candidates that can't be expressed in this campaign's space, such as a choice that it lacks.
    """

    campaign: str
    evaluations: tuple[int, ...]
    labels: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "campaign": self.campaign,
            "evaluations": list(self.evaluations),
            "labels": self.labels,
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Lesson:
        """The inverse of `to_dict`."""
        return cls(data["campaign"], tuple(data["evaluations"]), data["labels"], data["left_out"])

    @property
    def text(self) -> str:
        """For people."""
        rest = f"; {self.left_out} can't be expressed in this space and are left out" if self.left_out else ""
        return f"{self.campaign}: {len(self.evaluations)} of {self.labels} labels{rest}"


def lessons(plan: Plan, store: Store, *, file: str = "") -> tuple[Lesson, ...]:
    """Choose what the campaign of `plan` learns from the campaigns that its specification names.

    Raises SpecError, naming the field, for a campaign that is not there, has no labels, or asked something else.
    """
    try:
        if not plan.spec.learn_from or plan.acquisition == "random":
            return ()
        _check_plan(plan)
        return tuple(_lesson(plan, store, name, (FIELD, i)) for i, name in enumerate(plan.spec.learn_from))
    except SpecError as error:
        raise SpecError(error.message, error.field, file) from error


def stored_lessons(stored: Mapping[str, Any]) -> tuple[Lesson, ...]:
    """The choice in a campaign's stored specification; none where it learned from nothing."""
    return tuple(Lesson.from_dict(item) for item in stored.get(KEY, ()))


def informed(plan: Plan, store: Store, chosen: Sequence[Lesson]) -> Plan:
    """The plan of a campaign that has learned: with earlier labels, and a short initial design that begins with theirs.

    Raises SpecError when an earlier campaign is no longer in the database.
    """
    if not chosen:
        return plan
    earlier = []
    for i, lesson in enumerate(chosen):
        card = _card(plan, store, lesson.campaign, (FIELD, i))
        kept = set(lesson.evaluations)
        records = [label for label in store.label_records(lesson.campaign) if label.sequence in kept]
        earlier.append(Earlier(lesson.campaign, _dataset(plan.problem, plan, card, records, (FIELD, i))))
    problem = replace(plan.problem, earlier=tuple(earlier))
    informed = replace(plan, problem=problem, surrogate=SURROGATE, rivals=())
    return replace(informed, initial=_initial(informed), initial_proposer=PROPOSER)


def _initial(plan: Plan) -> int:
    """A few candidates where earlier campaigns have good ones to begin with, and the file does not say how many."""
    from theoros.models.proposers.earlier_best import INITIAL, best_of_earlier

    shorter = plan.spec.initial is None and best_of_earlier(plan.problem)
    return min(plan.initial, INITIAL) if shorter else plan.initial


def _check_plan(plan: Plan) -> None:
    space, spec = plan.problem.space, plan.spec
    if space.kind != "parameters":
        raise SpecError(
            f"only campaigns over parameters learn from others, and this space holds {space.kind!r}. Leave it out.",
            (FIELD,),
        )
    if len(plan.problem.fidelities) > 1:
        raise SpecError(
            "a campaign with several fidelities can't learn from earlier ones. Leave it out, or leave one fidelity.",
            (FIELD,),
        )
    if spec.surrogate not in ("auto", SURROGATE):
        raise SpecError(
            f"the surrogate {spec.surrogate!r} learns from no other campaign. Use {SURROGATE!r}, or leave it out.",
            ("surrogate",),
        )


def _lesson(plan: Plan, store: Store, name: str, field: tuple[str | int, ...]) -> Lesson:
    card = _card(plan, store, name, field)
    records = [
        label
        for label in store.label_records(name)
        if label.fidelity == card.target and all(goal.output in label.values for goal in plan.problem.objectives)
    ]
    if len(records) < LEAST_LABELS:
        raise SpecError(
            f"campaign {name!r} has {len(records)} labels of {_listed(plan)} at its target fidelity, and two are the "
            "least to learn from. Run it first, or leave it out.",
            field,
        )
    candidates = [to_candidate(label.candidate) for label in records]
    _check_names(plan.problem, name, candidates[0], field)
    expressed = _expressed(plan.problem, candidates)
    kept = [label for label, well in zip(records, expressed, strict=True) if well]
    if len(kept) < LEAST_LABELS:
        raise SpecError(
            f"of the {len(records)} labels of campaign {name!r} only {len(kept)} have candidates that can be expressed "
            "in this space. Give its parameters the choices of that campaign's, or leave it out.",
            field,
        )
    data = _dataset(plan.problem, plan, card, kept, field)
    chosen = sorted(kept[row].sequence for row in _best_and_others(plan.problem, data))
    return Lesson(name, tuple(chosen), len(records), len(records) - len(kept))


def _card(plan: Plan, store: Store, name: str, field: tuple[str | int, ...]) -> Scorecard:
    """How the earlier campaign's labels are to be read; checks that it is there and has what is asked for."""
    if name == plan.spec.campaign:
        raise SpecError("a campaign can't learn from itself. Name earlier ones.", field)
    try:
        card = Scorecard.from_dict(store.campaign(name).spec["scorecard"])
    except CampaignNotFound as error:
        raise SpecError(str(error), field) from error
    for goal in plan.problem.objectives:
        if goal.output not in card.units:
            raise SpecError(
                f"campaign {name!r} has no output {goal.output!r}; it has {', '.join(card.units)}. "
                "Name campaigns that asked for the same output.",
                field,
            )
    return card


def _check_names(problem: Problem, name: str, candidate: Candidate, field: tuple[str | int, ...]) -> None:
    space: Any = problem.space
    own = set(getattr(space, "parameters", getattr(space, "column_kinds", ())))
    theirs = set(candidate.data) if candidate.kind == space.kind else set()
    if candidate.kind != space.kind or own != theirs:
        shown = ", ".join(sorted(theirs)) if theirs else f"a space of kind {candidate.kind!r}"
        raise SpecError(
            f"campaign {name!r} asked about {shown}, and this one asks about {', '.join(sorted(own))}. "
            "Only campaigns over parameters of the same names can be learned from; their ranges may differ.",
            field,
        )


def _expressed(problem: Problem, candidates: Sequence[Candidate]) -> list[bool]:
    """Which candidates have features in this space; those outside its ranges do, those with unknown choices don't."""
    from theoros.models.encoders import encoder_for

    encoder = encoder_for(problem.space)

    def finite(some: Sequence[Candidate]) -> list[bool]:
        with np.errstate(all="ignore"):
            return [bool(row) for row in np.isfinite(encoder.encode(some).numpy()).all(1)]

    found = []
    for candidate in candidates:
        try:
            found += finite([candidate])
        except (KeyError, ValueError, TypeError):
            found.append(False)
    return found


def _dataset(
    problem: Problem, plan: Plan, card: Scorecard, records: Sequence[LabelRecord], field: tuple[str | int, ...]
) -> Dataset:
    """The labels as this campaign would have them: its own units, and its own name of the target fidelity."""
    outputs = tuple(output for output in problem.outputs if output in card.units)
    columns = []
    for output in outputs:
        values = np.array([float(r.values[output]) if output in r.values else np.nan for r in records])
        columns.append(_converted(values, card.units[output], plan.outputs[output].unit, output, field))
    points = tuple(Point(to_candidate(record.candidate), problem.target) for record in records)
    return Dataset(points, outputs, np.column_stack(columns))


def _converted(values: Array, unit: str, wanted: str, output: str, field: tuple[str | int, ...]) -> Array:
    if unit == wanted:
        return values
    import pint

    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    try:
        found: Any = registry.Quantity(values, unit or "dimensionless").to(wanted or "dimensionless").magnitude
    except (pint.errors.PintError, AttributeError, ValueError) as error:
        raise SpecError(
            f"its labels have {output!r} in {unit or 'no unit'}, which can't be converted to {wanted or 'no unit'} "
            f"({error}). Leave it out.",
            field,
        ) from None
    return np.asarray(found, dtype=np.float64)


def _best_and_others(problem: Problem, data: Dataset) -> list[int]:
    """Rows of at most `MOST_LABELS` labels: all, or half of them the best and half spread over the campaign."""
    n = len(data)
    if n <= MOST_LABELS:
        return list(range(n))
    goal = problem.objective
    utility = goal.utility(data.values[:, data.outputs.index(goal.output)])
    best = [] if problem.goal == "learn" else np.argsort(-utility, kind="stable")[: MOST_LABELS // 2].tolist()
    others = np.setdiff1d(np.arange(n), best)
    spread = others[np.linspace(0, len(others) - 1, MOST_LABELS - len(best)).round().astype(int)]
    return sorted({*best, *spread.tolist()})


def _listed(plan: Plan) -> str:
    return " and ".join(repr(goal.output) for goal in plan.problem.objectives)

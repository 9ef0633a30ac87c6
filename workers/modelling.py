"""Training and deciding, as pure functions of what the database holds: used by the model workers and by ask/tell."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from theoros.models.agreement import dropped
from theoros.models.contest import Contest, held
from theoros.models.contract import FittedSurrogate
from theoros.models.data import Array, Choice, Dataset, Point, Problem, Proposal
from theoros.models.feasibility import problem_of
from theoros.models.forecast import Forecast
from theoros.models.restarts import begun
from theoros.models.twins.unseen import DRAWN, PICTURED, Score, as_twin
from theoros.models.widening import Widening
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper

if TYPE_CHECKING:  # they need torch, which not all that read a `FitReport` have to load
    from theoros.models.twins.unseen_events import Events
    from theoros.models.twins.unseen_exam import Exam

#: The key of a model version's hyperparameters under which the contest of its surrogate stands, beside the outputs.
CONTEST = "contest"
#: The key for how much wider its predictions are told than the model itself would have them.
WIDENING = "widening"


@dataclass(frozen=True)
class ModelPlan:
    """Which models a campaign uses, by their registered names.

    Where the choice of the surrogate is free, `rivals` are those among which it is made, again and again. Of `gates`
    the quick ones are the problem's veto, and the slow ones are asked here. With `credit_per_second` the time that
    proposers take counts in what they earn. `options` are those of a surrogate that was named. `oracle` is the name of
    what is asked, under which a twin's speed is told. `search_path` is the folder in which modules of the user's own
    are looked for first, where the campaign names any. `proposer_options` are those of proposers by their names.
    """

    problem: Problem
    surrogate: str
    acquisition: str
    proposers: tuple[str, ...]
    initial_proposer: str
    rivals: tuple[str, ...] = ()
    gates: Gatekeeper | None = None
    credit_per_second: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    oracle: str = "oracle"
    search_path: str | None = None
    proposer_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Belief:
    """A fitted surrogate with the labels that it has seen; `sequences` are their evaluations' numbers.

    `contest` says why it is this surrogate, None where it was named; `widening` how wide its predictions are told.
    `events` are the latest that were drawn before they came, where surrogates are twins.
    """

    model: FittedSurrogate
    dataset: Dataset
    sequences: frozenset[int]
    contest: Contest | None = None
    widening: Widening = field(default_factory=Widening)
    events: Events | None = None


@dataclass(frozen=True)
class Check:
    """What the earlier belief told of a label that it had not seen (`theoros.models.forecast`), beside what came."""

    sequence: int
    output: str
    mean: float
    std: float
    observed: float
    tail: float = math.inf


@dataclass(frozen=True)
class FitReport:
    """What is told of a fit without the model itself: light enough for a process that never imports torch.

    `dropped` are the levels that are no longer asked, and why (`theoros.models.agreement`). `scores` are those of
    what a twin drew, and `arrays` what it made of one label that it had not seen (`theoros.models.twins.unseen_exam`).
    """

    surrogate: str
    n_labels: int
    sequences: frozenset[int]
    fell_back: bool
    message: str
    hyperparameters: Mapping[str, Any]
    checks: tuple[Check, ...]
    seconds: float
    dropped: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Decided:
    """Choices, and the seconds that choosing them took."""

    choices: tuple[Choice, ...]
    seconds: float


def train(
    plan: ModelPlan,
    dataset: Dataset,
    sequences: Sequence[int],
    *,
    seed: int,
    previous: Belief | None,
    contest: Contest | None = None,
    widening: Widening | None = None,
    drawn: Sequence[Mapping[str, Any]] = (),
) -> tuple[Belief, FitReport]:
    """Hold the previous belief against the labels that are new, then fit to all of them.

    Where the plan has rivals the surrogate is the leader of their contest, which goes on from that of `previous`, or
    else from `contest`, or is held anew. So does the widening of predictions, from that of `previous` or `widening`,
    and what twins drew of labels that they had not seen, from that of `previous` or from what is recorded, `drawn`.
    """
    started = time.perf_counter()
    checks = prospective_checks(plan.problem, previous, dataset, sequences) if previous is not None else ()
    known = (previous.contest if previous is not None else None) or contest
    judged = _held(plan, dataset, known)
    model, note = _fitted(plan, judged, dataset, seed, previous)
    wider = widening or Widening()
    if previous is not None:
        wider = previous.widening.checked((c.output, c.mean, c.std, c.observed) for c in checks)
    exam, events = _examined(plan, previous, dataset, sequences, drawn, seed)
    belief = Belief(model, dataset, frozenset(sequences), judged, wider, events)
    told: dict[str, Any] = {CONTEST: judged.record()} if judged is not None and len(judged.rivals) > 1 else {}
    if wider.widths:
        told[WIDENING] = wider.record()
    if exam is not None:
        told[DRAWN] = exam.unseen.record() | ({PICTURED: exam.pictured} if exam.pictured is not None else {})
    gone = dropped(plan.problem, dataset)
    report = FitReport(
        model.name,
        int(np.isfinite(dataset.values[:, : len(plan.problem.outputs)]).any(1).sum()),
        belief.sequences,
        model.fell_back,
        "; ".join(text for text in (model.message, note, *gone.values()) if text),
        {**model.hyperparameters(), **told},
        checks,
        time.perf_counter() - started,
        gone,
        exam.scores if exam is not None else (),
        exam.arrays if exam is not None else {},
    )
    return belief, report


def _held(plan: ModelPlan, dataset: Dataset, known: Contest | None) -> Contest | None:
    """The contest of the plan's rivals as it stands with `dataset`; None without rivals."""
    if not plan.rivals:
        return None
    usable = known if known is not None and known.rivals == plan.rivals else Contest(plan.rivals)
    return held(usable, plan.problem, dataset)


def _fitted(
    plan: ModelPlan, contest: Contest | None, dataset: Dataset, seed: int, previous: Belief | None
) -> tuple[FittedSurrogate, str]:
    """The surrogate of the plan, or the contest's leader, fitted; and what is to be told of its choice.

    A new leader that can't be fitted leaves the place to the surrogate before it.
    """
    from theoros.models.registry import for_many, surrogate

    problem, last = problem_of(plan.problem, dataset), previous.model if previous is not None else None
    name = plan.surrogate if contest is None else for_many(contest.leader, problem, len(dataset))
    model = surrogate(name, plan.options).fit(problem, dataset, seed=seed, previous=last)
    if contest is None or last is None or last.name == model.name:
        return model, ""
    if model.fell_back:
        again = surrogate(last.name).fit(problem, dataset, seed=seed, previous=last)
        return again, f"{name!r} leads and could not be fitted ({model.message}), so {last.name!r} stays"
    if for_many(last.name, problem, len(dataset)) == model.name:
        return model, f"{name!r} takes the place of {last.name!r}, which is slow beside {len(dataset)} labels"
    gains = ", ".join(f"{rival} {gain:+.1f}" for rival, gain in contest.gains.items())
    return model, f"{name!r} predicted {contest.labels} labels better than {last.name!r} (nats: {gains})"


def prospective_checks(
    problem: Problem, previous: Belief, dataset: Dataset, sequences: Sequence[int]
) -> tuple[Check, ...]:
    """The previous belief's predictions, as it told them, of all labels that it had not seen (rule 11's evidence)."""
    new = [row for row, sequence in enumerate(sequences) if sequence not in previous.sequences]
    if not new:
        return ()
    prediction = previous.model.predict([dataset.points[row] for row in new])
    theirs = [prediction.outputs.index(output) for output in problem.outputs]
    ours = [dataset.outputs.index(output) for output in problem.outputs]
    return tuple(
        Check(sequences[row], output, told.mean, told.std, float(observed), told.tail)
        for i, row in enumerate(new)
        for output, mean, std, observed in zip(
            problem.outputs,
            prediction.mean[i, theirs],
            prediction.label_std[i, theirs],
            dataset.values[row, ours],
            strict=True,
        )
        if np.isfinite(observed) and np.isfinite(mean)
        for told in (previous.widening.told(output, float(mean), float(std)),)
    )


def _examined(
    plan: ModelPlan,
    previous: Belief | None,
    dataset: Dataset,
    sequences: Sequence[int],
    drawn: Sequence[Mapping[str, Any]],
    seed: int,
) -> tuple[Exam | None, Events | None]:
    """How the previous belief drew labels that it had not seen, not widened, and the latest events of all exams.

    Without a previous belief they are as they are recorded, `drawn`.
    """
    if not drawn and (previous is None or as_twin(previous.model) is None):
        return None, previous.events if previous is not None else None  # without loading what examines twins
    from theoros.models.twins.unseen_exam import examined, remembered

    if previous is None:
        return None, remembered(plan.problem, dataset, sequences, drawn)
    known, earlier = previous.sequences, previous.events
    exam = examined(
        previous.model, plan.problem, dataset, sequences, known, earlier=earlier, seed=seed, oracle=plan.oracle
    )
    return exam, exam.events if exam is not None else earlier


def propose(
    plan: ModelPlan, belief: Belief | None, pending: Sequence[Point], seen: Set[str], *, n: int, seed: int
) -> list[Proposal]:
    """Ask for candidates to choose `n` decisions from: the initial design's proposer as long as there is no belief.

    Where the plan has slow gates, all that is returned has passed them, and there is little more of it than needed.
    """
    from theoros.models.gates import SPARE

    return _proposed(plan, belief, pending, seen, n, n if belief is None else n + SPARE, seed)


def _proposed(
    plan: ModelPlan,
    belief: Belief | None,
    pending: Sequence[Point],
    seen: Set[str],
    n: int,
    passing: int,
    seed: int,
) -> list[Proposal]:
    """Proposals for `n` decisions; with slow gates the best `passing` that they admit."""
    from theoros.models import decide, registry
    from theoros.models.gates import admitted

    names = plan.proposers if belief is not None else (plan.initial_proposer,)
    dataset = belief.dataset if belief is not None else empty_dataset(plan.problem)
    slow = plan.gates if plan.gates is not None and plan.gates.has_late else None

    def ask(seen: Set[str], seed: int) -> list[Proposal]:
        return decide.propose(
            problem_of(plan.problem, dataset),
            [registry.proposer(name, plan.proposer_options.get(name)) for name in names],
            dataset,
            belief.model if belief is not None else None,
            registry.acquisition(plan.acquisition),
            pending,
            seen,
            n,
            seed,
            ranked=slow is not None,
            per_second=plan.credit_per_second,
            refused=plan.gates.refused if plan.gates is not None else None,
        )

    return ask(seen, seed) if slow is None else admitted(ask, slow.admits, seen, passing, seed)


def select(
    plan: ModelPlan,
    belief: Belief,
    proposals: Sequence[Proposal],
    pending: Sequence[Point],
    seen: Set[tuple[str, str]],
    fidelities: Sequence[str],
    *,
    n: int,
    seed: int,
) -> Decided:
    """Choose up to `n` of `proposals` at one of `fidelities` each, aware of what is pending.

    Levels that no longer rank as the truth does are left out, as long as another may be asked.
    """
    from theoros.models import decide, registry

    started = time.perf_counter()
    gone = dropped(plan.problem, belief.dataset)
    fidelities = [level for level in fidelities if level not in gone] or fidelities
    choices = decide.select(
        problem_of(plan.problem, belief.dataset),
        proposals,
        belief.dataset,
        belief.model,
        registry.acquisition(plan.acquisition),
        pending,
        seen,
        n,
        seed,
        fidelities,
    )
    told = tuple(replace(choice, predictions=_told(belief, choice.predictions)) for choice in choices)
    return Decided(told, time.perf_counter() - started)


def _told(belief: Belief, predictions: Mapping[str, Forecast]) -> dict[str, Forecast]:
    """As wide as earlier ones should have been told."""
    return {output: belief.widening.told(output, own.mean, own.std) for output, own in predictions.items()}


def stale(
    plan: ModelPlan, belief: Belief, waiting: Sequence[Point], pending: Sequence[Point], seen: Set[str], *, seed: int
) -> list[int]:
    """Which of the `waiting` decisions should be made again under a new belief; their positions.

    They are scored beside fresh proposals, all aware of what is `pending`. One is stale when at least twice as many
    fresh candidates as decisions wait are better than it: a rank does not depend on the scale of the acquisition, and
    the factor keeps what is nearly as good, since a changed mind has its cost too. Fresh ones that a quota of diversity
    would not let be asked together don't count. A decision that was a draw from the
    belief (Thompson sampling) is none to be weighed against another draw, and is kept; so is one that was made in the
    turn of one acquisition among several, which the next one may not share.
    """
    from theoros.models import decide, registry

    acquisition = registry.acquisition(plan.acquisition)
    if hasattr(acquisition, "paths") or hasattr(acquisition, "nominate"):
        return []
    problem = problem_of(plan.problem, belief.dataset)
    search = begun(problem, belief.dataset, belief.model)
    if search.model is None:  # the first of a new search are drawn by chance
        return []
    own = {point.candidate.hash for point in waiting}
    proposals = _proposed(plan, belief, pending, seen, len(waiting), 3 * len(waiting), seed)
    fresh = [proposal.candidate for proposal in proposals if proposal.candidate.hash not in own]
    score = acquisition.scorer(problem, search.model, search.dataset, pending, seed=seed)
    values = score([*(point.candidate for point in waiting), *fresh])
    ours, theirs = values[: len(waiting)], values[len(waiting) :]
    theirs = theirs[decide.roomy(problem, belief.dataset, pending, fresh, theirs)]
    return [i for i, value in enumerate(ours) if int((theirs > value).sum()) >= 2 * len(waiting)]


def chances(plan: ModelPlan, belief: Belief, points: Sequence[Point]) -> list[float]:
    """How likely the model holds it that each point's label beats the best feasible label there is (0 to 1).

    One, before there is such a label. Constraints count: the outputs' beliefs are multiplied as if independent. Where a
    search has begun anew (`theoros.models.restarts`) it is held against its own labels.
    """
    from scipy.stats import t

    goal = plan.problem.objective
    problem = problem_of(plan.problem, belief.dataset)
    dataset, model, _ = begun(problem, belief.dataset, belief.model)
    best = best_utility(problem, dataset)
    if best is None or model is None or not points:
        return [1.0] * len(points)
    prediction = model.predict([Point(point.candidate, problem.target) for point in points])
    factors, tails = np.array([belief.widening.shape(output) for output in prediction.outputs]).T
    spread = np.maximum(prediction.label_std * factors, 1e-300)
    column = prediction.outputs.index(goal.output)
    mean, std, tail = prediction.mean[:, column], spread[:, column], tails[column]
    if goal.sense == "match":
        chance = t.cdf((goal.target - best - mean) / std, tail) - t.cdf((goal.target + best - mean) / std, tail)
    else:
        chance = t.cdf((goal.utility(mean) - best) / std, tail)
    for constraint in problem.constraints:
        i = prediction.outputs.index(constraint.output)
        room = (constraint.bound - prediction.mean[:, i]) / spread[:, i]
        chance = chance * t.cdf(room if constraint.op == "<=" else -room, tails[i])
    return [float(value) for value in chance]


def best_utility(problem: Problem, dataset: Dataset) -> float | None:
    """The utility of the best feasible label at the target fidelity, None before there is one."""
    from theoros.models.labelled import labelled_utilities

    _, utilities, feasible = labelled_utilities(problem, dataset)
    return float(utilities[feasible, 0].max()) if feasible.any() else None


def empty_dataset(problem: Problem) -> Dataset:
    """No labels yet."""
    return Dataset((), problem.columns, np.empty((0, len(problem.columns))))

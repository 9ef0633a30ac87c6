"""What the owner of a campaign knows of its evaluations without asking the database each time.

Nobody but the owner changes a campaign's evaluations, save people who answer what they were asked for. So what it wrote
itself keeps this ledger true, and a decision costs the same however long the history is. The database stays the
truth: a session begins by reading it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from theoros.db.records import Claim, EvaluationRecord, Progress
from theoros.models.data import Point
from theoros.oracles.candidate import Candidate
from theoros.orchestrator.gates import Unfit
from theoros.workers.memory import Ask, asked, closed, withdrawn

#: States in which an evaluation may still bring a label.
OPEN = frozenset({"queued", "running", "failed"})
#: Failures that say nothing about the candidate.
NOT_ITS_FAULT = frozenset({"infrastructure", "missing_dependency"})
_WITHOUT_LABEL = frozenset({"abandoned", "cancelled"})
#: Answers that the model has not learned count as pending; no more of them than this, the latest, are remembered.
MOST_UNLEARNED = 1000


class Ledger:
    """Counts, cost and open evaluations of one campaign.

    Args:
        evaluations: those that there are.
        spent: what they have cost, in units of one label at the target fidelity.
        costs: the relative cost of each fidelity.
        target: the fidelity that the user really wants.
        unfit: what slow gates have turned away.
    """

    def __init__(
        self,
        evaluations: Iterable[EvaluationRecord],
        spent: float,
        costs: Mapping[str, float],
        target: str,
        unfit: Iterable[Unfit] = (),
    ) -> None:
        self._costs, self._target = dict(costs), target
        self._counts: Counter[tuple[str, str]] = Counter()
        self._open: dict[int, EvaluationRecord] = {}
        self._ended: dict[int, EvaluationRecord] = {}  # and not known to be in the model
        self._numbers: dict[int, int] = {}  # open ones: evaluation id -> sequence
        self._unread: list[int] = []
        self.spent = spent
        self.last_sequence = 0
        self.asked: list[Ask] = []
        self.failed: list[tuple[int, Point]] = []  # for good, by their numbers; some may be answered after all
        self.unfit = list(unfit)
        self.add(evaluations)

    def go_on_from(self, earlier: Ledger) -> None:
        """Write the logs so that those of `earlier` are how they begin: who reads them knows how far he has come.

        Read anew, they are in the order of decisions, and lack failures that were answered after all.
        """
        told = {sequence for sequence, _ in earlier.failed}
        self.failed = [*earlier.failed, *((sequence, point) for sequence, point in self.failed if sequence not in told)]
        self.asked = [*earlier.asked, *(Counter(self.asked) - Counter(earlier.asked)).elements()]

    # -- what was written -------------------------------------------------------------------------------------------

    def add(self, evaluations: Iterable[EvaluationRecord]) -> None:
        """Take in evaluations; those that are known already are left as they are."""
        for evaluation in sorted(evaluations, key=lambda e: e.sequence):
            if evaluation.sequence <= self.last_sequence:
                continue
            self.last_sequence = evaluation.sequence
            self.asked.append(asked(evaluation.candidate.hash, evaluation.fidelity))
            self._counts[evaluation.fidelity, evaluation.state] += 1
            if evaluation.state in OPEN:
                self._open[evaluation.sequence] = evaluation
                self._numbers[evaluation.evaluation_id] = evaluation.sequence
            else:
                self._end(evaluation)

    def claimed(self, claims: Iterable[Claim]) -> None:
        """Slots work on these now."""
        for claim in claims:
            self.became(claim.evaluation_id, "running")

    def became(self, evaluation_id: int, state: str, *, cost: float = 0.0, failure_class: str | None = None) -> bool:
        """An evaluation has changed its state; `cost` is what its attempt has cost. False if it is long forgotten."""
        sequence = self._numbers.get(evaluation_id)
        if sequence is None:  # it had ended as lost, and its answer has turned up after all
            found = next((s for s, e in self._ended.items() if e.evaluation_id == evaluation_id), None)
            if found is None:
                return False
            sequence, self._open[found] = found, self._ended.pop(found)
        self.spent += cost
        old = self._open.pop(sequence)
        new = replace(old, state=state, failure_class=failure_class)
        self._counts[old.fidelity, old.state] -= 1
        self._counts[new.fidelity, new.state] += 1
        if state in OPEN:
            self._open[sequence] = new
            self._numbers[evaluation_id] = sequence
        else:
            self._numbers.pop(evaluation_id, None)
            self._end(new)
        return True

    def _end(self, evaluation: EvaluationRecord) -> None:
        hash_, fidelity = evaluation.candidate.hash, evaluation.fidelity
        if evaluation.state == "done":
            self._unread.append(evaluation.evaluation_id)
        elif evaluation.state == "abandoned":
            self.asked.append(closed(hash_, fidelity))
            if evaluation.failure_class not in NOT_ITS_FAULT:
                self.failed.append((evaluation.sequence, _point(evaluation)))
        else:
            self.asked.append(withdrawn(hash_, fidelity))
        self._ended[evaluation.sequence] = evaluation
        if len(self._ended) > MOST_UNLEARNED:
            self._ended.pop(next(iter(self._ended)))

    def settle(self, learned: Collection[int], horizon: int | None) -> None:
        """Forget ended evaluations that a model has learned, or that ended without a label.

        On a strict schedule those after `horizon` are kept: decisions must not know yet that they have ended.
        """
        self._ended = {
            sequence: e
            for sequence, e in self._ended.items()
            if (sequence not in learned and e.state == "done") or (horizon is not None and sequence > horizon)
        }

    def take_unread(self) -> list[int]:
        """The ids of evaluations whose labels nobody has read yet; they count as read now."""
        unread, self._unread = self._unread, []
        return unread

    # -- what is known ----------------------------------------------------------------------------------------------

    def count(self, state: str) -> int:
        """How many evaluations are in a state."""
        return sum(n for (_, own), n in self._counts.items() if own == state)

    def ready(self) -> int:
        """How many evaluations wait to be claimed; some of them may have to wait for their next try."""
        return self.count("queued") + self.count("failed")

    @property
    def open(self) -> int:
        """How many evaluations may still bring a label."""
        return len(self._open)

    def waiting(self) -> list[EvaluationRecord]:
        """Evaluations that nobody has begun, in the order of their decisions."""
        return [self._open[s] for s in sorted(self._open) if self._open[s].state == "queued"]

    def running(self) -> list[EvaluationRecord]:
        """Evaluations that somebody works on."""
        return [e for e in self._open.values() if e.state == "running"]

    @property
    def first_open(self) -> int | None:
        """The number of the oldest evaluation that has not ended."""
        return min(self._open, default=None)

    def pending(self, learned: Collection[int] | None, horizon: int | None = None) -> list[Point]:
        """What was decided and is not yet in the model, in the order of the decisions; without a model (None), what
        has not ended.

        With a `horizon` everything decided after it counts as pending, even what has ended since: then a decision
        depends on the order of the evaluations alone and not on how fast they were.
        """
        points = dict(self._open)
        if learned is not None:
            points = {
                s: e
                for s, e in (self._open | self._ended).items()
                if s not in learned and (e.state not in _WITHOUT_LABEL or (horizon is not None and s > horizon))
            }
        return [_point(evaluation) for _, evaluation in sorted(points.items())]

    def unlearned(self, learned: Collection[int]) -> int:
        """How many labels a model that has learned those numbers lacks, as far as they are remembered."""
        return sum(e.state == "done" and sequence not in learned for sequence, e in self._ended.items())

    def progress(self) -> Progress:
        """Counts and costs as `Store.progress` gives them, less the time."""
        counts: dict[str, dict[str, int]] = {}
        for (fidelity, state), n in self._counts.items():
            if n:
                counts.setdefault(fidelity, {})[state] = n
        charged = {f: sum(n for state, n in own.items() if state != "cancelled") for f, own in counts.items()}
        pending = {f: sum(n for state, n in own.items() if state in OPEN) for f, own in counts.items()}
        committed = self.spent + sum(n * self._costs[fidelity] for fidelity, n in pending.items() if n)
        return Progress(
            counts=counts, charged=charged, cost=self.spent, committed_cost=committed, active_seconds=float("nan")
        )


def _point(evaluation: EvaluationRecord) -> Point:
    return Point(Candidate(evaluation.candidate.kind, evaluation.candidate.data), evaluation.fidelity)

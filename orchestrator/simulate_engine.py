"""The campaign's own way to decide, in a simulation: the same functions, schedule and seeds as its agents use."""

from __future__ import annotations

from collections.abc import Sequence

from theoros.models.contract import FittedSurrogate
from theoros.models.data import Choice, Proposal
from theoros.models.decide import without_model
from theoros.orchestrator.agents.beliefs import turned_away
from theoros.orchestrator.budget import affordable, open_fidelities
from theoros.orchestrator.gates import Unfit
from theoros.orchestrator.ledger import Ledger
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers import modelling
from theoros.workers.memory import Asked, Labelled, Labels, News
from theoros.workers.modelling import Belief


class EngineChooser:
    """Decides as the learner, the proposer and the selector do together.

    With one slot the schedule is the strict one: decision s is made from the labels of evaluations up to
    ``s - 1 - lookahead``, after one fit for every label, and a real campaign with that seed decides the same. With more
    slots a decision is made by a model of all labels that have come.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._seed = plan, plan.spec.seed
        self._models = plan.models
        self._labels, self._asked = Labels(plan.problem.columns), Asked(plan.problem.target)
        self._log: list[Labelled] = []
        self._ended = 0
        self._guides, self._learns = plan.acquisition != "random", plan.learns
        self._belief: Belief | None = None
        self._beliefs: dict[int, Belief | None] = {0: None}  # by how many evaluations had ended
        if plan.gates is not None:  # other seeds may have asked them before
            plan.gates.begin_anew()

    @property
    def model(self) -> FittedSurrogate | None:
        """The last fitted surrogate, which knows all labels where a model is the question; None before the first."""
        return None if self._belief is None else self._belief.model

    def tell(self, label: Labelled) -> None:
        """Take in a label or a failure; on the strict schedule, or where a model is the question, learn it at once."""
        self._ended += 1
        self._log.append(label)
        if self._plan.strict or self._plan.problem.goal == "learn":
            self._learn()
        if self._plan.strict:
            self._beliefs[self._ended] = self._belief
            self._beliefs.pop(self._ended - 8 - (self._plan.lookahead or 0), None)

    def ask(self, ledger: Ledger, *, idle: bool) -> Sequence[Choice] | None:
        """The whole initial design, and then one decision at a time."""
        plan, sequence = self._plan, ledger.last_sequence + 1
        self._asked.learn(News(0, ledger.asked))
        if sequence <= plan.initial_decisions:
            left = plan.initial - (sequence - 1) // len(plan.problem.fidelities)
            n = min(left, affordable(self._plan, ledger.progress(), left)[0])
            return without_model(plan.problem, self._proposals(None, ledger, sequence, None, n)[:n], initial=True)
        horizon = sequence - 1 - (plan.lookahead or 0) if plan.strict else None
        belief = self._believed(horizon)
        if belief is None:
            if self._guides and not idle:
                return None
            return without_model(plan.problem, self._proposals(None, ledger, sequence, horizon, 1)[:1], initial=False)
        return self._guided(belief, ledger, sequence, horizon)

    def _guided(self, belief: Belief, ledger: Ledger, sequence: int, horizon: int | None) -> Sequence[Choice]:
        ledger.settle(belief.sequences, horizon)
        proposals = self._proposals(belief, ledger, sequence, horizon, 1)
        if not proposals:
            return ()
        return modelling.select(
            self._models,
            belief,
            proposals,
            ledger.pending(belief.sequences, horizon),
            self._asked.points,
            open_fidelities(self._plan, ledger.progress()),
            n=1,
            seed=derive(self._seed, "select", sequence),
        ).choices

    def _proposals(
        self, belief: Belief | None, ledger: Ledger, sequence: int, horizon: int | None, n: int
    ) -> list[Proposal]:
        learned = None if belief is None else belief.sequences
        proposals = modelling.propose(
            self._models,
            belief,
            ledger.pending(learned, horizon),
            self._asked.candidates,
            n=n,
            seed=derive(self._seed, "propose", sequence),
        )
        if self._plan.gates is not None:
            unfit = [Unfit(sequence, candidate) for candidate in self._plan.gates.take_unfit()]
            self._log += turned_away(unfit, self._plan.problem.target)
        return proposals

    def _believed(self, horizon: int | None) -> Belief | None:
        if not self._guides:
            return None
        if horizon is None:
            self._learn()
            return self._belief
        return self._beliefs[max(0, horizon)]

    def _learn(self) -> None:
        """One fit to all that has ended, where something is new and there are labels enough for a first fit."""
        plan = self._plan
        if not self._learns:
            return
        self._labels.learn(News(0, self._log))
        last = self._ended if plan.strict else None  # with what gates turned away for later decisions left out
        if plan.spec.train_once:
            last = plan.initial_decisions if last is None else min(plan.initial_decisions, last)
        dataset, sequences = self._labels.dataset(last)
        known = 0 if self._belief is None else len(self._belief.sequences)
        labels = sum(not entry.failed for entry in self._log if last is None or entry.sequence <= last)
        if labels < (plan.first_fit if self._guides else 2) or len(sequences) == known:
            return
        seed = derive(self._seed, "fit", labels)
        self._belief, _ = modelling.train(self._models, dataset, sequences, seed=seed, previous=self._belief)

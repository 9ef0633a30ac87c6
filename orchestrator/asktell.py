"""Ask and tell: the loop for an oracle that is a laboratory, a person, or somebody else's queue. No Ray needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theoros.db import Claim, DecisionRecord, FailureRecord, Store
from theoros.db.records import AnswerRecord, OutputValue
from theoros.models.contract import Choice, Point
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, checked_values
from theoros.oracles.failures import OracleFailure
from theoros.orchestrator.agents.beliefs import (
    dataset,
    decision_record,
    pending_points,
    seen_candidates,
    seen_points,
    to_candidate,
)
from theoros.orchestrator.agents.selector import affordable
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers import modelling
from theoros.workers.modelling import Belief, ModelPlan

#: A person may take his time: an evaluation that was asked for belongs to its client this long (seconds).
LEASE = 365 * 86400.0
#: How a client's claims are told from those of slots.
CLIENT = "client:"


class NothingToAsk(RuntimeError):
    """The campaign's budget is spent, or its space has been asked whole."""


@dataclass(frozen=True)
class Asked:
    """An evaluation that somebody is to answer."""

    evaluation: int
    token: str
    candidate: Candidate
    fidelity: str

    @property
    def parameters(self) -> dict[str, Any]:
        """What to do, as plain data: parameter values, or ``{"smiles": ...}``."""
        return dict(self.candidate.data)


def ask(plan: Plan, store: Store, client: str) -> Asked:
    """The unfinished evaluation of `client`, else the next decision, made from all labels there are.

    Raises NothingToAsk when the budget is spent.
    """
    name = plan.spec.campaign
    worker = f"{CLIENT}{client}"
    if unfinished := store.claims_of(name, worker):
        return _asked(unfinished[0])
    for _ in range(3):  # an answer that the database has already is no question: decide again
        if claims := store.claim(name, worker=worker, limit=1, lease_seconds=LEASE):
            return _asked(claims[0])
        n, reason = affordable(plan, store.progress(name, plan.cost_table), 1)
        if n == 0:
            raise NothingToAsk(f"There is nothing more to ask: {reason}.")
        store.enqueue(name, [_decide(plan, store)], required_outputs=plan.required)
    raise NothingToAsk("The proposers find no candidate that has not been asked.")


def tell(plan: Plan, store: Store, asked: Asked, answer: Mapping[str, Any] | float | Exception) -> bool:
    """Store an answer or a failure. Raises BadAnswer when it breaks the oracle's declaration."""
    cost = plan.cost(asked.fidelity)
    if isinstance(answer, Exception):
        failure_class = answer.failure_class if isinstance(answer, OracleFailure) else OracleFailure.failure_class
        return store.fail(asked.token, FailureRecord(failure_class, str(answer), None, cost))
    if not isinstance(answer, Mapping):
        answer = {plan.problem.objective: answer}
    values = checked_values(plan.outputs, Answer(answer))
    return store.complete(
        asked.token,
        AnswerRecord(
            oracle=plan.oracle_name,
            oracle_version=plan.oracle_version,
            outputs={output: OutputValue(value, plan.outputs[output].unit) for output, value in values.items()},
            cost=cost,
        ),
    )


def _asked(claim: Claim) -> Asked:
    return Asked(claim.evaluation_id, claim.token, to_candidate(claim.candidate), claim.fidelity)


def _decide(plan: Plan, store: Store) -> DecisionRecord:
    started = time.perf_counter()
    name, seed = plan.spec.campaign, plan.spec.seed
    models = ModelPlan(plan.problem, plan.surrogate, plan.acquisition, plan.proposers, plan.initial_proposer)
    evaluations, labels = store.evaluations(name), store.label_records(name)
    sequence = len(evaluations) + 1
    belief: Belief | None = None
    if plan.acquisition != "random" and sequence > plan.initial_decisions and len(labels) >= 2:
        belief, _ = modelling.train(
            models,
            dataset(labels, plan.problem.outputs),
            [label.sequence for label in labels],
            seed=derive(seed, "fit", len(labels)),
            previous=None,
        )
    pending = pending_points(evaluations, belief.sequences if belief else frozenset())
    seen = seen_candidates(evaluations, plan.problem.target)
    n = 1 if belief else plan.initial
    # One seed for the whole initial design, so that each call goes on in the same sequence of points.
    proposal_seed = derive(seed, "initial") if sequence <= plan.initial_decisions else derive(seed, "propose", sequence)
    proposals = modelling.propose(models, belief, pending, seen, n=n, seed=proposal_seed)
    if not proposals:
        raise NothingToAsk("The proposers find no candidate that has not been asked.")
    choice = Choice(Point(proposals[0].candidate, plan.problem.target), proposals[0].proposer, "", None)
    if belief is not None:
        decided = modelling.select(
            models,
            belief,
            proposals,
            pending,
            seen_points(evaluations),
            plan.problem.fidelities,
            n=1,
            seed=derive(seed, "select", sequence),
        )
        choice = decided.choices[0] if decided.choices else choice
    return decision_record(plan, choice, None, time.perf_counter() - started)

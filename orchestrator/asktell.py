"""Ask and tell: the loop for an oracle that is a laboratory, a person, or somebody else's queue. No Ray needed."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theoros.db import CampaignOwned, Claim, DecisionRecord, FailureRecord, Store
from theoros.db.records import AnswerRecord, CheckRecord, EvaluationRecord, OutputValue
from theoros.models.contest import Contest
from theoros.models.data import Choice
from theoros.models.decide import without_model
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, checked_values
from theoros.oracles.failures import OracleFailure
from theoros.orchestrator.agents.beliefs import (
    decision_record,
    history,
    pending_points,
    seen_candidates,
    seen_points,
    to_candidate,
)
from theoros.orchestrator.agents.learner import score, version_record
from theoros.orchestrator.budget import affordable, open_fidelities
from theoros.orchestrator.gates import UNFIT, card_of, unfit_card, unfit_of
from theoros.orchestrator.owner import is_dead_here
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.seeds import derive
from theoros.workers import modelling
from theoros.workers.modelling import Belief, Check, ModelPlan

#: A person may take his time: an evaluation that was asked for belongs to its client this long (seconds).
LEASE = 365 * 86400.0
#: Seconds that one decision may take, and that a client waits for the decisions of others.
TURN = 300.0
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

    Raises NothingToAsk when the budget is spent, and CampaignOwned when an orchestrator runs the campaign: it decides
    then, and nobody else.
    """
    name = plan.spec.campaign
    worker = f"{CLIENT}{client}"
    if unfinished := store.claims_of(name, worker):
        return _asked(unfinished[0])
    with _turn(store, name) as owner:
        # An answer that the database has already is no question: decide again. A whole initial design may be such.
        for _ in range(plan.initial_decisions + 3):
            if claims := store.claim(name, worker=worker, lease_seconds=LEASE, owner=owner):
                return _asked(claims[0])
            n, reason = affordable(plan, store.progress(name, plan.cost_table), 1)
            if n == 0:
                raise NothingToAsk(f"There is nothing more to ask: {reason}.")
            store.enqueue(name, _decide(plan, store, owner), required_outputs=plan.required, owner=owner)
    raise NothingToAsk("The proposers find no candidate that has not been asked.")


@contextlib.contextmanager
def _turn(store: Store, name: str) -> Iterator[str]:
    """Own the campaign for one decision; clients that ask at the same time wait for each other."""
    deadline = time.monotonic() + TURN
    while True:
        try:
            host, pid = socket.gethostname(), os.getpid()
            token = store.acquire(name, host=host, pid=pid, lease_seconds=TURN, pid_is_dead=is_dead_here)
            break
        except CampaignOwned:
            if store.campaign(name).state == "running" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield token
    finally:
        store.release(name, token)


def tell(plan: Plan, store: Store, asked: Asked, answer: Mapping[str, Any] | float | Exception) -> bool:
    """Store an answer or a failure. Raises BadAnswer when it breaks the oracle's declaration."""
    cost = plan.cost(asked.fidelity)
    if isinstance(answer, Exception):
        failure_class = answer.failure_class if isinstance(answer, OracleFailure) else OracleFailure.failure_class
        return store.fail(asked.token, FailureRecord(failure_class, str(answer), None, cost))
    if not isinstance(answer, Mapping):
        answer = {plan.problem.objective.output: answer}
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


def _decide(plan: Plan, store: Store, owner: str) -> list[DecisionRecord]:
    """The next decision, from everything that the database holds now: one candidate, in the initial design at every
    fidelity.
    """
    started = time.perf_counter()
    seed, problem = plan.spec.seed, plan.problem
    models = plan.models
    evaluations = store.evaluations(plan.spec.campaign)
    sequence = len(evaluations) + 1
    guided = plan.acquisition != "random" and sequence > plan.initial_decisions
    belief, version = _learn(plan, store, models, evaluations, owner) if guided else (None, None)
    pending = pending_points(evaluations, belief.sequences if belief else frozenset())
    # One seed for the whole initial design, so that each call goes on in the same sequence of points.
    proposal_seed = derive(seed, "initial") if sequence <= plan.initial_decisions else derive(seed, "propose", sequence)
    proposals = modelling.propose(
        models,
        belief,
        pending,
        seen_candidates(evaluations, problem.target),
        n=1 if belief else plan.initial,
        seed=proposal_seed,
    )
    if plan.gates is not None:
        if counts := plan.gates.take_counts():
            store.add_card(plan.spec.campaign, card_of(counts))
        if unfit := plan.gates.take_unfit():
            store.add_card(plan.spec.campaign, unfit_card(sequence, unfit))
    if not proposals:
        raise NothingToAsk(f"The proposers find nothing more: {plan.exhausted}.")
    first = sequence <= plan.initial_decisions
    choices: Sequence[Choice] = without_model(problem, proposals[:1], initial=first)
    if belief is not None:
        selected = modelling.select(
            models,
            belief,
            proposals,
            pending,
            seen_points(evaluations),
            open_fidelities(plan, store.progress(plan.spec.campaign, plan.cost_table)),
            n=1,
            seed=derive(seed, "select", sequence),
        )
        choices = selected.choices or choices
    return [decision_record(plan, choice, version, time.perf_counter() - started) for choice in choices]


def _learn(
    plan: Plan, store: Store, models: ModelPlan, evaluations: Sequence[EvaluationRecord], owner: str
) -> tuple[Belief | None, int | None]:
    """Fit to all labels and record the model version, scored by what decisions had predicted of their labels."""
    name, labels = plan.spec.campaign, store.label_records(plan.spec.campaign)
    if len(labels) < 2:
        return None, None
    seed = derive(plan.spec.seed, "fit", len(labels))
    # What was turned away for this very decision, before a process died, is not known yet: so it repeats exactly.
    unfit = [one for one in unfit_of(store.cards(name, UNFIT)) if one.decision <= len(evaluations)]
    dataset, sequences = history(labels, evaluations, plan.problem, unfit)
    versions = store.model_versions(name)
    earlier = versions[-1].hyperparameters if versions else {}
    contest = Contest.recorded(plan.rivals, earlier.get(modelling.CONTEST))
    checked = {check.label_id for version in versions for check in version.checks}
    predictions = store.predictions(name)
    checks = [
        CheckRecord(label.label_id, p.output, p.mean, p.std, float(label.values[p.output]), p.tail)
        for label in labels
        for p in predictions.get(label.evaluation_id, ())
        if p.output in label.values
    ]
    widening = Widening.recorded(earlier.get(modelling.WIDENING)).checked(
        [(c.output, c.mean, c.std, c.observed) for c in checks if c.label_id not in checked]
    )
    belief, report = modelling.train(
        models, dataset, sequences, seed=seed, previous=None, contest=contest, widening=widening
    )
    if versions and versions[-1].n_labels == len(labels):
        return belief, versions[-1].number
    number = versions[-1].number + 1 if versions else 1
    store.add_model_version(
        name,
        version_record(
            report,
            number,
            seed,
            score([Check(c.label_id, c.output, c.mean, c.std, c.observed, c.tail) for c in checks]),
            [check for check in checks if check.label_id not in checked],
        ),
        owner=owner,
    )
    return belief, number

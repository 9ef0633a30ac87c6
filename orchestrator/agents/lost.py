"""Attempts whose worker is lost: given up in a way that still takes their answers, should those turn up."""

from __future__ import annotations

from theoros.db.errors import AttemptNotFound
from theoros.db.records import EvaluationRecord
from theoros.orchestrator.answers import answer_record
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan
from theoros.workers.messages import Outcome


async def take_in(gateway: Gateway, plan: Plan, outcome: Outcome) -> tuple[bool, EvaluationRecord | None]:
    """Store an answer that lay on a disk.

    Returns whether its file may go, which it may not when another database knows its attempt, and the evaluation that
    has ended by it, None when that had been answered or claimed again.
    """
    try:
        counted = await gateway.complete(outcome.token, answer_record(plan, outcome))
    except AttemptNotFound:
        return False, None
    return True, await gateway.evaluation_of(outcome.token) if counted else None

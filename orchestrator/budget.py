"""What a campaign's budget still allows."""

from __future__ import annotations

from theoros.db.records import Progress
from theoros.orchestrator.plan import Plan


def open_fidelities(plan: Plan, progress: Progress) -> tuple[str, ...]:
    """Fidelities whose own budget is not spent."""
    limits = plan.spec.budget.fidelities
    return tuple(
        fidelity
        for fidelity in plan.problem.fidelities
        if fidelity not in limits or progress.charged.get(fidelity, 0) < limits[fidelity]
    )


def affordable(plan: Plan, progress: Progress, wanted: int) -> tuple[int, str]:
    """How many more decisions the budget allows, at most `wanted`, and which limit stops the next one.

    Decisions at the target fidelity are assumed; committed evaluations count as spent, so the budget is never passed.
    """
    budget, target = plan.spec.budget, plan.problem.target
    left, reason = wanted, ""
    limits = {target: budget.labels} if budget.labels is not None else {}
    for fidelity, limit in (limits | budget.fidelities).items():
        room = limit - progress.charged.get(fidelity, 0)
        if fidelity == target and room < left:
            left, reason = max(0, room), f"the budget of {limit} labels at {fidelity!r} is committed"
    if budget.cost is not None:
        room = int((budget.cost - progress.committed_cost) / plan.cost(target) + 1e-9)
        if room < left:
            left, reason = max(0, room), f"the budget of cost {budget.cost:g} is committed"
    return left, reason

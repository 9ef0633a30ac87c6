"""Which oracles cost nothing to ask, and how long their evaluations pretend to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from theoros.models.data import Point
from theoros.oracles.contract import Oracle
from theoros.oracles.rehearsal import Delay, generator
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.spec.errors import SpecError

#: Oracles that answer at once, in this process.
CHEAP = ("lookup", "synthetic")


def cheap_oracle(plan: Plan, *, force: bool = False) -> Oracle:
    """The plan's oracle, built in this process and without its pretended delay.

    Raises SpecError for one that may be expensive, unless `force`: then every evaluation of every method and seed is
    paid for here, without deadline or memory limit.
    """
    reference = plan.oracle
    if reference.reference not in CHEAP:
        if not force:
            raise SpecError(
                f"the oracle {reference.reference!r} may be expensive, and a simulation asks it thousands of times. "
                f"Let one of {' and '.join(CHEAP)} stand in for it, or say --force to ask it all the same.",
                ("oracle",),
            )
        return reference.load()
    options = {name: value for name, value in reference.options.items() if name != "delay"}
    return replace(reference, options=options).load()


def pretended(plan: Plan, seed: int) -> Callable[[Point], float]:
    """How long an evaluation of a point takes (simulated seconds): the oracle's `delay`, or 1 s where it has none.

    The same point takes the same time for every method, so that methods are compared on the same luck. Lower fidelities
    take their share of the cost.
    """
    delay = Delay.parse(plan.oracle.options.get("delay", 1.0)) if plan.oracle.reference in CHEAP else Delay(1.0)
    costs = plan.cost_table

    def seconds(point: Point) -> float:
        rng = generator("simulate", seed, point.candidate.hash, point.fidelity)
        return delay.seconds(rng, costs[point.fidelity])

    return seconds

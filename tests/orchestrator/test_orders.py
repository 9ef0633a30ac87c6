"""An order of things, asked as a key for each by which the oracle sorts them: random keys."""

import itertools

import numpy as np

from theoros.orchestrator.simulate import simulate
from theoros.orchestrator.simulate_methods import OWN, methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.spec.load import spec_from_dict

#: Six jobs on one machine: how long each takes, what an hour's lateness costs, when it is due.
SCHEDULE = """
import numpy as np
from theoros import Parameters, Quantity, Real, oracle

TAKES, COST, DUE = np.random.default_rng(1).uniform([[1], [1], [5]], [[10], [5], [30]], (3, 6))

def lateness(order):
    return float((COST[order] * np.maximum(np.cumsum(TAKES[order]) - DUE[order], 0)).sum())

@oracle(space=Parameters({f"key_{i}": Real(0, 1) for i in range(6)}), outputs={"late": Quantity()})
def jobs(**keys):
    return {"late": lateness(np.argsort([keys[f"key_{i}"] for i in range(6)]))}
"""


def test_the_order_with_the_least_lateness_is_found_among_720(tmp_path):
    (tmp_path / "shop_of_six_jobs.py").write_text(SCHEDULE)
    question = {"campaign": "jobs", "question": {"minimize": "late"}, "oracle": "shop_of_six_jobs:jobs"}
    spec = spec_from_dict(question | {"budget": {"labels": 40}, "workers": {"slots": 1}})
    (method,) = methods(spec, tmp_path, [OWN], slots=1)
    plan = with_seed(method.plan, 0)
    steps = simulate(plan, cheap_oracle(plan, force=True), method.start(plan), duration=pretended(plan, 0))

    import shop_of_six_jobs as shop

    every = sorted(shop.lateness(np.array(order)) for order in itertools.permutations(range(6)))
    assert min(step.value for step in steps) <= every[len(every) // 200]

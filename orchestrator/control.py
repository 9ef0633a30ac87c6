"""Controls: the same campaign without the thing whose worth is in question, at equal cost."""

from __future__ import annotations

import math
from typing import Any, get_args

from theoros.db import CampaignNotFound, Store
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.spec.campaign import Budget, Control
from theoros.orchestrator.spec.errors import SpecError


def parse_controls(text: str) -> list[str]:
    """Read ``"random,train-once"``. Raises SpecError for anything else."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in get_args(Control):
            raise SpecError(
                f"there is no control {name!r}. There are {' and '.join(get_args(Control))}.", ("--with-control",)
            )
    return names


def make_control(campaign: Campaign, control: str) -> Campaign:
    """The control campaign NAME.CONTROL, whose budget is what `campaign` has spent.

    ``random`` chooses by chance, at the target fidelity only; ``train-once`` fits its model after the initial design
    and never again. The cost is rounded up, in favour of the control.
    """
    spec, plan = campaign.plan.spec, campaign.plan
    spent = campaign.store.progress(campaign.name, plan.cost_table).charged
    cost = sum(n * plan.cost_table.get(fidelity, 0.0) for fidelity, n in spent.items())
    changes: dict[str, Any] = {"campaign": f"{spec.campaign}.{control}"}
    if control == "random":
        changes |= {
            "acquisition": "random",
            "proposers": ("random",),
            "diversity": None,
            "budget": Budget(labels=max(1, math.ceil(cost - 1e-9))),
        }
    else:
        changes |= {"train_once": True}
    base = campaign.store.campaign(campaign.name).spec["base"]
    return Campaign(spec.model_copy(update=changes), campaign.store, base=base, control_of=campaign.name)


def free_name(name: str, database: str) -> str:
    """`name`, or the first of NAME-2, NAME-3, ... that the database does not have."""
    with Store(database) as store:
        for number in range(1, 10**6):
            candidate = name if number == 1 else f"{name}-{number}"
            try:
                store.campaign(candidate)
            except CampaignNotFound:
                return candidate
    raise AssertionError("unreachable")
